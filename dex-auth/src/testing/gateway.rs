//! The handle of a fake gateway, and how it is set up.

use std::collections::VecDeque;
use std::fmt;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::authservice::{Authservice, http_date};
use super::base_path::BasePath;
use super::clock::Clock;
use super::dashboard::Dashboard;
use super::dex::{Client, Connector, Dex, DexVersion, GATEWAY_CLIENT, SecondFactor, Settings};
use super::envoy::{Check, Envoy, Outcome, Upstream};
use super::load_balancer::{self, Balancer, LoadBalancer};
use super::oauth2_proxy::Oauth2Proxy;
use super::provider::listen;
use super::release::Release;

/// Sessions and tokens of stock Kubeflow.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Sessions of an AWS load balancer.
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// How many requests are remembered.
const REMEMBERED: usize = 10_000;

/// What stands in front of Kubeflow.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum GatewayKind {
    /// What the [`Release`] ships: oidc-authservice or oauth2-proxy.
    #[default]
    Stock,
    /// An AWS load balancer that logs users in.
    LoadBalancer(LoadBalancer),
    /// Istio with `RequestAuthentication` and `AuthorizationPolicy` alone: a token of Dex's in `Authorization`, or 403.
    /// There is no page to log in at; Dex's token endpoint is open.
    BearerOnly,
}

/// A running fake gateway. Clones are handles of the same one; it ends with the last of them.
///
/// It is also a [`Respond`], so that it can be mounted on a [`MockServer`] of the caller's own; one that is only meant for
/// that is made by [`GatewayBuilder::build`].
#[derive(Clone)]
pub struct Gateway {
    core: Arc<Core>,
    server: Option<Arc<MockServer>>,
    url: Arc<str>,
}

struct Core {
    envoy: Envoy,
    dex: Arc<Dex>,
    clock: Clock,
    base: BasePath,
    requests: Mutex<VecDeque<RequestRecord>>,
}

/// A request that reached the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestRecord {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path alone: queries of a login hold secrets.
    pub path: String,
    /// The status that the gateway or Dex answered with; `None` if the request got through to an upstream.
    pub status: Option<u16>,
}

impl Gateway {
    /// A gateway of the latest release without users, and with the dashboard behind it.
    pub fn builder() -> GatewayBuilder {
        GatewayBuilder {
            release: Release::default(),
            kind: GatewayKind::default(),
            dex: None,
            base: BasePath::default(),
            clock: Clock::system(),
            session_ttl: None,
            token_ttl: DAY,
            skip_approval: true,
            dex_sessions: false,
            second_factor: None,
            password_connector: None,
            client_credentials: false,
            connectors: Vec::new(),
            users: Vec::new(),
            clients: Vec::new(),
            client_secret: "stock-client-secret".to_owned(),
            namespaces: Vec::new(),
            upstreams: Vec::new(),
            listener: None,
        }
    }

    /// Where it listens, without a slash at the end, e.g. `http://127.0.0.1:40123`. A gateway that was only built does
    /// not listen; its URL is `http://localhost`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How often a user got past one of Dex's connectors: with the right password, or back from an outside provider.
    pub fn logins(&self) -> u64 {
        self.core.dex.logins()
    }

    /// How often Dex was given a password, right or wrong.
    pub fn password_attempts(&self) -> u64 {
        self.core.dex.password_attempts()
    }

    /// Ends all sessions at once. Logins that have begun can still be finished, and Dex's tokens stay valid.
    pub fn expire_sessions(&self) {
        match &self.core.envoy.check {
            Check::Authservice(check) => check.expire_sessions(),
            Check::Oauth2Proxy(check) => check.expire_sessions(),
            Check::LoadBalancer(check) => check.expire_sessions(),
            Check::Tokens => {}
        }
    }

    /// Takes the check service down, or brings it back. While it is down the gateway refuses what must be checked with
    /// 403 and no body; since Kubeflow 1.9.1 `/oauth2/` answers 503 then, and requests with a token still get through.
    pub fn fail_auth_service(&self, down: bool) {
        self.core.envoy.check_is_down.store(down, Ordering::Relaxed);
    }

    /// Restarts Dex with its storage in memory: begun logins, codes and signing keys are gone. Cookies of oauth2-proxy
    /// are then still accepted at `/oauth2/auth`, and refused by Envoy, which no longer knows the key of the token inside.
    pub fn restart_dex(&self) {
        self.core.dex.restart();
    }

    /// Makes Dex sign with a new key, as it does every six hours. The former key is published as long as its tokens live,
    /// so sessions and tokens stay valid.
    pub fn rotate_dex_keys(&self) {
        self.core.dex.rotate_keys();
    }

    /// An ID token of Dex's for the gateway's own client and this user, as if it was got by a grant without pages.
    pub fn token(&self, email: &str) -> String {
        self.core.dex.token_of(email)
    }

    /// The clock that it was given.
    pub fn clock(&self) -> &Clock {
        &self.core.clock
    }

    /// The release that it imitates.
    pub fn release(&self) -> Release {
        self.core.envoy.release
    }

    #[cfg(test)]
    pub(super) fn handle(&self, request: &Request) -> Outcome {
        self.core.handle(request)
    }

    /// The requests that reached it, oldest first; of very many only the last 10,000.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.core
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }
}

impl Respond for Gateway {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        self.core.respond(request)
    }
}

impl Core {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let answer: ResponseTemplate = match self.handle(request) {
            Outcome::Reply(reply) => reply.into(),
            Outcome::Upstream(answer) => answer,
        };
        // Cookies say their end by this clock, which clients compare with their own.
        answer.insert_header("date", http_date(Some(self.clock.now())).as_str())
    }

    fn handle(&self, request: &Request) -> Outcome {
        let outcome = self.base.around(request, |request| self.envoy.handle(request));
        let record = RequestRecord {
            method: request.method.to_string(),
            path: request.url.path().to_owned(),
            status: match &outcome {
                Outcome::Reply(reply) => Some(reply.status),
                Outcome::Upstream(_) => None,
            },
        };
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() >= REMEMBERED {
            requests.pop_front();
        }
        requests.push_back(record);
        outcome
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("url", &self.url)
            .field("release", &self.core.envoy.release)
            .field("listens", &self.server.is_some())
            .finish_non_exhaustive()
    }
}

/// Sets up a [`Gateway`].
#[must_use = "nothing listens until it is started"]
pub struct GatewayBuilder {
    release: Release,
    kind: GatewayKind,
    dex: Option<DexVersion>,
    base: BasePath,
    clock: Clock,
    session_ttl: Option<Duration>,
    token_ttl: Duration,
    skip_approval: bool,
    dex_sessions: bool,
    second_factor: Option<SecondFactor>,
    password_connector: Option<String>,
    client_credentials: bool,
    connectors: Vec<Connector>,
    users: Vec<(String, String)>,
    clients: Vec<Client>,
    client_secret: String,
    namespaces: Vec<String>,
    upstreams: Vec<Upstream>,
    listener: Option<TcpListener>,
}

impl GatewayBuilder {
    /// Which Kubeflow is imitated; the latest if not given.
    pub fn release(mut self, release: Release) -> Self {
        self.release = release;
        self
    }

    /// What stands in front; what the release ships if not given.
    pub fn kind(mut self, kind: GatewayKind) -> Self {
        self.kind = kind;
        self
    }

    /// Which Dex is imitated; the one that the release came with if not given.
    pub fn dex(mut self, version: DexVersion) -> Self {
        self.dex = Some(version);
        self
    }

    /// Puts all of Kubeflow, its login included, below a path such as `/kubeflow`: gateway and Dex are set up with
    /// addresses there, and nothing answers elsewhere. [`Gateway::url`] ends with it. Providers outside cannot send users
    /// back to it, since they know Dex by its stock address.
    pub fn base_path(mut self, path: &str) -> Self {
        self.base = BasePath::new(path);
        self
    }

    /// Makes [`DexVersion::Head`] remember its users by a cookie. `prompt=none`, which stock Kubeflow sends, then gets
    /// `login_required` where nobody is logged in.
    pub fn dex_sessions(mut self, sessions: bool) -> Self {
        self.dex_sessions = sessions;
        self
    }

    /// What [`DexVersion::Head`] asks of every user after the password.
    pub fn second_factor(mut self, factor: SecondFactor) -> Self {
        self.second_factor = Some(factor);
        self
    }

    /// Dex's `passwordConnector`: allows the grant `password` for the users of this connector.
    pub fn password_connector(mut self, id: impl Into<String>) -> Self {
        self.password_connector = Some(id.into());
        self
    }

    /// Allows the grant `client_credentials`, which [`DexVersion::Head`] has.
    pub fn client_credentials(mut self, allowed: bool) -> Self {
        self.client_credentials = allowed;
        self
    }

    /// Adds a user to Dex's password database: users of every [`Connector::local`].
    pub fn user(mut self, email: impl Into<String>, password: impl Into<String>) -> Self {
        self.users.push((email.into(), password.into()));
        self
    }

    /// How long sessions last, in whole seconds; if not given a day, at a load balancer a week.
    pub fn session_ttl(mut self, ttl: Duration) -> Self {
        self.session_ttl = Some(ttl);
        self
    }

    /// How long Dex's tokens last, in whole seconds; a day if not given. oauth2-proxy keeps one in its cookie, and Envoy
    /// refuses it a minute after its end.
    pub fn token_ttl(mut self, ttl: Duration) -> Self {
        self.token_ttl = ttl;
        self
    }

    /// Adds a connector. Without any there is one, [`Connector::local`]; with several Dex shows its chooser.
    pub fn connector(mut self, connector: impl Into<Connector>) -> Self {
        self.connectors.push(connector.into());
        self
    }

    /// Dex's `skipApprovalScreen`, which Kubeflow sets to true.
    pub fn skip_approval(mut self, skip: bool) -> Self {
        self.skip_approval = skip;
        self
    }

    /// The secret of the gateway's own Dex client `kubeflow-oidc-authservice`; `stock-client-secret` if not given.
    pub fn client_secret(mut self, secret: impl Into<String>) -> Self {
        self.client_secret = secret.into();
        self
    }

    /// Adds another client to Dex; one with an empty secret is public.
    pub fn client(
        mut self,
        id: impl Into<String>,
        secret: impl Into<String>,
        redirect_uris: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.clients.push(Client {
            id: id.into(),
            secret: secret.into(),
            redirect_uris: redirect_uris.into_iter().map(Into::into).collect(),
        });
        self
    }

    /// Adds a namespace that the dashboard calls each user's own.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespaces.push(namespace.into());
        self
    }

    /// Puts a service behind the gateway, for requests whose path is `prefix` or below it; the longest prefix wins.
    ///
    /// The prefix is taken off: with `/pipeline`, a request for `/pipeline/apis/v2beta1/runs?page_size=1` reaches the
    /// service as `/apis/v2beta1/runs?page_size=1`, with the path that was asked for in `x-envoy-original-path`. The
    /// user's e-mail address is in `kubeflow-userid`, his groups in `kubeflow-groups` (JSON in base64), and since 1.9
    /// Dex's ID token in `Authorization`; identity headers of the client's own are removed. The prefix `/` replaces the
    /// dashboard.
    pub fn upstream(mut self, prefix: &str, service: impl Respond + 'static) -> Self {
        let prefix = prefix.trim_end_matches('/').to_owned();
        self.upstreams.push(Upstream {
            prefix,
            service: Box::new(service),
        });
        self
    }

    /// The clock that sessions, codes and tokens end by; the system's if not given.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Where to listen; a free port of the loopback address if not given.
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// Makes a gateway that does not listen, to be mounted as a [`Respond`].
    pub fn build(self) -> Gateway {
        let url = "http://localhost";
        let base = self.base.clone();
        Gateway {
            core: self.core(url),
            server: None,
            url: base.of(url).into(),
        }
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// If no port of the loopback address can be had.
    pub async fn start(mut self) -> Gateway {
        let listener = self.listener.take().unwrap_or_else(|| listen().0);
        let server = MockServer::builder().disable_request_recording().listener(listener);
        let server = server.start().await;
        let base = self.base.clone();
        let core = self.core(&server.uri());
        let mounted = Arc::clone(&core);
        let respond = move |request: &Request| mounted.respond(request);
        Mock::given(any()).respond_with(respond).mount(&server).await;
        Gateway {
            core,
            url: base.of(&server.uri()).into(),
            server: Some(Arc::new(server)),
        }
    }

    /// `url` is where it will be reached.
    fn core(self, url: &str) -> Arc<Core> {
        let mut clients = self.clients;
        if let GatewayKind::LoadBalancer(settings) = &self.kind
            && let Some(id) = settings.dex_client()
        {
            clients.push(Client {
                id: id.to_owned(),
                secret: self.client_secret.clone(),
                redirect_uris: vec![format!("{url}{}", load_balancer::CALLBACK)],
            });
        }
        clients.push(Client {
            id: GATEWAY_CLIENT.to_owned(),
            secret: self.client_secret,
            redirect_uris: vec![self.release.callback_path().to_owned()],
        });
        let dex = Arc::new(Dex::new(Settings {
            version: self.dex.unwrap_or_else(|| self.release.dex()),
            clock: self.clock.clone(),
            connectors: self.connectors,
            users: self.users,
            clients,
            skip_approval: self.skip_approval,
            token_seconds: whole_seconds(self.token_ttl),
            sessions: self.dex_sessions,
            second_factor: self.second_factor,
            password_connector: self.password_connector,
            client_credentials: self.client_credentials,
        }));
        let (release, clock) = (self.release, self.clock.clone());
        let session_seconds = |default| whole_seconds(self.session_ttl.unwrap_or(default));
        let behind = Arc::clone(&dex);
        let check = match (self.kind, release) {
            (GatewayKind::LoadBalancer(settings), _) => {
                Check::LoadBalancer(Box::new(Balancer::new(settings, clock, session_seconds(WEEK), behind)))
            }
            (GatewayKind::BearerOnly, _) => Check::Tokens,
            (GatewayKind::Stock, Release::Kubeflow1_6 | Release::Kubeflow1_8) => {
                Check::Authservice(Authservice::new(release, clock, session_seconds(DAY), behind))
            }
            (GatewayKind::Stock, Release::Kubeflow1_9 | Release::Kubeflow1_11) => {
                Check::Oauth2Proxy(Box::new(Oauth2Proxy::new(release, clock, session_seconds(DAY), behind)))
            }
        };
        let mut upstreams = self.upstreams;
        // Behind those that were given, so that one of them may take its place.
        upstreams.push(Upstream {
            prefix: String::new(),
            service: Box::new(Dashboard {
                namespaces: self.namespaces,
            }),
        });
        upstreams.sort_by_key(|upstream| std::cmp::Reverse(upstream.prefix.len()));
        Arc::new(Core {
            envoy: Envoy {
                release: self.release,
                check,
                check_is_down: AtomicBool::new(false),
                dex: Arc::clone(&dex),
                upstreams,
            },
            dex,
            clock: self.clock,
            base: self.base,
            requests: Mutex::default(),
        })
    }
}

impl fmt::Debug for GatewayBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayBuilder")
            .field("release", &self.release)
            .field("connectors", &self.connectors)
            .finish_non_exhaustive()
    }
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
