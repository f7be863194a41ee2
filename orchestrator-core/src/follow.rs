//! Follows a run from its submission to its end and writes down what happens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::orchestrator::Inner;
use crate::store::{RunStore, StoreError};
use crate::{EngineError, EngineRunStatus, RunFailure, RunId, RunRecord, RunState, StepName, StepState, Workflow};

/// Lines of a failed step's log that are kept in the record.
const LOG_LINES: usize = 20;

/// How often, at the end, the engine is asked again for steps that lag behind the run.
const LAGGING_LOOKS: u32 = 5;

/// Refusals in a row, with growing pauses, after which the run is no longer followed. A session that is renewed is not
/// one; a gateway that restarts may be.
const MOST_REFUSALS: u32 = 8;

/// A run that is being followed.
#[derive(Debug)]
pub(crate) struct Followed {
    workflow: Workflow,
    record: watch::Sender<RunRecord>,
    /// Held while the record is changed and stored, so that a cancellation and an observation cannot overwrite
    /// each other.
    writing: Mutex<()>,
}

impl Followed {
    pub(crate) fn new(workflow: Workflow, record: watch::Sender<RunRecord>) -> Self {
        Self {
            workflow,
            record,
            writing: Mutex::new(()),
        }
    }

    pub(crate) fn id(&self) -> RunId {
        self.record.borrow().id.clone()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<RunRecord> {
        self.record.subscribe()
    }

    fn snapshot(&self) -> RunRecord {
        self.record.borrow().clone()
    }

    pub(crate) async fn cancelling(&self, store: &dyn RunStore) -> Result<(), StoreError> {
        let _writing = self.writing.lock().await;
        let mut record = self.snapshot();
        if !record.state.is_final() {
            record.state = RunState::Cancelling;
            store.put(&record).await?;
            self.record.send_replace(record);
        }
        Ok(())
    }
}

/// Looks at the run until it has ended, then completes its record. Ends by itself at the latest after
/// [`Settings::run_timeout`](crate::Settings::run_timeout).
pub(crate) async fn follow(inner: Arc<Inner>, run: Arc<Followed>) {
    let id = run.id();
    let engine_run = run.snapshot().engine_run_id;
    let deadline = Instant::now() + inner.settings.run_timeout;
    let mut overdue = false;
    let mut refusals = 0;
    let mut outage = None;
    let mut pause = inner.settings.poll_interval;
    let end = loop {
        match inner.engine.describe(&engine_run, &run.workflow).await {
            Ok(status) if status.state.is_final() => break Ok(settle(&inner, &run, status).await),
            Ok(status) => {
                (refusals, outage, pause) = (0, None, inner.settings.poll_interval);
                observe(&inner, &run, &status).await;
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(run = %id, %error, "the run cannot be seen for now");
                match outage {
                    None => {
                        outage = Some(Instant::now());
                        warn(&inner, &run, format!("the run could not be seen for a while: {error}")).await;
                    }
                    Some(since) if since.elapsed() >= inner.settings.outage_limit => break Err(error),
                    Some(_) => {}
                }
                pause = (pause * 2)
                    .min(Duration::from_secs(60))
                    .max(inner.settings.poll_interval);
            }
            Err(error @ EngineError::NotFound { .. }) => break Err(error),
            Err(error) => {
                refusals += 1;
                if refusals >= MOST_REFUSALS {
                    break Err(error);
                }
                pause = (pause * 2).min(Duration::from_secs(60));
            }
        }
        if Instant::now() >= deadline {
            if overdue {
                break Err(EngineError::Failed {
                    engine: inner.engine.name().to_owned(),
                    message: "the run did not end although it was cancelled".to_owned(),
                    source: None,
                });
            }
            overdue = true;
            tracing::warn!(run = %id, "the run takes longer than allowed and is cancelled");
            if let Err(error) = inner.engine.cancel(&engine_run).await {
                break Err(error);
            }
            // One more interval, then nobody waits any longer.
            pause = pause.max(Duration::from_secs(30));
        }
        tokio::time::sleep(pause).await;
    };
    complete(&inner, &run, end, overdue).await;
    inner.forget(&id);
}

async fn observe(inner: &Inner, run: &Followed, status: &EngineRunStatus) {
    let _writing = run.writing.lock().await;
    let mut record = run.snapshot();
    record.observe(status);
    if record != *run.record.borrow() {
        if let Err(error) = inner.save(&mut record).await {
            tracing::error!(run = %record.id, %error, "the state of the run could not be recorded");
        }
        run.record.send_replace(record);
    }
}

/// Whoever waits must learn why nothing happens.
async fn warn(inner: &Inner, run: &Followed, warning: String) {
    let _writing = run.writing.lock().await;
    let mut record = run.snapshot();
    record.warnings.push(warning);
    if let Err(error) = inner.save(&mut record).await {
        tracing::error!(run = %record.id, %error, "the state of the run could not be recorded");
    }
    run.record.send_replace(record);
}

/// Engines report steps after the run they belong to; waits for them a little.
async fn settle(inner: &Inner, run: &Followed, mut status: EngineRunStatus) -> EngineRunStatus {
    let engine_run = run.snapshot().engine_run_id;
    for _ in 0..LAGGING_LOOKS {
        let succeeded = status.state == RunState::Succeeded;
        // In a failed run steps that never began may stay pending for ever.
        let lags = |state: StepState| state == StepState::Running || (succeeded && !state.is_final());
        let no_culprit = status.state == RunState::Failed && !status.steps.iter().any(|s| s.state == StepState::Failed);
        if !no_culprit && !status.steps.iter().any(|step| lags(step.state)) {
            break;
        }
        tokio::time::sleep(inner.settings.poll_interval.min(Duration::from_secs(1))).await;
        match inner.engine.describe(&engine_run, &run.workflow).await {
            Ok(newer) if newer.state.is_final() => status = newer,
            _ => break,
        }
    }
    status
}

async fn complete(inner: &Inner, run: &Followed, end: Result<EngineRunStatus, EngineError>, overdue: bool) {
    let _writing = run.writing.lock().await;
    let mut record = run.snapshot();
    let (state, message) = match end {
        Ok(status) => {
            record.observe(&status);
            (status.state, status.message)
        }
        Err(error @ EngineError::NotFound { .. }) => (RunState::Failed, Some(error.to_string())),
        Err(error) => (RunState::Unknown, Some(error.to_string())),
    };
    match state {
        RunState::Failed | RunState::Unknown => record.failure = Some(failure(inner, &record, message).await),
        RunState::Cancelled => {
            let message = if overdue {
                "the run took longer than allowed and was cancelled"
            } else {
                "the run was cancelled"
            };
            record.failure = Some(RunFailure {
                message: message.to_owned(),
                ..RunFailure::default()
            });
        }
        _ => {}
    }
    if state.is_final() {
        inner
            .finish_tracking(&mut record, state, inner.settings.tracking_limit)
            .await;
    }
    let results = match inner.tracked(&record) {
        Some((tracker, run)) => Some(tracker.results(run).await),
        None => None,
    };
    match results {
        Some(Ok(results)) => {
            record.metrics = results.metrics;
            record.model_version = record.model_version.or(results.model_version);
        }
        Some(Err(error)) => {
            record.warnings.push(format!(
                "the tracker's record could not be read, so the metrics are those of the steps' logs: {error}"
            ));
            record.metrics = logged_metrics(inner, &record).await;
        }
        None => record.metrics = logged_metrics(inner, &record).await,
    }
    record.state = state;
    if let Err(error) = inner.save(&mut record).await {
        tracing::error!(run = %record.id, %error, "the end of the run could not be recorded");
    }
    run.record.send_replace(record);
}

/// Without a tracker that can be read, the steps that measure still write what they found as the line `metrics: {…}`
/// into their log.
async fn logged_metrics(inner: &Inner, record: &RunRecord) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::new();
    for step in record.steps.iter().filter(|step| step.state == StepState::Succeeded) {
        let Ok(name) = StepName::new(step.name.as_str()) else {
            continue;
        };
        let Ok(log) = inner.engine.logs(&record.engine_run_id, &name, LOG_LINES).await else {
            continue;
        };
        let line = log.lines.iter().rev().find_map(|line| line.strip_prefix("metrics: "));
        if let Some(found) = line.and_then(|line| serde_json::from_str::<BTreeMap<String, f64>>(line).ok()) {
            metrics.extend(found);
        }
    }
    metrics
}

async fn failure(inner: &Inner, record: &RunRecord, message: Option<String>) -> RunFailure {
    let Some(step) = record.failed_step() else {
        let message = message.unwrap_or_else(|| "the engine gives no reason".to_owned());
        return RunFailure {
            message,
            ..RunFailure::default()
        };
    };
    let log = match StepName::new(step.name.as_str()) {
        Ok(name) => inner
            .engine
            .logs(&record.engine_run_id, &name, LOG_LINES)
            .await
            .unwrap_or_else(|error| {
                tracing::warn!(run = %record.id, %error, "the log of the failed step could not be read");
                crate::LogTail::default()
            }),
        Err(_) => crate::LogTail::default(),
    };
    // Standard steps end with one line that says what to do.
    let said = log.lines.iter().rev().find_map(|line| line.strip_prefix("error: "));
    let message = match (said, message) {
        (Some(said), _) => format!("the step {} failed: {said}", step.name),
        (None, Some(message)) => format!("the step {} failed: {message}", step.name),
        (None, None) => format!("the step {} failed", step.name),
    };
    RunFailure {
        message,
        step: Some(step.name.clone()),
        log: log.lines,
    }
}
