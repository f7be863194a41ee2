//! A cancellation that its engine never heard of.

use std::time::Duration;

use async_trait::async_trait;
use orchestrator_core::engines::Local;
use orchestrator_core::{
    Capabilities, DatasetStore, Engine, EngineError, EngineRunId, EngineRunStatus, Error, LogTail, Orchestrator,
    RunState, Settings, StepName, Submission, TrainRequest, Workflow,
};

use crate::model_repository::ModelRepository;

/// Local processes that cannot be told to stop.
#[derive(Debug)]
struct Deaf(Local);

#[async_trait]
impl Engine for Deaf {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn ready(&self) -> Result<(), EngineError> {
        self.0.ready().await
    }

    async fn submit(&self, submission: &Submission) -> Result<(), EngineError> {
        self.0.submit(submission).await
    }

    async fn describe(&self, run: &EngineRunId, workflow: &Workflow) -> Result<EngineRunStatus, EngineError> {
        self.0.describe(run, workflow).await
    }

    async fn cancel(&self, _run: &EngineRunId) -> Result<(), EngineError> {
        Err(EngineError::Unreachable {
            engine: "deaf".to_owned(),
            message: "nobody answers".to_owned(),
            source: None,
        })
    }

    async fn retry(&self, run: &EngineRunId) -> Result<(), EngineError> {
        self.0.retry(run).await
    }

    async fn delete(&self, run: &EngineRunId) -> Result<(), EngineError> {
        self.0.delete(run).await
    }

    async fn logs(&self, run: &EngineRunId, step: &StepName, lines: usize) -> Result<LogTail, EngineError> {
        self.0.logs(run, step, lines).await
    }
}

#[tokio::test]
async fn a_cancellation_that_did_not_arrive_is_not_shown_as_one() {
    let repository = ModelRepository::new();
    let settings = Settings::default()
        .dataset_store(DatasetStore::folder(repository.store()))
        .allow_local_repositories(true)
        .retries(0)
        .poll_interval(Duration::from_millis(20));
    let orchestrator = Orchestrator::builder()
        .engine(Deaf(Local::new().unwrap()))
        .settings(settings)
        .build()
        .unwrap();
    let request = TrainRequest::new(repository.url(), &repository.sha).dataset_version("v1");
    let run = orchestrator.train(request).await.unwrap();
    let refused = run.cancel().await;
    assert!(
        matches!(refused, Err(Error::Engine(EngineError::Unreachable { .. }))),
        "{refused:?}"
    );
    for record in [run.record(), orchestrator.run(run.id()).await.unwrap()] {
        assert_ne!(record.state, RunState::Cancelling);
    }
    assert_eq!(run.wait().await.unwrap().state, RunState::Succeeded);
}
