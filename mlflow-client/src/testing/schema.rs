//! How the server reads a request: loosely into a message, then a check of the names it requires.

use super::answer::{Handled, Refusal};
use super::json::Json;
use super::state::Generation;

/// The type of a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    Int,
    Float,
    Bool,
    /// Names with their numbers.
    Enum(&'static [(&'static str, i64)]),
    Message(&'static [Field]),
}

/// Whether the server checks a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// Never.
    None,
    /// Its type, but only after the message could not be read in full.
    Type,
    /// Its type, and that it is there.
    Required,
}

/// A field of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    name: &'static str,
    kind: Kind,
    repeated: bool,
    check: Check,
}

impl Field {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            repeated: false,
            check: Check::Type,
        }
    }

    pub(super) const fn text(name: &'static str) -> Self {
        Self::new(name, Kind::Text)
    }

    pub(super) const fn int(name: &'static str) -> Self {
        Self::new(name, Kind::Int)
    }

    pub(super) const fn float(name: &'static str) -> Self {
        Self::new(name, Kind::Float)
    }

    pub(super) const fn bool(name: &'static str) -> Self {
        Self::new(name, Kind::Bool)
    }

    pub(super) const fn choice(name: &'static str, names: &'static [(&'static str, i64)]) -> Self {
        Self::new(name, Kind::Enum(names))
    }

    pub(super) const fn message(name: &'static str, fields: &'static [Self]) -> Self {
        Self::new(name, Kind::Message(fields))
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    pub(super) const fn is_list(&self) -> bool {
        self.repeated
    }

    pub(super) const fn list(self) -> Self {
        Self { repeated: true, ..self }
    }

    pub(super) const fn required(self) -> Self {
        Self {
            check: Check::Required,
            ..self
        }
    }

    pub(super) const fn unchecked(self) -> Self {
        Self {
            check: Check::None,
            ..self
        }
    }
}

/// Reading stopped: this field and all later ones are lost.
struct Stop;

/// Reads a request body or query into a message.
pub(super) fn read(raw: &Json, fields: &[Field], generation: Generation) -> Handled<Json> {
    for field in fields.iter().filter(|_| generation.is_3()) {
        let camel = camel(field.name);
        if camel != field.name && raw.get(field.name).is_some() && raw.get(&camel).is_some() {
            return Err(Refusal::invalid(format!(
                "Both '{}' and '{camel}' were given.",
                field.name
            )));
        }
    }
    let mut message = Vec::new();
    let complete = fill(raw, fields, &mut message).is_ok();
    for field in fields {
        let mut value = raw.get(field.name);
        if field.check == Check::None || (value.is_none() && field.check == Check::Type) {
            continue;
        }
        if field.name == "run_id" && matches!(value, None | Some(Json::Null)) {
            value = raw.get("run_uuid");
        }
        if field.check == Check::Required {
            let missing = match value {
                None | Some(Json::Null) => true,
                Some(Json::Text(text)) => text.is_empty(),
                Some(_) => false,
            };
            if missing {
                return Err(Refusal::required(field.name));
            }
        }
        let compound = matches!(value, Some(Json::List(_) | Json::Object(_)));
        if !complete && !field.repeated && compound && matches!(field.kind, Kind::Int | Kind::Float) {
            // The check itself fails.
            return Err(Refusal::Page(500));
        }
        // Version 2 does not check this one, and then looks for an experiment without an id.
        if field.name == "experiment_id" && field.check == Check::Required && !generation.is_3() {
            continue;
        }
        if !complete && !value.is_some_and(|value| right_type(value, field)) {
            return Err(Refusal::invalid(format!(
                "Invalid value for parameter '{}' supplied. See the API docs for more information about request parameters.",
                field.name
            )));
        }
    }
    Ok(Json::Object(message))
}

fn right_type(value: &Json, field: &Field) -> bool {
    if field.repeated {
        return matches!(value, Json::List(_));
    }
    match (field.kind, value) {
        (Kind::Text | Kind::Enum(_), Json::Text(_))
        | (Kind::Int | Kind::Float, Json::Int(_) | Json::Float(_) | Json::Bool(_))
        | (Kind::Bool, Json::Bool(_))
        | (Kind::Message(_), Json::Object(_)) => true,
        (Kind::Int, Json::Text(text)) => text.trim().parse::<i128>().is_ok(),
        (Kind::Float, Json::Text(text)) => text.trim().parse::<f64>().is_ok(),
        _ => false,
    }
}

fn fill(raw: &Json, fields: &[Field], message: &mut Vec<(String, Json)>) -> Result<(), Stop> {
    let Json::Object(entries) = raw else { return Err(Stop) };
    for (name, value) in entries {
        let Some(field) = fields
            .iter()
            .find(|field| field.name == name || camel(field.name) == *name)
        else {
            continue;
        };
        if *value == Json::Null {
            continue;
        }
        if !field.repeated {
            match field.kind {
                Kind::Message(inner) => {
                    let mut part = Vec::new();
                    let result = fill(value, inner, &mut part);
                    message.push((field.name.to_owned(), Json::Object(part)));
                    result?;
                }
                _ => {
                    if let Some(value) = scalar(value, field.kind)? {
                        message.push((field.name.to_owned(), value));
                    }
                }
            }
            continue;
        }
        let Json::List(raw_items) = value else { return Err(Stop) };
        let mut items = Vec::new();
        let mut result = Ok(());
        for item in raw_items {
            result = match field.kind {
                Kind::Message(inner) => {
                    let mut part = Vec::new();
                    let result = fill(item, inner, &mut part);
                    items.push(Json::Object(part));
                    result
                }
                kind => scalar(item, kind).map(|value| items.extend(value)),
            };
            if result.is_err() {
                break;
            }
        }
        message.push((field.name.to_owned(), Json::List(items)));
        result?;
    }
    Ok(())
}

fn scalar(value: &Json, kind: Kind) -> Result<Option<Json>, Stop> {
    let read = match (kind, value) {
        (Kind::Text, Json::Text(_)) | (Kind::Bool, Json::Bool(_)) | (Kind::Int, Json::Int(_)) => Some(value.clone()),
        (Kind::Int, Json::Float(number)) => whole(*number).map(Json::Int),
        (Kind::Int, Json::Text(text)) => text.parse().ok().map(Json::Int),
        (Kind::Float, Json::Bool(flag)) => Some(Json::Float(f64::from(u8::from(*flag)))),
        #[expect(clippy::cast_precision_loss, reason = "the server does the same")]
        (Kind::Float, Json::Int(number)) => Some(Json::Float(*number as f64)),
        (Kind::Float, Json::Float(number)) => number.is_finite().then_some(Json::Float(*number)),
        (Kind::Float, Json::Text(text)) => float_text(text).map(Json::Float),
        (Kind::Enum(names), Json::Text(text)) => return Ok(enum_name(names, text)),
        // A number without a name is refused.
        (Kind::Enum(names), Json::Int(number)) => enum_number(names, *number),
        _ => None,
    };
    read.map(Some).ok_or(Stop)
}

/// The text of a number that is not finite is spelled with capitals, except for `inf`.
fn float_text(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        _ => text.parse::<f64>().ok().filter(|number| !number.is_nan()),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9.2e18).then_some(number as i64)
}

fn enum_name(names: &[(&str, i64)], text: &str) -> Option<Json> {
    if names.iter().any(|(name, _)| *name == text) {
        return Some(Json::Text(text.to_owned()));
    }
    enum_number(names, text.parse().ok()?)
}

fn enum_number(names: &[(&str, i64)], number: i64) -> Option<Json> {
    names
        .iter()
        .find(|(_, known)| *known == number)
        .map(|(name, _)| Json::Text((*name).to_owned()))
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut text = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut chars = word.chars();
        text.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        text.push_str(chars.as_str());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRIC: &[Field] = &[
        Field::text("run_id").required(),
        Field::float("value").required(),
        Field::int("timestamp").required(),
    ];

    fn message(text: &str) -> Handled<Json> {
        read(&Json::parse(text).unwrap(), METRIC, Generation::Three)
    }

    #[test]
    fn a_bad_value_loses_itself_and_what_follows() {
        let read = message(r#"{"run_id":"r","value":NaN,"timestamp":2}"#).unwrap();
        assert_eq!(
            (read.text("run_id"), read.get("value"), read.int("timestamp")),
            ("r", None, None)
        );
        let read = message(r#"{"run_id":"r","timestamp":2,"value":NaN}"#).unwrap();
        assert_eq!(read.int("timestamp"), Some(2));
        let read = message(r#"{"run_id":"r","value":"-Infinity","timestamp":"2"}"#).unwrap();
        assert_eq!(
            (read.float("value"), read.int("timestamp")),
            (f64::NEG_INFINITY, Some(2))
        );
    }

    #[test]
    fn types_are_checked_only_when_reading_failed() {
        assert!(message(r#"{"run_id":"r","value":1,"timestamp":"x"}"#).is_err());
        assert!(message(r#"{"run_id":7,"value":1,"timestamp":1}"#).is_err());
        assert!(message(r#"{"run_id":"r","value":1}"#).is_err());
        assert!(message(r#"{"run_id":"r","value":1,"timestamp":1.5}"#).is_ok());
    }
}
