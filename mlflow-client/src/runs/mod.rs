//! Runs: what was tried, with which parameters, and what came of it.

mod batch;
mod history;
mod models;
mod types;

use futures_core::Stream;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

pub use batch::LogBatch;
pub(crate) use batch::json_size;
pub use history::{BulkHistory, HistoryPoint};
pub use types::{
    CreateRun, Dataset, DatasetInput, ModelInput, ModelOutput, Run, RunData, RunInfo, RunInputs, RunOutputs, RunStatus,
    SearchRuns, UpdateRun,
};

use crate::{
    client::Client,
    error::{Error, Result},
    filter,
    http::found,
    ids::RunId,
    limits,
    logger::{RunLogger, RunLoggerBuilder},
    metric::Metric,
    page::{self, Page},
};

/// Operations on runs; see [`Client::runs`].
#[derive(Debug, Clone)]
pub struct Runs {
    client: Client,
}

#[derive(Deserialize)]
struct OneRun {
    run: Run,
}

#[derive(Deserialize)]
struct Updated {
    run_info: RunInfo,
}

#[derive(Deserialize)]
struct ManyRuns {
    #[serde(default)]
    runs: Vec<Run>,
    next_page_token: Option<String>,
}

impl Runs {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Makes a run, in status `RUNNING`.
    ///
    /// Not idempotent: after an error such as [`Error::Interrupted`] the run may exist. To be able to find it, give it a
    /// tag with an id of yours and [`search`](Self::search) for that before trying again.
    pub async fn create(&self, run: CreateRun) -> Result<Run> {
        limits::id("experiment_id", run.experiment_id.as_str())?;
        for tag in &run.tags {
            limits::run_tag(&tag.key, &tag.value)?;
        }
        // The server does not fill in its clock.
        let run = CreateRun {
            start_time: run.start_time.or_else(|| Some(Timestamp::now())),
            ..run
        };
        let call = self.client.post("runs.create", "runs/create", &run)?;
        Ok(self.client.inner.json::<OneRun>(&call).await?.run)
    }

    /// The run with this id, also a deleted one.
    pub async fn get(&self, id: &RunId) -> Result<Run> {
        limits::id("run_id", id.as_str())?;
        let call = self.client.get("runs.get", "runs/get")?.query("run_id", id.as_str());
        Ok(self.client.inner.json::<OneRun>(&call).await?.run)
    }

    /// The run with this id, also a deleted one; `None` if there is none.
    pub async fn get_opt(&self, id: &RunId) -> Result<Option<Run>> {
        found(self.get(id).await)
    }

    /// Changes status, end or name.
    pub async fn update(&self, id: &RunId, update: UpdateRun) -> Result<RunInfo> {
        limits::id("run_id", id.as_str())?;
        // The server leaves the status as it is when it does not know the new one, and says nothing.
        if let Some(RunStatus::Unknown(status)) = &update.status {
            return Err(Error::invalid(
                "status",
                format!("one of the known ones, not `{status}`"),
            ));
        }
        let mut body = serde_json::to_value(&update).map_err(|error| Error::invalid("update", error.to_string()))?;
        if let Some(body) = body.as_object_mut() {
            body.insert("run_id".to_owned(), json!(id));
        }
        let call = self.client.post("runs.update", "runs/update", &body)?.idempotent();
        Ok(self.client.inner.json::<Updated>(&call).await?.run_info)
    }

    /// One page of runs.
    pub async fn search(&self, search: SearchRuns) -> Result<Page<Run>> {
        limits::page_size("max_results", search.max_results, 50_000)?;
        for id in &search.experiment_ids {
            limits::id("experiment_ids", id.as_str())?;
        }
        filter::check(&search.filter, &search.order_by)?;
        let call = self.client.post("runs.search", "runs/search", &search)?.read_only();
        let answer: ManyRuns = self.client.inner.json(&call).await?;
        Ok(Page::new(answer.runs, answer.next_page_token))
    }

    /// All runs of a search, page by page as they are needed.
    pub fn search_all(&self, search: SearchRuns) -> impl Stream<Item = Result<Run>> + Send + use<> {
        let this = self.clone();
        page::all(search.page_token.clone(), move |page_token| {
            let (this, search) = (
                this.clone(),
                SearchRuns {
                    page_token,
                    ..search.clone()
                },
            );
            async move { this.search(search).await }
        })
    }

    /// Logs one point of a metric. For more than a few use [`log_batch`](Self::log_batch): it is some sixty times faster.
    pub async fn log_metric(&self, id: &RunId, metric: Metric) -> Result<()> {
        limits::id("run_id", id.as_str())?;
        limits::metric(&metric.key, metric.timestamp)?;
        let body = WithRun {
            run_id: id,
            content: metric,
        };
        let call = self
            .client
            .post("runs.log_metric", "runs/log-metric", &body)?
            .idempotent();
        self.client.inner.done(&call).await
    }

    /// Logs a parameter. [`Error::InvalidArgument`] if it has another value already.
    pub async fn log_param(&self, id: &RunId, key: &str, value: &str) -> Result<()> {
        limits::id("run_id", id.as_str())?;
        limits::param(key, value)?;
        let body = json!({"run_id": id, "key": key, "value": value});
        let call = self
            .client
            .post("runs.log_param", "runs/log-parameter", &body)?
            .idempotent();
        self.client.inner.done(&call).await
    }

    /// Sets a tag; value at most 8000 characters.
    pub async fn set_tag(&self, id: &RunId, key: &str, value: &str) -> Result<()> {
        limits::id("run_id", id.as_str())?;
        limits::run_tag(key, value)?;
        let body = json!({"run_id": id, "key": key, "value": value});
        let call = self.client.post("runs.set_tag", "runs/set-tag", &body)?.idempotent();
        self.client.inner.done(&call).await
    }

    /// Deletes a tag; [`Error::NotFound`] if there is none.
    pub async fn delete_tag(&self, id: &RunId, key: &str) -> Result<()> {
        limits::id("run_id", id.as_str())?;
        limits::key("key", key)?;
        let call = self
            .client
            .post("runs.delete_tag", "runs/delete-tag", &json!({"run_id": id, "key": key}))?;
        self.client.inner.done(&call).await
    }

    /// Logs many things, in as few requests as the server allows.
    ///
    /// Everything is checked before anything is sent. The server takes each request as a whole or not at all; if the
    /// batch needs several, those before a failing one have taken effect. Logging the same batch again is harmless.
    pub async fn log_batch(&self, id: &RunId, batch: &LogBatch) -> Result<()> {
        limits::id("run_id", id.as_str())?;
        let parts = batch::divide(id, batch)?;
        if batch.is_empty() {
            return Ok(());
        }
        for part in parts {
            let call = self
                .client
                .post("runs.log_batch", "runs/log-batch", &part)?
                .idempotent();
            self.client.inner.done(&call).await?;
        }
        Ok(())
    }

    /// Sets up a logger, which sends what it is given in the background. For training loops: see [`RunLogger`].
    pub fn logger(&self, id: &RunId) -> RunLoggerBuilder {
        RunLogger::builder(&self.client, id)
    }

    /// Notes the datasets a run uses. Noting one again is harmless.
    pub async fn log_inputs(&self, id: &RunId, datasets: &[DatasetInput]) -> Result<()> {
        limits::id("run_id", id.as_str())?;
        for input in datasets {
            limits::dataset(&input.dataset.name, &input.dataset.digest)?;
        }
        let body = json!({"run_id": id, "datasets": datasets});
        let call = self
            .client
            .post("runs.log_inputs", "runs/log-inputs", &body)?
            .idempotent();
        self.client.inner.done(&call).await
    }

    /// Deletes a run; it can be restored. Deleting it again is harmless.
    pub async fn delete(&self, id: &RunId) -> Result<()> {
        self.change("runs.delete", "runs/delete", id).await
    }

    /// Brings a deleted run back. Harmless if it is not deleted.
    pub async fn restore(&self, id: &RunId) -> Result<()> {
        self.change("runs.restore", "runs/restore", id).await
    }

    async fn change(&self, operation: &'static str, path: &str, id: &RunId) -> Result<()> {
        limits::id("run_id", id.as_str())?;
        let call = self.client.post(operation, path, &json!({"run_id": id}))?.idempotent();
        self.client.inner.done(&call).await
    }
}

#[derive(serde::Serialize)]
struct WithRun<'a, T> {
    run_id: &'a RunId,
    #[serde(flatten)]
    content: T,
}
