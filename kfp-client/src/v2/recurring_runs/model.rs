//! Recurring runs as the server reports them.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    super::runs::model::{PipelineVersionReference, RuntimeConfig},
    trigger::Trigger,
};
use crate::{
    ids::{ExperimentId, PipelineVersionId, RecurringRunId},
    message::message,
    page::Listed,
    status::Status,
    submit::Made,
    wire::wire_enum,
};

wire_enum! {
    /// Whether a recurring run is to start runs, as it is asked for.
    pub enum RecurringRunMode {
        /// Not said; the server takes it for [`Disable`](Self::Disable).
        Unspecified = "MODE_UNSPECIFIED",
        /// It starts runs.
        Enable = "ENABLE",
        /// It starts none until it is enabled.
        Disable = "DISABLE",
    }
}

wire_enum! {
    /// Whether a recurring run starts runs, as the server reports it.
    pub enum RecurringRunStatus {
        /// Not said.
        Unspecified = "STATUS_UNSPECIFIED",
        /// It starts runs.
        Enabled = "ENABLED",
        /// It starts none.
        Disabled = "DISABLED",
    }
}

message! {
    /// Runs of a pipeline that the server starts by itself.
    pub struct RecurringRun {
        /// Id: the UID of its Kubernetes resource.
        recurring_run_id: RecurringRunId,
        /// Name; not unique.
        display_name: String,
        /// Free text.
        description: String,
        /// Version it runs, in the older form; servers up to KFP 2.17 leave it empty and do not read it.
        pipeline_version_id: PipelineVersionId,
        /// The pipeline as it was sent, if it was: a specification, or `{pipeline_spec, platform_spec}`.
        pipeline_spec: Option<Value>,
        /// The stored pipeline it runs, if it runs one. Without a version it follows the latest.
        pipeline_version_reference: Option<PipelineVersionReference>,
        /// Values for its runs.
        runtime_config: RuntimeConfig,
        /// Kubernetes service account of the pods; empty if it follows the latest version.
        service_account: String,
        /// Most runs of it at one time, 1 to 10.
        max_concurrency: i64,
        /// When it starts runs; empty if never by itself.
        trigger: Option<Trigger>,
        /// Whether it is to start runs.
        mode: Option<RecurringRunMode>,
        /// When it was made.
        created_at: Option<Timestamp>,
        /// When it was last changed.
        updated_at: Option<Timestamp>,
        /// Whether it starts runs.
        status: Option<RecurringRunStatus>,
        /// What is wrong with it, if the server knows.
        error: Option<Status>,
        /// Of the starts that were missed (the server was away, it was disabled) only the latest is made up for;
        /// otherwise all are.
        no_catchup: bool,
        /// Namespace; set on single-user servers, too.
        namespace: String,
        /// Experiment its runs belong to.
        experiment_id: ExperimentId,
        /// Settings of server plugins for its runs (from KFP 2.17 on).
        plugins_input: Map<String, Value>,
    }
}

impl RecurringRun {
    /// Whether it starts runs, by its status, or by its mode where there is no status.
    pub fn is_enabled(&self) -> bool {
        match &self.status {
            None | Some(RecurringRunStatus::Unspecified) => self.mode == Some(RecurringRunMode::Enable),
            Some(status) => *status == RecurringRunStatus::Enabled,
        }
    }
}

impl Made for RecurringRun {
    fn id(&self) -> &str {
        self.recurring_run_id.as_str()
    }

    fn created_at(&self) -> Option<Timestamp> {
        self.created_at
    }
}

impl Listed for RecurringRun {
    fn broken(&self) -> Option<(&str, &Status)> {
        let stub = self.display_name.is_empty() && self.created_at.is_none();
        self.error
            .as_ref()
            .filter(|_| stub)
            .map(|error| (self.recurring_run_id.as_str(), error))
    }
}
