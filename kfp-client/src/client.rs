//! The client and its builder.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::HeaderValue;
use reqwest_middleware::ClientWithMiddleware;
use url::Url;

use crate::{
    Artifacts, Experiments, Health, Logs, Pipelines, RecurringRuns, Reports, Runs,
    error::{Error, ErrorContext, Result, Source},
    http::WireProbe,
    trace::{TraceContext, Tracer},
    v1::V1,
    version::ServerVersion,
};

/// Default limit of one call, repetitions included. A default server starts about five runs a second and lets the
/// rest wait, so a shorter limit would cut off submissions of a busy moment.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// Default time in which a run whose creation was not answered is looked for.
const DEFAULT_SETTLE_TIME: Duration = Duration::from_secs(10);

/// A client of one Kubeflow Pipelines server. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) http: ClientWithMiddleware,
    pub(crate) base: Url,
    pub(crate) user_id: Option<HeaderValue>,
    pub(crate) timeout: Duration,
    pub(crate) settle_time: Duration,
    pub(crate) tracer: Option<Tracer>,
    /// Ids and unique names of what is being created or whose creation stayed open.
    pub(crate) submitted: Mutex<HashSet<String>>,
    /// As far as it is known.
    pub(crate) server: Mutex<Option<ServerVersion>>,
}

impl Inner {
    pub(crate) fn server_version(&self) -> Option<ServerVersion> {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what the server says of its release. A build without a number changes nothing.
    pub(crate) fn learn_version(&self, tag: Option<&str>) {
        if let Some(version) = tag.and_then(|tag| tag.parse().ok()) {
            *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
        }
    }
}

impl Client {
    /// Starts a client for the API below `base_url`: what comes before `/apis/...`.
    ///
    /// That is `https://HOST/pipeline` for a whole Kubeflow, and `http://ml-pipeline.kubeflow:8888` inside the
    /// cluster.
    ///
    /// ```no_run
    /// # async fn example() -> kfp_client::Result<()> {
    /// let client = kfp_client::Client::builder("https://kubeflow.example.com/pipeline")?.build()?;
    /// let health = client.health().await?;
    /// println!("{:?} {}", health.version, health.multi_user);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] if `base_url` is not an `http` or `https` URL, or has a query, a fragment or a
    /// password.
    pub fn builder(base_url: &str) -> Result<ClientBuilder> {
        let refused = || {
            Error::invalid(
                "base_url",
                "an http or https URL without user, password, query and fragment",
            )
        };
        let mut base: Url = base_url.trim().parse().map_err(|_| refused())?;
        let plain = base.username().is_empty()
            && base.password().is_none()
            && base.query().is_none()
            && base.fragment().is_none();
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() || !plain {
            return Err(refused());
        }
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        Ok(ClientBuilder {
            base,
            http: None,
            user_id: None,
            timeout: DEFAULT_TIMEOUT,
            settle_time: DEFAULT_SETTLE_TIME,
            tracer: None,
            server_version: None,
        })
    }

    /// The URL this client was built for.
    pub fn base_url(&self) -> &Url {
        &self.inner.base
    }

    /// The server's release: what the builder was told, or the latest that [`health`](Self::health) saw. Clones share
    /// it.
    pub fn server_version(&self) -> Option<ServerVersion> {
        self.inner.server_version()
    }

    /// What the server says of itself. Needs no login at the API server itself. The client keeps its release from then
    /// on, see [`Feature`](crate::Feature).
    ///
    /// # Errors
    ///
    /// See [`Error`]. A wrong base URL shows as [`Error::Unsupported`] or [`Error::LoginPage`].
    pub async fn health(&self) -> Result<Health> {
        crate::v2::health::get(self).await
    }

    /// Experiments: groups of runs.
    pub fn experiments(&self) -> Experiments {
        Experiments::new(self.clone())
    }

    /// Pipelines and their versions, kept on the server.
    pub fn pipelines(&self) -> Pipelines {
        Pipelines::new(self.clone())
    }

    /// Runs.
    pub fn runs(&self) -> Runs {
        Runs::new(self.clone())
    }

    /// Runs that the server starts by itself.
    pub fn recurring_runs(&self) -> RecurringRuns {
        RecurringRuns::new(self.clone())
    }

    /// Artifacts of runs.
    pub fn artifacts(&self) -> Artifacts {
        Artifacts::new(self.clone())
    }

    /// Reports of what happens in the cluster; served inside of it only.
    pub fn reports(&self) -> Reports {
        Reports::new(self.clone())
    }

    /// The older API `v1beta1`, which every server speaks and those of KFP 1.8 speak alone.
    pub fn v1(&self) -> V1 {
        V1::new(self.clone())
    }

    /// Logs of a run's steps.
    pub fn logs(&self) -> Logs {
        Logs::new(self.clone())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.inner.base.as_str())
            .field("timeout", &self.inner.timeout)
            .finish_non_exhaustive()
    }
}

/// Settings of a [`Client`]; made by [`Client::builder`]. Faults are reported by [`build`](Self::build).
#[must_use]
pub struct ClientBuilder {
    base: Url,
    http: Option<ClientWithMiddleware>,
    user_id: Option<String>,
    timeout: Duration,
    settle_time: Duration,
    tracer: Option<Tracer>,
    server_version: Option<ServerVersion>,
}

impl ClientBuilder {
    /// The HTTP client to send with: a `reqwest::Client`, or one with middleware, e.g. a login.
    ///
    /// It should not follow redirects: a redirect to a login page is told from data only if it is seen. Without this
    /// setting the client makes its own, with TLS by rustls.
    pub fn http(mut self, http: impl Into<ClientWithMiddleware>) -> Self {
        self.http = Some(http.into());
        self
    }

    /// Sends this user in the header `kubeflow-userid`, which the API server trusts when called inside the cluster.
    /// Through a gateway it has no effect: gateways replace the header.
    pub fn user_id(mut self, user_id: impl Into<String>) -> Self {
        self.user_id = Some(user_id.into());
        self
    }

    /// Limit of each call, repetitions included. Default: 60 seconds.
    ///
    /// A creation is not broken off at that time, but it is no longer waited for; see
    /// [`Runs::create`](crate::Runs::create).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long what was to be made is looked for when the answer to its creation was lost. Default: 10 seconds.
    pub fn settle_time(mut self, settle_time: Duration) -> Self {
        self.settle_time = settle_time;
        self
    }

    /// The server's release, so that what it does not know is refused before anything is sent; see
    /// [`Feature`](crate::Feature). What [`Client::health`] sees replaces it.
    pub fn server_version(mut self, version: ServerVersion) -> Self {
        self.server_version = Some(version);
        self
    }

    /// Joins the caller's trace: `current` is asked before each request is sent, within the call's own span, and what it
    /// gives is sent in the headers `traceparent` and `tracestate`. With OpenTelemetry that is the context of
    /// `tracing::Span::current()`; this crate itself depends on no tracing system.
    pub fn trace_context(mut self, current: impl Fn() -> Option<TraceContext> + Send + Sync + 'static) -> Self {
        self.tracer = Some(Tracer::new(current));
        self
    }

    /// Makes the client. Opens no connection.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] for an empty or unprintable user id or a timeout of zero, [`Error::Setup`] if TLS
    /// cannot be set up.
    pub fn build(self) -> Result<Client> {
        let user_id = match self.user_id {
            None => None,
            // An empty identity header makes a server of generation 2.0 to 2.17 crash.
            Some(user_id) if user_id.trim().is_empty() => {
                return Err(Error::invalid("user_id", "not empty"));
            }
            Some(user_id) => {
                let mut value =
                    HeaderValue::from_str(user_id.trim()).map_err(|_| Error::invalid("user_id", "printable ASCII"))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        if self.timeout.is_zero() {
            return Err(Error::invalid("timeout", "longer than zero"));
        }
        let http = match self.http {
            Some(http) => http,
            None => reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .user_agent(concat!("kfp-client/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|error| setup_error(&self.base, error))?
                .into(),
        };
        let http = reqwest_middleware::ClientBuilder::from_client(http)
            .with(WireProbe)
            .build();
        Ok(Client {
            inner: Arc::new(Inner {
                http,
                base: self.base,
                user_id,
                timeout: self.timeout,
                settle_time: self.settle_time,
                tracer: self.tracer,
                submitted: Mutex::default(),
                server: Mutex::new(self.server_version),
            }),
        })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("base_url", &self.base.as_str())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn setup_error(base: &Url, error: reqwest::Error) -> Error {
    Error::Setup(Box::new(ErrorContext {
        operation: "client.build",
        method: http::Method::GET,
        path: base.path().to_owned(),
        status: None,
        code: None,
        message: error.to_string(),
        chain: None,
        json_path: None,
        retry_after: None,
        attempts: 0,
        source: Some(Source::Other(Box::new(error))),
    }))
}
