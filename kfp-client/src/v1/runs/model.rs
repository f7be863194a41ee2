//! Runs as the server reports them.

use jiff::Timestamp;

use super::metrics::RunMetric;
use crate::{
    RunOutcome, RuntimeState, argo,
    ids::{ExperimentId, JobId, PipelineVersionId, RunId},
    message::message,
    page::Listed,
    status::Status,
    v1::{
        StorageState,
        references::{ResourceReference, ResourceType, referred},
        source::PipelineSpec,
    },
    wire::wire_enum,
};

wire_enum! {
    /// How a run stands: the phase of its Argo workflow, which KFP 1.8 passes on as it is.
    pub enum RunStatus {
        /// Accepted, not started.
        Pending = "Pending",
        /// In progress.
        Running = "Running",
        /// Ended well.
        Succeeded = "Succeeded",
        /// Not done.
        Skipped = "Skipped",
        /// Being terminated.
        Terminating = "Terminating",
        /// Ended badly; also the end of a terminated run.
        Failed = "Failed",
        /// Ended by a fault of the cluster or of the workflow itself.
        Error = "Error",
        /// The server cannot tell.
        Unclear = "Unknown",
    }
}

impl RunStatus {
    /// Whether nothing follows, unless a failed run is retried. An unknown status is not final.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Skipped | Self::Failed | Self::Error)
    }
}

message! {
    /// One execution of a pipeline.
    pub struct Run {
        /// Id.
        id: RunId,
        /// Name; not unique.
        name: String,
        /// Whether it is put away; `None` while it is in use.
        storage_state: Option<StorageState>,
        /// Free text.
        description: String,
        /// What it executes.
        pipeline_spec: Option<PipelineSpec>,
        /// The experiment and namespace that own it, and what made it: the job, or the version of the pipeline.
        resource_references: Vec<ResourceReference>,
        /// Kubernetes service account of its pods.
        service_account: String,
        /// When it was made.
        created_at: Option<Timestamp>,
        /// When it was due. KFP 1.8 says so for the runs of jobs only.
        scheduled_at: Option<Timestamp>,
        /// When it ended; `None` until then.
        finished_at: Option<Timestamp>,
        /// How it stands; `None` on KFP 1.8 until the first report, which means that it is pending.
        status: Option<RunStatus>,
        /// Why the server cannot read it, or why it failed as a whole. A failed step does not set it.
        error: String,
        /// What its steps measured; only this API shows it.
        metrics: Vec<RunMetric>,
    }
}

impl Run {
    /// The experiment it belongs to.
    pub fn experiment_id(&self) -> Option<ExperimentId> {
        referred(&self.resource_references, &ResourceType::Experiment).map(ExperimentId::new)
    }

    /// The version of a stored pipeline that it executes, unless a job made it.
    pub fn pipeline_version_id(&self) -> Option<PipelineVersionId> {
        referred(&self.resource_references, &ResourceType::PipelineVersion).map(PipelineVersionId::new)
    }

    /// The job that made it.
    pub fn job_id(&self) -> Option<JobId> {
        referred(&self.resource_references, &ResourceType::Job).map(JobId::new)
    }

    /// Its status in the words of the newer API. A run without one is pending (KFP 1.8).
    pub fn state(&self) -> RuntimeState {
        match &self.status {
            None | Some(RunStatus::Pending) => RuntimeState::Pending,
            Some(RunStatus::Running) => RuntimeState::Running,
            Some(RunStatus::Succeeded) => RuntimeState::Succeeded,
            Some(RunStatus::Skipped) => RuntimeState::Skipped,
            Some(RunStatus::Terminating) => RuntimeState::Canceling,
            Some(RunStatus::Failed | RunStatus::Error) => RuntimeState::Failed,
            Some(RunStatus::Unclear) => RuntimeState::Unspecified,
            Some(RunStatus::Unknown(text)) => RuntimeState::Unknown(text.clone()),
        }
    }

    /// How the run stands. A terminated run ends as `Failed` and cannot be told from one that failed by itself;
    /// [`RunDetail::outcome`] can.
    pub fn outcome(&self) -> RunOutcome {
        match self.status {
            Some(RunStatus::Succeeded) => RunOutcome::Succeeded,
            Some(RunStatus::Skipped) => RunOutcome::Skipped,
            Some(RunStatus::Failed | RunStatus::Error) => RunOutcome::Failed,
            _ => RunOutcome::Unfinished,
        }
    }
}

impl Listed for Run {
    fn broken(&self) -> Option<(&str, &Status)> {
        None
    }

    fn broken_text(&self) -> Option<(&str, &str)> {
        // A real run always has a name and a time, whatever its error.
        let stub = self.name.is_empty() && self.created_at.is_none() && !self.error.is_empty();
        stub.then_some((self.id.as_str(), self.error.as_str()))
    }
}

message! {
    /// What the cluster knows of a run.
    pub struct PipelineRuntime {
        /// The Argo workflow as JSON text, with the state of its nodes: as it was submitted at first, and as it was
        /// last reported afterwards. See [`workflow`](Self::workflow).
        workflow_manifest: String,
        /// The same for pipelines in the newer format (from KFP 2.0 on), until the first report.
        pipeline_manifest: String,
    }
}

impl PipelineRuntime {
    /// The Argo workflow, with the state of its nodes; `None` while the server shows none.
    ///
    /// # Errors
    ///
    /// If the text is no Argo workflow.
    pub fn workflow(&self) -> Result<Option<argo::Workflow>, argo::Error> {
        let texts = [&self.workflow_manifest, &self.pipeline_manifest];
        let text = texts.into_iter().find(|text| !text.is_empty());
        text.map(|text| argo::Workflow::from_json(text)).transpose()
    }
}

message! {
    /// A run, and what the cluster knows of it.
    pub struct RunDetail {
        /// The run.
        run: Run,
        /// What the cluster knows.
        pipeline_runtime: PipelineRuntime,
    }
}

impl From<Run> for RunDetail {
    /// A run of which the cluster's knowledge is not known, as lists give it.
    fn from(run: Run) -> Self {
        Self { run, ..Self::default() }
    }
}

impl RunDetail {
    /// How the run stands; tells a terminated run from one that failed by itself.
    ///
    /// The server terminates a run by cutting the deadline of its workflow to zero seconds, and the workflow then
    /// ends as failed.
    pub fn outcome(&self) -> RunOutcome {
        match self.run.outcome() {
            RunOutcome::Failed if self.was_terminated() => RunOutcome::Cancelled,
            other => other,
        }
    }

    fn was_terminated(&self) -> bool {
        matches!(self.pipeline_runtime.workflow(), Ok(Some(workflow)) if workflow.is_terminated())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_known_status_and_an_invented_one_survive() {
        for status in RunStatus::KNOWN
            .iter()
            .map(ToString::to_string)
            .chain(["Melting".to_owned()])
        {
            assert_eq!(RunStatus::from(&*status).as_str(), status);
        }
        assert!(!RunStatus::from("Melting").is_final() && RunStatus::Error.is_final());
        assert!(!RunStatus::Terminating.is_final());
    }

    #[test]
    fn a_run_without_status_is_unfinished() {
        let run: Run = serde_json::from_value(json!({"id": "r", "finished_at": "1970-01-01T00:00:00Z"})).unwrap();
        assert_eq!(
            (run.status.clone(), run.finished_at, run.outcome()),
            (None, None, RunOutcome::Unfinished)
        );
    }

    #[test]
    fn a_terminated_run_is_cancelled_and_a_failed_one_is_not() {
        let detail = |spec: serde_json::Value| -> RunDetail {
            let workflow = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "spec": spec});
            serde_json::from_value(json!({"run": {"id": "r", "status": "Failed"},
                "pipeline_runtime": {"workflow_manifest": workflow.to_string()}}))
            .unwrap()
        };
        assert_eq!(
            detail(json!({"activeDeadlineSeconds": 0})).outcome(),
            RunOutcome::Cancelled
        );
        assert_eq!(
            detail(json!({"activeDeadlineSeconds": 60})).outcome(),
            RunOutcome::Failed
        );
        assert_eq!(detail(json!({})).outcome(), RunOutcome::Failed);
        assert_eq!(detail(json!({})).run.outcome(), RunOutcome::Failed);
    }

    #[test]
    fn what_the_references_say_is_found() {
        let run: Run = serde_json::from_value(json!({"resource_references": [
            {"key": {"type": "JOB", "id": "j"}, "relationship": "CREATOR"},
            {"key": {"type": "EXPERIMENT", "id": "e"}, "name": "alpha", "relationship": "OWNER"}]}))
        .unwrap();
        assert_eq!(run.experiment_id(), Some("e".into()));
        assert_eq!(run.job_id(), Some("j".into()));
        assert_eq!(run.pipeline_version_id(), None);
    }
}
