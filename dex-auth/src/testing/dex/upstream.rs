//! Connectors that send the user to a provider of their own, and `/dex/callback`, where he comes back.

use std::fmt;

use http::Method;

use super::super::message::{Incoming, Reply, query};
use super::super::pages;
use super::super::provider::{
    DEX_CLIENT, Identity, OpenIdSource, Redemption, SamlRequest, SamlSide, SamlSource, dex_callback,
};
use super::super::sealed::random_text;
use super::connector::{Connector, Kind};
use super::{AuthRequest, Dex, pkce_challenge};

const AUTHENTICATION_FAILED: &str = "Authentication failed. Please contact your administrator or try again later.";

/// How Dex and the provider speak.
#[derive(Clone)]
pub(super) enum Protocol {
    OpenId(OpenIdSource),
    Saml(SamlSource),
}

/// What an upstream connector is set up with.
#[derive(Clone)]
pub(super) struct Upstream {
    protocol: Protocol,
    redirect_uri: String,
    allowed_groups: Vec<String>,
    parameters: Vec<(String, String)>,
}

impl Upstream {
    pub(super) fn type_name(&self) -> &'static str {
        match self.protocol {
            Protocol::OpenId(_) => "oidc",
            Protocol::Saml(_) => "saml",
        }
    }

    pub(super) fn is_saml(&self) -> bool {
        matches!(self.protocol, Protocol::Saml(_))
    }

    pub(super) fn openid(&self) -> Option<&OpenIdSource> {
        match &self.protocol {
            Protocol::OpenId(source) => Some(source),
            Protocol::Saml(_) => None,
        }
    }

    fn admits(&self, identity: &Identity) -> bool {
        self.allowed_groups.is_empty() || identity.groups.iter().any(|group| self.allowed_groups.contains(group))
    }
}

/// A connector of Dex to another provider, being set up.
///
/// Dex demands that the provider's way back is its own issuer with `/callback` behind it. The issuer of stock Kubeflow is
/// an address inside the cluster, so that is where providers send their users, and clients outside have to put the
/// gateway's origin in its place.
///
/// ```
/// use dex_auth::testing::{Connector, Gateway, PlainProvider};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let provider = PlainProvider::builder().user_in_groups("ada", "pw", "ada@example.com", ["staff"]).start().await;
/// let builder = Gateway::builder()
///     .connector(Connector::local())
///     .connector(Connector::saml("corp", "Corporate login", &provider).allowed_group("staff"));
/// # let _ = builder;
/// # }
/// ```
#[derive(Clone)]
pub struct UpstreamConnector {
    id: String,
    name: String,
    upstream: Upstream,
}

impl UpstreamConnector {
    pub(super) fn new(id: String, name: String, protocol: Protocol) -> Self {
        Self {
            id,
            name,
            upstream: Upstream {
                protocol,
                redirect_uri: dex_callback(),
                allowed_groups: Vec::new(),
                parameters: Vec::new(),
            },
        }
    }

    /// Only users in one of the allowed groups get in; others are refused by Dex after they logged in at the provider.
    #[must_use]
    pub fn allowed_group(mut self, group: impl Into<String>) -> Self {
        self.upstream.allowed_groups.push(group.into());
        self
    }

    /// The connector's `redirectURI`, where the provider sends its users. With OpenID Connect anything but Dex's issuer
    /// and `/callback` makes the connector answer `Login error.`; with SAML it is where responses are posted to.
    #[must_use]
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.upstream.redirect_uri = uri.into();
        self
    }

    /// A parameter that the configured authorization URL already has, such as `kc_idp_hint`.
    #[must_use]
    pub fn authorize_parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.upstream.parameters.push((name.into(), value.into()));
        self
    }
}

impl From<UpstreamConnector> for Connector {
    fn from(connector: UpstreamConnector) -> Self {
        Self::of(connector.id, connector.name, Kind::Upstream(connector.upstream))
    }
}

impl fmt::Debug for UpstreamConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamConnector")
            .field("id", &self.id)
            .field("type", &self.upstream.type_name())
            .finish_non_exhaustive()
    }
}

impl Dex {
    /// Sends the user to the connector's provider; `begun` is kept under `id` by then.
    pub(super) fn send_upstream(&self, upstream: &Upstream, id: &str, request: Incoming<'_>) -> Reply {
        match &upstream.protocol {
            Protocol::OpenId(_) if upstream.redirect_uri != dex_callback() => Self::error(500, "Login error."),
            Protocol::OpenId(source) => {
                let begun = self.lock().requests.get(id).cloned();
                let verifier = begun.as_ref().and_then(|begun| begun.upstream_verifier.clone());
                let challenge = verifier.as_deref().map(pkce_challenge).unwrap_or_default();
                let mut pairs: Vec<(&str, &str)> = upstream
                    .parameters
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                pairs.push(("client_id", DEX_CLIENT));
                if !challenge.is_empty() {
                    pairs.extend([
                        ("code_challenge", challenge.as_str()),
                        ("code_challenge_method", "S256"),
                    ]);
                }
                if begun.is_some_and(|begun| begun.scopes.iter().any(|scope| scope == "offline_access")) {
                    pairs.push(("prompt", "consent"));
                }
                pairs.extend([
                    ("redirect_uri", upstream.redirect_uri.as_str()),
                    ("response_type", "code"),
                    // Dex puts its own before the configured ones, which name it again.
                    ("scope", "openid openid profile email"),
                    ("state", id),
                ]);
                let location = format!("{}?{}", source.0.authorization_endpoint(), query(pairs));
                Reply::redirect(302, &location, request)
            }
            Protocol::Saml(source) => {
                let asked = SamlRequest {
                    id: id.to_owned(),
                    issuer: upstream.redirect_uri.clone(),
                    acs_url: upstream.redirect_uri.clone(),
                };
                Reply::html(200, pages::dex_saml(&source.0.sso_url(), &asked.for_post(), id))
            }
        }
    }

    /// A verifier for the provider's own PKCE, which Dex uses since 2.45.
    pub(super) fn upstream_verifier(&self, connector: &Connector) -> Option<String> {
        let is_openid = connector.upstream().is_some_and(|upstream| !upstream.is_saml());
        (is_openid && self.version.is_terse()).then(random_text::<32>)
    }

    /// Where providers send the user back to.
    pub(super) fn callback(&self, request: Incoming<'_>, connector: Option<&str>) -> Reply {
        let fields = request.values();
        let id = match *request.method() {
            Method::GET => request.query().text("state").to_owned(),
            Method::POST => fields.text("RelayState").to_owned(),
            _ => return Self::error(400, "Method not supported"),
        };
        if id.is_empty() {
            return Self::error(400, "User session error.");
        }
        let Some(begun) = self.lock().requests.get(&id).cloned() else {
            return Self::error(400, "Requested resource does not exist.");
        };
        let known = self.connector(&begun.connector);
        let known = known.filter(|known| connector.is_none_or(|connector| connector == known.id()));
        let Some((known, upstream)) = known.and_then(|known| Some((known, known.upstream()?))) else {
            return Self::error(500, "Requested resource does not exist.");
        };
        let answer = match (&upstream.protocol, request.method()) {
            (Protocol::OpenId(source), &Method::GET) => redeem(source, upstream, &begun, request),
            (Protocol::Saml(source), &Method::POST) => accept(source, upstream, &id, fields.text("SAMLResponse")),
            _ => return Self::error(400, "Invalid request"),
        };
        match answer {
            Ok(identity) if upstream.admits(&identity) => {
                let identity = Identity {
                    subject: known.subject(&identity.subject),
                    ..identity
                };
                self.logged_in(request, &id, &begun, identity, false)
            }
            Ok(_) if self.version.is_terse() => Self::error(
                403,
                "You are not a member of any of the required groups to authenticate.",
            ),
            Ok(_) => Self::error(500, "Failed to authenticate: user not a member of allowed groups"),
            Err(_) if self.version.is_terse() => Self::error(500, AUTHENTICATION_FAILED),
            Err(text) => Self::error(500, &format!("Failed to authenticate: {text}")),
        }
    }
}

fn redeem(
    source: &OpenIdSource,
    upstream: &Upstream,
    begun: &AuthRequest,
    request: Incoming<'_>,
) -> Result<Identity, String> {
    let params = request.query();
    let error = params.text("error");
    if !error.is_empty() {
        return Err(format!("{error}: {}", params.text("error_description")));
    }
    source
        .0
        .redeem(&Redemption {
            client_id: DEX_CLIENT,
            code: params.text("code"),
            redirect_uri: &upstream.redirect_uri,
            code_verifier: begun.upstream_verifier.as_deref(),
        })
        .map_err(|text| format!("oidc: failed to get token: oauth2: \"invalid_grant\" \"{text}\""))
}

fn accept(source: &SamlSource, upstream: &Upstream, id: &str, response: &str) -> Result<Identity, String> {
    let side = SamlSide {
        acs_url: &upstream.redirect_uri,
        in_response_to: id,
    };
    source
        .0
        .saml()
        .accept(response, side)
        .map_err(|error| format!("saml: {error:?}"))
}
