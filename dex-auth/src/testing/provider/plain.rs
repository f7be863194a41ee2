//! A provider that nobody knows: one form for user name and password, OpenID Connect and SAML.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Method;
use wiremock::MockServer;

use super::super::clock::Clock;
use super::super::message::{Incoming, Params, Reply};
use super::super::pages::escape;
use super::super::sealed::random_text;
use super::{
    AuthorizationRequest, BadRequest, Clients, CodeBook, Identity, OpenIdProvider, Redemption, SamlIssuer,
    SamlProvider, SamlRequest, Site, listen, serve,
};

/// How long a begun login may take.
const FLOW_SECONDS: i64 = 10 * 60;
const COOKIE: &str = "plain_login";

/// An identity provider of no known make, on its own loopback origin: a login form with a hidden field and a cookie, as
/// an OpenID provider and as a SAML identity provider. Clones are handles of the same one.
///
/// ```
/// use dex_auth::testing::{Connector, Gateway, PlainProvider};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let provider = PlainProvider::builder().user("ada", "correct horse", "ada@example.com").start().await;
/// let gateway = Gateway::builder().connector(Connector::oidc("corp", "Corporate login", &provider)).start().await;
/// # let _ = gateway;
/// # }
/// ```
#[derive(Clone)]
pub struct PlainProvider {
    site: Arc<PlainSite>,
    _server: Arc<MockServer>,
}

/// Sets up a [`PlainProvider`].
#[derive(Clone)]
#[must_use = "nothing listens until it is started"]
pub struct PlainProviderBuilder {
    users: Vec<User>,
    clients: Clients,
    clock: Clock,
    denies: bool,
}

#[derive(Clone)]
struct User {
    password: String,
    identity: Identity,
}

struct PlainSite {
    origin: String,
    users: Vec<User>,
    clients: Clients,
    clock: Clock,
    denies: bool,
    codes: CodeBook,
    saml: SamlIssuer,
    state: Mutex<State>,
    attempts: AtomicU64,
}

#[derive(Default)]
struct State {
    flows: HashMap<String, Flow>,
    tokens: HashMap<String, Identity>,
}

#[derive(Clone)]
struct Flow {
    asked: Asked,
    cookie: String,
    ends: i64,
}

#[derive(Clone)]
enum Asked {
    Code(AuthorizationRequest),
    Assertion(SamlRequest, String),
}

impl PlainProvider {
    /// A provider without users.
    pub fn builder() -> PlainProviderBuilder {
        PlainProviderBuilder {
            users: Vec::new(),
            clients: Clients::default(),
            clock: Clock::system(),
            denies: false,
        }
    }

    /// Its origin, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.site.origin
    }

    /// How often it was given a password, right or wrong.
    pub fn password_attempts(&self) -> u64 {
        self.site.attempts.load(Ordering::Relaxed)
    }

    /// An ID token of this user, for the exchange of tokens at Dex; `None` if there is no such user.
    pub fn id_token(&self, user: &str) -> Option<String> {
        let known = self.site.users.iter().find(|known| known.identity.subject == user)?;
        let token = random_text::<48>();
        self.site.lock().tokens.insert(token.clone(), known.identity.clone());
        Some(token)
    }
}

impl PlainProviderBuilder {
    /// Adds a user without groups.
    pub fn user(self, name: impl Into<String>, password: impl Into<String>, email: impl Into<String>) -> Self {
        self.user_in_groups(name, password, email, Vec::<String>::new())
    }

    /// Adds a user with groups.
    pub fn user_in_groups(
        mut self,
        name: impl Into<String>,
        password: impl Into<String>,
        email: impl Into<String>,
        groups: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let name = name.into();
        self.users.push(User {
            password: password.into(),
            identity: Identity {
                subject: name.clone(),
                name,
                email: email.into(),
                groups: groups.into_iter().map(Into::into).collect(),
            },
        });
        self
    }

    /// Adds a client with its redirect URI. Dex is known from the beginning.
    pub fn client(mut self, id: impl Into<String>, redirect_uri: impl Into<String>) -> Self {
        self.clients.add(id, redirect_uri);
        self
    }

    /// Refuses everyone after the right password: `access_denied`, or a SAML response that says so.
    pub fn deny(mut self) -> Self {
        self.denies = true;
        self
    }

    /// The clock that logins, codes and assertions end by; the system's if not given.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// If no port of the loopback address can be had.
    pub async fn start(self) -> PlainProvider {
        let (listener, origin) = listen();
        let site = Arc::new(PlainSite {
            origin,
            users: self.users,
            clients: self.clients,
            denies: self.denies,
            codes: CodeBook::new(self.clock.clone()),
            saml: SamlIssuer::new(self.clock.clone()),
            clock: self.clock,
            state: Mutex::default(),
            attempts: AtomicU64::new(0),
        });
        let server = serve(listener, Arc::clone(&site)).await;
        PlainProvider { site, _server: server }
    }
}

impl Site for PlainSite {
    fn respond(&self, request: Incoming<'_>) -> Reply {
        match (request.method(), request.path()) {
            (&Method::GET, "/authorize") => self.authorize(&request.query(), request),
            (&Method::GET, "/sso") => self.sso(&request.query()),
            (&Method::POST, "/sso") => self.sso(&request.form()),
            (&Method::POST, "/session") => self.log_in(request),
            _ => Reply::html(404, page("Not found", "<p>There is nothing here.</p>")),
        }
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}

impl PlainSite {
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.seconds();
        state.flows.retain(|_, flow| now < flow.ends);
        state
    }

    fn authorize(&self, params: &Params, request: Incoming<'_>) -> Reply {
        match AuthorizationRequest::read(params, &self.clients) {
            Ok(asked) => self.begin(Asked::Code(asked)),
            Err(BadRequest::Parameters { location }) => Reply::redirect(302, &location, request),
            Err(BadRequest::Client) => failure("Unknown application."),
            Err(BadRequest::RedirectUri) => failure("The application may not send you back there."),
        }
    }

    fn sso(&self, params: &Params) -> Reply {
        match SamlRequest::read(params.text("SAMLRequest")) {
            Some(asked) => self.begin(Asked::Assertion(asked, params.text("RelayState").to_owned())),
            None => failure("The request cannot be read."),
        }
    }

    fn begin(&self, asked: Asked) -> Reply {
        let id = random_text::<18>();
        let flow = Flow {
            asked,
            cookie: random_text::<18>(),
            ends: self.clock.seconds().saturating_add(FLOW_SECONDS),
        };
        let cookie = format!("{COOKIE}={}; Path=/; HttpOnly", flow.cookie);
        self.lock().flows.insert(id.clone(), flow);
        Reply::html(200, form(&id, "")).set_cookie(&cookie)
    }

    fn log_in(&self, request: Incoming<'_>) -> Reply {
        let fields = request.form();
        let id = fields.text("flow");
        let flow = self.lock().flows.get(id).cloned();
        let Some(flow) = flow.filter(|flow| request.cookie(COOKIE) == Some(flow.cookie.as_str())) else {
            return failure("Your login took too long. Go back to the application.");
        };
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let user = self
            .users
            .iter()
            .find(|user| user.identity.subject == fields.text("user") && user.password == fields.text("passphrase"));
        let Some(user) = user else {
            return Reply::html(200, form(id, "<p class=\"problem\">That did not work.</p>\n"));
        };
        self.lock().flows.remove(id);
        match flow.asked {
            Asked::Code(asked) if self.denies => {
                Reply::redirect(302, &asked.refusal("access_denied", "not for you"), request)
            }
            Asked::Code(asked) => {
                let code = self.codes.issue(asked.clone(), user.identity.clone());
                Reply::redirect(302, &asked.back(&[("code", &code)]), request)
            }
            Asked::Assertion(asked, relay_state) => {
                let response = if self.denies {
                    self.saml.denial(&asked)
                } else {
                    self.saml.response(&asked, &user.identity)
                };
                Reply::html(200, response_page(&asked.acs_url, &response, &relay_state))
            }
        }
    }
}

impl OpenIdProvider for PlainProvider {
    fn authorization_endpoint(&self) -> String {
        format!("{}/authorize", self.site.origin)
    }

    fn redeem(&self, redemption: &Redemption<'_>) -> Result<Identity, String> {
        self.site.codes.redeem(redemption)
    }

    fn verify_token(&self, token: &str) -> Option<Identity> {
        self.site.lock().tokens.get(token).cloned()
    }
}

impl SamlProvider for PlainProvider {
    fn sso_url(&self) -> String {
        format!("{}/sso", self.site.origin)
    }

    fn saml(&self) -> &SamlIssuer {
        &self.site.saml
    }
}

fn page(title: &str, body: &str) -> String {
    format!("<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n<body>\n{body}\n</body></html>\n")
}

fn form(flow: &str, problem: &str) -> String {
    let body = format!(
        "<form method=\"post\" action=\"/session\">\n{problem}<input type=\"hidden\" name=\"flow\" value=\"{}\">\n\
         <label>Name <input type=\"text\" name=\"user\"></label>\n\
         <label>Passphrase <input type=\"password\" name=\"passphrase\"></label>\n\
         <label><input type=\"checkbox\" name=\"trust\" value=\"yes\"> Trust this device</label>\n\
         <button type=\"submit\">Continue</button>\n</form>",
        escape(flow)
    );
    page("Who are you?", &body)
}

fn failure(text: &str) -> Reply {
    Reply::html(400, page("Something is wrong", &format!("<p>{}</p>", escape(text))))
}

/// A page that sends itself, with a button for browsers without scripts.
fn response_page(acs_url: &str, response: &str, relay_state: &str) -> String {
    let body = format!(
        "<form method=\"post\" action=\"{}\">\n<input type=\"hidden\" name=\"SAMLResponse\" value=\"{}\">\n\
         <input type=\"hidden\" name=\"RelayState\" value=\"{}\">\n\
         <noscript><input type=\"submit\" value=\"Continue\"></noscript>\n</form>\n\
         <script>document.forms[0].submit()</script>",
        escape(acs_url),
        escape(response),
        escape(relay_state)
    );
    page("One moment", &body)
}

impl fmt::Debug for PlainProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainProvider")
            .field("url", &self.site.origin)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PlainProviderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainProviderBuilder")
            .field("clients", &self.clients)
            .finish_non_exhaustive()
    }
}
