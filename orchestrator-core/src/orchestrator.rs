//! Takes requests, hands workflows to the engine, keeps the records.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::engine::Submission;
use crate::follow::{Followed, follow};
use crate::request::{Gate, ValidCommon};
use crate::run::Run;
use crate::store::{MemoryStore, RunStore, StoreError};
use crate::templates::{self, Kit};
use crate::{
    DeployRequest, Engine, EngineError, EnvValue, Error, EvaluateRequest, RequestKind, RunFailure, RunId, RunRecord,
    RunState, Settings, StepRecord, StepStatus, Tracker, TrackingError, TrackingRun, TrackingStart, TrainRequest,
    Workflow,
};

/// Accepts train, evaluate and deploy requests. A cheap handle: clones share everything.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use orchestrator_core::{Orchestrator, TrainRequest, engines::Local};
///
/// let orchestrator = Orchestrator::builder().engine(Local::new()?).build()?;
/// let request = TrainRequest::new("https://git.example.com/fraud.git", "4f2a9c1d4f2a9c1d4f2a9c1d4f2a9c1d4f2a9c1d")
///     .dataset_version("v3")
///     .split(0.8);
/// let run = orchestrator.train(request).await?;
/// println!("{}", run.wait().await?.state);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Orchestrator(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) tracker: Option<Arc<dyn Tracker>>,
    pub(crate) store: Arc<dyn RunStore>,
    pub(crate) settings: Settings,
    /// Runs that are being followed by this program.
    followed: Mutex<HashMap<RunId, Arc<Followed>>>,
}

/// Puts an [`Orchestrator`] together.
#[derive(Debug, Default)]
pub struct OrchestratorBuilder {
    engine: Option<Arc<dyn Engine>>,
    tracker: Option<Arc<dyn Tracker>>,
    store: Option<Arc<dyn RunStore>>,
    settings: Settings,
}

impl OrchestratorBuilder {
    /// Sets the engine. Required.
    #[must_use]
    pub fn engine(mut self, engine: impl Engine + 'static) -> Self {
        self.engine = Some(Arc::new(engine));
        self
    }

    /// Sets what keeps the record of runs. Without it nothing is tracked, and models are not registered.
    #[must_use]
    pub fn tracker(mut self, tracker: impl Tracker + 'static) -> Self {
        self.tracker = Some(Arc::new(tracker));
        self
    }

    /// Tracks runs in MLflow; short for [`tracker`](Self::tracker) with a [`MlflowTracker`](crate::MlflowTracker).
    #[cfg(feature = "mlflow")]
    #[must_use]
    pub fn tracking(self, client: mlflow_client::Client) -> Self {
        self.tracker(crate::MlflowTracker::new(client))
    }

    /// Sets where run records are kept. Default: in memory.
    #[must_use]
    pub fn store(mut self, store: impl RunStore + 'static) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Sets what the installation fixes for all runs.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Puts it together.
    ///
    /// # Errors
    /// [`Error::Config`] without an engine.
    pub fn build(self) -> Result<Orchestrator, Error> {
        let engine = self.engine.ok_or_else(|| Error::Config {
            message: "an orchestrator needs an engine: call engine(…) before build()".to_owned(),
        })?;
        Ok(Orchestrator(Arc::new(Inner {
            engine,
            tracker: self.tracker,
            store: self.store.unwrap_or_else(|| Arc::new(MemoryStore::default())),
            settings: self.settings,
            followed: Mutex::default(),
        })))
    }
}

/// A checked request of any kind.
struct Plan {
    kind: RequestKind,
    common: ValidCommon,
    model_version: Option<u64>,
    gate: Gate,
}

impl Plan {
    fn workflow(
        &self,
        settings: &Settings,
        tracking: Option<&BTreeMap<String, EnvValue>>,
    ) -> Result<Workflow, EngineError> {
        let kit = Kit {
            settings,
            tracking,
            common: &self.common,
        };
        let version = self.model_version.unwrap_or_default();
        let workflow = match self.kind {
            RequestKind::Train => templates::train(&kit),
            RequestKind::Evaluate => templates::evaluate(&kit, version),
            RequestKind::Deploy => templates::deploy(&kit, version, &self.gate),
        };
        Ok(workflow?)
    }

    fn display_name(&self) -> String {
        let sha: String = self.common.git_sha.as_str().chars().take(8).collect();
        let version = self
            .model_version
            .map(|version| format!(" version {version}"))
            .unwrap_or_default();
        format!(
            "{} {}{version} {sha} {}",
            self.kind, self.common.model_name, self.common.dataset_version
        )
    }

    fn tracking_start(&self, record: &RunRecord) -> TrackingStart {
        let common = &self.common;
        let mut parameters = common.parameters.clone();
        parameters.extend([
            ("git_repository".to_owned(), common.git_repository.to_string()),
            ("git_sha".to_owned(), common.git_sha.to_string()),
            ("dataset_version".to_owned(), common.dataset_version.clone()),
            ("train_split".to_owned(), common.split.train().to_string()),
            ("seed".to_owned(), common.split.seed().to_string()),
            ("model_name".to_owned(), common.model_name.clone()),
        ]);
        if let Some(version) = self.model_version {
            parameters.insert("model_version".to_owned(), version.to_string());
        }
        let mut tags = BTreeMap::from([
            ("orchestrator.kind".to_owned(), self.kind.to_string()),
            ("orchestrator.engine".to_owned(), record.engine.clone()),
        ]);
        if !common.environment.is_empty() {
            // Names only: a value may be a secret.
            let names = common
                .environment
                .keys()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(",");
            tags.insert("orchestrator.environment".to_owned(), names);
        }
        TrackingStart {
            operation_id: record.id.to_string(),
            name: self.display_name(),
            experiment: common.experiment.clone(),
            parameters,
            tags,
            git_sha: common.git_sha.to_string(),
            git_repository: common.git_repository.to_string(),
        }
    }
}

impl Orchestrator {
    /// Begins to put an orchestrator together.
    pub fn builder() -> OrchestratorBuilder {
        OrchestratorBuilder::default()
    }

    /// The settings of the installation.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Trains a model and registers it. Returns when the engine has the run.
    ///
    /// # Errors
    /// [`Error::Invalid`] before anything is sent; [`Error::Engine`] if the engine does not take it.
    pub async fn train(&self, request: TrainRequest) -> Result<Run, Error> {
        let valid = request.valid(&self.0.settings)?;
        self.submit(Plan {
            kind: RequestKind::Train,
            common: valid.common,
            model_version: None,
            gate: Gate::default(),
        })
        .await
    }

    /// Measures a registered model version beside the one in use. Returns when the engine has the run.
    ///
    /// # Errors
    /// As for [`train`](Self::train); [`Error::Config`] without a tracker, since that is where models are registered.
    pub async fn evaluate(&self, request: EvaluateRequest) -> Result<Run, Error> {
        let valid = request.valid(&self.0.settings)?;
        self.submit(Plan {
            kind: RequestKind::Evaluate,
            common: valid.common,
            model_version: Some(valid.model_version),
            gate: Gate::default(),
        })
        .await
    }

    /// Puts a registered model version into use if it is good enough. Returns when the engine has the run.
    ///
    /// # Errors
    /// As for [`evaluate`](Self::evaluate). A version that is not good enough is a run that fails in its step `gate`.
    pub async fn deploy(&self, request: DeployRequest) -> Result<Run, Error> {
        let valid = request.valid(&self.0.settings)?;
        self.submit(Plan {
            kind: RequestKind::Deploy,
            common: valid.common,
            model_version: Some(valid.model_version),
            gate: valid.gate,
        })
        .await
    }

    /// Whether engine and tracker can be reached and let us in.
    ///
    /// # Errors
    /// [`Error::Engine`] or [`Error::Tracking`] for the first that does not.
    pub async fn ready(&self) -> Result<(), Error> {
        self.0.engine.ready().await?;
        if let Some(tracker) = &self.0.tracker {
            tracker.ready().await?;
        }
        Ok(())
    }

    /// The newest `most` runs, newest first.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn runs(&self, most: usize) -> Result<Vec<RunRecord>, Error> {
        Ok(self.0.store.list(most).await?)
    }

    /// The record of a run.
    ///
    /// # Errors
    /// [`Error::UnknownRun`], [`Error::Store`].
    pub async fn run(&self, id: &RunId) -> Result<RunRecord, Error> {
        self.0
            .store
            .get(id)
            .await?
            .ok_or_else(|| Error::UnknownRun { id: id.to_string() })
    }

    /// Asks for a run to be stopped. Once its engine has accepted that, it is [`RunState::Cancelling`] until the engine
    /// says that it has ended. Stopping a run that has ended changes nothing, and neither does a request that the
    /// engine did not accept.
    ///
    /// # Errors
    /// [`Error::UnknownRun`], [`Error::Engine`], [`Error::Store`].
    pub async fn cancel(&self, id: &RunId) -> Result<RunRecord, Error> {
        let record = self.run(id).await?;
        if record.state.is_final() {
            return Ok(record);
        }
        // First the engine: nothing is being cancelled as long as it has not heard of it.
        self.0.engine.cancel(&record.engine_run_id).await?;
        if let Some(followed) = self.0.followed(id) {
            followed.cancelling(&*self.0.store).await?;
        }
        self.run(id).await
    }

    async fn submit(&self, plan: Plan) -> Result<Run, Error> {
        let inner = &self.0;
        if inner.tracker.is_none() && plan.kind != RequestKind::Train {
            return Err(Error::Config {
                message: format!(
                    "{} needs a tracker, where models are registered: call tracking(…) on the builder",
                    plan.kind
                ),
            });
        }
        // Everything that can be refused without the outside world is refused here.
        let no_environment = BTreeMap::new();
        let draft = plan.workflow(&inner.settings, inner.tracker.as_ref().map(|_| &no_environment))?;
        let order: Vec<_> = draft
            .order()
            .map_err(EngineError::from)?
            .iter()
            .map(|step| step.name.clone())
            .collect();
        let lacking = inner.engine.capabilities().lacking(&draft.required_capabilities());
        if !lacking.is_empty() {
            return Err(EngineError::Unsupported {
                engine: inner.engine.name().to_owned(),
                lacking,
            }
            .into());
        }
        let id = RunId::new();
        let now = Timestamp::now();
        let namespace = plan
            .common
            .namespace
            .clone()
            .or_else(|| inner.engine.default_namespace().map(str::to_owned));
        let record = RunRecord {
            engine_run_id: id.at_engine(),
            id,
            kind: plan.kind,
            state: RunState::Submitting,
            engine: inner.engine.name().to_owned(),
            namespace,
            git_repository: plan.common.git_repository.to_string(),
            git_sha: plan.common.git_sha.to_string(),
            dataset_version: plan.common.dataset_version.clone(),
            train_split: plan.common.split.train(),
            seed: plan.common.split.seed(),
            parameters: plan.common.parameters.clone(),
            model_name: plan.common.model_name.clone(),
            model_version: plan.model_version,
            steps: order
                .into_iter()
                .map(|name| StepRecord::from(&StepStatus::pending(name)))
                .collect(),
            metrics: BTreeMap::new(),
            tracking: None,
            links: BTreeMap::new(),
            failure: None,
            warnings: Vec::new(),
            created_at: now,
            updated_at: now,
        };
        inner.store.put(&record).await?;
        // In a task of its own: a caller who goes away must not leave half a submission behind.
        let launched = tokio::spawn(Arc::clone(inner).launch(plan, record));
        let followed = launched.await.map_err(|error| Error::Store {
            message: format!("the submission was interrupted: {error}"),
        })??;
        Ok(Run::new(self.clone(), &followed))
    }
}

impl Inner {
    pub(crate) fn followed(&self, id: &RunId) -> Option<Arc<Followed>> {
        self.lock().get(id).cloned()
    }

    pub(crate) fn forget(&self, id: &RunId) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Arc<Followed>>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn launch(self: Arc<Self>, plan: Plan, mut record: RunRecord) -> Result<Arc<Followed>, Error> {
        match self.start_tracking(&plan, &mut record).await {
            Ok(()) => {}
            Err(error) => return Err(self.give_up(record, error.into()).await),
        }
        let environment = match (&self.tracker, &record.tracking) {
            (Some(tracker), Some(run)) => Some(tracker.step_environment(run)),
            _ => None,
        };
        let workflow = plan.workflow(&self.settings, environment.as_ref())?;
        let order = workflow.order().map_err(EngineError::from)?;
        record.steps = order
            .into_iter()
            .chain(&workflow.exit_step)
            .map(|step| StepRecord::from(&StepStatus::pending(step.name.clone())))
            .collect();
        let submission = Submission {
            description: format!(
                "{} of {} at {}",
                plan.kind, plan.common.git_repository, plan.common.git_sha
            ),
            group: plan.common.experiment.clone(),
            namespace: record.namespace.clone(),
            ..Submission::new(record.engine_run_id.clone(), plan.display_name(), workflow)
        };
        if let Err(error) = self.engine.submit(&submission).await {
            return Err(self.give_up(record, error.into()).await);
        }
        record.state = RunState::Pending;
        if let Some(link) = self.engine.link(&record.engine_run_id, record.namespace.as_deref()) {
            record.links.insert("engine".to_owned(), link);
        }
        self.save(&mut record).await?;
        self.link_tracking(&mut record).await;
        let followed = Arc::new(Followed::new(submission.workflow, watch::Sender::new(record)));
        self.lock().insert(followed.id(), Arc::clone(&followed));
        tokio::spawn(follow(Arc::clone(&self), Arc::clone(&followed)));
        Ok(followed)
    }

    /// A tracker that cannot be reached stops an evaluation or a deployment, which need its registry, but not a
    /// training.
    async fn start_tracking(&self, plan: &Plan, record: &mut RunRecord) -> Result<(), TrackingError> {
        let Some(tracker) = &self.tracker else { return Ok(()) };
        match tracker.start(&plan.tracking_start(record)).await {
            Ok(run) => {
                if let Some(link) = tracker.link(&run) {
                    record.links.insert("tracking".to_owned(), link);
                }
                record.tracking = Some(run);
            }
            Err(error @ TrackingError::Unreachable { .. }) if plan.kind == RequestKind::Train => {
                tracing::warn!(run = %record.id, %error, "training starts without a record");
                record.warnings.push(format!(
                    "{error}: the run is not recorded there and its model is not registered"
                ));
            }
            Err(error) => return Err(error),
        }
        if let Err(error) = self.save(record).await {
            // The record of the tracker is closed again by `give_up`.
            return Err(TrackingError::Failed {
                message: error.to_string(),
                source: None,
            });
        }
        Ok(())
    }

    async fn link_tracking(&self, record: &mut RunRecord) {
        let (Some(tracker), Some(run)) = (&self.tracker, &record.tracking) else {
            return;
        };
        let mut tags = BTreeMap::from([(
            "orchestrator.engine_run_id".to_owned(),
            record.engine_run_id.to_string(),
        )]);
        if let Some(link) = record.links.get("engine") {
            tags.insert("orchestrator.engine_link".to_owned(), link.clone());
        }
        if let Err(error) = tracker.tag(run, &tags).await {
            record.warnings.push(format!(
                "the link to the engine is not in the tracker's record: {error}"
            ));
        }
    }

    /// Records why a submission ended, and closes the tracker's record unless the run may be there after all.
    async fn give_up(&self, mut record: RunRecord, error: Error) -> Error {
        let unknown = matches!(error, Error::Engine(EngineError::OutcomeUnknown { .. }));
        record.state = if unknown { RunState::Unknown } else { RunState::Failed };
        record.failure = Some(RunFailure {
            message: error.to_string(),
            ..RunFailure::default()
        });
        if !unknown {
            // Somebody waits for the error.
            self.finish_tracking(&mut record, RunState::Failed, Duration::ZERO)
                .await;
        }
        if let Err(error) = self.save(&mut record).await {
            tracing::error!(run = %record.id, %error, "the end of the run could not be recorded");
        }
        error
    }

    /// Writes into the tracker's record how the run ended; a tracker out of reach is asked again `within` that time.
    pub(crate) async fn finish_tracking(&self, record: &mut RunRecord, state: RunState, within: Duration) {
        let (Some(tracker), Some(run)) = (&self.tracker, &record.tracking) else {
            return;
        };
        let deadline = Instant::now() + within;
        let mut pause = Duration::from_millis(500);
        loop {
            match tracker.finish(run, state).await {
                Ok(()) => return,
                // A server that restarts is back soon, and nobody else closes the record.
                Err(TrackingError::Unreachable { .. }) if Instant::now() + pause < deadline => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(10));
                }
                Err(error) => {
                    record
                        .warnings
                        .push(format!("the end of the run is not in the tracker's record: {error}"));
                    return;
                }
            }
        }
    }

    pub(crate) fn tracked<'a>(&'a self, record: &'a RunRecord) -> Option<(&'a Arc<dyn Tracker>, &'a TrackingRun)> {
        self.tracker.as_ref().zip(record.tracking.as_ref())
    }

    pub(crate) async fn save(&self, record: &mut RunRecord) -> Result<(), StoreError> {
        record.updated_at = Timestamp::now();
        self.store.put(record).await
    }
}
