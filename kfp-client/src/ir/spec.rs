//! The specification of a pipeline, field by field.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::object::{ir_object, plain_optional};
use super::platform::SinglePlatformSpec;
use crate::wire::wire_enum;

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
        pipeline_info: PipelineInfo = "pipelineInfo",
        /// Version of the format: [`SCHEMA_VERSION`](crate::ir::SCHEMA_VERSION).
        schema_version: String = "schemaVersion",
        /// What wrote it; not read by the server.
        sdk_version: String = "sdkVersion",
        /// Where artifacts are kept, unless the run says otherwise.
        default_pipeline_root: String = "defaultPipelineRoot",
        /// The graph of tasks.
        root: ComponentSpec = "root",
        /// What the tasks execute, by name.
        components: BTreeMap<String, ComponentSpec> = "components",
        /// How the components are executed.
        deployment_spec: DeploymentSpec = "deploymentSpec",
    }
}

ir_object! {
    /// What a pipeline is called.
    PipelineInfo {
        /// Name: 1 to 128 of `a-z`, `0-9` and `-`, not starting with `-`.
        name: String = "name",
        /// Name to show.
        display_name: String = "displayName",
        /// Free text.
        description: String = "description",
    }
}

ir_object! {
    /// A component: inputs, outputs, and either a graph of tasks or an executor.
    ComponentSpec {
        /// What goes in.
        input_definitions: ComponentInputs = "inputDefinitions",
        /// What comes out.
        output_definitions: ComponentOutputs = "outputDefinitions",
        /// The graph of tasks it stands for.
        dag: Option<Dag> = "dag",
        /// The executor that does it.
        executor_label: String = "executorLabel",
        /// Settings for platforms that belong to the component itself.
        single_platform_specs: Vec<SinglePlatformSpec> = "singlePlatformSpecs",
        /// Settings of the task's pod that are handed on, to jobs the component makes (from KFP 2.14 on).
        task_config_passthroughs: Vec<TaskConfigPassthrough> = "taskConfigPassthroughs",
    }
}

wire_enum! {
    /// A setting of a task's pod.
    pub enum TaskConfigField {
        /// CPU, memory and accelerators.
        Resources = "RESOURCES",
        /// The environment.
        Env = "ENV",
        /// Node affinity.
        KubernetesAffinity = "KUBERNETES_AFFINITY",
        /// Tolerations of taints.
        KubernetesTolerations = "KUBERNETES_TOLERATIONS",
        /// Node selector.
        KubernetesNodeSelector = "KUBERNETES_NODE_SELECTOR",
        /// Volumes and where they are mounted.
        KubernetesVolumes = "KUBERNETES_VOLUMES",
    }
}

plain_optional!(ParameterType, TriggerStrategy, TaskConfigField);

ir_object! {
    /// A setting of a task's pod that is handed on.
    TaskConfigPassthrough {
        /// Which.
        field: Option<TaskConfigField> = "field",
        /// Whether it holds for the task's own pod too.
        apply_to_task: bool = "applyToTask",
    }
}

ir_object! {
    /// What goes into a component.
    ComponentInputs {
        /// Values, by name.
        parameters: BTreeMap<String, ParameterSpec> = "parameters",
        /// Files, by name.
        artifacts: BTreeMap<String, ArtifactSpec> = "artifacts",
    }
}

ir_object! {
    /// What comes out of a component.
    ComponentOutputs {
        /// Values, by name.
        parameters: BTreeMap<String, ParameterSpec> = "parameters",
        /// Files, by name.
        artifacts: BTreeMap<String, ArtifactSpec> = "artifacts",
    }
}

ir_object! {
    /// A value that goes in or comes out.
    ParameterSpec {
        /// Its type; required.
        parameter_type: Option<ParameterType> = "parameterType",
        /// Value if none is given.
        default_value: Option<Value> = "defaultValue",
        /// Whether it may be left out.
        is_optional: bool = "isOptional",
        /// Free text.
        description: String = "description",
        /// Values allowed (from KFP 2.16 on).
        literals: Vec<Value> = "literals",
    }
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
        self.optional()
    }

    /// It may be left out.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.is_optional = true;
        self
    }
}

ir_object! {
    /// A file that goes in or comes out.
    ArtifactSpec {
        /// Its type.
        artifact_type: ArtifactType = "artifactType",
        /// Whether it is a list of such files.
        is_artifact_list: bool = "isArtifactList",
        /// Whether it may be left out.
        is_optional: bool = "isOptional",
        /// Free text.
        description: String = "description",
        /// What is noted with an output.
        metadata: Map<String, Value> = "metadata",
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

    /// It may be left out.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.is_optional = true;
        self
    }

    /// It is a list of such files.
    #[must_use]
    pub fn list(mut self) -> Self {
        self.is_artifact_list = true;
        self
    }
}

ir_object! {
    /// Type of a file.
    ArtifactType {
        /// `system.Artifact`, `.Dataset`, `.Model`, `.Metrics`, `.ClassificationMetrics`,
        /// `.SlicedClassificationMetrics`, `.HTML` or `.Markdown`.
        schema_title: String = "schemaTitle",
        /// `0.0.1`.
        schema_version: String = "schemaVersion",
        /// Its schema, as YAML text; instead of the title.
        instance_schema: String = "instanceSchema",
        /// Where its schema is kept; instead of the title. No longer in use.
        schema_uri: String = "schemaUri",
    }
}

ir_object! {
    /// A graph of tasks.
    Dag {
        /// The tasks, by key. The key is a task's identity.
        tasks: BTreeMap<String, Task> = "tasks",
        /// What comes out of it.
        outputs: DagOutputs = "outputs",
    }
}

ir_object! {
    /// Where a graph's outputs come from.
    DagOutputs {
        /// Values, by name.
        parameters: BTreeMap<String, ParameterOutput> = "parameters",
        /// Files, by name.
        artifacts: BTreeMap<String, ArtifactOutput> = "artifacts",
    }
}

ir_object! {
    /// Where a value comes from.
    ParameterOutput {
        /// One task.
        value_from_parameter: Option<ParameterSelector> = "valueFromParameter",
        /// The one of several tasks that ran.
        value_from_oneof: Option<OneofSelector> = "valueFromOneof",
    }
}

ir_object! {
    /// Tasks of which one runs.
    OneofSelector {
        /// The tasks.
        parameter_selectors: Vec<ParameterSelector> = "parameterSelectors",
    }
}

ir_object! {
    /// An output value of a task.
    ParameterSelector {
        /// The task.
        producer_subtask: String = "producerSubtask",
        /// The output.
        output_parameter_key: String = "outputParameterKey",
    }
}

ir_object! {
    /// Where a file comes from.
    ArtifactOutput {
        /// The tasks of which one makes it.
        artifact_selectors: Vec<ArtifactSelector> = "artifactSelectors",
    }
}

ir_object! {
    /// An output file of a task.
    ArtifactSelector {
        /// The task.
        producer_subtask: String = "producerSubtask",
        /// The output.
        output_artifact_key: String = "outputArtifactKey",
    }
}

ir_object! {
    /// A task: a component with its inputs bound, and when it runs.
    Task {
        /// What it is called.
        task_info: TaskInfo = "taskInfo",
        /// What it executes.
        component_ref: ComponentRef = "componentRef",
        /// Where its inputs come from.
        inputs: TaskInputs = "inputs",
        /// Tasks of the same graph that come before it, those it gets data from included.
        dependent_tasks: Vec<String> = "dependentTasks",
        /// Whether an earlier result may be used; an empty object means no.
        caching_options: Option<CachingOptions> = "cachingOptions",
        /// When it runs.
        trigger_policy: Option<TriggerPolicy> = "triggerPolicy",
        /// How often it is tried.
        retry_policy: Option<RetryPolicy> = "retryPolicy",
        /// Runs it once for each value of a list.
        parameter_iterator: Option<ParameterIterator> = "parameterIterator",
        /// Runs it once for each file of a list.
        artifact_iterator: Option<ArtifactIterator> = "artifactIterator",
        /// How its iterations run.
        iterator_policy: Option<IteratorPolicy> = "iteratorPolicy",
    }
}

ir_object! {
    /// What a task is called.
    TaskInfo {
        /// Name to show.
        name: String = "name",
    }
}

ir_object! {
    /// Names a component.
    ComponentRef {
        /// Key in `components`.
        name: String = "name",
    }
}

ir_object! {
    /// Where a task's inputs come from.
    TaskInputs {
        /// Values, by name.
        parameters: BTreeMap<String, ParameterInput> = "parameters",
        /// Files, by name.
        artifacts: BTreeMap<String, ArtifactInput> = "artifacts",
    }
}

ir_object! {
    /// Where a value comes from; exactly one of the four.
    ParameterInput {
        /// An output of another task of the same graph.
        task_output_parameter: Option<TaskOutputParameter> = "taskOutputParameter",
        /// A constant.
        runtime_value: Option<RuntimeValue> = "runtimeValue",
        /// An input of the component whose graph this is.
        component_input_parameter: Option<String> = "componentInputParameter",
        /// How a task ended.
        task_final_status: Option<TaskFinalStatus> = "taskFinalStatus",
        /// CEL expression that picks a part of the value.
        parameter_expression_selector: String = "parameterExpressionSelector",
    }
}

impl ParameterInput {
    /// The task it makes its owner wait for.
    pub(crate) fn producer(&self) -> Option<&str> {
        let output = self
            .task_output_parameter
            .as_ref()
            .map(|from| from.producer_task.as_str());
        output.or_else(|| Some(self.task_final_status.as_ref()?.producer_task.as_str()))
    }

    /// A constant.
    pub fn constant(value: impl Into<Value>) -> Self {
        Self {
            runtime_value: Some(RuntimeValue {
                constant: Some(value.into()),
                ..RuntimeValue::default()
            }),
            ..Self::default()
        }
    }
}

ir_object! {
    /// An output value of a task.
    TaskOutputParameter {
        /// The task.
        producer_task: String = "producerTask",
        /// The output.
        output_parameter_key: String = "outputParameterKey",
    }
}

ir_object! {
    /// A constant.
    RuntimeValue {
        /// The value. A placeholder of the run (`{{$.pipeline_job_uuid}}`, ...) is replaced only if it is the whole
        /// value.
        constant: Option<Value> = "constant",
        /// An input of the component, by name; for the address an importer takes.
        runtime_parameter: Option<String> = "runtimeParameter",
    }
}

ir_object! {
    /// How a task ended.
    TaskFinalStatus {
        /// The task; must be among the dependent tasks.
        producer_task: String = "producerTask",
    }
}

ir_object! {
    /// Where a file comes from; exactly one of the two.
    ArtifactInput {
        /// An output of another task of the same graph.
        task_output_artifact: Option<TaskOutputArtifact> = "taskOutputArtifact",
        /// An input of the component whose graph this is.
        component_input_artifact: Option<String> = "componentInputArtifact",
    }
}

ir_object! {
    /// An output file of a task.
    TaskOutputArtifact {
        /// The task.
        producer_task: String = "producerTask",
        /// The output.
        output_artifact_key: String = "outputArtifactKey",
    }
}

ir_object! {
    /// Whether an earlier result may be used.
    CachingOptions {
        /// Whether it may.
        enable_cache: bool = "enableCache",
        /// Key under which it is found, instead of one computed from the task.
        cache_key: String = "cacheKey",
    }
}

ir_object! {
    /// When a task runs.
    TriggerPolicy {
        /// CEL expression over the task's inputs: `inputs.parameter_values['score'] >= 0.8`.
        condition: String = "condition",
        /// What the tasks before it must have come to.
        strategy: Option<TriggerStrategy> = "strategy",
    }
}

ir_object! {
    /// How often a task is tried.
    RetryPolicy {
        /// Tries after the first.
        max_retry_count: u32 = "maxRetryCount",
        /// Pause before the first repetition: seconds with `s` after them.
        backoff_duration: String = "backoffDuration",
        /// What the pause is multiplied by each time.
        backoff_factor: Option<f64> = "backoffFactor",
        /// Longest pause.
        backoff_max_duration: String = "backoffMaxDuration",
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
        items: IteratorItems = "items",
        /// Input that gets the value.
        item_input: String = "itemInput",
    }
}

ir_object! {
    /// Runs a task once for each file of a list.
    ArtifactIterator {
        /// The list.
        items: IteratorItems = "items",
        /// Input that gets the file.
        item_input: String = "itemInput",
    }
}

ir_object! {
    /// A list to iterate over.
    IteratorItems {
        /// A JSON array as text.
        raw: String = "raw",
        /// Input parameter that holds the list.
        input_parameter: String = "inputParameter",
        /// Input artifact that is the list.
        input_artifact: String = "inputArtifact",
    }
}

ir_object! {
    /// How iterations run.
    IteratorPolicy {
        /// How many run at once; 0 for all.
        parallelism_limit: u32 = "parallelismLimit",
    }
}

ir_object! {
    /// How components are executed.
    DeploymentSpec {
        /// Executors, by label.
        executors: BTreeMap<String, ExecutorSpec> = "executors",
    }
}

ir_object! {
    /// One way of execution.
    ExecutorSpec {
        /// A container.
        container: Option<ContainerSpec> = "container",
        /// Takes a file that is there already.
        importer: Option<ImporterSpec> = "importer",
    }
}

ir_object! {
    /// A container.
    ContainerSpec {
        /// Image.
        image: String = "image",
        /// Program and its first arguments, with placeholders.
        command: Vec<String> = "command",
        /// Further arguments, with placeholders.
        args: Vec<String> = "args",
        /// Environment.
        env: Vec<EnvVar> = "env",
        /// What it needs of the machine.
        resources: Option<Resources> = "resources",
        /// What is run around it; KFP does not read it.
        lifecycle: Map<String, Value> = "lifecycle",
    }
}

ir_object! {
    /// An environment variable.
    EnvVar {
        /// Name.
        name: String = "name",
        /// Value.
        value: String = "value",
    }
}

ir_object! {
    /// What a container needs of the machine, in Kubernetes quantities (`500m`, `2`, `4Gi`).
    Resources {
        /// Most CPU.
        resource_cpu_limit: String = "resourceCpuLimit",
        /// Most memory.
        resource_memory_limit: String = "resourceMemoryLimit",
        /// CPU set aside.
        resource_cpu_request: String = "resourceCpuRequest",
        /// Memory set aside.
        resource_memory_request: String = "resourceMemoryRequest",
        /// Accelerators.
        accelerator: Option<Accelerator> = "accelerator",
        /// Most CPU in cores, as servers before KFP 2.5 read it.
        cpu_limit: Option<f64> = "cpuLimit",
        /// Most memory in GB (10^9 bytes), as servers before KFP 2.5 read it.
        memory_limit: Option<f64> = "memoryLimit",
        /// CPU set aside in cores, as servers before KFP 2.5 read it.
        cpu_request: Option<f64> = "cpuRequest",
        /// Memory set aside in GB (10^9 bytes), as servers before KFP 2.5 read it.
        memory_request: Option<f64> = "memoryRequest",
    }
}

ir_object! {
    /// Accelerators.
    Accelerator {
        /// Kind, e.g. `nvidia.com/gpu`.
        resource_type: String = "resourceType",
        /// How many.
        resource_count: String = "resourceCount",
        /// Kind, as servers before KFP 2.5 read it.
        kind: String = "type",
        /// How many, as servers before KFP 2.5 read it; text on the wire.
        count: Option<i64> = "count",
    }
}

ir_object! {
    /// Takes a file that is there already. The component's output is named `artifact`.
    ImporterSpec {
        /// Where it is.
        artifact_uri: RuntimeValue = "artifactUri",
        /// Its type.
        type_schema: Option<ArtifactType> = "typeSchema",
        /// Whether it is taken anew each time.
        reimport: bool = "reimport",
        /// What is noted with it.
        metadata: Map<String, Value> = "metadata",
        /// Whether it is copied into the workspace of the run (from KFP 2.16 on).
        download_to_workspace: bool = "downloadToWorkspace",
    }
}
