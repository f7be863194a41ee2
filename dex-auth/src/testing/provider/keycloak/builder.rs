//! How a fake Keycloak is set up.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use super::super::super::clock::Clock;
use super::super::{Clients, CodeBook, SamlIssuer, SamlSource, listen, serve};
use super::Keycloak;
use super::pages::KeycloakTheme;
use super::realm::{Federated, Realm};
use super::state::State;
use super::texts::KeycloakLanguage;
use super::user::KeycloakUser;

/// What a broker does with a user of another provider who comes for the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeycloakFirstLogin {
    /// Makes an account and goes on, by two more redirects.
    #[default]
    Create,
    /// Asks to look at the profile first.
    ReviewProfile,
    /// Finds an account with the same mail address and asks what to do.
    AccountExists,
}

/// Sets up a [`Keycloak`].
#[derive(Default)]
#[must_use = "nothing listens until it is started"]
pub struct KeycloakBuilder {
    realm: Option<String>,
    clock: Clock,
    users: Vec<KeycloakUser>,
    theme: KeycloakTheme,
    language: KeycloakLanguage,
    identity_first: bool,
    lock_after: Option<u32>,
    clients: Clients,
    consent: Vec<String>,
    federated: Vec<Federated>,
    first_login: KeycloakFirstLogin,
}

impl KeycloakBuilder {
    /// The realm's name; `kubeflow` if not given.
    pub fn realm(mut self, name: impl Into<String>) -> Self {
        self.realm = Some(name.into());
        self
    }

    /// The clock that sessions, codes and locks end by; the system's if not given.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Adds an ordinary user.
    pub fn user(self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.account(KeycloakUser::new(name, password))
    }

    /// Adds a user with more to say about.
    pub fn account(mut self, user: KeycloakUser) -> Self {
        self.users.push(user);
        self
    }

    /// The theme of its pages; the newer one if not given.
    pub fn theme(mut self, theme: KeycloakTheme) -> Self {
        self.theme = theme;
        self
    }

    /// The language of its pages, English if not given. `kc_locale` and `ui_locales` of a request go before it.
    pub fn language(mut self, language: KeycloakLanguage) -> Self {
        self.language = language;
        self
    }

    /// Asks for the user name on a page of its own, as realms with organizations do.
    pub fn identity_first(mut self) -> Self {
        self.identity_first = true;
        self
    }

    /// Locks a user for a minute after that many wrong passwords in a row (brute force detection). It is never told: the
    /// right password is refused like a wrong one.
    pub fn lock_after(mut self, wrong_passwords: u32) -> Self {
        self.lock_after = Some(wrong_passwords);
        self
    }

    /// Adds an OpenID client besides Dex.
    pub fn client(mut self, id: impl Into<String>, redirect_uri: impl Into<String>) -> Self {
        self.clients.add(id, redirect_uri);
        self
    }

    /// Users must consent to this client, once each. Dex's id is `dex`.
    pub fn consent_required(mut self, client: impl Into<String>) -> Self {
        self.consent.push(client.into());
        self
    }

    /// Lets in the users of a SAML identity provider: its login page has a button for it beside its own form.
    pub fn federated(
        mut self,
        alias: impl Into<String>,
        label: impl Into<String>,
        provider: impl Into<SamlSource>,
    ) -> Self {
        self.federated.push(Federated {
            alias: alias.into(),
            label: label.into(),
            source: provider.into(),
        });
        self
    }

    /// What becomes of such a user's first login; an account is made if not given.
    pub fn first_login(mut self, first_login: KeycloakFirstLogin) -> Self {
        self.first_login = first_login;
        self
    }

    /// Starts it on a free port of the loopback address.
    ///
    /// # Panics
    ///
    /// If no port can be had.
    pub async fn start(self) -> Keycloak {
        let (listener, origin) = listen();
        let state = State {
            users: self.users,
            ..State::default()
        };
        let realm = Arc::new(Realm {
            origin,
            name: self.realm.unwrap_or_else(|| "kubeflow".to_owned()),
            theme: self.theme,
            language: self.language,
            identity_first: self.identity_first,
            lock_after: self.lock_after,
            clients: self.clients,
            consent: self.consent,
            federated: self.federated,
            first_login: self.first_login,
            saml: SamlIssuer::new(self.clock.clone()),
            codes: CodeBook::new(self.clock.clone()),
            clock: self.clock,
            state: Mutex::new(state),
            attempts: AtomicU64::new(0),
            logins: AtomicU64::new(0),
        });
        let server = serve(listener, Arc::clone(&realm)).await;
        Keycloak { realm, _server: server }
    }
}

impl fmt::Debug for KeycloakBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeycloakBuilder")
            .field("realm", &self.realm)
            .field("users", &self.users)
            .finish_non_exhaustive()
    }
}
