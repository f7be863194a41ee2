//! Runs as the server reports them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::super::experiments::StorageState;
use crate::{
    ids::{ExperimentId, PipelineId, PipelineVersionId, RecurringRunId, RunId},
    message::message,
    page::Listed,
    status::Status,
    wire::wire_enum,
};

wire_enum! {
    /// State of a run or of one of its tasks.
    pub enum RuntimeState {
        /// Not said.
        Unspecified = "RUNTIME_STATE_UNSPECIFIED",
        /// Accepted, not started.
        Pending = "PENDING",
        /// In progress.
        Running = "RUNNING",
        /// Ended well.
        Succeeded = "SUCCEEDED",
        /// Not done, because of a condition or a cached result.
        Skipped = "SKIPPED",
        /// Ended badly; also the end of a terminated run.
        Failed = "FAILED",
        /// Being terminated.
        Canceling = "CANCELING",
        /// Terminated. No server up to 2.17 sets it.
        Canceled = "CANCELED",
        /// Held.
        Paused = "PAUSED",
    }
}

impl RuntimeState {
    /// Whether nothing follows, unless a failed run is retried. An unknown state is not final.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Skipped | Self::Failed | Self::Canceled)
    }
}

wire_enum! {
    /// State of a server plugin's work for a run.
    pub enum PluginState {
        /// Not said.
        Unspecified = "PLUGIN_STATE_UNSPECIFIED",
        /// In progress.
        Running = "PLUGIN_RUNNING",
        /// Done.
        Succeeded = "PLUGIN_SUCCEEDED",
        /// Failed; the run itself goes on.
        Failed = "PLUGIN_FAILED",
    }
}

wire_enum! {
    /// How a value of a plugin is meant to be shown.
    pub enum RenderType {
        /// As it is.
        Unspecified = "UNSPECIFIED",
        /// As a link.
        Url = "URL",
    }
}

/// How a run stands, in the words of its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RunOutcome {
    /// It ended well.
    Succeeded,
    /// It failed by itself.
    Failed,
    /// It was terminated.
    Cancelled,
    /// There was nothing to do.
    Skipped,
    /// It has not ended.
    Unfinished,
}

message! {
    /// One execution of a pipeline.
    pub struct Run {
        /// Id.
        run_id: RunId,
        /// Experiment it belongs to.
        experiment_id: ExperimentId,
        /// Name; not unique.
        display_name: String,
        /// Free text.
        description: String,
        /// Whether it is in use or put away.
        storage_state: Option<StorageState>,
        /// State; `None` if the server has not said.
        state: Option<RuntimeState>,
        /// Every state so far, oldest first. A retry cuts it (KFP 2.0 to 2.5) or continues it (2.17).
        state_history: Vec<RuntimeStatus>,
        /// Error of the run as a whole. A failed step does not set it (KFP 2.17); the reason is in the step's log.
        error: Option<Status>,
        /// When it was made.
        created_at: Option<Timestamp>,
        /// When it was due; differs from `created_at` for runs of a schedule.
        scheduled_at: Option<Timestamp>,
        /// When it ended; `None` until then.
        finished_at: Option<Timestamp>,
        /// The pipeline as it was sent with the run, if it was: a specification, or `{pipeline_spec, platform_spec}`.
        pipeline_spec: Option<Value>,
        /// Version it runs, in the older form; servers up to KFP 2.17 leave it empty and do not read it.
        pipeline_version_id: PipelineVersionId,
        /// The stored pipeline it runs, if it runs one.
        pipeline_version_reference: Option<PipelineVersionReference>,
        /// Values for this run.
        runtime_config: RuntimeConfig,
        /// Kubernetes service account of its pods.
        service_account: String,
        /// Schedule that made it, if any.
        recurring_run_id: Option<RecurringRunId>,
        /// Its tasks; absent until the first report. They are written after the run's state, so a run that has just
        /// ended may still show tasks in progress, and they come in no order.
        run_details: RunDetails,
        /// Settings of server plugins (from KFP 2.17 on).
        plugins_input: Map<String, Value>,
        /// What server plugins did (from KFP 2.17 on).
        plugins_output: BTreeMap<String, PluginOutput>,
    }
}

impl Run {
    /// How the run stands.
    ///
    /// A terminated run ends as `FAILED`, as if it had failed by itself; what tells the two apart is that it was
    /// `CANCELING` since it last ran.
    pub fn outcome(&self) -> RunOutcome {
        match &self.state {
            Some(RuntimeState::Succeeded) => RunOutcome::Succeeded,
            Some(RuntimeState::Skipped) => RunOutcome::Skipped,
            Some(RuntimeState::Canceled) => RunOutcome::Cancelled,
            Some(RuntimeState::Failed) if self.was_terminated() => RunOutcome::Cancelled,
            Some(RuntimeState::Failed) => RunOutcome::Failed,
            _ => RunOutcome::Unfinished,
        }
    }

    /// Whether the latest attempt of the run was terminated.
    fn was_terminated(&self) -> bool {
        // A run that was terminated, retried and then failed by itself has an older CANCELING, before the end of its
        // first attempt; so only what lies between the last end and the one before it counts.
        let mut states = self
            .state_history
            .iter()
            .rev()
            .filter_map(|status| status.state.as_ref())
            .peekable();
        while states.next_if(|state| state.is_final()).is_some() {}
        states
            .take_while(|state| !state.is_final())
            .any(|state| *state == RuntimeState::Canceling)
    }
}

impl Listed for Run {
    fn broken(&self) -> Option<(&str, &Status)> {
        // A real run always has a name and a time, whatever its error.
        let stub = self.display_name.is_empty() && self.created_at.is_none();
        self.error
            .as_ref()
            .filter(|_| stub)
            .map(|error| (self.run_id.as_str(), error))
    }
}

message! {
    /// A state, and when it was entered.
    pub struct RuntimeStatus {
        /// When.
        update_time: Option<Timestamp>,
        /// The state.
        state: Option<RuntimeState>,
        /// Why, if it is an error.
        error: Option<Status>,
    }
}

message! {
    /// A stored pipeline.
    pub struct PipelineVersionReference {
        /// The pipeline.
        pipeline_id: PipelineId,
        /// The version; empty for the latest.
        pipeline_version_id: PipelineVersionId,
    }
}

message! {
    /// Values for one run.
    pub struct RuntimeConfig {
        /// The pipeline's parameters as they were given; defaults are not filled in.
        parameters: Map<String, Value>,
        /// Where artifacts are kept; empty for the server's default.
        pipeline_root: String,
    }
}

message! {
    /// What happened inside a run.
    pub struct RunDetails {
        /// Id of the pipeline in the metadata store.
        pipeline_context_id: Option<i64>,
        /// Id of the run in the metadata store.
        pipeline_run_context_id: Option<i64>,
        /// The tasks, in no order. Drivers of the steps are among them (`<task>-driver`).
        task_details: Vec<TaskDetail>,
    }
}

message! {
    /// One task of a run.
    pub struct TaskDetail {
        /// Run it belongs to.
        run_id: RunId,
        /// Id.
        task_id: String,
        /// Name of the task, or of a step the server added.
        display_name: String,
        /// When it was made.
        create_time: Option<Timestamp>,
        /// When it started; never set by KFP 2.17.
        start_time: Option<Timestamp>,
        /// When it ended.
        end_time: Option<Timestamp>,
        /// State.
        state: Option<RuntimeState>,
        /// Every state so far, oldest first.
        state_history: Vec<RuntimeStatus>,
        /// Why it failed, if the server knows.
        error: Option<Status>,
        /// Task it is a part of; empty at the top.
        parent_task_id: String,
        /// Node of the Argo workflow, from which the pod's name follows.
        pod_name: String,
        /// Its parts.
        child_tasks: Vec<ChildTask>,
        /// Id of the execution in the metadata store.
        execution_id: Option<i64>,
        /// Artifacts that went in, by name; often empty.
        inputs: BTreeMap<String, ArtifactList>,
        /// Artifacts that came out, by name; often empty.
        outputs: BTreeMap<String, ArtifactList>,
        /// Jobs on other platforms that did the work.
        executor_detail: Option<ExecutorDetail>,
    }
}

message! {
    /// Jobs on other platforms than Kubernetes that did a task's work.
    pub struct ExecutorDetail {
        /// Job that ran the main container.
        main_job: String,
        /// Job that looked for a cached result.
        pre_caching_check_job: String,
        /// Earlier jobs of the main container that failed and were repeated.
        failed_main_jobs: Vec<String>,
        /// Earlier jobs of the look-up that failed and were repeated.
        failed_pre_caching_check_jobs: Vec<String>,
    }
}

message! {
    /// A part of a task.
    pub struct ChildTask {
        /// Id, if the part is a task.
        task_id: String,
        /// Node of the Argo workflow.
        pod_name: String,
    }
}

message! {
    /// Artifacts under one name.
    pub struct ArtifactList {
        /// Their ids in the metadata store.
        artifact_ids: Vec<i64>,
    }
}

message! {
    /// What a server plugin did for a run.
    pub struct PluginOutput {
        /// What it has to tell, e.g. `run_url`.
        entries: BTreeMap<String, PluginEntry>,
        /// How it stands.
        state: Option<PluginState>,
        /// Why, if it failed.
        state_message: String,
    }
}

message! {
    /// One value of a plugin.
    pub struct PluginEntry {
        /// The value.
        value: Value,
        /// How to show it.
        render_type: Option<RenderType>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(states: &[&str]) -> Run {
        let history: Vec<Value> = states.iter().map(|state| serde_json::json!({"state": state})).collect();
        serde_json::from_value(serde_json::json!({"run_id": "r", "state": states.last(), "state_history": history}))
            .unwrap()
    }

    #[test]
    fn every_known_state_and_an_invented_one_survive() {
        for state in RuntimeState::KNOWN
            .iter()
            .cloned()
            .chain([RuntimeState::Unknown("MELTING".to_owned())])
        {
            let text = serde_json::to_string(&state).unwrap();
            assert_eq!(serde_json::from_str::<RuntimeState>(&text).unwrap(), state);
        }
        assert!(!RuntimeState::from("MELTING").is_final());
    }

    #[test]
    fn a_terminated_run_is_cancelled_and_a_failed_one_is_not() {
        assert_eq!(
            run(&["PENDING", "RUNNING", "CANCELING", "FAILED"]).outcome(),
            RunOutcome::Cancelled
        );
        assert_eq!(run(&["PENDING", "RUNNING", "FAILED"]).outcome(), RunOutcome::Failed);
        let retried = ["RUNNING", "CANCELING", "FAILED", "RUNNING", "FAILED"];
        assert_eq!(run(&retried).outcome(), RunOutcome::Failed);
        assert_eq!(run(&["RUNNING", "CANCELING"]).outcome(), RunOutcome::Unfinished);
        assert_eq!(run(&["CANCELED"]).outcome(), RunOutcome::Cancelled);
        assert_eq!(run(&["MELTING"]).outcome(), RunOutcome::Unfinished);
    }

    #[test]
    fn unset_times_are_none() {
        let run: Run = serde_json::from_value(serde_json::json!({
            "finished_at": "1970-01-01T00:00:00Z", "created_at": "2026-11-23T21:02:24.125Z",
            "run_details": {"task_details": [{"start_time": "0001-01-01T00:00:00Z", "execution_id": "12",
                "outputs": {"model": {"artifact_ids": ["9007199254740993", 2]}}}]}
        }))
        .unwrap();
        assert_eq!(run.finished_at, None);
        assert!(run.created_at.is_some());
        let task = &run.run_details.task_details[0];
        assert_eq!((task.start_time, task.execution_id), (None, Some(12)));
        assert_eq!(task.outputs["model"].artifact_ids, [9_007_199_254_740_993, 2]);
    }
}
