//! Why something could not be logged.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use crate::error::Error;

/// Why a point, a parameter or a tag was not taken, or why it could not be said that all is safe.
#[derive(Debug)]
#[non_exhaustive]
pub enum LogError {
    /// A key, a value or a setting is not allowed. Nothing was logged.
    Invalid(Error),
    /// The queue is full, and remained so for as long as the logger was told to wait. The entry was dropped and is
    /// counted in [`Report::dropped`](super::Report::dropped).
    Full {
        /// How long it waited for room.
        waited: Duration,
    },
    /// The logger is closed. The entry was not accepted.
    Closed,
    /// The time allowed is over, and not everything has been done.
    TooLate {
        /// Entries that are still to come.
        outstanding: u64,
        /// Why the last attempt failed, if one did.
        reason: Option<String>,
    },
    /// The spool could not be opened or written.
    Spool(SpoolError),
    /// The thread that delivers could not be started.
    Thread(io::Error),
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => error.fmt(f),
            Self::Full { waited } if waited.is_zero() => f.write_str("the queue of the logger is full"),
            Self::Full { waited } => write!(f, "the queue of the logger was full for {waited:.1?}"),
            Self::Closed => f.write_str("the logger is closed"),
            Self::TooLate { outstanding, reason } => {
                write!(f, "{outstanding} entries are outstanding after the time allowed")?;
                match reason {
                    Some(reason) => write!(f, ": {reason}"),
                    None => Ok(()),
                }
            }
            Self::Spool(error) => error.fmt(f),
            Self::Thread(error) => write!(f, "the logger's thread could not be started: {error}"),
        }
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Invalid(error) => error.source(),
            Self::Spool(error) => std::error::Error::source(error),
            Self::Full { .. } | Self::Closed | Self::TooLate { .. } | Self::Thread(_) => None,
        }
    }
}

impl From<Error> for LogError {
    fn from(error: Error) -> Self {
        Self::Invalid(error)
    }
}

impl From<SpoolError> for LogError {
    fn from(error: SpoolError) -> Self {
        Self::Spool(error)
    }
}

/// What is wrong with a spool.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SpoolError {
    /// Another logger, of this process or another, uses it.
    InUse {
        /// The spool's folder.
        path: PathBuf,
    },
    /// There is no room: the disk, a quota, or the spool's own limit is exhausted. Entries stay in memory until there
    /// is room or they are delivered.
    Full {
        /// The file that could not be written.
        path: PathBuf,
        /// What the operating system says; `None` for the spool's own limit.
        source: Option<Arc<io::Error>>,
    },
    /// A file was written by a newer version of this crate, or is not of a spool.
    Format {
        /// The file.
        path: PathBuf,
        /// What is not understood.
        reason: String,
    },
    /// A file could not be read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: Arc<io::Error>,
    },
}

impl SpoolError {
    pub(super) fn io(path: impl Into<PathBuf>, error: io::Error) -> Self {
        let (path, kind, source) = (path.into(), error.kind(), Arc::new(error));
        match kind {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::Full {
                path,
                source: Some(source),
            },
            _ => Self::Io { path, source },
        }
    }
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { path } => write!(f, "the spool {} is in use by another logger", path.display()),
            Self::Full { path, source } => {
                write!(f, "no room to spool in {}", path.display())?;
                match source {
                    Some(source) => write!(f, ": {source}"),
                    None => f.write_str(": the limit of the spool is reached"),
                }
            }
            Self::Format { path, reason } => write!(f, "{} cannot be read as a spool: {reason}", path.display()),
            Self::Io { path, source } => write!(f, "the spool file {} failed: {source}", path.display()),
        }
    }
}

impl std::error::Error for SpoolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Full {
                source: Some(source), ..
            }
            | Self::Io { source, .. } => Some(&**source),
            Self::InUse { .. } | Self::Full { .. } | Self::Format { .. } => None,
        }
    }
}
