//! The fake's own controls, and what the real programs do beyond what their clients usually meet. Requests are handed to
//! the gateway without a network, so that these tests cost next to nothing.

mod adfs;
mod dex;
mod grants;
mod http_server;
mod kinds;
mod okta;
mod recorded;
mod relying_party;
mod routing;
mod sessions;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use scraper::{Html, Selector};
use url::Url;
use wiremock::{Request, ResponseTemplate};

use super::envoy::Outcome;
use super::message::Reply;
use super::{Clock, Gateway, GatewayBuilder, Release};

const RELEASES: [Release; 3] = [Release::Kubeflow1_8, Release::Kubeflow1_9, Release::Kubeflow1_11];
const USER: &str = "user@example.com";
const PASSWORD: &str = "correct horse";
const API: &str = "/pipeline/apis/v2beta1/runs";
const BASE: &str = "http://localhost";

/// A gateway, what got through to its upstreams, and a client with a cookie jar.
struct Browser {
    gateway: Gateway,
    clock: Clock,
    forwarded: Arc<Mutex<Vec<Request>>>,
    jar: BTreeMap<String, String>,
}

/// What the gateway answered; `reply` is missing where the request got through.
struct Answer {
    url: Url,
    reply: Option<Reply>,
}

impl Answer {
    fn status(&self) -> u16 {
        self.reply.as_ref().map_or(200, |reply| reply.status)
    }

    fn got_through(&self) -> bool {
        self.reply.is_none()
    }

    fn reply(&self) -> &Reply {
        self.reply.as_ref().unwrap()
    }

    fn location(&self) -> String {
        self.url
            .join(self.reply().header_text("location").unwrap())
            .unwrap()
            .to_string()
    }

    fn body(&self) -> String {
        self.reply().body_text()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body()).unwrap()
    }

    /// Where the page's form goes that has a field of this name.
    fn action(&self, field: &str) -> String {
        let html = Html::parse_document(&self.body());
        let forms = Selector::parse("form").unwrap();
        let input = Selector::parse(&format!("input[name={field}]")).unwrap();
        let form = html
            .select(&forms)
            .find(|form| form.select(&input).next().is_some())
            .unwrap();
        self.url
            .join(form.attr("action").unwrap_or(self.url.as_str()))
            .unwrap()
            .to_string()
    }
}

impl Browser {
    fn new(release: Release) -> Self {
        Self::with(release, |builder| builder)
    }

    fn with(release: Release, set_up: impl FnOnce(GatewayBuilder) -> GatewayBuilder) -> Self {
        let clock = Clock::fixed("2026-11-24T08:00:00Z".parse().unwrap());
        let forwarded: Arc<Mutex<Vec<Request>>> = Arc::default();
        let seen = Arc::clone(&forwarded);
        let upstream = move |request: &Request| {
            seen.lock().unwrap().push(request.clone());
            ResponseTemplate::new(200)
        };
        let builder = Gateway::builder()
            .release(release)
            .user(USER, PASSWORD)
            .clock(clock.clone())
            .upstream("/pipeline", upstream);
        Self {
            gateway: set_up(builder).build(),
            clock,
            forwarded,
            jar: BTreeMap::new(),
        }
    }

    fn request(&mut self, method: Method, url: &str, headers: &[(&str, &str)], form: &[(&str, &str)]) -> Answer {
        // Joining would read `//` as the beginning of a host.
        let url = if url.starts_with('/') {
            format!("{BASE}{url}")
        } else {
            url.to_owned()
        };
        let url = Url::parse(&url).unwrap();
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::try_from(*value).unwrap(),
            );
        }
        if !self.jar.is_empty() && !all.contains_key("cookie") {
            let cookies: Vec<_> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            all.insert("cookie", cookies.join("; ").try_into().unwrap());
        }
        let mut body = Vec::new();
        if !form.is_empty() {
            all.insert(
                "content-type",
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            );
            body = super::message::query(form.iter().copied()).into_bytes();
        }
        let request = Request {
            url: url.clone(),
            method,
            headers: all,
            body,
        };
        let reply = match self.gateway.handle(&request) {
            Outcome::Reply(reply) => Some(reply),
            Outcome::Upstream(_) => None,
        };
        for line in reply.iter().flat_map(|reply| reply.header_texts("set-cookie")) {
            self.keep(line);
        }
        Answer { url, reply }
    }

    fn keep(&mut self, line: &str) {
        let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
        if value.is_empty() {
            self.jar.remove(name);
        } else {
            self.jar.insert(name.to_owned(), value.to_owned());
        }
    }

    fn get(&mut self, url: &str) -> Answer {
        self.request(Method::GET, url, &[], &[])
    }

    fn get_with(&mut self, url: &str, headers: &[(&str, &str)]) -> Answer {
        self.request(Method::GET, url, headers, &[])
    }

    fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Answer {
        self.request(Method::POST, url, &[], form)
    }

    /// From the start of a login to Dex's password form.
    fn form(&mut self) -> Answer {
        let start = if self.gateway.release() == Release::Kubeflow1_8 {
            "/"
        } else {
            "/oauth2/start?rd=%2F"
        };
        let answer = self.get(start);
        self.follow_to_form(answer)
    }

    fn follow_to_form(&mut self, mut answer: Answer) -> Answer {
        while answer.status() == 302 {
            answer = self.get(&answer.location());
        }
        assert_eq!(answer.status(), 200, "{}", answer.body());
        answer
    }

    /// The answer that leads back to the gateway after the right password.
    fn callback_after(&mut self, login: &str, password: &str) -> Answer {
        let form = self.form();
        let answer = self.post(&form.action("password"), &[("login", login), ("password", password)]);
        self.approve(answer)
    }

    fn approve(&mut self, answer: Answer) -> Answer {
        if answer.status() != 303 || !answer.location().contains("/dex/approval") {
            return answer;
        }
        let page = self.get(&answer.location());
        let req = page
            .url
            .query_pairs()
            .find(|(name, _)| name == "req")
            .unwrap()
            .1
            .into_owned();
        self.post(&page.action("approval"), &[("req", &req), ("approval", "approve")])
    }

    fn log_in(&mut self) {
        self.log_in_as(USER, PASSWORD);
    }

    fn log_in_as(&mut self, login: &str, password: &str) {
        let back = self.callback_after(login, password);
        let answer = self.get(&back.location());
        assert_eq!(answer.status(), 302, "{}", answer.body());
        assert_eq!(answer.location(), format!("{BASE}/"));
    }

    fn is_logged_in(&mut self) -> bool {
        self.get(API).got_through()
    }

    /// What reached an upstream last.
    fn last(&self) -> Request {
        self.forwarded.lock().unwrap().last().unwrap().clone()
    }

    fn last_header(&self, name: &str) -> Option<String> {
        self.last()
            .headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// An ID token for the gateway's client, got by hand.
    fn tokens(&mut self, scope: &str) -> serde_json::Value {
        let callback = if self.gateway.release() == Release::Kubeflow1_8 {
            "/authservice/oidc/callback"
        } else {
            "/oauth2/callback"
        };
        let query = super::message::query([
            ("client_id", "kubeflow-oidc-authservice"),
            ("redirect_uri", callback),
            ("response_type", "code"),
            ("scope", scope),
            ("state", "st4te"),
        ]);
        let answer = self.get(&format!("/dex/auth?{query}"));
        let form = self.follow_to_form(answer);
        let answer = self.post(&form.action("password"), &[("login", USER), ("password", PASSWORD)]);
        let answer = self.approve(answer);
        let back = Url::parse(&answer.location()).unwrap();
        let code = back
            .query_pairs()
            .find(|(name, _)| name == "code")
            .unwrap()
            .1
            .into_owned();
        let answer = self.post(
            "/dex/token",
            &[
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", callback),
                ("client_id", "kubeflow-oidc-authservice"),
                ("client_secret", "stock-client-secret"),
            ],
        );
        assert_eq!(answer.status(), 200, "{}", answer.body());
        answer.json()
    }
}
