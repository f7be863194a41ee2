//! `/dex/token`, `/dex/token/introspect` and `/dex/userinfo`: codes, passwords and other tokens become tokens.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use aws_lc_rs::{constant_time, digest};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::{Method, header};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::super::jwt::ISSUER;
use super::super::message::{Incoming, Params, Reply};
use super::super::sealed::dex_id;
use super::authorize::SCOPES;
use super::connector::{Connector, first_text, two_texts};
use super::{AuthRequest, Challenge, Client, Dex, DexVersion, RefreshToken, State};
use crate::testing::provider::Identity;

pub(super) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(super) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

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
    description: Cow<'static, str>,
}

impl Refusal {
    pub(super) fn new(error: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: 400,
            error,
            description: description.into(),
        }
    }

    fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let mut body = Map::new();
        body.insert("error".to_owned(), refusal.error.into());
        if !refusal.description.is_empty() {
            body.insert("error_description".to_owned(), refusal.description.as_ref().into());
        }
        Self::json(refusal.status, &body)
    }
}

impl Tokens {
    pub(super) fn json(&self) -> Value {
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
            Ok(tokens) => Reply::json(200, &tokens).header(header::CACHE_CONTROL, "no-store"),
            Err(refusal) => refusal.into(),
        }
    }

    fn grant(&self, request: Incoming<'_>, fields: &Params) -> Result<Value, Refusal> {
        let grant = fields.text("grant_type");
        let known = match grant {
            "authorization_code" | "refresh_token" => true,
            DEVICE_CODE => self.version.knows_devices(),
            // Up to 2.36 it is known without being told that it may be used, and fails later.
            "password" => self.password_connector.is_some() || self.version <= DexVersion::V2_36,
            "client_credentials" => self.client_credentials,
            TOKEN_EXCHANGE => self.version.exchanges_tokens(),
            _ => false,
        };
        if !known {
            return Err(Refusal::new("unsupported_grant_type", ""));
        }
        if grant == DEVICE_CODE {
            return self.poll(fields);
        }
        let client = self.authenticate(request, fields)?;
        match grant {
            "authorization_code" => {
                let redemption = Redemption {
                    code: fields.text("code"),
                    redirect_uri: fields.text("redirect_uri"),
                    verifier: fields.text("code_verifier"),
                };
                self.redeem_for(client, &redemption).map(|tokens| tokens.json())
            }
            "refresh_token" => self.refresh(client, fields).map(|tokens| tokens.json()),
            "password" => self.password_grant(client, fields).map(|tokens| tokens.json()),
            "client_credentials" => self.client_grant(client, fields),
            _ => self.exchange(client, fields),
        }
    }

    /// A user's password without a page: no approval and no second factor.
    fn password_grant(&self, client: &Client, fields: &Params) -> Result<Tokens, Refusal> {
        let scopes = checked_scopes(fields)?;
        if !scopes.iter().any(|scope| scope == "openid") {
            return Err(Refusal::new(
                "invalid_request",
                "Missing required scope(s) [\"openid\"].",
            ));
        }
        let connector = self.password_connector.as_deref().and_then(|id| self.connector(id));
        let Some(connector) = connector.filter(|connector| connector.upstream().is_none()) else {
            return Err(Refusal::new("invalid_request", "Requested connector does not exist."));
        };
        self.attempts.fetch_add(1, Ordering::Relaxed);
        match connector.login(&self.users, fields.text("username"), fields.text("password")) {
            Ok(Some(identity)) => {
                self.logins.fetch_add(1, Ordering::Relaxed);
                let request = direct_request(&client.id, connector.id(), scopes, fields.text("nonce"));
                Ok(self.issue(&mut self.lock(), request, identity))
            }
            Ok(None) => Err(Refusal::new("access_denied", "Invalid username or password").with_status(401)),
            Err(_) => Err(Refusal::new("invalid_request", "Could not login user")),
        }
    }

    /// The client for itself: its tokens name no user.
    fn client_grant(&self, client: &Client, fields: &Params) -> Result<Value, Refusal> {
        if client.secret.is_empty() {
            return Err(Refusal::new(
                "unauthorized_client",
                "Public clients cannot use client_credentials grant.",
            ));
        }
        let scopes = checked_scopes(fields)?;
        let wants_id_token = scopes.iter().any(|scope| scope == "openid");
        // It has no address, so the scope for it gives nothing.
        let scopes = scopes.into_iter().filter(|scope| scope == "openid").collect();
        let identity = Identity {
            subject: two_texts(&client.id, ""),
            name: client.id.clone(),
            email: String::new(),
            groups: Vec::new(),
        };
        let tokens = self.issue(&mut self.lock(), direct_request(&client.id, "", scopes, ""), identity);
        let mut body = tokens.json();
        if let (false, Some(body)) = (wants_id_token, body.as_object_mut()) {
            body.remove("id_token");
        }
        Ok(body)
    }

    /// A token of a connector's provider for one of Dex.
    fn exchange(&self, client: &Client, fields: &Params) -> Result<Value, Refusal> {
        let wanted = fields.get("requested_token_type").unwrap_or(ACCESS_TOKEN);
        let given = fields.text("subject_token_type");
        if ![ID_TOKEN, ACCESS_TOKEN].contains(&given) {
            return Err(Refusal::new("request_not_supported", "Invalid subject_token_type."));
        }
        if ![ID_TOKEN, ACCESS_TOKEN].contains(&wanted) {
            return Err(Refusal::new("request_not_supported", "Invalid requested_token_type."));
        }
        let connector = self.connector(fields.text("connector_id"));
        let source = connector.and_then(|connector| connector.upstream()?.openid());
        let (Some(connector), Some(source)) = (connector, source) else {
            return Err(Refusal::new("invalid_request", "Requested connector does not exist."));
        };
        // Access tokens are asked about at the provider's userinfo endpoint, which takes none of these.
        let identity = source
            .0
            .verify_token(fields.text("subject_token"))
            .filter(|_| given == ID_TOKEN);
        let Some(identity) = identity else {
            return Err(Refusal::new("access_denied", "").with_status(401));
        };
        let identity = Identity {
            subject: connector.subject(&identity.subject),
            ..identity
        };
        let mut scopes: Vec<String> = fields.text("scope").split_whitespace().map(str::to_owned).collect();
        scopes.retain(|scope| scope != "offline_access");
        let tokens = self.issue(
            &mut self.lock(),
            direct_request(&client.id, connector.id(), scopes, ""),
            identity,
        );
        let token = if wanted == ID_TOKEN {
            tokens.id_token
        } else {
            tokens.access_token
        };
        Ok(json!({
            "access_token": token,
            "issued_token_type": wanted,
            "token_type": "bearer",
            "expires_in": self.token_seconds.saturating_sub(1),
        }))
    }

    /// A token of that user for the gateway's own client, as some grant without pages gave it.
    pub(in super::super) fn token_of(&self, email: &str) -> String {
        let scopes = ["openid", "email", "profile", "groups"].map(str::to_owned).to_vec();
        let identity = Identity {
            subject: two_texts(email, "local"),
            name: email.split('@').next().unwrap_or_default().to_owned(),
            email: email.to_owned(),
            groups: Vec::new(),
        };
        let request = direct_request(super::GATEWAY_CLIENT, "local", scopes, "");
        self.issue(&mut self.lock(), request, identity).id_token
    }

    /// What a token is; anybody may ask.
    pub(super) fn introspect(&self, request: Incoming<'_>) -> Reply {
        if request.method() != Method::POST {
            let text = format!("HTTP method is {:?}, expected 'POST'.", request.method().as_str());
            return Refusal::new("invalid_request", text).into();
        }
        let token = request.form().text("token").to_owned();
        let Ok(claims) = self.verify(&token, 0) else {
            return Reply::json(401, &json!({ "active": false }));
        };
        let claim = |name: &str| claims.get(name).cloned().unwrap_or_default();
        let mut extra = Map::new();
        for name in ["email", "email_verified", "groups", "name"] {
            if let Some(value) = claims.get(name) {
                extra.insert(name.to_owned(), value.clone());
            }
        }
        Reply::json(
            200,
            &json!({
                "active": true,
                "client_id": claim("aud"),
                "sub": claim("sub"),
                "exp": claim("exp"),
                "iat": claim("iat"),
                "nbf": claim("iat"),
                "aud": claim("aud"),
                "iss": claim("iss"),
                "token_type": "Bearer",
                "token_use": "access_token",
                "ext": extra,
            }),
        )
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
            .ok_or_else(|| Refusal::new("invalid_client", "Invalid client credentials.").with_status(401))
    }

    /// The gateway's own way to redeem a code; it knows its secret.
    pub(in super::super) fn redeem(&self, client: &str, redemption: &Redemption<'_>) -> Option<Tokens> {
        self.redeem_for(self.client(client)?, redemption).ok()
    }

    pub(super) fn redeem_for(&self, client: &Client, redemption: &Redemption<'_>) -> Result<Tokens, Refusal> {
        if redemption.code.is_empty() {
            return Err(Refusal::new("invalid_request", "Required param: code."));
        }
        let mut state = self.lock();
        let Some(code) = state.codes.get(redemption.code) else {
            return Err(Refusal::new("invalid_grant", "Invalid or expired code parameter."));
        };
        if code.request.client != client.id {
            return Err(if self.version.is_head() {
                Refusal::new("invalid_grant", "Invalid or expired code parameter.")
            } else {
                Refusal::new("server_error", "").with_status(500)
            });
        }
        check_verifier(code.request.challenge.as_ref(), redemption.verifier)?;
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

    fn refresh(&self, client: &Client, fields: &Params) -> Result<Tokens, Refusal> {
        const INVALID: &str = "Refresh token is invalid or has already been claimed by another client.";
        let token = fields.text("refresh_token");
        if token.is_empty() {
            return Err(Refusal::new("invalid_request", "No refresh token is found in request."));
        }
        let mut state = self.lock();
        let owner = state
            .refresh_tokens
            .iter()
            .find(|(_, known)| first_text(token).is_some_and(|id| id == known.id))
            .map(|(owner, known)| (owner.clone(), known.request.scopes.clone(), known.token == token));
        let Some((owner, granted, is_current)) = owner else {
            return Err(Refusal::new("invalid_request", INVALID));
        };
        if owner.1 != client.id {
            return Err(Refusal::new("invalid_grant", INVALID));
        }
        if !is_current {
            return Err(Refusal::new("invalid_request", INVALID));
        }
        let asked: Vec<&str> = fields.text("scope").split_whitespace().collect();
        let beyond: Vec<String> = asked
            .iter()
            .filter(|scope| !granted.iter().any(|known| known == *scope))
            .map(|scope| format!("{scope:?}"))
            .collect();
        if !beyond.is_empty() {
            let text = format!(
                "Requested scopes contain unauthorized scope(s): [{}].",
                beyond.join(" ")
            );
            return Err(Refusal::new("invalid_request", text));
        }
        match state.refresh_tokens.remove(&owner) {
            Some(known) => Ok(self.issue_under(&mut state, known.request, known.identity, known.id)),
            None => Err(Refusal::new("invalid_request", INVALID)),
        }
    }

    fn issue(&self, state: &mut State, request: AuthRequest, identity: Identity) -> Tokens {
        self.issue_under(state, request, identity, dex_id())
    }

    /// `refresh_id` is what a refresh token keeps when it is replaced.
    fn issue_under(&self, state: &mut State, request: AuthRequest, identity: Identity, refresh_id: String) -> Tokens {
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
        if self.version.is_head() {
            claims.insert("jti".to_owned(), dex_id().into());
        }
        let access_token = state.keys.sign(&Value::Object(claims.clone()));
        let hash = digest::digest(&digest::SHA256, access_token.as_bytes());
        let half = hash.as_ref().get(..16).unwrap_or_default();
        claims.insert("at_hash".to_owned(), BASE64_URL_SAFE_NO_PAD.encode(half).into());
        let id_token = state.keys.sign(&Value::Object(claims));
        let refreshes = self.connector(&request.connector).is_some_and(Connector::refreshes);
        let refresh_token = (has("offline_access") && refreshes).then(|| two_texts(&refresh_id, &dex_id()));
        if let Some(token) = refresh_token.clone() {
            let owner = (identity.subject.clone(), request.client.clone());
            state.refresh_tokens.insert(
                owner,
                RefreshToken {
                    id: refresh_id,
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
        let refusal = Refusal::new("access_denied", "Invalid bearer token.").with_status(401);
        Reply::from(refusal).header(header::WWW_AUTHENTICATE, "Bearer")
    }
}

pub(super) fn check_verifier(challenge: Option<&Challenge>, verifier: &str) -> Result<(), Refusal> {
    match (challenge, verifier) {
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

/// The scopes that were asked for, all of them known.
fn checked_scopes(fields: &Params) -> Result<Vec<String>, Refusal> {
    let scopes: Vec<String> = fields.text("scope").split_whitespace().map(str::to_owned).collect();
    let unknown: Vec<String> = scopes
        .iter()
        .filter(|scope| !SCOPES.contains(&scope.as_str()))
        .map(|scope| format!("{scope:?}"))
        .collect();
    if unknown.is_empty() {
        return Ok(scopes);
    }
    let text = format!("Unrecognized scope(s) [{}]", unknown.join(" "));
    Err(Refusal::new("invalid_request", text))
}

/// What stands behind tokens that no login led to.
fn direct_request(client: &str, connector: &str, scopes: Vec<String>, nonce: &str) -> AuthRequest {
    AuthRequest {
        client: client.to_owned(),
        redirect_uri: String::new(),
        scopes,
        state: String::new(),
        nonce: nonce.to_owned(),
        challenge: None,
        connector: connector.to_owned(),
        force_approval: false,
        prompt: String::new(),
        upstream_verifier: None,
        identity: None,
        factor_given: false,
        approved: false,
        ends: 0,
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
