//! Answers and refusals as they go over the wire.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use wiremock::ResponseTemplate;

use super::state::Generation;

/// The start of every message of a database error.
const SQL: &str = "(sqlite3.IntegrityError)";

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The server's error document.
    Coded {
        code: &'static str,
        status: u16,
        message: String,
    },
    /// An attribute that logged models are not ordered by.
    UnknownAttribute(String),
    /// A page of the web framework, as for unknown routes.
    Page(u16),
    /// Plain text.
    Text(u16, String),
    /// Plain text that is labelled as a page.
    Sentence(u16, String),
    /// `{"detail": …}`, as the artifact routes answer.
    Detail(u16, String),
}

/// An answer with its parts, which a template does not tell.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    kind: String,
}

impl Answer {
    pub(super) fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            kind: String::new(),
        }
    }

    pub(super) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn body(self, body: impl Into<Vec<u8>>, kind: &str) -> Self {
        Self {
            body: body.into(),
            kind: kind.to_owned(),
            ..self
        }
    }

    /// With the second half of its body missing.
    pub(super) fn cut_in_half(mut self) -> Self {
        self.body.truncate(self.body.len() / 2);
        self
    }

    pub(super) fn template(self) -> ResponseTemplate {
        let mut template = ResponseTemplate::new(self.status);
        for (name, value) in self.headers {
            template = template.insert_header(name, value);
        }
        if self.kind.is_empty() {
            return template;
        }
        template.set_body_raw(self.body, &self.kind)
    }
}

/// What a handler gives.
pub(super) type Handled<T = Value> = Result<T, Refusal>;

impl Refusal {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::Coded {
            code: "INVALID_PARAMETER_VALUE",
            status: 400,
            message: message.into(),
        }
    }

    pub(super) fn missing(message: impl Into<String>) -> Self {
        Self::Coded {
            code: "RESOURCE_DOES_NOT_EXIST",
            status: 404,
            message: message.into(),
        }
    }

    pub(super) fn exists(message: impl Into<String>) -> Self {
        Self::Coded {
            code: "RESOURCE_ALREADY_EXISTS",
            status: 400,
            message: message.into(),
        }
    }

    /// A database error that leaks out when something is looked up, before what was to be written is.
    pub(super) fn autoflush(what: &str) -> Self {
        Self::Coded {
            code: "BAD_REQUEST",
            status: 400,
            message: format!(
                "(raised as a result of Query-invoked autoflush; consider using a session.no_autoflush block if this flush is \
                 occurring prematurely)\n{SQL} {what}"
            ),
        }
    }

    /// A database error that leaks out.
    pub(super) fn database(what: &str) -> Self {
        Self::Coded {
            code: "BAD_REQUEST",
            status: 400,
            message: format!("{SQL} {what}"),
        }
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::Coded {
            code: "INTERNAL_ERROR",
            status: 500,
            message: message.into(),
        }
    }

    pub(super) fn state(message: impl Into<String>) -> Self {
        Self::Coded {
            code: "INVALID_STATE",
            status: 500,
            message: message.into(),
        }
    }

    pub(super) fn required(name: &str) -> Self {
        Self::invalid(format!(
            "Missing value for required parameter '{name}'. See the API docs for more information about request parameters."
        ))
    }

    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Coded { status, .. }
            | Self::Page(status)
            | Self::Text(status, _)
            | Self::Sentence(status, _)
            | Self::Detail(status, _) => *status,
            Self::UnknownAttribute(_) => 400,
        }
    }

    /// The answer. The classes of errors came with version 3; what the artifact proxy refuses by itself has none.
    pub(super) fn response(&self, generation: Generation) -> ResponseTemplate {
        let template = ResponseTemplate::new(self.status());
        match self {
            Self::UnknownAttribute(message) => {
                let body = json!({
                    "error_code": "INVALID_PARAMETER_VALUE", "message": message, "sqlstate": "KAM04",
                    "error_class": "ATTRIBUTE_NOT_FOUND",
                });
                template.set_body_raw(body.to_string(), "application/json")
            }
            Self::Coded { code, message, .. } => {
                let mut body = json!({"error_code": code, "message": message});
                if generation.is_3() && *code != "NOT_IMPLEMENTED" {
                    put(&mut body, "sqlstate", Some(sqlstate(code).into()));
                    put(&mut body, "error_class", Some(class(code).into()));
                }
                template.set_body_raw(body.to_string(), "application/json")
            }
            Self::Page(status) => {
                let title = match status {
                    404 => "404 Not Found",
                    405 => "405 Method Not Allowed",
                    400 => "400 Bad Request",
                    _ => "500 Internal Server Error",
                };
                let heading = title.split_once(' ').map_or(title, |(_, words)| words);
                let page = format!("<!doctype html>\n<html lang=en>\n<title>{title}</title>\n<h1>{heading}</h1>\n");
                template.set_body_raw(page, "text/html; charset=utf-8")
            }
            Self::Text(_, text) => template.set_body_raw(text.clone(), "text/plain; charset=utf-8"),
            Self::Sentence(_, text) => template.set_body_raw(text.clone(), "text/html; charset=utf-8"),
            Self::Detail(_, text) => template.set_body_raw(json!({"detail": text}).to_string(), "application/json"),
        }
    }
}

/// The state that goes with a code.
fn sqlstate(code: &'static str) -> &'static str {
    match code {
        "INTERNAL_ERROR" | "INVALID_STATE" => "XXM00",
        _ => "KAM00",
    }
}

/// The class that goes with a code.
fn class(code: &'static str) -> &'static str {
    match code {
        "RESOURCE_DOES_NOT_EXIST" => "RESOURCE_NOT_FOUND",
        "INTERNAL_ERROR" | "INVALID_STATE" => "CLIENT_INTERNAL_ERROR",
        "BAD_REQUEST" => "INVALID_PARAMETER_VALUE",
        other => other,
    }
}

/// A document of an answer, as the server prints it: indented, and ASCII only.
pub(super) fn document(value: &Value) -> Answer {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let mut ascii = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
    }
    Answer::new(200).body(ascii, "application/json")
}

/// A number as the server writes it: what JSON cannot hold becomes text.
pub(super) fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| Value::from("NaN"), Value::Number)
}

/// Puts a list into an object unless it is empty, as the server leaves empty lists out.
pub(super) fn put_list(object: &mut Value, key: &str, items: Vec<Value>) {
    if !items.is_empty()
        && let Value::Object(map) = object
    {
        map.insert(key.to_owned(), Value::Array(items));
    }
}

/// Puts a value into an object if there is one.
pub(super) fn put(object: &mut Value, key: &str, value: Option<Value>) {
    if let (Some(value), Value::Object(map)) = (value, object) {
        map.insert(key.to_owned(), value);
    }
}

/// An object without entries.
pub(super) fn empty() -> Value {
    Value::Object(Map::new())
}

/// Tags or parameters as the server lists them.
pub(super) fn pair_list(pairs: &[(String, String)]) -> Vec<Value> {
    pairs
        .iter()
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect()
}

/// Sets a tag in a list of pairs.
pub(super) fn set_pair(pairs: &mut Vec<(String, String)>, key: &str, value: &str) {
    match pairs.iter_mut().find(|(name, _)| name == key) {
        Some(pair) => value.clone_into(&mut pair.1),
        None => pairs.push((key.to_owned(), value.to_owned())),
    }
}
