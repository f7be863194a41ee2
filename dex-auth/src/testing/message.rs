//! Requests as the programs behind the gateway see them, and what they answer.

use std::fmt::Write as _;

use http::Method;
use http::header::{self, HeaderName, HeaderValue};
use serde::Serialize;
use url::form_urlencoded;
use wiremock::{Request, ResponseTemplate};

/// Decoded names and values of a query or a form, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value, or nothing where it is missing: most servers make no difference.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    pub(super) fn without(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|(key, _)| key != name).cloned().collect())
    }

    /// Encoded again, sorted by name as Go's `url.Values` does.
    pub(super) fn sorted_query(&self) -> String {
        let mut pairs = self.0.clone();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        query(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())))
    }
}

/// Encodes a query.
pub(super) fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// `path?query`, or the path alone where the query is empty.
pub(super) fn with_query(path: &str, query: &str) -> String {
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}

/// Undoes percent escapes of one path segment.
pub(super) fn decode_segment(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = match (byte, after) {
            (b'%', [high, low, ..]) => std::str::from_utf8(&[*high, *low])
                .ok()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() {
            after.get(2..).unwrap_or_default()
        } else {
            after
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Escapes one path segment.
pub(super) fn encode_segment(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

/// A request, read the way Go's HTTP library reads it.
#[derive(Clone, Copy)]
pub(super) struct Incoming<'a> {
    pub(super) request: &'a Request,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(request: &'a Request) -> Self {
        Self { request }
    }

    pub(super) fn method(self) -> &'a Method {
        &self.request.method
    }

    /// Whether redirects carry the small page that Go adds for these methods.
    pub(super) fn is_read(self) -> bool {
        matches!(*self.method(), Method::GET | Method::HEAD)
    }

    pub(super) fn path(self) -> &'a str {
        self.request.url.path()
    }

    /// Path and query as they stood in the request.
    pub(super) fn path_and_query(self) -> String {
        with_query(self.path(), self.request.url.query().unwrap_or_default())
    }

    /// Scheme and host that the client asked for.
    pub(super) fn origin(self) -> String {
        format!("http://{}", self.header(&header::HOST).unwrap_or("localhost"))
    }

    pub(super) fn header(self, name: &HeaderName) -> Option<&'a str> {
        self.request.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn authorization(self) -> Option<&'a str> {
        self.header(&header::AUTHORIZATION)
    }

    /// The token after the scheme `Bearer`, which must be spelt exactly so.
    pub(super) fn bearer(self) -> Option<&'a str> {
        self.authorization()?.strip_prefix("Bearer ")
    }

    pub(super) fn query(self) -> Params {
        Params::parse(self.request.url.query().unwrap_or_default().as_bytes())
    }

    /// The body's fields; a body of another media type has none.
    pub(super) fn form(self) -> Params {
        let is_form = self.header(&header::CONTENT_TYPE).is_some_and(|value| {
            value
                .trim_start()
                .to_ascii_lowercase()
                .starts_with("application/x-www-form-urlencoded")
        });
        if is_form {
            Params::parse(&self.request.body)
        } else {
            Params::default()
        }
    }

    /// Fields of the body, then of the query: what Go calls form values.
    pub(super) fn values(self) -> Params {
        let mut fields = self.form();
        fields.0.extend(self.query().0);
        fields
    }

    /// Names and values of all cookies; quotes around a value are not part of it.
    pub(super) fn cookies(self) -> Vec<(&'a str, &'a str)> {
        self.request
            .headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .map(|(name, value)| {
                (
                    name,
                    value
                        .strip_prefix('"')
                        .and_then(|v| v.strip_suffix('"'))
                        .unwrap_or(value),
                )
            })
            .collect()
    }

    /// The first cookie of that name.
    pub(super) fn cookie(self, name: &str) -> Option<&'a str> {
        self.cookies()
            .into_iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }
}

/// An answer of one of the imitated programs.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    content_type: Option<&'static str>,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
}

impl Reply {
    /// Without a body.
    pub(super) fn empty(status: u16) -> Self {
        Self {
            status,
            content_type: None,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    fn with_body(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type: Some(content_type),
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub(super) fn html(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::with_body(status, "text/html; charset=utf-8", body)
    }

    /// Text as Go's programs send it.
    pub(super) fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::with_body(status, "text/plain; charset=utf-8", body)
    }

    /// Text as Envoy and oidc-authservice send it.
    pub(super) fn plain(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::with_body(status, "text/plain", body)
    }

    /// Text from Envoy itself.
    pub(super) fn envoy(status: u16, body: &str) -> Self {
        let reply = if body.is_empty() {
            Self::empty(status)
        } else {
            Self::plain(status, body)
        };
        reply.header(header::SERVER, "istio-envoy")
    }

    pub(super) fn json(status: u16, value: &impl Serialize) -> Self {
        Self::with_body(
            status,
            "application/json",
            serde_json::to_vec(value).unwrap_or_default(),
        )
    }

    /// A redirect; reading methods get Go's small page with it.
    pub(super) fn redirect(status: u16, location: &str, request: Incoming<'_>) -> Self {
        let reply = if request.is_read() {
            Self::html(
                status,
                format!("<a href=\"{}\">Moved</a>.\n\n", super::pages::escape(location)),
            )
        } else {
            Self::empty(status)
        };
        reply.header(header::LOCATION, location)
    }

    /// Adds a header; what a header cannot hold is percent-escaped.
    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        let escaped: String = value
            .bytes()
            .map(|byte| {
                if matches!(byte, b' '..=b'~') {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect();
        if let Ok(value) = HeaderValue::from_str(&escaped) {
            self.headers.push((name, value));
        }
        self
    }

    pub(super) fn set_cookie(self, line: &str) -> Self {
        self.header(header::SET_COOKIE, line)
    }

    pub(super) fn set_cookies(self, lines: &[String]) -> Self {
        lines.iter().fold(self, |reply, line| reply.set_cookie(line))
    }

    #[cfg(test)]
    pub(super) fn header_texts(&self, name: &str) -> impl Iterator<Item = &str> {
        let values = self.headers.iter().filter(move |(known, _)| known.as_str() == name);
        values.map(|(_, value)| value.to_str().unwrap())
    }

    #[cfg(test)]
    pub(super) fn header_text(&self, name: &str) -> Option<&str> {
        self.header_texts(name).next()
    }

    #[cfg(test)]
    pub(super) fn body_text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The same answer with its redirect and the addresses in its page moved. Pages write them in these attributes only.
    pub(super) fn moved(mut self, place: impl Fn(&str) -> String) -> Self {
        for (name, value) in &mut self.headers {
            if *name == header::LOCATION
                && let Ok(moved) = HeaderValue::from_str(&place(value.to_str().unwrap_or_default()))
            {
                *value = moved;
            }
        }
        if self.content_type.is_some_and(|kind| kind.starts_with("text/html")) {
            let mut body = String::from_utf8_lossy(&self.body).into_owned();
            for attribute in ["action", "href", "value", "data-begin", "data-finish"] {
                let mark = format!("{attribute}=\"/");
                let mut parts = body.split(mark.as_str());
                let mut moved = parts.next().unwrap_or_default().to_owned();
                for part in parts {
                    let (address, rest) = part.split_once('"').unwrap_or((part, ""));
                    let address = place(&format!("/{}", super::pages::unescape(address)));
                    let _ = write!(moved, "{attribute}=\"{}\"{rest}", super::pages::escape(&address));
                }
                body = moved;
            }
            self.body = body.into_bytes();
        }
        self
    }

    /// The same answer with more body after its own.
    pub(super) fn append(mut self, body: &str) -> Self {
        self.body.extend_from_slice(body.as_bytes());
        self
    }
}

impl From<Reply> for ResponseTemplate {
    fn from(reply: Reply) -> Self {
        let mut template = Self::new(reply.status);
        for (name, value) in reply.headers {
            template = template.append_header(name, value);
        }
        match reply.content_type {
            Some(content_type) => template.set_body_raw(reply.body, content_type),
            None => template.set_body_bytes(reply.body),
        }
    }
}
