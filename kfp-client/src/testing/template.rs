//! Pipeline documents: telling the formats apart, and what the server checks in them.

use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use super::Generation;
use super::answer::Refusal;
use super::call::Json;
use super::schema::{Kind, Reader, Schema, camel, doubles};
use super::sources::{as_text, check_written};

/// A pipeline document that the server understood.
#[derive(Debug, Clone)]
pub(super) enum Template {
    /// The intermediate representation, and the Kubernetes settings beside it.
    Ir { spec: Value, platform: Option<Value> },
    /// An Argo workflow.
    Argo(Value),
}

/// Why a document is no pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Not even YAML. Servers of 2.x never answer an upload of such a text.
    Broken(String),
    Refused(String),
}

static TASK: Schema = Schema {
    name: "ml_pipelines.PipelineTaskSpec",
    fields: &[
        ("task_info", Kind::Any),
        ("inputs", Kind::Any),
        ("dependent_tasks", Kind::List(&Kind::Text)),
        ("caching_options", Kind::Any),
        ("component_ref", Kind::Any),
        ("trigger_policy", Kind::Any),
        ("artifact_iterator", Kind::Any),
        ("parameter_iterator", Kind::Any),
        ("retry_policy", Kind::Any),
        ("iterator_policy", Kind::Any),
    ],
    later: &[],
    one_of: &[],
};
static DAG: Schema = Schema {
    name: "ml_pipelines.DagSpec",
    fields: &[("tasks", Kind::Map(&Kind::Message(&TASK))), ("outputs", Kind::Any)],
    later: &[],
    one_of: &[],
};
static COMPONENT: Schema = Schema {
    name: "ml_pipelines.ComponentSpec",
    fields: &[
        ("input_definitions", Kind::Any),
        ("output_definitions", Kind::Any),
        ("dag", Kind::Message(&DAG)),
        ("executor_label", Kind::Text),
        ("single_platform_specs", Kind::Any),
        ("task_config_passthroughs", Kind::Any),
    ],
    later: &[],
    one_of: &[],
};
static INFO: Schema = Schema {
    name: "ml_pipelines.PipelineInfo",
    fields: &[
        ("name", Kind::Text),
        ("display_name", Kind::Text),
        ("description", Kind::Text),
    ],
    later: &[],
    one_of: &[],
};
static SPEC: Schema = Schema {
    name: "ml_pipelines.PipelineSpec",
    fields: &[
        ("pipeline_info", Kind::Message(&INFO)),
        ("deployment_spec", Kind::Struct),
        ("schema_version", Kind::Text),
        ("sdk_version", Kind::Text),
        ("components", Kind::Map(&Kind::Message(&COMPONENT))),
        ("root", Kind::Message(&COMPONENT)),
        ("default_pipeline_root", Kind::Text),
    ],
    later: &[],
    one_of: &[],
};

impl Template {
    /// Reads an uploaded document or a v1 manifest.
    pub(super) fn parse(text: &str, generation: Generation) -> Result<Self, Unfit> {
        let mut documents = Vec::new();
        for document in serde_norway::Deserializer::from_str(text) {
            let value = serde_norway::Value::deserialize(document).map_err(|error| Unfit::Broken(error.to_string()))?;
            documents.push(serde_json::to_value(value).map_err(|error| Unfit::Broken(error.to_string()))?);
        }
        Self::of(documents, generation).map_err(Unfit::Refused)
    }

    /// Reads the `pipeline_spec` of a request: bare, or wrapped together with a platform.
    pub(super) fn inline(value: &Value, generation: Generation) -> Result<Self, String> {
        let documents = match value.get("pipeline_spec") {
            Some(spec) => vec![spec.clone(), value.get("platform_spec").cloned().unwrap_or_default()],
            None => vec![value.clone()],
        };
        Self::of(documents, generation)
    }

    fn of(documents: Vec<Value>, generation: Generation) -> Result<Self, String> {
        let (mut spec, mut platform) = (None, None);
        for document in documents {
            let api = document.text("apiVersion");
            if api.starts_with("argoproj.io/") && document.text("kind") == "Workflow" {
                return Ok(Self::Argo(document));
            }
            if !generation.has_v2() {
                continue;
            }
            if let Some(read) = read_spec(&document) {
                if spec.replace(read).is_some() {
                    return Err("multiple pipeline specs provided".to_owned());
                }
            } else if document.get("platforms").is_some_and(Value::is_object) && platform.replace(document).is_some() {
                return Err("multiple platform specs provided".to_owned());
            }
        }
        let Some(spec) = spec else {
            return Err("unknown template format".to_owned());
        };
        let version = spec.text("schemaVersion");
        if version != "2.1.0" {
            return Err(format!(
                "KFP only supports schema version 2.1.0, but the pipeline spec has version {version}"
            ));
        }
        Ok(Self::Ir { spec, platform })
    }

    /// What is checked before a pipeline is stored, beyond reading it.
    pub(super) fn check_stored(&self, generation: Generation) -> Result<(), String> {
        let spec = match self {
            Self::Ir { spec, .. } => spec,
            Self::Argo(workflow) => {
                let parameters = workflow.at(&["spec", "arguments", "parameters"]);
                return parameters.map_or(Ok(()), |parameters| check_written(&written(parameters, generation)));
            }
        };
        let name = spec
            .at(&["pipelineInfo", "name"])
            .and_then(Value::as_str)
            .unwrap_or_default();
        let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        if name.len() > 128 || !name.starts_with(plain) || !name.chars().all(|letter| plain(letter) || letter == '-') {
            return Err(
                "pipeline's name must contain only lowercase alphanumeric characters or '-' and must start with \
                        alphanumeric characters"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// The name inside the document, of which workflows are named.
    pub(super) fn base_name(&self) -> String {
        let name = match self {
            Self::Ir { spec, .. } => spec
                .at(&["pipelineInfo", "name"])
                .and_then(Value::as_str)
                .unwrap_or("pipeline"),
            Self::Argo(workflow) => {
                let metadata = workflow.get("metadata").cloned().unwrap_or_default();
                let name = [metadata.text("generateName"), metadata.text("name")]
                    .into_iter()
                    .find(|name| !name.is_empty());
                return name.unwrap_or("workflow").trim_end_matches('-').to_owned();
            }
        };
        name.to_owned()
    }

    /// As a version's `pipeline_spec` shows it.
    pub(super) fn shown(&self) -> Value {
        match self {
            Self::Ir { spec, platform: None } => spec.clone(),
            Self::Ir {
                spec,
                platform: Some(platform),
            } => json!({"pipeline_spec": spec, "platform_spec": platform}),
            Self::Argo(workflow) => workflow.clone(),
        }
    }

    /// An Argo workflow as it looks after the server's types: empty structures appear.
    pub(super) fn stored(self, generation: Generation) -> Self {
        let Self::Argo(mut workflow) = self else { return self };
        if let Some(map) = workflow.as_object_mut() {
            map.entry("status")
                .or_insert_with(|| json!({"finishedAt": null, "startedAt": null}));
            if !generation.new_gateway()
                && let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut)
            {
                metadata.entry("creationTimestamp").or_insert(Value::Null);
            }
        }
        let templates = workflow.pointer_mut("/spec/templates").and_then(Value::as_array_mut);
        for template in templates.into_iter().flatten().filter_map(Value::as_object_mut) {
            for key in ["inputs", "metadata", "outputs"] {
                template.entry(key).or_insert_with(|| json!({}));
            }
            if let Some(container) = template.get_mut("container").and_then(Value::as_object_mut) {
                container.entry("name").or_insert_with(|| "".into());
                container.entry("resources").or_insert_with(|| json!({}));
            }
            let tasks = template
                .get_mut("dag")
                .and_then(|dag| dag.get_mut("tasks"))
                .and_then(Value::as_array_mut);
            for task in tasks.into_iter().flatten().filter_map(Value::as_object_mut) {
                task.entry("arguments").or_insert_with(|| json!({}));
            }
        }
        Self::Argo(workflow)
    }

    /// The parameters that v1 pipelines and versions show: those of an Argo workflow.
    pub(super) fn v1_parameters(&self) -> Vec<Value> {
        let Self::Argo(workflow) = self else { return Vec::new() };
        let parameters = workflow
            .at(&["spec", "arguments"])
            .map(|arguments| arguments.items("parameters"));
        let shown = parameters.unwrap_or_default().iter().map(|parameter| {
            let message = super::answer::Message::new().text("name", parameter.text("name"));
            message.text("value", parameter.text("value")).done()
        });
        shown.collect()
    }

    /// The document as text: YAML of the specs, JSON of a workflow.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Ir { spec, platform } => {
                let mut text = serde_norway::to_string(spec).unwrap_or_default();
                if let Some(platform) = platform {
                    text.push_str("---\n");
                    text.push_str(&serde_norway::to_string(platform).unwrap_or_default());
                }
                text
            }
            Self::Argo(workflow) => workflow.to_string(),
        }
    }

    /// Checks the parameters of a run.
    pub(super) fn check_parameters(&self, given: &Map<String, Value>) -> Result<(), Refusal> {
        match self {
            Self::Ir { spec, .. } => check_ir(spec, given),
            Self::Argo(_) => {
                let known = self.v1_parameters();
                let stranger = given
                    .keys()
                    .find(|name| !known.iter().any(|known| known.text("name") == *name));
                stranger.map_or(Ok(()), |name| {
                    Err(Refusal::invalid(format!("Unrecognized input parameter: {name}")))
                })
            }
        }
    }

    /// What the compiler of workflows refuses.
    pub(super) fn check_compiles(&self) -> Result<(), String> {
        match self {
            Self::Ir { spec, .. } => check_component(spec, "root", spec.get("root")),
            Self::Argo(_) => Ok(()),
        }
    }
}

/// The parameters of a workflow as a server keeps them beside it: those of 2.x keep names and values only.
fn written(parameters: &Value, generation: Generation) -> Value {
    let parameters = parameters.as_array().map(Vec::as_slice).unwrap_or_default();
    let kept = |key: &str| !generation.has_v2() || matches!(key, "name" | "default" | "value");
    let written = parameters.iter().filter_map(Value::as_object).map(|parameter| {
        let fields = parameter.iter().filter(|(key, _)| kept(key));
        let text = |(key, value): (&String, &Value)| {
            let plain = matches!(key.as_str(), "default" | "value");
            (key.clone(), if plain { as_text(value).into() } else { value.clone() })
        };
        Value::Object(fields.map(text).collect())
    });
    written.collect()
}

fn check_ir(spec: &Value, given: &Map<String, Value>) -> Result<(), Refusal> {
    let outer = |refusal: Refusal| refuse_inputs(refusal);
    let empty = Map::new();
    let definitions = spec
        .at(&["root", "inputDefinitions", "parameters"])
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    for (name, definition) in definitions {
        let optional = definition
            .get("isOptional")
            .and_then(Value::as_bool)
            .unwrap_or_default();
        match given.get(name) {
            None if optional || definition.get("defaultValue").is_some() => {}
            None => {
                let text =
                    format!("parameter {name} is not optional, yet has neither default value nor user provided value");
                return Err(outer(Refusal::invalid(text)));
            }
            Some(value) => check_type(name, definition, value).map_err(outer)?,
        }
    }
    let strangers: Vec<&str> = given
        .keys()
        .filter(|name| !definitions.contains_key(*name))
        .map(String::as_str)
        .collect();
    if strangers.is_empty() {
        return Ok(());
    }
    let text = format!(
        "parameter(s) provided are not required by pipeline: {}",
        strangers.join(", ")
    );
    Err(outer(Refusal::invalid(text)))
}

fn refuse_inputs(refusal: Refusal) -> Refusal {
    refusal.context("Failed to generate the ExecutionSpec: invalid pipeline job inputs")
}

/// Any number is taken for an integer, also a broken one.
fn check_type(name: &str, definition: &Value, value: &Value) -> Result<(), Refusal> {
    let (fits, text) = match definition.text("parameterType") {
        "NUMBER_INTEGER" | "NUMBER_DOUBLE" => (
            value.is_number(),
            "double or integer, but the parameter value is not of number value type",
        ),
        "BOOLEAN" => (
            value.is_boolean(),
            "bool, but the input parameter is not of bool value type",
        ),
        "LIST" => (
            value.is_array(),
            "list, but the input parameter is not of list value type",
        ),
        "STRUCT" => (
            value.is_object(),
            "struct, but the input parameter is not of struct value type",
        ),
        "STRING" => (
            value.is_string(),
            "string, but the input parameter is not of string value type",
        ),
        "TASK_FINAL_STATUS" => (false, "TASK_FINAL_STATUS, which is invalid for root component"),
        "" | "PARAMETER_TYPE_ENUM_UNSPECIFIED" => {
            let text = format!("input parameter {name} has unspecified type");
            return Err(Refusal::invalid(text));
        }
        _ => (false, "unknown"),
    };
    if !fits {
        return Err(Refusal::invalid(format!("input parameter {name} requires type {text}")));
    }
    let literals = definition.items("literals");
    if literals.is_empty() || literals.iter().any(|literal| doubles(literal) == doubles(value)) {
        return Ok(());
    }
    let allowed: Vec<String> = literals.iter().map(printed).collect();
    let text = format!(
        "input parameter {name:?} value {} does not match any of the allowed literal values: [{}]",
        printed(value),
        allowed.join(" ")
    );
    Err(Refusal::invalid(text))
}

/// A value as Go prints the message that holds it.
fn printed(value: &Value) -> String {
    match value {
        Value::String(text) => format!("string_value:{text:?}"),
        Value::Number(number) => format!("number_value:{number}"),
        Value::Bool(flag) => format!("bool_value:{flag}"),
        other => other.to_string(),
    }
}

fn check_component(spec: &Value, name: &str, component: Option<&Value>) -> Result<(), String> {
    let refuse = |text: &str| {
        Err(format!(
            "error processing component name={name:?}: {text}\nFailed to compile job"
        ))
    };
    let Some(component) = component else {
        return refuse("component not found");
    };
    let Some(dag) = component.get("dag") else {
        if name == "root" {
            return refuse("unknown component implementation: ");
        }
        let label = component.text("executorLabel");
        return match spec.at(&["deploymentSpec", "executors", label]) {
            Some(executor) if executor.get("container").is_some() || executor.get("importer").is_some() => Ok(()),
            Some(_) => refuse("unsupported executor"),
            None => refuse(&format!("executor {label:?} not found")),
        };
    };
    let tasks = dag.members("tasks");
    let is_exit = |task: &Value| {
        task.at(&["triggerPolicy", "strategy"]).and_then(Value::as_str) == Some("ALL_UPSTREAM_TASKS_COMPLETED")
    };
    if tasks.iter().all(|(_, task)| is_exit(task)) {
        return refuse("DAG has no tasks");
    }
    for (_, task) in tasks {
        let next = task
            .at(&["componentRef", "name"])
            .and_then(Value::as_str)
            .unwrap_or_default();
        check_component(spec, next, spec.at(&["components", next]))?;
    }
    Ok(())
}

/// Reads an IR document strictly; `None` if it is something else.
fn read_spec(document: &Value) -> Option<Value> {
    let reader = Reader {
        source: "",
        strict: true,
        protojson: true,
        generation: Generation::default(),
    };
    let read = reader.message(&SPEC, document).ok()?;
    let named = !read.at(&["pipeline_info", "name"])?.as_str()?.is_empty();
    (named && read.get("root").is_some()).then(|| canonical(&Kind::Message(&SPEC), &read))
}

/// Writes the known fields in camelCase, as the server gives them back.
fn canonical(kind: &Kind, value: &Value) -> Value {
    match (kind, value) {
        (Kind::Message(schema), Value::Object(map)) => {
            let field = |(key, value): (&String, &Value)| {
                let kind = schema
                    .fields
                    .iter()
                    .find(|(name, _)| name == key)
                    .map_or(Kind::Any, |(_, kind)| *kind);
                (camel(key), canonical(&kind, value))
            };
            Value::Object(map.iter().map(field).collect())
        }
        (Kind::Map(kind), Value::Object(map)) => Value::Object(
            map.iter()
                .map(|(key, value)| (key.clone(), canonical(kind, value)))
                .collect(),
        ),
        (Kind::Any, value) => doubles(value),
        (_, value) => value.clone(),
    }
}
