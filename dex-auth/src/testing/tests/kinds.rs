//! The kinds of gateways beside the stock ones, and the earliest stock one.

use http::Method;
use url::Url;

use super::{API, Answer, Browser, PASSWORD, USER};
use crate::testing::message::query;
use crate::testing::{DexVersion, GatewayKind, LoadBalancer, Release, UnauthenticatedAction};

fn balanced(shape: impl FnOnce(LoadBalancer) -> LoadBalancer) -> Browser {
    let balancer = shape(LoadBalancer::with_dex());
    Browser::with(Release::Kubeflow1_11, |builder| {
        builder.kind(GatewayKind::LoadBalancer(balancer))
    })
}

/// The answer of Dex that leads back to the load balancer.
fn back(browser: &mut Browser) -> Answer {
    let answer = browser.get("/pipeline/some/page?a=b");
    let form = browser.follow_to_form(answer);
    browser.post(&form.action("password"), &[("login", USER), ("password", PASSWORD)])
}

#[test]
fn a_load_balancer_sends_everyone_to_the_provider() {
    let mut browser = balanced(|balancer| balancer);
    for (method, path) in [(Method::GET, "/"), (Method::POST, API), (Method::GET, "/oauth2/start")] {
        let answer = browser.request(method, path, &[("authorization", "Bearer x")], &[]);
        assert_eq!(answer.status(), 302);
        let url = Url::parse(&answer.location()).unwrap();
        assert_eq!(url.path(), "/dex/auth");
        let redirect_uri = url.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap().1;
        assert_eq!(redirect_uri, "http://localhost/oauth2/idpresponse");
    }
}

#[test]
fn a_load_balancer_tells_who_it_is_and_nothing_forged() {
    let mut browser = balanced(|balancer| balancer);
    let callback = back(&mut browser);
    let answer = browser.get(&callback.location());
    assert_eq!(answer.location(), "http://localhost/pipeline/some/page?a=b");
    assert!(!browser.jar.contains_key("AWSALBAuthNonce"));
    let forged = [("x-amzn-oidc-identity", "admin"), ("kubeflow-userid", "admin")];
    assert!(browser.get_with(API, &forged).got_through());
    assert_eq!(browser.last_header("kubeflow-userid").as_deref(), Some(USER));
    assert_ne!(browser.last_header("x-amzn-oidc-identity").as_deref(), Some("admin"));
    assert_eq!(browser.last_header("x-amzn-oidc-data").unwrap().split('.').count(), 3);
    assert!(browser.last_header("x-amzn-oidc-accesstoken").is_some());
}

#[test]
fn all_shards_of_a_load_balancers_session_are_needed() {
    let mut browser = balanced(|balancer| balancer.shard_bytes(600));
    let callback = back(&mut browser);
    browser.get(&callback.location());
    assert!(browser.jar.len() >= 3, "{:?}", browser.jar.keys());
    assert!(browser.is_logged_in());
    for name in browser.jar.clone().into_keys() {
        let value = browser.jar.remove(&name).unwrap();
        assert!(!browser.is_logged_in(), "{name}");
        browser.jar.remove("AWSALBAuthNonce");
        browser.jar.insert(name, value);
    }
    browser.advance(7 * 24 * 3600 - 1);
    assert!(browser.is_logged_in());
    browser.advance(1);
    assert!(!browser.is_logged_in());
}

#[test]
fn a_load_balancer_refuses_what_it_did_not_begin() {
    let mut browser = balanced(|balancer| balancer);
    let callback = back(&mut browser).location();
    let jar = browser.jar.clone();
    let ask = |browser: &mut Browser, pairs: &[(&str, &str)]| {
        browser
            .get(&format!("/oauth2/idpresponse?{}", query(pairs.iter().copied())))
            .status()
    };
    assert_eq!(ask(&mut browser, &[("error", "access_denied")]), 401);
    assert_eq!(ask(&mut browser, &[("error", "server_error")]), 561);
    assert_eq!(ask(&mut browser, &[("code", "x"), ("state", "y")]), 401);
    browser.jar.clear();
    assert_eq!(browser.get(&callback).status(), 401, "without the nonce");
    browser.jar.clone_from(&jar);
    assert_eq!(browser.get(&callback).status(), 302);
    browser.jar.clone_from(&jar);
    assert_eq!(browser.get(&callback).status(), 401, "a code works once");
    let late = back(&mut browser);
    browser.advance(15 * 60);
    assert_eq!(browser.get(&late.location()).status(), 401);
}

#[test]
fn a_load_balancer_may_deny_or_allow() {
    let mut denying = balanced(|balancer| balancer.unauthenticated(UnauthenticatedAction::Deny));
    let answer = denying.get(API);
    assert_eq!(
        (answer.status(), answer.reply().header_text("server")),
        (401, Some("awselb/2.0"))
    );
    let mut allowing = balanced(|balancer| balancer.unauthenticated(UnauthenticatedAction::Allow));
    assert!(allowing.get_with(API, &[("kubeflow-userid", "admin")]).got_through());
    assert_eq!(allowing.last_header("kubeflow-userid"), None);
}

#[test]
fn tokens_alone() {
    let mut browser = Browser::with(Release::Kubeflow1_11, |builder| builder.kind(GatewayKind::BearerOnly));
    for path in ["/", API, "/oauth2/start"] {
        let answer = browser.get(path);
        assert_eq!(
            (answer.status(), answer.body().as_str()),
            (403, "RBAC: access denied"),
            "{path}"
        );
    }
    let token = format!("Bearer {}", browser.gateway.token(USER));
    assert!(browser.get_with(API, &[("authorization", &token)]).got_through());
    assert_eq!(browser.last_header("kubeflow-userid").as_deref(), Some(USER));
    assert_eq!(browser.get_with(API, &[("authorization", "Basic x")]).status(), 403);
    let answer = browser.get_with(API, &[("authorization", "Bearer x")]);
    assert!(answer.body().starts_with("Jwt is not in the form"));
    browser.advance(24 * 3600 + 60);
    assert_eq!(
        browser.get_with(API, &[("authorization", &token)]).body(),
        "Jwt is expired"
    );
    assert_eq!(browser.get("/dex/keys").status(), 200);
}

#[test]
fn the_first_authservice_keeps_its_state_to_itself() {
    let mut browser = Browser::new(Release::Kubeflow1_6);
    let start = browser.get(API);
    assert!(start.location().contains("redirect_uri=%2Flogin%2Foidc"));
    assert!(browser.jar.is_empty());
    for (query, status) in [("", 400), ("?code=x", 400), ("?code=x&state=y", 403)] {
        assert_eq!(browser.get(&format!("/login/oidc{query}")).status(), status, "{query}");
    }
    let form = browser.follow_to_form(start);
    let answer = browser.post(&form.action("password"), &[("login", USER), ("password", PASSWORD)]);
    let callback = browser.get(&answer.location());
    let answer = browser.get(&callback.location());
    assert_eq!(answer.location(), format!("{}{API}", super::BASE));
    assert!(browser.is_logged_in());
    let value = browser.jar.get("authservice_session").unwrap().clone();
    browser.jar.clear();
    assert!(browser.get_with(API, &[("x-auth-token", &value)]).got_through());
    assert!(!browser.get_with(API, &[("authorization", &value)]).got_through());
    browser.jar.insert("authservice_session".to_owned(), value.clone());
    let answer = browser.get("/logout");
    assert_eq!(
        (answer.status(), answer.location().as_str()),
        (303, "http://localhost/")
    );
    assert!(browser.jar.is_empty());
    assert!(!browser.get_with(API, &[("x-auth-token", &value)]).got_through());
}

#[test]
fn the_first_dex_begins_at_its_authorization_endpoint() {
    let mut browser = Browser::with(Release::Kubeflow1_6, |builder| builder.dex(DexVersion::V2_24));
    let start = browser.get("/");
    let answer = browser.get(&start.location());
    assert!(
        answer.location().contains("/dex/auth/local?req="),
        "{}",
        answer.location()
    );
    let form = browser.get(&answer.location());
    assert_eq!(form.action("password"), answer.location());
    let wrong = browser.post(&form.action("password"), &[("login", USER), ("password", "x")]);
    assert_eq!(wrong.status(), 200);
    assert!(wrong.body().contains("id=\"login-error\""));
    let gone = browser.get("/dex/auth/local?req=gone");
    assert!(gone.body().contains("Login session expired."));
    assert_eq!(browser.get("/dex/auth/local/login?state=x").status(), 404);
    assert_eq!(browser.get("/dex/device").status(), 404);
}
