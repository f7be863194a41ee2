//! Dex's tokens: signing, and checking as Envoy's filter does.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{self, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::sealed::{hex, random_bytes};

/// The issuer of stock Kubeflow, an address inside the cluster.
pub(super) const ISSUER: &str = "http://dex.auth.svc.cluster.local:5556/dex";

/// Making a key takes a good part of a second, so all fakes of a process share one, made when it is first needed.
/// The key's id differs from fake to fake, and checks look the key up by its id: a token of another fake is refused.
#[expect(
    clippy::expect_used,
    reason = "without a key there is no fake to test with, and nothing outside can cause it"
)]
fn key() -> &'static KeyPair {
    static KEY: OnceLock<KeyPair> = OnceLock::new();
    KEY.get_or_init(|| KeyPair::generate(KeySize::Rsa2048).expect("an RSA key can be made"))
}

/// Why a token is refused; the texts are those of Envoy's `jwt_authn` filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JwtError {
    Parts,
    HeaderEncoding,
    HeaderJson,
    PayloadEncoding,
    PayloadJson,
    SignatureEncoding,
    Issuer,
    Expired,
    NoKey,
    Verification,
}

impl JwtError {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Parts => "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
            Self::HeaderEncoding => "Jwt header is an invalid Base64url encoded",
            Self::HeaderJson => "Jwt header is an invalid JSON",
            Self::PayloadEncoding => "Jwt payload is an invalid Base64url encoded",
            Self::PayloadJson => "Jwt payload is an invalid JSON",
            Self::SignatureEncoding => "Jwt signature is an invalid Base64url encoded",
            Self::Issuer => "Jwt issuer is not configured",
            Self::Expired => "Jwt is expired",
            Self::NoKey => "Jwks doesn't have key to match kid or alg from Jwt",
            Self::Verification => "Jwt verification fails",
        }
    }
}

/// The keys that Dex signs with or has signed with.
#[derive(Debug)]
pub(super) struct Keys {
    current: Signer,
    /// With the time until which they are published.
    former: Vec<(Signer, i64)>,
}

impl Keys {
    pub(super) fn new() -> Self {
        Self {
            current: Signer::new(),
            former: Vec::new(),
        }
    }

    /// A new key takes the current one's place, which is published until then.
    pub(super) fn rotate(&mut self, until: i64) {
        let former = std::mem::replace(&mut self.current, Signer::new());
        self.former.push((former, until));
    }

    /// Drops the former keys whose time is over.
    pub(super) fn forget(&mut self, now: i64) {
        self.former.retain(|(_, until)| now < *until);
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        self.current.sign(claims)
    }

    /// The document at `/dex/keys`.
    pub(super) fn key_set(&self) -> Value {
        let former = self.former.iter().map(|(signer, _)| signer.public_key());
        let keys: Vec<_> = std::iter::once(self.current.public_key()).chain(former).collect();
        json!({ "keys": keys })
    }

    /// The claims of a token that one of these keys signed and that ends no longer than `leeway` seconds before `now`.
    pub(super) fn verify(&self, token: &str, now: i64, leeway: i64) -> Result<Value, JwtError> {
        let verdict = self.current.verify(token, now, leeway);
        let former = self.former.iter().map(|(signer, _)| signer);
        former.fold(verdict, |verdict, signer| match verdict {
            Err(JwtError::NoKey) => signer.verify(token, now, leeway),
            verdict => verdict,
        })
    }
}

/// One signing key of Dex, known by its id.
#[derive(Debug)]
struct Signer {
    kid: String,
}

impl Signer {
    fn new() -> Self {
        Self {
            kid: hex(&random_bytes::<20>()),
        }
    }

    /// The signed token.
    #[expect(
        clippy::expect_used,
        reason = "a sound key signs anything, and nothing outside can change that"
    )]
    fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "RS256", "kid": self.kid });
        let text = format!("{}.{}", encode(&header), encode(claims));
        let mut signature = vec![0; key().public_modulus_len()];
        key()
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .expect("an RSA key signs");
        format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    fn public_key(&self) -> Value {
        let public = key().public_key();
        json!({
            "use": "sig",
            "kty": "RSA",
            "kid": self.kid,
            "alg": "RS256",
            "n": BASE64_URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero()),
            "e": BASE64_URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero()),
        })
    }

    /// The claims of a token that this key signed and that ends no longer than `leeway` seconds before `now`.
    fn verify(&self, token: &str, now: i64, leeway: i64) -> Result<Value, JwtError> {
        let parts: Vec<&str> = token.split('.').collect();
        let &[header_text, payload_text, signature_text] = parts.as_slice() else {
            return Err(JwtError::Parts);
        };
        let header = decode(header_text, JwtError::HeaderEncoding, JwtError::HeaderJson)?;
        let claims = decode(payload_text, JwtError::PayloadEncoding, JwtError::PayloadJson)?;
        let signature = BASE64_URL_SAFE_NO_PAD
            .decode(signature_text)
            .map_err(|_| JwtError::SignatureEncoding)?;
        if text_claim(&claims, "iss") != Some(ISSUER) {
            return Err(JwtError::Issuer);
        }
        if claims
            .get("exp")
            .and_then(Value::as_i64)
            .is_some_and(|end| now >= end.saturating_add(leeway))
        {
            return Err(JwtError::Expired);
        }
        if text_claim(&header, "kid") != Some(self.kid.as_str()) || text_claim(&header, "alg") != Some("RS256") {
            return Err(JwtError::NoKey);
        }
        UnparsedPublicKey::new(
            &RSA_PKCS1_2048_8192_SHA256,
            signature::KeyPair::public_key(key()).as_ref(),
        )
        .verify(format!("{header_text}.{payload_text}").as_bytes(), &signature)
        .map_err(|_| JwtError::Verification)?;
        Ok(claims)
    }
}

/// A claim that is text.
pub(super) fn text_claim<'a>(claims: &'a Value, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// Whether the token was made for that client.
pub(super) fn is_for(claims: &Value, client: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(audience)) => audience == client,
        Some(Value::Array(audiences)) => audiences.iter().any(|audience| audience.as_str() == Some(client)),
        _ => false,
    }
}

fn encode(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

fn decode(text: &str, encoding: JwtError, json: JwtError) -> Result<Value, JwtError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| encoding)?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|_| json)?;
    if value.is_object() { Ok(value) } else { Err(json) }
}
