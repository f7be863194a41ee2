//! The buttons for other providers, whose targets stand in their script handlers.

use url::Url;

use crate::page::Page;

const BUTTONS: &str = ".idpButton-customizable, .socialButton-customizable";

/// Name and address of each provider, in the order of the page; it shows every button twice.
pub(super) fn offered(page: &Page) -> Vec<(String, Url)> {
    let mut offered: Vec<(String, Url)> = Vec::new();
    let addresses = page.attributes(BUTTONS, "onclick").into_iter().chain(
        page.attributes(BUTTONS, "href")
            .into_iter()
            .map(|href| format!("'{href}'")),
    );
    for handler in addresses {
        if let Some((name, target)) = target(page, &handler)
            && !offered.iter().any(|(other, _)| *other == name)
        {
            offered.push((name, target));
        }
    }
    if offered.is_empty() {
        offered = by_label(page);
    }
    offered
}

/// The address among the texts of a script, and the provider that it names.
fn target(page: &Page, script: &str) -> Option<(String, Url)> {
    ['\'', '"'].iter().find_map(|quote| {
        let texts = script.split(*quote).skip(1).step_by(2);
        texts.into_iter().find_map(|text| {
            let target = page.join(&unescaped(text))?;
            let name = target
                .query_pairs()
                .find(|(key, _)| key == "identity_provider" || key == "idp_identifier")
                .map(|(_, name)| name.into_owned())?;
            Some((name, target))
        })
    })
}

/// What scripts write in place of `&`, `=` and `/`.
fn unescaped(text: &str) -> String {
    text.replace("\\x26", "&")
        .replace("\\u0026", "&")
        .replace("\\x3D", "=")
        .replace("\\u003d", "=")
        .replace("\\/", "/")
}

/// Where the handlers are out of sight: the address is the page's own request with the provider's name in it.
fn by_label(page: &Page) -> Vec<(String, Url)> {
    if !page.url().query_pairs().any(|(key, _)| key == "client_id") {
        return Vec::new();
    }
    let mut labels = page.attributes(BUTTONS, "value");
    labels.retain(|label| !label.is_empty());
    let mut offered: Vec<(String, Url)> = Vec::new();
    for label in labels {
        if offered.iter().any(|(other, _)| *other == label) {
            continue;
        }
        let mut target = page.url().clone();
        target.set_path("/oauth2/authorize");
        target.query_pairs_mut().append_pair("identity_provider", &label);
        offered.push((label, target));
    }
    offered
}
