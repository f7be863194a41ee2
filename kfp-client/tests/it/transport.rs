//! Answers sorted into data and errors, repetition, time limits.

use std::{error::Error as _, time::Duration};

use kfp_client::{Error, ExperimentId, PodLogRequest, RunId};
use serde_json::json;

use crate::scripted::{Act, Server};

const RUN: &str = "/apis/v2beta1/runs/r1";

fn not_found() -> Act {
    let detail = json!({"@type": "type.googleapis.com/google.rpc.Status", "code": 5, "message": "Run r1 not found"});
    Act::json(
        404,
        json!({"code": 5, "message": "Failed to get a run: ...: Run r1 not found", "details": [detail]}),
    )
}

async fn get(act: impl Fn() -> Act + Send + Sync + 'static) -> (Error, usize) {
    let server = Server::start(move |_, _| act()).await;
    let client = server.client().timeout(Duration::from_secs(4)).build().unwrap();
    let error = client.runs().get(&RunId::new("r1")).await.unwrap_err();
    (error, server.count("GET", RUN))
}

#[tokio::test]
async fn a_missing_run_is_not_found_and_a_missing_path_is_not() {
    let (error, tries) = get(not_found).await;
    assert!(matches!(error, Error::NotFound(_)), "{error}");
    assert_eq!(
        (tries, error.code(), error.status().unwrap().as_u16()),
        (1, Some(5), 404)
    );
    assert_eq!(error.context().unwrap().message(), "Run r1 not found");
    let text = error.to_string();
    assert_eq!(
        text,
        format!("runs.get: not found: Run r1 not found (GET {RUN}, status 404, code 5)")
    );

    let (error, _) = get(|| Act::json(404, json!({"code": 5, "message": "Not Found"}))).await;
    assert!(matches!(error, Error::Unsupported(_)), "{error}");
    let (error, _) = get(|| Act::Answer(404, "text/plain", "404 page not found\n".into())).await;
    assert!(matches!(error, Error::Unsupported(_)), "{error}");

    let server = Server::start(|_, _| not_found()).await;
    let client = server.client().build().unwrap();
    assert_eq!(client.runs().get_opt(&RunId::new("r1")).await.unwrap(), None);
}

#[tokio::test]
async fn a_login_page_is_never_data() {
    let page = "<!DOCTYPE html><html><head><title>dex</title></head></html>";
    for status in [200, 401, 403] {
        let (error, tries) = get(move || Act::Answer(status, "text/html; charset=utf-8", page.into())).await;
        assert!(matches!(error, Error::LoginPage(_)), "{error}");
        assert!(error.to_string().contains("dex"), "{error}");
        assert!(!error.is_retryable());
        assert_eq!(tries, 1);
    }
    let location = "/dex/auth?client_id=x&state=secret-state".to_owned();
    let (error, _) = get(move || Act::Headers(302, vec![("location", location.clone())], String::new())).await;
    assert!(matches!(error, Error::LoginPage(_)), "{error}");
    assert!(
        error.to_string().contains("/dex/auth") && !format!("{error} {error:?}").contains("secret"),
        "{error}"
    );

    // The same path elsewhere is no login but a wrong base URL.
    let location = format!("https://elsewhere.example.com{RUN}");
    let (error, _) = get(move || Act::Headers(301, vec![("location", location.clone())], String::new())).await;
    assert!(matches!(error, Error::UnexpectedResponse(_)), "{error}");

    // A gateway that is broken sends pages too.
    let (error, tries) = get(|| Act::Answer(502, "text/html", "<title>502 Bad Gateway</title>".into())).await;
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    assert_eq!((tries, error.context().unwrap().attempts()), (3, 3));
}

#[tokio::test]
async fn every_shape_of_error_is_read() {
    let older = json!({"error": "long", "message": "long", "code": 9,
        "details": [{"@type": "type.googleapis.com/api.Error", "error_message": "short", "error_details": "d"}]});
    let (error, _) = get(move || Act::json(400, &older)).await;
    assert!(matches!(error, Error::FailedPrecondition(_)), "{error}");
    assert_eq!(
        (error.context().unwrap().message(), error.context().unwrap().chain()),
        ("short", Some("long"))
    );

    let internal = json!({"code": 13, "message": "chain: the cause\n goroutine 1",
        "details": [{"code": 13, "message": "Internal Server Error"}]});
    let (error, tries) = get(move || Act::json(500, &internal)).await;
    assert!(matches!(error, Error::Server(_)), "{error}");
    assert_eq!((error.context().unwrap().message(), tries), ("chain: the cause", 1));

    let (error, _) = get(|| Act::Answer(403, "text/plain", "RBAC: access denied".into())).await;
    assert!(matches!(error, Error::PermissionDenied(_)), "{error}");
    assert_eq!(error.context().unwrap().message(), "RBAC: access denied");

    let (error, _) = get(|| Act::json(200, json!({"run_id": "r1", "state_history": [{"update_time": 5}]}))).await;
    assert!(matches!(error, Error::Decode(_)), "{error}");
    assert_eq!(
        error.context().unwrap().json_path(),
        Some("state_history[0].update_time")
    );
}

#[tokio::test]
async fn reads_are_repeated_after_passing_faults_and_writes_are_not() {
    let server = Server::start(|_, number| match number {
        0 => Act::Close,
        1 => Act::Headers(
            503,
            vec![("retry-after", "0".to_owned())],
            "upstream connect error".to_owned(),
        ),
        _ => Act::json(200, json!({"run_id": "r1"})),
    })
    .await;
    let client = server.client().build().unwrap();
    assert_eq!(
        client.runs().get(&RunId::new("r1")).await.unwrap().run_id.as_str(),
        "r1"
    );

    let server = Server::start(|_, _| Act::json(503, json!({"code": 14, "message": "busy"}))).await;
    let client = server.client().build().unwrap();
    let error = client.runs().terminate(&RunId::new("r1")).await.unwrap_err();
    assert!(
        matches!(error, Error::Unavailable(_)) && error.is_retryable(),
        "{error}"
    );
    assert_eq!(server.seen().len(), 1);
    assert_eq!(server.seen()[0].target, "/apis/v2beta1/runs/r1:terminate");
}

#[tokio::test]
async fn no_call_lasts_longer_than_its_limit() {
    let server = Server::start(|_, _| Act::Hang).await;
    let client = server.client().timeout(Duration::from_millis(300)).build().unwrap();
    let started = std::time::Instant::now();
    let error = client.experiments().get(&ExperimentId::new("e")).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(_)), "{error}");
    assert!(started.elapsed() < Duration::from_secs(1));

    // A server that asks for a longer pause than there is time is not waited for.
    let server = Server::start(|_, _| Act::Headers(429, vec![("retry-after", "30".to_owned())], String::new())).await;
    let client = server.client().timeout(Duration::from_secs(5)).build().unwrap();
    let error = client.experiments().get(&ExperimentId::new("e")).await.unwrap_err();
    assert!(matches!(error, Error::RateLimited(_)), "{error}");
    assert_eq!(error.context().unwrap().retry_after(), Some(Duration::from_secs(30)));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn no_connection_is_told_from_a_lost_answer() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let client = kfp_client::Client::builder(&format!("http://127.0.0.1:{port}/pipeline/"))
        .unwrap()
        .build()
        .unwrap();
    let error = client.health().await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error}");
    assert!(error.source().is_some());
    assert_eq!(error.context().unwrap().attempts(), 3);
    assert_eq!(error.context().unwrap().path(), "/pipeline/apis/v2beta1/healthz");

    let (error, _) = get(|| Act::Truncate("{\"run_id\":".into())).await;
    assert!(matches!(error, Error::Interrupted(_)), "{error}");
}

#[derive(Debug)]
struct LoginFailed;

impl std::fmt::Display for LoginFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the password was refused")
    }
}

impl std::error::Error for LoginFailed {}

struct Login;

#[async_trait::async_trait]
impl reqwest_middleware::Middleware for Login {
    async fn handle(
        &self,
        _: reqwest::Request,
        _: &mut http::Extensions,
        _: reqwest_middleware::Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        Err(reqwest_middleware::Error::middleware(LoginFailed))
    }
}

#[tokio::test]
async fn the_error_of_a_middleware_can_be_reached() {
    let http = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
        .with(Login)
        .build();
    let client = kfp_client::Client::builder("http://127.0.0.1:9")
        .unwrap()
        .http(http)
        .build()
        .unwrap();
    let error = client.health().await.unwrap_err();
    assert!(matches!(error, Error::Middleware(_)), "{error}");
    assert!(
        error
            .middleware_source()
            .unwrap()
            .downcast_ref::<LoginFailed>()
            .is_some()
    );
    assert!(error.source().unwrap().downcast_ref::<LoginFailed>().is_some());
    assert!(error.to_string().contains("the password was refused"), "{error}");

    // Nothing was sent, so the outcome of a creation is not open.
    let run = kfp_client::CreateRun::new("x", "e", json!({"pipelineInfo": {"name": "x"}}));
    let error = client.runs().create(run).await.unwrap_err();
    assert!(matches!(error, Error::Middleware(_)), "{error}");
}

#[tokio::test]
async fn the_identity_is_sent_and_never_an_empty_one() {
    let server = Server::start(|_, _| Act::json(200, json!({"multi_user": true, "apiServerTagName": "2.17.0"}))).await;
    let client = server.client().user_id("user@example.com").build().unwrap();
    let health = client.health().await.unwrap();
    assert!(health.multi_user);
    assert_eq!(health.version.as_deref(), Some("2.17.0"));
    assert!(server.seen()[0].head.contains("kubeflow-userid: user@example.com"));
    for user_id in ["", "  ", "a\nb"] {
        let error = server.client().user_id(user_id).build().unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
    }
    for base in ["", "kubeflow", "ftp://x", "https://u:p@x", "https://x?y", "https://x#y"] {
        assert!(kfp_client::Client::builder(base).is_err(), "{base}");
    }
}

#[tokio::test]
async fn an_error_inside_a_log_is_an_error() {
    let server = Server::start(|seen, _| match seen.target.as_str() {
        "/apis/v1alpha1/runs/r1/nodes/n1/log" => {
            Act::Answer(200, "text/plain", "line 1\n{\"error_message\":1}\n".into())
        }
        target if target.starts_with("/apis") => Act::json(
            200,
            json!({"error_message": "Run nope not found", "error_details": "x"}),
        ),
        _ => Act::Answer(200, "text/plain", "<b>pod</b> line\n".into()),
    })
    .await;
    let logs = server.client().build().unwrap().logs();
    assert_eq!(
        logs.node_log(&RunId::new("r1"), "n1").await.unwrap(),
        "line 1\n{\"error_message\":1}\n"
    );
    let error = logs.node_log(&RunId::new("nope"), "n1").await.unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error}");
    let request = PodLogRequest::new("p", "team-a")
        .run_id("r1")
        .created_at("2026-11-23T21:02:24Z".parse().unwrap());
    assert_eq!(logs.pod(&request).await.unwrap(), "<b>pod</b> line\n");
    let target = server.seen().last().unwrap().target.clone();
    assert_eq!(
        target,
        "/k8s/pod/logs?podname=p&podnamespace=team-a&runid=r1&createdat=2026-11-23"
    );
    let pieces = logs.pod_stream(&request).await.unwrap();
    let pieces: Vec<_> = futures_util::TryStreamExt::try_collect(pieces).await.unwrap();
    assert_eq!(pieces.concat(), b"<b>pod</b> line\n");
}
