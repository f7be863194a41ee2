//! The time that a fake lives in.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

/// A clock that tests can move. Clones show the same time.
///
/// Cookies carry absolute times in some releases, so a client that judges them by another clock sees them end early or
/// late: give the client the same clock where that matters.
#[derive(Clone)]
pub struct Clock {
    state: Arc<State>,
}

struct State {
    /// `None`: the system's time is the base.
    fixed: Option<Timestamp>,
    ahead: Mutex<Duration>,
}

impl Clock {
    /// The system's time, which [`advance`](Self::advance) still can move ahead.
    pub fn system() -> Self {
        Self::from_base(None)
    }

    /// Stands still at `now` until it is advanced.
    pub fn fixed(now: Timestamp) -> Self {
        Self::from_base(Some(now))
    }

    fn from_base(fixed: Option<Timestamp>) -> Self {
        Self {
            state: Arc::new(State {
                fixed,
                ahead: Mutex::new(Duration::ZERO),
            }),
        }
    }

    /// The time it shows; it stops at the end of time that [`Timestamp`] can hold.
    pub fn now(&self) -> Timestamp {
        let base = self.state.fixed.unwrap_or_else(Timestamp::now);
        let ahead = *self.state.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let nanoseconds = i128::try_from(ahead.as_nanos()).unwrap_or(i128::MAX);
        Timestamp::from_nanosecond(base.as_nanosecond().saturating_add(nanoseconds)).unwrap_or(Timestamp::MAX)
    }

    /// Moves it ahead, for all clones.
    pub fn advance(&self, by: Duration) {
        let mut ahead = self.state.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        *ahead = ahead.saturating_add(by);
    }

    /// Whole seconds since 1970, as cookies and tokens count.
    pub(super) fn seconds(&self) -> i64 {
        self.now().as_second()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}
