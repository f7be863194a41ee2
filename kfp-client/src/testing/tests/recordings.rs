//! Recorded requests, played to the server: what the real one refused, this one refuses with the same status, code and
//! words.

use std::path::Path;

use super::*;

const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/reference/recordings");

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
                map.remove("experiment_id").filter(|id| has_id(&id.to_string()));
                map.remove("resource_references");
            }
            Some(value.to_string())
        }
    }
}

#[tokio::test]
async fn what_real_servers_refused_is_refused_in_the_same_words() {
    // Cases whose outcome needs something that an earlier request had made, or a text of MariaDB, Go or Argo.
    const ELSEWHERE: &[&str] = &[];
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
            for key in ["code", "message", "details", "error", "error_message"] {
                if response["body"].is_object() && value[key] != response["body"][key] || got != status {
                    wrong.push(format!(
                        "{name}: {status} {}\n   but: {got} {}",
                        response["body"][key], value[key]
                    ));
                    break;
                }
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
