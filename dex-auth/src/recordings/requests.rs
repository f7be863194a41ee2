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
