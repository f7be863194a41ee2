//! How long a cookie or token is good for, by this machine's clock.

use jiff::{SignedDuration, Timestamp};

/// From when and until when, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifetime {
    pub(crate) obtained_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
}

impl Lifetime {
    /// False when it has ended, or is so close to its end that a request might meet it ended.
    pub(crate) fn is_fresh(self, now: Timestamp) -> bool {
        let Some(expires_at) = self.expires_at else { return true };
        // A tenth keeps sessions of seconds usable, where half a minute would mean a login before every request.
        let whole = expires_at.duration_since(self.obtained_at);
        let tenth = SignedDuration::from_millis_i128(whole.as_millis() / 10);
        let margin = tenth.min(SignedDuration::from_secs(30)).max(SignedDuration::ZERO);
        expires_at.duration_since(now) > margin
    }

    /// True when it may have ended by itself: gateways count its life in whole seconds from an instant that is cut to a
    /// second, so it may end up to one second early.
    pub(crate) fn may_have_ended(self, now: Timestamp) -> bool {
        self.expires_at
            .is_some_and(|end| end.duration_since(now) <= SignedDuration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn life(seconds: Option<i64>) -> Lifetime {
        Lifetime {
            obtained_at: at(1000),
            expires_at: seconds.map(|seconds| at(1000 + seconds)),
        }
    }

    #[test]
    fn is_renewed_a_little_before_its_end() {
        let day = life(Some(86_400));
        assert!(day.is_fresh(at(1000 + 86_400 - 31)));
        assert!(!day.is_fresh(at(1000 + 86_400 - 30)));
        let second = life(Some(1));
        assert!(second.is_fresh(at(1000)));
        assert!(!second.is_fresh(at(1001)));
        assert!(life(None).is_fresh(at(i64::from(u32::MAX))));
        // A clock that was set back does not make a login before every request.
        assert!(day.is_fresh(at(10)));
    }

    #[test]
    fn what_ended_before_it_was_obtained_is_not_fresh() {
        assert!(!life(Some(-5)).is_fresh(at(1000)));
        assert!(life(Some(-5)).may_have_ended(at(1000)));
    }
}
