//! Accounts of the fake Entra ID, and what can be the matter with them.

use std::fmt;

use super::super::{Authenticator, Identity};

/// An account of the fake [`EntraId`](super::EntraId). What is said of it is asked for, or refused, after the right
/// password only, unless it is said otherwise.
///
/// ```
/// use dex_auth::testing::{EntraId, EntraUser};
///
/// let builder = EntraId::builder()
///     .user("ada@corp.example", "correct horse")
///     .account(EntraUser::new("bob@corp.example", "battery staple").totp_secret("JBSWY3DPEHPK3PXP"))
///     .account(EntraUser::new("eve@corp.example", "guess").refused_with(53_003));
/// ```
#[derive(Clone)]
pub struct EntraUser {
    pub(super) name: String,
    pub(super) password: String,
    pub(super) groups: Vec<String>,
    pub(super) disabled: bool,
    pub(super) refusal: Option<u32>,
    pub(super) authenticator: Option<Authenticator>,
    pub(super) push_only: bool,
    pub(super) enrolment: Option<Enrolment>,
    pub(super) federated: Option<String>,
}

/// A second factor that has to be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enrolment {
    Now,
    CanWait,
}

impl EntraUser {
    /// A plain account. `name` is its user principal name, an e-mail address by its shape.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            password: password.into(),
            groups: Vec::new(),
            disabled: false,
            refusal: None,
            authenticator: None,
            push_only: false,
            enrolment: None,
            federated: None,
        }
    }

    /// Its groups, as the assertion names them.
    #[must_use]
    pub fn groups(mut self, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.groups = groups.into_iter().map(Into::into).collect();
        self
    }

    /// Asks for a code of an authenticator app with this secret (base32), or for a confirmation in it.
    ///
    /// # Panics
    ///
    /// If the secret is no base32.
    #[must_use]
    pub fn totp_secret(mut self, secret: &str) -> Self {
        self.authenticator = Some(Authenticator::new(secret));
        self
    }

    /// Asks for a confirmation in the authenticator app and takes nothing else.
    #[must_use]
    pub fn push_only(mut self) -> Self {
        self.push_only = true;
        self
    }

    /// Switched off, which Entra ID says whatever the password is.
    #[must_use]
    pub fn disabled(mut self) -> Self {
        self.disabled = true;
        self
    }

    /// Refused with this code (the number of an `AADSTS` error), on the page that it comes with: 50055 on the one for a
    /// new password, 53003 on the one of conditional access, 65001 on the one for consent, and so on.
    #[must_use]
    pub fn refused_with(mut self, code: u32) -> Self {
        self.refusal = Some(code);
        self
    }

    /// Must set up a second factor, at once.
    #[must_use]
    pub fn must_enrol(mut self) -> Self {
        self.enrolment = Some(Enrolment::Now);
        self
    }

    /// Is asked to set up a second factor, and may put it off.
    #[must_use]
    pub fn may_enrol_later(mut self) -> Self {
        self.enrolment = Some(Enrolment::CanWait);
        self
    }

    /// Belongs to a federated provider, whose login begins at this address: Entra ID says so as soon as it is told the
    /// name.
    #[must_use]
    pub fn federated(mut self, url: impl Into<String>) -> Self {
        self.federated = Some(url.into());
        self
    }

    pub(super) fn identity(&self) -> Identity {
        Identity {
            subject: self.name.to_lowercase(),
            name: self.name.split('@').next().unwrap_or_default().to_owned(),
            email: self.name.clone(),
            groups: self.groups.clone(),
        }
    }

    /// The methods that the page of the second factor offers; none if there is no such page.
    pub(super) fn methods(&self) -> Vec<&'static str> {
        let mut methods = Vec::new();
        if self.push_only || self.authenticator.is_some() {
            methods.push("PhoneAppNotification");
        }
        if self.authenticator.is_some() && !self.push_only {
            methods.push("PhoneAppOTP");
        }
        methods
    }
}

impl fmt::Debug for EntraUser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EntraUser")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
