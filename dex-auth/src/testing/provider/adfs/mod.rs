//! AD FS as a SAML identity provider: `/adfs/ls/`.

mod pages;
mod user;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::{Method, header};
use wiremock::MockServer;

use super::super::clock::Clock;
use super::super::message::{Incoming, Params, Reply, query};
use super::super::sealed::random_text;
use super::{SamlIssuer, SamlProvider, SamlRequest, Site, listen, serve};

pub use user::AdfsUser;
use user::State;

const ENDPOINT: &str = "/adfs/ls/";
/// Where agents land that AD FS holds for browsers of the domain.
const INTEGRATED: &str = "/adfs/ls/wia";
const UPDATE_PASSWORD: &str = "/adfs/portal/updatepassword/";
const REFUSED: &str = "Incorrect user ID or password. Type the correct user ID and password, and try again.";

/// A fake AD FS on an origin of its own, for logins that come by SAML. It ends with its last clone.
///
/// ```
/// use dex_auth::testing::{Adfs, AdfsUser};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let adfs = Adfs::builder()
///     .user(AdfsUser::new("ada@example.com", "correct horse").group("data-science"))
///     .user(AdfsUser::new("ACME\\bob", "battery staple").email("bob@example.com").push())
///     .start()
///     .await;
/// assert!(adfs.url().starts_with("http://127.0.0.1:"));
/// assert_eq!(adfs.password_attempts(), 0);
/// # }
/// ```
#[derive(Clone)]
pub struct Adfs {
    site: Arc<AdfsSite>,
    _server: Arc<MockServer>,
}

impl Adfs {
    /// An AD FS without users.
    pub fn builder() -> AdfsBuilder {
        AdfsBuilder::default()
    }

    /// Its origin.
    pub fn url(&self) -> &str {
        &self.site.origin
    }

    /// How often a password was sent to it.
    pub fn password_attempts(&self) -> u64 {
        self.site.attempts.load(Ordering::SeqCst)
    }

    /// How many responses it gave out.
    pub fn logins(&self) -> u64 {
        self.site.logins.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Adfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Adfs").field(&self.site.origin).finish()
    }
}

impl SamlProvider for Adfs {
    fn sso_url(&self) -> String {
        format!("{}{ENDPOINT}", self.site.origin)
    }

    fn saml(&self) -> &SamlIssuer {
        &self.site.issuer
    }
}

/// An [`Adfs`] being set up.
#[derive(Debug, Default)]
#[must_use]
pub struct AdfsBuilder {
    clock: Clock,
    users: Vec<AdfsUser>,
    relying_parties: Vec<String>,
    integrated: bool,
}

impl AdfsBuilder {
    /// The time it lives in.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Adds a user.
    pub fn user(mut self, user: AdfsUser) -> Self {
        self.users.push(user);
        self
    }

    /// Adds a service provider by its entity id. Without any, all are taken.
    pub fn relying_party(mut self, entity_id: impl Into<String>) -> Self {
        self.relying_parties.push(entity_id.into());
        self
    }

    /// Asks every agent for the sign-in of its own machine, and shows no form.
    pub fn integrated(mut self) -> Self {
        self.integrated = true;
        self
    }

    /// Starts it on a free port of the loopback interface.
    pub async fn start(self) -> Adfs {
        let (listener, origin) = listen();
        let site = Arc::new(AdfsSite {
            origin,
            issuer: SamlIssuer::new(self.clock.clone()),
            settings: self,
            sessions: Mutex::default(),
            pending: Mutex::default(),
            attempts: AtomicU64::new(0),
            logins: AtomicU64::new(0),
        });
        Adfs {
            _server: serve(listener, Arc::clone(&site)).await,
            site,
        }
    }
}

struct AdfsSite {
    origin: String,
    issuer: SamlIssuer,
    settings: AdfsBuilder,
    /// The user's index by the session's id.
    sessions: Mutex<HashMap<String, usize>>,
    /// The user's index by the context of a second factor.
    pending: Mutex<HashMap<String, usize>>,
    attempts: AtomicU64,
    logins: AtomicU64,
}

/// A request of a service provider, and where the forms of its pages go.
struct Login {
    request: SamlRequest,
    relay_state: Option<String>,
    action: String,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Site for AdfsSite {
    fn respond(&self, request: Incoming<'_>) -> Reply {
        match (request.method(), request.path()) {
            (&Method::GET | &Method::POST, ENDPOINT) => self.passive(request),
            (&Method::GET, INTEGRATED) if self.settings.integrated => Reply::html(401, "")
                .header(header::WWW_AUTHENTICATE, "Negotiate")
                .header(header::WWW_AUTHENTICATE, "NTLM"),
            (&Method::GET, UPDATE_PASSWORD) => Reply::html(200, pages::error("Only a person can do this.")),
            _ => Reply::empty(404),
        }
    }

    fn clock(&self) -> &Clock {
        &self.settings.clock
    }
}

impl AdfsSite {
    fn passive(&self, incoming: Incoming<'_>) -> Reply {
        let form = incoming.form();
        let posted = form.get("SAMLRequest").is_some();
        let Some(login) = login(incoming, &form) else {
            return Reply::html(
                200,
                pages::error("Contact your administrator for more information. MSIS7042"),
            );
        };
        let known = &self.settings.relying_parties;
        if !known.is_empty() && !known.contains(&login.request.issuer) {
            return Reply::html(
                200,
                pages::error("Contact your administrator for more information. MSIS7007"),
            );
        }
        if self.settings.integrated {
            let query = incoming.request.url.query().unwrap_or_default();
            return Reply::redirect(302, &format!("{INTEGRATED}?{query}"), incoming);
        }
        if *incoming.method() == Method::POST && !posted {
            return self.submitted(incoming, &login, &form);
        }
        let reply = match self.session(incoming) {
            Some(user) => self.response(&login, user),
            None => Reply::html(200, pages::login(&login.action, "", "")),
        };
        if posted {
            // The request came in a body that comes only once.
            let kept = query([
                ("SAMLRequest", form.text("SAMLRequest")),
                ("RelayState", form.text("RelayState")),
            ]);
            let value = BASE64_URL_SAFE_NO_PAD.encode(kept);
            return reply.set_cookie(&format!("MSISSamlRequest={value}; Path=/adfs; HttpOnly"));
        }
        reply
    }

    /// A large session comes in two cookies, and only both of them together are one.
    fn session(&self, incoming: Incoming<'_>) -> Option<usize> {
        let id = format!("{}{}", incoming.cookie("MSISAuth")?, incoming.cookie("MSISAuth1")?);
        lock(&self.sessions).get(&id).copied()
    }

    fn submitted(&self, incoming: Incoming<'_>, login: &Login, form: &Params) -> Reply {
        if form.text("AuthMethod") == "FormsAuthentication" {
            return self.password(incoming, login, form);
        }
        let user = lock(&self.pending).get(form.text("Context")).copied();
        let Some((index, user)) = user.and_then(|index| Some((index, self.settings.users.get(index)?))) else {
            return Reply::html(200, pages::login(&login.action, "", ""));
        };
        match &user.state {
            State::Codes(codes) if codes.accepts(form.text("OathCode"), self.settings.clock.seconds()) => {
                lock(&self.pending).remove(form.text("Context"));
                self.logged_in(incoming, index)
            }
            _ => self.second_factor(login, index, "<label id=\"errorText\">That did not work.</label>"),
        }
    }

    fn password(&self, incoming: Incoming<'_>, login: &Login, form: &Params) -> Reply {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        let name = form.text("UserName");
        let refuse = |error: &str| Reply::html(200, pages::login(&login.action, name, error));
        let user = self
            .settings
            .users
            .iter()
            .position(|user| user.name.eq_ignore_ascii_case(name) && user.password == form.text("Password"));
        let Some((index, user)) = user.and_then(|index| Some((index, self.settings.users.get(index)?))) else {
            return refuse(REFUSED);
        };
        match user.state {
            State::LoggedIn => self.logged_in(incoming, index),
            State::Locked => refuse(REFUSED),
            State::Expired => refuse(&format!(
                "Your password has expired. <a href=\"{UPDATE_PASSWORD}\">Update it.</a>"
            )),
            State::Codes(_) | State::Push | State::Question => self.second_factor(login, index, ""),
        }
    }

    fn second_factor(&self, login: &Login, index: usize, error: &str) -> Reply {
        let (method, fields) = match self.settings.users.get(index).map(|user| &user.state) {
            Some(State::Codes(_)) => (
                "AzureMfaAuthentication",
                "<input id=\"oathCode\" name=\"OathCode\" type=\"text\" />\
                 <input id=\"signInButton\" name=\"SignIn\" type=\"submit\" value=\"Sign in\" />",
            ),
            Some(State::Question) => (
                "ChallengeQuestionAuthentication",
                "<p>First pet?</p><input name=\"ChallengeQuestionAnswer\" type=\"password\" />",
            ),
            _ => (
                "AzureMfaAuthentication",
                "<p id=\"instructions\">Approve the login in the app.</p><p id=\"validEntropyNumber\">42</p>",
            ),
        };
        let context = random_text::<24>();
        lock(&self.pending).insert(context.clone(), index);
        let fields = format!("{error}{fields}");
        Reply::html(200, pages::second_factor(&login.action, method, &context, &fields))
    }

    /// Back to the same address, which answers with the response now that there is a session.
    fn logged_in(&self, incoming: Incoming<'_>, index: usize) -> Reply {
        let (one, other) = (random_text::<24>(), random_text::<24>());
        lock(&self.sessions).insert(format!("{one}{other}"), index);
        Reply::redirect(302, &incoming.path_and_query(), incoming)
            .set_cookie(&format!("MSISAuth={one}; Path=/adfs; HttpOnly"))
            .set_cookie(&format!("MSISAuth1={other}; Path=/adfs; HttpOnly"))
    }

    fn response(&self, login: &Login, index: usize) -> Reply {
        let Some(user) = self.settings.users.get(index) else {
            return Reply::empty(500);
        };
        self.logins.fetch_add(1, Ordering::SeqCst);
        let response = self.issuer.response(&login.request, &user.identity());
        let page = pages::response(&login.request.acs_url, &response, login.relay_state.as_deref());
        Reply::html(200, page)
            .set_cookie("MSISAuthenticated=MS8x; Path=/adfs; HttpOnly")
            .set_cookie("MSISLoopDetectionCookie=MS8x; Path=/adfs; HttpOnly")
    }
}

/// What the login is for: in the form just posted, in the query of every later address, or in the cookie that keeps what
/// was posted.
fn login(incoming: Incoming<'_>, form: &Params) -> Option<Login> {
    let of = |params: &Params, action: String| {
        Some(Login {
            request: SamlRequest::read(params.get("SAMLRequest")?)?,
            relay_state: params
                .get("RelayState")
                .filter(|state| !state.is_empty())
                .map(str::to_owned),
            action,
        })
    };
    let address = incoming.path_and_query();
    if form.get("SAMLRequest").is_some() {
        return of(form, address);
    }
    let asked = incoming.query();
    if asked.get("SAMLRequest").is_some() {
        return of(&asked, address);
    }
    let kept = BASE64_URL_SAFE_NO_PAD
        .decode(incoming.cookie("MSISSamlRequest")?)
        .ok()?;
    of(&Params::parse(&kept), address)
}
