//! Servers that fail.

use std::time::Duration;

use mlflow_client::testing::MlflowServer;
use mlflow_client::{Client, CreateRun, Error};
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
