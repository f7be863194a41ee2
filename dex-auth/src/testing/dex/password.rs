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
            .filter(|connector| connector.id() == begun.connector)
        else {
            return Self::error(500, "Requested resource does not exist.");
        };
        match *request.method() {
            Method::GET => Reply::html(200, password_page(request, connector, None)),
            Method::POST => self.credentials(request, connector, id, &begun),
            _ => Self::error(400, "Unsupported request method."),
        }
    }

    fn credentials(&self, request: Incoming<'_>, connector: &Connector, id: &str, begun: &AuthRequest) -> Reply {
        let fields = request.values();
        let login = fields.text("login");
        self.attempts.fetch_add(1, Ordering::Relaxed);
        match connector.login(&self.users, login, fields.text("password")) {
            Ok(Some(identity)) => self.logged_in(request, id, begun, identity),
            Ok(None) => Reply::html(401, password_page(request, connector, Some(login))),
            Err(_) if self.is_terse() => Self::error(
                500,
                "Login error. Please contact your administrator or try again later.",
            ),
            Err(text) => Self::error(500, &format!("Login error: {text}")),
        }
    }

    fn logged_in(&self, request: Incoming<'_>, id: &str, begun: &AuthRequest, identity: Identity) -> Reply {
        self.logins.fetch_add(1, Ordering::Relaxed);
        if !self.asks_approval(begun) {
            return self.send_code(id, identity, request);
        }
        if let Some(begun) = self.lock().requests.get_mut(id) {
            begun.identity = Some(identity);
        }
        let mac = BASE64_URL_SAFE_NO_PAD.encode(self.approval_mac(id));
        let location = format!("/dex/approval?{}", query([("req", id), ("hmac", mac.as_str())]));
        Reply::redirect(303, &location, request)
    }

    /// What shows that the approval page was reached by way of a login.
    pub(super) fn approval_mac(&self, id: &str) -> Vec<u8> {
        hmac::sign(&self.approval_key, format!("{id}|approval").as_bytes())
            .as_ref()
            .to_vec()
    }
}

fn password_page(request: Incoming<'_>, connector: &Connector, refused: Option<&str>) -> String {
    pages::dex_password(&PasswordPage {
        action: &request.path_and_query(),
        prompt: connector.prompt(),
        back: request.query().text("back"),
        refused,
    })
}
