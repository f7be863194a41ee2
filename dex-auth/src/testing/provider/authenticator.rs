//! A user's authenticator app, as the provider checks its codes.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use totp_rs::{Builder, Secret, Totp};

/// Seconds for which a code is made.
const STEP: i64 = 30;

/// Accepts the codes of the steps before, at and after the present one, each once.
#[derive(Clone)]
pub(in crate::testing) struct Authenticator {
    totp: Arc<Totp>,
    last: Arc<Mutex<i64>>,
}

impl Authenticator {
    /// # Panics
    ///
    /// If the secret is no base32.
    #[expect(clippy::expect_used, reason = "the secret is the test's own")]
    pub(in crate::testing) fn new(secret: &str) -> Self {
        let secret = Secret::try_from_base32(secret).expect("a secret in base32");
        Self {
            totp: Arc::new(Builder::new().with_secret(secret).build_noncompliant()),
            last: Arc::new(Mutex::new(i64::MIN)),
        }
    }

    pub(in crate::testing) fn accepts(&self, code: &str, now: i64) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let current = now.div_euclid(STEP);
        let step = (current - 1..=current + 1).find(|step| {
            u64::try_from(step * STEP).is_ok_and(|time| self.totp.generate(time).to_string() == code) && *step > *last
        });
        if let Some(step) = step {
            *last = step;
        }
        step.is_some()
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Authenticator")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_accepted_once_and_about_now() {
        // RFC 6238, appendix B, the last six digits.
        let accepts = |at| Authenticator::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").accepts("081804", at);
        for at in [1_111_111_109 - 30, 1_111_111_109, 1_111_111_109 + 30] {
            assert!(accepts(at), "{at}");
        }
        assert!(!accepts(1_111_111_109 + 90));
        let once = Authenticator::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert!(once.accepts("081804", 1_111_111_109));
        assert!(!once.accepts("081804", 1_111_111_109));
        assert!(!once.accepts("000000", 1_111_111_109));
    }
}
