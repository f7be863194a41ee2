//! The configuration object of a page.

use serde_json::{Map, Value};

use crate::error::{Error, UnsafeReason, one_line};
use crate::handler::Submission;
use crate::page::Page;

/// Members that a later step of the same page needs.
const KEPT: [&str; 9] = [
    "urlPost",
    "urlEndAuth",
    "sFTName",
    "sFT",
    "sCtx",
    "canary",
    "sessionId",
    "sPOST_Username",
    "pgid",
];

pub(super) struct Config(Map<String, Value>);

impl Config {
    /// `None` for a page that is none of Entra ID's.
    pub(super) fn of(page: &Page) -> Option<Self> {
        let Value::Object(members) = page.script_value("$Config=")? else {
            return None;
        };
        members
            .get("pgid")
            .is_some_and(Value::is_string)
            .then_some(Self(members))
    }

    /// What [`kept`](Self::kept) made.
    pub(super) fn from_note(note: &str) -> Option<Self> {
        serde_json::from_str(note).ok().map(Self)
    }

    /// For the notes of the login: the answer to a call has another address, so the form's is made absolute.
    pub(super) fn kept(&self, page: &Page) -> String {
        let mut kept = Map::new();
        for name in KEPT {
            let text = self.text(name);
            let value = match page.join(text) {
                Some(url) if name.starts_with("url") && !text.is_empty() => url.to_string(),
                _ => text.to_owned(),
            };
            kept.insert(name.to_owned(), value.into());
        }
        Value::Object(kept).to_string()
    }

    /// A text; empty where it is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A number as text, whether the page holds it as one or as the other.
    pub(super) fn number(&self, name: &str) -> String {
        match self.0.get(name) {
            Some(Value::Number(number)) => number.to_string(),
            _ => self.text(name).to_owned(),
        }
    }

    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(super) fn flow_token_name(&self) -> &str {
        match self.text("sFTName") {
            "" => "flowToken",
            name => name,
        }
    }

    /// What the page says to people, as one line.
    pub(super) fn message(&self) -> String {
        ["strServiceExceptionMessage", "sErrTxt", "strMainMessage"]
            .iter()
            .map(|name| one_line(self.text(name)))
            .find(|text| !text.is_empty())
            .unwrap_or_else(|| "without further words".to_owned())
    }

    /// The form that the script makes up, still empty.
    pub(super) fn post(&self, page: &Page) -> Result<Submission, Error> {
        let action = self.text("urlPost");
        match page.join(action) {
            Some(target) if !action.is_empty() => Ok(Submission::post(target)),
            _ => Err(Error::UnsafeTarget {
                origin: "no URL".to_owned(),
                reason: UnsafeReason::Scheme,
            }),
        }
    }
}
