//! The least that can stand before a provider: a gateway and a Dex that ask it for every login.

use std::sync::Arc;

use http::Method;
use wiremock::MockServer;

use crate::testing::Clock;
use crate::testing::message::{Incoming, Reply, query, with_query};
use crate::testing::pages::{escape, page};
use crate::testing::provider::{
    DEX_CLIENT, Identity, OpenIdProvider, Redemption, SamlProvider, SamlRequest, SamlSide, Site, dex_callback, listen,
    serve,
};
use crate::{Credentials, Error, IdentityProvider, Session};

/// How Dex asks.
pub(super) enum Asks {
    OpenId(Box<dyn OpenIdProvider>),
    SamlByRedirect(Box<dyn SamlProvider>),
    SamlByPost(Box<dyn SamlProvider>),
}

pub(super) struct RelyingParty {
    url: String,
    _server: Arc<MockServer>,
}

struct RelyingSite {
    asks: Asks,
    request: SamlRequest,
    clock: Clock,
}

impl RelyingParty {
    pub(super) async fn start(asks: Asks) -> Self {
        let (listener, url) = listen();
        let site = RelyingSite {
            asks,
            request: SamlRequest::new("dex", dex_callback()),
            clock: Clock::system(),
        };
        Self {
            url,
            _server: serve(listener, Arc::new(site)).await,
        }
    }

    /// Logs in through the provider at this origin; who came out of it.
    pub(super) async fn login(&self, provider: &str, credentials: Credentials) -> Result<String, Error> {
        let session = Session::builder(&self.url)?
            .credentials(credentials)
            .identity_provider(IdentityProvider::at(provider)?)
            .build()?;
        let cookie = session.login().await?;
        Ok(secrecy::ExposeSecret::expose_secret(cookie.value()).to_owned())
    }
}

impl Site for RelyingSite {
    fn respond(&self, incoming: Incoming<'_>) -> Reply {
        let to = |location: &str| Reply::redirect(302, location, incoming);
        match (incoming.method(), incoming.path()) {
            (&Method::GET, "/oauth2/start") => to(
                "/dex/auth?client_id=g&response_type=code&redirect_uri=%2Foauth2%2Fcallback&scope=openid&state=outer",
            ),
            (&Method::GET, "/dex/auth") => self.ask(incoming),
            (&Method::GET | &Method::POST, "/dex/callback") => match self.accept(incoming) {
                Some(identity) => {
                    let done = query([("code", identity.email.as_str()), ("state", "outer")]);
                    to(&with_query("/oauth2/callback", &done))
                }
                None => Reply::html(
                    500,
                    page("dex", "<h2 class=\"theme-heading\">Internal Server Error</h2>"),
                ),
            },
            (&Method::GET, "/oauth2/callback") => {
                to("/").set_cookie(&format!("session={}; Path=/", incoming.query().text("code")))
            }
            _ => Reply::empty(404),
        }
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}

impl RelyingSite {
    fn ask(&self, incoming: Incoming<'_>) -> Reply {
        match &self.asks {
            Asks::OpenId(provider) => {
                let callback = dex_callback();
                let asked = query([
                    ("client_id", DEX_CLIENT),
                    ("redirect_uri", callback.as_str()),
                    ("response_type", "code"),
                    ("scope", "openid email"),
                    ("state", "inner"),
                ]);
                Reply::redirect(302, &with_query(&provider.authorization_endpoint(), &asked), incoming)
            }
            Asks::SamlByRedirect(provider) => {
                let request = self.request.for_redirect();
                let asked = query([("SAMLRequest", request.as_str()), ("RelayState", "inner")]);
                Reply::redirect(302, &with_query(&provider.sso_url(), &asked), incoming)
            }
            Asks::SamlByPost(provider) => {
                let body = format!(
                    "<form method=\"post\" action=\"{}\"><input type=\"hidden\" name=\"SAMLRequest\" value=\"{}\"/>\
                     <input type=\"hidden\" name=\"RelayState\" value=\"inner\"/></form>",
                    escape(&provider.sso_url()),
                    escape(&self.request.for_post())
                );
                Reply::html(200, page("", &body))
            }
        }
    }

    fn accept(&self, incoming: Incoming<'_>) -> Option<Identity> {
        let side = SamlSide {
            acs_url: &self.request.acs_url,
            in_response_to: &self.request.id,
        };
        let (asked, form) = (incoming.query(), incoming.form());
        match &self.asks {
            Asks::OpenId(provider) => {
                let redemption = Redemption {
                    client_id: DEX_CLIENT,
                    code: asked.text("code"),
                    redirect_uri: &dex_callback(),
                    code_verifier: None,
                };
                provider
                    .redeem(&redemption)
                    .ok()
                    .filter(|_| asked.text("state") == "inner")
            }
            Asks::SamlByRedirect(provider) | Asks::SamlByPost(provider) => {
                let accepted = provider.saml().accept(form.text("SAMLResponse"), side);
                accepted.ok().filter(|_| form.text("RelayState") == "inner")
            }
        }
    }
}
