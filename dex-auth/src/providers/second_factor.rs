//! What all providers have in common: one-time codes, asked for by a form with one field, and lost logins.

use crate::error::Error;
use crate::handler::{Action, FieldValue, Progress, Submission};
use crate::html::Form;
use crate::page::Page;

/// Fills the code into `field`, once in a login: a code that was refused is not followed by another.
pub(super) fn submit_code(page: &Page, form: &Form, field: &str, progress: &Progress) -> Result<Action, Error> {
    may_send_code(page, progress)?;
    Ok(Action::Submit(
        Submission::of(form)?.with(field, FieldValue::OneTimeCode),
    ))
}

/// The provider lost the state of the login. Where the password was sent already it may have counted, so the login is not
/// begun again with it.
pub(super) fn lost(page: &Page, progress: &Progress, message: String) -> Error {
    if progress.password_sent {
        Error::LoginRefused {
            status: page.status(),
            message: format!("{message}; the password was sent already, so the login was not begun again"),
        }
    } else {
        Error::LoginStateLost { message }
    }
}

pub(super) fn may_send_code(page: &Page, progress: &Progress) -> Result<(), Error> {
    if progress.code_sent {
        return Err(Error::SecondFactorRefused { origin: page.origin() });
    }
    if !progress.can_make_codes {
        return Err(Error::SecondFactorRequired {
            origin: page.origin(),
            methods: vec!["code of an authenticator app".to_owned()],
        });
    }
    Ok(())
}
