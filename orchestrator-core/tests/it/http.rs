//! The orchestrator as a service, on local processes.

use std::time::Duration;

use orchestrator_core::engines::Local;
use orchestrator_core::{DatasetStore, Orchestrator, Settings};
use serde_json::{Value, json};

use crate::model_repository::ModelRepository;

async fn serve(repository: &ModelRepository) -> String {
    let settings = Settings::default()
        .dataset_store(DatasetStore::folder(repository.store()))
        .allow_local_repositories(true)
        .retries(0)
        .poll_interval(Duration::from_millis(20));
    serve_with(settings).await
}

pub(crate) async fn serve_with(settings: Settings) -> String {
    let orchestrator = Orchestrator::builder()
        .engine(Local::new().unwrap())
        .settings(settings)
        .build()
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, orchestrator_core::http::router(orchestrator)).await });
    format!("http://{address}")
}

struct Answer {
    status: u16,
    kind: String,
    location: Option<String>,
    body: Value,
}

async fn ask(method: &str, url: &str, body: Option<&str>) -> Answer {
    let client = reqwest::Client::new();
    let mut request = client
        .request(method.parse().unwrap(), url)
        .timeout(Duration::from_secs(30));
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_owned());
    }
    let answer = request.send().await.unwrap();
    let header = |name: &str| {
        answer
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    let (status, kind, location) = (
        answer.status().as_u16(),
        header("content-type").unwrap_or_default(),
        header("location"),
    );
    let body = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default();
    Answer {
        status,
        kind,
        location,
        body,
    }
}

#[tokio::test]
async fn a_training_is_accepted_and_followed_to_its_end() {
    let repository = ModelRepository::new();
    let url = serve(&repository).await;
    let body = json!({"git_repository": repository.url(), "git_sha": repository.sha, "dataset_version": "v1", "train_split": 0.7});
    let accepted = ask("POST", &format!("{url}/train"), Some(&body.to_string())).await;
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    let location = accepted.location.unwrap();
    assert_eq!(location, format!("/runs/{}", accepted.body["id"].as_str().unwrap()));
    let mut report = Value::Null;
    for _ in 0..600 {
        report = ask("GET", &format!("{url}{location}"), None).await.body;
        if !["submitting", "pending", "running"].contains(&report["state"].as_str().unwrap()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(report["state"], "succeeded", "{report:#}");
    assert_eq!(report["metrics"]["rows"], 3.0);
    assert_eq!(report["split"], 0.7);
    let listed = ask("GET", &format!("{url}/runs?limit=1"), None).await.body;
    assert_eq!(listed["runs"][0]["id"], report["id"]);
    let again = ask("POST", &format!("{url}{location}/cancel"), None).await;
    assert_eq!((again.status, &again.body["state"]), (202, &json!("succeeded")));
}

#[tokio::test]
async fn a_name_that_is_given_twice_is_refused_wherever_it_stands() {
    let url = serve_with(Settings::default()).await;
    let cases = [
        (r#"{"git_sha": "a", "git_sha": "b"}"#, vec!["/git_sha"]),
        (
            r#"{"environment": {"A": "1", "B": "2", "A": "3", "A": "4"}}"#,
            vec!["/environment/A"],
        ),
        (r#"{"parameters": {"a/b": 1, "\u0061/b": 2}}"#, vec!["/parameters/a~1b"]),
        (
            r#"{"parameters": {"deep": [{}, {"x": null, "x": [1]}]}}"#,
            vec!["/parameters/deep/1/x"],
        ),
        (
            r#"{"environment": {"A": "1", "A": "2"}, "parameters": {}, "parameters": {"x": 1, "x": 2}}"#,
            vec!["/environment/A", "/parameters", "/parameters/x"],
        ),
    ];
    for (body, pointers) in cases {
        for path in ["train", "evaluate", "deploy"] {
            let answer = ask("POST", &format!("{url}/{path}"), Some(body)).await;
            assert_eq!(
                (answer.status, answer.kind.as_str()),
                (422, "application/problem+json"),
                "{body}"
            );
            let found: Vec<_> = answer.body["errors"].as_array().unwrap().iter().collect();
            let named: Vec<_> = found.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
            assert_eq!(named, pointers, "{body}");
            assert!(
                found
                    .iter()
                    .all(|error| error["detail"].as_str().unwrap().contains("twice")),
                "{found:?}"
            );
        }
    }
    // However many there are, the answer stays short, and is there at once.
    let same = vec![r#""a": 1"#; 50_000].join(",");
    let others = |n: u32| format!("\"{}\": 1", n % 25_000);
    let others = (0..50_000).map(others).collect::<Vec<_>>().join(",");
    let deep = "x".repeat(200_000);
    let bodies = [
        format!("{{{same}}}"),
        format!("{{\"{deep}\": {{{same}}}}}"),
        format!("{{\"{deep}\": {{{others}}}}}"),
    ];
    for body in bodies {
        let answer = ask("POST", &format!("{url}/train"), Some(&body)).await;
        assert_eq!(answer.status, 422);
        assert!(
            answer.body.to_string().len() < 64 * 1024,
            "{}",
            answer.body.to_string().len()
        );
    }
}

#[tokio::test]
async fn what_is_wrong_is_a_problem_with_every_field() {
    let repository = ModelRepository::new();
    let url = serve(&repository).await;
    let bad = ask(
        "POST",
        &format!("{url}/train"),
        Some(r#"{"git_sha": "x", "train_split": 3, "colour": 1}"#),
    )
    .await;
    assert_eq!((bad.status, bad.kind.as_str()), (422, "application/problem+json"));
    let pointers: Vec<_> = bad.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    for pointer in [
        "/git_repository",
        "/git_sha",
        "/dataset_version",
        "/train_split",
        "/colour",
    ] {
        assert!(pointers.contains(&pointer), "{pointer} is not in {pointers:?}");
    }
    let cases = [
        ("POST", "/train", Some("{"), 400),
        ("POST", "/train", Some("[]"), 422),
        ("POST", "/evaluate", Some("{}"), 422),
        ("POST", "/deploy", Some("{}"), 422),
        ("POST", "/train", None, 415),
        ("GET", "/train", None, 405),
        ("GET", "/runs/nothing", None, 404),
        ("POST", "/runs/nothing/cancel", None, 404),
        ("GET", "/runs/%ff", None, 404),
        ("POST", "/runs/%ff/cancel", None, 404),
        ("GET", "/runs?limit=x", None, 400),
        ("GET", "/nothing", None, 404),
    ];
    for (method, path, body, status) in cases {
        let answer = ask(method, &format!("{url}{path}"), body).await;
        assert_eq!(
            (answer.status, answer.kind.as_str()),
            (status, "application/problem+json"),
            "{method} {path}"
        );
        assert!(
            answer.body["detail"].as_str().is_some_and(|detail| !detail.is_empty()),
            "{method} {path}"
        );
    }
    let large = format!("{{\"git_sha\": \"{}\"}}", "x".repeat(2 * 1024 * 1024));
    assert_eq!(ask("POST", &format!("{url}/train"), Some(&large)).await.status, 413);
    assert_eq!(ask("GET", &format!("{url}/healthz"), None).await.status, 200);
    assert_eq!(ask("GET", &format!("{url}/readyz"), None).await.status, 200);
}
