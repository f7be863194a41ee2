//! What the fake Cognito remembers, and which of its addresses does what.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Method;

use super::super::super::clock::Clock;
use super::super::super::message::{Incoming, Reply, query, with_query};
use super::super::{AuthorizationRequest, BadRequest, Clients, CodeBook, Identity, SamlRequest, SamlSource, Site};
use super::user::CognitoUser;
use super::{CognitoBuilder, pages};

/// The session that makes the next visit shorter lasts an hour.
const SESSION_SECONDS: i64 = 3600;
/// The cookie that a form's `_csrf` has to equal.
pub(super) const CSRF: &str = "XSRF-TOKEN";
/// The cookies that tie a login at another provider to the browser.
pub(super) const STATE: [&str; 2] = ["csrf-state", "csrf-state-legacy"];
const SESSION: &str = "cognito";

pub(super) struct CognitoSite {
    pub(super) origin: String,
    pub(super) users: Vec<CognitoUser>,
    pub(super) federated: Vec<(String, SamlSource)>,
    pub(super) clients: Clients,
    pub(super) clock: Clock,
    pub(super) own_form: bool,
    pub(super) managed: bool,
    pub(super) tells_unknown: bool,
    pub(super) codes: CodeBook,
    pub(super) attempts: AtomicU64,
    pub(super) logins: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// Tokens of forms that were shown and not sent.
    pub(super) tokens: HashSet<String>,
    /// Users by session, and its end.
    pub(super) sessions: HashMap<String, (Identity, i64)>,
    /// Logins at other providers by their relay state.
    pub(super) away: HashMap<String, Away>,
    /// Wrong passwords by user.
    pub(super) wrong: HashMap<String, u32>,
}

/// A login that goes on at another provider.
pub(super) struct Away {
    pub(super) request: AuthorizationRequest,
    pub(super) saml: SamlRequest,
    /// Which provider it is.
    pub(super) provider: usize,
}

impl CognitoSite {
    pub(super) fn new(origin: String, builder: CognitoBuilder) -> Self {
        Self {
            origin,
            users: builder.users,
            federated: builder.federated,
            clients: builder.clients,
            own_form: builder.own_form,
            managed: builder.managed,
            tells_unknown: builder.tells_unknown,
            codes: CodeBook::new(builder.clock.clone()),
            clock: builder.clock,
            attempts: AtomicU64::new(0),
            logins: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The application's request in the address, which every page of a login carries on.
    pub(super) fn asked(&self, request: Incoming<'_>) -> Result<AuthorizationRequest, Reply> {
        AuthorizationRequest::read(&request.query(), &self.clients).map_err(|bad| match bad {
            BadRequest::Client => self.error("unauthorized_client", request),
            BadRequest::RedirectUri => self.error("redirect_mismatch", request),
            BadRequest::Parameters { location } => Reply::redirect(302, &location, request),
        })
    }

    /// To the error page.
    pub(super) fn error(&self, code: &str, request: Incoming<'_>) -> Reply {
        let params = request.query();
        let location = with_query(
            &format!("{}/error", self.origin),
            &query([("error", code), ("client_id", params.text("client_id"))]),
        );
        Reply::redirect(302, &location, request)
    }

    /// Back to the application with a code, and a session for the next visit.
    pub(super) fn finish(
        &self,
        asked: &AuthorizationRequest,
        identity: Identity,
        session: &str,
        request: Incoming<'_>,
    ) -> Reply {
        self.logins.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let ends = self.clock.seconds().saturating_add(SESSION_SECONDS);
        self.lock()
            .sessions
            .insert(session.to_owned(), (identity.clone(), ends));
        let code = self.codes.issue(asked.clone(), identity);
        Reply::redirect(302, &asked.back(&[("code", &code)]), request)
            .set_cookie(&format!(
                "{SESSION}={session}; Path=/; Max-Age={SESSION_SECONDS}; HttpOnly"
            ))
            .set_cookie(&format!("{CSRF}=; Path=/; Max-Age=0"))
    }

    /// Who logged in with this browser within the last hour.
    pub(super) fn session(&self, request: Incoming<'_>) -> Option<(String, Identity)> {
        let session = request.cookie(SESSION)?;
        let (identity, ends) = self.lock().sessions.get(session).cloned()?;
        (self.clock.seconds() < ends).then(|| (session.to_owned(), identity))
    }
}

impl Site for CognitoSite {
    fn respond(&self, request: Incoming<'_>) -> Reply {
        match (request.method(), request.path()) {
            (&Method::GET, "/oauth2/authorize") => self.authorize(request),
            (&Method::GET, "/login") => self.login_page(request),
            (&Method::POST, "/login") => self.log_in(request),
            (&Method::POST, "/saml2/idpresponse") => self.returned(request),
            (&Method::GET, "/error") => pages::error(request.query().text("error")),
            (
                &Method::GET,
                path @ ("/mfa"
                | "/changePassword"
                | "/confirm"
                | "/forgotPassword"
                | "/confirmforgotPassword"
                | "/signup"
                | "/passkeys/add"),
            ) => pages::person(path),
            _ => pages::error(""),
        }
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}
