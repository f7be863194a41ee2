//! Uploads: a new pipeline with its first version, or a new version.

use http::Method;

use super::{
    ROOT,
    pipeline_versions::{PipelineVersion, PipelineVersions},
    pipelines::{Pipeline, Pipelines},
};
use crate::{
    Client, PipelineFile,
    endpoint::{Call, path_id},
    error::Result,
    ids::PipelineId,
    v2::{storable, stored_text},
};

/// A pipeline to be uploaded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct UploadPipeline {
    /// Name: 1 to 127 characters (KFP 1.8: 100), unique in the namespace. The first version gets it too.
    pub name: String,
    /// What it executes: an Argo workflow, or from KFP 2.0 on also a pipeline in the newer format.
    pub file: PipelineFile,
    /// Free text.
    pub description: String,
    /// Namespace; empty for a pipeline shared by all. A single-user server of KFP 1.8 drops the connection when it is
    /// given one.
    pub namespace: String,
}

impl UploadPipeline {
    /// A pipeline of this name.
    pub fn new(name: impl Into<String>, file: PipelineFile) -> Self {
        Self {
            name: name.into(),
            file,
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
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct UploadPipelineVersion {
    /// The pipeline.
    pub pipeline_id: PipelineId,
    /// Name: 1 to 127 characters (KFP 1.8: 100), unique in the pipeline.
    pub name: String,
    /// What it executes.
    pub file: PipelineFile,
    /// Free text.
    pub description: String,
    /// Namespace of the pipeline. KFP finds it by the pipeline and needs none.
    pub namespace: String,
}

impl UploadPipelineVersion {
    /// A version of this name.
    pub fn new(pipeline_id: impl Into<PipelineId>, name: impl Into<String>, file: PipelineFile) -> Self {
        Self {
            pipeline_id: pipeline_id.into(),
            name: name.into(),
            file,
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
    /// Uploads a pipeline with its first version.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`](crate::Error::AlreadyExists) if the name is taken, whatever status the server gives
    /// (500 up to KFP 2.0). [`Error::InvalidArgument`](crate::Error::InvalidArgument) if it is no pipeline, and also
    /// if the caller may not write to the namespace (up to KFP 2.17).
    pub async fn upload(&self, request: &UploadPipeline) -> Result<Pipeline> {
        let call = call(
            &self.client,
            "v1.pipelines.upload",
            "upload",
            &request.name,
            &request.file,
        )?;
        let call = labels(call, &request.description, &request.namespace)?;
        self.client.inner.json(&call).await
    }
}

impl PipelineVersions {
    /// Uploads a new version of a pipeline, which becomes the default one.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`](crate::Error::AlreadyExists) if the pipeline has one of that name, whatever status
    /// the server gives. [`Error::InvalidArgument`](crate::Error::InvalidArgument) also if there is no such pipeline.
    pub async fn upload(&self, request: &UploadPipelineVersion) -> Result<PipelineVersion> {
        let id = path_id("pipelineid", request.pipeline_id.as_str())?;
        let operation = "v1.pipeline_versions.upload";
        let call = call(&self.client, operation, "upload_version", &request.name, &request.file)?;
        let call = labels(call.query("pipelineid", id), &request.description, &request.namespace)?;
        self.client.inner.json(&call).await
    }
}

fn call(client: &Client, operation: &'static str, last: &str, name: &str, file: &PipelineFile) -> Result<Call> {
    // The version takes the pipeline's name, and 127 is its limit.
    stored_text("name", name, 127, true)?;
    let content = file.content()?;
    let path = [ROOT[0], ROOT[1], "pipelines", last];
    let call = Call::new(operation, Method::POST, &client.inner.base, &path)?;
    call.query("name", name).file("uploadfile", "pipeline.yaml", &content)
}

fn labels(call: Call, description: &str, namespace: &str) -> Result<Call> {
    storable("description", description)?;
    stored_text("namespace", namespace, 63, false)?;
    Ok(call.query("description", description).query("namespace", namespace))
}
