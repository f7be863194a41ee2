//! A Kubeflow gateway with Dex behind it, for the tests of programs that log in to one.
//!
//! [`Gateway`] answers on a loopback port as the real programs do: Envoy with Kubeflow's filters, oidc-authservice or
//! oauth2-proxy, and Dex with its connectors. It keeps real state (login requests, codes that work once, sessions that
//! end) and refuses what the real programs refuse, with their statuses, cookies, forms and texts. What lies behind the
//! gateway is given as upstreams, each any [`wiremock::Respond`]; they receive requests as the real services do, with the
//! identity headers that the gateway adds and without those that a client forged.
//!
//! ```
//! use dex_auth::testing::{Gateway, Release};
//! use wiremock::ResponseTemplate;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let gateway = Gateway::builder()
//!     .release(Release::Kubeflow1_11)
//!     .user("user@example.com", "correct horse")
//!     .upstream("/pipeline", ResponseTemplate::new(200).set_body_json("pipelines"))
//!     .start()
//!     .await;
//!
//! // ... point the program under test at `gateway.url()`, then look at what it did:
//! assert_eq!(gateway.logins(), 0);
//! # }
//! ```
//!
//! # Limits
//!
//! Kubernetes service account tokens are not accepted, which is what Kubeflow 1.9.1 and later do without an extra overlay.
//! Everything is plain HTTP, so cookies never carry `Secure`.

mod authservice;
mod base_path;
mod clock;
mod dashboard;
mod dex;
mod envoy;
mod gateway;
mod hostile;
mod jwt;
mod load_balancer;
mod message;
mod oauth2_proxy;
mod pages;
mod provider;
mod release;
mod sealed;
#[cfg(test)]
mod tests;

pub use clock::Clock;
pub use dex::{Connector, DexVersion, LdapConnector, SecondFactor, UpstreamConnector};
pub use gateway::{Gateway, GatewayBuilder, GatewayKind, RequestRecord};
pub use hostile::{HostileGateway, HostilePage};
pub use load_balancer::{LoadBalancer, UnauthenticatedAction};
pub use provider::{
    Adfs, AdfsBuilder, AdfsUser, Cognito, CognitoBuilder, CognitoUser, EntraId, EntraIdBuilder, EntraUser, Keycloak,
    KeycloakBuilder, KeycloakFirstLogin, KeycloakLanguage, KeycloakTheme, KeycloakUser, Okta, OktaBuilder, OktaUser,
    OpenIdSource, PlainProvider, PlainProviderBuilder, RequiredAction, SamlSource,
};
pub use release::{Release, UnknownRelease};
