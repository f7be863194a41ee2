//! Sending: time limits, repetition, and the sorting of answers into data and errors.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION, RETRY_AFTER},
};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use crate::{
    client::Inner,
    endpoint::{Accept, Call},
    error::{Error, ErrorContext, Result, Source, one_line},
    retry,
};

/// Larger answers are refused: the largest page, 50 000 runs, with a few metrics each has about this size.
const MAX_BODY: usize = 256 << 20;
/// No error text is longer.
const MAX_ERROR_BODY: usize = 256 << 10;

/// Name of a workspace (MLflow 3). A server without workspaces answers 500 to anything that has it.
const WORKSPACE: HeaderName = HeaderName::from_static("x-mlflow-workspace");

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) attempts: u32,
}

impl Inner {
    /// Sends and decodes.
    pub(crate) async fn json<T: DeserializeOwned + Send>(&self, call: &Call) -> Result<T> {
        self.exchange(call, |reply| decode(call, &reply)).await
    }

    /// Sends a call whose answer says nothing.
    pub(crate) async fn done(&self, call: &Call) -> Result<()> {
        if call.accept == Accept::Nothing {
            return self.send(call).await.map(drop);
        }
        self.json::<serde::de::IgnoredAny>(call).await.map(drop)
    }

    /// Sends until there is an answer that means success, at most for the client's time limit.
    pub(crate) async fn send(&self, call: &Call) -> Result<Reply> {
        self.exchange(call, Ok).await
    }

    /// The same, with the answer read: one that was cut off on its way is asked for again.
    async fn exchange<T: Send>(&self, call: &Call, understand: impl Fn(Reply) -> Result<T> + Send + Sync) -> Result<T> {
        let understand = &understand;
        self.repeat(call, self.timeout, |limit, slot| async move {
            let work = async {
                let _slot = slot;
                let response = self.head(call, None).await?;
                let status = response.status();
                let headers = response.headers().clone();
                let limit = if status.is_success() { MAX_BODY } else { MAX_ERROR_BODY };
                let body = read(call, response, limit).await?;
                let reply = Reply {
                    status,
                    headers,
                    body,
                    attempts: 1,
                };
                check(call, &reply)?;
                understand(reply)
            };
            tokio::time::timeout(limit, work)
                .await
                .unwrap_or_else(|_| Err(too_late(call, limit)))
        })
        .await
        .map(|(understood, attempts)| {
            tracing::debug!(operation = call.operation, attempts, "done");
            understood
        })
    }

    /// Repeats `attempt` as long as repeating is safe and may help, within `limit`. Each attempt is given its place among
    /// the requests in flight, to be kept until the answer has been read.
    pub(crate) async fn repeat<T, F: Future<Output = Result<T>> + Send>(
        &self,
        call: &Call,
        limit: Duration,
        attempt: impl Fn(Duration, OwnedSemaphorePermit) -> F + Send,
    ) -> Result<(T, u32)> {
        let deadline = Instant::now() + limit;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut error = match self.slot(call, deadline, limit).await {
                Ok(slot) => match attempt(deadline.saturating_duration_since(Instant::now()), slot).await {
                    Ok(reply) => return Ok((reply, attempts)),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if let Some(context) = error.context_mut() {
                context.attempts = attempts;
            }
            let again = retry::again(&error, call.effect);
            let pause = self.backoff.pause(&error, attempts);
            tracing::debug!(operation = call.operation, attempts, again, %error, "attempt failed");
            if !again || attempts > self.max_retries || Instant::now() + pause >= deadline {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// A place among the requests in flight, which ends when it is dropped.
    pub(crate) async fn slot(&self, call: &Call, deadline: Instant, limit: Duration) -> Result<OwnedSemaphorePermit> {
        let slots = std::sync::Arc::clone(&self.in_flight);
        if let Ok(Ok(slot)) = tokio::time::timeout_at(deadline, slots.acquire_owned()).await {
            return Ok(slot);
        }
        let message = format!("as many requests as allowed were in flight for {limit:.1?}; this one was not sent");
        Err(Error::Timeout(context(call, message)))
    }

    /// One request and its answer's head, not yet judged.
    pub(crate) async fn head(&self, call: &Call, body: Option<reqwest::Body>) -> Result<reqwest::Response> {
        let mut request = reqwest::Request::new(call.method.clone(), call.url.clone());
        let accept = match call.accept {
            Accept::Json => "application/json",
            Accept::Text => "text/plain, */*;q=0.5",
            Accept::Artifact | Accept::Nothing => "*/*",
        };
        let headers = request.headers_mut();
        headers.clone_from(&call.headers);
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        if let Some(workspace) = &self.workspace {
            headers.insert(WORKSPACE, workspace.clone());
        }
        if let Some(body) = body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            *request.body_mut() = Some(body);
        } else if let Some((content_type, body)) = &call.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            *request.body_mut() = Some(body.clone().into());
        }
        self.http.execute(request).await.map_err(|error| {
            let mut error = transport_error(call, error);
            if let Error::Interrupted(context) = &mut error {
                context.before_answer = true;
            }
            error
        })
    }
}

pub(crate) async fn read(call: &Call, response: reqwest::Response, limit: usize) -> Result<Bytes> {
    let mut stream = response.bytes_stream();
    let mut body = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| transport_error(call, error.into()))?;
        if body.len() + chunk.len() > limit {
            let message = format!("the answer is larger than {limit} bytes");
            return Err(Error::UnexpectedResponse(context(call, message)));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Turns the head of a streamed answer into its error, if it is none.
pub(crate) async fn check_stream(call: &Call, response: reqwest::Response) -> Result<reqwest::Response> {
    let reply = Reply {
        status: response.status(),
        headers: response.headers().clone(),
        body: Bytes::new(),
        attempts: 1,
    };
    if reply.status.is_success() {
        check(call, &reply)?;
        return Ok(response);
    }
    let body = read(call, response, MAX_ERROR_BODY).await?;
    match check(call, &Reply { body, ..reply }) {
        Ok(()) => Err(Error::UnexpectedResponse(context(call, "no success"))),
        Err(error) => Err(error),
    }
}

pub(crate) fn too_late(call: &Call, limit: Duration) -> Error {
    Error::Timeout(context(call, format!("no answer within {limit:.1?}")))
}

pub(crate) fn context(call: &Call, message: impl Into<String>) -> Box<ErrorContext> {
    Box::new(ErrorContext {
        operation: call.operation,
        method: call.method.clone(),
        path: call.url.path().to_owned(),
        status: None,
        error_code: None,
        error_class: None,
        sqlstate: None,
        message: message.into(),
        retry_after: None,
        attempts: 1,
        before_answer: false,
        source: None,
    })
}

pub(crate) fn transport_error(call: &Call, error: reqwest_middleware::Error) -> Error {
    let error = match error {
        // The URL is in the context already, and its query may hold what should not be logged.
        reqwest_middleware::Error::Reqwest(error) => reqwest_middleware::Error::Reqwest(error.without_url()),
        middleware @ reqwest_middleware::Error::Middleware(_) => middleware,
    };
    let (make, message): (fn(Box<ErrorContext>) -> Error, String) = match &error {
        reqwest_middleware::Error::Middleware(inner) => (Error::Middleware, inner.to_string()),
        reqwest_middleware::Error::Reqwest(inner) => {
            let root = root_cause(inner);
            if inner.is_connect() {
                (Error::Connect, root)
            } else if inner.is_timeout() {
                (Error::Timeout, root)
            } else if inner.is_builder() {
                (Error::Setup, root)
            } else {
                (Error::Interrupted, root)
            }
        }
    };
    let mut context = context(call, message);
    context.source = Some(Source::Http(error));
    make(context)
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

fn is_html(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("text/html"))
}

#[derive(Debug, Default, Deserialize)]
struct ErrorBody {
    error_code: Option<serde_json::Value>,
    message: Option<String>,
    error_class: Option<String>,
    sqlstate: Option<String>,
    /// What routes outside MLflow's own framework send.
    detail: Option<serde_json::Value>,
}

/// Turns an answer that is no success into its error.
pub(crate) fn check(call: &Call, reply: &Reply) -> Result<()> {
    let starts_like_html = reply.body.trim_ascii_start().starts_with(b"<");
    let html = starts_like_html || is_html(&reply.headers) && reply.body.is_empty();
    let status = reply.status;
    if status.is_success() {
        let page = match call.accept {
            // The version is sent as text/html.
            Accept::Json | Accept::Text | Accept::Nothing => html,
            // Stored pages come as a download; those of a login do not.
            Accept::Artifact => is_html(&reply.headers) && !reply.headers.contains_key(CONTENT_DISPOSITION),
        };
        if page {
            return Err(login_page(call, reply, "a page came where data was due"));
        }
        return Ok(());
    }
    if status.is_redirection() {
        return Err(redirect(call, reply));
    }
    if html && matches!(status.as_u16(), 401 | 403) {
        return Err(login_page(call, reply, "a sign-in page came where data was due"));
    }
    Err(failure(call, reply, html))
}

fn failure(call: &Call, reply: &Reply, html: bool) -> Error {
    let status = reply.status;
    let body: Option<ErrorBody> = serde_json::from_slice(&reply.body).ok();
    let body = body.unwrap_or_default();
    let mut context = context(call, "");
    context.status = Some(status);
    context.retry_after = retry_after(&reply.headers);
    context.error_code = match body.error_code {
        Some(serde_json::Value::String(code)) => Some(code),
        Some(serde_json::Value::Number(code)) => Some(code.to_string()),
        _ => None,
    };
    context.error_class = body.error_class;
    context.sqlstate = body.sqlstate;
    let detail = body.detail.map(|detail| match detail {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    });
    let said = body.message.or(detail);
    // What a message is about may stand below its first line.
    let whole = said.clone().unwrap_or_default();
    context.message = match said {
        Some(message) => one_line(&message).into_owned(),
        None if html => page_title(&reply.body),
        None => one_line(&String::from_utf8_lossy(&reply.body)).into_owned(),
    };
    if status == StatusCode::FORBIDDEN && context.message.starts_with("Invalid Host header") {
        context
            .message
            .push_str("; start the server with `--allowed-hosts` that names the host of the tracking URI");
    }
    if status == StatusCode::FORBIDDEN && context.message.starts_with("Cross-origin request blocked") {
        context.message.push_str(
            "; start the server with `--cors-allowed-origins` that names the origin, or let no proxy add one",
        );
    }
    // A part of the server that is switched off will not come back by itself.
    let switched_off = context.message.starts_with("Endpoint: ") && context.message.contains(" disabled ");
    if status == StatusCode::SERVICE_UNAVAILABLE && context.error_code.is_none() && switched_off {
        return Error::Unsupported(context);
    }
    // An unknown path or a wrong verb is answered by a page; a thing that does not exist by a code.
    let unknown_path = matches!(status.as_u16(), 404 | 405) && context.error_code.is_none() && html;
    if unknown_path {
        return Error::Unsupported(context);
    }
    classify(context.error_code.as_deref(), status, &whole)(context)
}

/// The variant for MLflow's code, or for a status where there is no code.
fn classify(code: Option<&str>, status: StatusCode, message: &str) -> fn(Box<ErrorContext>) -> Error {
    let exhausted = retry::is_exhausted(message) || message.contains("database is locked");
    if code == Some("BAD_REQUEST") && exhausted {
        return Error::Unavailable;
    }
    match code.unwrap_or_default() {
        "RESOURCE_DOES_NOT_EXIST" | "NOT_FOUND" => Error::NotFound,
        "RESOURCE_ALREADY_EXISTS" | "ALREADY_EXISTS" => Error::AlreadyExists,
        "INVALID_PARAMETER_VALUE" | "BAD_REQUEST" => Error::InvalidArgument,
        "PERMISSION_DENIED" => Error::PermissionDenied,
        "UNAUTHENTICATED" | "CUSTOMER_UNAUTHORIZED" => Error::Unauthenticated,
        "RESOURCE_CONFLICT" | "ABORTED" => Error::Conflict,
        "REQUEST_LIMIT_EXCEEDED" | "RESOURCE_EXHAUSTED" => Error::RateLimited,
        "TEMPORARILY_UNAVAILABLE" | "DEADLINE_EXCEEDED" | "CANCELLED" => Error::Unavailable,
        "NOT_IMPLEMENTED" | "ENDPOINT_NOT_FOUND" | "FEATURE_DISABLED" => Error::Unsupported,
        // How MLflow 2 says that an artifact is not there.
        "INTERNAL_ERROR" if message.contains("[Errno 2] No such file or directory") => Error::NotFound,
        _ => by_status(status),
    }
}

pub(crate) fn by_status(status: StatusCode) -> fn(Box<ErrorContext>) -> Error {
    match status.as_u16() {
        400 | 413 | 414 | 422 => Error::InvalidArgument,
        401 | 407 => Error::Unauthenticated,
        403 => Error::PermissionDenied,
        404 => Error::NotFound,
        405 | 501 => Error::Unsupported,
        409 => Error::Conflict,
        429 => Error::RateLimited,
        408 | 502..=504 => Error::Unavailable,
        500.. => Error::Server,
        _ => Error::UnexpectedResponse,
    }
}

fn login_page(call: &Call, reply: &Reply, message: &str) -> Error {
    let title = page_title(&reply.body);
    let message = if title.is_empty() {
        message.to_owned()
    } else {
        format!("{message} (\"{title}\")")
    };
    let mut context = context(call, message);
    context.status = Some(reply.status);
    Error::LoginPage(context)
}

fn redirect(call: &Call, reply: &Reply) -> Error {
    let location = reply.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| call.url.join(location).ok());
    let mut context = context(call, "a redirect without a target");
    context.status = Some(reply.status);
    let Some(mut target) = target else {
        return Error::UnexpectedResponse(context);
    };
    // The query of a login URL holds its state.
    target.set_query(None);
    target.set_fragment(None);
    if target.path().trim_end_matches('/') == call.url.path().trim_end_matches('/') {
        context.message = format!("redirected to {target}; use its scheme and host in the tracking URI");
        return Error::UnexpectedResponse(context);
    }
    context.message = format!("redirected to {target}");
    Error::LoginPage(context)
}

/// The text of a page's `title`, for messages only.
fn page_title(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let title = text
        .split_once("<title>")
        .and_then(|(_, rest)| rest.split_once("</title>"));
    title.map(|(title, _)| one_line(title).into_owned()).unwrap_or_default()
}

pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let wait = date.duration_since(jiff::Timestamp::now());
    Some(wait.try_into().unwrap_or(Duration::ZERO))
}

/// What an answer means, from its parts.
#[cfg(any(test, fuzzing))]
pub(crate) fn judge(call: &Call, status: u16, content_type: &str, body: &[u8]) -> Result<Reply> {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(content_type) {
        headers.insert(CONTENT_TYPE, value);
    }
    let reply = Reply {
        status: StatusCode::from_u16(status).unwrap_or(StatusCode::OK),
        headers,
        body: Bytes::copy_from_slice(body),
        attempts: 1,
    };
    check(call, &reply)?;
    Ok(reply)
}

/// Decodes an answer already checked.
pub(crate) fn decode<T: DeserializeOwned>(call: &Call, reply: &Reply) -> Result<T> {
    serde_json::from_slice(&reply.body).map_err(|error| {
        let mut context = context(call, error.to_string());
        context.status = Some(reply.status);
        context.attempts = reply.attempts;
        // An answer that ends early was cut off on its way.
        let make = if error.is_eof() && !reply.body.is_empty() {
            Error::Interrupted
        } else {
            Error::Decode
        };
        context.source = Some(Source::Other(Box::new(error)));
        make(context)
    })
}

/// Of reads, for use where a missing thing is no error.
pub(crate) fn found<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::NotFound(context)) if context.method == Method::GET => Ok(None),
        Err(error) => Err(error),
    }
}
