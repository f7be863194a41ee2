//! Resource references of the v1beta1 API.

use serde_json::Value;

use super::answer::Message;
use super::call::Json;

/// A reference as servers write it; an empty id is left out.
pub(super) fn reference(kind: &str, id: &str, relationship: &str) -> Value {
    let key = Message::new().text("type", kind).text("id", id).done();
    Message::new()
        .value("key", key)
        .text("relationship", relationship)
        .done()
}

/// The id of the first reference of a kind in a request.
pub(super) fn referred<'a>(body: &'a Value, kind: &str) -> &'a str {
    let references = body
        .items("resource_references")
        .iter()
        .filter_map(|reference| reference.get("key"));
    references
        .into_iter()
        .find(|key| key.text("type") == kind)
        .map_or("", |key| key.text("id"))
}

/// The namespace that a request names.
pub(super) fn namespace_of(body: &Value) -> &str {
    referred(body, "NAMESPACE")
}
