//! Users of the fake Okta org.

use std::fmt;

use super::super::Identity;
use super::super::authenticator::Authenticator;

/// A user of [`Okta`](super::Okta), and what the org does when they log in.
pub struct OktaUser {
    pub(super) login: String,
    pub(super) password: String,
    groups: Vec<String>,
    pub(super) state: State,
}

/// What comes of the right password.
#[derive(Debug)]
pub(super) enum State {
    LoggedIn,
    Codes(Authenticator),
    Push,
    Enrol,
    Expired,
    Warned,
    Locked,
}

impl OktaUser {
    /// Logs in with nothing but the password.
    pub fn new(login: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            login: login.into(),
            password: password.into(),
            groups: Vec::new(),
            state: State::LoggedIn,
        }
    }

    /// Adds a group to the user's claims.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// Is asked for a second factor, for which an authenticator app will do.
    ///
    /// # Panics
    ///
    /// If the secret is no base32 text.
    #[must_use]
    pub fn totp_secret(self, secret: &str) -> Self {
        self.with(State::Codes(Authenticator::new(secret)))
    }

    /// Has to approve the login in the Okta Verify app.
    #[must_use]
    pub fn push(self) -> Self {
        self.with(State::Push)
    }

    /// Has to set up a second factor.
    #[must_use]
    pub fn enrol(self) -> Self {
        self.with(State::Enrol)
    }

    /// Has a password that has expired.
    #[must_use]
    pub fn expired(self) -> Self {
        self.with(State::Expired)
    }

    /// Has a password that expires soon, and is told so.
    #[must_use]
    pub fn warned(self) -> Self {
        self.with(State::Warned)
    }

    /// Is locked.
    #[must_use]
    pub fn locked(self) -> Self {
        self.with(State::Locked)
    }

    fn with(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    pub(super) fn identity(&self) -> Identity {
        Identity {
            subject: format!("00u{}", self.login.len()),
            name: self.login.split('@').next().unwrap_or_default().to_owned(),
            email: self.login.clone(),
            groups: self.groups.clone(),
        }
    }
}

impl fmt::Debug for OktaUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OktaUser")
            .field("login", &self.login)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
