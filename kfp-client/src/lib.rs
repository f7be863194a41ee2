#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod client;
mod config;
mod endpoint;
mod error;
mod filter;
mod follow;
mod http;
mod ids;
pub mod ir;
mod page;
mod retry;
mod status;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;
mod v2;
mod wire;

pub use crate::{
    client::{Client, ClientBuilder},
    config::{Config, TokenFile},
    error::{Error, ErrorContext, InvalidRequest, Result},
    filter::{
        Filter,
        keys::{FilterKey, KeyKind, ListKeys},
    },
    follow::{Finished, Pacer, RunChange, RunEvent, TaskChange, TokioPacer, Wait, WatchRuns},
    ids::{ExperimentId, PipelineId, PipelineVersionId, RecurringRunId, RunId},
    page::Page,
    retry::{RETRY_RULES, RetryRule},
    status::Status,
    trace::TraceContext,
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
