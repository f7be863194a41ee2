//! Dex: expiry, approval, connectors, grants.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Method;

use super::{API, Browser, PASSWORD, RELEASES, USER};
use crate::testing::{Connector, Release};

#[test]
fn an_expired_request_shows_its_form_until_the_right_password() {
    for release in RELEASES {
        let mut browser = Browser::new(release);
        let form = browser.form();
        browser.advance(24 * 3600);
        assert_eq!(browser.get(form.url.as_str()).status(), 200);
        let wrong = browser.post(&form.action("password"), &[("login", USER), ("password", "wrong")]);
        assert_eq!(wrong.status(), 401);
        if release == Release::Kubeflow1_9 {
            continue; // the approval page comes first
        }
        let right = browser.post(&form.action("password"), &[("login", USER), ("password", PASSWORD)]);
        assert_eq!(right.status(), 400);
        assert!(right.body().contains("<p>User session has expired.</p>"));
        browser.advance(300);
        assert!(
            browser
                .get(form.url.as_str())
                .body()
                .contains("<p>Requested resource does not exist.</p>")
        );
    }
}

#[test]
fn codes_end_after_half_an_hour() {
    let mut browser = Browser::new(Release::Kubeflow1_8);
    let back = browser.callback_after(USER, PASSWORD);
    browser.advance(30 * 60);
    assert_eq!(browser.get(&back.location()).status(), 400, "the state ended before");
}

#[test]
fn approval_depends_on_the_release() {
    // Stock: only 1.9.0 asks, because its oauth2-proxy demands it.
    for release in RELEASES {
        let mut browser = Browser::new(release);
        let form = browser.form();
        let answer = browser.post(&form.action("password"), &[("login", USER), ("password", PASSWORD)]);
        assert_eq!(
            answer.location().contains("/dex/approval"),
            release == Release::Kubeflow1_9,
            "{release}"
        );
    }
    // If Dex is told to ask: 2.36 still does only on demand.
    for release in RELEASES {
        let mut browser = Browser::with(release, |builder| builder.skip_approval(false));
        let form = browser.form();
        let answer = browser.post(&form.action("password"), &[("login", USER), ("password", PASSWORD)]);
        assert_eq!(
            answer.location().contains("/dex/approval"),
            release != Release::Kubeflow1_8,
            "{release}"
        );
    }
}

#[test]
fn approval_needs_its_code_and_works_once() {
    let mut browser = Browser::new(Release::Kubeflow1_9);
    let form = browser.form();
    let answer = browser.post(&form.action("password"), &[("login", USER), ("password", PASSWORD)]);
    let page = browser.get(&answer.location());
    assert!(page.body().contains("View your email address"));
    let req = page
        .url
        .query_pairs()
        .find(|(name, _)| name == "req")
        .unwrap()
        .1
        .into_owned();
    let fields = [("req", req.as_str()), ("approval", "approve")];
    assert_eq!(browser.post("/dex/approval", &fields).status(), 401);
    assert_eq!(browser.post("/dex/approval?hmac=AAAA", &fields).status(), 401);
    let url = page.action("approval");
    assert!(
        browser
            .post(&url, &[("req", &req)])
            .body()
            .contains("<p>Approval rejected.</p>")
    );
    assert_eq!(browser.post(&url, &fields).status(), 303);
    let again = browser.post(&url, &fields);
    assert_eq!(again.status(), 500);
    assert!(again.body().contains("<p>Database error.</p>"));
}

#[test]
fn local_users_and_their_passwords() {
    let cases = [
        ("USER@Example.com", PASSWORD, 303),
        ("user@example.com ", PASSWORD, 401),
        (USER, "correct", 401),
        ("long@example.com", "72", 401),
    ];
    let long = "x".repeat(73);
    let mut browser = Browser::with(Release::Kubeflow1_11, |builder| {
        builder.user("long@example.com", long.as_str())
    });
    let form = browser.form();
    for (login, password, status) in cases {
        let password = if password == "72" { long.as_str() } else { password };
        let answer = browser.post(&form.action("password"), &[("login", login), ("password", password)]);
        assert_eq!(answer.status(), status, "{login}");
        if status == 303 {
            return assert_eq!(
                browser.post(&form.action("password"), &[("login", login)]).status(),
                400
            );
        }
    }
}

#[test]
fn several_connectors_are_offered_by_name() {
    let ldap = Connector::ldap("company/one", "Company LDAP")
        .prompt("Company user")
        .user("jane", "pw", "jane@example.org");
    let mut browser = Browser::with(Release::Kubeflow1_11, |builder| {
        builder.connector(Connector::local()).connector(ldap)
    });
    let answer = browser.get("/oauth2/start?rd=%2F");
    let chooser = browser.get(&answer.location());
    assert_eq!(chooser.status(), 200);
    let body = chooser.body();
    assert!(body.find("Company LDAP").unwrap() < body.find("Log in with Email").unwrap());
    assert!(body.contains("dex-btn-icon--ldap") && body.contains("profile&#43;email"));
    let link = format!("{}&connector_id=company%2Fone", answer.location());
    let answer = browser.get(&link);
    assert!(answer.location().contains("/dex/auth/company%2Fone?"));
    let form = browser.follow_to_form(answer);
    assert!(form.body().contains("Company user") && form.body().contains("Select another login method."));
    let wrong = browser.post(&form.action("password"), &[("login", "jane"), ("password", "")]);
    assert!(wrong.body().contains("Invalid Company user and password."));
    let other = form.action("password").replace("company%2Fone", "local");
    assert_eq!(
        browser
            .post(&other, &[("login", USER), ("password", PASSWORD)])
            .status(),
        500
    );
    let back = browser.post(&form.action("password"), &[("login", "jane"), ("password", "pw")]);
    browser.get(&back.location());
    assert!(browser.get(API).got_through());
    assert_eq!(
        browser.last_header("kubeflow-userid").as_deref(),
        Some("jane@example.org")
    );
}

#[test]
fn a_directory_in_trouble_is_an_error_page() {
    for release in RELEASES {
        for (directory, text) in [
            (
                Connector::ldap("ldap", "LDAP").user_without_email("jane", "pw"),
                "missing following required attribute(s)",
            ),
            (
                Connector::ldap("ldap", "LDAP")
                    .user("jane", "pw", "jane@example.org")
                    .unreachable(),
                "failed to connect",
            ),
        ] {
            let mut browser = Browser::with(release, |builder| builder.connector(directory));
            let form = browser.form();
            let answer = browser.post(&form.action("password"), &[("login", "jane"), ("password", "pw")]);
            // Dex's own errors reach the client, whatever becomes of the check's.
            assert_eq!(answer.status(), 500);
            let is_told = release != Release::Kubeflow1_11;
            assert_eq!(answer.body().contains(text), is_told, "{}", answer.body());
            assert!(answer.body().contains("Login error"));
        }
    }
}

#[test]
fn refresh_tokens_work_once_and_for_their_client() {
    let client = |builder: crate::testing::GatewayBuilder| builder.client("other", "", ["http://localhost/cb"]);
    let mut browser = Browser::with(Release::Kubeflow1_11, client);
    let tokens = browser.tokens("openid email offline_access");
    let first = tokens["refresh_token"].as_str().unwrap().to_owned();
    let basic = format!(
        "Basic {}",
        BASE64_STANDARD.encode("kubeflow-oidc-authservice:stock-client-secret")
    );
    let mut refresh = |token: &str| {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        browser.request(Method::POST, "/dex/token", &[("authorization", &basic)], &form)
    };
    let answer = refresh(&first);
    assert_eq!(answer.status(), 200);
    let second = answer.json()["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(refresh(&first).json()["error"], "invalid_request");
    assert_eq!(
        refresh("").json()["error_description"],
        "No refresh token is found in request."
    );
    let stolen = [
        ("grant_type", "refresh_token"),
        ("refresh_token", second.as_str()),
        ("client_id", "other"),
    ];
    assert_eq!(browser.post("/dex/token", &stolen).json()["error"], "invalid_grant");
}

#[test]
fn userinfo_needs_a_token() {
    let mut browser = Browser::new(Release::Kubeflow1_11);
    let tokens = browser.tokens("openid email");
    let value = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    assert_eq!(
        browser.get_with("/dex/userinfo", &[("authorization", &value)]).json()["email"],
        USER
    );
    let answer = browser.get("/dex/userinfo");
    assert_eq!(
        (answer.status(), answer.reply().header_text("www-authenticate")),
        (401, Some("Bearer"))
    );
}

#[test]
fn connector_ids_are_free_text() {
    for release in RELEASES {
        let mut browser = Browser::with(release, |builder| {
            builder.connector(Connector::local().with_id("a b/ü"))
        });
        browser.log_in();
        assert!(browser.is_logged_in(), "{release}");
    }
}
