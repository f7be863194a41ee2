//! The standard workflows on local processes, without a tracker.

use std::time::Duration;

use orchestrator_core::engines::Local;
use orchestrator_core::{
    DatasetStore, EngineError, Error, EvaluateRequest, Orchestrator, RunState, Settings, StepState, TrainRequest,
};

use crate::model_repository::ModelRepository;

fn orchestrator(repository: &ModelRepository) -> Orchestrator {
    let settings = Settings::default()
        .dataset_store(DatasetStore::folder(repository.store()))
        .allow_local_repositories(true)
        .retries(0)
        .poll_interval(Duration::from_millis(20));
    Orchestrator::builder()
        .engine(Local::new().unwrap())
        .settings(settings)
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_training_runs_every_step_and_gives_the_figures_of_the_code() {
    let repository = ModelRepository::new();
    let orchestrator = orchestrator(&repository);
    let request = TrainRequest::new(repository.url(), &repository.sha)
        .dataset_version("v1")
        .split(0.8)
        .env("NOTE", "hello");
    let run = orchestrator.train(request).await.unwrap();
    let record = run.wait().await.unwrap();
    assert_eq!(record.state, RunState::Succeeded, "{record:#?}");
    assert!(
        record
            .steps
            .iter()
            .all(|step| step.state == StepState::Succeeded && step.seconds.is_some())
    );
    assert_eq!(record.metrics["rows"], 2.0);
    assert_eq!(record.model_name, "mean");
    assert_eq!(orchestrator.run(run.id()).await.unwrap(), record);
    let again = TrainRequest::new(repository.url(), &repository.sha)
        .dataset_version("v1")
        .split(0.8);
    let again = orchestrator.train(again).await.unwrap().wait().await.unwrap();
    assert_eq!(again.metrics, record.metrics);
    let other = TrainRequest::new(repository.url(), &repository.sha)
        .dataset_version("v2")
        .split(0.8);
    let other = orchestrator.train(other).await.unwrap().wait().await.unwrap();
    assert_eq!(other.metrics["rows"], 4.0);
    assert_eq!(orchestrator.runs(2).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_failed_step_is_named_with_its_last_lines() {
    let repository = ModelRepository::new();
    let orchestrator = orchestrator(&repository);
    let request = TrainRequest::new(repository.url(), &repository.sha)
        .dataset_version("v1")
        .param("fail", "1");
    let record = orchestrator.train(request).await.unwrap().wait().await.unwrap();
    assert_eq!(record.state, RunState::Failed);
    let failure = record.failure.unwrap();
    assert_eq!(failure.step.as_deref(), Some("train"));
    assert!(
        failure.log.iter().any(|line| line.contains("gives up on purpose")),
        "{failure:?}"
    );
    assert!(failure.message.contains("status 7"), "{failure:?}");
    let unknown = TrainRequest::new(repository.url(), "a".repeat(40)).dataset_version("v1");
    let record = orchestrator.train(unknown).await.unwrap().wait().await.unwrap();
    let failure = record.failure.unwrap();
    assert_eq!(failure.step.as_deref(), Some("fetch-code"));
    assert!(failure.message.contains("push it"), "{failure:?}");
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_before_anything_is_sent() {
    let repository = ModelRepository::new();
    let orchestrator = orchestrator(&repository);
    let bad = TrainRequest::new("", "x").split(2.0);
    assert!(matches!(orchestrator.train(bad).await, Err(Error::Invalid(error)) if error.errors().len() == 4));
    let evaluation = EvaluateRequest::new(repository.url(), &repository.sha, "mean", 1).dataset_version("v1");
    assert!(matches!(
        orchestrator.evaluate(evaluation).await,
        Err(Error::Config { .. })
    ));
    let mut settings = orchestrator.settings().clone();
    settings.git_token = Some(orchestrator_core::SecretRef {
        name: "git".into(),
        key: "token".into(),
    });
    settings.resources.cpu_limit = Some("1".into());
    let strict = Orchestrator::builder()
        .engine(Local::new().unwrap())
        .settings(settings)
        .build()
        .unwrap();
    let request = TrainRequest::new(repository.url(), &repository.sha).dataset_version("v1");
    let refused = strict.train(request).await;
    assert!(
        matches!(refused, Err(Error::Engine(EngineError::Unsupported { .. }))),
        "{refused:?}"
    );
    assert!(orchestrator.runs(10).await.unwrap().is_empty());
    assert!(strict.runs(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_cancelled_run_is_told_apart_from_a_failed_one() {
    let repository = ModelRepository::new();
    let orchestrator = orchestrator(&repository);
    let request = TrainRequest::new(repository.url(), &repository.sha).dataset_version("v1");
    let run = orchestrator.train(request).await.unwrap();
    assert_eq!(run.cancel().await.unwrap().state, RunState::Cancelling);
    let record = run.wait().await.unwrap();
    assert_eq!(record.state, RunState::Cancelled);
    assert!(record.failure.unwrap().message.contains("cancelled"));
    assert_eq!(orchestrator.cancel(run.id()).await.unwrap().state, RunState::Cancelled);
}
