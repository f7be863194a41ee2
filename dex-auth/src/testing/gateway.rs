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
use super::clock::Clock;
use super::dashboard::Dashboard;
use super::dex::{Client, Connector, Dex, GATEWAY_CLIENT, Settings};
use super::envoy::{Check, Envoy, Outcome, Upstream};
use super::oauth2_proxy::Oauth2Proxy;
use super::release::Release;

/// Sessions and tokens of stock Kubeflow.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How many requests are remembered.
const REMEMBERED: usize = 10_000;

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
            clock: Clock::system(),
            session_ttl: DAY,
            token_ttl: DAY,
            skip_approval: true,
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

    /// How often Dex accepted a password.
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
        let outcome = self.envoy.handle(request);
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
    clock: Clock,
    session_ttl: Duration,
    token_ttl: Duration,
    skip_approval: bool,
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

    /// Adds a user to Dex's password database: users of every [`Connector::local`].
    pub fn user(mut self, email: impl Into<String>, password: impl Into<String>) -> Self {
        self.users.push((email.into(), password.into()));
        self
    }

    /// How long sessions last, in whole seconds; a day if not given.
    pub fn session_ttl(mut self, ttl: Duration) -> Self {
        self.session_ttl = ttl;
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
        Gateway {
            core: self.core(),
            server: None,
            url: "http://localhost".into(),
        }
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// If no port of the loopback address can be had.
    pub async fn start(mut self) -> Gateway {
        let mut server = MockServer::builder().disable_request_recording();
        if let Some(listener) = self.listener.take() {
            server = server.listener(listener);
        }
        let core = self.core();
        let server = server.start().await;
        let mounted = Arc::clone(&core);
        let respond = move |request: &Request| mounted.respond(request);
        Mock::given(any()).respond_with(respond).mount(&server).await;
        Gateway {
            core,
            url: server.uri().into(),
            server: Some(Arc::new(server)),
        }
    }

    fn core(self) -> Arc<Core> {
        let mut clients = self.clients;
        clients.push(Client {
            id: GATEWAY_CLIENT.to_owned(),
            secret: self.client_secret,
            redirect_uris: vec![self.release.callback_path().to_owned()],
        });
        let dex = Arc::new(Dex::new(Settings {
            release: self.release,
            clock: self.clock.clone(),
            connectors: self.connectors,
            users: self.users,
            clients,
            skip_approval: self.skip_approval,
            token_seconds: whole_seconds(self.token_ttl),
        }));
        let session_seconds = whole_seconds(self.session_ttl);
        let check = match self.release {
            Release::Kubeflow1_8 => {
                Check::Authservice(Authservice::new(self.clock.clone(), session_seconds, Arc::clone(&dex)))
            }
            Release::Kubeflow1_9 | Release::Kubeflow1_11 => Check::Oauth2Proxy(Box::new(Oauth2Proxy::new(
                self.release,
                self.clock.clone(),
                session_seconds,
                Arc::clone(&dex),
            ))),
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
