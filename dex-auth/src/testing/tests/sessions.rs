//! How sessions begin and end.

use http::Method;

use super::{API, Browser, PASSWORD, RELEASES, USER};
use crate::testing::{Connector, Gateway, Release};

#[test]
fn sessions_end_with_their_ttl() {
    for release in RELEASES {
        let mut browser = Browser::with(release, |builder| {
            builder.session_ttl(std::time::Duration::from_secs(100))
        });
        browser.log_in();
        browser.advance(99);
        assert!(browser.is_logged_in(), "{release}");
        browser.advance(1);
        assert!(!browser.is_logged_in(), "{release}");
    }
}

#[test]
fn all_sessions_can_be_ended_at_once() {
    for release in RELEASES {
        let mut browser = Browser::new(release);
        let form = browser.form();
        browser.log_in();
        browser.gateway.expire_sessions();
        assert!(!browser.is_logged_in(), "{release}");
        // A login that has begun is not disturbed.
        let answer = browser.post(&form.action("password"), &[("login", USER), ("password", PASSWORD)]);
        assert_eq!(answer.status(), 303, "{release}");
        browser.jar.clear();
        browser.log_in();
        assert!(browser.is_logged_in(), "{release}");
    }
}

#[test]
fn logins_and_attempts_are_counted() {
    let mut browser = Browser::new(Release::Kubeflow1_11);
    let form = browser.form();
    for password in ["wrong", "", PASSWORD] {
        browser.post(&form.action("password"), &[("login", USER), ("password", password)]);
    }
    assert_eq!((browser.gateway.logins(), browser.gateway.password_attempts()), (1, 3));
}

#[test]
fn a_copied_cookie_outlives_signing_out_of_oauth2_proxy_but_not_of_authservice() {
    for release in RELEASES {
        let mut browser = Browser::new(release);
        browser.log_in();
        let copy = browser.jar.clone();
        if release == Release::Kubeflow1_8 {
            let value = format!("Bearer {}", copy.get("authservice_session").unwrap());
            assert_eq!(
                browser.request(Method::POST, "/authservice/logout", &[], &[]).status(),
                401
            );
            let answer = browser.request(Method::POST, "/authservice/logout", &[("authorization", &value)], &[]);
            assert_eq!(
                (answer.status(), answer.body().as_str()),
                (201, r#"{"afterLogoutURL":"/"}"#)
            );
        } else {
            assert_eq!(browser.get("/oauth2/sign_out").status(), 302);
        }
        assert!(browser.jar.is_empty(), "{release}");
        browser.jar = copy;
        assert_eq!(browser.is_logged_in(), release != Release::Kubeflow1_8, "{release}");
    }
}

#[test]
fn authservice_takes_the_session_from_the_header_too() {
    let mut browser = Browser::new(Release::Kubeflow1_8);
    browser.log_in();
    let value = browser.jar.remove("authservice_session").unwrap();
    for header in [value.clone(), format!("Bearer {value}")] {
        assert!(browser.get_with(API, &[("authorization", &header)]).got_through());
    }
    assert!(
        !browser
            .get_with(API, &[("authorization", &format!("bearer {value}"))])
            .got_through()
    );
}

#[test]
fn the_state_cookie_of_oauth2_proxy_ends_after_a_quarter_of_an_hour() {
    for (seconds, status) in [(899, 302), (900, 403)] {
        let mut browser = Browser::new(Release::Kubeflow1_11);
        let back = browser.callback_after(USER, PASSWORD);
        browser.advance(seconds);
        assert_eq!(browser.get(&back.location()).status(), status);
    }
}

#[test]
fn large_sessions_are_split_into_cookies_that_are_all_needed() {
    for release in [Release::Kubeflow1_9, Release::Kubeflow1_11] {
        let groups = (0..220).map(|n| format!("kubeflow-namespace-contributors-{n:03}"));
        let ldap = Connector::ldap("ldap", "Company LDAP").user_in_groups("big", "pw", "big@example.org", groups);
        let mut browser = Browser::with(release, |builder| builder.connector(ldap));
        browser.log_in_as("big", "pw");
        assert!(browser.jar.len() > 1);
        assert!(
            browser
                .jar
                .keys()
                .all(|name| name.starts_with("oauth2_proxy_kubeflow_"))
        );
        assert!(browser.jar.iter().all(|(name, value)| name.len() + value.len() < 4000));
        assert!(browser.is_logged_in());
        assert!(
            browser
                .last_header("kubeflow-groups")
                .unwrap()
                .starts_with("WyJrdWJlZmxvdy")
        );
        let reversed: Vec<_> = browser
            .jar
            .iter()
            .rev()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert!(browser.get_with(API, &[("cookie", &reversed.join("; "))]).got_through());
        browser.jar.remove("oauth2_proxy_kubeflow_1");
        assert!(!browser.is_logged_in());
        // What was sent of it was cleared.
        assert!(!browser.jar.contains_key("oauth2_proxy_kubeflow_0"));
    }
}

#[test]
fn the_first_of_two_cookies_of_one_name_counts() {
    for (release, name) in [
        (Release::Kubeflow1_8, "authservice_session"),
        (Release::Kubeflow1_11, "oauth2_proxy_kubeflow"),
    ] {
        let mut browser = Browser::new(release);
        browser.log_in();
        let good = browser.jar.get(name).unwrap().clone();
        let first = format!("{name}={good}; {name}=garbage");
        assert!(browser.get_with(API, &[("cookie", &first)]).got_through());
        let second = format!("{name}=garbage; {name}={good}");
        assert!(!browser.get_with(API, &[("cookie", &second)]).got_through());
        assert!(
            browser
                .get_with(API, &[("cookie", &format!("{name}=\"{good}\""))])
                .got_through()
        );
    }
}

#[test]
fn cookies_of_another_gateway_are_worth_nothing() {
    for release in RELEASES {
        let mut first = Browser::new(release);
        first.log_in();
        let mut second = Browser::new(release);
        second.jar = first.jar.clone();
        assert!(!second.is_logged_in(), "{release}");
    }
}

#[test]
fn the_token_in_the_cookie_ends_a_minute_late() {
    let mut browser = Browser::with(Release::Kubeflow1_11, |builder| {
        builder.token_ttl(std::time::Duration::from_secs(10))
    });
    browser.log_in();
    browser.advance(69);
    assert!(browser.is_logged_in());
    browser.advance(1);
    let answer = browser.get(API);
    assert_eq!((answer.status(), answer.body().as_str()), (401, "Jwt is expired"));
    assert_eq!(browser.get("/oauth2/auth").status(), 202);
}

#[test]
fn a_restarted_dex_knows_no_former_key() {
    for release in [Release::Kubeflow1_9, Release::Kubeflow1_11] {
        let mut browser = Browser::new(release);
        browser.log_in();
        browser.gateway.restart_dex();
        let answer = browser.get(API);
        assert_eq!(answer.body(), "Jwks doesn't have key to match kid or alg from Jwt");
        assert_eq!(browser.get("/oauth2/auth").status(), 202);
        assert_eq!(
            answer.reply().header_text("www-authenticate"),
            Some(format!("Bearer realm=\"http://localhost{API}\", error=\"invalid_token\"").as_str())
        );
    }
}

#[test]
fn debug_shows_no_secret() {
    let builder = Gateway::builder()
        .user(USER, PASSWORD)
        .client_secret("hidden")
        .connector(Connector::ldap("ldap", "LDAP").user("jane", "hidden", "jane@example.org"));
    let shown = format!("{builder:?}");
    let shown = format!("{shown} {:?}", builder.build());
    assert!(!shown.contains("hidden") && !shown.contains(PASSWORD), "{shown}");
}
