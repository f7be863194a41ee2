//! A pipeline with its platform settings, read and written.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    error::Error,
    platform::PlatformSpec,
    spec::{PipelineSpec, is_default},
    validate,
};

/// A pipeline: its specification, and its settings for Kubernetes if it has any.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct PipelineDocument {
    /// What is executed.
    pub pipeline_spec: PipelineSpec,
    /// What only Kubernetes understands.
    pub platform_spec: Option<PlatformSpec>,
}

impl PipelineDocument {
    /// A pipeline without platform settings.
    pub fn new(pipeline_spec: PipelineSpec) -> Self {
        Self {
            pipeline_spec,
            platform_spec: None,
        }
    }

    /// Reads YAML or JSON: a specification, a specification and platform settings as two documents, or both in one
    /// object `{pipeline_spec, platform_spec}`. Does not [`validate`](Self::validate).
    ///
    /// # Errors
    ///
    /// If the text is not well-formed or is something else, e.g. an Argo workflow.
    pub fn from_yaml(text: &str) -> Result<Self, Error> {
        let mut documents =
            yaml_documents(text).map_err(|error| Error::new("document", format!("YAML or JSON: {error}")))?;
        match documents.len() {
            1 => Self::from_json(documents.remove(0)),
            2 => {
                let platform = documents.remove(1);
                let spec = documents.remove(0);
                // The server takes the two in any order.
                let (spec, platform) = if spec.get("platforms").is_some() {
                    (platform, spec)
                } else {
                    (spec, platform)
                };
                Self::from_parts(spec, Some(platform))
            }
            count => Err(Error::new(
                "document",
                format!("one or two YAML documents, not {count}"),
            )),
        }
    }

    /// Reads a specification, or `{pipeline_spec, platform_spec}`, as the server sends it.
    ///
    /// # Errors
    ///
    /// If it is something else, e.g. an Argo workflow.
    pub fn from_json(mut value: Value) -> Result<Self, Error> {
        if let Some(wrapper) = value.as_object_mut()
            && let Some(spec) = wrapper.remove("pipeline_spec")
        {
            let platform = wrapper.remove("platform_spec").filter(|platform| !platform.is_null());
            return Self::from_parts(spec, platform);
        }
        Self::from_parts(value, None)
    }

    fn from_parts(spec: Value, platform: Option<Value>) -> Result<Self, Error> {
        if spec.get("apiVersion").is_some() {
            return Err(Error::new("document", "a pipeline specification, not an Argo workflow"));
        }
        if spec.get("implementation").is_some() {
            return Err(Error::new(
                "document",
                "a pipeline specification, not a component of KFP 1",
            ));
        }
        if spec.get("pipelineInfo").is_none() {
            return Err(Error::new("pipelineInfo", "present"));
        }
        Ok(Self {
            pipeline_spec: parse("", spec)?,
            platform_spec: platform.map(|platform| parse("platform_spec.", platform)).transpose()?,
        })
    }

    /// Checks the rules by which the server takes and compiles a pipeline, and those its steps would stumble over.
    ///
    /// # Errors
    ///
    /// The first fault, with its path.
    pub fn validate(&self) -> Result<(), Error> {
        validate::document(self)
    }

    /// The specification, and the platform settings if there are any.
    pub(crate) fn to_documents(&self) -> Vec<Value> {
        let platform = self.platform_spec.as_ref().filter(|platform| !is_default(*platform));
        // Neither has a map with keys other than text, nor anything else that JSON cannot hold.
        let spec = serde_json::to_value(&self.pipeline_spec).unwrap_or_default();
        let platform = platform.map(|platform| serde_json::to_value(platform).unwrap_or_default());
        std::iter::once(spec).chain(platform).collect()
    }

    /// As it is sent with a run: the specification alone, or `{pipeline_spec, platform_spec}`.
    pub fn to_wire(&self) -> Value {
        let mut documents = self.to_documents();
        match (documents.pop(), documents.pop()) {
            (Some(platform), Some(spec)) => json!({ "pipeline_spec": spec, "platform_spec": platform }),
            (Some(spec), None) => spec,
            (None, _) => Value::Null,
        }
    }

    /// As YAML, in two documents if there are platform settings.
    pub fn to_yaml(&self) -> String {
        let mut documents = Vec::new();
        documents.push(serde_norway::to_string(&self.pipeline_spec).unwrap_or_default());
        if let Some(platform) = self.platform_spec.as_ref().filter(|platform| !is_default(*platform)) {
            documents.push(serde_norway::to_string(platform).unwrap_or_default());
        }
        documents.join("---\n")
    }
}

fn parse<T: DeserializeOwned>(prefix: &str, value: Value) -> Result<T, Error> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = format!("{prefix}{}", error.path());
        Error::new(path, format!("of the right type: {}", error.into_inner()))
    })
}

/// All documents of a YAML text that are not empty.
pub(crate) fn yaml_documents(text: &str) -> Result<Vec<Value>, serde_norway::Error> {
    use serde::Deserialize;
    let mut documents = Vec::new();
    for document in serde_norway::Deserializer::from_str(text) {
        match Value::deserialize(document)? {
            Value::Null => {}
            value => documents.push(value),
        }
    }
    Ok(documents)
}
