//! The clock and the pauses of followers, and how long they bear with a server in trouble.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use crate::{
    error::{Error, ErrorContext},
    http::backoff,
};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Where a follower takes its time from, so that tests need not wait.
pub trait Pacer: fmt::Debug + Send + Sync {
    /// Time since some fixed moment; never goes back.
    fn now(&self) -> Duration;

    /// Comes back after this time.
    fn pause(&self, length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The clock of the Tokio runtime, which stands still where a test paused it.
#[derive(Debug, Clone, Copy)]
pub struct TokioPacer {
    start: tokio::time::Instant,
}

impl Default for TokioPacer {
    fn default() -> Self {
        Self {
            start: tokio::time::Instant::now(),
        }
    }
}

impl Pacer for TokioPacer {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn pause(&self, length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(length))
    }
}

/// How long faults have lasted, beside how long they may.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    since: Option<Duration>,
    tries: u32,
}

/// A fault that is borne.
#[derive(Debug)]
pub(super) struct Borne {
    pub(super) error: Error,
    /// Time until the next try.
    pub(super) pause: Duration,
    /// Whether all was well before.
    pub(super) first: bool,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            since: None,
            tries: 0,
        }
    }

    /// An answer came.
    pub(super) fn restore(&mut self) {
        self.since = None;
        self.tries = 0;
    }

    /// Says when to try again; gives the error back if that cannot help or has been tried for long enough.
    pub(super) fn bear(&mut self, error: Error, now: Duration) -> Result<Borne, Error> {
        let first = self.since.is_none();
        let since = *self.since.get_or_insert(now);
        if !may_pass(&error) || now.saturating_sub(since) >= self.limit {
            return Err(error);
        }
        self.tries = self.tries.saturating_add(1);
        let asked = error.context().and_then(ErrorContext::retry_after);
        let own = backoff(FIRST_PAUSE, LONGEST_PAUSE, self.tries);
        Ok(Borne {
            error,
            pause: asked.map_or(own, |asked| asked.max(own)),
            first,
        })
    }
}

/// Whether another try can help. A session that has expired may be renewed by whoever holds it; a login that failed
/// (a middleware's error) is never tried again from here, since it may have been a wrong password.
fn may_pass(error: &Error) -> bool {
    error.is_retryable() || matches!(error, Error::LoginPage(_) | Error::Unauthenticated(_))
}
