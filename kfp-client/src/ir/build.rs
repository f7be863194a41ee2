//! Pipelines, built in code.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem::take,
};

use serde_json::Value;

use super::{
    SCHEMA_VERSION,
    dag::DagBuilder,
    document::PipelineDocument,
    error::Error,
    kubernetes::KubernetesExecutorConfig,
    platform::{PipelineConfig, PlatformSpec},
    source::ParameterSource,
    spec::{
        ArtifactOutput, ComponentRef, ComponentSpec, Dag, ExecutorSpec, OneofSelector, ParameterOutput, ParameterSpec,
        ParameterType, PipelineInfo, PipelineSpec, Task, TaskInfo, TaskInputs, TriggerPolicy,
    },
    task::{TaskBuilder, Work},
};

/// Prefix the official compiler gives to values that cross into a sub-graph.
const CHANNEL: &str = "pipelinechannel--";

/// Key of the sub-graph an exit task waits for.
const GUARDED: &str = "exit-handler-1";

/// A pipeline, built in code. Components and executors are named after the tasks, as the official compiler does: one
/// for each task, with a number after it where another graph has a task of that key.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct PipelineBuilder {
    info: PipelineInfo,
    pipeline_root: String,
    dag: DagBuilder,
    exit_tasks: Vec<TaskBuilder>,
    config: Option<PipelineConfig>,
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
            config: None,
        }
    }

    /// Name to show.
    pub fn display_name(mut self, display_name: impl Into<String>) -> Self {
        self.info.display_name = display_name.into();
        self
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

    /// Settings of the pipeline as a whole, such as a workspace (from KFP 2.14 on).
    pub fn config(mut self, config: PipelineConfig) -> Self {
        self.config = Some(config);
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
        self.dag = self.dag.input_spec(name, parameter);
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
        self.dag = self.dag.output(name, parameter_type, task, output);
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
        self.dag = self.dag.output_artifact(name, schema_title, task, output);
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
    ///
    /// To guard a part of a pipeline only, put it into a [`TaskBuilder::sub_dag`] and a [`TaskBuilder::exit`] task
    /// after that.
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
        let root = output.dag(self.dag).map_err(|fault| fault.within("root"))?;
        let has_platform = !output.kubernetes.is_empty() || self.config.is_some();
        let platform_spec = has_platform.then(|| {
            let mut platform_spec = PlatformSpec::default();
            let kubernetes = platform_spec.kubernetes_mut();
            kubernetes.deployment_spec.executors = output.kubernetes;
            kubernetes.pipeline_config = self.config;
            platform_spec
        });
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
            platform_spec,
        };
        document.validate()?;
        Ok(document)
    }

    /// Moves the tasks into a sub-graph beside which the exit tasks can stand.
    fn guard(&mut self) {
        let channel = |name: &str| format!("{CHANNEL}{name}");
        let mut inner = DagBuilder::new();
        let mut inputs = Vec::new();
        for (name, parameter) in &self.dag.inputs.parameters {
            // The value always comes from the pipeline's parameter, which holds the default.
            let parameter_type = parameter.parameter_type.clone().unwrap_or(ParameterType::String);
            inner = inner.input(channel(name), parameter_type);
            inputs.push((channel(name), ParameterSource::input(name.clone())));
        }
        inner.tasks = take(&mut self.dag.tasks);
        for task in &mut inner.tasks {
            task.rename_inputs(&channel);
        }
        // The pipeline's outputs are now those of the sub-graph.
        inner.outputs = self.dag.outputs.clone();
        for (name, selectors) in &mut self.dag.parameter_outputs {
            inner.parameter_outputs.push((name.clone(), take(selectors)));
        }
        for (name, selectors) in &mut self.dag.artifact_outputs {
            inner.artifact_outputs.push((name.clone(), take(selectors)));
        }
        let mut dag = take(&mut self.dag);
        let outputs = take(&mut dag.parameter_outputs);
        for (name, _) in outputs {
            let parameter_type = dag
                .outputs
                .parameters
                .remove(&name)
                .and_then(|output| output.parameter_type);
            dag = dag.output(
                name.clone(),
                parameter_type.unwrap_or(ParameterType::String),
                GUARDED,
                name,
            );
        }
        let artifacts = take(&mut dag.artifact_outputs);
        for (name, _) in artifacts {
            let artifact = dag.outputs.artifacts.remove(&name).unwrap_or_default();
            dag = dag.output_artifact(name.clone(), artifact.artifact_type.schema_title, GUARDED, name);
        }
        let mut guarded = TaskBuilder::sub_dag(GUARDED, inner);
        guarded.parameters = inputs;
        dag.tasks.push(guarded);
        dag.tasks.append(&mut self.exit_tasks);
        self.dag = dag;
    }
}

/// The parts of a document that lie outside the graphs.
#[derive(Default)]
struct Output {
    components: BTreeMap<String, ComponentSpec>,
    executors: BTreeMap<String, ExecutorSpec>,
    kubernetes: BTreeMap<String, KubernetesExecutorConfig>,
}

impl Output {
    fn dag(&mut self, builder: DagBuilder) -> Result<ComponentSpec, Error> {
        let mut dag = Dag::default();
        for task in builder.tasks {
            let key = task.key.clone();
            if dag.tasks.contains_key(&key) {
                return Err(Error::new(
                    format!("dag.tasks.{key}"),
                    "a key no other task of the graph has",
                ));
            }
            let task = self.task(task).map_err(|fault| match fault {
                // Paths begin at the component a fault is in.
                fault if fault.path().starts_with("components.") => fault,
                fault => fault.within(&format!("dag.tasks.{key}")),
            })?;
            dag.tasks.insert(key, task);
        }
        for (name, mut selectors) in builder.parameter_outputs {
            let mut output = ParameterOutput::default();
            if selectors.len() == 1 {
                output.value_from_parameter = selectors.pop();
            } else {
                output.value_from_oneof = Some(OneofSelector {
                    parameter_selectors: selectors,
                    ..OneofSelector::default()
                });
            }
            dag.outputs.parameters.insert(name, output);
        }
        for (name, artifact_selectors) in builder.artifact_outputs {
            let output = ArtifactOutput {
                artifact_selectors,
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
        let iterates = task.iterates();
        if iterates && !matches!(task.work, Work::Dag(_) | Work::Document(_)) {
            return Err(Error::new(
                "parameterIterator",
                "of a sub-graph: only those are repeated",
            ));
        }
        // The name is taken before the sub-graph's own names are.
        let suffix = self.suffix(&task.key);
        let name = format!("comp-{suffix}");
        self.components.insert(name.clone(), ComponentSpec::default());
        let label = format!("exec-{suffix}");
        let mut before: BTreeSet<String> = task.after.into_iter().collect();
        let sources = task.parameters.iter().filter_map(|(_, source)| source.producer());
        before.extend(sources.map(ToOwned::to_owned));
        let sources = task.artifacts.iter().filter_map(|(_, source)| source.producer());
        before.extend(sources.map(ToOwned::to_owned));
        let mut component = match task.work {
            Work::Dag(dag) => {
                let path = format!("components.{name}");
                self.dag(*dag).map_err(|fault| match fault {
                    fault if fault.path().starts_with("components.") => fault,
                    fault => fault.within(&path),
                })?
            }
            Work::Document(document) => self.document(*document),
            Work::Importer(importer) => {
                let (component, executor) = importer.into_parts(label.clone());
                self.executors.insert(label, executor);
                component
            }
            Work::Container(container) => {
                let kubernetes = container.kubernetes;
                let sources = kubernetes.parameters().filter_map(|(_, source)| source.producer());
                before.extend(sources.map(ToOwned::to_owned));
                if !kubernetes.is_empty() {
                    self.kubernetes.insert(label.clone(), kubernetes);
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
                    task_config_passthroughs: container.passthroughs,
                    ..ComponentSpec::default()
                }
            }
        };
        if iterates {
            collect(&mut component);
        }
        self.components.insert(name.clone(), component);

        let trigger_policy = TriggerPolicy {
            condition: task.condition,
            strategy: task.strategy,
            ..TriggerPolicy::default()
        };
        let has_trigger = !trigger_policy.condition.is_empty() || trigger_policy.strategy.is_some();
        let parameters = task.parameters.into_iter();
        let artifacts = task.artifacts.into_iter();
        Ok(Task {
            task_info: TaskInfo {
                name: task.name.unwrap_or(task.key),
                ..TaskInfo::default()
            },
            component_ref: ComponentRef {
                name,
                ..ComponentRef::default()
            },
            inputs: TaskInputs {
                parameters: parameters.map(|(name, source)| (name, source.into_input())).collect(),
                artifacts: artifacts.map(|(name, source)| (name, source.into_input())).collect(),
                ..TaskInputs::default()
            },
            dependent_tasks: before.into_iter().collect(),
            caching_options: task.caching,
            trigger_policy: has_trigger.then_some(trigger_policy),
            retry_policy: task.retry,
            parameter_iterator: task.parameter_iterator,
            artifact_iterator: task.artifact_iterator,
            iterator_policy: task.iterator_policy,
            ..Task::default()
        })
    }

    /// A whole pipeline as a component: its components and executors under names that are free here.
    fn document(&mut self, document: PipelineDocument) -> ComponentSpec {
        let PipelineDocument {
            pipeline_spec,
            platform_spec,
        } = document;
        let mut kubernetes = platform_spec.map(|mut platform| take(platform.kubernetes_executors()));
        let mut components = BTreeMap::new();
        let mut labels = BTreeMap::new();
        for name in pipeline_spec.components.keys() {
            let free = self.suffix(name.strip_prefix("comp-").unwrap_or(name));
            self.components.insert(format!("comp-{free}"), ComponentSpec::default());
            components.insert(name.clone(), format!("comp-{free}"));
        }
        for (label, executor) in pipeline_spec.deployment_spec.executors {
            let mut free = label.clone();
            let mut number = 2;
            while self.executors.contains_key(&free) {
                free = format!("{label}-{number}");
                number += 1;
            }
            let settings = kubernetes.as_mut().and_then(|kubernetes| kubernetes.remove(&label));
            if let Some(settings) = settings {
                self.kubernetes.insert(free.clone(), settings);
            }
            self.executors.insert(free.clone(), executor);
            labels.insert(label, free);
        }
        let rename = |mut component: ComponentSpec| {
            if let Some(label) = labels.get(&component.executor_label) {
                component.executor_label.clone_from(label);
            }
            for task in component.dag.iter_mut().flat_map(|dag| dag.tasks.values_mut()) {
                if let Some(name) = components.get(&task.component_ref.name) {
                    task.component_ref.name.clone_from(name);
                }
            }
            component
        };
        for (name, component) in pipeline_spec.components {
            if let Some(free) = components.get(&name) {
                self.components.insert(free.clone(), rename(component));
            }
        }
        rename(pipeline_spec.root)
    }

    /// The task's key, with a number after it if another graph has such a task.
    fn suffix(&self, key: &str) -> String {
        if !self.components.contains_key(&format!("comp-{key}")) {
            return key.to_owned();
        }
        let numbered = (2_u32..).map(|number| format!("{key}-{number}"));
        let mut free = numbered.filter(|name| !self.components.contains_key(&format!("comp-{name}")));
        free.next().unwrap_or_default()
    }
}

/// The outputs of a loop: lists of those of its rounds.
fn collect(component: &mut ComponentSpec) {
    for output in component.output_definitions.parameters.values_mut() {
        output.parameter_type = Some(ParameterType::List);
    }
    for output in component.output_definitions.artifacts.values_mut() {
        output.is_artifact_list = true;
    }
}
