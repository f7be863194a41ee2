//! What a session logs in with.

use std::fmt;
use std::sync::Arc;

use crate::cookie::SessionCookie;
use crate::credentials::Credentials;
use crate::flow::Plan;
use crate::origin::shown;
use crate::token::TokenSource;

#[derive(Clone)]
pub(crate) enum Source {
    /// Through the gateway's pages.
    Pages(Credentials),
    /// Cookies of another login.
    Cookie(SessionCookie),
    Token(Arc<dyn TokenSource>),
}

impl Source {
    /// What errors call it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Pages(_) => "the login".to_owned(),
            Self::Cookie(_) => "the fixed cookie".to_owned(),
            Self::Token(source) => source.name(),
        }
    }

    pub(crate) fn renews(&self) -> bool {
        match self {
            Self::Pages(_) => true,
            Self::Cookie(_) => false,
            Self::Token(source) => source.renews(),
        }
    }

    /// False when something newer than what is held lies ready.
    pub(crate) fn is_current(&self) -> bool {
        match self {
            Self::Pages(_) | Self::Cookie(_) => true,
            Self::Token(source) => source.is_current(),
        }
    }

    /// What its sessions are kept under in a store; `None` for one whose sessions are not kept.
    pub(crate) fn store_key(&self, plan: &Plan) -> Option<String> {
        let who = match self {
            Self::Pages(credentials) => {
                let connector = plan.connector.as_deref().unwrap_or_default();
                format!("user {} by {connector}", credentials.username())
            }
            Self::Cookie(_) => return None,
            Self::Token(source) => source.store_key()?,
        };
        Some(format!("{} {who}", shown(&plan.gateway)))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pages(credentials) => credentials.fmt(formatter),
            Self::Cookie(cookie) => cookie.fmt(formatter),
            Self::Token(source) => source.fmt(formatter),
        }
    }
}
