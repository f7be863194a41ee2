//! Pages of Amazon Cognito's hosted UI: the classic one, and the managed login that only scripts can use.
//!
//! The host may be a domain of the customer's own, so pages are known by the classes that Cognito lets customers style,
//! and by its paths.

mod buttons;

use crate::error::{Error, one_line};
use crate::handler::{Action, Decision, FieldValue, PageHandler, Progress, Submission};
use crate::html::{Form, FormMethod};
use crate::origin::shown;
use crate::page::Page;

use super::second_factor::lost;

/// Set once a button was followed: the page coming back then means that the other provider's answer was not accepted.
const HANDED_ON: &str = "Cognito: handed on";

/// Sign-in, error and account pages.
#[derive(Debug)]
pub(crate) struct CognitoPages;

impl PageHandler for CognitoPages {
    fn handle(&self, page: &Page, progress: &Progress) -> Option<Decision> {
        if page.json().is_some() {
            return None;
        }
        if is_marked(page)
            && let Some(decision) = other_page(page, progress)
        {
            return Some(decision);
        }
        login_page(page, progress)
    }
}

fn is_marked(page: &Page) -> bool {
    let host = page.url().host_str().unwrap_or_default();
    host.ends_with(".amazoncognito.com") || page.has("[class*='-customizable']")
}

/// Pages that only the user can go on from, by their paths.
fn other_page(page: &Page, progress: &Progress) -> Option<Decision> {
    let origin = page.origin();
    let person = |name: &'static str, action: &str| {
        let action = action.to_owned();
        let origin = page.origin();
        Decision::step(name, Err(Error::ActionRequired { origin, action }))
    };
    let path = page.url().path().to_ascii_lowercase();
    Some(match path.trim_end_matches('/') {
        "/error" => Decision::failure("Cognito: error page", failure(page, progress)),
        "/mfa" => Decision::step(
            "Cognito: second factor",
            Err(Error::SecondFactorRequired {
                origin,
                methods: vec!["code of Cognito's own second factor, which is not filled in".to_owned()],
            }),
        ),
        "/changepassword" => Decision::step("Cognito: new password", Err(Error::PasswordChangeRequired { origin })),
        "/forgotpassword" | "/confirmforgotpassword" => person("Cognito: forgotten password", "reset the password"),
        "/confirm" | "/confirmuser" => person("Cognito: confirmation", "confirm the account"),
        "/signup" => person("Cognito: sign-up", "sign up"),
        "/passkeys/add" => person("Cognito: passkey", "add a passkey or put it off"),
        _ => return None,
    })
}

fn login_page(page: &Page, progress: &Progress) -> Option<Decision> {
    const NAME: &str = "Cognito: sign-in page";
    let forms: Vec<_> = page.forms().iter().filter(|form| is_sign_in(form)).collect();
    let offered = buttons::offered(page);
    if forms.is_empty() && offered.is_empty() {
        return signed_in_before(page).or_else(|| managed_login(page));
    }
    if offered.is_empty() && !page.has("form[name='cognitoSignInForm'], form.cognito-asf, #signInFormUsername") {
        return None;
    }
    if progress.note(HANDED_ON).is_some() {
        let message = refusal_text(page).unwrap_or_else(|| "Cognito shows its sign-in page again".to_owned());
        let status = page.status();
        return Some(Decision::step(
            NAME,
            Err(Error::LoginRefused {
                status,
                message: one_line(&format!("the other provider's answer was not accepted: {message}")),
            }),
        ));
    }
    if progress.password_sent {
        return Some(Decision::step(NAME, Err(refusal(page))));
    }
    match progress.choose_federated(&page.origin(), &offered) {
        Err(error) => Some(Decision::step(NAME, Err(error))),
        Ok(Some(target)) => Some(Decision::step(NAME, Ok(Action::Follow(target))).note(HANDED_ON, "yes")),
        // The form stands there twice, for wide and narrow screens; forms that differ are no copies.
        Ok(None) => match forms.split_first() {
            Some((form, copies)) if copies.iter().all(|copy| copy == form) => Some(Decision::step(NAME, fill_in(form))),
            _ => None,
        },
    }
}

fn is_sign_in(form: &Form) -> bool {
    form.method == FormMethod::Post
        && form.field("username").is_some()
        && form.field("password").is_some_and(|field| field.kind == "password")
}

fn fill_in(form: &Form) -> Result<Action, Error> {
    let mut filled = Submission::of(form)?
        .with("username", FieldValue::Username)
        .with("password", FieldValue::Password);
    // The fingerprint of a browser; empty is accepted.
    if form.field("cognitoAsfData").is_none() {
        filled = filled.with("cognitoAsfData", "");
    }
    Ok(Action::Submit(pressed(form, filled)))
}

fn pressed(form: &Form, filled: Submission) -> Submission {
    match form.field("signInSubmitButton") {
        Some(button) => filled.with(&button.name, button.value.as_str()),
        None => filled,
    }
}

/// `Sign In as <user>`: the cookie of an earlier login is there, and one button goes on with it.
fn signed_in_before(page: &Page) -> Option<Decision> {
    let form = page.only_form(|form| {
        form.method == FormMethod::Post
            && form.field("_csrf").is_some()
            && form.field("signInSubmitButton").is_some()
            && !form.fields.iter().any(|field| field.kind == "password")
    })?;
    let outcome = Submission::of(form).map(|filled| Action::Submit(pressed(form, filled)));
    Some(Decision::step("Cognito: signed in before", outcome))
}

/// The page of the new UI is an empty shell at the same path, with the client's request in its address.
fn managed_login(page: &Page) -> Option<Decision> {
    let has = |name: &str| page.url().query_pairs().any(|(key, _)| key == name);
    let is_its_path = page.url().path() == "/login" && has("client_id") && has("redirect_uri") && has("response_type");
    if !is_its_path || !page.has("script") || page.forms().iter().any(|form| !form.fields.is_empty()) {
        return None;
    }
    let error = Error::ScriptRequired {
        url: shown(page.url()),
        page:
            "Cognito: managed login, which IdentityProvider::authorize_parameter(\"identity_provider\", …) skips for \
               users of another provider"
                .to_owned(),
    };
    Some(Decision::step("Cognito: managed login", Err(error)))
}

fn refusal_text(page: &Page) -> Option<String> {
    page.texts(".errorMessage-customizable, #loginErrorMessage")
        .into_iter()
        .next()
        .map(|text| one_line(&text))
}

/// The form came back. AWS says that its texts are not fixed, so whatever is not known is a refused password: that one is
/// never tried again.
fn refusal(page: &Page) -> Error {
    let origin = page.origin();
    let text = refusal_text(page).unwrap_or_default().to_lowercase();
    let says = |words: &str| text.contains(words);
    if says("user does not exist") {
        Error::UnknownUser { origin }
    } else if says("disabled") {
        Error::AccountDisabled { origin }
    } else if says("attempts exceeded") || says("attempt limit exceeded") {
        Error::AccountLocked { origin }
    } else if says("expired") || says("reset required") {
        Error::PasswordChangeRequired { origin }
    } else if says("not confirmed") {
        Error::ActionRequired {
            origin,
            action: "confirm the account".to_owned(),
        }
    } else {
        Error::WrongPassword { origin }
    }
}

fn failure(page: &Page, progress: &Progress) -> Error {
    /// Values of the parameter `error`, or texts, that no second try repairs.
    const MISCONFIGURED: [&str; 7] = [
        "redirect_mismatch",
        "unauthorized_client",
        "invalid_client",
        "invalid_scope",
        "unsupported_response_type",
        "Login pages unavailable",
        "Login option is not available",
    ];
    let code = page
        .url()
        .query_pairs()
        .find_map(|(name, value)| (name == "error").then(|| value.into_owned()))
        .unwrap_or_default();
    let text = refusal_text(page)
        .or_else(|| page.text(".modal-body"))
        .or_else(|| page.text("body"))
        .unwrap_or_default();
    let message = one_line(&format!("{text} {code}"));
    if MISCONFIGURED.iter().any(|known| message.contains(known)) {
        let origin = page.origin();
        Error::Misconfigured { origin, message }
    } else {
        // A lost token, or a page that was not the newest one.
        lost(page, progress, message)
    }
}

#[cfg(test)]
mod tests;
