//! Experiments: groups of runs.

use futures_core::Stream;
use futures_util::TryStreamExt;
use http::Method;
use jiff::Timestamp;
use serde::Serialize;

use super::{ROOT, stored_text};
use crate::{
    client::Client,
    endpoint::{Call, path_id},
    error::{Error, Result},
    filter::Filter,
    ids::ExperimentId,
    list::{self, list_request},
    message::message,
    page::{self, Listed, Page},
    status::Status,
    submit::{self, Made, Resource, Submitted},
    wire::wire_enum,
};

wire_enum! {
    /// Whether an experiment or a run is in use or put away.
    pub enum StorageState {
        /// Not said.
        Unspecified = "STORAGE_STATE_UNSPECIFIED",
        /// In use.
        Available = "AVAILABLE",
        /// Put away.
        Archived = "ARCHIVED",
    }
}

message! {
    /// A group of runs.
    pub struct Experiment {
        /// Id, made by the server.
        experiment_id: ExperimentId,
        /// Name, unique in its namespace.
        display_name: String,
        /// Free text.
        description: String,
        /// Namespace; empty on a single-user server.
        namespace: String,
        /// When it was made.
        created_at: Option<Timestamp>,
        /// When its latest run was made; `None` without runs and before KFP 2.4.
        last_run_created_at: Option<Timestamp>,
        /// Whether it is in use or put away.
        storage_state: Option<StorageState>,
    }
}

impl Listed for Experiment {
    fn broken(&self) -> Option<(&str, &Status)> {
        None
    }
}

impl Made for Experiment {
    fn id(&self) -> &str {
        self.experiment_id.as_str()
    }

    fn created_at(&self) -> Option<Timestamp> {
        self.created_at
    }
}

/// An experiment to be made.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CreateExperiment {
    /// Name: 1 to 128 characters, unique in the namespace.
    pub display_name: String,
    /// Free text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Namespace; required on a multi-user server, ignored on a single-user one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

impl CreateExperiment {
    /// An experiment of this name: 1 to 128 characters.
    pub fn new(display_name: impl Into<String>) -> Self {
        Self {
            display_name: display_name.into(),
            description: String::new(),
            namespace: String::new(),
        }
    }

    /// Free text.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Namespace; required on a multi-user server.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    fn validate(&self) -> Result<()> {
        stored_text("display_name", &self.display_name, 128, true)?;
        stored_text("description", &self.description, usize::MAX, false)?;
        stored_text("namespace", &self.namespace, 63, false)
    }
}

list_request! {
    /// Which experiments to list. A multi-user server requires a namespace.
    ListExperiments {
        /// Namespace to list.
        namespace: String,
    }
}

/// Operations on experiments; made by [`Client::experiments`].
#[derive(Debug, Clone)]
pub struct Experiments {
    client: Client,
}

impl Experiments {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    fn call(&self, operation: &'static str, method: Method, last: Option<&str>) -> Result<Call> {
        let mut path = vec![ROOT[0], ROOT[1], "experiments"];
        path.extend(last);
        Call::new(operation, method, &self.client.inner.base, &path)
    }

    async fn verb(&self, operation: &'static str, id: &ExperimentId, verb: &str) -> Result<()> {
        let id = path_id("experiment_id", id.as_str())?;
        let call = self.call(operation, Method::POST, Some(&format!("{id}:{verb}")))?;
        self.client.inner.done(&call).await
    }

    /// Makes an experiment.
    ///
    /// The request is sent once and never broken off; after a lost answer the experiment is looked for by its name.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`] if the namespace has one of that name; [`Error::NamedOutcomeUnknown`] if the answer
    /// was lost and it cannot be found.
    pub async fn create(&self, request: &CreateExperiment) -> Result<Experiment> {
        request.validate()?;
        let call = self.call("experiments.create", Method::POST, None)?.json(request)?;
        let submitted = Submitted::new(Resource::Experiment, &request.display_name);
        let namespace = Some(request.namespace.as_str()).filter(|namespace| !namespace.is_empty());
        let find = || self.find(&request.display_name, namespace);
        submit::named(&self.client.inner, &call, None, submitted, find).await
    }

    /// Gets an experiment. [`Error::NotFound`] if there is none of that id.
    pub async fn get(&self, id: &ExperimentId) -> Result<Experiment> {
        let id = path_id("experiment_id", id.as_str())?;
        let call = self.call("experiments.get", Method::GET, Some(id))?;
        self.client.inner.json(&call).await
    }

    /// Gets an experiment, or `None` if there is none of that id.
    pub async fn get_opt(&self, id: &ExperimentId) -> Result<Option<Experiment>> {
        optional(self.get(id).await)
    }

    /// Lists one page.
    pub async fn list(&self, request: &ListExperiments) -> Result<Page<Experiment>> {
        let call = self.call("experiments.list", Method::GET, None)?;
        let call = call.query("namespace", request.namespace.as_deref().unwrap_or_default());
        self.client.page(&list::query(call, request)?).await
    }

    /// Lists all pages, fetched as they are needed.
    pub fn list_all(&self, request: ListExperiments) -> impl Stream<Item = Result<Experiment>> + Send + 'static {
        page::all(self.clone(), request, |this, request| async move {
            this.list(&request).await
        })
    }

    /// The experiment of this name, made if there is none. An archived one is returned as it is.
    ///
    /// `namespace` is required on a multi-user server; on a single-user one pass `None`. Safe when several callers do
    /// it at once: names are unique, and who comes second gets the first one's experiment.
    pub async fn get_or_create(&self, name: &str, namespace: Option<&str>) -> Result<Experiment> {
        let mut create = CreateExperiment::new(name);
        create.namespace = namespace.unwrap_or_default().to_owned();
        create.validate()?;
        if let Some(found) = self.find(name, namespace).await? {
            return Ok(found);
        }
        match self.create(&create).await {
            Err(taken @ Error::AlreadyExists(_)) => self.find(name, namespace).await?.ok_or(taken),
            other => other,
        }
    }

    async fn find(&self, name: &str, namespace: Option<&str>) -> Result<Option<Experiment>> {
        let mut request = ListExperiments::new().filter(Filter::new().equals("display_name", name));
        request.namespace = namespace.map(ToOwned::to_owned);
        let mut found = std::pin::pin!(self.list_all(request));
        let mut same_but_for_case = None;
        while let Some(experiment) = found.try_next().await? {
            if experiment.display_name == name {
                return Ok(Some(experiment));
            }
            same_but_for_case = Some(experiment);
        }
        // The database compares names without regard to case, and takes them for the same when one is made.
        Ok(same_but_for_case)
    }

    /// Puts an experiment away, with all its runs. Runs in progress go on. An unknown id is not reported (KFP 2.17).
    pub async fn archive(&self, id: &ExperimentId) -> Result<()> {
        self.verb("experiments.archive", id, "archive").await
    }

    /// Takes an experiment into use again; its runs stay archived.
    pub async fn unarchive(&self, id: &ExperimentId) -> Result<()> {
        self.verb("experiments.unarchive", id, "unarchive").await
    }

    /// Deletes an experiment; its runs stay. The default experiment cannot be deleted ([`Error::Conflict`]).
    pub async fn delete(&self, id: &ExperimentId) -> Result<()> {
        let id = path_id("experiment_id", id.as_str())?;
        let call = self.call("experiments.delete", Method::DELETE, Some(id))?;
        self.client.inner.done(&call).await
    }
}

/// Turns "not found" into `None`.
pub(crate) fn optional<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
