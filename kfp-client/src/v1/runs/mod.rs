//! Runs: executions of pipelines.

pub(crate) mod create;
pub(crate) mod metrics;
pub(crate) mod model;

use base64::Engine;
use bytes::Bytes;
use futures_core::Stream;
use futures_util::TryStreamExt;
use http::Method;
use serde::Deserialize;

use self::model::{Run, RunDetail};
use super::{
    ROOT, list_query,
    references::{ResourceKey, ResourceType},
};
use crate::{
    client::Client,
    endpoint::{Call, path_id},
    error::{Error, Result},
    filter::Filter,
    http::context,
    ids::{ExperimentId, RunId},
    list::list_request,
    page::{self, Page},
    v2::experiments::optional,
};

list_request! {
    /// Which runs to list. A multi-user server requires a namespace or an experiment.
    ListRuns {
        /// Whose runs: an experiment's or a namespace's.
        reference: ResourceKey,
    }
}

impl ListRuns {
    /// The runs of this experiment. Of an unknown one there are none (KFP 1.8), or that is an error (from 2.0 on).
    #[must_use]
    pub fn experiment(self, id: impl Into<ExperimentId>) -> Self {
        self.reference(ResourceKey::new(ResourceType::Experiment, id.into()))
    }

    /// The runs of this namespace.
    #[must_use]
    pub fn namespace(self, namespace: impl Into<String>) -> Self {
        self.reference(ResourceKey::new(ResourceType::Namespace, namespace))
    }
}

/// Operations on runs; made by [`V1::runs`](super::V1::runs).
#[derive(Debug, Clone)]
pub struct Runs {
    pub(crate) client: Client,
}

#[derive(Deserialize)]
pub(crate) struct Artifact {
    #[serde(default, deserialize_with = "crate::wire::or_default")]
    data: String,
}

impl Runs {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    pub(crate) fn call(&self, operation: &'static str, method: Method, rest: &[&str]) -> Result<Call> {
        let mut path = vec![ROOT[0], ROOT[1], "runs"];
        path.extend(rest);
        Call::new(operation, method, &self.client.inner.base, &path)
    }

    async fn verb(&self, operation: &'static str, id: &RunId, verb: &str) -> Result<()> {
        let id = path_id("run_id", id.as_str())?;
        let call = self.call(operation, Method::POST, &[&format!("{id}:{verb}")])?;
        self.client.inner.done(&call).await
    }

    /// Gets a run, and what the cluster knows of it. [`Error::NotFound`] if there is none of that id.
    pub async fn get(&self, id: &RunId) -> Result<RunDetail> {
        let id = path_id("run_id", id.as_str())?;
        let call = self.call("v1.runs.get", Method::GET, &[id])?;
        self.client.inner.json(&call).await
    }

    /// Gets a run, or `None` if there is none of that id.
    pub async fn get_opt(&self, id: &RunId) -> Result<Option<RunDetail>> {
        optional(self.get(id).await)
    }

    /// Lists one page, without what the cluster knows.
    ///
    /// Filter keys of every release: `id`, `name`, `created_at`, `scheduled_at`, `finished_at`, `description`,
    /// `status`, `storage_state`; KFP 1.8 has no `state`, `run_id` and `display_name`. Sorts by `metric:NAME` too,
    /// which fails where a run lacks the metric.
    pub async fn list(&self, request: &ListRuns) -> Result<Page<Run>> {
        let call = self.call("v1.runs.list", Method::GET, &[])?;
        let key = request.reference.as_ref();
        self.client
            .page(&list_query(call, "resource_reference_key", key, request)?)
            .await
    }

    /// Lists all pages, fetched as they are needed.
    pub fn list_all(&self, request: ListRuns) -> impl Stream<Item = Result<Run>> + Send + 'static {
        page::all(self.clone(), request, |this, request| async move {
            this.list(&request).await
        })
    }

    /// All runs of exactly this name, oldest first. A multi-user server requires `within`: an experiment or a
    /// namespace.
    ///
    /// With a name that no other run has, this finds the run of a creation whose answer was lost, also after a crash.
    pub async fn find_by_name(&self, name: &str, within: Option<&ResourceKey>) -> Result<Vec<Run>> {
        let mut request = ListRuns::new().filter(Filter::new().equals("name", name));
        request.reference = within.cloned();
        let mut runs = std::pin::pin!(self.list_all(request));
        let mut found = Vec::new();
        while let Some(run) = runs.try_next().await? {
            // The database compares without regard to case.
            if run.name == name {
                found.push(run);
            }
        }
        Ok(found)
    }

    /// Terminates a run. Its workflow then ends as failed, and so does the run; see [`RunDetail::outcome`].
    ///
    /// [`Error::InvalidArgument`] if it has ended or is being terminated already.
    pub async fn terminate(&self, id: &RunId) -> Result<()> {
        let id = path_id("run_id", id.as_str())?;
        let call = self.call("v1.runs.terminate", Method::POST, &[id, "terminate"])?;
        self.client.inner.done(&call).await
    }

    /// Starts the failed steps of a failed run again, under the same id. [`Error::Conflict`] if it has not failed.
    pub async fn retry(&self, id: &RunId) -> Result<()> {
        let id = path_id("run_id", id.as_str())?;
        let call = self.call("v1.runs.retry", Method::POST, &[id, "retry"])?;
        self.client.inner.done(&call).await
    }

    /// Puts a run away. It goes on if it is in progress. KFP 1.8 does not report an unknown id.
    pub async fn archive(&self, id: &RunId) -> Result<()> {
        self.verb("v1.runs.archive", id, "archive").await
    }

    /// Takes a run into use again. [`Error::FailedPrecondition`] if its experiment is archived (from KFP 2.0 on).
    pub async fn unarchive(&self, id: &RunId) -> Result<()> {
        self.verb("v1.runs.unarchive", id, "unarchive").await
    }

    /// Deletes a run, and stops it if it has not ended.
    pub async fn delete(&self, id: &RunId) -> Result<()> {
        let id = path_id("run_id", id.as_str())?;
        let call = self.call("v1.runs.delete", Method::DELETE, &[id])?;
        self.client.inner.done(&call).await
    }

    /// Reads an artifact that a node of the workflow left: the stored file, which is a `.tgz` for most.
    ///
    /// `node_id` is the key in the workflow's [`nodes`](crate::argo::WorkflowStatus::nodes). Since KFP 2.15 the
    /// operation is no longer described by the server, but served; a multi-user server of 2.17 always refuses it
    /// ([`Error::PermissionDenied`]).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such run, node or artifact.
    pub async fn read_artifact(&self, id: &RunId, node_id: &str, artifact_name: &str) -> Result<Bytes> {
        let id = path_id("run_id", id.as_str())?;
        let node = path_id("node_id", node_id)?;
        let name = path_id("artifact_name", artifact_name)?;
        let path = [id, "nodes", node, "artifacts", &format!("{name}:read")];
        let call = self.call("v1.runs.read_artifact", Method::GET, &path)?;
        let artifact: Artifact = self.client.inner.json(&call).await?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(artifact.data);
        bytes
            .map(Bytes::from)
            .map_err(|error| Error::Decode(context(&call, format!("`data` is not base64: {error}"))))
    }
}
