//! Pipelines kept on the server.

use futures_core::Stream;
use futures_util::TryStreamExt;
use http::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    ROOT, list_query,
    pipeline_versions::PipelineVersion,
    references::{ResourceKey, ResourceReference, ResourceType, referred},
    source::Parameter,
};
use crate::{
    client::Client,
    endpoint::{Call, path_id},
    error::{Error, Result},
    filter::Filter,
    ids::{PipelineId, PipelineVersionId},
    list::list_request,
    message::message,
    page::{self, Listed, Page},
    status::Status,
    submit::{self, Made, Resource, Submitted},
    v2::{experiments::optional, stored_text},
    version::Feature,
};

message! {
    /// Where the server shall fetch a pipeline from.
    pub struct Url {
        /// The address.
        pipeline_url: String,
    }
}

message! {
    /// A pipeline kept on the server.
    pub struct Pipeline {
        /// Id, made by the server.
        id: PipelineId,
        /// When it was made.
        created_at: Option<Timestamp>,
        /// Name, unique in its namespace.
        name: String,
        /// Free text.
        description: String,
        /// Parameters of its default version, if that is an Argo workflow.
        parameters: Vec<Parameter>,
        /// Where it was to be fetched from; only in requests.
        url: Option<Url>,
        /// Why the server cannot read it.
        error: String,
        /// The version that runs of the pipeline execute unless they name one. On KFP 1.8 the first version has the
        /// pipeline's id, and each new one becomes the default.
        default_version: Option<PipelineVersion>,
        /// The namespace that owns it; see [`namespace`](Self::namespace).
        resource_references: Vec<ResourceReference>,
    }
}

impl Pipeline {
    /// Its namespace; `None` for a pipeline shared by all, and on a single-user server.
    pub fn namespace(&self) -> Option<String> {
        referred(&self.resource_references, &ResourceType::Namespace)
    }
}

impl Made for Pipeline {
    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn created_at(&self) -> Option<Timestamp> {
        self.created_at
    }
}

impl Listed for Pipeline {
    fn broken(&self) -> Option<(&str, &Status)> {
        None
    }

    fn broken_text(&self) -> Option<(&str, &str)> {
        let stub = self.name.is_empty() && self.created_at.is_none() && !self.error.is_empty();
        stub.then_some((self.id.as_str(), self.error.as_str()))
    }
}

/// A pipeline that the server shall fetch from somewhere. Prefer to [upload](Pipelines::upload) it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CreatePipeline {
    /// Name: 1 to 128 characters (KFP 1.8: 100), unique in the namespace.
    pub name: String,
    /// Where the server fetches it: `http` or `https`. From KFP 2.17 on only from places it allows.
    pub url: String,
    /// Free text.
    pub description: String,
    /// Namespace; empty for a pipeline shared by all.
    pub namespace: String,
}

#[derive(Serialize)]
struct Body<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    url: Url,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource_references: Vec<ResourceReference>,
}

impl CreatePipeline {
    /// A pipeline of this name, to be fetched from this address.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
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

    /// Namespace.
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
            url: package("url", &self.url)?,
            resource_references: owner.into_iter().map(ResourceReference::namespace).collect(),
        })
    }
}

/// The address of a package that the server fetches.
pub(super) fn package(field: &'static str, text: &str) -> Result<Url> {
    let url = url::Url::parse(text).ok();
    if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
        return Err(Error::invalid(field, "an http or https URL"));
    }
    Ok(Url {
        pipeline_url: text.to_owned(),
        ..Url::default()
    })
}

list_request! {
    /// Which pipelines to list.
    ListPipelines {
        /// Whose pipelines: a namespace's. Without it, those shared by all.
        reference: ResourceKey,
    }
}

impl ListPipelines {
    /// The pipelines of this namespace.
    #[must_use]
    pub fn namespace(self, namespace: impl Into<String>) -> Self {
        self.reference(ResourceKey::new(ResourceType::Namespace, namespace))
    }
}

/// What a stored pipeline executes, as text.
#[derive(Deserialize)]
pub(crate) struct Template {
    #[serde(default, deserialize_with = "crate::wire::or_default")]
    pub(crate) template: String,
}

/// Operations on pipelines; made by [`V1::pipelines`](super::V1::pipelines).
#[derive(Debug, Clone)]
pub struct Pipelines {
    pub(super) client: Client,
}

impl Pipelines {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    fn call(&self, operation: &'static str, method: Method, rest: &[&str]) -> Result<Call> {
        let mut path = vec![ROOT[0], ROOT[1], "pipelines"];
        path.extend(rest);
        Call::new(operation, method, &self.client.inner.base, &path)
    }

    /// Makes a pipeline that the server fetches.
    ///
    /// Like every creation of a pipeline or a version: the request is sent once and never broken off, and after a lost
    /// answer the thing is looked for by its name.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`] if the name is taken; [`Error::Server`] if it cannot be fetched;
    /// [`Error::NamedOutcomeUnknown`] if the answer was lost and there is no pipeline of the name.
    pub async fn create(&self, request: &CreatePipeline) -> Result<Pipeline> {
        let body = request.body()?;
        let call = self.call("v1.pipelines.create", Method::POST, &[])?.json(&body)?;
        self.submit(&call, &request.name, &request.namespace).await
    }

    /// Makes the pipeline of this name.
    pub(super) async fn submit(&self, call: &Call, name: &str, namespace: &str) -> Result<Pipeline> {
        let submitted = Submitted::new(Resource::Pipeline, name);
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        let find = || self.find(name, namespace);
        submit::named(&self.client.inner, call, None, submitted, find).await
    }

    /// The pipeline of this name, or `None`; served by every release. Without a namespace the pipelines shared by all
    /// are searched. The server's database takes names that differ in case alone for the same; the exact one is
    /// preferred.
    pub async fn find(&self, name: &str, namespace: Option<&str>) -> Result<Option<Pipeline>> {
        let mut request = ListPipelines::new().filter(Filter::new().equals("name", name));
        if let Some(namespace) = namespace {
            request = request.namespace(namespace);
        }
        let mut found = std::pin::pin!(self.list_all(request));
        let mut same_but_for_case = None;
        while let Some(pipeline) = found.try_next().await? {
            if pipeline.name == name {
                return Ok(Some(pipeline));
            }
            same_but_for_case = Some(pipeline);
        }
        Ok(same_but_for_case)
    }

    /// Gets a pipeline. [`Error::NotFound`] if there is none of that id.
    pub async fn get(&self, id: &PipelineId) -> Result<Pipeline> {
        let id = path_id("id", id.as_str())?;
        let call = self.call("v1.pipelines.get", Method::GET, &[id])?;
        self.client.inner.json(&call).await
    }

    /// Gets a pipeline, or `None` if there is none of that id.
    pub async fn get_opt(&self, id: &PipelineId) -> Result<Option<Pipeline>> {
        optional(self.get(id).await)
    }

    /// Gets the pipeline of this name (from KFP 2.0 on; [`Error::Unsupported`] on 1.8). Without a namespace, one that
    /// is shared by all.
    pub async fn get_by_name(&self, name: &str, namespace: Option<&str>) -> Result<Pipeline> {
        if name.is_empty() || name.contains('/') {
            return Err(Error::invalid("name", "not empty and without `/`"));
        }
        // An empty part of a path is no part.
        let namespace = path_id("namespace", namespace.unwrap_or("-"))?;
        let path = [ROOT[0], ROOT[1], "namespaces", namespace, "pipelines", name];
        let call = Call::new("v1.pipelines.get_by_name", Method::GET, &self.client.inner.base, &path)?;
        self.client
            .inner
            .json(&call.needs(Feature::V1_PIPELINE_BY_NAME, true))
            .await
    }

    /// Lists one page. Filter keys of every release: `id`, `name`, `created_at`, `description`.
    pub async fn list(&self, request: &ListPipelines) -> Result<Page<Pipeline>> {
        let call = self.call("v1.pipelines.list", Method::GET, &[])?;
        let key = request.reference.as_ref();
        self.client
            .page(&list_query(call, "resource_reference_key", key, request)?)
            .await
    }

    /// Lists all pages, fetched as they are needed.
    pub fn list_all(&self, request: ListPipelines) -> impl Stream<Item = Result<Pipeline>> + Send + 'static {
        page::all(self.clone(), request, |this, request| async move {
            this.list(&request).await
        })
    }

    /// What the default version executes, as YAML or JSON text.
    pub async fn template(&self, id: &PipelineId) -> Result<String> {
        let id = path_id("id", id.as_str())?;
        let call = self.call("v1.pipelines.template", Method::GET, &[id, "templates"])?;
        let template: Template = self.client.inner.json(&call).await?;
        Ok(template.template)
    }

    /// Makes a version the default one. KFP 1.8 does not check that there is such a version, and then cannot run the
    /// pipeline any more.
    pub async fn set_default_version(&self, id: &PipelineId, version: &PipelineVersionId) -> Result<()> {
        let id = path_id("pipeline_id", id.as_str())?;
        let version = path_id("version_id", version.as_str())?;
        let path = [id, "default_version", version];
        let call = self.call("v1.pipelines.set_default_version", Method::POST, &path)?;
        self.client.inner.done(&call).await
    }

    /// Deletes a pipeline. On KFP 1.8 its versions go too; later a pipeline that has versions is refused
    /// ([`Error::InvalidArgument`]).
    pub async fn delete(&self, id: &PipelineId) -> Result<()> {
        let id = path_id("id", id.as_str())?;
        let call = self.call("v1.pipelines.delete", Method::DELETE, &[id])?;
        self.client.inner.done(&call).await
    }
}
