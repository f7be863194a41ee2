//! The clock of the fake.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

/// What time it is for the fake: the system's clock, or one that a test moves by hand.
///
/// Clones share the time. Servers of this API keep whole seconds only.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<Mutex<Option<Timestamp>>>);

impl Clock {
    /// The clock of this machine.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands still at `start` until [`advance`](Self::advance) moves it.
    pub fn manual(start: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Some(start))))
    }

    /// Moves a manual clock; a system clock does not mind.
    pub fn advance(&self, by: Duration) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(now) = *held {
            *held = now.checked_add(by).ok().or(Some(now));
        }
    }

    /// The present time.
    pub fn now(&self) -> Timestamp {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .unwrap_or_else(Timestamp::now)
    }

    pub(super) fn seconds(&self) -> i64 {
        self.now().as_second()
    }
}

/// Seconds since 1970 as the servers write times.
pub(super) fn rfc3339(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}

/// What stands in a task's times until they are known: the first second of year 1.
pub(super) const YEAR_ONE: i64 = -62_135_596_800;
