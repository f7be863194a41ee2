//! Random names, and values that only their maker can read: the cookies of oauth2-proxy.

use std::fmt::Write as _;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// Random bytes of the operating system.
#[expect(
    clippy::expect_used,
    reason = "without randomness there is no fake to test with, and nothing outside can cause it"
)]
pub(super) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system's random number generator works");
    bytes
}

/// Random text of URL-safe characters, four for every three bytes.
pub(super) fn random_text<const N: usize>() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<N>())
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An id as Dex makes them: 25 lower-case characters.
pub(super) fn dex_id() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    random_bytes::<25>()
        .iter()
        .enumerate()
        .map(|(n, byte)| {
            // The first one is a letter.
            let index = if n == 0 { byte % 26 } else { byte % 32 };
            char::from(LETTERS.get(usize::from(index)).copied().unwrap_or(b'a'))
        })
        .collect()
}

/// Seals values into cookies of the form `secret|time|signature`.
pub(super) struct Sealer {
    cipher: RandomizedNonceKey,
    signature: hmac::Key,
}

/// What the nonce takes in front of the secret.
const NONCE: usize = 12;

impl Sealer {
    #[expect(clippy::expect_used, reason = "the key has the length that the algorithm asks for")]
    pub(super) fn new() -> Self {
        Self {
            cipher: RandomizedNonceKey::new(&AES_256_GCM, &random_bytes::<32>()).expect("a key of 32 bytes"),
            signature: hmac::Key::new(hmac::HMAC_SHA256, &random_bytes::<32>()),
        }
    }

    /// The value for the cookie `name`, made at `now` (seconds since 1970).
    pub(super) fn seal(&self, name: &str, now: i64, plain: &[u8]) -> String {
        let mut sealed = plain.to_vec();
        let nonce = match self
            .cipher
            .seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut sealed)
        {
            Ok(nonce) => *nonce.as_ref(),
            // Only values of many gigabytes are refused; what cannot be sealed is not opened either.
            Err(_) => [0; NONCE],
        };
        let secret = BASE64_URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat());
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.sign(name, &secret, now));
        format!("{secret}|{now}|{signature}")
    }

    /// What was sealed, if it was sealed here, for that cookie, and less than `lifetime` seconds ago.
    pub(super) fn open(&self, name: &str, now: i64, lifetime: i64, value: &str) -> Option<Vec<u8>> {
        let mut parts = value.split('|');
        let (secret, made, signature) = (parts.next()?, parts.next()?.parse::<i64>().ok()?, parts.next()?);
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
        hmac::verify(&self.signature, &signed_text(name, secret, made), &signature).ok()?;
        if parts.next().is_some() || now >= made.saturating_add(lifetime) {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(secret).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = self
            .cipher
            .open_in_place(nonce, Aad::from(name.as_bytes()), &mut sealed)
            .ok()?;
        Some(plain.to_vec())
    }

    fn sign(&self, name: &str, secret: &str, made: i64) -> Vec<u8> {
        hmac::sign(&self.signature, &signed_text(name, secret, made))
            .as_ref()
            .to_vec()
    }
}

fn signed_text(name: &str, secret: &str, made: i64) -> Vec<u8> {
    format!("{name}|{secret}|{made}").into_bytes()
}
