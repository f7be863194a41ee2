//! What the fake Entra ID remembers, and which of its addresses does what.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Method;

use super::super::super::clock::Clock;
use super::super::super::message::{Incoming, Params, Reply};
use super::super::super::sealed::random_text;
use super::super::{AuthorizationRequest, Clients, CodeBook, SamlIssuer, SamlRequest, Site};
use super::pages;
use super::user::EntraUser;
use super::{EntraIdBuilder, TENANT};

/// How long the token of a page works. Microsoft does not say; some hours.
const TOKEN_SECONDS: i64 = 3600;

/// The cookie that ties a page's tokens to the browser that it was shown to.
const CONTEXT: &str = "esctx";
/// The session, for single sign-on.
pub(super) const SESSION: &str = "ESTSAUTH";

pub(super) struct EntraSite {
    pub(super) origin: String,
    pub(super) users: Vec<EntraUser>,
    pub(super) clients: Clients,
    pub(super) clock: Clock,
    pub(super) stay_signed_in: bool,
    pub(super) device_check: bool,
    pub(super) lockout: u32,
    pub(super) codes: CodeBook,
    pub(super) saml: SamlIssuer,
    pub(super) attempts: AtomicU64,
    pub(super) code_attempts: AtomicU64,
    pub(super) lookups: AtomicU64,
    pub(super) logins: AtomicU64,
    pub(super) throttles: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// Begun logins by their context.
    pub(super) flows: HashMap<String, Flow>,
    /// Users by session.
    pub(super) sessions: HashMap<String, usize>,
    /// Wrong passwords by user.
    pub(super) wrong: HashMap<usize, u32>,
}

/// A login that was begun.
#[derive(Clone)]
pub(super) struct Flow {
    pub(super) asked: Asked,
    pub(super) stage: Stage,
    pub(super) user: Option<usize>,
    /// The value of its cookie.
    pub(super) cookie: String,
    pub(super) token: String,
    token_ends: i64,
    pub(super) canary: String,
    pub(super) api_canary: String,
    pub(super) session: String,
    pub(super) correlation: String,
}

/// What the application asked for.
#[derive(Clone)]
pub(super) enum Asked {
    Code {
        request: AuthorizationRequest,
        form_post: bool,
    },
    Assertion {
        request: SamlRequest,
        relay_state: String,
    },
}

/// Which page was shown last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Device,
    Password,
    SecondFactor,
    /// The code was asked for, in this session of its own.
    Code(String),
    /// The code was right.
    Coded,
    Enrolment,
    Stay,
}

impl EntraSite {
    pub(super) fn new(origin: String, builder: EntraIdBuilder) -> Self {
        Self {
            origin,
            users: builder.users,
            clients: builder.clients,
            stay_signed_in: builder.stay_signed_in,
            device_check: builder.device_check,
            lockout: builder.lockout,
            codes: CodeBook::new(builder.clock.clone()),
            saml: SamlIssuer::new(builder.clock.clone()),
            clock: builder.clock,
            attempts: AtomicU64::new(0),
            code_attempts: AtomicU64::new(0),
            lookups: AtomicU64::new(0),
            logins: AtomicU64::new(0),
            throttles: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A login at its first page.
    pub(super) fn flow(&self, asked: Asked) -> Flow {
        let mut flow = Flow {
            asked,
            stage: if self.device_check {
                Stage::Device
            } else {
                Stage::Password
            },
            user: None,
            cookie: random_text::<24>(),
            token: String::new(),
            token_ends: 0,
            // As the real ones, with everything that a form has to escape.
            canary: format!("{}+/=0:1:CANARY", random_text::<12>()),
            api_canary: random_text::<24>(),
            session: random_text::<16>(),
            correlation: random_text::<16>(),
        };
        self.renew(&mut flow);
        flow
    }

    /// A new token, in place of the one that was used.
    pub(super) fn renew(&self, flow: &mut Flow) {
        flow.token = random_text::<30>();
        flow.token_ends = self.clock.seconds().saturating_add(TOKEN_SECONDS);
    }

    /// The login of this context, if the request bears its cookie and it is where it is thought to be.
    pub(super) fn begun(&self, context: &str, stage: &Stage, request: Incoming<'_>) -> Option<Flow> {
        let flow = self.lock().flows.get(context).cloned()?;
        let is_its_own = request.cookie(CONTEXT) == Some(flow.cookie.as_str());
        (is_its_own && flow.stage == *stage).then_some(flow)
    }

    pub(super) fn takes(&self, flow: &Flow, token: &str) -> bool {
        flow.token == token && self.clock.seconds() < flow.token_ends
    }

    /// Remembers the login under this context and sets its cookies.
    pub(super) fn keep(&self, context: &str, flow: Flow, reply: Reply) -> Reply {
        let cookies = [
            format!("{CONTEXT}={}; Path=/; HttpOnly", flow.cookie),
            format!("buid={}; Path=/; HttpOnly", random_text::<12>()),
            format!("fpc={}; Path=/; HttpOnly", random_text::<12>()),
            "x-ms-gateway-slice=estsfd; Path=/; HttpOnly".to_owned(),
            "stsservicecookie=estsfd; Path=/; HttpOnly".to_owned(),
        ];
        self.lock().flows.insert(context.to_owned(), flow);
        reply.set_cookies(&cookies)
    }

    pub(super) fn user(&self, name: &str) -> Option<(usize, &EntraUser)> {
        let name = name.to_lowercase();
        self.users
            .iter()
            .enumerate()
            .find(|(_, user)| user.name.to_lowercase() == name)
    }
}

impl Site for EntraSite {
    fn respond(&self, request: Incoming<'_>) -> Reply {
        let path = request.path();
        let path = path.strip_prefix(&format!("/{TENANT}")).unwrap_or(path);
        match (request.method(), path) {
            (&Method::GET, "/saml2") => self.saml_request(&request.query(), request),
            (&Method::POST, "/saml2") => self.saml_request(&request.form(), request),
            (&Method::GET, "/oauth2/v2.0/authorize" | "/oauth2/authorize") => self.authorize(&request.query(), request),
            (&Method::POST, "/DeviceAuthTls/reprocess") => self.device_checked(&request.form(), request),
            (&Method::POST, "/common/GetCredentialType") => self.credential_type(request),
            (&Method::POST, "/login") => self.log_in(&request.form(), request),
            (&Method::POST, "/kmsi") => self.stay(&request.form(), request),
            (&Method::GET, "/SkipMfaRegistration") => self.skip_enrolment(&request.query(), request),
            (&Method::POST, "/common/SAS/BeginAuth") => self.begin_auth(request),
            (&Method::POST, "/common/SAS/EndAuth") => self.end_auth(request),
            (&Method::POST, "/common/SAS/ProcessAuth") => self.process_auth(&request.form(), request),
            _ => pages::error(404, 90_002, "The address is not one of this tenant."),
        }
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}

/// The first of these fields that the form lacks.
pub(super) fn missing<'a>(form: &Params, names: &[&'a str]) -> Option<&'a str> {
    names.iter().copied().find(|name| form.get(name).is_none())
}
