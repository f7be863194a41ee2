//! An AWS application load balancer with an `authenticate-oidc` or `authenticate-cognito` rule in front of Kubeflow.
//!
//! Written from AWS's documents and from what client programs see of it; nobody could measure one.

use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE;
use http::{HeaderName, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::authservice::{PAST, http_date};
use super::clock::Clock;
use super::dex::{Dex, Redemption as DexRedemption};
use super::envoy::{Passport, USER_ID, Verdict};
use super::jwt::text_claim;
use super::message::{Incoming, Reply, query};
use super::provider::{Identity, OpenIdSource, Redemption};
use super::sealed::{Sealer, random_text};

pub(super) const CALLBACK: &str = "/oauth2/idpresponse";
const NONCE_COOKIE: &str = "AWSALBAuthNonce";
/// How long a begun login is good for.
const LOGIN_SECONDS: i64 = 15 * 60;
/// Claims and token together.
const CLAIMS_LIMIT: usize = 11 * 1024;
/// What browsers keep of one cookie.
const SHARD_BYTES: usize = 4096;
pub(super) const OIDC_DATA: HeaderName = HeaderName::from_static("x-amzn-oidc-data");
pub(super) const OIDC_IDENTITY: HeaderName = HeaderName::from_static("x-amzn-oidc-identity");
pub(super) const OIDC_TOKEN: HeaderName = HeaderName::from_static("x-amzn-oidc-accesstoken");

/// What the rule does with a request without a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnauthenticatedAction {
    /// Sends it to the provider: 302, also for calls of an API.
    #[default]
    Authenticate,
    /// Answers 401.
    Deny,
    /// Lets it through, without an identity.
    Allow,
}

/// An AWS load balancer that logs users in, in front of Kubeflow, see
/// [`GatewayKind::LoadBalancer`](super::GatewayKind::LoadBalancer).
///
/// The real one speaks HTTPS only and sets `Secure` cookies; this one speaks HTTP on loopback. Its provider must know it
/// as a client whose redirect URI is the gateway's URL with `/oauth2/idpresponse`.
///
/// ```
/// use std::net::TcpListener;
///
/// use dex_auth::testing::{Gateway, GatewayKind, LoadBalancer, PlainProvider};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), std::io::Error> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let provider = PlainProvider::builder()
///     .user("ada", "correct horse", "ada@example.com")
///     .client("load-balancer", format!("http://{}/oauth2/idpresponse", listener.local_addr()?))
///     .start()
///     .await;
/// let gateway = Gateway::builder()
///     .kind(GatewayKind::LoadBalancer(LoadBalancer::new(&provider)))
///     .listener(listener)
///     .start()
///     .await;
/// # let _ = gateway;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct LoadBalancer {
    provider: Option<OpenIdSource>,
    client_id: String,
    cookie_name: String,
    shard_bytes: usize,
    action: UnauthenticatedAction,
}

impl LoadBalancer {
    /// Users log in at this provider, a reference to one of this module's.
    #[must_use]
    pub fn new(provider: impl Into<OpenIdSource>) -> Self {
        Self::of(Some(provider.into()))
    }

    /// Users log in at the Dex behind the same gateway, which the rule leaves open below `/dex/`.
    #[must_use]
    pub fn with_dex() -> Self {
        Self::of(None)
    }

    fn of(provider: Option<OpenIdSource>) -> Self {
        Self {
            provider,
            client_id: "load-balancer".to_owned(),
            cookie_name: "AWSELBAuthSessionCookie".to_owned(),
            shard_bytes: SHARD_BYTES,
            action: UnauthenticatedAction::default(),
        }
    }

    /// Its client id at the provider; `load-balancer` if not given.
    #[must_use]
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = id.into();
        self
    }

    /// The name of the session's cookies before `-0`, `-1`, ...; `AWSELBAuthSessionCookie` if not given.
    #[must_use]
    pub fn cookie_name(mut self, name: impl Into<String>) -> Self {
        self.cookie_name = name.into();
        self
    }

    /// How large one cookie may be, name and value together. Sessions are split at 4096 bytes if not given; less makes
    /// small sessions split, too.
    #[must_use]
    pub fn shard_bytes(mut self, bytes: usize) -> Self {
        self.shard_bytes = bytes;
        self
    }

    /// What becomes of requests without a session; they are sent to the provider if not given.
    #[must_use]
    pub fn unauthenticated(mut self, action: UnauthenticatedAction) -> Self {
        self.action = action;
        self
    }

    /// The client id for Dex, where Dex is the provider.
    pub(super) fn dex_client(&self) -> Option<&str> {
        self.provider.is_none().then_some(&*self.client_id)
    }
}

/// The running rule.
pub(super) struct Balancer {
    settings: LoadBalancer,
    clock: Clock,
    session_seconds: i64,
    dex: Arc<Dex>,
    sessions: RwLock<Sealer>,
    states: Sealer,
    key: EcdsaKeyPair,
}

#[derive(Serialize, Deserialize)]
struct Session {
    sub: String,
    email: String,
    name: String,
    groups: Vec<String>,
    access_token: String,
}

#[derive(Serialize, Deserialize)]
struct Begun {
    url: String,
    nonce: String,
}

impl Balancer {
    #[expect(
        clippy::expect_used,
        reason = "without a key there is no fake to test with, and nothing outside can cause it"
    )]
    pub(super) fn new(settings: LoadBalancer, clock: Clock, session_seconds: i64, dex: Arc<Dex>) -> Self {
        Self {
            settings,
            clock,
            session_seconds,
            dex,
            sessions: RwLock::new(Sealer::new()),
            states: Sealer::new(),
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a P-256 key can be made"),
        }
    }

    pub(super) fn expire_sessions(&self) {
        *self.sessions.write().unwrap_or_else(PoisonError::into_inner) = Sealer::new();
    }

    pub(super) fn check(&self, request: Incoming<'_>) -> Verdict {
        if request.path() == CALLBACK {
            return Verdict::Answer(self.callback(request));
        }
        if self.settings.provider.is_none() && request.path().starts_with("/dex/") {
            return Verdict::Pass(Passport::default());
        }
        if let Some(session) = self.session(request) {
            return Verdict::Pass(self.passport(session));
        }
        match self.settings.action {
            UnauthenticatedAction::Authenticate => Verdict::Answer(self.begin(request)),
            UnauthenticatedAction::Deny => Verdict::Answer(refusal(401)),
            UnauthenticatedAction::Allow => Verdict::Pass(Passport::default()),
        }
    }

    /// Whether Dex is reached through it.
    pub(super) fn has_dex(&self) -> bool {
        self.settings.provider.is_none()
    }

    fn begin(&self, request: Incoming<'_>) -> Reply {
        let now = self.clock.seconds();
        let begun = Begun {
            url: format!("{}{}", request.origin(), request.path_and_query()),
            nonce: random_text::<24>(),
        };
        let sealed = serde_json::to_vec(&begun).unwrap_or_default();
        let state = self.states.seal("state", now, &sealed);
        let redirect_uri = format!("{}{CALLBACK}", request.origin());
        let pairs = query([
            ("client_id", self.settings.client_id.as_str()),
            ("redirect_uri", &redirect_uri),
            ("response_type", "code"),
            ("scope", "openid email profile"),
            ("state", &state),
        ]);
        let endpoint = self.settings.provider.as_ref();
        let endpoint = endpoint.map_or_else(
            || format!("{}/dex/auth", request.origin()),
            |provider| provider.0.authorization_endpoint(),
        );
        let ends = http_date(Timestamp::from_second(now.saturating_add(LOGIN_SECONDS)).ok());
        answered(Reply::redirect(302, &format!("{endpoint}?{pairs}"), request)).set_cookie(&format!(
            "{NONCE_COOKIE}={}; Expires={ends}; Path=/; HttpOnly",
            begun.nonce
        ))
    }

    fn callback(&self, request: Incoming<'_>) -> Reply {
        let params = request.query();
        match params.text("error") {
            "" => {}
            "access_denied" => return refusal(401),
            _ => return refusal(561),
        }
        let now = self.clock.seconds();
        let begun = self
            .states
            .open("state", now, LOGIN_SECONDS, params.text("state"))
            .and_then(|plain| serde_json::from_slice::<Begun>(&plain).ok())
            .filter(|begun| request.cookie(NONCE_COOKIE) == Some(&begun.nonce));
        let Some(begun) = begun else {
            return refusal(401);
        };
        let redirect_uri = format!("{}{CALLBACK}", request.origin());
        let Some(identity) = self.redeem(params.text("code"), &redirect_uri) else {
            return refusal(401);
        };
        let session = Session {
            sub: identity.subject,
            email: identity.email,
            name: identity.name,
            groups: identity.groups,
            access_token: random_text::<600>(),
        };
        let plain = serde_json::to_vec(&session).unwrap_or_default();
        if plain.len() > CLAIMS_LIMIT {
            return refusal(401);
        }
        answered(Reply::redirect(302, &begun.url, request))
            .set_cookie(&format!("{NONCE_COOKIE}=; Expires={PAST}; Path=/; HttpOnly"))
            .set_cookies(&self.cookies(request, &plain))
    }

    fn redeem(&self, code: &str, redirect_uri: &str) -> Option<Identity> {
        let client_id = &self.settings.client_id;
        if let Some(provider) = &self.settings.provider {
            let redemption = Redemption {
                client_id,
                code,
                redirect_uri,
                code_verifier: None,
            };
            return provider.0.redeem(&redemption).ok();
        }
        let redemption = DexRedemption {
            code,
            redirect_uri,
            verifier: "",
        };
        let tokens = self.dex.redeem(client_id, &redemption)?;
        let claims = self.dex.verify(&tokens.id_token, 0).ok()?;
        let text = |name| text_claim(&claims, name).unwrap_or_default().to_owned();
        let groups = claims.get("groups").and_then(Value::as_array).into_iter().flatten();
        Some(Identity {
            subject: text("sub"),
            name: text("name"),
            email: text("email"),
            groups: groups.filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }

    fn shard_name(&self, n: usize) -> String {
        format!("{}-{n}", self.settings.cookie_name)
    }

    fn cookies(&self, request: Incoming<'_>, plain: &[u8]) -> Vec<String> {
        let now = self.clock.seconds();
        let sealer = self.sessions.read().unwrap_or_else(PoisonError::into_inner);
        let value = sealer.seal(&self.settings.cookie_name, now, plain);
        drop(sealer);
        let room = self.settings.shard_bytes.saturating_sub(self.shard_name(10).len() + 1);
        let ends = http_date(Timestamp::from_second(now.saturating_add(self.session_seconds)).ok());
        // The value is ASCII, so each part is text.
        let mut lines: Vec<String> = value
            .as_bytes()
            .chunks(room.max(1))
            .enumerate()
            .map(|(n, part)| {
                let (name, part) = (self.shard_name(n), String::from_utf8_lossy(part));
                format!("{name}={part}; Expires={ends}; Path=/; HttpOnly")
            })
            .collect();
        // Shards of a larger session before this one.
        let surplus = (lines.len()..)
            .map(|n| self.shard_name(n))
            .take_while(|name| request.cookie(name).is_some());
        let surplus: Vec<_> = surplus
            .map(|name| format!("{name}=; Expires={PAST}; Path=/; HttpOnly"))
            .collect();
        lines.extend(surplus);
        lines
    }

    fn session(&self, request: Incoming<'_>) -> Option<Session> {
        let value: String = (0..).map_while(|n| request.cookie(&self.shard_name(n))).collect();
        let sealer = self.sessions.read().unwrap_or_else(PoisonError::into_inner);
        let name = &self.settings.cookie_name;
        let plain = sealer.open(name, self.clock.seconds(), self.session_seconds, &value)?;
        serde_json::from_slice(&plain).ok()
    }

    fn passport(&self, session: Session) -> Passport {
        let data = self.data(&session);
        let mut headers = vec![
            (OIDC_DATA, data),
            (OIDC_IDENTITY, session.sub),
            (OIDC_TOKEN, session.access_token),
        ];
        // What Kubeflow's own filter makes of the data.
        if !session.email.is_empty() {
            headers.push((USER_ID, session.email));
        }
        Passport {
            id_token: None,
            headers,
        }
    }

    /// The claims as a token of the load balancer's own, with padded base64.
    fn data(&self, session: &Session) -> String {
        let encode = |value: Value| BASE64_URL_SAFE.encode(value.to_string());
        let arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/kubeflow/50dc6c495c0c9188";
        let head = encode(json!({
            "typ": "JWT",
            "kid": "12345678-1234-1234-1234-123456789012",
            "alg": "ES256",
            "signer": arn,
            "client": self.settings.client_id,
            "exp": self.clock.seconds().saturating_add(120),
        }));
        let claims = encode(json!({
            "sub": session.sub,
            "email": session.email,
            "name": session.name,
            "groups": session.groups,
        }));
        let text = format!("{head}.{claims}");
        let signature = self.key.sign(&SystemRandom::new(), text.as_bytes());
        let signature = signature.map(|signature| BASE64_URL_SAFE.encode(signature.as_ref()));
        format!("{text}.{}", signature.unwrap_or_default())
    }
}

/// Pages of the load balancer itself hold nothing but their status.
fn refusal(status: u16) -> Reply {
    let title = if status == 401 {
        "401 Authorization Required".to_owned()
    } else {
        format!("{status} Authentication Error")
    };
    let body = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n\
         </html>\r\n"
    );
    answered(Reply::html(status, body))
}

fn answered(reply: Reply) -> Reply {
    reply.header(header::SERVER, "awselb/2.0")
}
