//! A run of `v1beta1` is submitted once, never broken off, and looked up by its name where the id is ignored.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use kfp_client::{
    Error, PipelineId, Resource, RunOutcome,
    argo::{Container, DagTask, Template, WorkflowBuilder},
    v1::{CreateJob, CreateRun, ListRuns, ReportMetrics, RunMetric, Trigger},
};
use serde_json::{Value, json};

use crate::scripted::{Act, Seen, Server};

const RUNS: &str = "/apis/v1beta1/runs";

fn detail(id: &str, name: &str) -> Value {
    json!({"run": {"id": id, "name": name}, "pipeline_runtime": {}})
}

fn missing() -> Act {
    let error = json!({"@type": "type.googleapis.com/api.Error", "error_message": "Run not found."});
    Act::json(
        404,
        json!({"error": "m", "code": 5, "message": "m", "details": [error]}),
    )
}

fn unique() -> CreateRun {
    CreateRun::new("train 1", PipelineId::new("p"))
        .name_is_unique(true)
        .experiment("e")
}

/// A server of 1.8, which ignores the id, makes its own, and loses the answer; the run is listed from the given look
/// on, among others whose names differ in case.
async fn losing(lost: impl Fn() -> Act + Send + Sync + 'static, listed_from: usize) -> Server {
    let looks = AtomicUsize::new(0);
    Server::start(
        move |seen: &Seen, _| match (seen.method.as_str(), seen.target.split('?').next().unwrap()) {
            ("POST", _) => lost(),
            ("GET", RUNS) if looks.fetch_add(1, Ordering::SeqCst) >= listed_from => Act::json(
                200,
                json!({"runs": [{"id": "other", "name": "Train 1", "created_at": "2026-11-23T21:02:24Z"},
                {"id": "made", "name": "train 1", "created_at": "2026-11-23T21:02:24Z"}]}),
            ),
            ("GET", RUNS) => Act::json(200, json!({})),
            ("GET", path) if path.ends_with("/made") => Act::json(200, detail("made", "train 1")),
            _ => missing(),
        },
    )
    .await
}

#[tokio::test]
async fn the_body_says_everything_and_the_id_may_be_another() {
    let server = Server::start(|_, _| Act::json(200, detail("made", "r"))).await;
    let runs = server.client().build().unwrap().v1().runs();
    let step = Template::container("step", Container::new("busybox"));
    let workflow = WorkflowBuilder::new("w-").parameter("word", Some("a")).template(step);
    let workflow = workflow
        .entrypoint(Template::dag("main", [DagTask::new("one", "step")]))
        .build()
        .unwrap();
    let request = CreateRun::new("r", workflow.clone())
        .experiment("e")
        .parameter("word", "b")
        .run_id("mine");
    // The look for the chosen id finds one.
    assert!(matches!(
        runs.create(request.clone()).await.unwrap_err(),
        Error::AlreadyExists(_)
    ));
    assert_eq!(server.count("POST", RUNS), 0);
    let mut request = request;
    request.run_id = None;
    let made = runs.create(request).await.unwrap();
    assert_eq!(made.run.id.as_str(), "made");
    let body = server.seen().last().unwrap().json();
    let expected = json!({"id": body["id"], "name": "r",
        "pipeline_spec": {"workflow_manifest": workflow.to_json(), "parameters": [{"name": "word", "value": "b"}]},
        "resource_references": [{"key": {"type": "EXPERIMENT", "id": "e"}, "relationship": "OWNER"}]});
    assert_eq!(body, expected);
    assert_eq!(body["id"].as_str().unwrap().len(), 36);
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_the_name_and_never_by_a_second_submission() {
    let lost: [fn() -> Act; 4] = [
        || Act::Close,
        || Act::Answer(502, "text/plain", "upstream".into()),
        || Act::Truncate("{\"run\":".into()),
        || {
            Act::json(
                500,
                json!({"code": 13, "error": "x", "message": "Failed to store run train 1 to table"}),
            )
        },
    ];
    for lost in lost {
        let server = losing(lost, 2).await;
        let made = server
            .client()
            .build()
            .unwrap()
            .v1()
            .runs()
            .create(unique())
            .await
            .unwrap();
        assert_eq!((made.run.id.as_str(), made.outcome()), ("made", RunOutcome::Unfinished));
        assert_eq!(server.count("POST", RUNS), 1);
        let look = server
            .seen()
            .into_iter()
            .find(|seen| seen.is("GET", RUNS))
            .unwrap()
            .target;
        assert!(
            look.contains("resource_reference_key.type=EXPERIMENT&resource_reference_key.id=e"),
            "{look}"
        );
    }
}

#[tokio::test]
async fn an_outcome_that_stays_open_carries_the_name() {
    for (request, looks) in [(unique(), true), (unique().name_is_unique(false), false)] {
        let server = losing(|| Act::Close, if looks { usize::MAX } else { 0 }).await;
        let client = server.client().settle_time(Duration::from_millis(300)).build().unwrap();
        let runs = client.v1().runs();
        let error = runs.create(request.clone()).await.unwrap_err();
        assert!(
            !error.is_retryable() && error.to_string().contains("train 1"),
            "{error}"
        );
        let Error::NamedOutcomeUnknown { submitted, context } = error else {
            panic!("the outcome is open");
        };
        assert_eq!((&*submitted.name, submitted.name_is_unique), ("train 1", looks));
        assert!(submitted.resource == Resource::Run && submitted.run_id.is_some());
        assert_eq!(context.operation(), "v1.runs.create");
        assert_eq!(server.count("POST", RUNS), 1);
        // Another run of a name that is no one's own may be listed; it is not taken for this one.
        assert_eq!(server.count("GET", RUNS) > 0, looks);
        if looks {
            let again = runs.create(request).await.unwrap_err();
            assert!(
                matches!(&again, Error::InvalidRequest(invalid) if invalid.field == "name"),
                "{again}"
            );
            assert_eq!(server.count("POST", RUNS), 1);
        }
    }
}

#[tokio::test]
async fn a_name_that_is_taken_is_not_submitted() {
    let server = losing(|| Act::Close, 0).await;
    let error = server
        .client()
        .build()
        .unwrap()
        .v1()
        .runs()
        .create(unique())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::AlreadyExists(_)), "{error}");
    assert_eq!(server.count("POST", RUNS), 0);
}

#[tokio::test]
async fn a_dropped_creation_goes_on() {
    let server = Server::start(|_, _| {
        Act::After(
            Duration::from_millis(300),
            Box::new(Act::json(200, detail("made", "r"))),
        )
    })
    .await;
    let runs = server.client().build().unwrap().v1().runs();
    let request = CreateRun::new("r", PipelineId::new("p"));
    let dropped = tokio::time::timeout(Duration::from_millis(100), runs.create(request)).await;
    assert!(dropped.is_err());
    let mut waits = 0;
    while server.answered() == 0 {
        waits += 1;
        assert!(waits < 200, "the submission was broken off");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn errors_of_status_500_that_a_faulty_request_caused_are_told_from_the_servers_own() {
    type Case = (&'static str, fn(&Error) -> bool);
    let cases: [Case; 4] = [
        (
            "Failed to create a new run.: InternalServerError: Failed to get experiment.: ResourceNotFoundError: Experiment x not found.",
            |error| matches!(error, Error::NotFound(_)),
        ),
        (
            "Internal error: Unauthenticated: Request header error: there is no user identity header.",
            |error| matches!(error, Error::Unauthenticated(_)),
        ),
        (
            "Failed to create a run: Invalid input error: Run name cannot be empty",
            |error| matches!(error, Error::InvalidArgument(_)),
        ),
        ("InternalServerError: the database is gone", |error| {
            matches!(error, Error::Server(_))
        }),
    ];
    for (message, expected) in cases {
        let server = Server::start(move |_, _| Act::json(500, json!({"code": 13, "message": message}))).await;
        let runs = server.client().build().unwrap().v1().runs();
        let error = runs
            .create(CreateRun::new("r", PipelineId::new("p")))
            .await
            .unwrap_err();
        assert!(expected(&error) && !error.is_retryable(), "{error}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn items_that_cannot_be_read_are_errors_in_their_place() {
    let list = json!({"total_size": 2, "runs": [{"id": "bad", "error": "cannot be read\nstack"},
        {"id": "good", "name": "x", "created_at": "2026-11-23T21:02:24Z", "error": "failed"}]});
    let server = Server::start(move |_, _| Act::json(200, list.clone())).await;
    let page = server
        .client()
        .build()
        .unwrap()
        .v1()
        .runs()
        .list(&ListRuns::default())
        .await
        .unwrap();
    assert_eq!(
        (page.items.len(), page.broken.len(), page.items[0].id.as_str()),
        (1, 1, "good")
    );
    assert!(
        page.broken[0].to_string().contains("bad: cannot be read ("),
        "{}",
        page.broken[0]
    );
}

#[tokio::test]
async fn faulty_values_are_refused_before_anything_is_sent() {
    let client = kfp_client::Client::builder("http://127.0.0.1:9")
        .unwrap()
        .build()
        .unwrap();
    let stored = || PipelineId::new("p");
    let step = Template::container("step", Container::new("busybox"));
    let workflow = WorkflowBuilder::new("w-").entrypoint(step).build().unwrap();
    let mut broken = workflow.clone();
    broken.spec.entrypoint = "nope".to_owned();
    let runs = [
        (CreateRun::new(" ", stored()), "name"),
        (CreateRun::new("rocket 🚀", stored()), "name"),
        (CreateRun::new("x", broken), "spec.entrypoint"),
        (CreateRun::new("x", workflow).parameter("p", "1"), "parameters.p"),
        (
            CreateRun::new("x", stored()).parameter("p", "1".repeat(10_000)),
            "parameters",
        ),
        (
            CreateRun::new("x", stored()).runtime_parameter("p", Value::Null),
            "runtime_config.parameters.p",
        ),
        (CreateRun::new("x", stored()).run_id("a/b"), "run_id"),
    ];
    for (request, field) in runs {
        let error = client.v1().runs().create(request).await.unwrap_err();
        assert!(
            matches!(&error, Error::InvalidRequest(invalid) if invalid.field == field),
            "{field}: {error}"
        );
    }
    // At the limit, and one above it, in bytes of the JSON that Go writes.
    for (value, fits) in [
        ("<".repeat(1_660), true),
        ("<".repeat(1_661), false),
        ("é\n".repeat(2_490), true),
        ("é\n".repeat(2_491), false),
    ] {
        let request = CreateRun::new("x", stored()).parameter("p", &value).parameter("q", "");
        let error = client.v1().runs().create(request).await.unwrap_err();
        let refused = matches!(&error, Error::InvalidRequest(invalid)
            if invalid.field == "parameters" && invalid.allowed.starts_with("at most 10000 bytes"));
        assert_eq!(refused, !fits, "{} bytes: {error}", value.len());
        let request = CreateJob::new("x", stored(), Trigger::every(60))
            .parameter("p", value)
            .parameter("q", "");
        let error = client.v1().jobs().create(request).await.unwrap_err();
        assert_eq!(matches!(error, Error::InvalidRequest(_)), !fits, "{error}");
    }
    // Administrators of newer servers can set another limit.
    let newer = kfp_client::Client::builder("http://127.0.0.1:9").unwrap();
    let newer = newer
        .server_version(kfp_client::ServerVersion::new(2, 16, 0))
        .build()
        .unwrap();
    let request = CreateRun::new("x", stored()).parameter("p", "1".repeat(10_000));
    let error = newer.v1().runs().create(request).await.unwrap_err();
    assert!(!matches!(error, Error::InvalidRequest(_)), "{error}");
    let jobs = [
        (CreateJob::new("", stored(), Trigger::every(60)), "name"),
        (
            CreateJob::new("x", stored(), Trigger::every(0)),
            "trigger.periodic_schedule.interval_second",
        ),
        (
            CreateJob::new("x", stored(), Trigger::cron("0 * * * *")),
            "trigger.cron_schedule.cron",
        ),
        (
            CreateJob::new("x", stored(), Trigger::every(60)).max_concurrency(11),
            "max_concurrency",
        ),
    ];
    for (request, field) in jobs {
        let error = client.v1().jobs().create(request).await.unwrap_err();
        assert!(
            matches!(&error, Error::InvalidRequest(invalid) if invalid.field == field),
            "{field}: {error}"
        );
    }
    for metric in [
        RunMetric::new("1st", "n", 1.0),
        RunMetric::new("a", "", 1.0),
        RunMetric::new("a", "n", f64::NAN),
    ] {
        let error = client
            .v1()
            .runs()
            .report_metrics(&"r".into(), &ReportMetrics::new([metric]))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, Error::InvalidRequest(invalid) if invalid.field.starts_with("metrics[0].")),
            "{error}"
        );
    }
}
