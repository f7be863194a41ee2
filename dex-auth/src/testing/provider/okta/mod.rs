//! An Okta org as OpenID provider: authorization endpoint, sign-in page, and the API behind it.

mod authn;
mod user;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Method;
use wiremock::MockServer;

use super::super::clock::Clock;
use super::super::message::{Incoming, Reply, query};
use super::super::pages::page;
use super::super::sealed::random_text;
use super::{
    AuthorizationRequest, BadRequest, Clients, CodeBook, Identity, OpenIdProvider, Redemption, Site, listen, serve,
};

pub use user::OktaUser;

const AUTHORIZE: &str = "/oauth2/v1/authorize";
/// Where a login page leads back to in the classic engine.
const RESUME: &str = "/oauth2/v1/authorize/redirect";
const LOGIN: &str = "/login/login.htm";
const COOKIE_REDIRECT: &str = "/login/sessionCookieRedirect";

/// A fake Okta org on an origin of its own. It ends with its last clone.
///
/// ```
/// use dex_auth::testing::{Okta, OktaUser};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let okta = Okta::builder()
///     .user(OktaUser::new("ada@example.com", "correct horse"))
///     .user(OktaUser::new("bob@example.com", "battery staple").totp_secret("JBSWY3DPEHPK3PXP"))
///     .start()
///     .await;
/// assert!(okta.url().starts_with("http://127.0.0.1:"));
/// assert_eq!(okta.password_attempts(), 0);
/// # }
/// ```
#[derive(Clone)]
pub struct Okta {
    site: Arc<OktaSite>,
    _server: Arc<MockServer>,
}

impl Okta {
    /// A classic org without users.
    pub fn builder() -> OktaBuilder {
        OktaBuilder::default()
    }

    /// Its origin.
    pub fn url(&self) -> &str {
        &self.site.origin
    }

    /// How often a password was sent to it.
    pub fn password_attempts(&self) -> u64 {
        self.site.attempts.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Okta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Okta").field(&self.site.origin).finish()
    }
}

impl OpenIdProvider for Okta {
    fn authorization_endpoint(&self) -> String {
        format!("{}{AUTHORIZE}", self.site.origin)
    }

    fn redeem(&self, redemption: &Redemption<'_>) -> Result<Identity, String> {
        self.site.codes.redeem(redemption)
    }
}

/// Which engine an org runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Engine {
    #[default]
    Classic,
    /// Identity Engine with the classic API still open.
    WithApi,
    /// Identity Engine whose classic API gives no session.
    WidgetOnly,
}

/// An [`Okta`] being set up.
#[derive(Debug, Default)]
#[must_use]
pub struct OktaBuilder {
    clock: Clock,
    users: Vec<OktaUser>,
    clients: Clients,
    engine: Engine,
    limit: Option<u64>,
}

impl OktaBuilder {
    /// The time it lives in.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Adds a user.
    pub fn user(mut self, user: OktaUser) -> Self {
        self.users.push(user);
        self
    }

    /// Adds a client besides Dex.
    pub fn client(mut self, id: impl Into<String>, redirect_uri: impl Into<String>) -> Self {
        self.clients.add(id, redirect_uri);
        self
    }

    /// Runs Identity Engine: the authorization endpoint itself answers with the sign-in page.
    pub fn identity_engine(mut self) -> Self {
        self.engine = Engine::WithApi;
        self
    }

    /// Runs Identity Engine, and the classic API gives no session: only a browser gets through.
    pub fn widget_only(mut self) -> Self {
        self.engine = Engine::WidgetOnly;
        self
    }

    /// Answers more tries than these with "too many requests".
    pub fn limit(mut self, tries: u64) -> Self {
        self.limit = Some(tries);
        self
    }

    /// Starts it on a free port of the loopback interface.
    pub async fn start(self) -> Okta {
        let (listener, origin) = listen();
        let site = Arc::new(OktaSite {
            origin,
            codes: CodeBook::new(self.clock.clone()),
            settings: self,
            interrupted: Mutex::default(),
            states: Mutex::default(),
            tokens: Mutex::default(),
            sessions: Mutex::default(),
            attempts: AtomicU64::new(0),
        });
        Okta {
            _server: serve(listener, Arc::clone(&site)).await,
            site,
        }
    }
}

struct OktaSite {
    origin: String,
    settings: OktaBuilder,
    codes: CodeBook,
    /// Authorization requests that wait for a login, by `okta_key`.
    interrupted: Mutex<HashMap<String, AuthorizationRequest>>,
    /// Users' indexes by state token, session token and session id.
    states: Mutex<HashMap<String, usize>>,
    tokens: Mutex<HashMap<String, (usize, i64)>>,
    sessions: Mutex<HashMap<String, usize>>,
    attempts: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Site for OktaSite {
    fn respond(&self, request: Incoming<'_>) -> Reply {
        match (request.method(), request.path()) {
            (&Method::GET, AUTHORIZE) => self.authorize(request),
            (&Method::GET, RESUME) => self.resume(request),
            (&Method::GET, LOGIN) => sign_in_page(),
            (&Method::GET, COOKIE_REDIRECT) => self.cookie_redirect(request),
            (&Method::POST, path) if path.starts_with("/api/v1/authn") => self.authn(request),
            _ => Reply::html(404, page("Page not found", "<h2>Page not found</h2>\n")),
        }
    }

    fn clock(&self) -> &Clock {
        &self.settings.clock
    }
}

impl OktaSite {
    fn authorize(&self, incoming: Incoming<'_>) -> Reply {
        let request = match AuthorizationRequest::read(&incoming.query(), &self.settings.clients) {
            Ok(request) => request,
            Err(BadRequest::Parameters { location }) => return Reply::redirect(302, &location, incoming),
            Err(BadRequest::Client | BadRequest::RedirectUri) => {
                return Reply::html(400, page("Error", "<h2>400</h2><p>Bad Request.</p>\n"));
            }
        };
        if let Some(user) = self.session(incoming) {
            return self.code(incoming, &request, user);
        }
        if request.prompt == "none" {
            let location = request.refusal(
                "login_required",
                "The client specified not to prompt, but the user is not logged in.",
            );
            return Reply::redirect(302, &location, incoming);
        }
        if self.settings.engine != Engine::Classic {
            return sign_in_page();
        }
        let key = random_text::<24>();
        lock(&self.interrupted).insert(key.clone(), request);
        let resume = format!("{RESUME}?{}", query([("okta_key", key.as_str())]));
        let login = format!("{LOGIN}?{}", query([("fromURI", resume.as_str())]));
        Reply::redirect(302, &login, incoming).set_cookie("JSESSIONID=0; Path=/; HttpOnly")
    }

    fn resume(&self, incoming: Incoming<'_>) -> Reply {
        let key = incoming.query().text("okta_key").to_owned();
        let Some(user) = self.session(incoming) else {
            return Reply::redirect(
                302,
                &format!("{LOGIN}?{}", query([("fromURI", incoming.path_and_query().as_str())])),
                incoming,
            );
        };
        match lock(&self.interrupted).remove(&key) {
            Some(request) => self.code(incoming, &request, user),
            None => Reply::html(400, page("Error", "<h2>400</h2><p>Bad Request.</p>\n")),
        }
    }

    fn code(&self, incoming: Incoming<'_>, request: &AuthorizationRequest, user: usize) -> Reply {
        let Some(user) = self.settings.users.get(user) else {
            return Reply::empty(500);
        };
        let code = self.codes.issue(request.clone(), user.identity());
        Reply::redirect(302, &request.back(&[("code", &code)]), incoming)
    }

    fn session(&self, incoming: Incoming<'_>) -> Option<usize> {
        lock(&self.sessions).get(incoming.cookie("sid")?).copied()
    }

    /// Trades a session token, once and soon, for a session, and goes nowhere but to this org.
    fn cookie_redirect(&self, incoming: Incoming<'_>) -> Reply {
        let asked = incoming.query();
        let target = asked.text("redirectUrl");
        let own = target
            .strip_prefix(&self.origin)
            .is_some_and(|path| path.starts_with('/'));
        let token = lock(&self.tokens).remove(asked.text("token"));
        let user = token.filter(|(_, ends)| self.settings.clock.seconds() < *ends);
        match user {
            Some((user, _)) if own => {
                let id = random_text::<24>();
                lock(&self.sessions).insert(id.clone(), user);
                Reply::redirect(302, target, incoming)
                    .set_cookie(&format!("sid={id}; Path=/; HttpOnly"))
                    .set_cookie("DT=DI0; Path=/; Max-Age=63072000; HttpOnly")
            }
            _ => Reply::redirect(302, LOGIN, incoming),
        }
    }
}

/// A shell whose scripts make the form.
fn sign_in_page() -> Reply {
    let body = format!(
        "<div id=\"okta-login-container\"></div>\n<script>\nvar stateToken = '{}';\nvar config = \
         OktaUtil.getSignInWidgetConfig();\nvar signIn = new OktaSignIn(config);\n</script>\n<noscript>This page needs \
         JavaScript.</noscript>\n",
        random_text::<24>().replace('-', "\\x2D")
    );
    Reply::html(200, page("Sign In", &body))
}
