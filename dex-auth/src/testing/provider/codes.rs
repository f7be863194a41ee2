//! Authorization requests and codes, as every OpenID provider handles them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::super::clock::Clock;
use super::super::dex::pkce_challenge;
use super::super::message::{Params, query};
use super::super::sealed::random_text;
use super::{DEX_CLIENT, Identity, Redemption, dex_callback};

/// Codes of real providers live one to ten minutes.
const CODE_SECONDS: i64 = 60;

/// The clients that a provider knows, with their redirect URIs. Dex is one of them from the beginning.
#[derive(Clone, Debug)]
pub(in crate::testing) struct Clients(Vec<(String, String)>);

impl Default for Clients {
    fn default() -> Self {
        Self(vec![(DEX_CLIENT.to_owned(), dex_callback())])
    }
}

impl Clients {
    pub(in crate::testing) fn add(&mut self, id: impl Into<String>, redirect_uri: impl Into<String>) {
        self.0.push((id.into(), redirect_uri.into()));
    }

    pub(in crate::testing) fn knows(&self, id: &str) -> bool {
        self.0.iter().any(|(known, _)| known == id)
    }

    pub(in crate::testing) fn allows(&self, id: &str, redirect_uri: &str) -> bool {
        self.0.iter().any(|(known, uri)| known == id && uri == redirect_uri)
    }
}

/// A valid authorization request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::testing) struct AuthorizationRequest {
    pub(in crate::testing) client_id: String,
    pub(in crate::testing) redirect_uri: String,
    pub(in crate::testing) state: String,
    pub(in crate::testing) scope: String,
    pub(in crate::testing) prompt: String,
    challenge: Option<(String, bool)>,
}

/// Why an authorization request is no good. The first two are shown on a page of the provider, since the client cannot
/// be trusted; the third goes to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::testing) enum BadRequest {
    Client,
    RedirectUri,
    Parameters { location: String },
}

impl AuthorizationRequest {
    pub(in crate::testing) fn read(params: &Params, clients: &Clients) -> Result<Self, BadRequest> {
        let text = |name| params.text(name).to_owned();
        if !clients.knows(params.text("client_id")) {
            return Err(BadRequest::Client);
        }
        if !clients.allows(params.text("client_id"), params.text("redirect_uri")) {
            return Err(BadRequest::RedirectUri);
        }
        let request = Self {
            client_id: text("client_id"),
            redirect_uri: text("redirect_uri"),
            state: text("state"),
            scope: text("scope"),
            prompt: text("prompt"),
            challenge: params
                .get("code_challenge")
                .map(|challenge| (challenge.to_owned(), params.text("code_challenge_method") == "S256")),
        };
        let refuse = |error| {
            Err(BadRequest::Parameters {
                location: request.refusal(error, ""),
            })
        };
        if params.text("response_type") != "code" {
            return refuse("unsupported_response_type");
        }
        if !request.scope.split_whitespace().any(|scope| scope == "openid") {
            return refuse("invalid_scope");
        }
        Ok(request)
    }

    /// Where the client learns that it does not get a code.
    pub(in crate::testing) fn refusal(&self, error: &str, description: &str) -> String {
        let mut pairs = vec![("error", error)];
        if !description.is_empty() {
            pairs.push(("error_description", description));
        }
        self.back(&pairs)
    }

    /// Where the client gets its code, with whatever the provider adds to it.
    pub(in crate::testing) fn back(&self, pairs: &[(&str, &str)]) -> String {
        let separator = if self.redirect_uri.contains('?') { '&' } else { '?' };
        let mut all = Vec::new();
        if !self.state.is_empty() {
            all.push(("state", self.state.as_str()));
        }
        all.extend_from_slice(pairs);
        format!("{}{separator}{}", self.redirect_uri, query(all))
    }
}

/// Codes that were given out, each good for one redemption.
#[derive(Debug)]
pub(in crate::testing) struct CodeBook {
    clock: Clock,
    codes: Mutex<HashMap<String, (AuthorizationRequest, Identity, i64)>>,
}

impl CodeBook {
    pub(in crate::testing) fn new(clock: Clock) -> Self {
        Self {
            clock,
            codes: Mutex::default(),
        }
    }

    pub(in crate::testing) fn issue(&self, request: AuthorizationRequest, identity: Identity) -> String {
        let code = random_text::<24>();
        let ends = self.clock.seconds().saturating_add(CODE_SECONDS);
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        codes.insert(code.clone(), (request, identity, ends));
        code
    }

    pub(in crate::testing) fn redeem(&self, redemption: &Redemption<'_>) -> Result<Identity, String> {
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((request, identity, ends)) = codes.remove(redemption.code) else {
            return Err("Code not valid".to_owned());
        };
        if self.clock.seconds() >= ends {
            return Err("Code is expired".to_owned());
        }
        if request.client_id != redemption.client_id {
            return Err("Auth code was issued to another client".to_owned());
        }
        if request.redirect_uri != redemption.redirect_uri {
            return Err("Incorrect redirect_uri".to_owned());
        }
        let fits = match (&request.challenge, redemption.code_verifier) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some((challenge, true)), Some(verifier)) => *challenge == pkce_challenge(verifier),
            (Some((challenge, false)), Some(verifier)) => challenge == verifier,
        };
        if !fits {
            return Err("PKCE verification failed".to_owned());
        }
        Ok(identity)
    }
}
