//! Which faults are worth another try, as data.

use http::Method;

use crate::error::Error;

/// One row of the table of repetitions, [`RETRY_RULES`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RetryRule {
    /// The fault.
    pub fault: &'static str,
    /// Whether a read (GET) is tried again after it.
    pub reads: bool,
    /// Whether any other call is.
    pub writes: bool,
    /// Why.
    pub reason: &'static str,
    matches: fn(&Error) -> bool,
}

/// When a call is tried again by itself. The first row that fits counts; what fits none is not tried again.
///
/// A call is tried at most three times within its time limit. Between tries there are 200 ms, doubled each time up to
/// five seconds, half of it left to chance; or as long as the server asks for by `Retry-After`, and no further try if
/// that is longer than the time left. A login of a middleware above is made for each try anew.
pub const RETRY_RULES: &[RetryRule] = &[
    RetryRule {
        fault: "no connection",
        reads: true,
        writes: true,
        reason: "nothing was sent",
        matches: |error| matches!(error, Error::Connect(_)),
    },
    RetryRule {
        fault: "429 of a gateway",
        reads: true,
        writes: true,
        reason: "a gateway that limits passes nothing on; the API server itself lets requests wait instead",
        matches: |error| matches!(error, Error::RateLimited(context) if context.code().is_none()),
    },
    RetryRule {
        fault: "429 of the server",
        reads: true,
        writes: false,
        reason: "it may have been limited halfway, by the cluster behind it",
        matches: |error| matches!(error, Error::RateLimited(_)),
    },
    RetryRule {
        fault: "502, 503 or 504",
        reads: true,
        writes: false,
        reason: "the call may have been carried out: a run's workflow exists although its creation answers 503",
        matches: |error| matches!(error, Error::Unavailable(_)),
    },
    RetryRule {
        fault: "no answer in time",
        reads: true,
        writes: false,
        reason: "the call may have been carried out",
        matches: |error| matches!(error, Error::Timeout(_)),
    },
    RetryRule {
        fault: "connection broken, answer cut off",
        reads: true,
        writes: false,
        reason: "the call may have been carried out",
        matches: |error| matches!(error, Error::Interrupted(_)),
    },
    RetryRule {
        fault: "500 of the server",
        reads: false,
        writes: false,
        reason: "the server answers faulty requests so, and not all of them can be told by their text",
        matches: |error| matches!(error, Error::Server(context) if context.code().is_some()),
    },
    RetryRule {
        fault: "500 of something before the server",
        reads: true,
        writes: false,
        reason: "it is no verdict on the request",
        matches: |error| matches!(error, Error::Server(_)),
    },
];

/// Whether the call is to be tried again after this fault.
pub(crate) fn again(error: &Error, method: &Method) -> bool {
    let rule = RETRY_RULES.iter().find(|rule| (rule.matches)(error));
    rule.is_some_and(|rule| {
        if *method == Method::GET {
            rule.reads
        } else {
            rule.writes
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        endpoint::Call,
        http::{classify, context},
    };

    fn fault(code: Option<i32>, status: u16) -> Error {
        let base = "http://kfp.example.com".parse().unwrap();
        let call = Call::new("runs.get", Method::GET, &base, &["runs"]).unwrap();
        let status = http::StatusCode::from_u16(status).unwrap();
        let mut context = context(&call, "");
        context.status = Some(status);
        context.code = code;
        classify(code, status)(context)
    }

    #[test]
    fn the_table_says_what_is_tried_again() {
        let cases = [
            (None, 429, true, true),
            (Some(8), 429, true, false),
            (None, 502, true, false),
            (Some(14), 503, true, false),
            (Some(4), 504, true, false),
            (Some(13), 500, false, false),
            (Some(2), 500, false, false),
            (None, 500, true, false),
            (Some(3), 400, false, false),
            (None, 400, false, false),
            (Some(5), 404, false, false),
            (Some(6), 409, false, false),
            (Some(10), 409, false, false),
            (Some(16), 401, false, false),
            (Some(12), 501, false, false),
        ];
        for (code, status, reads, writes) in cases {
            let error = fault(code, status);
            let told = [again(&error, &Method::GET), again(&error, &Method::POST)];
            assert_eq!(told, [reads, writes], "{code:?} {status}");
        }
        for rule in RETRY_RULES {
            assert!(rule.reads || !rule.writes, "{}", rule.fault);
        }
    }
}
