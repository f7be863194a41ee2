//! Pages of Keycloak that say something, and what a login page says beside its form.

use crate::error::{Error, one_line};
use crate::page::Page;

/// Marks of a refused user name or password: theme v1 has the first one, v2 the others. Empty elements of similar ids
/// (`input-error-container-…`) stand on each page of v2.
pub(super) const REFUSED: &str = "#input-error, #input-error-username, #input-error-password";

/// Marks of a refused one-time code: v1, v2, and Keycloak before 8.
pub(super) const REFUSED_CODE: &str = "#input-error-otp-code, #input-error-otp, #input-error-totp";

/// Text of the box above the form. Refused fields have texts of the same class, so the box counts too.
const ALERTS: &str = "[class*='alert'] .kc-feedback-text";

/// The text of the box above the form, if there is one.
pub(super) fn alert(page: &Page) -> Option<String> {
    page.text(ALERTS)
        .map(|text| one_line(&text))
        .filter(|text| !text.is_empty())
}

/// True for the answer to a form, which stands at the form's own address. What is shown after a redirect instead is
/// about the login as a whole: timed out, expired, to be confirmed.
pub(super) fn answers_a_form(page: &Page) -> bool {
    page.url().query_pairs().any(|(name, _)| name == "session_code")
}

/// The text of an error or information page.
fn text(page: &Page) -> String {
    let marked = page.text("#kc-error-message .instruction, #kc-info-message .instruction");
    let text = marked.or_else(|| page.text("p.instruction"));
    one_line(&text.unwrap_or_else(|| page.title().to_owned()))
}

pub(super) fn expired(page: &Page) -> Error {
    let said = alert(page).unwrap_or_else(|| "it shows the page again without saying why".to_owned());
    Error::LoginStateLost {
        message: format!("Keycloak: {said}"),
    }
}

pub(super) fn info(page: &Page) -> Error {
    match page.status() {
        // A login that was finished before, in another window or with the same response.
        400..=499 => Error::LoginStateLost { message: text(page) },
        status => Error::LoginRefused {
            status,
            message: text(page),
        },
    }
}

pub(super) fn error(page: &Page) -> Error {
    let message = text(page);
    match page.status() {
        status @ 500.. => Error::ProviderUnavailable { status, message },
        401 | 403 => Error::AccessDenied {
            origin: page.origin(),
            code: None,
            message,
        },
        // Where a login enters, Keycloak judges the request: the client, its redirect URI, the SAML message.
        400..=499 if page.url().path().contains("/protocol/") => Error::Misconfigured {
            origin: page.origin(),
            message,
        },
        // Inside a login it misses what it kept in cookies and memory.
        400..=499 => Error::LoginStateLost { message },
        status => Error::LoginRefused { status, message },
    }
}
