//! Keycloak's pages. Wording and looks are this fake's own; page ids, forms, fields, ids and classes that programs look
//! for, and the English texts of refusals, are those of the real pages.

use std::fmt::Write as _;

use super::super::super::pages::escape;
use super::texts::{KeycloakLanguage, Text};
use super::user::Device;

/// The two generations of Keycloak's own login theme, which both are in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeycloakTheme {
    /// `keycloak`.
    V1,
    /// `keycloak.v2`, the default of new realms since 26.
    #[default]
    V2,
}

/// What all pages of a login share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look<'a> {
    pub(super) theme: KeycloakTheme,
    pub(super) language: KeycloakLanguage,
    pub(super) realm: &'a str,
}

/// A box above the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alert {
    Danger(Text),
    Warning(Text),
    Info(Text),
}

/// A button for another provider.
pub(super) struct SocialLink<'a> {
    pub(super) alias: &'a str,
    pub(super) label: &'a str,
    pub(super) href: String,
}

/// What the login form needs to know.
pub(super) struct LoginPage<'a> {
    pub(super) action: &'a str,
    pub(super) asks_username: bool,
    pub(super) asks_password: bool,
    /// The user name that was typed before.
    pub(super) attempted: &'a str,
    pub(super) refused: bool,
    pub(super) alert: Option<Alert>,
    pub(super) links: Vec<SocialLink<'a>>,
    pub(super) restart: &'a str,
}

impl Look<'_> {
    fn page(&self, id: &str, body: &str) -> String {
        let language = self.language.code();
        let title = escape(self.realm);
        format!(
            "<!DOCTYPE html>\n<html class=\"login-pf\" lang=\"{language}\">\n<head><meta charset=\"utf-8\"><title>Sign in to \
             {title}</title></head>\n<body data-page-id=\"{id}\">\n<h1 id=\"kc-page-title\">{}</h1>\n{body}</body>\n</html>\n",
            escape(self.language.say(Text::SignIn))
        )
    }

    fn alert(&self, alert: Option<Alert>) -> String {
        let (class, text) = match alert {
            None => return String::new(),
            Some(Alert::Danger(text)) => ("danger", text),
            Some(Alert::Warning(text)) => ("warning", text),
            Some(Alert::Info(text)) => ("info", text),
        };
        let text = escape(self.language.say(text));
        match self.theme {
            KeycloakTheme::V1 => format!(
                "<div class=\"alert-error pf-c-alert pf-m-inline pf-m-{class}\"><span class=\"pf-c-alert__title \
                 kc-feedback-text\">{text}</span></div>\n"
            ),
            KeycloakTheme::V2 => format!(
                "<div class=\"pf-v5-c-alert pf-m-inline pf-m-{class}\"><span class=\"pf-v5-c-alert__title \
                 kc-feedback-text\">{text}</span></div>\n"
            ),
        }
    }

    /// The text of a refused field; the newer theme keeps an empty place for it on each page.
    fn refusal(&self, field: &str, id_v1: &str, refused: Option<Text>) -> String {
        let text = refused.map(|text| escape(self.language.say(text)));
        match (self.theme, text) {
            (KeycloakTheme::V1, None) => String::new(),
            (KeycloakTheme::V1, Some(text)) => format!(
                "<span id=\"{id_v1}\" class=\"pf-c-form__helper-text pf-m-error required kc-feedback-text\">{text}</span>\n"
            ),
            (KeycloakTheme::V2, None) => format!("<div id=\"input-error-container-{field}\"></div>\n"),
            (KeycloakTheme::V2, Some(text)) => format!(
                "<div id=\"input-error-container-{field}\"><div class=\"pf-m-error\" id=\"input-error-{field}\"><span \
                 class=\"kc-feedback-text\">{text}</span></div></div>\n"
            ),
        }
    }

    fn attempted(&self, name: &str, restart: &str) -> String {
        let (name, restart) = (escape(name), escape(restart));
        match self.theme {
            KeycloakTheme::V1 => format!(
                "<div id=\"kc-username\"><label id=\"kc-attempted-username\">{name}</label><a id=\"reset-login\" \
                 href=\"{restart}\">Begin again</a></div>\n"
            ),
            KeycloakTheme::V2 => format!(
                "<input id=\"kc-attempted-username\" value=\"{name}\" readonly><button id=\"reset-login\" type=\"button\" \
                 onclick=\"location.href='{restart}'\">Begin again</button><div id=\"input-error-container-username\"></div>\n"
            ),
        }
    }

    fn button(&self, name: &str, id: &str, label: &str) -> String {
        match self.theme {
            KeycloakTheme::V1 => format!("<input name=\"{name}\" id=\"{id}\" type=\"submit\" value=\"{label}\"/>\n"),
            KeycloakTheme::V2 => format!("<button name=\"{name}\" id=\"{id}\" type=\"submit\">{label}</button>\n"),
        }
    }

    pub(super) fn login(&self, content: &LoginPage<'_>) -> String {
        let mut body = String::new();
        if !content.asks_username {
            body.push_str(&self.attempted(content.attempted, content.restart));
        }
        body.push_str(&self.alert(content.alert));
        let _ = writeln!(
            body,
            "<form id=\"kc-form-login\" action=\"{}\" method=\"post\">",
            escape(content.action)
        );
        let refused = content.refused.then_some(Text::WrongPassword);
        if content.asks_username {
            let _ = writeln!(
                body,
                "<label for=\"username\">Username or email</label><input id=\"username\" name=\"username\" value=\"{}\" \
                 type=\"text\" autocomplete=\"username\"/>",
                escape(content.attempted)
            );
            body.push_str(&self.refusal("username", "input-error", refused));
        }
        if content.asks_password {
            body.push_str(
                "<label for=\"password\">Password</label><input id=\"password\" name=\"password\" value=\"\" \
                 type=\"password\" autocomplete=\"current-password\"/><button type=\"button\">Show</button>\n",
            );
            let refused = refused.filter(|_| !content.asks_username);
            if self.theme == KeycloakTheme::V2 || refused.is_some() {
                body.push_str(&self.refusal("password", "input-error", refused));
            }
        }
        if content.asks_username {
            body.push_str("<input type=\"checkbox\" id=\"rememberMe\" name=\"rememberMe\"/>\n");
        }
        if content.asks_password {
            body.push_str("<input type=\"hidden\" id=\"id-hidden-input\" name=\"credentialId\"/>\n");
        }
        body.push_str(&self.button("login", "kc-login", "Sign In"));
        body.push_str("</form>\n");
        for link in &content.links {
            let _ = writeln!(
                body,
                "<a id=\"social-{}\" type=\"button\" href=\"{}\"><span>{}</span></a>",
                escape(link.alias),
                escape(&link.href),
                escape(link.label)
            );
        }
        let id = if content.asks_password {
            "login-login"
        } else {
            "login-login-username"
        };
        self.page(id, &body)
    }

    pub(super) fn one_time_code(&self, action: &str, user: (&str, &[Device]), restart: &str, refused: bool) -> String {
        let (name, devices) = user;
        let mut body = self.attempted(name, restart);
        let _ = write!(
            body,
            "<form id=\"kc-otp-login-form\" action=\"{}\" method=\"post\">",
            escape(action)
        );
        let several = devices.len() > 1;
        if let (KeycloakTheme::V2, Some(first)) = (self.theme, devices.first()) {
            let _ = writeln!(
                body,
                "<input id=\"selectedCredentialId\" type=\"hidden\" name=\"selectedCredentialId\" value=\"{}\">",
                first.id
            );
        }
        for (number, device) in devices.iter().enumerate().filter(|_| several) {
            let (id, label) = (&device.id, escape(&device.label));
            let _ = match self.theme {
                KeycloakTheme::V1 => writeln!(
                    body,
                    "<input id=\"kc-otp-credential-{number}\" type=\"radio\" name=\"selectedCredentialId\" value=\"{id}\"{}>\
                     <label for=\"kc-otp-credential-{number}\">{label}</label>",
                    if number == 0 { " checked=\"checked\"" } else { "" }
                ),
                KeycloakTheme::V2 => writeln!(
                    body,
                    "<div id=\"kc-otp-credential-{number}\" onclick=\"toggleOTP({number}, '{id}')\">{label}</div>"
                ),
            };
        }
        body.push_str(
            "<label for=\"otp\">One-time code</label><input id=\"otp\" name=\"otp\" type=\"text\" \
             autocomplete=\"one-time-code\"/>\n",
        );
        body.push_str(&self.refusal("otp", "input-error-otp-code", refused.then_some(Text::WrongCode)));
        body.push_str(&self.button("login", "kc-login", "Sign In"));
        body.push_str("</form>\n");
        self.page("login-login-otp", &body)
    }

    /// The inside of a form with fields of these names, types and values; those that `refused` names are told to be
    /// missing.
    fn form(&self, id: &str, action: &str, fields: &[(&str, &str, &str)], refused: &[&str]) -> String {
        let mut body = format!("<form id=\"{id}\" action=\"{}\" method=\"post\">\n", escape(action));
        for (name, kind, value) in fields {
            let _ = writeln!(
                body,
                "<input id=\"{name}\" name=\"{name}\" type=\"{kind}\" value=\"{}\"/>",
                escape(value)
            );
            // The form of a new device has no such places.
            if ["text", "password"].contains(kind) && id != "kc-totp-settings-form" {
                let missing = refused.contains(name).then_some(Text::FieldMissing);
                body.push_str(&self.refusal(name, &format!("input-error-{name}"), missing));
            }
        }
        body.push_str("</form>\n");
        body
    }

    pub(super) fn update_password(&self, action: &str) -> String {
        let fields = [
            ("password-new", "password", ""),
            ("password-confirm", "password", ""),
            ("logout-sessions", "checkbox", ""),
            ("login", "submit", ""),
        ];
        let alert = self.alert(Some(Alert::Warning(Text::NewPassword)));
        let form = self.form("kc-passwd-update-form", action, &fields, &[]);
        self.page("login-login-update-password", &(alert + &form))
    }

    pub(super) fn configure_totp(&self, action: &str, secret: &str) -> String {
        let fields = [
            ("totp", "text", ""),
            ("totpSecret", "hidden", secret),
            ("userLabel", "text", ""),
            ("logout-sessions", "checkbox", ""),
        ];
        let alert = self.alert(Some(Alert::Warning(Text::NewDevice)));
        let form = self.form("kc-totp-settings-form", action, &fields, &[]);
        self.page("login-login-config-totp", &(alert + &form))
    }

    pub(super) fn update_profile(&self, action: &str, email: &str) -> String {
        let fields = [
            ("email", "text", email),
            ("firstName", "text", ""),
            ("lastName", "text", ""),
        ];
        let form = self.form("kc-update-profile-form", action, &fields, &["firstName", "lastName"]);
        self.page("login-login-update-profile", &form)
    }

    pub(super) fn review_profile(&self, action: &str, email: &str) -> String {
        let fields = [
            ("username", "text", email),
            ("email", "text", email),
            ("firstName", "text", "Ada"),
            ("lastName", "text", "Example"),
        ];
        let form = self.form("kc-idp-review-profile-form", action, &fields, &[]);
        self.page("login-idp-review-user-profile", &form)
    }

    pub(super) fn link_confirm(&self, action: &str) -> String {
        let body = format!(
            "<form id=\"kc-register-form\" action=\"{}\" method=\"post\"><button type=\"submit\" name=\"submitAction\" \
             value=\"updateProfile\">Look at it</button><button type=\"submit\" name=\"submitAction\" \
             value=\"linkAccount\">Link</button></form>\n",
            escape(action)
        );
        let alert = self.alert(Some(Alert::Danger(Text::AccountExists)));
        self.page("login-login-idp-link-confirm", &(alert + &body))
    }

    pub(super) fn terms(&self, action: &str) -> String {
        let body = format!(
            "<div id=\"kc-terms-text\">Be kind.</div>\n<form action=\"{}\" method=\"POST\">\n{}{}</form>\n",
            escape(action),
            self.button("accept", "kc-accept", "Accept"),
            self.button("cancel", "kc-decline", "Decline")
        );
        self.page("login-terms", &body)
    }

    pub(super) fn consent(&self, action: &str, code: &str, client: &str) -> String {
        let body = format!(
            "<div id=\"kc-oauth\"><h3>{}</h3><ul><li><span>Email address</span></li><li><span>User \
             profile</span></li></ul>\n<form action=\"{}\" method=\"POST\"><input type=\"hidden\" name=\"code\" \
             value=\"{}\">\n{}{}</form></div>\n",
            escape(client),
            escape(action),
            escape(code),
            self.button("accept", "kc-login", "Yes"),
            self.button("cancel", "kc-cancel", "No")
        );
        self.page("login-login-oauth-grant", &body)
    }

    /// A SAML response on its way: sent by a script, or by the button where there is none.
    pub(super) fn saml_post(&self, action: &str, response: &str, relay_state: Option<&str>) -> String {
        let relay_state = relay_state.map_or_else(String::new, |state| {
            format!(
                "<input type=\"hidden\" name=\"RelayState\" value=\"{}\"/>\n",
                escape(state)
            )
        });
        let body = format!(
            "<script>window.onload=function(){{document.forms[0].submit()}}</script>\n<form name=\"saml-post-binding\" \
             method=\"post\" action=\"{}\">\n<input type=\"hidden\" name=\"SAMLResponse\" value=\"{}\"/>\n{relay_state}\
             <noscript><input type=\"submit\" value=\"Continue\"/></noscript>\n</form>\n",
            escape(action),
            escape(response)
        );
        self.page("login-saml-post-form", &body)
    }

    pub(super) fn error(&self, text: Text) -> String {
        let body = format!(
            "<div id=\"kc-error-message\"><p class=\"instruction\">{}</p></div>\n",
            escape(self.language.say(text))
        );
        self.page("login-error", &body)
    }

    pub(super) fn info(&self, text: Text) -> String {
        let body = format!(
            "<div id=\"kc-info-message\"><p class=\"instruction\">{}</p></div>\n",
            escape(self.language.say(text))
        );
        self.page("login-info", &body)
    }
}
