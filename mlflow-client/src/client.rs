//! The client and how it is set up.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderValue, Method};
use reqwest_middleware::ClientWithMiddleware;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Mutex, Semaphore};
use url::Url;

use crate::{
    artifacts::Artifacts,
    endpoint::{Accept, Call},
    error::{Error, Result},
    experiments::Experiments,
    ids::RunId,
    model_versions::ModelVersions,
    registered_models::RegisteredModels,
    runs::Runs,
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
    pub(crate) in_flight: Semaphore,
    /// Where runs keep their artifacts; it never changes.
    pub(crate) artifact_uris: Mutex<HashMap<RunId, String>>,
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
            base: parse_base(tracking_uri.as_ref())?,
            http: None,
            timeout: DEFAULT_TIMEOUT,
            max_retries: DEFAULT_MAX_RETRIES,
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

    /// Operations on registered models.
    pub fn registered_models(&self) -> RegisteredModels {
        RegisteredModels::new(self.clone())
    }

    /// Operations on versions of registered models.
    pub fn model_versions(&self) -> ModelVersions {
        ModelVersions::new(self.clone())
    }

    /// Version of the server, e.g. `3.17.2`. Needs credentials where the server wants them.
    pub async fn version(&self) -> Result<String> {
        let call = Call::new("version", Method::GET, &self.inner.base, ["version"])?.accept(Accept::Text);
        let reply = self.inner.send(&call).await?;
        let text = String::from_utf8_lossy(&reply.body).trim().to_owned();
        let plausible = text.len() <= 64 && text.starts_with(|first: char| first.is_ascii_digit());
        if plausible {
            return Ok(text);
        }
        let mut context = crate::http::context(&call, "the answer is not a version: this is not MLflow");
        context.status = Some(reply.status);
        Err(Error::UnexpectedResponse(context))
    }

    /// Whether the server is up. Needs no credentials, so it does not tell whether they are right.
    pub async fn health(&self) -> Result<()> {
        let call = Call::new("health", Method::GET, &self.inner.base, ["health"])?.accept(Accept::Text);
        let reply = self.inner.send(&call).await?;
        if reply.body.trim_ascii() == b"OK" {
            return Ok(());
        }
        let mut context = crate::http::context(&call, "the answer is not `OK`: this is not MLflow");
        context.status = Some(reply.status);
        Err(Error::UnexpectedResponse(context))
    }

    /// A client for use in another runtime: with connections of its own, unless the HTTP client was given, and without
    /// repetitions.
    pub(crate) fn separate(&self) -> Result<Self> {
        let http = match &self.inner.transport {
            Some(transport) => transport.connect()?,
            None => self.inner.http.clone(),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                base: self.inner.base.clone(),
                http,
                transport: self.inner.transport.clone(),
                timeout: self.inner.timeout,
                max_retries: 0,
                authorization: self.inner.authorization.clone(),
                in_flight: Semaphore::new(MAX_IN_FLIGHT),
                artifact_uris: Mutex::default(),
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
    timeout: Duration,
    max_retries: u32,
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

    /// How long a call may take in all, repetitions included; default 120 s. Keep it above 30 s, for which an overloaded
    /// server stalls before it says so. For transfers of artifacts it is the longest time without any progress.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a failed request is repeated at most; default 4. Requests are repeated only where that is safe.
    pub fn max_retries(mut self, max_retries: u32) -> Self {
        self.max_retries = max_retries;
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
        let authorization = authorization(&self.credentials)?;
        let own = Transport {
            #[cfg(feature = "rustls")]
            root_certificates: self.root_certificates,
            #[cfg(feature = "rustls")]
            client_certificate: self.client_certificate,
            #[cfg(feature = "rustls")]
            accept_invalid_certificates: self.accept_invalid_certificates,
        };
        let (http, transport) = match self.http {
            Some(http) => (http, None),
            None => (own.connect()?, Some(own)),
        };
        Ok(Client {
            inner: Arc::new(Inner {
                base: self.base,
                http,
                transport,
                timeout: self.timeout,
                max_retries: self.max_retries,
                authorization,
                in_flight: Semaphore::new(MAX_IN_FLIGHT),
                artifact_uris: Mutex::default(),
            }),
        })
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

fn parse_base(text: &str) -> Result<Url> {
    let refused = |why: &str| Error::invalid("tracking_uri", format!("an http or https URL of an MLflow server{why}"));
    let text = text.trim();
    if text == "databricks" || text.starts_with("databricks:") || text.starts_with("databricks-") {
        return Err(refused(
            "; tracking hosted by Databricks, with its own login and profiles, is not supported",
        ));
    }
    let mut url: Url = text.parse().map_err(|_| refused(""))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(refused("; stores without a server cannot be reached over REST"));
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
            "sqlite:///mlflow.db",
            "./mlruns",
            "file:///x",
            "http://u:p@x",
            "http://x?a=b",
        ] {
            let error = Client::builder(bad).unwrap_err();
            assert!(matches!(error, Error::InvalidRequest(_)), "{bad}");
            assert!(!error.to_string().contains("u:p"));
        }
        assert!(
            Client::builder("databricks")
                .unwrap_err()
                .to_string()
                .contains("Databricks")
        );
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
