//! The crate's error.

use crate::{EngineError, StoreError, TrackingError, ValidationError};

/// What went wrong when a request was submitted or a run was asked for, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request itself: correct the named fields. Nothing was sent anywhere.
    #[error(transparent)]
    Invalid(#[from] ValidationError),
    /// The engine; [`EngineError`] tells whether to wait, to log in, or to look for the run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The tracker, where it is needed; [`TrackingError`] tells whether to wait or to log in.
    #[error(transparent)]
    Tracking(#[from] TrackingError),
    /// There is no such run.
    #[error("there is no run {id}")]
    UnknownRun {
        /// The id that was asked for.
        id: String,
    },
    /// The run store failed; the request was not submitted.
    #[error("the run could not be recorded: {message}")]
    Store {
        /// What happened.
        message: String,
    },
    /// The orchestrator was put together wrongly.
    #[error("{message}")]
    Config {
        /// What is missing and how to add it.
        message: String,
    },
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store { message: error.message }
    }
}
