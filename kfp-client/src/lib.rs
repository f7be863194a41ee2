#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

pub mod argo;
mod client;
mod config;
mod endpoint;
mod error;
mod faults;
mod filter;
mod follow;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod ids;
pub mod ir;
mod json_path;
mod list;
mod message;
mod page;
mod random;
mod retry;
mod status;
mod stream;
mod submit;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;
pub mod v1;
mod v2;
mod version;
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
    ids::{ExperimentId, JobId, PipelineId, PipelineVersionId, RecurringRunId, RunId, TaskId},
    page::Page,
    retry::{RETRY_RULES, RetryRule},
    status::Status,
    submit::{Resource, Submitted},
    trace::TraceContext,
    v2::{
        artifacts::{ArtifactLocation, ArtifactSource, Artifacts},
        experiments::{CreateExperiment, Experiment, Experiments, ListExperiments, StorageState},
        health::Health,
        logs::{Logs, PodLogRequest},
        pipelines::{
            CreatePipeline, ListPipelineVersions, ListPipelines, Pipelines,
            from_url::CreatePipelineVersion,
            model::{PackageUrl, Pipeline, PipelineVersion},
            package::PipelinePackage,
            update::UpdatePipeline,
            upload::{PipelineFile, UploadPipeline, UploadPipelineVersion},
        },
        recurring_runs::{
            DeletePropagationPolicy, ListRecurringRuns, RecurringRuns,
            create::CreateRecurringRun,
            model::{RecurringRun, RecurringRunMode, RecurringRunStatus},
            trigger::{CronSchedule, PeriodicSchedule, Trigger},
        },
        reports::Reports,
        runs::{
            ListRuns, Runs,
            create::{CreateRun, PipelineSource},
            model::{
                ArtifactList, ChildTask, ExecutorDetail, PipelineVersionReference, PluginEntry, PluginOutput,
                PluginState, RenderType, Run, RunDetails, RunOutcome, RuntimeConfig, RuntimeState, RuntimeStatus,
                TaskDetail,
            },
        },
    },
    version::{Feature, OlderServer, ServerVersion},
};
