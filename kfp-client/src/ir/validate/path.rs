//! Where in a document something is; only written out when there is a fault.

use std::{borrow::Cow, fmt};

use crate::ir::error::Error;

/// A place in a document, seen from its outside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'a> {
    outer: Option<&'a Self>,
    step: &'a str,
}

impl<'a> Path<'a> {
    pub(super) fn new(step: &'a str) -> Self {
        Self { outer: None, step }
    }

    /// A field or member of what is here.
    pub(super) fn at<'b>(&'b self, step: &'b str) -> Path<'b>
    where
        'a: 'b,
    {
        Path {
            outer: Some(self),
            step,
        }
    }

    /// Says what is allowed here.
    pub(super) fn fault<T>(&self, rule: impl Into<Cow<'static, str>>) -> Result<T, Error> {
        Err(Error::new(self.to_string(), rule))
    }

    /// Says what is allowed here unless it holds.
    pub(super) fn require<R: Into<Cow<'static, str>>>(
        &self,
        holds: bool,
        rule: impl FnOnce() -> R,
    ) -> Result<(), Error> {
        if holds { Ok(()) } else { self.fault(rule().into()) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(outer) = self.outer {
            write!(f, "{outer}.")?;
        }
        f.write_str(self.step)
    }
}
