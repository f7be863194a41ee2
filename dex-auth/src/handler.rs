//! The seam for identity providers: a handler knows the pages of one and says what to do with them.

use std::fmt;

use url::Url;

use crate::error::Error;
use crate::html::{Form, FormMethod};
use crate::page::Page;

/// What to do with a page.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Action {
    /// Go there.
    Follow(Url),
    /// Send a form.
    Submit(Submission),
}

/// What a field of a submission holds.
///
/// Handlers name the credentials and never see them: they are filled in after the target's origin was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldValue {
    /// This text.
    Text(String),
    /// The user name of the session's credentials.
    Username,
    /// The password of the session's credentials.
    Password,
}

/// A form, filled in.
#[derive(Clone)]
pub struct Submission {
    target: Url,
    method: FormMethod,
    fields: Vec<(String, FieldValue)>,
}

impl Submission {
    /// The form with its hidden fields unchanged and nothing else.
    ///
    /// # Errors
    ///
    /// [`Error::UnsafeTarget`] when the form's action is no URL.
    pub fn of(form: &Form) -> Result<Self, Error> {
        let target = form.target.clone().ok_or_else(|| Error::UnsafeTarget {
            origin: "no URL".to_owned(),
            reason: crate::error::UnsafeReason::Scheme,
        })?;
        let hidden = form.fields.iter().filter(|field| field.kind == "hidden");
        let fields = hidden
            .map(|field| (field.name.clone(), FieldValue::Text(field.value.clone())))
            .collect();
        Ok(Self {
            target,
            method: form.method,
            fields,
        })
    }

    /// Sets a field, in place of the one of the same name if there is one.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: FieldValue) -> Self {
        let name = name.into();
        self.fields.retain(|(other, _)| *other != name);
        self.fields.push((name, value));
        self
    }

    pub(crate) fn into_parts(self) -> (Url, FormMethod, Vec<(String, FieldValue)>) {
        (self.target, self.method, self.fields)
    }
}

impl fmt::Debug for Submission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Hidden fields hold states and assertions.
        formatter
            .debug_struct("Submission")
            .field("target", &crate::origin::shown(&self.target))
            .field("method", &self.method)
            .field("fields", &self.fields.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .finish()
    }
}

/// What a handler may know of the login it takes part in.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Progress {
    /// The Dex connector that the session was built for.
    pub connector: Option<String>,
    /// True once the password was sent: the next password page is a refusal and must not be filled in again.
    pub password_sent: bool,
    /// The scopes that the gateway asked for, as far as they were seen.
    pub scopes: Vec<String>,
}

/// Knows the pages of one identity provider.
///
/// A login follows redirects by itself; at every HTML page that is no redirect it asks its handlers in turn, those
/// given to [`SessionBuilder::page_handler`](crate::SessionBuilder::page_handler) first, and does what the first one
/// that knows the page says. Handlers decide only; sending, cookies and all checks of safety stay with the login.
pub trait PageHandler: fmt::Debug + Send + Sync + 'static {
    /// `None` for a page of someone else; otherwise what to do, or why the login cannot go on.
    fn handle(&self, page: &Page, progress: &Progress) -> Option<Result<Action, Error>>;
}
