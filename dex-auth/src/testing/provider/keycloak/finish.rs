//! The end of a login: what is still asked of the user, and the way back to the client.

use super::super::super::message::{Incoming, Reply};
use super::super::super::sealed::random_text;
use super::super::AuthorizationRequest;
use super::cookies::{RESTART, SESSION_SECONDS};
use super::realm::Realm;
use super::state::{Place, Session, Stage, State, Tab, Target};
use super::texts::Text;

impl Realm {
    /// Goes on with a user who is known.
    pub(super) fn proceed(&self, state: &mut State, request: Incoming<'_>, place: &Place) -> Reply {
        let consents = state.consents.clone();
        let Some(tab) = state.tab(place) else {
            return self.error(400, Text::CookieNotFound);
        };
        let subject = tab
            .identity
            .as_ref()
            .map(|identity| identity.subject.clone())
            .unwrap_or_default();
        let client = tab.begun.client_id.clone();
        let asked = if let Some(action) = tab.actions.first() {
            Some(Stage::Action(*action))
        } else if self.consent.contains(&client) && !consents.contains(&(subject, client)) {
            Some(Stage::Consent)
        } else {
            None
        };
        let Some(asked) = asked else {
            return self.complete(state, request, place);
        };
        tab.stage = asked;
        let tab = tab.clone();
        let execution = tab.execution();
        self.go(
            place,
            &tab,
            "login-actions/required-action",
            &[("execution", &execution)],
        )
    }

    fn complete(&self, state: &mut State, request: Incoming<'_>, place: &Place) -> Reply {
        let Some(tab) = state.tab(place).cloned() else {
            return self.error(400, Text::CookieNotFound);
        };
        let Some(identity) = tab.identity.clone() else {
            return self.show(state, place);
        };
        let last = state.close(place);
        let kept = Self::session(state, request).filter(|(_, session)| session.identity == identity);
        let id = kept.map_or_else(random_text::<18>, |(id, _)| id);
        let session = Session {
            identity: identity.clone(),
            ends: self.clock.seconds().saturating_add(SESSION_SECONDS),
        };
        state.sessions.insert(id.clone(), session);
        let reply = match &tab.begun.target {
            Target::OpenId(asked) => self.to_client(asked, &id, identity),
            Target::Saml { request, relay_state } => {
                let response = self.saml.response(request, &identity);
                let look = self.look(tab.begun.language);
                Reply::html(200, look.saml_post(&request.acs_url, &response, relay_state.as_deref()))
            }
        };
        let reply = self.left(request, reply, last);
        let remembered = tab.remember.then_some(tab.attempted.as_str());
        self.cookies().session(reply, &id, remembered)
    }

    fn to_client(&self, asked: &AuthorizationRequest, session: &str, identity: super::super::Identity) -> Reply {
        let code = self.codes.issue(asked.clone(), identity);
        let pairs = [("session_state", session), ("iss", &self.issuer()), ("code", &code)];
        Self::redirect(&asked.back(&pairs))
    }

    /// The user said no: the client is told.
    pub(super) fn deny(&self, state: &mut State, request: Incoming<'_>, place: &Place) -> Reply {
        let Some(tab) = state.tab(place).cloned() else {
            return self.error(400, Text::CookieNotFound);
        };
        let last = state.close(place);
        let Tab { begun, .. } = tab;
        let reply = match &begun.target {
            Target::OpenId(asked) => Self::redirect(&self.refusal(asked, "access_denied", "")),
            Target::Saml { request, relay_state } => {
                let response = self.saml.denial(request);
                let look = self.look(begun.language);
                Reply::html(200, look.saml_post(&request.acs_url, &response, relay_state.as_deref()))
            }
        };
        self.left(request, reply, last)
    }

    /// Nothing is left to be begun again.
    fn left(&self, request: Incoming<'_>, reply: Reply, last: bool) -> Reply {
        if last && request.cookie(RESTART).is_some() {
            self.cookies().no_restart(reply)
        } else {
            reply
        }
    }
}
