//! The client and the fake server, held against each other over a run's whole life.

use std::time::Duration;

use futures_util::TryStreamExt;
use kfp_client::{
    Client, CreateRun, Error, ExperimentId, Filter, ListPipelineVersions, ListRuns, PipelineFile, PipelineSource,
    PodLogRequest, Run, RunId, RunOutcome, RuntimeState, UploadPipeline, UploadPipelineVersion,
    ir::{ContainerComponent, ParameterSource, ParameterType, PipelineBuilder, PipelineDocument, TaskBuilder},
    testing::{Execution, Generation, KfpServer},
};

fn pipeline(script: &str) -> PipelineDocument {
    let step = ContainerComponent::new("busybox")
        .command(["sh", "-c", script])
        .args(["{{$.inputs.parameters['word']}}"])
        .input("word", ParameterType::String);
    PipelineBuilder::new("say")
        .parameter("word", ParameterType::String, Some("nothing".into()))
        .task(
            TaskBuilder::new("say", step)
                .input("word", ParameterSource::input("word"))
                .caching(false),
        )
        .build()
        .unwrap()
}

async fn ended(client: &Client, id: &RunId) -> Run {
    for _ in 0..600 {
        let run = client.runs().get(id).await.unwrap();
        if run.outcome() != RunOutcome::Unfinished {
            return run;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("run {id} does not end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_lives_through_the_client() {
    let fake = KfpServer::builder()
        .generation(Generation::V2_17)
        .multi_user(true)
        .owner("user@example.com", "team-a")
        .execution(Execution::Processes)
        .build();
    let server = fake.start().await;
    let client = Client::builder(&server.url())
        .unwrap()
        .user_id("user@example.com")
        .build()
        .unwrap();
    let health = client.health().await.unwrap();
    assert!(
        health.multi_user && health.version.as_deref() == Some("2.17.0"),
        "{health:?}"
    );

    let experiment = client
        .experiments()
        .get_or_create("fraud 100%+", Some("team-a"))
        .await
        .unwrap();
    assert_eq!(
        client
            .experiments()
            .get_or_create("fraud 100%+", Some("team-a"))
            .await
            .unwrap(),
        experiment
    );
    let experiment = experiment.experiment_id;
    assert_eq!(
        client.experiments().get_opt(&ExperimentId::new("nope")).await.unwrap(),
        None
    );

    let request = CreateRun::new("one", experiment.clone(), pipeline("echo said $0")).parameter("word", "hello");
    let created = client.runs().create(request).await.unwrap();
    let run = ended(&client, &created.run_id).await;
    assert_eq!(run.outcome(), RunOutcome::Succeeded, "{run:?}");
    assert!(run.finished_at.is_some() && !run.run_details.task_details.is_empty());

    let error = client.runs().terminate(&run.run_id).await.unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    let error = client.runs().retry(&run.run_id).await.unwrap_err();
    assert!(matches!(error, Error::Conflict(_)), "{error}");

    let slow = CreateRun::new("two", experiment.clone(), pipeline("sleep 30"));
    let slow = client.runs().create(slow).await.unwrap().run_id;
    while client.runs().get(&slow).await.unwrap().state != Some(RuntimeState::Running) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client.runs().terminate(&slow).await.unwrap();
    assert_eq!(ended(&client, &slow).await.outcome(), RunOutcome::Cancelled);

    let again = CreateRun::new("again", experiment.clone(), pipeline("true")).run_id(slow.clone());
    assert!(matches!(
        client.runs().create(again).await.unwrap_err(),
        Error::AlreadyExists(_)
    ));
    assert_eq!(fake.workflows_started(), 2);

    let all = ListRuns::new().experiment_id(experiment).page_size(1);
    let all: Vec<Run> = client.runs().list_all(all).try_collect().await.unwrap();
    assert_eq!(all.len(), 2);
    let failed = ListRuns::new()
        .namespace("team-a")
        .filter(Filter::new().equals("state", "FAILED"));
    let failed = client.runs().list(&failed).await.unwrap();
    assert_eq!(failed.items.iter().map(|run| &run.run_id).collect::<Vec<_>>(), [&slow]);

    client.runs().archive(&slow).await.unwrap();
    client.runs().delete(&slow).await.unwrap();
    assert!(client.runs().get(&slow).await.unwrap_err().is_not_found());
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelines_are_stored_and_run_by_version() {
    let fake = KfpServer::builder().execution(Execution::Processes).build();
    let server = fake.start().await;
    let client = Client::builder(&server.url()).unwrap().build().unwrap();
    let pipelines = client.pipelines();
    let document = pipeline("echo $0");
    let file = PipelineFile::try_from(&document).unwrap();
    let stored = pipelines
        .upload(&UploadPipeline::new("say", file.clone()).tag("team", "a"))
        .await
        .unwrap();
    let taken = pipelines
        .upload(&UploadPipeline::new("say", file.clone()))
        .await
        .unwrap_err();
    assert!(matches!(taken, Error::AlreadyExists(_)), "{taken}");
    assert_eq!(
        pipelines.get_by_name("say", None).await.unwrap().pipeline_id,
        stored.pipeline_id
    );
    let upload = UploadPipelineVersion::new(stored.pipeline_id.clone(), "v2", file);
    let version = pipelines.upload_version(&upload).await.unwrap();
    let versions = pipelines
        .list_versions(&stored.pipeline_id, &ListPipelineVersions::new())
        .await
        .unwrap();
    assert_eq!(versions.items.len(), 2);
    let read = pipelines
        .get_version(&stored.pipeline_id, &version.pipeline_version_id)
        .await
        .unwrap();
    assert_eq!(
        PipelineDocument::from_json(read.pipeline_spec.unwrap()).unwrap(),
        document
    );

    let experiment = client.experiments().get_or_create("Default", None).await.unwrap();
    let source = PipelineSource::Version {
        pipeline_id: Some(stored.pipeline_id.clone()),
        pipeline_version_id: Some(version.pipeline_version_id),
    };
    let run = client
        .runs()
        .create(CreateRun::new("r", experiment.experiment_id, source))
        .await
        .unwrap();
    let run = ended(&client, &run.run_id).await;
    assert_eq!(run.outcome(), RunOutcome::Succeeded);
    assert_eq!(
        client
            .runs()
            .get(&run.run_id)
            .await
            .unwrap()
            .pipeline_version_reference
            .unwrap()
            .pipeline_id,
        stored.pipeline_id
    );
    let error = client.logs().node_log(&RunId::new("nope"), "n").await.unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error}");
    // The API server itself has no such path.
    assert!(client.logs().pod(&PodLogRequest::new("p", "kubeflow")).await.is_err());

    let error = pipelines.delete(&stored.pipeline_id, false).await.unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    pipelines.delete(&stored.pipeline_id, true).await.unwrap();
    assert_eq!(pipelines.get_opt(&stored.pipeline_id).await.unwrap(), None);
}
