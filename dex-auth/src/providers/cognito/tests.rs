use url::Url;

use super::*;
use crate::providers::built_in;

const LOGIN: &str = "https://corp.auth.eu-west-1.amazoncognito.com/login?client_id=c&redirect_uri=https%3A%2F%2Fa.test%2F\
                     cb&response_type=code&state=s";

fn page(url: &str, html: &str) -> Page {
    Page::parse(&Url::parse(LOGIN).unwrap().join(url).unwrap(), 200, html)
}

fn decide(url: &str, html: &str, progress: &Progress) -> Decision {
    let page = page(url, html);
    let known: Vec<_> = built_in()
        .iter()
        .filter_map(|handler| handler.handle(&page, progress))
        .filter(|decision| !decision.page.starts_with("unknown provider"))
        .collect();
    assert_eq!(known.len(), 1, "{known:?}");
    known.into_iter().next().unwrap()
}

fn refused(url: &str, html: &str, progress: &Progress) -> Error {
    decide(url, html, progress).outcome.unwrap_err()
}

fn form(csrf: &str) -> String {
    format!(
        "<form action='/login?client_id=c&amp;state=s' method=POST name=cognitoSignInForm class=cognito-asf>\
         <input type=hidden name=_csrf value='{csrf}'><input type=hidden name=cognitoAsfData value=''>\
         <input id=signInFormUsername class=inputField-customizable name=username>\
         <input id=signInFormPassword name=password type=password>\
         <input name=signInSubmitButton type=Submit value='Sign in'></form>"
    )
}

fn twice(form: &str) -> String {
    format!("<div class='visible-xs visible-sm'>{form}</div><div class='visible-md visible-lg'>{form}</div>")
}

fn button(name: &str, class: &str) -> String {
    format!(
        "<input type=button class='btn {class}' value='{name}' onclick=\"window.location.href='/oauth2/authorize?\
         identity_provider={name}&amp;client_id=c'\">"
    )
}

fn with_federated(name: &str) -> Progress {
    Progress {
        federated: Some(name.to_owned()),
        ..Progress::default()
    }
}

fn sent() -> Progress {
    Progress {
        password_sent: true,
        ..Progress::default()
    }
}

#[test]
fn the_form_that_stands_there_twice_is_filled_in_once() {
    let Ok(Action::Submit(filled)) = decide("", &twice(&form("t")), &Progress::default()).outcome else {
        panic!()
    };
    assert_eq!(
        filled.target.as_str(),
        "https://corp.auth.eu-west-1.amazoncognito.com/login?client_id=c&state=s"
    );
    assert_eq!(
        filled.fields,
        [
            ("_csrf".to_owned(), "t".into()),
            ("cognitoAsfData".to_owned(), "".into()),
            ("username".to_owned(), FieldValue::Username),
            ("password".to_owned(), FieldValue::Password),
            ("signInSubmitButton".to_owned(), "Sign in".into()),
        ]
    );
}

#[test]
fn forms_that_differ_are_no_choice_to_make() {
    let two = format!("{}{}", form("one"), form("two"));
    assert!(CognitoPages.handle(&page("", &two), &Progress::default()).is_none());
}

#[test]
fn the_password_is_not_for_the_form_beside_a_button() {
    let html = twice(&format!("{}{}", button("AzureAD", "idpButton-customizable"), form("t")));
    let Decision { outcome, notes, .. } = decide("", &html, &Progress::default());
    let Ok(Action::Follow(target)) = outcome else { panic!() };
    assert_eq!(
        target.as_str(),
        "https://corp.auth.eu-west-1.amazoncognito.com/oauth2/authorize?identity_provider=AzureAD&client_id=c"
    );
    // Back on the page after the other provider: it is not followed again.
    let again = Progress {
        notes: notes.into_iter().collect(),
        ..sent()
    };
    assert!(matches!(refused("", &html, &again), Error::LoginRefused { .. }));
    let own = Progress {
        own_users: true,
        ..Progress::default()
    };
    assert!(matches!(decide("", &html, &own).outcome, Ok(Action::Submit(_))));
}

#[test]
fn one_of_several_buttons_is_chosen_by_name() {
    let html = format!(
        "{}{}",
        button("AzureAD", "idpButton-customizable"),
        button("Google", "socialButton-customizable")
    );
    let Ok(Action::Follow(target)) = decide("", &html, &with_federated("google")).outcome else {
        panic!()
    };
    assert!(target.as_str().contains("identity_provider=Google"));
    let Error::FederationChoice { available, .. } = refused("", &html, &Progress::default()) else {
        panic!()
    };
    assert_eq!(available, ["AzureAD", "Google"]);
    assert!(matches!(
        refused("", &html, &with_federated("Okta")),
        Error::FederationChoice { .. }
    ));
}

#[test]
fn a_button_without_an_address_in_sight_leads_by_its_name() {
    let html = twice(
        "<input type=button class=idpButton-customizable value='Azure AD' onclick='go(this)'>\
         <button class=idpButton-customizable onclick=\"x('https:\\/\\/evil')\">?</button>",
    );
    let Ok(Action::Follow(target)) = decide("", &html, &Progress::default()).outcome else {
        panic!()
    };
    assert_eq!(target.path(), "/oauth2/authorize");
    assert!(target.query().unwrap().ends_with("&state=s&identity_provider=Azure+AD"));
}

#[test]
fn each_refusal_has_its_error() {
    let text = |text: &str| {
        format!(
            "<p id=loginErrorMessage class=errorMessage-customizable> {text} </p>{}",
            form("t")
        )
    };
    let error = |words: &str| refused("", &twice(&text(words)), &sent());
    assert!(matches!(
        error("Incorrect username or password."),
        Error::WrongPassword { .. }
    ));
    assert!(matches!(
        error("Nom ou mot de passe incorrect."),
        Error::WrongPassword { .. }
    ));
    assert!(matches!(error("User does not exist."), Error::UnknownUser { .. }));
    assert!(matches!(error("User is disabled."), Error::AccountDisabled { .. }));
    assert!(matches!(
        error("Password attempts exceeded"),
        Error::AccountLocked { .. }
    ));
    assert!(matches!(
        error("Temporary password has expired and must be reset by an administrator."),
        Error::PasswordChangeRequired { .. }
    ));
    assert!(matches!(error("User is not confirmed."), Error::ActionRequired { .. }));
    assert!(matches!(
        refused("", &twice(&form("t")), &sent()),
        Error::WrongPassword { .. }
    ));
}

#[test]
fn pages_that_need_a_person_say_for_what() {
    let html = "<div class='modal-body background-customizable'><form method=post><input name=x></form></div>";
    let error = |path: &str| refused(path, html, &sent());
    assert!(matches!(error("/mfa?client_id=c"), Error::SecondFactorRequired { .. }));
    assert!(matches!(
        error("/changePassword?client_id=c"),
        Error::PasswordChangeRequired { .. }
    ));
    for path in [
        "/forgotPassword",
        "/confirmforgotPassword",
        "/confirm",
        "/signup",
        "/passkeys/add",
    ] {
        assert!(matches!(error(path), Error::ActionRequired { .. }), "{path}");
    }
    // Paths that others use, too, without Cognito's marks.
    let other = Page::parse(
        &Url::parse("https://a.test/mfa").unwrap(),
        200,
        "<form><input name=x></form>",
    );
    assert!(CognitoPages.handle(&other, &sent()).is_none());
}

#[test]
fn the_error_page_tells_a_lost_state_from_a_wrong_setup() {
    let html = |text: &str| format!("<div class='modal-body background-customizable'><p>{text}</p></div>");
    let encountered = html("An error was encountered with the requested page.");
    let error = |url: &str, html: &str| refused(url, html, &Progress::default());
    assert!(matches!(error("/error", &encountered), Error::LoginStateLost { .. }));
    assert!(matches!(
        refused("/error", &encountered, &sent()),
        Error::LoginRefused { .. }
    ));
    assert!(matches!(
        error("/error?error=redirect_mismatch&client_id=c", &encountered),
        Error::Misconfigured { .. }
    ));
    for text in [
        "Login pages unavailable",
        "Login option is not available. Please try another one",
    ] {
        assert!(
            matches!(error("/error", &html(text)), Error::Misconfigured { .. }),
            "{text}"
        );
    }
}

#[test]
fn managed_login_needs_scripts_and_says_how_to_go_round_it() {
    let error = refused(
        "",
        "<title>Sign-in</title><div id=root></div><script src=x.js></script>",
        &Progress::default(),
    );
    let text = error.to_string();
    assert!(
        matches!(error, Error::ScriptRequired { .. }) && text.contains("authorize_parameter(\"identity_provider\""),
        "{text}"
    );
    assert!(!text.contains("client_id"), "{text}");
}

#[test]
fn an_earlier_login_is_gone_on_with() {
    let html = "<form action='/login?client_id=c' method=post class=cognito-asf><input type=hidden name=_csrf value=t>\
                <input type=submit name=signInSubmitButton value='Sign In as ada'></form>";
    let Ok(Action::Submit(form)) = decide("", html, &Progress::default()).outcome else {
        panic!()
    };
    assert_eq!(
        form.fields,
        [
            ("_csrf".to_owned(), "t".into()),
            ("signInSubmitButton".to_owned(), "Sign In as ada".into())
        ]
    );
}
