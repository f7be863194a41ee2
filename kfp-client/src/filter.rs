//! Filters of lists.

pub(crate) mod keys;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Conditions on a list, all of which must hold.
///
/// Keys are the resource's field names (`display_name`, `state`, `storage_state`, `created_at`, ...; experiments,
/// runs and pipelines have their own sets, see [`ListKeys`](crate::ListKeys); another key is refused). Text is compared
/// by the server's database, which usually ignores case.
///
/// ```
/// use kfp_client::Filter;
///
/// let filter = Filter::new().equals("state", "RUNNING").contains("display_name", "fraud");
/// # let _ = filter;
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    predicates: Vec<Value>,
}

impl Filter {
    /// No condition.
    pub fn new() -> Self {
        Self::default()
    }

    /// The field is this text.
    #[must_use]
    pub fn equals(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.predicate("EQUALS", key, "string_value", value.into().into())
    }

    /// The field is not this text.
    #[must_use]
    pub fn not_equals(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.predicate("NOT_EQUALS", key, "string_value", value.into().into())
    }

    /// The field contains this text. `_` stands for any character and `%` for any number of them.
    #[must_use]
    pub fn contains(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.predicate("IS_SUBSTRING", key, "string_value", value.into().into())
    }

    /// The field is one of these texts, of which there must be at least one.
    #[must_use]
    pub fn one_of(self, key: impl Into<String>, values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        self.predicate("IN", key, "string_values", json!({ "values": values }))
    }

    /// The time is this one or later, compared in seconds.
    #[must_use]
    pub fn since(self, key: impl Into<String>, time: Timestamp) -> Self {
        self.predicate("GREATER_THAN_EQUALS", key, "timestamp_value", time.to_string().into())
    }

    /// The time is earlier than this one, compared in seconds.
    #[must_use]
    pub fn before(self, key: impl Into<String>, time: Timestamp) -> Self {
        self.predicate("LESS_THAN", key, "timestamp_value", time.to_string().into())
    }

    /// The field is this 32-bit integer; of a time, seconds since 1970.
    #[must_use]
    pub fn equals_int(self, key: impl Into<String>, value: i32) -> Self {
        self.predicate("EQUALS", key, "int_value", value.into())
    }

    /// The field is this 64-bit integer; of a time, seconds since 1970.
    #[must_use]
    pub fn equals_long(self, key: impl Into<String>, value: i64) -> Self {
        self.predicate("EQUALS", key, "long_value", value.to_string().into())
    }

    /// The field is one of these 32-bit integers.
    #[must_use]
    pub fn one_of_ints(self, key: impl Into<String>, values: impl IntoIterator<Item = i32>) -> Self {
        let values: Vec<i32> = values.into_iter().collect();
        self.predicate("IN", key, "int_values", json!({ "values": values }))
    }

    /// The field is one of these 64-bit integers.
    #[must_use]
    pub fn one_of_longs(self, key: impl Into<String>, values: impl IntoIterator<Item = i64>) -> Self {
        let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
        self.predicate("IN", key, "long_values", json!({ "values": values }))
    }

    /// The time is later than this one, compared in seconds.
    #[must_use]
    pub fn after(self, key: impl Into<String>, time: Timestamp) -> Self {
        self.predicate("GREATER_THAN", key, "timestamp_value", time.to_string().into())
    }

    /// The time is this one or earlier, compared in seconds.
    #[must_use]
    pub fn until(self, key: impl Into<String>, time: Timestamp) -> Self {
        self.predicate("LESS_THAN_EQUALS", key, "timestamp_value", time.to_string().into())
    }

    fn predicate(mut self, operation: &str, key: impl Into<String>, kind: &str, value: Value) -> Self {
        let mut predicate = Map::new();
        predicate.insert("operation".to_owned(), operation.into());
        predicate.insert("key".to_owned(), Value::String(key.into()));
        predicate.insert(kind.to_owned(), value);
        self.predicates.push(predicate.into());
        self
    }

    /// The value of the `filter` parameter before it is encoded as every query value is.
    ///
    /// The server unescapes the value once more after reading the query, which breaks a literal `%` or `+`; so it is
    /// escaped here once.
    pub(crate) fn encode(&self) -> String {
        if self.predicates.is_empty() {
            return String::new();
        }
        escaped(&self.predicates)
    }

    /// As [`encode`](Self::encode), in the dialect of `v1beta1`: the operation is called `op`. Either API refuses the
    /// other's name.
    pub(crate) fn encode_v1(&self) -> String {
        if self.predicates.is_empty() {
            return String::new();
        }
        let mut predicates = self.predicates.clone();
        for predicate in predicates.iter_mut().filter_map(Value::as_object_mut) {
            if let Some(operation) = predicate.remove("operation") {
                predicate.insert("op".to_owned(), operation);
            }
        }
        escaped(&predicates)
    }
}

fn escaped(predicates: &[Value]) -> String {
    let json = json!({ "predicates": predicates }).to_string();
    url::form_urlencoded::byte_serialize(json.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_being_unescaped_twice() {
        let filter = Filter::new().contains("display_name", "50%+ ü");
        let once = filter.encode();
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("filter", &once)
            .finish();
        let (_, read) = url::form_urlencoded::parse(query.as_bytes()).next().unwrap();
        let (again, _) = url::form_urlencoded::parse(read.as_bytes()).next().unwrap();
        let value: Value = serde_json::from_str(&again).unwrap();
        assert_eq!(value["predicates"][0]["string_value"], "50%+ ü");
        assert_eq!(value["predicates"][0]["operation"], "IS_SUBSTRING");
        assert_eq!(Filter::new().encode(), "");
    }

    #[test]
    fn both_dialects_differ_in_the_name_of_the_operation_alone() {
        let filter = Filter::new()
            .equals("name", "50%+")
            .one_of("status", ["Failed", "Error"])
            .equals_int("a", -1)
            .equals_long("b", 1 << 60);
        let read = |text: String| -> Value {
            let (again, _) = url::form_urlencoded::parse(text.as_bytes()).next().unwrap();
            serde_json::from_str(&again).unwrap()
        };
        let expected = |operation: &str| {
            json!({"predicates": [
                {operation: "EQUALS", "key": "name", "string_value": "50%+"},
                {operation: "IN", "key": "status", "string_values": {"values": ["Failed", "Error"]}},
                {operation: "EQUALS", "key": "a", "int_value": -1},
                {operation: "EQUALS", "key": "b", "long_value": "1152921504606846976"},
            ]})
        };
        assert_eq!(read(filter.encode()), expected("operation"));
        assert_eq!(read(filter.encode_v1()), expected("op"));
        assert_eq!(Filter::new().encode_v1(), "");
    }
}
