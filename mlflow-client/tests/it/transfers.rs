//! Transfers that go past the server, that break, and that somebody tampers with.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::TryStreamExt;
use mlflow_client::{
    ArtifactRepository, Client, CreateExperiment, CreateLoggedModel, CreateRun, DirectTransfer, Error, PresignedUrl,
    TransferOptions,
    testing::{Fault, MlflowServer, RunningMlflowServer},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

const MIB: usize = 1 << 20;

pub(super) fn client(url: impl AsRef<str>) -> Client {
    Client::builder(url)
        .unwrap()
        .bearer_token("s3cret-token")
        .backoff(Duration::from_millis(1), Duration::from_millis(5))
        .build()
        .unwrap()
}

async fn repository(running: &RunningMlflowServer) -> ArtifactRepository {
    let client = client(running.url());
    let run = client.runs().create(CreateRun::new("0")).await.unwrap();
    client.artifacts().of_run(run.id()).await.unwrap()
}

pub(super) fn parts() -> TransferOptions {
    let least = 5 * MIB as u64;
    TransferOptions::new()
        .multipart_minimum(MIB as u64)
        .upload_chunk(least)
        .download_chunk(least)
}

pub(super) fn large(folder: &Path) -> (std::path::PathBuf, Vec<u8>) {
    let content: Vec<u8> = (0..11 * MIB / 4)
        .flat_map(|n| u32::try_from(n).unwrap().to_le_bytes())
        .collect();
    let path = folder.join("large");
    std::fs::write(&path, &content).unwrap();
    (path, content)
}

fn count(mlflow: &MlflowServer, method: &str, part: &str) -> usize {
    let requests = mlflow.requests();
    requests
        .iter()
        .filter(|request| request.method == method && request.path.contains(part))
        .count()
}

#[tokio::test]
async fn large_files_go_past_the_server_in_parts() {
    let mlflow = MlflowServer::builder().multipart(true).build();
    let running = mlflow.start().await;
    let folder = tempfile::tempdir().unwrap();
    let (path, content) = large(folder.path());
    let told = Arc::new(Mutex::new(0));
    let into = Arc::clone(&told);
    let options = parts()
        .verify_parts(true)
        .on_progress(move |at| *into.lock().unwrap() = at.bytes);
    let repository = repository(&running).await.with(options);
    // A part that fails is sent again, alone.
    mlflow.fault(Fault::status(503).method("PUT").path("/object-store/"));
    repository.upload_file("model/large", &path).await.unwrap();
    assert_eq!(*told.lock().unwrap(), content.len() as u64);
    assert_eq!(count(&mlflow, "PUT", "/object-store/"), 4);
    assert_eq!(count(&mlflow, "PUT", "/mlflow-artifacts/"), 0);
    let target = folder.path().join("down");
    mlflow.fault(Fault::truncated().method("GET").path("/object-store/"));
    let got = repository.download_file("model/large", &target).await.unwrap();
    assert!(std::fs::read(&target).unwrap() == content);
    assert_eq!(got.bytes, content.len() as u64);
    assert_eq!(count(&mlflow, "GET", "/object-store/"), 4);
    assert_eq!(count(&mlflow, "GET", "/mlflow-artifacts/artifacts/"), 0);
    // Small ones do not.
    repository.upload("small", "s").await.unwrap();
    let never = parts()
        .multipart_upload(DirectTransfer::Never)
        .presigned_download(DirectTransfer::Never);
    let repository = repository.with(never);
    repository.upload_file("model/large", &path).await.unwrap();
    repository.download_file("model/large", &target).await.unwrap();
    assert_eq!(count(&mlflow, "PUT", "/object-store/"), 4);
}

#[tokio::test]
async fn an_upload_in_parts_that_fails_is_aborted() {
    let mlflow = MlflowServer::builder().multipart(true).build();
    let running = mlflow.start().await;
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = large(folder.path());
    let repository = repository(&running).await.with(parts());
    mlflow.fault(Fault::status(403).method("PUT").path("/object-store/").times(3));
    let failed = repository.upload_file("large", &path).await;
    assert!(matches!(failed, Err(Error::PermissionDenied(_))), "{failed:?}");
    assert_eq!(count(&mlflow, "POST", "/mpu/abort/"), 1);
    mlflow.clear_faults();
    mlflow.fault(
        Fault::delay(Duration::from_secs(60))
            .method("PUT")
            .path("/object-store/")
            .times(3),
    );
    let (begun, wait) = tokio::sync::oneshot::channel();
    let begun = Mutex::new(Some(begun));
    let options = parts().on_progress(move |_| {
        if let Some(begun) = begun.lock().unwrap().take() {
            let _ = begun.send(());
        }
    });
    let slow = repository.clone().with(options);
    let task = tokio::spawn(async move { slow.upload_file("large", &path).await });
    wait.await.unwrap();
    task.abort();
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while count(&mlflow, "POST", "/mpu/abort/") < 2 {
        assert!(std::time::Instant::now() < until, "the upload was not aborted");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(repository.list("").await.unwrap().is_empty());
}

#[tokio::test]
async fn what_the_server_does_not_offer_goes_through_it() {
    let mlflow = MlflowServer::builder().build();
    let running = mlflow.start().await;
    let folder = tempfile::tempdir().unwrap();
    let (path, content) = large(folder.path());
    let always = parts()
        .multipart_upload(DirectTransfer::Always)
        .presigned_download(DirectTransfer::Always);
    let repository = repository(&running).await.with(always);
    repository.upload_file("large", &path).await.unwrap();
    repository
        .download_file("large", folder.path().join("down"))
        .await
        .unwrap();
    assert!(std::fs::read(folder.path().join("down")).unwrap() == content);
    assert_eq!(count(&mlflow, "POST", "/mpu/create/"), 1);
}

#[tokio::test]
async fn a_transfer_that_breaks_is_tried_again() {
    for version in [MlflowServer::MLFLOW_3, MlflowServer::MLFLOW_2] {
        let mlflow = MlflowServer::builder().version(version).build();
        let running = mlflow.start().await;
        let folder = tempfile::tempdir().unwrap();
        let (path, content) = large(folder.path());
        let repository = repository(&running).await;
        mlflow.fault(Fault::reset().method("PUT").path("large"));
        mlflow.fault(Fault::lost_answer().method("PUT").path("large"));
        mlflow.fault(Fault::status(502).method("PUT").path("large"));
        repository.upload_file("d/large", &path).await.unwrap();
        mlflow.fault(Fault::reset().method("GET").path("large"));
        mlflow.fault(Fault::status(503).method("GET").path("large"));
        let down: Vec<_> = repository
            .download("d/large")
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        assert!(down.concat() == content, "{version}");
        // Cut off cleanly, so that only the size in the list tells.
        mlflow.fault(Fault::truncated().method("GET").path("large"));
        let target = folder.path().join("down");
        repository.download_folder("d", &target).await.unwrap();
        assert!(std::fs::read(target.join("large")).unwrap() == content, "{version}");
        mlflow.fault(Fault::status(403).method("PUT").path("large"));
        let refused = repository.upload_file("d/large", &path).await;
        assert!(matches!(refused, Err(Error::PermissionDenied(_))), "{refused:?}");
    }
}

/// Answers as `answer` says, and remembers what came.
struct Scripted<F> {
    answer: F,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl<F: Fn(&Request) -> ResponseTemplate + Send + Sync> Respond for Scripted<F> {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        self.seen.lock().unwrap().push(request.clone());
        (self.answer)(request)
    }
}

async fn scripted(
    answer: impl Fn(&Request) -> ResponseTemplate + Send + Sync + 'static,
) -> (MockServer, Arc<Mutex<Vec<Request>>>) {
    let server = MockServer::start().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let respond = Scripted {
        answer,
        seen: Arc::clone(&seen),
    };
    Mock::given(any()).respond_with(respond).mount(&server).await;
    (server, seen)
}

/// A server whose only run keeps its artifacts at `mlflow-artifacts:/1/r/artifacts`.
fn with_run(request: &Request) -> Option<ResponseTemplate> {
    let run = json!({"run": {"info": {
        "run_id": "r", "experiment_id": "1", "status": "RUNNING", "artifact_uri": "mlflow-artifacts:/1/r/artifacts",
    }, "data": {}}});
    let body = match request.url.path() {
        "/api/2.0/mlflow/runs/get" => run,
        "/api/3.0/mlflow/server-info" => {
            json!({"multipart_uploads_enabled": true, "multipart_downloads_enabled": true})
        }
        _ => return None,
    };
    Some(ResponseTemplate::new(200).set_body_json(body))
}

async fn of_run(server: &MockServer) -> ArtifactRepository {
    client(server.uri()).artifacts().of_run(&"r".into()).await.unwrap()
}

#[tokio::test]
async fn names_that_lead_out_of_the_folder_are_refused() {
    for name in [
        "../evil",
        "..",
        "/etc/passwd",
        "a/../../evil",
        "a\\..\\evil",
        "a\0b",
        "",
        ".",
    ] {
        let (server, _) = scripted(move |request| {
            let list = json!({"files": [{"path": "good", "file_size": 1}, {"path": name, "file_size": 1}]});
            let file = || ResponseTemplate::new(200).set_body_raw("x", "application/octet-stream");
            with_run(request).unwrap_or_else(|| match request.url.path() {
                "/api/2.0/mlflow-artifacts/artifacts" => ResponseTemplate::new(200).set_body_json(list),
                path if path.contains("presigned") => ResponseTemplate::new(501),
                _ => file(),
            })
        })
        .await;
        let outer = tempfile::tempdir().unwrap();
        let target = outer.path().join("target");
        let result = of_run(&server).await.download_folder("", &target).await;
        assert!(
            matches!(result, Err(Error::UnexpectedResponse(_))),
            "{name:?}: {result:?}"
        );
        assert_eq!(std::fs::read_dir(outer.path()).unwrap().count(), 0, "{name:?}");
    }
}

#[tokio::test]
async fn folders_that_contain_themselves_come_to_an_end() {
    let (server, seen) = scripted(|request| {
        let list = json!({"files": [{"path": "d", "is_dir": true}]});
        with_run(request).unwrap_or_else(|| ResponseTemplate::new(200).set_body_json(list))
    })
    .await;
    let all: Result<Vec<_>, _> = of_run(&server).await.list_all("").try_collect().await;
    assert!(matches!(all, Err(Error::UnexpectedResponse(_))), "{all:?}");
    assert!(seen.lock().unwrap().len() < 200);
}

#[tokio::test]
async fn credentials_stay_with_the_server() {
    let (store, at_store) = scripted(|request| {
        if request.method.as_str() == "PUT" {
            return ResponseTemplate::new(200).insert_header("etag", "\"e\"");
        }
        ResponseTemplate::new(206)
            .insert_header("content-range", "bytes 0-0/1")
            .set_body_raw("x", "application/octet-stream")
    })
    .await;
    let address = format!("{}/bucket/key?X-Amz-Signature=s1gnature", store.uri());
    let (server, at_server) = scripted(move |request| {
        with_run(request).unwrap_or_else(|| {
            let path = request.url.path();
            let headers = json!({"x-ms-blob-type": "BlockBlob", "host": "evil", "content-length": "7"});
            let body = if path.contains("/mpu/create/") {
                let credentials: Vec<_> = (1..=3)
                    .map(|number| json!({"url": address, "part_number": number, "headers": headers}))
                    .collect();
                json!({"upload_id": "u", "credentials": credentials})
            } else if path.contains("/presigned/") {
                json!({"url": address, "headers": headers, "file_size": 1})
            } else {
                json!({})
            };
            ResponseTemplate::new(200).set_body_json(body)
        })
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let (path, content) = large(folder.path());
    let repository = of_run(&server).await.with(parts());
    repository.upload_file("model/large", &path).await.unwrap();
    repository
        .download_file("model/large", folder.path().join("down"))
        .await
        .unwrap();
    let at_store = at_store.lock().unwrap();
    assert_eq!(at_store.len(), 4);
    for request in at_store.iter() {
        assert!(!request.headers.contains_key("authorization"), "{request:?}");
        assert_eq!(request.headers["x-ms-blob-type"], "BlockBlob");
        assert_ne!(request.headers["host"], "evil");
        if request.method.as_str() == "PUT" {
            assert_eq!(
                request.headers["content-length"],
                request.body.len().to_string().as_str()
            );
            assert!(!request.headers.contains_key("transfer-encoding"));
        }
    }
    let sent: usize = at_store.iter().map(|request| request.body.len()).sum();
    assert_eq!(sent, content.len());
    let at_server = at_server.lock().unwrap();
    assert!(
        at_server
            .iter()
            .all(|request| request.headers.contains_key("authorization"))
    );
    let complete = at_server
        .iter()
        .find(|request| request.url.path().contains("/mpu/complete/"))
        .unwrap();
    assert_eq!(
        complete.url.path(),
        "/api/2.0/mlflow-artifacts/mpu/complete/1/r/artifacts/model"
    );
    let body: serde_json::Value = complete.body_json().unwrap();
    assert_eq!((&body["path"], &body["upload_id"]), (&json!("large"), &json!("u")));
    assert_eq!(body["parts"][2]["part_number"], 3);
    assert_eq!(body["parts"][0]["etag"], "\"e\"");
}

/// What a program without rights in the store does with an address that the server signed.
async fn store(
    method: http::Method,
    address: &PresignedUrl,
    content: &str,
    content_type: Option<&str>,
) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.request(method, address.expose_url()).body(content.to_owned());
    for (name, value) in address.headers() {
        request = request.header(name, content_type.unwrap_or(value));
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn files_beside_the_server_are_reached_by_signed_addresses() {
    let mlflow = MlflowServer::builder().bucket(true).build();
    let running = mlflow.start().await;
    let client = client(running.url());
    let artifacts = client.artifacts();
    let hour = Duration::from_secs(3600);
    let experiment = CreateExperiment::new("in s3").artifact_location("s3://bucket/pre");
    let experiment = client.experiments().create(experiment).await.unwrap();
    let run = client.runs().create(CreateRun::new(experiment.clone())).await.unwrap();
    let missing = artifacts.presigned_download(run.id(), "model/a.json", hour).await;
    assert!(missing.unwrap_err().is_not_found());

    let up = artifacts
        .presigned_upload(run.id(), "model/a.json", hour)
        .await
        .unwrap();
    assert_eq!(up.headers()["Content-Type"], "application/json");
    assert!(!format!("{up:?}").contains("http"), "{up:?}");
    // What is signed must be sent as it is, and an address is for one thing.
    let other = store(http::Method::PUT, &up, "{}", Some("text/plain")).await;
    assert_eq!(other.0, 403);
    assert_eq!(store(http::Method::GET, &up, "", None).await.0, 403);
    assert_eq!(store(http::Method::PUT, &up, "content", None).await.0, 200);
    let down = artifacts
        .presigned_download(run.id(), "model/a.json", hour)
        .await
        .unwrap();
    assert_eq!((down.file_size(), down.headers().len()), (Some(7), 0));
    let got = store(http::Method::GET, &down, "", None).await;
    assert_eq!(got, (200, "content".to_owned()));
    assert_eq!(store(http::Method::PUT, &down, "x", None).await.0, 403);
    let listed = artifacts.list(run.id(), "model").await.unwrap();
    assert_eq!((listed[0].path.as_str(), listed[0].size()), ("model/a.json", Some(7)));

    let model = client
        .logged_models()
        .create(CreateLoggedModel::new(experiment))
        .await
        .unwrap();
    let up = artifacts
        .presigned_model_upload(&model.info.model_id, "MLmodel", hour)
        .await;
    assert_eq!(store(http::Method::PUT, &up.unwrap(), "flavors", None).await.0, 200);

    // The server passes these on itself.
    let proxied = client.runs().create(CreateRun::new("0")).await.unwrap();
    let refused = artifacts.presigned_upload(proxied.id(), "x", hour).await;
    assert!(
        matches!(&refused, Err(Error::InvalidArgument(context)) if context.message().contains("mlflow-artifacts")),
        "{refused:?}"
    );
    let refused = artifacts.presigned_download(proxied.id(), "x", hour).await;
    assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{refused:?}");
    let before = mlflow.requests().len();
    for (path, expiration) in [
        ("../x", hour),
        ("", hour),
        ("x", Duration::ZERO),
        ("x", hour * 169),
        ("x", hour / 7),
    ] {
        let refused = artifacts.presigned_upload(run.id(), path, expiration).await;
        assert!(matches!(refused, Err(Error::InvalidRequest(_))), "{path}: {refused:?}");
    }
    assert_eq!(mlflow.requests().len(), before);

    let without = MlflowServer::builder().build();
    let running = without.start().await;
    let client = self::client(running.url());
    let experiment = CreateExperiment::new("in s3").artifact_location("s3://bucket/pre");
    let experiment = client.experiments().create(experiment).await.unwrap();
    let run = client.runs().create(CreateRun::new(experiment)).await.unwrap();
    let refused = client.artifacts().presigned_upload(run.id(), "x", hour).await;
    assert!(matches!(refused, Err(Error::Unsupported(_))), "{refused:?}");
    let old = MlflowServer::builder().version(MlflowServer::MLFLOW_2).build();
    let running = old.start().await;
    let client = self::client(running.url());
    let run = client.runs().create(CreateRun::new("0")).await.unwrap();
    let refused = client.artifacts().presigned_download(run.id(), "x", hour).await;
    assert!(matches!(refused, Err(Error::ServerTooOld(_))), "{refused:?}");
}

#[tokio::test]
async fn a_store_out_of_reach_is_gone_round() {
    let (server, seen) = scripted(|request| {
        with_run(request).unwrap_or_else(|| {
            // Nothing listens there.
            let address = "http://127.0.0.1:1/bucket?X-Amz-Signature=s1gnature";
            let path = request.url.path();
            if path.contains("/mpu/create/") {
                let credentials: Vec<_> = (1..=3)
                    .map(|number| json!({"url": address, "part_number": number}))
                    .collect();
                return ResponseTemplate::new(200).set_body_json(json!({"upload_id": "u", "credentials": credentials}));
            }
            if path.contains("/presigned/") {
                return ResponseTemplate::new(200).set_body_json(json!({"url": address, "file_size": 1}));
            }
            if request.method.as_str() == "GET" {
                return ResponseTemplate::new(200).set_body_raw("x", "application/octet-stream");
            }
            ResponseTemplate::new(200).set_body_json(json!({}))
        })
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let (path, content) = large(folder.path());
    let repository = of_run(&server).await.with(parts());
    repository.upload_file("large", &path).await.unwrap();
    repository
        .download_file("large", folder.path().join("down"))
        .await
        .unwrap();
    assert_eq!(std::fs::read(folder.path().join("down")).unwrap(), b"x");
    let seen = seen.lock().unwrap();
    let path = |request: &&Request| request.url.path().to_owned();
    assert!(seen.iter().any(|request| path(&request).contains("/mpu/abort/")));
    let put = seen.iter().find(|request| request.method.as_str() == "PUT").unwrap();
    assert_eq!(put.body.len(), content.len());
}

#[tokio::test]
async fn addresses_of_stores_stay_out_of_errors() {
    let (store, _) = scripted(|_| {
        ResponseTemplate::new(403)
            .set_body_string("<Error><Code>AccessDenied</Code><Message>s1gnature</Message></Error>")
    })
    .await;
    let address = format!("{}/bucket/key?X-Amz-Signature=s1gnature", store.uri());
    let (server, _) = scripted(move |request| {
        let answer = json!({"url": address, "file_size": 1});
        with_run(request).unwrap_or_else(|| ResponseTemplate::new(200).set_body_json(answer))
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let error = of_run(&server)
        .await
        .download_file("f", folder.path().join("f"))
        .await
        .unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(matches!(error, Error::PermissionDenied(_)), "{text}");
    assert!(text.contains("AccessDenied") && !text.contains("s1gnature"), "{text}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A server of one run that answers requests for files with these bytes, one after the other, and ends the connection after
/// each. Gives its address, and the heads of those requests.
async fn raw(answers: Vec<&'static str>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    tokio::spawn(async move {
        let mut answers = answers.into_iter();
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match connection.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let head = String::from_utf8_lossy(&head).to_lowercase();
            let answer = if head.contains("runs/get") {
                let run = r#"{"run": {"info": {"run_id": "r", "experiment_id": "1", "artifact_uri": "mlflow-artifacts:/1/r"}, "data": {}}}"#;
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{run}",
                    run.len()
                )
            } else if head.contains("server-info") {
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()
            } else {
                seen.lock().unwrap().push(head);
                let Some(answer) = answers.next() else { break };
                format!("HTTP/1.1 {answer}")
            };
            let _ = connection.write_all(answer.as_bytes()).await;
            let _ = connection.shutdown().await;
        }
    });
    (address, heads)
}

async fn fetched(answers: Vec<&'static str>) -> (Result<Vec<u8>, Error>, Vec<String>) {
    let (address, heads) = raw(answers).await;
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("f");
    let repository = client(address).artifacts().of_run(&"r".into()).await.unwrap();
    let result = repository.download_file("f", &target).await;
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, usize::from(result.is_ok()));
    let heads = heads.lock().unwrap().clone();
    (result.map(|_| std::fs::read(&target).unwrap()), heads)
}

#[tokio::test]
async fn the_rest_of_a_file_is_asked_for() {
    let (got, heads) = fetched(vec![
        "200 OK\r\netag: \"a\"\r\ncontent-length: 8\r\n\r\nabc",
        "206 Partial Content\r\netag: \"a\"\r\ncontent-range: bytes 3-7/8\r\ncontent-length: 5\r\n\r\nde",
        "206 Partial Content\r\netag: \"a\"\r\ncontent-range: bytes 5-7/8\r\ncontent-length: 3\r\n\r\nfgh",
    ])
    .await;
    assert_eq!(got.unwrap(), b"abcdefgh");
    assert!(!heads[0].contains("range:"), "{heads:?}");
    assert!(
        heads[1].contains("range: bytes=3-") && heads[1].contains("if-range: \"a\""),
        "{heads:?}"
    );
    assert!(heads[2].contains("range: bytes=5-"), "{heads:?}");
}

#[tokio::test]
async fn a_file_that_changes_is_read_from_the_beginning() {
    let changed = vec![
        "200 OK\r\netag: \"a\"\r\ncontent-length: 9\r\n\r\naaaa",
        "200 OK\r\netag: \"b\"\r\ncontent-length: 8\r\n\r\nbbbbbbbb",
        "200 OK\r\netag: \"b\"\r\ncontent-length: 8\r\n\r\nbbbbbbbb",
    ];
    assert_eq!(fetched(changed).await.0.unwrap(), b"bbbbbbbb");
    // Without an `ETag` only the bytes tell.
    let same = vec![
        "200 OK\r\ncontent-length: 6\r\n\r\nabc",
        "200 OK\r\ncontent-length: 6\r\n\r\nabcdef",
    ];
    assert_eq!(fetched(same).await.0.unwrap(), b"abcdef");
    let other = vec![
        "200 OK\r\ncontent-length: 6\r\n\r\nabc",
        "200 OK\r\ncontent-length: 6\r\n\r\nabXdef",
        "200 OK\r\ncontent-length: 6\r\n\r\nabXdef",
    ];
    assert_eq!(fetched(other).await.0.unwrap(), b"abXdef");
    let wrong_part = vec![
        "200 OK\r\netag: \"a\"\r\ncontent-length: 8\r\n\r\nabc",
        "206 Partial Content\r\netag: \"a\"\r\ncontent-range: bytes 4-7/8\r\ncontent-length: 4\r\n\r\nefgh",
        "200 OK\r\netag: \"a\"\r\ncontent-length: 8\r\n\r\nabcdefgh",
    ];
    assert_eq!(fetched(wrong_part).await.0.unwrap(), b"abcdefgh");
    let compressed = vec!["200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"];
    assert!(matches!(fetched(compressed).await.0, Err(Error::UnexpectedResponse(_))));
    let login = vec!["200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>"];
    assert!(matches!(fetched(login).await.0, Err(Error::LoginPage(_))));
    let never = vec!["200 OK\r\ncontent-length: 6\r\n\r\n"; 20];
    let (result, heads) = fetched(never).await;
    assert!(matches!(result, Err(Error::Interrupted(_))), "{result:?}");
    assert_eq!(heads.len(), 5);
}

#[cfg(feature = "object-store")]
#[tokio::test]
async fn stores_of_their_own_are_reached_the_same_way() {
    use mlflow_client::object_store::{ObjectStore, memory::InMemory};
    let (server, _) = scripted(|request| {
        let local = request.url.query().is_some_and(|query| query.contains("run_id=local"));
        let uri = if local {
            "/mnt/mlruns/0/local/artifacts"
        } else {
            "s3://bucket/0/r/artifacts"
        };
        ResponseTemplate::new(200).set_body_json(json!({"run": {"info": {
            "run_id": "r", "experiment_id": "1", "status": "RUNNING", "artifact_uri": uri,
        }, "data": {}}}))
    })
    .await;
    let memory: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let artifacts = client(server.uri())
        .artifacts()
        .store("s3://bucket", Arc::clone(&memory));
    let refused = artifacts.of_run(&"local".into()).await;
    assert!(matches!(refused, Err(Error::InvalidRequest(_))), "{refused:?}");
    let repository = artifacts.of_run(&"r".into()).await.unwrap().with(parts());
    let folder = tempfile::tempdir().unwrap();
    let (path, content) = large(folder.path());
    repository.upload_file("model/large", &path).await.unwrap();
    repository.upload("model/small", "s").await.unwrap();
    repository.upload("model/empty", "").await.unwrap();
    let stream = futures_util::stream::iter([Ok::<_, std::io::Error>("ab".into()), Ok("c".into())]);
    repository.upload_stream("model/d/stream", stream).await.unwrap();
    assert_eq!(repository.read("model/d/stream").await.unwrap(), "abc");
    let listed = repository.list("model").await.unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|file| (file.path.as_str(), file.is_dir, file.size()))
        .collect();
    assert_eq!(
        listed,
        [
            ("model/d", true, None),
            ("model/empty", false, Some(0)),
            ("model/large", false, Some(content.len() as u64)),
            ("model/small", false, Some(1)),
        ]
    );
    let down = folder.path().join("down");
    repository.download_folder("model", &down).await.unwrap();
    assert!(std::fs::read(down.join("large")).unwrap() == content);
    assert!(repository.read("model/missing").await.unwrap_err().is_not_found());
    assert!(matches!(
        repository.upload("../x", "x").await,
        Err(Error::InvalidRequest(_))
    ));
    repository.delete("model/small").await.unwrap();
    repository.delete("model/d").await.unwrap();
    repository.delete("model/missing").await.unwrap();
    let left: Vec<_> = repository.list_all("").try_collect().await.unwrap();
    assert_eq!(left.iter().filter(|file| !file.is_dir).count(), 2, "{left:?}");
    // A source that breaks leaves nothing.
    let broken = futures_util::stream::iter([Ok("ab".into()), Err(std::io::Error::other("broken"))]);
    assert!(repository.upload_stream("model/broken", broken).await.is_err());
    assert!(repository.read("model/broken").await.unwrap_err().is_not_found());
}
