//! Recurring runs: runs that the server starts by itself.

pub(crate) mod create;
mod cron;
pub(crate) mod model;
pub(crate) mod trigger;

use futures_core::Stream;
use http::Method;

use self::{create::CreateRecurringRun, model::RecurringRun};
use super::{ROOT, experiments::optional, list_query, list_request, storable};
use crate::{
    client::Client,
    endpoint::{Call, path_id},
    error::{Error, Result},
    ids::{ExperimentId, RecurringRunId},
    page::{self, Page},
    wire::wire_enum,
};

wire_enum! {
    /// What becomes of the Kubernetes objects of a recurring run, its runs' workflows, when it is deleted.
    pub enum DeletePropagationPolicy {
        /// Not said; the server's default.
        Unspecified = "DELETE_PROPAGATION_POLICY_UNSPECIFIED",
        /// They are deleted first.
        Foreground = "FOREGROUND",
        /// They are deleted after it.
        Background = "BACKGROUND",
        /// They stay.
        Orphan = "ORPHAN",
    }
}

list_request! {
    /// Which recurring runs to list. A multi-user server requires a namespace or an experiment.
    ListRecurringRuns {
        /// Namespace to list.
        namespace: String,
        /// Experiment to list; an unknown one is an error.
        experiment_id: ExperimentId,
    }
}

/// Operations on recurring runs; made by [`Client::recurring_runs`].
#[derive(Debug, Clone)]
pub struct RecurringRuns {
    client: Client,
}

impl RecurringRuns {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    fn call(&self, operation: &'static str, method: Method, last: Option<&str>) -> Result<Call> {
        let mut path = vec![ROOT[0], ROOT[1], "recurringruns"];
        path.extend(last);
        Call::new(operation, method, &self.client.inner.base, &path)
    }

    async fn verb(&self, operation: &'static str, id: &RecurringRunId, verb: &str) -> Result<()> {
        let id = path_id("recurring_run_id", id.as_str())?;
        let call = self.call(operation, Method::POST, Some(&format!("{id}:{verb}")))?;
        self.client.inner.done(&call).await
    }

    /// Makes a recurring run.
    ///
    /// The name is not unique and the id is the server's, so a creation whose answer was lost
    /// ([`Error::Interrupted`], [`Error::Timeout`]) is not repeated: look for the name with [`list`](Self::list)
    /// first, lest it is made twice.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] for a faulty trigger and other values the server would refuse.
    /// [`Error::InvalidArgument`] if the pipeline does not take the parameters. [`Error::Server`] is also how the
    /// server reports an unknown pipeline.
    pub async fn create(&self, request: &CreateRecurringRun) -> Result<RecurringRun> {
        let call = self
            .call("recurring_runs.create", Method::POST, None)?
            .json(&request.body()?)?;
        if let Some((_, bytes)) = &call.body {
            storable("pipeline or parameters", &String::from_utf8_lossy(bytes))?;
        }
        self.client.inner.json(&call).await
    }

    /// Gets a recurring run. [`Error::NotFound`] if there is none of that id.
    pub async fn get(&self, id: &RecurringRunId) -> Result<RecurringRun> {
        let id = path_id("recurring_run_id", id.as_str())?;
        let call = self.call("recurring_runs.get", Method::GET, Some(id))?;
        self.client.inner.json(&call).await
    }

    /// Gets a recurring run, or `None` if there is none of that id.
    pub async fn get_opt(&self, id: &RecurringRunId) -> Result<Option<RecurringRun>> {
        optional(self.get(id).await)
    }

    /// Lists one page.
    pub async fn list(&self, request: &ListRecurringRuns) -> Result<Page<RecurringRun>> {
        let call = self.call("recurring_runs.list", Method::GET, None)?;
        let experiment_id = request
            .experiment_id
            .as_ref()
            .map(ExperimentId::as_str)
            .unwrap_or_default();
        let call = call
            .query("namespace", request.namespace.as_deref().unwrap_or_default())
            .query("experiment_id", experiment_id);
        let call = list_query(
            call,
            request.page_size,
            &request.page_token,
            &request.sort_by,
            &request.filter,
        )?;
        self.client.page(&call).await
    }

    /// Lists all pages, fetched as they are needed.
    pub fn list_all(&self, request: ListRecurringRuns) -> impl Stream<Item = Result<RecurringRun>> + Send + 'static {
        let this = self.clone();
        page::all(move |token| {
            let (this, mut request) = (this.clone(), request.clone());
            async move {
                if let Some(token) = token {
                    request.page_token = token;
                }
                this.list(&request).await
            }
        })
    }

    /// Lets it start runs. It does so even if its experiment is archived.
    pub async fn enable(&self, id: &RecurringRunId) -> Result<()> {
        self.verb("recurring_runs.enable", id, "enable").await
    }

    /// Lets it start no more runs. Those in progress go on.
    pub async fn disable(&self, id: &RecurringRunId) -> Result<()> {
        self.verb("recurring_runs.disable", id, "disable").await
    }

    /// Deletes a recurring run. [`Error::NotFound`] if there is none of that id.
    pub async fn delete(&self, id: &RecurringRunId) -> Result<()> {
        self.delete_with(id, &DeletePropagationPolicy::Unspecified).await
    }

    /// Deletes a recurring run and says what becomes of its Kubernetes objects (from KFP 2.16 on; older servers ignore
    /// that).
    pub async fn delete_with(&self, id: &RecurringRunId, policy: &DeletePropagationPolicy) -> Result<()> {
        let id = path_id("recurring_run_id", id.as_str())?;
        let policy = match policy {
            DeletePropagationPolicy::Unspecified => "",
            DeletePropagationPolicy::Unknown(_) => {
                return Err(Error::invalid("propagation_policy", "FOREGROUND, BACKGROUND or ORPHAN"));
            }
            known => known.as_str(),
        };
        let call = self.call("recurring_runs.delete", Method::DELETE, Some(id))?;
        self.client.inner.done(&call.query("propagation_policy", policy)).await
    }
}
