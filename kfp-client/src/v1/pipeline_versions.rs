//! Versions of pipelines.

use futures_core::Stream;
use futures_util::TryStreamExt;
use http::Method;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    ROOT, list_query,
    pipelines::{Template, Url, package},
    references::{ResourceKey, ResourceReference, ResourceType, referred},
    source::Parameter,
};
use crate::{
    client::Client,
    endpoint::{Call, path_id},
    error::Result,
    filter::Filter,
    ids::{PipelineId, PipelineVersionId},
    list::list_request,
    message::message,
    page::{self, Listed, Page},
    status::Status,
    submit::{self, Made, Resource, Submitted},
    v2::{experiments::optional, stored_text},
};

message! {
    /// One version of a pipeline. What it executes is its [template](PipelineVersions::template).
    pub struct PipelineVersion {
        /// Id, made by the server.
        id: PipelineVersionId,
        /// Name, unique in the pipeline.
        name: String,
        /// When it was made.
        created_at: Option<Timestamp>,
        /// Its parameters, if it is an Argo workflow.
        parameters: Vec<Parameter>,
        /// Where its source code is.
        code_source_url: String,
        /// Where it was to be fetched from; only in requests.
        package_url: Option<Url>,
        /// The pipeline that owns it; see [`pipeline_id`](Self::pipeline_id).
        resource_references: Vec<ResourceReference>,
        /// Free text.
        description: String,
    }
}

impl PipelineVersion {
    /// The pipeline it belongs to.
    pub fn pipeline_id(&self) -> Option<PipelineId> {
        referred(&self.resource_references, &ResourceType::Pipeline).map(PipelineId::new)
    }
}

impl Made for PipelineVersion {
    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn created_at(&self) -> Option<Timestamp> {
        self.created_at
    }
}

impl Listed for PipelineVersion {
    fn broken(&self) -> Option<(&str, &Status)> {
        None
    }
}

/// A version that the server shall fetch from somewhere. Prefer to [upload](PipelineVersions::upload) it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CreatePipelineVersion {
    /// The pipeline.
    pub pipeline_id: PipelineId,
    /// Name: 1 to 127 characters, unique in the pipeline.
    pub name: String,
    /// Where the server fetches it: `http` or `https`. From KFP 2.17 on only from places it allows.
    pub package_url: String,
    /// Where its source code is.
    pub code_source_url: String,
    /// Free text.
    pub description: String,
}

#[derive(Serialize)]
struct Body<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    code_source_url: &'a str,
    package_url: Url,
    resource_references: [ResourceReference; 1],
}

impl CreatePipelineVersion {
    /// A version of this name, to be fetched from this address.
    pub fn new(pipeline_id: impl Into<PipelineId>, name: impl Into<String>, package_url: impl Into<String>) -> Self {
        Self {
            pipeline_id: pipeline_id.into(),
            name: name.into(),
            package_url: package_url.into(),
            code_source_url: String::new(),
            description: String::new(),
        }
    }

    /// Where its source code is.
    #[must_use]
    pub fn code_source_url(mut self, code_source_url: impl Into<String>) -> Self {
        self.code_source_url = code_source_url.into();
        self
    }

    /// Free text.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    fn body(&self) -> Result<Body<'_>> {
        path_id("pipeline_id", self.pipeline_id.as_str())?;
        stored_text("name", &self.name, 127, true)?;
        stored_text("description", &self.description, usize::MAX, false)?;
        Ok(Body {
            name: &self.name,
            description: &self.description,
            code_source_url: &self.code_source_url,
            package_url: package("package_url", &self.package_url)?,
            resource_references: [ResourceReference::pipeline(self.pipeline_id.clone())],
        })
    }
}

list_request! {
    /// Which versions of a pipeline to list.
    ListPipelineVersions {}
}

/// Operations on versions of pipelines; made by [`V1::pipeline_versions`](super::V1::pipeline_versions).
#[derive(Debug, Clone)]
pub struct PipelineVersions {
    pub(super) client: Client,
}

impl PipelineVersions {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    fn call(&self, operation: &'static str, method: Method, rest: &[&str]) -> Result<Call> {
        let mut path = vec![ROOT[0], ROOT[1], "pipeline_versions"];
        path.extend(rest);
        Call::new(operation, method, &self.client.inner.base, &path)
    }

    /// Makes a version that the server fetches; as safe as [`Pipelines::create`](super::Pipelines::create).
    /// [`Error::AlreadyExists`](crate::Error::AlreadyExists) if the pipeline has one of that name.
    pub async fn create(&self, request: &CreatePipelineVersion) -> Result<PipelineVersion> {
        let body = request.body()?;
        let call = self
            .call("v1.pipeline_versions.create", Method::POST, &[])?
            .json(&body)?;
        self.submit(&call, &request.pipeline_id, &request.name).await
    }

    /// Makes the version of this name.
    pub(super) async fn submit(&self, call: &Call, pipeline: &PipelineId, name: &str) -> Result<PipelineVersion> {
        let submitted = Submitted::new(Resource::PipelineVersion, name);
        let find = || self.find(pipeline, name);
        submit::named(&self.client.inner, call, None, submitted, find).await
    }

    /// The version of this name of a pipeline, or `None`. The server's database takes names that differ in case alone
    /// for the same; the exact one is preferred.
    pub async fn find(&self, pipeline: &PipelineId, name: &str) -> Result<Option<PipelineVersion>> {
        let request = ListPipelineVersions::new().filter(Filter::new().equals("name", name));
        let mut found = std::pin::pin!(self.list_all(pipeline.clone(), request));
        let mut same_but_for_case = None;
        while let Some(version) = found.try_next().await? {
            if version.name == name {
                return Ok(Some(version));
            }
            same_but_for_case = Some(version);
        }
        Ok(same_but_for_case)
    }

    /// Gets a version. [`Error::NotFound`](crate::Error::NotFound) if there is none of that id.
    pub async fn get(&self, id: &PipelineVersionId) -> Result<PipelineVersion> {
        let id = path_id("version_id", id.as_str())?;
        let call = self.call("v1.pipeline_versions.get", Method::GET, &[id])?;
        self.client.inner.json(&call).await
    }

    /// Gets a version, or `None` if there is none of that id.
    pub async fn get_opt(&self, id: &PipelineVersionId) -> Result<Option<PipelineVersion>> {
        optional(self.get(id).await)
    }

    /// Lists one page of a pipeline's versions. Versions made within one second come in no order.
    pub async fn list(&self, pipeline: &PipelineId, request: &ListPipelineVersions) -> Result<Page<PipelineVersion>> {
        let id = path_id("pipeline_id", pipeline.as_str())?;
        let key = ResourceKey::new(ResourceType::Pipeline, id);
        let call = self.call("v1.pipeline_versions.list", Method::GET, &[])?;
        self.client
            .page(&list_query(call, "resource_key", Some(&key), request)?)
            .await
    }

    /// Lists all pages of a pipeline's versions, fetched as they are needed.
    pub fn list_all(
        &self,
        pipeline: PipelineId,
        request: ListPipelineVersions,
    ) -> impl Stream<Item = Result<PipelineVersion>> + Send + 'static {
        page::all(
            (self.clone(), pipeline),
            request,
            |(this, pipeline), request| async move { this.list(&pipeline, &request).await },
        )
    }

    /// What the version executes, as YAML or JSON text: an Argo workflow, see
    /// [`Workflow::from_yaml`](crate::argo::Workflow::from_yaml), or a pipeline in the newer format.
    pub async fn template(&self, id: &PipelineVersionId) -> Result<String> {
        let id = path_id("version_id", id.as_str())?;
        let call = self.call("v1.pipeline_versions.template", Method::GET, &[id, "templates"])?;
        let template: Template = self.client.inner.json(&call).await?;
        Ok(template.template)
    }

    /// Deletes a version.
    pub async fn delete(&self, id: &PipelineVersionId) -> Result<()> {
        let id = path_id("version_id", id.as_str())?;
        let call = self.call("v1.pipeline_versions.delete", Method::DELETE, &[id])?;
        self.client.inner.done(&call).await
    }
}
