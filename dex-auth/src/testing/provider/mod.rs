//! The seam between fake identity providers and those who rely on them: Dex, a broker, a load balancer.
//!
//! The browser's part of a login travels over HTTP, as with the real programs. What the servers say to each other (the
//! redemption of a code, the check of a signature) is a call of these traits.

mod adfs;
mod authenticator;
mod codes;
mod cognito;
mod entra;
mod host;
mod keycloak;
mod okta;
mod plain;
mod saml;
#[cfg(test)]
mod visitor;

use std::fmt;
use std::sync::Arc;

pub use adfs::{Adfs, AdfsBuilder, AdfsUser};
pub(super) use authenticator::Authenticator;
pub(super) use codes::{AuthorizationRequest, BadRequest, Clients, CodeBook};
pub use cognito::{Cognito, CognitoBuilder, CognitoUser};
pub use entra::{EntraId, EntraIdBuilder, EntraUser};
pub(super) use host::{Site, listen, serve};
pub use keycloak::{
    Keycloak, KeycloakBuilder, KeycloakFirstLogin, KeycloakLanguage, KeycloakTheme, KeycloakUser, RequiredAction,
};
pub use okta::{Okta, OktaBuilder, OktaUser};
pub use plain::{PlainProvider, PlainProviderBuilder};
pub(super) use saml::{SamlError, SamlIssuer, SamlRequest, SamlSide};

use super::jwt::ISSUER;

/// The client id of Dex at its providers.
pub(super) const DEX_CLIENT: &str = "dex";

/// Where a provider sends the user back to Dex: the in-cluster issuer, which stock Kubeflow keeps.
pub(super) fn dex_callback() -> String {
    format!("{ISSUER}/callback")
}

/// Who a user turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) subject: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) groups: Vec<String>,
}

/// An OpenID provider, as the server side of one who relies on it reaches it.
pub(super) trait OpenIdProvider: fmt::Debug + Send + Sync {
    /// Absolute, without a query.
    fn authorization_endpoint(&self) -> String;

    /// Redeems a code at the token endpoint; the error is its `error_description`.
    fn redeem(&self, redemption: &Redemption<'_>) -> Result<Identity, String>;

    /// Whose ID token this is, for the exchange of tokens; nobody's by default.
    fn verify_token(&self, token: &str) -> Option<Identity> {
        let _ = token;
        None
    }
}

/// A call of the token endpoint with the grant `authorization_code`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Redemption<'a> {
    pub(super) client_id: &'a str,
    pub(super) code: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) code_verifier: Option<&'a str>,
}

/// A SAML identity provider, as a service provider knows it from its metadata.
pub(super) trait SamlProvider: fmt::Debug + Send + Sync {
    /// Where `SAMLRequest` goes, absolute.
    fn sso_url(&self) -> String;

    /// What its responses are checked with.
    fn saml(&self) -> &SamlIssuer;
}

/// A fake OpenID provider, as one who relies on it is told of it: made from a reference to any provider of this module
/// that speaks OpenID Connect.
#[derive(Clone, Debug)]
pub struct OpenIdSource(pub(super) Arc<dyn OpenIdProvider>);

/// A fake SAML identity provider, as one who relies on it is told of it: made from a reference to any provider of this
/// module that speaks SAML.
#[derive(Clone, Debug)]
pub struct SamlSource(pub(super) Arc<dyn SamlProvider>);

impl<P: OpenIdProvider + Clone + 'static> From<&P> for OpenIdSource {
    fn from(provider: &P) -> Self {
        Self(Arc::new(provider.clone()))
    }
}

impl<P: SamlProvider + Clone + 'static> From<&P> for SamlSource {
    fn from(provider: &P) -> Self {
        Self(Arc::new(provider.clone()))
    }
}
