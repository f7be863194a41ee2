//! What the server accepts as names and values, checked before anything is sent (MLflow 3.17).
//!
//! Lengths are counted in Unicode code points, as the server does. Values that the server would cut short without
//! saying so are refused.

use crate::error::{Error, Result};

pub(crate) const BATCH_ITEMS: usize = 1000;
pub(crate) const BATCH_PARAMS: usize = 100;
pub(crate) const BATCH_TAGS: usize = 100;
/// Hosted servers refuse requests above 1 MB.
pub(crate) const BATCH_BYTES: usize = 900_000;

const KEY: usize = 250;
const PARAM_VALUE: usize = 6000;
const RUN_TAG_VALUE: usize = 8000;
const EXPERIMENT_TAG_VALUE: usize = 20_000;
const REGISTRY_TAG_VALUE: usize = 100_000;

fn longer(text: &str, limit: usize) -> bool {
    text.len() > limit && text.chars().nth(limit).is_some()
}

/// Keys of metrics, parameters and tags.
pub(crate) fn key(field: &'static str, key: &str) -> Result<()> {
    let allowed = |c: char| c.is_alphanumeric() || "_/.- :".contains(c);
    // The server compares the key with its normalised form as a path.
    let as_path = !key.starts_with('/')
        && !key.starts_with("..")
        && key
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..");
    if key.is_empty() || longer(key, KEY) || !as_path || !key.chars().all(allowed) {
        return Err(Error::invalid(
            field,
            format!(
                "1 to {KEY} letters, digits and `_ - . : /` or spaces, without a slash at either end, `//`, `.` or `..` as \
                 a part; it is {}",
                excerpt(key)
            ),
        ));
    }
    Ok(())
}

fn value(field: &'static str, key: &str, value: &str, limit: usize) -> Result<()> {
    if longer(value, limit) {
        return Err(Error::invalid(
            field,
            format!("at most {limit} characters long; that of {} is longer", excerpt(key)),
        ));
    }
    Ok(())
}

pub(crate) fn param(name: &str, text: &str) -> Result<()> {
    key("params.key", name)?;
    value("params.value", name, text, PARAM_VALUE)
}

pub(crate) fn run_tag(name: &str, text: &str) -> Result<()> {
    key("tags.key", name)?;
    value("tags.value", name, text, RUN_TAG_VALUE)
}

pub(crate) fn experiment_tag(name: &str, text: &str) -> Result<()> {
    key("tags.key", name)?;
    value("tags.value", name, text, EXPERIMENT_TAG_VALUE)
}

pub(crate) fn registry_tag(name: &str, text: &str) -> Result<()> {
    key("tags.key", name)?;
    value("tags.value", name, text, REGISTRY_TAG_VALUE)
}

pub(crate) fn metric(name: &str, timestamp: i64) -> Result<()> {
    key("metrics.key", name)?;
    if timestamp < 0 {
        return Err(Error::invalid(
            "metrics.timestamp",
            "zero or more milliseconds since 1970",
        ));
    }
    Ok(())
}

pub(crate) fn id(field: &'static str, id: &str) -> Result<()> {
    if id.is_empty() || id.len() > 255 || id.chars().any(char::is_control) {
        return Err(Error::invalid(field, "an id as the server made it"));
    }
    Ok(())
}

pub(crate) fn experiment_name(name: &str) -> Result<()> {
    if name.is_empty() || longer(name, 500) {
        return Err(Error::invalid("name", "1 to 500 characters long"));
    }
    Ok(())
}

pub(crate) fn model_name(name: &str) -> Result<()> {
    if name.trim().is_empty() || name.contains(['/', ':']) || name == "." || name == ".." {
        return Err(Error::invalid(
            "name",
            format!(
                "not blank, `.` or `..`, and without `/` and `:`; it is {}",
                excerpt(name)
            ),
        ));
    }
    Ok(())
}

pub(crate) fn alias(alias: &str) -> Result<()> {
    let reserved = alias.eq_ignore_ascii_case("latest")
        || alias
            .strip_prefix(['v', 'V'])
            .is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()));
    let charset = alias.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if alias.is_empty() || longer(alias, 255) || !charset || reserved {
        return Err(Error::invalid(
            "alias",
            format!(
                "1 to 255 letters, digits, `_` or `-`, and neither `latest` nor `v` with a number; it is {}",
                excerpt(alias)
            ),
        ));
    }
    Ok(())
}

/// Names of workspaces (MLflow 3.17).
pub(crate) fn workspace_name(name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let reserved = matches!(name, "workspaces" | "api" | "ajax-api" | "static-files");
    let ends = name.starts_with('-') || name.ends_with('-');
    if name.len() < 2 || longer(name, 63) || !name.chars().all(good) || ends || reserved {
        return Err(Error::invalid(
            "workspace",
            format!(
                "2 to 63 lower-case letters, digits and `-`, which is not at either end, and no name of a route; it is {}",
                excerpt(name)
            ),
        ));
    }
    Ok(())
}

/// Names of logged models; none lets the server invent one.
pub(crate) fn logged_model_name(name: &str) -> Result<()> {
    if name.contains(['/', ':', '.', '%', '"', '\'']) {
        return Err(Error::invalid(
            "name",
            format!("without `/ : . % \" '`; it is {}", excerpt(name)),
        ));
    }
    Ok(())
}

pub(crate) fn webhook_name(name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if longer(name, 63) || !name.chars().all(good) || !ends(name.chars().next()) || !ends(name.chars().last()) {
        return Err(Error::invalid(
            "name",
            format!(
                "1 to 63 letters, digits, `.`, `_` or `-`, the first and last a letter or digit; it is {}",
                excerpt(name)
            ),
        ));
    }
    Ok(())
}

pub(crate) fn dataset(name: &str, digest: &str) -> Result<()> {
    if name.is_empty() || longer(name, 500) {
        return Err(Error::invalid("datasets.dataset.name", "1 to 500 characters long"));
    }
    if digest.is_empty() || longer(digest, 36) {
        return Err(Error::invalid("datasets.dataset.digest", "1 to 36 characters long"));
    }
    Ok(())
}

pub(crate) fn page_size(field: &'static str, size: Option<u32>, most: u32) -> Result<()> {
    match size {
        Some(size) if size == 0 || size > most => Err(Error::invalid(field, format!("from 1 to {most}"))),
        _ => Ok(()),
    }
}

fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        for good in ["a", "val/loss", "a.b-c_d e:f", "größe", "a..b", &"k".repeat(250)] {
            assert!(key("key", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            "./a",
            "a/./b",
            "../a",
            "..",
            "..a",
            "a$",
            "a\nb",
            &"k".repeat(251),
        ] {
            assert!(key("key", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_counted_in_characters() {
        assert!(param("k", &"ü".repeat(6000)).is_ok());
        assert!(param("k", &"ü".repeat(6001)).is_err());
        assert!(run_tag("k", &"x".repeat(8001)).is_err());
        assert!(experiment_tag("k", &"x".repeat(20_001)).is_err());
        assert!(registry_tag("k", &"x".repeat(100_000)).is_ok());
    }

    #[test]
    fn aliases() {
        for good in ["champion", "v1a", "ü", "a-b_c", "version"] {
            assert!(alias(good).is_ok(), "{good}");
        }
        for bad in ["", "latest", "LATEST", "v1", "a b", "a.b", &"a".repeat(256)] {
            assert!(alias(bad).is_err(), "{bad}");
        }
    }
}
