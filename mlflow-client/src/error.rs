//! What can go wrong, sorted by what the caller can do about it.

use std::{
    borrow::Cow,
    error::Error as StdError,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use http::{Method, StatusCode};

use crate::version::ServerVersion;

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
    /// The server is known to be too old for the call, which was not sent, or which it refused. Upgrade it, or do without.
    ServerTooOld(Box<TooOld>),
    /// What was asked for does not exist.
    NotFound(Box<ErrorContext>),
    /// The name is taken, by a deleted experiment too.
    AlreadyExists(Box<ErrorContext>),
    /// The server refused a value, or the thing is deleted and cannot be written to.
    ///
    /// A parameter of a run that already has another value is such a case.
    InvalidArgument(Box<ErrorContext>),
    /// Someone else changed the same thing at the same time.
    Conflict(Box<ErrorContext>),
    /// The server knows no identity for the call: no credentials, or wrong ones.
    Unauthenticated(Box<ErrorContext>),
    /// The identity is known and may not do this, or the server does not accept this host name (see `--allowed-hosts`
    /// of `mlflow server`); the message tells which.
    PermissionDenied(Box<ErrorContext>),
    /// A page of HTML or a redirect came where data was due: a login in front of MLflow, or not MLflow at all.
    LoginPage(Box<ErrorContext>),
    /// Too many requests; see [`ErrorContext::retry_after`].
    RateLimited(Box<ErrorContext>),
    /// The server or something before it cannot serve at the moment. An exhausted pool of database connections, which
    /// MLflow reports as a faulty request, is counted here.
    Unavailable(Box<ErrorContext>),
    /// No complete answer within the time allowed.
    Timeout(Box<ErrorContext>),
    /// No connection: nothing was sent.
    Connect(Box<ErrorContext>),
    /// The connection broke after the request was sent.
    Interrupted(Box<ErrorContext>),
    /// The server failed (500). MLflow uses this for some faulty requests too, so the same call need not ever succeed.
    Server(Box<ErrorContext>),
    /// The server does not serve this operation: it is switched off there, the server does not hold the artifacts itself, or
    /// the URL is wrong. Of a server that is too old, [`ServerTooOld`](Self::ServerTooOld) tells where its version is known.
    Unsupported(Box<ErrorContext>),
    /// The answer is JSON of another shape than expected, or none at all.
    Decode(Box<ErrorContext>),
    /// An answer that fits nothing known.
    UnexpectedResponse(Box<ErrorContext>),
    /// A middleware of the HTTP client failed, e.g. a login; see [`Error::middleware_source`].
    Middleware(Box<ErrorContext>),
    /// The HTTP client could not be set up.
    Setup(Box<ErrorContext>),
    /// A file or folder on this machine could not be read or written, or may not be sent.
    File(Box<FileError>),
}

/// A file or folder on this machine that could not be read or written.
#[derive(Debug)]
#[non_exhaustive]
pub struct FileError {
    /// Name of the operation, e.g. `artifacts.download_file`.
    pub operation: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the operating system says.
    pub error: std::io::Error,
}

impl FileError {
    pub(crate) fn of(operation: &'static str, path: &Path, error: std::io::Error) -> Error {
        Error::File(Box::new(Self {
            operation,
            path: path.to_owned(),
            error,
        }))
    }
}

/// A value that was refused before anything was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidRequest {
    /// The field, setting or environment variable.
    pub field: Cow<'static, str>,
    /// What is allowed there.
    pub allowed: Cow<'static, str>,
}

/// A call that the server is too old for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooOld {
    /// Name of the operation, e.g. `logged_models.create`.
    pub operation: &'static str,
    /// The first version of MLflow that serves it.
    pub needs: ServerVersion,
    /// The version of the server.
    pub has: ServerVersion,
}

/// What happened on the wire.
pub struct ErrorContext {
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) status: Option<StatusCode>,
    pub(crate) error_code: Option<String>,
    pub(crate) error_class: Option<String>,
    pub(crate) sqlstate: Option<String>,
    pub(crate) message: String,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) attempts: u32,
    /// Whether the connection broke before any part of an answer came.
    pub(crate) before_answer: bool,
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

    /// MLflow's own code, e.g. `RESOURCE_DOES_NOT_EXIST`, if the answer has one.
    pub fn error_code(&self) -> Option<&str> {
        self.error_code.as_deref()
    }

    /// MLflow's class of the error, e.g. `RESOURCE_NOT_FOUND`; late versions 3 only.
    pub fn error_class(&self) -> Option<&str> {
        self.error_class.as_deref()
    }

    /// State in the manner of SQL, e.g. `KAM00`; late versions 3 only.
    pub fn sqlstate(&self) -> Option<&str> {
        self.sqlstate.as_deref()
    }

    /// What happened, in short; the server's own words where it gave some.
    pub fn message(&self) -> &str {
        &self.message
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
            .field("error_code", &self.error_code)
            .field("error_class", &self.error_class)
            .field("sqlstate", &self.sqlstate)
            .field("message", &self.message)
            .field("retry_after", &self.retry_after)
            .field("attempts", &self.attempts)
            .field("before_answer", &self.before_answer)
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

    /// What happened on the wire; `None` if nothing was sent because a value was refused or the server is too old, and of local
    /// files.
    pub fn context(&self) -> Option<&ErrorContext> {
        match self {
            Self::InvalidRequest(_) | Self::ServerTooOld(_) | Self::File(_) => None,
            Self::NotFound(context)
            | Self::AlreadyExists(context)
            | Self::InvalidArgument(context)
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
            | Self::Setup(context) => Some(context),
        }
    }

    pub(crate) fn context_mut(&mut self) -> Option<&mut ErrorContext> {
        match self {
            Self::InvalidRequest(_) | Self::ServerTooOld(_) | Self::File(_) => None,
            Self::NotFound(context)
            | Self::AlreadyExists(context)
            | Self::InvalidArgument(context)
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
            | Self::Setup(context) => Some(context),
        }
    }

    /// HTTP status, if an answer came.
    pub fn status(&self) -> Option<StatusCode> {
        self.context()?.status
    }

    /// MLflow's own code, e.g. `INVALID_PARAMETER_VALUE`, if the answer has one.
    pub fn error_code(&self) -> Option<&str> {
        self.context()?.error_code()
    }

    /// Name of the operation, e.g. `runs.create`.
    pub fn operation(&self) -> Option<&'static str> {
        match self {
            Self::ServerTooOld(too_old) => Some(too_old.operation),
            Self::File(file) => Some(file.operation),
            _ => Some(self.context()?.operation),
        }
    }

    /// Whether the same call may succeed a little later without anything being changed.
    ///
    /// Of calls that are not idempotent, such as the creation of a run, an error like [`Timeout`](Self::Timeout) or
    /// [`Interrupted`](Self::Interrupted) leaves open whether it took effect: look before repeating.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::RateLimited(_)
            | Self::Unavailable(_)
            | Self::Timeout(_)
            | Self::Connect(_)
            | Self::Interrupted(_)
            | Self::Conflict(_) => true,
            // With a code the failure is of MLflow's own making, and deterministic.
            Self::Server(context) => {
                context.error_code.is_none()
                    && context.method == Method::GET
                    && context.status == Some(StatusCode::INTERNAL_SERVER_ERROR)
            }
            _ => false,
        }
    }

    /// Whether what was asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }

    /// Whether the name is taken.
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Self::AlreadyExists(_))
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
            Self::ServerTooOld(_) => "server too old",
            Self::NotFound(_) => "not found",
            Self::AlreadyExists(_) => "already exists",
            Self::InvalidArgument(_) => "refused by the server",
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
            Self::File(_) => "local file",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::InvalidRequest(invalid) = self {
            return write!(f, "invalid request: {} must be {}", invalid.field, invalid.allowed);
        }
        if let Self::ServerTooOld(too_old) = self {
            let TooOld { operation, needs, has } = **too_old;
            return write!(
                f,
                "{operation}: the server is too old: it is MLflow {has}, and {needs} is needed"
            );
        }
        if let Self::File(file) = self {
            return write!(f, "{}: {}: {}", file.operation, file.path.display(), file.error);
        }
        let Some(context) = self.context() else {
            return f.write_str(self.kind());
        };
        write!(f, "{}: {}", context.operation, self.kind())?;
        if !context.message.is_empty() {
            write!(f, ": {}", one_line(&context.message))?;
        }
        write!(f, " ({} {}", context.method, context.path)?;
        if let Some(status) = context.status {
            write!(f, ", status {}", status.as_u16())?;
        }
        if let Some(code) = &context.error_code {
            write!(f, ", {code}")?;
        }
        if context.attempts > 1 {
            write!(f, ", {} attempts", context.attempts)?;
        }
        f.write_str(")")
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::File(file) => Some(&file.error),
            _ => self.context()?.source(),
        }
    }
}

/// The first line of a text, at most 300 characters of it: MLflow quotes SQL statements of any length.
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
