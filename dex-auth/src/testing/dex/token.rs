//! `/dex/token` and `/dex/userinfo`: codes and refresh tokens become tokens.

use aws_lc_rs::{constant_time, digest};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::{Method, header};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::super::jwt::ISSUER;
use super::super::message::{Incoming, Params, Reply};
use super::super::release::Release;
use super::super::sealed::dex_id;
use super::{AuthRequest, Client, Dex, RefreshToken, State};
use crate::testing::provider::Identity;

pub(super) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A code as a client redeems it.
pub(in super::super) struct Redemption<'a> {
    pub(in super::super) code: &'a str,
    pub(in super::super) redirect_uri: &'a str,
    pub(in super::super) verifier: &'a str,
}

/// What a client gets.
pub(in super::super) struct Tokens {
    access_token: String,
    pub(in super::super) id_token: String,
    refresh_token: Option<String>,
    seconds: i64,
}

/// Why it gets nothing.
pub(super) struct Refusal {
    status: u16,
    error: &'static str,
    description: &'static str,
}

impl Refusal {
    const fn new(error: &'static str, description: &'static str) -> Self {
        Self {
            status: 400,
            error,
            description,
        }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let mut body = Map::new();
        body.insert("error".to_owned(), refusal.error.into());
        if !refusal.description.is_empty() {
            body.insert("error_description".to_owned(), refusal.description.into());
        }
        Self::json(refusal.status, &body)
    }
}

impl Tokens {
    fn json(&self) -> Value {
        let mut body = json!({
            "access_token": self.access_token,
            "token_type": "bearer",
            "expires_in": self.seconds.saturating_sub(1),
            "id_token": self.id_token,
        });
        if let (Some(token), Some(body)) = (&self.refresh_token, body.as_object_mut()) {
            body.insert("refresh_token".to_owned(), token.as_str().into());
        }
        body
    }
}

impl Dex {
    pub(super) fn token(&self, request: Incoming<'_>) -> Reply {
        if request.method() != Method::POST {
            return Refusal::new("invalid_request", "method not allowed").into();
        }
        let fields = request.form();
        match self.grant(request, &fields) {
            Ok(tokens) => Reply::json(200, &tokens.json()).header(header::CACHE_CONTROL, "no-store"),
            Err(refusal) => refusal.into(),
        }
    }

    fn grant(&self, request: Incoming<'_>, fields: &Params) -> Result<Tokens, Refusal> {
        let grant = fields.text("grant_type");
        let known = match grant {
            "authorization_code" | "refresh_token" | DEVICE_CODE => true,
            // Dex 2.36 knows it without being told that it may be used, and fails later.
            "password" => self.release == Release::Kubeflow1_8,
            TOKEN_EXCHANGE => self.release != Release::Kubeflow1_8,
            _ => false,
        };
        if !known {
            return Err(Refusal::new("unsupported_grant_type", ""));
        }
        if grant == DEVICE_CODE {
            let given = !fields.text("device_code").is_empty();
            let text = if given {
                "Invalid Device code."
            } else {
                "No device code received"
            };
            return Err(Refusal::new("invalid_request", text));
        }
        let client = self.authenticate(request, fields)?;
        match grant {
            "authorization_code" => {
                let redemption = Redemption {
                    code: fields.text("code"),
                    redirect_uri: fields.text("redirect_uri"),
                    verifier: fields.text("code_verifier"),
                };
                self.redeem_for(client, &redemption)
            }
            "refresh_token" => self.refresh(client, fields.text("refresh_token")),
            // Neither has a connector that could serve it.
            _ => Err(Refusal::new("invalid_request", "Requested connector does not exist.")),
        }
    }

    fn authenticate(&self, request: Incoming<'_>, fields: &Params) -> Result<&Client, Refusal> {
        let (id, secret) = basic_credentials(request).unwrap_or_else(|| {
            (
                fields.text("client_id").to_owned(),
                fields.text("client_secret").to_owned(),
            )
        });
        self.client(&id)
            .filter(|client| {
                constant_time::verify_slices_are_equal(client.secret.as_bytes(), secret.as_bytes()).is_ok()
            })
            .ok_or(Refusal {
                status: 401,
                error: "invalid_client",
                description: "Invalid client credentials.",
            })
    }

    /// The gateway's own way to redeem a code; it knows its secret.
    pub(in super::super) fn redeem(&self, client: &str, redemption: &Redemption<'_>) -> Option<Tokens> {
        self.redeem_for(self.client(client)?, redemption).ok()
    }

    fn redeem_for(&self, client: &Client, redemption: &Redemption<'_>) -> Result<Tokens, Refusal> {
        if redemption.code.is_empty() {
            return Err(Refusal::new("invalid_request", "Required param: code."));
        }
        let mut state = self.lock();
        let Some(code) = state.codes.get(redemption.code) else {
            return Err(Refusal::new("invalid_grant", "Invalid or expired code parameter."));
        };
        if code.request.client != client.id {
            return Err(Refusal {
                status: 500,
                error: "server_error",
                description: "",
            });
        }
        check_verifier(&code.request, redemption.verifier)?;
        if code.request.redirect_uri != redemption.redirect_uri {
            return Err(Refusal::new(
                "invalid_request",
                "redirect_uri did not match URI from initial request.",
            ));
        }
        match state.codes.remove(redemption.code) {
            Some(code) => Ok(self.issue(&mut state, code.request, code.identity)),
            None => Err(Refusal::new("invalid_grant", "Invalid or expired code parameter.")),
        }
    }

    fn refresh(&self, client: &Client, token: &str) -> Result<Tokens, Refusal> {
        const INVALID: &str = "Refresh token is invalid or has already been claimed by another client.";
        if token.is_empty() {
            return Err(Refusal::new("invalid_request", "No refresh token is found in request."));
        }
        let mut state = self.lock();
        let owner = state
            .refresh_tokens
            .iter()
            .find(|(_, known)| known.token == token)
            .map(|(owner, _)| owner.clone());
        match owner {
            Some(owner) if owner.1 == client.id => match state.refresh_tokens.remove(&owner) {
                Some(known) => Ok(self.issue(&mut state, known.request, known.identity)),
                None => Err(Refusal::new("invalid_request", INVALID)),
            },
            Some(_) => Err(Refusal::new("invalid_grant", INVALID)),
            None => Err(Refusal::new("invalid_request", INVALID)),
        }
    }

    fn issue(&self, state: &mut State, request: AuthRequest, identity: Identity) -> Tokens {
        let now = self.clock.seconds();
        let has = |scope: &str| request.scopes.iter().any(|known| known == scope);
        let mut claims = Map::new();
        claims.insert("iss".to_owned(), ISSUER.into());
        claims.insert("sub".to_owned(), identity.subject.as_str().into());
        claims.insert("aud".to_owned(), request.client.as_str().into());
        claims.insert("exp".to_owned(), now.saturating_add(self.token_seconds).into());
        claims.insert("iat".to_owned(), now.into());
        if !request.nonce.is_empty() {
            claims.insert("nonce".to_owned(), request.nonce.as_str().into());
        }
        if has("email") {
            claims.insert("email".to_owned(), identity.email.as_str().into());
            claims.insert("email_verified".to_owned(), true.into());
        }
        if has("groups") && !identity.groups.is_empty() {
            claims.insert("groups".to_owned(), identity.groups.clone().into());
        }
        if has("profile") {
            claims.insert("name".to_owned(), identity.name.as_str().into());
        }
        let access_token = state.signer.sign(&Value::Object(claims.clone()));
        let hash = digest::digest(&digest::SHA256, access_token.as_bytes());
        let half = hash.as_ref().get(..16).unwrap_or_default();
        claims.insert("at_hash".to_owned(), BASE64_URL_SAFE_NO_PAD.encode(half).into());
        let id_token = state.signer.sign(&Value::Object(claims));
        let refresh_token = has("offline_access").then(|| format!("{}{}", dex_id(), dex_id()));
        if let Some(token) = refresh_token.clone() {
            let owner = (identity.subject.clone(), request.client.clone());
            state.refresh_tokens.insert(
                owner,
                RefreshToken {
                    token,
                    request,
                    identity,
                },
            );
        }
        Tokens {
            access_token,
            id_token,
            refresh_token,
            seconds: self.token_seconds,
        }
    }

    pub(super) fn userinfo(&self, request: Incoming<'_>) -> Reply {
        if let Some(claims) = request.bearer().and_then(|token| self.verify(token, 0).ok()) {
            return Reply::json(200, &claims);
        }
        let refusal = Refusal {
            status: 401,
            error: "access_denied",
            description: "Invalid bearer token.",
        };
        Reply::from(refusal).header(header::WWW_AUTHENTICATE, "Bearer")
    }
}

fn check_verifier(request: &AuthRequest, verifier: &str) -> Result<(), Refusal> {
    match (&request.challenge, verifier) {
        (None, "") => Ok(()),
        (None, _) => Err(Refusal::new(
            "invalid_request",
            "No PKCE flow started. Cannot check code_verifier.",
        )),
        (Some(_), "") => Err(Refusal::new(
            "invalid_grant",
            "Expecting parameter code_verifier in PKCE flow.",
        )),
        (Some(challenge), verifier) => {
            let value = if challenge.hashed {
                pkce_challenge(verifier)
            } else {
                verifier.to_owned()
            };
            if value == challenge.value {
                Ok(())
            } else {
                Err(Refusal::new("invalid_grant", "Invalid code_verifier."))
            }
        }
    }
}

/// RFC 7636, method S256.
pub(in super::super) fn pkce_challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

fn basic_credentials(request: Incoming<'_>) -> Option<(String, String)> {
    let text = BASE64_STANDARD
        .decode(request.authorization()?.strip_prefix("Basic ")?)
        .ok()?;
    let text = String::from_utf8(text).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decode = |part: &str| {
        form_urlencoded::parse(part.as_bytes())
            .next()
            .map(|(text, _)| text.into_owned())
            .unwrap_or_default()
    };
    Some((decode(id), decode(secret)))
}
