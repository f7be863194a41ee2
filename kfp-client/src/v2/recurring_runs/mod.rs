//! Recurring runs: runs that the server starts by itself.

pub(crate) mod create;
mod cron;
pub(crate) mod model;
pub(crate) mod trigger;

use futures_core::Stream;
use futures_util::TryStreamExt;
use http::Method;

use self::{create::CreateRecurringRun, model::RecurringRun};
use super::{ROOT, experiments::optional, storable};
use crate::{
    client::Client,
    endpoint::{Call, path_id},
    error::{Error, Result},
    filter::Filter,
    ids::{ExperimentId, RecurringRunId},
    list::{self, list_request},
    page::{self, Page},
    submit::{self, Claim, Resource, Submitted},
    version::Feature,
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
    /// The request is sent once and never broken off: the server makes a Kubernetes resource before its own record. If
    /// the answer is lost, it is looked for by its name, if that is
    /// [unique](CreateRecurringRun::name_is_unique): names may repeat, and the id is the server's.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] for a faulty trigger and other values the server would refuse.
    /// [`Error::AlreadyExists`] if there is one of the name that was said to be unique; nothing was submitted then.
    /// [`Error::InvalidArgument`] if the pipeline does not take the parameters, [`Error::NotFound`] if there is no such
    /// pipeline. [`Error::NamedOutcomeUnknown`] if the answer was lost and it was not found.
    pub async fn create(&self, request: &CreateRecurringRun) -> Result<RecurringRun> {
        let call = self
            .call("recurring_runs.create", Method::POST, None)?
            .json(&request.body()?)?
            .needs(Feature::PLUGINS, !request.plugins_input.is_empty());
        if let Some((_, bytes)) = &call.body {
            storable("pipeline or parameters", &String::from_utf8_lossy(bytes))?;
        }
        let submitted = Submitted {
            name_is_unique: request.name_is_unique,
            ..Submitted::new(Resource::RecurringRun, &request.display_name)
        };
        let find = || async {
            let found = self.find_by_name(&request.display_name, &request.experiment_id).await?;
            Ok(found.into_iter().next())
        };
        let mut claim = None;
        if request.name_is_unique {
            let key = format!("recurring {}/{}", request.experiment_id, request.display_name);
            claim = Some(Claim::new(&self.client.inner, &call, "display_name", key)?);
            if find().await?.is_some() {
                return Err(submit::taken(&call, &submitted));
            }
        }
        submit::named(&self.client.inner, &call, claim, submitted, find).await
    }

    /// All recurring runs of exactly this name in an experiment, oldest first. The experiment may be empty on a
    /// single-user server.
    ///
    /// With a name that nothing else has, this finds the one whose creation was not answered, also after a crash.
    pub async fn find_by_name(&self, name: &str, experiment_id: &ExperimentId) -> Result<Vec<RecurringRun>> {
        let mut request = ListRecurringRuns::new().filter(Filter::new().equals("display_name", name));
        request.experiment_id = Some(experiment_id.clone()).filter(|id| !id.is_empty());
        let found: Vec<RecurringRun> = self.list_all(request).try_collect().await?;
        // The database compares without regard to case.
        Ok(found.into_iter().filter(|found| found.display_name == name).collect())
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
        self.client.page(&list::query(call, request)?).await
    }

    /// Lists all pages, fetched as they are needed.
    pub fn list_all(&self, request: ListRecurringRuns) -> impl Stream<Item = Result<RecurringRun>> + Send + 'static {
        page::all(self.clone(), request, |this, request| async move {
            this.list(&request).await
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

    /// Deletes a recurring run and says what becomes of its Kubernetes objects (from KFP 2.16 on).
    pub async fn delete_with(&self, id: &RecurringRunId, policy: &DeletePropagationPolicy) -> Result<()> {
        let id = path_id("recurring_run_id", id.as_str())?;
        let policy = match policy {
            DeletePropagationPolicy::Unspecified => "",
            DeletePropagationPolicy::Unknown(_) => {
                return Err(Error::invalid("propagation_policy", "FOREGROUND, BACKGROUND or ORPHAN"));
            }
            known => known.as_str(),
        };
        let call = self
            .call("recurring_runs.delete", Method::DELETE, Some(id))?
            .query("propagation_policy", policy)
            .needs(Feature::PROPAGATION_POLICY, !policy.is_empty());
        self.client.inner.done(&call).await
    }
}
