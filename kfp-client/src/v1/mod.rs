//! The older API, `v1beta1`: the only one of KFP 1.8, and still served by every later release.
//!
//! Reached by [`Client::v1`]. Its words differ from those of the newer API: a recurring run is a [`Job`], what a
//! thing belongs to is said by [`ResourceReference`]s, and a pipeline is an [Argo workflow](crate::argo) (from KFP 2.0
//! on also the newer format, as text).
//!
//! Messages keep fields they do not know in `extra` and write them back.
//!
//! ```no_run
//! # async fn example(client: kfp_client::Client) -> kfp_client::Result<()> {
//! use kfp_client::{Filter, v1::ListRuns};
//!
//! let running = ListRuns::new().namespace("team-a").filter(Filter::new().equals("status", "Running"));
//! for run in client.v1().runs().list(&running).await?.items {
//!     println!("{} {:?}", run.name, run.status);
//! }
//! # Ok(())
//! # }
//! ```

mod auth;
mod experiments;
mod healthz;
mod jobs;
mod pipeline_versions;
pub(crate) mod pipelines;
mod references;
mod reports;
pub(crate) mod runs;
mod source;
mod tasks;
mod uploads;
mod visualizations;

pub use self::{
    auth::{Auth, AuthResource, AuthVerb},
    experiments::{CreateExperiment, Experiment, Experiments, ListExperiments, StorageState},
    jobs::{CreateJob, CronSchedule, Job, JobMode, JobStatus, Jobs, ListJobs, PeriodicSchedule, Trigger},
    pipeline_versions::{CreatePipelineVersion, ListPipelineVersions, PipelineVersion, PipelineVersions},
    pipelines::{CreatePipeline, ListPipelines, Pipeline, Pipelines, Url},
    references::{Relationship, ResourceKey, ResourceReference, ResourceType},
    reports::Reports,
    runs::{
        ListRuns, Runs,
        create::CreateRun,
        metrics::{MetricFormat, MetricResult, MetricStatus, ReportMetrics, RunMetric},
        model::{PipelineRuntime, Run, RunDetail, RunStatus},
    },
    source::{Parameter, PipelineSpec, RuntimeConfig, Source},
    tasks::{CreateTask, ListTasks, Task, Tasks},
    uploads::{UploadPipeline, UploadPipelineVersion},
    visualizations::{Visualization, VisualizationType, Visualizations},
};
use crate::{
    Client, Health, Result,
    endpoint::Call,
    list::{self, ListRequest},
};

/// Where all paths of this version begin.
pub(crate) const ROOT: [&str; 2] = ["apis", "v1beta1"];

/// The API `v1beta1` of a server; made by [`Client::v1`].
#[derive(Debug, Clone)]
pub struct V1 {
    client: Client,
}

impl V1 {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// What the server says of itself. Every release serves it, so it tells whether there is a server at all; KFP 1.8
    /// serves nothing of the newer API ([`Error::Unsupported`](crate::Error::Unsupported) of
    /// [`Client::health`]).
    ///
    /// # Errors
    ///
    /// See [`Error`](crate::Error).
    pub async fn health(&self) -> Result<Health> {
        healthz::get(&self.client).await
    }

    /// Experiments: groups of runs.
    pub fn experiments(&self) -> Experiments {
        Experiments::new(self.client.clone())
    }

    /// Runs.
    pub fn runs(&self) -> Runs {
        Runs::new(self.client.clone())
    }

    /// Jobs: what the newer API calls recurring runs.
    pub fn jobs(&self) -> Jobs {
        Jobs::new(self.client.clone())
    }

    /// Pipelines kept on the server.
    pub fn pipelines(&self) -> Pipelines {
        Pipelines::new(self.client.clone())
    }

    /// Versions of pipelines.
    pub fn pipeline_versions(&self) -> PipelineVersions {
        PipelineVersions::new(self.client.clone())
    }

    /// Tasks that steps recorded for the cache.
    pub fn tasks(&self) -> Tasks {
        Tasks::new(self.client.clone())
    }

    /// What controllers in the cluster report.
    pub fn reports(&self) -> Reports {
        Reports::new(self.client.clone())
    }

    /// Whether the caller may do something.
    pub fn auth(&self) -> Auth {
        Auth::new(self.client.clone())
    }

    /// Pictures of artifacts.
    pub fn visualizations(&self) -> Visualizations {
        Visualizations::new(self.client.clone())
    }
}

/// Adds whose things to list, and the parameters that all lists have.
fn list_query(call: Call, name: &str, key: Option<&ResourceKey>, request: &impl ListRequest) -> Result<Call> {
    let call = match key {
        None => call,
        Some(key) => {
            let kind = key.resource_type.as_ref().map(ResourceType::as_str).unwrap_or_default();
            if kind.is_empty() || key.id.is_empty() {
                let allowed = "a type and an id, neither of them empty";
                return Err(crate::Error::invalid(name.to_owned(), allowed));
            }
            call.query(&format!("{name}.type"), kind)
                .query(&format!("{name}.id"), &key.id)
        }
    };
    list::query_v1(call, request)
}
