//! One-time codes, as all providers ask for them: a form with one field.

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
