//! `/dex/approval`: the page on which the user lets the client know who he is.

use http::Method;

use super::super::message::{Incoming, Reply};
use super::super::pages;
use super::Dex;

impl Dex {
    pub(super) fn approval(&self, request: Incoming<'_>) -> Reply {
        let fields = request.values();
        let mac = fields.text("hmac");
        if self.version.seals_approval() && mac.is_empty() {
            return Self::error(401, "Unauthorized request");
        }
        let id = fields.text("req");
        let Some(begun) = self.lock().requests.get(id).cloned() else {
            return if self.version.is_head() {
                Self::error(400, "User session error.")
            } else {
                Self::error(500, "Database error.")
            };
        };
        let Some(identity) = begun.identity.clone() else {
            return Self::error(500, "Login process not yet finalized.");
        };
        if self.version.seals_approval() && !self.proves(id, mac, &["approval"]) {
            return Self::error(401, "Unauthorized request");
        }
        match *request.method() {
            Method::GET if !self.version.seals_approval() && !self.asks_approval(&begun) => {
                self.send_code(id, identity, request)
            }
            Method::GET => Reply::html(200, pages::dex_approval(id, &begun.scopes)),
            Method::POST if fields.text("approval") != "approve" => Self::error(500, "Approval rejected."),
            Method::POST if self.version.is_head() => {
                if let Some(begun) = self.lock().requests.get_mut(id) {
                    begun.approved = true;
                }
                Reply::redirect(303, &self.sealed_step("/dex/auth", id, "approved"), request)
            }
            Method::POST => self.send_code(id, identity, request),
            _ => Self::error(400, "Unsupported request method."),
        }
    }
}
