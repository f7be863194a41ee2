//! Parameters and artifacts that pass between tasks.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What goes into a task or comes out of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Values {
    pub(super) parameters: Map<String, Value>,
    /// Each artifact is a `RuntimeArtifact` message.
    pub(super) artifacts: BTreeMap<String, Vec<Value>>,
}

/// How a task ended, and what came out of it.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Succeeded(Values),
    Failed(String),
    /// Its condition was false, or what it needed did not succeed.
    Skipped,
}

impl Outcome {
    pub(super) fn values(&self) -> Option<&Values> {
        match self {
            Self::Succeeded(values) => Some(values),
            _ => None,
        }
    }

    pub(super) fn state(&self) -> &'static str {
        match self {
            Self::Succeeded(_) => "SUCCEEDED",
            Self::Failed(_) => "FAILED",
            Self::Skipped => "SKIPPED",
        }
    }
}

/// A value as text on a command line.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The text of an output file as a value of a declared type.
pub(super) fn parse_text(text: &str, kind: &str) -> Result<Value, String> {
    let wrong = |what: &str| Err(format!("cannot read {text:?} as {what}"));
    match kind {
        "NUMBER_INTEGER" => match text.trim().parse::<i64>() {
            Ok(number) => Ok(number.into()),
            Err(_) => wrong("an integer"),
        },
        "NUMBER_DOUBLE" => match text.trim().parse::<f64>() {
            Ok(number) => Ok(crate::testing::schema::plain_number(number)),
            Err(_) => wrong("a number"),
        },
        "BOOLEAN" => match text.trim().to_lowercase().as_str() {
            "true" | "1" | "t" => Ok(true.into()),
            "false" | "0" | "f" => Ok(false.into()),
            _ => wrong("a boolean"),
        },
        "LIST" | "STRUCT" => serde_json::from_str(text).or_else(|_| wrong("JSON")),
        _ => Ok(text.into()),
    }
}
