//! The client and how it is set up.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderValue, Method};
use reqwest_middleware::ClientWithMiddleware;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Mutex, OnceCell, Semaphore};
use url::Url;

use crate::{
    active_run::Endings,
    artifacts::Artifacts,
    config::DefaultExperiment,
    endpoint::Call,
    error::{Error, Result},
    experiments::Experiments,
    ids::RunId,
    logged_models::LoggedModels,
    model_versions::ModelVersions,
    prompts::Prompts,
    registered_models::RegisteredModels,
    retry::Backoff,
    runs::Runs,
    server::ServerInfo,
    version::ServerVersion,
    webhooks::Webhooks,
    workspaces::Workspaces,
};

/// More connections at once do not help one MLflow worker, and 32 exhaust the pool of database connections of a
/// server with default settings (MLflow 3.17: 5 and 10 overflow).
const MAX_IN_FLIGHT: usize = 8;
/// `mlflow server` closes idle connections after 5 s; one that is reused at that moment breaks.
const IDLE: Duration = Duration::from_secs(4);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);
pub(crate) const DEFAULT_MAX_RETRIES: u32 = 4;

/// A client of one MLflow server. Cloning is cheap and shares connections and limits.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) base: Url,
    pub(crate) http: ClientWithMiddleware,
    /// How `http` was made, unless it was given.
    pub(crate) transport: Option<Transport>,
    pub(crate) timeout: Duration,
    pub(crate) max_retries: u32,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) backoff: Backoff,
    pub(crate) workspace: Option<HeaderValue>,
    pub(crate) in_flight: Arc<Semaphore>,
    /// Known once it was asked for.
    pub(crate) server_version: OnceCell<ServerVersion>,
    /// The server of the registry, if it is another one.
    pub(crate) registry: Option<Client>,
    pub(crate) default_experiment: DefaultExperiment,
    /// Where runs keep their artifacts; it never changes.
    pub(crate) artifact_uris: Mutex<HashMap<RunId, String>>,
    /// What the server offers, known once it was asked for.
    pub(crate) server_info: OnceCell<ServerInfo>,
    /// For the stores behind servers.
    pub(crate) store_http: Arc<StoreHttp>,
    /// Runs that ended by being dropped.
    pub(crate) endings: Endings,
}

/// The HTTP client for the stores behind servers: it knows no credentials and no middleware. Made when it is first needed,
/// since reading certificates takes its time.
#[derive(Default)]
pub(crate) struct StoreHttp {
    made: OnceLock<reqwest::Client>,
    #[cfg(feature = "rustls")]
    root_certificates: Vec<Vec<u8>>,
}

impl StoreHttp {
    pub(crate) fn client(&self) -> Result<&reqwest::Client> {
        if let Some(client) = self.made.get() {
            return Ok(client);
        }
        let builder = reqwest::Client::builder()
            .user_agent(concat!("mlflow-client-rust/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE)
            .referer(false)
            .redirect(reqwest::redirect::Policy::none());
        #[cfg(feature = "rustls")]
        let builder = tls(builder, &self.root_certificates, None, false)?;
        let client = builder
            .build()
            .map_err(|error| Error::invalid("store_http", format!("usable with these settings: {error}")))?;
        Ok(self.made.get_or_init(|| client))
    }
}

impl Client {
    /// Starts a client of the server at `tracking_uri`, e.g. `http://127.0.0.1:5000` or
    /// `https://mlflow.example.com/prefix`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] for anything but an http or https URL: stores without a server (`sqlite:`, a
    /// directory) and `databricks` are reached by other means than MLflow's REST API. Credentials in the URL are refused
    /// too, because URLs get logged.
    pub fn builder(tracking_uri: impl AsRef<str>) -> Result<ClientBuilder> {
        Ok(ClientBuilder {
            base: parse_base("tracking_uri", tracking_uri.as_ref())?,
            http: None,
            store_http: None,
            timeout: DEFAULT_TIMEOUT,
            max_retries: DEFAULT_MAX_RETRIES,
            backoff: Backoff::default(),
            max_in_flight: MAX_IN_FLIGHT,
            workspace: None,
            registry: None,
            default_experiment: DefaultExperiment::default(),
            credentials: Credentials::None,
            #[cfg(feature = "rustls")]
            root_certificates: Vec::new(),
            #[cfg(feature = "rustls")]
            client_certificate: None,
            #[cfg(feature = "rustls")]
            accept_invalid_certificates: false,
        })
    }

    /// The tracking URI, with its path, without a trailing slash.
    pub fn base_url(&self) -> &str {
        self.inner.base.as_str().trim_end_matches('/')
    }

    /// Operations on experiments.
    pub fn experiments(&self) -> Experiments {
        Experiments::new(self.clone())
    }

    /// Operations on runs.
    pub fn runs(&self) -> Runs {
        Runs::new(self.clone())
    }

    /// Operations on the files of runs.
    pub fn artifacts(&self) -> Artifacts {
        Artifacts::new(self.clone())
    }

    /// Operations on logged models.
    pub fn logged_models(&self) -> LoggedModels {
        LoggedModels::new(self.clone())
    }

    /// Operations on registered models.
    pub fn registered_models(&self) -> RegisteredModels {
        RegisteredModels::new(self.registry().clone())
    }

    /// Operations on versions of registered models.
    pub fn model_versions(&self) -> ModelVersions {
        ModelVersions::new(self.registry().clone())
    }

    /// Operations on prompts, as far as the registry keeps them.
    pub fn prompts(&self) -> Prompts {
        Prompts::new(self.registry().clone())
    }

    /// Operations on webhooks of the registry.
    pub fn webhooks(&self) -> Webhooks {
        Webhooks::new(self.registry().clone())
    }

    /// Operations on workspaces.
    pub fn workspaces(&self) -> Workspaces {
        Workspaces::new(self.clone())
    }

    /// The client of the registry's server: this one, unless [`ClientBuilder::registry_uri`] names another.
    pub fn registry(&self) -> &Self {
        self.inner.registry.as_ref().unwrap_or(self)
    }

    /// A client for use in another runtime: with connections of its own, unless the HTTP client was given.
    pub(crate) fn separate(&self, max_retries: u32) -> Result<Self> {
        let http = match &self.inner.transport {
            Some(transport) => transport.connect()?,
            None => self.inner.http.clone(),
        };
        let inner = &*self.inner;
        Ok(Self {
            inner: Arc::new(Inner {
                base: inner.base.clone(),
                http,
                transport: inner.transport.clone(),
                timeout: inner.timeout,
                max_retries,
                authorization: inner.authorization.clone(),
                backoff: inner.backoff,
                workspace: inner.workspace.clone(),
                in_flight: Arc::clone(&inner.in_flight),
                server_version: inner.server_version.clone(),
                registry: None,
                default_experiment: inner.default_experiment.clone(),
                artifact_uris: Mutex::default(),
                server_info: OnceCell::new(),
                store_http: Arc::clone(&inner.store_http),
                endings: Endings::default(),
            }),
        })
    }

    pub(crate) fn get(&self, operation: &'static str, path: &str) -> Result<Call> {
        Call::api(operation, Method::GET, &self.inner.base, path)
    }

    pub(crate) fn post(&self, operation: &'static str, path: &str, body: &impl serde::Serialize) -> Result<Call> {
        Call::api(operation, Method::POST, &self.inner.base, path)?.json(body)
    }

    pub(crate) fn call(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<Call> {
        Call::api(operation, method, &self.inner.base, path)?.json(body)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.base_url())
            .field("registry_url", &self.registry().inner.base.as_str())
            .field("timeout", &self.inner.timeout)
            .finish_non_exhaustive()
    }
}

enum Credentials {
    None,
    Basic(String, SecretString),
    Bearer(SecretString),
}

/// Sets up a [`Client`]; faults are reported by [`build`](Self::build).
#[must_use]
pub struct ClientBuilder {
    base: Url,
    http: Option<ClientWithMiddleware>,
    store_http: Option<reqwest::Client>,
    timeout: Duration,
    max_retries: u32,
    backoff: Backoff,
    max_in_flight: usize,
    workspace: Option<String>,
    registry: Option<Url>,
    default_experiment: DefaultExperiment,
    credentials: Credentials,
    #[cfg(feature = "rustls")]
    root_certificates: Vec<Vec<u8>>,
    #[cfg(feature = "rustls")]
    client_certificate: Option<SecretString>,
    #[cfg(feature = "rustls")]
    accept_invalid_certificates: bool,
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("base_url", &self.base.as_str())
            .field("timeout", &self.timeout)
            .field("max_retries", &self.max_retries)
            .finish_non_exhaustive()
    }
}

impl ClientBuilder {
    /// The HTTP client to use, e.g. one with a login in its middleware. Settings of certificates are then its own.
    ///
    /// Let it keep idle connections for less than 5 s (`pool_idle_timeout`), which is when `mlflow server` closes them,
    /// and not follow redirects, so that a redirect to a login is told as such.
    pub fn http(mut self, http: impl Into<ClientWithMiddleware>) -> Self {
        self.http = Some(http.into());
        self
    }

    /// The HTTP client for the stores behind the server, to which it sends large files by addresses of its own making. Let
    /// it know no credentials: the addresses hold all that is needed. By default it trusts the same certificates as the
    /// client itself, checks them always, and never shows a client certificate.
    pub fn store_http(mut self, http: reqwest::Client) -> Self {
        self.store_http = Some(http);
        self
    }

    /// How long a call may take in all, repetitions included; default 120 s. Keep it above 30 s, for which an overloaded
    /// server stalls before it says so. For transfers of artifacts it is the longest time without any progress.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a failed request is repeated at most; default 4. Requests are repeated only where that is safe: see
    /// [`RETRY_RULES`](crate::RETRY_RULES).
    pub fn max_retries(mut self, max_retries: u32) -> Self {
        self.max_retries = max_retries;
        self
    }

    /// The pause before the first repetition, doubled before each further one up to `longest`; default 250 ms and 10 s.
    /// What the server asks for by `Retry-After` goes before.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.backoff.first = first;
        self.backoff.longest = longest;
        self
    }

    /// Adds to each pause a time up to this, left to chance, so that clients do not come back in step. By default the
    /// upper half of each pause is left to chance.
    pub fn backoff_jitter(mut self, most: Duration) -> Self {
        self.backoff.jitter = Some(most);
        self
    }

    /// Whether to wait as long as the server asks for by `Retry-After`; default true.
    pub fn respect_retry_after(mut self, respect: bool) -> Self {
        self.backoff.respect_retry_after = respect;
        self
    }

    /// How many requests may be on their way at once, uploads and open downloads included; default 8, at least 1. Others
    /// wait.
    ///
    /// More do not help one worker of `mlflow server`, and 32 exhaust its database connections (5 and 10 overflow): it then
    /// stalls for 30 s and refuses requests.
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.max_in_flight = requests;
        self
    }

    /// The workspace that everything happens in. Since MLflow 3; only for servers started with `--enable-workspaces`,
    /// others refuse every call that names one.
    pub fn workspace(mut self, name: impl Into<String>) -> Self {
        self.workspace = Some(name.into());
        self
    }

    /// The server of the registry (registered models, their versions, prompts, webhooks), if it is another one than that
    /// of the tracking. Both get the same credentials.
    ///
    /// # Errors
    ///
    /// As of [`Client::builder`].
    pub fn registry_uri(mut self, uri: impl AsRef<str>) -> Result<Self> {
        self.registry = Some(parse_base("registry_uri", uri.as_ref())?);
        Ok(self)
    }

    pub(crate) fn default_experiment(mut self, experiment: DefaultExperiment) -> Self {
        self.default_experiment = experiment;
        self
    }

    /// Name and password, for MLflow's own `basic-auth` or a proxy. Replaces a token.
    pub fn basic_auth(mut self, username: impl Into<String>, password: impl Into<SecretString>) -> Self {
        self.credentials = Credentials::Basic(username.into(), password.into());
        self
    }

    /// A bearer token, for a proxy in front of MLflow. Replaces name and password.
    pub fn bearer_token(mut self, token: impl Into<SecretString>) -> Self {
        self.credentials = Credentials::Bearer(token.into());
        self
    }

    /// Certificates to trust beside those of the operating system, in PEM format.
    #[cfg(feature = "rustls")]
    pub fn root_certificate_pem(mut self, pem: &[u8]) -> Self {
        self.root_certificates.push(pem.to_vec());
        self
    }

    /// Certificate and private key with which the client shows itself, in one PEM text.
    #[cfg(feature = "rustls")]
    pub fn client_certificate_pem(mut self, pem: impl Into<SecretString>) -> Self {
        self.client_certificate = Some(pem.into());
        self
    }

    /// Accepts any certificate of the server: anybody on the way can then read and change everything, passwords
    /// included.
    #[cfg(feature = "rustls")]
    pub fn danger_accept_invalid_certificates(mut self, accept: bool) -> Self {
        self.accept_invalid_certificates = accept;
        self
    }

    /// Makes the client. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] for credentials that cannot stand in a header, a zero timeout, or an unreadable
    /// certificate.
    pub fn build(self) -> Result<Client> {
        if self.timeout.is_zero() {
            return Err(Error::invalid("timeout", "longer than zero"));
        }
        if self.max_in_flight == 0 || self.max_in_flight > Semaphore::MAX_PERMITS {
            return Err(Error::invalid("max_in_flight", "at least 1"));
        }
        let authorization = authorization(&self.credentials)?;
        let workspace = match &self.workspace {
            Some(name) => {
                crate::limits::workspace_name(name)?;
                let value = HeaderValue::from_str(name);
                Some(value.map_err(|_| Error::invalid("workspace", "a name of a workspace"))?)
            }
            None => None,
        };
        let own = Transport {
            #[cfg(feature = "rustls")]
            root_certificates: self.root_certificates.clone(),
            #[cfg(feature = "rustls")]
            client_certificate: self.client_certificate,
            #[cfg(feature = "rustls")]
            accept_invalid_certificates: self.accept_invalid_certificates,
        };
        let (http, transport) = match self.http {
            Some(http) => (http, None),
            None => (own.connect()?, Some(own)),
        };
        let store_http = Arc::new(StoreHttp {
            made: self.store_http.map(OnceLock::from).unwrap_or_default(),
            #[cfg(feature = "rustls")]
            root_certificates: self.root_certificates,
        });
        let client = |base: Url, registry: Option<Client>| Client {
            inner: Arc::new(Inner {
                base,
                http: http.clone(),
                transport: transport.clone(),
                timeout: self.timeout,
                max_retries: self.max_retries,
                authorization: authorization.clone(),
                backoff: self.backoff,
                workspace: workspace.clone(),
                in_flight: Arc::new(Semaphore::new(self.max_in_flight)),
                server_version: OnceCell::new(),
                registry,
                default_experiment: self.default_experiment.clone(),
                artifact_uris: Mutex::default(),
                server_info: OnceCell::new(),
                store_http: Arc::clone(&store_http),
                endings: Endings::default(),
            }),
        };
        let registry = self.registry.filter(|registry| *registry != self.base);
        let registry = registry.map(|base| client(base, None));
        Ok(client(self.base, registry))
    }
}

/// What an HTTP client of our own making is made of.
#[derive(Clone)]
pub(crate) struct Transport {
    #[cfg(feature = "rustls")]
    root_certificates: Vec<Vec<u8>>,
    #[cfg(feature = "rustls")]
    client_certificate: Option<SecretString>,
    #[cfg(feature = "rustls")]
    accept_invalid_certificates: bool,
}

impl Transport {
    #[cfg_attr(
        not(feature = "rustls"),
        allow(clippy::unused_self, reason = "all settings are of TLS")
    )]
    fn connect(&self) -> Result<ClientWithMiddleware> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("mlflow-client-rust/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE)
            .redirect(reqwest::redirect::Policy::none());
        #[cfg(feature = "rustls")]
        let builder = tls(
            builder,
            &self.root_certificates,
            self.client_certificate.as_ref(),
            self.accept_invalid_certificates,
        )?;
        let http = builder
            .build()
            .map_err(|error| Error::invalid("http", format!("usable with these settings: {error}")))?;
        Ok(reqwest_middleware::ClientBuilder::new(http).build())
    }
}

#[cfg(feature = "rustls")]
fn tls(
    mut builder: reqwest::ClientBuilder,
    roots: &[Vec<u8>],
    client_certificate: Option<&SecretString>,
    accept_invalid: bool,
) -> Result<reqwest::ClientBuilder> {
    for pem in roots {
        let certificates = reqwest::Certificate::from_pem_bundle(pem)
            .ok()
            .filter(|certificates| !certificates.is_empty())
            .ok_or_else(|| Error::invalid("root_certificate_pem", "at least one certificate in PEM format"))?;
        builder = builder.tls_certs_merge(certificates);
    }
    if let Some(pem) = client_certificate {
        let identity = reqwest::Identity::from_pem(pem.expose_secret().as_bytes()).map_err(|_| {
            Error::invalid(
                "client_certificate_pem",
                "a certificate and a private key in PEM format",
            )
        })?;
        builder = builder.identity(identity);
    }
    Ok(builder.tls_danger_accept_invalid_certs(accept_invalid))
}

fn authorization(credentials: &Credentials) -> Result<Option<HeaderValue>> {
    let (field, text) = match credentials {
        Credentials::None => return Ok(None),
        Credentials::Basic(username, _) if username.contains(':') => {
            return Err(Error::invalid("username", "without a colon"));
        }
        Credentials::Basic(username, password) => (
            "password",
            format!(
                "Basic {}",
                STANDARD.encode(format!("{username}:{}", password.expose_secret()))
            ),
        ),
        Credentials::Bearer(token) => ("token", format!("Bearer {}", token.expose_secret())),
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| Error::invalid(field, "text without line breaks and control characters"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn parse_base(field: &'static str, text: &str) -> Result<Url> {
    let refused = |why: &str| Error::invalid(field, format!("an http or https URL of an MLflow server{why}"));
    let text = text.trim();
    let scheme = text.split([':', '/']).next().unwrap_or_default().to_ascii_lowercase();
    if scheme.starts_with("databricks") || scheme == "uc" {
        return Err(refused(
            "; what Databricks hosts, with its own login and profiles, is not supported",
        ));
    }
    if matches!(scheme.as_str(), "sqlite" | "postgresql" | "mysql" | "mssql") || scheme.contains('+') {
        return Err(refused(
            "; a database can only be reached through a server: `mlflow server --backend-store-uri` serves it",
        ));
    }
    if scheme == "file" || scheme.starts_with('.') || text.starts_with('/') {
        return Err(refused(
            "; a directory can only be reached through a server: `mlflow server --backend-store-uri` serves it",
        ));
    }
    let mut url: Url = text.parse().map_err(|_| refused(""))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(refused(""));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused(" without user and password in it; give those to `basic_auth`"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused(" without query and fragment"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_servers_are_accepted() {
        for good in ["http://127.0.0.1:5000", " https://example.com/mlflow/ "] {
            assert!(Client::builder(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "databricks",
            "databricks://profile",
            "databricks-uc",
            "sqlite:///mlflow.db",
            "postgresql+psycopg2://u:p@host/db",
            "./mlruns",
            "/var/mlruns",
            "file:///x",
            "http://u:p@x",
            "http://x?a=b",
        ] {
            let error = Client::builder(bad).unwrap_err();
            assert!(matches!(error, Error::InvalidRequest(_)), "{bad}");
            assert!(!error.to_string().contains("u:p"));
        }
        for (uri, word) in [
            ("databricks://p", "Databricks"),
            ("sqlite:///x.db", "database"),
            ("file:///x", "directory"),
        ] {
            let error = Client::builder(uri).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn the_registry_may_be_elsewhere() {
        let client = |builder: ClientBuilder| builder.build().unwrap();
        let one = client(Client::builder("http://a").unwrap());
        assert_eq!(one.registry().base_url(), "http://a");
        let two = client(
            Client::builder("http://a")
                .unwrap()
                .registry_uri("http://b/x/")
                .unwrap(),
        );
        assert_eq!((two.base_url(), two.registry().base_url()), ("http://a", "http://b/x"));
        let error = Client::builder("http://a")
            .unwrap()
            .registry_uri("sqlite:///x")
            .unwrap_err();
        assert!(error.to_string().contains("registry_uri"), "{error}");
    }

    #[test]
    fn secrets_stay_out_of_debug() {
        let builder = Client::builder("http://x").unwrap().basic_auth("me", "pa55word");
        assert!(!format!("{builder:?}").contains("pa55word"));
        let client = builder.build().unwrap();
        assert!(!format!("{client:?}").contains("pa55"));
        assert!(!format!("{:?}", client.inner.authorization).contains("bWU6"));
    }
}
