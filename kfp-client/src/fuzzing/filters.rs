//! Filters of lists.

use serde_json::Value;

use super::call;
use crate::{Filter, ListKeys};

/// Ends one part of an input and begins the next.
const SEPARATOR: char = '\u{1e}';

/// Every key and value of a filter comes back from what the server unescapes twice, in both dialects, and is checked.
///
/// Parts are separated by U+001E: keys and values in turn.
pub fn filter(text: &str) {
    let parts: Vec<&str> = text.split(SEPARATOR).collect();
    let mut filter = Filter::new();
    for pair in parts.chunks(2) {
        let (key, value) = (
            pair.first().copied().unwrap_or_default(),
            pair.last().copied().unwrap_or_default(),
        );
        filter = filter.contains(key, value).one_of(key, [value, key]);
    }
    let sort_by = parts.last().copied().unwrap_or_default();
    for keys in [ListKeys::RUNS, ListKeys::EXPERIMENTS, ListKeys::PIPELINES] {
        if let Err(error) = keys.check(&filter, sort_by) {
            assert!(!error.to_string().is_empty());
        }
    }
    for (encoded, operation) in [(filter.encode(), "operation"), (filter.encode_v1(), "op")] {
        let Some(call) = call(&["x"]).map(|call| call.query("filter", &encoded)) else {
            return;
        };
        let once = call.url.query_pairs().next().map(|(_, value)| value.into_owned());
        let once = once.unwrap_or_default();
        let twice = url::form_urlencoded::parse(once.as_bytes()).next();
        let read: Value = twice
            .and_then(|(json, _)| serde_json::from_str(&json).ok())
            .unwrap_or_default();
        let predicates = read.get("predicates").and_then(Value::as_array);
        let predicates = predicates.map(Vec::as_slice).unwrap_or_default();
        assert_eq!(predicates.len(), parts.chunks(2).len() * 2);
        for (two, pair) in predicates.chunks(2).zip(parts.chunks(2)) {
            let (key, value) = (pair.first().copied(), pair.last().copied());
            for predicate in two {
                assert_eq!(predicate.get("key").and_then(Value::as_str), key);
                assert!(predicate.get(operation).is_some_and(Value::is_string));
            }
            let text = two
                .first()
                .and_then(|predicate| predicate.get("string_value")?.as_str());
            assert_eq!(text, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn filters_of_any_text(parts in vec("[%+&=#? ]{0,4}|\\PC{0,12}|name|created_at", 1..8)) {
            filter(&parts.join(&SEPARATOR.to_string()));
        }
    }

    #[test]
    fn seeds_hold() {
        for seed in super::super::tests::seeds("filter") {
            filter(&String::from_utf8(seed).unwrap());
        }
    }
}
