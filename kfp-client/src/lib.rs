#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

pub mod argo;
mod client;
mod endpoint;
mod error;
mod faults;
mod filter;
mod http;
mod ids;
pub mod ir;
mod message;
mod page;
mod status;
mod submit;
#[cfg(feature = "testing")]
pub mod testing;
pub mod v1;
mod v2;
mod wire;

pub use crate::{
    client::{Client, ClientBuilder},
    error::{Error, ErrorContext, InvalidRequest, Result, SubmittedRun},
    filter::Filter,
    ids::{ExperimentId, JobId, PipelineId, PipelineVersionId, RecurringRunId, RunId, TaskId},
    page::Page,
    status::Status,
    v2::{
        experiments::{CreateExperiment, Experiment, Experiments, ListExperiments, StorageState},
        health::Health,
        logs::{Logs, PodLogRequest},
        pipelines::{
            CreatePipeline, ListPipelineVersions, ListPipelines, Pipelines,
            model::{Pipeline, PipelineVersion},
            upload::{PipelineFile, UploadPipeline, UploadPipelineVersion},
        },
        runs::{
            ListRuns, Runs,
            create::{CreateRun, PipelineSource},
            model::{
                ArtifactList, ChildTask, PipelineVersionReference, PluginEntry, PluginOutput, PluginState, Run,
                RunDetails, RunOutcome, RuntimeConfig, RuntimeState, RuntimeStatus, TaskDetail,
            },
        },
    },
};
