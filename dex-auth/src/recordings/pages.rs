//! Each recorded page is known to one handler, and the number of pages of each kind is a fact.

use std::collections::BTreeMap;

use super::file::{Exchange, read};
use crate::handler::Progress;
use crate::page::Page;
use crate::providers::specific;

/// Pages that no login meets: of what stood behind the recorded gateway, and the logout of a Dex with sessions.
fn is_elsewhere(exchange: &Exchange, page: &Page) -> bool {
    ["Kubeflow (upstream stand-in)", "Error response"].contains(&page.title()) || exchange.url.path() == "/dex/logout"
}

/// Which page the handlers take it for. One that two of them claim is a bug, whatever the order in which they are asked.
fn name_of(exchange: &Exchange, page: &Page) -> Option<String> {
    let mut names: Vec<_> = specific()
        .iter()
        .filter_map(|handler| handler.handle(page, &Progress::default()))
        .map(|decision| decision.page.into_owned())
        .collect();
    assert!(names.len() <= 1, "{}/{} is {names:?}", exchange.flow, exchange.step);
    names.pop()
}

const TABLE: [(&str, &[(&str, usize)]); 8] = [
    (
        "login-kf-1.8",
        &[
            ("Dex: approval page", 2),
            ("Dex: choice of connectors", 4),
            ("Dex: device code form", 1),
            ("Dex: error page", 27),
            ("Dex: password form", 41),
            ("elsewhere", 20),
        ],
    ),
    (
        "login-kf-1.9",
        &[
            ("Dex: approval page", 8),
            ("Dex: choice of connectors", 4),
            ("Dex: device code form", 1),
            ("Dex: error page", 25),
            ("Dex: password form", 37),
            ("elsewhere", 19),
            ("oauth2-proxy: error page", 7),
        ],
    ),
    (
        "login-kf-1.11",
        &[
            ("Dex: approval page", 1),
            ("Dex: choice of connectors", 4),
            ("Dex: device code form", 1),
            ("Dex: error page", 27),
            ("Dex: password form", 40),
            ("elsewhere", 13),
            ("oauth2-proxy: error page", 16),
            ("oauth2-proxy: sign-in page", 23),
        ],
    ),
    (
        "login-dex-head",
        &[
            ("Dex: approval page", 1),
            ("Dex: choice of connectors", 4),
            ("Dex: device code form", 1),
            ("Dex: enrolment of an authenticator", 2),
            ("Dex: error page", 26),
            ("Dex: password form", 24),
            ("elsewhere", 11),
            ("oauth2-proxy: error page", 16),
            ("oauth2-proxy: sign-in page", 11),
        ],
    ),
    (
        "login-keycloak",
        &[
            ("Keycloak: change of the password", 2),
            ("Keycloak: consent page", 4),
            ("Keycloak: device code form", 1),
            ("Keycloak: enrolment of a second factor", 2),
            ("Keycloak: error page", 5),
            ("Keycloak: information page", 2),
            ("Keycloak: login form", 56),
            ("Keycloak: logout", 1),
            ("Keycloak: one-time code form", 9),
            ("Keycloak: profile form", 1),
            ("Keycloak: terms and conditions", 1),
            ("Keycloak: user name form", 3),
            ("oauth2-proxy: error page", 4),
            ("oauth2-proxy: sign-in page", 1),
        ],
    ),
    (
        "login-saml",
        &[
            ("Dex: choice of connectors", 13),
            ("Dex: error page", 12),
            ("Keycloak: error page", 3),
            ("Keycloak: login form", 14),
            ("Keycloak: terms and conditions", 1),
            ("SAML: request on its way to the provider", 12),
            ("SAML: response on its way back", 12),
            ("oauth2-proxy: error page", 1),
        ],
    ),
    (
        "login-chain",
        &[
            ("Dex: error page", 2),
            ("Keycloak: change of the password", 1),
            ("Keycloak: error page", 4),
            ("Keycloak: information page", 1),
            ("Keycloak: link to an account", 1),
            ("Keycloak: login form", 39),
            ("Keycloak: one-time code form", 1),
            ("Keycloak: profile form of a first login", 1),
            ("Keycloak: terms and conditions", 1),
            ("SAML: request on its way to the provider", 1),
            ("SAML: response on its way back", 17),
        ],
    ),
    (
        "dex-grants",
        &[
            ("Dex: choice of connectors", 6),
            ("Dex: device code form", 8),
            ("Dex: error page", 10),
            ("Dex: password form", 11),
            ("oauth2-proxy: sign-in page", 1),
        ],
    ),
];

#[test]
fn every_page_is_of_one_kind_and_there_are_that_many() {
    let mut wrong = Vec::new();
    for (name, expected) in TABLE {
        let Some(exchanges) = read(name) else { return };
        let mut counts = BTreeMap::new();
        for exchange in &exchanges {
            let Some(page) = exchange.page() else { continue };
            let kind = name_of(exchange, &page);
            let kind = match kind {
                Some(kind) => {
                    assert!(
                        !is_elsewhere(exchange, &page),
                        "{name} {}/{}",
                        exchange.flow,
                        exchange.step
                    );
                    kind
                }
                None if is_elsewhere(exchange, &page) => "elsewhere".to_owned(),
                None => {
                    wrong.push(format!("{name} {}/{}: {}", exchange.flow, exchange.step, page.title()));
                    continue;
                }
            };
            *counts.entry(kind).or_insert(0) += 1;
        }
        let counts: Vec<_> = counts.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
        if counts != expected {
            wrong.push(format!("{name}: {counts:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the recorder noted of a page, against what the handlers take it for.
const IDS: [(&str, &str); 15] = [
    ("login-login", "Keycloak: login form"),
    ("login-login-username", "Keycloak: user name form"),
    ("login-login-otp", "Keycloak: one-time code form"),
    ("login-login-update-password", "Keycloak: change of the password"),
    ("login-login-config-totp", "Keycloak: enrolment of a second factor"),
    ("login-terms", "Keycloak: terms and conditions"),
    ("login-login-update-profile", "Keycloak: profile form"),
    ("login-login-oauth-grant", "Keycloak: consent page"),
    (
        "login-login-oauth2-device-verify-user-code",
        "Keycloak: device code form",
    ),
    ("login-info", "Keycloak: information page"),
    ("login-error", "Keycloak: error page"),
    ("login-logout-confirm", "Keycloak: logout"),
    ("login-saml-post-form", "SAML: response on its way back"),
    (
        "login-idp-review-user-profile",
        "Keycloak: profile form of a first login",
    ),
    ("login-login-idp-link-confirm", "Keycloak: link to an account"),
];

#[test]
fn page_ids_and_forms_tell_the_same_kind() {
    let mut seen = 0;
    for name in ["login-keycloak", "login-saml", "login-chain"] {
        let Some(exchanges) = read(name) else { return };
        for exchange in &exchanges {
            let (Some(id), Some(page)) = (&exchange.page_id, exchange.page()) else {
                continue;
            };
            let (_, kind) = IDS.iter().find(|(known, _)| known == id).unwrap();
            assert_eq!(
                name_of(exchange, &page).as_deref(),
                Some(*kind),
                "{name} {}/{}",
                exchange.flow,
                exchange.step
            );
            // As older versions and themes of a company's own show it.
            let without = exchange.body.replace("data-page-id", "data-nothing");
            let page = Page::parse(page.url(), page.status(), &without);
            let found = name_of(exchange, &page);
            // The terms and the logout bear no mark of their own there.
            if !["login-terms", "login-logout-confirm"].contains(&id.as_str()) {
                assert_eq!(
                    found.as_deref(),
                    Some(*kind),
                    "{name} {}/{}",
                    exchange.flow,
                    exchange.step
                );
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 183);
}
