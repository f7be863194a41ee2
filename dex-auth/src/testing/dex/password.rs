//! `/dex/auth/{connector}/login`: the password form.

use std::sync::atomic::Ordering;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::Method;

use super::super::message::{Incoming, Reply, query};
use super::super::pages::{self, PasswordPage};
use super::connector::Connector;
use super::{AuthRequest, Dex};
use crate::testing::provider::Identity;

impl Dex {
    pub(super) fn password_login(&self, request: Incoming<'_>, connector: &str) -> Reply {
        let params = request.query();
        let id = params.text("state");
        if id.is_empty() {
            return Self::error(400, "User session error.");
        }
        let Some(begun) = self.lock().requests.get(id).cloned() else {
            return Self::error(400, "Requested resource does not exist.");
        };
        let Some(connector) = self
            .connector(connector)
            .filter(|connector| connector.id() == begun.connector && connector.upstream().is_none())
        else {
            let status = if self.version.is_head() { 400 } else { 500 };
            return Self::error(status, "Requested resource does not exist.");
        };
        self.password_form(request, connector, id, &begun)
    }

    pub(super) fn password_form(
        &self,
        request: Incoming<'_>,
        connector: &Connector,
        id: &str,
        begun: &AuthRequest,
    ) -> Reply {
        match *request.method() {
            Method::GET => Reply::html(200, self.password_page(request, connector, None)),
            Method::POST => self.credentials(request, connector, id, begun),
            _ => Self::error(400, "Unsupported request method."),
        }
    }

    fn credentials(&self, request: Incoming<'_>, connector: &Connector, id: &str, begun: &AuthRequest) -> Reply {
        let fields = request.values();
        let login = fields.text("login");
        self.attempts.fetch_add(1, Ordering::Relaxed);
        match connector.login(&self.users, login, fields.text("password")) {
            Ok(Some(identity)) => {
                let remember = fields.text("remember_me") == "on";
                self.logged_in(request, id, begun, identity, remember)
            }
            Ok(None) => {
                let page = self.password_page(request, connector, Some(login));
                Reply::html(self.version.refused(), page)
            }
            Err(_) if self.version.is_terse() => Self::error(
                500,
                "Login error. Please contact your administrator or try again later.",
            ),
            Err(text) => Self::error(500, &format!("Login error: {text}")),
        }
    }

    /// The user is known: on to what is still to be done. `remember` is what he ticked.
    pub(super) fn logged_in(
        &self,
        request: Incoming<'_>,
        id: &str,
        begun: &AuthRequest,
        identity: Identity,
        remember: bool,
    ) -> Reply {
        self.logins.fetch_add(1, Ordering::Relaxed);
        if self.version.seals_approval() && !self.version.is_head() && !self.asks_approval(begun) {
            return self.send_code(id, identity, request);
        }
        let cookie = self
            .sessions
            .then(|| self.open_session(&begun.connector, &identity, remember));
        if let Some(begun) = self.lock().requests.get_mut(id) {
            begun.identity = Some(identity);
        }
        let location = if self.version.is_head() {
            self.sealed_step("/dex/auth", id, "login")
        } else if self.version.seals_approval() {
            let mac = self.step_mac(id, "approval");
            format!("/dex/approval?{}", query([("req", id), ("hmac", mac.as_str())]))
        } else {
            format!("/dex/approval?{}", query([("req", id)]))
        };
        let reply = Reply::redirect(303, &location, request);
        match cookie {
            Some(cookie) => reply.set_cookie(&cookie),
            None => reply,
        }
    }

    /// What shows that a step was reached by way of those before it.
    pub(super) fn step_mac(&self, id: &str, step: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&self.step_key, format!("{id}|{step}").as_bytes()).as_ref())
    }

    /// Whether the request carries the proof for one of these steps.
    pub(super) fn proves(&self, id: &str, mac: &str, steps: &[&str]) -> bool {
        let Ok(mac) = BASE64_URL_SAFE_NO_PAD.decode(mac) else {
            return false;
        };
        steps
            .iter()
            .any(|step| hmac::verify(&self.step_key, format!("{id}|{step}").as_bytes(), &mac).is_ok())
    }

    /// A step's address as the Dex after 2.45 writes it.
    pub(super) fn sealed_step(&self, path: &str, id: &str, step: &str) -> String {
        let mac = self.step_mac(id, step);
        format!("{path}?{}", query([("hmac", mac.as_str()), ("req", id)]))
    }

    fn password_page(&self, request: Incoming<'_>, connector: &Connector, refused: Option<&str>) -> String {
        pages::dex_password(&PasswordPage {
            action: &request.path_and_query(),
            prompt: connector.prompt(),
            back: request.query().text("back"),
            refused,
            remember: self.sessions,
        })
    }
}
