//! One session as the file holds it.

use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::cookie::SessionCookie;
use crate::token::BearerToken;

#[derive(Serialize, Deserialize)]
pub(super) struct Entry {
    #[serde(flatten)]
    what: What,
    obtained_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Cookies(Vec<(String, String)>),
    Token(String),
}

impl Entry {
    pub(super) fn new(access: &Access, now: Timestamp) -> Self {
        let (what, obtained_at) = match access {
            Access::Cookie(cookie) => {
                let pairs = cookie.cookies();
                let pairs = pairs.map(|(name, value)| (name.to_owned(), value.expose_secret().to_owned()));
                (What::Cookies(pairs.collect()), cookie.lifetime().obtained_at)
            }
            Access::Bearer(token) => (What::Token(token.token().expose_secret().to_owned()), now),
        };
        Self {
            what,
            obtained_at,
            expires_at: access.expires_at(),
        }
    }

    pub(super) fn access(&self) -> Option<Access> {
        match &self.what {
            What::Cookies(pairs) => {
                SessionCookie::new(pairs.clone(), self.obtained_at, self.expires_at).map(Access::Cookie)
            }
            What::Token(token) => {
                let token = BearerToken::new(token.clone());
                Some(Access::Bearer(match self.expires_at {
                    Some(end) => token.valid_until(end),
                    None => token,
                }))
            }
        }
    }

    pub(super) fn lasts(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| end > now)
    }
}
