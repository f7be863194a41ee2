//! Dex's token exchange (RFC 8693).

use async_trait::async_trait;

use super::endpoint::{Failure, Field, Wanted, dex, post};
use super::password::SCOPES;
use super::{BearerToken, OAuthClient, TokenContext, TokenSource};
use crate::error::Error;
use crate::origin::origin;

const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Dex's token for the token of a provider behind it (Dex 2.38 and later, Kubeflow 1.9 and later): the user is who the
/// other token says.
///
/// ```
/// use dex_auth::{OAuthClient, Session, TokenCommand, TokenExchange};
///
/// let of_the_provider = TokenCommand::new("gcloud").args(["auth", "print-identity-token"]);
/// let source = TokenExchange::new(OAuthClient::public("kubeflow-cli"), "google", of_the_provider);
/// let session = Session::builder("https://kubeflow.example.com")?.token(source).build()?;
/// # Ok::<(), dex_auth::Error>(())
/// ```
#[derive(Debug)]
pub struct TokenExchange {
    client: OAuthClient,
    connector: String,
    subject: Box<dyn TokenSource>,
    subject_type: &'static str,
    scopes: String,
}

impl TokenExchange {
    /// A client that Dex knows, the id of the OIDC connector that knows the other tokens, and where these come from. They
    /// are ID tokens unless [`access_token`](Self::access_token) says otherwise.
    pub fn new(client: OAuthClient, connector_id: impl Into<String>, subject: impl TokenSource) -> Self {
        Self {
            client,
            connector: connector_id.into(),
            subject: Box::new(subject),
            subject_type: ID_TOKEN,
            scopes: SCOPES.to_owned(),
        }
    }

    /// The other tokens are access tokens: Dex asks the provider who their user is.
    #[must_use]
    pub fn access_token(mut self) -> Self {
        self.subject_type = ACCESS_TOKEN;
        self
    }

    /// The scopes to ask for, parted by blanks; `openid email profile groups` if not given.
    #[must_use]
    pub fn scopes(mut self, scopes: impl Into<String>) -> Self {
        self.scopes = scopes.into();
        self
    }
}

#[async_trait]
impl TokenSource for TokenExchange {
    fn name(&self) -> String {
        format!("Dex's token exchange for {}", self.subject.name())
    }

    async fn token(&self, context: &TokenContext) -> Result<BearerToken, Error> {
        let subject = self.subject.token(context).await?;
        let url = dex(context, "token");
        let fields = [
            (
                "grant_type",
                Field::Open("urn:ietf:params:oauth:grant-type:token-exchange"),
            ),
            ("subject_token", Field::Secret(subject.token())),
            ("subject_token_type", Field::Open(self.subject_type)),
            ("requested_token_type", Field::Open(ID_TOKEN)),
            ("connector_id", Field::Open(&self.connector)),
            ("scope", Field::Open(&self.scopes)),
        ];
        let tokens = post(context, &url, &self.client, &fields)
            .await
            .map_err(|failure| match failure {
                // The connector is unknown, or no OIDC one.
                Failure::Refused { code, description, .. } if code == "invalid_request" => Error::Misconfigured {
                    origin: origin(&url),
                    message: format!("{description} (connector `{}`)", self.connector),
                },
                other => other.into_error(&url),
            })?;
        // Asked for an ID token, Dex gives it as `access_token`.
        tokens.bearer(Wanted::Id, context, &self.name())
    }

    fn time_limit(&self) -> Option<std::time::Duration> {
        self.subject.time_limit()
    }
}
