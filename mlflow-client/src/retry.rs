//! Which faults are worth another try, as data, and how long to wait before it.

use std::time::Duration;

use http::StatusCode;

use crate::error::{Error, ErrorContext};

/// One row of the table of repetitions, [`RETRY_RULES`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RetryRule {
    /// The fault.
    pub fault: &'static str,
    /// Whether a read (GET, and searches, which are sent as POST) is tried again after it.
    pub reads: bool,
    /// Whether a write is that has the same effect when it is sent twice: logging, tags, updates.
    pub idempotent_writes: bool,
    /// Whether any other call is: creations, renamings and most deletions.
    pub other_writes: bool,
    /// Why.
    pub reason: &'static str,
    matches: fn(&Error) -> bool,
}

/// When a call is tried again by itself. The first row that fits counts; what fits none is not tried again.
///
/// A call is tried at most [`max_retries`](crate::ClientBuilder::max_retries) times again within its time limit, with
/// pauses by [`backoff`](crate::ClientBuilder::backoff), or as long as the server asks for by `Retry-After`; there is no further
/// try if that is longer than the time left. Only after the first break of a connection before an
/// answer began there is no pause: the server closes idle connections after five seconds, and one that is used again at that
/// moment says nothing about its state.
pub const RETRY_RULES: &[RetryRule] = &[
    RetryRule {
        fault: "no connection",
        reads: true,
        idempotent_writes: true,
        other_writes: true,
        reason: "nothing was sent",
        matches: |error| matches!(error, Error::Connect(_)),
    },
    RetryRule {
        fault: "429",
        reads: true,
        idempotent_writes: true,
        other_writes: true,
        reason: "what limits requests passes nothing on",
        matches: |error| matches!(error, Error::RateLimited(_)),
    },
    RetryRule {
        fault: "400 with the text `QueuePool limit`",
        reads: true,
        idempotent_writes: true,
        other_writes: true,
        reason: "the server is overloaded: it got no connection to its database, so nothing was done",
        matches: |error| matches!(error, Error::Unavailable(context) if is_exhausted(context.message())),
    },
    RetryRule {
        fault: "408, 502, 503, 504; 400 with the text `database is locked`",
        reads: true,
        idempotent_writes: true,
        other_writes: false,
        reason: "the call may have been carried out",
        matches: |error| matches!(error, Error::Unavailable(_)),
    },
    RetryRule {
        fault: "no answer in time",
        reads: true,
        idempotent_writes: true,
        other_writes: false,
        reason: "the call may have been carried out",
        matches: |error| matches!(error, Error::Timeout(_)),
    },
    RetryRule {
        fault: "connection broken, answer cut off",
        reads: true,
        idempotent_writes: true,
        other_writes: false,
        reason: "the call may have been carried out",
        matches: |error| matches!(error, Error::Interrupted(_)),
    },
    RetryRule {
        fault: "5xx with a code of MLflow's: INTERNAL_ERROR, INVALID_STATE, ...",
        reads: false,
        idempotent_writes: false,
        other_writes: false,
        reason: "MLflow answers faulty requests so; the same request fails again",
        matches: |error| matches!(error, Error::Server(context) if context.error_code().is_some()),
    },
    RetryRule {
        fault: "500 without a code",
        reads: true,
        idempotent_writes: false,
        other_writes: false,
        reason: "either something before the server failed or MLflow choked on the request",
        matches: |error| matches!(error, Error::Server(context) if context.status() == Some(StatusCode::INTERNAL_SERVER_ERROR)),
    },
];

/// Whether the text of a refusal says that the server has no connection to its database left.
pub(crate) fn is_exhausted(message: &str) -> bool {
    message.contains("QueuePool limit")
}

/// What a call is, as far as repeating it is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Read,
    IdempotentWrite,
    OtherWrite,
}

/// Whether a call is to be tried again after this fault.
pub(crate) fn again(error: &Error, effect: Effect) -> bool {
    let rule = RETRY_RULES.iter().find(|rule| (rule.matches)(error));
    rule.is_some_and(|rule| match effect {
        Effect::Read => rule.reads,
        Effect::IdempotentWrite => rule.idempotent_writes,
        Effect::OtherWrite => rule.other_writes,
    })
}

/// How long to wait before a call is tried again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
    /// Added at most, by chance; `None` leaves the upper half of each pause to chance.
    pub(crate) jitter: Option<Duration>,
    pub(crate) respect_retry_after: bool,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(250),
            longest: Duration::from_secs(10),
            jitter: None,
            respect_retry_after: true,
        }
    }
}

impl Backoff {
    /// The pause after this attempt, of which the first is 1.
    pub(crate) fn pause(&self, error: &Error, attempt: u32) -> Duration {
        let context = error.context();
        if let Some(asked) = context.and_then(ErrorContext::retry_after)
            && self.respect_retry_after
        {
            return asked;
        }
        if attempt == 1 && context.is_some_and(|context| context.before_answer) {
            return Duration::ZERO;
        }
        let full = self
            .first
            .saturating_mul(1 << attempt.saturating_sub(1).min(16))
            .min(self.longest);
        match self.jitter {
            Some(jitter) => full.saturating_add(jitter.mul_f64(chance())),
            // So that clients do not come back in step.
            None => full / 2 + full.mul_f64(chance() / 2.0),
        }
    }
}

/// A number from 0 to 1.
fn chance() -> f64 {
    let [high, low, ..] = *uuid::Uuid::new_v4().as_bytes();
    f64::from(u16::from_be_bytes([high, low])) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{endpoint::Call, http::judge};

    fn fault(status: u16, kind: &str, body: &str) -> Error {
        let base = "http://mlflow.example.com".parse().unwrap();
        let call = Call::new("runs.get", http::Method::GET, &base, ["runs"]).unwrap();
        judge(&call, status, kind, body.as_bytes()).unwrap_err()
    }

    #[test]
    fn the_table_says_what_is_tried_again() {
        let coded = |code: &str, message: &str| format!(r#"{{"error_code": "{code}", "message": "{message}"}}"#);
        let json = "application/json";
        let cases = [
            (fault(429, "text/plain", "slow down"), [true, true, true]),
            (fault(429, json, &coded("RESOURCE_EXHAUSTED", "x")), [true, true, true]),
            (
                fault(
                    400,
                    json,
                    &coded("BAD_REQUEST", "QueuePool limit of size 5 overflow 10 reached"),
                ),
                [true, true, true],
            ),
            (
                fault(
                    400,
                    json,
                    &coded("BAD_REQUEST", "(sqlite3.OperationalError) database is locked"),
                ),
                [true, true, false],
            ),
            (fault(502, "text/html", "<html>"), [true, true, false]),
            (fault(503, "text/plain", "no healthy upstream"), [true, true, false]),
            (
                fault(503, json, &coded("TEMPORARILY_UNAVAILABLE", "x")),
                [true, true, false],
            ),
            (fault(504, "text/plain", ""), [true, true, false]),
            (fault(408, "text/plain", ""), [true, true, false]),
            (fault(500, "text/html", "<html>"), [true, false, false]),
            (fault(500, json, &coded("INTERNAL_ERROR", "x")), [false; 3]),
            (fault(500, json, &coded("INVALID_STATE", "x")), [false; 3]),
            (fault(501, json, &coded("NOT_IMPLEMENTED", "x")), [false; 3]),
            (fault(500, json, &coded("FEATURE_DISABLED", "x")), [false; 3]),
            (
                fault(400, json, &coded("INVALID_PARAMETER_VALUE", "QueuePool limit")),
                [false; 3],
            ),
            (
                fault(400, json, &coded("BAD_REQUEST", "UNIQUE constraint failed")),
                [false; 3],
            ),
            (fault(404, json, &coded("RESOURCE_DOES_NOT_EXIST", "x")), [false; 3]),
            (fault(409, json, &coded("RESOURCE_CONFLICT", "x")), [false; 3]),
            (fault(401, "text/plain", ""), [false; 3]),
            (fault(507, "text/plain", ""), [false; 3]),
            (
                fault(
                    503,
                    "text/html",
                    "Endpoint: /api/3.0/mlflow/workspaces disabled because the server is running without workspaces support.",
                ),
                [false; 3],
            ),
        ];
        for (error, expected) in cases {
            let told = [Effect::Read, Effect::IdempotentWrite, Effect::OtherWrite].map(|effect| again(&error, effect));
            assert_eq!(told, expected, "{error}");
        }
        for rule in RETRY_RULES {
            assert!(rule.reads || !rule.idempotent_writes, "{}", rule.fault);
            assert!(rule.idempotent_writes || !rule.other_writes, "{}", rule.fault);
        }
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        let error = fault(503, "text/plain", "");
        let backoff = Backoff::default();
        for (attempt, full) in [(1, 250), (2, 500), (3, 1000), (6, 8000), (7, 10_000), (40, 10_000)] {
            let pause = backoff.pause(&error, attempt);
            let full = Duration::from_millis(full);
            assert!(full / 2 <= pause && pause <= full, "{attempt}: {pause:?}");
        }
        let like_python = Backoff {
            first: Duration::from_secs(2),
            longest: Duration::from_secs(120),
            jitter: Some(Duration::from_secs(1)),
            respect_retry_after: true,
        };
        let pause = like_python.pause(&error, 3);
        assert!(
            Duration::from_secs(8) <= pause && pause <= Duration::from_secs(9),
            "{pause:?}"
        );
    }
}
