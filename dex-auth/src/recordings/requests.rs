//! What recorded answers say about a session.

use http::Method;

use super::file::{Exchange, read};
use crate::expiry::{self, ByBody, ByHead};

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

#[test]
fn refusals_without_a_page_are_told_apart() {
    for (name, refused, down, denied) in [
        ("login-kf-1.8", 1, 9, 0),
        ("login-kf-1.9", 11, 11, 0),
        ("login-kf-1.11", 23, 2, 8),
    ] {
        let Some(exchanges) = read(name) else { return };
        let mut seen = (0, 0, 0);
        for exchange in exchanges.iter().filter(|exchange| exchange.method != Method::HEAD) {
            let body = || {
                expiry::by_body(
                    &exchange.url,
                    exchange.status,
                    &exchange.headers,
                    exchange.body.as_bytes(),
                )
            };
            let kind = exchange
                .headers
                .get("content-type")
                .map(|value| value.to_str().unwrap());
            let place = format!("{name} {}/{}", exchange.flow, exchange.step);
            match (exchange.status.as_u16(), exchange.body.trim()) {
                // Of tokens and of what their cookies hold.
                (401, _) if kind.is_some_and(|kind| kind.starts_with("text/plain")) => {
                    assert!(matches!(body(), ByBody::Ended { .. }), "{place}");
                    seen.0 += 1;
                }
                (403, "") => {
                    assert_eq!(body(), ByBody::ServiceDown, "{place}");
                    seen.1 += 1;
                }
                (403, "RBAC: access denied") => {
                    assert_eq!(body(), ByBody::Answer, "{place}");
                    seen.2 += 1;
                }
                _ => {}
            }
        }
        assert_eq!(seen, (refused, down, denied), "{name}");
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
