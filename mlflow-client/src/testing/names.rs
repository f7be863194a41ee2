//! Which names and values the server accepts.

use super::answer::{Handled, Refusal};
use super::state::Generation;

/// Longest key of a metric, parameter or tag, in characters.
const KEY: usize = 250;

pub(super) fn length(path: &str, text: &str, limit: usize) -> Handled<()> {
    if text.chars().count() > limit {
        return Err(Refusal::invalid(format!(
            "'{path}' exceeds the maximum length of {limit} characters"
        )));
    }
    Ok(())
}

/// Checks the key of a metric, parameter or tag: its characters, and that it is a normal path.
pub(super) fn key(path: &str, key: &str) -> Handled<()> {
    let good = |c: char| c.is_alphanumeric() || matches!(c, '/' | '_' | '.' | '-' | ' ' | ':');
    if !key.strip_suffix('\n').unwrap_or(key).chars().all(good) {
        return Err(Refusal::invalid(format!(
            "Invalid value \"{key}\" for parameter '{path}' supplied: Names may only contain alphanumerics, underscores \
             (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/)."
        )));
    }
    let odd = key.starts_with("..") || key.split('/').any(|part| matches!(part, "" | "." | ".."));
    if odd {
        return Err(Refusal::invalid(format!(
            "Invalid value \"{key}\" for parameter '{path}' supplied: Names may be treated as files in certain cases, and \
             must not resolve to other names when treated as such."
        )));
    }
    length(path, key, KEY)
}

/// The first characters of a text: what is longer is cut without a word.
pub(super) fn cut(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

/// Checks a tag of the registry.
pub(super) fn registry_tag(tag: &str, value: &str) -> Handled<()> {
    key("key", tag)?;
    length("value", value, 100_000)
}

/// Checks a tag of an experiment.
pub(super) fn experiment_tag(tag: &str, value: &str) -> Handled<()> {
    key("key", tag)?;
    length("value", value, 20_000)
}

/// Checks a name of a model where version 2 takes any that is not empty.
pub(super) fn model_of(generation: Generation, name: &str) -> Handled<()> {
    if generation.is_3() || name.is_empty() {
        model(name)
    } else {
        Ok(())
    }
}

pub(super) fn model(name: &str) -> Handled<()> {
    if name.trim().is_empty() {
        return Err(Refusal::invalid("Registered model name cannot be empty."));
    }
    if name.contains(['/', ':']) || name == "." || name == ".." {
        return Err(Refusal::invalid(format!(
            "Invalid name: {name}. Registered model name cannot contain path separators or colons and must not resolve to other names."
        )));
    }
    Ok(())
}

pub(super) fn alias(alias: &str) -> Handled<()> {
    if alias.is_empty() || !alias.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-')) {
        return Err(Refusal::invalid(format!(
            "Invalid value \"{alias}\" for parameter 'alias' supplied: Names may only contain alphanumerics, underscores (_), and dashes (-)."
        )));
    }
    length("alias", alias, 255)?;
    let lower = alias.to_lowercase();
    let numbered = lower
        .strip_prefix('v')
        .is_some_and(|rest| !rest.is_empty() && rest.chars().all(char::is_numeric));
    if lower == "latest" {
        return Err(Refusal::invalid("'latest' alias name (case insensitive) is reserved."));
    }
    if numbered {
        return Err(Refusal::invalid(format!("Version alias name '{alias}' is reserved.")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_normal_paths_of_known_characters() {
        for good in ["loss", "train/loss", "a b", "ü:1", "a.b", ".hidden", "a-b_c", "a/.../b"] {
            assert!(key("key", good).is_ok(), "{good}");
        }
        for bad in [
            "", "/a", "a/", "a//b", ".", "..", "...", "a/../b", "a$", "a\"b", "a/./b",
        ] {
            assert!(key("key", bad).is_err(), "{bad}");
        }
        assert!(key("key", &"k".repeat(250)).is_ok());
        assert!(key("key", &"k".repeat(251)).is_err());
    }

    #[test]
    fn some_aliases_are_reserved() {
        for bad in ["latest", "Latest", "v1", "V22", "a b", "a/b", ""] {
            assert!(alias(bad).is_err(), "{bad}");
        }
        for good in ["champion", "v1a", "ü", "v"] {
            assert!(alias(good).is_ok(), "{good}");
        }
    }
}
