//! Following runs to their end: one by its id, thousands by lists, through either version of the API.

mod followed;
mod pace;
mod track;
mod wait;
mod watch;

pub use self::{
    pace::{Pacer, TokioPacer},
    track::{RunChange, TaskChange},
    wait::{Finished, Wait},
    watch::{RunEvent, WatchRuns},
};

use crate::{endpoint::Call, error::Error, http::context};

/// What is told when the time is up.
fn out_of_time(call: &Call, message: String) -> Error {
    Error::Timeout(context(call, message))
}
