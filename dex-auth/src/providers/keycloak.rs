//! Pages of Keycloak (measured on 26, both themes; the marks of older ones).
//!
//! A page tells its kind by `data-page-id` on its body, whatever its theme and language. Themes of a company's own may
//! lack it, as versions before 24 do; then the ids of forms tell. Texts are translated and changed by administrators, so
//! they are shown to people and never compared.
//!
//! A user whom Keycloak locks for a while after wrong passwords (brute force detection) gets the page of a wrong
//! password, with the right one too: such a lock cannot be told apart from [`Error::WrongPassword`].

mod federation;
mod login;
mod message;

use std::borrow::Cow;

use crate::error::Error;
use crate::handler::{Action, Decision, PageHandler, Progress};
use crate::page::Page;

use super::second_factor;

/// Keycloak's login, one-time code, required action, consent, broker and error pages.
#[derive(Debug)]
pub(crate) struct KeycloakPages;

/// What a page is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// User name and password, or the password alone after the user name.
    Login,
    /// The user name alone.
    Username,
    OneTimeCode,
    SecurityKey,
    RecoveryCode,
    ChoiceOfMethod,
    UpdatePassword,
    Enrolment,
    Consent,
    DeviceCode,
    PageExpired,
    Info,
    Error,
    /// Something that only the user can do: the page's name, and what it is, in words that follow "to".
    Action(&'static str, &'static str),
}

/// Page ids without their prefix `login-`, and what the pages are for.
const KINDS: [(&str, Kind); 33] = [
    ("login", Kind::Login),
    ("login-password", Kind::Login),
    ("login-username", Kind::Username),
    ("login-otp", Kind::OneTimeCode),
    ("login-totp", Kind::OneTimeCode),
    ("webauthn-authenticate", Kind::SecurityKey),
    ("login-passkeys-conditional-authenticate", Kind::SecurityKey),
    ("login-recovery-authn-code-input", Kind::RecoveryCode),
    ("select-authenticator", Kind::ChoiceOfMethod),
    ("login-update-password", Kind::UpdatePassword),
    ("login-config-totp", Kind::Enrolment),
    ("login-recovery-authn-code-config", Kind::Enrolment),
    ("webauthn-register", Kind::Enrolment),
    ("login-oauth-grant", Kind::Consent),
    ("login-oauth2-device-verify-user-code", Kind::DeviceCode),
    ("login-page-expired", Kind::PageExpired),
    ("info", Kind::Info),
    ("error", Kind::Error),
    ("webauthn-error", Kind::Error),
    ("terms", TERMS),
    ("login-update-profile", PROFILE),
    ("update-user-profile", PROFILE),
    (
        "update-email",
        Kind::Action("change of the e-mail address", "change the e-mail address"),
    ),
    (
        "login-verify-email",
        Kind::Action("e-mail check", "confirm the e-mail address"),
    ),
    ("idp-review-user-profile", REVIEW),
    ("login-idp-link-confirm", LINK),
    ("login-idp-link-confirm-override", LINK),
    ("login-idp-link-email", LINK),
    ("link-idp-action", LINK),
    (
        "select-organization",
        Kind::Action("choice of an organization", "choose an organization"),
    ),
    (
        "login-reset-password",
        Kind::Action("forgotten password", "ask for a new password"),
    ),
    ("register", Kind::Action("registration", "make an account")),
    ("logout-confirm", Kind::Action("logout", "confirm a logout")),
];

const TERMS: Kind = Kind::Action("terms and conditions", "accept terms and conditions");
const PROFILE: Kind = Kind::Action("profile form", "complete the profile");
const REVIEW: Kind = Kind::Action("profile form of a first login", "review the profile at the first login");
const LINK: Kind = Kind::Action(
    "link to an account",
    "link the account of the identity provider to one that exists already",
);

/// What tells the kind of a page that has no id. A login page may hold the form of a security key as well, so that one
/// comes after it.
const MARKS: [(&str, Kind); 15] = [
    ("form#kc-form-login", Kind::Login),
    ("form#kc-otp-login-form", Kind::OneTimeCode),
    ("form#kc-totp-login-form", Kind::OneTimeCode),
    ("form#webauth", Kind::SecurityKey),
    ("form#kc-select-credential-form", Kind::ChoiceOfMethod),
    ("form#kc-passwd-update-form", Kind::UpdatePassword),
    ("form#kc-totp-settings-form", Kind::Enrolment),
    ("form#kc-update-profile-form", PROFILE),
    ("form#kc-idp-review-profile-form", REVIEW),
    ("form#kc-register-form button[name=submitAction]", LINK),
    ("form#kc-user-verify-device-user-code-form", Kind::DeviceCode),
    ("#kc-oauth form", Kind::Consent),
    ("#kc-terms-text", TERMS),
    ("#kc-error-message", Kind::Error),
    ("#kc-info-message", Kind::Info),
];

impl PageHandler for KeycloakPages {
    fn handle(&self, page: &Page, progress: &Progress) -> Option<Decision> {
        let kind = kind(page)?;
        Some(match kind {
            Kind::Login => login::form(page, progress, "Keycloak: login form"),
            Kind::Username => login::form(page, progress, "Keycloak: user name form"),
            Kind::OneTimeCode => Decision::step("Keycloak: one-time code form", one_time_code(page, progress)),
            Kind::SecurityKey => stop("security key page", second_factor(page, "security key")),
            Kind::RecoveryCode => stop("recovery code form", second_factor(page, "recovery code")),
            Kind::ChoiceOfMethod => stop(
                "choice of a second factor",
                second_factor(page, "one that the user chooses"),
            ),
            Kind::UpdatePassword => stop(
                "change of the password",
                Error::PasswordChangeRequired { origin: page.origin() },
            ),
            Kind::Enrolment => stop(
                "enrolment of a second factor",
                Error::EnrolmentRequired { origin: page.origin() },
            ),
            Kind::Consent => stop("consent page", consent(page)),
            Kind::DeviceCode => {
                Decision::failure("Keycloak: device code form", action(page, "enter the code of a device"))
            }
            Kind::PageExpired => Decision::failure("Keycloak: expired page", message::expired(page)),
            Kind::Info => Decision::failure("Keycloak: information page", message::info(page)),
            Kind::Error => Decision::failure("Keycloak: error page", message::error(page)),
            Kind::Action(name, what) => stop(name, action(page, what)),
        })
    }
}

fn kind(page: &Page) -> Option<Kind> {
    match page.attribute("body[data-page-id]", "data-page-id") {
        Some(id) => {
            let id = id.strip_prefix("login-")?;
            KINDS.iter().find(|(known, _)| *known == id).map(|(_, kind)| *kind)
        }
        None => MARKS
            .iter()
            .find(|(mark, _)| page.has(mark))
            .map(|(mark, kind)| match kind {
                Kind::Login if !page.has(&format!("{mark} input[name=password]")) => Kind::Username,
                kind => *kind,
            }),
    }
}

/// A page on the way at which a login without a person ends.
fn stop(name: &str, error: Error) -> Decision {
    Decision::step(Cow::Owned(format!("Keycloak: {name}")), Err(error))
}

fn action(page: &Page, what: &str) -> Error {
    Error::ActionRequired {
        origin: page.origin(),
        action: what.to_owned(),
    }
}

fn second_factor(page: &Page, method: &str) -> Error {
    Error::SecondFactorRequired {
        origin: page.origin(),
        methods: vec![method.to_owned()],
    }
}

fn consent(page: &Page) -> Error {
    let scopes = page.texts("#kc-oauth li");
    Error::ConsentRequired {
        origin: page.origin(),
        message: crate::error::one_line(&scopes.join(", ")),
    }
}

fn one_time_code(page: &Page, progress: &Progress) -> Result<Action, Error> {
    // A code that ran into an expired page was not looked at; the page comes by way of a redirect then.
    if progress.code_sent && !message::answers_a_form(page) && !page.has(message::REFUSED_CODE) {
        return Err(message::expired(page));
    }
    let form = page
        .only_form(|form| ["kc-otp-login-form", "kc-totp-login-form"].contains(&form.id.as_str()))
        .or_else(|| page.only_form(|form| form.field("otp").is_some() || form.field("totp").is_some()))
        .ok_or_else(|| login::unknown(page))?;
    // Called `totp` before Keycloak 8.
    let field = if form.field("otp").is_some() { "otp" } else { "totp" };
    let action = second_factor::submit_code(page, form, field, progress)?;
    // One of several devices: a hidden field in the newer theme, radio buttons in the older.
    let chosen = page.attribute("input[type=radio][name=selectedCredentialId][checked]", "value");
    Ok(match (action, chosen) {
        (Action::Submit(filled), Some(device)) => Action::Submit(filled.with("selectedCredentialId", device.as_str())),
        (action, _) => action,
    })
}

#[cfg(test)]
mod tests;
