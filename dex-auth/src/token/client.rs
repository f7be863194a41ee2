//! A program as a client of an OAuth server, and the tokens that it gets for itself.

use std::fmt;

use async_trait::async_trait;
use secrecy::SecretString;
use url::Url;

use super::endpoint::{Field, Wanted, post};
use super::{BearerToken, TokenContext, TokenSource};
use crate::error::Error;
use crate::origin::{is_loopback, shown};

/// The id, and the secret if there is one, by which a program is known to an OAuth server.
#[derive(Clone)]
pub struct OAuthClient {
    pub(super) id: String,
    pub(super) secret: Option<SecretString>,
}

impl OAuthClient {
    /// A client without a secret.
    pub fn public(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            secret: None,
        }
    }

    /// A client with a secret, which is sent by Basic authentication.
    pub fn confidential(id: impl Into<String>, secret: impl Into<SecretString>) -> Self {
        Self {
            id: id.into(),
            secret: Some(secret.into()),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn secret(&self) -> Option<&SecretString> {
        self.secret.as_ref()
    }
}

impl fmt::Debug for OAuthClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OAuthClient")
            .field("id", &self.id)
            .field("confidential", &self.secret.is_some())
            .finish()
    }
}

/// Tokens that a program gets for itself (grant `client_credentials`), of any OAuth server that the gateway trusts.
///
/// Dex offers this grant only in versions after 2.45, where it is switched on, and its tokens name no user: they get through
/// the gateway of Kubeflow, and the services behind know nobody.
///
/// ```
/// use dex_auth::{ClientCredentials, OAuthClient, Session};
///
/// let client = OAuthClient::confidential("trainer", "its secret");
/// let source = ClientCredentials::new("https://login.example.com/oauth2/token", client)?
///     .scope("kubeflow")
///     .audience("https://kubeflow.example.com");
/// let session = Session::builder("https://kubeflow.example.com")?.token(source).build()?;
/// # Ok::<(), dex_auth::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ClientCredentials {
    url: Url,
    client: OAuthClient,
    scope: Option<String>,
    audience: Option<String>,
    wanted: Wanted,
}

impl ClientCredentials {
    /// A client, and the token endpoint that knows it.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for anything but an `https` address, or `http` on loopback.
    pub fn new(token_url: &str, client: OAuthClient) -> Result<Self, Error> {
        let unusable = |problem: &str| Error::Config {
            field: "token_url",
            problem: problem.to_owned(),
        };
        let url = Url::parse(token_url.trim()).map_err(|_| unusable("it is no absolute URL"))?;
        if !(url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url))) {
            return Err(unusable("the secret would travel readable; use https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(unusable(
                "a user or password in the URL ends up in logs; use OAuthClient",
            ));
        }
        Ok(Self {
            url,
            client,
            scope: None,
            audience: None,
            wanted: Wanted::Access,
        })
    }

    /// The scopes to ask for, parted by blanks.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// The audience to ask for, where the server knows such a parameter.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Sends the ID token of the answer, where there is one, in place of the access token.
    #[must_use]
    pub fn id_token(mut self) -> Self {
        self.wanted = Wanted::Id;
        self
    }
}

#[async_trait]
impl TokenSource for ClientCredentials {
    fn name(&self) -> String {
        format!("the client `{}` of {}", self.client.id, shown(&self.url))
    }

    async fn token(&self, context: &TokenContext) -> Result<BearerToken, Error> {
        let mut fields = vec![("grant_type", Field::Open("client_credentials"))];
        fields.extend(self.scope.as_deref().map(|scope| ("scope", Field::Open(scope))));
        fields.extend(
            self.audience
                .as_deref()
                .map(|audience| ("audience", Field::Open(audience))),
        );
        let tokens = post(context, &self.url, &self.client, &fields)
            .await
            .map_err(|failure| failure.into_error(&self.url))?;
        tokens.bearer(self.wanted, context, &self.name())
    }

    fn store_key(&self) -> Option<String> {
        let (scope, audience) = (self.scope.as_deref(), self.audience.as_deref());
        Some(format!(
            "client {} of {} for {} at {}",
            self.client.id,
            shown(&self.url),
            scope.unwrap_or_default(),
            audience.unwrap_or_default()
        ))
    }
}
