//! Argo's `{{variables}}`, and the expressions of `when` and `depends`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::values::{Outcome, text_of};

/// What `{{names}}` stand for.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    texts: BTreeMap<String, String>,
    artifacts: BTreeMap<String, Value>,
}

impl Variables {
    pub(super) fn insert(&mut self, name: &str, value: &str) {
        self.texts.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn insert_artifact(&mut self, name: &str, artifact: &Value) {
        self.artifacts.insert(name.to_owned(), artifact.clone());
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// The artifact that `{{tasks.a.outputs.artifacts.b}}` names.
    pub(super) fn artifact(&self, reference: &str) -> Option<Value> {
        let name = reference.trim().trim_start_matches("{{").trim_end_matches("}}").trim();
        self.artifacts.get(name).cloned()
    }

    /// Status and outputs of a task that has ended.
    pub(super) fn add_outcome(&mut self, prefix: &str, outcome: &Outcome) {
        let status = match outcome {
            Outcome::Succeeded(_) => "Succeeded",
            Outcome::Failed(_) => "Failed",
            Outcome::Skipped => "Skipped",
        };
        self.insert(&format!("{prefix}.status"), status);
        let Some(values) = outcome.values() else { return };
        for (name, value) in &values.parameters {
            self.insert(&format!("{prefix}.outputs.parameters.{name}"), &text_of(value));
        }
        for (name, list) in &values.artifacts {
            if let Some(artifact) = list.first() {
                self.insert_artifact(&format!("{prefix}.outputs.artifacts.{name}"), artifact);
            }
        }
    }

    /// Replaces all known variables.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("{{") {
            let (before, from) = rest.split_at(at);
            out.push_str(before);
            let Some(end) = from.find("}}") else {
                rest = from;
                break;
            };
            let (mark, tail) = from.split_at(end + 2);
            let name = mark.trim_start_matches("{{").trim_end_matches("}}").trim();
            out.push_str(self.get(name).unwrap_or(mark));
            rest = tail;
        }
        out.push_str(rest);
        out
    }
}

/// The tasks that a `depends` names.
pub(super) fn names(depends: &str) -> Vec<String> {
    let plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let words = depends
        .split(|letter: char| !plain(letter))
        .filter(|word| !word.is_empty());
    words
        .map(|word| word.split('.').next().unwrap_or_default().to_owned())
        .collect()
}

/// Whether a `depends` holds of tasks that have ended; an empty one does.
pub(super) fn depends(text: &str, results: &BTreeMap<String, Outcome>) -> bool {
    evaluate(text, &|word: &str| {
        let (name, wanted) = word.split_once('.').unwrap_or((word, ""));
        let outcome = results.get(name);
        match wanted {
            "Succeeded" => matches!(outcome, Some(Outcome::Succeeded(_))),
            "Failed" | "Errored" => matches!(outcome, Some(Outcome::Failed(_))),
            "Skipped" | "Omitted" => matches!(outcome, Some(Outcome::Skipped)),
            _ => matches!(outcome, Some(Outcome::Succeeded(_) | Outcome::Skipped)),
        }
    })
}

/// Whether a `when` holds, its variables filled in; an empty one does.
pub(super) fn when(text: &str) -> bool {
    evaluate(text, &comparison)
}

/// `||`, `&&`, `!` and parentheses over words that `holds` decides.
fn evaluate(text: &str, holds: &dyn Fn(&str) -> bool) -> bool {
    let text = text.trim();
    if text.is_empty() {
        return true;
    }
    for mark in ["||", "&&"] {
        let parts = split_outside(text, mark);
        if parts.len() > 1 {
            return if mark == "||" {
                parts.iter().any(|part| evaluate(part, holds))
            } else {
                parts.iter().all(|part| evaluate(part, holds))
            };
        }
    }
    if let Some(rest) = text.strip_prefix('!').filter(|rest| !rest.starts_with('=')) {
        return !evaluate(rest, holds);
    }
    match text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => evaluate(inner, holds),
        None => holds(text),
    }
}

/// Splits at a mark that stands outside parentheses and quotes.
fn split_outside<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    let mut quote = None;
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, _) if depth == 0 && at >= start && text.get(at..).is_some_and(|rest| rest.starts_with(mark)) => {
                parts.push(text.get(start..at).unwrap_or_default());
                start = at + mark.len();
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

fn comparison(text: &str) -> bool {
    for mark in ["==", "!=", "<=", ">=", "<", ">"] {
        let parts = split_outside(text, mark);
        if let [left, right] = parts.as_slice() {
            let plain = |side: &str| {
                side.trim()
                    .trim_matches(|letter| matches!(letter, '"' | '\''))
                    .to_owned()
            };
            let (left, right) = (plain(left), plain(right));
            let numbers = left.parse::<f64>().ok().zip(right.parse::<f64>().ok());
            let order = numbers
                .and_then(|(left, right)| left.partial_cmp(&right))
                .unwrap_or_else(|| left.cmp(&right));
            return match mark {
                "==" => order.is_eq(),
                "!=" => order.is_ne(),
                "<=" => order.is_le(),
                ">=" => order.is_ge(),
                "<" => order.is_lt(),
                _ => order.is_gt(),
            };
        }
    }
    text.trim() == "true"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::values::{Outcome, Values};
    use super::{depends, names, when};

    #[test]
    fn when_compares_texts_and_numbers() {
        for text in [
            "",
            "\"a\" == \"a\"",
            "a == a && 2 < 10",
            "(a == b) || !(1 > 2)",
            "'x && y' != x",
        ] {
            assert!(when(text), "{text}");
        }
        for text in ["a == b", "10 < 9", "false"] {
            assert!(!when(text), "{text}");
        }
    }

    #[test]
    fn depends_looks_at_results() {
        let results = BTreeMap::from([
            ("a".to_owned(), Outcome::Succeeded(Values::default())),
            ("b-2".to_owned(), Outcome::Failed(String::new())),
        ]);
        assert!(depends("a && (b-2.Failed || b-2.Errored)", &results));
        assert!(!depends("a.Succeeded && b-2", &results));
        assert_eq!(names("a && (b-2.Failed || !c.Skipped)"), ["a", "b-2", "c"]);
    }
}
