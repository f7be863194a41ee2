//! What followers need to know of a run, in the words of both versions of the API.

use std::{borrow::Cow, fmt, future::Future};

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::{
    argo::{NodePhase, NodeStatus},
    client::Client,
    endpoint::Call,
    error::Result,
    filter::Filter,
    ids::{ExperimentId, RunId},
    page::Page,
    v1,
    v2::runs::model::{Run, RunOutcome, RuntimeState},
};

/// One task of a run.
pub(super) struct TaskState<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    /// What tells it from others where it has no id.
    pub(super) pod: Cow<'a, str>,
    pub(super) state: RuntimeState,
}

/// A run as one version of the API reports it.
pub(super) trait Followed: Clone + fmt::Debug + PartialEq + DeserializeOwned + Send + Sync + 'static {
    /// Whether the server writes tasks later than the run's state.
    const TASKS_LAG: bool;

    fn id(&self) -> &RunId;
    fn state(&self) -> RuntimeState;
    fn created_at(&self) -> Option<Timestamp>;
    fn finished_at(&self) -> Option<Timestamp>;
    fn outcome(&self) -> RunOutcome;
    /// `None` if this report does not say.
    fn tasks(&self) -> Option<Vec<TaskState<'_>>>;

    /// How the run stands, for one who may have seen it being terminated.
    fn outcome_after(&self, canceling: bool) -> RunOutcome {
        match self.outcome() {
            RunOutcome::Failed if canceling => RunOutcome::Cancelled,
            outcome => outcome,
        }
    }

    /// Whether no task is known to be in progress.
    fn tasks_are_final(&self) -> bool {
        let tasks = self.tasks().filter(|_| Self::TASKS_LAG).unwrap_or_default();
        // Of one without a state nothing is to be waited for.
        let is_over = |state: &RuntimeState| *state == RuntimeState::Unspecified || state.is_final();
        tasks.iter().all(|task| is_over(&task.state))
    }
}

/// Whose runs to list.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub(super) namespace: Option<String>,
    pub(super) experiment_id: Option<ExperimentId>,
}

/// Where the runs are listed and read.
pub(super) trait Feed: Clone + fmt::Debug + Send + Sync + 'static {
    type Run: Followed;

    /// What the fields are called by which runs are filtered.
    const ID: &'static str;
    const STATE: &'static str;
    /// The values of the state's field that are final.
    const FINAL: &'static [&'static str];
    /// Whether a list says nothing of the runs' tasks.
    const BARE_LISTS: bool;

    fn client(&self) -> &Client;

    /// The call that gets a run; of the watch itself if there is no id.
    fn call(&self, operation: &'static str, id: Option<&str>) -> Result<Call>;

    fn page(
        &self,
        scope: &Scope,
        size: u32,
        token: Option<String>,
        sort_by: &str,
        filter: Filter,
    ) -> impl Future<Output = Result<Page<Self::Run>>> + Send;

    fn detail(&self, id: &RunId) -> impl Future<Output = Result<Self::Run>> + Send;
}

impl Followed for Run {
    const TASKS_LAG: bool = true;

    fn id(&self) -> &RunId {
        &self.run_id
    }

    fn state(&self) -> RuntimeState {
        self.state.clone().unwrap_or(RuntimeState::Unspecified)
    }

    fn created_at(&self) -> Option<Timestamp> {
        self.created_at
    }

    fn finished_at(&self) -> Option<Timestamp> {
        self.finished_at
    }

    fn outcome(&self) -> RunOutcome {
        self.outcome()
    }

    fn tasks(&self) -> Option<Vec<TaskState<'_>>> {
        let tasks = self.run_details.task_details.iter().map(|task| TaskState {
            id: task.task_id.as_str().into(),
            name: task.display_name.as_str().into(),
            pod: task.pod_name.as_str().into(),
            state: task.state.clone().unwrap_or(RuntimeState::Unspecified),
        });
        Some(tasks.collect())
    }
}

impl Feed for crate::Runs {
    type Run = Run;

    const ID: &'static str = "run_id";
    const STATE: &'static str = "state";
    const FINAL: &'static [&'static str] = &["SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"];
    const BARE_LISTS: bool = false;

    fn client(&self) -> &Client {
        &self.client
    }

    fn call(&self, operation: &'static str, id: Option<&str>) -> Result<Call> {
        self.call(operation, http::Method::GET, id)
    }

    async fn page(
        &self,
        scope: &Scope,
        size: u32,
        token: Option<String>,
        sort_by: &str,
        filter: Filter,
    ) -> Result<Page<Run>> {
        let mut request = crate::ListRuns::new()
            .page_size(size)
            .page_token(token.unwrap_or_default())
            .sort_by(sort_by)
            .filter(filter);
        request.namespace.clone_from(&scope.namespace);
        request.experiment_id.clone_from(&scope.experiment_id);
        self.list(&request).await
    }

    async fn detail(&self, id: &RunId) -> Result<Run> {
        self.get(id).await
    }
}

/// Kinds of nodes that only hold others together.
const FRAMES: [&str; 5] = ["DAG", "Steps", "StepGroup", "TaskGroup", "Retry"];

impl Followed for v1::RunDetail {
    // Both come from one report.
    const TASKS_LAG: bool = false;

    fn id(&self) -> &RunId {
        &self.run.id
    }

    fn state(&self) -> RuntimeState {
        self.run.state()
    }

    fn created_at(&self) -> Option<Timestamp> {
        self.run.created_at
    }

    fn finished_at(&self) -> Option<Timestamp> {
        self.run.finished_at
    }

    fn outcome(&self) -> RunOutcome {
        self.outcome()
    }

    fn tasks(&self) -> Option<Vec<TaskState<'_>>> {
        // A workflow of another shape than is known says nothing; the run's own state does.
        let workflow = self.pipeline_runtime.workflow().ok().flatten()?;
        let nodes = workflow.status.unwrap_or_default().nodes;
        let tasks = nodes
            .into_iter()
            .filter(|(_, node)| !FRAMES.contains(&&*node.node_type));
        Some(tasks.map(|(id, node)| task(id, node)).collect())
    }
}

fn task(id: String, node: NodeStatus) -> TaskState<'static> {
    TaskState {
        state: match node.phase {
            None | Some(NodePhase::Pending) => RuntimeState::Pending,
            Some(NodePhase::Running) => RuntimeState::Running,
            Some(NodePhase::Succeeded) => RuntimeState::Succeeded,
            Some(NodePhase::Skipped | NodePhase::Omitted) => RuntimeState::Skipped,
            Some(NodePhase::Failed | NodePhase::Error) => RuntimeState::Failed,
            Some(NodePhase::Unknown(text)) => RuntimeState::Unknown(text),
        },
        name: node.display_name.into(),
        pod: node.id.into(),
        id: id.into(),
    }
}

impl Feed for v1::Runs {
    type Run = v1::RunDetail;

    const ID: &'static str = "id";
    const STATE: &'static str = "status";
    const FINAL: &'static [&'static str] = &["Succeeded", "Failed", "Error", "Skipped"];
    const BARE_LISTS: bool = true;

    fn client(&self) -> &Client {
        &self.client
    }

    fn call(&self, operation: &'static str, id: Option<&str>) -> Result<Call> {
        let rest: Vec<&str> = id.into_iter().collect();
        self.call(operation, http::Method::GET, &rest)
    }

    async fn page(
        &self,
        scope: &Scope,
        size: u32,
        token: Option<String>,
        sort_by: &str,
        filter: Filter,
    ) -> Result<Page<v1::RunDetail>> {
        let mut request = v1::ListRuns::new()
            .page_size(size)
            .page_token(token.unwrap_or_default())
            .sort_by(sort_by)
            .filter(filter);
        if let Some(experiment_id) = &scope.experiment_id {
            request = request.experiment(experiment_id.clone());
        } else if let Some(namespace) = &scope.namespace {
            request = request.namespace(namespace);
        }
        let page = self.list(&request).await?;
        Ok(page.map(v1::RunDetail::from))
    }

    async fn detail(&self, id: &RunId) -> Result<v1::RunDetail> {
        self.get(id).await
    }
}
