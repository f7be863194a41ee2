//! The session: who holds it, who renews it, and that only one login runs at a time.

mod renewal;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use tokio::sync::watch;
use url::Url;

use crate::access::{Access, Held};
use crate::builder::SessionBuilder;
use crate::cookie::SessionCookie;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::expiry::{self, ByBody, ByHead};
use crate::login::{CODE_SECONDS, Settings, skew};
use crate::middleware::SessionMiddleware;
use crate::origin::{origin, same_origin};
use crate::source::Source;
use crate::store::Store;
use crate::token::TokenSource;
use crate::trace::LoginTrace;

/// A session at a Kubeflow gateway that logs in when needed and renews itself.
///
/// A handle: clones share the session, and one login serves all of them. The login runs in a task of its own, so a
/// caller that stops waiting does not stop it for the others.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use dex_auth::{Credentials, Session};
///
/// let session = Session::builder("https://kubeflow.example.com")?
///     .credentials(Credentials::from_env()?)
///     .build()?;
/// let http = session.http_client();
/// let answer = http.get("https://kubeflow.example.com/pipeline/apis/v2beta1/healthz").send().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    store: Option<Store>,
    state: Mutex<State>,
}

struct State {
    source: Source,
    /// Counts changes of the source.
    identity: u64,
    held: Option<Arc<Held>>,
    /// What must not be taken again, from a store or a source.
    dropped: Option<Dropped>,
    /// A person set the source anew: what the store remembers of it counts no more.
    forgive: bool,
    /// Counts logins that began.
    attempts: u64,
    running: Option<Running>,
    /// The last login, if it failed.
    failed: Option<(u64, Error)>,
    /// The refusal of the credentials in use.
    refused: Option<Error>,
    last_login: Option<Arc<LoginTrace>>,
}

/// A session that is not to be used any more.
#[derive(Clone)]
struct Dropped {
    header: HeaderValue,
    /// What the gateway said; `None` if it said nothing.
    message: Option<String>,
}

struct Running {
    attempt: u64,
    identity: u64,
    outcome: watch::Receiver<Option<Result<Arc<Held>, Error>>>,
}

/// Which session will do.
#[derive(Clone, Copy)]
pub(crate) enum Need {
    /// Any that has not ended.
    Fresh,
    /// One of a later login than this, which the gateway refused.
    NewerThan(u64),
}

/// What a gateway says to a session.
pub(crate) enum Verdict {
    Valid,
    Ended {
        status: StatusCode,
        message: String,
        /// Seconds that this clock is ahead of the gateway's.
        skew: i64,
    },
    ServiceDown,
}

impl Session {
    /// Begins a session at the gateway of this address: where the Kubeflow dashboard opens, with its path if it has
    /// one.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for anything but an `https` address without user, query and fragment. `http` is accepted for
    /// loopback only, since the password would travel readable.
    pub fn builder(url: &str) -> Result<SessionBuilder, Error> {
        SessionBuilder::new(url)
    }

    /// A session by whatever the environment holds; see [`SessionBuilder::from_env`], which leaves room for settings.
    ///
    /// # Errors
    ///
    /// Those of [`SessionBuilder::from_env`] and of [`SessionBuilder::build`].
    pub fn from_env(url: &str) -> Result<Self, Error> {
        SessionBuilder::from_env(url)?.build()
    }

    pub(crate) fn new(settings: Settings, source: Source, store: Option<Store>) -> Self {
        let state = State {
            source,
            identity: 0,
            held: None,
            dropped: None,
            forgive: false,
            attempts: 0,
            running: None,
            failed: None,
            refused: None,
            last_login: None,
        };
        Self {
            shared: Arc::new(Shared {
                settings,
                store,
                state: Mutex::new(state),
            }),
        }
    }

    /// A client that logs in by itself and stays logged in, for the clients of Kubeflow's services.
    ///
    /// It follows no redirects, sends session cookies to the gateway only and gives every request the session's
    /// timeout unless the request sets its own.
    pub fn http_client(&self) -> reqwest_middleware::ClientWithMiddleware {
        reqwest_middleware::ClientBuilder::new(self.shared.settings.http.clone())
            .with(self.middleware())
            .build()
    }

    /// The same for a client of your own. Put it inside retries, so that a renewed login is no failed attempt, and
    /// switch redirects off in that client: followed ones hide an ended session.
    pub fn middleware(&self) -> SessionMiddleware {
        SessionMiddleware::new(self.clone())
    }

    /// Logs in, unless a session is held that has not ended by the clock.
    ///
    /// # Errors
    ///
    /// Every variant of [`Error`] that a login can end with; [`Error::Config`] where the session lives on tokens, which
    /// [`access`](Self::access) gives.
    pub async fn login(&self) -> Result<SessionCookie, Error> {
        let held = self.obtain(Need::Fresh, self.ticket()).await?;
        held.cookie().cloned().ok_or_else(|| Error::Config {
            field: "token",
            problem: "a session of tokens has no cookie; use Session::access".to_owned(),
        })
    }

    /// The cookies or the token of this session, of whichever source they come. Logs in, unless a session is held that has
    /// not ended by the clock.
    ///
    /// # Errors
    ///
    /// Every variant of [`Error`] that a login can end with.
    pub async fn access(&self) -> Result<Access, Error> {
        Ok(self.obtain(Need::Fresh, self.ticket()).await?.access.clone())
    }

    /// What happened in the last login of this session, whether it failed or not; `None` before the first one has ended.
    pub fn last_login(&self) -> Option<Arc<LoginTrace>> {
        self.state().last_login.clone()
    }

    /// Puts other credentials in place. A held session is dropped, and a remembered refusal is forgotten.
    pub fn set_credentials(&self, credentials: Credentials) {
        self.set_source(Source::Pages(credentials));
    }

    /// Puts another source of tokens in place. What is held is dropped, and a remembered refusal is forgotten.
    pub fn set_token_source(&self, source: impl TokenSource) {
        self.set_source(Source::Token(Arc::new(source)));
    }

    /// Puts the cookies of another login in place, as a `Cookie:` header holds them. What is held is dropped, and a
    /// remembered refusal is forgotten.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for what is no such header; the session then goes on with what it had.
    pub fn set_cookie(&self, header: &str) -> Result<(), Error> {
        self.set_source(Source::Cookie(crate::builder::fixed_cookie(header, self.now())?));
        Ok(())
    }

    fn set_source(&self, source: Source) {
        let mut state = self.state();
        state.source = source;
        state.identity += 1;
        state.held = None;
        state.dropped = None;
        state.forgive = true;
        state.refused = None;
        state.failed = None;
    }

    /// Drops the held session: the next request logs in. The gateway is not told; see [`logout`](Self::logout).
    pub fn forget(&self) {
        let mut state = self.state();
        if let Some(held) = state.held.take() {
            state.dropped = Some(Dropped {
                header: held.header.clone(),
                message: None,
            });
        }
    }

    /// True for requests to the gateway's own scheme, host and port.
    pub(crate) fn covers(&self, url: &Url) -> bool {
        same_origin(url, &self.shared.settings.plan.gateway)
    }

    /// Where Kubeflow stands; its path ends in `/`.
    pub(crate) fn gateway(&self) -> &Url {
        &self.shared.settings.plan.gateway
    }

    /// The path below Kubeflow's own, without its first `/`.
    pub(crate) fn path_below<'a>(&self, url: &'a Url) -> Option<&'a str> {
        url.path().strip_prefix(self.shared.settings.plan.gateway.path())
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.shared.settings.http
    }

    pub(crate) fn held(&self) -> Option<Arc<Held>> {
        self.state().held.clone()
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.shared.settings.clock)()
    }

    /// To be taken when a request begins: a login that fails later than this answers the request, too.
    pub(crate) fn ticket(&self) -> u64 {
        self.state().attempts
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// A session that will do, from memory, from the login under way, or from a new one.
    pub(crate) async fn obtain(&self, need: Need, ticket: u64) -> Result<Arc<Held>, Error> {
        let mut outcome = {
            let mut state = self.state();
            let now = self.now();
            if let Some(held) = &state.held {
                let new_enough = match need {
                    Need::Fresh => true,
                    Need::NewerThan(attempt) => held.attempt > attempt,
                };
                if new_enough && held.is_fresh(now) && state.source.is_current() {
                    return Ok(Arc::clone(held));
                }
            }
            if let Some(refused) = &state.refused {
                return Err(refused.clone());
            }
            let identity = state.identity;
            match (&state.running, &state.failed) {
                (Some(running), _) if running.identity == identity => running.outcome.clone(),
                (_, Some((attempt, error))) if *attempt > ticket => return Err(error.clone()),
                _ => self.begin(&mut state),
            }
        };
        outcome
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|result| result.clone())
            .unwrap_or(Err(Error::LoginAborted))
    }

    fn begin(&self, state: &mut State) -> watch::Receiver<Option<Result<Arc<Held>, Error>>> {
        state.attempts += 1;
        let (attempt, identity) = (state.attempts, state.identity);
        let (sender, outcome) = watch::channel(None);
        state.running = Some(Running {
            attempt,
            identity,
            outcome: outcome.clone(),
        });
        let job = renewal::Job {
            attempt,
            source: state.source.clone(),
            dropped: state.dropped.clone(),
            forgive: std::mem::take(&mut state.forgive),
        };
        let session = self.clone();
        tokio::spawn(async move {
            let end = EndOfLogin { session, attempt };
            let result = end.session.renew(&job).await;
            end.session.record(attempt, identity, &result);
            drop(end);
            sender.send_replace(Some(result));
        });
        outcome
    }

    fn record(&self, attempt: u64, identity: u64, result: &Result<Arc<Held>, Error>) {
        let mut state = self.state();
        if state.identity != identity {
            return;
        }
        match result {
            Ok(held) => {
                state.held = Some(Arc::clone(held));
                state.dropped = None;
                state.failed = None;
            }
            Err(error) => {
                tracing::debug!(%error, attempt, "login failed");
                state.held = None;
                state.failed = Some((attempt, error.clone()));
                if error.condemns_credentials() {
                    state.refused = Some(error.clone());
                }
            }
        }
    }

    /// oauth2-proxy answers 202 or 401 at this path in all releases; behind oidc-authservice it is a path like any other.
    /// Below `/oauth2/` only tokens for the gateway's own client count, so tokens are tried at Kubeflow's own address.
    fn probe(&self, held: &Held) -> Url {
        let mut url = self.gateway().clone();
        if held.cookie().is_some() {
            url.set_path(&format!("{}oauth2/auth", self.gateway().path()));
        }
        url
    }

    /// Asks the gateway whether it accepts a session.
    pub(crate) async fn ask(&self, held: &Held) -> Result<Verdict, Error> {
        let url = self.probe(held);
        let request = self.http().get(url.clone());
        let response = request
            .header(held.name.clone(), held.header.clone())
            .send()
            .await
            .map_err(|error| Error::transport(origin(&url), error))?;
        let (verdict, _) = judge(&Method::GET, response, self.now())
            .await
            .map_err(|error| Error::transport(origin(&url), error))?;
        Ok(verdict.unwrap_or(Verdict::Valid))
    }

    /// True when the gateway accepted this session within the last seconds.
    pub(crate) fn is_trusted(&self, held: &Held) -> bool {
        held.is_trusted(self.now())
    }

    pub(crate) fn trust(&self, held: &Held) {
        held.trust(self.now());
    }

    /// Forgets a session that the gateway refused, unless it was replaced meanwhile.
    pub(crate) fn discard(&self, held: &Held, message: &str) {
        let mut state = self.state();
        if state
            .held
            .as_ref()
            .is_some_and(|current| current.attempt == held.attempt)
        {
            state.held = None;
            state.dropped = Some(Dropped {
                header: held.header.clone(),
                message: Some(message.to_owned()),
            });
        }
    }

    /// The error for a session that was just made and is refused. A clock that is wrong by more than servers tolerate is
    /// the likeliest reason.
    pub(crate) fn rejected(&self, path: &str, status: StatusCode, message: String, skew: i64) -> Error {
        if skew.abs() >= CODE_SECONDS || is_of_the_future(&message) {
            return Error::ClockSkew {
                origin: origin(self.gateway()),
                seconds: skew,
            };
        }
        Error::SessionRejected {
            path: path.to_owned(),
            status: status.as_u16(),
            message,
        }
    }
}

/// What Envoy, and others, say of a token whose time has not come: no new login makes it good.
pub(crate) fn is_of_the_future(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["not yet valid", "used before issued", "issued in the future"]
        .iter()
        .any(|text| message.contains(text))
}

/// Reads of an answer what is needed to tell. `None` leaves the question to [`Session::ask`]; the response comes back
/// whole.
pub(crate) async fn judge(
    method: &Method,
    response: reqwest::Response,
    now: Timestamp,
) -> reqwest::Result<(Option<Verdict>, reqwest::Response)> {
    let status = response.status();
    match expiry::by_head(method, response.url(), status, response.headers()) {
        ByHead::Answer => Ok((Some(Verdict::Valid), response)),
        ByHead::Ended => Ok((
            Some(Verdict::Ended {
                status,
                message: String::new(),
                skew: skew(response.headers(), now),
            }),
            response,
        )),
        ByHead::Ask => Ok((None, response)),
        ByHead::Peek => {
            let (beginning, response) = crate::middleware::peek(response, expiry::PEEK_BYTES).await?;
            let verdict = match expiry::by_body(response.url(), status, response.headers(), &beginning) {
                ByBody::Answer => Verdict::Valid,
                ByBody::Ended { message } => Verdict::Ended {
                    status,
                    message,
                    skew: skew(response.headers(), now),
                },
                ByBody::ServiceDown => Verdict::ServiceDown,
            };
            Ok((Some(verdict), response))
        }
    }
}

/// Clears the running login however its task ends, a panic or the end of the runtime included.
struct EndOfLogin {
    session: Session,
    attempt: u64,
}

impl Drop for EndOfLogin {
    fn drop(&mut self) {
        let mut state = self.session.state();
        if state
            .running
            .as_ref()
            .is_some_and(|running| running.attempt == self.attempt)
        {
            state.running = None;
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock; if it ever did, the state would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        formatter
            .debug_struct("Session")
            .field("gateway", &self.shared.settings.plan.gateway.as_str())
            .field("connector", &self.shared.settings.plan.connector)
            .field("source", &state.source)
            .field("held", &state.held.as_ref().map(|held| &held.access))
            .field("login_running", &state.running.is_some())
            .finish_non_exhaustive()
    }
}

/// Limits that hold when the builder sets none.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);
pub(crate) const LOGIN_DEADLINE: Duration = Duration::from_secs(120);
pub(crate) const MAX_PAGE_BYTES: usize = 1024 * 1024;
