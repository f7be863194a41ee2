//! How a program ends: one message on standard error, and an exit status that tells whose turn it is.

use std::fmt;
use std::process::ExitCode;

use orchestrator_core::{EngineError, Error, TrackingError};

use crate::progress::say;

/// Exit status of every example program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The job itself failed.
    Failed = 1,
    /// Wrong usage: the flags or what they say.
    Usage = 2,
    /// A service could not be reached, or refused the login.
    Service = 3,
}

/// Why a program ends without having done its job.
#[derive(Debug)]
pub struct Failure {
    status: Status,
    message: String,
}

impl Failure {
    /// An end with this status and message.
    pub fn new(status: Status, message: impl fmt::Display) -> Self {
        Self {
            status,
            message: message.to_string(),
        }
    }

    /// Wrong usage.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Status::Usage, message)
    }

    /// A service out of reach.
    pub fn service(message: impl fmt::Display) -> Self {
        Self::new(Status::Service, message)
    }

    /// Something on this machine did not work.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::new(Status::Failed, message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Invalid(_) | Error::Config { .. } | Error::Engine(EngineError::Unsupported { .. }) => Status::Usage,
            Error::Engine(EngineError::Unreachable { .. } | EngineError::Refused { .. })
            | Error::Tracking(TrackingError::Unreachable { .. } | TrackingError::Refused { .. }) => Status::Service,
            _ => Status::Failed,
        };
        Self::new(status, error)
    }
}

/// Ends the program.
pub fn end(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // An empty message: everything has been said already.
            if !failure.message.is_empty() {
                // Not `eprintln!`, which panics when nobody reads any longer: the exit status still has to be told.
                say(&format!("error: {}", failure.message));
            }
            ExitCode::from(failure.status as u8)
        }
    }
}
