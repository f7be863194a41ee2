#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod artifacts;
mod client;
mod config;
mod endpoint;
mod error;
mod experiments;
mod filter;
mod http;
mod ids;
mod limits;
mod logger;
mod metric;
mod model_versions;
mod page;
mod registered_models;
mod runs;
mod tag;
#[cfg(feature = "testing")]
pub mod testing;
mod wire;

pub use artifacts::{Artifacts, FileInfo};
pub use client::{Client, ClientBuilder};
pub use error::{Error, ErrorContext, InvalidRequest, Result};
pub use experiments::{CreateExperiment, Experiment, Experiments, SearchExperiments};
pub use filter::{ViewType, quote};
pub use ids::{ExperimentId, RunId, VersionNumber};
pub use logger::{
    Fsync, LogError, Logged, MetricLogger, Recovered, Rejection, Report, RunLogger, RunLoggerBuilder, Spool,
    SpoolError, Status, WhenFull,
};
pub use metric::{Metric, Param};
pub use model_versions::{CreateModelVersion, ModelVersion, ModelVersionStatus, ModelVersions, SearchModelVersions};
pub use page::Page;
pub use registered_models::{
    CreateRegisteredModel, ModelAlias, RegisteredModel, RegisteredModels, SearchRegisteredModels,
};
pub use runs::{
    CreateRun, Dataset, DatasetInput, LogBatch, Run, RunData, RunInfo, RunInputs, RunStatus, Runs, SearchRuns,
    UpdateRun,
};
pub use tag::{Tag, tags};
