//! Users of the fake AD FS.

use std::fmt;

use super::super::Identity;
use super::super::authenticator::Authenticator;

/// A user of [`Adfs`](super::Adfs), and what AD FS does when they log in.
pub struct AdfsUser {
    pub(super) name: String,
    pub(super) password: String,
    email: String,
    groups: Vec<String>,
    pub(super) state: State,
}

/// What comes of the right password.
#[derive(Debug)]
pub(super) enum State {
    LoggedIn,
    Expired,
    /// AD FS answers as to a wrong password.
    Locked,
    Codes(Authenticator),
    Push,
    Question,
}

impl AdfsUser {
    /// Logs in with nothing but the password. The name is `DOMAIN\user` or `user@domain`, as AD FS asks for it.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            email: if name.contains('@') {
                name.clone()
            } else {
                String::new()
            },
            name,
            password: password.into(),
            groups: Vec::new(),
            state: State::LoggedIn,
        }
    }

    /// The address in the assertion; without it the name, where that is one.
    #[must_use]
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.email = email.into();
        self
    }

    /// Adds a group to the assertion.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// Is asked for a code of an authenticator app.
    ///
    /// # Panics
    ///
    /// If the secret is no base32 text.
    #[must_use]
    pub fn totp_secret(mut self, secret: &str) -> Self {
        self.state = State::Codes(Authenticator::new(secret));
        self
    }

    /// Has to approve the login in the Microsoft Authenticator app.
    #[must_use]
    pub fn push(mut self) -> Self {
        self.state = State::Push;
        self
    }

    /// Has to answer a question.
    #[must_use]
    pub fn challenge_question(mut self) -> Self {
        self.state = State::Question;
        self
    }

    /// Has a password that has expired.
    #[must_use]
    pub fn expired(mut self) -> Self {
        self.state = State::Expired;
        self
    }

    /// Is locked or disabled, which AD FS does not tell.
    #[must_use]
    pub fn locked(mut self) -> Self {
        self.state = State::Locked;
        self
    }

    pub(super) fn identity(&self) -> Identity {
        let account = self.name.rsplit('\\').next().unwrap_or_default();
        Identity {
            subject: self.name.clone(),
            name: account.split('@').next().unwrap_or_default().to_owned(),
            email: self.email.clone(),
            groups: self.groups.clone(),
        }
    }
}

impl fmt::Debug for AdfsUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdfsUser")
            .field("name", &self.name)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
