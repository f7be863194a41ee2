//! What an answer of status 500 really means: servers report faulty requests that way too.
//!
//! The texts are those of real servers 1.8.22, 2.0.5, 2.5.0 and 2.17.0.

use crate::error::{Error, ErrorContext};

type Variant = fn(Box<ErrorContext>) -> Error;

/// The server records a run last, so this failure says nothing about the request: its workflow has been started.
const AFTER_THE_START: &str = "Failed to store run";

/// Part of the server's text, and what it means. The first one found counts.
const FAULTS: &[(&str, Variant)] = &[
    // 1.8 has no 401.
    ("Internal error: Unauthenticated", Error::Unauthenticated),
    ("Internal error: [Unauthenticated", Error::Unauthenticated),
    ("there is no user identity header", Error::Unauthenticated),
    // Uploads of a name that is taken, before 2.5.
    ("Already exist error", Error::AlreadyExists),
    // A run in an unknown experiment (1.8), of an unknown pipeline or version (2.x).
    ("ResourceNotFoundError", Error::NotFound),
    // Content that is no pipeline (uploads), empty names (2.x).
    ("InvalidInputError", Error::InvalidArgument),
    ("Invalid input error", Error::InvalidArgument),
    ("unknown template format", Error::InvalidArgument),
    ("empty pipeline spec manifest", Error::InvalidArgument),
    // The database's own words: too long a text, a character beyond the basic plane, a page token of another list.
    ("Data too long for column", Error::InvalidArgument),
    ("Incorrect string value", Error::InvalidArgument),
    ("You have an error in your SQL syntax", Error::InvalidArgument),
];

/// The variant for a 500 that a faulty request caused; `None` if the server failed.
pub(crate) fn recognise(text: &str) -> Option<Variant> {
    if text.contains(AFTER_THE_START) {
        return None;
    }
    let mut faults = FAULTS.iter().filter(|(part, _)| text.contains(part));
    faults.next().map(|(_, variant)| *variant)
}
