//! Reading request messages as the gateway's JSON mapping does.
//!
//! Field names are taken in `snake_case` and in camelCase, enum values as names or numbers, 64-bit integers as numbers or
//! texts, `null` as unset. Decoded messages hold `snake_case` keys only.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Generation;

/// The type of a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    Int32,
    Int64,
    Bool,
    Double,
    Time,
    /// Its own name, and names by number; number 0 is first.
    Enum(&'static str, &'static [(&'static str, i64)]),
    Message(&'static Schema),
    List(&'static Self),
    Map(&'static Self),
    /// `google.protobuf.Struct`: any object.
    Struct,
    /// `google.protobuf.Value`: anything.
    Any,
}

/// The fields of a message, and groups of which only one may be set.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) name: &'static str,
    pub(super) fields: &'static [(&'static str, Kind)],
    /// Fields that older servers do not have, with the first generation that does.
    pub(super) later: &'static [(&'static str, Generation)],
    pub(super) one_of: &'static [(&'static str, &'static [&'static str])],
}

impl Schema {
    /// The field that a key of JSON stands for, if a server of this generation knows it.
    fn field(&self, key: &str, generation: Generation) -> Option<(&'static str, Kind)> {
        let (name, kind) = self
            .fields
            .iter()
            .find(|(name, _)| *name == key || camel(name) == key)?;
        let since = self.later.iter().find(|(later, _)| later == name);
        since
            .is_none_or(|(_, since)| generation >= *since)
            .then_some((*name, *kind))
    }
}

/// How strictly to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    /// The text that is being read, to name positions in it.
    pub(super) source: &'a str,
    /// Unknown fields are errors.
    pub(super) strict: bool,
    /// Errors in protojson's words, otherwise in jsonpb's.
    pub(super) protojson: bool,
    /// Whose fields are known.
    pub(super) generation: Generation,
}

impl Reader<'_> {
    /// Decodes a message.
    pub(super) fn message(&self, schema: &'static Schema, value: &Value) -> Result<Value, String> {
        let Some(object) = value.as_object() else {
            return Err(self.trouble("", &format!("syntax error: unexpected token {value}")));
        };
        let mut out = Map::new();
        for (key, value) in object {
            let Some((name, kind)) = schema.field(key, self.generation) else {
                if self.strict {
                    return Err(self.unknown(schema, key));
                }
                continue;
            };
            if value.is_null() && !matches!(kind, Kind::Any) {
                continue;
            }
            let rival = schema.one_of.iter().find(|(_, members)| members.contains(&name));
            if let Some((group, members)) = rival
                && self.protojson
                && members
                    .iter()
                    .any(|member| *member != name && out.contains_key(*member))
            {
                let text = format!("error parsing {key:?}, oneof {}.{group} is already set", schema.name);
                return Err(self.trouble(key, &text));
            }
            out.insert(name.to_owned(), self.field(name, kind, value)?);
        }
        Ok(Value::Object(out))
    }

    fn field(&self, name: &str, kind: Kind, value: &Value) -> Result<Value, String> {
        let wrong = |what: &str| Err(self.wrong(name, what, value));
        match kind {
            Kind::Text => value.as_str().map_or_else(|| wrong("string"), |text| Ok(text.into())),
            Kind::Bool => value.as_bool().map_or_else(|| wrong("bool"), |flag| Ok(flag.into())),
            Kind::Double => {
                let number = value
                    .as_f64()
                    .or_else(|| value.as_str().and_then(|text| text.parse().ok()));
                number.map_or_else(|| wrong("double"), |number| Ok(plain_number(number)))
            }
            Kind::Int32 => match whole(value).filter(|n| i32::try_from(*n).is_ok()) {
                Some(number) => Ok(number.into()),
                None => wrong("int32"),
            },
            Kind::Int64 => whole(value).map_or_else(|| wrong("int64"), |number| Ok(number.into())),
            Kind::Time => match value.as_str().and_then(|text| text.parse::<Timestamp>().ok()) {
                Some(_) => Ok(value.clone()),
                None => Err(self.trouble_at(value, &format!("invalid google.protobuf.Timestamp value {value}"))),
            },
            Kind::Enum(kind, names) => self.enumeration(name, kind, names, value),
            Kind::Message(schema) => self.message(schema, value),
            Kind::List(element) => {
                let Some(list) = value.as_array() else {
                    return wrong("repeated");
                };
                list.iter().map(|value| self.field(name, *element, value)).collect()
            }
            Kind::Map(element) => {
                let Some(map) = value.as_object() else {
                    return wrong("map");
                };
                let pairs = map
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), self.field(name, *element, value)?)));
                pairs.collect::<Result<Map<_, _>, String>>().map(Value::Object)
            }
            Kind::Struct if !value.is_object() => wrong("message"),
            Kind::Struct | Kind::Any => Ok(doubles(value)),
        }
    }

    /// An unknown name is an error, an unknown number is taken as unset.
    fn enumeration(&self, name: &str, kind: &str, names: &[(&str, i64)], value: &Value) -> Result<Value, String> {
        let wrong = || {
            if self.protojson {
                return self.wrong(name, "enum", value);
            }
            let raw = value.to_string();
            format!("unknown value {raw:?} for enum {kind}")
        };
        let zero = names.first().map_or("", |(first, _)| first);
        if let Some(text) = value.as_str() {
            return match names.iter().find(|(known, _)| *known == text) {
                Some((known, _)) => Ok((*known).into()),
                None => Err(wrong()),
            };
        }
        match value.as_i64() {
            Some(number) => Ok(names
                .iter()
                .find(|(_, n)| *n == number)
                .map_or(zero, |(known, _)| known)
                .into()),
            None => Err(wrong()),
        }
    }

    fn unknown(&self, schema: &Schema, key: &str) -> String {
        if self.protojson {
            self.trouble(key, &format!("unknown field {key:?}"))
        } else {
            format!("unknown field {key:?} in {}", schema.name)
        }
    }

    fn wrong(&self, name: &str, what: &str, value: &Value) -> String {
        if self.protojson {
            self.trouble_at(
                value,
                &format!("invalid value for {what} field {}: {value}", camel(name)),
            )
        } else {
            format!("json: cannot unmarshal {} into Go value of type {what}", kind_of(value))
        }
    }

    fn trouble(&self, key: &str, text: &str) -> String {
        self.positioned(&format!("{key:?}"), text)
    }

    fn trouble_at(&self, value: &Value, text: &str) -> String {
        self.positioned(&value.to_string(), text)
    }

    fn positioned(&self, needle: &str, text: &str) -> String {
        let column = self.source.find(needle).map_or(1, |at| at + 1);
        format!("proto: (line 1:{column}): {text}")
    }
}

fn whole(value: &Value) -> Option<i64> {
    value
        .as_i64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// `pipeline_spec` as `pipelineSpec`.
pub(super) fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut up = false;
    for letter in name.chars() {
        if letter == '_' {
            up = true;
        } else if up {
            out.extend(letter.to_uppercase());
            up = false;
        } else {
            out.push(letter);
        }
    }
    out
}

/// Numbers inside `Struct` and `Value` are doubles: large integers lose digits, `10.0` comes back as `10`.
pub(super) fn doubles(value: &Value) -> Value {
    match value {
        Value::Number(number) => plain_number(number.as_f64().unwrap_or_default()),
        Value::Array(list) => list.iter().map(doubles).collect(),
        Value::Object(map) => Value::Object(map.iter().map(|(key, value)| (key.clone(), doubles(value))).collect()),
        other => other.clone(),
    }
}

/// A double, written without a fraction when it has none.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the bounds are checked, and below them a double is exact enough"
)]
pub(super) fn plain_number(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 9.2e18 {
        (number as i64).into()
    } else {
        number.into()
    }
}
