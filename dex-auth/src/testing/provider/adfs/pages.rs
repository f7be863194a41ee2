//! Pages of AD FS: forms, fields and ids are the real ones.

use super::super::super::pages::{escape, page};

/// The login form, and beside it the one that chooses another way to log in.
pub(super) fn login(action: &str, name: &str, error: &str) -> String {
    let (action, name) = (escape(action), escape(name));
    page(
        "Sign In",
        &format!(
            "<form method=\"post\" id=\"loginForm\" autocomplete=\"off\" action=\"{action}\">\n\
             <div id=\"error\"><span id=\"errorText\">{error}</span></div>\n\
             <input id=\"userNameInput\" name=\"UserName\" type=\"email\" value=\"{name}\" />\n\
             <input id=\"passwordInput\" name=\"Password\" type=\"password\" />\n\
             <input type=\"checkbox\" name=\"Kmsi\" id=\"kmsiInput\" value=\"true\" />\n\
             <span id=\"submitButton\" class=\"submit\" onclick=\"return Login.submitLoginRequest();\">Sign in</span>\n\
             <input id=\"optionForms\" type=\"hidden\" name=\"AuthMethod\" value=\"FormsAuthentication\" />\n</form>\n\
             <form id=\"options\" method=\"post\" action=\"{action}\">\n\
             <input type=\"hidden\" name=\"UserName\" value=\"{name}\" />\n\
             <input id=\"optionSelection\" type=\"hidden\" name=\"AuthMethod\" />\n</form>\n"
        ),
    )
}

/// A page for a second factor; `fields` is what the method asks for.
pub(super) fn second_factor(action: &str, method: &str, context: &str, fields: &str) -> String {
    page(
        "Sign In",
        &format!(
            "<form method=\"post\" id=\"loginForm\" autocomplete=\"off\" action=\"{}\">\n\
             <input id=\"authMethod\" type=\"hidden\" name=\"AuthMethod\" value=\"{}\" />\n\
             <input id=\"context\" type=\"hidden\" name=\"Context\" value=\"{}\" />\n{fields}\n</form>\n",
            escape(action),
            escape(method),
            escape(context)
        ),
    )
}

/// The response on its way to the service provider.
pub(super) fn response(acs_url: &str, response: &str, relay_state: Option<&str>) -> String {
    let relay = relay_state.map_or_else(String::new, |state| {
        format!(
            "<input type=\"hidden\" name=\"RelayState\" value=\"{}\" />",
            escape(state)
        )
    });
    page(
        "Working...",
        &format!(
            "<form method=\"POST\" name=\"hiddenform\" action=\"{}\">\
             <input type=\"hidden\" name=\"SAMLResponse\" value=\"{}\" />{relay}\
             <noscript><p>Script is disabled.</p><input type=\"submit\" value=\"Submit\" /></noscript></form>\
             <script>window.setTimeout('document.forms[0].submit()', 0);</script>\n",
            escape(acs_url),
            escape(response)
        ),
    )
}

pub(super) fn error(message: &str) -> String {
    page(
        "Error",
        &format!(
            "<div id=\"errorArea\"><div id=\"openingMessage\">Something went wrong</div>\
             <div id=\"errorMessage\">{}</div></div>\n",
            escape(message)
        ),
    )
}
