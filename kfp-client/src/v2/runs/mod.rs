//! Runs: executions of pipelines.

pub(crate) mod create;
pub(crate) mod model;

use futures_core::Stream;
use http::Method;

use self::model::Run;
use super::{ROOT, experiments::optional};
use crate::{
    client::Client,
    endpoint::{Call, path_id},
    error::Result,
    ids::{ExperimentId, RunId},
    list::{self, list_request},
    page::{self, Page},
};

list_request! {
    /// Which runs to list. A multi-user server requires a namespace or an experiment.
    ListRuns {
        /// Namespace to list.
        namespace: String,
        /// Experiment to list; an unknown one is an error.
        experiment_id: ExperimentId,
    }
}

/// Operations on runs; made by [`Client::runs`].
#[derive(Debug, Clone)]
pub struct Runs {
    pub(crate) client: Client,
}

impl Runs {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    pub(crate) fn call(&self, operation: &'static str, method: Method, last: Option<&str>) -> Result<Call> {
        let mut path = vec![ROOT[0], ROOT[1], "runs"];
        path.extend(last);
        Call::new(operation, method, &self.client.inner.base, &path)
    }

    async fn verb(&self, operation: &'static str, id: &RunId, verb: &str) -> Result<()> {
        let id = path_id("run_id", id.as_str())?;
        let call = self.call(operation, Method::POST, Some(&format!("{id}:{verb}")))?;
        self.client.inner.done(&call).await
    }

    /// Gets a run. [`Error::NotFound`](crate::Error::NotFound) if there is none of that id.
    pub async fn get(&self, id: &RunId) -> Result<Run> {
        let id = path_id("run_id", id.as_str())?;
        let call = self.call("runs.get", Method::GET, Some(id))?;
        self.client.inner.json(&call).await
    }

    /// Gets a run, or `None` if there is none of that id.
    pub async fn get_opt(&self, id: &RunId) -> Result<Option<Run>> {
        optional(self.get(id).await)
    }

    /// Lists one page. Archived runs are included unless filtered out.
    pub async fn list(&self, request: &ListRuns) -> Result<Page<Run>> {
        let call = self.call("runs.list", Method::GET, None)?;
        let experiment_id = request
            .experiment_id
            .as_ref()
            .map(ExperimentId::as_str)
            .unwrap_or_default();
        let call = call
            .query("namespace", request.namespace.as_deref().unwrap_or_default())
            .query("experiment_id", experiment_id);
        self.client.page(&list::query(call, request)?).await
    }

    /// Lists all pages, fetched as they are needed.
    pub fn list_all(&self, request: ListRuns) -> impl Stream<Item = Result<Run>> + Send + 'static {
        page::all(self.clone(), request, |this, request| async move {
            this.list(&request).await
        })
    }

    /// Terminates a run. It is `CANCELING` at once and ends as `FAILED`; see [`Run::outcome`].
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if it has ended or is being terminated already.
    pub async fn terminate(&self, id: &RunId) -> Result<()> {
        self.verb("runs.terminate", id, "terminate").await
    }

    /// Runs the failed steps of a failed run again, under the same id.
    ///
    /// [`Error::Conflict`](crate::Error::Conflict) if it has not failed.
    pub async fn retry(&self, id: &RunId) -> Result<()> {
        self.verb("runs.retry", id, "retry").await
    }

    /// Puts a run away. It goes on if it has not ended.
    pub async fn archive(&self, id: &RunId) -> Result<()> {
        self.verb("runs.archive", id, "archive").await
    }

    /// Takes a run out of the archive.
    /// [`Error::FailedPrecondition`](crate::Error::FailedPrecondition) if its experiment is archived.
    pub async fn unarchive(&self, id: &RunId) -> Result<()> {
        self.verb("runs.unarchive", id, "unarchive").await
    }

    /// Deletes a run, and stops it if it has not ended.
    pub async fn delete(&self, id: &RunId) -> Result<()> {
        let id = path_id("run_id", id.as_str())?;
        let call = self.call("runs.delete", Method::DELETE, Some(id))?;
        self.client.inner.done(&call).await
    }
}
