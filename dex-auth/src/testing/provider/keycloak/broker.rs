//! `/broker/`: logins that another provider answers by SAML.

use http::Method;

use super::super::super::message::{Incoming, Reply, query};
use super::super::super::sealed::random_text;
use super::super::{SamlError, SamlRequest, SamlSide};
use super::KeycloakFirstLogin;
use super::cookies::AUTH_SESSION;
use super::pages::{Alert, Look};
use super::realm::Realm;
use super::state::{Place, Stage, Tab};
use super::texts::Text;

impl Realm {
    fn endpoint(&self, alias: &str) -> String {
        format!("{}{}", self.origin, self.path(&format!("broker/{alias}/endpoint")))
    }

    /// An error where the provider's answer arrives: without the cookie that other such pages set.
    fn refuse(&self, text: Text) -> Reply {
        Reply::html(400, self.look(self.language).error(text))
    }

    /// The button: on to the provider.
    pub(super) fn to_provider(&self, request: Incoming<'_>, alias: &str) -> Reply {
        let params = request.query();
        let mut state = self.lock();
        let place = match self.find(&mut state, request, &params) {
            Ok(place) => place,
            Err(reply) => return reply,
        };
        if let Some(reply) = self.expired(&mut state, &place, &params) {
            return reply;
        }
        let provider = self.federated.iter().find(|provider| provider.alias == alias);
        let (Some(provider), Some(tab)) = (provider, state.tab(&place)) else {
            return self.error(400, Text::BrokerFailed);
        };
        let asked = SamlRequest::new(self.issuer(), self.endpoint(alias));
        tab.brokered = Some((alias.to_owned(), asked.clone()));
        Self::renew(tab);
        let relay_state = format!("{}.{}.{}", tab.session_code, place.tab, random_text::<6>());
        let message = query([
            ("SAMLRequest", asked.for_redirect().as_str()),
            ("RelayState", &relay_state),
        ]);
        let url = provider.source.0.sso_url();
        let separator = if url.contains('?') { '&' } else { '?' };
        Self::redirect(&format!("{url}{separator}{message}"))
    }

    /// The provider's answer, sent by the browser from the provider's page.
    pub(super) fn answered_by_provider(&self, request: Incoming<'_>, alias: &str) -> Reply {
        let form = if request.method() == Method::POST {
            request.form()
        } else {
            request.query()
        };
        let provider = self.federated.iter().find(|provider| provider.alias == alias);
        let (Some(provider), Some(relay_state)) = (provider, form.get("RelayState")) else {
            return self.refuse(Text::BrokerFailed);
        };
        let mut state = self.lock();
        let Some(root) = request.cookie(AUTH_SESSION) else {
            return self.refuse(Text::CookieNotFound);
        };
        let mut parts = relay_state.split('.');
        let (code, tab_id) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let place = Place {
            root: root.to_owned(),
            tab: tab_id.to_owned(),
        };
        let session = Self::session(&state, request);
        let Some(tab) = state.tab(&place).filter(|tab| tab.session_code == code) else {
            return match session {
                Some(_) => Reply::html(400, self.look(self.language).info(Text::AlreadyLoggedIn)),
                None => self.refuse(Text::CookieNotFound),
            };
        };
        let Some((_, asked)) = tab.brokered.clone().filter(|(asked, _)| asked == alias) else {
            return self.refuse(Text::BrokerFailed);
        };
        let side = SamlSide {
            acs_url: &asked.acs_url,
            in_response_to: &asked.id,
        };
        match provider.source.0.saml().accept(form.text("SAMLResponse"), side) {
            Ok(identity) => {
                let known = format!("{alias} {}", identity.subject);
                tab.attempted.clone_from(&identity.email);
                tab.identity = Some(identity);
                if state.linked.contains(&known) {
                    self.count_login();
                    return self.proceed(&mut state, request, &place);
                }
                let Some(tab) = state.tab(&place) else {
                    return self.refuse(Text::CookieNotFound);
                };
                tab.stage = Stage::FirstBrokerLogin;
                let tab = tab.clone();
                self.go(&place, &tab, "login-actions/first-broker-login", &[])
            }
            Err(SamlError::Signature) => self.refuse(Text::BrokerSignature),
            Err(SamlError::Denied) => {
                tab.alert = Some(Alert::Danger(Text::BrokerFailed));
                tab.brokered = None;
                self.show(&mut state, &place)
            }
            Err(SamlError::Unexpected | SamlError::Expired | SamlError::Replayed) => self.refuse(Text::BrokerFailed),
        }
    }

    pub(super) fn first_broker_login(&self, request: Incoming<'_>) -> Reply {
        let params = request.query();
        let mut state = self.lock();
        let place = match self.find(&mut state, request, &params) {
            Ok(place) => place,
            Err(reply) => return reply,
        };
        if self.first_login != KeycloakFirstLogin::Create {
            return self.show(&mut state, &place);
        }
        let Some(tab) = state.tab(&place) else {
            return self.error(400, Text::CookieNotFound);
        };
        Self::renew(tab);
        let tab = tab.clone();
        let step = [("session_code", tab.session_code.as_str())];
        self.go(&place, &tab, "broker/after-first-broker-login", &step)
    }

    pub(super) fn first_login_page(&self, look: Look<'_>, tab: &Tab, action: &str) -> String {
        match self.first_login {
            KeycloakFirstLogin::AccountExists => look.link_confirm(action),
            KeycloakFirstLogin::Create | KeycloakFirstLogin::ReviewProfile => {
                look.review_profile(action, &tab.attempted)
            }
        }
    }

    pub(super) fn after_first_broker_login(&self, request: Incoming<'_>) -> Reply {
        let params = request.query();
        let mut state = self.lock();
        let place = match self.find(&mut state, request, &params) {
            Ok(place) => place,
            Err(reply) => return reply,
        };
        if let Some(reply) = self.expired(&mut state, &place, &params) {
            return reply;
        }
        let Some(tab) = state.tab(&place).cloned() else {
            return self.error(400, Text::CookieNotFound);
        };
        let (Stage::FirstBrokerLogin, KeycloakFirstLogin::Create, Some((alias, _)), Some(identity)) =
            (tab.stage, self.first_login, &tab.brokered, &tab.identity)
        else {
            return self.show(&mut state, &place);
        };
        state.linked.insert(format!("{alias} {}", identity.subject));
        self.count_login();
        self.proceed(&mut state, request, &place)
    }
}
