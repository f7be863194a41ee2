//! What is kept of a run.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{EngineRunId, EngineRunStatus, RequestKind, RunState, StepState, StepStatus, TrackingRun};

/// The orchestrator's id of a run: a UUID version 7, so that ids sort by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    pub(crate) fn new() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The engine gets the very same id: a lost answer can be looked up, and people see one id everywhere.
    pub(crate) fn at_engine(&self) -> EngineRunId {
        EngineRunId::from(self.0.clone())
    }
}

impl From<&str> for RunId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One step of a recorded run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepRecord {
    /// Name of the step.
    pub name: String,
    /// Its state.
    pub state: StepState,
    /// Seconds from its beginning to its end, or `null` until both are known. On Kubeflow Pipelines whole seconds.
    pub seconds: Option<f64>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl From<&StepStatus> for StepRecord {
    fn from(step: &StepStatus) -> Self {
        Self {
            name: step.name.to_string(),
            state: step.state,
            seconds: step.seconds(),
            started_at: step.started_at,
            finished_at: step.finished_at,
        }
    }
}

/// Why a run did not succeed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunFailure {
    /// One sentence.
    pub message: String,
    /// The step that failed first, if a step did.
    pub step: Option<String>,
    /// The last lines that step wrote.
    pub log: Vec<String>,
}

/// Everything that is known of a run. Secrets and values of environment variables are not in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunRecord {
    /// The orchestrator's id.
    pub id: RunId,
    /// Which workflow.
    pub kind: RequestKind,
    /// State of the run.
    pub state: RunState,
    /// Name of the engine.
    pub engine: String,
    /// Id of the run at the engine.
    pub engine_run_id: EngineRunId,
    /// Namespace in which it runs, if the engine has namespaces.
    pub namespace: Option<String>,
    /// Repository of the code.
    pub git_repository: String,
    /// Commit of the code.
    pub git_sha: String,
    /// Version of the data.
    pub dataset_version: String,
    /// Share of rows used for training.
    pub train_split: f64,
    /// Seed of split and training.
    pub seed: u32,
    /// Parameters of the entry points.
    pub parameters: BTreeMap<String, String>,
    /// Name of the registered model.
    pub model_name: String,
    /// Version of the registered model that is evaluated or deployed.
    pub model_version: Option<u64>,
    /// The steps, in the order in which they can run.
    pub steps: Vec<StepRecord>,
    /// Metrics in the tracker's record; filled when the run has ended.
    pub metrics: BTreeMap<String, f64>,
    /// The tracker's record.
    pub tracking: Option<TrackingRun>,
    /// Pages where a person can look: `engine`, `tracking`.
    pub links: BTreeMap<String, String>,
    /// Why it did not succeed.
    pub failure: Option<RunFailure>,
    /// What went wrong without stopping the run, for instance a tracker that could not be reached.
    pub warnings: Vec<String>,
    /// When the request was accepted.
    pub created_at: Timestamp,
    /// When anything here changed last.
    pub updated_at: Timestamp,
}

impl RunRecord {
    /// Takes over what the engine says of steps, and of the run as long as it goes on.
    pub(crate) fn observe(&mut self, status: &EngineRunStatus) {
        self.steps = status.steps.iter().map(StepRecord::from).collect();
        // A final state is only shown once metrics and failure are known as well; and the engine may not have
        // heard yet that the run is to be cancelled.
        if !status.state.is_final() && self.state != RunState::Cancelling {
            self.state = status.state;
        }
    }

    /// The first step that failed.
    pub(crate) fn failed_step(&self) -> Option<&StepRecord> {
        self.steps.iter().find(|step| step.state == StepState::Failed)
    }
}
