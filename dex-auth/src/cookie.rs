//! The session as cookies.

use std::fmt;

use cookie_store::RawCookie;
use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};

use crate::error::Error;
use crate::lifetime::Lifetime;

/// The cookie, or the parts of a split cookie, that a logged-in session consists of.
///
/// Large sessions are split by the gateways: oauth2-proxy above 4000 bytes into `name_0`, `name_1`, an AWS load
/// balancer into `name-0`, `name-1`. [`name`](Self::name) and [`value`](Self::value) stay usable then: joined by `=`
/// they always give the whole value of one `Cookie:` header.
#[derive(Clone)]
pub struct SessionCookie {
    cookies: Vec<(String, SecretString)>,
    value: SecretString,
    obtained_at: Timestamp,
    expires_at: Option<Timestamp>,
}

impl SessionCookie {
    /// `None` without any cookie.
    pub(crate) fn new(
        mut cookies: Vec<(String, String)>,
        obtained_at: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Option<Self> {
        // The order does not matter to the gateways; a fixed one makes the parts readable.
        cookies.sort();
        let (_, first) = cookies.first()?;
        let mut value = first.clone();
        for (name, part) in cookies.iter().skip(1) {
            value.push_str("; ");
            value.push_str(name);
            value.push('=');
            value.push_str(part);
        }
        Some(Self {
            cookies: cookies.into_iter().map(|(name, value)| (name, value.into())).collect(),
            value: value.into(),
            obtained_at,
            expires_at,
        })
    }

    /// The cookies of a `Cookie:` header, which nobody can say the end of.
    pub(crate) fn of_header(header: &str, now: Timestamp) -> Option<Self> {
        let pairs = header.split(';').filter_map(|pair| pair.split_once('='));
        let cookies = pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
        Self::new(cookies.filter(|(name, _)| !name.is_empty()).collect(), now, None)
    }

    /// The cookie's name; of a split cookie that of its first part.
    ///
    /// Never rely on a certain name: Kubeflow up to 1.8 uses `authservice_session`, later ones
    /// `oauth2_proxy_kubeflow`, other installations their own.
    pub fn name(&self) -> &str {
        self.cookies.first().map_or("", |(name, _)| name)
    }

    /// The cookie's value; of a split cookie that of its first part followed by `; name=value` of each other part.
    pub fn value(&self) -> &SecretString {
        &self.value
    }

    /// Every cookie by name and value.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &SecretString)> {
        self.cookies.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The whole value of one `Cookie:` header.
    pub fn header(&self) -> SecretString {
        format!("{}={}", self.name(), self.value.expose_secret()).into()
    }

    /// When the gateway said the session ends; `None` when it did not say.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    pub(crate) fn header_value(&self) -> Result<HeaderValue, Error> {
        let mut value = HeaderValue::from_str(self.header().expose_secret()).map_err(|_| Error::LoginStateLost {
            message: "the gateway set a session cookie that no header can carry".to_owned(),
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    pub(crate) fn lifetime(&self) -> Lifetime {
        Lifetime {
            obtained_at: self.obtained_at,
            expires_at: self.expires_at,
        }
    }
}

impl fmt::Debug for SessionCookie {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SessionCookie")
            .field("names", &self.cookies.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// What a `Set-Cookie` header says about the end of its cookie's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// As long as the client keeps it.
    Unlimited,
    Until(Timestamp),
    /// The header deletes the cookie.
    Deleted,
}

/// `skew` is by how many seconds this clock is ahead of the server's, whose calendar `Expires` is in.
pub(crate) fn life(cookie: &RawCookie<'_>, now: Timestamp, skew: i64) -> Life {
    let until = if let Some(age) = cookie.max_age() {
        // oidc-authservice sends nanoseconds as seconds, so the sum may lie beyond all calendars.
        now.checked_add(SignedDuration::from_secs(age.whole_seconds()))
            .unwrap_or(Timestamp::MAX)
    } else if let Some(date) = cookie.expires_datetime() {
        Timestamp::from_second(date.unix_timestamp().saturating_add(skew)).unwrap_or(Timestamp::MAX)
    } else {
        return if cookie.value().is_empty() {
            Life::Deleted
        } else {
            Life::Unlimited
        };
    };
    if until <= now || cookie.value().is_empty() {
        Life::Deleted
    } else {
        Life::Until(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn split_cookies_print_as_one_header() {
        let parts = vec![("s_1".to_owned(), "b".to_owned()), ("s_0".to_owned(), "a".to_owned())];
        let cookie = SessionCookie::new(parts, at(0), None).unwrap();
        assert_eq!(cookie.name(), "s_0");
        assert_eq!(cookie.value().expose_secret(), "a; s_1=b");
        assert_eq!(cookie.header().expose_secret(), "s_0=a; s_1=b");
        assert_eq!(
            cookie.cookies().map(|(name, _)| name).collect::<Vec<_>>(),
            ["s_0", "s_1"]
        );
        assert!(cookie.header_value().unwrap().is_sensitive());
    }

    #[test]
    fn max_age_wins_over_expires_and_may_be_enormous() {
        let parse = |text: &str| life(&RawCookie::parse(text.to_owned()).unwrap(), at(1000), 0);
        assert_eq!(parse("a=b; Path=/; Max-Age=60"), Life::Until(at(1060)));
        assert_eq!(
            parse("a=b; Max-Age=0; Expires=Tue, 24 Nov 2099 21:08:09 GMT"),
            Life::Deleted
        );
        assert_eq!(parse("a=b; Expires=Thu, 01 Jan 1970 00:00:01 GMT"), Life::Deleted);
        assert_eq!(parse("a=b; Max-Age=1200000000000"), Life::Until(Timestamp::MAX));
        assert_eq!(parse("a=b"), Life::Unlimited);
        assert_eq!(parse("a=; Path=/"), Life::Deleted);
    }

    #[test]
    fn debug_shows_no_value() {
        let cookie = SessionCookie::new(vec![("s".into(), "topsecret".into())], at(0), None).unwrap();
        assert!(!format!("{cookie:?}").contains("topsecret"));
    }
}
