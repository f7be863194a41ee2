//! Pages of Dex (measured on 2.31 to 2.45 and the one after).

use url::Url;

use crate::Connector;
use crate::error::{Error, one_line};
use crate::handler::{Action, Decision, FieldValue, PageHandler, Progress, Submission};
use crate::html::{Form, FormMethod, Link};
use crate::page::Page;

use super::second_factor;

/// Scopes a Kubeflow gateway asks for; anything beyond gives away more than a login.
const EXPECTED_SCOPES: [&str; 5] = ["openid", "profile", "email", "groups", "offline_access"];

/// Dex's chooser, password, approval, one-time code, device and error pages.
#[derive(Debug)]
pub(crate) struct DexPages;

impl PageHandler for DexPages {
    fn handle(&self, page: &Page, progress: &Progress) -> Option<Decision> {
        let post = |form: &Form| form.method == FormMethod::Post;
        // Other providers name their fields so, too; the address is Dex's own in all releases.
        let to_dex = |form: &Form| {
            form.target
                .as_ref()
                .is_some_and(|target| target.path().contains("/auth/"))
        };
        let password = page.only_form(|form| {
            post(form)
                && to_dex(form)
                // Keycloak calls its button so.
                && form.field("login").is_some_and(|field| ["text", "email"].contains(&field.kind.as_str()))
                && form.field("password").is_some_and(|field| field.kind == "password")
        });
        if let Some(form) = password {
            return Some(Decision::step(
                "Dex: password form",
                submit_password(page, form, progress),
            ));
        }
        let approval = page.only_form(|form| {
            post(form)
                && form.field("req").is_some()
                && form.field("approval").is_some_and(|field| field.value == "approve")
        });
        if let Some(form) = approval {
            return Some(Decision::step("Dex: approval page", approve(form, progress)));
        }
        if page.url().path().contains("/mfa/") {
            return one_time_code(page, progress);
        }
        if page.forms().iter().any(|form| form.field("user_code").is_some()) {
            return Some(Decision::failure(
                "Dex: device code form",
                Error::ActionRequired {
                    origin: page.origin(),
                    action: "enter the code of a device".to_owned(),
                },
            ));
        }
        let connectors: Vec<_> = page.links().iter().filter_map(connector).collect();
        if !connectors.is_empty() {
            return Some(Decision::step(
                "Dex: choice of connectors",
                choose(&connectors, progress),
            ));
        }
        if page.forms().is_empty() && page.has("h2.theme-heading") {
            let heading = page.text("h2.theme-heading").unwrap_or_default();
            let message = page.text(".theme-panel p").filter(|text| !text.is_empty());
            let error = failure(page, &one_line(&message.unwrap_or(heading)));
            return Some(Decision::failure("Dex: error page", error));
        }
        None
    }
}

fn choose(connectors: &[(Connector, Url)], progress: &Progress) -> Result<Action, Error> {
    let available = || connectors.iter().map(|(connector, _)| connector.clone()).collect();
    let Some(wanted) = progress.connector.as_deref() else {
        return match connectors {
            [(_, target)] => Ok(Action::Follow(target.clone())),
            _ => Err(Error::ConnectorRequired { available: available() }),
        };
    };
    // The id is the only one of the three that Dex keeps unique, so it goes first.
    let by: [fn(&Connector) -> &str; 3] = [|c| &c.id, |c| c.name(), |c| &c.kind];
    for told in by {
        let mut matching = connectors.iter().filter(|(connector, _)| told(connector) == wanted);
        match (matching.next(), matching.next()) {
            (Some((_, target)), None) => return Ok(Action::Follow(target.clone())),
            (Some(_), Some(_)) => return Err(Error::ConnectorRequired { available: available() }),
            (None, _) => {}
        }
    }
    Err(Error::ConnectorUnknown {
        requested: wanted.to_owned(),
        available: available(),
    })
}

fn submit_password(page: &Page, form: &Form, progress: &Progress) -> Result<Action, Error> {
    // Dex shows the form again after a refusal, with status 200 up to 2.35 and 401 later. Whatever it says or does not
    // say then, the password is not sent a second time.
    if progress.password_sent {
        return Err(Error::WrongPassword { origin: page.origin() });
    }
    Ok(Action::Submit(
        Submission::of(form)?
            .with("login", FieldValue::Username)
            .with("password", FieldValue::Password),
    ))
}

fn approve(form: &Form, progress: &Progress) -> Result<Action, Error> {
    let unexpected: Vec<_> = progress
        .scopes
        .iter()
        .filter(|scope| !EXPECTED_SCOPES.contains(&scope.as_str()))
        .cloned()
        .collect();
    if !unexpected.is_empty() {
        return Err(Error::ApprovalRefused { scopes: unexpected });
    }
    Ok(Action::Submit(Submission::of(form)?))
}

/// `/dex/mfa/totp` and `/dex/mfa/webauthn` of the Dex after 2.45.
fn one_time_code(page: &Page, progress: &Progress) -> Option<Decision> {
    if page.has("#webauthn-btn") {
        return Some(Decision::step(
            "Dex: security key page",
            Err(Error::SecondFactorRequired {
                origin: page.origin(),
                methods: vec!["security key".to_owned()],
            }),
        ));
    }
    let form = page.only_form(|form| form.method == FormMethod::Post && form.field("totp").is_some())?;
    // The picture is the secret of a new device.
    if page.has("img[src^='data:image/png']") {
        return Some(Decision::step(
            "Dex: enrolment of an authenticator",
            Err(Error::EnrolmentRequired { origin: page.origin() }),
        ));
    }
    let outcome = second_factor::submit_code(page, form, "totp", progress);
    Some(Decision::step("Dex: one-time code form", outcome))
}

fn failure(page: &Page, message: &str) -> Error {
    // Dex's texts for an authentication request that is gone: expired, already used, or on another replica.
    const LOST: [&str; 4] = [
        "Requested resource does not exist.",
        "User session has expired.",
        "User session error.",
        "Login session expired.",
    ];
    // Half-upgraded installations: no password repairs these.
    const MISCONFIGURED: [&str; 4] = [
        "Unregistered redirect_uri",
        "Invalid client_id",
        "Connector failed to initialize",
        "Connector ID does not match",
    ];
    let status = page.status();
    let owned = message.to_owned();
    match status {
        400 if LOST.contains(&message) => Error::LoginStateLost { message: owned },
        403 if message.contains("required groups") => Error::AccessDenied {
            origin: page.origin(),
            code: None,
            message: owned,
        },
        400..=499 if MISCONFIGURED.iter().any(|text| message.starts_with(text)) => Error::Misconfigured {
            origin: page.origin(),
            message: owned,
        },
        500.. => Error::ProviderUnavailable { status, message: owned },
        _ => Error::LoginRefused { status, message: owned },
    }
}

/// A link of Dex's chooser: `<issuer path>/auth/<id>` with a provider's button.
fn connector(link: &Link) -> Option<(Connector, Url)> {
    // The class stands on a button inside the link up to Dex 2.45, later on the link itself.
    if !link.classes.iter().any(|class| class == "theme-btn-provider") {
        return None;
    }
    let id = connector_id(&link.target)?;
    let kind = link
        .classes
        .iter()
        .find_map(|class| class.strip_prefix("dex-btn-icon--"))
        .unwrap_or_default();
    Some((
        Connector {
            id,
            kind: kind.to_owned(),
            label: one_line(&link.text),
        },
        link.target.clone(),
    ))
}

/// The connector id in a URL of the form `<issuer path>/auth/<id>`, decoded.
pub(crate) fn connector_id(url: &Url) -> Option<String> {
    let mut segments = url.path_segments()?.rev();
    let id = segments.next().filter(|id| !id.is_empty())?;
    (segments.next() == Some("auth")).then(|| decoded(id))
}

fn decoded(segment: &str) -> String {
    // Form decoding is percent decoding but for `+`, which stands for itself in a path.
    let text = segment.replace('+', "%2B");
    url::form_urlencoded::parse(text.as_bytes())
        .next()
        .map_or_else(String::new, |(name, _)| name.into_owned())
}

#[cfg(test)]
mod tests;
