//! Dex, as far as logins through a Kubeflow gateway meet it.
//!
//! Its state is the auth requests, codes and tokens that it gave out. How a user proves who he is belongs to the
//! connector: a new kind of connector is a variant of [`Kind`](connector::Kind) and what its three questions say (where
//! to begin, what to do with posted credentials, what to do with an answer at `/dex/callback`). What differs between the
//! generations of Dex is asked of [`DexVersion`].

mod approval;
mod authorize;
mod connector;
mod device;
mod mfa;
mod password;
mod session;
mod token;
mod upstream;
mod version;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;
use serde_json::{Value, json};

pub use connector::{Connector, LdapConnector};
pub use mfa::SecondFactor;
pub(super) use token::{Redemption, pkce_challenge};
pub use upstream::UpstreamConnector;
pub use version::DexVersion;

use super::clock::Clock;
use super::jwt::{ISSUER, JwtError, Keys};
use super::message::{Incoming, Reply, decode_segment};
use super::pages;
use super::provider::Identity;
use super::sealed::{dex_id, random_bytes};
use connector::StaticUser;
use device::Device;
use session::BrowserSession;

/// The gateway's own client.
pub(super) const GATEWAY_CLIENT: &str = "kubeflow-oidc-authservice";
/// Dex's default, which Kubeflow keeps.
const AUTH_REQUEST_SECONDS: i64 = 24 * 3600;
const CODE_SECONDS: i64 = 30 * 60;
/// Where a code goes that the user carries himself.
const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";
/// Dex looks for what has expired every five minutes; until then an expired request still shows its form.
const GARBAGE_SECONDS: i64 = 5 * 60;

/// How a fake Dex is set up.
pub(super) struct Settings {
    pub(super) version: DexVersion,
    pub(super) clock: Clock,
    pub(super) connectors: Vec<Connector>,
    pub(super) users: Vec<(String, String)>,
    pub(super) clients: Vec<Client>,
    pub(super) skip_approval: bool,
    pub(super) token_seconds: i64,
    pub(super) sessions: bool,
    pub(super) second_factor: Option<SecondFactor>,
    pub(super) password_connector: Option<String>,
    pub(super) client_credentials: bool,
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
    version: DexVersion,
    clock: Clock,
    connectors: Vec<Connector>,
    users: Vec<StaticUser>,
    clients: Vec<Client>,
    skip_approval: bool,
    token_seconds: i64,
    sessions: bool,
    second_factor: Option<SecondFactor>,
    password_connector: Option<String>,
    client_credentials: bool,
    step_key: hmac::Key,
    state: Mutex<State>,
    attempts: AtomicU64,
    logins: AtomicU64,
}

struct State {
    requests: HashMap<String, AuthRequest>,
    codes: HashMap<String, AuthCode>,
    /// The one refresh token that each user has per client.
    refresh_tokens: HashMap<(String, String), RefreshToken>,
    devices: HashMap<String, Device>,
    /// Of Dex itself, by the value of their cookie.
    sessions: HashMap<String, BrowserSession>,
    /// The step of the last one-time code of each user.
    code_steps: HashMap<String, u64>,
    keys: Keys,
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
    prompt: String,
    /// Dex's own, for the provider that it sent the user to.
    upstream_verifier: Option<String>,
    identity: Option<Identity>,
    factor_given: bool,
    approved: bool,
    ends: i64,
}

impl AuthRequest {
    fn has_prompt(&self, wanted: &str) -> bool {
        self.prompt.split_whitespace().any(|prompt| prompt == wanted)
    }
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
    /// Stays when the token is replaced.
    id: String,
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
            version: settings.version,
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
            // Earlier ones have neither.
            sessions: settings.sessions && settings.version.is_head(),
            second_factor: settings.second_factor.filter(|_| settings.version.is_head()),
            password_connector: settings.password_connector,
            client_credentials: settings.client_credentials && settings.version.is_head(),
            step_key: hmac::Key::new(hmac::HMAC_SHA256, &random_bytes::<32>()),
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

    /// A new signing key. The former one is still published while tokens that it signed may live.
    pub(super) fn rotate_keys(&self) {
        let until = self.clock.seconds().saturating_add(self.token_seconds);
        self.lock().keys.rotate(until);
    }

    /// The claims of a token that Dex signed.
    pub(super) fn verify(&self, token: &str, leeway: i64) -> Result<Value, JwtError> {
        self.lock().keys.verify(token, self.clock.seconds(), leeway)
    }

    /// Answers a request for a path below `/dex/`.
    pub(super) fn respond(&self, request: Incoming<'_>) -> Reply {
        let path = request.path().strip_prefix("/dex/").unwrap_or_default();
        let segments: Vec<&str> = path.split('/').collect();
        match segments.as_slice() {
            [".well-known", "openid-configuration"] => Reply::json(200, &self.discovery()),
            ["keys"] => Reply::json(200, &self.lock().keys.key_set()),
            ["healthz"] => Reply::text(200, "Health check passed"),
            ["auth"] if self.version.is_head() && request.query().get("req").is_some() => self.next_step(request),
            ["auth"] => self.authorize(request),
            ["auth", connector] if self.version == DexVersion::V2_24 && !connector.is_empty() => {
                self.early_login(request, &decode_segment(connector))
            }
            ["auth", connector] if !connector.is_empty() => self.connector_login(request, &decode_segment(connector)),
            ["auth", connector, "login"] if self.version != DexVersion::V2_24 && !connector.is_empty() => {
                self.password_login(request, &decode_segment(connector))
            }
            ["approval"] => self.approval(request),
            ["callback"] => self.callback(request, None),
            ["callback", connector] => self.callback(request, Some(&decode_segment(connector))),
            ["logout"] if self.sessions => self.logout(request),
            ["mfa"] if self.second_factor.is_some() => self.choose_factor(request),
            ["mfa", rest @ ..] if self.second_factor.is_some() => self.second_factor_page(request, rest),
            ["device", rest @ ..] if self.version.knows_devices() => self.device(request, rest),
            ["token"] => self.token(request),
            ["token", "introspect"] if self.version.exchanges_tokens() => self.introspect(request),
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
            .devices
            .retain(|_, device| now < device.ends.saturating_add(GARBAGE_SECONDS));
        state.sessions.retain(|_, session| session.lives(now));
        state.keys.forget(now);
        state
    }

    fn connector(&self, id: &str) -> Option<&Connector> {
        self.connectors.iter().find(|connector| connector.id() == id)
    }

    fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.id == id)
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
        let redirect_uri = begun.redirect_uri.clone();
        let location = redirect_to(&redirect_uri, &[("code", &code), ("state", &begun.state)]);
        let shown = pages::dex_out_of_band(&code);
        state.codes.insert(
            code,
            AuthCode {
                request: begun,
                identity,
                ends: now.saturating_add(CODE_SECONDS),
            },
        );
        if redirect_uri == OUT_OF_BAND {
            return Reply::html(200, shown);
        }
        Reply::redirect(303, &location, request)
    }

    fn discovery(&self) -> Value {
        let mut grants = vec!["authorization_code"];
        if self.client_credentials {
            grants.push("client_credentials");
        }
        if self.password_connector.is_some() {
            grants.push("password");
        }
        grants.push("refresh_token");
        if self.version.knows_devices() {
            grants.push(token::DEVICE_CODE);
        }
        if self.version.exchanges_tokens() {
            grants.push(token::TOKEN_EXCHANGE);
        }
        let mut claims = vec![
            "iss",
            "sub",
            "aud",
            "iat",
            "exp",
            "email",
            "email_verified",
            "locale",
            "name",
            "preferred_username",
            "at_hash",
        ];
        if self.version.is_head() {
            claims.extend(["groups", "federated_claims"]);
        }
        let mut document = json!({
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
            "claims_supported": claims,
        });
        if let (true, Some(document)) = (self.version.exchanges_tokens(), document.as_object_mut()) {
            let endpoint = format!("{ISSUER}/token/introspect");
            document.insert("introspection_endpoint".to_owned(), endpoint.into());
        }
        document
    }
}

impl State {
    fn new() -> Self {
        Self {
            requests: HashMap::new(),
            codes: HashMap::new(),
            refresh_tokens: HashMap::new(),
            devices: HashMap::new(),
            sessions: HashMap::new(),
            code_steps: HashMap::new(),
            keys: Keys::new(),
        }
    }
}

fn redirect_to(uri: &str, pairs: &[(&str, &str)]) -> String {
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{}", super::message::query(pairs.iter().copied()))
}
