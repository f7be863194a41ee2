//! The users of a realm, and what Keycloak asks of them besides a password.

use std::fmt;

use super::super::super::sealed::hex;
use super::super::{Authenticator, Identity};
use aws_lc_rs::digest;

/// What a user of a [`Keycloak`](super::Keycloak) has to do at the next login, after the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequiredAction {
    /// `UPDATE_PASSWORD`.
    UpdatePassword,
    /// `CONFIGURE_TOTP`.
    ConfigureTotp,
    /// `TERMS_AND_CONDITIONS`; the page can be answered, since a user who declines is how a provider says no.
    Terms,
    /// `VERIFY_PROFILE`.
    VerifyProfile,
    /// `VERIFY_EMAIL` of a server that cannot send mail.
    VerifyEmail,
}

impl RequiredAction {
    /// The name in addresses.
    pub(super) fn execution(self) -> &'static str {
        match self {
            Self::UpdatePassword => "UPDATE_PASSWORD",
            Self::ConfigureTotp => "CONFIGURE_TOTP",
            Self::Terms => "TERMS_AND_CONDITIONS",
            Self::VerifyProfile => "VERIFY_PROFILE",
            Self::VerifyEmail => "VERIFY_EMAIL",
        }
    }
}

/// A user of a [`Keycloak`](super::Keycloak).
///
/// ```
/// use dex_auth::testing::{Keycloak, KeycloakUser, RequiredAction};
///
/// let builder = Keycloak::builder()
///     .account(KeycloakUser::new("ada", "correct horse").totp_device("phone", "JBSWY3DPEHPK3PXP"))
///     .account(KeycloakUser::new("bob", "secret").requires(RequiredAction::UpdatePassword))
///     .account(KeycloakUser::new("carol", "secret").disabled());
/// ```
#[derive(Clone)]
pub struct KeycloakUser {
    pub(super) name: String,
    pub(super) password: String,
    email: String,
    groups: Vec<String>,
    pub(super) enabled: bool,
    pub(super) devices: Vec<Device>,
    pub(super) actions: Vec<RequiredAction>,
}

/// An authenticator app that a user has enrolled.
#[derive(Clone)]
pub(super) struct Device {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) app: Authenticator,
}

impl KeycloakUser {
    /// An ordinary user, with the mail address `<name>@example.com`, or `name` where that is one.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        let name = name.into();
        let email = if name.contains('@') {
            name.clone()
        } else {
            format!("{name}@example.com")
        };
        Self {
            name,
            password: password.into(),
            email,
            groups: Vec::new(),
            enabled: true,
            devices: Vec::new(),
            actions: Vec::new(),
        }
    }

    /// Another mail address. The user may log in with it as well as with the name.
    #[must_use]
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.email = email.into();
        self
    }

    /// Groups, as the tokens tell them.
    #[must_use]
    pub fn groups(mut self, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.groups = groups.into_iter().map(Into::into).collect();
        self
    }

    /// Enrols an authenticator app whose codes are asked for after the password. With several, the page has chosen the
    /// first.
    ///
    /// # Panics
    ///
    /// If the secret is no base32.
    #[must_use]
    pub fn totp_device(mut self, label: impl Into<String>, secret: &str) -> Self {
        let id = stable_uuid(&format!("{} device {}", self.name, self.devices.len()));
        self.devices.push(Device {
            id,
            label: label.into(),
            app: Authenticator::new(secret),
        });
        self
    }

    /// Has to do this at the next login.
    #[must_use]
    pub fn requires(mut self, action: RequiredAction) -> Self {
        self.actions.push(action);
        self
    }

    /// Switched off: told so, but only with the right password.
    #[must_use]
    pub fn disabled(mut self) -> Self {
        self.enabled = false;
        self
    }

    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name) || self.email.eq_ignore_ascii_case(name)
    }

    pub(super) fn identity(&self) -> Identity {
        Identity {
            subject: stable_uuid(&self.name),
            name: self.name.clone(),
            email: self.email.clone(),
            groups: self.groups.clone(),
        }
    }
}

impl fmt::Debug for KeycloakUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeycloakUser")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Ids look random and are the same in each fake.
pub(super) fn stable_uuid(text: &str) -> String {
    let hash = hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    let part = |from: usize, to: usize| hash.get(from..to).unwrap_or_default().to_owned();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}
