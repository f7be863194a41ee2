use url::Url;

use super::*;
use crate::handler::FieldValue;

const ACTION: &str = "/realms/r/login-actions/authenticate?session_code=s&amp;execution=e&amp;tab_id=t";
/// Where an answer to that form stands.
const ANSWER: &str = "/realms/r/login-actions/authenticate?session_code=s&execution=e&tab_id=t";
/// Where a page stands that a redirect led to.
const REDIRECTED: &str = "/realms/r/login-actions/authenticate?execution=e&tab_id=t";

fn page(path: &str, status: u16, id: &str, inner: &str) -> Page {
    let attribute = if id.is_empty() {
        String::new()
    } else {
        format!(" data-page-id='{id}'")
    };
    let html = format!("<body{attribute}>{inner}</body>");
    Page::parse(
        &Url::parse("https://kc.test").unwrap().join(path).unwrap(),
        status,
        &html,
    )
}

fn decide(page: &Page, progress: &Progress) -> Decision {
    KeycloakPages.handle(page, progress).unwrap()
}

fn error(page: &Page, progress: &Progress) -> Error {
    decide(page, progress).outcome.unwrap_err()
}

fn submission(page: &Page, progress: &Progress) -> Vec<(String, FieldValue)> {
    let Ok(Action::Submit(form)) = decide(page, progress).outcome else {
        panic!()
    };
    form.fields
}

fn login(extra: &str) -> String {
    format!(
        "{extra}<form id=kc-form-login method=post action='{ACTION}'><input id=username name=username><div \
         id=input-error-container-username></div><input type=password name=password><input type=checkbox \
         name=rememberMe><input type=hidden name=credentialId><button name=login type=submit>In</button></form>"
    )
}

fn otp(extra: &str) -> String {
    format!("<form id=kc-otp-login-form method=post action='{ACTION}'>{extra}<input name=otp></form>")
}

const ALERT: &str = "<div class='pf-v5-c-alert pf-m-danger'><span class='pf-v5-c-alert__title kc-feedback-text'>Etwas \
                     ist geschehen.</span></div>";
const LINK: &str = "<a id='social-AzureAD' href='/realms/r/broker/AzureAD/login?tab_id=t'>Corp SAML</a>";

fn sent() -> Progress {
    Progress {
        username_sent: true,
        password_sent: true,
        ..Progress::default()
    }
}

fn with_codes() -> Progress {
    Progress {
        can_make_codes: true,
        ..sent()
    }
}

#[test]
fn the_login_form_is_filled_in_with_and_without_page_ids() {
    for id in ["login-login", ""] {
        let fields = submission(&page("/realms/r/x", 200, id, &login("")), &Progress::default());
        let wanted = [
            ("credentialId".to_owned(), "".into()),
            ("username".to_owned(), FieldValue::Username),
            ("password".to_owned(), FieldValue::Password),
        ];
        assert_eq!(fields, wanted, "{id}");
    }
}

#[test]
fn identity_first_takes_two_steps() {
    let first = "<form id=kc-form-login method=post><input name=username><input type=checkbox name=rememberMe></form>";
    for id in ["login-login-username", ""] {
        let first = page("/realms/r/x", 200, id, first);
        assert_eq!(
            submission(&first, &Progress::default()),
            [("username".to_owned(), FieldValue::Username)]
        );
        assert_eq!(decide(&first, &Progress::default()).page, "Keycloak: user name form");
    }
    let second = "<form id=kc-form-login method=post><input type=password name=password></form>";
    for id in ["login-login", "login-login-password"] {
        let second = page(ANSWER, 200, id, second);
        assert_eq!(
            submission(&second, &Progress::default()),
            [("password".to_owned(), FieldValue::Password)]
        );
    }
}

#[test]
fn a_user_name_that_is_refused_alone_is_unknown() {
    let html = "<form id=kc-form-login method=post><input name=username><i id=input-error-username>no</i></form>";
    let progress = Progress {
        username_sent: true,
        ..Progress::default()
    };
    let refused = page(ANSWER, 200, "login-login-username", html);
    assert!(matches!(error(&refused, &progress), Error::UnknownUser { .. }));
}

#[test]
fn refusals_are_told_by_ids_and_not_by_texts() {
    for id in ["input-error", "input-error-username", "input-error-password"] {
        let html = login(&format!("<span id={id} class=kc-feedback-text>Ungültig.</span>"));
        let refused = page(ANSWER, 200, "login-login", &html);
        assert!(matches!(error(&refused, &sent()), Error::WrongPassword { .. }), "{id}");
    }
    let disabled = page(ANSWER, 200, "login-login", &login(ALERT));
    assert!(matches!(error(&disabled, &sent()), Error::AccountDisabled { .. }));
    // Keycloak before 12 said it all in the box.
    let old = page(ANSWER, 200, "", &login(ALERT));
    assert!(matches!(error(&old, &sent()), Error::WrongPassword { .. }));
    // A theme that says nothing where it could be read: not to be tried again all the same.
    for id in ["login-login", ""] {
        let silent = page(ANSWER, 200, id, &login(""));
        assert!(matches!(error(&silent, &sent()), Error::WrongPassword { .. }), "{id}");
    }
}

#[test]
fn a_page_that_came_by_a_redirect_refuses_nothing() {
    let page = page(REDIRECTED, 200, "login-login", &login(ALERT));
    // Before the password was sent it is an ordinary form ...
    assert_eq!(submission(&page, &Progress::default()).len(), 3);
    // ... and after it the login is lost, not the account.
    let Error::LoginStateLost { message } = error(&page, &sent()) else {
        panic!()
    };
    assert_eq!(message, "Keycloak: Etwas ist geschehen.");
}

#[test]
fn codes_go_to_the_device_that_the_page_has_chosen() {
    let hidden = page(
        ANSWER,
        200,
        "login-login-otp",
        &otp("<input type=hidden name=selectedCredentialId value=a>"),
    );
    let radio = "<input type=radio name=selectedCredentialId value=b><input type=radio name=selectedCredentialId \
                 value=a checked>";
    let radio = page(ANSWER, 200, "login-login-otp", &otp(radio));
    for page in [hidden, radio] {
        let mut fields = submission(&page, &with_codes());
        fields.sort_by(|one, other| one.0.cmp(&other.0));
        let wanted = [
            ("otp".to_owned(), FieldValue::OneTimeCode),
            ("selectedCredentialId".to_owned(), "a".into()),
        ];
        assert_eq!(fields, wanted);
    }
    let old = "<form id=kc-totp-login-form method=post><input name=totp></form>";
    let fields = submission(&page(ANSWER, 200, "", old), &with_codes());
    assert_eq!(fields, [("totp".to_owned(), FieldValue::OneTimeCode)]);
}

#[test]
fn a_code_is_sent_once() {
    let progress = Progress {
        code_sent: true,
        ..with_codes()
    };
    let refused = page(ANSWER, 200, "login-login-otp", &otp("<i id=input-error-otp>no</i>"));
    assert!(matches!(error(&refused, &progress), Error::SecondFactorRefused { .. }));
    let expired = page(REDIRECTED, 200, "login-login-otp", &otp(ALERT));
    assert!(matches!(error(&expired, &progress), Error::LoginStateLost { .. }));
    let none = Progress::default();
    assert!(matches!(error(&expired, &none), Error::SecondFactorRequired { .. }));
}

#[test]
fn pages_for_a_person_end_the_login_each_with_its_error() {
    let of = |id: &str| error(&page(REDIRECTED, 200, id, ""), &sent());
    assert!(matches!(
        of("login-login-update-password"),
        Error::PasswordChangeRequired { .. }
    ));
    assert!(matches!(of("login-login-config-totp"), Error::EnrolmentRequired { .. }));
    assert!(matches!(
        of("login-webauthn-authenticate"),
        Error::SecondFactorRequired { .. }
    ));
    for id in [
        "login-terms",
        "login-login-update-profile",
        "login-login-verify-email",
        "login-idp-review-user-profile",
        "login-login-idp-link-confirm",
    ] {
        assert!(matches!(of(id), Error::ActionRequired { .. }), "{id}");
    }
    let html = "<div id=kc-oauth><ul><li>User roles</li><li>Email address</li></ul><form method=post></form></div>";
    for id in ["login-login-oauth-grant", ""] {
        let Error::ConsentRequired { message, .. } = error(&page(REDIRECTED, 200, id, html), &sent()) else {
            panic!()
        };
        assert_eq!(message, "User roles, Email address");
    }
}

#[test]
fn pages_without_ids_are_known_by_their_forms() {
    let of = |html: &str| error(&page(REDIRECTED, 200, "", html), &sent());
    assert!(matches!(
        of("<form id=kc-passwd-update-form>"),
        Error::PasswordChangeRequired { .. }
    ));
    assert!(matches!(
        of("<form id=kc-totp-settings-form>"),
        Error::EnrolmentRequired { .. }
    ));
    assert!(matches!(of("<form id=webauth>"), Error::SecondFactorRequired { .. }));
    assert!(matches!(
        of("<form id=kc-idp-review-profile-form>"),
        Error::ActionRequired { .. }
    ));
    // A login page that takes security keys as well holds their form besides its own.
    let both = login("<form id=webauth method=post><input type=hidden name=signature></form>");
    assert_eq!(
        submission(&page("/realms/r/x", 200, "", &both), &Progress::default()).len(),
        3
    );
}

#[test]
fn errors_are_told_apart_by_status_and_place() {
    let of = |path: &str, status: u16| {
        let html = "<div id=kc-error-message><p class=instruction>Es ging nicht.</p></div>";
        let decision = decide(&page(path, status, "login-error", html), &sent());
        assert!(!decision.is_step);
        decision.outcome.unwrap_err()
    };
    let request = of("/realms/r/protocol/openid-connect/auth?client_id=x", 400);
    let Error::Misconfigured { message, .. } = request else {
        panic!()
    };
    assert_eq!(message, "Es ging nicht.");
    assert!(matches!(
        of("/realms/r/protocol/saml", 400),
        Error::Misconfigured { .. }
    ));
    assert!(matches!(of(ANSWER, 400), Error::LoginStateLost { .. }));
    assert!(matches!(
        of("/realms/r/broker/x/endpoint", 400),
        Error::LoginStateLost { .. }
    ));
    assert!(matches!(of(ANSWER, 401), Error::AccessDenied { .. }));
    assert!(matches!(
        of(REDIRECTED, 500),
        Error::ProviderUnavailable { status: 500, .. }
    ));
}

#[test]
fn a_broker_leads_to_its_provider_and_keeps_its_own_form_empty() {
    let broker = page("/realms/r/x", 200, "login-login", &format!("{}{LINK}", login("")));
    for wanted in [None, Some("AzureAD"), Some("Corp SAML")] {
        let progress = Progress {
            federated: wanted.map(str::to_owned),
            ..Progress::default()
        };
        let Ok(Action::Follow(target)) = decide(&broker, &progress).outcome else {
            panic!("{wanted:?}")
        };
        assert_eq!(
            target.as_str(),
            "https://kc.test/realms/r/broker/AzureAD/login?tab_id=t"
        );
    }
    let other = Progress {
        federated: Some("Okta".to_owned()),
        ..Progress::default()
    };
    let Error::FederationChoice { available, .. } = error(&broker, &other) else {
        panic!()
    };
    assert_eq!(available, ["AzureAD"]);
    let own = Progress {
        own_users: true,
        ..Progress::default()
    };
    assert_eq!(submission(&broker, &own).len(), 3);
}

#[test]
fn a_broker_whose_provider_said_no_is_not_asked_again() {
    let html = format!("{}{LINK}", login(ALERT));
    let first = page("/realms/r/x", 200, "login-login", &html);
    let mut progress = Progress::default();
    progress.notes.extend(decide(&first, &progress).notes);
    let denied = page("/realms/r/broker/AzureAD/endpoint", 200, "login-login", &html);
    let Error::AccessDenied { message, .. } = error(&denied, &progress) else {
        panic!()
    };
    assert_eq!(message, "Etwas ist geschehen.");
    let expired = page(REDIRECTED, 200, "login-login", &html);
    assert!(matches!(error(&expired, &progress), Error::LoginStateLost { .. }));
    // Another realm of the same server has its own buttons.
    let other = page("/realms/other/x", 200, "login-login", &html);
    assert!(decide(&other, &progress).outcome.is_ok());
}

#[test]
fn pages_of_others_are_left_to_them() {
    for (id, html) in [
        (
            "login-saml-post-form",
            "<form method=post><input type=hidden name=SAMLResponse value=x></form>",
        ),
        ("dashboard", "<form id=kc-form-login></form>"),
        (
            "",
            "<form id=login method=post><input name=username><input type=password name=password></form>",
        ),
    ] {
        assert!(
            KeycloakPages
                .handle(&page("/x", 200, id, html), &Progress::default())
                .is_none(),
            "{id}"
        );
    }
}
