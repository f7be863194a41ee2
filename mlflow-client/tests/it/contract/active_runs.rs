//! Runs as values.

use std::time::Duration;

use mlflow_client::{ActiveRun, Client, DatasetInput, Error, LogBatch, Metric, Run, RunId, RunStatus, StartRun, tags};

use super::unique;

const LIMIT: Duration = Duration::from_secs(20);

async fn start(client: &Client) -> ActiveRun {
    let experiment = client.experiments().get_or_create(&unique("active")).await.unwrap();
    client
        .runs()
        .start(StartRun::new(experiment.experiment_id))
        .await
        .unwrap()
}

async fn read(client: &Client, id: &RunId) -> Run {
    client.runs().get(id).await.unwrap()
}

pub(super) async fn runs_end_as_their_values_do(client: &Client) {
    let run = start(client).await;
    assert_eq!(run.run().info.status, RunStatus::Running);
    run.log_batch(&LogBatch::new().param("p", "1").metric(Metric::new("m", 1.0)))
        .await
        .unwrap();
    // MLflow 2 knows a dataset by name and digest in all experiments, and keeps what the first one said of it.
    let dataset = DatasetInput::new(unique("penguins"), "d1", "local", "{}")
        .context("train")
        .schema(r#"{"mlflow_colspec": []}"#)
        .profile(r#"{"num_rows": 3}"#);
    run.log_inputs(&[dataset]).await.unwrap();
    run.artifacts().await.unwrap().upload("note.txt", "n").await.unwrap();
    let info = run.finish().await.unwrap();
    let read_back = read(client, &info.run_id).await;
    assert_eq!(read_back.info.status, RunStatus::Finished);
    assert!(read_back.info.end_time.is_some());
    let input = &read_back.inputs.dataset_inputs[0];
    assert_eq!(input.dataset.profile.as_deref(), Some(r#"{"num_rows": 3}"#));
    assert_eq!(input.tags[0].key, tags::DATASET_CONTEXT);

    let killed = start(client).await.kill().await.unwrap();
    assert_eq!(killed.status, RunStatus::Killed);
    let failing = start(client).await;
    let id = failing.id().clone();
    let result = failing.scope(async |_| Err::<(), _>(mlflow_client_error())).await;
    assert!(result.is_err());
    assert_eq!(read(client, &id).await.info.status, RunStatus::Failed);
    let good = start(client).await;
    let id = good.id().clone();
    let seven = good
        .scope(async |run| run.log_param("a", "b").await.map(|()| 7))
        .await
        .unwrap();
    assert_eq!((seven, read(client, &id).await.info.status), (7, RunStatus::Finished));
    let detached = start(client).await.detach();
    assert!(client.runs().wait_for_ends(LIMIT).await);
    assert_eq!(read(client, detached.id()).await.info.status, RunStatus::Running);
}

fn mlflow_client_error() -> Error {
    Client::builder("nonsense").unwrap_err()
}

pub(super) async fn a_dropped_run_is_ended(client: &Client) {
    let dropped = start(client).await;
    let id = dropped.id().clone();
    drop(dropped);
    assert!(client.runs().wait_for_ends(LIMIT).await);
    let run = read(client, &id).await;
    assert_eq!(run.info.status, RunStatus::Failed);
    assert!(run.info.end_time.is_some());

    let panicking = start(client).await;
    let id = panicking.id().clone();
    let task = tokio::spawn(panicking.scope(async |_| -> Result<(), Error> { panic!("by intent") }));
    assert!(task.await.is_err());
    assert!(client.runs().wait_for_ends(LIMIT).await);
    assert_eq!(read(client, &id).await.info.status, RunStatus::Failed);

    let cancelled = start(client).await;
    let id = cancelled.id().clone();
    let (begun, wait) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(cancelled.scope(async move |_| {
        let _ = begun.send(());
        std::future::pending::<Result<(), Error>>().await
    }));
    wait.await.unwrap();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(client.runs().wait_for_ends(LIMIT).await);
    assert_eq!(read(client, &id).await.info.status, RunStatus::Killed);

    // Outside of any runtime dropping waits by itself.
    let outside = start(client).await;
    let id = outside.id().clone();
    std::thread::spawn(move || drop(outside)).join().unwrap();
    assert_eq!(read(client, &id).await.info.status, RunStatus::Failed);
}

pub(super) async fn runs_are_nested_and_taken_up(client: &Client) {
    let parent = start(client).await;
    let child = parent.start_nested(StartRun::new("").run_name("a part")).await.unwrap();
    assert_eq!(child.run().info.experiment_id, parent.run().info.experiment_id);
    let child_id = child.finish().await.unwrap().run_id;
    assert_eq!(
        read(client, &child_id).await.tag(tags::PARENT_RUN_ID),
        Some(parent.id().as_str())
    );
    let id = parent.finish().await.unwrap().run_id;

    let again = StartRun::in_default_experiment()
        .resume(id.clone())
        .run_name("again")
        .description("**more**")
        .source_tags()
        .tag("mine", "1");
    let again = client.runs().start(again).await.unwrap();
    assert_eq!((again.id(), &again.run().info.status), (&id, &RunStatus::Running));
    again.finish().await.unwrap();
    let run = read(client, &id).await;
    assert_eq!((run.tag("mine"), run.tag(tags::NOTE)), (Some("1"), Some("**more**")));
    assert_eq!(
        (run.info.run_name.as_str(), run.tag(tags::SOURCE_TYPE)),
        ("again", Some("LOCAL"))
    );
    assert!(run.tag(tags::USER).is_some_and(|user| !user.is_empty()));
    let nobody = StartRun::new("").resume("0123456789abcdef0123456789abcdef");
    assert!(client.runs().start(nobody).await.unwrap_err().is_not_found());
    let never_over = StartRun::new("0").status_on_drop(RunStatus::Running);
    assert!(matches!(
        client.runs().start(never_over).await,
        Err(Error::InvalidRequest(_))
    ));
}
