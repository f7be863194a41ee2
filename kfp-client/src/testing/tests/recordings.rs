//! Recorded requests, played to the server: what the real one refused, this one refuses with the same status, code and
//! words.

use std::path::Path;

use super::*;

const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/reference/recordings");

/// Cases that need something an earlier request had made, or whose form or text is not kept in the recording.
const ELSEWHERE: &[&str] = &[
    "1.8 exp-concurrent-same-name-4of4",
    "1.8 exp-create-duplicate",
    "1.8 report-workflow-bad",
    "1.8 run-list-sort-metric",
    "1.8 run-unknown-experiment",
    "1.8 upload-bad-ext",
    "1.8 upload-concurrent-same-name-3of3",
    "1.8 upload-name-101",
    "1.8 upload-not-workflow",
    "1.8 upload-same-name",
    "1.8 upload-v2-ir",
    "1.8 upload-version-404",
    "1.8 upload-version-no-pipelineid",
    "2.17 experiment-create-duplicate",
    "2.17 upload-duplicate",
    "2.5 exp-concurrent-same-name-3of4",
    "2.5 exp-create-duplicate",
    "2.5 upload-bad-schema-version",
    "2.5 upload-concurrent-same-name-1of3",
    "2.5 upload-empty",
    "2.5 upload-same-name",
    "2.5 upload-unknown-ir-field",
];

/// Cases that are refused with the right status and code, and in words that are not the server's to choose.
const OTHER_WORDS: &[&str] = &[
    // The cause is the network's.
    "1.8 pipe-create-url-unreachable",
    // Go's maps have no order: another parameter is missing too.
    "2.17 run-param-missing-required",
];

/// Whether a text holds an id that the recording's server had made.
fn has_id(text: &str) -> bool {
    let shape = |part: &[u8]| {
        part.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    text.as_bytes().windows(36).any(shape)
}

/// The request's experiment is left out, so that it goes to the default one.
fn body(request: &Value) -> Option<String> {
    match request.get("body") {
        None | Some(Value::Null) => Some(String::new()),
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Object(map)) if map.contains_key("text") && map.len() == 1 => {
            map["text"].as_str().map(str::to_owned)
        }
        Some(value) => {
            let mut value = value.clone();
            if let Some(map) = value.as_object_mut() {
                if map.get("experiment_id").is_some_and(|id| has_id(&id.to_string())) {
                    map.remove("experiment_id");
                }
                let references = map.get_mut("resource_references").and_then(Value::as_array_mut);
                if let Some(references) = references {
                    references.retain(|reference| !has_id(&reference.to_string()));
                }
            }
            Some(spaced(&value))
        }
    }
}

/// As the recording's client wrote it, which matters to errors that tell a position.
fn spaced(value: &Value) -> String {
    use serde::Serialize as _;

    let mut out = Vec::new();
    let mut writer = serde_json::Serializer::with_formatter(&mut out, Spaced);
    value.serialize(&mut writer).unwrap();
    String::from_utf8(out).unwrap()
}

struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: std::io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: std::io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: std::io::Write + ?Sized>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

/// What a message says before the stack trace, which the recording cuts off.
fn said(value: &Value) -> Value {
    let text = value.to_string();
    let cut = text.replace("\\n...(Go stack trace shortened)", "");
    serde_json::from_str(&cut).unwrap()
}

#[tokio::test]
async fn what_real_servers_refused_is_refused_in_the_same_words() {
    let mut wrong = Vec::new();
    let mut played = 0;
    for (file, generation) in [
        ("kfp-1.8.jsonl", Generation::V1_8),
        ("kfp-2.5.jsonl", Generation::V2_5),
        ("kfp-2.17.jsonl", Generation::V2_17),
    ] {
        let Ok(text) = std::fs::read_to_string(Path::new(RECORDINGS).join(file)) else {
            continue;
        };
        let server = KfpServer::builder().generation(generation).build().start().await;
        let asker = Asker::new(&server);
        for line in text.lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            let (request, response) = (&case["request"], &case["response"]);
            let path = request["path"].as_str().unwrap_or_default();
            let name = format!("{generation} {}", case["case"].as_str().unwrap_or_default());
            let Some(body) = body(request) else { continue };
            let status = response["status"].as_u64().unwrap_or_default();
            let skip = case["mode"] == "multi-user" || has_id(path) || has_id(&body) || status < 400;
            if skip || ELSEWHERE.contains(&name.as_str()) {
                continue;
            }
            let method = request["method"].as_str().unwrap_or("GET").parse().unwrap();
            let mut sent: reqwest::RequestBuilder = asker.client.request(method, format!("{}{path}", asker.url));
            for (key, value) in request["headers"].as_object().into_iter().flatten() {
                if key != "host" {
                    sent = sent.header(key, value.as_str().unwrap_or_default());
                }
            }
            let answer = sent.body(body).send().await.unwrap();
            let got = u64::from(answer.status().as_u16());
            let text = answer.text().await.unwrap();
            let value: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
            played += 1;
            let keys: &[&str] = if OTHER_WORDS.contains(&name.as_str()) {
                &["code"]
            } else {
                &["code", "message", "details", "error", "error_message"]
            };
            let differs = |key: &&&str| response["body"].is_object() && value[**key] != said(&response["body"][**key]);
            let key = keys.iter().find(differs).copied();
            if got != status || key.is_some() {
                let key = key.unwrap_or("message");
                let expected = &response["body"][key];
                wrong.push(format!("{name}: {status} {expected}\n   but: {got} {}", value[key]));
            }
        }
    }
    let here = Path::new(RECORDINGS).exists();
    assert!(
        wrong.is_empty(),
        "{} of {played} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(!here || played > 100, "only {played} requests were played");
}
