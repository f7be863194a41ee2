#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod active_run;
mod artifacts;
mod client;
mod config;
mod credentials;
mod endpoint;
mod error;
mod experiments;
mod filter;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod ids;
mod limits;
mod logged_models;
mod logger;
mod metric;
mod model_versions;
mod page;
mod prompts;
mod raw;
mod registered_models;
mod retry;
mod runs;
mod server;
mod tag;
#[cfg(feature = "testing")]
pub mod testing;
mod version;
mod webhooks;
mod wire;
mod workspaces;

/// The stores that [`Artifacts::store`] takes.
#[cfg(feature = "object-store")]
pub use ::object_store;
#[cfg(feature = "system-metrics")]
pub use active_run::SystemMetrics;
pub use active_run::{ActiveRun, StartRun};
pub use artifacts::{
    ArtifactRepository, Artifacts, Digest, DigestAlgorithm, DirectTransfer, FileInfo, PresignedUrl, TransferOptions,
    TransferProgress, TransferredFile,
};
pub use client::{Client, ClientBuilder};
pub use error::{Error, ErrorContext, FileError, InvalidRequest, Result, TooOld};
pub use experiments::{CreateExperiment, DatasetSummary, Experiment, Experiments, LifecycleStage, SearchExperiments};
pub use filter::{
    ExperimentKey, Filter, IdKey, ListKey, LoggedModelKey, ModelVersionKey, NullableKey, Number, NumberKey, OrderBy,
    OrderKey, RegisteredModelKey, RunKey, TextKey, ViewType, quote,
};
pub use ids::{ExperimentId, LoggedModelId, RunId, VersionNumber, WebhookId};
pub use logged_models::{
    CreateLoggedModel, LoggedModel, LoggedModelData, LoggedModelInfo, LoggedModelOrder, LoggedModelStatus,
    LoggedModels, Registration, SearchLoggedModels, SearchedDataset,
};
pub use logger::{
    Fsync, LogError, Logged, MetricLogger, Recovered, Rejection, Report, RunLogger, RunLoggerBuilder, Spool,
    SpoolError, Status, WhenFull,
};
pub use metric::{Metric, ModelMetric, Param};
pub use model_versions::{
    CreateModelVersion, ModelParam, ModelVersion, ModelVersionStatus, ModelVersions, SearchModelVersions, Stage,
};
pub use page::Page;
pub use prompts::{PromptVersion, Prompts};
pub use raw::RawRequest;
pub use registered_models::{
    CreateRegisteredModel, ModelAlias, RegisteredModel, RegisteredModels, SearchRegisteredModels,
};
pub use retry::{RETRY_RULES, RetryRule};
pub use runs::{
    BulkHistory, CreateRun, Dataset, DatasetInput, HistoryPoint, LogBatch, ModelInput, ModelOutput, Run, RunData,
    RunInfo, RunInputs, RunOutputs, RunStatus, Runs, SearchRuns, UpdateRun,
};
pub use server::ServerInfo;
pub use tag::{Tag, tags};
pub use version::ServerVersion;
pub use webhooks::{
    Webhook, WebhookAction, WebhookEntity, WebhookEvent, WebhookSettings, WebhookStatus, WebhookTestResult, Webhooks,
};
pub use workspaces::{Workspace, WorkspaceDeletion, WorkspaceSettings, Workspaces};
