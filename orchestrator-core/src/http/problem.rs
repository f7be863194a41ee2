//! Errors as problem details (RFC 9457).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::{EngineError, Error, FieldError, TrackingError};

/// Seconds after which a caller may try again what failed because something was out of reach.
const RETRY_AFTER: &str = "10";

/// A problem; becomes `application/problem+json`.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// The run that the problem is about, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    retryable: bool,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            run_id: None,
            retryable: matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Invalid(_) | Error::Engine(EngineError::Unsupported { .. } | EngineError::Workflow(_)) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Error::UnknownRun { .. } | Error::Engine(EngineError::NotFound { .. }) => StatusCode::NOT_FOUND,
            Error::Engine(EngineError::Unreachable { .. })
            | Error::Tracking(TrackingError::Unreachable { .. })
            | Error::Store { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Error::Engine(_) | Error::Tracking(_) => StatusCode::BAD_GATEWAY,
            Error::Config { .. } => StatusCode::NOT_IMPLEMENTED,
        };
        let mut problem = Self::new(status, error.to_string());
        match error {
            Error::Invalid(invalid) => problem.errors = invalid.errors().to_vec(),
            Error::Engine(EngineError::OutcomeUnknown { run, .. }) => problem.run_id = Some(run.to_string()),
            _ => {}
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry = self.retryable;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if retry {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        response
    }
}
