//! What a session holds: the cookies or the token that the gateway lets through.

use std::sync::{Mutex, PoisonError};

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};

use crate::cookie::SessionCookie;
use crate::error::Error;
use crate::lifetime::Lifetime;
use crate::token::BearerToken;

/// For so long a session that just worked is trusted with a body that can be sent only once.
const TRUSTED_FOR: SignedDuration = SignedDuration::from_secs(5);

/// What a gateway is shown: cookies of a login, or a token.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Access {
    /// Cookies.
    Cookie(SessionCookie),
    /// A token.
    Bearer(BearerToken),
}

impl Access {
    /// The header that carries it, marked as sensitive.
    ///
    /// # Errors
    ///
    /// [`Error::TokenUnavailable`] or [`Error::LoginStateLost`] for what no header can carry.
    pub fn header(&self) -> Result<(HeaderName, HeaderValue), Error> {
        match self {
            Self::Cookie(cookie) => Ok((COOKIE, cookie.header_value()?)),
            Self::Bearer(token) => {
                let value = token.header_value().ok_or_else(|| Error::TokenUnavailable {
                    from: "the token source".to_owned(),
                    problem: "what it gave is no token: it is empty or holds blanks or other signs".to_owned(),
                })?;
                Ok((AUTHORIZATION, value))
            }
        }
    }

    /// When it ends, if that is known.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::Cookie(cookie) => cookie.expires_at(),
            Self::Bearer(token) => token.expires_at(),
        }
    }
}

/// A session, and the login that made it.
pub(crate) struct Held {
    pub(crate) attempt: u64,
    pub(crate) access: Access,
    pub(crate) name: HeaderName,
    pub(crate) header: HeaderValue,
    life: Lifetime,
    /// Nobody renews it, so only the gateway's word ends it.
    fixed: bool,
    seen_valid: Mutex<Timestamp>,
}

impl Held {
    pub(crate) fn new(attempt: u64, access: Access, now: Timestamp, fixed: bool) -> Result<Self, Error> {
        let (name, header) = access.header()?;
        let life = match &access {
            Access::Cookie(cookie) => cookie.lifetime(),
            Access::Bearer(token) => Lifetime {
                obtained_at: now,
                expires_at: token.expires_at(),
            },
        };
        Ok(Self {
            attempt,
            access,
            name,
            header,
            life,
            fixed,
            seen_valid: Mutex::new(now),
        })
    }

    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        self.fixed || self.life.is_fresh(now)
    }

    pub(crate) fn may_have_ended(&self, now: Timestamp) -> bool {
        self.life.may_have_ended(now)
    }

    pub(crate) fn cookie(&self) -> Option<&SessionCookie> {
        match &self.access {
            Access::Cookie(cookie) => Some(cookie),
            Access::Bearer(_) => None,
        }
    }

    /// True when the gateway accepted it within the last seconds.
    pub(crate) fn is_trusted(&self, now: Timestamp) -> bool {
        let since = now.duration_since(*self.seen_valid.lock().unwrap_or_else(PoisonError::into_inner));
        since >= SignedDuration::ZERO && since <= TRUSTED_FOR && !self.may_have_ended(now)
    }

    pub(crate) fn trust(&self, now: Timestamp) {
        *self.seen_valid.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}
