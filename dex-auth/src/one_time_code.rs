//! Codes of an authenticator app (TOTP, RFC 6238: SHA-1, six digits, steps of 30 seconds).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use totp_rs::{Builder, Secret, Totp};

use crate::error::Error;

/// Seconds for which a code is made.
const STEP: u64 = 30;

/// Makes codes, each of them once: servers refuse one that was used before.
#[derive(Clone)]
pub(crate) struct OneTimeCodes {
    totp: Arc<Totp>,
    /// The step of the last code that was given out.
    last: Arc<AtomicU64>,
}

impl OneTimeCodes {
    /// `secret` as providers show it: base32, in any case, with or without spaces.
    pub(crate) fn new(secret: &str) -> Result<Self, Error> {
        let plain: String = secret
            .chars()
            .filter(|letter| !letter.is_whitespace() && *letter != '-' && *letter != '=')
            .flat_map(char::to_uppercase)
            .collect();
        let secret = Secret::try_from_base32(&plain)
            .ok()
            .filter(|secret| !secret.as_bytes().is_empty())
            .ok_or_else(|| Error::Config {
                field: "totp_secret",
                problem: "it is no base32 text such as JBSWY3DPEHPK3PXP".to_owned(),
            })?;
        // Real secrets are often shorter than the 160 bits that the RFC recommends.
        let totp = Builder::new().with_secret(secret).build_noncompliant();
        Ok(Self {
            totp: Arc::new(totp),
            last: Arc::new(AtomicU64::new(0)),
        })
    }

    /// A code that was not given out before, or how long to wait for one. Servers take the code of the next step as
    /// well, so the second code in one step needs no waiting.
    pub(crate) fn next(&self, now: Timestamp) -> Result<SecretString, Duration> {
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let current = seconds / STEP;
        let last = self.last.load(Ordering::SeqCst);
        // A clock that was set back by more is no reason to wait for hours.
        let step = if last > current + 10 {
            current
        } else {
            current.max(last + 1)
        };
        if step > current + 1 {
            return Err(Duration::from_secs((step - 1) * STEP - seconds));
        }
        if self
            .last
            .compare_exchange(last, step, Ordering::SeqCst, Ordering::SeqCst)
            .is_err()
        {
            // Another login took a code in this instant.
            return Err(Duration::from_millis(10));
        }
        Ok(self.totp.generate(step * STEP).to_string().into())
    }
}

impl fmt::Debug for OneTimeCodes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OneTimeCodes")
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn code(codes: &OneTimeCodes, seconds: i64) -> String {
        codes.next(at(seconds)).unwrap().expose_secret().to_owned()
    }

    /// The key of RFC 6238, appendix B; its codes have eight digits, of which these are the last six.
    fn rfc() -> OneTimeCodes {
        OneTimeCodes::new("gezd gnbv gy3t qojq GEZD-GNBV-GY3T-QOJQ").unwrap()
    }

    #[test]
    fn makes_the_codes_of_the_rfc() {
        for (seconds, expected) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(code(&rfc(), seconds), expected);
        }
    }

    #[test]
    fn gives_no_code_twice_and_says_how_long_to_wait() {
        let codes = rfc();
        let first = code(&codes, 1_000_000_000);
        let second = code(&codes, 1_000_000_001);
        assert_ne!(first, second);
        assert_eq!(second, code(&rfc(), 1_000_000_000 + 30));
        // 1_000_000_000 lies 10 s into its step.
        assert_eq!(codes.next(at(1_000_000_002)).unwrap_err(), Duration::from_secs(18));
        assert_eq!(code(&codes, 1_000_000_020), code(&rfc(), 1_000_000_050));
        // A clock set back by an hour makes codes again.
        assert_eq!(code(&codes, 1_000_000_000 - 3600), code(&rfc(), 1_000_000_000 - 3600));
    }

    #[test]
    fn a_secret_that_is_none_is_refused_without_showing_it() {
        for secret in ["", "no base32: 01!", " "] {
            let error = OneTimeCodes::new(secret).unwrap_err().to_string();
            assert!(error.contains("base32"), "{error}");
            assert!(!error.contains('!'));
        }
    }
}
