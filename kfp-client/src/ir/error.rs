//! What is wrong with a document, and where.

use std::{borrow::Cow, fmt};

/// A fault in a pipeline document: where it is, and what is allowed there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    path: String,
    rule: Cow<'static, str>,
}

impl Error {
    pub(crate) fn new(path: impl Into<String>, rule: impl Into<Cow<'static, str>>) -> Self {
        Self {
            path: path.into(),
            rule: rule.into(),
        }
    }

    /// The same fault, seen from one level further out.
    pub(crate) fn within(mut self, outer: &str) -> Self {
        self.path = format!("{outer}.{}", self.path);
        self
    }

    /// Path in the document, e.g. `components.comp-train.dag.tasks.fit.inputs.parameters.lr`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is allowed there, worded to follow "must be".
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}", self.path, self.rule)
    }
}

impl std::error::Error for Error {}
