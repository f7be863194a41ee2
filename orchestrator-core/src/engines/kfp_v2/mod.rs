//! The engine for Kubeflow Pipelines through its v2beta1 API.

mod compile;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kfp_client::ir::PipelineDocument;
use kfp_client::{Client, CreateRun, ExperimentId, PodLogRequest, Run, RunId, RunOutcome, RuntimeState, TaskDetail};

use crate::{
    Capabilities, Capability, Engine, EngineError, EngineRunId, EngineRunStatus, LogTail, RunState, StepName,
    StepState, StepStatus, Submission, Workflow,
};

/// Runs workflows on Kubeflow Pipelines (API server 2.0 and later), each with its pipeline sent along.
///
/// A run's id is the one that the submission names: the server keeps it, so a submission whose answer was lost is
/// looked up and never sent again.
///
/// ```no_run
/// # fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// use orchestrator_core::engines::KfpV2;
///
/// let client = kfp_client::Client::builder("https://kubeflow.example.com/pipeline")?.build()?;
/// let engine = KfpV2::new(client, "team-a");
/// # let _ = engine;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct KfpV2 {
    client: Client,
    namespace: String,
    /// Experiments by namespace and name, so that a run costs one request less.
    experiments: Arc<Mutex<HashMap<(String, String), ExperimentId>>>,
    /// One lock for each id that is being submitted, so that the same id is never under way twice.
    submitting: Arc<Mutex<HashMap<EngineRunId, Arc<tokio::sync::Mutex<()>>>>>,
}

const NAME: &str = "kfp-v2";

impl KfpV2 {
    /// Runs in `namespace` unless a submission names another. A single-user server takes an empty namespace.
    pub fn new(client: Client, namespace: impl Into<String>) -> Self {
        Self {
            client,
            namespace: namespace.into(),
            experiments: Arc::default(),
            submitting: Arc::default(),
        }
    }

    async fn experiment(&self, name: &str, namespace: &str) -> Result<ExperimentId, EngineError> {
        let key = (namespace.to_owned(), name.to_owned());
        let known = self
            .experiments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned();
        if let Some(id) = known {
            return Ok(id);
        }
        let namespace = (!namespace.is_empty()).then_some(namespace);
        let id = self
            .client
            .experiments()
            .get_or_create(name, namespace)
            .await
            .map_err(|failure| submission_error(failure, namespace))?
            .experiment_id;
        self.experiments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, id.clone());
        Ok(id)
    }

    /// A run of the v2beta1 API says its experiment, and only that says the namespace.
    async fn namespace_of(&self, run: &Run) -> Result<String, EngineError> {
        let known = self
            .experiments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .find_map(|((namespace, _), id)| (*id == run.experiment_id).then(|| namespace.clone()));
        if let Some(namespace) = known {
            return Ok(namespace);
        }
        let experiment = self.client.experiments().get(&run.experiment_id).await.map_err(error)?;
        Ok(experiment.namespace)
    }

    fn turns(&self) -> MutexGuard<'_, HashMap<EngineRunId, Arc<tokio::sync::Mutex<()>>>> {
        self.submitting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn submit_once(&self, submission: &Submission, document: PipelineDocument) -> Result<(), EngineError> {
        let id = RunId::new(submission.run_id.as_str());
        let namespace = submission.namespace.as_deref().unwrap_or(&self.namespace);
        let experiment = self.experiment(&submission.group, namespace).await?;
        let mut request = CreateRun::new(cut(&submission.display_name), experiment, document)
            .run_id(id)
            .description(cut(&submission.description));
        for (name, value) in &submission.workflow.parameters {
            request = request.parameter(name, compile::literal(value));
        }
        match self.client.runs().create(request).await {
            // The client looks before it submits: the id was chosen for this submission alone, so the run is this one.
            Ok(_) | Err(kfp_client::Error::AlreadyExists(_)) => Ok(()),
            Err(failure @ kfp_client::Error::OutcomeUnknown { .. }) => Err(EngineError::OutcomeUnknown {
                engine: NAME.to_owned(),
                run: submission.run_id.clone(),
                source: Some(Box::new(failure)),
            }),
            Err(failure) => Err(submission_error(failure, Some(namespace))),
        }
    }

    async fn run(&self, run: &EngineRunId) -> Result<Run, EngineError> {
        self.client
            .runs()
            .get(&RunId::new(run.as_str()))
            .await
            .map_err(|failure| match failure {
                failure if failure.is_not_found() => EngineError::NotFound {
                    engine: NAME.to_owned(),
                    run: run.clone(),
                },
                failure => error(failure),
            })
    }
}

#[async_trait]
impl Engine for KfpV2 {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        [
            Capability::Conditions,
            Capability::Detached,
            Capability::ExitStep,
            Capability::Resources,
            Capability::Retries,
            Capability::Secrets,
            Capability::Timeouts,
            Capability::Volumes,
        ]
        .into_iter()
        .collect()
    }

    fn default_namespace(&self) -> Option<&str> {
        (!self.namespace.is_empty()).then_some(self.namespace.as_str())
    }

    fn link(&self, run: &EngineRunId, _namespace: Option<&str>) -> Option<String> {
        let base = self.client.base_url().as_str().trim_end_matches('/');
        Some(format!("{base}/#/runs/details/{run}"))
    }

    async fn ready(&self) -> Result<(), EngineError> {
        self.client.health().await.map(drop).map_err(error)
    }

    async fn submit(&self, submission: &Submission) -> Result<(), EngineError> {
        let document = compile::document(&submission.workflow)?;
        let turn = Arc::clone(self.turns().entry(submission.run_id.clone()).or_default());
        let result = {
            let _mine = turn.lock().await;
            self.submit_once(submission, document).await
        };
        drop(turn);
        // The last one to leave takes the lock away.
        self.turns()
            .retain(|id, turn| *id != submission.run_id || Arc::strong_count(turn) > 1);
        result
    }

    async fn describe(&self, run: &EngineRunId, workflow: &Workflow) -> Result<EngineRunStatus, EngineError> {
        let run = self.run(run).await?;
        let state = run_state(&run);
        let tasks = &run.run_details.task_details;
        let order = workflow.order()?;
        let steps = order
            .into_iter()
            .chain(&workflow.exit_step)
            .map(|step| step_status(&step.name, state, tasks))
            .collect();
        let mut status = EngineRunStatus::new(state, steps);
        status.message = run
            .error
            .map(|error| error.short_message().to_owned())
            .filter(|message| !message.is_empty());
        Ok(status)
    }

    async fn cancel(&self, run: &EngineRunId) -> Result<(), EngineError> {
        match self.client.runs().terminate(&RunId::new(run.as_str())).await {
            Ok(()) => Ok(()),
            // A run that has ended, or is being cancelled already, cannot be terminated; both are what was wanted.
            Err(failure) => match self.run(run).await?.state {
                Some(state) if state.is_final() || state == RuntimeState::Canceling => Ok(()),
                _ => Err(error(failure)),
            },
        }
    }

    async fn retry(&self, run: &EngineRunId) -> Result<(), EngineError> {
        self.client
            .runs()
            .retry(&RunId::new(run.as_str()))
            .await
            .map_err(|failure| not_found(failure, run))
    }

    async fn delete(&self, run: &EngineRunId) -> Result<(), EngineError> {
        self.client
            .runs()
            .delete(&RunId::new(run.as_str()))
            .await
            .map_err(|failure| not_found(failure, run))
    }

    async fn logs(&self, run: &EngineRunId, step: &StepName, lines: usize) -> Result<LogTail, EngineError> {
        let record = self.run(run).await?;
        let tasks = &record.run_details.task_details;
        let Some(task) = task_of(step, tasks) else {
            return Ok(LogTail::default());
        };
        let namespace = self.namespace_of(&record).await?;
        let mut log = String::new();
        for pod in pods(task, tasks) {
            let mut request = PodLogRequest::new(pod, &namespace).run_id(RunId::new(run.as_str()));
            if let Some(created) = record.created_at {
                request = request.created_at(created);
            }
            match self.client.logs().pod(&request).await {
                Ok(text) if !text.is_empty() => {
                    log = text;
                    break;
                }
                Ok(_) => {}
                // A pod that never ran or is gone has no log.
                Err(failure) if failure.is_not_found() || matches!(failure, kfp_client::Error::Server(_)) => {}
                Err(failure) => return Err(error(failure)),
            }
        }
        Ok(LogTail::of(&log, lines))
    }
}

/// Names and descriptions longer than 255 characters are refused by the server's database (KFP 2.17).
fn cut(text: &str) -> String {
    text.chars().take(255).collect()
}

fn run_state(run: &Run) -> RunState {
    match run.outcome() {
        RunOutcome::Succeeded | RunOutcome::Skipped => RunState::Succeeded,
        RunOutcome::Failed => RunState::Failed,
        RunOutcome::Cancelled => RunState::Cancelled,
        RunOutcome::Unfinished => match &run.state {
            Some(RuntimeState::Running | RuntimeState::Paused) => RunState::Running,
            Some(RuntimeState::Canceling) => RunState::Cancelling,
            Some(RuntimeState::Pending | RuntimeState::Unspecified) | None => RunState::Pending,
            Some(_) => RunState::Unknown,
        },
        _ => RunState::Unknown,
    }
}

/// The task of a step. The drivers that the server adds are called `<step>-driver`; retried attempts are parts of the
/// task, so the task itself is the one without a parent of the same name.
fn task_of<'a>(step: &StepName, tasks: &'a [TaskDetail]) -> Option<&'a TaskDetail> {
    tasks.iter().find(|task| task.display_name == step.as_str())
}

fn step_status(name: &StepName, run: RunState, tasks: &[TaskDetail]) -> StepStatus {
    let mut status = StepStatus::pending(name.clone());
    match task_of(name, tasks) {
        Some(task) => {
            status.started_at = task.start_time.or(task.create_time);
            status.finished_at = task.end_time;
            status.state = match &task.state {
                Some(RuntimeState::Succeeded) => StepState::Succeeded,
                Some(RuntimeState::Skipped) => StepState::Skipped,
                Some(RuntimeState::Canceled) => StepState::Cancelled,
                // A cancelled run ends the processes of its steps, which the server then calls failed.
                Some(RuntimeState::Failed | RuntimeState::Canceling) if run == RunState::Cancelled => {
                    StepState::Cancelled
                }
                Some(RuntimeState::Failed) => StepState::Failed,
                Some(RuntimeState::Running | RuntimeState::Paused | RuntimeState::Canceling) => match run {
                    RunState::Cancelled => StepState::Cancelled,
                    _ => StepState::Running,
                },
                Some(RuntimeState::Pending | RuntimeState::Unspecified) | None => never_begun(run),
                Some(_) => StepState::Unknown,
            };
        }
        None => status.state = never_begun(run),
    }
    status
}

fn never_begun(run: RunState) -> StepState {
    match run {
        RunState::Failed => StepState::Skipped,
        RunState::Cancelled => StepState::Cancelled,
        _ => StepState::Pending,
    }
}

/// Where the log of a task may be: in its last part, which is the pod that did the work, or in itself.
fn pods<'a>(task: &'a TaskDetail, tasks: &'a [TaskDetail]) -> Vec<&'a str> {
    let mut found = Vec::new();
    for child in task.child_tasks.iter().rev() {
        let part = tasks
            .iter()
            .find(|other| !child.pod_name.is_empty() && other.pod_name == child.pod_name);
        let driver = part.is_some_and(|part| part.display_name.ends_with("-driver"));
        if !driver && !child.pod_name.is_empty() {
            found.push(child.pod_name.as_str());
        }
    }
    if !task.pod_name.is_empty() {
        found.push(&task.pod_name);
    }
    found
}

fn not_found(failure: kfp_client::Error, run: &EngineRunId) -> EngineError {
    if failure.is_not_found() {
        return EngineError::NotFound {
            engine: NAME.to_owned(),
            run: run.clone(),
        };
    }
    error(failure)
}

/// What the server says of a foreign namespace is made for its authors.
fn submission_error(failure: kfp_client::Error, namespace: Option<&str>) -> EngineError {
    match (failure, namespace.filter(|namespace| !namespace.is_empty())) {
        (failure @ kfp_client::Error::PermissionDenied(_), Some(namespace)) => EngineError::Refused {
            engine: NAME.to_owned(),
            message: format!(
                "this user may not work in the namespace {namespace}: name another one, or ask its owner to make the \
                 user a contributor"
            ),
            source: Some(Box::new(failure)),
        },
        (failure, _) => error(failure),
    }
}

fn error(failure: kfp_client::Error) -> EngineError {
    use kfp_client::Error as Kfp;
    let engine = NAME.to_owned();
    // What a login says is more use than that a request failed.
    let message = match failure.middleware_source() {
        Some(cause) => cause.to_string(),
        None => failure.to_string(),
    };
    let retryable = failure.is_retryable();
    let kind = match &failure {
        Kfp::Middleware(_) | Kfp::Unauthenticated(_) | Kfp::PermissionDenied(_) | Kfp::LoginPage(_) => Kind::Refused,
        Kfp::Connect(_) | Kfp::Timeout(_) | Kfp::Interrupted(_) | Kfp::Unavailable(_) | Kfp::RateLimited(_) => {
            Kind::Unreachable
        }
        _ if retryable => Kind::Unreachable,
        _ => Kind::Failed,
    };
    let source: Option<Box<dyn std::error::Error + Send + Sync>> = Some(Box::new(failure));
    match kind {
        Kind::Refused => EngineError::Refused {
            engine,
            message,
            source,
        },
        Kind::Unreachable => EngineError::Unreachable {
            engine,
            message,
            source,
        },
        Kind::Failed => EngineError::Failed {
            engine,
            message,
            source,
        },
    }
}

enum Kind {
    Refused,
    Unreachable,
    Failed,
}
