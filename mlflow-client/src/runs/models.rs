//! Logged models as inputs and outputs of runs, and their metrics.

use serde_json::{Value, json};

use super::{ModelInput, ModelOutput, Runs};
use crate::{
    error::{Error, Result},
    ids::{LoggedModelId, RunId},
    limits,
    metric::ModelMetric,
    version::ServerVersion,
};

impl Runs {
    /// Notes the logged models a run uses. Noting one again is harmless. Since MLflow 3; an older server, which would
    /// ignore them, is told as [`Error::ServerTooOld`].
    pub async fn log_model_inputs<T: Into<LoggedModelId>>(
        &self,
        id: &RunId,
        models: impl IntoIterator<Item = T>,
    ) -> Result<()> {
        limits::id("run_id", id.as_str())?;
        let models: Vec<ModelInput> = models
            .into_iter()
            .map(|id| ModelInput { model_id: id.into() })
            .collect();
        for model in &models {
            limits::id("models.model_id", model.model_id.as_str())?;
        }
        let body = json!({"run_id": id, "models": models});
        let call = self
            .client
            .post("runs.log_model_inputs", "runs/log-inputs", &body)?
            .idempotent();
        self.client.surely_since(call.operation, ServerVersion::V3).await?;
        self.client.inner.done(&call).await
    }

    /// Notes the logged models a run made. The server does not check that there are such models, and refuses one that was
    /// noted before as [`Error::InvalidArgument`]. Since MLflow 3.
    pub async fn log_outputs(&self, id: &RunId, models: &[ModelOutput]) -> Result<()> {
        limits::id("run_id", id.as_str())?;
        for model in models {
            limits::id("models.model_id", model.model_id.as_str())?;
        }
        let body = json!({"run_id": id, "models": models});
        let call = self.client.post("runs.log_outputs", "runs/outputs", &body)?;
        self.client.since(call.operation, ServerVersion::V3)?;
        let result = self.client.inner.done(&call).await;
        self.client.explain(call.operation, ServerVersion::V3, result).await
    }

    /// Logs points of metrics about logged models, at most 1000. Logging the same ones again is harmless.
    ///
    /// A model has one point of a metric for each run, step and timestamp, whatever the dataset. Another one, or an unknown
    /// model, is an [`Error::InvalidArgument`], and then the run keeps the points although no model does (MLflow 3.17).
    ///
    /// Since MLflow 3; an older server, which would keep them without the models and datasets, is told as
    /// [`Error::ServerTooOld`].
    pub async fn log_model_metrics(&self, id: &RunId, metrics: &[ModelMetric]) -> Result<()> {
        limits::id("run_id", id.as_str())?;
        if metrics.len() > limits::BATCH_ITEMS {
            return Err(Error::invalid(
                "metrics",
                format!("at most {} points", limits::BATCH_ITEMS),
            ));
        }
        for metric in metrics {
            limits::metric(&metric.key, metric.timestamp)?;
        }
        if metrics.is_empty() {
            return Ok(());
        }
        let body = json!({"run_id": id, "metrics": metrics});
        let call = self
            .client
            .post("runs.log_model_metrics", "runs/log-batch", &body)?
            .idempotent();
        self.client.surely_since(call.operation, ServerVersion::V3).await?;
        self.client.inner.done(&call).await
    }

    /// Notes a model in the manner of MLflow 2: its description, as of the file `MLmodel`, goes into the tag
    /// `mlflow.log-model.history`. It needs `artifact_path`, `flavors`, `utc_time_created` and `run_id`. Every call adds an
    /// entry, so it is never sent twice by itself.
    pub async fn log_model_description(&self, id: &RunId, model: &Value) -> Result<()> {
        limits::id("run_id", id.as_str())?;
        for field in ["artifact_path", "flavors", "utc_time_created", "run_id"] {
            if model.get(field).is_none() {
                return Err(Error::invalid("model_json", format!("an object with `{field}`")));
            }
        }
        let body = json!({"run_id": id, "model_json": model.to_string()});
        let call = self
            .client
            .post("runs.log_model_description", "runs/log-model", &body)?;
        self.client.inner.done(&call).await
    }
}
