//! What Kubernetes does to the command, the arguments and the environment of a container before it starts.

use std::collections::BTreeMap;

use serde_json::Value;

/// Replaces `$(NAME)` by that variable's value and `$$` by `$`; a name that is not known stays as it is.
pub(super) fn expand(text: &str, environment: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let after = from.get(1..).unwrap_or_default();
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|after| after.split_once(')')) {
            match environment.get(name) {
                Some(value) => out.push_str(value),
                None => out.extend(["$(", name, ")"]),
            }
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// The same in every string of a value: the launcher gets its input as an argument of the container.
pub(super) fn expand_value(value: &Value, environment: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => expand(text, environment).into(),
        Value::Array(list) => list.iter().map(|value| expand_value(value, environment)).collect(),
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| (key.clone(), expand_value(value, environment)))
                .collect(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_are_replaced_and_doubled_signs_become_one() {
        let environment = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        for (text, expanded) in [
            ("$(A) $$(A) $(B) $A $", "1 $(A) $(B) $A $"),
            ("$$$$ a$$b", "$$ a$b"),
            ("$(A", "$(A"),
            ("$((1+1))", "$((1+1))"),
            ("{{$.inputs}}", "{{$.inputs}}"),
        ] {
            assert_eq!(expand(text, &environment), expanded, "{text}");
        }
    }
}
