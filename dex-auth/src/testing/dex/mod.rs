//! Dex, as far as logins through a Kubeflow gateway meet it.
//!
//! Its state is the auth requests, codes and refresh tokens that it gave out. How a user proves who he is belongs to the
//! connector: a new kind of connector is a variant of [`Kind`](connector::Kind) and what its three questions say (where
//! to begin, what to do with posted credentials, what to do with an answer at `/dex/callback`).

mod approval;
mod authorize;
mod connector;
mod password;
mod token;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;
use http::Method;
use serde_json::{Value, json};

pub use connector::{Connector, LdapConnector};
pub(super) use token::{Redemption, pkce_challenge};

use super::clock::Clock;
use super::jwt::{ISSUER, JwtError, Signer};
use super::message::{Incoming, Reply, decode_segment};
use super::pages;
use super::provider::Identity;
use super::release::Release;
use super::sealed::{dex_id, random_bytes};
use connector::StaticUser;

/// The gateway's own client.
pub(super) const GATEWAY_CLIENT: &str = "kubeflow-oidc-authservice";
/// Dex's default, which Kubeflow keeps.
const AUTH_REQUEST_SECONDS: i64 = 24 * 3600;
const CODE_SECONDS: i64 = 30 * 60;
/// Dex looks for what has expired every five minutes; until then an expired request still shows its form.
const GARBAGE_SECONDS: i64 = 5 * 60;

/// How a fake Dex is set up.
pub(super) struct Settings {
    pub(super) release: Release,
    pub(super) clock: Clock,
    pub(super) connectors: Vec<Connector>,
    pub(super) users: Vec<(String, String)>,
    pub(super) clients: Vec<Client>,
    pub(super) skip_approval: bool,
    pub(super) token_seconds: i64,
}

/// A program that may ask Dex for logins.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) id: String,
    /// Empty for a public client.
    pub(super) secret: String,
    pub(super) redirect_uris: Vec<String>,
}

pub(super) struct Dex {
    release: Release,
    clock: Clock,
    connectors: Vec<Connector>,
    users: Vec<StaticUser>,
    clients: Vec<Client>,
    skip_approval: bool,
    token_seconds: i64,
    approval_key: hmac::Key,
    state: Mutex<State>,
    attempts: AtomicU64,
    logins: AtomicU64,
}

struct State {
    requests: HashMap<String, AuthRequest>,
    codes: HashMap<String, AuthCode>,
    /// The one refresh token that each user has per client.
    refresh_tokens: HashMap<(String, String), RefreshToken>,
    signer: Signer,
}

/// A login that a client began.
#[derive(Clone)]
struct AuthRequest {
    client: String,
    redirect_uri: String,
    scopes: Vec<String>,
    state: String,
    nonce: String,
    challenge: Option<Challenge>,
    connector: String,
    force_approval: bool,
    identity: Option<Identity>,
    ends: i64,
}

/// What the PKCE verifier must fit to.
#[derive(Clone)]
struct Challenge {
    value: String,
    hashed: bool,
}

struct AuthCode {
    request: AuthRequest,
    identity: Identity,
    ends: i64,
}

struct RefreshToken {
    token: String,
    request: AuthRequest,
    identity: Identity,
}

impl Dex {
    pub(super) fn new(settings: Settings) -> Self {
        let mut connectors = settings.connectors;
        if connectors.is_empty() {
            connectors.push(Connector::local());
        }
        Self {
            release: settings.release,
            clock: settings.clock,
            connectors,
            users: settings
                .users
                .into_iter()
                .map(|(email, password)| StaticUser::new(email, password))
                .collect(),
            clients: settings.clients,
            skip_approval: settings.skip_approval,
            token_seconds: settings.token_seconds,
            approval_key: hmac::Key::new(hmac::HMAC_SHA256, &random_bytes::<32>()),
            state: Mutex::new(State::new()),
            attempts: AtomicU64::new(0),
            logins: AtomicU64::new(0),
        }
    }

    pub(super) fn password_attempts(&self) -> u64 {
        self.attempts.load(Ordering::Relaxed)
    }

    pub(super) fn logins(&self) -> u64 {
        self.logins.load(Ordering::Relaxed)
    }

    /// Forgets everything, as Dex with its storage in memory does when its pod restarts: keys, begun logins, tokens.
    pub(super) fn restart(&self) {
        *self.lock() = State::new();
    }

    /// The claims of a token that Dex signed.
    pub(super) fn verify(&self, token: &str, leeway: i64) -> Result<Value, JwtError> {
        self.lock().signer.verify(token, self.clock.seconds(), leeway)
    }

    /// Answers a request for a path below `/dex/`.
    pub(super) fn respond(&self, request: Incoming<'_>) -> Reply {
        let path = request.path().strip_prefix("/dex/").unwrap_or_default();
        let segments: Vec<&str> = path.split('/').collect();
        match segments.as_slice() {
            [".well-known", "openid-configuration"] => Reply::json(200, &self.discovery()),
            ["keys"] => Reply::json(200, &self.lock().signer.key_set()),
            ["healthz"] => Reply::text(200, "Health check passed"),
            ["auth"] => self.authorize(request),
            ["auth", connector] if !connector.is_empty() => self.connector_login(request, &decode_segment(connector)),
            ["auth", connector, "login"] if !connector.is_empty() => {
                self.password_login(request, &decode_segment(connector))
            }
            ["approval"] => self.approval(request),
            ["callback"] | ["callback", _] => self.callback(request),
            ["token"] => self.token(request),
            ["userinfo"] => self.userinfo(request),
            _ => Reply::text(404, "404 page not found\n"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.seconds();
        state
            .requests
            .retain(|_, request| now < request.ends.saturating_add(GARBAGE_SECONDS));
        state.codes.retain(|_, code| now < code.ends);
        state
    }

    fn connector(&self, id: &str) -> Option<&Connector> {
        self.connectors.iter().find(|connector| connector.id() == id)
    }

    fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.id == id)
    }

    /// Texts changed with Dex 2.45, which tells users less.
    fn is_terse(&self) -> bool {
        self.release == Release::Kubeflow1_11
    }

    fn error(status: u16, message: &str) -> Reply {
        Reply::html(status, pages::dex_error(status, message))
    }

    /// Ends the login of an auth request whose user is known: back to the client with a code.
    fn send_code(&self, id: &str, identity: Identity, request: Incoming<'_>) -> Reply {
        let now = self.clock.seconds();
        let mut state = self.lock();
        if state.requests.get(id).is_some_and(|begun| begun.ends <= now) {
            return Self::error(400, "User session has expired.");
        }
        let Some(begun) = state.requests.remove(id) else {
            return Self::error(400, "User session error.");
        };
        let code = dex_id();
        let location = redirect_to(&begun.redirect_uri, &[("code", &code), ("state", &begun.state)]);
        state.codes.insert(
            code,
            AuthCode {
                request: begun,
                identity,
                ends: now.saturating_add(CODE_SECONDS),
            },
        );
        Reply::redirect(303, &location, request)
    }

    /// Where outside identity providers send the user back to. No connector here uses one yet.
    fn callback(&self, request: Incoming<'_>) -> Reply {
        let id = match *request.method() {
            Method::GET => request.query().text("state").to_owned(),
            Method::POST => request.values().text("RelayState").to_owned(),
            _ => return Self::error(400, "Method not supported"),
        };
        if id.is_empty() {
            return Self::error(400, "User session error.");
        }
        match self.lock().requests.get(&id) {
            Some(_) => Self::error(500, "Requested resource does not exist."),
            None => Self::error(400, "Requested resource does not exist."),
        }
    }

    fn discovery(&self) -> Value {
        let mut grants = vec![
            "authorization_code",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:device_code",
        ];
        if self.release != Release::Kubeflow1_8 {
            grants.push(token::TOKEN_EXCHANGE);
        }
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": format!("{ISSUER}/auth"),
            "token_endpoint": format!("{ISSUER}/token"),
            "jwks_uri": format!("{ISSUER}/keys"),
            "userinfo_endpoint": format!("{ISSUER}/userinfo"),
            "device_authorization_endpoint": format!("{ISSUER}/device/code"),
            "grant_types_supported": grants,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256", "plain"],
            "scopes_supported": authorize::SCOPES,
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "claims_supported": [
                "iss", "sub", "aud", "iat", "exp", "email", "email_verified", "locale", "name", "preferred_username",
                "at_hash",
            ],
        })
    }
}

impl State {
    fn new() -> Self {
        Self {
            requests: HashMap::new(),
            codes: HashMap::new(),
            refresh_tokens: HashMap::new(),
            signer: Signer::new(),
        }
    }
}

fn redirect_to(uri: &str, pairs: &[(&str, &str)]) -> String {
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{}", super::message::query(pairs.iter().copied()))
}
