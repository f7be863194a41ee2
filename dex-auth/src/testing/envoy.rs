//! The ingress gateway: Envoy with Kubeflow's filters, and the routes behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::{HeaderName, HeaderValue, header};
use serde_json::Value;
use wiremock::{Request, Respond, ResponseTemplate};

use super::authservice::Authservice;
use super::dex::Dex;
use super::jwt::{JwtError, text_claim};
use super::load_balancer::{Balancer, OIDC_DATA, OIDC_IDENTITY, OIDC_TOKEN};
use super::message::{Incoming, Reply};
use super::oauth2_proxy::Oauth2Proxy;
use super::release::Release;

pub(super) const USER_ID: HeaderName = HeaderName::from_static("kubeflow-userid");
const USER_GROUPS: HeaderName = HeaderName::from_static("kubeflow-groups");
pub(super) const AUTH_EMAIL: HeaderName = HeaderName::from_static("x-auth-request-email");
pub(super) const AUTH_USER: HeaderName = HeaderName::from_static("x-auth-request-user");
pub(super) const AUTH_GROUPS: HeaderName = HeaderName::from_static("x-auth-request-groups");
const ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");
const DENIED: &str = "RBAC: access denied";
/// How long after its end Envoy still accepts a token.
const CLOCK_SKEW: i64 = 60;

/// What the check service says about a request.
pub(super) enum Verdict {
    /// This goes to the client.
    Answer(Reply),
    /// The request goes on.
    Pass(Passport),
}

/// What the check service adds to a request that goes on.
#[derive(Default)]
pub(super) struct Passport {
    /// Replaces the client's `Authorization`.
    pub(super) id_token: Option<String>,
    pub(super) headers: Vec<(HeaderName, String)>,
}

pub(super) enum Check {
    Authservice(Authservice),
    Oauth2Proxy(Box<Oauth2Proxy>),
    LoadBalancer(Box<Balancer>),
    /// Istio's own policies alone.
    Tokens,
}

/// A service behind the gateway.
pub(super) struct Upstream {
    /// Without a slash at its end; empty for the one that gets what no other does.
    pub(super) prefix: String,
    pub(super) service: Box<dyn Respond>,
}

pub(super) struct Envoy {
    pub(super) release: Release,
    pub(super) check: Check,
    pub(super) check_is_down: AtomicBool,
    pub(super) dex: Arc<Dex>,
    /// Longest prefix first.
    pub(super) upstreams: Vec<Upstream>,
}

/// The gateway's answer.
pub(super) enum Outcome {
    Reply(Reply),
    Upstream(ResponseTemplate),
}

impl Envoy {
    pub(super) fn handle(&self, request: &Request) -> Outcome {
        let incoming = Incoming::new(request);
        let outcome = match &self.check {
            Check::Authservice(check) => self.check_everything(incoming, |request| check.check(request), false),
            Check::Oauth2Proxy(check) if self.release == Release::Kubeflow1_9 => {
                self.check_everything(incoming, |request| check.check(request), true)
            }
            Check::Oauth2Proxy(check) => self.check_sessions(incoming, check),
            Check::LoadBalancer(check) => self.check_before(incoming, check),
            Check::Tokens => self.check_tokens(incoming),
        };
        outcome.unwrap_or_else(Outcome::Reply)
    }

    /// Up to 1.9.0: every request is checked, and where the check answers 5xx or not at all the client gets a bare 403.
    fn check_everything(
        &self,
        request: Incoming<'_>,
        check: impl FnOnce(Incoming<'_>) -> Verdict,
        tokens: bool,
    ) -> Result<Outcome, Reply> {
        if self.check_is_down.load(Ordering::Relaxed) {
            return Err(Reply::envoy(403, ""));
        }
        let verdict = if request.path().starts_with("/dex/") {
            Verdict::Pass(Passport::default())
        } else {
            check(request)
        };
        let passport = match verdict {
            Verdict::Answer(reply) if reply.status >= 500 => return Err(Reply::envoy(403, "")),
            Verdict::Answer(reply) => return Err(reply),
            Verdict::Pass(passport) => passport,
        };
        let claims = if tokens {
            self.claims(request, passport.id_token.as_deref())?
        } else {
            None
        };
        Ok(self.route(request, passport, claims.as_ref()))
    }

    /// Since 1.9.1: requests with an `Authorization` header must carry a token, others are checked for a session.
    fn check_sessions(&self, request: Incoming<'_>, check: &Oauth2Proxy) -> Result<Outcome, Reply> {
        let down = self.check_is_down.load(Ordering::Relaxed);
        if request.path().starts_with("/oauth2/") {
            self.claims(request, None)?;
            if down {
                let text = "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure";
                return Err(Reply::envoy(503, text));
            }
            return Err(check.respond(request));
        }
        let is_dex = request.path().starts_with("/dex/");
        let passport = if is_dex || request.authorization().is_some() {
            Passport::default()
        } else if down {
            return Err(Reply::envoy(403, ""));
        } else {
            match check.check(request) {
                // Only an answer of 200 lets a request go on.
                Verdict::Answer(reply) if reply.status >= 500 => return Err(Reply::envoy(403, "")),
                Verdict::Answer(reply) => return Err(reply),
                Verdict::Pass(passport) => passport,
            }
        };
        let claims = self.claims(request, passport.id_token.as_deref())?;
        if claims.is_none() && !is_dex {
            return Err(Reply::envoy(403, DENIED));
        }
        Ok(self.route(request, passport, claims.as_ref()))
    }

    /// A load balancer in front: what it lets through is trusted.
    fn check_before(&self, request: Incoming<'_>, check: &Balancer) -> Result<Outcome, Reply> {
        match check.check(request) {
            Verdict::Answer(reply) => Err(reply),
            Verdict::Pass(passport) if request.path().starts_with("/dex/") && !check.has_dex() => {
                Ok(self.forward(request, passport, None))
            }
            Verdict::Pass(passport) => Ok(self.route(request, passport, None)),
        }
    }

    /// A token or nothing: nobody here sends anyone to a login.
    fn check_tokens(&self, request: Incoming<'_>) -> Result<Outcome, Reply> {
        let claims = self.claims(request, None)?;
        if claims.is_none() && !request.path().starts_with("/dex/") {
            return Err(Reply::envoy(403, DENIED));
        }
        Ok(self.route(request, Passport::default(), claims.as_ref()))
    }

    /// The claims of the token that the request carries after the check; a token that is no good ends the request.
    fn claims(&self, request: Incoming<'_>, id_token: Option<&str>) -> Result<Option<Value>, Reply> {
        let Some(token) = id_token.or_else(|| request.bearer()) else {
            return Ok(None);
        };
        match self.dex.verify(token, CLOCK_SKEW) {
            Ok(claims) => Ok(Some(claims)),
            Err(error) => Err(invalid_token(request, error)),
        }
    }

    fn route(&self, request: Incoming<'_>, passport: Passport, claims: Option<&Value>) -> Outcome {
        let path = request.path();
        if path.starts_with("/dex/") {
            return Outcome::Reply(self.dex.respond(request));
        }
        if path == "/kfam" || path.starts_with("/kfam/") {
            // Since Kubeflow 1.5 only the dashboard may ask it.
            return Outcome::Reply(Reply::envoy(403, DENIED));
        }
        self.forward(request, passport, claims)
    }

    fn forward(&self, request: Incoming<'_>, passport: Passport, claims: Option<&Value>) -> Outcome {
        let path = request.path();
        let upstream = self.upstreams.iter().find(|upstream| {
            path.strip_prefix(upstream.prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        let Some(upstream) = upstream else {
            return Outcome::Reply(Reply::envoy(404, ""));
        };
        Outcome::Upstream(
            upstream
                .service
                .respond(&forwarded(request, &upstream.prefix, passport, claims)),
        )
    }
}

fn invalid_token(request: Incoming<'_>, error: JwtError) -> Reply {
    let challenge = format!(
        "Bearer realm=\"{}{}\", error=\"invalid_token\"",
        request.origin(),
        request.path()
    );
    Reply::envoy(401, error.text()).header(header::WWW_AUTHENTICATE, &challenge)
}

/// The request as the service behind gets it.
fn forwarded(request: Incoming<'_>, prefix: &str, passport: Passport, claims: Option<&Value>) -> Request {
    let mut forwarded = request.request.clone();
    if !prefix.is_empty() {
        let rest = request.path().strip_prefix(prefix).unwrap_or_default();
        forwarded.url.set_path(if rest.is_empty() { "/" } else { rest });
        insert(&mut forwarded, ORIGINAL_PATH, &request.path_and_query());
    }
    let own = [USER_ID, USER_GROUPS, AUTH_EMAIL, AUTH_USER, AUTH_GROUPS];
    for name in own.into_iter().chain([OIDC_DATA, OIDC_IDENTITY, OIDC_TOKEN]) {
        forwarded.headers.remove(name);
    }
    for (name, value) in passport.headers {
        insert(&mut forwarded, name, &value);
    }
    if let Some(token) = passport.id_token {
        insert(&mut forwarded, header::AUTHORIZATION, &format!("Bearer {token}"));
    }
    if let Some(claims) = claims {
        if let Some(email) = text_claim(claims, "email") {
            insert(&mut forwarded, USER_ID, email);
        }
        if let Some(groups) = claims.get("groups") {
            insert(
                &mut forwarded,
                USER_GROUPS,
                &BASE64_URL_SAFE_NO_PAD.encode(groups.to_string()),
            );
        }
    }
    forwarded
}

fn insert(request: &mut Request, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        request.headers.insert(name, value);
    }
}
