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

fn page(title: &str, body: &str) -> String {
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

pub(super) fn dex_chooser(links: &[ConnectorLink<'_>]) -> String {
    let mut body = "<h2 class=\"theme-heading\">Log in to dex</h2>\n".to_owned();
    for link in links {
        let _ = writeln!(
            body,
            "<div><a href=\"{}\" target=\"_self\"><button class=\"dex-btn theme-btn-provider\">\
             <span class=\"dex-btn-icon dex-btn-icon--{}\"></span>\
             <span class=\"dex-btn-text\">Log in with {}</span></button></a></div>",
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
