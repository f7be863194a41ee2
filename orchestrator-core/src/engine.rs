//! The seam to whatever runs workflows.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{Capabilities, RunState, StepName, Workflow};

/// Id of a run at its engine. Chosen by the orchestrator before the run is submitted, so that a lost answer can be
/// looked up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct EngineRunId(String);

impl EngineRunId {
    /// A new random id (UUID version 4).
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for EngineRunId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl fmt::Display for EngineRunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Everything an engine needs to start a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Submission {
    /// The id the run is to have. Submitting the same id twice must never start a second run.
    pub run_id: EngineRunId,
    /// Name for people, for instance `train fraud 4f2a9c1`.
    pub display_name: String,
    /// Longer text for people; may be empty.
    pub description: String,
    /// Groups runs at the engine (on Kubeflow Pipelines the experiment).
    pub group: String,
    /// Tenant in which the run lives; `None` is the engine's default.
    pub namespace: Option<String>,
    /// What is to be run.
    pub workflow: Workflow,
}

impl Submission {
    /// A submission in the engine's default namespace.
    pub fn new(run_id: EngineRunId, display_name: impl Into<String>, workflow: Workflow) -> Self {
        let group = workflow.name.clone();
        Self {
            run_id,
            display_name: display_name.into(),
            description: String::new(),
            group,
            namespace: None,
            workflow,
        }
    }
}

/// State of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum StepState {
    /// Not begun.
    Pending,
    /// Begun.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Will never run: its condition did not hold, or a step before it failed.
    Skipped,
    /// Stopped because the run was cancelled.
    Cancelled,
    /// The engine says something that this version does not know.
    Unknown,
}

impl StepState {
    /// Whether the state never changes again by itself.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped | Self::Cancelled)
    }

    /// The name as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for StepState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One step of a run as its engine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepStatus {
    /// The step.
    pub name: StepName,
    /// Its state.
    pub state: StepState,
    /// When it began. Engines differ in precision; Kubeflow Pipelines knows whole seconds.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl StepStatus {
    /// A step that has not begun.
    pub fn pending(name: StepName) -> Self {
        Self {
            name,
            state: StepState::Pending,
            started_at: None,
            finished_at: None,
        }
    }

    /// Seconds from its beginning to its end; `None` until both are known.
    pub fn seconds(&self) -> Option<f64> {
        let (from, to) = (self.started_at?, self.finished_at?);
        Some(to.duration_since(from).as_secs_f64().max(0.0))
    }
}

/// A run as its engine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineRunStatus {
    /// State of the whole.
    pub state: RunState,
    /// Every step of the workflow in the order of [`Workflow::order`], the exit step last.
    pub steps: Vec<StepStatus>,
    /// What the engine says about a failure, if it says anything.
    pub message: Option<String>,
}

impl EngineRunStatus {
    /// A status without a message.
    pub fn new(state: RunState, steps: Vec<StepStatus>) -> Self {
        Self {
            state,
            steps,
            message: None,
        }
    }
}

/// The end of a step's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogTail {
    /// The last lines, oldest first, without line ends.
    pub lines: Vec<String>,
    /// Whether earlier lines were left out.
    pub truncated: bool,
}

impl LogTail {
    /// Keeps the last `most` lines of `text`.
    pub fn of(text: &str, most: usize) -> Self {
        let all: Vec<&str> = text.lines().collect();
        let from = all.len().saturating_sub(most);
        let lines = all.iter().skip(from).map(|line| (*line).to_owned()).collect();
        Self {
            lines,
            truncated: from > 0,
        }
    }
}

/// Runs workflows. Implementations are cheap handles; every call has a time limit of its own.
#[async_trait]
pub trait Engine: fmt::Debug + Send + Sync {
    /// Short stable name, for instance `kfp-v2` or `local`.
    fn name(&self) -> &str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// The namespace in which a run lands when the request names none; `None` if the engine has no namespaces.
    fn default_namespace(&self) -> Option<&str> {
        None
    }

    /// Where a person can look at a run; `None` if there is no such page.
    fn link(&self, _run: &EngineRunId, _namespace: Option<&str>) -> Option<String> {
        None
    }

    /// Whether the engine can be reached and lets us in. Changes nothing.
    async fn ready(&self) -> Result<(), EngineError>;

    /// Starts a run with the id that the submission gives. A lost answer is looked up, never sent again blindly;
    /// when it stays open whether the run exists, the error is [`EngineError::OutcomeUnknown`].
    async fn submit(&self, submission: &Submission) -> Result<(), EngineError>;

    /// State of a run and of every step of `workflow`, which must be the one that was submitted.
    async fn describe(&self, run: &EngineRunId, workflow: &Workflow) -> Result<EngineRunStatus, EngineError>;

    /// Asks for a run to be stopped. Stopping a run that has ended is not an error.
    async fn cancel(&self, run: &EngineRunId) -> Result<(), EngineError>;

    /// Runs the failed part of a failed run again, under the same id.
    async fn retry(&self, run: &EngineRunId) -> Result<(), EngineError>;

    /// Forgets a run. Running steps are stopped.
    async fn delete(&self, run: &EngineRunId) -> Result<(), EngineError>;

    /// The last `lines` lines that a step wrote; empty while there are none.
    async fn logs(&self, run: &EngineRunId, step: &StepName, lines: usize) -> Result<LogTail, EngineError>;
}

/// What went wrong at an engine, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The workflow asks for more than the engine can do. Nothing was sent.
    #[error("the engine {engine} cannot do {}", crate::engine::list(lacking))]
    Unsupported {
        /// The engine.
        engine: String,
        /// What it lacks.
        lacking: Vec<crate::Capability>,
    },
    /// The workflow itself is broken. Nothing was sent.
    #[error(transparent)]
    Workflow(#[from] crate::WorkflowError),
    /// The engine could not be reached, or not in time. Trying again later can help.
    #[error("the engine {engine} could not be reached: {message}")]
    Unreachable {
        /// The engine.
        engine: String,
        /// What happened.
        message: String,
        /// The error below.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The login was refused or the user has no rights here.
    #[error("{message}")]
    Refused {
        /// The engine.
        engine: String,
        /// What happened and what to do.
        message: String,
        /// The error below.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// There is no such run.
    #[error("the engine {engine} has no run {run}")]
    NotFound {
        /// The engine.
        engine: String,
        /// The id.
        run: EngineRunId,
    },
    /// The answer to a submission was lost, and looking it up did not tell whether the run exists. It may be running.
    #[error("it is not known whether the engine {engine} started the run {run}: look for it before you submit again")]
    OutcomeUnknown {
        /// The engine.
        engine: String,
        /// The id under which it would be found.
        run: EngineRunId,
        /// The error that broke the call.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The engine refused or failed; trying the same again will not help.
    #[error("the engine {engine} answered: {message}")]
    Failed {
        /// The engine.
        engine: String,
        /// Its message.
        message: String,
        /// The error below.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl EngineError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

pub(crate) fn list(items: &[impl fmt::Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
