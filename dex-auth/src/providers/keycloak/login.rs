//! The login form, in one step or in two.

use crate::error::Error;
use crate::handler::{Action, Decision, FieldValue, Progress, Submission};
use crate::html::{Form, FormMethod};
use crate::origin::shown;
use crate::page::Page;

use super::{federation, message};

pub(super) fn form(page: &Page, progress: &Progress, name: &'static str) -> Decision {
    federation::decide(page, progress, name).unwrap_or_else(|| Decision::step(name, fill_in(page, progress)))
}

fn fill_in(page: &Page, progress: &Progress) -> Result<Action, Error> {
    let form = page
        .only_form(|form| form.id == "kc-form-login")
        .or_else(|| page.only_form(is_login))
        .ok_or_else(|| unknown(page))?;
    let asks_password = form.field("password").is_some();
    if asks_password && progress.password_sent {
        return Err(refused(page));
    }
    let asks_username = form.field("username").is_some_and(|field| field.kind != "hidden");
    if asks_username && progress.username_sent && page.has(message::REFUSED) {
        return Err(Error::UnknownUser { origin: page.origin() });
    }
    let mut filled = Submission::of(form)?;
    if asks_username {
        filled = filled.with("username", FieldValue::Username);
    }
    if asks_password {
        filled = filled.with("password", FieldValue::Password);
    }
    Ok(Action::Submit(filled))
}

fn is_login(form: &Form) -> bool {
    form.method == FormMethod::Post && (form.field("username").is_some() || form.field("password").is_some())
}

/// The form that comes after the password was sent.
fn refused(page: &Page) -> Error {
    let origin = page.origin();
    if page.has(message::REFUSED) {
        return Error::WrongPassword { origin };
    }
    if !message::answers_a_form(page) {
        // The password was not looked at: the login had expired before.
        return message::expired(page);
    }
    match message::alert(page) {
        // Said in a box above the form, and only to one who knows the password.
        Some(_) if page.has("body[data-page-id]") => Error::AccountDisabled { origin },
        // Keycloak before 12 shows every refusal there, and a theme of a company's own may show it anywhere: a lost
        // login would be begun again, and a wrong password sent twice.
        _ => Error::WrongPassword { origin },
    }
}

pub(super) fn unknown(page: &Page) -> Error {
    Error::UnknownPage {
        url: shown(page.url()),
        status: page.status(),
        title: page.title().to_owned(),
        fields: page.field_names(),
    }
}
