//! The API `v2beta1`, one file per resource.

pub(crate) mod artifacts;
pub(crate) mod experiments;
pub(crate) mod health;
pub(crate) mod logs;
pub(crate) mod pipelines;
pub(crate) mod recurring_runs;
pub(crate) mod reports;
pub(crate) mod runs;

use crate::error::{Error, Result};

/// Where all paths of this version begin.
pub(crate) const ROOT: [&str; 2] = ["apis", "v2beta1"];

/// Checks a text that the server stores: its length in characters, and that its database takes it.
pub(crate) fn stored_text(field: &'static str, text: &str, longest: usize, required: bool) -> Result<()> {
    if required && text.trim().is_empty() {
        return Err(Error::invalid(field, "not empty"));
    }
    if text.chars().count() > longest {
        return Err(Error::invalid(field, format!("at most {longest} characters")));
    }
    storable(field, text)
}

/// Refuses characters beyond the basic multilingual plane (emoji).
///
/// The server's connection to `MySQL` cannot store them, and a run is refused for them only after its workflow was started
/// (KFP 2.17).
pub(crate) fn storable(field: &'static str, text: &str) -> Result<()> {
    match text.chars().find(|&char| char > '\u{ffff}') {
        Some(char) => Err(Error::invalid(
            field,
            format!("without characters above U+FFFF such as {char:?}, which the server's database cannot store"),
        )),
        None => Ok(()),
    }
}
