//! What gets through the gateway, where it goes, and what it carries.

use http::{HeaderMap, Method};
use serde_json::{Value, json};
use url::Url;
use wiremock::{Request, ResponseTemplate};

use super::{API, Browser, PASSWORD, RELEASES, USER};
use crate::testing::dashboard::Dashboard;
use crate::testing::message::{Incoming, Reply};
use crate::testing::{Clock, Release, UnknownRelease};

#[test]
fn upstreams_get_the_user_and_no_forged_identity() {
    let forged = [
        ("kubeflow-userid", "admin@example.com"),
        ("kubeflow-groups", "admins"),
        ("x-auth-request-email", "admin@example.com"),
        ("x-auth-request-groups", "admins"),
    ];
    for release in RELEASES {
        let mut browser = Browser::new(release);
        assert!(!browser.get_with(API, &forged).got_through());
        browser.log_in();
        assert!(browser.get_with(API, &forged).got_through(), "{release}");
        assert_eq!(
            browser.last_header("kubeflow-userid").as_deref(),
            Some(USER),
            "{release}"
        );
        assert_eq!(browser.last_header("kubeflow-groups"), None, "{release}");
        assert_eq!(browser.last_header("x-auth-request-groups"), None, "{release}");
        let is_proxy = release != Release::Kubeflow1_8;
        assert_eq!(
            browser.last_header("x-auth-request-email").as_deref(),
            is_proxy.then_some(USER),
            "{release}"
        );
        let authorization = browser.last_header("authorization");
        assert_eq!(
            authorization.is_some_and(|value| value.starts_with("Bearer ey")),
            is_proxy,
            "{release}"
        );
    }
}

#[test]
fn paths_exempt_from_the_check_carry_no_forged_identity_either() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let upstream = {
        let seen = std::sync::Arc::clone(&seen);
        move |request: &Request| {
            seen.lock()
                .unwrap()
                .push(request.headers.contains_key("kubeflow-userid"));
            ResponseTemplate::new(200)
        }
    };
    let mut browser = Browser::with(Release::Kubeflow1_8, |builder| builder.upstream("/", upstream));
    let forged = [("kubeflow-userid", "admin@example.com")];
    assert!(browser.get_with("/authservice/site/homepage", &forged).got_through());
    assert!(
        browser
            .request(Method::OPTIONS, "/anything", &forged, &[])
            .got_through()
    );
    assert_eq!(*seen.lock().unwrap(), [false, false]);
}

#[test]
fn the_longest_prefix_wins_and_is_taken_off() {
    let longer = |request: &Request| {
        assert_eq!(request.url.path(), "/");
        ResponseTemplate::new(200)
    };
    for release in RELEASES {
        let mut browser = Browser::with(release, |builder| builder.upstream("/pipeline/special/", longer));
        browser.log_in();
        assert!(
            browser
                .get("/pipeline/apis/v2beta1/runs?page_size=1&q=a%20b")
                .got_through()
        );
        assert_eq!(browser.last().url.path(), "/apis/v2beta1/runs");
        assert_eq!(browser.last().url.query(), Some("page_size=1&q=a%20b"));
        let original = browser.last_header("x-envoy-original-path").unwrap();
        assert_eq!(original, "/pipeline/apis/v2beta1/runs?page_size=1&q=a%20b");
        assert!(browser.get("/pipeline").got_through());
        assert_eq!(browser.last().url.path(), "/");
        let before = browser.forwarded.lock().unwrap().len();
        assert!(browser.get("/pipelines").got_through());
        assert!(browser.get("/pipeline/special").got_through());
        assert_eq!(
            browser.forwarded.lock().unwrap().len(),
            before,
            "{release}: others took these"
        );
    }
}

#[test]
fn the_dashboard_tells_who_owns_what() {
    let dashboard = Dashboard {
        namespaces: vec!["team-a".to_owned()],
    };
    let ask = |path: &str, user: Option<&str>| {
        let mut headers = HeaderMap::new();
        user.map(|user| headers.insert("kubeflow-userid", user.parse().unwrap()));
        let url = Url::parse(super::BASE).unwrap().join(path).unwrap();
        let request = Request {
            url,
            method: Method::GET,
            headers,
            body: Vec::new(),
        };
        dashboard.reply(Incoming::new(&request))
    };
    let json = |reply: Reply| serde_json::from_str::<Value>(&reply.body_text()).unwrap();
    let info = json(ask("/api/workgroup/env-info", Some(USER)));
    assert_eq!(info["user"], USER);
    assert_eq!(
        info["namespaces"],
        json!([{ "namespace": "team-a", "role": "owner", "user": USER }])
    );
    assert_eq!(info["isClusterAdmin"], false);
    assert_eq!(
        json(ask("/api/workgroup/env-info", None))["user"],
        "anonymous@kubeflow.org"
    );
    let exists = json!({ "hasAuth": true, "user": "user", "hasWorkgroup": true, "registrationFlowAllowed": false });
    assert_eq!(json(ask("/api/workgroup/exists", Some(USER))), exists);
    assert_eq!(json(ask("/api/workgroup/exists", None))["hasAuth"], false);
    assert_eq!(ask("/api/nothing", Some(USER)).status, 404);
    assert_eq!(ask("/any/page", None).status, 200);
}

#[test]
fn kfam_is_closed() {
    for release in RELEASES {
        let mut browser = Browser::new(release);
        browser.log_in();
        let answer = browser.get("/kfam/v1/bindings");
        assert_eq!((answer.status(), answer.body().as_str()), (403, "RBAC: access denied"));
    }
}

#[test]
fn a_failing_check_refuses_with_an_empty_403() {
    for release in RELEASES {
        let mut browser = Browser::new(release);
        browser.log_in();
        browser.gateway.fail_auth_service(true);
        let answer = browser.get(API);
        assert_eq!((answer.status(), answer.body().as_str()), (403, ""), "{release}");
        assert_eq!(answer.reply().header_text("server"), Some("istio-envoy"));
        let is_late = release == Release::Kubeflow1_11;
        assert_eq!(browser.get("/dex/keys").status(), if is_late { 200 } else { 403 });
        assert_eq!(browser.get("/oauth2/start").status(), if is_late { 503 } else { 403 });
        browser.gateway.fail_auth_service(false);
        assert!(browser.is_logged_in(), "{release}");
    }
}

#[test]
fn paths_that_oauth2_proxy_answers_itself() {
    let mut early = Browser::new(Release::Kubeflow1_9);
    let mut late = Browser::new(Release::Kubeflow1_11);
    early.log_in();
    late.log_in();
    // 1.9.0 lets them fall through, without an identity.
    for path in ["/ping", "/ready", "/robots.txt", "/oauth2/userinfo"] {
        assert!(early.get(path).got_through(), "{path}");
    }
    for path in ["/ping", "/ready", "/robots.txt"] {
        assert_eq!(late.get(path).body(), "RBAC: access denied", "{path}");
    }
    assert_eq!(late.get("/oauth2/userinfo").json()["email"], USER);
    let answer = late.get("/oauth2/nothing");
    assert_eq!((answer.status(), answer.body().as_str()), (200, "Authenticated"));
    assert_eq!(late.get("/oauth2/auth").reply().header_text("gap-auth"), Some(USER));
    // A body does not reach a check that Envoy makes, but it does reach what is routed.
    for (browser, status) in [(&mut early, 403), (&mut late, 302)] {
        let back = browser.callback_after(USER, PASSWORD);
        let url = Url::parse(&back.location()).unwrap();
        let pairs: Vec<_> = url.query_pairs().into_owned().collect();
        let form: Vec<_> = pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(browser.post("/oauth2/callback", &form).status(), status);
    }
}

#[test]
fn tokens_are_judged_as_each_release_does() {
    for release in RELEASES {
        let mut browser = Browser::new(release);
        let tokens = browser.tokens("openid email");
        let nameless = browser.tokens("openid");
        browser.jar.clear();
        let token = tokens["id_token"].as_str().unwrap();
        let nameless = nameless["id_token"].as_str().unwrap();
        assert!(
            browser
                .get_with(API, &[("authorization", &format!("Bearer {token}"))])
                .got_through(),
            "{release}"
        );
        assert_eq!(browser.last_header("kubeflow-userid").as_deref(), Some(USER));
        assert!(
            !browser
                .get_with(API, &[("authorization", &format!("bearer {token}"))])
                .got_through()
        );
        // Without an e-mail address later releases let the request through, but for nobody.
        let answer = browser.get_with(API, &[("authorization", &format!("Bearer {nameless}"))]);
        assert_eq!(answer.got_through(), release != Release::Kubeflow1_8, "{release}");
        if answer.got_through() {
            assert_eq!(browser.last_header("kubeflow-userid"), None);
        }
        let other = Browser::new(release).tokens("openid email");
        let other = format!("Bearer {}", other["id_token"].as_str().unwrap());
        assert!(
            !browser.get_with(API, &[("authorization", &other)]).got_through(),
            "{release}: another gateway's"
        );
        browser.advance(24 * 3600 + 60);
        assert!(
            !browser
                .get_with(API, &[("authorization", &format!("Bearer {token}"))])
                .got_through()
        );
    }
}

#[test]
fn requests_are_remembered_without_their_queries() {
    let mut browser = Browser::new(Release::Kubeflow1_11);
    browser.get("/oauth2/start?rd=%2Fsecret");
    browser.log_in();
    browser.get(API);
    let requests = browser.gateway.requests();
    let first = requests.first().unwrap();
    assert_eq!(
        (first.method.as_str(), first.path.as_str(), first.status),
        ("GET", "/oauth2/start", Some(302))
    );
    assert_eq!(
        requests.last().map(|last| (last.path.as_str(), last.status)),
        Some((API, None))
    );
}

#[test]
fn strange_requests_are_answered() {
    let strange = [
        "/%",
        "/%zz/%é",
        "//",
        "/dex/auth/%FF%00/login?state=%FF",
        "/dex/auth/a%2Fb?client_id=%",
        "/dex/auth?connector_id=%0A",
        "/oauth2/start?rd=/%0D%0ASet-Cookie:%20a=b",
        "/oauth2/start?rd=/ü%FF",
        "/oauth2/callback?state=:&code=",
        "/oauth2/callback?error=%0A<script>",
        "/oauth2/sign_out?rd=/%00",
        "/authservice/oidc/callback?code=%FF&state=%FF",
        "/dex/approval?hmac=%FF&req=",
        "/dex/callback?state=%FF",
        "/dex//",
        "/pipeline//x",
        "/kfam",
        "/?rd=%0A",
    ];
    for release in RELEASES {
        let mut browser = Browser::new(release);
        for url in strange {
            for method in [Method::GET, Method::POST, Method::HEAD, Method::OPTIONS, Method::PATCH] {
                let headers = [(
                    "cookie",
                    "=; a; oauth2_proxy_kubeflow=|1|; oauth2_proxy_kubeflow_csrf=|||;;",
                )];
                browser.request(
                    method,
                    url,
                    &headers,
                    &[("grant_type", "refresh_token"), ("login", "\u{0}")],
                );
            }
        }
        browser.log_in();
        assert!(browser.is_logged_in());
    }
}

#[test]
fn releases_have_names() {
    for release in RELEASES {
        assert_eq!(release.to_string().parse(), Ok(release));
    }
    let error: UnknownRelease = "2.0".parse::<Release>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown Kubeflow release \"2.0\": expected 1.6, 1.8, 1.9 or 1.11"
    );
}

#[test]
fn clocks_move_together() {
    let clock = Clock::fixed("2026-11-24T08:00:00Z".parse().unwrap());
    let other = clock.clone();
    clock.advance(std::time::Duration::from_secs(90));
    assert_eq!(other.now().to_string(), "2026-11-24T08:01:30Z");
    clock.advance(std::time::Duration::MAX);
    clock.advance(std::time::Duration::MAX);
    assert_eq!(clock.now(), jiff::Timestamp::MAX);
}
