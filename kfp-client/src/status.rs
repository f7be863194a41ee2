//! The error object inside resources and answers.

use serde::{Deserialize, Serialize};

use crate::wire;

/// A `google.rpc.Status`: how the server writes an error into a resource.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// gRPC code; 0 means no error.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "wire::is_default"
    )]
    pub code: i32,
    /// The whole text, with every layer it went through.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "wire::is_default"
    )]
    pub message: String,
    /// Further objects, as the server wrote them.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub details: Vec<serde_json::Value>,
}

impl Status {
    /// The short text meant for users: that of the first detail, otherwise the first line of the message.
    pub fn short_message(&self) -> &str {
        let detail = self.details.first().and_then(|detail| detail.get("message")?.as_str());
        let text = detail
            .filter(|text| self.code != 13 && !text.is_empty())
            .unwrap_or(&self.message);
        text.lines().next().unwrap_or_default()
    }
}
