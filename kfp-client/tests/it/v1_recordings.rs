//! Every recorded answer of a real server to `v1beta1`, read by the operation it belongs to and written back.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use kfp_client::{Error, argo::Workflow};
use serde_json::Value;

use crate::{
    scripted::{Act, Server},
    v1_operations,
};

const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/reference/recordings");

fn variant(error: &Error) -> &'static str {
    match error {
        Error::NotFound(_) => "not found",
        Error::AlreadyExists(_) => "already exists",
        Error::InvalidArgument(_) => "invalid argument",
        Error::Conflict(_) => "conflict",
        Error::Unauthenticated(_) => "unauthenticated",
        Error::PermissionDenied(_) => "permission denied",
        Error::Server(_) => "server",
        Error::Unsupported(_) => "unsupported",
        Error::NamedOutcomeUnknown { .. } => "outcome unknown",
        _ => "something else",
    }
}

/// What a recorded answer has to become.
#[allow(clippy::match_same_arms, reason = "one row for each code")]
fn expected(status: u64, body: &Value) -> &'static str {
    let text = body.to_string();
    match (status, body["code"].as_i64()) {
        (200, _) if body.get("error_message").is_some() => "not found",
        (200, _) => "data",
        (500, Some(13)) if text.contains("no user identity header") => "unauthenticated",
        (500, Some(13)) if text.contains("Failed to store run") => "outcome unknown",
        (500, Some(13)) if text.contains("Experiment no-such not found") => "not found",
        (400, None) if text.contains("PermissionDenied: ") => "permission denied",
        (400, None) if text.contains("ResourceNotFoundError") => "not found",
        (500, Some(13)) if text.contains("Data too long") || text.contains("SQL syntax") => "invalid argument",
        (500, Some(13)) => "server",
        (500, None) if text.contains("already exist") => "already exists",
        (500, None) if text.contains("unknown template format") => "invalid argument",
        (_, Some(3)) => "invalid argument",
        (_, Some(5)) => "not found",
        (_, Some(6)) => "already exists",
        (_, Some(7)) => "permission denied",
        (_, Some(10)) => "conflict",
        (_, Some(16)) => "unauthenticated",
        (400, None) => "invalid argument",
        (404, None) => "unsupported",
        _ => "something else",
    }
}

/// Without what the wire leaves out or uses for "not set", which mean the same.
fn meaning(value: &Value) -> Value {
    const UNSET: [&str; 3] = ["", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"];
    let is_set = |value: &Value| match value {
        Value::Null => false,
        Value::Bool(bool) => *bool,
        Value::String(text) => !UNSET.contains(&text.as_str()),
        Value::Array(items) => !items.is_empty(),
        Value::Number(_) | Value::Object(_) => true,
    };
    match value {
        Value::Object(map) => {
            let fields = map.iter().map(|(name, value)| (name.clone(), meaning(value)));
            Value::Object(fields.filter(|(_, value)| is_set(value)).collect())
        }
        Value::Array(items) => items.iter().map(meaning).collect(),
        // JSON knows one kind of numbers.
        Value::Number(number) => Value::from(number.as_f64()),
        other => other.clone(),
    }
}

/// Every Argo workflow in a value, by the text it was sent as.
fn workflows(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let text = value
                    .as_str()
                    .filter(|text| text.starts_with('{') && !text.contains("pipelineInfo"));
                match text {
                    Some(text) if name == "workflow_manifest" || name == "pipeline_manifest" => {
                        found.push(text.to_owned());
                    }
                    _ => workflows(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| workflows(item, found)),
        _ => {}
    }
}

#[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
fn recording(generation: &str) -> Option<Vec<Value>> {
    let file = format!("{RECORDINGS}/kfp-{generation}.jsonl");
    let Ok(text) = std::fs::read_to_string(&file) else {
        println!("skipped: no recordings at {file}");
        return None;
    };
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[tokio::test]
async fn every_recorded_answer_is_read_and_written_back() {
    let generations: [(&str, &[(&str, usize)]); 4] = [
        (
            "1.8",
            &[
                ("already exists", 5),
                ("conflict", 2),
                ("data", 74),
                ("invalid argument", 38),
                ("no operation", 4),
                ("not found", 14),
                ("permission denied", 4),
                ("server", 1),
                ("unauthenticated", 4),
                ("unsupported", 1),
            ],
        ),
        ("2.0", &[("already exists", 1)]),
        (
            "2.5",
            &[
                ("data", 16),
                ("invalid argument", 1),
                ("no operation", 1),
                ("not found", 1),
            ],
        ),
        (
            "2.17",
            &[
                ("data", 14),
                ("invalid argument", 1),
                ("no operation", 1),
                ("not found", 1),
                ("outcome unknown", 1),
            ],
        ),
    ];
    let mut differences = Vec::new();
    for (generation, counts) in generations {
        let Some(exchanges) = recording(generation) else {
            continue;
        };
        let got = read_all(generation, exchanges).await;
        let counts: BTreeMap<&str, usize> = counts.iter().copied().collect();
        if got != counts {
            differences.push(format!("{generation}: {got:?}"));
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

async fn read_all(generation: &str, exchanges: Vec<Value>) -> BTreeMap<&'static str, usize> {
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
    for exchange in exchanges {
        let (request, response) = (&exchange["request"], &exchange["response"]);
        let path = request["path"]
            .as_str()
            .unwrap()
            .split('?')
            .next()
            .unwrap()
            .replace("%3A", ":");
        let (Some(status), false) = (response["status"].as_u64(), path.contains("/v2beta1")) else {
            continue;
        };
        let kind = response["headers"]["content-type"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let body = &response["body"];
        let text = response["text"].as_str().or_else(|| body["text"].as_str());
        let text = text.map_or_else(|| body.to_string(), ToOwned::to_owned);
        *current.lock().unwrap() = (u16::try_from(status).unwrap(), kind, text);
        let case = format!("{generation} {}", exchange["case"]);
        // One that has not learnt of an older server and refuses what that does not know.
        let client = server.client().http(http.clone()).settle_time(Duration::from_millis(1));
        let client = client.build().unwrap();
        let Some(result) = v1_operations::call(&client, request["method"].as_str().unwrap(), &path).await else {
            *counts.entry("no operation").or_default() += 1;
            continue;
        };
        let got = result.as_ref().map_or_else(variant, |_| "data");
        assert_eq!(got, expected(status, body), "{case}: {result:?}");
        match result {
            Ok(Value::Null) => {}
            Ok(written) if path.ends_with("healthz") => {
                let same = ["tag_name", "commit_sha", "multi_user"]
                    .iter()
                    .all(|name| written[name] == body[name]);
                assert!(same, "{case}: {written}");
            }
            Ok(written) => assert_eq!(meaning(&written), meaning(body), "{case}"),
            Err(error) => {
                let text = error.to_string();
                assert!(!text.contains('\n') && text.len() < 900, "{text}");
            }
        }
        *counts.entry(got).or_default() += 1;
    }
    counts
}

#[test]
fn every_recorded_workflow_means_the_same_when_written_and_those_that_were_sent_are_valid() {
    let (mut read, mut valid) = (0, 0);
    for generation in ["1.8", "2.5", "2.17"] {
        for exchange in recording(generation).unwrap_or_default() {
            let mut texts = Vec::new();
            workflows(&exchange["response"]["body"], &mut texts);
            for text in texts {
                // The recording cuts long texts.
                let Ok(document) = serde_json::from_str::<Value>(&text) else {
                    continue;
                };
                if document.as_object().unwrap().is_empty() {
                    continue;
                }
                let workflow = Workflow::from_json(&text).unwrap();
                assert_eq!(
                    meaning(&workflow.to_value()),
                    meaning(&document),
                    "{}",
                    exchange["case"]
                );
                read += 1;
            }
            let mut texts = Vec::new();
            workflows(&exchange["request"]["body"], &mut texts);
            let taken = exchange["response"]["status"] == 200;
            for workflow in texts
                .iter()
                .filter_map(|text| Workflow::from_json(text).ok())
                .filter(|_| taken)
            {
                workflow
                    .validate()
                    .unwrap_or_else(|error| panic!("{}: {error}", exchange["case"]));
                valid += 1;
            }
        }
    }
    if recording("1.8").is_some() {
        assert_eq!((read, valid), (56, 5));
    }
}
