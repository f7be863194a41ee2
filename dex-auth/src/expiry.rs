//! Tells an ended session from an answer, in every disguise that Kubeflow's gateways give it.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use crate::error::one_line;
use crate::login::is_html;
use crate::page::Page;
use crate::providers::asks_to_log_in;

/// Envoy adds it to what a service answered, and not to what it answered itself.
const SERVICE_TIME: &str = "x-envoy-upstream-service-time";
/// Enough of a body to recognise any login page; the largest seen has 2.7 kB.
pub(crate) const PEEK_BYTES: usize = 64 * 1024;

/// What status and headers say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ByHead {
    /// An answer: hand it on untouched.
    Answer,
    /// Not logged in.
    Ended,
    /// The beginning of the body decides.
    Peek,
    /// Only another request can tell.
    Ask,
}

/// What the beginning of the body says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ByBody {
    Answer,
    Ended {
        message: String,
    },
    /// The service that checks sessions failed.
    ServiceDown,
}

pub(crate) fn by_head(method: &Method, url: &Url, status: StatusCode, headers: &HeaderMap) -> ByHead {
    // A body in a coding that was not decoded is none of the gateway's pages.
    let encoded = headers.contains_key(CONTENT_ENCODING);
    match status.as_u16() {
        300..=399 => {
            let target = headers
                .get(LOCATION)
                .and_then(|value| value.to_str().ok())
                .and_then(|to| url.join(to).ok());
            if target.is_some_and(|target| leads_to_a_login(&target)) {
                ByHead::Ended
            } else {
                ByHead::Answer
            }
        }
        401 | 403 if encoded => ByHead::Answer,
        401 if asks_for_basic(headers) => ByHead::Answer,
        401 if *method == Method::HEAD => ByHead::Ended,
        // To HEAD, "not logged in", "the check failed" and "RBAC: access denied" look the same.
        403 if *method == Method::HEAD => {
            if headers.contains_key(SERVICE_TIME) {
                ByHead::Answer
            } else {
                ByHead::Ask
            }
        }
        401 | 403 => ByHead::Peek,
        200..=299 if is_html(headers) && !encoded && *method != Method::HEAD => ByHead::Peek,
        _ => ByHead::Answer,
    }
}

pub(crate) fn by_body(url: &Url, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ByBody {
    let ended = |message: &str| ByBody::Ended {
        message: one_line(message),
    };
    let text = String::from_utf8_lossy(body);
    if is_html(headers) {
        let page = Page::parse(url, status.as_u16(), &text);
        if asks_to_log_in(&page) {
            return ended(page.title());
        }
        // An AWS load balancer and others answer 401 with a page of their own.
        return if status == StatusCode::UNAUTHORIZED {
            ended(page.title())
        } else {
            ByBody::Answer
        };
    }
    match status.as_u16() {
        // Envoy turns a failing check service into an empty 403; services of Kubeflow always say something, and what
        // they answer bears Envoy's mark.
        403 if text.trim().is_empty() => {
            if came_from_a_service(headers) {
                ByBody::Answer
            } else {
                ByBody::ServiceDown
            }
        }
        // oauth2-proxy says `{}` or `Unauthorized`, Envoy `Jwt is expired`; an object with members is a service's own.
        401 if has_members(body) => ByBody::Answer,
        401 => ended(&text),
        _ => ByBody::Answer,
    }
}

/// True for an address that only someone who is not logged in is sent to.
fn leads_to_a_login(target: &Url) -> bool {
    let path = target.path().trim_end_matches('/');
    let asks = |name: &str| target.query_pairs().any(|(key, _)| key == name);
    path.ends_with("/dex/auth")
        || path.contains("/dex/auth/")
        || path.ends_with("/oauth2/start")
        || path.ends_with("/oauth2/sign_in")
        || path.ends_with("/login")
        || (asks("client_id") && asks("response_type"))
        || asks("SAMLRequest")
}

fn asks_for_basic(headers: &HeaderMap) -> bool {
    headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| {
            value
                .trim_start()
                .get(..5)
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic"))
        })
}

/// An answer of Envoy's own has no note of a service's time, and when empty no type either.
fn came_from_a_service(headers: &HeaderMap) -> bool {
    headers.contains_key(SERVICE_TIME)
        || headers.contains_key(CONTENT_TYPE)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
}

fn has_members(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body).is_ok_and(|object| !object.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    fn url() -> Url {
        Url::parse("https://kubeflow.example.com/pipeline/apis/v2beta1/runs").unwrap()
    }

    fn head(status: u16, pairs: &[(&'static str, &str)]) -> ByHead {
        by_head(
            &Method::GET,
            &url(),
            StatusCode::from_u16(status).unwrap(),
            &headers(pairs),
        )
    }

    fn body(status: u16, kind: &str, text: &str) -> ByBody {
        let kind = [("content-type", kind)];
        let kind = if kind[0].1.is_empty() { &[][..] } else { &kind[..] };
        by_body(
            &url(),
            StatusCode::from_u16(status).unwrap(),
            &headers(kind),
            text.as_bytes(),
        )
    }

    #[test]
    fn redirects_to_a_login_end_the_session_and_others_do_not() {
        for to in [
            "/dex/auth?client_id=x",
            "/dex/auth/local/login?back=&state=x",
            "/oauth2/start?rd=%2F",
            "https://pool.auth.example.com/oauth2/authorize?client_id=x&response_type=code",
            "https://idp.example.com/sso?SAMLRequest=x",
            "/login",
        ] {
            assert_eq!(head(302, &[("location", to)]), ByHead::Ended, "{to}");
        }
        for to in ["/pipeline/", "https://bucket.example.com/artifact?X-Amz-Signature=x"] {
            assert_eq!(head(302, &[("location", to)]), ByHead::Answer, "{to}");
        }
        assert_eq!(head(304, &[]), ByHead::Answer);
    }

    #[test]
    fn data_is_never_looked_into() {
        assert_eq!(head(200, &[("content-type", "application/json")]), ByHead::Answer);
        assert_eq!(head(200, &[]), ByHead::Answer);
        assert_eq!(head(404, &[("content-type", "text/html")]), ByHead::Answer);
        assert_eq!(
            head(200, &[("content-type", "text/html"), ("content-encoding", "br")]),
            ByHead::Answer
        );
        assert_eq!(head(200, &[("content-type", "text/html; charset=utf-8")]), ByHead::Peek);
    }

    #[test]
    fn every_401_of_a_gateway_ends_the_session() {
        for (kind, text) in [
            ("application/json", "{}"),
            ("text/plain; charset=utf-8", "Unauthorized\n"),
            ("text/plain", "Jwt is expired"),
            ("text/plain", "Jwks doesn't have key to match kid or alg from Jwt"),
            ("text/html", "<html><title>401 Authorization Required</title></html>"),
            ("", ""),
        ] {
            assert!(matches!(body(401, kind, text), ByBody::Ended { .. }), "{text}");
        }
        let own = r#"{"error":"there is no user identity header.","code":16}"#;
        assert_eq!(body(401, "application/json", own), ByBody::Answer);
        assert_eq!(
            head(401, &[("www-authenticate", "Basic realm=\"mlflow\"")]),
            ByHead::Answer
        );
    }

    #[test]
    fn the_403s_are_told_apart() {
        let sign_in = "<title>Sign In</title><form method=GET action='/oauth2/start'><input name=rd></form>";
        assert_eq!(
            body(403, "text/html", sign_in),
            ByBody::Ended {
                message: "Sign In".into()
            }
        );
        assert_eq!(body(403, "", ""), ByBody::ServiceDown);
        assert_eq!(body(403, "text/plain", "RBAC: access denied"), ByBody::Answer);
        assert_eq!(
            body(403, "application/json", r#"{"error":"no","code":7}"#),
            ByBody::Answer
        );
        assert_eq!(
            body(
                403,
                "text/html",
                "[403] Could not find CSRF cookie XSRF-TOKEN in the request"
            ),
            ByBody::Answer
        );
        let upstream = headers(&[("x-envoy-upstream-service-time", "3")]);
        assert_eq!(by_body(&url(), StatusCode::FORBIDDEN, &upstream, b""), ByBody::Answer);
    }

    #[test]
    fn a_login_page_with_status_200_ends_the_session_and_a_dashboard_does_not() {
        let login = "<form method=post action='/dex/auth/local/login'><input name=login><input name=password \
                     type=password></form>";
        assert!(matches!(body(200, "text/html", login), ByBody::Ended { .. }));
        assert_eq!(
            body(200, "text/html", "<title>Kubeflow Central Dashboard</title>"),
            ByBody::Answer
        );
    }
}
