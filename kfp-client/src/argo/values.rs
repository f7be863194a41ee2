//! Parameters and artifacts: what goes in and comes out.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::message::{Plain, message};

/// A number that may also be written as text, and then may hold placeholders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum IntOrText {
    /// A number.
    Int(i64),
    /// Text.
    Text(String),
}

impl Plain for IntOrText {}

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
