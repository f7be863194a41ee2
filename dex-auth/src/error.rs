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

    /// The provider says that it knows no such user. Many providers call this a wrong password instead.
    #[error("{origin} knows no user of this name; check the user name and its domain")]
    UnknownUser {
        /// Who refused: scheme, host and port.
        origin: String,
    },

    /// The account is locked, by too many wrong passwords or by a rule. Some providers call this a wrong password
    /// instead.
    #[error("{origin} has locked the account; wait for the lock to end or ask the administrator, and do not try again")]
    AccountLocked {
        /// Who refused: scheme, host and port.
        origin: String,
    },

    /// The account is switched off.
    #[error("{origin} has disabled the account; ask the administrator")]
    AccountDisabled {
        /// Who refused: scheme, host and port.
        origin: String,
    },

    /// The password has expired or was set by an administrator: it must be changed, in a browser.
    #[error("{origin} wants a new password to be set; log in once with a browser and set it")]
    PasswordChangeRequired {
        /// Who asks: scheme, host and port.
        origin: String,
    },

    /// The provider asks for a second factor that was not given.
    #[error(
        "{origin} asks for a second factor ({}); set Credentials::totp_secret if an authenticator app will do, or use an \
         account for which none is asked",
        or_none(methods)
    )]
    SecondFactorRequired {
        /// Who asks: scheme, host and port.
        origin: String,
        /// What it would take, as far as the page says.
        methods: Vec<String>,
    },

    /// The one-time code was refused. The session remembers it as a refused password.
    #[error("{origin} refused the one-time code; check the secret of the authenticator and this machine's clock")]
    SecondFactorRefused {
        /// Who refused: scheme, host and port.
        origin: String,
    },

    /// The provider wants a second factor to be set up, which is never done silently.
    #[error("{origin} wants a second factor to be set up; log in once with a browser and do it")]
    EnrolmentRequired {
        /// Who asks: scheme, host and port.
        origin: String,
    },

    /// The provider asks the user to consent to what the application may do.
    #[error(
        "{origin} asks for consent: {message}; log in once with a browser and give it, or have an administrator do it"
    )]
    ConsentRequired {
        /// Who asks: scheme, host and port.
        origin: String,
        /// What it asks for, cut to one line.
        message: String,
    },

    /// The provider asks for something else that only the user can do, once, in a browser.
    #[error("{origin} asks the user to {action}; log in once with a browser and do it")]
    ActionRequired {
        /// Who asks: scheme, host and port.
        origin: String,
        /// What is to be done, in words that follow "to".
        action: String,
    },

    /// The password was right, but a rule of the provider keeps this user, device or place out.
    #[error("{origin} does not let this user in{}: {message}; ask the administrator", in_brackets(code.as_deref()))]
    AccessDenied {
        /// Who refused: scheme, host and port.
        origin: String,
        /// The provider's own code, such as `AADSTS53003`.
        code: Option<String>,
        /// What it says, cut to one line.
        message: String,
    },

    /// The page offers other providers and it is not clear which one is meant.
    #[error(
        "{origin} offers {}{}; name one with IdentityProvider::federated, or say IdentityProvider::own_users",
        or_none(available),
        requested.as_ref().map_or_else(String::new, |name| format!(", but not `{name}`"))
    )]
    FederationChoice {
        /// Whose page it is: scheme, host and port.
        origin: String,
        /// The name that was asked for.
        requested: Option<String>,
        /// The names that are offered.
        available: Vec<String>,
    },

    /// A page that does nothing without a browser.
    #[error(
        "the page at {url} ({page}) works only in a browser that runs its scripts; use an account or a way in without it"
    )]
    ScriptRequired {
        /// The page, without its query.
        url: String,
        /// Which page it is.
        page: String,
    },

    /// The provider signs in with the account that the machine itself is logged in with, and shows no form.
    #[error(
        "{url} wants the sign-in of the machine itself ({}) and offers this user agent no form; have the administrator \
         offer one, which AD FS does for agents outside its list WIASupportedUserAgents",
        or_none(schemes)
    )]
    IntegratedSignIn {
        /// The page, without its query.
        url: String,
        /// What it would take, such as `Negotiate`.
        schemes: Vec<String>,
    },

    /// Gateway, Dex and provider do not fit together; no password repairs it.
    #[error("the login at {origin} is set up wrongly: {message}; tell the administrator")]
    Misconfigured {
        /// Who says so: scheme, host and port.
        origin: String,
        /// What it says, cut to one line.
        message: String,
    },

    /// This machine's clock and the server's differ too much for codes and tokens to be valid.
    #[error("{}", clocks(origin, *seconds))]
    ClockSkew {
        /// Whose clock it was compared with: scheme, host and port.
        origin: String,
        /// Seconds that this clock is ahead; negative if it is behind. Zero when this clock is right and the clocks of
        /// the gateway and of whoever issued the token differ.
        seconds: i64,
    },

    /// The gateway takes tokens and has no login pages.
    #[error("{url} has no login page and takes only tokens; give the session a token source instead of a password")]
    TokenRequired {
        /// The address that was asked, without its query.
        url: String,
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

    /// The login was refused for another reason than the ones that have a variant of their own.
    #[error("the login was refused with status {status}: {message}")]
    LoginRefused {
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

    /// A server took longer than [`SessionBuilder::timeout`](crate::SessionBuilder::timeout) for one answer, sent in
    /// however small pieces.
    #[error("{origin} did not answer in time during the login; try again, or raise SessionBuilder::timeout")]
    Timeout {
        /// Scheme, host and port.
        origin: String,
        /// What the transport said.
        source: Arc<reqwest::Error>,
    },

    /// A server set a cookie for a host that is not its own.
    #[error("{origin} set the cookie `{name}` for another site, which no honest login does; it was stopped")]
    ForeignCookie {
        /// Who set it: scheme, host and port.
        origin: String,
        /// The cookie's name.
        name: String,
    },

    /// The connection broke during a login.
    #[error("the connection to {origin} broke during the login")]
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

    /// A cookie or token that cannot renew itself is no longer accepted: a fixed one, or a refresh token that is used up.
    ///
    /// The session remembers it and sends it no more.
    #[error(
        "{what} is no longer accepted ({message}) and cannot renew itself; give the session a new one with \
         Session::set_token_source, set_cookie or set_credentials"
    )]
    CredentialsExpired {
        /// What it is, such as `the fixed cookie`.
        what: String,
        /// What the gateway or the token endpoint said, cut to one line.
        message: String,
    },

    /// A token source gave no token that could be used.
    ///
    /// Sources of your own report their trouble with it.
    #[error("no token from {from}: {problem}")]
    TokenUnavailable {
        /// The source, such as `the file /var/run/secrets/kubeflow/pipelines/token`.
        from: String,
        /// What is wrong; never any part of a token.
        problem: String,
    },

    /// The answer to a refresh was lost, so the refresh token may be used up without its successor being known.
    ///
    /// It is not sent again, since some providers answer the second use of a refresh token by ending the whole login.
    #[error(
        "the answer of {origin} to a refresh was lost, so the refresh token may be used up; log in anew and set the new \
         one with Session::set_token_source"
    )]
    RefreshAnswerLost {
        /// The token endpoint's scheme, host and port.
        origin: String,
    },

    /// The code of a device login was not confirmed in time.
    #[error("nobody confirmed the device code of {origin} before it expired; begin again and confirm the new one")]
    DeviceNotConfirmed {
        /// Scheme, host and port.
        origin: String,
    },

    /// The file that sessions are kept in cannot be used.
    #[error("the session store {path} cannot be used: {problem}")]
    Store {
        /// Its path.
        path: String,
        /// What is wrong, and what to do.
        problem: String,
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
    /// A provider that was named as one that must not get the password.
    NoPassword,
    /// Leads from https to http.
    Downgrade,
    /// A redirect (307, 308) that would send a form again, password included.
    ResendsForm,
    /// A form whose fields, credentials among them, would become part of an address.
    InAddress,
    /// Not http at all, such as `javascript:` or `data:`.
    Scheme,
}

impl fmt::Display for UnsafeReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::OtherOrigin => {
                "is neither the gateway nor a named identity provider; if it is yours, name it with \
                 SessionBuilder::identity_provider"
            }
            Self::NoPassword => "was named as a broker that must not get the password, and asks for it",
            Self::Downgrade => "is not encrypted, while the gateway is; use the https address everywhere",
            Self::ResendsForm => "asks for the form again with all its fields; this is never followed",
            Self::InAddress => "would put credentials into an address, where logs keep them",
            Self::Scheme => "is no web address; this is never followed",
        })
    }
}

/// A way to log in that Dex offers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connector {
    /// The id, unique in one Dex, for [`SessionBuilder::connector`](crate::SessionBuilder::connector).
    pub id: String,
    /// Dex's name for its type, such as `local`, `ldap`, `oidc` or `saml`; empty when unknown.
    pub kind: String,
    /// The text of its button; empty when unknown.
    pub label: String,
}

impl Connector {
    /// Its name as the administrator chose it: the text of its button without Dex's words around it.
    pub fn name(&self) -> &str {
        self.label.strip_prefix("Log in with ").unwrap_or(&self.label)
    }
}

fn ids(connectors: &[Connector]) -> String {
    let ids: Vec<_> = connectors.iter().map(|connector| connector.id.as_str()).collect();
    if ids.is_empty() {
        "(none)".to_owned()
    } else {
        ids.join(", ")
    }
}

fn or_none(names: &[String]) -> String {
    if names.is_empty() {
        "nothing that could be named".to_owned()
    } else {
        names.join(", ")
    }
}

fn clocks(origin: &str, seconds: i64) -> String {
    if seconds == 0 {
        return format!(
            "{origin} takes the token for one of the future: its clock differs from that of whoever issued the token; have \
             both set"
        );
    }
    format!(
        "this machine's clock differs from that of {origin} by {seconds} s, and the login fails by it; set the clock"
    )
}

fn in_brackets(code: Option<&str>) -> String {
    code.map_or_else(String::new, |code| format!(" ({code})"))
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
            | Self::LoginRefused { status, .. }
            | Self::UnknownPage { status, .. }
            | Self::NotAGateway { status, .. }
            | Self::SessionRejected { status, .. } => Some(*status),
            Self::IntegratedSignIn { .. } => Some(401),
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
            | Self::Timeout { .. }
            | Self::Transport { .. }
            | Self::RequestNotReplayable { .. }
            | Self::TokenUnavailable { .. }
            | Self::DeviceNotConfirmed { .. }
            | Self::LoginAborted => true,
            // Dex answers 500 also for faults of a single account, which no waiting repairs.
            Self::ProviderUnavailable { status, .. } => *status != 500,
            _ => false,
        }
    }

    /// True when the same credentials must not be sent again: they were refused, or another try could lock the account.
    pub(crate) fn condemns_credentials(&self) -> bool {
        matches!(
            self,
            Self::WrongPassword { .. }
                | Self::UnknownUser { .. }
                | Self::AccountLocked { .. }
                | Self::AccountDisabled { .. }
                | Self::PasswordChangeRequired { .. }
                | Self::SecondFactorRefused { .. }
                | Self::CredentialsExpired { .. }
                | Self::RefreshAnswerLost { .. }
        )
    }

    /// True when the server was reached and said no: a person has to change something.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::WrongPassword { .. }
                | Self::UnknownUser { .. }
                | Self::AccountLocked { .. }
                | Self::AccountDisabled { .. }
                | Self::PasswordChangeRequired { .. }
                | Self::SecondFactorRequired { .. }
                | Self::SecondFactorRefused { .. }
                | Self::EnrolmentRequired { .. }
                | Self::ConsentRequired { .. }
                | Self::ActionRequired { .. }
                | Self::AccessDenied { .. }
                | Self::FederationChoice { .. }
                | Self::ScriptRequired { .. }
                | Self::IntegratedSignIn { .. }
                | Self::Misconfigured { .. }
                | Self::ClockSkew { .. }
                | Self::TokenRequired { .. }
                | Self::ConnectorUnknown { .. }
                | Self::ConnectorRequired { .. }
                | Self::LoginRefused { .. }
                | Self::ApprovalRefused { .. }
                | Self::PermissionDenied { .. }
                | Self::SessionRejected { .. }
                | Self::CredentialsExpired { .. }
                | Self::DeviceNotConfirmed { .. }
        )
    }

    /// Wraps a failed exchange. The URL is dropped: its query may hold a code or a state.
    pub(crate) fn transport(origin: String, error: reqwest::Error) -> Self {
        let (nothing_sent, late) = (error.is_connect(), error.is_timeout());
        let source = Arc::new(error.without_url());
        if nothing_sent {
            Self::Connect { origin, source }
        } else if late {
            Self::Timeout { origin, source }
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
