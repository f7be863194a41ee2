//! One realm: its addresses, and what its pages and redirects have in common.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Method;
use serde_json::json;

use super::super::super::clock::Clock;
use super::super::super::message::{Incoming, Params, Reply, decode_segment, encode_segment, query};
use super::super::super::sealed::random_text;
use super::super::{Clients, CodeBook, SamlIssuer, SamlSource, Site};
use super::KeycloakFirstLogin;
use super::cookies::{AUTH_SESSION, Cookies, IDENTITY, RESTART};
use super::pages::{Alert, KeycloakTheme, Look};
use super::state::{Begun, Place, Session, Stage, State, Tab, read_client_data};
use super::texts::{KeycloakLanguage, Text};

/// Another provider whose users this realm lets in.
#[derive(Debug)]
pub(super) struct Federated {
    pub(super) alias: String,
    pub(super) label: String,
    pub(super) source: SamlSource,
}

#[derive(Debug)]
pub(super) struct Realm {
    pub(super) clock: Clock,
    pub(super) origin: String,
    pub(super) name: String,
    pub(super) theme: KeycloakTheme,
    pub(super) language: KeycloakLanguage,
    pub(super) identity_first: bool,
    pub(super) lock_after: Option<u32>,
    pub(super) clients: Clients,
    /// Clients whose users must consent.
    pub(super) consent: Vec<String>,
    pub(super) federated: Vec<Federated>,
    pub(super) first_login: KeycloakFirstLogin,
    pub(super) saml: SamlIssuer,
    pub(super) codes: CodeBook,
    pub(super) state: Mutex<State>,
    pub(super) attempts: AtomicU64,
    pub(super) logins: AtomicU64,
}

impl Site for Realm {
    fn respond(&self, request: Incoming<'_>) -> Reply {
        let own = format!("/realms/{}/", encode_segment(&self.name));
        let Some(path) = request.path().strip_prefix(&own) else {
            return if request.path().starts_with("/realms/") {
                Reply::json(404, &json!({ "error": "Realm does not exist" }))
            } else {
                Reply::json(
                    404,
                    &json!({ "error": "Unable to find matching target resource method" }),
                )
            };
        };
        if !matches!(*request.method(), Method::GET | Method::POST) {
            return Reply::json(405, &json!({ "error": "HTTP 405 Method Not Allowed" }));
        }
        let segments: Vec<&str> = path.split('/').collect();
        let reply = match segments.as_slice() {
            ["protocol", "openid-connect", "auth"] => self.authorize(request),
            ["protocol", "saml"] => self.saml_request(request),
            ["login-actions", "authenticate"] => self.authenticate(request),
            ["login-actions", "required-action"] => self.required_action(request),
            ["login-actions", "consent"] => self.consent(request),
            ["login-actions", "restart"] => self.begin_again(request),
            ["login-actions", "first-broker-login"] => self.first_broker_login(request),
            ["broker", "after-first-broker-login"] => self.after_first_broker_login(request),
            ["broker", alias, "login"] => self.to_provider(request, &decode_segment(alias)),
            ["broker", alias, "endpoint"] => self.answered_by_provider(request, &decode_segment(alias)),
            _ => Reply::json(404, &json!({ "error": "HTTP 404 Not Found" })),
        };
        reply.header(http::header::CACHE_CONTROL, "no-store, must-revalidate, max-age=0")
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}

impl Realm {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.seconds();
        state.sessions.retain(|_, session| now < session.ends);
        state
    }

    pub(super) fn issuer(&self) -> String {
        format!("{}{}", self.origin, self.path(""))
    }

    /// A path below the realm's own.
    pub(super) fn path(&self, below: &str) -> String {
        let separator = if below.is_empty() { "" } else { "/" };
        format!("/realms/{}{separator}{below}", encode_segment(&self.name))
    }

    pub(super) fn cookies(&self) -> Cookies<'_> {
        Cookies { realm: &self.name }
    }

    pub(super) fn look(&self, language: KeycloakLanguage) -> Look<'_> {
        Look {
            theme: self.theme,
            language,
            realm: &self.name,
        }
    }

    /// The page of an error, outside of any login.
    pub(super) fn error(&self, status: u16, text: Text) -> Reply {
        let page = self.look(self.language).error(text);
        self.cookies().detached(Reply::html(status, page))
    }

    pub(super) fn redirect(location: &str) -> Reply {
        Reply::empty(302).header(http::header::LOCATION, location)
    }

    pub(super) fn first_stage(&self) -> Stage {
        if self.identity_first {
            Stage::Username
        } else {
            Stage::Password { with_username: true }
        }
    }

    /// What finds a login again.
    pub(super) fn tab_query(begun: &Begun, tab: &str) -> String {
        let data = begun.client_data();
        query([
            ("client_id", begun.client_id.as_str()),
            ("tab_id", tab),
            ("client_data", &data),
        ])
    }

    /// Where a form of the login is sent.
    pub(super) fn action(&self, place: &Place, tab: &Tab, endpoint: &str) -> String {
        let step = query([
            ("session_code", tab.session_code.as_str()),
            ("execution", &tab.execution()),
        ]);
        let rest = Self::tab_query(&tab.begun, &place.tab);
        format!("{}{}?{step}&{rest}", self.origin, self.path(endpoint))
    }

    /// Redirects to an address of a login.
    pub(super) fn go(&self, place: &Place, tab: &Tab, endpoint: &str, step: &[(&str, &str)]) -> Reply {
        let mut all = query(step.iter().copied());
        if !all.is_empty() {
            all.push('&');
        }
        all.push_str(&Self::tab_query(&tab.begun, &place.tab));
        Self::redirect(&format!("{}{}?{all}", self.origin, self.path(endpoint)))
    }

    pub(super) fn session(state: &State, request: Incoming<'_>) -> Option<(String, Session)> {
        let id = request.cookie(IDENTITY)?;
        Some((id.to_owned(), state.sessions.get(id)?.clone()))
    }

    /// The login that a request belongs to. An error is the answer where it is gone.
    pub(super) fn find(&self, state: &mut State, request: Incoming<'_>, params: &Params) -> Result<Place, Reply> {
        let client = params.text("client_id");
        if let Some(root) = request.cookie(AUTH_SESSION) {
            let place = Place {
                root: root.to_owned(),
                tab: params.text("tab_id").to_owned(),
            };
            if state.tab(&place).is_some_and(|tab| tab.begun.client_id == client) {
                return Ok(place);
            }
        }
        let restart = request
            .cookie(RESTART)
            .and_then(|value| state.restarts.get(value).cloned());
        if let Some(begun) = restart {
            let mut tab = Tab::new(begun, self.first_stage());
            tab.alert = Some(Alert::Danger(Text::TimedOut));
            let place = state.open(None, tab.clone());
            let reply = self.go(&place, &tab, "login-actions/authenticate", &[]);
            return Err(self.cookies().login(reply, &place.root));
        }
        let told = read_client_data(params.text("client_data")).filter(|(uri, _)| self.clients.allows(client, uri));
        match (Self::session(state, request), told) {
            // A form that is sent again after the login.
            (Some(_), Some((uri, told))) => {
                let error = query([
                    ("error", "temporarily_unavailable"),
                    ("error_description", "authentication_expired"),
                    ("state", &told),
                    ("iss", &self.issuer()),
                ]);
                Err(self.cookies().detached(Self::redirect(&format!("{uri}?{error}"))))
            }
            _ => Err(self.error(400, Text::CookieNotFound)),
        }
    }

    /// Whether a request brings what the page before it was given; `Some` is the answer if not.
    pub(super) fn expired(&self, state: &mut State, place: &Place, params: &Params) -> Option<Reply> {
        let tab = state.tab(place)?;
        let fits = params.text("session_code") == tab.session_code
            && params
                .get("execution")
                .is_none_or(|execution| execution == tab.execution());
        if fits {
            return None;
        }
        tab.alert = Some(Alert::Danger(Text::ActionExpired));
        let tab = tab.clone();
        let execution = tab.execution();
        Some(self.go(
            &place.clone(),
            &tab,
            "login-actions/authenticate",
            &[("execution", &execution)],
        ))
    }

    /// A new code for the next form.
    pub(super) fn renew(tab: &mut Tab) {
        tab.session_code = random_text::<32>();
    }

    pub(super) fn count_login(&self) {
        self.logins.fetch_add(1, Ordering::Relaxed);
    }
}
