//! Amazon Cognito's hosted UI: an OpenID provider with users of its own, and a broker for SAML providers.

mod federation;
mod login;
mod pages;
mod site;
#[cfg(test)]
mod tests;
mod user;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use wiremock::MockServer;

use super::super::clock::Clock;
use super::{Clients, Identity, OpenIdProvider, Redemption, SamlSource, listen, serve};
use site::CognitoSite;
pub use user::CognitoUser;

/// Cognito's fixed lockout.
const WRONG_PASSWORDS: u32 = 5;

/// A fake Amazon Cognito user pool with its hosted UI on its own loopback origin. Clones are handles of the same one.
///
/// ```
/// use dex_auth::testing::{Cognito, EntraId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// // Corporate users through Entra ID, beside a form for the pool's own users that they must not use.
/// let entra = EntraId::builder().user("ada@corp.example", "correct horse").start().await;
/// let cognito = Cognito::builder()
///     .user("local-admin", "battery staple", "admin@example.com")
///     .federated("AzureAD", &entra)
///     .client("gateway", "https://kubeflow.example.com/oauth2/callback")
///     .start()
///     .await;
/// assert_eq!(cognito.password_attempts(), 0);
/// # }
/// ```
///
/// Of the pages after the password (second factor, new password, ...) there is what a client needs to know them; none of
/// them leads on. Providers that are federated by OpenID Connect are left out.
#[derive(Clone)]
pub struct Cognito {
    site: Arc<CognitoSite>,
    _server: Arc<MockServer>,
}

/// Sets up a [`Cognito`].
#[derive(Clone)]
#[must_use = "nothing listens until it is started"]
pub struct CognitoBuilder {
    users: Vec<CognitoUser>,
    federated: Vec<(String, SamlSource)>,
    clients: Clients,
    clock: Clock,
    own_form: bool,
    managed: bool,
    tells_unknown: bool,
}

impl Cognito {
    /// A pool without users, with the classic UI.
    pub fn builder() -> CognitoBuilder {
        CognitoBuilder {
            users: Vec::new(),
            federated: Vec::new(),
            clients: Clients::default(),
            clock: Clock::system(),
            own_form: true,
            managed: false,
            tells_unknown: false,
        }
    }

    /// Its origin, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.site.origin
    }

    /// How often its own form was sent with a password, right or wrong.
    pub fn password_attempts(&self) -> u64 {
        self.site.attempts.load(Ordering::Relaxed)
    }

    /// How often it sent a user back to an application with a code.
    pub fn logins(&self) -> u64 {
        self.site.logins.load(Ordering::Relaxed)
    }

    /// Ends all sessions: the next login begins with the form again.
    pub fn end_sessions(&self) {
        self.site.lock().sessions.clear();
    }
}

impl CognitoBuilder {
    /// Adds a plain user to the pool.
    pub fn user(self, name: impl Into<String>, password: impl Into<String>, email: impl Into<String>) -> Self {
        self.account(CognitoUser::new(name, password, email))
    }

    /// Adds a user to the pool.
    pub fn account(mut self, user: CognitoUser) -> Self {
        self.users.push(user);
        self
    }

    /// Adds a button for a SAML provider, such as a reference to an [`EntraId`](super::EntraId).
    pub fn federated(mut self, name: impl Into<String>, provider: impl Into<SamlSource>) -> Self {
        self.federated.push((name.into(), provider.into()));
        self
    }

    /// Adds an application with its redirect URI. Dex is known from the beginning.
    pub fn client(mut self, id: impl Into<String>, redirect_uri: impl Into<String>) -> Self {
        self.clients.add(id, redirect_uri);
        self
    }

    /// Leaves the pool's own form out of the page.
    pub fn without_own_form(mut self) -> Self {
        self.own_form = false;
        self
    }

    /// Shows the managed login, which only scripts can use, in place of the classic UI.
    pub fn managed_login(mut self) -> Self {
        self.managed = true;
        self
    }

    /// Tells a user that is not there from a wrong password, as pools do that do not prevent it.
    pub fn tells_unknown_users(mut self) -> Self {
        self.tells_unknown = true;
        self
    }

    /// The clock that codes and sessions end by; the system's if not given.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// If no port of the loopback address can be had.
    pub async fn start(self) -> Cognito {
        let (listener, origin) = listen();
        let site = Arc::new(CognitoSite::new(origin, self));
        let server = serve(listener, Arc::clone(&site)).await;
        Cognito { site, _server: server }
    }
}

impl OpenIdProvider for Cognito {
    fn authorization_endpoint(&self) -> String {
        format!("{}/oauth2/authorize", self.site.origin)
    }

    fn redeem(&self, redemption: &Redemption<'_>) -> Result<Identity, String> {
        self.site.codes.redeem(redemption)
    }
}

impl fmt::Debug for Cognito {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Cognito")
            .field("url", &self.site.origin)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CognitoBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let federated: Vec<_> = self.federated.iter().map(|(name, _)| name).collect();
        formatter
            .debug_struct("CognitoBuilder")
            .field("users", &self.users)
            .field("federated", &federated)
            .field("managed", &self.managed)
            .finish_non_exhaustive()
    }
}
