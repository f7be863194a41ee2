use std::time::Duration;

use jiff::Timestamp;

use super::super::entra::EntraId;
use super::super::visitor::{Seen, Visitor};
use super::super::{DEX_CLIENT, SamlProvider, SamlRequest, dex_callback};
use super::*;
use crate::testing::message::query;

const NAME: &str = "ada";
const PASSWORD: &str = "correct horse";

fn site(set_up: impl FnOnce(CognitoBuilder) -> CognitoBuilder) -> CognitoSite {
    let builder = Cognito::builder().user(NAME, PASSWORD, "ada@example.com");
    CognitoSite::new("http://cognito.test".to_owned(), set_up(builder))
}

fn visitor(site: &CognitoSite) -> Visitor<'_> {
    Visitor::new(site, &site.origin)
}

fn authorize(extra: &[(&str, &str)]) -> String {
    let callback = dex_callback();
    let mut pairs = vec![
        ("client_id", DEX_CLIENT),
        ("redirect_uri", callback.as_str()),
        ("response_type", "code"),
        ("scope", "openid email"),
        ("state", "s"),
    ];
    for (name, value) in extra {
        pairs.retain(|(known, _)| known != name);
        pairs.push((name, value));
    }
    format!("/oauth2/authorize?{}", query(pairs))
}

fn login_page(visitor: &mut Visitor<'_>) -> Seen {
    let to = visitor.get(&authorize(&[])).location();
    visitor.get(to.as_str())
}

fn log_in(visitor: &mut Visitor<'_>, page: &Seen, name: &str, password: &str) -> Seen {
    let form = page.page().forms()[0].clone();
    let fields = [
        ("_csrf", form.field("_csrf").unwrap().value.as_str()),
        ("username", name),
        ("password", password),
        ("cognitoAsfData", ""),
        ("signInSubmitButton", "Sign in"),
    ];
    visitor.post(form.target.as_ref().unwrap().as_str(), &fields)
}

fn redeemed(site: &CognitoSite, end: &Seen) -> Identity {
    let code = end.parameter("code").unwrap();
    let callback = dex_callback();
    let redemption = Redemption {
        client_id: DEX_CLIENT,
        code: &code,
        redirect_uri: &callback,
        code_verifier: None,
    };
    site.codes.redeem(&redemption).unwrap()
}

#[test]
fn the_page_shows_its_form_twice_and_takes_it_once() {
    let site = site(|builder| builder);
    let mut visitor = visitor(&site);
    let page = login_page(&mut visitor);
    let read = page.page();
    assert_eq!(read.forms().len(), 2);
    assert_eq!(read.forms()[0], read.forms()[1]);
    let token = &read.forms()[0].field("_csrf").unwrap().value;
    assert_eq!(visitor.jar.get("XSRF-TOKEN"), Some(token));
    let end = log_in(&mut visitor, &page, NAME, PASSWORD);
    assert_eq!(end.parameter("state").as_deref(), Some("s"));
    assert_eq!(redeemed(&site, &end).email, "ada@example.com");
    let again = log_in(&mut visitor, &page, NAME, PASSWORD);
    assert_eq!(again.location().path(), "/error");
    assert_eq!(site.attempts.load(Ordering::Relaxed), 1);
}

#[test]
fn only_the_newest_page_of_a_browser_works() {
    let site = site(|builder| builder);
    let mut visitor = visitor(&site);
    let old = login_page(&mut visitor);
    let new = login_page(&mut visitor);
    assert_eq!(log_in(&mut visitor, &old, NAME, PASSWORD).location().path(), "/error");
    let jar = std::mem::take(&mut visitor.jar);
    assert_eq!(log_in(&mut visitor, &new, NAME, PASSWORD).location().path(), "/error");
    visitor.jar = jar;
    assert!(log_in(&mut visitor, &new, NAME, PASSWORD).parameter("code").is_some());
    assert_eq!(visitor.get("/error?error=invalid_request").reply.status, 400);
}

#[test]
fn refusals_are_told_on_the_page() {
    let site = site(|builder| {
        builder
            .tells_unknown_users()
            .account(CognitoUser::new("off", PASSWORD, "off@example.com").disabled())
    });
    let mut visitor = visitor(&site);
    let mut page = login_page(&mut visitor);
    let mut told = |name: &str, password: &str| {
        page = log_in(&mut visitor, &page, name, password);
        page.page().text("#loginErrorMessage.errorMessage-customizable")
    };
    assert_eq!(told("nobody", "x").as_deref(), Some("User does not exist."));
    assert_eq!(told("off", PASSWORD).as_deref(), Some("User is disabled."));
    for _ in 0..WRONG_PASSWORDS {
        assert_eq!(told(NAME, "x").as_deref(), Some("Incorrect username or password."));
    }
    assert_eq!(told(NAME, PASSWORD).as_deref(), Some("Password attempts exceeded"));
}

#[test]
fn the_next_visit_within_the_hour_needs_no_password() {
    let clock = Clock::fixed(Timestamp::from_second(1_000_000).unwrap());
    let site = site(|builder| builder.clock(clock.clone()));
    let mut visitor = visitor(&site);
    let page = login_page(&mut visitor);
    log_in(&mut visitor, &page, NAME, PASSWORD);
    let again = login_page(&mut visitor);
    let form = again.page().forms()[0].clone();
    assert_eq!(form.field("signInSubmitButton").unwrap().value, "Sign In as ada");
    let token = &form.field("_csrf").unwrap().value;
    let end = visitor.post(form.target.as_ref().unwrap().as_str(), &[("_csrf", token)]);
    assert_eq!(redeemed(&site, &end).subject, NAME);
    clock.advance(Duration::from_secs(3600));
    assert!(login_page(&mut visitor).page().has("#signInFormPassword"));
}

#[test]
fn requests_of_strangers_end_on_the_error_page() {
    let site = site(|builder| builder);
    let mut visitor = visitor(&site);
    let mut error = |extra| visitor.get(&authorize(&[extra])).parameter("error").unwrap();
    assert_eq!(error(("client_id", "other")), "unauthorized_client");
    assert_eq!(error(("redirect_uri", "http://other.test/")), "redirect_mismatch");
    assert_eq!(error(("scope", "email")), "invalid_scope");
    assert!(error(("identity_provider", "Okta")).starts_with("Login option is not available"));
    let own = visitor.get(&authorize(&[("identity_provider", "COGNITO")]));
    assert_eq!(own.location().path(), "/login");
}

#[tokio::test]
async fn another_provider_answers_once_and_to_the_same_browser() {
    let entra = EntraId::builder().user("ada@corp.example", PASSWORD).start().await;
    let site = site(|builder| builder.federated("AzureAD", &entra));
    let identity = Identity {
        subject: "ada@corp.example".to_owned(),
        name: "ada".to_owned(),
        email: "ada@corp.example".to_owned(),
        groups: Vec::new(),
    };
    let mut visitor = visitor(&site);
    let begin = |visitor: &mut Visitor<'_>| {
        let away = visitor.get(&authorize(&[("identity_provider", "AzureAD")]));
        assert!(away.location().as_str().starts_with(&entra.sso_url()));
        let request = SamlRequest::read(&away.parameter("SAMLRequest").unwrap()).unwrap();
        (request, away.parameter("RelayState").unwrap())
    };
    let returned = |visitor: &mut Visitor<'_>, response: &str, relay_state: &str| {
        let fields = [("SAMLResponse", response), ("RelayState", relay_state)];
        visitor.post("/saml2/idpresponse", &fields)
    };
    let (request, relay_state) = begin(&mut visitor);
    let response = entra.saml().response(&request, &identity);
    let jar = std::mem::take(&mut visitor.jar);
    assert_eq!(
        returned(&mut visitor, &response, &relay_state).location().path(),
        "/error"
    );
    visitor.jar = jar;
    let end = returned(&mut visitor, &response, &relay_state);
    let user = redeemed(&site, &end);
    assert_eq!(
        (user.subject.as_str(), user.email.as_str()),
        ("AzureAD_ada@corp.example", "ada@corp.example")
    );
    assert_eq!(
        returned(&mut visitor, &response, &relay_state).location().path(),
        "/error"
    );

    let (request, relay_state) = begin(&mut visitor);
    let denied = returned(&mut visitor, &entra.saml().denial(&request), &relay_state);
    assert_eq!(denied.parameter("error").as_deref(), Some("server_error"));
    let (_, relay_state) = begin(&mut visitor);
    let other = returned(&mut visitor, &response, &relay_state);
    assert_eq!(other.parameter("error").as_deref(), Some("server_error"));
}
