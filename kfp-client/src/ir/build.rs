//! Graphs and pipelines, built in code.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    SCHEMA_VERSION,
    document::PipelineDocument,
    error::Error,
    platform::PlatformSpec,
    spec::{
        ArtifactOutput, ArtifactSelector, ArtifactSpec, ComponentInputs, ComponentOutputs, ComponentRef, ComponentSpec,
        Dag, ExecutorSpec, ParameterOutput, ParameterSelector, ParameterSpec, ParameterType, PipelineInfo,
        PipelineSpec, Task, TaskInfo, TaskInputs, TriggerPolicy, TriggerStrategy,
    },
    task::{ParameterSource, TaskBuilder, Work},
};

/// Prefix the official compiler gives to values that cross into a sub-graph.
const CHANNEL: &str = "pipelinechannel--";

/// Key of the sub-graph an exit task waits for.
const GUARDED: &str = "exit-handler-1";

/// A graph of tasks with inputs and outputs of its own, to stand as one task in another.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
pub struct DagBuilder {
    inputs: ComponentInputs,
    outputs: ComponentOutputs,
    parameter_outputs: Vec<(String, ParameterSelector)>,
    artifact_outputs: Vec<(String, ArtifactSelector)>,
    tasks: Vec<TaskBuilder>,
}

impl DagBuilder {
    /// An empty graph; it needs at least one task.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a required input value.
    pub fn input(mut self, name: impl Into<String>, parameter_type: ParameterType) -> Self {
        self.inputs
            .parameters
            .insert(name.into(), ParameterSpec::new(parameter_type));
        self
    }

    /// Adds an input file of this type, e.g. `system.Model`.
    pub fn input_artifact(mut self, name: impl Into<String>, schema_title: impl Into<String>) -> Self {
        self.inputs
            .artifacts
            .insert(name.into(), ArtifactSpec::new(schema_title));
        self
    }

    /// Adds an output value, taken from an output of one of its tasks.
    pub fn output(
        mut self,
        name: impl Into<String>,
        parameter_type: ParameterType,
        task: impl Into<String>,
        output: impl Into<String>,
    ) -> Self {
        let name = name.into();
        let selector = ParameterSelector {
            producer_subtask: task.into(),
            output_parameter_key: output.into(),
            ..ParameterSelector::default()
        };
        self.outputs
            .parameters
            .insert(name.clone(), ParameterSpec::new(parameter_type));
        self.parameter_outputs.push((name, selector));
        self
    }

    /// Adds an output file, taken from an output of one of its tasks.
    pub fn output_artifact(
        mut self,
        name: impl Into<String>,
        schema_title: impl Into<String>,
        task: impl Into<String>,
        output: impl Into<String>,
    ) -> Self {
        let name = name.into();
        let selector = ArtifactSelector {
            producer_subtask: task.into(),
            output_artifact_key: output.into(),
            ..ArtifactSelector::default()
        };
        self.outputs
            .artifacts
            .insert(name.clone(), ArtifactSpec::new(schema_title));
        self.artifact_outputs.push((name, selector));
        self
    }

    /// Adds a task.
    pub fn task(mut self, task: TaskBuilder) -> Self {
        self.tasks.push(task);
        self
    }
}

/// A pipeline, built in code. Components and executors are named after the tasks, as the official compiler does.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct PipelineBuilder {
    info: PipelineInfo,
    pipeline_root: String,
    dag: DagBuilder,
    exit_tasks: Vec<TaskBuilder>,
}

impl PipelineBuilder {
    /// A pipeline of this name: 1 to 128 of `a-z`, `0-9` and `-`, not starting with `-`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            info: PipelineInfo {
                name: name.into(),
                ..PipelineInfo::default()
            },
            pipeline_root: String::new(),
            dag: DagBuilder::new(),
            exit_tasks: Vec::new(),
        }
    }

    /// Free text.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.info.description = description.into();
        self
    }

    /// Where artifacts are kept, unless the run says otherwise.
    pub fn pipeline_root(mut self, pipeline_root: impl Into<String>) -> Self {
        self.pipeline_root = pipeline_root.into();
        self
    }

    /// Adds a parameter, optional if it has a default.
    pub fn parameter(self, name: impl Into<String>, parameter_type: ParameterType, default: Option<Value>) -> Self {
        let parameter = ParameterSpec::new(parameter_type);
        self.parameter_spec(
            name,
            match default {
                Some(default) => parameter.default_value(default),
                None => parameter,
            },
        )
    }

    /// Adds a parameter.
    pub fn parameter_spec(mut self, name: impl Into<String>, parameter: ParameterSpec) -> Self {
        self.dag.inputs.parameters.insert(name.into(), parameter);
        self
    }

    /// Adds a task.
    pub fn task(mut self, task: TaskBuilder) -> Self {
        self.dag = self.dag.task(task);
        self
    }

    /// Adds a task that runs when all other tasks have ended, however they ended.
    ///
    /// The other tasks move into a sub-graph named `exit-handler-1` that gets every parameter of the pipeline; this
    /// task waits for it. An input bound to [`ParameterSource::final_status`] of `exit-handler-1` (of type
    /// [`ParameterType::TaskFinalStatus`]) tells it how they ended.
    pub fn exit_task(mut self, task: TaskBuilder) -> Self {
        self.exit_tasks.push(task.exit().after(GUARDED));
        self
    }

    /// Makes the document.
    ///
    /// # Errors
    ///
    /// The first rule it breaks; see [`PipelineDocument::validate`]. Two tasks of one key in a graph are a fault too.
    pub fn build(mut self) -> Result<PipelineDocument, Error> {
        if !self.exit_tasks.is_empty() {
            self.guard();
        }
        let mut output = Output::default();
        let root = output.dag("root", self.dag)?;
        let mut platform_spec = PlatformSpec::default();
        let has_platform = !output.kubernetes.is_empty();
        if has_platform {
            *platform_spec.kubernetes_executors() = output.kubernetes;
        }
        let mut pipeline_spec = PipelineSpec {
            pipeline_info: self.info,
            schema_version: SCHEMA_VERSION.to_owned(),
            sdk_version: concat!("kfp-client-", env!("CARGO_PKG_VERSION")).to_owned(),
            default_pipeline_root: self.pipeline_root,
            root,
            components: output.components,
            ..PipelineSpec::default()
        };
        pipeline_spec.deployment_spec.executors = output.executors;
        let document = PipelineDocument {
            pipeline_spec,
            platform_spec: has_platform.then_some(platform_spec),
        };
        document.validate()?;
        Ok(document)
    }

    /// Moves the tasks into a sub-graph beside which the exit tasks can stand.
    fn guard(&mut self) {
        let inputs = self.dag.inputs.clone();
        let mut inner = DagBuilder::new();
        let mut guarded_inputs = Vec::new();
        for (name, parameter) in &inputs.parameters {
            let channel = format!("{CHANNEL}{name}");
            // The value always comes from the pipeline's parameter, which holds the default.
            let parameter_type = parameter.parameter_type.clone().unwrap_or(ParameterType::String);
            inner = inner.input(channel.clone(), parameter_type);
            guarded_inputs.push((channel, ParameterSource::input(name.clone())));
        }
        for mut task in std::mem::take(&mut self.dag.tasks) {
            for (_, source) in &mut task.parameters {
                if let ParameterSource::Input(name) = source {
                    *name = format!("{CHANNEL}{name}");
                }
            }
            inner = inner.task(task);
        }
        let mut guarded = TaskBuilder::sub_dag(GUARDED, inner);
        guarded.parameters = guarded_inputs;
        self.dag.tasks.push(guarded);
        self.dag.tasks.append(&mut self.exit_tasks);
    }
}

/// The parts of a document that lie outside the graphs.
#[derive(Default)]
struct Output {
    components: BTreeMap<String, ComponentSpec>,
    executors: BTreeMap<String, ExecutorSpec>,
    kubernetes: BTreeMap<String, super::platform::KubernetesExecutorConfig>,
}

impl Output {
    fn dag(&mut self, path: &str, builder: DagBuilder) -> Result<ComponentSpec, Error> {
        let mut dag = Dag::default();
        for task in builder.tasks {
            let path = format!("{path}.dag.tasks.{}", task.key);
            if dag.tasks.contains_key(&task.key) {
                return Err(Error::new(path, "a key no other task of the graph has"));
            }
            let key = task.key.clone();
            let task = self.task(task)?;
            dag.tasks.insert(key, task);
        }
        for (name, selector) in builder.parameter_outputs {
            let output = ParameterOutput {
                value_from_parameter: Some(selector),
                ..ParameterOutput::default()
            };
            dag.outputs.parameters.insert(name, output);
        }
        for (name, selector) in builder.artifact_outputs {
            let output = ArtifactOutput {
                artifact_selectors: vec![selector],
                ..ArtifactOutput::default()
            };
            dag.outputs.artifacts.insert(name, output);
        }
        Ok(ComponentSpec {
            input_definitions: builder.inputs,
            output_definitions: builder.outputs,
            dag: Some(dag),
            ..ComponentSpec::default()
        })
    }

    fn task(&mut self, task: TaskBuilder) -> Result<Task, Error> {
        // The name is taken before the sub-graph's own names are.
        let suffix = self.suffix(&task.key);
        let name = format!("comp-{suffix}");
        self.components.insert(name.clone(), ComponentSpec::default());
        let component = match task.work {
            Work::Dag(dag) => self.dag(&format!("components.{name}"), *dag)?,
            Work::Container(container) => {
                let label = format!("exec-{suffix}");
                if !container.kubernetes.is_empty() {
                    self.kubernetes.insert(label.clone(), container.kubernetes);
                }
                let executor = ExecutorSpec {
                    container: Some(container.container),
                    ..ExecutorSpec::default()
                };
                self.executors.insert(label.clone(), executor);
                ComponentSpec {
                    input_definitions: container.inputs,
                    output_definitions: container.outputs,
                    executor_label: label,
                    ..ComponentSpec::default()
                }
            }
        };
        self.components.insert(name.clone(), component);

        let producers = task.parameters.iter().filter_map(|(_, source)| source.producer());
        let producers = producers.chain(task.artifacts.iter().filter_map(|(_, source)| source.producer()));
        let before: BTreeSet<String> = producers.map(ToOwned::to_owned).chain(task.after).collect();
        let trigger_policy = TriggerPolicy {
            condition: task.condition,
            strategy: task.exit.then_some(TriggerStrategy::AllUpstreamTasksCompleted),
            ..TriggerPolicy::default()
        };
        Ok(Task {
            task_info: TaskInfo {
                name: task.name,
                ..TaskInfo::default()
            },
            component_ref: ComponentRef {
                name,
                ..ComponentRef::default()
            },
            inputs: TaskInputs {
                parameters: task
                    .parameters
                    .iter()
                    .map(|(name, source)| (name.clone(), source.to_input()))
                    .collect(),
                artifacts: task
                    .artifacts
                    .iter()
                    .map(|(name, source)| (name.clone(), source.to_input()))
                    .collect(),
                ..TaskInputs::default()
            },
            dependent_tasks: before.into_iter().collect(),
            caching_options: Some(task.caching),
            trigger_policy: Some(trigger_policy).filter(|policy| *policy != TriggerPolicy::default()),
            retry_policy: task.retry,
            parameter_iterator: task.iterator,
            ..Task::default()
        })
    }

    /// The task's key, with a number after it if another graph has such a task.
    fn suffix(&self, key: &str) -> String {
        let mut suffix = key.to_owned();
        let mut number = 2;
        while self.components.contains_key(&format!("comp-{suffix}")) {
            suffix = format!("{key}-{number}");
            number += 1;
        }
        suffix
    }
}
