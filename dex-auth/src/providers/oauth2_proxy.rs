//! Pages of oauth2-proxy (measured on 7.6 to 7.14).

use crate::error::{Error, one_line};
use crate::handler::{Action, Decision, FieldValue, PageHandler, Progress, Submission};
use crate::html::{Form, FormMethod};
use crate::page::Page;

/// Its sign-in page (Kubeflow 1.9.1 and later, status 403) and its error page.
#[derive(Debug)]
pub(crate) struct Oauth2ProxyPages;

impl PageHandler for Oauth2ProxyPages {
    fn handle(&self, page: &Page, progress: &Progress) -> Option<Decision> {
        if page.has("div.status-code") && page.has("#more-info") {
            let message = page.text("#more-info .card-content .content").unwrap_or_default();
            let error = failure(page.status(), &one_line(&message));
            return Some(Decision::failure("oauth2-proxy: error page", error));
        }
        let start = page.only_form(|form| {
            let target = form.target.as_ref();
            form.method == FormMethod::Get && target.is_some_and(|target| target.path().ends_with("/oauth2/start"))
        })?;
        let outcome = if progress.password_sent {
            // Back at the start after a login: following it would go round in a circle.
            Err(Error::LoginStateLost {
                message: "the gateway shows its sign-in page after the login".to_owned(),
            })
        } else {
            follow(start)
        };
        Some(Decision::step("oauth2-proxy: sign-in page", outcome))
    }
}

fn follow(start: &Form) -> Result<Action, Error> {
    let submission = Submission::of(start)?;
    let mut target = submission.target;
    {
        let mut query = target.query_pairs_mut();
        query.clear();
        for (name, value) in &submission.fields {
            if let FieldValue::Text(text) = value {
                query.append_pair(name, text);
            }
        }
    }
    Ok(Action::Follow(target))
}

fn failure(status: u16, message: &str) -> Error {
    let message = message.to_owned();
    match status {
        403 if message.contains("CSRF") => Error::LoginStateLost { message },
        // The callback could not redeem the code: another login's cookie, or Dex restarted in between. A wrong client
        // secret looks the same, and stays at the second try.
        500 => Error::LoginStateLost { message },
        501.. => Error::ProviderUnavailable { status, message },
        _ => Error::LoginRefused { status, message },
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn decision(status: u16, html: &str) -> Option<Decision> {
        let page = Page::parse(&Url::parse("https://a.test/x").unwrap(), status, html);
        Oauth2ProxyPages.handle(&page, &Progress::default())
    }

    #[test]
    fn the_sign_in_page_leads_to_the_start() {
        let page = "<form method=GET action='/oauth2/start'><input type=hidden name=rd value='/a?b=c'></form>";
        let Ok(Action::Follow(target)) = decision(403, page).unwrap().outcome else {
            panic!()
        };
        assert_eq!(target.as_str(), "https://a.test/oauth2/start?rd=%2Fa%3Fb%3Dc");
    }

    #[test]
    fn the_error_page_says_why() {
        let page = |message: &str| {
            format!(
                "<div class=status-code>403</div><div id=more-info><div class=card-content><div class=content> \
                 {message} </div><div class=content>Request ID: 1</div></div></div><form action='/oauth2/sign_in'></form>"
            )
        };
        let lost = decision(
            403,
            &page("Login Failed: Unable to find a valid CSRF token. Please try again."),
        );
        assert!(matches!(lost.unwrap().outcome, Err(Error::LoginStateLost { .. })));
        let refused = decision(403, &page("Login Failed: x")).unwrap();
        let Err(Error::LoginRefused { status: 403, message }) = refused.outcome else {
            panic!()
        };
        assert_eq!(message, "Login Failed: x");
        assert!(!refused.is_step);
    }

    #[test]
    fn other_pages_are_left_to_others() {
        assert!(decision(200, "<form action='/oauth2/sign_in'><input name=username></form>").is_none());
    }
}
