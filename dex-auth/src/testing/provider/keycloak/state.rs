//! What a realm remembers: logins under way, each in a tab of a browser, and the sessions that came of them.

use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::super::sealed::random_text;
use super::super::{AuthorizationRequest, Identity, SamlRequest};
use super::pages::Alert;
use super::texts::KeycloakLanguage;
use super::user::{KeycloakUser, RequiredAction, stable_uuid};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) users: Vec<KeycloakUser>,
    /// Logins of one browser each, by `AUTH_SESSION_ID`, and in them by the id of the tab.
    pub(super) roots: HashMap<String, HashMap<String, Tab>>,
    /// What logins can be begun again from, by `KC_RESTART`.
    pub(super) restarts: HashMap<String, Begun>,
    pub(super) sessions: HashMap<String, Session>,
    /// Wrong passwords in a row, and when the last one came.
    pub(super) failures: HashMap<String, (u32, i64)>,
    /// Users and clients.
    pub(super) consents: HashSet<(String, String)>,
    /// Users of other providers that have an account here.
    pub(super) linked: HashSet<String>,
}

/// A session of single sign-on.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) identity: Identity,
    pub(super) ends: i64,
}

/// A login as a client began it.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pub(super) client_id: String,
    pub(super) target: Target,
    pub(super) language: KeycloakLanguage,
}

/// Where a login leads in the end.
#[derive(Clone, Debug)]
pub(super) enum Target {
    OpenId(AuthorizationRequest),
    Saml {
        request: SamlRequest,
        relay_state: Option<String>,
    },
}

/// Which page a login stands at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Username,
    Password {
        with_username: bool,
    },
    Code,
    Action(RequiredAction),
    Consent,
    /// A user of another provider whose account is not there yet.
    FirstBrokerLogin,
}

/// A login under way.
#[derive(Clone, Debug)]
pub(super) struct Tab {
    pub(super) begun: Begun,
    pub(super) stage: Stage,
    /// What the next form must bring along.
    pub(super) session_code: String,
    /// The user name as it was typed.
    pub(super) attempted: String,
    pub(super) identity: Option<Identity>,
    pub(super) actions: Vec<RequiredAction>,
    pub(super) alert: Option<Alert>,
    pub(super) remember: bool,
    /// What was asked of another provider, by its alias.
    pub(super) brokered: Option<(String, SamlRequest)>,
}

/// Where a login is kept.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) root: String,
    pub(super) tab: String,
}

impl Begun {
    /// The redirect URI and state, which links carry along, so that an error can be told to the client when all else is
    /// gone.
    pub(super) fn client_data(&self) -> String {
        let (address, state) = match &self.target {
            Target::OpenId(request) => (&request.redirect_uri, request.state.as_str()),
            Target::Saml { request, relay_state } => (&request.acs_url, relay_state.as_deref().unwrap_or_default()),
        };
        let data = json!({ "ru": address, "rt": "code", "st": state });
        BASE64_URL_SAFE_NO_PAD.encode(data.to_string())
    }
}

/// Redirect URI and state, out of what [`Begun::client_data`] made.
pub(super) fn read_client_data(text: &str) -> Option<(String, String)> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let data: Value = serde_json::from_slice(&bytes).ok()?;
    let part = |name: &str| data.get(name).and_then(Value::as_str).map(str::to_owned);
    Some((part("ru")?, part("st")?))
}

impl Tab {
    pub(super) fn new(begun: Begun, stage: Stage) -> Self {
        Self {
            begun,
            stage,
            session_code: random_text::<32>(),
            attempted: String::new(),
            identity: None,
            actions: Vec::new(),
            alert: None,
            remember: false,
            brokered: None,
        }
    }

    /// The name of the step in addresses.
    pub(super) fn execution(&self) -> String {
        match self.stage {
            Stage::Action(action) => action.execution().to_owned(),
            Stage::Consent => "OAUTH_GRANT".to_owned(),
            Stage::Username => stable_uuid("execution of the user name form"),
            Stage::Password { .. } => stable_uuid("execution of the login form"),
            Stage::Code => stable_uuid("execution of the one-time code form"),
            Stage::FirstBrokerLogin => stable_uuid("execution of the first broker login"),
        }
    }
}

impl State {
    pub(super) fn tab(&mut self, place: &Place) -> Option<&mut Tab> {
        self.roots.get_mut(&place.root)?.get_mut(&place.tab)
    }

    /// Puts a login into a browser that may have others.
    pub(super) fn open(&mut self, root: Option<&str>, tab: Tab) -> Place {
        let place = Place {
            root: root.map_or_else(random_text::<36>, str::to_owned),
            tab: random_text::<8>(),
        };
        let tabs = self.roots.entry(place.root.clone()).or_default();
        tabs.insert(place.tab.clone(), tab);
        place
    }

    /// Takes a login out. True if it was the browser's last.
    pub(super) fn close(&mut self, place: &Place) -> bool {
        let Some(tabs) = self.roots.get_mut(&place.root) else {
            return true;
        };
        tabs.remove(&place.tab);
        let last = tabs.is_empty();
        if last {
            self.roots.remove(&place.root);
        }
        last
    }

    pub(super) fn user(&self, name: &str) -> Option<&KeycloakUser> {
        self.users.iter().find(|user| user.is_called(name))
    }
}
