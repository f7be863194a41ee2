//! Every recorded answer of a real server, read by the operation it belongs to.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use kfp_client::{
    Client, CreatePipeline, CreatePipelineVersion, CreateRecurringRun, Error, ListExperiments, ListPipelineVersions,
    ListPipelines, ListRecurringRuns, ListRuns, Page, PipelineSource, Trigger, UpdatePipeline,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::scripted::{Act, Server};

const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/reference/recordings");

/// Reads the answer of the operation that the recorded request was, and writes it back if it is an object; `None` for
/// operations this crate lacks.
#[allow(clippy::match_same_arms, reason = "one row for each operation")]
async fn call(client: &Client, method: &str, path: &str, node: &str) -> Option<Result<Value, Error>> {
    let (path, verb) = path
        .split_once(':')
        .map_or((path, None), |(path, verb)| (path, Some(verb)));
    let parts: Vec<&str> = path.trim_start_matches("/apis/").split('/').collect();
    let (experiments, pipelines, runs) = (client.experiments(), client.pipelines(), client.runs());
    let recurring = client.recurring_runs();
    let file = || kfp_client::PipelineFile::parse(r#"{"pipelineInfo":{"name":"x"},"schemaVersion":"2.1.0"}"#).unwrap();
    let (id, change) = ("x".into(), UpdatePipeline::new().display_name("x"));
    let version = CreatePipelineVersion::new("x", "https://example.com/p.yaml");
    let object = json!({"metadata": {"name": "n", "namespace": "ns", "uid": "u"}});
    Some(match (method, parts.as_slice(), verb) {
        ("GET", ["v2beta1", "healthz"], _) => done(client.health().await.map(drop)),
        ("GET", ["v2beta1", "experiments"], _) => page("experiments", experiments.list(&ListExperiments::new()).await),
        ("POST", ["v2beta1", "experiments"], _) => {
            written(experiments.create(&kfp_client::CreateExperiment::new("x")).await)
        }
        ("GET", ["v2beta1", "experiments", _], _) => written(experiments.get(&"x".into()).await),
        ("DELETE", ["v2beta1", "experiments", _], _) => done(experiments.delete(&"x".into()).await),
        ("POST", ["v2beta1", "experiments", _], Some("archive")) => done(experiments.archive(&"x".into()).await),
        ("POST", ["v2beta1", "experiments", _], Some("unarchive")) => done(experiments.unarchive(&"x".into()).await),
        ("GET", ["v2beta1", "runs"], _) => page("runs", runs.list(&ListRuns::new()).await),
        ("GET", ["v2beta1", "runs", _], None) => written(runs.get(&"x".into()).await),
        ("DELETE", ["v2beta1", "runs", _], _) => done(runs.delete(&"x".into()).await),
        ("POST", ["v2beta1", "runs", _], Some("terminate")) => done(runs.terminate(&"x".into()).await),
        ("POST", ["v2beta1", "runs", _], Some("retry")) => done(runs.retry(&"x".into()).await),
        ("POST", ["v2beta1", "runs", _], Some("archive")) => done(runs.archive(&"x".into()).await),
        ("POST", ["v2beta1", "runs", _], Some("unarchive")) => done(runs.unarchive(&"x".into()).await),
        // The answer has the shape of the run read back; creation itself has its own tests.
        ("POST", ["v2beta1", "runs"], _) => written(runs.get(&"x".into()).await),
        ("GET", ["v2beta1", "runs", _, "nodes", _, "artifacts", _], Some("read")) => {
            let bytes = client.artifacts().read(&"x".into(), "n", "a").await;
            bytes.map(
                |bytes| json!({ "data": base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes) }),
            )
        }
        ("GET", ["v2beta1", "recurringruns"], _) => {
            page("recurringRuns", recurring.list(&ListRecurringRuns::new()).await)
        }
        ("POST", ["v2beta1", "recurringruns"], _) => {
            let source = PipelineSource::Inline(json!({}));
            written(
                recurring
                    .create(&CreateRecurringRun::new("x", "", source, Trigger::periodic(1)))
                    .await,
            )
        }
        ("GET", ["v2beta1", "recurringruns", _], _) => written(recurring.get(&"x".into()).await),
        ("DELETE", ["v2beta1", "recurringruns", _], _) => done(recurring.delete(&"x".into()).await),
        ("POST", ["v2beta1", "recurringruns", _], Some("enable")) => done(recurring.enable(&"x".into()).await),
        ("POST", ["v2beta1", "recurringruns", _], Some("disable")) => done(recurring.disable(&"x".into()).await),
        ("GET", ["v2beta1", "pipelines"], _) => page("pipelines", pipelines.list(&ListPipelines::new()).await),
        ("POST", ["v2beta1", "pipelines"], _) => written(pipelines.create(&CreatePipeline::new("x")).await),
        ("POST", ["v2beta1", "pipelines", "create"], _) => {
            written(pipelines.create_with_version(&CreatePipeline::new("x"), &version).await)
        }
        ("POST", ["v2beta1", "pipelines", "upload"], _) => {
            written(pipelines.upload(&kfp_client::UploadPipeline::new("x", file())).await)
        }
        ("POST", ["v2beta1", "pipelines", "upload_version"], _) => {
            let request = kfp_client::UploadPipelineVersion::new("x", "x", file());
            written(pipelines.upload_version(&request).await)
        }
        ("GET", ["v2beta1", "pipelines", "names", _], _) => written(pipelines.get_by_name("x", None).await),
        ("GET", ["v2beta1", "pipelines", _], _) => written(pipelines.get(&id).await),
        ("PATCH", ["v2beta1", "pipelines", _], _) => written(pipelines.update(&id, &change).await),
        ("DELETE", ["v2beta1", "pipelines", _], _) => done(pipelines.delete(&id, true).await),
        ("GET", ["v2beta1", "pipelines", _, "versions"], _) => {
            let versions = pipelines.list_versions(&id, &ListPipelineVersions::new()).await;
            page("pipeline_versions", versions)
        }
        ("POST", ["v2beta1", "pipelines", _, "versions"], _) => written(pipelines.create_version(&id, &version).await),
        ("GET", ["v2beta1", "pipelines", _, "versions", _], _) => {
            written(pipelines.get_version(&id, &"y".into()).await)
        }
        ("PATCH", ["v2beta1", "pipelines", _, "versions", _], _) => {
            written(pipelines.update_version(&id, &"y".into(), &change).await)
        }
        ("DELETE", ["v2beta1", "pipelines", _, "versions", _], _) => {
            done(pipelines.delete_version(&id, &"y".into()).await)
        }
        ("POST", ["v2beta1", "workflows"], _) => done(client.reports().workflow(&object).await),
        ("GET", ["v1alpha1", "runs", _, "nodes", _, "log"], _) => {
            done(client.logs().node_log(&"x".into(), node).await.map(drop))
        }
        _ => return None,
    })
}

/// An answer that says nothing, or whose content another test looks at.
fn done(result: Result<(), Error>) -> Result<Value, Error> {
    result.map(|()| Value::Null)
}

fn written(result: Result<impl Serialize, Error>) -> Result<Value, Error> {
    result.map(|object| serde_json::to_value(object).unwrap())
}

fn page<T: Serialize>(key: &str, result: Result<Page<T>, Error>) -> Result<Value, Error> {
    let page = result?;
    match page.broken.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(json!({key: page.items, "next_page_token": page.next_page_token, "total_size": page.total_size})),
    }
}

/// What an object says, without what says nothing: empty values, and times that are not set. Documents and values of
/// users are kept as they are.
fn meaning(key: &str, value: &Value) -> Option<Value> {
    if matches!(key, "pipeline_spec" | "parameters" | "plugins_input") {
        return Some(value.clone());
    }
    let said = match value {
        Value::Null | Value::Bool(false) => None,
        Value::String(text)
            if text.is_empty() || text.starts_with("0001-01-01T") || text.starts_with("1970-01-01T") =>
        {
            None
        }
        Value::Number(number) if number.as_f64() == Some(0.0) => None,
        Value::Array(items) => Some(items.iter().map(|item| meaning("", item).unwrap_or_default()).collect()),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), meaning(key, value)?)));
            Some(Value::Object(fields.collect()))
        }
        other => Some(other.clone()),
    };
    said.filter(|said| *said != json!({}) && *said != json!([]))
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
    let text = body.to_string();
    let words = [
        "Invalid input error",
        "InvalidInputError",
        "Data too long",
        "Unknown column",
        "unknown component implementation",
        "with an empty pipeline ID",
    ];
    let user_fault = words.iter().any(|word| text.contains(word));
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
        (_, Some(13)) if text.contains("Failed to store ") => "server",
        (_, Some(13)) if text.contains("Invalid api version detected") => "unsupported",
        (_, Some(13)) if text.contains("ResourceNotFoundError") => "not found",
        (_, Some(13)) if user_fault => "invalid argument",
        (_, Some(13)) => "server",
        (_, Some(16)) => "unauthenticated",
        (400, None) if text.contains("PermissionDenied: ") => "permission denied",
        (400, None) => "invalid argument",
        (403, None) => "permission denied",
        (404, None) if body.get("error_message").is_some() => "not found",
        (404, None) => "unsupported",
        (409, None) => "already exists",
        (500, None) if text.contains("Already exist error") => "already exists",
        (500, None) if text.contains("InvalidInputError") => "invalid argument",
        (500, None) => "server",
        _ => "something else",
    }
}

#[tokio::test]
async fn every_recorded_answer_is_read() {
    for (generation, expected) in [
        (
            "2.17",
            &[
                ("already exists", 4),
                ("conflict", 4),
                ("data", 98),
                ("failed precondition", 1),
                ("invalid argument", 66),
                ("no operation", 8),
                ("not found", 13),
                ("permission denied", 5),
                ("server", 5),
                ("unauthenticated", 5),
                ("written back", 81),
            ][..],
        ),
        (
            "2.5",
            &[
                ("already exists", 5),
                ("conflict", 2),
                ("data", 77),
                ("failed precondition", 1),
                ("invalid argument", 27),
                ("no operation", 3),
                ("not found", 7),
                ("permission denied", 4),
                ("server", 2),
                ("unauthenticated", 3),
                ("written back", 66),
            ],
        ),
        (
            "2.0",
            &[
                ("already exists", 2),
                ("data", 9),
                ("invalid argument", 1),
                ("not found", 1),
                ("server", 1),
                ("unsupported", 3),
                ("written back", 8),
            ],
        ),
    ] {
        let file = format!("{RECORDINGS}/kfp-{generation}.jsonl");
        let Ok(recording) = std::fs::read_to_string(&file) else {
            println!("skipped: no recordings at {file}");
            continue;
        };
        let counts = read_all(&recording).await;
        assert_eq!(counts, expected.iter().copied().collect(), "{generation}");
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
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let http = http.build().unwrap();
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
        if !path.starts_with("/apis/v2beta1/") && !path.starts_with("/apis/v1alpha1/") {
            continue;
        }
        // One that has not learnt of an older server and refuses what that does not know.
        let client = server.client().http(http.clone()).settle_time(Duration::from_millis(1));
        let client = client.build().unwrap();
        let Some(result) = call(&client, request["method"].as_str().unwrap(), &path, "n").await else {
            *counts.entry("no operation").or_default() += 1;
            continue;
        };
        let got = result.as_ref().map_or_else(variant, |_| "data");
        assert_eq!(
            got,
            expected(status, &response["body"]),
            "{}: {result:?}",
            exchange["case"]
        );
        if let Err(error) = &result {
            let text = error.to_string();
            assert!(!text.contains('\n') && text.len() < 700, "{text}");
        }
        if let Ok(object) = &result
            && !object.is_null()
        {
            assert_eq!(
                meaning("", object),
                meaning("", &response["body"]),
                "{}: not written back as it was",
                exchange["case"]
            );
            *counts.entry("written back").or_default() += 1;
        }
        *counts.entry(got).or_default() += 1;
    }
    counts
}
