//! Graphs of tasks: that what is named is there, fits, and can come in time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use super::{Checked, Document, Path, executor::quoted};
use crate::ir::{
    error::Error,
    spec::{
        ArtifactInput, ComponentSpec, Dag, IteratorItems, ParameterInput, ParameterSpec, ParameterType, RetryPolicy,
        Task, TriggerStrategy,
    },
};

/// Prefix the official compiler gives to values that cross into a sub-graph.
const CHANNEL: &str = "pipelinechannel--";

fn is_exit(task: &Task) -> bool {
    let strategy = task.trigger_policy.as_ref().and_then(|policy| policy.strategy.as_ref());
    strategy == Some(&TriggerStrategy::AllUpstreamTasksCompleted)
}

pub(super) fn check(document: Document<'_>, path: &Path<'_>, owner: &ComponentSpec, graph: &Dag) -> Checked {
    let dag = path.at("dag");
    let tasks = dag.at("tasks");
    tasks.require(
        !graph.tasks.values().all(is_exit),
        || "at least one task that is no exit task",
    )?;
    let scope = Scope { document, owner, graph };
    let mut before = BTreeMap::new();
    for (key, task) in &graph.tasks {
        before.insert(key.as_str(), scope.task(&tasks.at(key), task)?);
    }
    acyclic(&tasks, &before)?;
    let outputs = dag.at("outputs");
    let parameters = outputs.at("parameters");
    for (name, output) in &graph.outputs.parameters {
        let path = parameters.at(name);
        let (one, oneof) = (&output.value_from_parameter, &output.value_from_oneof);
        path.require(
            one.is_some() != oneof.is_some(),
            || "from one task (`valueFromParameter`) or from one of several (`valueFromOneof`)",
        )?;
        let several = oneof.iter().flat_map(|oneof| &oneof.parameter_selectors);
        for selector in one.iter().chain(several) {
            let producer = scope.producer(&path, &selector.producer_subtask)?;
            let key = &selector.output_parameter_key;
            path.require(producer.output_definitions.parameters.contains_key(key), || {
                format!(
                    "an output of `{}`, which has none named `{key}`",
                    selector.producer_subtask
                )
            })?;
        }
    }
    let artifacts = outputs.at("artifacts");
    for (name, output) in &graph.outputs.artifacts {
        let path = artifacts.at(name);
        for selector in &output.artifact_selectors {
            let producer = scope.producer(&path, &selector.producer_subtask)?;
            let key = &selector.output_artifact_key;
            path.require(producer.output_definitions.artifacts.contains_key(key), || {
                format!(
                    "an output of `{}`, which has none named `{key}`",
                    selector.producer_subtask
                )
            })?;
        }
    }
    Ok(())
}

/// A graph, and the component it is of.
struct Scope<'a> {
    document: Document<'a>,
    owner: &'a ComponentSpec,
    graph: &'a Dag,
}

impl<'a> Scope<'a> {
    /// Checks the task and returns the tasks it waits for.
    fn task(&self, path: &Path<'_>, task: &'a Task) -> Result<BTreeSet<&'a str>, Error> {
        let name = &task.component_ref.name;
        let Some(target) = self.document.spec.components.get(name) else {
            return path
                .at("componentRef")
                .at("name")
                .fault(format!("the name of a component, not `{name}`"));
        };
        let info = path.at("taskInfo");
        info.at("name")
            .require(!task.task_info.name.is_empty(), || "not empty")?;
        let mut before: BTreeSet<&str> = BTreeSet::new();
        let iterates = task.parameter_iterator.is_some() || task.artifact_iterator.is_some();
        let inputs = path.at("inputs");
        let parameters = inputs.at("parameters");
        for (name, input) in &task.inputs.parameters {
            let path = parameters.at(name);
            let declared = target.input_definitions.parameters.get(name);
            let source = self.parameter(&path, task, input, declared, &mut before)?;
            let declared = declared.and_then(|declared| declared.parameter_type.as_ref());
            if let (Some(source), Some(declared), false) = (source, declared, iterates)
                && input.parameter_expression_selector.is_empty()
            {
                path.require(fits(source, declared), || format!("of type {declared}, not {source}"))?;
            }
        }
        let artifacts = inputs.at("artifacts");
        for (name, input) in &task.inputs.artifacts {
            self.artifact(&artifacts.at(name), input, &mut before)?;
        }
        for dependency in &task.dependent_tasks {
            path.at("dependentTasks")
                .require(self.graph.tasks.contains_key(dependency), || {
                    format!("tasks of this graph, not `{dependency}`")
                })?;
            before.insert(dependency);
        }
        Self::all_bound(path, task, target)?;
        self.trigger(path, task, target)?;
        self.settings(target, &mut before)?;
        iteration(path, task)?;
        if let Some(policy) = &task.retry_policy {
            retry(&path.at("retryPolicy"), policy)?;
        }
        Ok(before)
    }

    fn parameter(
        &self,
        path: &Path<'_>,
        task: &Task,
        input: &'a ParameterInput,
        declared: Option<&ParameterSpec>,
        before: &mut BTreeSet<&'a str>,
    ) -> Result<Option<&'a ParameterType>, Error> {
        let sources = [
            input.task_output_parameter.is_some(),
            input.component_input_parameter.is_some(),
            input.task_final_status.is_some(),
            input.runtime_value.is_some(),
        ];
        let count = sources.into_iter().filter(|source| *source).count();
        path.require(count <= 1, || "bound once")?;
        if let Some(from) = &input.task_output_parameter {
            before.insert(&from.producer_task);
            let producer = self.producer(path, &from.producer_task)?;
            let (task, key) = (&from.producer_task, &from.output_parameter_key);
            return match producer.output_definitions.parameters.get(key) {
                Some(output) => Ok(output.parameter_type.as_ref()),
                None => path.fault(format!("an output of `{task}`, which has none named `{key}`")),
            };
        }
        if let Some(name) = &input.component_input_parameter {
            return match self.owner.input_definitions.parameters.get(name) {
                Some(parameter) => Ok(parameter.parameter_type.as_ref()),
                None => path.fault(format!("an input of the graph, which has none named `{name}`")),
            };
        }
        if let Some(from) = &input.task_final_status {
            self.producer(path, &from.producer_task)?;
            path.require(task.dependent_tasks.contains(&from.producer_task), || {
                format!("of a task in dependentTasks, which lacks `{}`", from.producer_task)
            })?;
            return Ok(Some(&ParameterType::TaskFinalStatus));
        }
        let Some(value) = &input.runtime_value else {
            return path.fault("bound: to a constant, an input, an output or a final status");
        };
        let path = path.at("runtimeValue");
        let declared = declared.and_then(|declared| declared.parameter_type.as_ref());
        if let (Some(constant), Some(declared)) = (&value.constant, declared) {
            path.at("constant")
                .require(constant_fits(constant, declared), || format!("of type {declared}"))?;
        }
        let is_set = value.constant.is_some() || value.runtime_parameter.is_some() || !value.extra.is_empty();
        path.require(is_set, || "a constant")?;
        Ok(None)
    }

    fn artifact(&self, path: &Path<'_>, input: &'a ArtifactInput, before: &mut BTreeSet<&'a str>) -> Checked {
        if let Some(from) = &input.task_output_artifact {
            path.require(input.component_input_artifact.is_none(), || "bound once")?;
            before.insert(&from.producer_task);
            let producer = self.producer(path, &from.producer_task)?;
            let (task, key) = (&from.producer_task, &from.output_artifact_key);
            return path.require(producer.output_definitions.artifacts.contains_key(key), || {
                format!("an output of `{task}`, which has none named `{key}`")
            });
        }
        match &input.component_input_artifact {
            Some(name) if self.owner.input_definitions.artifacts.contains_key(name) => Ok(()),
            Some(name) => path.fault(format!("an input of the graph, which has none named `{name}`")),
            None => path.fault("bound: to an input or an output"),
        }
    }

    /// The component of another task of the same graph.
    fn producer(&self, path: &Path<'_>, key: &str) -> Result<&'a ComponentSpec, Error> {
        let task = self.graph.tasks.get(key);
        match task.and_then(|task| self.document.spec.components.get(&task.component_ref.name)) {
            Some(component) => Ok(component),
            None => path.fault(format!("from a task of this graph, not `{key}`")),
        }
    }

    fn all_bound(path: &Path<'_>, task: &Task, target: &ComponentSpec) -> Checked {
        let parameter_item = task.parameter_iterator.as_ref().map(|iterator| &iterator.item_input);
        let artifact_item = task.artifact_iterator.as_ref().map(|iterator| &iterator.item_input);
        let is_item = |name: &String| parameter_item == Some(name) || artifact_item == Some(name);
        let inputs = path.at("inputs");
        for (name, parameter) in &target.input_definitions.parameters {
            let filled_in = matches!(
                parameter.parameter_type,
                Some(ParameterType::TaskFinalStatus | ParameterType::TaskConfig)
            );
            let may_lack = parameter.is_optional || parameter.default_value.is_some() || filled_in;
            // Values of a branch that need not run are optional without saying so.
            let channel = target.dag.is_some() && name.starts_with(CHANNEL);
            let bound = task.inputs.parameters.contains_key(name) || may_lack || is_item(name) || channel;
            inputs
                .at("parameters")
                .at(name)
                .require(bound, || "bound: it is required")?;
        }
        for (name, artifact) in &target.input_definitions.artifacts {
            let bound = task.inputs.artifacts.contains_key(name) || artifact.is_optional || is_item(name);
            inputs
                .at("artifacts")
                .at(name)
                .require(bound, || "bound: it is required")?;
        }
        Ok(())
    }

    fn trigger(&self, path: &Path<'_>, task: &Task, target: &ComponentSpec) -> Checked {
        let Some(policy) = &task.trigger_policy else {
            return Ok(());
        };
        let trigger = path.at("triggerPolicy");
        let path = trigger.at("condition");
        let executor = self.document.spec.deployment_spec.executors.get(&target.executor_label);
        let imports = executor.is_some_and(|executor| executor.importer.is_some());
        path.require(
            policy.condition.is_empty() || !imports,
            || "left out: an importer takes no condition",
        )?;
        for rest in policy.condition.split("inputs.parameter_values[").skip(1) {
            if let Some(name) = quoted(rest) {
                path.require(task.inputs.parameters.contains_key(name), || {
                    format!("about inputs of the task, which has none named `{name}`")
                })?;
            }
        }
        Ok(())
    }

    /// What the settings for Kubernetes take from the graph.
    fn settings(&self, target: &ComponentSpec, before: &mut BTreeSet<&'a str>) -> Checked {
        let label = target.executor_label.as_str();
        let settings = self.document.platform.and_then(|platform| platform.kubernetes());
        let Some(settings) = settings.and_then(|settings| settings.deployment_spec.executors.get(label)) else {
            return Ok(());
        };
        let executors = Path::new("platform_spec.platforms.kubernetes.deploymentSpec.executors");
        let executor = executors.at(label);
        for (field, input) in settings.parameters() {
            let path = executor.at(field);
            if let Some(from) = &input.task_output_parameter {
                self.producer(&path, &from.producer_task)?;
                before.insert(&from.producer_task);
            }
            if let Some(name) = &input.component_input_parameter {
                let known = &self.owner.input_definitions.parameters;
                // The official compiler leaves out the prefix that the input has in a sub-graph.
                let found = known.contains_key(name) || known.contains_key(&format!("{CHANNEL}{name}"));
                path.require(found, || {
                    format!("an input of the graph, which has none named `{name}`")
                })?;
            }
        }
        Ok(())
    }
}

fn iteration(path: &Path<'_>, task: &Task) -> Checked {
    let items = |path: &Path<'_>, items: &IteratorItems, item_input: &str| {
        path.at("itemInput").require(!item_input.is_empty(), || "not empty")?;
        let path = path.at("items");
        for (field, name) in [
            ("inputParameter", &items.input_parameter),
            ("inputArtifact", &items.input_artifact),
        ] {
            let bound = task.inputs.parameters.contains_key(name) || task.inputs.artifacts.contains_key(name);
            path.at(field).require(name.is_empty() || bound, || {
                format!("an input of the task, which has none named `{name}`")
            })?;
        }
        if !items.raw.is_empty() {
            let list = serde_json::from_str::<Vec<serde::de::IgnoredAny>>(&items.raw);
            path.at("raw").require(list.is_ok(), || "a JSON array")?;
        }
        let empty = items.raw.is_empty() && items.input_parameter.is_empty() && items.input_artifact.is_empty();
        path.require(!empty, || "a list: `raw`, `inputParameter` or `inputArtifact`")
    };
    if let Some(iterator) = &task.parameter_iterator {
        let path = path.at("parameterIterator");
        path.require(task.artifact_iterator.is_none(), || "the only iterator")?;
        items(&path, &iterator.items, &iterator.item_input)?;
    }
    if let Some(iterator) = &task.artifact_iterator {
        items(&path.at("artifactIterator"), &iterator.items, &iterator.item_input)?;
    }
    Ok(())
}

fn retry(path: &Path<'_>, policy: &RetryPolicy) -> Checked {
    let is_duration = |text: &str| {
        let seconds = text.strip_suffix('s').and_then(|seconds| seconds.parse::<f64>().ok());
        text.is_empty() || seconds.is_some_and(|seconds| seconds.is_finite() && seconds >= 0.0)
    };
    path.at("backoffDuration")
        .require(is_duration(&policy.backoff_duration), || "seconds with `s` after them")?;
    path.at("backoffMaxDuration").require(
        is_duration(&policy.backoff_max_duration),
        || "seconds with `s` after them",
    )
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

/// Takes away what waits for nothing, again and again; what is left waits for itself.
fn acyclic(tasks: &Path<'_>, before: &BTreeMap<&str, BTreeSet<&str>>) -> Checked {
    let mut after: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    let mut free = VecDeque::new();
    for (task, waits_for) in before {
        for other in waits_for {
            after.entry(other).or_default().push(task);
        }
        if waits_for.is_empty() {
            free.push_back(*task);
        } else {
            open.insert(task, waits_for.len());
        }
    }
    while let Some(task) = free.pop_front() {
        for later in after.remove(task).unwrap_or_default() {
            if let Some(count) = open.get_mut(later) {
                *count -= 1;
                if *count == 0 {
                    open.remove(later);
                    free.push_back(later);
                }
            }
        }
    }
    match open.keys().next() {
        None => Ok(()),
        Some(task) => tasks.at(task).at("dependentTasks").fault("free of circles"),
    }
}
