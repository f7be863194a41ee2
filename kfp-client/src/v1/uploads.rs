//! Uploads: a new pipeline with its first version, or a new version.

use http::Method;

use super::{
    ROOT,
    pipeline_versions::{PipelineVersion, PipelineVersions},
    pipelines::{Pipeline, Pipelines},
};
use crate::{
    Client, PipelinePackage,
    endpoint::{Call, path_id},
    error::{Error, Result},
    ids::PipelineId,
    v2::{storable, stored_text},
    version::Feature,
};

/// A pipeline to be uploaded.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UploadPipeline {
    /// Name: 1 to 127 characters (KFP 1.8: 100), unique in the namespace. The first version gets it too.
    pub name: String,
    /// What it executes: an Argo workflow, or from KFP 2.0 on also a pipeline in the newer format; a document or an
    /// archive.
    pub file: PipelinePackage,
    /// Free text.
    pub description: String,
    /// Namespace; empty for a pipeline shared by all. A single-user server of KFP 1.8 drops the connection when it is
    /// given one.
    pub namespace: String,
}

impl UploadPipeline {
    /// A pipeline of this name.
    pub fn new(name: impl Into<String>, file: impl Into<PipelinePackage>) -> Self {
        Self {
            name: name.into(),
            file: file.into(),
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
}

/// A version to be uploaded to a pipeline.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UploadPipelineVersion {
    /// The pipeline.
    pub pipeline_id: PipelineId,
    /// Name: 1 to 127 characters (KFP 1.8: 100), unique in the pipeline.
    pub name: String,
    /// What it executes.
    pub file: PipelinePackage,
    /// Free text.
    pub description: String,
    /// Namespace of the pipeline. KFP finds it by the pipeline and needs none.
    pub namespace: String,
}

impl UploadPipelineVersion {
    /// A version of this name.
    pub fn new(pipeline_id: impl Into<PipelineId>, name: impl Into<String>, file: impl Into<PipelinePackage>) -> Self {
        Self {
            pipeline_id: pipeline_id.into(),
            name: name.into(),
            file: file.into(),
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

    /// Namespace of the pipeline.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }
}

impl Pipelines {
    /// Uploads a pipeline with its first version; as safe as [`create`](Self::create).
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`] if the name is taken, whatever status the server gives (500 up to KFP 2.0).
    /// [`Error::InvalidArgument`] if it is no pipeline, and also if the caller may not write to the namespace (from
    /// KFP 2.14 on; before, [`Error::PermissionDenied`]).
    pub async fn upload(&self, request: &UploadPipeline) -> Result<Pipeline> {
        let call = self.upload_call(request)?;
        self.submit(&call, &request.name, &request.namespace).await
    }

    /// The pipeline of this name, uploaded if there is none. One that is there is returned as it is, **whatever its
    /// versions execute**.
    ///
    /// Safe when several callers do it at once: names are unique, and who comes second gets the first one's pipeline.
    pub async fn get_or_upload(&self, request: &UploadPipeline) -> Result<Pipeline> {
        let call = self.upload_call(request)?;
        self.client.inner.refuse_older(&call)?;
        let namespace = Some(request.namespace.as_str()).filter(|namespace| !namespace.is_empty());
        if let Some(found) = self.find(&request.name, namespace).await? {
            return Ok(found);
        }
        match self.submit(&call, &request.name, &request.namespace).await {
            Err(taken @ Error::AlreadyExists(_)) => self.find(&request.name, namespace).await?.ok_or(taken),
            other => other,
        }
    }

    fn upload_call(&self, request: &UploadPipeline) -> Result<Call> {
        let operation = "v1.pipelines.upload";
        let call = call(&self.client, operation, "upload", &request.name, &request.file)?;
        labels(call, &request.description, &request.namespace)
    }
}

impl PipelineVersions {
    /// Uploads a new version of a pipeline, which becomes the default one; as safe as
    /// [`Pipelines::create`](super::Pipelines::create).
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`] if the pipeline has one of that name, whatever status the server gives.
    /// [`Error::NotFound`] if there is no such pipeline; from KFP 2.0 on [`Error::InvalidArgument`].
    pub async fn upload(&self, request: &UploadPipelineVersion) -> Result<PipelineVersion> {
        let call = self.upload_call(request)?;
        self.submit(&call, &request.pipeline_id, &request.name).await
    }

    /// The version of this name, uploaded if the pipeline has none. One that is there is returned as it is: derive the
    /// name from the content (a hash of it), and the same content is uploaded once.
    pub async fn get_or_upload(&self, request: &UploadPipelineVersion) -> Result<PipelineVersion> {
        let call = self.upload_call(request)?;
        self.client.inner.refuse_older(&call)?;
        let (pipeline, name) = (&request.pipeline_id, request.name.as_str());
        if let Some(found) = self.find(pipeline, name).await? {
            return Ok(found);
        }
        match self.submit(&call, pipeline, name).await {
            Err(taken @ Error::AlreadyExists(_)) => self.find(pipeline, name).await?.ok_or(taken),
            other => other,
        }
    }

    fn upload_call(&self, request: &UploadPipelineVersion) -> Result<Call> {
        let id = path_id("pipelineid", request.pipeline_id.as_str())?;
        let operation = "v1.pipeline_versions.upload";
        let call = call(&self.client, operation, "upload_version", &request.name, &request.file)?;
        labels(call.query("pipelineid", id), &request.description, &request.namespace)
    }
}

fn call(client: &Client, operation: &'static str, last: &str, name: &str, file: &PipelinePackage) -> Result<Call> {
    // The version takes the pipeline's name, and 127 is its limit.
    stored_text("name", name, 127, true)?;
    let path = [ROOT[0], ROOT[1], "pipelines", last];
    let call = Call::new(operation, Method::POST, &client.inner.base, &path)?;
    let call = call.needs(Feature::NEWER_FORMAT, file.is_newer_format());
    file.add_to(call.query("name", name))
}

fn labels(call: Call, description: &str, namespace: &str) -> Result<Call> {
    storable("description", description)?;
    stored_text("namespace", namespace, 63, false)?;
    Ok(call.query("description", description).query("namespace", namespace))
}
