//! Pipelines kept on the server, and their versions.

pub(crate) mod from_url;
mod get_or_create;
pub(crate) mod model;
pub(crate) mod package;
pub(crate) mod update;
pub(crate) mod upload;

use std::collections::BTreeMap;

use futures_core::Stream;
use http::Method;
use serde::Serialize;

use self::{
    from_url::Naming,
    model::{Pipeline, PipelineVersion},
    upload::check_tags,
};
use super::{ROOT, experiments::optional, stored_text};
use crate::{
    client::Client,
    endpoint::{Call, path_id},
    error::{Error, Result},
    ids::{PipelineId, PipelineVersionId},
    list::{self, list_request},
    page::{self, Page},
    submit::{self, Resource, Submitted},
    version::Feature,
};

/// An empty pipeline to be made; versions are uploaded to it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreatePipeline {
    /// Name: 1 to 128 characters, unique in the namespace.
    pub name: String,
    /// Name to show; the name if empty. Before KFP 2.14 it becomes the name.
    pub display_name: String,
    /// Free text.
    pub description: String,
    /// Namespace; empty for a pipeline shared by all.
    pub namespace: String,
    /// Labels (from KFP 2.17 on): at most 20, of at most 63 characters each, keys without `.`.
    pub tags: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct PipelineBody<'a> {
    #[serde(flatten)]
    naming: Naming<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: &'a BTreeMap<String, String>,
}

impl CreatePipeline {
    /// A pipeline of this name: 1 to 128 characters.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            display_name: String::new(),
            description: String::new(),
            namespace: String::new(),
            tags: BTreeMap::new(),
        }
    }

    /// Name to show (from KFP 2.14 on).
    #[must_use]
    pub fn display_name(mut self, display_name: impl Into<String>) -> Self {
        self.display_name = display_name.into();
        self
    }

    /// Adds a label (from KFP 2.17 on).
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
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

    fn needs(&self, call: Call) -> Call {
        call.needs(Feature::TAGS, !self.tags.is_empty())
            .needs(Feature::SHOWN_NAME, is_other_name(&self.display_name, &self.name))
    }

    fn body(&self) -> Result<PipelineBody<'_>> {
        stored_text("name", &self.name, 128, true)?;
        stored_text("display_name", &self.display_name, 128, false)?;
        stored_text("description", &self.description, usize::MAX, false)?;
        stored_text("namespace", &self.namespace, 63, false)?;
        check_tags(&self.tags)?;
        Ok(PipelineBody {
            naming: Naming::new(&self.name, &self.display_name),
            description: &self.description,
            namespace: &self.namespace,
            tags: &self.tags,
        })
    }
}

/// Whether there is a name to show that is another one than the name.
fn is_other_name(display_name: &str, name: &str) -> bool {
    !display_name.is_empty() && display_name != name
}

list_request! {
    /// Which pipelines to list.
    ListPipelines {
        /// Namespace to list; without one, the pipelines shared by all.
        namespace: String,
    }
}

list_request! {
    /// Which versions of a pipeline to list.
    ListPipelineVersions {}
}

/// Operations on pipelines and their versions; made by [`Client::pipelines`].
#[derive(Debug, Clone)]
pub struct Pipelines {
    pub(crate) client: Client,
}

impl Pipelines {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    fn call(&self, operation: &'static str, method: Method, rest: &[&str]) -> Result<Call> {
        let mut path = vec![ROOT[0], ROOT[1], "pipelines"];
        path.extend(rest);
        Call::new(operation, method, &self.client.inner.base, &path)
    }

    /// Makes an empty pipeline.
    ///
    /// Like every creation of a pipeline or a version: the request is sent once and never broken off, and after a lost
    /// answer the thing is looked for by its name.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`] if the name is taken; [`Error::NamedOutcomeUnknown`] if the answer was lost and there
    /// is no pipeline of the name.
    pub async fn create(&self, request: &CreatePipeline) -> Result<Pipeline> {
        let call = self
            .call("pipelines.create", Method::POST, &[])?
            .json(&request.body()?)?;
        self.submit(&request.needs(call), &request.name, &request.namespace)
            .await
    }

    /// Makes the pipeline of this name.
    async fn submit(&self, call: &Call, name: &str, namespace: &str) -> Result<Pipeline> {
        let submitted = Submitted::new(Resource::Pipeline, name);
        let find = || self.find(name, Some(namespace));
        submit::named(&self.client.inner, call, None, submitted, find).await
    }

    /// Makes the version of this name.
    async fn submit_version(&self, call: &Call, id: &PipelineId, name: &str) -> Result<PipelineVersion> {
        let submitted = Submitted::new(Resource::PipelineVersion, name);
        let find = || self.find_version(id, name);
        submit::named(&self.client.inner, call, None, submitted, find).await
    }

    /// Gets a pipeline. [`Error::NotFound`] if there is none of that id.
    pub async fn get(&self, id: &PipelineId) -> Result<Pipeline> {
        let id = path_id("pipeline_id", id.as_str())?;
        let call = self.call("pipelines.get", Method::GET, &[id])?;
        self.client.inner.json(&call).await
    }

    /// Gets a pipeline, or `None` if there is none of that id.
    pub async fn get_opt(&self, id: &PipelineId) -> Result<Option<Pipeline>> {
        optional(self.get(id).await)
    }

    /// Gets the pipeline of this name. Without a namespace, KFP 2.17 finds pipelines of any namespace. Not served by
    /// KFP 2.0 ([`Error::Unsupported`]), where [`find`](Self::find) does the same.
    pub async fn get_by_name(&self, name: &str, namespace: Option<&str>) -> Result<Pipeline> {
        if name.is_empty() || name.contains('/') {
            return Err(Error::invalid("name", "not empty and without `/`"));
        }
        let call = self.call("pipelines.get_by_name", Method::GET, &["names", name])?;
        let call = call.query("namespace", namespace.unwrap_or_default());
        self.client
            .inner
            .json(&call.needs(Feature::PIPELINE_BY_NAME, true))
            .await
    }

    /// Lists one page.
    pub async fn list(&self, request: &ListPipelines) -> Result<Page<Pipeline>> {
        let call = self.call("pipelines.list", Method::GET, &[])?;
        let call = call.query("namespace", request.namespace.as_deref().unwrap_or_default());
        self.client.page(&list::query(call, request)?).await
    }

    /// Lists all pages, fetched as they are needed.
    pub fn list_all(&self, request: ListPipelines) -> impl Stream<Item = Result<Pipeline>> + Send + 'static {
        page::all(self.clone(), request, |this, request| async move {
            this.list(&request).await
        })
    }

    /// Deletes a pipeline.
    ///
    /// With `cascade` its versions go too (from KFP 2.14 on). Otherwise a pipeline that has
    /// versions is refused ([`Error::InvalidArgument`]).
    pub async fn delete(&self, id: &PipelineId, cascade: bool) -> Result<()> {
        let id = path_id("pipeline_id", id.as_str())?;
        let call = self.call("pipelines.delete", Method::DELETE, &[id])?;
        let call = call
            .query("cascade", if cascade { "true" } else { "" })
            .needs(Feature::CASCADE, cascade);
        self.client.inner.done(&call).await
    }

    /// Lists one page of a pipeline's versions.
    pub async fn list_versions(
        &self,
        id: &PipelineId,
        request: &ListPipelineVersions,
    ) -> Result<Page<PipelineVersion>> {
        let id = path_id("pipeline_id", id.as_str())?;
        let call = self.call("pipelines.list_versions", Method::GET, &[id, "versions"])?;
        self.client.page(&list::query(call, request)?).await
    }

    /// Lists all pages of a pipeline's versions, fetched as they are needed.
    pub fn list_all_versions(
        &self,
        id: PipelineId,
        request: ListPipelineVersions,
    ) -> impl Stream<Item = Result<PipelineVersion>> + Send + 'static {
        page::all((self.clone(), id), request, |(this, id), request| async move {
            this.list_versions(&id, &request).await
        })
    }

    /// Gets a version.
    pub async fn get_version(&self, id: &PipelineId, version: &PipelineVersionId) -> Result<PipelineVersion> {
        let (id, version) = version_path(id, version)?;
        let call = self.call("pipelines.get_version", Method::GET, &[id, "versions", version])?;
        self.client.inner.json(&call).await
    }

    /// Deletes a version.
    pub async fn delete_version(&self, id: &PipelineId, version: &PipelineVersionId) -> Result<()> {
        let (id, version) = version_path(id, version)?;
        let call = self.call("pipelines.delete_version", Method::DELETE, &[id, "versions", version])?;
        self.client.inner.done(&call).await
    }
}

fn version_path<'a>(id: &'a PipelineId, version: &'a PipelineVersionId) -> Result<(&'a str, &'a str)> {
    let id = path_id("pipeline_id", id.as_str())?;
    Ok((id, path_id("pipeline_version_id", version.as_str())?))
}
