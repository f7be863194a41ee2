//! Parameters and artifacts: what goes in and comes out.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, Unexpected},
};
use serde_json::Value;

use crate::message::{Plain, message};

/// A number that may also be written as text, and then may hold placeholders.
///
/// It is read from a number with a fraction of zero too, which the compiler of KFP 1 writes for `factor`; Argo takes no
/// other fraction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum IntOrText {
    /// A number.
    Int(i64),
    /// Text.
    Text(String),
}

impl Plain for IntOrText {}

impl<'de> Deserialize<'de> for IntOrText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = IntOrText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number or a text")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<IntOrText, E> {
                Ok(IntOrText::Int(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<IntOrText, E> {
                let number =
                    i64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))?;
                Ok(IntOrText::Int(number))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<IntOrText, E> {
                // Doubles are exact up to here.
                if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 {
                    #[allow(clippy::cast_possible_truncation, reason = "it is a whole number within the range")]
                    return Ok(IntOrText::Int(number as i64));
                }
                Err(E::invalid_value(Unexpected::Float(number), &self))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<IntOrText, E> {
                Ok(IntOrText::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl IntOrText {
    /// The number, also if it is written as text.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }
}

impl From<i64> for IntOrText {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<&str> for IntOrText {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

message! {
    /// Parameters and artifacts: the arguments of a workflow or a task, the inputs or the outputs of a template.
    pub struct Arguments {
        /// Parameters.
        parameters: Vec<Parameter>,
        /// Artifacts.
        artifacts: Vec<Artifact>,
    }
}

message! {
    /// A parameter: a text, which documents may also write as a number.
    pub struct Parameter {
        /// Name.
        name: String,
        /// Value. An empty text is one too.
        value: Option<Value>,
        /// Value if none is given.
        default: Option<Value>,
        /// Where the value comes from.
        #[serde(rename = "valueFrom")]
        value_from: Option<ValueFrom>,
        /// Name under which the whole workflow knows it.
        #[serde(rename = "globalName")]
        global_name: String,
        /// Values that are allowed.
        #[serde(rename = "enum")]
        allowed: Vec<Value>,
        /// Free text.
        description: String,
    }
}

impl Parameter {
    /// A parameter of this name, without a value.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// Its value.
    #[must_use]
    pub fn value(mut self, value: impl Into<String>) -> Self {
        self.value = Some(Value::String(value.into()));
        self
    }

    /// Whether it has a value without being given one.
    pub(super) fn is_set(&self) -> bool {
        self.value.is_some() || self.default.is_some() || self.value_from.is_some()
    }
}

message! {
    /// Where the value of a parameter comes from.
    pub struct ValueFrom {
        /// A file of the container.
        path: String,
        /// An output of a task, e.g. `{{tasks.train.outputs.parameters.score}}`.
        parameter: String,
        /// An expression that makes it.
        expression: String,
        /// A path in the resource that was made.
        #[serde(rename = "jsonPath")]
        json_path: String,
        /// Value if there is none.
        default: Option<Value>,
    }
}

message! {
    /// An artifact: a file or a folder.
    pub struct Artifact {
        /// Name.
        name: String,
        /// Where it is in the container.
        path: String,
        /// The output of a task, e.g. `{{tasks.train.outputs.artifacts.model}}`.
        from: String,
        /// Whether it may be missing.
        optional: bool,
        /// The content itself.
        raw: Option<RawArtifact>,
        /// Where it is kept.
        s3: Option<Value>,
        /// How it is packed; `{"none": {}}` for not at all.
        archive: Option<Value>,
    }
}

message! {
    /// The content of an artifact.
    pub struct RawArtifact {
        /// Text.
        data: String,
    }
}
