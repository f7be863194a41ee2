//! A run is submitted once, never broken off, and its outcome is never guessed.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use kfp_client::{CreateRun, Error, RunId};
use serde_json::{Value, json};

use crate::scripted::{Act, Seen, Server};

const RUNS: &str = "/apis/v2beta1/runs";

fn request() -> CreateRun {
    CreateRun::new("train", "e1", json!({"pipelineInfo": {"name": "x"}})).parameter("rows", 10)
}

fn run(id: &str) -> Act {
    Act::json(200, json!({"run_id": id, "display_name": "train", "state": "PENDING"}))
}

fn missing() -> Act {
    Act::json(
        404,
        json!({"code": 5, "message": "m", "details": [{"code": 5, "message": "Run not found"}]}),
    )
}

/// A server that loses the answer to the creation in some way, and knows the run from the given look on.
async fn losing(lost: impl Fn() -> Act + Send + Sync + 'static, known_from: usize) -> Server {
    let looks = AtomicUsize::new(0);
    Server::start(move |seen: &Seen, _| match seen.method.as_str() {
        "POST" => lost(),
        _ if looks.fetch_add(1, Ordering::SeqCst) + 1 >= known_from => run(seen.target.rsplit('/').next().unwrap()),
        _ => missing(),
    })
    .await
}

#[tokio::test]
async fn the_id_is_chosen_here_and_checked_in_the_answer() {
    let server = Server::start(|seen: &Seen, _| run(seen.json()["run_id"].as_str().unwrap())).await;
    let runs = server.client().build().unwrap().runs();
    let made = runs.create(request()).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    let body = seen[0].json();
    assert_eq!(body["run_id"], made.run_id.as_str());
    let expected = json!({"run_id": made.run_id, "experiment_id": "e1", "display_name": "train",
        "pipeline_spec": {"pipelineInfo": {"name": "x"}}, "runtime_config": {"parameters": {"rows": 10}}});
    assert_eq!(body, expected);

    let server = Server::start(|_, _| run("another")).await;
    let error = server
        .client()
        .build()
        .unwrap()
        .runs()
        .create(request())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::UnexpectedResponse(_)), "{error}");
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_looking_and_never_by_a_second_submission() {
    let lost: [fn() -> Act; 5] = [
        || Act::Close,
        || Act::Answer(502, "text/plain", "upstream".into()),
        || Act::json(503, json!({"code": 14, "message": "Kubernetes API timeout"})),
        || Act::Truncate("{\"run_id\":".into()),
        || {
            Act::json(
                500,
                json!({"code": 13, "message": "Failed to store run r1 to table: Duplicate entry"}),
            )
        },
    ];
    for lost in lost {
        let server = losing(lost, 2).await;
        let runs = server.client().build().unwrap().runs();
        let made = runs.create(request()).await.unwrap();
        assert_eq!(server.count("POST", RUNS), 1);
        assert_eq!(server.seen()[0].json()["run_id"], made.run_id.as_str());
    }
}

#[tokio::test]
async fn an_outcome_that_stays_open_is_said_to_be_open() {
    let server = losing(|| Act::Close, usize::MAX).await;
    let client = server.client().settle_time(Duration::from_millis(400)).build().unwrap();
    let id = RunId::random();
    let Err(Error::OutcomeUnknown { run_id, context }) = client.runs().create(request().run_id(id.clone())).await
    else {
        panic!("the outcome is open");
    };
    assert_eq!(*run_id, id);
    assert_eq!(context.operation(), "runs.create");
    // One submission, and no second one of that id by this client.
    let error = client.runs().create(request().run_id(id)).await.unwrap_err();
    assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
    assert_eq!(server.count("POST", RUNS), 1);
}

#[tokio::test]
async fn what_the_server_refuses_is_refused_at_once() {
    type Case = (fn() -> Act, fn(&Error) -> bool);
    let refusals: [Case; 4] = [
        (
            || Act::json(400, json!({"code": 3, "message": "bad"})),
            |error| matches!(error, Error::InvalidArgument(_)),
        ),
        (
            || Act::json(500, json!({"code": 13, "message": "error fetching manifest"})),
            |error| matches!(error, Error::InvalidArgument(_)) && !error.is_retryable(),
        ),
        (
            || Act::Answer(200, "text/html", "<html>".into()),
            |error| matches!(error, Error::LoginPage(_)),
        ),
        (
            || Act::Headers(302, vec![("location", "/dex".into())], String::new()),
            |error| matches!(error, Error::LoginPage(_)),
        ),
    ];
    for (refusal, expected) in refusals {
        let server = losing(refusal, 1).await;
        let error = server
            .client()
            .build()
            .unwrap()
            .runs()
            .create(request())
            .await
            .unwrap_err();
        assert!(expected(&error), "{error}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_dropped_creation_goes_on() {
    let server = Server::start(|seen: &Seen, _| {
        let id = seen.json()["run_id"].as_str().unwrap().to_owned();
        Act::After(Duration::from_millis(300), Box::new(run(&id)))
    })
    .await;
    let runs = server.client().build().unwrap().runs();
    let dropped = tokio::time::timeout(Duration::from_millis(100), runs.create(request())).await;
    assert!(dropped.is_err());
    assert_eq!(server.answered(), 0);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(server.answered(), 1);
}

#[tokio::test]
async fn a_slow_answer_is_still_taken_after_the_limit() {
    let server = Server::start(|seen: &Seen, _| match seen.method.as_str() {
        "POST" => {
            let id = seen.json()["run_id"].as_str().unwrap().to_owned();
            Act::After(Duration::from_millis(700), Box::new(run(&id)))
        }
        _ => missing(),
    })
    .await;
    let client = server.client().timeout(Duration::from_millis(200)).build().unwrap();
    let made = client.runs().create(request()).await.unwrap();
    assert!(!made.run_id.is_empty());
    assert_eq!((server.count("POST", RUNS), server.answered() >= 1), (1, true));
}

#[tokio::test]
async fn an_id_that_is_taken_is_not_submitted() {
    let server = Server::start(|seen: &Seen, _| run(seen.target.rsplit('/').next().unwrap())).await;
    let runs = server.client().build().unwrap().runs();
    let error = runs.create(request().run_id("mine")).await.unwrap_err();
    assert!(matches!(error, Error::AlreadyExists(_)), "{error}");
    assert_eq!(server.count("POST", RUNS), 0);
}

#[tokio::test]
async fn faulty_values_are_refused_before_anything_is_sent() {
    let client = kfp_client::Client::builder("http://127.0.0.1:9")
        .unwrap()
        .build()
        .unwrap();
    let spec = || json!({"pipelineInfo": {"name": "x"}});
    let faulty = [
        (CreateRun::new(" ", "e", spec()), "display_name"),
        (CreateRun::new("n".repeat(256), "e", spec()), "display_name"),
        (CreateRun::new("rocket 🚀", "e", spec()), "display_name"),
        (request().description("d".repeat(256)), "description"),
        (request().parameter("p", "🚀"), "pipeline or parameters"),
        (request().parameter("p", Value::Null), "parameters.p"),
        (request().run_id("a/b"), "run_id"),
        (CreateRun::new("x", "e", json!([1])), "source"),
    ];
    for (request, field) in faulty {
        let Err(Error::InvalidRequest(invalid)) = client.runs().create(request).await else {
            panic!("{field} is faulty");
        };
        assert_eq!(invalid.field, field);
    }
}
