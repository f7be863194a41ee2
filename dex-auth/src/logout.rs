//! The end of a session that somebody wants ended.

use http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use http::{HeaderValue, Method};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use url::Url;

use crate::access::Held;
use crate::session::Verdict;
use crate::{Error, Session, SessionCookie};

/// What a logout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Logout {
    /// No session was held.
    NothingHeld,
    /// The session itself: a copy of its cookie is refused from now on.
    Session,
    /// Only the cookie or token that was held here. A copy goes on working, until its end if that is known.
    ///
    /// So it is with oauth2-proxy and with an AWS load balancer, whose sessions live in the cookie, and with tokens.
    HeldHere {
        /// When copies end.
        copies_end_at: Option<Timestamp>,
    },
}

impl Session {
    /// Ends the session, at the gateway too as far as it can be ended there, and says what was ended. It is dropped here and
    /// in the [`store`](crate::SessionBuilder::store) in any case; the next request logs in again.
    ///
    /// ```no_run
    /// # async fn example(session: dex_auth::Session) -> Result<(), dex_auth::Error> {
    /// match session.logout().await? {
    ///     dex_auth::Logout::HeldHere { .. } => eprintln!("keep copies of the cookie away from others until they end"),
    ///     _ => eprintln!("logged out"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Connect`] and its like when the gateway could not be asked, and [`Error::Store`].
    pub async fn logout(&self) -> Result<Logout, Error> {
        let held = self.held();
        self.forget();
        self.remove_kept().await?;
        let Some(held) = held else {
            return Ok(Logout::NothingHeld);
        };
        if let Some(cookie) = held.cookie() {
            self.sign_out(cookie).await?;
            // The gateway's word on the cookie counts, not what it answered to the logout.
            if matches!(self.ask(&held).await?, Verdict::Ended { .. }) {
                return Ok(Logout::Session);
            }
        }
        Ok(still_works(&held))
    }

    /// Asks each kind of gateway in its own way, until one of them takes it.
    async fn sign_out(&self, cookie: &SessionCookie) -> Result<(), Error> {
        // An AWS load balancer has no logout of its own, and what lies behind it would not know what to do.
        if cookie.name().starts_with("AWSELB") {
            return Ok(());
        }
        // oidc-authservice of Kubeflow 1.7 and 1.8 wants the id of the session in this header; others refuse it.
        if let Some((_, id)) = cookie.cookies().next()
            && let Ok(mut id) = HeaderValue::from_str(&format!("Bearer {}", id.expose_secret()))
        {
            id.set_sensitive(true);
            let request = self
                .http()
                .post(self.below("authservice/logout"))
                .header(AUTHORIZATION, id);
            if self.send(request).await?.status().as_u16() == 201 {
                return Ok(());
            }
        }
        let header = cookie.header_value()?;
        for path in ["oauth2/sign_out", "logout"] {
            let request = self
                .http()
                .request(Method::GET, self.below(path))
                .header(COOKIE, header.clone());
            let answer = self.send(request).await?;
            let clears = answer.headers().get_all(SET_COOKIE).iter().any(|header| {
                let set = header.to_str().unwrap_or_default();
                cookie.cookies().any(|(name, _)| set.split('=').next() == Some(name))
            });
            if clears {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, Error> {
        request
            .send()
            .await
            .map_err(|error| Error::transport(crate::origin::origin(self.gateway()), error))
    }

    fn below(&self, path: &str) -> Url {
        let mut url = self.gateway().clone();
        url.set_path(&format!("{}{path}", self.gateway().path()));
        url
    }
}

fn still_works(held: &Held) -> Logout {
    Logout::HeldHere {
        copies_end_at: held.access.expires_at(),
    }
}
