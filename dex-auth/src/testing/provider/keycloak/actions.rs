//! `/login-actions/`: the forms of a login.

use std::sync::atomic::Ordering;

use http::Method;

use super::super::super::message::{Incoming, Params, Reply, query};
use super::super::super::sealed::{hex, random_bytes};
use super::pages::{Alert, LoginPage, SocialLink};
use super::realm::Realm;
use super::state::{Place, Stage, State, Tab, Target};
use super::texts::Text;
use super::user::RequiredAction;

/// How long a lock by wrong passwords lasts.
const LOCK_SECONDS: i64 = 60;

impl Realm {
    pub(super) fn authenticate(&self, request: Incoming<'_>) -> Reply {
        let params = request.query();
        let mut state = self.lock();
        let place = match self.find(&mut state, request, &params) {
            Ok(place) => place,
            Err(reply) => return reply,
        };
        if request.method() != Method::POST {
            // A SAML request arrives here, with or without a session.
            let session = Self::session(&state, request).filter(|_| params.get("execution").is_none());
            if let (Some((_, session)), Some(tab)) = (session, state.tab(&place))
                && tab.alert.is_none()
                && matches!(tab.begun.target, Target::Saml { .. })
            {
                tab.identity = Some(session.identity);
                return self.proceed(&mut state, request, &place);
            }
            return self.show(&mut state, &place);
        }
        if let Some(reply) = self.expired(&mut state, &place, &params) {
            return reply;
        }
        let form = request.form();
        match state.tab(&place).map(|tab| tab.stage) {
            Some(Stage::Username) => self.username(&mut state, &place, &form),
            Some(Stage::Password { .. }) => self.password(&mut state, request, &place, &form),
            Some(Stage::Code) => self.one_time_code(&mut state, request, &place, &form),
            _ => self.show(&mut state, &place),
        }
    }

    /// An unknown name gets the same next page as a known one.
    fn username(&self, state: &mut State, place: &Place, form: &Params) -> Reply {
        if let Some(tab) = state.tab(place) {
            form.text("username").clone_into(&mut tab.attempted);
            tab.remember = form.get("rememberMe").is_some();
            if tab.attempted.is_empty() {
                return self.show_refused(state, place);
            }
            tab.stage = Stage::Password { with_username: false };
        }
        self.show(state, place)
    }

    fn password(&self, state: &mut State, request: Incoming<'_>, place: &Place, form: &Params) -> Reply {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let now = self.clock.seconds();
        let Some(tab) = state.tab(place) else {
            return self.error(400, Text::CookieNotFound);
        };
        if (tab.stage == Stage::Password { with_username: true }) {
            form.text("username").clone_into(&mut tab.attempted);
            tab.remember = form.get("rememberMe").is_some();
        }
        let name = tab.attempted.clone();
        let Some(user) = state.user(&name).cloned() else {
            return self.show_refused(state, place);
        };
        let (failures, last) = state.failures.get(&user.name).copied().unwrap_or_default();
        let is_locked =
            self.lock_after.is_some_and(|limit| failures >= limit) && now < last.saturating_add(LOCK_SECONDS);
        if is_locked {
            return self.show_refused(state, place);
        }
        if user.password != form.text("password") {
            state.failures.insert(user.name, (failures.saturating_add(1), now));
            return self.show_refused(state, place);
        }
        state.failures.remove(&user.name);
        let Some(tab) = state.tab(place) else {
            return self.error(400, Text::CookieNotFound);
        };
        if !user.enabled {
            tab.alert = Some(Alert::Danger(Text::Disabled));
            return self.show(state, place);
        }
        tab.actions.clone_from(&user.actions);
        if user.devices.is_empty() {
            tab.identity = Some(user.identity());
            self.count_login();
            return self.proceed(state, request, place);
        }
        tab.stage = Stage::Code;
        self.show(state, place)
    }

    fn one_time_code(&self, state: &mut State, request: Incoming<'_>, place: &Place, form: &Params) -> Reply {
        let name = state.tab(place).map(|tab| tab.attempted.clone()).unwrap_or_default();
        let Some(user) = state.user(&name).cloned() else {
            return self.error(400, Text::CookieNotFound);
        };
        let wanted = form.get("selectedCredentialId");
        let device = match wanted {
            Some(id) => user.devices.iter().find(|device| device.id == id),
            None => user.devices.first(),
        };
        if !device.is_some_and(|device| device.app.accepts(form.text("otp"), self.clock.seconds())) {
            return self.show_refused(state, place);
        }
        if let Some(tab) = state.tab(place) {
            tab.identity = Some(user.identity());
        }
        self.count_login();
        self.proceed(state, request, place)
    }

    pub(super) fn required_action(&self, request: Incoming<'_>) -> Reply {
        let params = request.query();
        let mut state = self.lock();
        let place = match self.find(&mut state, request, &params) {
            Ok(place) => place,
            Err(reply) => return reply,
        };
        if request.method() != Method::POST {
            return self.show(&mut state, &place);
        }
        if let Some(reply) = self.expired(&mut state, &place, &params) {
            return reply;
        }
        let form = request.form();
        let terms = state
            .tab(&place)
            .is_some_and(|tab| tab.stage == Stage::Action(RequiredAction::Terms));
        match (terms, form.get("cancel"), form.get("accept")) {
            (true, Some(_), _) => self.deny(&mut state, request, &place),
            (true, None, Some(_)) => {
                let name = state.tab(&place).map(|tab| {
                    tab.actions.retain(|action| *action != RequiredAction::Terms);
                    tab.attempted.clone()
                });
                let name = name.unwrap_or_default();
                if let Some(user) = state.users.iter_mut().find(|user| user.is_called(&name)) {
                    user.actions.retain(|action| *action != RequiredAction::Terms);
                }
                self.proceed(&mut state, request, &place)
            }
            _ => self.show(&mut state, &place),
        }
    }

    pub(super) fn consent(&self, request: Incoming<'_>) -> Reply {
        let params = request.query();
        let mut state = self.lock();
        let place = match self.find(&mut state, request, &params) {
            Ok(place) => place,
            Err(reply) => return reply,
        };
        let form = request.form();
        let Some(tab) = state.tab(&place).cloned() else {
            return self.error(400, Text::CookieNotFound);
        };
        if request.method() != Method::POST || tab.stage != Stage::Consent || form.text("code") != tab.session_code {
            return self.show(&mut state, &place);
        }
        if form.get("accept").is_none() {
            return self.deny(&mut state, request, &place);
        }
        if let Some(identity) = &tab.identity {
            let given = (identity.subject.clone(), tab.begun.client_id.clone());
            state.consents.insert(given);
        }
        self.proceed(&mut state, request, &place)
    }

    /// The link beside a user name that was typed before.
    pub(super) fn begin_again(&self, request: Incoming<'_>) -> Reply {
        let params = request.query();
        let mut state = self.lock();
        let place = match self.find(&mut state, request, &params) {
            Ok(place) => place,
            Err(reply) => return reply,
        };
        let Some(tab) = state.tab(&place) else {
            return self.error(400, Text::CookieNotFound);
        };
        *tab = Tab::new(tab.begun.clone(), self.first_stage());
        let tab = tab.clone();
        self.go(&place, &tab, "login-actions/authenticate", &[])
    }

    /// The page at which the login stands.
    pub(super) fn show(&self, state: &mut State, place: &Place) -> Reply {
        self.page(state, place, false)
    }

    fn show_refused(&self, state: &mut State, place: &Place) -> Reply {
        self.page(state, place, true)
    }

    fn page(&self, state: &mut State, place: &Place, refused: bool) -> Reply {
        let Some(tab) = state.tab(place) else {
            return self.error(400, Text::CookieNotFound);
        };
        Self::renew(tab);
        let alert = tab.alert.take();
        let tab = tab.clone();
        let look = self.look(tab.begun.language);
        let endpoint = match tab.stage {
            Stage::Action(_) => "login-actions/required-action",
            Stage::FirstBrokerLogin => "login-actions/first-broker-login",
            _ => "login-actions/authenticate",
        };
        let action = self.action(place, &tab, endpoint);
        let user = state.user(&tab.attempted);
        let email = user.map(|user| user.identity().email).unwrap_or_default();
        let rest = Self::tab_query(&tab.begun, &place.tab);
        let restart = format!("{}?{rest}&skip_logout=false", self.path("login-actions/restart"));
        let page = match tab.stage {
            Stage::Username | Stage::Password { .. } => look.login(&LoginPage {
                action: &action,
                asks_username: tab.stage != Stage::Password { with_username: false },
                asks_password: tab.stage != Stage::Username,
                attempted: &tab.attempted,
                refused,
                alert,
                links: self.links(place, &tab),
                restart: &restart,
            }),
            Stage::Code => {
                let devices = user.map(|user| user.devices.as_slice()).unwrap_or_default();
                look.one_time_code(&action, (&tab.attempted, devices), &restart, refused)
            }
            Stage::Action(RequiredAction::UpdatePassword) => look.update_password(&action),
            Stage::Action(RequiredAction::ConfigureTotp) => look.configure_totp(&action, &hex(&random_bytes::<10>())),
            Stage::Action(RequiredAction::VerifyProfile) => look.update_profile(&action, &email),
            Stage::Action(RequiredAction::Terms) => look.terms(&action),
            Stage::Action(RequiredAction::VerifyEmail) => return Reply::html(500, look.error(Text::MailFailed)),
            Stage::Consent => {
                let action = format!("{}?{rest}", self.path("login-actions/consent"));
                look.consent(&action, &tab.session_code, &tab.begun.client_id)
            }
            Stage::FirstBrokerLogin => self.first_login_page(look, &tab, &action),
        };
        Reply::html(200, page)
    }

    fn links(&self, place: &Place, tab: &Tab) -> Vec<SocialLink<'_>> {
        let rest = Self::tab_query(&tab.begun, &place.tab);
        let code = query([("session_code", tab.session_code.as_str())]);
        let link = |alias: &str| format!("{}?{rest}&{code}", self.path(&format!("broker/{alias}/login")));
        self.federated
            .iter()
            .map(|provider| SocialLink {
                alias: &provider.alias,
                label: &provider.label,
                href: link(&provider.alias),
            })
            .collect()
    }
}
