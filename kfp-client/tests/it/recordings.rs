//! Every recorded answer of a real server, read by the operation it belongs to.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use kfp_client::{Client, Error, ListExperiments, ListPipelineVersions, ListPipelines, ListRuns};
use serde_json::Value;

use crate::scripted::{Act, Server};

const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/reference/recordings");

/// Reads the answer of the operation that the recorded request was; `None` for operations this crate lacks.
#[allow(clippy::match_same_arms, reason = "one row for each operation")]
async fn call(client: &Client, method: &str, path: &str, node: &str) -> Option<Result<(), Error>> {
    let (path, verb) = path
        .split_once(':')
        .map_or((path, None), |(path, verb)| (path, Some(verb)));
    let parts: Vec<&str> = path.trim_start_matches("/apis/").split('/').collect();
    let (experiments, pipelines, runs) = (client.experiments(), client.pipelines(), client.runs());
    let file = || kfp_client::PipelineFile::parse(r#"{"pipelineInfo":{"name":"x"},"schemaVersion":"2.1.0"}"#).unwrap();
    let broken = |broken: Vec<Error>| broken.into_iter().next().map_or(Ok(()), Err);
    Some(match (method, parts.as_slice(), verb) {
        ("GET", ["v2beta1", "healthz"], _) => client.health().await.map(drop),
        ("GET", ["v2beta1", "experiments"], _) => experiments
            .list(&ListExperiments::new())
            .await
            .and_then(|page| broken(page.broken)),
        ("POST", ["v2beta1", "experiments"], _) => experiments
            .create(&kfp_client::CreateExperiment::new("x"))
            .await
            .map(drop),
        ("GET", ["v2beta1", "experiments", _], _) => experiments.get(&"x".into()).await.map(drop),
        ("DELETE", ["v2beta1", "experiments", _], _) => experiments.delete(&"x".into()).await,
        ("POST", ["v2beta1", "experiments", _], Some("archive")) => experiments.archive(&"x".into()).await,
        ("POST", ["v2beta1", "experiments", _], Some("unarchive")) => experiments.unarchive(&"x".into()).await,
        ("GET", ["v2beta1", "runs"], _) => runs.list(&ListRuns::new()).await.and_then(|page| broken(page.broken)),
        ("GET", ["v2beta1", "runs", _], None) => runs.get(&"x".into()).await.map(drop),
        ("DELETE", ["v2beta1", "runs", _], _) => runs.delete(&"x".into()).await,
        ("POST", ["v2beta1", "runs", _], Some("terminate")) => runs.terminate(&"x".into()).await,
        ("POST", ["v2beta1", "runs", _], Some("retry")) => runs.retry(&"x".into()).await,
        ("POST", ["v2beta1", "runs", _], Some("archive")) => runs.archive(&"x".into()).await,
        ("POST", ["v2beta1", "runs", _], Some("unarchive")) => runs.unarchive(&"x".into()).await,
        // The answer has the shape of the run read back; creation itself has its own tests.
        ("POST", ["v2beta1", "runs"], _) => runs.get(&"x".into()).await.map(drop),
        ("GET", ["v2beta1", "pipelines"], _) => pipelines
            .list(&ListPipelines::new())
            .await
            .and_then(|page| broken(page.broken)),
        ("POST", ["v2beta1", "pipelines"], _) => {
            pipelines.create(&kfp_client::CreatePipeline::new("x")).await.map(drop)
        }
        ("POST", ["v2beta1", "pipelines", "upload"], _) => pipelines
            .upload(&kfp_client::UploadPipeline::new("x", file()))
            .await
            .map(drop),
        ("POST", ["v2beta1", "pipelines", "upload_version"], _) => pipelines
            .upload_version(&kfp_client::UploadPipelineVersion::new("x", "x", file()))
            .await
            .map(drop),
        ("GET", ["v2beta1", "pipelines", "names", _], _) => pipelines.get_by_name("x", None).await.map(drop),
        ("GET", ["v2beta1", "pipelines", _], _) => pipelines.get(&"x".into()).await.map(drop),
        ("DELETE", ["v2beta1", "pipelines", _], _) => pipelines.delete(&"x".into(), true).await,
        ("GET", ["v2beta1", "pipelines", _, "versions"], _) => {
            let page = pipelines.list_versions(&"x".into(), &ListPipelineVersions::new()).await;
            page.and_then(|page| broken(page.broken))
        }
        ("GET", ["v2beta1", "pipelines", _, "versions", _], _) => {
            pipelines.get_version(&"x".into(), &"y".into()).await.map(drop)
        }
        ("DELETE", ["v2beta1", "pipelines", _, "versions", _], _) => {
            pipelines.delete_version(&"x".into(), &"y".into()).await
        }
        ("GET", ["v1alpha1", "runs", _, "nodes", _, "log"], _) => {
            client.logs().node_log(&"x".into(), node).await.map(drop)
        }
        _ => return None,
    })
}

fn variant(error: &Error) -> &'static str {
    match error {
        Error::NotFound(_) => "not found",
        Error::AlreadyExists(_) => "already exists",
        Error::InvalidArgument(_) => "invalid argument",
        Error::FailedPrecondition(_) => "failed precondition",
        Error::Conflict(_) => "conflict",
        Error::Unauthenticated(_) => "unauthenticated",
        Error::PermissionDenied(_) => "permission denied",
        Error::Server(_) => "server",
        Error::Unsupported(_) => "unsupported",
        _ => "something else",
    }
}

/// What a recorded answer has to become.
#[allow(clippy::match_same_arms, reason = "one row for each code")]
fn expected(status: u64, body: &Value) -> &'static str {
    match (status, body["code"].as_i64()) {
        (200, None) if body.get("error_message").is_some() => "not found",
        (200, _) => "data",
        (_, Some(3)) => "invalid argument",
        (_, Some(5)) if body.get("details").is_none() => "unsupported",
        (_, Some(5)) => "not found",
        (_, Some(6)) => "already exists",
        (_, Some(7)) => "permission denied",
        (_, Some(9)) => "failed precondition",
        (_, Some(10)) => "conflict",
        (_, Some(12)) => "unsupported",
        (_, Some(13)) => "server",
        (_, Some(16)) => "unauthenticated",
        (400, None) => "invalid argument",
        (409, None) => "already exists",
        (500, None) => "server",
        _ => "something else",
    }
}

#[tokio::test]
async fn every_recorded_answer_is_read() {
    for generation in ["2.17", "2.5", "2.0"] {
        let file = format!("{RECORDINGS}/kfp-{generation}.jsonl");
        let Ok(recording) = std::fs::read_to_string(&file) else {
            println!("skipped: no recordings at {file}");
            continue;
        };
        let counts = read_all(&recording).await;
        println!("{generation}: {counts:?}");
        assert!(counts["data"] >= if generation == "2.0" { 1 } else { 40 }, "{counts:?}");
    }
}

async fn read_all(recording: &str) -> BTreeMap<&'static str, usize> {
    let current: Arc<Mutex<(u16, String, String)>> = Arc::default();
    let shared = Arc::clone(&current);
    let server = Server::start(move |_, _| {
        let (status, kind, body) = shared.lock().unwrap().clone();
        Act::Headers(status, vec![("content-type", kind)], body)
    })
    .await;
    let client = server.client().build().unwrap();
    let mut counts = BTreeMap::new();
    for line in recording.lines() {
        let exchange: Value = serde_json::from_str(line).unwrap();
        let (request, response) = (&exchange["request"], &exchange["response"]);
        let Some(status) = response["status"].as_u64() else {
            continue;
        };
        let kind = response["headers"]["content-type"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let text = response["body"]["text"]
            .as_str()
            .filter(|_| response["body"].as_object().unwrap().len() == 1);
        let body = text.map_or_else(|| response["body"].to_string(), ToOwned::to_owned);
        *current.lock().unwrap() = (u16::try_from(status).unwrap(), kind, body);
        let path = request["path"]
            .as_str()
            .unwrap()
            .split('?')
            .next()
            .unwrap()
            .replace("%3A", ":");
        let Some(result) = call(&client, request["method"].as_str().unwrap(), &path, "n").await else {
            *counts.entry("no operation").or_default() += 1;
            continue;
        };
        let got = result.as_ref().map_or_else(variant, |()| "data");
        assert_eq!(
            got,
            expected(status, &response["body"]),
            "{}: {result:?}",
            exchange["case"]
        );
        if let Err(error) = result {
            let text = error.to_string();
            assert!(!text.contains('\n') && text.len() < 700, "{text}");
        }
        *counts.entry(got).or_default() += 1;
    }
    counts
}
