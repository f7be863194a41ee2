//! Tracking in MLflow.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use mlflow_client::{Client, CreateRun, ExperimentId, LogBatch, RunId, RunStatus, SearchRuns, UpdateRun, tags};

use super::{Tracker, TrackingError, TrackingResults, TrackingRun, TrackingStart};
use crate::{EnvValue, RunState};

/// Tag by which the run of an operation is found again.
const OPERATION_TAG: &str = "orchestrator.operation_id";

/// Keeps the record of runs in MLflow: an experiment for each model, a run for each operation.
///
/// Commit and repository stand in the tags that MLflow itself uses for them (`mlflow.source.git.commit`,
/// `mlflow.source.git.repoURL`); the orchestrator's id in `orchestrator.operation_id`, by which a run is found again.
#[derive(Debug, Clone)]
pub struct MlflowTracker {
    client: Client,
    step_uri: String,
    experiments: Arc<Mutex<BTreeMap<String, ExperimentId>>>,
}

impl MlflowTracker {
    /// Tracks with this client; steps reach the server under the same address.
    pub fn new(client: Client) -> Self {
        let step_uri = client.base_url().trim_end_matches('/').to_owned();
        Self {
            client,
            step_uri,
            experiments: Arc::default(),
        }
    }

    /// Sets the address under which steps reach the server, for instance the service's name inside the cluster.
    #[must_use]
    pub fn step_uri(mut self, uri: impl Into<String>) -> Self {
        self.step_uri = uri.into();
        self
    }

    async fn experiment(&self, name: &str) -> Result<ExperimentId, TrackingError> {
        let known = self
            .experiments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned();
        if let Some(id) = known {
            return Ok(id);
        }
        let id = self
            .client
            .experiments()
            .get_or_create(name)
            .await
            .map_err(error)?
            .experiment_id;
        self.experiments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), id.clone());
        Ok(id)
    }

    /// The run of an operation. MLflow lets nobody choose a run's id, so it is found by its tag; the oldest counts.
    async fn find(&self, experiment: &ExperimentId, operation: &str) -> Result<Option<RunId>, TrackingError> {
        let search = SearchRuns::new([experiment.clone()])
            .filter(format!("tags.\"{OPERATION_TAG}\" = '{operation}'"))
            .order_by("attributes.start_time ASC")
            .max_results(1);
        let page = self.client.runs().search(search).await.map_err(error)?;
        Ok(page.items.into_iter().next().map(|run| run.info.run_id))
    }
}

#[async_trait]
impl Tracker for MlflowTracker {
    async fn start(&self, start: &TrackingStart) -> Result<TrackingRun, TrackingError> {
        let experiment = self.experiment(&start.experiment).await?;
        let known = self.find(&experiment, &start.operation_id).await?;
        let run_id = if let Some(run_id) = known {
            run_id
        } else {
            let mut create = CreateRun::new(experiment.clone())
                .run_name(&start.name)
                .start_time(Timestamp::now())
                .tag(OPERATION_TAG, &start.operation_id)
                .tag(tags::SOURCE_NAME, &start.git_repository)
                .tag(tags::SOURCE_TYPE, "PROJECT")
                .tag(tags::GIT_COMMIT, &start.git_sha)
                .tag(tags::GIT_REPOSITORY_URL, &start.git_repository);
            for (name, value) in &start.tags {
                create = create.tag(name, value);
            }
            self.client.runs().create(create).await.map_err(error)?.info.run_id
        };
        // The same parameters again are no error to MLflow.
        let parameters = start
            .parameters
            .iter()
            .fold(LogBatch::new(), |batch, (name, value)| batch.param(name, value));
        self.client
            .runs()
            .log_batch(&run_id, &parameters)
            .await
            .map_err(error)?;
        Ok(TrackingRun::new(experiment.as_str(), run_id.as_str()))
    }

    fn step_environment(&self, run: &TrackingRun) -> BTreeMap<String, EnvValue> {
        BTreeMap::from([
            ("MLFLOW_TRACKING_URI".to_owned(), EnvValue::from(self.step_uri.as_str())),
            ("MLFLOW_RUN_ID".to_owned(), EnvValue::from(run.run_id.as_str())),
            (
                "MLFLOW_EXPERIMENT_ID".to_owned(),
                EnvValue::from(run.experiment_id.as_str()),
            ),
        ])
    }

    async fn tag(&self, run: &TrackingRun, tags: &BTreeMap<String, String>) -> Result<(), TrackingError> {
        let tags = tags
            .iter()
            .fold(LogBatch::new(), |batch, (name, value)| batch.tag(name, value));
        self.client
            .runs()
            .log_batch(&RunId::from(run.run_id.as_str()), &tags)
            .await
            .map_err(error)
    }

    async fn finish(&self, run: &TrackingRun, state: RunState) -> Result<(), TrackingError> {
        let status = match state {
            RunState::Succeeded => RunStatus::Finished,
            RunState::Cancelled => RunStatus::Killed,
            _ => RunStatus::Failed,
        };
        let run_id = RunId::from(run.run_id.as_str());
        // The exit step may have written it already, at the true time of the end.
        let known = self.client.runs().get(&run_id).await.map_err(error)?.info;
        if known.status == status && known.end_time.is_some() {
            return Ok(());
        }
        let update = UpdateRun::new().status(status).end_time(Timestamp::now());
        self.client
            .runs()
            .update(&run_id, update)
            .await
            .map(drop)
            .map_err(error)
    }

    async fn results(&self, run: &TrackingRun) -> Result<TrackingResults, TrackingError> {
        let run = self
            .client
            .runs()
            .get(&RunId::from(run.run_id.as_str()))
            .await
            .map_err(error)?;
        let model_version = run
            .data
            .tags
            .iter()
            .find(|tag| tag.key == "model.version")
            .and_then(|tag| tag.value.parse().ok());
        let metrics = run
            .data
            .metrics
            .into_iter()
            .map(|metric| (metric.key, metric.value))
            .collect();
        Ok(TrackingResults { metrics, model_version })
    }

    fn link(&self, run: &TrackingRun) -> Option<String> {
        let base = self.client.base_url().trim_end_matches('/');
        Some(format!(
            "{base}/#/experiments/{}/runs/{}",
            run.experiment_id, run.run_id
        ))
    }

    async fn ready(&self) -> Result<(), TrackingError> {
        self.client.version().await.map(drop).map_err(error)
    }
}

fn error(failure: mlflow_client::Error) -> TrackingError {
    use mlflow_client::Error as Mlflow;
    let message = failure.to_string();
    let retryable = failure.is_retryable();
    let refused = matches!(
        &failure,
        Mlflow::Unauthenticated(_) | Mlflow::PermissionDenied(_) | Mlflow::LoginPage(_) | Mlflow::Middleware(_)
    );
    let source: Option<Box<dyn std::error::Error + Send + Sync>> = Some(Box::new(failure));
    if refused {
        TrackingError::Refused { message, source }
    } else if retryable {
        TrackingError::Unreachable { message, source }
    } else {
        TrackingError::Failed { message, source }
    }
}
