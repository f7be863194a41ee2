//! Uploads: a new pipeline with its first version, or a new version.

use std::collections::BTreeMap;

use http::Method;
use serde_json::Value;

use super::{
    Pipelines,
    model::{Pipeline, PipelineVersion},
};
use crate::{
    argo,
    endpoint::{Call, path_id},
    error::{Error, Result},
    ids::PipelineId,
    ir::{self, PipelineDocument},
    v2::{ROOT, storable, stored_text},
};

/// Largest file the server takes.
const MAX_FILE: usize = 32 << 20;

/// The content of an upload: one or two YAML documents, known to be well-formed.
///
/// A server of generation 2.0 to 2.17 that is sent broken YAML never answers and keeps a processor busy until it is
/// restarted. What is sent is written anew from what was read, so no text reaches the server that only this side can
/// read.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineFile {
    documents: Vec<Value>,
}

impl PipelineFile {
    /// Reads YAML or JSON: a pipeline specification with or without a platform specification, or an Argo workflow.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] if the text is not well-formed, or is no pipeline by the server's first checks.
    pub fn parse(text: &str) -> Result<Self> {
        let documents =
            ir::yaml_documents(text).map_err(|error| Error::invalid("file", format!("YAML or JSON: {error}")))?;
        let mut file = Self { documents };
        if let [Value::Object(wrapper)] = file.documents.as_mut_slice()
            && let Some(spec) = wrapper.remove("pipeline_spec")
        {
            let platform = wrapper.remove("platform_spec");
            file.documents = std::iter::once(spec).chain(platform).collect();
        }
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<()> {
        let Some(Value::Object(first)) = self.documents.first() else {
            return Err(Error::invalid("file", "a pipeline specification or an Argo workflow"));
        };
        if first.contains_key("apiVersion") {
            return Ok(());
        }
        let info = first.get("pipelineInfo").or_else(|| first.get("pipeline_info"));
        let name = info
            .and_then(|info| info.get("name"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !ir::is_pipeline_name(name) {
            return Err(Error::invalid("file: pipelineInfo.name", ir::PIPELINE_NAME_RULE));
        }
        let version = first.get("schemaVersion").or_else(|| first.get("schema_version"));
        if version.and_then(Value::as_str) != Some(ir::SCHEMA_VERSION) {
            return Err(Error::invalid(
                "file: schemaVersion",
                format!("\"{}\"", ir::SCHEMA_VERSION),
            ));
        }
        Ok(())
    }

    /// JSON is YAML too, and leaves no room for two readings.
    fn to_bytes(&self) -> Vec<u8> {
        let documents: Vec<String> = self.documents.iter().map(Value::to_string).collect();
        documents.join("\n---\n").into_bytes()
    }

    /// What is sent, within the limits of the server.
    pub(crate) fn content(&self) -> Result<Vec<u8>> {
        let content = self.to_bytes();
        if content.len() > MAX_FILE {
            return Err(Error::invalid("file", "at most 32 MiB"));
        }
        storable("file", &String::from_utf8_lossy(&content))?;
        Ok(content)
    }
}

impl TryFrom<&argo::Workflow> for PipelineFile {
    type Error = Error;

    /// Takes a workflow that passes [`Workflow::validate`](argo::Workflow::validate).
    fn try_from(workflow: &argo::Workflow) -> Result<Self> {
        workflow
            .validate()
            .map_err(|error| Error::invalid(error.path().to_owned(), error.rule().to_owned()))?;
        Ok(Self {
            documents: vec![workflow.to_value()],
        })
    }
}

impl TryFrom<&PipelineDocument> for PipelineFile {
    type Error = Error;

    /// Takes a document that passes [`PipelineDocument::validate`].
    fn try_from(document: &PipelineDocument) -> Result<Self> {
        document
            .validate()
            .map_err(|error| Error::invalid(error.path().to_owned(), error.rule().to_owned()))?;
        Ok(Self {
            documents: document.to_documents(),
        })
    }
}

/// A pipeline to be uploaded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct UploadPipeline {
    /// Name: 1 to 127 characters, unique in the namespace. The first version gets it too.
    pub name: String,
    /// What it executes.
    pub file: PipelineFile,
    /// Name to show; the name if empty (from KFP 2.14 on).
    pub display_name: String,
    /// Free text.
    pub description: String,
    /// Namespace; empty for a pipeline shared by all.
    pub namespace: String,
    /// Labels (from KFP 2.17 on): at most 20, of at most 63 characters each, keys without `.`.
    pub tags: BTreeMap<String, String>,
}

impl UploadPipeline {
    /// A pipeline of this name: 1 to 127 characters.
    pub fn new(name: impl Into<String>, file: PipelineFile) -> Self {
        Self {
            name: name.into(),
            file,
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

    /// Adds a label (from KFP 2.17 on).
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }
}

/// A version to be uploaded to a pipeline.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct UploadPipelineVersion {
    /// The pipeline.
    pub pipeline_id: PipelineId,
    /// Name: 1 to 127 characters, unique in the pipeline.
    pub name: String,
    /// What it executes.
    pub file: PipelineFile,
    /// Name to show; the name if empty (from KFP 2.14 on).
    pub display_name: String,
    /// Free text.
    pub description: String,
    /// Labels (from KFP 2.17 on): at most 20, of at most 63 characters each, keys without `.`.
    pub tags: BTreeMap<String, String>,
}

impl UploadPipelineVersion {
    /// A version of this name: 1 to 127 characters.
    pub fn new(pipeline_id: impl Into<PipelineId>, name: impl Into<String>, file: PipelineFile) -> Self {
        Self {
            pipeline_id: pipeline_id.into(),
            name: name.into(),
            file,
            display_name: String::new(),
            description: String::new(),
            tags: BTreeMap::new(),
        }
    }

    /// Name to show (from KFP 2.14 on).
    #[must_use]
    pub fn display_name(mut self, display_name: impl Into<String>) -> Self {
        self.display_name = display_name.into();
        self
    }

    /// Free text.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Adds a label (from KFP 2.17 on).
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }
}

impl Pipelines {
    /// Uploads a pipeline with its first version. [`Error::AlreadyExists`] if the name is taken (before KFP 2.5:
    /// [`Error::Server`]).
    pub async fn upload(&self, request: &UploadPipeline) -> Result<Pipeline> {
        stored_text("namespace", &request.namespace, 63, false)?;
        let call = self.upload_call("pipelines.upload", "upload", &request.name, &request.file)?;
        let call = labels(call, &request.display_name, &request.description, &request.tags)?;
        let call = call.query("namespace", &request.namespace);
        self.client.inner.json(&call).await
    }

    /// Uploads a new version of a pipeline. [`Error::AlreadyExists`] if the pipeline has one of that name;
    /// [`Error::InvalidArgument`] also if there is no such pipeline.
    pub async fn upload_version(&self, request: &UploadPipelineVersion) -> Result<PipelineVersion> {
        let pipeline_id = path_id("pipeline_id", request.pipeline_id.as_str())?;
        let call = self.upload_call(
            "pipelines.upload_version",
            "upload_version",
            &request.name,
            &request.file,
        )?;
        let call = labels(call, &request.display_name, &request.description, &request.tags)?;
        let call = call.query("pipelineid", pipeline_id);
        self.client.inner.json(&call).await
    }

    fn upload_call(&self, operation: &'static str, last: &str, name: &str, file: &PipelineFile) -> Result<Call> {
        // One less than the 128 the server states: the version takes the pipeline's name, and 127 is its limit.
        stored_text("name", name, 127, true)?;
        let content = file.content()?;
        let path = [ROOT[0], ROOT[1], "pipelines", last];
        let call = Call::new(operation, Method::POST, &self.client.inner.base, &path)?;
        call.query("name", name).file("uploadfile", "pipeline.yaml", &content)
    }
}

fn labels(call: Call, display_name: &str, description: &str, tags: &BTreeMap<String, String>) -> Result<Call> {
    stored_text("display_name", display_name, 127, false)?;
    storable("description", description)?;
    let short = |text: &str| text.chars().count() <= 63;
    if tags.len() > 20
        || tags
            .iter()
            .any(|(key, value)| !short(key) || !short(value) || key.contains('.'))
    {
        return Err(Error::invalid(
            "tags",
            "at most 20, of at most 63 characters each, with keys without `.`",
        ));
    }
    let tags = if tags.is_empty() {
        String::new()
    } else {
        serde_json::json!(tags).to_string()
    };
    Ok(call
        .query("display_name", display_name)
        .query("description", description)
        .query("tags", &tags))
}
