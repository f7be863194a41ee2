//! The buttons of a broker's login page.

use url::Url;

use crate::error::Error;
use crate::handler::{Action, Decision, Progress};
use crate::page::Page;

use super::message;

/// What follows from the buttons; `None` where the page's own form is meant.
pub(super) fn decide(page: &Page, progress: &Progress, name: &'static str) -> Option<Decision> {
    let offered = offered(page, progress);
    match progress.choose_federated(&page.origin(), &offered) {
        Ok(None) => None,
        Err(error) => Some(Decision::step(name, Err(error))),
        Ok(Some(target)) => {
            let key = format!("keycloak: followed a button of {}", realm(page.url()));
            Some(if progress.note(&key).is_some() {
                Decision::step(name, Err(came_back(page)))
            } else {
                Decision::step(name, Ok(Action::Follow(target))).note(key, "yes")
            })
        }
    }
}

/// Aliases and addresses. A button that was asked for by its text goes by that.
fn offered(page: &Page, progress: &Progress) -> Vec<(String, Url)> {
    let wanted = progress.federated();
    page.attributes("a[id^='social-'], a[id^='zocial-']", "id")
        .into_iter()
        .filter(|id| !id.contains(['\'', '"', '\\']))
        .filter_map(|id| {
            let alias = id.get("social-".len()..)?.to_owned();
            let selector = format!("a[id='{id}']");
            let target = page.join(&page.attribute(&selector, "href")?)?;
            let text = page.text(&selector);
            let name = text
                .filter(|text| Some(text.as_str()) == wanted && !text.is_empty())
                .unwrap_or(alias);
            Some((name, target))
        })
        .collect()
}

/// The page is here again although its button was followed. To follow it once more would send the password again.
fn came_back(page: &Page) -> Error {
    if !page.url().path().contains("/broker/") {
        return message::expired(page);
    }
    // The broker answers a response of the identity provider that says no with its own login page.
    Error::AccessDenied {
        origin: page.origin(),
        code: None,
        message: message::alert(page).unwrap_or_else(|| "the identity provider refused the login".to_owned()),
    }
}

/// Origin and realm: one Keycloak may be broker and provider in two of them.
fn realm(url: &Url) -> String {
    let mut segments = url.path_segments().into_iter().flatten();
    let realm = segments
        .find(|segment| *segment == "realms")
        .and_then(|_| segments.next())
        .unwrap_or_default();
    format!("{} {realm}", crate::origin::origin(url))
}
