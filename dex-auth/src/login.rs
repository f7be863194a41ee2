//! One login: sends what the flow decides, keeps its cookies, and knows when it may begin again.

use std::sync::Arc;
use std::time::Duration;

use cookie_store::{CookieStore, RawCookie};
use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use url::Url;

use crate::cookie::{Life, SessionCookie, life};
use crate::credentials::Credentials;
use crate::error::{Error, UnsafeReason};
use crate::flow::{Flow, Incoming, Outgoing, Step};
use crate::handler::{FieldValue, PageHandler};
use crate::origin::{origin, same_origin, shown};

/// Browsers keep some hundred cookies of this size; a login needs three.
const MAX_COOKIES_PER_ANSWER: usize = 50;
const MAX_COOKIE_BYTES: usize = 8192;

/// Reads the time; tests put their own in.
pub(crate) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// All a login needs besides credentials.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) gateway: Url,
    pub(crate) connector: Option<String>,
    pub(crate) handlers: Arc<[Arc<dyn PageHandler>]>,
    pub(crate) http: reqwest::Client,
    pub(crate) deadline: Duration,
    pub(crate) max_page_bytes: usize,
    pub(crate) clock: Clock,
}

/// Logs in, within the deadline. A lost state or a broken connection is answered by one more try with an empty jar,
/// unless the password was sent and its fate is unknown: it may have counted as a wrong one.
pub(crate) async fn run(settings: &Settings, credentials: &Credentials) -> Result<SessionCookie, Error> {
    let attempts = async {
        let mut first = Attempt::new(settings, credentials);
        match first.run().await {
            Err(Error::LoginStateLost { .. } | Error::Connect { .. } | Error::Transport { .. })
                if !first.password_fate_unknown =>
            {
                tracing::debug!("the login lost its state or its connection, once more with an empty jar");
                Attempt::new(settings, credentials).run().await
            }
            outcome => outcome,
        }
    };
    tokio::time::timeout(settings.deadline, attempts)
        .await
        .unwrap_or(Err(Error::LoginDeadline {
            after: settings.deadline,
        }))
}

struct Attempt<'a> {
    settings: &'a Settings,
    credentials: &'a Credentials,
    jar: CookieStore,
    /// The cookies of the last answer that live on, and the earliest end among them.
    last_cookies: Vec<(String, String)>,
    last_end: Option<Timestamp>,
    password_fate_unknown: bool,
}

impl<'a> Attempt<'a> {
    fn new(settings: &'a Settings, credentials: &'a Credentials) -> Self {
        Self {
            settings,
            credentials,
            jar: CookieStore::default(),
            last_cookies: Vec::new(),
            last_end: None,
            password_fate_unknown: false,
        }
    }

    async fn run(&mut self) -> Result<SessionCookie, Error> {
        let settings = self.settings;
        let mut flow = Flow::new(
            settings.gateway.clone(),
            settings.connector.clone(),
            Arc::clone(&settings.handlers),
        );
        let mut next = flow.start();
        loop {
            let answer = self.send(&next).await?;
            tracing::debug!(url = %shown(&answer.url), status = answer.status, "login step");
            match flow.advance(&answer)? {
                Step::Send(outgoing) => next = outgoing,
                Step::Done => return self.finish(),
            }
        }
    }

    fn finish(&mut self) -> Result<SessionCookie, Error> {
        let now = (self.settings.clock)();
        let cookies = std::mem::take(&mut self.last_cookies);
        SessionCookie::new(cookies, now, self.last_end).ok_or_else(|| Error::LoginStateLost {
            message: "the gateway ended the login without a session".to_owned(),
        })
    }

    async fn send(&mut self, outgoing: &Outgoing) -> Result<Incoming, Error> {
        let url = &outgoing.url;
        let transport = |error| Error::transport(origin(url), error);
        let carries_password = outgoing.carries_password();
        let mut request = match &outgoing.form {
            None => self.settings.http.get(url.clone()),
            Some(fields) => {
                // The last gate: whatever a page or a handler wanted, credentials go to the gateway only.
                if !same_origin(url, &self.settings.gateway) {
                    return Err(Error::UnsafeTarget {
                        origin: origin(url),
                        reason: UnsafeReason::OtherOrigin,
                    });
                }
                self.settings
                    .http
                    .post(url.clone())
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(self.encode(fields))
            }
        };
        request = request.header(ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8");
        if let Some(cookies) = self.cookies_for(url) {
            request = request.header(COOKIE, cookies);
        }
        self.password_fate_unknown |= carries_password;
        let response = request.send().await.map_err(|error| {
            if error.is_connect() {
                self.password_fate_unknown = false;
            }
            transport(error)
        })?;
        let status = response.status();
        self.keep_cookies(url, response.headers());
        let location = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let redirects = status.is_redirection() && location.is_some();
        let is_html = is_html(response.headers());
        let body = if redirects {
            String::new()
        } else {
            self.read(response).await?
        };
        // The answer is known: a refusal is read from it, anything else was no wrong password.
        self.password_fate_unknown = false;
        Ok(Incoming {
            url: url.clone(),
            status: status.as_u16(),
            location,
            body,
            is_html,
            sets_cookie: !self.last_cookies.is_empty(),
        })
    }

    fn encode(&self, fields: &[(String, FieldValue)]) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in fields {
            form.append_pair(
                name,
                match value {
                    FieldValue::Text(text) => text,
                    FieldValue::Username => self.credentials.username(),
                    FieldValue::Password => self.credentials.password().expose_secret(),
                },
            );
        }
        form.finish()
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<String, Error> {
        let limit = self.settings.max_page_bytes;
        let url = response.url().clone();
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| Error::transport(origin(&url), error))?
        {
            if body.len() + chunk.len() > limit {
                return Err(Error::PageTooLarge {
                    url: shown(&url),
                    limit,
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    fn cookies_for(&self, url: &Url) -> Option<HeaderValue> {
        let pairs: Vec<_> = self
            .jar
            .get_request_values(url)
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut value = HeaderValue::from_str(&pairs.join("; "))
            .ok()
            .filter(|_| !pairs.is_empty())?;
        value.set_sensitive(true);
        Some(value)
    }

    fn keep_cookies(&mut self, url: &Url, headers: &HeaderMap) {
        let now = (self.settings.clock)();
        self.last_cookies.clear();
        self.last_end = None;
        for header in headers.get_all(SET_COOKIE).iter().take(MAX_COOKIES_PER_ANSWER) {
            let Some(cookie) = header
                .to_str()
                .ok()
                .filter(|text| text.len() <= MAX_COOKIE_BYTES)
                .and_then(|text| RawCookie::parse(text.to_owned()).ok())
            else {
                continue;
            };
            let (name, value) = (cookie.name().to_owned(), cookie.value().to_owned());
            let life = life(&cookie, now);
            // The jar judges domain, path and `Secure`; time is judged here, since only this clock can be moved.
            let mut timeless = cookie.clone();
            if life == Life::Deleted {
                timeless.make_removal();
            } else {
                timeless.set_max_age(None);
                timeless.unset_expires();
            }
            let kept = self.jar.insert_raw(&timeless, url).is_ok();
            self.last_cookies.retain(|(other, _)| *other != name);
            if kept && life != Life::Deleted {
                self.last_cookies.push((name, value));
                if let Life::Until(end) = life {
                    self.last_end = Some(self.last_end.map_or(end, |other| other.min(end)));
                }
            }
        }
        // What the jar would not send to Kubeflow is no part of the session, such as a cookie of Dex's own path.
        let sent: Vec<_> = self
            .jar
            .get_request_values(&self.settings.gateway)
            .map(|(name, _)| name)
            .collect();
        self.last_cookies.retain(|(name, _)| sent.contains(&name.as_str()));
    }
}

pub(crate) fn is_html(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            let kind = value.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml")
        })
}
