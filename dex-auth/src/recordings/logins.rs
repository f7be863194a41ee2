//! Recorded logins, given to the flow answer by answer: it must ask for what was recorded.

use http::{Method, StatusCode};
use url::Url;

use super::file::{Exchange, HOST, read};
use crate::IdentityProvider;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::flow::{Body, Flow, Incoming, Outgoing, Plan, Step};
use crate::identity_provider::Providers;
use crate::providers::built_in;

/// How a replay ended.
#[derive(Debug)]
pub(super) enum End {
    Done,
    Failed(Error),
    /// The recording ends before the login does: what would have been sent next.
    Wants(Outgoing),
}

impl End {
    pub(super) fn error(self) -> Error {
        match self {
            Self::Failed(error) => error,
            other => panic!("{other:?}"),
        }
    }
}

/// A login as it was recorded, and what it is replayed with.
pub(super) struct Replay<'a> {
    pub(super) file: &'a str,
    pub(super) flow: &'a str,
    /// The steps to be replayed, in this order; all of them if empty. Some recordings went on where no login may, or
    /// tried several ways in one.
    pub(super) steps: &'a [u64],
    pub(super) connector: Option<&'a str>,
    pub(super) connector_directly: bool,
    pub(super) providers: Vec<IdentityProvider>,
    pub(super) codes: bool,
}

impl<'a> Replay<'a> {
    pub(super) fn of(file: &'a str, flow: &'a str) -> Self {
        Self {
            file,
            flow,
            steps: &[],
            connector: None,
            connector_directly: false,
            providers: Vec::new(),
            codes: false,
        }
    }

    /// `None` where the recordings are not there.
    pub(super) fn run(self) -> Option<End> {
        let mut all = read(self.file)?;
        all.retain(|exchange| exchange.flow == self.flow);
        assert!(!all.is_empty(), "{} {}", self.file, self.flow);
        if !self.steps.is_empty() {
            let mut chosen = Vec::new();
            for step in self.steps {
                let at = all.iter().position(|exchange| exchange.step == *step).unwrap();
                chosen.push(all.swap_remove(at));
            }
            all = chosen;
        }
        Some(self.through(&all))
    }

    /// Replays these exchanges.
    pub(super) fn through(self, exchanges: &[Exchange]) -> End {
        let name = format!("{} {}", self.file, self.flow);
        let mut providers = Providers::default();
        for provider in self.providers {
            providers.add(provider);
        }
        let plan = Plan {
            gateway: Url::parse(HOST).unwrap(),
            connector: self.connector.map(str::to_owned),
            connector_directly: self.connector_directly,
            providers,
            handlers: built_in().into(),
        };
        let mut credentials = Credentials::new("user@example.com", "secret");
        if self.codes {
            credentials = credentials.totp_secret("JBSWY3DPEHPK3PXP");
        }
        let mut flow = Flow::new(plan, &credentials);
        // Some were recorded from a page of Kubeflow, which answers as the start address does.
        let mut rest = exchanges.iter().skip_while(|e| e.status == StatusCode::FORBIDDEN);
        let mut exchange = rest.next().unwrap();
        assert!(
            ["/", "/oauth2/start"].contains(&exchange.url.path()),
            "{name}: {}",
            exchange.url
        );
        let mut rest = rest.peekable();
        loop {
            let mut wanted = match flow.advance(&incoming(exchange)) {
                Ok(Step::Done) => return End::Done,
                Err(error) => return End::Failed(error),
                Ok(Step::Send(outgoing)) => outgoing,
            };
            let Some(next) = rest.next() else {
                return End::Wants(wanted);
            };
            if wanted.url.path() == "/dex/auth" && next.url.path().starts_with("/dex/auth/") {
                // Recorded without Dex's first answer, which is known.
                wanted = match flow.advance(&redirect(&wanted.url, &next.url)) {
                    Ok(Step::Send(outgoing)) => outgoing,
                    other => panic!("{name}: {other:?}"),
                };
            }
            compare(&name, &wanted, exchange, next, self.steps.is_empty());
            exchange = next;
        }
    }
}

/// Whoever was recorded here left out what the server asked for, or ticked a box.
const TRIED: [&str; 2] = ["chain-saml-no-relaystate", "remember-me"];

/// What is asked for is what was recorded: literally, where the page before was not one of an earlier login with other
/// ids, no value was shortened and no step left out.
fn compare(name: &str, wanted: &Outgoing, before: &Exchange, next: &Exchange, complete: bool) {
    let place = format!("{name}/{}", next.step);
    let shortened = |url: &Url| url.as_str().contains("...[") || url.as_str().contains("%E2%80%A6");
    if complete && !before.reused && !shortened(&wanted.url) && !shortened(&next.url) {
        assert_eq!(next.url, wanted.url, "{place}");
    } else {
        assert_eq!(next.url.origin(), wanted.url.origin(), "{place}");
        assert_eq!(next.url.path(), wanted.url.path(), "{place}");
    }
    assert_eq!(
        next.method == Method::POST,
        matches!(wanted.body, Body::Form(_)),
        "{place}"
    );
    if complete && !TRIED.contains(&next.flow.as_str()) && !name.contains("login-kf") {
        let mut sent: Vec<_> = wanted.fields().iter().map(|(name, _)| name.as_str()).collect();
        let mut recorded: Vec<_> = next.fields.iter().map(String::as_str).collect();
        sent.sort_unstable();
        recorded.sort_unstable();
        assert_eq!(sent, recorded, "{place}");
    }
}

fn redirect(from: &Url, to: &Url) -> Incoming {
    Incoming {
        url: from.clone(),
        status: 302,
        location: Some(to.to_string()),
        body: String::new(),
        is_html: true,
        is_json: false,
        sets_cookie: false,
        challenges: Vec::new(),
    }
}

pub(super) fn incoming(exchange: &Exchange) -> Incoming {
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
        challenges: crate::login::challenges(&exchange.headers),
    }
}

#[test]
fn real_logins_replay() {
    for name in ["login-kf-1.8", "login-kf-1.9", "login-kf-1.11"] {
        let Some(end) = Replay::of(name, "login-from-root").run() else {
            return;
        };
        assert!(matches!(end, End::Done), "{name}: {end:?}");
    }
    for flow in ["kf1.10/login-from-root", "approval-accept"] {
        let end = Replay::of("login-kf-1.11", flow).run().unwrap();
        assert!(matches!(end, End::Done), "{flow}: {end:?}");
    }
}

#[test]
fn real_refusals_replay() {
    for name in ["login-kf-1.8", "login-kf-1.9", "login-kf-1.11"] {
        let Some(end) = Replay::of(name, "wrong-password").run() else {
            return;
        };
        assert!(
            matches!(end, End::Failed(Error::WrongPassword { .. })),
            "{name}: {end:?}"
        );
        let end = Replay::of(name, "chooser-two-connectors").run().unwrap();
        let Error::ConnectorRequired { available } = end.error() else {
            panic!("{name}")
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
