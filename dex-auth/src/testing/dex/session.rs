//! The Dex after 2.45: every login goes over `/dex/auth?hmac=&req=` from step to step, and Dex may remember its users.

use super::super::authservice::PAST;
use super::super::message::{Incoming, Reply};
use super::super::pages;
use super::super::provider::Identity;
use super::super::sealed::dex_id;
use super::connector::two_texts;
use super::{AuthRequest, Dex, redirect_to};

const COOKIE: &str = "dex_session";
/// From the login on.
const SESSION_SECONDS: i64 = 24 * 3600;
/// From its last use on.
const IDLE_SECONDS: i64 = 3600;

/// A user whom Dex remembers.
pub(super) struct BrowserSession {
    connector: String,
    identity: Identity,
    factor_given: bool,
    ends: i64,
    idle_ends: i64,
}

impl BrowserSession {
    pub(super) fn lives(&self, now: i64) -> bool {
        now < self.ends && now < self.idle_ends
    }
}

impl Dex {
    /// Begins a session; the line that sets its cookie.
    pub(super) fn open_session(&self, connector: &str, identity: &Identity, remember: bool) -> String {
        let now = self.clock.seconds();
        let value = two_texts(&dex_id(), &dex_id());
        let session = BrowserSession {
            connector: connector.to_owned(),
            identity: identity.clone(),
            factor_given: false,
            ends: now.saturating_add(SESSION_SECONDS),
            idle_ends: now.saturating_add(IDLE_SECONDS),
        };
        self.lock().sessions.insert(value.clone(), session);
        let life = if remember {
            format!("Max-Age={SESSION_SECONDS}; ")
        } else {
            String::new()
        };
        format!("{COOKIE}={value}; Path=/dex; {life}HttpOnly; SameSite=Lax")
    }

    /// The answer to the beginning of a login that needs no form: the user is known, or nobody may be asked.
    pub(super) fn by_session(&self, request: Incoming<'_>, begun: &AuthRequest) -> Option<Reply> {
        if !self.sessions {
            return None;
        }
        let now = self.clock.seconds();
        let asks_anyway = begun.has_prompt("login") || begun.has_prompt("select_account");
        let known = request.cookie(COOKIE).filter(|_| !asks_anyway).and_then(|value| {
            let mut state = self.lock();
            let session = state.sessions.get_mut(value)?;
            session.idle_ends = now.saturating_add(IDLE_SECONDS);
            (session.connector == begun.connector).then(|| (session.identity.clone(), session.factor_given))
        });
        let Some((identity, factor_given)) = known else {
            let refusal = || refused(request, begun, "login_required", "User not authenticated");
            return begun.has_prompt("none").then(refusal);
        };
        let id = self.keep(AuthRequest {
            identity: Some(identity),
            factor_given,
            ..begun.clone()
        });
        let location = self.sealed_step("/dex/auth", &id, "login");
        Some(Reply::redirect(303, &location, request))
    }

    /// Notes in the browser's session that the second factor was given.
    pub(super) fn note_factor(&self, request: Incoming<'_>) {
        let Some(value) = request.cookie(COOKIE) else { return };
        if let Some(session) = self.lock().sessions.get_mut(value) {
            session.factor_given = true;
        }
    }

    /// `/dex/auth?hmac=&req=`: where a login goes on after each of its steps.
    pub(super) fn next_step(&self, request: Incoming<'_>) -> Reply {
        let params = request.values();
        let (id, mac) = (params.text("req"), params.text("hmac"));
        if mac.is_empty() {
            return Self::error(401, "Unauthorized request");
        }
        let Some((begun, identity)) = self.finished_form(id) else {
            return Self::error(400, "User session error.");
        };
        if !self.proves(id, mac, &["login", "factor given", "approved"]) {
            return Self::error(401, "Unauthorized request");
        }
        if begun.ends <= self.clock.seconds() {
            return Self::error(400, "User session has expired.");
        }
        let next = if self.second_factor.is_some() && !begun.factor_given {
            self.sealed_step("/dex/mfa", id, "mfa")
        } else if self.asks_approval(&begun) && !begun.approved {
            self.sealed_step("/dex/approval", id, "approval")
        } else {
            return self.send_code(id, identity, request);
        };
        if begun.has_prompt("none") {
            return refused(request, &begun, "interaction_required", "User interaction required");
        }
        Reply::redirect(303, &next, request)
    }

    /// A begun login whose user is known.
    pub(super) fn finished_form(&self, id: &str) -> Option<(AuthRequest, Identity)> {
        let begun = self.lock().requests.get(id).cloned()?;
        let identity = begun.identity.clone()?;
        Some((begun, identity))
    }

    pub(super) fn logout(&self, request: Incoming<'_>) -> Reply {
        if request.is_read() {
            return Reply::html(200, pages::dex_logout());
        }
        if let Some(value) = request.cookie(COOKIE) {
            self.lock().sessions.remove(value);
        }
        Reply::html(200, pages::dex_logged_out()).set_cookie(&format!(
            "{COOKIE}=; Path=/dex; Expires={PAST}; Max-Age=0; HttpOnly; SameSite=Lax"
        ))
    }
}

fn refused(request: Incoming<'_>, begun: &AuthRequest, error: &str, description: &str) -> Reply {
    let pairs = [
        ("error", error),
        ("error_description", description),
        ("state", &begun.state),
    ];
    Reply::redirect(303, &redirect_to(&begun.redirect_uri, &pairs), request)
}
