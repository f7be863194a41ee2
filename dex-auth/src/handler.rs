//! The seam for identity providers: a handler knows the pages of one and says what to do with them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use url::Url;

use crate::error::{Error, UnsafeReason};
use crate::html::{Form, FormMethod};
use crate::page::Page;

/// Knows the pages of one identity provider.
///
/// A login follows redirects by itself; at every page that is no redirect it asks its handlers in turn, those given to
/// [`SessionBuilder::page_handler`](crate::SessionBuilder::page_handler) first, and does what the first one that knows
/// the page says. Handlers decide only; sending, cookies, credentials and all checks of safety stay with the login: a
/// form with the password in it is sent to origins that were
/// [named](crate::SessionBuilder::identity_provider) and nowhere else, whatever a handler wants.
///
/// A provider of your own:
///
/// ```
/// use dex_auth::{Action, Decision, Error, FieldValue, Page, PageHandler, Progress, Submission};
///
/// #[derive(Debug)]
/// struct Acme;
///
/// impl PageHandler for Acme {
///     fn handle(&self, page: &Page, progress: &Progress) -> Option<Decision> {
///         let form = page.only_form(|form| form.id == "acme-login")?;
///         if progress.password_sent {
///             return Some(Decision::failure("login form", Error::WrongPassword { origin: page.origin() }));
///         }
///         Some(Decision::step("login form", Submission::of(form).map(|form| {
///             Action::Submit(form.with("user", FieldValue::Username).with("pass", FieldValue::Password))
///         })))
///     }
/// }
///
/// # fn builder() -> Result<(), Error> {
/// use dex_auth::{Credentials, IdentityProvider, Session};
///
/// let session = Session::builder("https://kubeflow.example.com")?
///     .credentials(Credentials::new("ada@example.com", "correct horse"))
///     .identity_provider(IdentityProvider::at("https://login.acme.example")?)
///     .page_handler(Acme)
///     .build()?;
/// # Ok(()) }
/// ```
pub trait PageHandler: fmt::Debug + Send + Sync + 'static {
    /// `None` for a page of someone else.
    fn handle(&self, page: &Page, progress: &Progress) -> Option<Decision>;
}

/// What a handler makes of a page that it knows.
pub struct Decision {
    pub(crate) page: Cow<'static, str>,
    pub(crate) outcome: Result<Action, Error>,
    pub(crate) is_step: bool,
    pub(crate) notes: Vec<(String, String)>,
}

impl Decision {
    /// A page on the way of a login, and how to go on from it. `page` names it in explanations, such as
    /// `Keycloak: login form`; an error says why the login cannot go on although the page is one of a login.
    pub fn step(page: impl Into<Cow<'static, str>>, outcome: Result<Action, Error>) -> Self {
        Self {
            page: page.into(),
            outcome,
            is_step: true,
            notes: Vec::new(),
        }
    }

    /// A page that says that the login failed.
    pub fn failure(page: impl Into<Cow<'static, str>>, error: Error) -> Self {
        Self {
            page: page.into(),
            outcome: Err(error),
            is_step: false,
            notes: Vec::new(),
        }
    }

    /// Keeps a text for later pages of the same login, see [`Progress::note`].
    #[must_use]
    pub fn note(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.notes.push((key.into(), value.into()));
        self
    }
}

impl fmt::Debug for Decision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Notes hold tokens of the login's flow.
        let notes: Vec<_> = self.notes.iter().map(|(key, _)| key).collect();
        formatter
            .debug_struct("Decision")
            .field("page", &self.page)
            .field("outcome", &self.outcome)
            .field("is_step", &self.is_step)
            .field("notes", &notes)
            .finish()
    }
}

/// What to do with a page.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Action {
    /// Go there.
    Follow(Url),
    /// Send a form.
    Submit(Submission),
    /// Post JSON; the answer comes to the handlers as a page with [`Page::json`].
    Call(JsonCall),
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
    /// A one-time code of the session's credentials, see [`Progress::can_make_codes`].
    OneTimeCode,
}

impl FieldValue {
    /// True for what may only go to origins that are trusted with credentials. A user name is none: a broker needs it to
    /// find the provider.
    pub(crate) fn is_secret(&self) -> bool {
        matches!(self, Self::Password | Self::OneTimeCode)
    }
}

impl From<&str> for FieldValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A form, filled in.
#[derive(Clone)]
pub struct Submission {
    pub(crate) target: Url,
    pub(crate) method: FormMethod,
    pub(crate) fields: Vec<(String, FieldValue)>,
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
            reason: UnsafeReason::Scheme,
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

    /// A form without fields, for pages whose script makes up the form.
    pub fn post(target: Url) -> Self {
        Self {
            target,
            method: FormMethod::Post,
            fields: Vec::new(),
        }
    }

    /// Sets a field, in place of the one of the same name if there is one.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<FieldValue>) -> Self {
        let name = name.into();
        self.fields.retain(|(other, _)| *other != name);
        self.fields.push((name, value.into()));
        self
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

/// A JSON body to be posted, for providers whose pages are made by script around an API.
#[derive(Clone)]
pub struct JsonCall {
    pub(crate) target: Url,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: serde_json::Map<String, Value>,
    pub(crate) fields: Vec<(String, FieldValue)>,
}

impl JsonCall {
    /// An empty object for this address.
    pub fn post(target: Url) -> Self {
        Self {
            target,
            headers: Vec::new(),
            body: serde_json::Map::new(),
            fields: Vec::new(),
        }
    }

    /// Sets a member.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.body.insert(name.into(), value.into());
        self
    }

    /// Sets a member to a text that may be one of the credentials.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>, value: impl Into<FieldValue>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Adds a header. One that HTTP does not allow is left out.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

impl fmt::Debug for JsonCall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Members hold tokens of the login's flow.
        let own = self.body.keys();
        let filled = self.fields.iter().map(|(name, _)| name);
        formatter
            .debug_struct("JsonCall")
            .field("target", &crate::origin::shown(&self.target))
            .field("members", &own.chain(filled).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// What a handler may know of the login it takes part in.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Progress {
    /// The Dex connector that the session was built for: an id, a name or a type.
    pub connector: Option<String>,
    /// True once the user name was sent.
    pub username_sent: bool,
    /// True once the password was sent: the next password page is a refusal and must not be filled in again.
    pub password_sent: bool,
    /// True once a one-time code was sent: the next page that asks for one refused it.
    pub code_sent: bool,
    /// The scopes that the gateway asked for, as far as they were seen.
    pub scopes: Vec<String>,
    /// True when the credentials hold the secret of an authenticator app.
    pub can_make_codes: bool,
    pub(crate) username: String,
    pub(crate) federated: Option<String>,
    pub(crate) own_users: bool,
    pub(crate) notes: BTreeMap<String, String>,
}

impl fmt::Debug for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Notes hold tokens of the login's flow.
        formatter
            .debug_struct("Progress")
            .field("connector", &self.connector)
            .field("username_sent", &self.username_sent)
            .field("password_sent", &self.password_sent)
            .field("code_sent", &self.code_sent)
            .field("scopes", &self.scopes)
            .field("can_make_codes", &self.can_make_codes)
            .field("username", &self.username)
            .field("federated", &self.federated)
            .field("own_users", &self.own_users)
            .field("notes", &self.notes.keys().collect::<Vec<_>>())
            .finish()
    }
}

impl Progress {
    /// What was kept by [`Decision::note`] earlier in this login.
    pub fn note(&self, key: &str) -> Option<&str> {
        self.notes.get(key).map(String::as_str)
    }

    /// The name that was given to [`IdentityProvider::federated`](crate::IdentityProvider::federated) for the provider
    /// whose page this is.
    pub fn federated(&self) -> Option<&str> {
        self.federated.as_deref()
    }

    /// Whether [`IdentityProvider::own_users`](crate::IdentityProvider::own_users) was said of the provider whose page
    /// this is: its own form is meant although it offers others.
    pub fn own_users(&self) -> bool {
        self.own_users
    }

    /// The user name of the session's credentials; empty where there is none.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// Picks the way that leads on from a page with buttons for other providers, given by name and address: the one
    /// that was asked for, or the only one. With [`own_users`](Self::own_users) it is `None`: the page's own form is
    /// meant, as on a page without such buttons.
    ///
    /// A broker's own form beside such a button is never filled in unasked: the password belongs to the other provider.
    ///
    /// # Errors
    ///
    /// [`Error::FederationChoice`] when the name is not offered, or when several are and none was asked for.
    pub fn choose_federated(&self, origin: &str, offered: &[(String, Url)]) -> Result<Option<Url>, Error> {
        let choice = |requested: Option<&str>| Error::FederationChoice {
            origin: origin.to_owned(),
            requested: requested.map(str::to_owned),
            available: offered.iter().map(|(name, _)| name.clone()).collect(),
        };
        match (&self.federated, offered) {
            (Some(wanted), _) => offered
                .iter()
                .find(|(name, _)| name == wanted)
                .or_else(|| offered.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)))
                .map(|(_, target)| Some(target.clone()))
                .ok_or_else(|| choice(Some(wanted))),
            (None, []) => Ok(None),
            (None, _) if self.own_users => Ok(None),
            (None, [(_, target)]) => Ok(Some(target.clone())),
            (None, _) => Err(choice(None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_shown_by_name_only() {
        let decision = Decision::failure("page", Error::StateMismatch).note("token", "topsecret");
        let progress = Progress {
            notes: decision.notes.iter().cloned().collect(),
            ..Progress::default()
        };
        for shown in [format!("{decision:?}"), format!("{progress:?}")] {
            assert!(shown.contains("token") && !shown.contains("topsecret"), "{shown}");
        }
    }
}
