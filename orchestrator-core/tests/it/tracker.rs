//! A tracker that goes out of reach while a run goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use orchestrator_core::engines::Local;
use orchestrator_core::{
    DatasetStore, EnvValue, Orchestrator, RunRecord, RunState, Settings, StepState, Tracker, TrackingError,
    TrackingResults, TrackingRun, TrackingStart, TrainRequest,
};

use crate::model_repository::ModelRepository;

/// Takes the beginning of a run, and its end only after some refusals.
#[derive(Debug, Clone, Default)]
struct Restarting {
    refusals: u32,
    asked: Arc<AtomicU32>,
}

fn gone<T>() -> Result<T, TrackingError> {
    Err(TrackingError::Unreachable {
        message: "nobody answers".to_owned(),
        source: None,
    })
}

#[async_trait]
impl Tracker for Restarting {
    async fn start(&self, _start: &TrackingStart) -> Result<TrackingRun, TrackingError> {
        Ok(TrackingRun::new("1", "2"))
    }

    fn step_environment(&self, _run: &TrackingRun) -> BTreeMap<String, EnvValue> {
        BTreeMap::new()
    }

    async fn tag(&self, _run: &TrackingRun, _tags: &BTreeMap<String, String>) -> Result<(), TrackingError> {
        Ok(())
    }

    async fn finish(&self, _run: &TrackingRun, _state: RunState) -> Result<(), TrackingError> {
        if self.asked.fetch_add(1, Ordering::SeqCst) < self.refusals {
            return gone();
        }
        Ok(())
    }

    async fn results(&self, _run: &TrackingRun) -> Result<TrackingResults, TrackingError> {
        gone()
    }

    fn link(&self, _run: &TrackingRun) -> Option<String> {
        None
    }

    async fn ready(&self) -> Result<(), TrackingError> {
        Ok(())
    }
}

async fn train(tracker: &Restarting, limit: Duration) -> RunRecord {
    let repository = ModelRepository::new();
    let settings = Settings::default()
        .dataset_store(DatasetStore::folder(repository.store()))
        .allow_local_repositories(true)
        .retries(0)
        .poll_interval(Duration::from_millis(20))
        .tracking_limit(limit);
    let orchestrator = Orchestrator::builder()
        .engine(Local::new().unwrap())
        .tracker(tracker.clone())
        .settings(settings)
        .build()
        .unwrap();
    let request = TrainRequest::new(repository.url(), &repository.sha).dataset_version("v1");
    orchestrator.train(request).await.unwrap().wait().await.unwrap()
}

fn tells_of_the_end(record: &RunRecord) -> bool {
    record
        .warnings
        .iter()
        .any(|warning| warning.contains("the end of the run"))
}

#[tokio::test]
async fn the_end_is_offered_again_and_figures_are_those_of_the_logs() {
    let tracker = Restarting {
        refusals: 2,
        ..Restarting::default()
    };
    let record = train(&tracker, Duration::from_secs(60)).await;
    assert_eq!(tracker.asked.load(Ordering::SeqCst), 3);
    assert!(!tells_of_the_end(&record), "{record:#?}");
    // Without its server nothing is registered, but what was measured is known.
    let measured = record.steps.iter().find(|step| step.name == "evaluate").unwrap();
    assert_eq!(measured.state, StepState::Succeeded, "{record:#?}");
    assert_eq!(record.metrics["rows"], 2.0);
    assert_eq!(record.failure.unwrap().step.as_deref(), Some("register"));
}

#[tokio::test]
async fn a_tracker_that_stays_away_is_not_waited_for_without_a_limit() {
    let tracker = Restarting {
        refusals: u32::MAX,
        ..Restarting::default()
    };
    let record = train(&tracker, Duration::ZERO).await;
    assert_eq!(tracker.asked.load(Ordering::SeqCst), 1);
    assert!(tells_of_the_end(&record), "{record:#?}");
}
