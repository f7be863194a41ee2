//! Pages of the fake Cognito's hosted UI.

use std::fmt::Write as _;

use super::super::super::message::{Reply, query, with_query};
use super::super::super::pages::escape;

/// What the sign-in page needs to know.
pub(super) struct SignIn<'a> {
    /// The application's request.
    pub(super) query: &'a str,
    pub(super) token: &'a str,
    pub(super) message: &'a str,
    pub(super) own_form: bool,
    pub(super) federated: &'a [&'a str],
}

fn page(status: u16, title: &str, body: &str) -> Reply {
    Reply::html(
        status,
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><title>{title}</title></head>\n<body><div class=\"container\">\
             <div class=\"modal-dialog\">{body}</div></div></body></html>\n"
        ),
    )
}

/// Everything stands there twice, for narrow and for wide screens.
fn twice(content: &str) -> String {
    ["visible-xs visible-sm", "visible-md visible-lg"]
        .iter()
        .fold(String::new(), |mut body, screens| {
            let _ = writeln!(
                body,
                "<div class=\"modal-content background-customizable modal-content-mobile {screens}\">\
                 <div class=\"banner-customizable\"></div><div class=\"modal-body\">{content}</div></div>"
            );
            body
        })
}

pub(super) fn sign_in(content: &SignIn<'_>) -> Reply {
    let mut body = String::new();
    if !content.federated.is_empty() {
        body.push_str("<span class=\"idpDescription-customizable\">Sign in with your corporate ID</span>\n");
    }
    for name in content.federated {
        let target = with_query(
            "/oauth2/authorize",
            &format!("{}&{}", query([("identity_provider", *name)]), content.query),
        );
        let _ = writeln!(
            body,
            "<input type=\"button\" onClick=\"window.location.href='{}'\" value=\"{name}\" name=\"{name}\" \
             class=\"btn btn-info idpButton-customizable\" aria-label=\"{name}\">",
            escape(&target),
            name = escape(name),
        );
    }
    if content.own_form {
        let message = match content.message {
            "" => String::new(),
            text => format!(
                "<p id=\"loginErrorMessage\" class=\"errorMessage-customizable\">{}</p>\n",
                escape(text)
            ),
        };
        let _ = write!(
            body,
            "<form action=\"{}\" method=\"POST\" name=\"cognitoSignInForm\" class=\"cognito-asf\">\n\
             <input type=\"hidden\" name=\"_csrf\" value=\"{}\"/>\n{message}\
             <label for=\"signInFormUsername\" class=\"label-customizable\">Name</label>\n\
             <input id=\"signInFormUsername\" name=\"username\" type=\"text\" \
             class=\"form-control inputField-customizable\" required>\n\
             <label for=\"signInFormPassword\" class=\"label-customizable\">Password</label>\n\
             <input id=\"signInFormPassword\" name=\"password\" type=\"password\" \
             class=\"form-control inputField-customizable\" required>\n\
             <a class=\"redirect-customizable\" href=\"{}\">Lost it?</a>\n\
             <input type=\"hidden\" name=\"cognitoAsfData\"/>\n\
             <input name=\"signInSubmitButton\" type=\"Submit\" value=\"Sign in\" \
             class=\"btn btn-primary submitButton-customizable\" aria-label=\"submit\">\n</form>\n",
            escape(&with_query("/login", content.query)),
            escape(content.token),
            escape(&with_query("/forgotPassword", content.query)),
        );
    }
    page(200, "Signin", &twice(&body))
}

/// Its form is not documented; it is made up after the one for the password.
pub(super) fn signed_in_before(action: &str, token: &str, name: &str) -> Reply {
    let form = format!(
        "<form action=\"{}\" method=\"POST\" class=\"cognito-asf\">\
         <input type=\"hidden\" name=\"_csrf\" value=\"{}\"/>\
         <input name=\"signInSubmitButton\" type=\"Submit\" value=\"Sign In as {}\" \
         class=\"btn btn-primary submitButton-customizable\"></form>",
        escape(action),
        escape(token),
        escape(name)
    );
    let body =
        format!("<div class=\"modal-content background-customizable\"><div class=\"modal-body\">{form}</div></div>");
    page(200, "Signin", &body)
}

/// An empty shell.
pub(super) fn managed() -> Reply {
    Reply::html(
        200,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Sign-in</title></head>\n<body><div id=\"root\"></div>\
         <script src=\"/static/main.js\"></script></body></html>\n",
    )
}

pub(super) fn error(code: &str) -> Reply {
    let text = match code {
        "" => "Login pages unavailable. Please contact an administrator.",
        told if told.contains(' ') => told,
        _ => "An error was encountered with the requested page.",
    };
    let body = format!(
        "<div class=\"modal-content background-customizable\"><div class=\"modal-body\"><p>{}</p><p>{}</p></div></div>",
        escape(text),
        escape(code)
    );
    page(400, "Error", &body)
}

/// A page that only its user can go on from.
pub(super) fn person(path: &str) -> Reply {
    let fields = match path {
        "/mfa" => "<input name=\"authentication_code\" type=\"text\" class=\"inputField-customizable\">",
        "/changePassword" => {
            "<input name=\"password\" type=\"password\" class=\"inputField-customizable\">\
             <input name=\"confirm_password\" type=\"password\" class=\"inputField-customizable\">"
        }
        "/confirm" | "/confirmforgotPassword" => {
            "<input name=\"code\" type=\"text\" class=\"inputField-customizable\">"
        }
        _ => "<input name=\"username\" type=\"text\" class=\"inputField-customizable\">",
    };
    let body = format!(
        "<div class=\"modal-content background-customizable\"><div class=\"modal-body\"><form method=\"POST\">{fields}\
         <input type=\"submit\" class=\"submitButton-customizable\" value=\"Go on\"></form></div></div>"
    );
    page(200, "Signin", &body)
}
