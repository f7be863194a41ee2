//! What a run or a job executes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::references::ResourceReference;
use crate::{
    argo,
    error::{Error, Result},
    ids::{PipelineId, PipelineVersionId},
    ir,
    message::message,
    version::ServerVersion,
};

/// Most bytes of all text parameters together, counted as the JSON that servers keep.
const MAX_PARAMETERS: usize = 10_000;

/// First release whose administrators can set another limit.
const MOVABLE_LIMIT: ServerVersion = ServerVersion::new(2, 16, 0);

message! {
    /// A parameter of an Argo workflow, or the value of one.
    pub struct Parameter {
        /// Name.
        name: String,
        /// Value or default. Text, whatever it stands for.
        value: String,
    }
}

message! {
    /// What a run or a job executes, as the server reports it.
    pub struct PipelineSpec {
        /// The stored pipeline, if it is one.
        pipeline_id: PipelineId,
        /// Its name.
        pipeline_name: String,
        /// The Argo workflow as JSON text; see [`argo::Workflow::from_json`].
        workflow_manifest: String,
        /// The pipeline in the newer format as YAML or JSON text (from KFP 2.0 on); see
        /// [`PipelineDocument::from_yaml`](ir::PipelineDocument::from_yaml).
        pipeline_manifest: String,
        /// Values of an Argo workflow's parameters.
        parameters: Vec<Parameter>,
        /// Values for a pipeline in the newer format (from KFP 2.0 on).
        runtime_config: Option<RuntimeConfig>,
    }
}

message! {
    /// Values for a pipeline in the newer format (from KFP 2.0 on).
    pub struct RuntimeConfig {
        /// The pipeline's parameters as they were given; defaults are not filled in.
        parameters: Map<String, Value>,
        /// Where artifacts are kept; empty for the server's default.
        pipeline_root: String,
    }
}

/// What a run or a job shall execute.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Source {
    /// An Argo workflow; checked before it is sent.
    Workflow(Box<argo::Workflow>),
    /// A pipeline in the newer format (from KFP 2.0 on); checked before it is sent.
    Document(Box<ir::PipelineDocument>),
    /// A pipeline stored on the server.
    Stored {
        /// The pipeline, in its default version unless one is named.
        pipeline_id: Option<PipelineId>,
        /// The version.
        pipeline_version_id: Option<PipelineVersionId>,
    },
}

impl From<argo::Workflow> for Source {
    fn from(workflow: argo::Workflow) -> Self {
        Self::Workflow(Box::new(workflow))
    }
}

impl From<ir::PipelineDocument> for Source {
    fn from(document: ir::PipelineDocument) -> Self {
        Self::Document(Box::new(document))
    }
}

impl From<PipelineVersionId> for Source {
    fn from(version: PipelineVersionId) -> Self {
        Self::Stored {
            pipeline_id: None,
            pipeline_version_id: Some(version),
        }
    }
}

impl From<PipelineId> for Source {
    fn from(pipeline: PipelineId) -> Self {
        Self::Stored {
            pipeline_id: Some(pipeline),
            pipeline_version_id: None,
        }
    }
}

/// Bytes of a text in JSON as Go writes it, with its quotes.
fn json_len(text: &str) -> usize {
    let letters = text.chars().map(|letter| match letter {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    });
    2 + letters.sum::<usize>()
}

/// A source with the values for it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub(super) source: Source,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) runtime_config: RuntimeConfig,
}

impl Plan {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            parameters: BTreeMap::new(),
            runtime_config: RuntimeConfig::default(),
        }
    }

    /// Whether it says something that only servers of the newer format understand.
    pub(super) fn is_newer_format(&self) -> bool {
        matches!(self.source, Source::Document(_)) || self.runtime_config != RuntimeConfig::default()
    }

    /// Refuses more text parameters than the server takes. Where the limit can be another one, the server decides.
    pub(super) fn check_size(&self, server: Option<ServerVersion>) -> Result<()> {
        if server.is_some_and(|server| server >= MOVABLE_LIMIT) {
            return Ok(());
        }
        // `[{"name":"n","value":"v"}]`; servers of 1.8 leave empty values out.
        let one = |(name, value): (&String, &String)| {
            let value = if value.is_empty() { 0 } else { 9 + json_len(value) };
            10 + json_len(name) + value
        };
        let size = 1 + self.parameters.iter().map(one).sum::<usize>().max(1);
        if size > MAX_PARAMETERS {
            return Err(Error::invalid(
                "parameters",
                format!("at most {MAX_PARAMETERS} bytes of JSON, not {size}"),
            ));
        }
        Ok(())
    }

    /// Checks everything else and writes it down: the specification, and the reference to a stored version.
    pub(super) fn build(self) -> Result<(Option<PipelineSpec>, Option<ResourceReference>)> {
        let mut spec = PipelineSpec::default();
        let mut reference = None;
        match self.source {
            Source::Workflow(workflow) => {
                workflow
                    .validate()
                    .map_err(|error| Error::invalid(error.path().to_owned(), error.rule().to_owned()))?;
                if let Some(name) = self.parameters.keys().find(|name| !workflow.has_parameter(name)) {
                    return Err(Error::invalid(
                        format!("parameters.{name}"),
                        "a parameter of the workflow",
                    ));
                }
                spec.workflow_manifest = workflow.to_json();
            }
            Source::Document(document) => {
                document
                    .validate()
                    .map_err(|error| Error::invalid(error.path().to_owned(), error.rule().to_owned()))?;
                let documents: Vec<String> = document.to_documents().iter().map(Value::to_string).collect();
                spec.pipeline_manifest = documents.join("\n---\n");
                if let Some(name) = self.parameters.keys().next() {
                    return Err(Error::invalid(
                        format!("parameters.{name}"),
                        "a runtime parameter: text parameters are those of Argo workflows",
                    ));
                }
            }
            Source::Stored {
                pipeline_id,
                pipeline_version_id,
            } => {
                if pipeline_id.is_none() && pipeline_version_id.is_none() {
                    return Err(Error::invalid("source", "a pipeline id, a version id, or both"));
                }
                spec.pipeline_id = pipeline_id.unwrap_or_default();
                reference = pipeline_version_id.map(ResourceReference::pipeline_version);
            }
        }
        let null = self.runtime_config.parameters.iter().find(|(_, value)| value.is_null());
        if let Some((name, _)) = null {
            return Err(Error::invalid(format!("runtime_config.parameters.{name}"), "not null"));
        }
        spec.parameters = self
            .parameters
            .into_iter()
            .map(|(name, value)| Parameter {
                name,
                value,
                ..Parameter::default()
            })
            .collect();
        spec.runtime_config = Some(self.runtime_config).filter(|config| *config != RuntimeConfig::default());
        let spec = Some(spec).filter(|spec| *spec != PipelineSpec::default());
        Ok((spec, reference))
    }
}
