//! Servers that fail.

use std::time::Duration;

use mlflow_client::testing::{Fault, MlflowServer};
use mlflow_client::{Client, CreateRun, Error, LogBatch, Metric, RunId};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

async fn answering(answer: ResponseTemplate) -> (MockServer, Client) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let client = Client::builder(server.uri())
        .unwrap()
        .max_retries(0)
        .timeout(Duration::from_secs(2))
        .build()
        .unwrap();
    (server, client)
}

#[tokio::test]
async fn a_login_page_is_never_taken_for_data() {
    let page = "<html><body><form action=/login></form></body></html>";
    for answer in [
        ResponseTemplate::new(200).set_body_raw(page, "text/html"),
        ResponseTemplate::new(302).insert_header("location", "/dex/auth"),
        ResponseTemplate::new(403).set_body_raw(page, "text/html"),
    ] {
        let (_server, client) = answering(answer).await;
        let result = client.experiments().get_by_name("x").await;
        assert!(
            matches!(result, Err(Error::LoginPage(_) | Error::PermissionDenied(_))),
            "{result:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_unavailable_and_one_that_is_not_there_cannot_be_connected() {
    let server = MlflowServer::builder().build();
    let running = server.start().await;
    let client = Client::builder(running.url()).unwrap().max_retries(0).build().unwrap();
    server.down(true);
    let result = client.experiments().get_by_name("x").await;
    assert!(
        matches!(&result, Err(error @ Error::Unavailable(_)) if error.is_retryable()),
        "{result:?}"
    );
    server.down(false);
    assert_eq!(client.experiments().get_by_name("x").await.unwrap(), None);
    let nobody = Client::builder("http://127.0.0.1:9")
        .unwrap()
        .max_retries(0)
        .build()
        .unwrap();
    assert!(matches!(nobody.version().await, Err(Error::Connect(_))));
}

#[tokio::test]
async fn a_creation_is_not_sent_twice_when_its_fate_is_open() {
    let (server, _) = answering(ResponseTemplate::new(502)).await;
    let client = Client::builder(server.uri()).unwrap().build().unwrap();
    assert!(client.runs().create(CreateRun::new("1")).await.is_err());
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_exhausted_pool_of_connections_is_waited_for() {
    let body = r#"{"error_code":"BAD_REQUEST","message":"QueuePool limit of size 5 overflow 10 reached, connection timed out"}"#;
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(400).set_body_raw(body, "application/json"))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    let experiment =
        r#"{"experiment":{"experiment_id":"7","name":"x","artifact_location":"","lifecycle_stage":"active"}}"#;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_raw(experiment, "application/json"))
        .mount(&server)
        .await;
    let client = Client::builder(server.uri()).unwrap().build().unwrap();
    assert_eq!(client.experiments().get("7").await.unwrap().experiment_id, "7");
}

#[tokio::test]
async fn credentials_are_not_shown() {
    let client = Client::builder("http://127.0.0.1:9")
        .unwrap()
        .bearer_token("s3cret-token".to_owned())
        .max_retries(0)
        .build()
        .unwrap();
    let shown = format!(
        "{client:?} {:?} {}",
        client.version().await,
        client.version().await.unwrap_err()
    );
    assert!(!shown.contains("s3cret-token"), "{shown}");
    assert!(Client::builder("http://user:pass@127.0.0.1").is_err());
    assert!(Client::builder("databricks").is_err());
}

async fn fake() -> (MlflowServer, mlflow_client::testing::RunningMlflowServer, Client) {
    let server = MlflowServer::builder().build();
    let running = server.start().await;
    let client = Client::builder(running.url()).unwrap();
    let client = client
        .backoff(Duration::from_millis(1), Duration::from_millis(2))
        .build()
        .unwrap();
    (server, running, client)
}

#[tokio::test]
async fn what_is_idempotent_gets_through_every_fault() {
    let (server, _running, client) = fake().await;
    let run = client.runs().create(CreateRun::new("0")).await.unwrap().id().clone();
    for fault in [
        Fault::status(429),
        Fault::status(503),
        Fault::status(502),
        Fault::overload(),
        Fault::reset(),
        Fault::lost_answer(),
    ] {
        server.fault(fault.clone().path("log-batch").times(3));
        let batch = LogBatch::new().metric(Metric::new("m", 1.0).at(jiff::Timestamp::UNIX_EPOCH));
        client
            .runs()
            .log_batch(&run, &batch)
            .await
            .unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        server.fault(fault.clone().path("runs/get").times(3));
        client
            .runs()
            .get(&run)
            .await
            .unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    }
    server.fault(Fault::truncated().path("runs/get").times(3));
    client.runs().get(&run).await.unwrap();
    // However often it was sent, the point is there once.
    assert_eq!(client.runs().metric_history(&run, "m").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_creation_whose_answer_is_lost_is_told_and_not_repeated() {
    let (server, _running, client) = fake().await;
    server.fault(Fault::lost_answer().path("runs/create"));
    let lost = client.runs().create(CreateRun::new("0")).await;
    assert!(matches!(lost, Err(Error::Interrupted(_))), "{lost:?}");
    let all = client
        .runs()
        .search(mlflow_client::SearchRuns::new(["0"]))
        .await
        .unwrap();
    assert_eq!(all.items.len(), 1);
    // A limit and an overload come before anything is done.
    server.fault(Fault::status(429).retry_after(0).path("runs/create"));
    server.fault(Fault::overload().path("runs/create"));
    client.runs().create(CreateRun::new("0")).await.unwrap();
}

#[tokio::test]
async fn a_deterministic_failure_is_not_repeated() {
    let (server, _running, client) = fake().await;
    let coded = r#"{"error_code": "INTERNAL_ERROR", "message": "no"}"#;
    server.fault(Fault::status(500).body(coded).path("runs/get").times(9));
    let result = client.runs().get(&RunId::new("x")).await;
    assert!(
        matches!(&result, Err(error) if error.context().unwrap().attempts() == 1),
        "{result:?}"
    );
}

#[tokio::test]
async fn another_host_is_refused_and_told_why() {
    let server = MlflowServer::builder().build();
    let running = server.start().await;
    let url = running.url().replace("127.0.0.1", "127.0.0.2.nip.invalid");
    let address = running.url().trim_start_matches("http://").parse().unwrap();
    let http = reqwest::Client::builder()
        .resolve("127.0.0.2.nip.invalid", address)
        .build()
        .unwrap();
    let client = |server: &str| {
        let http = reqwest_middleware::ClientBuilder::new(http.clone()).build();
        Client::builder(server).unwrap().http(http).build().unwrap()
    };
    let refused = client(&url).experiments().get("0").await.unwrap_err();
    assert!(matches!(refused, Error::PermissionDenied(_)), "{refused:?}");
    assert!(refused.to_string().contains("--allowed-hosts"), "{refused}");
}

#[tokio::test]
async fn workspaces_keep_things_apart() {
    use mlflow_client::{WorkspaceDeletion, WorkspaceSettings};
    let running = MlflowServer::builder().workspaces(true).build().start().await;
    let builder = || Client::builder(running.url()).unwrap();
    let (all, team) = (
        builder().build().unwrap(),
        builder().workspace("team-a").build().unwrap(),
    );
    let missing = team.experiments().create("e").await;
    assert!(matches!(missing, Err(Error::NotFound(_))), "{missing:?}");
    let made = all
        .workspaces()
        .create("team-a", WorkspaceSettings::new().description("x"))
        .await
        .unwrap();
    assert_eq!((made.name.as_str(), made.description.as_str()), ("team-a", "x"));
    let id = team.experiments().create("e").await.unwrap();
    let experiment = team.experiments().get(&id).await.unwrap();
    assert_eq!(experiment.workspace.as_deref(), Some("team-a"));
    assert_eq!(
        experiment.artifact_location,
        format!("mlflow-artifacts:/workspaces/team-a/{id}")
    );
    assert!(matches!(all.experiments().get(&id).await, Err(Error::NotFound(_))));
    assert_eq!(all.workspaces().list().await.unwrap().len(), 2);
    let change = WorkspaceSettings::new().description("y");
    assert_eq!(
        all.workspaces().update("team-a", change).await.unwrap().description,
        "y"
    );
    assert!(
        all.workspaces()
            .delete("team-a", WorkspaceDeletion::Restrict)
            .await
            .is_err()
    );
    all.workspaces()
        .delete("team-a", WorkspaceDeletion::Cascade)
        .await
        .unwrap();
    assert_eq!(all.workspaces().get_opt("team-a").await.unwrap(), None);
    assert!(builder().workspace("Team A").build().is_err());
}

#[tokio::test]
async fn an_open_download_counts_as_a_request_in_flight() {
    let (_server, running, client) = fake().await;
    let run = client.runs().create(CreateRun::new("0")).await.unwrap().id().clone();
    client.artifacts().upload(&run, "f", vec![0_u8; 10]).await.unwrap();
    let client = Client::builder(running.url()).unwrap().max_in_flight(1);
    let client = client.timeout(Duration::from_millis(200)).build().unwrap();
    let open = client.artifacts().download(&run, "f").await.unwrap();
    let waiting = client.health().await;
    assert!(matches!(waiting, Err(Error::Timeout(_))), "{waiting:?}");
    drop(open);
    client.health().await.unwrap();
}

#[tokio::test]
async fn files_in_parts_as_a_server_before_an_object_store_takes_them() {
    use serde_json::{Value, json};
    let running = MlflowServer::builder().multipart(true).build().start().await;
    let client = Client::builder(running.url()).unwrap().build().unwrap();
    let path = "/api/2.0/mlflow-artifacts/mpu/create/0/r/artifacts";
    let body = json!({"path": "/tmp/big.bin", "num_parts": 2});
    let made: Value = client.raw(http::Method::POST, path, &body).await.unwrap();
    let http = reqwest::Client::new();
    let mut parts = Vec::new();
    for (number, text) in [(1, "hello "), (2, "world")] {
        let url = made["credentials"][number - 1]["url"].as_str().unwrap();
        let answer = http.put(url).body(text).send().await.unwrap();
        let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
        parts.push(json!({"part_number": number, "etag": etag, "url": url}));
    }
    let body = json!({"path": "/tmp/big.bin", "upload_id": made["upload_id"], "parts": parts});
    let path = "/api/2.0/mlflow-artifacts/mpu/complete/0/r/artifacts";
    let _: Value = client.raw(http::Method::POST, path, &body).await.unwrap();
    let path = "/api/2.0/mlflow-artifacts/presigned/0/r/artifacts/big.bin";
    let signed: Value = client.raw(http::Method::GET, path, &()).await.unwrap();
    assert_eq!(signed["file_size"], json!(11));
    let part = http
        .get(signed["url"].as_str().unwrap())
        .header("range", "bytes=6-")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (part.status().as_u16(), part.text().await.unwrap().as_str()),
        (206, "world")
    );
}
