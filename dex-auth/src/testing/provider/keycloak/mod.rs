//! A fake Keycloak: OpenID provider, SAML identity provider and broker of one.

mod actions;
mod broker;
mod builder;
mod cookies;
mod enter;
mod finish;
mod pages;
mod realm;
mod state;
mod texts;
mod user;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use wiremock::MockServer;

pub use builder::{KeycloakBuilder, KeycloakFirstLogin};
pub use pages::KeycloakTheme;
pub use texts::KeycloakLanguage;
pub use user::{KeycloakUser, RequiredAction};

use super::super::clock::Clock;
use super::{Identity, OpenIdProvider, Redemption, SamlIssuer, SamlProvider};
use realm::Realm;

/// A running fake Keycloak with one realm, on an origin of its own. Clones are handles of the same one; it ends with the
/// last of them.
///
/// Measured on Keycloak 26: the statuses, redirects, page ids, forms, cookies and what becomes of a login whose cookies
/// or codes are gone. It is an OpenID provider, a SAML identity provider with both bindings, and a broker for another
/// SAML identity provider.
///
/// ```
/// use dex_auth::testing::{Keycloak, KeycloakUser};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let corp = Keycloak::builder()
///     .realm("corp")
///     .account(KeycloakUser::new("ada", "correct horse").totp_device("phone", "JBSWY3DPEHPK3PXP"))
///     .start()
///     .await;
/// let broker = Keycloak::builder().realm("broker").federated("AzureAD", "Company login", &corp).start().await;
/// assert!(broker.issuer().ends_with("/realms/broker"));
/// assert_eq!(corp.password_attempts(), 0);
/// # }
/// ```
///
/// # Limits
///
/// The forms of required actions are shown and cannot be filled in, but for the terms; registration, forgotten
/// passwords, security keys, logout and the token endpoint are left out, since servers reach this fake by call and not over
/// HTTP. It is plain HTTP, so cookies never carry `Secure`.
#[derive(Clone)]
pub struct Keycloak {
    realm: Arc<Realm>,
    /// Serves as long as a handle is there.
    _server: Arc<MockServer>,
}

impl Keycloak {
    /// A realm `kubeflow` without users, which knows Dex as a client.
    pub fn builder() -> KeycloakBuilder {
        KeycloakBuilder::default()
    }

    /// Where it listens, without a slash at the end: the origin that a session must name.
    pub fn url(&self) -> &str {
        &self.realm.origin
    }

    /// The issuer of its tokens: the realm's address.
    pub fn issuer(&self) -> String {
        self.realm.issuer()
    }

    /// The clock that it was given.
    pub fn clock(&self) -> &Clock {
        &self.realm.clock
    }

    /// How often it was given a password, right or wrong.
    pub fn password_attempts(&self) -> u64 {
        self.realm.attempts.load(Ordering::Relaxed)
    }

    /// How often a user proved who he is: by password, by password and code, or to the provider behind a broker.
    pub fn logins(&self) -> u64 {
        self.realm.logins.load(Ordering::Relaxed)
    }

    /// Ends all sessions of single sign-on.
    pub fn expire_sessions(&self) {
        self.realm.lock().sessions.clear();
    }

    /// Restarts it: logins under way are gone. Their cookies let them begin again; sessions stay.
    pub fn restart(&self) {
        self.realm.lock().roots.clear();
    }

    /// The user did in a browser what was asked.
    pub fn complete_actions(&self, name: &str) {
        for user in &mut self.realm.lock().users {
            if user.is_called(name) {
                user.actions.clear();
            }
        }
    }
}

impl OpenIdProvider for Keycloak {
    fn authorization_endpoint(&self) -> String {
        format!("{}/protocol/openid-connect/auth", self.realm.issuer())
    }

    fn redeem(&self, redemption: &Redemption<'_>) -> Result<Identity, String> {
        self.realm.codes.redeem(redemption)
    }
}

impl SamlProvider for Keycloak {
    fn sso_url(&self) -> String {
        format!("{}/protocol/saml", self.realm.issuer())
    }

    fn saml(&self) -> &SamlIssuer {
        &self.realm.saml
    }
}

impl fmt::Debug for Keycloak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keycloak")
            .field("issuer", &self.issuer())
            .finish_non_exhaustive()
    }
}
