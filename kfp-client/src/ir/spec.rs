//! The specification of a pipeline, field by field.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::wire::{self, wire_enum};

/// Defines an object of the format: every field may be missing, and unknown ones are kept in `extra`.
macro_rules! ir_object {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$fmeta])*
            #[serde(default, deserialize_with = "crate::wire::or_default", skip_serializing_if = "crate::ir::spec::is_default")]
            pub $field: $type,)*
            /// Fields this crate does not name, kept as they were read.
            #[serde(flatten)]
            pub extra: serde_json::Map<String, serde_json::Value>,
        }
    };
}
pub(crate) use ir_object;

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

wire_enum! {
    /// Type of a parameter.
    pub enum ParameterType {
        /// Text.
        String = "STRING",
        /// A whole number, exact to 2^53.
        NumberInteger = "NUMBER_INTEGER",
        /// A number.
        NumberDouble = "NUMBER_DOUBLE",
        /// True or false.
        Boolean = "BOOLEAN",
        /// A JSON array.
        List = "LIST",
        /// A JSON object.
        Struct = "STRUCT",
        /// How a task ended; filled in by the server for exit tasks.
        TaskFinalStatus = "TASK_FINAL_STATUS",
        /// Settings of the task; filled in by the server.
        TaskConfig = "TASK_CONFIG",
    }
}

wire_enum! {
    /// When a task runs, seen from the tasks it depends on.
    pub enum TriggerStrategy {
        /// Not said, which means: when all have succeeded.
        Unspecified = "TRIGGER_STRATEGY_UNSPECIFIED",
        /// When all have succeeded.
        AllUpstreamTasksSucceeded = "ALL_UPSTREAM_TASKS_SUCCEEDED",
        /// When all have ended, however: an exit task.
        AllUpstreamTasksCompleted = "ALL_UPSTREAM_TASKS_COMPLETED",
    }
}

ir_object! {
    /// A pipeline.
    PipelineSpec {
        /// What it is called.
        pipeline_info: PipelineInfo,
        /// Version of the format: [`SCHEMA_VERSION`](crate::ir::SCHEMA_VERSION).
        schema_version: String,
        /// What wrote it; not read by the server.
        sdk_version: String,
        /// Where artifacts are kept, unless the run says otherwise.
        default_pipeline_root: String,
        /// The graph of tasks.
        root: ComponentSpec,
        /// What the tasks execute, by name.
        components: BTreeMap<String, ComponentSpec>,
        /// How the components are executed.
        deployment_spec: DeploymentSpec,
    }
}

ir_object! {
    /// What a pipeline is called.
    PipelineInfo {
        /// Name: 1 to 128 of `a-z`, `0-9` and `-`, not starting with `-`.
        name: String,
        /// Name to show.
        display_name: String,
        /// Free text.
        description: String,
    }
}

ir_object! {
    /// A component: inputs, outputs, and either a graph of tasks or an executor.
    ComponentSpec {
        /// What goes in.
        input_definitions: ComponentInputs,
        /// What comes out.
        output_definitions: ComponentOutputs,
        /// The graph of tasks it stands for.
        dag: Option<Dag>,
        /// The executor that does it.
        executor_label: String,
    }
}

ir_object! {
    /// What goes into a component.
    ComponentInputs {
        /// Values, by name.
        parameters: BTreeMap<String, ParameterSpec>,
        /// Files, by name.
        artifacts: BTreeMap<String, ArtifactSpec>,
    }
}

ir_object! {
    /// What comes out of a component.
    ComponentOutputs {
        /// Values, by name.
        parameters: BTreeMap<String, ParameterSpec>,
        /// Files, by name.
        artifacts: BTreeMap<String, ArtifactSpec>,
    }
}

/// A value that goes in or comes out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ParameterSpec {
    /// Its type; required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter_type: Option<ParameterType>,
    /// Value if none is given.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub default_value: Option<Value>,
    /// Whether it may be left out.
    #[serde(default, deserialize_with = "wire::or_default", skip_serializing_if = "is_default")]
    pub is_optional: bool,
    /// Free text.
    #[serde(default, deserialize_with = "wire::or_default", skip_serializing_if = "is_default")]
    pub description: String,
    /// Values allowed (from KFP 2.16 on).
    #[serde(default, deserialize_with = "wire::or_default", skip_serializing_if = "is_default")]
    pub literals: Vec<Value>,
    /// Fields this crate does not name, kept as they were read.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ParameterSpec {
    /// A required value of this type.
    pub fn new(parameter_type: ParameterType) -> Self {
        Self {
            parameter_type: Some(parameter_type),
            ..Self::default()
        }
    }

    /// Value if none is given; makes the parameter optional.
    #[must_use]
    pub fn default_value(mut self, value: impl Into<Value>) -> Self {
        self.default_value = Some(value.into());
        self.is_optional = true;
        self
    }
}

ir_object! {
    /// A file that goes in or comes out.
    ArtifactSpec {
        /// Its type.
        artifact_type: ArtifactType,
        /// Whether it is a list of such files.
        is_artifact_list: bool,
        /// Whether it may be left out.
        is_optional: bool,
        /// Free text.
        description: String,
    }
}

impl ArtifactSpec {
    /// A file of this type, e.g. `system.Model`.
    pub fn new(schema_title: impl Into<String>) -> Self {
        Self {
            artifact_type: ArtifactType {
                schema_title: schema_title.into(),
                schema_version: "0.0.1".to_owned(),
                ..ArtifactType::default()
            },
            ..Self::default()
        }
    }
}

ir_object! {
    /// Type of a file.
    ArtifactType {
        /// `system.Artifact`, `.Dataset`, `.Model`, `.Metrics`, `.ClassificationMetrics`,
        /// `.SlicedClassificationMetrics`, `.HTML` or `.Markdown`.
        schema_title: String,
        /// `0.0.1`.
        schema_version: String,
    }
}

ir_object! {
    /// A graph of tasks.
    Dag {
        /// The tasks, by key. The key is a task's identity.
        tasks: BTreeMap<String, Task>,
        /// What comes out of it.
        outputs: DagOutputs,
    }
}

ir_object! {
    /// Where a graph's outputs come from.
    DagOutputs {
        /// Values, by name.
        parameters: BTreeMap<String, ParameterOutput>,
        /// Files, by name.
        artifacts: BTreeMap<String, ArtifactOutput>,
    }
}

ir_object! {
    /// Where a value comes from.
    ParameterOutput {
        /// One task.
        value_from_parameter: Option<ParameterSelector>,
        /// The one of several tasks that ran.
        value_from_oneof: Option<OneofSelector>,
    }
}

ir_object! {
    /// Tasks of which one runs.
    OneofSelector {
        /// The tasks.
        parameter_selectors: Vec<ParameterSelector>,
    }
}

ir_object! {
    /// An output value of a task.
    ParameterSelector {
        /// The task.
        producer_subtask: String,
        /// The output.
        output_parameter_key: String,
    }
}

ir_object! {
    /// Where a file comes from.
    ArtifactOutput {
        /// The tasks of which one makes it.
        artifact_selectors: Vec<ArtifactSelector>,
    }
}

ir_object! {
    /// An output file of a task.
    ArtifactSelector {
        /// The task.
        producer_subtask: String,
        /// The output.
        output_artifact_key: String,
    }
}

ir_object! {
    /// A task: a component with its inputs bound, and when it runs.
    Task {
        /// What it is called.
        task_info: TaskInfo,
        /// What it executes.
        component_ref: ComponentRef,
        /// Where its inputs come from.
        inputs: TaskInputs,
        /// Tasks of the same graph that come before it, those it gets data from included.
        dependent_tasks: Vec<String>,
        /// Whether an earlier result may be used; an empty object means no.
        caching_options: Option<CachingOptions>,
        /// When it runs.
        trigger_policy: Option<TriggerPolicy>,
        /// How often it is tried.
        retry_policy: Option<RetryPolicy>,
        /// Runs it once for each value of a list.
        parameter_iterator: Option<ParameterIterator>,
        /// Runs it once for each file of a list.
        artifact_iterator: Option<ArtifactIterator>,
        /// How its iterations run.
        iterator_policy: Option<IteratorPolicy>,
    }
}

ir_object! {
    /// What a task is called.
    TaskInfo {
        /// Name to show.
        name: String,
    }
}

ir_object! {
    /// Names a component.
    ComponentRef {
        /// Key in `components`.
        name: String,
    }
}

ir_object! {
    /// Where a task's inputs come from.
    TaskInputs {
        /// Values, by name.
        parameters: BTreeMap<String, ParameterInput>,
        /// Files, by name.
        artifacts: BTreeMap<String, ArtifactInput>,
    }
}

ir_object! {
    /// Where a value comes from; exactly one of the four.
    ParameterInput {
        /// An output of another task of the same graph.
        task_output_parameter: Option<TaskOutputParameter>,
        /// A constant.
        runtime_value: Option<RuntimeValue>,
        /// An input of the component whose graph this is.
        component_input_parameter: Option<String>,
        /// How a task ended.
        task_final_status: Option<TaskFinalStatus>,
        /// CEL expression that picks a part of the value.
        parameter_expression_selector: String,
    }
}

impl ParameterInput {
    /// A constant.
    pub fn constant(value: impl Into<Value>) -> Self {
        Self {
            runtime_value: Some(RuntimeValue {
                constant: Some(value.into()),
                extra: Map::new(),
            }),
            ..Self::default()
        }
    }
}

ir_object! {
    /// An output value of a task.
    TaskOutputParameter {
        /// The task.
        producer_task: String,
        /// The output.
        output_parameter_key: String,
    }
}

/// A constant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RuntimeValue {
    /// The value. A placeholder of the run (`{{$.pipeline_job_uuid}}`, ...) is replaced only if it is the whole value.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub constant: Option<Value>,
    /// Fields this crate does not name, kept as they were read.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

ir_object! {
    /// How a task ended.
    TaskFinalStatus {
        /// The task; must be among the dependent tasks.
        producer_task: String,
    }
}

ir_object! {
    /// Where a file comes from; exactly one of the two.
    ArtifactInput {
        /// An output of another task of the same graph.
        task_output_artifact: Option<TaskOutputArtifact>,
        /// An input of the component whose graph this is.
        component_input_artifact: Option<String>,
    }
}

ir_object! {
    /// An output file of a task.
    TaskOutputArtifact {
        /// The task.
        producer_task: String,
        /// The output.
        output_artifact_key: String,
    }
}

ir_object! {
    /// Whether an earlier result may be used.
    CachingOptions {
        /// Whether it may.
        enable_cache: bool,
        /// Key under which it is found, instead of one computed from the task.
        cache_key: String,
    }
}

ir_object! {
    /// When a task runs.
    TriggerPolicy {
        /// CEL expression over the task's inputs: `inputs.parameter_values['score'] >= 0.8`.
        condition: String,
        /// What the tasks before it must have come to.
        strategy: Option<TriggerStrategy>,
    }
}

ir_object! {
    /// How often a task is tried.
    RetryPolicy {
        /// Tries after the first.
        max_retry_count: u32,
        /// Pause before the first repetition: seconds with `s` after them.
        backoff_duration: String,
        /// What the pause is multiplied by each time.
        backoff_factor: Option<f64>,
        /// Longest pause.
        backoff_max_duration: String,
    }
}

impl RetryPolicy {
    /// This many tries after the first, without a pause.
    pub fn new(max_retry_count: u32) -> Self {
        Self {
            max_retry_count,
            ..Self::default()
        }
    }

    /// A pause of this many seconds before the first repetition, `factor` times as long each time, at most `longest`
    /// seconds.
    #[must_use]
    pub fn backoff(mut self, seconds: u32, factor: f64, longest: u32) -> Self {
        self.backoff_duration = format!("{seconds}s");
        self.backoff_factor = Some(factor);
        self.backoff_max_duration = format!("{longest}s");
        self
    }
}

ir_object! {
    /// Runs a task once for each value of a list.
    ParameterIterator {
        /// The list.
        items: IteratorItems,
        /// Input that gets the value.
        item_input: String,
    }
}

ir_object! {
    /// Runs a task once for each file of a list.
    ArtifactIterator {
        /// The list.
        items: IteratorItems,
        /// Input that gets the file.
        item_input: String,
    }
}

ir_object! {
    /// A list to iterate over.
    IteratorItems {
        /// A JSON array as text.
        raw: String,
        /// Input parameter that holds the list.
        input_parameter: String,
        /// Input artifact that is the list.
        input_artifact: String,
    }
}

ir_object! {
    /// How iterations run.
    IteratorPolicy {
        /// How many run at once; 0 for all.
        parallelism_limit: u32,
    }
}

ir_object! {
    /// How components are executed.
    DeploymentSpec {
        /// Executors, by label.
        executors: BTreeMap<String, ExecutorSpec>,
    }
}

ir_object! {
    /// One way of execution.
    ExecutorSpec {
        /// A container.
        container: Option<ContainerSpec>,
        /// Takes a file that is there already.
        importer: Option<ImporterSpec>,
    }
}

ir_object! {
    /// A container.
    ContainerSpec {
        /// Image.
        image: String,
        /// Program and its first arguments, with placeholders.
        command: Vec<String>,
        /// Further arguments, with placeholders.
        args: Vec<String>,
        /// Environment.
        env: Vec<EnvVar>,
        /// What it needs of the machine.
        resources: Option<Resources>,
    }
}

ir_object! {
    /// An environment variable.
    EnvVar {
        /// Name.
        name: String,
        /// Value.
        value: String,
    }
}

ir_object! {
    /// What a container needs of the machine, in Kubernetes quantities (`500m`, `2`, `4Gi`).
    Resources {
        /// Most CPU.
        resource_cpu_limit: String,
        /// Most memory.
        resource_memory_limit: String,
        /// CPU set aside.
        resource_cpu_request: String,
        /// Memory set aside.
        resource_memory_request: String,
        /// Accelerators.
        accelerator: Option<Accelerator>,
    }
}

ir_object! {
    /// Accelerators.
    Accelerator {
        /// Kind, e.g. `nvidia.com/gpu`.
        resource_type: String,
        /// How many.
        resource_count: String,
    }
}

ir_object! {
    /// Takes a file that is there already. The component's output is named `artifact`.
    ImporterSpec {
        /// Where it is.
        artifact_uri: Map<String, Value>,
        /// Its type.
        type_schema: Option<ArtifactType>,
        /// Whether it is taken anew each time.
        reimport: bool,
        /// What is noted with it.
        metadata: Map<String, Value>,
    }
}
