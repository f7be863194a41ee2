//! The seam to whatever keeps the record of runs.

#[cfg(feature = "mlflow")]
mod mlflow;

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;

use crate::{EnvValue, RunState};

#[cfg(feature = "mlflow")]
pub use mlflow::MlflowTracker;

/// What is known of a run before it is handed to an engine.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct TrackingStart {
    /// The orchestrator's id of the run. A tracker that already has a record for it returns that one.
    pub operation_id: String,
    /// Name for people.
    pub name: String,
    /// Name of the experiment in which the record is kept.
    pub experiment: String,
    /// Parameters, in the order of their names.
    pub parameters: BTreeMap<String, String>,
    /// Further facts, for instance the engine's name.
    pub tags: BTreeMap<String, String>,
    /// Commit of the code.
    pub git_sha: String,
    /// Repository of the code.
    pub git_repository: String,
}

/// A record at the tracker.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct TrackingRun {
    /// Id of the experiment.
    pub experiment_id: String,
    /// Id of the record.
    pub run_id: String,
}

impl TrackingRun {
    /// The record `run_id` in the experiment `experiment_id`.
    pub fn new(experiment_id: impl Into<String>, run_id: impl Into<String>) -> Self {
        Self {
            experiment_id: experiment_id.into(),
            run_id: run_id.into(),
        }
    }
}

/// What the steps of a run wrote into its record.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct TrackingResults {
    /// The latest value of each metric.
    pub metrics: BTreeMap<String, f64>,
    /// The version under which the model was registered, if it was.
    pub model_version: Option<u64>,
}

/// Keeps the record of runs: parameters, tags, metrics, how they ended.
#[async_trait]
pub trait Tracker: fmt::Debug + Send + Sync {
    /// Finds or makes the record of a run and writes everything of `start` into it.
    async fn start(&self, start: &TrackingStart) -> Result<TrackingRun, TrackingError>;

    /// Environment with which a step reaches the record.
    fn step_environment(&self, run: &TrackingRun) -> BTreeMap<String, EnvValue>;

    /// Adds facts that became known later, for instance the engine's id of the run.
    async fn tag(&self, run: &TrackingRun, tags: &BTreeMap<String, String>) -> Result<(), TrackingError>;

    /// Writes how the run ended. `state` is final. Writing it twice is not an error.
    async fn finish(&self, run: &TrackingRun, state: RunState) -> Result<(), TrackingError>;

    /// What the steps wrote into the record.
    async fn results(&self, run: &TrackingRun) -> Result<TrackingResults, TrackingError>;

    /// Where a person can look at the record.
    fn link(&self, run: &TrackingRun) -> Option<String>;

    /// Whether the tracker can be reached and lets us in. Changes nothing.
    async fn ready(&self) -> Result<(), TrackingError>;
}

/// What went wrong at a tracker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrackingError {
    /// It could not be reached, or not in time. Trying again later can help.
    #[error("the tracking server could not be reached: {message}")]
    Unreachable {
        /// What happened.
        message: String,
        /// The error below.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The login was refused.
    #[error("the tracking server refused the login: {message}")]
    Refused {
        /// What happened.
        message: String,
        /// The error below.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// It refused what was sent.
    #[error("the tracking server answered: {message}")]
    Failed {
        /// Its message.
        message: String,
        /// The error below.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}
