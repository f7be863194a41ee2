//! The rules by which the server takes and compiles a pipeline, and those its steps would stumble over.

mod executor;
mod graph;
mod path;

use super::{
    SCHEMA_VERSION,
    document::PipelineDocument,
    error::Error,
    platform::PlatformSpec,
    spec::{ComponentSpec, PipelineSpec},
};
use path::Path;

pub(crate) const PIPELINE_NAME_RULE: &str = "1 to 128 of a-z, 0-9 and `-`, not starting with `-`";

pub(crate) fn is_pipeline_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=128).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-')
}

type Checked = Result<(), Error>;

/// A document whose references are looked up.
#[derive(Clone, Copy)]
struct Document<'a> {
    spec: &'a PipelineSpec,
    platform: Option<&'a PlatformSpec>,
}

pub(crate) fn document(document: &PipelineDocument) -> Checked {
    let spec = &document.pipeline_spec;
    let whole = Document {
        spec,
        platform: document.platform_spec.as_ref(),
    };
    Path::new("schemaVersion").require(spec.schema_version == SCHEMA_VERSION, || {
        format!("\"{SCHEMA_VERSION}\"")
    })?;
    Path::new("pipelineInfo.name").require(is_pipeline_name(&spec.pipeline_info.name), || PIPELINE_NAME_RULE)?;
    if let Some(field) = spec.extra.keys().next() {
        return Path::new(field).fault("left out: the server knows no such field");
    }
    Path::new("root.dag").require(spec.root.dag.is_some(), || "present")?;
    Path::new("components.root").require(
        !spec.components.contains_key("root"),
        || "of another name: `root` is reserved",
    )?;
    for (name, parameter) in &spec.root.input_definitions.parameters {
        let path = Path::new("root.inputDefinitions.parameters");
        let path = path.at(name);
        path.at("parameterType")
            .require(parameter.parameter_type.is_some(), || "present")?;
    }
    executor::executors(spec)?;
    whole.component(&Path::new("root"), &spec.root)?;
    let components = Path::new("components");
    for (name, component) in &spec.components {
        whole.component(&components.at(name), component)?;
    }
    match whole.platform {
        Some(platform) => executor::platform(platform, spec),
        None => Ok(()),
    }
}

impl<'a> Document<'a> {
    fn component(&self, path: &Path<'_>, component: &'a ComponentSpec) -> Checked {
        match (&component.dag, component.executor_label.as_str()) {
            (Some(graph), "") => graph::check(*self, path, component, graph),
            (None, label) if !label.is_empty() => {
                let Some(executor) = self.spec.deployment_spec.executors.get(label) else {
                    return path
                        .at("executorLabel")
                        .fault(format!("the label of an executor, not `{label}`"));
                };
                match &executor.container {
                    Some(container) => executor::placeholders(label, component, container),
                    None => Ok(()),
                }
            }
            _ => path.fault("a graph (`dag`) or an executor (`executorLabel`), not both"),
        }
    }
}
