//! The pool's own sign-in page.

use std::sync::atomic::Ordering;

use super::super::super::message::{Incoming, Reply, with_query};
use super::super::super::sealed::random_text;
use super::pages;
use super::site::{CSRF, CognitoSite, STATE};
use super::user::CognitoUser;
use super::{WRONG_PASSWORDS, pages::SignIn};

impl CognitoSite {
    /// To the page, or past it to the provider that the address names.
    pub(super) fn authorize(&self, request: Incoming<'_>) -> Reply {
        let asked = match self.asked(request) {
            Ok(asked) => asked,
            Err(reply) => return reply,
        };
        let params = request.query();
        let wanted = params.get("identity_provider").or_else(|| params.get("idp_identifier"));
        match wanted {
            Some("COGNITO") | None => {}
            Some(name) => {
                let position = self.federated.iter().position(|(known, _)| known == name);
                return match position {
                    Some(provider) => self.hand_on(asked, provider, request),
                    None => self.error("Login option is not available. Please try another one", request),
                };
            }
        }
        let query = request.request.url.query().unwrap_or_default();
        let location = with_query(&format!("{}/login", self.origin), query);
        Reply::redirect(302, &location, request)
    }

    pub(super) fn login_page(&self, request: Incoming<'_>) -> Reply {
        if let Err(reply) = self.asked(request) {
            return reply;
        }
        if self.managed {
            return pages::managed();
        }
        self.shown(request, "")
    }

    /// A new page with a new token: an older page in the same browser is of no use from now on.
    fn shown(&self, request: Incoming<'_>, message: &str) -> Reply {
        let token = random_text::<24>();
        self.lock().tokens.insert(token.clone());
        let query = request.request.url.query().unwrap_or_default();
        let action = with_query("/login", query);
        let page = match self.session(request) {
            Some((_, identity)) if message.is_empty() => pages::signed_in_before(&action, &token, &identity.name),
            _ => pages::sign_in(&SignIn {
                query,
                token: &token,
                message,
                own_form: self.own_form,
                federated: &self.federated.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            }),
        };
        let mut reply = page.set_cookie(&format!("{CSRF}={token}; Path=/; HttpOnly"));
        for name in STATE {
            reply = reply.set_cookie(&format!("{name}=\"\"; Path=/; HttpOnly"));
        }
        reply
    }

    pub(super) fn log_in(&self, request: Incoming<'_>) -> Reply {
        let asked = match self.asked(request) {
            Ok(asked) => asked,
            Err(reply) => return reply,
        };
        let form = request.form();
        let token = form.text("_csrf");
        if request.cookie(CSRF) != Some(token) || !self.lock().tokens.remove(token) {
            return self.error("invalid_request", request);
        }
        let Some(name) = form.get("username") else {
            return match self.session(request) {
                Some((session, identity)) => self.finish(&asked, identity, &session, request),
                None => self.error("invalid_request", request),
            };
        };
        if !self.own_form || form.get("password").is_none() || form.get("cognitoAsfData").is_none() {
            return self.error("invalid_request", request);
        }
        self.attempts.fetch_add(1, Ordering::Relaxed);
        match self.judged(name, form.text("password")) {
            Err(message) => self.shown(request, message),
            Ok(user) => match user.next {
                Some(path) => {
                    let query = request.request.url.query().unwrap_or_default();
                    let location = with_query(&format!("{}{path}", self.origin), query);
                    Reply::redirect(302, &location, request)
                }
                None => self.finish(&asked, user.identity(), &random_text::<30>(), request),
            },
        }
    }

    fn judged(&self, name: &str, password: &str) -> Result<&CognitoUser, &'static str> {
        const WRONG: &str = "Incorrect username or password.";
        let Some(user) = self.users.iter().find(|user| user.name == name) else {
            return Err(if self.tells_unknown {
                "User does not exist."
            } else {
                WRONG
            });
        };
        let mut state = self.lock();
        let wrong = state.wrong.entry(name.to_owned()).or_default();
        if *wrong >= WRONG_PASSWORDS {
            return Err("Password attempts exceeded");
        }
        if user.password != password {
            *wrong += 1;
            return Err(WRONG);
        }
        *wrong = 0;
        if user.disabled {
            return Err("User is disabled.");
        }
        Ok(user)
    }
}
