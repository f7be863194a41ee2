//! The rules by which the server takes and compiles a pipeline.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    SCHEMA_VERSION,
    document::PipelineDocument,
    error::Error,
    spec::{
        ArtifactInput, ComponentSpec, ContainerSpec, Dag, ParameterInput, ParameterSpec, ParameterType, PipelineSpec,
        Task, TriggerStrategy,
    },
};

pub(crate) const PIPELINE_NAME_RULE: &str = "1 to 128 of a-z, 0-9 and `-`, not starting with `-`";

pub(crate) fn is_pipeline_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=128).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-')
}

fn fault<T>(path: impl Into<String>, rule: impl Into<String>) -> Result<T, Error> {
    Err(Error::new(path, rule.into()))
}

pub(crate) fn document(document: &PipelineDocument) -> Result<(), Error> {
    let spec = &document.pipeline_spec;
    if spec.schema_version != SCHEMA_VERSION {
        return fault("schemaVersion", format!("\"{SCHEMA_VERSION}\""));
    }
    if !is_pipeline_name(&spec.pipeline_info.name) {
        return fault("pipelineInfo.name", PIPELINE_NAME_RULE);
    }
    if let Some(field) = spec.extra.keys().next() {
        return fault(field, "left out: the server knows no such field");
    }
    if spec.root.dag.is_none() {
        return fault("root.dag", "present");
    }
    if spec.components.contains_key("root") {
        return fault("components.root", "of another name: `root` is reserved");
    }
    for (name, parameter) in &spec.root.input_definitions.parameters {
        if parameter.parameter_type.is_none() {
            return fault(
                format!("root.inputDefinitions.parameters.{name}.parameterType"),
                "present",
            );
        }
    }
    for (label, executor) in &spec.deployment_spec.executors {
        let path = format!("deploymentSpec.executors.{label}");
        match (&executor.container, &executor.importer) {
            (Some(container), None) if container.image.is_empty() => {
                return fault(format!("{path}.container.image"), "not empty");
            }
            (Some(_), None) | (None, Some(_)) => {}
            _ => return fault(path, "a container or an importer: the server runs nothing else"),
        }
    }
    component(spec, "root", &spec.root)?;
    for (name, component_spec) in &spec.components {
        component(spec, &format!("components.{name}"), component_spec)?;
    }
    let platforms = document.platform_spec.iter().flat_map(|platform| &platform.platforms);
    for (platform, settings) in platforms {
        for label in settings.deployment_spec.executors.keys() {
            if !spec.deployment_spec.executors.contains_key(label) {
                let path = format!("platform_spec.platforms.{platform}.deploymentSpec.executors.{label}");
                return fault(path, "the label of an executor of the specification");
            }
        }
    }
    Ok(())
}

fn component(spec: &PipelineSpec, path: &str, component: &ComponentSpec) -> Result<(), Error> {
    match (&component.dag, component.executor_label.as_str()) {
        (Some(graph), "") => dag(spec, path, component, graph),
        (None, label) if !label.is_empty() => {
            let Some(executor) = spec.deployment_spec.executors.get(label) else {
                return fault(
                    format!("{path}.executorLabel"),
                    format!("the label of an executor, not `{label}`"),
                );
            };
            match &executor.container {
                Some(container) => placeholders(&format!("deploymentSpec.executors.{label}"), component, container),
                None => Ok(()),
            }
        }
        _ => fault(path, "a graph (`dag`) or an executor (`executorLabel`), not both"),
    }
}

fn dag(spec: &PipelineSpec, path: &str, owner: &ComponentSpec, graph: &Dag) -> Result<(), Error> {
    let is_exit = |task: &Task| {
        let strategy = task.trigger_policy.as_ref().and_then(|policy| policy.strategy.as_ref());
        strategy == Some(&TriggerStrategy::AllUpstreamTasksCompleted)
    };
    if graph.tasks.values().all(is_exit) {
        return fault(format!("{path}.dag.tasks"), "at least one task that is no exit task");
    }
    let mut edges = BTreeMap::new();
    for (key, task_spec) in &graph.tasks {
        let scope = Scope {
            spec,
            owner,
            graph,
            path: format!("{path}.dag.tasks.{key}"),
        };
        edges.insert(key.as_str(), scope.task(task_spec)?);
    }
    acyclic(path, &edges)?;
    for (name, output) in &graph.outputs.parameters {
        let oneof = output
            .value_from_oneof
            .iter()
            .flat_map(|oneof| &oneof.parameter_selectors);
        for selector in output.value_from_parameter.iter().chain(oneof) {
            subtask(
                graph,
                &format!("{path}.dag.outputs.parameters.{name}"),
                &selector.producer_subtask,
            )?;
        }
    }
    for (name, output) in &graph.outputs.artifacts {
        for selector in &output.artifact_selectors {
            subtask(
                graph,
                &format!("{path}.dag.outputs.artifacts.{name}"),
                &selector.producer_subtask,
            )?;
        }
    }
    Ok(())
}

fn subtask(graph: &Dag, path: &str, task: &str) -> Result<(), Error> {
    if graph.tasks.contains_key(task) {
        return Ok(());
    }
    fault(path, format!("from a task of this graph, not `{task}`"))
}

/// One task and where it stands.
struct Scope<'a> {
    spec: &'a PipelineSpec,
    owner: &'a ComponentSpec,
    graph: &'a Dag,
    path: String,
}

impl<'a> Scope<'a> {
    /// Checks the task and returns the tasks it waits for.
    fn task(&self, task: &'a Task) -> Result<BTreeSet<&'a str>, Error> {
        let path = &self.path;
        let name = &task.component_ref.name;
        let Some(target) = self.spec.components.get(name) else {
            return fault(
                format!("{path}.componentRef.name"),
                format!("the name of a component, not `{name}`"),
            );
        };
        if task.task_info.name.is_empty() {
            return fault(format!("{path}.taskInfo.name"), "not empty");
        }
        let mut before: BTreeSet<&str> = BTreeSet::new();
        let iterates = task.parameter_iterator.is_some() || task.artifact_iterator.is_some();
        for (name, input) in &task.inputs.parameters {
            let at = format!("{path}.inputs.parameters.{name}");
            let declared = target.input_definitions.parameters.get(name);
            let source = self.parameter_source(&at, task, input, declared, &mut before)?;
            let declared = declared.and_then(|declared| declared.parameter_type.as_ref());
            if let (Some(source), Some(declared), false) = (source, declared, iterates)
                && input.parameter_expression_selector.is_empty()
                && !fits(source, declared)
            {
                return fault(at, format!("of type {declared}, not {source}"));
            }
        }
        for (name, input) in &task.inputs.artifacts {
            self.artifact_source(&format!("{path}.inputs.artifacts.{name}"), input, &mut before)?;
        }
        for dependency in &task.dependent_tasks {
            if !self.graph.tasks.contains_key(dependency) {
                return fault(
                    format!("{path}.dependentTasks"),
                    format!("tasks of this graph, not `{dependency}`"),
                );
            }
            before.insert(dependency);
        }
        self.all_bound(task, target)?;
        self.trigger(task, target)?;
        Ok(before)
    }

    fn parameter_source(
        &self,
        at: &str,
        task: &Task,
        input: &'a ParameterInput,
        declared: Option<&ParameterSpec>,
        before: &mut BTreeSet<&'a str>,
    ) -> Result<Option<&'a ParameterType>, Error> {
        if let Some(from) = &input.task_output_parameter {
            before.insert(&from.producer_task);
            let producer = self.producer(at, &from.producer_task)?;
            return match producer.output_definitions.parameters.get(&from.output_parameter_key) {
                Some(output) => Ok(output.parameter_type.as_ref()),
                None => fault(
                    at,
                    format!(
                        "an output of `{}`, which has none named `{}`",
                        from.producer_task, from.output_parameter_key
                    ),
                ),
            };
        }
        if let Some(name) = &input.component_input_parameter {
            return match self.owner.input_definitions.parameters.get(name) {
                Some(parameter) => Ok(parameter.parameter_type.as_ref()),
                None => fault(at, format!("an input of the graph, which has none named `{name}`")),
            };
        }
        if let Some(from) = &input.task_final_status {
            self.producer(at, &from.producer_task)?;
            if !task.dependent_tasks.contains(&from.producer_task) {
                return fault(
                    at,
                    format!("of a task in dependentTasks, which lacks `{}`", from.producer_task),
                );
            }
            return Ok(Some(&ParameterType::TaskFinalStatus));
        }
        let Some(value) = &input.runtime_value else {
            return fault(at, "bound: to a constant, an input, an output or a final status");
        };
        let declared = declared.and_then(|declared| declared.parameter_type.as_ref());
        if let (Some(constant), Some(declared)) = (&value.constant, declared)
            && !constant_fits(constant, declared)
        {
            return fault(format!("{at}.runtimeValue.constant"), format!("of type {declared}"));
        }
        if value.constant.is_none() && value.extra.is_empty() {
            return fault(format!("{at}.runtimeValue"), "a constant");
        }
        Ok(None)
    }

    fn artifact_source(&self, at: &str, input: &'a ArtifactInput, before: &mut BTreeSet<&'a str>) -> Result<(), Error> {
        if let Some(from) = &input.task_output_artifact {
            before.insert(&from.producer_task);
            let producer = self.producer(at, &from.producer_task)?;
            if producer
                .output_definitions
                .artifacts
                .contains_key(&from.output_artifact_key)
            {
                return Ok(());
            }
            let (task, key) = (&from.producer_task, &from.output_artifact_key);
            return fault(at, format!("an output of `{task}`, which has none named `{key}`"));
        }
        match &input.component_input_artifact {
            Some(name) if self.owner.input_definitions.artifacts.contains_key(name) => Ok(()),
            Some(name) => fault(at, format!("an input of the graph, which has none named `{name}`")),
            None => fault(at, "bound: to an input or an output"),
        }
    }

    /// The component of another task of the same graph.
    fn producer(&self, at: &str, key: &str) -> Result<&'a ComponentSpec, Error> {
        let task = self.graph.tasks.get(key);
        match task.and_then(|task| self.spec.components.get(&task.component_ref.name)) {
            Some(component) => Ok(component),
            None => fault(at, format!("from a task of this graph, not `{key}`")),
        }
    }

    fn all_bound(&self, task: &Task, target: &ComponentSpec) -> Result<(), Error> {
        let parameter_item = task
            .parameter_iterator
            .as_ref()
            .map(|iterator| iterator.item_input.as_str());
        let artifact_item = task
            .artifact_iterator
            .as_ref()
            .map(|iterator| iterator.item_input.as_str());
        let is_item = |name: &str| parameter_item == Some(name) || artifact_item == Some(name);
        for (name, parameter) in &target.input_definitions.parameters {
            let filled_in = matches!(
                parameter.parameter_type,
                Some(ParameterType::TaskFinalStatus | ParameterType::TaskConfig)
            );
            let may_lack = parameter.is_optional || parameter.default_value.is_some() || filled_in;
            // Values of a branch that need not run are optional without saying so.
            let channel = target.dag.is_some() && name.starts_with("pipelinechannel--");
            if !task.inputs.parameters.contains_key(name) && !may_lack && !is_item(name) && !channel {
                return fault(
                    format!("{}.inputs.parameters.{name}", self.path),
                    "bound: it is required",
                );
            }
        }
        for (name, artifact) in &target.input_definitions.artifacts {
            if !task.inputs.artifacts.contains_key(name) && !artifact.is_optional && !is_item(name) {
                return fault(
                    format!("{}.inputs.artifacts.{name}", self.path),
                    "bound: it is required",
                );
            }
        }
        Ok(())
    }

    fn trigger(&self, task: &Task, target: &ComponentSpec) -> Result<(), Error> {
        let Some(policy) = &task.trigger_policy else {
            return Ok(());
        };
        let at = format!("{}.triggerPolicy.condition", self.path);
        let executor = self.spec.deployment_spec.executors.get(&target.executor_label);
        if !policy.condition.is_empty() && executor.is_some_and(|executor| executor.importer.is_some()) {
            return fault(at, "left out: an importer takes no condition");
        }
        for name in quoted_after(&policy.condition, "inputs.parameter_values[") {
            if !task.inputs.parameters.contains_key(name) {
                return fault(at, format!("about inputs of the task, which has none named `{name}`"));
            }
        }
        Ok(())
    }
}

/// Whether a value of one type may go where another is declared; text is converted either way.
fn fits(source: &ParameterType, declared: &ParameterType) -> bool {
    use ParameterType as Type;
    let number = |kind: &Type| matches!(kind, Type::NumberInteger | Type::NumberDouble);
    source == declared
        || (number(source) && number(declared))
        || *source == Type::String
        || *declared == Type::String
        || (*source == Type::TaskFinalStatus && *declared == Type::Struct)
        || matches!(source, Type::Unknown(_))
        || matches!(declared, Type::Unknown(_))
}

fn constant_fits(constant: &Value, declared: &ParameterType) -> bool {
    // Placeholders are text until the run is made.
    if constant.is_null() || (constant.is_string() && *declared != ParameterType::String) {
        return true;
    }
    match declared {
        ParameterType::String => constant.is_string(),
        ParameterType::NumberInteger | ParameterType::NumberDouble => constant.is_number(),
        ParameterType::Boolean => constant.is_boolean(),
        ParameterType::List => constant.is_array(),
        ParameterType::Struct => constant.is_object(),
        _ => true,
    }
}

/// The quoted names that follow each occurrence of `opening`.
fn quoted_after<'a>(text: &'a str, opening: &str) -> Vec<&'a str> {
    let mut names = Vec::new();
    for rest in text.split(opening).skip(1) {
        // Inside JSON text the quotes are escaped.
        let rest = rest.strip_prefix('\\').unwrap_or(rest);
        let Some(quote) = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"')) else {
            continue;
        };
        if let Some((name, _)) = rest.get(1..).and_then(|rest| rest.split_once(quote)) {
            names.push(name.strip_suffix('\\').unwrap_or(name));
        }
    }
    names
}

fn placeholders(path: &str, component: &ComponentSpec, container: &ContainerSpec) -> Result<(), Error> {
    let (inputs, outputs) = (&component.input_definitions, &component.output_definitions);
    let texts = container.command.iter().map(|text| ("command", text));
    let texts = texts.chain(container.args.iter().map(|text| ("args", text)));
    let texts = texts.chain(container.env.iter().map(|variable| ("env", &variable.value)));
    for (field, text) in texts {
        let named = [
            (
                "{{$.inputs.parameters[",
                "input parameter",
                inputs.parameters.keys().collect::<BTreeSet<_>>(),
            ),
            (
                "{{$.inputs.artifacts[",
                "input artifact",
                inputs.artifacts.keys().collect(),
            ),
            (
                "{{$.outputs.parameters[",
                "output parameter",
                outputs.parameters.keys().collect(),
            ),
            (
                "{{$.outputs.artifacts[",
                "output artifact",
                outputs.artifacts.keys().collect(),
            ),
        ];
        for (opening, kind, known) in named {
            for name in quoted_after(text, opening) {
                if !known.contains(&name.to_owned()) {
                    return fault(
                        format!("{path}.container.{field}"),
                        format!("without a placeholder for the undeclared {kind} `{name}`"),
                    );
                }
            }
        }
    }
    Ok(())
}

fn acyclic(path: &str, edges: &BTreeMap<&str, BTreeSet<&str>>) -> Result<(), Error> {
    let mut open = edges.clone();
    // Takes away what waits for nothing, again and again; what is left waits for itself.
    loop {
        let free: Vec<&str> = open
            .iter()
            .filter(|(_, before)| before.is_empty())
            .map(|(task, _)| *task)
            .collect();
        if free.is_empty() {
            break;
        }
        for task in free {
            open.remove(task);
            for before in open.values_mut() {
                before.remove(task);
            }
        }
    }
    match open.keys().next() {
        None => Ok(()),
        Some(task) => fault(format!("{path}.dag.tasks.{task}.dependentTasks"), "free of circles"),
    }
}
