//! Experiments: groups of runs.

use futures_core::Stream;
use futures_util::TryStreamExt;
use http::Method;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    ROOT, list_query,
    references::{ResourceKey, ResourceReference, ResourceType, referred},
};
use crate::{
    client::Client,
    endpoint::{Call, path_id},
    error::{Error, Result},
    filter::Filter,
    ids::ExperimentId,
    list::list_request,
    message::message,
    page::{self, Listed, Page},
    status::Status,
    submit::{self, Made, Resource, Submitted},
    v2::{experiments::optional, stored_text},
    wire::wire_enum,
};

wire_enum! {
    /// Whether an experiment or a run is in use or put away. A run that is in use says nothing.
    pub enum StorageState {
        /// Not said.
        Unspecified = "STORAGESTATE_UNSPECIFIED",
        /// In use.
        Available = "STORAGESTATE_AVAILABLE",
        /// Put away.
        Archived = "STORAGESTATE_ARCHIVED",
    }
}

message! {
    /// A group of runs.
    pub struct Experiment {
        /// Id, made by the server.
        id: ExperimentId,
        /// Name, unique in its namespace.
        name: String,
        /// Free text.
        description: String,
        /// When it was made.
        created_at: Option<Timestamp>,
        /// The namespace that owns it; see [`namespace`](Self::namespace).
        resource_references: Vec<ResourceReference>,
        /// Whether it is in use or put away.
        storage_state: Option<StorageState>,
    }
}

impl Experiment {
    /// Its namespace; `None` on a single-user server.
    pub fn namespace(&self) -> Option<String> {
        referred(&self.resource_references, &ResourceType::Namespace)
    }
}

impl Made for Experiment {
    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn created_at(&self) -> Option<Timestamp> {
        self.created_at
    }
}

impl Listed for Experiment {
    fn broken(&self) -> Option<(&str, &Status)> {
        None
    }
}

/// An experiment to be made.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CreateExperiment {
    /// Name: 1 to 128 characters, unique in the namespace.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Namespace; required on a multi-user server. A single-user one refuses it (KFP 1.8) or ignores it.
    pub namespace: String,
}

#[derive(Serialize)]
struct Body<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource_references: Vec<ResourceReference>,
}

impl CreateExperiment {
    /// An experiment of this name: 1 to 128 characters.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
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

    fn body(&self) -> Result<Body<'_>> {
        stored_text("name", &self.name, 128, true)?;
        stored_text("description", &self.description, usize::MAX, false)?;
        stored_text("namespace", &self.namespace, 63, false)?;
        let owner = Some(&self.namespace).filter(|namespace| !namespace.is_empty());
        Ok(Body {
            name: &self.name,
            description: &self.description,
            resource_references: owner.into_iter().map(ResourceReference::namespace).collect(),
        })
    }
}

list_request! {
    /// Which experiments to list. A multi-user server requires a namespace.
    ListExperiments {
        /// Whose experiments: a namespace's.
        reference: ResourceKey,
    }
}

impl ListExperiments {
    /// The experiments of this namespace.
    #[must_use]
    pub fn namespace(self, namespace: impl Into<String>) -> Self {
        self.reference(ResourceKey::new(ResourceType::Namespace, namespace))
    }
}

/// Operations on experiments; made by [`V1::experiments`](super::V1::experiments).
#[derive(Debug, Clone)]
pub struct Experiments {
    client: Client,
}

impl Experiments {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    fn call(&self, operation: &'static str, method: Method, last: Option<&str>) -> Result<Call> {
        let mut path = vec![ROOT[0], ROOT[1], "experiments"];
        path.extend(last);
        Call::new(operation, method, &self.client.inner.base, &path)
    }

    async fn verb(&self, operation: &'static str, id: &ExperimentId, verb: &str) -> Result<()> {
        let id = path_id("id", id.as_str())?;
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
        let body = request.body()?;
        let call = self.call("v1.experiments.create", Method::POST, None)?.json(&body)?;
        let submitted = Submitted::new(Resource::Experiment, &request.name);
        let namespace = Some(request.namespace.as_str()).filter(|namespace| !namespace.is_empty());
        let find = || self.find(&request.name, namespace);
        submit::named(&self.client.inner, &call, None, submitted, find).await
    }

    /// Gets an experiment. [`Error::NotFound`] if there is none of that id.
    pub async fn get(&self, id: &ExperimentId) -> Result<Experiment> {
        let id = path_id("id", id.as_str())?;
        let call = self.call("v1.experiments.get", Method::GET, Some(id))?;
        self.client.inner.json(&call).await
    }

    /// Gets an experiment, or `None` if there is none of that id.
    pub async fn get_opt(&self, id: &ExperimentId) -> Result<Option<Experiment>> {
        optional(self.get(id).await)
    }

    /// Lists one page. Filter keys of every release: `id`, `name`, `created_at`, `description`, `storage_state`.
    pub async fn list(&self, request: &ListExperiments) -> Result<Page<Experiment>> {
        let call = self.call("v1.experiments.list", Method::GET, None)?;
        let key = request.reference.as_ref();
        self.client
            .page(&list_query(call, "resource_reference_key", key, request)?)
            .await
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
        let create = CreateExperiment::new(name).namespace(namespace.unwrap_or_default());
        create.body()?;
        if let Some(found) = self.find(name, namespace).await? {
            return Ok(found);
        }
        match self.create(&create).await {
            Err(taken @ Error::AlreadyExists(_)) => self.find(name, namespace).await?.ok_or(taken),
            other => other,
        }
    }

    async fn find(&self, name: &str, namespace: Option<&str>) -> Result<Option<Experiment>> {
        let mut request = ListExperiments::new().filter(Filter::new().equals("name", name));
        if let Some(namespace) = namespace {
            request = request.namespace(namespace);
        }
        let mut found = std::pin::pin!(self.list_all(request));
        let mut same_but_for_case = None;
        while let Some(experiment) = found.try_next().await? {
            if experiment.name == name {
                return Ok(Some(experiment));
            }
            same_but_for_case = Some(experiment);
        }
        // The database compares names without regard to case, and takes them for the same when one is made.
        Ok(same_but_for_case)
    }

    /// Puts an experiment away, with all its runs. Runs in progress go on. An unknown id is not reported.
    pub async fn archive(&self, id: &ExperimentId) -> Result<()> {
        self.verb("v1.experiments.archive", id, "archive").await
    }

    /// Takes an experiment into use again; its runs stay archived.
    pub async fn unarchive(&self, id: &ExperimentId) -> Result<()> {
        self.verb("v1.experiments.unarchive", id, "unarchive").await
    }

    /// Deletes an experiment; its runs stay. The default experiment goes on KFP 1.8, and is refused later
    /// ([`Error::Conflict`]).
    pub async fn delete(&self, id: &ExperimentId) -> Result<()> {
        let id = path_id("id", id.as_str())?;
        let call = self.call("v1.experiments.delete", Method::DELETE, Some(id))?;
        self.client.inner.done(&call).await
    }
}
