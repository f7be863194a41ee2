//! Placeholders in commands and arguments, as the launcher fills them in.

use serde_json::{Map, Value, json};

use super::values::{Values, text_of};
use crate::testing::call::Json;

/// Replaces all placeholders in a command or its arguments. Words that are `IfPresent` or `Concat` structures may give
/// none or several words.
pub(super) fn fill(words: &[Value], inputs: &Values, executor_input: &Value) -> Vec<String> {
    let mut filled = Vec::new();
    for word in words {
        let text = text_of(word);
        match serde_json::from_str::<Value>(&text) {
            Ok(structure) if structure.get("IfPresent").is_some() || structure.get("Concat").is_some() => {
                filled.extend(expand(&structure, inputs));
            }
            _ => filled.push(text),
        }
    }
    let whole = executor_input.to_string();
    filled
        .into_iter()
        .map(|text| fill_text(&text, executor_input, &whole))
        .collect()
}

/// Replaces the inputs that a constant mentions.
pub(super) fn mention(value: &Value, known: &Map<String, Value>) -> Value {
    match value {
        Value::String(text) if text.contains("{{$.inputs.parameters[") => {
            let input = json!({"inputs": {"parameterValues": known}});
            fill_text(text, &input, "{{$}}").into()
        }
        Value::Array(list) => list.iter().map(|value| mention(value, known)).collect(),
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| (key.clone(), mention(value, known)))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn expand(value: &Value, inputs: &Values) -> Vec<String> {
    if let Some(choice) = value.get("IfPresent") {
        let name = choice.text("InputName");
        let present = inputs.parameters.contains_key(name) || inputs.artifacts.contains_key(name);
        let branch = choice.get(if present { "Then" } else { "Else" });
        return match branch {
            None => Vec::new(),
            Some(Value::Array(list)) => list.iter().flat_map(|value| expand(value, inputs)).collect(),
            Some(other) => expand(other, inputs),
        };
    }
    if let Some(Value::Array(list)) = value.get("Concat") {
        return vec![list.iter().flat_map(|value| expand(value, inputs)).collect()];
    }
    let text = text_of(value);
    match serde_json::from_str::<Value>(&text) {
        Ok(inner) if inner.get("IfPresent").is_some() || inner.get("Concat").is_some() => expand(&inner, inputs),
        _ => vec![text],
    }
}

fn fill_text(text: &str, input: &Value, whole: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("{{$") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let Some(end) = from.find("}}") else {
            rest = from;
            break;
        };
        let (mark, tail) = from.split_at(end + 2);
        let inner = mark.trim_start_matches("{{$").trim_end_matches("}}");
        match if inner.is_empty() {
            Some(whole.to_owned())
        } else {
            lookup(inner, input)
        } {
            Some(value) => out.push_str(&value),
            None => out.push_str(mark),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// `.inputs.parameters['x']` and the like.
fn lookup(path: &str, input: &Value) -> Option<String> {
    let (group, rest) = path.split_once('[')?;
    let (name, field) = rest.split_once(']')?;
    let name = name.trim_matches(|letter| matches!(letter, '\'' | '"'));
    let artifact = |side: &str| input.at(&[side, "artifacts", name, "artifacts"])?.get(0);
    match (group, field) {
        (".inputs.parameters", "") => input.at(&["inputs", "parameterValues", name]).map(text_of),
        (".outputs.parameters", ".output_file") => {
            input.at(&["outputs", "parameters", name, "outputFile"]).map(text_of)
        }
        (".inputs.artifacts", ".path" | ".uri") => artifact("inputs").map(|found| found.text("uri").to_owned()),
        (".outputs.artifacts", ".path" | ".uri") => artifact("outputs").map(|found| found.text("uri").to_owned()),
        (".inputs.artifacts", _) => {
            let key = field.strip_prefix(".metadata['")?.strip_suffix("']")?;
            artifact("inputs")?.at(&["metadata", key]).map(text_of)
        }
        _ => None,
    }
}
