//! A login form of a provider that nobody knows: the last in line.

use crate::error::Error;
use crate::handler::{Action, Decision, FieldValue, PageHandler, Progress, Submission};
use crate::html::{Form, FormField, FormMethod};
use crate::page::Page;

/// Names that login forms give to the user name, in lower case.
const USERNAME: [&str; 10] = [
    "username",
    "user",
    "login",
    "email",
    "userid",
    "user_name",
    "user_id",
    "uid",
    "loginfmt",
    "identifier",
];

/// Fills in a form with one password field and one for the user name, where the page has no other such form.
#[derive(Debug)]
pub(crate) struct GenericForm;

impl PageHandler for GenericForm {
    fn handle(&self, page: &Page, progress: &Progress) -> Option<Decision> {
        let mut with_password = page.forms().iter().filter(|form| passwords(form).count() > 0);
        let (form, other) = (with_password.next()?, with_password.next());
        // More passwords than one change a password or make an account.
        let (Some(password), 1, None) = (passwords(form).next(), passwords(form).count(), other) else {
            return None;
        };
        let username = username(form);
        if form.method != FormMethod::Post || (username.is_none() && !progress.username_sent) {
            return None;
        }
        let outcome = if progress.password_sent {
            Err(Error::WrongPassword { origin: page.origin() })
        } else {
            Submission::of(form).map(|mut filled| {
                if let Some(username) = username {
                    filled = filled.with(&username.name, FieldValue::Username);
                }
                filled = filled.with(&password.name, FieldValue::Password);
                // A form with several buttons tells by the one that was pressed what is wanted.
                let mut buttons = form.fields.iter().filter(|field| field.kind == "submit");
                if let (Some(button), None) = (buttons.next(), buttons.next()) {
                    filled = filled.with(&button.name, button.value.as_str());
                }
                Action::Submit(filled)
            })
        };
        Some(Decision::step("unknown provider: login form", outcome))
    }
}

fn passwords(form: &Form) -> impl Iterator<Item = &FormField> {
    form.fields.iter().filter(|field| field.kind == "password")
}

fn username(form: &Form) -> Option<&FormField> {
    let visible = |field: &&FormField| ["text", "email", "tel"].contains(&field.kind.as_str());
    let named = form
        .fields
        .iter()
        .filter(visible)
        .find(|field| USERNAME.contains(&field.name.to_ascii_lowercase().as_str()));
    let mut all = form.fields.iter().filter(visible);
    named.or_else(|| all.next().filter(|_| all.next().is_none()))
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn decide(html: &str, progress: &Progress) -> Option<Decision> {
        let page = Page::parse(&Url::parse("https://idp.test/login").unwrap(), 200, html);
        GenericForm.handle(&page, progress)
    }

    const FORM: &str = "<form method=post><input type=hidden name=csrf value=c><input name=Email type=email>\
                        <input type=password name=pw><button name=go value=1 type=submit>Go</button></form>";

    #[test]
    fn one_plain_login_form_is_filled_in_once() {
        let Ok(Action::Submit(form)) = decide(FORM, &Progress::default()).unwrap().outcome else {
            panic!()
        };
        assert_eq!(
            form.fields,
            [
                ("csrf".to_owned(), "c".into()),
                ("Email".to_owned(), FieldValue::Username),
                ("pw".to_owned(), FieldValue::Password),
                ("go".to_owned(), "1".into()),
            ]
        );
        let sent = Progress {
            password_sent: true,
            ..Progress::default()
        };
        assert!(matches!(
            decide(FORM, &sent).unwrap().outcome,
            Err(Error::WrongPassword { .. })
        ));
    }

    #[test]
    fn what_could_be_something_else_is_left_alone() {
        let nothing = Progress::default();
        // Two candidates, a change of the password, no user name, a form whose fields end up in the address.
        assert!(decide(&format!("{FORM}{FORM}"), &nothing).is_none());
        let change =
            "<form method=post><input name=user><input type=password name=a><input type=password name=b></form>";
        assert!(decide(change, &nothing).is_none());
        assert!(decide("<form method=post><input type=password name=a></form>", &nothing).is_none());
        assert!(decide(&FORM.replace("method=post", "method=get"), &nothing).is_none());
    }
}
