//! Sending: time limits, repetition, and the sorting of answers into data and errors.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::{
    Extensions, HeaderMap, Method, StatusCode,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER},
};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use reqwest_middleware::{Middleware, Next};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::Instant;
use tracing::{Instrument, Span, field};

use crate::{
    client::Inner,
    endpoint::{Accept, Call},
    error::{Error, ErrorContext, Result, Source, one_line},
    faults,
    json_path::{self, Misread},
    retry,
    stream::FormFile,
    version::OlderServer,
};

/// Larger answers are refused: a page of 200 runs with specifications of 1 MB each is the most that makes sense.
const MAX_BODY: usize = 256 << 20;

/// Tries of one call.
const MAX_ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Whether a request may have reached the server without a clear answer.
///
/// Set by a middleware next to the wire, below those of the caller, so that a login that fails before anything was
/// sent is told from an answer that was lost.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    unclear: AtomicBool,
}

impl Wire {
    pub(crate) fn is_unclear(&self) -> bool {
        self.unclear.load(Ordering::SeqCst)
    }
}

pub(crate) struct WireProbe;

#[async_trait::async_trait]
impl Middleware for WireProbe {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let wire = extensions.get::<Arc<Wire>>().cloned();
        // Set before sending, so that it also stands when this future is dropped halfway.
        let before = wire.as_ref().map(|wire| wire.unclear.swap(true, Ordering::SeqCst));
        let result = next.run(request, extensions).await;
        let clear = match &result {
            Ok(response) => {
                let status = response.status();
                let gateway = matches!(status.as_u16(), 502..=504);
                !gateway && (!status.is_success() || is_html(response.headers()))
            }
            Err(reqwest_middleware::Error::Reqwest(error)) => error.is_connect() || error.is_builder(),
            Err(_) => false,
        };
        if let (Some(wire), Some(before), true) = (wire, before, clear) {
            wire.unclear.store(before, Ordering::SeqCst);
        }
        result
    }
}

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
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T> {
        let reply = self.send(call, self.timeout, &Arc::default()).await?;
        decode(call, &reply)
    }

    /// Sends a call whose answer says nothing.
    pub(crate) async fn done(&self, call: &Call) -> Result<()> {
        let _: serde::de::IgnoredAny = self.json(call).await?;
        Ok(())
    }

    /// Sends until there is an answer that means success, at most for `limit`.
    ///
    /// What is repeated says [`retry::RETRY_RULES`]. The call's span tells neither addresses nor bodies nor queries.
    pub(crate) async fn send(&self, call: &Call, limit: Duration, wire: &Arc<Wire>) -> Result<Reply> {
        self.refuse_older(call)?;
        let span = tracing::info_span!(
            "kfp_call",
            "otel.name" = call.operation,
            "otel.kind" = "client",
            operation = call.operation,
            method = call.method.as_str(),
            attempt = field::Empty,
            status = field::Empty,
            code = field::Empty,
        );
        let work = self.send_within(call, limit, wire, &span);
        work.instrument(span.clone()).await
    }

    /// Refuses what the server is known to be too old for.
    pub(crate) fn refuse_older(&self, call: &Call) -> Result<()> {
        let Some(server) = self.server_version() else {
            return Ok(());
        };
        match call.needs.iter().find(|feature| server < feature.since) {
            Some(feature) => Err(Error::OlderServer(Box::new(OlderServer {
                operation: call.operation,
                feature: *feature,
                server,
            }))),
            None => Ok(()),
        }
    }

    async fn send_within(&self, call: &Call, limit: Duration, wire: &Arc<Wire>, span: &Span) -> Result<Reply> {
        let deadline = Instant::now() + limit;
        let mut attempts = 0;
        loop {
            attempts += 1;
            span.record("attempt", attempts);
            let left = deadline.saturating_duration_since(Instant::now());
            let repeatable = call.method == Method::GET && attempts < MAX_ATTEMPTS;
            // A read that hangs is cut early enough to be tried again.
            let allowed = if repeatable { left / 2 } else { left };
            let mut error = match self.attempt(call, allowed, wire).await {
                Ok(mut reply) => {
                    reply.attempts = attempts;
                    span.record("status", reply.status.as_u16());
                    match check(call, &reply) {
                        Ok(()) => {
                            tracing::debug!(operation = call.operation, status = reply.status.as_u16(), attempts);
                            return Ok(reply);
                        }
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            if let Some(context) = error.context_mut() {
                context.attempts = attempts;
                if let Some(code) = context.code {
                    span.record("code", code);
                }
            }
            let sendable = call.form.as_ref().is_none_or(FormFile::is_repeatable);
            let again = sendable && retry::again(&error, &call.method);
            let asked = error.context().and_then(ErrorContext::retry_after);
            let pause = asked.unwrap_or_else(|| backoff(FIRST_PAUSE, LONGEST_PAUSE, attempts));
            tracing::debug!(operation = call.operation, attempts, again, %error);
            if !again || attempts >= MAX_ATTEMPTS || Instant::now() + pause >= deadline {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// One request and its answer's head, not yet judged.
    pub(crate) async fn head(&self, call: &Call, wire: &Arc<Wire>) -> Result<reqwest::Response> {
        let mut request = reqwest::Request::new(call.method.clone(), call.url.clone());
        let accept = match call.accept {
            Accept::Json => "application/json",
            Accept::Text => "text/plain, */*;q=0.5",
            Accept::Bytes => "*/*",
        };
        let headers = request.headers_mut();
        headers.insert(ACCEPT, http::HeaderValue::from_static(accept));
        if let Some(user_id) = &self.user_id {
            headers.insert("kubeflow-userid", user_id.clone());
        }
        if let Some(tracer) = &self.tracer {
            tracer.write(headers);
        }
        if let Some((content_type, body)) = &call.body {
            headers.insert(CONTENT_TYPE, content_type.clone());
            *request.body_mut() = Some(body.clone().into());
        }
        if let Some(form) = &call.form {
            let body = form.body().await.map_err(|error| unreadable(call, error))?;
            let content_type = format!("multipart/form-data; boundary={}", form.boundary);
            let headers = request.headers_mut();
            headers.insert(
                CONTENT_TYPE,
                content_type.parse().map_err(|_| Error::invalid("file", "a form"))?,
            );
            if let Some(length) = form.length() {
                headers.insert(CONTENT_LENGTH, length.into());
            }
            *request.body_mut() = Some(body);
        }
        let mut extensions = Extensions::new();
        extensions.insert(Arc::clone(wire));
        self.http
            .execute_with_extensions(request, &mut extensions)
            .await
            .map_err(|error| transport_error(call, error))
    }

    async fn attempt(&self, call: &Call, limit: Duration, wire: &Arc<Wire>) -> Result<Reply> {
        let work = async {
            let response = self.head(call, wire).await?;
            let status = response.status();
            let headers = response.headers().clone();
            let body = read(call, response).await?;
            Ok(Reply {
                status,
                headers,
                body,
                attempts: 1,
            })
        };
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_) => Err(Error::Timeout(context(call, format!("no answer within {limit:.1?}")))),
        }
    }
}

async fn read(call: &Call, response: reqwest::Response) -> Result<Bytes> {
    let mut stream = response.bytes_stream();
    let mut chunks: Vec<Bytes> = Vec::new();
    let mut length = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| transport_error(call, error.into()))?;
        length += chunk.len();
        if length > MAX_BODY {
            let message = format!("the answer is larger than {} MiB", MAX_BODY >> 20);
            return Err(Error::UnexpectedResponse(context(call, message)));
        }
        chunks.push(chunk);
    }
    // Most answers come whole, and then there is nothing to put together.
    Ok(match <[Bytes; 1]>::try_from(chunks) {
        Ok([whole]) => whole,
        Err(chunks) => {
            let mut whole = BytesMut::with_capacity(length);
            for chunk in &chunks {
                whole.extend_from_slice(chunk);
            }
            whole.freeze()
        }
    })
}

/// `first`, doubled with every attempt up to `longest`, with the upper half of it left to chance so that clients do
/// not come back in step.
pub(crate) fn backoff(first: Duration, longest: Duration, attempt: u32) -> Duration {
    let full = first
        .saturating_mul(1 << attempt.saturating_sub(1).min(16))
        .min(longest);
    let [chance, ..] = *crate::random::uuid().as_bytes();
    full / 2 + full.mul_f64(f64::from(chance) / 512.0)
}

pub(crate) fn context(call: &Call, message: impl Into<String>) -> Box<ErrorContext> {
    Box::new(ErrorContext {
        operation: call.operation,
        method: call.method.clone(),
        path: call.url.path().to_owned(),
        status: None,
        code: None,
        message: message.into(),
        chain: None,
        json_path: None,
        retry_after: None,
        attempts: 1,
        source: None,
    })
}

pub(crate) fn transport_error(call: &Call, error: reqwest_middleware::Error) -> Error {
    let error = match error {
        // The URL is in the context already, and its query may hold what should not be logged.
        reqwest_middleware::Error::Reqwest(error) => reqwest_middleware::Error::Reqwest(error.without_url()),
        other @ reqwest_middleware::Error::Middleware(_) => other,
    };
    let (make, message): (fn(Box<ErrorContext>) -> Error, String) = match &error {
        reqwest_middleware::Error::Middleware(inner) => (Error::Middleware, inner.to_string()),
        reqwest_middleware::Error::Reqwest(inner) => {
            let root = root_cause(inner);
            if inner.is_timeout() && !inner.is_connect() {
                (Error::Timeout, root)
            } else if inner.is_connect() {
                (Error::Connect, root)
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

/// The content of an upload that cannot be read: nothing was sent.
fn unreadable(call: &Call, error: std::io::Error) -> Error {
    let mut context = context(call, format!("the file to upload cannot be read: {error}"));
    context.source = Some(Source::Other(Box::new(error)));
    Error::Setup(context)
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

/// An error's body in any of the shapes servers send.
#[derive(Debug, Default, Deserialize)]
struct ErrorBody {
    code: Option<i32>,
    message: Option<String>,
    error: Option<serde_json::Value>,
    error_message: Option<String>,
    error_details: Option<String>,
    #[serde(default)]
    details: Vec<ErrorDetail>,
}

#[derive(Debug, Deserialize)]
struct ErrorDetail {
    message: Option<String>,
    error_message: Option<String>,
}

/// Turns an answer that is no success into its error.
pub(crate) fn check(call: &Call, reply: &Reply) -> Result<()> {
    let html = is_html(&reply.headers) || reply.body.trim_ascii_start().starts_with(b"<");
    let status = reply.status;
    if status.is_success() {
        // A log may start with `<`; only its content type tells a page from it.
        let page = if call.accept == Accept::Json {
            html
        } else {
            is_html(&reply.headers)
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
    let body: Option<ErrorBody> = serde_json::from_slice(&reply.body).ok();
    let is_json = body.is_some();
    let body = body.unwrap_or_default();
    let chain = body.message.or(body.error_message).or(match body.error {
        Some(serde_json::Value::String(text)) => Some(text),
        _ => None,
    });
    let detail = body.details.into_iter().next();
    let has_detail = detail.is_some();
    let detail = detail.and_then(|detail| detail.message.or(detail.error_message));
    let mut context = context(call, "");
    context.status = Some(status);
    context.code = body.code;
    context.attempts = reply.attempts;
    context.retry_after = retry_after(&reply.headers);
    // Of internal errors the detail says only "Internal Server Error", or adds a stack trace to the message.
    let detail = detail.filter(|text| body.code != Some(13) && !text.is_empty());
    let chain = chain.or_else(|| body.error_details.clone());
    context.message = match (&detail, &chain) {
        (Some(detail), _) => one_line(detail).into_owned(),
        (None, Some(chain)) => one_line(chain).into_owned(),
        (None, None) if html => page_title(&reply.body),
        (None, None) => one_line(&String::from_utf8_lossy(&reply.body)).into_owned(),
    };
    // Upload handlers give the cause only in their details, before the stack trace.
    context.chain = match (chain, body.error_details) {
        (_, Some(details)) if !details.is_empty() => Some(details),
        (chain, _) => chain.filter(|chain| *chain != context.message),
    };
    // A path the server does not serve: JSON without details from 2.14 on, text before. A thing that does not exist
    // always comes with details.
    let unknown_path = status == StatusCode::NOT_FOUND
        && call.accept == Accept::Json
        && (!is_json || (!has_detail && context.message == "Not Found"));
    if unknown_path {
        return Err(Error::Unsupported(context));
    }
    let texts = [&*context.message, context.chain.as_deref().unwrap_or_default()];
    let fault = faults::recognise(status, context.code, &texts);
    let variant = fault.unwrap_or_else(|| classify(context.code, status));
    Err(variant(context))
}

/// The variant for a gRPC code, or for a status where there is no code.
#[allow(clippy::match_same_arms, reason = "codes and statuses are two tables")]
pub(crate) fn classify(code: Option<i32>, status: StatusCode) -> fn(Box<ErrorContext>) -> Error {
    match (code, status.as_u16()) {
        (Some(3 | 11), _) => Error::InvalidArgument,
        (Some(4), _) => Error::Timeout,
        (Some(5), _) => Error::NotFound,
        (Some(6), _) => Error::AlreadyExists,
        (Some(7), _) => Error::PermissionDenied,
        (Some(8), _) => Error::RateLimited,
        (Some(9), _) => Error::FailedPrecondition,
        (Some(10), _) => Error::Conflict,
        (Some(12), _) => Error::Unsupported,
        (Some(1 | 14), _) => Error::Unavailable,
        (Some(16), _) => Error::Unauthenticated,
        (Some(_), _) => Error::Server,
        (None, 400) => Error::InvalidArgument,
        (None, 401 | 407) => Error::Unauthenticated,
        (None, 403) => Error::PermissionDenied,
        (None, 404) => Error::NotFound,
        (None, 405 | 501) => Error::Unsupported,
        (None, 409) => Error::AlreadyExists,
        (None, 412) => Error::FailedPrecondition,
        (None, 429) => Error::RateLimited,
        (None, 502..=504) => Error::Unavailable,
        (None, 500..) => Error::Server,
        (None, _) => Error::UnexpectedResponse,
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
    context.attempts = reply.attempts;
    Error::LoginPage(context)
}

fn redirect(call: &Call, reply: &Reply) -> Error {
    let location = reply.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| call.url.join(location).ok());
    let mut context = context(call, "a redirect without a target");
    context.status = Some(reply.status);
    context.attempts = reply.attempts;
    let Some(mut target) = target else {
        return Error::UnexpectedResponse(context);
    };
    // The query of a login URL holds its state.
    target.set_query(None);
    target.set_fragment(None);
    if target.path().trim_end_matches('/') == call.url.path().trim_end_matches('/') {
        context.message = format!(
            "redirected to {}; use its scheme and host in the base URL",
            one_line(target.as_str())
        );
        return Error::UnexpectedResponse(context);
    }
    context.message = format!("redirected to {}", one_line(target.as_str()));
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

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    // The other form is a date.
    let date = DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Duration::try_from(date.duration_since(Timestamp::now())).unwrap_or_default())
}

/// Decodes an answer already checked.
pub(crate) fn decode<T: DeserializeOwned>(call: &Call, reply: &Reply) -> Result<T> {
    json_path::read(&reply.body).map_err(|misread| {
        let Misread { path, error } = misread;
        let mut context = context(call, error.to_string());
        context.status = Some(reply.status);
        context.attempts = reply.attempts;
        context.json_path = Some(path);
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
