use serde_json::json;

use super::*;

const WIDGET: &str = "<div id='okta-login-container'></div><script>var signIn = new OktaSignIn({});</script>";

fn at(path: &str) -> Url {
    Url::parse("https://acme.okta.test").unwrap().join(path).unwrap()
}

fn html(path: &str, html: &str) -> Page {
    Page::parse(&at(path), 200, html)
}

fn json(path: &str, status: u16, value: Value) -> Page {
    Page::of_json(&at(path), status, value)
}

fn outcome(page: &Page, progress: &Progress) -> Result<Action, Error> {
    OktaPages.handle(page, progress).unwrap().outcome
}

fn state(value: Value) -> Result<Action, Error> {
    outcome(&json(AUTHN, 200, value), &sent())
}

fn sent() -> Progress {
    Progress {
        password_sent: true,
        ..Progress::default()
    }
}

fn factor(kind: &str) -> Value {
    json!({"factorType": kind, "_links": {"verify": {"href": format!("https://acme.okta.test/api/v1/authn/factors/{kind}/verify")}}})
}

fn mfa(factors: &[&str]) -> Value {
    let factors: Vec<_> = factors.iter().map(|kind| factor(kind)).collect();
    json!({"status": "MFA_REQUIRED", "stateToken": "st", "_embedded": {"factors": factors}})
}

#[test]
fn the_page_is_answered_through_its_api_and_remembers_the_way_back() {
    for (path, back) in [
        (
            "/oauth2/v1/authorize?state=s",
            "https://acme.okta.test/oauth2/v1/authorize?state=s",
        ),
        (
            "/login/login.htm?fromURI=%2Foauth2%2Fv1%2Fauthorize%2Fredirect%3Fokta_key%3Dk",
            "https://acme.okta.test/oauth2/v1/authorize/redirect?okta_key=k",
        ),
        (
            "/login/login.htm?fromURI=https%3A%2F%2Fevil.test%2F",
            "https://acme.okta.test/login/login.htm?fromURI=https%3A%2F%2Fevil.test%2F",
        ),
    ] {
        let decision = OktaPages.handle(&html(path, WIDGET), &Progress::default()).unwrap();
        assert_eq!(decision.notes, [(BACK.to_owned(), back.to_owned())]);
        let Ok(Action::Call(call)) = decision.outcome else {
            panic!()
        };
        assert_eq!(call.target, at(AUTHN));
        assert_eq!(
            call.fields,
            [
                ("username".to_owned(), FieldValue::Username),
                ("password".to_owned(), FieldValue::Password)
            ]
        );
    }
    assert!(matches!(
        outcome(&html("/", WIDGET), &sent()),
        Err(Error::ScriptRequired { .. })
    ));
}

#[test]
fn the_session_token_leads_back() {
    let mut progress = sent();
    progress
        .notes
        .insert(BACK.to_owned(), "https://acme.okta.test/a?b=c&d".to_owned());
    let page = json(AUTHN, 200, json!({"status": "SUCCESS", "sessionToken": "t+/"}));
    let Ok(Action::Follow(target)) = outcome(&page, &progress) else {
        panic!()
    };
    assert_eq!(
        target.as_str(),
        "https://acme.okta.test/login/sessionCookieRedirect?checkAccountSetupComplete=true&token=t%2B%2F&redirectUrl=\
         https%3A%2F%2Facme.okta.test%2Fa%3Fb%3Dc%26d"
    );
    for value in [json!({"status": "SUCCESS"}), json!({}), json!([])] {
        assert!(matches!(state(value), Err(Error::ScriptRequired { .. })));
    }
}

#[test]
fn each_state_has_its_error() {
    assert!(matches!(
        state(json!({"status": "LOCKED_OUT"})),
        Err(Error::AccountLocked { .. })
    ));
    assert!(matches!(
        state(json!({"status": "PASSWORD_EXPIRED"})),
        Err(Error::PasswordChangeRequired { .. })
    ));
    assert!(matches!(
        state(json!({"status": "PASSWORD_WARN"})),
        Err(Error::PasswordChangeRequired { .. })
    ));
    assert!(matches!(
        state(json!({"status": "MFA_ENROLL"})),
        Err(Error::EnrolmentRequired { .. })
    ));
    assert!(matches!(
        state(json!({"status": "RECOVERY"})),
        Err(Error::ActionRequired { .. })
    ));
    let warned =
        json!({"status": "PASSWORD_WARN", "stateToken": "st", "_links": {"skip": {"href": "/api/v1/authn/skip"}}});
    let Ok(Action::Call(call)) = state(warned) else {
        panic!()
    };
    assert_eq!(
        (call.target, call.body["stateToken"].as_str()),
        (at("/api/v1/authn/skip"), Some("st"))
    );
}

#[test]
fn each_code_has_its_error() {
    let fails = |status, code: &str| {
        let value = json!({"errorCode": code, "errorSummary": "text"});
        outcome(&json(AUTHN, status, value), &sent()).unwrap_err()
    };
    assert!(matches!(fails(401, "E0000004"), Error::WrongPassword { .. }));
    assert!(matches!(fails(403, "E0000119"), Error::AccountLocked { .. }));
    // The password was taken: to begin anew would send it again.
    assert!(matches!(fails(401, "E0000011"), Error::LoginRefused { .. }));
    let busy = fails(429, "E0000047");
    assert!(busy.is_retryable() && matches!(busy, Error::ProviderUnavailable { status: 429, .. }));
    assert!(matches!(fails(403, "E0000022"), Error::ScriptRequired { .. }));
    assert!(matches!(
        fails(401, "E0000999"),
        Error::LoginRefused { status: 401, .. }
    ));
    let wrong_code = json("/api/v1/authn/factors/f/verify", 403, json!({"errorCode": "E0000068"}));
    assert!(matches!(
        outcome(&wrong_code, &sent()),
        Err(Error::SecondFactorRefused { .. })
    ));
}

#[test]
fn a_code_goes_to_the_factor_that_takes_one() {
    let codes = Progress {
        can_make_codes: true,
        ..sent()
    };
    let Ok(Action::Call(call)) = outcome(&json(AUTHN, 200, mfa(&["push", TOTP])), &codes) else {
        panic!()
    };
    assert_eq!(call.target, at("/api/v1/authn/factors/token:software:totp/verify"));
    assert_eq!(call.fields, [("passCode".to_owned(), FieldValue::OneTimeCode)]);
    assert_eq!(call.body["stateToken"], "st");

    for (value, progress) in [(mfa(&["push", "sms"]), &codes), (mfa(&["push", "sms"]), &sent())] {
        let Err(Error::SecondFactorRequired { methods, .. }) = outcome(&json(AUTHN, 200, value), progress) else {
            panic!()
        };
        assert_eq!(methods, ["approval in the Okta Verify app", "code by text message"]);
    }
}

#[test]
fn links_of_the_api_that_lead_elsewhere_are_refused() {
    let codes = Progress {
        can_make_codes: true,
        ..sent()
    };
    let mut value = mfa(&[TOTP]);
    value["_embedded"]["factors"][0]["_links"]["verify"]["href"] = json!("https://evil.test/verify");
    let error = outcome(&json(AUTHN, 200, value), &codes).unwrap_err();
    assert!(
        matches!(
            error,
            Error::UnsafeTarget {
                reason: UnsafeReason::OtherOrigin,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn the_classic_form_is_filled_in_once() {
    let page = html(
        "/login/default",
        "<form method=post action='/login/do-login'><input type=hidden name=_xsrfToken value=x><input name=username>\
         <input name=password type=password></form><script>var oktaData = {};</script>",
    );
    let Ok(Action::Submit(form)) = outcome(&page, &Progress::default()) else {
        panic!()
    };
    assert_eq!(form.fields.len(), 3);
    assert!(matches!(outcome(&page, &sent()), Err(Error::WrongPassword { .. })));
}

#[test]
fn other_pages_are_left_to_others() {
    let form = "<form method=post action='/login'><input name=username><input name=password type=password></form>";
    assert!(OktaPages.handle(&html("/", form), &Progress::default()).is_none());
    assert!(
        OktaPages
            .handle(&json("/api/v1/authnx", 200, json!({})), &Progress::default())
            .is_none()
    );
}
