//! Reads a request from JSON, field by field, so that every bad field is reported and none hides another.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::common::Common;
use crate::field::{Problems, ValidationError, pointer_segment};

/// A JSON object that is being read; what is left at the end is unknown.
pub(super) struct Body {
    fields: Map<String, Value>,
    known: Vec<&'static str>,
    pub(super) problems: Problems,
}

impl Body {
    pub(super) fn new(value: Value) -> Result<Self, ValidationError> {
        match value {
            Value::Object(fields) => Ok(Self {
                fields,
                known: Vec::new(),
                problems: Problems::default(),
            }),
            other => Err(ValidationError::of(
                "",
                format!("the body is {}, not a JSON object", kind(&other)),
            )),
        }
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            other => self.wrong(name, "a string", &other),
        }
    }

    pub(super) fn number(&mut self, name: &'static str) -> Option<f64> {
        let value = self.take(name)?;
        value.as_f64().or_else(|| self.wrong(name, "a number", &value))
    }

    pub(super) fn whole<T: TryFrom<u64>>(&mut self, name: &'static str, what: &str) -> Option<T> {
        let value = self.take(name)?;
        value
            .as_u64()
            .and_then(|n| T::try_from(n).ok())
            .or_else(|| self.wrong(name, what, &value))
    }

    pub(super) fn object(&mut self, name: &'static str) -> Option<Value> {
        let value = self.take(name)?;
        if value.is_object() {
            Some(value)
        } else {
            self.wrong(name, "an object", &value)
        }
    }

    /// An object of scalars, kept as text as they were written.
    fn scalars(&mut self, name: &'static str, numbers: bool) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let allowed = if numbers {
            "a string, number or boolean"
        } else {
            "a string"
        };
        match self.take(name) {
            None => {}
            Some(Value::Object(entries)) => {
                for (key, value) in entries {
                    match value {
                        Value::String(text) => {
                            found.insert(key, text);
                        }
                        Value::Number(_) | Value::Bool(_) if numbers => {
                            found.insert(key, value.to_string());
                        }
                        other => self.problems.add(
                            format!("/{name}/{}", pointer_segment(&key)),
                            format!("is {}: give {allowed}", kind(&other)),
                        ),
                    }
                }
            }
            Some(other) => {
                let _: Option<()> = self.wrong(name, "an object of names and values", &other);
            }
        }
        found
    }

    fn wrong<T>(&mut self, name: &str, wanted: &str, found: &Value) -> Option<T> {
        self.problems
            .add(format!("/{name}"), format!("is {}: give {wanted}", kind(found)));
        None
    }

    pub(super) fn common(&mut self) -> Common {
        Common {
            git_repository: self.text("git_repository").unwrap_or_default(),
            git_sha: self.text("git_sha").unwrap_or_default(),
            dataset_version: self.text("dataset_version").unwrap_or_default(),
            environment: self.scalars("environment", false),
            parameters: self.scalars("parameters", true),
            train_split: self.number("train_split"),
            seed: self
                .whole("seed", "a whole number from 0 to 4294967295")
                .unwrap_or_default(),
            namespace: self.text("namespace"),
            experiment: self.text("experiment"),
            model_name: self.text("model_name"),
        }
    }

    /// Everything that was wrong with the form, unknown fields included, together with what `validation` says of
    /// the content.
    pub(super) fn finish(mut self, validation: Result<(), ValidationError>) -> Result<(), ValidationError> {
        let known = self.known.join(", ");
        for name in self.fields.keys() {
            self.problems.add(
                format!("/{}", pointer_segment(name)),
                format!("is not a field of this request: known are {known}"),
            );
        }
        if let Err(error) = validation {
            self.problems.merge(error);
        }
        self.problems.finish()
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
