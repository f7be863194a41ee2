//! What only newer servers know is refused before anything is sent, if the server is known to be older.

use std::collections::BTreeMap;

use futures_util::future::{BoxFuture, FutureExt};
use kfp_client::{
    Client, CreatePipeline, CreateRecurringRun, CreateRun, DeletePropagationPolicy, Error, Feature, Filter,
    ListExperiments, ListPipelines, ListRuns, PipelineFile, Result, ServerVersion, Trigger, UpdatePipeline,
    UploadPipeline, UploadPipelineVersion,
    ir::PipelineDocument,
    testing::{Generation, KfpServer},
    v1,
};
use serde_json::{Value, json};

fn spec() -> Value {
    json!({"pipelineInfo": {"name": "x"}, "schemaVersion": "2.1.0",
        "root": {"dag": {"tasks": {"a": {"taskInfo": {"name": "a"}, "componentRef": {"name": "comp-a"}}}}},
        "components": {"comp-a": {"executorLabel": "exec-a"}},
        "deploymentSpec": {"executors": {"exec-a": {"container": {"image": "busybox", "command": ["true"]}}}}})
}

fn file() -> PipelineFile {
    PipelineFile::parse(&spec().to_string()).unwrap()
}

/// Every way to ask for the feature.
#[allow(clippy::too_many_lines, reason = "one row for each feature")]
fn calls(feature: &Feature, client: &Client) -> Vec<BoxFuture<'static, Result<()>>> {
    macro_rules! calls {
        ($($call:expr),+ $(,)?) => {
            vec![$({
                let client = client.clone();
                let call: fn(Client) -> BoxFuture<'static, Result<()>> = $call;
                call(client)
            }),+]
        };
    }
    macro_rules! call {
        (|$client:ident| $result:expr) => {
            |$client: Client| async move { $result.await.map(drop) }.boxed()
        };
    }
    match feature.name {
        "v2beta1" => calls![
            call!(|client| client.runs().get(&"x".into())),
            call!(|client| client.experiments().list(&ListExperiments::new())),
            call!(|client| client.runs().create(CreateRun::new("x", "", spec()))),
            call!(|client| client.artifacts().read(&"x".into(), "n", "a")),
        ],
        "v1beta1: pipelines in the newer format" => calls![
            call!(|client| client.v1().pipelines().upload(&v1::UploadPipeline::new("x", file()))),
            call!(|client| client
                .v1()
                .runs()
                .create(v1::CreateRun::new("x", PipelineDocument::from_json(spec()).unwrap()))),
            call!(|client| client.v1().jobs().create(
                v1::CreateJob::new("x", kfp_client::PipelineId::new("p"), v1::Trigger::every(60)).pipeline_root("r")
            )),
        ],
        "v1.pipelines.get_by_name" => calls![call!(|client| client.v1().pipelines().get_by_name("x", None))],
        "v1beta1: filter and order by names of v2beta1" => calls![
            call!(|client| client
                .v1()
                .runs()
                .list(&v1::ListRuns::new().filter(Filter::new().equals("state", "RUNNING")))),
            call!(|client| client
                .v1()
                .experiments()
                .list(&v1::ListExperiments::new().sort_by("display_name"))),
        ],
        "pipelines.get_by_name" => calls![call!(|client| client.pipelines().get_by_name("x", None))],
        "reports" => calls![call!(|client| client
            .reports()
            .workflow(&json!({"metadata": {"name": "n", "namespace": "n", "uid": "u"}}))),],
        "experiments.list: last_run_created_at" => calls![call!(|client| client
            .experiments()
            .list(&ListExperiments::new().sort_by("last_run_created_at desc"))),],
        "pipelines: display_name besides name" => calls![
            call!(|client| client.pipelines().create(&CreatePipeline::new("x").display_name("X"))),
            call!(|client| client
                .pipelines()
                .upload(&UploadPipeline::new("x", file()).display_name("X"))),
            call!(|client| client
                .pipelines()
                .upload_version(&UploadPipelineVersion::new("p", "x", file()).display_name("X"))),
        ],
        "pipelines.delete: cascade" => calls![call!(|client| client.pipelines().delete(&"x".into(), true))],
        "recurring_runs.delete: propagation_policy" => calls![call!(|client| client
            .recurring_runs()
            .delete_with(&"x".into(), &DeletePropagationPolicy::Orphan))],
        "pipelines.update" => calls![
            call!(|client| client
                .pipelines()
                .update(&"x".into(), &UpdatePipeline::new().display_name("X"))),
            call!(|client| client.pipelines().update_version(
                &"x".into(),
                &"y".into(),
                &UpdatePipeline::new().tags(BTreeMap::new())
            )),
        ],
        "pipelines: tags" => calls![
            call!(|client| client.pipelines().create(&CreatePipeline::new("x").tag("a", "b"))),
            call!(|client| client
                .pipelines()
                .get_or_upload(&UploadPipeline::new("y", file()).tag("a", "b"))),
            call!(|client| client
                .pipelines()
                .upload_version(&UploadPipelineVersion::new("p", "x", file()).tag("a", "b"))),
        ],
        "pipelines.list: tags.NAME" => calls![call!(|client| client
            .pipelines()
            .list(&ListPipelines::new().filter(Filter::new().equals("tags.a", "b"))))],
        "plugins_input" => calls![
            call!(|client| client
                .runs()
                .create(CreateRun::new("x", "", spec()).plugin("mlflow", json!({})))),
            call!(|client| client
                .recurring_runs()
                .create(&CreateRecurringRun::new("x", "", spec(), Trigger::periodic(60)).plugin("mlflow", json!({})))),
        ],
        "pipelines.upload: code_source_url" => calls![call!(|client| client
            .pipelines()
            .upload(&UploadPipeline::new("x", file()).code_source_url("https://example.com"))),],
        "runs.list: pipeline_id" => calls![call!(|client| client
            .runs()
            .list(&ListRuns::new().filter(Filter::new().equals("pipeline_id", "p"))))],
        other => panic!("nothing asks for {other}"),
    }
}

fn version(generation: Generation) -> ServerVersion {
    generation.tag().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_feature_is_refused_by_older_generations_and_sent_to_others() {
    for generation in [Generation::V1_8, Generation::V2_5, Generation::V2_17] {
        let server = version(generation);
        for feature in Feature::ALL {
            let fake = KfpServer::builder().generation(generation).build();
            let running = fake.start().await;
            let client = Client::builder(&running.url()).unwrap().server_version(server);
            let client = client.settle_time(std::time::Duration::from_millis(1)).build().unwrap();
            for call in calls(feature, &client) {
                let before = fake.requests().len();
                let result = call.await;
                let case = format!("{} on {generation}: {result:?}", feature.name);
                let sent = fake.requests().len() > before;
                if server >= feature.since {
                    let refused = matches!(result, Err(Error::Unsupported(_) | Error::OlderServer(_)));
                    assert!(sent && !refused, "{case}");
                    continue;
                }
                let Err(error) = result else { panic!("{case}") };
                assert!(!error.is_retryable() && error.context().is_none(), "{case}");
                let text = error.to_string();
                assert!(text.contains(generation.tag()), "{text}");
                let Error::OlderServer(older) = error else {
                    panic!("{case}")
                };
                // The whole of v2beta1 is missing before what is new in it.
                let expected = if server < ServerVersion::new(2, 0, 0) && older.feature.name == "v2beta1" {
                    ServerVersion::new(2, 0, 0)
                } else {
                    assert_eq!(older.feature, *feature, "{case}");
                    feature.since
                };
                assert_eq!((older.feature.since, older.server), (expected, server), "{case}");
                assert!(!sent, "{case}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_refused_while_the_release_is_not_known() {
    let fake = KfpServer::builder().generation(Generation::V1_8).build();
    let running = fake.start().await;
    let builder = || Client::builder(&running.url()).unwrap();
    let client = builder()
        .settle_time(std::time::Duration::from_millis(1))
        .build()
        .unwrap();
    for feature in Feature::ALL {
        for call in calls(feature, &client) {
            let before = fake.requests().len();
            drop(call.await);
            assert!(fake.requests().len() > before, "{}", feature.name);
        }
    }
    assert_eq!(client.server_version(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_release_is_learnt_from_the_server() {
    for generation in [Generation::V1_8, Generation::V2_5, Generation::V2_17] {
        let fake = KfpServer::builder().generation(generation).build();
        let running = fake.start().await;
        // What was said before is corrected, and clones know it too.
        let client = Client::builder(&running.url()).unwrap();
        let client = client.server_version(ServerVersion::new(1, 0, 0)).build().unwrap();
        client.clone().v1().health().await.unwrap();
        assert_eq!(client.server_version(), Some(version(generation)));
        let newer = client.health().await;
        assert_eq!(
            newer.is_ok(),
            generation != Generation::V1_8,
            "the question itself is always sent"
        );
        let result = client
            .pipelines()
            .update(&"x".into(), &UpdatePipeline::new().display_name("X"))
            .await;
        let refused = matches!(result, Err(Error::OlderServer(_)));
        assert_eq!(refused, generation != Generation::V2_17);
    }
}
