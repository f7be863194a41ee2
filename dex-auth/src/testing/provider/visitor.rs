//! A browser without a network, for the tests of what sites refuse: it keeps cookies and does nothing by itself.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;
use url::Url;
use wiremock::Request;

use super::super::message::{Incoming, Reply, query};
use super::Site;
use crate::Page;

pub(super) struct Visitor<'s> {
    site: &'s dyn Site,
    origin: Url,
    pub(super) jar: BTreeMap<String, String>,
}

/// An answer, and the address that gave it.
pub(super) struct Seen {
    pub(super) reply: Reply,
    url: Url,
}

impl<'s> Visitor<'s> {
    pub(super) fn new(site: &'s dyn Site, origin: &str) -> Self {
        Self {
            site,
            origin: Url::parse(origin).unwrap(),
            jar: BTreeMap::new(),
        }
    }

    fn send(&mut self, method: Method, to: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Seen {
        let url = self.origin.join(to).unwrap();
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.insert(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::try_from(*value).unwrap(),
            );
        }
        let cookies: Vec<_> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            all.insert("cookie", cookies.join("; ").try_into().unwrap());
        }
        let request = Request {
            url: url.clone(),
            method,
            headers: all,
            body,
        };
        let reply = self.site.respond(Incoming::new(&request));
        for line in reply.header_texts("set-cookie") {
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
        Seen { reply, url }
    }

    pub(super) fn get(&mut self, to: &str) -> Seen {
        self.send(Method::GET, to, &[], Vec::new())
    }

    pub(super) fn post(&mut self, to: &str, form: &[(&str, &str)]) -> Seen {
        let body = query(form.iter().copied()).into_bytes();
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.send(Method::POST, to, &kind, body)
    }

    pub(super) fn post_json(&mut self, to: &str, headers: &[(&str, &str)], body: &Value) -> Value {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        let seen = self.send(Method::POST, to, &all, body.to_string().into_bytes());
        serde_json::from_str(&seen.reply.body_text()).unwrap()
    }
}

impl Seen {
    pub(super) fn page(&self) -> Page {
        Page::parse(&self.url, self.reply.status, &self.reply.body_text())
    }

    /// Where a redirect leads.
    pub(super) fn location(&self) -> Url {
        assert_eq!(self.reply.status, 302, "{}", self.reply.body_text());
        self.url.join(self.reply.header_text("location").unwrap()).unwrap()
    }

    /// A parameter of the address that a redirect leads to.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        self.location()
            .query_pairs()
            .find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    }

    /// The hidden fields of the page's only form.
    pub(super) fn fields(&self) -> Vec<(String, String)> {
        let page = self.page();
        let [form] = page.forms() else {
            panic!("{}", self.reply.body_text())
        };
        let hidden = form.fields.iter().filter(|field| field.kind == "hidden");
        hidden.map(|field| (field.name.clone(), field.value.clone())).collect()
    }
}
