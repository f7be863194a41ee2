//! oauth2-proxy, the check of Kubeflow 1.9 and later: 7.6 as 1.9.0 sets it up, 7.14 as later releases do.

use std::sync::{Arc, PoisonError, RwLock};

use http::HeaderName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::authservice::http_date;
use super::clock::Clock;
use super::dex::{Dex, GATEWAY_CLIENT, Redemption, pkce_challenge};
use super::envoy::{AUTH_EMAIL, AUTH_GROUPS, AUTH_USER, Passport, Verdict};
use super::jwt::{is_for, text_claim};
use super::message::{Incoming, Reply, query};
use super::pages;
use super::release::Release;
use super::sealed::{Sealer, random_text};

const SESSION_COOKIE: &str = "oauth2_proxy_kubeflow";
const CSRF_COOKIE: &str = "oauth2_proxy_kubeflow_csrf";
const CSRF_SECONDS: i64 = 15 * 60;
/// A cookie line that would reach this many bytes is split.
const COOKIE_LIMIT: usize = 4000;
const PREFIX: &str = "/oauth2/";
const CSRF_FAILED: &str = "Login Failed: Unable to find a valid CSRF token. Please try again.";
const SERVER_ERROR: &str = "Oops! Something went wrong. For more information contact your server administrator.";
const GAP_AUTH: HeaderName = HeaderName::from_static("gap-auth");

/// Sessions are in the cookie alone: a copy of it works until it ends, also after signing out.
pub(super) struct Oauth2Proxy {
    release: Release,
    clock: Clock,
    session_seconds: i64,
    dex: Arc<Dex>,
    sessions: RwLock<Sealer>,
    csrf: Sealer,
}

#[derive(Serialize, Deserialize)]
struct Session {
    user: String,
    email: String,
    groups: Vec<String>,
    id_token: String,
}

#[derive(Serialize, Deserialize)]
struct Csrf {
    nonce: String,
    verifier: String,
}

impl Oauth2Proxy {
    pub(super) fn new(release: Release, clock: Clock, session_seconds: i64, dex: Arc<Dex>) -> Self {
        let sessions = RwLock::new(Sealer::new());
        Self {
            release,
            clock,
            session_seconds,
            dex,
            sessions,
            csrf: Sealer::new(),
        }
    }

    /// As an operator does who changes the cookie secret.
    pub(super) fn expire_sessions(&self) {
        *self.sessions.write().unwrap_or_else(PoisonError::into_inner) = Sealer::new();
    }

    fn is_early(&self) -> bool {
        self.release == Release::Kubeflow1_9
    }

    /// Judges a request, of which only path, query, cookies and `Authorization` are looked at.
    pub(super) fn check(&self, request: Incoming<'_>) -> Verdict {
        let path = request.path();
        match path {
            // Answered by oauth2-proxy itself for its own health checks; as an answer to Envoy it means "go on".
            "/ping" | "/ready" | "/robots.txt" => Verdict::Pass(Passport::default()),
            "/oauth2/sign_in" if self.is_early() => Verdict::Answer(self.start(request)),
            "/oauth2/sign_in" => Verdict::Answer(Reply::html(200, pages::sign_in(&redirect_target(request)))),
            "/oauth2/start" => Verdict::Answer(self.start(request)),
            "/oauth2/callback" => Verdict::Answer(self.callback(request)),
            "/oauth2/sign_out" => {
                let rd = request.query();
                let target = Some(rd.text("rd")).filter(|rd| is_valid_redirect(rd)).unwrap_or("/");
                Verdict::Answer(Reply::redirect(302, target, request).set_cookies(&self.cleared(request)))
            }
            "/oauth2/auth" => Verdict::Answer(self.authenticated(request, |session, reply| {
                // oauth2-proxy 7.6 did tell it too, but Envoy keeps the header of a refusal to itself.
                if self.is_early() {
                    reply
                } else {
                    reply.header(GAP_AUTH, &session.email)
                }
            })),
            "/oauth2/userinfo" if self.is_early() => match self.session(request) {
                Some(_) => Verdict::Pass(Passport::default()),
                None => Verdict::Answer(self.unauthorized(request)),
            },
            "/oauth2/userinfo" => Verdict::Answer(match self.session(request) {
                Some(session) => Reply::json(200, &userinfo(&session)),
                None => self.unauthorized(request),
            }),
            _ if path.starts_with("/oauth2/static/") => Verdict::Answer(Reply::text(404, "404 page not found\n")),
            _ => match self.session(request) {
                Some(session) => Verdict::Pass(passport(session)),
                None => Verdict::Answer(self.refuse(request)),
            },
        }
    }

    /// Judges a request that was routed here, as later releases do for `/oauth2/`.
    pub(super) fn respond(&self, request: Incoming<'_>) -> Reply {
        match self.check(request) {
            Verdict::Answer(reply) => reply,
            Verdict::Pass(passport) => {
                let email = passport
                    .headers
                    .iter()
                    .find(|(name, _)| *name == AUTH_EMAIL)
                    .map(|(_, email)| email.as_str());
                Reply::text(200, "Authenticated").header(GAP_AUTH, email.unwrap_or_default())
            }
        }
    }

    fn authenticated(&self, request: Incoming<'_>, finish: impl FnOnce(&Session, Reply) -> Reply) -> Reply {
        match self.session(request) {
            Some(session) => finish(&session, Reply::empty(202)),
            None => self.unauthorized(request),
        }
    }

    fn unauthorized(&self, request: Incoming<'_>) -> Reply {
        Reply::text(401, "Unauthorized\n").set_cookies(&self.stale(request))
    }

    /// What a request without a session gets.
    fn refuse(&self, request: Incoming<'_>) -> Reply {
        if self.is_early() {
            return self.start(request);
        }
        let asked = request.path_and_query();
        let is_api = asked.contains("/api/") || asked.contains("/apis/") || asked.starts_with("/ml_metadata");
        let reply = if is_api {
            Reply::json(401, &json!({}))
        } else {
            Reply::html(403, pages::sign_in(&redirect_target(request)))
        };
        reply.set_cookies(&self.stale(request))
    }

    /// Sends the user to Dex.
    fn start(&self, request: Incoming<'_>) -> Reply {
        let csrf = Csrf {
            nonce: random_text::<32>(),
            verifier: random_text::<72>(),
        };
        let state = format!("{}:{}", pkce_challenge(&csrf.nonce), redirect_target(request));
        let challenge = pkce_challenge(&csrf.verifier);
        let mut pairs = vec![
            ("client_id", GATEWAY_CLIENT),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("redirect_uri", self.release.callback_path()),
            ("response_type", "code"),
            ("scope", "profile email groups openid"),
            ("state", state.as_str()),
            if self.is_early() {
                ("approval_prompt", "force")
            } else {
                ("prompt", "none")
            },
        ];
        pairs.sort_unstable_by_key(|(name, _)| *name);
        let sealed = self.csrf.seal(CSRF_COOKIE, self.clock.seconds(), &to_json(&csrf));
        // 1.9.0 begins a login for requests with a stale session and then clears it; later ones only do so at the start
        // if they were asked to start.
        let is_asked_for = !self.is_early() || request.path().starts_with(PREFIX);
        let clearing = if is_asked_for { Vec::new() } else { self.stale(request) };
        Reply::redirect(302, &format!("/dex/auth?{}", query(pairs)), request)
            .set_cookies(&clearing)
            .set_cookie(&self.cookie(CSRF_COOKIE, &sealed, CSRF_SECONDS))
    }

    fn callback(&self, request: Incoming<'_>) -> Reply {
        // Envoy's check does not pass a request's body on.
        let fields = if self.is_early() {
            request.query()
        } else {
            request.values()
        };
        let error = fields.text("error");
        if !error.is_empty() {
            let text = format!("Login Failed: The upstream identity provider returned an error: {error}");
            return error_page(403, &text);
        }
        let Some((nonce, target)) = fields.text("state").split_once(':') else {
            return error_page(500, SERVER_ERROR);
        };
        let Some(csrf) = self.open_csrf(request) else {
            return error_page(403, CSRF_FAILED);
        };
        let redemption = Redemption {
            code: fields.text("code"),
            redirect_uri: self.release.callback_path(),
            verifier: &csrf.verifier,
        };
        let Some(tokens) = self.dex.redeem(GATEWAY_CLIENT, &redemption) else {
            return error_page(500, SERVER_ERROR);
        };
        let cleared = self.deleted(CSRF_COOKIE);
        if nonce != pkce_challenge(&csrf.nonce) {
            return error_page(403, CSRF_FAILED).set_cookie(&cleared);
        }
        let Some(session) = self.token_session(&tokens.id_token) else {
            return error_page(500, SERVER_ERROR);
        };
        let target = if is_valid_redirect(target) { target } else { "/" };
        Reply::redirect(302, target, request)
            .set_cookie(&cleared)
            .set_cookies(&self.session_cookies(&session))
    }

    fn open_csrf(&self, request: Incoming<'_>) -> Option<Csrf> {
        let value = request.cookie(CSRF_COOKIE)?;
        let plain = self.csrf.open(CSRF_COOKIE, self.clock.seconds(), CSRF_SECONDS, value)?;
        serde_json::from_slice(&plain).ok()
    }

    /// The session of a token in the `Authorization` header, else of the cookie.
    fn session(&self, request: Incoming<'_>) -> Option<Session> {
        request
            .bearer()
            .and_then(|token| self.token_session(token))
            .or_else(|| self.cookie_session(request))
    }

    fn cookie_session(&self, request: Incoming<'_>) -> Option<Session> {
        let shards = || {
            (0..)
                .map_while(|n| request.cookie(&format!("{SESSION_COOKIE}_{n}")))
                .collect()
        };
        let value: String = request.cookie(SESSION_COOKIE).map_or_else(shards, str::to_owned);
        let sealer = self.sessions.read().unwrap_or_else(PoisonError::into_inner);
        let plain = sealer.open(SESSION_COOKIE, self.clock.seconds(), self.session_seconds, &value)?;
        serde_json::from_slice(&plain).ok()
    }

    fn token_session(&self, token: &str) -> Option<Session> {
        let claims = self
            .dex
            .verify(token, 0)
            .ok()
            .filter(|claims| is_for(claims, GATEWAY_CLIENT))?;
        let user = text_claim(&claims, "sub")?.to_owned();
        let groups = claims.get("groups").and_then(Value::as_array).into_iter().flatten();
        Some(Session {
            email: text_claim(&claims, "email").unwrap_or(&user).to_owned(),
            user,
            groups: groups.filter_map(Value::as_str).map(str::to_owned).collect(),
            id_token: token.to_owned(),
        })
    }

    fn session_cookies(&self, session: &Session) -> Vec<String> {
        let sealer = self.sessions.read().unwrap_or_else(PoisonError::into_inner);
        let value = sealer.seal(SESSION_COOKIE, self.clock.seconds(), &to_json(session));
        drop(sealer);
        let whole = self.cookie(SESSION_COOKIE, &value, self.session_seconds);
        if whole.len() < COOKIE_LIMIT {
            return vec![whole];
        }
        let room = COOKIE_LIMIT.saturating_sub(
            self.cookie(&format!("{SESSION_COOKIE}_00"), "", self.session_seconds)
                .len(),
        );
        // The value is ASCII, so each part is text.
        value
            .as_bytes()
            .chunks(room.max(1))
            .enumerate()
            .map(|(n, part)| {
                self.cookie(
                    &format!("{SESSION_COOKIE}_{n}"),
                    &String::from_utf8_lossy(part),
                    self.session_seconds,
                )
            })
            .collect()
    }

    /// Lines that clear the session's cookies, if some were sent and they are worth nothing.
    fn stale(&self, request: Incoming<'_>) -> Vec<String> {
        if self.cookie_session(request).is_some() {
            Vec::new()
        } else {
            self.cleared(request)
        }
    }

    /// Lines that clear the session's cookies, for those that were sent.
    fn cleared(&self, request: Incoming<'_>) -> Vec<String> {
        let is_shard = |name: &str| {
            name.strip_prefix(SESSION_COOKIE)
                .and_then(|rest| rest.strip_prefix('_'))
                .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let sent = request.cookies();
        let names = sent
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| *name == SESSION_COOKIE || is_shard(name));
        names.map(|name| self.deleted(name)).collect()
    }

    fn cookie(&self, name: &str, value: &str, seconds: i64) -> String {
        let life = if self.is_early() {
            format!(
                "Expires={}",
                http_date(Timestamp::from_second(self.clock.seconds().saturating_add(seconds)).ok())
            )
        } else {
            format!("Max-Age={seconds}")
        };
        format!("{name}={value}; Path=/; {life}; HttpOnly")
    }

    fn deleted(&self, name: &str) -> String {
        if !self.is_early() {
            return self.cookie(name, "", 0);
        }
        // An hour ago for the client too, however far this clock was moved.
        let now = self.clock.now().min(Timestamp::now()).as_second();
        let hour_ago = http_date(Timestamp::from_second(now.saturating_sub(3600)).ok());
        format!("{name}=; Path=/; Expires={hour_ago}; HttpOnly")
    }
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn error_page(status: u16, message: &str) -> Reply {
    Reply::html(status, pages::proxy_error(status, message, &random_text::<12>()))
}

fn passport(session: Session) -> Passport {
    let mut headers = vec![(AUTH_EMAIL, session.email), (AUTH_USER, session.user)];
    if !session.groups.is_empty() {
        headers.push((AUTH_GROUPS, session.groups.join(",")));
    }
    Passport {
        id_token: Some(session.id_token),
        headers,
    }
}

fn userinfo(session: &Session) -> Value {
    let mut body = Map::new();
    body.insert("user".to_owned(), session.user.as_str().into());
    body.insert("email".to_owned(), session.email.as_str().into());
    if !session.groups.is_empty() {
        body.insert("groups".to_owned(), session.groups.clone().into());
    }
    Value::Object(body)
}

/// Where the user wants to go: the parameter `rd` if it is allowed, else the page that was asked for.
fn redirect_target(request: Incoming<'_>) -> String {
    let params = request.query();
    let rd = params.text("rd");
    if is_valid_redirect(rd) {
        return rd.to_owned();
    }
    if request.path().starts_with(PREFIX) {
        "/".to_owned()
    } else {
        request.path_and_query()
    }
}

/// Paths of this site only, without tricks that browsers read as another host.
fn is_valid_redirect(target: &str) -> bool {
    let is_slash = |byte: &u8| matches!(byte, b'/' | b'\\');
    let bytes = target.as_bytes();
    if bytes.first() != Some(&b'/') || bytes.get(1) == Some(&b'/') {
        return false;
    }
    // A slash, blanks or one or two dots, and again a slash, anywhere.
    !bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| is_slash(byte))
        .any(|(n, _)| {
            let rest = bytes.get(n + 1..).unwrap_or_default();
            let blanks = rest
                .iter()
                .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | b'\x0c' | b'\r'))
                .count();
            let dots = rest.iter().take_while(|byte| **byte == b'.').count();
            rest.get(blanks).is_some_and(is_slash) || (dots <= 2 && rest.get(dots).is_some_and(is_slash))
        })
}
