//! Uploads: a new pipeline with its first version, or a new version.

use std::collections::BTreeMap;

use http::Method;
use serde_json::Value;

use super::{
    Pipelines, is_other_name,
    model::{Pipeline, PipelineVersion},
    package::PipelinePackage,
};
use crate::{
    argo,
    endpoint::{Call, path_id},
    error::{Error, Result},
    ids::PipelineId,
    ir::{self, PipelineDocument},
    v2::{ROOT, storable, stored_text},
    version::Feature,
};

/// Largest file the server takes.
pub(super) const MAX_FILE: u64 = 32 << 20;

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

    /// Whether it is an Argo workflow.
    pub(crate) fn is_workflow(&self) -> bool {
        self.documents
            .first()
            .is_some_and(|first| first.get("apiVersion").is_some())
    }

    /// JSON is YAML too, and leaves no room for two readings.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        ir::json_documents(&self.documents).into_bytes()
    }

    /// What is sent, within the limits of the server.
    pub(crate) fn content(&self) -> Result<Vec<u8>> {
        let content = self.to_bytes();
        if content.len() as u64 > MAX_FILE {
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
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UploadPipeline {
    /// Name: 1 to 127 characters, unique in the namespace. The first version gets it too.
    pub name: String,
    /// What it executes.
    pub file: PipelinePackage,
    /// Name to show; the name if empty (from KFP 2.14 on).
    pub display_name: String,
    /// Free text.
    pub description: String,
    /// Namespace; empty for a pipeline shared by all.
    pub namespace: String,
    /// Labels (from KFP 2.17 on): at most 20, of at most 63 characters each, keys without `.`.
    pub tags: BTreeMap<String, String>,
    /// Where the source code of the version is (after KFP 2.17.0).
    pub code_source_url: String,
}

impl UploadPipeline {
    /// A pipeline of this name: 1 to 127 characters.
    pub fn new(name: impl Into<String>, file: impl Into<PipelinePackage>) -> Self {
        Self {
            name: name.into(),
            file: file.into(),
            display_name: String::new(),
            description: String::new(),
            namespace: String::new(),
            tags: BTreeMap::new(),
            code_source_url: String::new(),
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

    /// Where the source code of the version is (after KFP 2.17.0).
    #[must_use]
    pub fn code_source_url(mut self, code_source_url: impl Into<String>) -> Self {
        self.code_source_url = code_source_url.into();
        self
    }
}

/// A version to be uploaded to a pipeline.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UploadPipelineVersion {
    /// The pipeline.
    pub pipeline_id: PipelineId,
    /// Name: 1 to 127 characters, unique in the pipeline.
    pub name: String,
    /// What it executes.
    pub file: PipelinePackage,
    /// Name to show; the name if empty (from KFP 2.14 on).
    pub display_name: String,
    /// Free text.
    pub description: String,
    /// Labels (from KFP 2.17 on): at most 20, of at most 63 characters each, keys without `.`.
    pub tags: BTreeMap<String, String>,
    /// Where the source code of the version is (after KFP 2.17.0).
    pub code_source_url: String,
}

impl UploadPipelineVersion {
    /// A version of this name: 1 to 127 characters.
    pub fn new(pipeline_id: impl Into<PipelineId>, name: impl Into<String>, file: impl Into<PipelinePackage>) -> Self {
        Self {
            pipeline_id: pipeline_id.into(),
            name: name.into(),
            file: file.into(),
            display_name: String::new(),
            description: String::new(),
            tags: BTreeMap::new(),
            code_source_url: String::new(),
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

    /// Where the source code of the version is (after KFP 2.17.0).
    #[must_use]
    pub fn code_source_url(mut self, code_source_url: impl Into<String>) -> Self {
        self.code_source_url = code_source_url.into();
        self
    }
}

impl Pipelines {
    /// Uploads a pipeline with its first version; as safe as [`create`](Self::create). [`Error::AlreadyExists`] if the
    /// name is taken; [`get_or_upload`](Self::get_or_upload) handles that.
    ///
    /// A document can be sent again by every middleware, such as a login whose session has to be renewed; an archive
    /// is sent in pieces and cannot.
    ///
    /// ```no_run
    /// # async fn example(client: kfp_client::Client) -> kfp_client::Result<()> {
    /// use kfp_client::{PipelinePackage, UploadPipeline};
    ///
    /// let file = PipelinePackage::open("train.zip").await?;
    /// let pipeline = client.pipelines().upload(&UploadPipeline::new("train", file).tag("team", "fraud")).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn upload(&self, request: &UploadPipeline) -> Result<Pipeline> {
        let call = self.pipeline_call(request)?;
        self.submit(&call, &request.name, &request.namespace).await
    }

    /// Uploads a new version of a pipeline; as safe as [`create`](Self::create). [`Error::AlreadyExists`] if the
    /// pipeline has one of that name; [`Error::InvalidArgument`] also if there is no such pipeline.
    pub async fn upload_version(&self, request: &UploadPipelineVersion) -> Result<PipelineVersion> {
        let call = self.version_call(request)?;
        self.submit_version(&call, &request.pipeline_id, &request.name).await
    }

    pub(super) fn pipeline_call(&self, request: &UploadPipeline) -> Result<Call> {
        stored_text("namespace", &request.namespace, 63, false)?;
        let call = self.upload_call("pipelines.upload", "upload", &request.name, &request.file)?;
        let call = call.needs(Feature::SHOWN_NAME, is_other_name(&request.display_name, &request.name));
        let call = labels(call, &request.display_name, &request.description, &request.tags)?;
        storable("code_source_url", &request.code_source_url)?;
        Ok(call
            .query("namespace", &request.namespace)
            .query("code_source_url", &request.code_source_url)
            .needs(Feature::UPLOADED_SOURCE_URL, !request.code_source_url.is_empty()))
    }

    pub(super) fn version_call(&self, request: &UploadPipelineVersion) -> Result<Call> {
        let pipeline_id = path_id("pipeline_id", request.pipeline_id.as_str())?;
        let (operation, last) = ("pipelines.upload_version", "upload_version");
        let call = self.upload_call(operation, last, &request.name, &request.file)?;
        let call = call.needs(Feature::SHOWN_NAME, is_other_name(&request.display_name, &request.name));
        let call = labels(call, &request.display_name, &request.description, &request.tags)?;
        storable("code_source_url", &request.code_source_url)?;
        Ok(call
            .query("pipelineid", pipeline_id)
            .query("code_source_url", &request.code_source_url)
            .needs(Feature::UPLOADED_SOURCE_URL, !request.code_source_url.is_empty()))
    }

    fn upload_call(&self, operation: &'static str, last: &str, name: &str, file: &PipelinePackage) -> Result<Call> {
        // One less than the 128 the server states: the version takes the pipeline's name, and 127 is its limit.
        stored_text("name", name, 127, true)?;
        let path = [ROOT[0], ROOT[1], "pipelines", last];
        let call = Call::new(operation, Method::POST, &self.client.inner.base, &path)?.query("name", name);
        file.add_to(call)
    }
}

/// Checks labels.
pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<()> {
    let short = |text: &str| text.chars().count() <= 63;
    let fits = |(key, value): (&String, &String)| !key.is_empty() && short(key) && short(value) && !key.contains('.');
    if tags.len() > 20 || !tags.iter().all(fits) {
        return Err(Error::invalid(
            "tags",
            "at most 20, of at most 63 characters each, with keys that are not empty and without `.`",
        ));
    }
    tags.iter()
        .try_for_each(|(key, value)| storable("tags", key).and_then(|()| storable("tags", value)))
}

fn labels(call: Call, display_name: &str, description: &str, tags: &BTreeMap<String, String>) -> Result<Call> {
    stored_text("display_name", display_name, 127, false)?;
    storable("description", description)?;
    check_tags(tags)?;
    let call = call.needs(Feature::TAGS, !tags.is_empty());
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
