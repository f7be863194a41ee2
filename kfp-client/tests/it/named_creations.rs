//! Everything that is made and told by its name is submitted once, never broken off, and looked up by its name.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt, join_all};
use kfp_client::{
    Client, ClientBuilder, CreateExperiment, CreatePipeline, CreatePipelineVersion, CreateRecurringRun, Error,
    PipelineFile, PipelineId, Resource, Result, Trigger, UploadPipeline, UploadPipelineVersion, v1,
};
use serde_json::{Value, json};

use crate::scripted::{Act, Seen, Server};

fn file() -> PipelineFile {
    PipelineFile::parse(r#"{"pipelineInfo":{"name":"x"},"schemaVersion":"2.1.0"}"#).unwrap()
}

fn recurring() -> CreateRecurringRun {
    CreateRecurringRun::new("x", "e", json!({"pipelineInfo": {}}), Trigger::periodic(60))
}

fn job() -> v1::CreateJob {
    v1::CreateJob::new("x", PipelineId::new("p"), v1::Trigger::every(60)).experiment("e")
}

/// Makes something called `x`, and gives the id it got.
type Make = fn(Client) -> BoxFuture<'static, Result<String>>;

macro_rules! make {
    (|$client:ident| $made:expr, $id:ident) => {
        |$client: Client| async move { Ok($made.await?.$id.to_string()) }.boxed()
    };
}

const URL: &str = "https://example.com/p.yaml";

#[allow(clippy::too_many_lines, reason = "one row for each operation")]
fn operations() -> Vec<(&'static str, Resource, Make)> {
    use Resource::{Experiment, Pipeline, PipelineVersion, RecurringRun};
    vec![
        (
            "experiments.create",
            Experiment,
            make!(
                |client| client.experiments().create(&CreateExperiment::new("x")),
                experiment_id
            ),
        ),
        (
            "pipelines.create",
            Pipeline,
            make!(
                |client| client.pipelines().create(&CreatePipeline::new("x")),
                pipeline_id
            ),
        ),
        ("pipelines.create_with_version", Pipeline, |client| {
            async move {
                let version = CreatePipelineVersion::new("v", URL);
                let pipelines = client.pipelines();
                let made = pipelines
                    .create_with_version(&CreatePipeline::new("x"), &version)
                    .await?;
                Ok(made.pipeline_id.to_string())
            }
            .boxed()
        }),
        (
            "pipelines.upload",
            Pipeline,
            make!(
                |client| client.pipelines().upload(&UploadPipeline::new("x", file())),
                pipeline_id
            ),
        ),
        ("pipelines.create_version", PipelineVersion, |client| {
            async move {
                let version = CreatePipelineVersion::new("x", URL);
                let made = client.pipelines().create_version(&"p".into(), &version).await?;
                Ok(made.pipeline_version_id.to_string())
            }
            .boxed()
        }),
        (
            "pipelines.upload_version",
            PipelineVersion,
            make!(
                |client| client
                    .pipelines()
                    .upload_version(&UploadPipelineVersion::new("p", "x", file())),
                pipeline_version_id
            ),
        ),
        (
            "recurring_runs.create",
            RecurringRun,
            make!(
                |client| client.recurring_runs().create(&recurring().name_is_unique(true)),
                recurring_run_id
            ),
        ),
        (
            "v1.experiments.create",
            Experiment,
            make!(
                |client| client.v1().experiments().create(&v1::CreateExperiment::new("x")),
                id
            ),
        ),
        (
            "v1.pipelines.create",
            Pipeline,
            make!(
                |client| client.v1().pipelines().create(&v1::CreatePipeline::new("x", URL)),
                id
            ),
        ),
        (
            "v1.pipelines.upload",
            Pipeline,
            make!(
                |client| client.v1().pipelines().upload(&v1::UploadPipeline::new("x", file())),
                id
            ),
        ),
        ("v1.pipeline_versions.create", PipelineVersion, |client| {
            async move {
                let version = v1::CreatePipelineVersion::new("p", "x", URL);
                Ok(client.v1().pipeline_versions().create(&version).await?.id.to_string())
            }
            .boxed()
        }),
        ("v1.pipeline_versions.upload", PipelineVersion, |client| {
            async move {
                let version = v1::UploadPipelineVersion::new("p", "x", file());
                Ok(client.v1().pipeline_versions().upload(&version).await?.id.to_string())
            }
            .boxed()
        }),
        (
            "v1.jobs.create",
            RecurringRun,
            make!(|client| client.v1().jobs().create(job().name_is_unique(true)), id),
        ),
    ]
}

/// An answer that every type reads: all of them have other names for their id.
fn thing(name: &str, id: &str, created_at: &str) -> Value {
    json!({"id": id, "experiment_id": id, "pipeline_id": id, "pipeline_version_id": id, "recurring_run_id": id,
        "name": name, "display_name": name, "created_at": created_at})
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

/// A server on which the creation goes as is said, and whose lists hold what was made, in `created_at`, from the given
/// look on, beside another one whose name differs in case.
async fn server(
    post: impl Fn() -> Act + Send + Sync + 'static,
    known_from: usize,
    created_at: impl Fn() -> String + Send + Sync + 'static,
) -> Server {
    let looks = AtomicUsize::new(0);
    Server::start(move |seen: &Seen, _| {
        if seen.method == "POST" {
            return post();
        }
        if looks.fetch_add(1, Ordering::SeqCst) + 1 < known_from {
            return Act::json(200, json!({}));
        }
        let path = seen.target.split('?').next().unwrap();
        let list = match path.rsplit('/').next().unwrap() {
            "recurringruns" => "recurringRuns",
            "pipeline_versions" => "versions",
            "versions" => "pipeline_versions",
            other => other,
        };
        let items = [
            thing("X", "other", "2020-01-01T00:00:00Z"),
            thing("x", "made", &created_at()),
        ];
        Act::json(200, json!({list: items}))
    })
    .await
}

/// Settings of a client that shares its connections with all others here: to make them takes long.
fn connect(server: &Server) -> ClientBuilder {
    static HTTP: LazyLock<reqwest::Client> = LazyLock::new(|| {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        http.pool_max_idle_per_host(0).build().unwrap()
    });
    server.client().http(HTTP.clone())
}

fn posts(server: &Server) -> usize {
    server.seen().iter().filter(|seen| seen.method == "POST").count()
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_the_name_and_never_by_a_second_submission() {
    let lost: [fn() -> Act; 4] = [
        || Act::Close,
        || Act::Answer(502, "text/plain", "upstream".into()),
        || Act::Truncate("{\"id\":".into()),
        || Act::json(200, json!({})),
    ];
    let cases = operations()
        .into_iter()
        .flat_map(|operation| lost.map(|lost| (operation, lost)));
    join_all(cases.map(async |((name, _, make), lost)| {
        let server = server(lost, 2, now).await;
        let made = make(connect(&server).build().unwrap()).await;
        assert_eq!(made.unwrap_or_else(|error| panic!("{name}: {error}")), "made");
        assert_eq!(posts(&server), 1, "{name}");
        let looks = server.seen().into_iter().filter(|seen| seen.method == "GET");
        assert!(looks.into_iter().all(|look| look.target.contains("filter=")), "{name}");
    }))
    .await;
}

#[tokio::test]
async fn what_was_there_before_is_not_taken_for_what_was_to_be_made() {
    join_all(operations().into_iter().map(async |(name, _, make)| {
        let server = server(|| Act::Close, 2, || "2020-01-01T00:00:00Z".to_owned()).await;
        let error = make(connect(&server).build().unwrap()).await.unwrap_err();
        assert!(matches!(error, Error::AlreadyExists(_)), "{name}: {error}");
        assert_eq!(posts(&server), 1, "{name}");
    }))
    .await;
}

#[tokio::test]
async fn an_outcome_that_stays_open_carries_the_name() {
    join_all(operations().into_iter().map(async |(name, resource, make)| {
        let server = server(|| Act::Close, usize::MAX, now).await;
        let client = connect(&server)
            .settle_time(Duration::from_millis(300))
            .build()
            .unwrap();
        let error = make(client.clone()).await.unwrap_err();
        assert!(error.to_string().contains("\"x\""), "{error}");
        // Of what may repeat its name, another try could make a second one.
        assert_eq!(error.is_retryable(), resource != Resource::RecurringRun, "{error}");
        let Error::NamedOutcomeUnknown { submitted, context } = error else {
            panic!("{name}: the outcome is open");
        };
        assert_eq!(
            (submitted.resource, &*submitted.name, context.operation()),
            (resource, "x", name)
        );
        assert!(submitted.name_is_unique && submitted.run_id.is_none());
        if resource == Resource::RecurringRun {
            // A second submission of the name could make a second one.
            let again = make(client).await.unwrap_err();
            assert!(matches!(again, Error::InvalidRequest(_)), "{again}");
        }
        assert_eq!(posts(&server), 1, "{name}");
    }))
    .await;
}

#[tokio::test]
async fn a_name_that_may_repeat_is_not_looked_for() {
    let server = server(|| Act::Close, 1, now).await;
    let client = connect(&server).build().unwrap();
    let newer = client.recurring_runs().create(&recurring()).await.unwrap_err();
    let older = client.v1().jobs().create(job()).await.unwrap_err();
    for error in [newer, older] {
        let Error::NamedOutcomeUnknown { submitted, .. } = error else {
            panic!("the outcome is open: {error}");
        };
        assert!(!submitted.name_is_unique);
    }
    assert_eq!((posts(&server), server.seen().len()), (2, 2));
}

#[tokio::test]
async fn a_unique_name_that_is_taken_is_not_submitted() {
    let server = server(|| Act::Close, 1, now).await;
    let client = connect(&server).build().unwrap();
    let newer = client.recurring_runs().create(&recurring().name_is_unique(true)).await;
    let older = client.v1().jobs().create(job().name_is_unique(true)).await;
    assert!(matches!(newer.unwrap_err(), Error::AlreadyExists(_)));
    assert!(matches!(older.unwrap_err(), Error::AlreadyExists(_)));
    assert_eq!(posts(&server), 0);
    let unique = CreateRecurringRun::with_unique_name("nightly", "e", json!({}), Trigger::periodic(1));
    assert!(unique.name_is_unique && unique.display_name.starts_with("nightly "));
    let unique = v1::CreateJob::with_unique_name("nightly", PipelineId::new("p"), v1::Trigger::every(1));
    assert!(unique.name_is_unique && unique.name.starts_with("nightly "));
}

#[tokio::test]
async fn a_dropped_creation_goes_on_and_a_slow_answer_is_taken() {
    join_all(operations().into_iter().map(async |(name, _, make)| {
        let slow = || {
            let made = Act::json(200, thing("x", "made", &now()));
            Act::After(Duration::from_millis(1500), Box::new(made))
        };
        let server = server(slow, usize::MAX, now).await;
        let client = connect(&server).timeout(Duration::from_millis(900)).build().unwrap();
        assert_eq!(make(client).await.unwrap(), "made", "{name}");

        let client = connect(&server).build().unwrap();
        let dropped = tokio::time::timeout(Duration::from_millis(700), make(client)).await;
        assert!(dropped.is_err(), "{name}");
        let whole = || posts(&server) == 2 && server.answered() == server.seen().len();
        for _ in 0..100 {
            if !whole() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        assert!(whole(), "{name}: broken off");
    }))
    .await;
}

#[tokio::test]
async fn what_the_server_refuses_is_refused_at_once() {
    join_all(operations().into_iter().map(async |(name, _, make)| {
        let refused = || Act::json(409, json!({"code": 6, "message": "exists"}));
        let server = server(refused, usize::MAX, now).await;
        let error = make(connect(&server).build().unwrap()).await.unwrap_err();
        assert!(matches!(error, Error::AlreadyExists(_)), "{name}: {error}");
        let looked_before = usize::from(name.contains("recurring") || name.contains("jobs"));
        assert_eq!(server.seen().len(), 1 + looked_before, "{name}");
    }))
    .await;
}

#[cfg(feature = "testing")]
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_of_every_generation_is_settled() {
    use kfp_client::testing::{Fault, Generation, KfpServer};

    let workflow = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
        "metadata": {"generateName": "w-"}, "spec": {"entrypoint": "main",
        "templates": [{"name": "main", "container": {"image": "busybox", "command": ["true"]}}]}});
    for generation in [Generation::V1_8, Generation::V2_5, Generation::V2_17] {
        let fake = KfpServer::builder().generation(generation).build();
        let server = fake.start().await;
        let client = Client::builder(&server.url()).unwrap().build().unwrap();
        let lose = || fake.fault(Fault::lost_answer().method("POST"));
        let file = PipelineFile::parse(&workflow.to_string()).unwrap();
        lose();
        let pipelines = client.v1().pipelines();
        let pipeline = pipelines
            .upload(&v1::UploadPipeline::new("say", file.clone()))
            .await
            .unwrap();
        assert_eq!(pipelines.find("say", None).await.unwrap().unwrap().id, pipeline.id);
        lose();
        let versions = client.v1().pipeline_versions();
        let upload = v1::UploadPipelineVersion::new(pipeline.id.clone(), "v2", file.clone());
        let version = versions.upload(&upload).await.unwrap();
        assert_eq!(versions.find(&pipeline.id, "v2").await.unwrap().unwrap().id, version.id);
        lose();
        let experiments = client.v1().experiments();
        let experiment = experiments.create(&v1::CreateExperiment::new("fraud")).await.unwrap();
        lose();
        let nightly = v1::CreateJob::with_unique_name("nightly", version.id.clone(), v1::Trigger::every(3600));
        let name = nightly.name.clone();
        let jobs = client.v1().jobs();
        let job = jobs.create(nightly.experiment(experiment.id.clone())).await.unwrap();
        assert_eq!(jobs.find_by_name(&name, None).await.unwrap()[0].id, job.id);
        if generation == Generation::V1_8 {
            continue;
        }
        lose();
        let nightly = CreateRecurringRun::with_unique_name("n", experiment.id, workflow.clone(), Trigger::periodic(60));
        let made = client.recurring_runs().create(&nightly).await.unwrap();
        assert!(
            client
                .recurring_runs()
                .get_opt(&made.recurring_run_id)
                .await
                .unwrap()
                .is_some()
        );
        lose();
        let uploaded = client
            .pipelines()
            .upload(&UploadPipeline::new("other", file))
            .await
            .unwrap();
        assert!(!uploaded.pipeline_id.is_empty());
    }
}

#[cfg(feature = "testing")]
#[tokio::test(flavor = "multi_thread")]
async fn ten_who_want_the_same_pipeline_get_the_same_through_the_older_api() {
    use kfp_client::testing::{Generation, KfpServer};

    let workflow = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
        "metadata": {"generateName": "w-"}, "spec": {"entrypoint": "main",
        "templates": [{"name": "main", "container": {"image": "busybox", "command": ["true"]}}]}});
    for generation in [Generation::V1_8, Generation::V2_5, Generation::V2_17] {
        let fake = KfpServer::builder().generation(generation).build();
        let server = fake.start().await;
        let api = Client::builder(&server.url()).unwrap().build().unwrap().v1();
        let (pipelines, versions) = (api.pipelines(), api.pipeline_versions());
        let file = PipelineFile::parse(&workflow.to_string()).unwrap();
        let upload = v1::UploadPipeline::new("100%+ say", file.clone());
        let made = join_all((0..10).map(|_| pipelines.get_or_upload(&upload))).await;
        let made: Vec<_> = made.into_iter().map(|made| made.unwrap().id).collect();
        assert!(made.iter().all(|id| *id == made[0]), "{generation}: {made:?}");
        let upload = v1::UploadPipelineVersion::new(made[0].clone(), "v2", file);
        let made = join_all((0..10).map(|_| versions.get_or_upload(&upload))).await;
        let made: Vec<_> = made.into_iter().map(|made| made.unwrap().id).collect();
        assert!(made.iter().all(|id| *id == made[0]), "{generation}: {made:?}");
    }
}
