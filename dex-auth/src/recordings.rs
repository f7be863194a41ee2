//! Recordings of real gateways as test input. They lie beside the repository and are not part of it.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use http::{HeaderMap, HeaderName, Method, StatusCode};
use serde_json::Value;
use url::Url;

use crate::credentials::Credentials;
use crate::error::Error;
use crate::expiry::{self, ByBody, ByHead};
use crate::flow::{Body, Flow, Incoming, Plan, Step};
use crate::handler::Progress;
use crate::identity_provider::Providers;
use crate::page::Page;
use crate::providers::built_in;

const HOST: &str = "http://kubeflow.example.test/";

struct Exchange {
    flow: String,
    step: u64,
    method: Method,
    url: Url,
    with_cookie: bool,
    status: StatusCode,
    headers: HeaderMap,
    body: String,
    /// The body is that of an earlier exchange, ids included.
    reused: bool,
}

impl Exchange {
    fn location(&self) -> Option<String> {
        self.headers
            .get("location")
            .map(|value| value.to_str().unwrap().to_owned())
    }

    fn is_html(&self) -> bool {
        crate::login::is_html(&self.headers) && self.body.contains('<')
    }
}

/// `None`, with a line that says so, where the recordings are not there.
fn read(name: &str) -> Option<Vec<Exchange>> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/reference/recordings")
        .join(format!("{name}.jsonl"));
    let Ok(text) = std::fs::read_to_string(&file) else {
        eprintln!("skipped: no recording at {}", file.display());
        return None;
    };
    let mut bodies = HashMap::new();
    let exchanges = text
        .lines()
        .map(|line| exchange(&serde_json::from_str(line).unwrap(), &mut bodies))
        .collect();
    Some(exchanges)
}

fn exchange(line: &Value, bodies: &mut HashMap<String, String>) -> Exchange {
    let (request, response) = (&line["request"], &line["response"]);
    let (flow, step) = (
        line["flow"].as_str().unwrap().to_owned(),
        line["step"].as_u64().unwrap(),
    );
    let mut headers = HeaderMap::new();
    for (name, value) in response["headers"].as_object().unwrap() {
        let name: HeaderName = name.parse().unwrap();
        match value {
            Value::Array(values) => {
                for value in values {
                    headers.append(name.clone(), value.as_str().unwrap().parse().unwrap());
                }
            }
            value => {
                headers.append(name, value.as_str().unwrap().parse().unwrap());
            }
        }
    }
    let mut body = response["body"].as_str().unwrap_or_default().to_owned();
    // A page that came before is named instead of repeated.
    let mut reused = false;
    if let Some(earlier) = body
        .strip_prefix("<same as ")
        .and_then(|rest| rest.strip_suffix(" except for ids>"))
    {
        body = bodies
            .get(earlier)
            .cloned()
            .unwrap_or_else(|| panic!("{flow}/{step} refers to {earlier}"));
        reused = true;
    }
    bodies.insert(format!("{flow}/{step}"), body.clone());
    Exchange {
        flow,
        step,
        method: request["method"].as_str().unwrap().parse().unwrap(),
        url: Url::parse(request["url"].as_str().unwrap()).unwrap(),
        with_cookie: request["headers"].get("cookie").is_some(),
        status: StatusCode::from_u16(u16::try_from(response["status"].as_u64().unwrap()).unwrap()).unwrap(),
        headers,
        body,
        reused,
    }
}

/// Which page the handlers take it for; a page that two of them claim is a bug.
fn name_of(page: &Page) -> Option<String> {
    let mut names: Vec<_> = built_in()
        .iter()
        .filter_map(|handler| handler.handle(page, &Progress::default()))
        .map(|decision| decision.page.into_owned())
        .collect();
    // The generic handler takes what looks like a login form, whoever made it; it is asked last.
    if names.len() > 1 {
        names.retain(|name| !name.starts_with("unknown provider"));
    }
    assert!(names.len() <= 1, "{} is {names:?}", page.url());
    names.pop()
}

/// Pages of whatever stood behind the recorded gateway.
fn is_upstream(page: &Page) -> bool {
    ["Kubeflow (upstream stand-in)", "Error response"].contains(&page.title())
}

#[test]
fn every_page_is_recognised() {
    for (name, expected) in [
        ("login-kf-1.8", 6),
        ("login-kf-1.9", 7),
        ("login-kf-1.11", 8),
        ("login-dex-head", 8),
    ] {
        let Some(exchanges) = read(name) else { return };
        let mut counts = BTreeMap::new();
        for exchange in exchanges
            .iter()
            .filter(|exchange| exchange.is_html() && exchange.location().is_none())
        {
            let page = Page::parse(&exchange.url, exchange.status.as_u16(), &exchange.body);
            let kind = name_of(&page);
            if is_upstream(&page) {
                assert_eq!(kind, None);
                *counts.entry("upstream".to_owned()).or_insert(0) += 1;
                continue;
            }
            let (flow, step) = (&exchange.flow, exchange.step);
            // No login leads to the logout of a Dex with sessions, so it has no kind.
            if exchange.url.path() == "/dex/logout" {
                continue;
            }
            let kind = kind.unwrap_or_else(|| panic!("{name} {flow}/{step}: {}", page.title()));
            *counts.entry(kind).or_insert(0) += 1;
        }
        println!("{name}: {counts:?}");
        assert!(counts.len() >= expected, "{name}: {counts:?}");
    }
}

#[test]
fn requests_without_a_session_are_all_seen_as_such() {
    for name in ["login-kf-1.8", "login-kf-1.9", "login-kf-1.11"] {
        let Some(exchanges) = read(name) else { return };
        let mut seen = 0;
        for exchange in exchanges
            .iter()
            .filter(|e| e.flow.ends_with("unauthenticated-requests") && !e.with_cookie)
        {
            // Kubeflow 1.8 lets OPTIONS through to the service.
            if exchange.method == Method::OPTIONS {
                continue;
            }
            assert!(
                has_ended(exchange),
                "{name} {}/{} {}",
                exchange.flow,
                exchange.step,
                exchange.url
            );
            seen += 1;
        }
        assert!(seen > 5, "{name}");
    }
}

#[test]
fn answers_of_a_valid_session_are_never_taken_for_its_end() {
    for name in ["login-kf-1.8", "login-kf-1.9", "login-kf-1.11"] {
        let Some(exchanges) = read(name) else { return };
        let valid: Vec<_> = exchanges
            .iter()
            .filter(|e| e.flow.ends_with("valid-session-requests"))
            .collect();
        assert!(!valid.is_empty(), "{name}");
        for exchange in valid {
            // These are the login itself, whoever asks.
            if exchange.url.path().starts_with("/dex") || exchange.url.path().starts_with("/oauth2/s") {
                continue;
            }
            assert!(
                !has_ended(exchange),
                "{name} {}/{} {}",
                exchange.flow,
                exchange.step,
                exchange.url
            );
        }
    }
}

fn has_ended(exchange: &Exchange) -> bool {
    match expiry::by_head(&exchange.method, &exchange.url, exchange.status, &exchange.headers) {
        ByHead::Ended => true,
        ByHead::Answer | ByHead::Ask => false,
        ByHead::Peek => {
            let body = expiry::by_body(
                &exchange.url,
                exchange.status,
                &exchange.headers,
                exchange.body.as_bytes(),
            );
            matches!(body, ByBody::Ended { .. })
        }
    }
}

fn incoming(exchange: &Exchange) -> Incoming {
    Incoming {
        url: exchange.url.clone(),
        status: exchange.status.as_u16(),
        location: exchange.location(),
        body: exchange.body.clone(),
        is_html: crate::login::is_html(&exchange.headers),
        is_json: false,
        sets_cookie: exchange
            .headers
            .get_all("set-cookie")
            .iter()
            .filter_map(|value| cookie_store::RawCookie::parse(value.to_str().unwrap().to_owned()).ok())
            .any(|cookie| !cookie.value().is_empty() && !cookie.name().contains("csrf")),
    }
}

/// Feeds a recorded login to the flow, which must ask for exactly what was recorded.
fn replay(name: &str, flow_name: &str, connector: Option<&str>) -> Option<Result<(), Error>> {
    let exchanges: Vec<_> = read(name)?
        .into_iter()
        .filter(|exchange| exchange.flow == flow_name)
        .collect();
    assert!(!exchanges.is_empty(), "{name} {flow_name}");
    let plan = Plan {
        gateway: Url::parse(HOST).unwrap(),
        connector: connector.map(str::to_owned),
        connector_directly: false,
        providers: Providers::default(),
        handlers: built_in().into(),
    };
    let mut flow = Flow::new(plan, &Credentials::new("user@example.com", "secret"));
    let mut wanted = flow.start();
    // Kubeflow up to 1.9.0 was recorded from `/`, which answers as the start address does.
    let mut rest = exchanges
        .iter()
        .skip_while(|e| e.status == StatusCode::FORBIDDEN && e.url.path() == "/");
    let first = rest.next().unwrap();
    assert!(first.url == wanted.url || first.url.path() == "/", "{}", first.url);
    let mut exchange = first;
    loop {
        match flow.advance(&incoming(exchange)) {
            Ok(Step::Done) => return Some(Ok(())),
            Err(error) => return Some(Err(error)),
            Ok(Step::Send(outgoing)) => wanted = outgoing,
        }
        let reused = exchange.reused;
        exchange = rest
            .next()
            .unwrap_or_else(|| panic!("{name} {flow_name}: nothing recorded for {}", wanted.url));
        if reused {
            wanted.url.set_query(exchange.url.query());
        }
        assert_eq!(exchange.url, wanted.url, "{name} {flow_name}/{}", exchange.step);
        assert_eq!(
            exchange.method == Method::POST,
            matches!(wanted.body, Body::Form(_)),
            "{name} {flow_name}/{}",
            exchange.step
        );
    }
}

#[test]
fn real_logins_replay() {
    for name in ["login-kf-1.8", "login-kf-1.9", "login-kf-1.11"] {
        let Some(outcome) = replay(name, "login-from-root", None) else {
            return;
        };
        outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    replay("login-kf-1.11", "kf1.10/login-from-root", None)
        .unwrap()
        .unwrap();
    replay("login-kf-1.11", "approval-accept", None).unwrap().unwrap();
}

#[test]
fn real_refusals_replay() {
    for name in ["login-kf-1.8", "login-kf-1.9", "login-kf-1.11"] {
        let Some(outcome) = replay(name, "wrong-password", None) else {
            return;
        };
        assert!(
            matches!(outcome, Err(Error::WrongPassword { .. })),
            "{name}: {outcome:?}"
        );
        let outcome = replay(name, "chooser-two-connectors", None).unwrap();
        let Err(Error::ConnectorRequired { available }) = outcome else {
            panic!("{name}: {outcome:?}")
        };
        let mut ids: Vec<_> = available.iter().map(|connector| connector.id.as_str()).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["ldap", "local"], "{name}");
        assert!(
            available.iter().all(|connector| connector.id == connector.kind),
            "{available:?}"
        );
    }
}
