//! Runs as values: a run that ends when its value does, however that comes.

mod context;
mod end;
mod git;
mod start;
#[cfg(feature = "system-metrics")]
mod system_metrics;

use std::{future::Future, time::Duration};

pub(crate) use self::end::Endings;
pub use self::start::StartRun;
#[cfg(feature = "system-metrics")]
pub use self::system_metrics::SystemMetrics;
use crate::{
    artifacts::ArtifactRepository,
    client::Client,
    error::{Error, Result},
    ids::RunId,
    metric::Metric,
    runs::{DatasetInput, LogBatch, Run, RunInfo, RunStatus, Runs, UpdateRun},
};

/// A run in progress, which ends when this value does.
///
/// [`finish`](Self::finish), [`fail`](Self::fail) and [`kill`](Self::kill) end it and tell whether that was noted. If it is
/// dropped before, the server is told in the background:
///
/// | Dropped | Status |
/// |---|---|
/// | by a panic | `FAILED` |
/// | otherwise, e.g. by `?` | `FAILED`, or [what was asked for](StartRun::status_on_drop) |
/// | along with the future of [`scope`](Self::scope), which was cancelled | `KILLED` |
///
/// Dropping does not wait, so that no task is held up, except by a panic and outside of a runtime, when the process is likely
/// about to end: then it waits at most ten seconds. The message is sent by a thread of its own and so gets through when the
/// runtime is shut down, but not when the process ends: let a program that may be interrupted call
/// [`Runs::wait_for_ends`] last. A process that is killed leaves the run `RUNNING`.
///
/// ```no_run
/// use mlflow_client::{Client, Error, LogBatch, Metric, StartRun};
///
/// # async fn train() -> Result<f64, Error> { Ok(0.9) }
/// # async fn example(client: Client) -> Result<(), Error> {
/// let run = client.runs().start(StartRun::new("1").run_name("baseline").source_tags()).await?;
/// run.scope(async |run| {
///     run.log_batch(&LogBatch::new().param("rate", "0.1")).await?;
///     let accuracy = train().await?;
///     run.log_metric(Metric::new("accuracy", accuracy)).await
/// })
/// .await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct ActiveRun {
    client: Client,
    run: Run,
    on_drop: RunStatus,
    /// Whether the server knows that it is over, or is about to.
    ended: bool,
    #[cfg(feature = "system-metrics")]
    metrics: Option<system_metrics::Sampler>,
}

impl Runs {
    /// Starts a run, or takes up one that was [named](StartRun::resume), as a value that ends it.
    ///
    /// # Errors
    ///
    /// As of [`create`](Self::create); [`Error::InvalidArgument`] if the run to be taken up is deleted.
    pub async fn start(&self, start: StartRun) -> Result<ActiveRun> {
        start::start(self.client(), start).await
    }

    /// Waits until the server has been told of all runs whose values were dropped, at most for `limit`; false if it was not by
    /// then.
    pub async fn wait_for_ends(&self, limit: Duration) -> bool {
        let endings = self.client().inner.endings.clone();
        endings.wait(limit).await
    }
}

impl ActiveRun {
    /// Id.
    pub fn id(&self) -> &RunId {
        self.run.id()
    }

    /// The run as it was when it started.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The client it was started by.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Logs one point of a metric; see [`Runs::log_metric`].
    pub async fn log_metric(&self, metric: Metric) -> Result<()> {
        self.client.runs().log_metric(self.id(), metric).await
    }

    /// Logs a parameter; see [`Runs::log_param`].
    pub async fn log_param(&self, key: &str, value: &str) -> Result<()> {
        self.client.runs().log_param(self.id(), key, value).await
    }

    /// Sets a tag; see [`Runs::set_tag`].
    pub async fn set_tag(&self, key: &str, value: &str) -> Result<()> {
        self.client.runs().set_tag(self.id(), key, value).await
    }

    /// Logs many things in as few requests as possible; see [`Runs::log_batch`].
    pub async fn log_batch(&self, batch: &LogBatch) -> Result<()> {
        self.client.runs().log_batch(self.id(), batch).await
    }

    /// Notes datasets that the run uses; see [`Runs::log_inputs`].
    pub async fn log_inputs(&self, datasets: &[DatasetInput]) -> Result<()> {
        self.client.runs().log_inputs(self.id(), datasets).await
    }

    /// Its artifacts.
    pub async fn artifacts(&self) -> Result<ArtifactRepository> {
        self.client.artifacts().of_run(self.id()).await
    }

    /// Starts a run that is a part of this one, in the same experiment. It is a value of its own: ending this one does not
    /// end it.
    pub async fn start_nested(&self, start: StartRun) -> Result<Self> {
        let start = start
            .in_experiment(self.run.info.experiment_id.clone())
            .parent(self.id().clone());
        start::start(&self.client, start).await
    }

    /// Does `work` and ends the run: `FINISHED` if that is `Ok`, `FAILED` if it is an error or panics, `KILLED` if the future
    /// is dropped before it is done.
    ///
    /// An error of ending the run is told in place of what `work` gave only if that was `Ok`.
    pub async fn scope<T, E: From<Error>>(
        mut self,
        work: impl AsyncFnOnce(&Self) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let on_drop = std::mem::replace(&mut self.on_drop, RunStatus::Killed);
        let result = work(&self).await;
        self.on_drop = on_drop;
        match result {
            Ok(value) => {
                self.finish().await?;
                Ok(value)
            }
            Err(error) => {
                if let Err(ending) = self.fail().await {
                    tracing::warn!(error = %ending, "a failed run could not be ended");
                }
                Err(error)
            }
        }
    }

    /// Ends the run well.
    pub async fn finish(self) -> Result<RunInfo> {
        self.end(RunStatus::Finished).await
    }

    /// Ends the run in failure.
    pub async fn fail(self) -> Result<RunInfo> {
        self.end(RunStatus::Failed).await
    }

    /// Ends the run as ended from outside.
    pub async fn kill(self) -> Result<RunInfo> {
        self.end(RunStatus::Killed).await
    }

    async fn end(mut self, status: RunStatus) -> Result<RunInfo> {
        // What is dropped in here, or cannot be told, ends as was meant.
        self.on_drop = status.clone();
        #[cfg(feature = "system-metrics")]
        if let Some(metrics) = self.metrics.take() {
            metrics.stop().await;
        }
        let info = self.client.runs().update(self.id(), UpdateRun::ended(status)).await;
        // After an error that may pass, it is tried once more in the background.
        self.ended = info.as_ref().err().is_none_or(|error| !error.is_retryable());
        info
    }

    /// Gives up the value and lets the run go on, e.g. for another process that knows its id.
    pub fn detach(mut self) -> Run {
        self.ended = true;
        self.run.clone()
    }
}

impl Drop for ActiveRun {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let status = if std::thread::panicking() {
            RunStatus::Failed
        } else {
            self.on_drop.clone()
        };
        end::in_background(&self.client, self.run.id().clone(), status);
    }
}

/// Whatever it is used in must be able to move between threads.
fn _is_send(run: ActiveRun) -> impl Future<Output = Result<RunInfo>> + Send {
    run.finish()
}
