//! What can go wrong, sorted by what the caller can do about it.

use std::{borrow::Cow, error::Error as StdError, fmt, time::Duration};

use http::{Method, StatusCode};

use crate::{
    ids::RunId,
    submit::{Resource, Submitted},
    version::OlderServer,
};

/// Result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call did not give what it was asked for.
///
/// The variant says what the caller can do; [`Error::context`] says what happened on the wire. The text of an error is
/// one line, complete by itself, and free of secrets; causes are reached by [`source`](StdError::source) only.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A value was refused before anything was sent. Correct the field.
    InvalidRequest(Box<InvalidRequest>),
    /// The server is known to be too old for what was asked of it, so nothing was sent; see
    /// [`Feature`](crate::Feature).
    OlderServer(Box<OlderServer>),
    /// What was asked for does not exist.
    NotFound(Box<ErrorContext>),
    /// The name is taken (experiments, pipelines, versions; whatever status the server says it with), or the id (runs).
    AlreadyExists(Box<ErrorContext>),
    /// The server refused a value.
    InvalidArgument(Box<ErrorContext>),
    /// The state of something else stands against it, e.g. the experiment of a run is archived.
    FailedPrecondition(Box<ErrorContext>),
    /// The state of the thing itself stands against it, e.g. a run to retry has not failed.
    Conflict(Box<ErrorContext>),
    /// The server knows no identity for the call: no login, a bad token, or no identity header.
    Unauthenticated(Box<ErrorContext>),
    /// The identity is known and may not do this.
    PermissionDenied(Box<ErrorContext>),
    /// A login page or a redirect to one came where data was due: the session is missing or expired.
    LoginPage(Box<ErrorContext>),
    /// Too many requests; see [`ErrorContext::retry_after`].
    RateLimited(Box<ErrorContext>),
    /// The server or something before it cannot serve at the moment.
    Unavailable(Box<ErrorContext>),
    /// No complete answer within the time allowed.
    Timeout(Box<ErrorContext>),
    /// No connection: nothing was sent.
    Connect(Box<ErrorContext>),
    /// The connection broke after the request was sent.
    Interrupted(Box<ErrorContext>),
    /// The server failed (500). It answers some faulty requests so too; those that can be told by their text have the
    /// variant of their fault, but the same call need not ever succeed.
    Server(Box<ErrorContext>),
    /// The server does not serve this operation: it is of another generation, or the base URL is wrong.
    Unsupported(Box<ErrorContext>),
    /// The answer is JSON of another shape than expected; see [`ErrorContext::json_path`].
    Decode(Box<ErrorContext>),
    /// An answer that fits nothing known.
    UnexpectedResponse(Box<ErrorContext>),
    /// A middleware of the HTTP client failed, e.g. a login; see [`Error::middleware_source`].
    Middleware(Box<ErrorContext>),
    /// The HTTP client could not be set up.
    Setup(Box<ErrorContext>),
    /// A run was submitted and nobody can say whether it started: the answer was lost and the run cannot be found.
    ///
    /// It may appear later, and its steps may run even if it never appears (KFP 2.17 starts the workflow before it
    /// records the run). Do not submit the same id again: each submission starts one more workflow.
    OutcomeUnknown {
        /// Id under which the run was submitted.
        run_id: Box<RunId>,
        /// How the answer was lost.
        context: Box<ErrorContext>,
    },
    /// As [`OutcomeUnknown`](Self::OutcomeUnknown), for everything else that is made and can only be told by its name:
    /// a run of `v1beta1`, where the server may have ignored the id (KFP 1.8), a recurring run, an experiment, a
    /// pipeline, a version.
    NamedOutcomeUnknown {
        /// What was submitted.
        submitted: Box<Submitted>,
        /// How the answer was lost.
        context: Box<ErrorContext>,
    },
}

/// A value that was refused before anything was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidRequest {
    /// The field, or the path in the document.
    pub field: Cow<'static, str>,
    /// What is allowed there.
    pub allowed: Cow<'static, str>,
}

/// What happened on the wire.
pub struct ErrorContext {
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) status: Option<StatusCode>,
    pub(crate) code: Option<i32>,
    pub(crate) message: String,
    pub(crate) chain: Option<String>,
    pub(crate) json_path: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) attempts: u32,
    pub(crate) source: Option<Source>,
}

pub(crate) enum Source {
    Http(reqwest_middleware::Error),
    Other(Box<dyn StdError + Send + Sync>),
}

impl ErrorContext {
    /// Name of the operation, e.g. `runs.create`.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// HTTP method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Path of the URL, without host and query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// HTTP status, if an answer came.
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// gRPC code in the answer's body, if it has one.
    pub fn code(&self) -> Option<i32> {
        self.code
    }

    /// What happened, in short; the server's own words where it gave some.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The server's full text, with every layer it went through, where it differs from [`message`](Self::message).
    pub fn chain(&self) -> Option<&str> {
        self.chain.as_deref()
    }

    /// Where in the JSON of the answer decoding failed, e.g. `runs[3].created_at`.
    pub fn json_path(&self) -> Option<&str> {
        self.json_path.as_deref()
    }

    /// How long the server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// How often the request was tried.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self.source.as_ref()? {
            // The middleware's error itself, not its transparent wrapping, so that it can be downcast.
            Source::Http(reqwest_middleware::Error::Middleware(error)) => Some(&**error),
            Source::Http(reqwest_middleware::Error::Reqwest(error)) => Some(error),
            Source::Other(error) => Some(&**error),
        }
    }
}

impl fmt::Debug for ErrorContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorContext")
            .field("operation", &self.operation)
            .field("method", &self.method)
            .field("path", &self.path)
            .field("status", &self.status)
            .field("code", &self.code)
            .field("message", &self.message)
            .field("chain", &self.chain)
            .field("json_path", &self.json_path)
            .field("retry_after", &self.retry_after)
            .field("attempts", &self.attempts)
            .field("source", &self.source().map(ToString::to_string))
            .finish()
    }
}

impl Error {
    pub(crate) fn invalid(field: impl Into<Cow<'static, str>>, allowed: impl Into<Cow<'static, str>>) -> Self {
        Self::InvalidRequest(Box::new(InvalidRequest {
            field: field.into(),
            allowed: allowed.into(),
        }))
    }

    /// What happened on the wire; `None` if nothing was sent because a value was refused.
    pub fn context(&self) -> Option<&ErrorContext> {
        match self {
            Self::InvalidRequest(_) | Self::OlderServer(_) => None,
            Self::NotFound(context)
            | Self::AlreadyExists(context)
            | Self::InvalidArgument(context)
            | Self::FailedPrecondition(context)
            | Self::Conflict(context)
            | Self::Unauthenticated(context)
            | Self::PermissionDenied(context)
            | Self::LoginPage(context)
            | Self::RateLimited(context)
            | Self::Unavailable(context)
            | Self::Timeout(context)
            | Self::Connect(context)
            | Self::Interrupted(context)
            | Self::Server(context)
            | Self::Unsupported(context)
            | Self::Decode(context)
            | Self::UnexpectedResponse(context)
            | Self::Middleware(context)
            | Self::Setup(context)
            | Self::OutcomeUnknown { context, .. }
            | Self::NamedOutcomeUnknown { context, .. } => Some(context),
        }
    }

    pub(crate) fn context_mut(&mut self) -> Option<&mut ErrorContext> {
        match self {
            Self::InvalidRequest(_) | Self::OlderServer(_) => None,
            Self::NotFound(context)
            | Self::AlreadyExists(context)
            | Self::InvalidArgument(context)
            | Self::FailedPrecondition(context)
            | Self::Conflict(context)
            | Self::Unauthenticated(context)
            | Self::PermissionDenied(context)
            | Self::LoginPage(context)
            | Self::RateLimited(context)
            | Self::Unavailable(context)
            | Self::Timeout(context)
            | Self::Connect(context)
            | Self::Interrupted(context)
            | Self::Server(context)
            | Self::Unsupported(context)
            | Self::Decode(context)
            | Self::UnexpectedResponse(context)
            | Self::Middleware(context)
            | Self::Setup(context)
            | Self::OutcomeUnknown { context, .. }
            | Self::NamedOutcomeUnknown { context, .. } => Some(context),
        }
    }

    /// HTTP status, if an answer came.
    pub fn status(&self) -> Option<StatusCode> {
        self.context()?.status
    }

    /// gRPC code in the answer's body, if it has one.
    pub fn code(&self) -> Option<i32> {
        self.context()?.code
    }

    /// Name of the operation, e.g. `runs.create`.
    pub fn operation(&self) -> Option<&'static str> {
        match self {
            Self::OlderServer(older) => Some(older.operation),
            _ => Some(self.context()?.operation),
        }
    }

    /// Whether the same call may succeed a little later without anything being changed.
    ///
    /// Never true for a submitted run or recurring run whose outcome is open: repeating that could start it twice. What
    /// has a name that the server keeps unique is made once however often it is tried.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::RateLimited(_)
            | Self::Unavailable(_)
            | Self::Timeout(_)
            | Self::Connect(_)
            | Self::Interrupted(_) => true,
            // Of a write nobody can tell how far it got.
            Self::Server(context) => context.method == Method::GET,
            Self::NamedOutcomeUnknown { submitted, .. } => matches!(
                submitted.resource,
                Resource::Experiment | Resource::Pipeline | Resource::PipelineVersion
            ),
            _ => false,
        }
    }

    /// Whether what was asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }

    /// The error of the middleware that failed, e.g. a login's, to be downcast.
    pub fn middleware_source(&self) -> Option<&(dyn StdError + 'static)> {
        match self.context()?.source.as_ref()? {
            Source::Http(reqwest_middleware::Error::Middleware(error)) => Some(&**error),
            _ => None,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid request",
            Self::OlderServer(_) => "the server is too old",
            Self::NotFound(_) => "not found",
            Self::AlreadyExists(_) => "already exists",
            Self::InvalidArgument(_) => "refused by the server",
            Self::FailedPrecondition(_) => "failed precondition",
            Self::Conflict(_) => "conflict",
            Self::Unauthenticated(_) => "not authenticated",
            Self::PermissionDenied(_) => "permission denied",
            Self::LoginPage(_) => "session missing or expired",
            Self::RateLimited(_) => "rate limited",
            Self::Unavailable(_) => "unavailable",
            Self::Timeout(_) => "timed out",
            Self::Connect(_) => "no connection",
            Self::Interrupted(_) => "connection broken",
            Self::Server(_) => "server error",
            Self::Unsupported(_) => "not served",
            Self::Decode(_) => "answer not understood",
            Self::UnexpectedResponse(_) => "unexpected answer",
            Self::Middleware(_) => "HTTP middleware failed",
            Self::Setup(_) => "HTTP client not usable",
            Self::OutcomeUnknown { .. } | Self::NamedOutcomeUnknown { .. } => "outcome unknown",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::InvalidRequest(invalid) = self {
            return write!(f, "invalid request: {} must be {}", invalid.field, invalid.allowed);
        }
        if let Self::OlderServer(older) = self {
            let OlderServer {
                operation,
                feature,
                server,
            } = **older;
            return write!(
                f,
                "{operation}: {}: {} needs KFP {} or later, and this is {server}",
                self.kind(),
                feature.name,
                feature.since
            );
        }
        let Some(context) = self.context() else {
            return f.write_str(self.kind());
        };
        write!(f, "{}: {}", context.operation, self.kind())?;
        if let Self::OutcomeUnknown { run_id, .. } = self {
            write!(f, ": run {run_id} was submitted and cannot be found")?;
        }
        if let Self::NamedOutcomeUnknown { submitted, .. } = self {
            write!(f, ": {submitted} was submitted and cannot be found")?;
        }
        if !context.message.is_empty() {
            write!(f, ": {}", one_line(&context.message))?;
        }
        if let Some(path) = &context.json_path {
            write!(f, " at `{path}`")?;
        }
        write!(f, " ({} {}", context.method, context.path)?;
        if let Some(status) = context.status {
            write!(f, ", status {}", status.as_u16())?;
        }
        if let Some(code) = context.code {
            write!(f, ", code {code}")?;
        }
        if context.attempts > 1 {
            write!(f, ", {} attempts", context.attempts)?;
        }
        f.write_str(")")
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.context()?.source()
    }
}

/// The first line of a text, at most 300 characters of it: servers add Go stack traces.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    let line = text.trim().lines().next().unwrap_or_default().trim_end();
    match line.char_indices().nth(300) {
        Some((end, _)) => Cow::Owned(format!("{}…", line.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_small_and_can_cross_threads() {
        fn check<T: Send + Sync + 'static>() {}
        check::<Error>();
        assert!(size_of::<Error>() <= 3 * size_of::<usize>());
    }
}
