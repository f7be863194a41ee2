//! The pages of the providers that this crate knows, one file each, and the order in which they are asked.
//!
//! Every handler recognises its pages by marks that no other provider's pages bear; only [`refresh`] and [`generic`] take
//! whatever is left, and so come last.

mod adfs;
mod cognito;
pub(crate) mod dex;
mod entra;
mod form_post;
mod generic;
mod keycloak;
mod oauth2_proxy;
mod okta;
mod refresh;
mod second_factor;

use std::sync::Arc;

use crate::handler::{PageHandler, Progress};
use crate::page::Page;

/// Handlers that know a page by its marks.
pub(crate) fn specific() -> Vec<Arc<dyn PageHandler>> {
    vec![
        Arc::new(oauth2_proxy::Oauth2ProxyPages),
        Arc::new(dex::DexPages),
        Arc::new(cognito::CognitoPages),
        Arc::new(entra::EntraIdPages),
        Arc::new(form_post::FormPost),
        Arc::new(keycloak::KeycloakPages),
        Arc::new(adfs::AdfsPages),
        Arc::new(okta::OktaPages),
    ]
}

/// All handlers of this crate, in the order in which they are asked.
pub(crate) fn built_in() -> Vec<Arc<dyn PageHandler>> {
    let mut handlers = specific();
    handlers.push(Arc::new(refresh::Refresh));
    handlers.push(Arc::new(generic::GenericForm));
    handlers
}

/// True for every page that stands where data should be when nobody is logged in.
pub(crate) fn asks_to_log_in(page: &Page) -> bool {
    let nothing_done = Progress::default();
    specific()
        .iter()
        .filter_map(|handler| handler.handle(page, &nothing_done))
        .any(|decision| decision.is_step)
}
