//! What faulty requests are answered with where the status says something else: a 500, or 400 for all of uploads.
//!
//! The texts are those of real servers 1.8.22, 2.0.5, 2.5.0 and 2.17.0, through both versions of the API. A request
//! that is recognised here fails in the same way when it is sent again, so it never is.

use http::StatusCode;

use crate::error::{Error, ErrorContext};

type Variant = fn(Box<ErrorContext>) -> Error;

/// The server records a run and a recurring run last, so this failure says nothing about the request: what it was to
/// start has been started.
const AFTER_THE_START: &str = "Failed to store ";

/// Part of the server's text, and what it means.
#[derive(Debug)]
struct Fault {
    status: u16,
    text: &'static str,
    variant: Variant,
}

const fn of_500(text: &'static str, variant: Variant) -> Fault {
    Fault {
        status: 500,
        text,
        variant,
    }
}

/// Of uploads, which know no other status for a request they refuse; they give no code.
const fn of_400(text: &'static str, variant: Variant) -> Fault {
    Fault {
        status: 400,
        text,
        variant,
    }
}

/// The first one found counts: the inner cause before what wraps it.
const FAULTS: &[Fault] = &[
    // 1.8 has no 401.
    of_500("Internal error: Unauthenticated", Error::Unauthenticated),
    of_500("Internal error: [Unauthenticated", Error::Unauthenticated),
    of_500("there is no user identity header", Error::Unauthenticated),
    // 2.0 has the path of a pipeline's name in v2beta1, and cannot serve it.
    of_500("Invalid api version detected", Error::Unsupported),
    // Uploads of a name that is taken, before 2.5.
    of_500("Already exist error", Error::AlreadyExists),
    of_500("Duplicate entry", Error::AlreadyExists),
    // A run in an unknown experiment (1.8), of an unknown pipeline or version (2.x).
    of_500("ResourceNotFoundError", Error::NotFound),
    // Content that is no pipeline (uploads), empty names (2.x), a specification that cannot be compiled.
    of_500("InvalidInputError", Error::InvalidArgument),
    of_500("Invalid input error", Error::InvalidArgument),
    of_500("unknown template format", Error::InvalidArgument),
    of_500("empty pipeline spec manifest", Error::InvalidArgument),
    of_500("error fetching manifest", Error::InvalidArgument),
    of_500("unknown component implementation", Error::InvalidArgument),
    of_500("with an empty pipeline ID", Error::InvalidArgument),
    // The database's own words: too long a text, a character beyond the basic plane, a page token of another list.
    of_500("Data too long for column", Error::InvalidArgument),
    of_500("Incorrect string value", Error::InvalidArgument),
    of_500("You have an error in your SQL syntax", Error::InvalidArgument),
    of_500("Unknown column", Error::InvalidArgument),
    // Uploads; from 2.14 on they say neither which pipeline is missing nor who may not write.
    of_400("PermissionDenied: ", Error::PermissionDenied),
    of_400("ResourceNotFoundError", Error::NotFound),
];

/// The variant for an answer that a faulty request caused; `None` if its status and code say what it is.
pub(crate) fn recognise(status: StatusCode, code: Option<i32>, texts: &[&str]) -> Option<Variant> {
    let holds = |part: &str| texts.iter().any(|text| text.contains(part));
    // A 400 with a code says what it means.
    let silent = status != StatusCode::BAD_REQUEST || code.is_none();
    if holds(AFTER_THE_START) || !silent {
        return None;
    }
    let mut faults = FAULTS.iter().filter(|fault| fault.status == status.as_u16());
    faults.find(|fault| holds(fault.text)).map(|fault| fault.variant)
}

/// The same of an item in a list, whose error is text alone.
pub(crate) fn of_item(text: &str) -> Option<Variant> {
    recognise(StatusCode::INTERNAL_SERVER_ERROR, None, &[text])
}

/// Whether the server failed after it had started what it was to start, of which it then keeps no record.
pub(crate) fn is_after_the_start(error: &Error) -> bool {
    let Some(context) = error.context() else { return false };
    let text = context.chain().unwrap_or(context.message());
    matches!(error, Error::Server(_)) && text.contains(AFTER_THE_START)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{endpoint::Call, http::context, retry};

    fn error(variant: Variant) -> Error {
        let base = "http://kfp.example.com".parse().unwrap();
        let call = Call::new("runs.get", http::Method::GET, &base, &["runs"]).unwrap();
        variant(context(&call, ""))
    }

    #[test]
    fn nothing_that_a_request_is_at_fault_for_is_tried_again() {
        for fault in FAULTS {
            let status = StatusCode::from_u16(fault.status).unwrap();
            let found = recognise(status, None, &["x", fault.text]).unwrap_or_else(|| panic!("{fault:?}"));
            let error = error(found);
            assert!(!error.is_retryable(), "{fault:?}");
            for method in [http::Method::GET, http::Method::POST] {
                assert!(!retry::again(&error, &method), "{fault:?}");
            }
        }
    }

    #[test]
    fn a_record_that_could_not_be_made_says_nothing_of_the_request() {
        let text = "Failed to store run r to table: Error 1062 (23000): Duplicate entry 'r' for key 'PRIMARY'";
        assert!(recognise(StatusCode::INTERNAL_SERVER_ERROR, Some(13), &[text]).is_none());
    }

    #[test]
    fn a_400_with_a_code_means_what_it_says() {
        let text = "ResourceNotFoundError: Pipeline x not found";
        assert!(recognise(StatusCode::BAD_REQUEST, Some(3), &[text]).is_none());
        let found = recognise(StatusCode::BAD_REQUEST, None, &[text]).map(error);
        assert!(matches!(found, Some(Error::NotFound(_))), "{found:?}");
    }
}
