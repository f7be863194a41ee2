//! Reads the body of a request: JSON only, no longer than allowed, and not for ever.

use std::time::Duration;

use axum::body::{BodyDataStream, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use serde_json::Value;

use super::problem::Problem;
use super::twice;

/// Longest body that is read, in bytes.
const LIMIT: usize = 1024 * 1024;

/// How much of a refused body is still taken from the connection, and for how long.
const SWALLOWED: usize = 16 * 1024 * 1024;
const SWALLOWING: Duration = Duration::from_secs(5);

/// The JSON of a request, whose body must be there `within` that time.
pub(super) async fn json(request: Request, within: Duration) -> Result<Value, Problem> {
    let (head, body) = request.into_parts();
    let announced = body.size_hint().lower();
    let mut rest = body.into_data_stream();
    let reading = async {
        is_json(&head.headers)?;
        // What announces itself as too long is not waited for.
        if usize::try_from(announced).is_ok_and(|announced| announced <= LIMIT) {
            read(&mut rest).await
        } else {
            Err(too_long())
        }
    };
    let Ok(read) = tokio::time::timeout(within, reading).await else {
        return Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("the body was not complete within {within:?}: send it again"),
        ));
    };
    let text = read.inspect_err(|_| {
        // Who asks first whether to send a body has not begun to send it.
        if !head.headers.contains_key(header::EXPECT) {
            tokio::spawn(swallow(rest));
        }
    })?;
    let value = serde_json::from_slice(&text)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}")))?;
    twice::refuse(&text).map_err(crate::Error::from)?;
    Ok(value)
}

/// Only JSON that says it is JSON: a page in a browser cannot send that to another origin without asking first.
fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "send the body with Content-Type: application/json",
    ))
}

async fn read(body: &mut BodyDataStream) -> Result<Vec<u8>, Problem> {
    let mut text = Vec::new();
    while let Some(part) = body.next().await {
        let part =
            part.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the body broke off: {error}")))?;
        if text.len() + part.len() > LIMIT {
            return Err(too_long());
        }
        text.extend_from_slice(&part);
    }
    Ok(text)
}

fn too_long() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the body is longer than the {LIMIT} bytes that are read"),
    )
}

/// Takes a refused body from the connection for a while: a client that is in the middle of sending it would otherwise
/// see a broken connection instead of the answer.
async fn swallow(mut body: BodyDataStream) {
    let swallowing = async {
        let mut taken = 0;
        while let Some(Ok(part)) = body.next().await {
            taken += part.len();
            if taken > SWALLOWED {
                break;
            }
        }
    };
    // Nothing is to be done when the time is over.
    let _ = tokio::time::timeout(SWALLOWING, swallowing).await;
}
