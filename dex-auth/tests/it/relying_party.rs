//! A gateway that does nothing but send users to a provider and take them back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dex_auth::{Credentials, Error, IdentityProvider, Session, SessionBuilder};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

pub(crate) const PASSWORD: &str = "correct horse & battery+staple%";
const STATE: &str = "state of the gateway+/=";
const SESSION: &str = "gateway_session";

pub(crate) struct RelyingParty {
    server: MockServer,
    taken_back: Arc<AtomicU64>,
}

impl RelyingParty {
    pub(crate) async fn start() -> Self {
        Self {
            server: MockServer::start().await,
            taken_back: Arc::default(),
        }
    }

    pub(crate) fn callback(&self) -> String {
        format!("{}/oauth2/callback", self.server.uri())
    }

    /// Relies on an OpenID provider, as the client `gateway`.
    pub(crate) async fn send_to(&self, authorization_endpoint: &str) {
        let mut start = url::Url::parse(authorization_endpoint).unwrap();
        start
            .query_pairs_mut()
            .append_pair("client_id", "gateway")
            .append_pair("redirect_uri", &self.callback())
            .append_pair("response_type", "code")
            .append_pair("scope", "openid email")
            .append_pair("state", STATE);
        self.mount(start.to_string(), String::new()).await;
    }

    /// Relies on a SAML provider, by a page that posts the request itself.
    pub(crate) async fn post_to(&self, sso_url: &str) {
        let acs = format!("{}/saml/acs", self.server.uri());
        let request = format!(
            "<samlp:AuthnRequest xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" ID=\"_1\" \
             AssertionConsumerServiceURL=\"{acs}\"><saml:Issuer xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">\
             sp</saml:Issuer></samlp:AuthnRequest>"
        );
        let page = format!(
            "<form method=post action='{sso_url}'><input type=hidden name=SAMLRequest value='{}'>\
             <input type=hidden name=RelayState value='r+/='></form>",
            BASE64_STANDARD.encode(request)
        );
        let mut start = url::Url::parse(&format!("{}/dex/auth", self.server.uri())).unwrap();
        start
            .query_pairs_mut()
            .append_pair("client_id", "gateway")
            .append_pair("redirect_uri", "/oauth2/callback")
            .append_pair("response_type", "code")
            .append_pair("state", STATE);
        self.mount(start.to_string(), page).await;
    }

    async fn mount(&self, start: String, page: String) {
        let taken_back = Arc::clone(&self.taken_back);
        let respond = move |request: &Request| {
            let to = |location: &str| ResponseTemplate::new(302).insert_header("location", location);
            let parameter = |name: &str| {
                let mut pairs = request.url.query_pairs();
                pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
            };
            match request.url.path() {
                "/oauth2/start" => to(&start),
                "/dex/auth" => ResponseTemplate::new(200).set_body_raw(page.clone(), "text/html"),
                "/saml/acs" => {
                    let fields: Vec<_> = url::form_urlencoded::parse(&request.body).collect();
                    let has = |name: &str, check: fn(&str) -> bool| {
                        fields.iter().any(|(key, value)| key == name && check(value))
                    };
                    assert!(has("SAMLResponse", |value| BASE64_STANDARD.decode(value).is_ok()));
                    assert!(has("RelayState", |value| value == "r+/="));
                    let end =
                        url::Url::parse_with_params("http://x/oauth2/callback", [("code", "c"), ("state", STATE)]);
                    let end = end.unwrap();
                    to(&format!("{}?{}", end.path(), end.query().unwrap()))
                }
                "/oauth2/callback" if parameter("code").is_some() && parameter("state").as_deref() == Some(STATE) => {
                    taken_back.fetch_add(1, Ordering::SeqCst);
                    to("/").insert_header("set-cookie", format!("{SESSION}=value; Path=/; Max-Age=3600").as_str())
                }
                "/oauth2/auth" => ResponseTemplate::new(202),
                _ => ResponseTemplate::new(404),
            }
        };
        Mock::given(any()).respond_with(respond).mount(&self.server).await;
    }

    /// How many logins came back with a code.
    pub(crate) fn taken_back(&self) -> u64 {
        self.taken_back.load(Ordering::SeqCst)
    }

    pub(crate) fn session(&self, credentials: Credentials) -> SessionBuilder {
        Session::builder(&self.server.uri()).unwrap().credentials(credentials)
    }

    /// Logs in, and checks that it worked.
    pub(crate) async fn login(&self, session: &Session) {
        let before = self.taken_back();
        let cookie = session.login().await;
        let cookie = cookie.unwrap_or_else(|error| panic!("{error}\n{}", session.last_login().unwrap()));
        assert_eq!(cookie.name(), SESSION);
        assert_eq!(self.taken_back(), before + 1);
    }
}

pub(crate) fn at(url: &str) -> IdentityProvider {
    IdentityProvider::at(url).unwrap()
}

/// Why a login fails; what it did on the way holds no secret.
pub(crate) async fn refused(session: &Session) -> Error {
    let error = session.login().await.unwrap_err();
    let trace = session.last_login().unwrap();
    for shown in [
        format!("{error} {error:?}"),
        trace.to_string(),
        format!("{trace:?}"),
        trace.mermaid(),
    ] {
        assert!(!shown.contains(PASSWORD) && !shown.contains("SAMLRe"), "{shown}");
    }
    error
}
