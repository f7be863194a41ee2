//! What became of what was logged.

use std::fmt;

use super::error::SpoolError;
use crate::{
    metric::{Metric, Param},
    tag::Tag,
};

/// Something that was logged.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Logged {
    /// A point of a metric.
    Metric(Metric),
    /// A parameter.
    Param(Param),
    /// A tag.
    Tag(Tag),
}

impl fmt::Display for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metric(metric) => write!(
                f,
                "metric {} = {} at step {}, time {}",
                metric.key, metric.value, metric.step, metric.timestamp
            ),
            Self::Param(param) => write!(f, "parameter {}", param.key),
            Self::Tag(tag) => write!(f, "tag {}", tag.key),
        }
    }
}

/// Something that the server does not take.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Rejection {
    /// What it is.
    pub entry: Logged,
    /// What the server says, or what was found out about it.
    pub reason: String,
}

/// What became of everything that was logged, as told by [`RunLogger::close`](super::RunLogger::close).
///
/// Every entry that was accepted is in exactly one of `delivered`, `rejected`, `undelivered` and `kept`; their sum is
/// `logged`. What was not accepted, which the caller was told at once, is in `dropped`.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Report {
    /// Entries that were accepted: points, parameters and tags, and those that an earlier process left in the spool.
    pub logged: u64,
    /// Entries that the server confirmed.
    pub delivered: u64,
    /// Entries that the server refused.
    pub rejected: u64,
    /// The first hundred of the rejected ones.
    pub rejections: Vec<Rejection>,
    /// Entries that were not accepted because the queue was full.
    pub dropped: u64,
    /// Entries that were given up: the time allowed was over and they are in no spool. The server may have got some of
    /// the last thousand.
    pub undelivered: u64,
    /// Entries that wait in the spool for [`Spool::recover`](super::Spool::recover) or the next logger of this run.
    pub kept: u64,
    /// Those of `logged` that an earlier process left in the spool.
    pub recovered: u64,
    /// Bytes of the spool that could not be read: the torn end of a file whose writer was killed, never acknowledged, or
    /// damage.
    pub unreadable_bytes: u64,
    /// Points that the server had confirmed without storing them, and that were sent once more; see
    /// [`RunLoggerBuilder::verify`](super::RunLoggerBuilder::verify).
    pub sent_again: u64,
    /// Why the last attempt to deliver failed, if it did.
    pub last_error: Option<String>,
    /// What was last wrong with the spool, if it still is.
    pub spool_error: Option<SpoolError>,
}

impl Report {
    /// Whether all that was logged is on the server.
    pub fn is_complete(&self) -> bool {
        self.delivered == self.logged && self.dropped == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} entries delivered", self.delivered, self.logged)?;
        for (count, what) in [
            (self.rejected, "rejected"),
            (self.dropped, "dropped"),
            (self.undelivered, "given up"),
            (self.kept, "kept in the spool"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        if let Some(rejection) = self.rejections.first() {
            write!(f, "; first rejected: {}: {}", rejection.entry, rejection.reason)?;
        }
        if let Some(error) = &self.last_error {
            write!(f, "; last error: {error}")?;
        }
        if let Some(error) = &self.spool_error {
            write!(f, "; {error}")?;
        }
        Ok(())
    }
}

/// How things stand at the moment.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Status {
    /// What became of what was logged until now; `undelivered` and `kept` are what is still to come.
    pub report: Report,
    /// Entries in the queue, which `report` does not count yet.
    pub queued: usize,
    /// Whether the logger is closed and its work done.
    pub finished: bool,
}
