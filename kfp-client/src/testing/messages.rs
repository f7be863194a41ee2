//! The request messages of both API versions.

use super::Generation;
use super::schema::{Kind, Schema};

/// `=>` and a generation say since when servers know the field before it.
macro_rules! message {
    ($(#[$doc:meta])* $name:ident = $proto:literal { $($field:ident: $kind:expr $(=> $since:ident)?),* $(,)? } $(one of $group:ident: $($member:ident)|+)?) => {
        $(#[$doc])*
        pub(super) static $name: Schema = Schema {
            name: $proto,
            fields: &[$((stringify!($field), $kind)),*],
            later: &[$($((stringify!($field), Generation::$since),)?)*],
            one_of: &[$((stringify!($group), &[$(stringify!($member)),+]))?],
        };
    };
}

use Kind::{Any, Bool, Double, Enum, Int32, Int64, List, Map, Message, Struct, Text, Time};

const STATES: Kind = Enum(
    "kubeflow.pipelines.backend.api.v2beta1.RuntimeState",
    &[
        ("RUNTIME_STATE_UNSPECIFIED", 0),
        ("PENDING", 1),
        ("RUNNING", 2),
        ("SUCCEEDED", 3),
        ("SKIPPED", 4),
        ("FAILED", 5),
        ("CANCELING", 6),
        ("CANCELED", 7),
        ("PAUSED", 8),
    ],
);
const STORAGE_STATES: &[(&str, i64)] = &[("STORAGE_STATE_UNSPECIFIED", 0), ("AVAILABLE", 1), ("ARCHIVED", 2)];
const STORAGE: Kind = Enum(
    "kubeflow.pipelines.backend.api.v2beta1.Experiment.StorageState",
    STORAGE_STATES,
);
const RUN_STORAGE: Kind = Enum(
    "kubeflow.pipelines.backend.api.v2beta1.Run.StorageState",
    STORAGE_STATES,
);
const MODES: Kind = Enum(
    "kubeflow.pipelines.backend.api.v2beta1.RecurringRun.Mode",
    &[("MODE_UNSPECIFIED", 0), ("ENABLE", 1), ("DISABLE", 2)],
);
const STATUSES: Kind = Enum(
    "kubeflow.pipelines.backend.api.v2beta1.RecurringRun.Status",
    &[("STATUS_UNSPECIFIED", 0), ("ENABLED", 1), ("DISABLED", 3)],
);
const V1_STORAGE: Kind = Enum(
    "api.Experiment.StorageState",
    &[
        ("STORAGESTATE_UNSPECIFIED", 0),
        ("STORAGESTATE_AVAILABLE", 1),
        ("STORAGESTATE_ARCHIVED", 2),
    ],
);
const V1_RUN_STORAGE: Kind = Enum(
    "api.Run.StorageState",
    &[("STORAGESTATE_AVAILABLE", 0), ("STORAGESTATE_ARCHIVED", 1)],
);
const V1_MODES: Kind = Enum("api.Job.Mode", &[("UNKNOWN_MODE", 0), ("ENABLED", 1), ("DISABLED", 2)]);
const V1_TYPES: Kind = Enum(
    "api.ResourceType",
    &[
        ("UNKNOWN_RESOURCE_TYPE", 0),
        ("EXPERIMENT", 1),
        ("JOB", 2),
        ("PIPELINE", 3),
        ("PIPELINE_VERSION", 4),
        ("NAMESPACE", 5),
    ],
);
const V1_RELATIONS: Kind = Enum(
    "api.Relationship",
    &[("UNKNOWN_RELATIONSHIP", 0), ("OWNER", 1), ("CREATOR", 2)],
);
const V1_FORMATS: Kind = Enum(
    "api.RunMetric.Format",
    &[("UNSPECIFIED", 0), ("RAW", 1), ("PERCENTAGE", 2)],
);
const V1_VISUALIZATIONS: Kind = Enum(
    "api.Visualization.Type",
    &[("ROC_CURVE", 0), ("TFDV", 1), ("TFMA", 2), ("TABLE", 3), ("CUSTOM", 4)],
);
const OPERATIONS: Kind = Enum(
    "kubeflow.pipelines.backend.api.v2beta1.Predicate.Operation",
    &[
        ("OPERATION_UNSPECIFIED", 0),
        ("EQUALS", 1),
        ("NOT_EQUALS", 2),
        ("GREATER_THAN", 3),
        ("GREATER_THAN_EQUALS", 5),
        ("LESS_THAN", 6),
        ("LESS_THAN_EQUALS", 7),
        ("IN", 8),
        ("IS_SUBSTRING", 9),
    ],
);
const V1_OPERATIONS: Kind = Enum(
    "api.Predicate.Op",
    &[
        ("UNKNOWN", 0),
        ("EQUALS", 1),
        ("NOT_EQUALS", 2),
        ("GREATER_THAN", 3),
        ("GREATER_THAN_EQUALS", 5),
        ("LESS_THAN", 6),
        ("LESS_THAN_EQUALS", 7),
        ("IN", 8),
        ("IS_SUBSTRING", 9),
    ],
);

message! { EXPERIMENT = "kubeflow.pipelines.backend.api.v2beta1.Experiment" {
    experiment_id: Text, display_name: Text, description: Text, created_at: Time, namespace: Text,
    storage_state: STORAGE, last_run_created_at: Time,
} }

message! { REFERENCE = "kubeflow.pipelines.backend.api.v2beta1.PipelineVersionReference" {
    pipeline_id: Text, pipeline_version_id: Text,
} }

message! { RUNTIME_CONFIG = "kubeflow.pipelines.backend.api.v2beta1.RuntimeConfig" {
    parameters: Map(&Any), pipeline_root: Text,
} }

message! { RUN = "kubeflow.pipelines.backend.api.v2beta1.Run" {
    experiment_id: Text, run_id: Text, display_name: Text, storage_state: RUN_STORAGE, description: Text,
    pipeline_version_id: Text, pipeline_spec: Struct, pipeline_version_reference: Message(&REFERENCE),
    runtime_config: Message(&RUNTIME_CONFIG), service_account: Text, created_at: Time, scheduled_at: Time,
    finished_at: Time, state: STATES, error: Any, run_details: Any, recurring_run_id: Text, state_history: Any,
    plugins_input: Map(&Struct) => V2_17, plugins_output: Map(&Any) => V2_17,
} one of pipeline_source: pipeline_version_id | pipeline_spec | pipeline_version_reference }

message! { CRON = "kubeflow.pipelines.backend.api.v2beta1.CronSchedule" { start_time: Time, end_time: Time, cron: Text } }
message! { PERIODIC = "kubeflow.pipelines.backend.api.v2beta1.PeriodicSchedule" {
    start_time: Time, end_time: Time, interval_second: Int64,
} }
message! { TRIGGER = "kubeflow.pipelines.backend.api.v2beta1.Trigger" {
    cron_schedule: Message(&CRON), periodic_schedule: Message(&PERIODIC),
} one of trigger: cron_schedule | periodic_schedule }

message! { RECURRING_RUN = "kubeflow.pipelines.backend.api.v2beta1.RecurringRun" {
    recurring_run_id: Text, display_name: Text, description: Text, pipeline_version_id: Text, pipeline_spec: Struct,
    pipeline_version_reference: Message(&REFERENCE), runtime_config: Message(&RUNTIME_CONFIG), service_account: Text,
    max_concurrency: Int64, trigger: Message(&TRIGGER), mode: MODES, created_at: Time, updated_at: Time,
    status: STATUSES, error: Any, no_catchup: Bool, namespace: Text, experiment_id: Text,
    plugins_input: Map(&Struct) => V2_17,
} one of pipeline_source: pipeline_version_id | pipeline_spec | pipeline_version_reference }

message! { PIPELINE = "kubeflow.pipelines.backend.api.v2beta1.Pipeline" {
    pipeline_id: Text, display_name: Text, name: Text => V2_17, description: Text, created_at: Time, namespace: Text,
    error: Any, tags: Map(&Text) => V2_17,
} }
message! { PACKAGE_URL = "kubeflow.pipelines.backend.api.v2beta1.Url" { pipeline_url: Text } }
message! { VERSION = "kubeflow.pipelines.backend.api.v2beta1.PipelineVersion" {
    pipeline_id: Text, pipeline_version_id: Text, display_name: Text, name: Text => V2_17, description: Text,
    created_at: Time, package_url: Message(&PACKAGE_URL), code_source_url: Text, pipeline_spec: Struct, error: Any,
    tags: Map(&Text) => V2_17,
} }
message! { PIPELINE_AND_VERSION = "kubeflow.pipelines.backend.api.v2beta1.CreatePipelineAndVersionRequest" {
    pipeline: Message(&PIPELINE), pipeline_version: Message(&VERSION),
} }

message! { INTS = "IntValues" { values: List(&Int32) } }
message! { LONGS = "LongValues" { values: List(&Int64) } }
message! { TEXTS = "StringValues" { values: List(&Text) } }

message! { PREDICATE = "kubeflow.pipelines.backend.api.v2beta1.Predicate" {
    operation: OPERATIONS, key: Text, int_value: Int32, long_value: Int64, string_value: Text, timestamp_value: Time,
    int_values: Message(&INTS), long_values: Message(&LONGS), string_values: Message(&TEXTS),
} one of value: int_value | long_value | string_value | timestamp_value | int_values | long_values | string_values }
message! { FILTER = "kubeflow.pipelines.backend.api.v2beta1.Filter" { predicates: List(&Message(&PREDICATE)) } }

message! { V1_PREDICATE = "api.Predicate" {
    op: V1_OPERATIONS, key: Text, int_value: Int32, long_value: Int64, string_value: Text, timestamp_value: Time,
    int_values: Message(&INTS), long_values: Message(&LONGS), string_values: Message(&TEXTS),
} one of value: int_value | long_value | string_value | timestamp_value | int_values | long_values | string_values }
message! { V1_FILTER = "api.Filter" { predicates: List(&Message(&V1_PREDICATE)) } }

message! { V1_KEY = "api.ResourceKey" { type: V1_TYPES, id: Text } }
message! { V1_REFERENCE = "api.ResourceReference" { key: Message(&V1_KEY), name: Text, relationship: V1_RELATIONS } }

message! { V1_EXPERIMENT = "api.Experiment" {
    id: Text, name: Text, description: Text, created_at: Time, resource_references: List(&Message(&V1_REFERENCE)),
    storage_state: V1_STORAGE,
} }
message! { V1_PARAMETER = "api.Parameter" { name: Text, value: Text } }
message! { V1_SPEC = "api.PipelineSpec" {
    pipeline_id: Text, pipeline_name: Text, workflow_manifest: Text, pipeline_manifest: Text,
    parameters: List(&Message(&V1_PARAMETER)), runtime_config: Message(&RUNTIME_CONFIG) => V2_5,
} }
message! { V1_METRIC = "api.RunMetric" { name: Text, node_id: Text, number_value: Double, format: V1_FORMATS } }
message! { V1_RUN = "api.Run" {
    id: Text, name: Text, storage_state: V1_RUN_STORAGE, description: Text, pipeline_spec: Message(&V1_SPEC),
    resource_references: List(&Message(&V1_REFERENCE)), service_account: Text, created_at: Time, scheduled_at: Time,
    finished_at: Time, status: Text, error: Text, metrics: List(&Message(&V1_METRIC)),
} }
message! { V1_METRICS = "api.ReportRunMetricsRequest" { run_id: Text, metrics: List(&Message(&V1_METRIC)) } }
message! { V1_JOB = "api.Job" {
    id: Text, name: Text, description: Text, pipeline_spec: Message(&V1_SPEC),
    resource_references: List(&Message(&V1_REFERENCE)), service_account: Text, max_concurrency: Int64,
    trigger: Message(&TRIGGER), mode: V1_MODES, created_at: Time, updated_at: Time, status: Text, error: Text,
    enabled: Bool, no_catchup: Bool,
} }
message! { V1_PIPELINE = "api.Pipeline" {
    id: Text, created_at: Time, name: Text, description: Text, parameters: List(&Message(&V1_PARAMETER)),
    url: Message(&PACKAGE_URL), error: Text, default_version: Any, resource_references: List(&Message(&V1_REFERENCE)),
} }
message! { V1_VERSION = "api.PipelineVersion" {
    id: Text, name: Text, created_at: Time, parameters: List(&Message(&V1_PARAMETER)), code_source_url: Text,
    package_url: Message(&PACKAGE_URL), resource_references: List(&Message(&V1_REFERENCE)), description: Text,
} }
message! { V1_TASK = "api.Task" {
    id: Text, namespace: Text, pipelineName: Text, runId: Text, mlmdExecutionID: Text, created_at: Time,
    finished_at: Time, fingerprint: Text,
} }
message! { V1_VISUALIZATION = "api.Visualization" {
    type: V1_VISUALIZATIONS, source: Text, arguments: Text, html: Text, error: Text,
} }
