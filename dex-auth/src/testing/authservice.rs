//! oidc-authservice, the check of Kubeflow up to 1.8: `28c59ef` up to 1.6, then `e236439`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderName, Method};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::json;

use super::clock::Clock;
use super::dex::{Dex, GATEWAY_CLIENT, Redemption};
use super::envoy::{Passport, USER_ID, Verdict};
use super::jwt::{is_for, text_claim};
use super::message::{Incoming, Reply, query};
use super::release::Release;
use super::sealed::random_text;

const SESSION_COOKIE: &str = "authservice_session";
const STATE_COOKIE: &str = "oidc_state_csrf";
/// Where `28c59ef` takes a session's value besides its cookie.
const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
const HOMEPAGE: &str = "/authservice/site/homepage";
/// How long a begun login is remembered.
const STATE_SECONDS: i64 = 20 * 60;
/// The real program means twenty minutes, but writes their nanoseconds where seconds belong.
const STATE_COOKIE_SECONDS: i64 = 1_200_000_000_000;
pub(super) const PAST: &str = "Thu, 01 Jan 1970 00:00:01 GMT";
const CSRF_FAILED: &str =
    "CSRF check failed. This may happen if you opened the login form in more than 1 tabs. Please try to login again.";

/// Sessions are kept by the server; the cookie is only their name.
pub(super) struct Authservice {
    release: Release,
    clock: Clock,
    session_seconds: i64,
    dex: Arc<Dex>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    begun: HashMap<String, Begun>,
    sessions: HashMap<String, Session>,
}

struct Begun {
    first_url: String,
    ends: i64,
}

struct Session {
    user: String,
    ends: i64,
}

impl Authservice {
    pub(super) fn new(release: Release, clock: Clock, session_seconds: i64, dex: Arc<Dex>) -> Self {
        Self {
            release,
            clock,
            session_seconds,
            dex,
            state: Mutex::default(),
        }
    }

    pub(super) fn expire_sessions(&self) {
        self.lock().sessions.clear();
    }

    /// `28c59ef`: the state of a login is the server's alone, and paths are its own.
    fn is_early(&self) -> bool {
        self.release == Release::Kubeflow1_6
    }

    pub(super) fn check(&self, request: Incoming<'_>) -> Verdict {
        let path = request.path();
        if self.is_early() {
            match (request.method(), path) {
                (&Method::GET, "/login/oidc") => return Verdict::Answer(self.callback(request)),
                (&Method::GET, "/logout") => return Verdict::Answer(self.early_logout(request)),
                _ => {}
            }
        } else if path.starts_with("/authservice/") {
            return match (request.method(), path) {
                (&Method::GET, "/authservice/oidc/callback") => Verdict::Answer(self.callback(request)),
                (&Method::POST, "/authservice/logout") => Verdict::Answer(self.logout(request)),
                // The rest is exempt from the check, and nobody answers it here: it reaches the dashboard.
                _ => Verdict::Pass(Passport::default()),
            };
        }
        if path.starts_with("/dex") {
            return Verdict::Pass(Passport::default());
        }
        if let Some(user) = self.user(request) {
            return Verdict::Pass(Passport {
                id_token: None,
                headers: vec![(USER_ID, user)],
            });
        }
        if request.method() == Method::OPTIONS {
            return Verdict::Pass(Passport::default());
        }
        Verdict::Answer(self.begin(request))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.seconds();
        state.begun.retain(|_, begun| now < begun.ends);
        state.sessions.retain(|_, session| now < session.ends);
        state
    }

    /// The user of the `Authorization` header's session or ID token, else of the cookie: a bad header does no harm.
    fn user(&self, request: Incoming<'_>) -> Option<String> {
        let session = |id: &str| self.lock().sessions.get(id).map(|session| session.user.clone());
        if self.is_early() {
            let header = request.header(&AUTH_TOKEN);
            return header.or_else(|| request.cookie(SESSION_COOKIE)).and_then(session);
        }
        let header = request
            .authorization()
            .map(|value| value.strip_prefix("Bearer ").unwrap_or(value));
        header
            .and_then(|value| session(value).or_else(|| self.token_user(value)))
            .or_else(|| request.cookie(SESSION_COOKIE).and_then(session))
    }

    fn token_user(&self, token: &str) -> Option<String> {
        let claims = self.dex.verify(token, 0).ok()?;
        if is_for(&claims, GATEWAY_CLIENT) {
            text_claim(&claims, "email").map(str::to_owned)
        } else {
            None
        }
    }

    fn begin(&self, request: Incoming<'_>) -> Reply {
        let state = random_text::<120>();
        let begun = Begun {
            first_url: request.path_and_query(),
            ends: self.clock.seconds().saturating_add(STATE_SECONDS),
        };
        let location = format!(
            "/dex/auth?{}",
            query([
                ("client_id", GATEWAY_CLIENT),
                ("redirect_uri", self.release.callback_path()),
                ("response_type", "code"),
                ("scope", "openid profile email groups"),
                ("state", state.as_str()),
            ])
        );
        // The time in nanoseconds overflows, which is why the cookie's two attributes disagree.
        let ahead = i128::from(STATE_COOKIE_SECONDS.wrapping_mul(1_000_000_000));
        let cookie = format!(
            "{STATE_COOKIE}={state}; Path=/; Expires={}; Max-Age={STATE_COOKIE_SECONDS}",
            http_date(Timestamp::from_nanosecond(self.clock.now().as_nanosecond().saturating_add(ahead)).ok())
        );
        self.lock().begun.insert(state, begun);
        let reply = Reply::redirect(302, &location, request);
        if self.is_early() {
            reply
        } else {
            reply.set_cookie(&cookie)
        }
    }

    fn callback(&self, request: Incoming<'_>) -> Reply {
        let params = request.query();
        let code = params.text("code");
        if code.is_empty() && self.is_early() {
            return Reply::plain(400, "Missing url parameter: code");
        }
        if code.is_empty() {
            // Also where Dex sent an error: it is swallowed.
            return Reply::redirect(302, HOMEPAGE, request);
        }
        let state = params.text("state");
        if state.is_empty() {
            return Reply::plain(400, "Missing url parameter: state");
        }
        if !self.is_early() && request.cookie(STATE_COOKIE) != Some(state) {
            return Reply::plain(400, CSRF_FAILED);
        }
        let Some(begun) = self.lock().begun.remove(state) else {
            return if self.is_early() {
                Reply::plain(500, "Failed to retrieve state.")
            } else {
                Reply::plain(400, CSRF_FAILED)
            };
        };
        let redemption = Redemption {
            code,
            redirect_uri: self.release.callback_path(),
            verifier: "",
        };
        let Some(tokens) = self.dex.redeem(GATEWAY_CLIENT, &redemption) else {
            return Reply::plain(500, "Failed to exchange authorization code with token.");
        };
        let Some(user) = self.token_user(&tokens.id_token) else {
            return Reply::plain(500, "Couldn't find userID claim in token.");
        };
        let session = random_text::<120>();
        let ends = self.clock.seconds().saturating_add(self.session_seconds);
        let mut cookie = format!(
            "{SESSION_COOKIE}={session}; Path=/; Expires={}; Max-Age={}",
            http_date(Timestamp::from_second(ends).ok()),
            self.session_seconds
        );
        self.lock().sessions.insert(session, Session { user, ends });
        let reply = Reply::redirect(302, &begun.first_url, request);
        if self.is_early() {
            return reply.set_cookie(&cookie);
        }
        cookie.push_str("; SameSite=Lax");
        reply
            .set_cookie(&format!("{STATE_COOKIE}=; Path=/; Expires={PAST}; Max-Age=0"))
            .set_cookie(&cookie)
    }

    /// `GET /logout`, by the cookie.
    fn early_logout(&self, request: Incoming<'_>) -> Reply {
        if let Some(id) = request.cookie(SESSION_COOKIE) {
            self.lock().sessions.remove(id);
        }
        Reply::redirect(303, "/", request).set_cookie(&format!("{SESSION_COOKIE}=; Path=/; Expires={PAST}; Max-Age=0"))
    }

    /// The cookie alone does not log out.
    fn logout(&self, request: Incoming<'_>) -> Reply {
        let ended = request.bearer().and_then(|id| self.lock().sessions.remove(id));
        if ended.is_none() {
            return Reply::empty(401);
        }
        Reply::json(201, &json!({ "afterLogoutURL": "/" }))
            .set_cookie(&format!("{SESSION_COOKIE}=; Path=/; Expires={PAST}; Max-Age=0"))
    }
}

/// A time as HTTP writes it.
pub(super) fn http_date(time: Option<Timestamp>) -> String {
    time.and_then(|time| DateTimePrinter::new().timestamp_to_rfc9110_string(&time).ok())
        .unwrap_or_else(|| PAST.to_owned())
}
