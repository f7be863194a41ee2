//! Pages of oauth2-proxy.

use crate::error::Error;
use crate::handler::{Action, FieldValue, PageHandler, Progress, Submission};
use crate::html::FormMethod;
use crate::page::{Page, PageKind};

/// oauth2-proxy's sign-in and error pages (measured on 7.6 to 7.14).
#[derive(Debug)]
pub(crate) struct ProxyPages;

impl PageHandler for ProxyPages {
    fn handle(&self, page: &Page, progress: &Progress) -> Option<Result<Action, Error>> {
        match page.kind() {
            // Back at the start after a login: following it would go round in a circle.
            PageKind::ProxySignIn { .. } if progress.password_sent => Some(Err(Error::LoginStateLost {
                message: "the gateway shows its sign-in page after the login".to_owned(),
            })),
            PageKind::ProxySignIn { start } => Some(Submission::of(start).map(follow)),
            PageKind::ProxyError { message } => Some(Err(failure(page.status(), message))),
            _ => None,
        }
    }
}

fn follow(submission: Submission) -> Action {
    let (mut target, method, fields) = submission.into_parts();
    if method == FormMethod::Get {
        let mut query = target.query_pairs_mut();
        query.clear();
        for (name, value) in &fields {
            if let FieldValue::Text(text) = value {
                query.append_pair(name, text);
            }
        }
    }
    Action::Follow(target)
}

fn failure(status: u16, message: &str) -> Error {
    let message = message.to_owned();
    match status {
        403 if message.contains("CSRF") => Error::LoginStateLost { message },
        // The callback could not redeem the code: another login's cookie, or Dex restarted in between. A wrong client
        // secret looks the same, and stays at the second try.
        500 => Error::LoginStateLost { message },
        501.. => Error::ProviderUnavailable { status, message },
        _ => Error::DexError { status, message },
    }
}
