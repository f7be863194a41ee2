//! That a password was refused, without the password.
//!
//! A refused password is often the right one mistyped, so its hash must not help anybody who reads the file: it is salted
//! and takes as many rounds as is advised for passwords (600,000 of PBKDF2-HMAC-SHA-256).

use std::num::NonZeroU32;

use aws_lc_rs::{pbkdf2, rand};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::error::{Error, one_line};

const ROUNDS: u32 = 600_000;
/// A file must not make this process count for hours.
const MOST_ROUNDS: u32 = 10_000_000;
const BYTES: usize = 32;

#[derive(Serialize, Deserialize)]
pub(super) struct Refusal {
    salt: String,
    hash: String,
    rounds: u32,
    origin: String,
    unknown_user: bool,
}

impl Refusal {
    /// `None` for an error that does not say that the password is wrong.
    pub(super) async fn new(password: &SecretString, error: &Error) -> Option<Self> {
        let (origin, unknown_user) = match error {
            Error::WrongPassword { origin } => (origin.clone(), false),
            Error::UnknownUser { origin } => (origin.clone(), true),
            _ => return None,
        };
        let mut salt = [0; 16];
        rand::fill(&mut salt).ok()?;
        let rounds = NonZeroU32::new(ROUNDS)?;
        let password = password.clone();
        let hash = tokio::task::spawn_blocking(move || {
            let mut hash = [0; BYTES];
            let secret = password.expose_secret().as_bytes();
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, secret, &mut hash);
            hash
        })
        .await
        .ok()?;
        Some(Self {
            salt: BASE64_STANDARD.encode(salt),
            hash: BASE64_STANDARD.encode(hash),
            rounds: ROUNDS,
            origin,
            unknown_user,
        })
    }

    /// The refusal again, if it was of this password.
    pub(super) async fn of(&self, password: &SecretString) -> Option<Error> {
        let salt = BASE64_STANDARD.decode(&self.salt).ok()?;
        let hash = BASE64_STANDARD
            .decode(&self.hash)
            .ok()
            .filter(|hash| hash.len() == BYTES)?;
        let rounds = NonZeroU32::new(self.rounds).filter(|rounds| rounds.get() <= MOST_ROUNDS)?;
        let password = password.clone();
        let same = tokio::task::spawn_blocking(move || {
            let secret = password.expose_secret().as_bytes();
            pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, secret, &hash).is_ok()
        })
        .await
        .ok()?;
        let origin = one_line(&self.origin);
        same.then_some(if self.unknown_user {
            Error::UnknownUser { origin }
        } else {
            Error::WrongPassword { origin }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn knows_the_password_and_does_not_tell_it() {
        let error = Error::WrongPassword {
            origin: "https://a.test".into(),
        };
        let refusal = Refusal::new(&"topsecret".into(), &error).await.unwrap();
        assert!(!serde_json::to_string(&refusal).unwrap().contains("topsecret"));
        assert!(matches!(
            refusal.of(&"topsecret".into()).await,
            Some(Error::WrongPassword { origin }) if origin == "https://a.test"
        ));
        assert!(refusal.of(&"other".into()).await.is_none());
        assert!(Refusal::new(&"x".into(), &Error::LoginAborted).await.is_none());
    }
}
