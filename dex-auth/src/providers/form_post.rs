//! Forms that a page sends by itself: SAML requests and responses (HTTP-POST binding), OpenID Connect's `form_post`.

use crate::handler::{Action, Decision, PageHandler, Progress, Submission};
use crate::html::{Form, FormMethod};
use crate::page::Page;

/// Known by their fields, since such a page may have no button at all. Only hidden fields are sent on, unchanged.
#[derive(Debug)]
pub(crate) struct FormPost;

impl PageHandler for FormPost {
    fn handle(&self, page: &Page, _progress: &Progress) -> Option<Decision> {
        let only = |wanted: &dyn Fn(&Form) -> bool| {
            page.only_form(|form| form.method == FormMethod::Post && hides_all(form) && wanted(form))
        };
        let has = |form: &Form, name: &str| form.field(name).is_some();
        let (name, form) = if let Some(form) = only(&|form| has(form, "SAMLResponse")) {
            ("SAML: response on its way back", form)
        } else if let Some(form) = only(&|form| has(form, "SAMLRequest")) {
            ("SAML: request on its way to the provider", form)
        } else if let Some(form) = only(&|form| has(form, "wresult") && has(form, "wa")) {
            ("WS-Federation: response on its way back", form)
        } else {
            let form = only(&|form| has(form, "state") && (has(form, "code") || has(form, "error")))?;
            ("OpenID Connect: response on its way back", form)
        };
        Some(Decision::step(name, Submission::of(form).map(Action::Submit)))
    }
}

/// A form with anything to fill in is none that sends itself.
pub(super) fn hides_all(form: &Form) -> bool {
    form.fields
        .iter()
        .all(|field| ["hidden", "submit", "button"].contains(&field.kind.as_str()))
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn decide(html: &str) -> Option<Decision> {
        let page = Page::parse(&Url::parse("https://idp.test/saml").unwrap(), 200, html);
        FormPost.handle(&page, &Progress::default())
    }

    #[test]
    fn hidden_fields_go_on_unchanged() {
        let html = "<form method=post action='https://a.test/dex/callback'><input type=hidden name=SAMLResponse \
                    value='a+/='><input type=hidden name=RelayState value=r><noscript><input type=submit \
                    value=Continue></noscript></form>";
        let Ok(Action::Submit(form)) = decide(html).unwrap().outcome else {
            panic!()
        };
        assert_eq!(form.target.as_str(), "https://a.test/dex/callback");
        assert_eq!(
            form.fields,
            [
                ("SAMLResponse".to_owned(), "a+/=".into()),
                ("RelayState".to_owned(), "r".into())
            ]
        );
    }

    #[test]
    fn a_form_to_fill_in_does_not_send_itself() {
        let html = "<form method=post><input type=hidden name=SAMLRequest value=x><input type=password name=p></form>";
        assert!(decide(html).is_none());
    }
}
