//! The pages that Dex, oauth2-proxy and the dashboard show. Wording and looks are this fake's own; forms, fields, ids
//! and classes that programs look for, and the texts of errors, are those of the real pages.

use std::fmt::Write as _;

/// Text inside HTML, escaped as Go's templates do: `+` too, so that readers must decode numeric entities.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '+' => escaped.push_str("&#43;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Undoes [`escape`].
pub(super) fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#43;", "+")
        .replace("&amp;", "&")
}

pub(super) fn page(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{}</title></head>\n<body>\n{body}</body>\n</html>\n",
        escape(title)
    )
}

pub(super) fn status_text(status: u16) -> &'static str {
    http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default()
}

/// A way to log in, on Dex's chooser.
pub(super) struct ConnectorLink<'a> {
    pub(super) href: String,
    pub(super) type_name: &'a str,
    pub(super) name: &'a str,
}

/// `links_are_buttons`: the layout after 2.45.
pub(super) fn dex_chooser(links: &[ConnectorLink<'_>], links_are_buttons: bool) -> String {
    let mut body = "<h2 class=\"theme-heading\">Log in to dex</h2>\n".to_owned();
    let (link_attributes, before, after) = if links_are_buttons {
        ("class=\"dex-btn dex-btn-provider theme-btn-provider\"", "", "")
    } else {
        (
            "target=\"_self\"",
            "<button class=\"dex-btn theme-btn-provider\">",
            "</button>",
        )
    };
    for link in links {
        let _ = writeln!(
            body,
            "<div><a href=\"{}\" {link_attributes}>{before}\
             <span class=\"dex-btn-icon dex-btn-icon--{}\"></span>\
             <span class=\"dex-btn-text\">Log in with {}</span>{after}</a></div>",
            escape(&link.href),
            escape(link.type_name),
            escape(link.name),
        );
    }
    page("dex", &body)
}

/// What Dex's password page needs to know.
pub(super) struct PasswordPage<'a> {
    pub(super) action: &'a str,
    pub(super) prompt: &'a str,
    pub(super) back: &'a str,
    /// The user name that was refused, if one was.
    pub(super) refused: Option<&'a str>,
    /// Whether Dex offers to remember him; the box is ticked already.
    pub(super) remember: bool,
}

pub(super) fn dex_password(content: &PasswordPage<'_>) -> String {
    let prompt = escape(content.prompt);
    let value = match content.refused {
        Some(name) if !name.is_empty() => format!(" value=\"{}\"", escape(name)),
        _ => String::new(),
    };
    let mut body = format!(
        "<h2 class=\"theme-heading\">Log in to Your Account</h2>\n<form method=\"post\" action=\"{}\">\n\
         <label for=\"login\">{prompt}</label>\n\
         <input required id=\"login\" name=\"login\" type=\"text\"{value} autofocus />\n\
         <label for=\"password\">Password</label>\n\
         <input required id=\"password\" name=\"password\" type=\"password\" />\n",
        escape(content.action)
    );
    if content.refused.is_some() {
        let _ = writeln!(
            body,
            "<div id=\"login-error\" class=\"dex-error-box\">Invalid {prompt} and password.</div>"
        );
    }
    if content.remember {
        body.push_str(
            "<label class=\"theme-remember-me\"><input type=\"checkbox\" name=\"remember_me\" checked/> Remember me\
             </label>\n",
        );
    }
    body.push_str("<button id=\"submit-login\" type=\"submit\" class=\"dex-btn\">Login</button>\n</form>\n");
    if !content.back.is_empty() {
        let _ = writeln!(
            body,
            "<a class=\"dex-subtle-text\" href=\"{}\">Select another login method.</a>",
            escape(content.back)
        );
    }
    page("dex", &body)
}

/// Two forms without an action: they go to the page's own URL, and only that one carries the code that Dex checks.
pub(super) fn dex_approval(request: &str, scopes: &[String]) -> String {
    let mut body = "<h2 class=\"theme-heading\">Grant Access</h2>\n<ul class=\"dex-list\">\n".to_owned();
    for scope in scopes {
        let told = match scope.as_str() {
            "profile" => "View basic profile information",
            "email" => "View your email address",
            "groups" => "View your groups",
            "offline_access" => "Have offline access",
            _ => continue,
        };
        let _ = writeln!(body, "<li>{told}</li>");
    }
    body.push_str("</ul>\n");
    for (decision, class, label) in [
        ("approve", "theme-btn--success", "Grant Access"),
        ("rejected", "theme-btn-provider", "Cancel"),
    ] {
        let _ = writeln!(
            body,
            "<form method=\"post\">\n<input type=\"hidden\" name=\"req\" value=\"{}\"/>\n\
             <input type=\"hidden\" name=\"approval\" value=\"{decision}\">\n\
             <button type=\"submit\" class=\"dex-btn {class}\">{label}</button>\n</form>",
            escape(request)
        );
    }
    page("dex", &body)
}

/// Nothing to press: the script sends it.
pub(super) fn dex_saml(sso_url: &str, request: &str, relay_state: &str) -> String {
    let body = format!(
        "<form method=\"post\" action=\"{}\" >\n<input type=\"hidden\" name=\"SAMLRequest\" value=\"{}\" />\n\
         <input type=\"hidden\" name=\"RelayState\" value=\"{}\" />\n</form>\n\
         <script>document.forms[0].submit();</script>\n",
        escape(sso_url),
        escape(request),
        escape(relay_state)
    );
    page("SAML login", &body)
}

/// A code for the user to carry to his program.
pub(super) fn dex_out_of_band(code: &str) -> String {
    let body = format!(
        "<div class=\"theme-panel\">\n<h2 class=\"theme-heading\">Login Successful</h2>\n<p>This is your code:</p>\n\
         <input type=\"text\" class=\"theme-form-input\" value=\"{}\" />\n</div>\n",
        escape(code)
    );
    page("dex", &body)
}

pub(super) fn dex_device(user_code: &str, refused: bool) -> String {
    let value = match user_code {
        "" => String::new(),
        code => format!(" value=\"{}\"", escape(code)),
    };
    let error = if refused {
        "<div id=\"login-error\" class=\"dex-error-box\">Invalid or Expired User Code</div>\n"
    } else {
        ""
    };
    let body = format!(
        "<h2 class=\"theme-heading\">Enter User Code</h2>\n<form method=\"post\" action=\"/dex/device/auth/verify_code\">\n\
         <input required id=\"user_code\" name=\"user_code\" type=\"text\"{value} autocomplete=\"off\" />\n{error}\
         <button id=\"submit-login\" type=\"submit\" class=\"dex-btn\">Submit</button>\n</form>\n"
    );
    page("dex", &body)
}

pub(super) fn dex_device_done(client: &str) -> String {
    let body = format!(
        "<div class=\"theme-panel\">\n<h2 class=\"theme-heading\">Login Successful for {}</h2>\n\
         <p>Your device goes on by itself.</p>\n</div>\n",
        escape(client)
    );
    page("dex", &body)
}

/// The one-time code form; while nobody has enrolled, with the secret as a picture.
pub(super) fn dex_totp(action: &str, enrols: bool, refused: bool) -> String {
    let picture = if enrols {
        "<p>Scan this first.</p>\n<img src=\"data:image/png;base64,iVBORw0KGgo=\" alt=\"QR code\"/>\n"
    } else {
        ""
    };
    let error = if refused {
        "<div id=\"login-error\" class=\"dex-error-box\">Invalid code. Please try again.</div>\n"
    } else {
        ""
    };
    let body = format!(
        "<h2 class=\"theme-heading\">Two-factor authentication</h2>\n{picture}<form method=\"post\" action=\"{}\">\n\
         <label for=\"totp\">One-time code</label>\n\
         <input required id=\"totp\" name=\"totp\" type=\"text\" inputmode=\"numeric\" pattern=\"[0-9]*\" maxlength=\"6\" \
         autocomplete=\"one-time-code\"/>\n{error}\
         <button id=\"submit-login\" type=\"submit\" class=\"dex-btn\">Verify</button>\n</form>\n",
        escape(action)
    );
    page("dex", &body)
}

/// All of it is done by script.
pub(super) fn dex_security_key(path_and_query: &str) -> String {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let body = format!(
        "<h2 class=\"theme-heading\">Two-factor authentication</h2>\n\
         <button id=\"webauthn-btn\" type=\"button\" class=\"dex-btn\" data-begin=\"{0}/login/begin?{1}\" \
         data-finish=\"{0}/login/finish?{1}\">Use your security key</button>\n",
        escape(path),
        escape(query)
    );
    page("dex", &body)
}

pub(super) fn dex_logout() -> String {
    page(
        "dex",
        "<h2 class=\"theme-heading\">Logging Out</h2>\n<form method=\"post\" action=\"/dex/logout\">\n\
         <button type=\"submit\" class=\"dex-btn\">Log Out</button>\n</form>\n",
    )
}

pub(super) fn dex_logged_out() -> String {
    page("dex", "<h2 class=\"theme-heading\">Logged Out</h2>\n")
}

pub(super) fn dex_error(status: u16, message: &str) -> String {
    let body = format!(
        "<div class=\"theme-panel\">\n<h2 class=\"theme-heading\">{}</h2>\n<p>{}</p>\n</div>\n",
        status_text(status),
        escape(message)
    );
    page("dex", &body)
}

pub(super) fn sign_in(redirect: &str) -> String {
    let body = format!(
        "<form method=\"GET\" action=\"/oauth2/start\">\n<input type=\"hidden\" name=\"rd\" value=\"{}\">\n\
         <button type=\"submit\" class=\"button\">Sign in with Dex</button>\n</form>\n",
        escape(redirect)
    );
    page("Sign In", &body)
}

pub(super) fn proxy_error(status: u16, message: &str, request_id: &str) -> String {
    let text = status_text(status);
    let body = format!(
        "<div class=\"status-code\">{status}</div>\n<h1>{text}</h1>\n\
         <div id=\"more-info\"><p>More Info</p>\n<div class=\"card-content\"><div class=\"content\">{}</div>\n\
         <div class=\"content\">Request ID: {request_id}</div></div></div>\n\
         <form method=\"GET\" action=\"/\"><button type=\"submit\">Go back</button></form>\n\
         <form method=\"GET\" action=\"/oauth2/sign_in\"><input type=\"hidden\" name=\"rd\" value=\"/\">\
         <button type=\"submit\">Sign in</button></form>\n",
        escape(message)
    );
    page(&format!("{status} {text}"), &body)
}

pub(super) fn dashboard() -> String {
    page(
        "Kubeflow Central Dashboard",
        "<main-page></main-page>\n<noscript>This page needs JavaScript.</noscript>\n",
    )
}
