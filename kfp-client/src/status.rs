//! The error object inside resources and answers.

use crate::message::message;

message! {
    /// A `google.rpc.Status`: how the server writes an error into a resource.
    pub struct Status {
        /// gRPC code; 0 means no error.
        code: i32,
        /// The whole text, with every layer it went through.
        message: String,
        /// Further objects, as the server wrote them.
        details: Vec<serde_json::Value>,
    }
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
