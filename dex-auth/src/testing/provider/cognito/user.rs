//! Users of the fake Cognito's own pool, and what can be the matter with them.

use std::fmt;

use super::super::Identity;

/// A user of the fake [`Cognito`](super::Cognito)'s own pool.
///
/// ```
/// use dex_auth::testing::{Cognito, CognitoUser};
///
/// let builder = Cognito::builder()
///     .user("ada", "correct horse", "ada@example.com")
///     .account(CognitoUser::new("bob", "temporary", "bob@example.com").must_change_password());
/// ```
#[derive(Clone)]
pub struct CognitoUser {
    pub(super) name: String,
    pub(super) password: String,
    pub(super) email: String,
    /// The page that follows the right password in place of the end.
    pub(super) next: Option<&'static str>,
    pub(super) disabled: bool,
}

impl CognitoUser {
    /// A plain user.
    pub fn new(name: impl Into<String>, password: impl Into<String>, email: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            password: password.into(),
            email: email.into(),
            next: None,
            disabled: false,
        }
    }

    fn next(mut self, path: &'static str) -> Self {
        self.next = Some(path);
        self
    }

    /// Has a temporary password, set by an administrator.
    #[must_use]
    pub fn must_change_password(self) -> Self {
        self.next("/changePassword")
    }

    /// Is asked for a second factor.
    #[must_use]
    pub fn second_factor(self) -> Self {
        self.next("/mfa")
    }

    /// Has signed up and not confirmed it yet.
    #[must_use]
    pub fn unconfirmed(self) -> Self {
        self.next("/confirm")
    }

    /// Has a password that an administrator reset.
    #[must_use]
    pub fn must_reset_password(self) -> Self {
        self.next("/forgotPassword")
    }

    /// Is offered to add a passkey.
    #[must_use]
    pub fn offered_passkey(self) -> Self {
        self.next("/passkeys/add")
    }

    /// Switched off.
    #[must_use]
    pub fn disabled(mut self) -> Self {
        self.disabled = true;
        self
    }

    pub(super) fn identity(&self) -> Identity {
        Identity {
            subject: self.name.clone(),
            name: self.name.clone(),
            email: self.email.clone(),
            groups: Vec::new(),
        }
    }
}

impl fmt::Debug for CognitoUser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CognitoUser")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
