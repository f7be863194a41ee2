//! Pages of AD FS.
//!
//! A wrong password, an unknown user, a locked and a disabled account all look the same here: the login form again with
//! a sentence in the language of the page, so all of them are [`Error::WrongPassword`]. Only an expired password can be
//! told apart, by the link to the page that changes it.

use crate::error::{Error, one_line};
use crate::handler::{Action, Decision, FieldValue, PageHandler, Progress, Submission};
use crate::html::{Form, FormMethod};
use crate::page::Page;

use super::second_factor;

/// The value of `AuthMethod` that asks for user name and password.
const FORMS: &str = "FormsAuthentication";
/// Fields for the code of an authenticator app.
const CODES: [&str; 2] = ["OathCode", "VerificationCode"];
/// Where a new password is set.
const UPDATE_PASSWORD: &str = "/adfs/portal/updatepassword";

/// The login form, the pages for a second factor and the error page of AD FS.
#[derive(Debug)]
pub(crate) struct AdfsPages;

impl PageHandler for AdfsPages {
    fn handle(&self, page: &Page, progress: &Progress) -> Option<Decision> {
        if changes_password(page.url().path()) {
            return Some(Decision::failure(
                "AD FS: change of the password",
                Error::PasswordChangeRequired { origin: page.origin() },
            ));
        }
        // The page holds a second form, `options`, with the same fields: it chooses another way to log in.
        let Some(form) = page.only_form(is_login_form) else {
            return error_page(page);
        };
        if form.field("Password").is_some_and(|field| field.kind == "password") && form.field("UserName").is_some() {
            return Some(Decision::step("AD FS: login form", password(page, form, progress)));
        }
        let (name, outcome) = second_factor(page, form, progress);
        Some(Decision::step(name, outcome))
    }
}

fn is_login_form(form: &Form) -> bool {
    form.id == "loginForm" && form.method == FormMethod::Post && form.field("AuthMethod").is_some()
}

fn changes_password(path: &str) -> bool {
    path.to_ascii_lowercase()
        .trim_end_matches('/')
        .ends_with(UPDATE_PASSWORD)
}

fn password(page: &Page, form: &Form, progress: &Progress) -> Result<Action, Error> {
    if progress.password_sent {
        // The text is in the language of the page; where it leads is not.
        let link = page
            .attribute("#errorText a[href]", "href")
            .and_then(|href| page.join(&href));
        return Err(if link.is_some_and(|link| changes_password(link.path())) {
            Error::PasswordChangeRequired { origin: page.origin() }
        } else {
            // Also without a text: a themed page may show it elsewhere, and a second try could lock the account.
            Error::WrongPassword { origin: page.origin() }
        });
    }
    Ok(Action::Submit(
        Submission::of(form)?
            .with("UserName", FieldValue::Username)
            .with("Password", FieldValue::Password)
            .with("AuthMethod", FORMS),
    ))
}

fn second_factor(page: &Page, form: &Form, progress: &Progress) -> (&'static str, Result<Action, Error>) {
    let required = |method: String| {
        Err(Error::SecondFactorRequired {
            origin: page.origin(),
            methods: vec![method],
        })
    };
    if let Some(field) = CODES.into_iter().find(|name| form.field(name).is_some()) {
        let outcome = second_factor::submit_code(page, form, field, progress).map(|action| pressed(form, action));
        return ("AD FS: one-time code form", outcome);
    }
    if form.field("ChallengeQuestionAnswer").is_some() {
        return (
            "AD FS: challenge question",
            required("answer to a challenge question".to_owned()),
        );
    }
    let method = form.field("AuthMethod").map_or("", |field| field.value.as_str());
    let asked = match method {
        _ if method.starts_with("AzureMfa") => "approval in the Microsoft Authenticator app".to_owned(),
        _ if method.starts_with("VIPAuthenticationProvider") || form.field("security_code").is_some() => {
            "Symantec VIP security code".to_owned()
        }
        _ if method.starts_with("Certificate") => "certificate".to_owned(),
        _ => one_line(method),
    };
    ("AD FS: second factor", required(asked))
}

/// With the one button that has a name, as a browser sends it.
fn pressed(form: &Form, action: Action) -> Action {
    let mut buttons = form.fields.iter().filter(|field| field.kind == "submit");
    match (action, buttons.next(), buttons.next()) {
        (Action::Submit(filled), Some(button), None) => {
            Action::Submit(filled.with(&button.name, button.value.as_str()))
        }
        (action, _, _) => action,
    }
}

/// Shown for a relying party that AD FS does not know and the like, with a text and a number for its administrator.
fn error_page(page: &Page) -> Option<Decision> {
    if !page.has("#errorArea #errorMessage") {
        return None;
    }
    let message = page.text("#errorArea #errorMessage").unwrap_or_default();
    Some(Decision::failure(
        "AD FS: error page",
        Error::LoginRefused {
            status: page.status(),
            message: one_line(&message),
        },
    ))
}

#[cfg(test)]
mod tests;
