//! The one error type of this crate: variants by what a caller can do about it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why a login did not lead to a session, or a session to an answer.
///
/// Cheap to clone: one failed login answers every request that waited for it. No variant holds a password, a cookie,
/// a token or the query of a URL.
///
/// Requests sent through [`SessionMiddleware`](crate::SessionMiddleware) fail with [`reqwest_middleware::Error`];
/// [`Error::of_middleware`] finds this error in it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is missing or cannot be used; nothing was sent.
    #[error("{field} cannot be used: {problem}")]
    Config {
        /// The setting, as its builder method or environment variable is named.
        field: &'static str,
        /// What is wrong, and what is allowed.
        problem: String,
    },

    /// The user name or the password was refused.
    ///
    /// The session remembers the refusal: with the same credentials it refuses every further login at once, since
    /// directories lock accounts after a few wrong passwords.
    #[error(
        "{origin} refused the user name or password; it is not tried again until new credentials are set with \
         Session::set_credentials"
    )]
    WrongPassword {
        /// Who refused: scheme, host and port.
        origin: String,
    },

    /// The requested Dex connector is not offered.
    #[error(
        "Dex offers no connector `{requested}`; set one of these with SessionBuilder::connector: {}",
        ids(available)
    )]
    ConnectorUnknown {
        /// The connector id that was asked for.
        requested: String,
        /// The connectors that are offered.
        available: Vec<Connector>,
    },

    /// Dex offers several connectors and none was chosen.
    #[error(
        "Dex offers several connectors; choose one with SessionBuilder::connector: {}",
        ids(available)
    )]
    ConnectorRequired {
        /// The connectors that are offered.
        available: Vec<Connector>,
    },

    /// The gateway's login service is down or failed: Envoy answered 403 with an empty body.
    #[error(
        "the login service behind {path} is down or failed (403 with an empty body); try again later, and look at the \
         logs of oauth2-proxy or oidc-authservice if it stays"
    )]
    AuthServiceUnavailable {
        /// Path of the refused request.
        path: String,
    },

    /// The identity provider or the gateway in front of it failed.
    #[error("the identity provider failed with status {status}: {message}; try again later")]
    ProviderUnavailable {
        /// HTTP status.
        status: u16,
        /// What the page said, cut to one line.
        message: String,
    },

    /// Dex or the gateway refused the login for another reason than the password.
    #[error("the login was refused with status {status}: {message}")]
    DexError {
        /// HTTP status.
        status: u16,
        /// What the page said, cut to one line.
        message: String,
    },

    /// The server lost the state of this login, also at the second try with an empty cookie jar.
    #[error("the server lost the state of the login: {message}; try again")]
    LoginStateLost {
        /// What the page said, cut to one line.
        message: String,
    },

    /// The `state` at the end of the login is not the one of its start.
    #[error("the login ended with another state than it began with; someone may be interfering, so it was stopped")]
    StateMismatch,

    /// The approval page asks for more than a login needs.
    #[error("Dex asks to approve {}, more than a login needs; approve it once in a browser if this is right", scopes.join(", "))]
    ApprovalRefused {
        /// The scopes that were not expected.
        scopes: Vec<String>,
    },

    /// The login led to a page that no handler knows.
    #[error("the login led to an unknown page at {url} (status {status}, title `{title}`, form fields: {})", fields.join(", "))]
    UnknownPage {
        /// The page, without its query.
        url: String,
        /// HTTP status.
        status: u16,
        /// The page's title.
        title: String,
        /// Names of all form fields of the page.
        fields: Vec<String>,
    },

    /// The login led somewhere this session must not go.
    #[error("the login led to {origin}, which {reason}")]
    UnsafeTarget {
        /// Scheme, host and port of the refused target.
        origin: String,
        /// Why it was refused.
        reason: UnsafeReason,
    },

    /// More redirects than a login can need.
    #[error("the login did not end after {limit} redirects; the gateway's login is set up in a circle")]
    TooManyRedirects {
        /// The limit.
        limit: u32,
    },

    /// More pages than a login can need.
    #[error("the login did not end after {limit} pages; the gateway's login is set up in a circle")]
    TooManyPages {
        /// The limit.
        limit: u32,
    },

    /// A page larger than the limit.
    #[error("the page at {url} is larger than {limit} bytes; raise SessionBuilder::max_page_bytes if this is right")]
    PageTooLarge {
        /// The page, without its query.
        url: String,
        /// The limit in bytes.
        limit: usize,
    },

    /// The whole login took longer than its deadline.
    #[error("the login did not end within {} s; see SessionBuilder::login_deadline", after.as_secs_f32())]
    LoginDeadline {
        /// The deadline.
        after: Duration,
    },

    /// No connection could be made; nothing was sent.
    #[error("no connection to {origin} could be made; check the address, the network and the certificate")]
    Connect {
        /// Scheme, host and port.
        origin: String,
        /// What the transport said.
        source: Arc<reqwest::Error>,
    },

    /// The connection broke or timed out during a login.
    #[error("the connection to {origin} broke or timed out during the login")]
    Transport {
        /// Scheme, host and port.
        origin: String,
        /// What the transport said.
        source: Arc<reqwest::Error>,
    },

    /// There is no login at this address.
    #[error(
        "{url} answered {status} and no login page; it is no Kubeflow gateway with a login, or Kubeflow stands at \
         another path"
    )]
    NotAGateway {
        /// The address that was tried last, without its query.
        url: String,
        /// HTTP status.
        status: u16,
    },

    /// The login worked, but the gateway's policy does not admit this user or path.
    #[error("the gateway's policy denies access to {path} ({message}); ask the administrator for access")]
    PermissionDenied {
        /// Path of the refused request.
        path: String,
        /// What the gateway said, cut to one line.
        message: String,
    },

    /// The gateway refused a session that was just made.
    #[error("the gateway refused a session that was just made, at {path} with status {status}: {message}")]
    SessionRejected {
        /// Path of the refused request.
        path: String,
        /// HTTP status.
        status: u16,
        /// What the gateway said, cut to one line.
        message: String,
    },

    /// The session ended while a request with a streaming body was under way.
    ///
    /// The gateway refused the request before any service saw it, so it may be sent again with a new body.
    #[error("the session ended before the streaming request to {path} was admitted; send it again")]
    RequestNotReplayable {
        /// Path of the refused request.
        path: String,
    },

    /// The task of the login ended without a result, for instance since its runtime was shut down.
    #[error("the login was stopped before it ended; try again")]
    LoginAborted,
}

/// Why a target was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnsafeReason {
    /// Neither the gateway nor an identity provider that was named.
    OtherOrigin,
    /// Leads from https to http.
    Downgrade,
    /// A redirect (307, 308) that would send a form again, password included.
    ResendsForm,
    /// Not http at all, such as `javascript:` or `data:`.
    Scheme,
}

impl fmt::Display for UnsafeReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::OtherOrigin => "is not the gateway's own origin; credentials are only sent there",
            Self::Downgrade => "is not encrypted, while the gateway is; use the https address everywhere",
            Self::ResendsForm => "asks for the form again with all its fields; this is never followed",
            Self::Scheme => "is no web address; this is never followed",
        })
    }
}

/// A way to log in that Dex offers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connector {
    /// The id to give to [`SessionBuilder::connector`](crate::SessionBuilder::connector).
    pub id: String,
    /// Dex's name for its type, such as `local`, `ldap`, `oidc` or `saml`; empty when unknown.
    pub kind: String,
    /// The text of its button; empty when unknown.
    pub label: String,
}

fn ids(connectors: &[Connector]) -> String {
    let ids: Vec<_> = connectors.iter().map(|connector| connector.id.as_str()).collect();
    if ids.is_empty() {
        "(none)".to_owned()
    } else {
        ids.join(", ")
    }
}

impl Error {
    /// This crate's error inside an error of the middleware stack, if it is one.
    ///
    /// ```
    /// let stack = reqwest_middleware::Error::middleware(dex_auth::Error::LoginAborted);
    /// assert!(dex_auth::Error::of_middleware(&stack).is_some_and(dex_auth::Error::is_retryable));
    /// ```
    pub fn of_middleware(error: &reqwest_middleware::Error) -> Option<&Self> {
        match error {
            reqwest_middleware::Error::Middleware(inner) => inner.downcast_ref(),
            reqwest_middleware::Error::Reqwest(_) => None,
        }
    }

    /// The HTTP status that led to this error, where there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::ProviderUnavailable { status, .. }
            | Self::DexError { status, .. }
            | Self::UnknownPage { status, .. }
            | Self::NotAGateway { status, .. }
            | Self::SessionRejected { status, .. } => Some(*status),
            Self::AuthServiceUnavailable { .. } | Self::PermissionDenied { .. } => Some(403),
            _ => None,
        }
    }

    /// True when the same call may work later without any change.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::AuthServiceUnavailable { .. }
            | Self::LoginStateLost { .. }
            | Self::LoginDeadline { .. }
            | Self::Connect { .. }
            | Self::Transport { .. }
            | Self::RequestNotReplayable { .. }
            | Self::LoginAborted => true,
            // Dex answers 500 also for faults of a single account, which no waiting repairs.
            Self::ProviderUnavailable { status, .. } => *status != 500,
            _ => false,
        }
    }

    /// True when the server was reached and said no: a person has to change something.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::WrongPassword { .. }
                | Self::ConnectorUnknown { .. }
                | Self::ConnectorRequired { .. }
                | Self::DexError { .. }
                | Self::ApprovalRefused { .. }
                | Self::PermissionDenied { .. }
                | Self::SessionRejected { .. }
        )
    }

    /// Wraps a failed exchange. The URL is dropped: its query may hold a code or a state.
    pub(crate) fn transport(origin: String, error: reqwest::Error) -> Self {
        let nothing_sent = error.is_connect();
        let source = Arc::new(error.without_url());
        if nothing_sent {
            Self::Connect { origin, source }
        } else {
            Self::Transport { origin, source }
        }
    }
}

/// Text of a server as one line that is safe to show: no control characters, at most 300 characters.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for (index, word) in text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|w| !w.is_empty())
        .enumerate()
    {
        if index > 0 {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > 1200 {
            break;
        }
    }
    if line.chars().count() > 300 {
        line = line.chars().take(299).collect();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_small_and_travels_between_threads() {
        fn travels<T: Send + Sync + Clone + 'static>() {}
        travels::<Error>();
        assert!(size_of::<Error>() <= 96, "{}", size_of::<Error>());
    }

    #[test]
    fn every_message_is_one_line_that_says_what_to_do() {
        let error = Error::ConnectorUnknown {
            requested: "ldpa".into(),
            available: vec![Connector {
                id: "ldap".into(),
                kind: "ldap".into(),
                label: String::new(),
            }],
        };
        assert_eq!(
            error.to_string(),
            "Dex offers no connector `ldpa`; set one of these with SessionBuilder::connector: ldap"
        );
        assert!(
            !Error::WrongPassword {
                origin: "https://a.test".into()
            }
            .to_string()
            .contains('\n')
        );
    }

    #[test]
    fn server_text_becomes_one_short_line() {
        assert_eq!(one_line("  Login\n\tfailed\u{0} now "), "Login failed now");
        assert_eq!(one_line(&"x".repeat(5000)).chars().count(), 300);
        assert_eq!(one_line(""), "");
    }

    #[test]
    fn is_found_inside_the_middleware_error() {
        let stack = reqwest_middleware::Error::middleware(Error::StateMismatch);
        assert!(matches!(Error::of_middleware(&stack), Some(Error::StateMismatch)));
    }
}
