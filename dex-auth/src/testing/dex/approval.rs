//! `/dex/approval`: the page on which the user lets the client know who he is.

use aws_lc_rs::constant_time;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::Method;

use super::super::message::{Incoming, Reply};
use super::super::pages;
use super::Dex;

impl Dex {
    pub(super) fn approval(&self, request: Incoming<'_>) -> Reply {
        let fields = request.values();
        let mac = BASE64_URL_SAFE_NO_PAD.decode(fields.text("hmac")).unwrap_or_default();
        if mac.is_empty() {
            return Self::error(401, "Unauthorized request");
        }
        let id = fields.text("req");
        let Some(begun) = self.lock().requests.get(id).cloned() else {
            return Self::error(500, "Database error.");
        };
        let Some(identity) = begun.identity.clone() else {
            return Self::error(500, "Login process not yet finalized.");
        };
        if constant_time::verify_slices_are_equal(&mac, &self.approval_mac(id)).is_err() {
            return Self::error(401, "Unauthorized request");
        }
        match *request.method() {
            Method::GET => Reply::html(200, pages::dex_approval(id, &begun.scopes)),
            Method::POST if fields.text("approval") == "approve" => self.send_code(id, identity, request),
            Method::POST => Self::error(500, "Approval rejected."),
            _ => Self::error(400, "Unsupported request method."),
        }
    }
}
