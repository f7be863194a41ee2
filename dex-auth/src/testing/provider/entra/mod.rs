//! Microsoft Entra ID: pages that are shells around a script, as a SAML identity provider and an OpenID provider.

mod begin;
mod pages;
mod second_factor;
mod sign_in;
mod site;
#[cfg(test)]
mod tests;
mod user;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use wiremock::MockServer;

use super::super::clock::Clock;
use super::{Clients, Identity, OpenIdProvider, Redemption, SamlIssuer, SamlProvider, listen, serve};
use site::EntraSite;
pub use user::EntraUser;

/// The tenant's id in all addresses.
const TENANT: &str = "2f1d0c6a-5b1e-4c1f-9a57-0d6c1f6f7c11";
/// Entra ID's smart lockout.
const WRONG_PASSWORDS: u32 = 10;

/// A fake Microsoft Entra ID on its own loopback origin. Clones are handles of the same one.
///
/// It logs in the users of one tenant, for applications that speak SAML (requests by redirect or by POST) or OpenID
/// Connect. Its pages hold no form: as with the real one, a configuration object in a script says what to send where.
/// Tokens of its pages work once, and with the cookies of their login only.
///
/// ```
/// use dex_auth::testing::{Cognito, EntraId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let entra = EntraId::builder().user("ada@corp.example", "correct horse").start().await;
/// let broker = Cognito::builder().federated("AzureAD", &entra).start().await;
///
/// // ... log in through the broker, then look at what was asked:
/// assert_eq!((entra.password_attempts(), broker.password_attempts()), (0, 0));
/// # }
/// ```
///
/// Any SAML application is served: which ones a tenant knows is set up at no other fake either. The address of the page
/// that puts off the enrolment, and how the check for a device certificate goes on, are not documented and made up.
#[derive(Clone)]
pub struct EntraId {
    site: Arc<EntraSite>,
    _server: Arc<MockServer>,
}

/// Sets up an [`EntraId`].
#[derive(Clone)]
#[must_use = "nothing listens until it is started"]
pub struct EntraIdBuilder {
    users: Vec<EntraUser>,
    clients: Clients,
    clock: Clock,
    stay_signed_in: bool,
    device_check: bool,
    lockout: u32,
}

impl EntraId {
    /// A tenant without users, which asks whether to stay signed in.
    pub fn builder() -> EntraIdBuilder {
        EntraIdBuilder {
            users: Vec::new(),
            clients: Clients::default(),
            clock: Clock::system(),
            stay_signed_in: true,
            device_check: false,
            lockout: WRONG_PASSWORDS,
        }
    }

    /// Its origin, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.site.origin
    }

    /// How often it was given a password, right or wrong.
    pub fn password_attempts(&self) -> u64 {
        self.site.attempts.load(Ordering::Relaxed)
    }

    /// How often it was given a one-time code, right or wrong.
    pub fn code_attempts(&self) -> u64 {
        self.site.code_attempts.load(Ordering::Relaxed)
    }

    /// How often it was asked, in the right form, what kind of account a name is.
    pub fn account_lookups(&self) -> u64 {
        self.site.lookups.load(Ordering::Relaxed)
    }

    /// How often it sent a user back to an application with an assertion or a code.
    pub fn logins(&self) -> u64 {
        self.site.logins.load(Ordering::Relaxed)
    }

    /// Ends all sessions: the next login asks for the password again.
    pub fn end_sessions(&self) {
        self.site.lock().sessions.clear();
    }

    /// Answers `GetCredentialType` as it does under load: of everybody that there is no such user, and that it throttles.
    pub fn throttle(&self, throttles: bool) {
        self.site.throttles.store(throttles, Ordering::Relaxed);
    }
}

impl EntraIdBuilder {
    /// Adds a plain account.
    pub fn user(self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.account(EntraUser::new(name, password))
    }

    /// Adds an account.
    pub fn account(mut self, user: EntraUser) -> Self {
        self.users.push(user);
        self
    }

    /// Adds an OpenID Connect application with its redirect URI. Dex is known from the beginning.
    pub fn client(mut self, id: impl Into<String>, redirect_uri: impl Into<String>) -> Self {
        self.clients.add(id, redirect_uri);
        self
    }

    /// Whether it asks to stay signed in, after every login; true if not given.
    pub fn stay_signed_in(mut self, asks: bool) -> Self {
        self.stay_signed_in = asks;
        self
    }

    /// Asks for a device certificate before the sign-in page, by a form that sends itself; none is needed to go on.
    pub fn device_check(mut self) -> Self {
        self.device_check = true;
        self
    }

    /// After how many wrong passwords an account is locked; 10 if not given.
    pub fn lockout_after(mut self, wrong_passwords: u32) -> Self {
        self.lockout = wrong_passwords;
        self
    }

    /// The clock that tokens, codes and assertions end by; the system's if not given.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// If no port of the loopback address can be had.
    pub async fn start(self) -> EntraId {
        let (listener, origin) = listen();
        let site = Arc::new(EntraSite::new(origin, self));
        let server = serve(listener, Arc::clone(&site)).await;
        EntraId { site, _server: server }
    }
}

impl OpenIdProvider for EntraId {
    fn authorization_endpoint(&self) -> String {
        format!("{}/{TENANT}/oauth2/v2.0/authorize", self.site.origin)
    }

    fn redeem(&self, redemption: &Redemption<'_>) -> Result<Identity, String> {
        self.site.codes.redeem(redemption)
    }
}

impl SamlProvider for EntraId {
    fn sso_url(&self) -> String {
        format!("{}/{TENANT}/saml2", self.site.origin)
    }

    fn saml(&self) -> &SamlIssuer {
        &self.site.saml
    }
}

impl fmt::Debug for EntraId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EntraId")
            .field("url", &self.site.origin)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EntraIdBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EntraIdBuilder")
            .field("users", &self.users)
            .finish_non_exhaustive()
    }
}
