//! Who knows the sandbox's user: Dex itself, or a provider behind it.

use std::any::Any;
use std::str::FromStr;

use dex_auth::testing::{Cognito, Connector, EntraId, Keycloak};

use super::sandbox::{PASSWORD, USERNAME};

/// Where the user of a [`Sandbox`](super::Sandbox) logs in.
///
/// Its text form, for settings and flags, is `password`, `ldap`, `cognito`, `cognito-entra` or `keycloak`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Idp {
    /// Dex's own password database, as in stock Kubeflow.
    #[default]
    Password,
    /// An LDAP directory behind Dex; the user's name there is `user`.
    Ldap,
    /// A user of Amazon Cognito behind Dex, by OpenID Connect.
    Cognito,
    /// A user of Entra ID, by SAML behind Cognito, by OpenID Connect behind Dex.
    CognitoEntra,
    /// A user of Keycloak behind Dex, by OpenID Connect.
    Keycloak,
}

impl Idp {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::Password,
        Self::Ldap,
        Self::Cognito,
        Self::CognitoEntra,
        Self::Keycloak,
    ];

    /// The text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Ldap => "ldap",
            Self::Cognito => "cognito",
            Self::CognitoEntra => "cognito-entra",
            Self::Keycloak => "keycloak",
        }
    }
}

impl FromStr for Idp {
    type Err = UnknownIdp;

    fn from_str(text: &str) -> Result<Self, UnknownIdp> {
        let found = Self::ALL.into_iter().find(|idp| idp.as_str() == text);
        found.ok_or_else(|| UnknownIdp(text.to_owned()))
    }
}

/// The text names no identity provider that can be imitated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown identity provider {0:?}: expected password, ldap, cognito, cognito-entra or keycloak")]
pub struct UnknownIdp(String);

/// The providers of a sandbox, running.
#[derive(Debug)]
pub(super) struct Providers {
    /// Dex's one connector.
    pub(super) connector: Connector,
    pub(super) username: &'static str,
    /// Their addresses, in the order in which a login comes to them.
    pub(super) origins: Vec<String>,
    /// They end when these go.
    _running: Vec<Box<dyn Any + Send + Sync>>,
}

impl Providers {
    pub(super) async fn start(idp: Idp) -> Self {
        let behind = |connector: Connector, origins: Vec<String>, running: Vec<Box<dyn Any + Send + Sync>>| Self {
            connector,
            username: USERNAME,
            origins,
            _running: running,
        };
        match idp {
            Idp::Password => behind(Connector::local(), Vec::new(), Vec::new()),
            Idp::Ldap => {
                let directory = Connector::ldap("ldap", "Company directory").user("user", PASSWORD, USERNAME);
                Self {
                    username: "user",
                    ..behind(directory.into(), Vec::new(), Vec::new())
                }
            }
            Idp::Cognito => {
                let cognito = Cognito::builder().user(USERNAME, PASSWORD, USERNAME).start().await;
                behind(
                    Connector::oidc("cognito", "Cognito", &cognito).into(),
                    vec![cognito.url().to_owned()],
                    vec![Box::new(cognito)],
                )
            }
            Idp::CognitoEntra => {
                let entra = EntraId::builder().user(USERNAME, PASSWORD).start().await;
                let cognito = Cognito::builder().federated("AzureAD", &entra).start().await;
                behind(
                    Connector::oidc("cognito", "Cognito", &cognito).into(),
                    vec![cognito.url().to_owned(), entra.url().to_owned()],
                    vec![Box::new(cognito), Box::new(entra)],
                )
            }
            Idp::Keycloak => {
                let keycloak = Keycloak::builder().user(USERNAME, PASSWORD).start().await;
                behind(
                    Connector::oidc("keycloak", "Keycloak", &keycloak).into(),
                    vec![keycloak.url().to_owned()],
                    vec![Box::new(keycloak)],
                )
            }
        }
    }
}
