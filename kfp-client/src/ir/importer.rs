//! Files that are there already.

use serde_json::{Map, Value};

use super::{
    source::ParameterSource,
    spec::{
        ArtifactSpec, ComponentInputs, ComponentOutputs, ComponentSpec, ExecutorSpec, ImporterSpec, ParameterSpec,
        ParameterType, RuntimeValue,
    },
};

/// Takes a file that is there already; for [`TaskBuilder::importer`](super::TaskBuilder::importer).
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct ImporterComponent {
    pub(crate) uri: ParameterSource,
    artifact: ArtifactSpec,
    reimport: bool,
    metadata: Map<String, Value>,
    download_to_workspace: bool,
}

impl ImporterComponent {
    /// The file at this address, as a file of this type, e.g. `system.Dataset`.
    pub fn new(uri: impl Into<ParameterSource>, schema_title: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            artifact: ArtifactSpec::new(schema_title),
            reimport: false,
            metadata: Map::new(),
            download_to_workspace: false,
        }
    }

    /// Whether it is taken anew each time instead of once.
    pub fn reimport(mut self, reimport: bool) -> Self {
        self.reimport = reimport;
        self
    }

    /// Notes something with it.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Copies it into the workspace of the run (from KFP 2.16 on).
    pub fn download_to_workspace(mut self, download: bool) -> Self {
        self.download_to_workspace = download;
        self
    }

    pub(crate) fn into_parts(self, label: String) -> (ComponentSpec, ExecutorSpec) {
        let artifact_uri = match self.uri.as_text() {
            Some(uri) => RuntimeValue {
                constant: Some(uri.into()),
                ..RuntimeValue::default()
            },
            None => RuntimeValue {
                runtime_parameter: Some("uri".to_owned()),
                ..RuntimeValue::default()
            },
        };
        let executor = ExecutorSpec {
            importer: Some(ImporterSpec {
                artifact_uri,
                type_schema: Some(self.artifact.artifact_type.clone()),
                reimport: self.reimport,
                metadata: self.metadata,
                download_to_workspace: self.download_to_workspace,
                ..ImporterSpec::default()
            }),
            ..ExecutorSpec::default()
        };
        let mut inputs = ComponentInputs::default();
        inputs
            .parameters
            .insert("uri".to_owned(), ParameterSpec::new(ParameterType::String));
        let mut outputs = ComponentOutputs::default();
        outputs.artifacts.insert("artifact".to_owned(), self.artifact);
        let component = ComponentSpec {
            input_definitions: inputs,
            output_definitions: outputs,
            executor_label: label,
            ..ComponentSpec::default()
        };
        (component, executor)
    }
}
