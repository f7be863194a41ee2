//! A pipeline with its platform settings, read and written.

use serde::{Serialize, Serializer, de::DeserializeOwned, ser::SerializeMap};
use serde_json::Value;

use super::{error::Error, object::Field, platform::PlatformSpec, spec::PipelineSpec, validate, yaml};
use crate::json_path::{self, Misread};

/// A pipeline: its specification, and its settings for Kubernetes if it has any.
///
/// It is [serialized](Serialize) as it is sent with a run: the specification alone, or `{pipeline_spec, platform_spec}`.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct PipelineDocument {
    /// What is executed.
    pub pipeline_spec: PipelineSpec,
    /// What only Kubernetes understands.
    pub platform_spec: Option<PlatformSpec>,
}

impl Serialize for PipelineDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(platform) = self.platform() else {
            return self.pipeline_spec.serialize(serializer);
        };
        let mut both = serializer.serialize_map(Some(2))?;
        both.serialize_entry("pipeline_spec", &self.pipeline_spec)?;
        both.serialize_entry("platform_spec", platform)?;
        both.end()
    }
}

impl PipelineDocument {
    /// A pipeline without platform settings.
    pub fn new(pipeline_spec: PipelineSpec) -> Self {
        Self {
            pipeline_spec,
            platform_spec: None,
        }
    }

    /// Reads YAML or JSON: a specification, a specification and platform settings as two documents in any order, or
    /// both in one object `{pipeline_spec, platform_spec}`. Names of fields may be in camelCase, as all compilers write
    /// them, or in `snake_case`. Does not [`validate`](Self::validate).
    ///
    /// # Errors
    ///
    /// If the text is not well-formed or is something else, e.g. an Argo workflow.
    pub fn from_yaml(text: &str) -> Result<Self, Error> {
        let mut documents =
            yaml::documents(text).map_err(|error| Error::new("document", format!("YAML or JSON: {error}")))?;
        match documents.len() {
            1 => Self::from_json(documents.remove(0)),
            2 => {
                let platform = documents.remove(1);
                let spec = documents.remove(0);
                let (spec, platform) = if spec.get("platforms").is_some() {
                    (platform, spec)
                } else {
                    (spec, platform)
                };
                Self::from_parts(&spec, Some(platform))
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
            return Self::from_parts(&spec, platform);
        }
        Self::from_parts(&value, None)
    }

    fn from_parts(spec: &Value, platform: Option<Value>) -> Result<Self, Error> {
        if spec.get("apiVersion").is_some() {
            return Err(Error::new("document", "a pipeline specification, not an Argo workflow"));
        }
        if spec.get("implementation").is_some() {
            return Err(Error::new(
                "document",
                "a pipeline specification, not a component of KFP 1",
            ));
        }
        if spec.get("pipelineInfo").or_else(|| spec.get("pipeline_info")).is_none() {
            return Err(Error::new("pipelineInfo", "present"));
        }
        let platform = match platform {
            None => None,
            // Anything else beside a specification is passed over by the server, and would be lost here.
            Some(platform) if platform.get("platforms").is_none() => {
                return Err(Error::new("platform_spec.platforms", "present"));
            }
            Some(platform) => {
                let platform: PlatformSpec = parse(&platform).map_err(|fault| fault.within("platform_spec"))?;
                Some(platform).filter(|platform| !platform.is_unset())
            }
        };
        let pipeline_spec: PipelineSpec = parse(spec)?;
        // What is unset is not written, and without it the document would not be taken for a pipeline again.
        if pipeline_spec.pipeline_info.is_unset() {
            return Err(Error::new("pipelineInfo.name", "present"));
        }
        Ok(Self {
            pipeline_spec,
            platform_spec: platform,
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

    /// The platform settings, if there are any.
    fn platform(&self) -> Option<&PlatformSpec> {
        self.platform_spec.as_ref().filter(|platform| !platform.is_unset())
    }

    /// The specification, and the platform settings if there are any.
    pub(crate) fn to_documents(&self) -> Vec<Value> {
        // Neither has a map with keys other than text, nor anything else that JSON cannot hold.
        let spec = serde_json::to_value(&self.pipeline_spec).unwrap_or_default();
        let platform = self.platform();
        let platform = platform.map(|platform| serde_json::to_value(platform).unwrap_or_default());
        std::iter::once(spec).chain(platform).collect()
    }

    /// As it is sent with a run: the specification alone, or `{pipeline_spec, platform_spec}`.
    pub fn to_wire(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The same as JSON text that is YAML too; faster than by way of a [`Value`].
    pub fn to_json(&self) -> String {
        yaml::json(self)
    }

    /// As YAML, in two documents if there are platform settings. All readers of YAML 1.1 and 1.2 take it alike.
    pub fn to_yaml(&self) -> String {
        let spec = yaml::write(&self.pipeline_spec);
        match self.platform() {
            Some(platform) => spec + "---\n" + &yaml::write(platform),
            None => spec,
        }
    }
}

fn parse<T: DeserializeOwned>(value: &Value) -> Result<T, Error> {
    json_path::read_value(value)
        .map_err(|Misread { path, error }| Error::new(path, format!("of the right type: {error}")))
}
