//! Dex's password grant.

use std::fmt;

use async_trait::async_trait;
use secrecy::SecretString;

use super::endpoint::{Failure, Field, Wanted, dex, post};
use super::{BearerToken, OAuthClient, TokenContext, TokenSource};
use crate::error::Error;
use crate::origin::origin;

/// What a token needs so that Kubeflow knows the user and his groups.
pub(super) const SCOPES: &str = "openid email profile groups";

/// A user's name and password for a token, without any page (Dex 2.23 and later).
///
/// Dex offers this only where `oauth2.passwordConnector` is set, which stock Kubeflow does not do; otherwise
/// [`Error::Misconfigured`] says `unsupported_grant_type`. There is no second factor and no approval.
///
/// A refused password is [`Error::WrongPassword`], and the session does not send it again.
#[derive(Clone)]
pub struct PasswordGrant {
    client: OAuthClient,
    username: String,
    password: SecretString,
    scopes: String,
}

impl PasswordGrant {
    /// A client that Dex knows, and who logs in.
    pub fn new(client: OAuthClient, username: impl Into<String>, password: impl Into<SecretString>) -> Self {
        Self {
            client,
            username: username.into(),
            password: password.into(),
            scopes: SCOPES.to_owned(),
        }
    }

    /// The scopes to ask for, parted by blanks; `openid email profile groups` if not given. Without `openid` Dex refuses,
    /// without `email` the services behind the gateway know no user.
    #[must_use]
    pub fn scopes(mut self, scopes: impl Into<String>) -> Self {
        self.scopes = scopes.into();
        self
    }
}

#[async_trait]
impl TokenSource for PasswordGrant {
    fn name(&self) -> String {
        "Dex's password grant".to_owned()
    }

    async fn token(&self, context: &TokenContext) -> Result<BearerToken, Error> {
        let url = dex(context, "token");
        let fields = [
            ("grant_type", Field::Open("password")),
            ("username", Field::Open(&self.username)),
            ("password", Field::Secret(&self.password)),
            ("scope", Field::Open(&self.scopes)),
        ];
        let tokens = post(context, &url, &self.client, &fields)
            .await
            .map_err(|failure| match failure {
                Failure::Refused { status: 401, code, .. } if code == "access_denied" => {
                    Error::WrongPassword { origin: origin(&url) }
                }
                // As other servers say it.
                Failure::Refused { code, .. } if code == "invalid_grant" => {
                    Error::WrongPassword { origin: origin(&url) }
                }
                other => other.into_error(&url),
            })?;
        tokens.bearer(Wanted::Id, context, &self.name())
    }

    fn store_key(&self) -> Option<String> {
        Some(format!("password {} {}", self.client.id(), self.username))
    }
}

impl fmt::Debug for PasswordGrant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PasswordGrant")
            .field("client", &self.client)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}
