//! Plays the steps of a case on a server.
//!
//! A step is `{"do": "POST runs/create", ...}` with, as needed, `query` (values or lists of them), `body` (JSON), `raw` (text
//! to send as it is), `type` (content type; `null` for none), `headers`, `keep` (names for parts of the answer, by JSON
//! pointer), `show` (headers of the answer to compare) and `only` (pointers to compare; all if left out). A path with a
//! leading slash is taken as it is, others follow `/api/2.0/mlflow/`.
//!
//! In texts, `${name}` stands for what was kept, `${u}` for a word that no other case has. `{"$text": ["x", 10]}` is a text
//! of ten x; `{"$each": [3, item]}` a list of three items in which `${i}` is the number.

use std::collections::HashMap;

use reqwest::{Client, Method};
use serde_json::{Map, Value};

use super::shape;

pub(super) type Names = HashMap<String, String>;

pub(super) fn title(step: &Value) -> String {
    let mut text = step.to_string();
    if text.len() > 300 {
        text.truncate(
            text.char_indices()
                .map(|(at, _)| at)
                .take_while(|at| *at <= 300)
                .last()
                .unwrap_or(0),
        );
        text.push('…');
    }
    text
}

/// Puts in what the names stand for.
fn fill(text: &str, names: &Names) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after
            .split_once('}')
            .unwrap_or_else(|| panic!("{text}: a name is not closed"));
        filled.push_str(before);
        filled.push_str(
            names
                .get(name)
                .unwrap_or_else(|| panic!("{text}: nothing is kept as {name}")),
        );
        rest = after;
    }
    filled + rest
}

fn expand(value: &Value, names: &Names) -> Value {
    match value {
        Value::String(text) => Value::String(fill(text, names)),
        Value::Array(items) => Value::Array(items.iter().map(|item| expand(item, names)).collect()),
        Value::Object(map) => {
            if let Some(text) = map.get("$text") {
                let times = text[1].as_u64().unwrap();
                return Value::String(text[0].as_str().unwrap().repeat(usize::try_from(times).unwrap()));
            }
            if let Some(each) = map.get("$each") {
                let number = |n: u64| {
                    let mut names = names.clone();
                    names.insert("i".to_owned(), n.to_string());
                    expand(&each[1], &names)
                };
                return Value::Array((0..each[0].as_u64().unwrap()).map(number).collect());
            }
            let entry = |(key, value): (&String, &Value)| (fill(key, names), expand(value, names));
            Value::Object(map.iter().map(entry).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) async fn play(server: &str, steps: &[Value]) -> Vec<Value> {
    // Each request on a connection of its own: some answers close it.
    let http = Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let mut names = Names::from([("u".to_owned(), uuid::Uuid::new_v4().simple().to_string())]);
    let mut transcript = Vec::new();
    for step in steps {
        let wanted = fill(
            step["do"].as_str().unwrap_or_else(|| panic!("{step}: nothing to do")),
            &names,
        );
        let (method, path) = wanted.split_once(' ').unwrap();
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/api/2.0/mlflow/{path}")
        };
        let mut url: url::Url = format!("{server}{path}").parse().unwrap();
        if let Some(Value::Object(query)) = step.get("query").map(|query| expand(query, &names)) {
            for (key, value) in query {
                let values = match value {
                    Value::Array(values) => values,
                    value => vec![value],
                };
                for value in &values {
                    url.query_pairs_mut().append_pair(&key, &text_of(value));
                }
            }
        }
        let mut request = http.request(method.parse::<Method>().unwrap(), url);
        let mut kind = step.get("type").map_or(Some("application/json"), Value::as_str);
        if let Some(body) = step.get("body") {
            request = request.body(expand(body, &names).to_string());
        } else if let Some(raw) = step.get("raw") {
            request = request.body(text_of(&expand(raw, &names)));
        } else if method == "POST" && step.get("type").is_none() {
            request = request.body("{}");
        } else if step.get("type").is_none() {
            kind = None;
        }
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        if let Some(Value::Object(headers)) = step.get("headers").map(|headers| expand(headers, &names)) {
            for (name, value) in headers {
                request = request.header(name, text_of(&value));
            }
        }
        let answer = request
            .send()
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", title(step)));
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        let body = answer
            .bytes()
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", title(step)));
        let json: Option<Value> = serde_json::from_slice(&body)
            .ok()
            .filter(|json: &Value| json.is_object());
        if let (Some(Value::Object(keep)), Some(json)) = (step.get("keep"), &json) {
            for (name, pointer) in keep {
                let found = json.pointer(pointer.as_str().unwrap());
                names.insert(name.clone(), found.map(text_of).unwrap_or_default());
            }
        }
        for name in step
            .get("keep")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(Map::keys)
        {
            // What a server does not know gives no name; later steps show the same.
            names.entry(name.clone()).or_insert_with(|| "none".to_owned());
        }
        let mut shown = Map::from_iter([("status".to_owned(), Value::from(status))]);
        for name in step.get("show").and_then(Value::as_array).into_iter().flatten() {
            let name = name.as_str().unwrap();
            let value = headers.get(name).map(|value| value.to_str().unwrap_or_default());
            shown.insert(name.to_owned(), value.map_or(Value::Null, Value::from));
        }
        shape::body(
            &mut shown,
            json,
            &body,
            step.get("only").and_then(Value::as_array),
            &names,
        );
        transcript.push(Value::Object(shown));
    }
    transcript
}
