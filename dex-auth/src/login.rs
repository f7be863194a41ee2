//! One login: sends what the flow decides, keeps its cookies, and knows when it may begin again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cookie_store::{CookieStore, RawCookie};
use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, DATE, LOCATION, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use crate::cookie::{Life, SessionCookie, life};
use crate::credentials::Credentials;
use crate::error::Error;
use crate::flow::{Body, Flow, Incoming, Outgoing, Plan, Step};
use crate::handler::{FieldValue, JsonCall};
use crate::origin::{check_target, origin, shown};
use crate::trace::{LoginStep, LoginTrace};

/// Browsers keep some hundred cookies of this size; a login needs three.
const MAX_COOKIES_PER_ANSWER: usize = 50;
const MAX_COOKIE_BYTES: usize = 8192;
/// A clock that differs by less says nothing: the header `Date` is cut to a second, and answers take their time.
const SKEW_SECONDS: i64 = 5;
/// Servers take the codes of the step before and after their own.
pub(crate) const CODE_SECONDS: i64 = 30;

/// Reads the time; tests put their own in.
pub(crate) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// All a login needs besides credentials.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) plan: Plan,
    pub(crate) http: reqwest::Client,
    pub(crate) deadline: Duration,
    pub(crate) max_page_bytes: usize,
    pub(crate) clock: Clock,
}

/// Where the steps of a login are noted while it runs, so that they are there however it ends.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<LoginTrace>);

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, LoginTrace> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn finish(&self, failure: Option<&Error>) -> LoginTrace {
        let mut trace = std::mem::take(&mut *self.lock());
        trace.failure = failure.map(ToString::to_string);
        trace
    }
}

/// What a login led to.
pub(crate) struct LoggedIn {
    pub(crate) cookie: SessionCookie,
    /// Seconds that this clock is ahead of the gateway's.
    pub(crate) skew: i64,
}

/// Logs in, within the deadline. A lost state or a broken connection is answered by one more try with an empty jar,
/// unless the password was sent and its fate is unknown: it may have counted as a wrong one.
pub(crate) async fn run(
    settings: &Settings,
    credentials: &Credentials,
    recorder: &Recorder,
) -> Result<LoggedIn, Error> {
    let attempts = async {
        let mut first = Attempt::new(settings, credentials, recorder);
        match first.run().await {
            Err(
                Error::LoginStateLost { .. } | Error::Connect { .. } | Error::Timeout { .. } | Error::Transport { .. },
            ) if !first.secret_fate_unknown => {
                tracing::debug!("the login lost its state or its connection, once more with an empty jar");
                Attempt::new(settings, credentials, recorder).run().await
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
    recorder: &'a Recorder,
    jar: CookieStore,
    /// The cookies of the last answer that live on, and the earliest end among them.
    last_cookies: Vec<(String, String)>,
    last_end: Option<Timestamp>,
    /// A password or code was sent, and whether it was accepted is not known.
    secret_fate_unknown: bool,
    /// Seconds that this clock is ahead of the server that answered last.
    skew: i64,
}

impl<'a> Attempt<'a> {
    fn new(settings: &'a Settings, credentials: &'a Credentials, recorder: &'a Recorder) -> Self {
        Self {
            settings,
            credentials,
            recorder,
            jar: CookieStore::default(),
            last_cookies: Vec::new(),
            last_end: None,
            secret_fate_unknown: false,
            skew: 0,
        }
    }

    async fn run(&mut self) -> Result<LoggedIn, Error> {
        let mut flow = Flow::new(self.settings.plan.clone(), self.credentials);
        let mut next = flow.start();
        loop {
            let answer = self.send(&next).await?;
            let decided = flow.advance(&answer);
            let (page, unknown) = flow.last_page();
            tracing::debug!(url = %shown(&answer.url), status = answer.status, page, "login step");
            if let Some(step) = self.recorder.lock().steps.last_mut() {
                (step.page, step.unknown) = (page, unknown);
            }
            match decided {
                Ok(Step::Send(outgoing)) => next = outgoing,
                Ok(Step::Done) => return self.finish(),
                // A code that is refused while the clocks differ was made for another time.
                Err(Error::SecondFactorRefused { origin }) if self.skew.abs() >= CODE_SECONDS => {
                    return Err(Error::ClockSkew {
                        origin,
                        seconds: self.skew,
                    });
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn finish(&mut self) -> Result<LoggedIn, Error> {
        let now = (self.settings.clock)();
        let cookies = std::mem::take(&mut self.last_cookies);
        let cookie = SessionCookie::new(cookies, now, self.last_end).ok_or_else(|| Error::LoginStateLost {
            message: "the gateway ended the login without a session".to_owned(),
        })?;
        Ok(LoggedIn {
            cookie,
            skew: self.skew,
        })
    }

    async fn send(&mut self, outgoing: &Outgoing) -> Result<Incoming, Error> {
        let url = &outgoing.url;
        let plan = &self.settings.plan;
        // The last gate: whatever a page or a handler wanted, credentials go where the caller allowed and nowhere else.
        check_target(url, url, &plan.gateway, &plan.providers, outgoing.cargo())?;
        self.recorder.lock().steps.push(step(outgoing));
        let code = if outgoing.carries(&FieldValue::OneTimeCode) {
            Some(self.code(url).await?)
        } else {
            None
        };
        let http = &self.settings.http;
        let mut request = match &outgoing.body {
            Body::None => http.get(url.clone()),
            Body::Form(fields) => http
                .post(url.clone())
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(self.encode(fields, code.as_ref())),
            Body::Json(call) => self.json(http.post(url.clone()), call, code.as_ref()),
        };
        request = request.header(
            ACCEPT,
            match outgoing.body {
                Body::Json(_) => "application/json",
                Body::None | Body::Form(_) => "text/html,application/xhtml+xml,*/*;q=0.8",
            },
        );
        if let Some(cookies) = self.cookies_for(url) {
            request = request.header(COOKIE, cookies);
        }
        self.secret_fate_unknown |= outgoing.cargo() == crate::origin::Cargo::Secret;
        let response = request.send().await.map_err(|error| {
            if error.is_connect() {
                self.secret_fate_unknown = false;
            }
            Error::transport(origin(url), error)
        })?;
        let status = response.status();
        self.skew = skew(response.headers(), (self.settings.clock)());
        let cookies = self.keep_cookies(url, response.headers())?;
        let location = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        if let Some(step) = self.recorder.lock().steps.last_mut() {
            step.status = Some(status.as_u16());
            step.cookies = cookies;
            step.location = location
                .as_ref()
                .filter(|_| status.is_redirection())
                .map(|to| url.join(to).map_or_else(|_| "no URL".to_owned(), |to| shown(&to)));
        }
        let redirects = status.is_redirection() && location.is_some();
        let challenges = challenges(response.headers());
        let (is_html, is_json) = (is_html(response.headers()), is_json(response.headers()));
        let body = if redirects {
            String::new()
        } else {
            self.read(response).await?
        };
        // The answer is known: a refusal is read from it, anything else was no wrong password.
        self.secret_fate_unknown = false;
        Ok(Incoming {
            url: url.clone(),
            status: status.as_u16(),
            location,
            body,
            is_html,
            is_json,
            sets_cookie: !self.last_cookies.is_empty(),
            challenges,
        })
    }

    /// A code that was not used before; that may take up to half a minute, within the login's deadline.
    async fn code(&self, url: &Url) -> Result<SecretString, Error> {
        let codes = self.credentials.codes().ok_or_else(|| Error::SecondFactorRequired {
            origin: origin(url),
            methods: Vec::new(),
        })?;
        loop {
            match codes.next((self.settings.clock)()) {
                Ok(code) => return Ok(code),
                Err(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    fn value<'v>(&'v self, value: &'v FieldValue, code: Option<&'v SecretString>) -> &'v str {
        match value {
            FieldValue::Text(text) => text,
            FieldValue::Username => self.credentials.username(),
            FieldValue::Password => self.credentials.password().expose_secret(),
            FieldValue::OneTimeCode => code.map_or("", |code| code.expose_secret()),
        }
    }

    fn encode(&self, fields: &[(String, FieldValue)], code: Option<&SecretString>) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in fields {
            form.append_pair(name, self.value(value, code));
        }
        form.finish()
    }

    fn json(
        &self,
        mut request: reqwest::RequestBuilder,
        call: &JsonCall,
        code: Option<&SecretString>,
    ) -> reqwest::RequestBuilder {
        let mut body = call.body.clone();
        for (name, value) in &call.fields {
            body.insert(name.clone(), Value::from(self.value(value, code)));
        }
        for (name, value) in &call.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
                request = request.header(name, value);
            }
        }
        request
            .header(CONTENT_TYPE, "application/json")
            .body(Value::Object(body).to_string())
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

    /// Takes an answer's cookies into the jar; their names, those of deleted ones with `-` before them.
    fn keep_cookies(&mut self, url: &Url, headers: &HeaderMap) -> Result<Vec<String>, Error> {
        let now = (self.settings.clock)();
        let mut names = Vec::new();
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
            if is_foreign(&cookie, url) {
                return Err(Error::ForeignCookie {
                    origin: origin(url),
                    name: crate::error::one_line(&name),
                });
            }
            let life = life(&cookie, now, self.skew);
            // The jar judges domain, path and `Secure`; time is judged here, since only this clock can be moved.
            let mut timeless = cookie.clone();
            if life == Life::Deleted {
                timeless.make_removal();
                names.push(format!("-{}", crate::error::one_line(&name)));
            } else {
                timeless.set_max_age(None);
                timeless.unset_expires();
                names.push(crate::error::one_line(&name));
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
            .get_request_values(&self.settings.plan.gateway)
            .map(|(name, _)| name)
            .collect();
        self.last_cookies.retain(|(name, _)| sent.contains(&name.as_str()));
        Ok(names)
    }
}

/// A request as the trace shows it.
fn step(outgoing: &Outgoing) -> LoginStep {
    let filled = outgoing.fields().iter().filter_map(|(name, value)| {
        let what = match value {
            FieldValue::Text(_) => return None,
            FieldValue::Username => "user name",
            FieldValue::Password => "password",
            FieldValue::OneTimeCode => "one-time code",
        };
        Some(format!("{name} ({what})"))
    });
    LoginStep {
        method: if matches!(outgoing.body, Body::None) {
            "GET"
        } else {
            "POST"
        },
        origin: origin(&outgoing.url),
        path: outgoing.url.path().to_owned(),
        filled: filled.collect(),
        status: None,
        location: None,
        cookies: Vec::new(),
        page: None,
        unknown: None,
    }
}

/// A cookie for a host that the answering one has no say in: another site, or a whole top-level domain.
fn is_foreign(cookie: &RawCookie<'_>, url: &Url) -> bool {
    let Some(domain) = cookie
        .domain()
        .map(|domain| domain.trim_start_matches('.').to_ascii_lowercase())
    else {
        return false;
    };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    if domain.is_empty() || domain == host {
        return false;
    }
    !(domain.contains('.') && url.domain().is_some() && host.ends_with(&format!(".{domain}")))
}

/// Seconds that this clock is ahead of the one that an answer shows; 0 where it does not matter.
pub(crate) fn skew(headers: &HeaderMap, now: Timestamp) -> i64 {
    let date = headers.get(DATE).and_then(|value| value.to_str().ok());
    let theirs = date.and_then(|text| jiff::fmt::rfc2822::parse(text).ok());
    let ahead = theirs.map_or(0, |theirs| now.as_second() - theirs.timestamp().as_second());
    if ahead.abs() < SKEW_SECONDS { 0 } else { ahead }
}

/// The schemes that an answer asks for, without what they take along.
pub(crate) fn challenges(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok()?.split([' ', ',']).next())
        .map(crate::error::one_line)
        .take(10)
        .collect()
}

pub(crate) fn is_html(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|kind| {
        kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml")
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|kind| {
        let kind = kind.to_ascii_lowercase();
        kind.starts_with("application/") && kind.ends_with("json")
    })
}

fn media_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim())
}

/// The `Cookie` header for `asked` after `url` answered with these `Set-Cookie` lines, and the names as a trace shows
/// them.
#[cfg(any(test, fuzzing))]
pub(crate) fn cookies_after(
    settings: &Settings,
    url: &Url,
    lines: &[&str],
    asked: &Url,
) -> Result<(Option<HeaderValue>, Vec<String>), Error> {
    let (credentials, recorder) = (Credentials::new("user", ""), Recorder::default());
    let mut attempt = Attempt::new(settings, &credentials, &recorder);
    let mut headers = HeaderMap::new();
    for line in lines {
        if let Ok(value) = HeaderValue::from_bytes(line.as_bytes()) {
            headers.append(SET_COOKIE, value);
        }
    }
    let names = attempt.keep_cookies(url, &headers)?;
    Ok((attempt.cookies_for(asked), names))
}
