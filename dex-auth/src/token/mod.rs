//! Bearer tokens, and where they come from.

mod client;
mod command;
mod device;
mod endpoint;
mod exchange;
mod file;
mod password;
mod refresh;

use std::fmt;

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::HeaderValue;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

pub use client::{ClientCredentials, OAuthClient};
pub use command::TokenCommand;
pub use device::{DeviceCode, DevicePrompt};
pub use exchange::TokenExchange;
pub(crate) use file::SERVICE_ACCOUNT_PATH;
pub use file::TokenFile;
pub use password::PasswordGrant;
pub use refresh::RefreshToken;

use crate::error::Error;
use crate::login::Clock;

/// A token as `Authorization: Bearer` carries it, and what can be known of it without its issuer's keys.
///
/// As a [`TokenSource`] it is a fixed one: when the gateway takes it no longer, the session ends with
/// [`Error::CredentialsExpired`].
///
/// Kubeflow 1.9.1 and later know the user by the claim `email`. A token without it, and without being one of a Kubernetes
/// service account, gets through the gateway, and the services behind then know no user: ask for the scope `email`. Where
/// the token says so itself, the session warns with a `tracing` event.
#[derive(Clone)]
pub struct BearerToken {
    token: SecretString,
    expires_at: Option<Timestamp>,
    claims: Option<Claims>,
}

#[derive(Clone, Default)]
struct Claims {
    subject: Option<String>,
    email: Option<String>,
}

impl BearerToken {
    /// A token. Of a JWT the end is read from the claim `exp`; its signature is the gateway's matter.
    pub fn new(token: impl Into<SecretString>) -> Self {
        let token = token.into();
        let payload = payload(token.expose_secret());
        let text = |name: &str| {
            let value = payload.as_ref()?.get(name)?.as_str()?;
            Some(value.to_owned()).filter(|value| !value.is_empty())
        };
        let claims = payload.is_some().then(|| Claims {
            subject: text("sub"),
            email: text("email"),
        });
        // Some issuers write times as decimal fractions.
        let end = payload.as_ref().and_then(|claims| number(claims.get("exp")?));
        Self {
            token,
            expires_at: end.and_then(|second| Timestamp::from_second(second).ok()),
            claims,
        }
    }

    /// Says when it ends, in place of what the token itself says.
    #[must_use]
    pub fn valid_until(mut self, end: Timestamp) -> Self {
        self.expires_at = Some(end);
        self
    }

    /// The token.
    pub fn token(&self) -> &SecretString {
        &self.token
    }

    /// When it ends, if that is known.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// The claim `email` of a JWT.
    pub fn email(&self) -> Option<&str> {
        self.claims.as_ref()?.email.as_deref()
    }

    /// The claim `sub` of a JWT: of a Kubernetes service account `system:serviceaccount:NAMESPACE:NAME`.
    pub fn subject(&self) -> Option<&str> {
        self.claims.as_ref()?.subject.as_deref()
    }

    /// Whom a gateway takes the bearer for, as far as the token says.
    pub(crate) fn user(&self) -> Option<&str> {
        let account = self.subject().filter(|name| name.starts_with("system:serviceaccount:"));
        self.email().or(account)
    }

    /// True for a token that gets through the gateway without a user.
    pub(crate) fn names_nobody(&self) -> bool {
        self.claims.is_some() && self.user().is_none()
    }

    pub(crate) fn header_value(&self) -> Option<HeaderValue> {
        let token = self.token.expose_secret();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        // Istio and authservice want the scheme spelt exactly so.
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BearerToken")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Where a session's tokens come from.
///
/// Implemented by [`BearerToken`] (a fixed one), [`TokenFile`], [`TokenCommand`], [`ClientCredentials`] and the grants of
/// Dex: [`PasswordGrant`], [`RefreshToken`], [`DeviceCode`], [`TokenExchange`]. The session keeps a token, asks for the
/// next one shortly before its end or when the gateway refused it, and for one at a time however many requests wait.
///
/// ```
/// use dex_auth::{BearerToken, Error, TokenContext, TokenSource};
///
/// #[derive(Debug)]
/// struct Vault;
///
/// #[async_trait::async_trait]
/// impl TokenSource for Vault {
///     fn name(&self) -> String {
///         "the vault".to_owned()
///     }
///
///     async fn token(&self, context: &TokenContext) -> Result<BearerToken, Error> {
///         let answer = context.http().get("https://vault.example.com/token").send().await;
///         let answer = answer.and_then(|answer| answer.error_for_status()).map_err(|_| Error::TokenUnavailable {
///             from: self.name(),
///             problem: "it did not answer".to_owned(),
///         })?;
///         Ok(BearerToken::new(answer.text().await.unwrap_or_default()))
///     }
/// }
///
/// let session = dex_auth::Session::builder("https://kubeflow.example.com")?.token(Vault).build()?;
/// # Ok::<(), Error>(())
/// ```
#[async_trait]
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// What errors call it, such as `the file /run/token`. It holds no secret.
    fn name(&self) -> String;

    /// The next token. Runs in a task of its own, so a request that is given up does not end it.
    async fn token(&self, context: &TokenContext) -> Result<BearerToken, Error>;

    /// False for a source that has but one token.
    fn renews(&self) -> bool {
        true
    }

    /// Asked before each request: false when another token lies ready. It must be cheap.
    fn is_current(&self) -> bool {
        true
    }

    /// The longest time for one token, where the session's
    /// [`login_deadline`](crate::SessionBuilder::login_deadline) does not fit.
    fn time_limit(&self) -> Option<std::time::Duration> {
        None
    }

    /// What tells its tokens from those of other sources in the session's [`store`](crate::SessionBuilder::store), such as
    /// the user's name; `None` if they are not to be kept there. It holds no secret.
    fn store_key(&self) -> Option<String> {
        None
    }
}

/// What a [`TokenSource`] is given by its session.
#[derive(Clone)]
pub struct TokenContext {
    pub(crate) gateway: Url,
    pub(crate) http: reqwest::Client,
    pub(crate) clock: Clock,
    pub(crate) refused: bool,
}

impl TokenContext {
    /// Where Kubeflow stands; the path ends in `/`.
    pub fn gateway(&self) -> &Url {
        &self.gateway
    }

    /// The session's HTTP client: it trusts the session's certificates, keeps its time limits and follows no redirects.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The time by the session's clock.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// True when the gateway refused the token that was given last, whatever its end.
    pub fn was_refused(&self) -> bool {
        self.refused
    }
}

impl fmt::Debug for TokenContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenContext")
            .field("gateway", &self.gateway.as_str())
            .field("refused", &self.refused)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenSource for BearerToken {
    fn name(&self) -> String {
        "the fixed token".to_owned()
    }

    async fn token(&self, _context: &TokenContext) -> Result<Self, Error> {
        Ok(self.clone())
    }

    fn renews(&self) -> bool {
        false
    }
}

/// The claims of a JWT, unverified.
fn payload(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok().filter(Value::is_object)
}

/// A count of seconds, which servers write as number, fraction or text.
fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let text = number.to_string();
            text.split('.').next().and_then(|whole| whole.parse().ok())
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) fn jwt(claims: &Value) -> String {
    let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let header = serde_json::json!({"alg": "none"});
    format!("{}.{}.c2lnbmF0dXJl", encode(&header), encode(claims))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_jwt_says_its_end_and_its_user() {
        let token = BearerToken::new(jwt(
            &json!({"exp": 1_700_000_000.5, "email": "me@example.com", "sub": "x"}),
        ));
        assert_eq!(token.expires_at(), Timestamp::from_second(1_700_000_000).ok());
        assert_eq!((token.email(), token.subject()), (Some("me@example.com"), Some("x")));
        assert!(!token.names_nobody());
        let account = BearerToken::new(jwt(&json!({"sub": "system:serviceaccount:a:b"})));
        assert_eq!(
            (account.user(), account.expires_at()),
            (Some("system:serviceaccount:a:b"), None)
        );
        assert!(BearerToken::new(jwt(&json!({"sub": "client"}))).names_nobody());
        let opaque = BearerToken::new("opaque");
        assert!(!opaque.names_nobody() && opaque.expires_at().is_none());
    }

    #[test]
    fn what_is_no_jwt_is_opaque() {
        for text in ["", "a.b", "a.b.c", "a.b.c.d", "a.bnVsbA.c", "..."] {
            assert!(BearerToken::new(text).claims.is_none(), "{text}");
        }
    }

    #[test]
    fn only_what_a_header_can_carry_is_sent_and_nothing_is_shown() {
        let token = BearerToken::new("topsecret");
        let header = token.header_value().unwrap();
        assert_eq!(header.to_str().unwrap(), "Bearer topsecret");
        assert!(header.is_sensitive());
        assert!(!format!("{token:?}").contains("topsecret"));
        for text in ["", "a b", "a\r\nb", "ä"] {
            assert!(BearerToken::new(text).header_value().is_none(), "{text:?}");
        }
    }
}

#[cfg(test)]
mod tests_support {
    use std::sync::Arc;

    use super::*;

    pub(super) fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    pub(super) fn context() -> TokenContext {
        context_at("https://kubeflow.example.com")
    }

    pub(super) fn context_at(gateway: &str) -> TokenContext {
        TokenContext {
            gateway: Url::parse(gateway).unwrap(),
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            clock: Arc::new(Timestamp::now),
            refused: false,
        }
    }
}
