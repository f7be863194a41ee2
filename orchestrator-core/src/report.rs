//! The record of a run as the outside sees it: one JSON object, the same from the HTTP router and from programs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::{EngineRunId, RequestKind, RunFailure, RunId, RunRecord, RunState, StepRecord};

/// A run as one JSON object. Field names are stable.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunReport {
    /// The orchestrator's id.
    pub id: RunId,
    /// Which workflow.
    pub kind: RequestKind,
    /// State of the run.
    pub state: RunState,
    /// Name of the engine.
    pub engine: String,
    /// Id of the run at the engine.
    pub run_id: EngineRunId,
    /// Namespace, or `null` where the engine has none.
    pub namespace: Option<String>,
    /// Repository of the code.
    pub git_repository: String,
    /// Commit of the code.
    pub git_sha: String,
    /// Version of the data.
    pub dataset_version: String,
    /// Share of rows used for training.
    pub split: f64,
    /// Seed of split and training.
    pub seed: u32,
    /// Parameters of the entry points.
    pub parameters: BTreeMap<String, String>,
    /// Name of the registered model.
    pub model_name: String,
    /// Version of the registered model: the one that a training made, or that is evaluated or deployed.
    pub model_version: Option<u64>,
    /// The steps.
    pub steps: Vec<StepRecord>,
    /// Metrics, once the run has ended.
    pub metrics: BTreeMap<String, f64>,
    /// Id of the run in MLflow, or `null` if it is not recorded there.
    pub mlflow_run_id: Option<String>,
    /// Id of the experiment in MLflow, or `null`.
    pub experiment_id: Option<String>,
    /// Pages where a person can look: `engine`, `tracking`.
    pub links: BTreeMap<String, String>,
    /// Why it did not succeed, or `null`.
    pub failure: Option<RunFailure>,
    /// What went wrong without stopping the run.
    pub warnings: Vec<String>,
    /// When the request was accepted.
    pub created_at: Timestamp,
    /// When anything here changed last.
    pub updated_at: Timestamp,
}

impl From<RunRecord> for RunReport {
    fn from(record: RunRecord) -> Self {
        let (experiment_id, mlflow_run_id) = record.tracking.map(|run| (run.experiment_id, run.run_id)).unzip();
        Self {
            id: record.id,
            kind: record.kind,
            state: record.state,
            engine: record.engine,
            run_id: record.engine_run_id,
            namespace: record.namespace,
            git_repository: record.git_repository,
            git_sha: record.git_sha,
            dataset_version: record.dataset_version,
            split: record.train_split,
            seed: record.seed,
            parameters: record.parameters,
            model_name: record.model_name,
            model_version: record.model_version,
            steps: record.steps,
            metrics: record.metrics,
            mlflow_run_id,
            experiment_id,
            links: record.links,
            failure: record.failure,
            warnings: record.warnings,
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}
