//! Pages of Dex.

use crate::error::Error;
use crate::handler::{Action, FieldValue, PageHandler, Progress, Submission};
use crate::html::Form;
use crate::origin;
use crate::page::{Page, PageKind};

/// Scopes a Kubeflow gateway asks for; anything beyond gives away more than a login.
const EXPECTED_SCOPES: [&str; 5] = ["openid", "profile", "email", "groups", "offline_access"];

/// Dex's chooser, password, approval and error pages (measured on 2.31 to 2.45).
#[derive(Debug)]
pub(crate) struct DexPages;

impl PageHandler for DexPages {
    fn handle(&self, page: &Page, progress: &Progress) -> Option<Result<Action, Error>> {
        match page.kind() {
            PageKind::DexChooser { connectors } => Some(choose(connectors, progress.connector.as_deref())),
            PageKind::DexPassword { form, refused } => Some(password(page, form, *refused, progress)),
            PageKind::DexApproval { approve } => Some(approval(approve, progress)),
            PageKind::DexError { message } => Some(Err(failure(page.status(), message))),
            _ => None,
        }
    }
}

fn choose(connectors: &[(crate::Connector, url::Url)], wanted: Option<&str>) -> Result<Action, Error> {
    let available = || connectors.iter().map(|(connector, _)| connector.clone()).collect();
    let chosen = match wanted {
        Some(id) => connectors
            .iter()
            .find(|(connector, _)| connector.id == id)
            .ok_or_else(|| Error::ConnectorUnknown {
                requested: id.to_owned(),
                available: available(),
            })?,
        None => match connectors {
            [one] => one,
            _ => return Err(Error::ConnectorRequired { available: available() }),
        },
    };
    Ok(Action::Follow(chosen.1.clone()))
}

fn password(page: &Page, form: &Form, refused: bool, progress: &Progress) -> Result<Action, Error> {
    // Dex shows the form again after a refusal, with status 200 up to 2.35 and 401 later.
    if progress.password_sent {
        return Err(if refused {
            Error::WrongPassword {
                origin: origin::origin(page.url()),
            }
        } else {
            Error::LoginStateLost {
                message: "Dex shows the password form again without saying why".to_owned(),
            }
        });
    }
    Ok(Action::Submit(
        Submission::of(form)?
            .with("login", FieldValue::Username)
            .with("password", FieldValue::Password),
    ))
}

fn approval(approve: &Form, progress: &Progress) -> Result<Action, Error> {
    let unexpected: Vec<_> = progress
        .scopes
        .iter()
        .filter(|scope| !EXPECTED_SCOPES.contains(&scope.as_str()))
        .cloned()
        .collect();
    if !unexpected.is_empty() {
        return Err(Error::ApprovalRefused { scopes: unexpected });
    }
    Ok(Action::Submit(Submission::of(approve)?))
}

fn failure(status: u16, message: &str) -> Error {
    // Dex's texts for an authentication request that is gone: expired, already used, or on another replica.
    const LOST: [&str; 4] = [
        "Requested resource does not exist.",
        "User session has expired.",
        "User session error.",
        "Login session expired.",
    ];
    let message = message.to_owned();
    match status {
        400 if LOST.contains(&message.as_str()) => Error::LoginStateLost { message },
        500.. => Error::ProviderUnavailable { status, message },
        _ => Error::DexError { status, message },
    }
}
