//! A Kubeflow below a path of its host: every address that gateway and Dex write or are given has it in front.

use url::form_urlencoded;
use wiremock::Request;

use super::envoy::Outcome;
use super::jwt::ISSUER;
use super::message::{Reply, query};

/// Parameters that hold an address.
const ADDRESSES: [&str; 2] = ["redirect_uri", "rd"];

/// Empty, or a path with a slash before it and none behind.
#[derive(Clone, Debug, Default)]
pub(super) struct BasePath(String);

impl BasePath {
    pub(super) fn new(path: &str) -> Self {
        let path = path.trim_matches('/');
        Self(if path.is_empty() {
            String::new()
        } else {
            format!("/{path}")
        })
    }

    pub(super) fn of(&self, origin: &str) -> String {
        format!("{origin}{}", self.0)
    }

    /// Lets `handle` answer as if there were no base path.
    pub(super) fn around(&self, request: &Request, handle: impl FnOnce(&Request) -> Outcome) -> Outcome {
        if self.0.is_empty() {
            return handle(request);
        }
        let Some(inner) = self.enter(request) else {
            return Outcome::Reply(Reply::envoy(404, ""));
        };
        match handle(&inner) {
            Outcome::Reply(reply) => Outcome::Reply(reply.moved(|address| self.outside(address))),
            upstream @ Outcome::Upstream(_) => upstream,
        }
    }

    fn enter(&self, request: &Request) -> Option<Request> {
        let path = self.inside(request.url.path())?;
        let mut inner = request.clone();
        inner.url.set_path(path);
        if let Some(pairs) = request.url.query() {
            inner.url.set_query(Some(&self.inner_pairs(pairs)));
        }
        let is_form = request
            .headers
            .get(http::header::CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
        if let (true, Ok(pairs)) = (is_form, std::str::from_utf8(&request.body)) {
            inner.body = self.inner_pairs(pairs).into_bytes();
        }
        Some(inner)
    }

    fn inside<'a>(&self, path: &'a str) -> Option<&'a str> {
        match path.strip_prefix(&self.0)? {
            "" => Some("/"),
            rest if rest.starts_with('/') => Some(rest),
            _ => None,
        }
    }

    /// Without addresses the text stays as it is: it may be compared with itself later.
    fn inner_pairs(&self, pairs: &str) -> String {
        let all: Vec<(String, String)> = form_urlencoded::parse(pairs.as_bytes()).into_owned().collect();
        if !all.iter().any(|(name, _)| ADDRESSES.contains(&name.as_str())) {
            return pairs.to_owned();
        }
        query(all.iter().map(|(name, value)| {
            let inner = ADDRESSES
                .contains(&name.as_str())
                .then(|| self.inside(value).unwrap_or("//outside"));
            (name.as_str(), inner.unwrap_or(value))
        }))
    }

    /// An address as the client gets it.
    fn outside(&self, address: &str) -> String {
        let issuer_host = ISSUER.trim_end_matches("/dex");
        let (host, path) = match address.strip_prefix(issuer_host) {
            Some(path) => (issuer_host, path),
            None if address.starts_with('/') => ("", address),
            None => return address.to_owned(),
        };
        let Some((path, pairs)) = path.split_once('?') else {
            return format!("{host}{}{path}", self.0);
        };
        let all: Vec<(String, String)> = form_urlencoded::parse(pairs.as_bytes())
            .into_owned()
            .map(|(name, value)| {
                let is_address = ADDRESSES.contains(&name.as_str()) && value.starts_with('/');
                let value = if is_address {
                    format!("{}{value}", self.0)
                } else {
                    value
                };
                (name, value)
            })
            .collect();
        let pairs = query(all.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        format!("{host}{}{path}?{pairs}", self.0)
    }
}
