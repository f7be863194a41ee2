//! Pieces of MLflow's search language.

use crate::error::{Error, Result};

/// Which things a search returns by their life cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum ViewType {
    /// What is not deleted.
    #[default]
    ActiveOnly,
    /// What is deleted.
    DeletedOnly,
    /// Both.
    All,
}

impl serde::Serialize for ViewType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::ActiveOnly => "ACTIVE_ONLY",
            Self::DeletedOnly => "DELETED_ONLY",
            Self::All => "ALL",
        })
    }
}

/// Writes `text` as a string of a search filter.
///
/// The language has no way to write a text that holds both kinds of quotation marks; such a text is refused.
///
/// ```
/// use mlflow_client::quote;
///
/// let filter = format!("tags.owner = {}", quote("O'Neil")?);
/// assert_eq!(filter, r#"tags.owner = "O'Neil""#);
/// # Ok::<(), mlflow_client::Error>(())
/// ```
pub fn quote(text: &str) -> Result<String> {
    match (text.contains('\''), text.contains('"')) {
        (false, _) if !text.contains('\\') => Ok(format!("'{text}'")),
        (true, false) if !text.contains('\\') => Ok(format!("\"{text}\"")),
        _ => Err(Error::invalid(
            "filter",
            "text without backslashes and with at most one kind of quotation marks",
        )),
    }
}
