#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod capabilities;
#[cfg(feature = "testing")]
pub mod contract;
mod engine;
pub mod engines;
mod error;
mod field;
mod follow;
mod git;
#[cfg(feature = "http")]
pub mod http;
mod orchestrator;
mod outcome;
mod record;
mod report;
mod request;
mod run;
mod settings;
mod split;
mod store;
mod templates;
#[cfg(feature = "testing")]
pub mod testing;
mod tracking;
mod workflow;

pub use capabilities::{Capabilities, Capability};
pub use engine::{Engine, EngineError, EngineRunId, EngineRunStatus, LogTail, StepState, StepStatus, Submission};
pub use error::Error;
pub use field::{FieldError, ValidationError};
pub use git::{GitRepository, GitSha};
pub use orchestrator::{Orchestrator, OrchestratorBuilder};
pub use outcome::RunState;
pub use record::{RunFailure, RunId, RunRecord, StepRecord};
pub use report::RunReport;
pub use request::{DeployRequest, EvaluateRequest, Gate, GateDirection, RequestKind, TrainRequest};
pub use run::Run;
pub use settings::{DatasetStore, Settings};
pub use split::TrainSplit;
pub use store::{MemoryStore, RunStore, StoreError};
#[cfg(feature = "mlflow")]
pub use tracking::MlflowTracker;
pub use tracking::{Tracker, TrackingError, TrackingResults, TrackingRun, TrackingStart};
pub use workflow::{
    Condition, EnvValue, OutputRef, Resources, SecretRef, Step, StepName, Volume, Word, Workflow, WorkflowError,
};
