//! Answers in a form in which two servers can be compared: without what differs from one run to the next.

use serde_json::{Map, Value};

use super::play::Names;

/// Keys whose numbers are the server's clock.
const TIMES: &[&str] = &[
    "creation_time",
    "last_update_time",
    "creation_timestamp",
    "last_updated_timestamp",
    "creation_timestamp_ms",
    "last_updated_timestamp_ms",
];
/// Lists without an order.
const SETS: &[&str] = &[
    "params",
    "tags",
    "aliases",
    "model_inputs",
    "model_outputs",
    "dataset_summaries",
    "model_params",
];

pub(super) fn body(
    shown: &mut Map<String, Value>,
    json: Option<Value>,
    raw: &[u8],
    only: Option<&Vec<Value>>,
    names: &Names,
) {
    match json {
        Some(Value::Object(mut error)) if error.contains_key("error_code") => {
            // Texts are for people.
            error.remove("message");
            shown.insert("error".to_owned(), Value::Object(error));
        }
        Some(json) => {
            let json = tidy("", json, names);
            let part = match only {
                None => json,
                Some(pointers) => pointers
                    .iter()
                    .map(|pointer| {
                        let pointer = pointer.as_str().unwrap();
                        (
                            pointer.to_owned(),
                            json.pointer(pointer).cloned().unwrap_or(Value::Null),
                        )
                    })
                    .collect::<Map<_, _>>()
                    .into(),
            };
            shown.insert("json".to_owned(), part);
        }
        None if raw.trim_ascii_start().starts_with(b"<") => {
            shown.insert("page".to_owned(), true.into());
        }
        None => {
            shown.insert("text".to_owned(), String::from_utf8_lossy(raw).into());
        }
    }
}

fn tidy(key: &str, value: Value, names: &Names) -> Value {
    match value {
        Value::Object(map) => {
            let map = map.into_iter().map(|(key, value)| {
                let value = tidy(&key, value, names);
                (key, value)
            });
            Value::Object(map.collect())
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(|item| tidy(key, item, names)).collect();
            // The latest points, which are without an order too, have no key at their top in histories.
            if SETS.contains(&key) || key == "metrics" && items.iter().any(|item| item["key"] != items[0]["key"]) {
                items.sort_by_key(Value::to_string);
            }
            Value::Array(items)
        }
        Value::Number(number)
            if TIMES.contains(&key) && number.as_i64().is_some_and(|time| time > 1_600_000_000_000) =>
        {
            "<time>".into()
        }
        Value::String(text) => Value::String(unnamed(key, &text, names)),
        other => other,
    }
}

/// A text with names again for what they stand for.
fn unnamed(key: &str, text: &str, names: &Names) -> String {
    if key == "next_page_token" {
        return "<token>".to_owned();
    }
    // Texts are for people.
    if key == "detail" {
        return "<text>".to_owned();
    }
    let mut text = text.to_owned();
    let mut by_length: Vec<_> = names.iter().filter(|(_, value)| !value.is_empty()).collect();
    by_length.sort_by_key(|(name, value)| (std::cmp::Reverse(value.len()), (*name).clone()));
    for (name, value) in by_length {
        if value.len() >= 8 {
            text = text.replace(value.as_str(), &format!("${{{name}}}"));
        } else if key.starts_with("experiment_id") && text == *value {
            return format!("${{{name}}}");
        } else if let Some(rest) = text.strip_prefix(&format!("mlflow-artifacts:/{value}"))
            && (rest.is_empty() || rest.starts_with('/'))
            && value.chars().all(|c| c.is_ascii_digit())
        {
            text = format!("mlflow-artifacts:/${{{name}}}{rest}");
        }
    }
    let generated =
        text.split('-').count() == 3 && text.rsplit('-').next().is_some_and(|end| end.parse::<u32>().is_ok());
    let two_words = text.split('-').count() >= 2
        && key == "name"
        && text.rsplit('-').next().is_some_and(|end| end.parse::<u32>().is_ok());
    if (key == "run_name" || key == "value") && generated || two_words && !text.contains("${") {
        return "<generated>".to_owned();
    }
    hidden_ids(&text)
}

/// Without ids that have no name.
fn hidden_ids(text: &str) -> String {
    let mut shown = String::new();
    let mut word = String::new();
    for c in text.chars().chain(std::iter::once('\0')) {
        if c.is_ascii_hexdigit() && !c.is_ascii_uppercase() {
            word.push(c);
            continue;
        }
        shown.push_str(if word.len() == 32 { "<id>" } else { &word });
        word.clear();
        if c != '\0' {
            shown.push(c);
        }
    }
    shown
}

/// Where two values differ.
pub(super) fn compare(path: &str, expected: &Value, found: &Value, all: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                match b.get(key) {
                    Some(other) => compare(&format!("{path}/{key}"), value, other, all),
                    None => all.push(format!("{path}/{key}: {value} was recorded, nothing came")),
                }
            }
            for (key, value) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                all.push(format!("{path}/{key}: nothing was recorded, {value} came"));
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}/{at}"), a, b, all);
            }
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() && a.as_i64() == b.as_i64() => {}
        _ if expected == found => {}
        _ => all.push(format!("{path}: {expected} was recorded, {found} came")),
    }
}
