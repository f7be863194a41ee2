//! Connections that break, servers that are slow or choosy.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mlflow_client::testing::{Fault, MlflowServer};
use mlflow_client::{Client, Error, LogBatch, Metric, RunId};
use reqwest_middleware::{Middleware, Next};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

const EXPERIMENT: &str = r#"{"experiment": {"experiment_id": "7", "name": "x", "lifecycle_stage": "active"}}"#;

/// A server that plays one script per connection: each entry answers a request, and then the connection ends.
async fn scripted(scripts: Vec<Vec<String>>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    tokio::spawn(async move {
        for script in scripts {
            let (mut socket, _) = listener.accept().await.unwrap();
            for answer in script {
                let mut head = Vec::new();
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    let mut buffer = [0; 1024];
                    match socket.read(&mut buffer).await {
                        Ok(read @ 1..) => head.extend_from_slice(&buffer[..read]),
                        _ => return,
                    }
                }
                counted.fetch_add(1, Ordering::SeqCst);
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    (url, requests)
}

fn answer(body: &str, length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn a_read_on_a_connection_that_was_just_closed_is_sent_again() {
    let good = answer(EXPERIMENT, EXPERIMENT.len());
    let (url, requests) = scripted(vec![vec![good.clone(), String::new()], vec![good]]).await;
    let client = Client::builder(url).unwrap().build().unwrap();
    client.experiments().get("7").await.unwrap();
    client.experiments().get("7").await.unwrap();
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_no_data() {
    let cut = answer(&EXPERIMENT[..20], EXPERIMENT.len());
    let (url, _) = scripted(vec![vec![cut]]).await;
    let client = Client::builder(url).unwrap().max_retries(0).build().unwrap();
    let result = client.experiments().get("7").await;
    assert!(
        matches!(&result, Err(error @ Error::Interrupted(_)) if error.is_retryable()),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let mlflow = MlflowServer::builder().build();
    let running = mlflow.start().await;
    mlflow.fault(Fault::delay(Duration::from_secs(30)).times(10));
    let client = Client::builder(running.url())
        .unwrap()
        .timeout(Duration::from_millis(300))
        .build()
        .unwrap();
    let result = client.experiments().get("0").await;
    assert!(matches!(result, Err(Error::Timeout(_))), "{result:?}");
}

#[tokio::test]
async fn what_is_safe_to_repeat_is_repeated_after_the_time_the_server_asks_for() {
    let mlflow = MlflowServer::builder().build();
    let running = mlflow.start().await;
    let client = Client::builder(running.url()).unwrap().build().unwrap();
    mlflow.fault(Fault::status(503).retry_after(1).path("experiments/get"));
    let begin = std::time::Instant::now();
    client.experiments().get("0").await.unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(1));
}

/// Counts the requests that are on their way.
#[derive(Default)]
struct Gauge {
    now: AtomicUsize,
    most: Arc<AtomicUsize>,
}

#[async_trait::async_trait]
impl Middleware for Gauge {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        self.most
            .fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let result = next.run(request, extensions).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        result
    }
}

#[tokio::test]
async fn no_more_than_eight_requests_are_in_flight() {
    let mlflow = MlflowServer::builder().build();
    let running = mlflow.start().await;
    mlflow.fault(Fault::delay(Duration::from_millis(20)).times(40));
    let gauge = Gauge::default();
    let most = Arc::clone(&gauge.most);
    let http = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
        .with(gauge)
        .build();
    let client = Client::builder(running.url()).unwrap().http(http).build().unwrap();
    let calls = (0..40).map(|_| {
        let client = client.clone();
        async move { client.experiments().get("0").await.unwrap() }
    });
    futures_util::future::join_all(calls).await;
    assert_eq!(most.load(Ordering::SeqCst), 8);
}

#[tokio::test]
async fn a_host_name_that_the_server_does_not_accept_is_explained() {
    let server = MockServer::start().await;
    let text = "Invalid Host header - possible DNS rebinding attack detected";
    Mock::given(any())
        .respond_with(ResponseTemplate::new(403).set_body_raw(text, "text/plain"))
        .mount(&server)
        .await;
    let client = Client::builder(server.uri()).unwrap().build().unwrap();
    let error = client.experiments().get("0").await.unwrap_err();
    assert!(matches!(error, Error::PermissionDenied(_)), "{error:?}");
    assert!(error.to_string().contains("--allowed-hosts"), "{error}");
}

#[tokio::test]
async fn nothing_of_a_faulty_batch_is_sent() {
    let mlflow = MlflowServer::builder().build();
    let running = mlflow.start().await;
    let client = Client::builder(running.url()).unwrap().build().unwrap();
    let id = RunId::new("0123456789abcdef0123456789abcdef");
    let metrics = (0..1500).map(|step| Metric::new(if step == 1499 { "bad//key" } else { "m" }, 1.0).step(step));
    let result = client.runs().log_batch(&id, &LogBatch::new().metrics(metrics)).await;
    assert!(matches!(result, Err(Error::InvalidRequest(_))), "{result:?}");
    client.runs().log_batch(&id, &LogBatch::new()).await.unwrap();
    assert!(mlflow.requests().is_empty());
}
