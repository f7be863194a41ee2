//! Settings of a session, checked before anything is sent.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use crate::credentials::Credentials;
use crate::error::Error;
use crate::flow::Plan;
use crate::handler::PageHandler;
use crate::identity_provider::{IdentityProvider, Providers};
use crate::login::{Clock, Settings};
use crate::origin::is_loopback;
use crate::providers::built_in;
use crate::session::{LOGIN_DEADLINE, MAX_PAGE_BYTES, Session, TIMEOUT};

/// Builds a [`Session`]. Setters never fail; [`build`](Self::build) reports what cannot be used.
#[must_use]
pub struct SessionBuilder {
    gateway: Url,
    credentials: Option<Credentials>,
    connector: Option<String>,
    connector_directly: bool,
    providers: Providers,
    handlers: Vec<Arc<dyn PageHandler>>,
    #[cfg(feature = "rustls")]
    root_certificates: Vec<Vec<u8>>,
    timeout: Duration,
    login_deadline: Duration,
    max_page_bytes: usize,
    clock: Clock,
}

impl SessionBuilder {
    pub(crate) fn new(url: &str) -> Result<Self, Error> {
        Ok(Self {
            gateway: gateway(url)?,
            credentials: None,
            connector: None,
            connector_directly: false,
            providers: Providers::default(),
            handlers: Vec::new(),
            #[cfg(feature = "rustls")]
            root_certificates: Vec::new(),
            timeout: TIMEOUT,
            login_deadline: LOGIN_DEADLINE,
            max_page_bytes: MAX_PAGE_BYTES,
            clock: Arc::new(Timestamp::now),
        })
    }

    /// Who logs in. Required.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// The Dex connector to log in with, by its id, its name or its type, such as `ldap`. Needed when Dex offers several;
    /// the error without it lists them.
    pub fn connector(mut self, connector: impl Into<String>) -> Self {
        self.connector = Some(connector.into());
        self.connector_directly = false;
        self
    }

    /// The id of the Dex connector to log in with, asked for in the address: Dex shows no choice. For installations
    /// whose page of connectors cannot be read.
    pub fn connector_id(mut self, id: impl Into<String>) -> Self {
        self.connector = Some(id.into());
        self.connector_directly = true;
        self
    }

    /// An identity provider behind the gateway that the login may go to. In a chain of providers each of them is named;
    /// a login that leads anywhere else ends with [`Error::UnsafeTarget`], which names the origin.
    pub fn identity_provider(mut self, provider: IdentityProvider) -> Self {
        self.providers.add(provider);
        self
    }

    /// Trusts a certificate authority besides the system's, for every host of the login. May be called repeatedly, and
    /// with a bundle.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn root_certificate_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.root_certificates.push(pem.as_ref().to_vec());
        self
    }

    /// A handler for pages that this crate does not know; asked before the built-in ones, in the order given.
    pub fn page_handler(mut self, handler: impl PageHandler) -> Self {
        self.handlers.push(Arc::new(handler));
        self
    }

    /// The longest time for one request, connecting and body included. Default 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The longest time for a whole login. Default 120 s; gateways give up after 15 minutes.
    pub fn login_deadline(mut self, deadline: Duration) -> Self {
        self.login_deadline = deadline;
        self
    }

    /// The largest page of a login, in bytes. Default 1 MiB.
    pub fn max_page_bytes(mut self, bytes: usize) -> Self {
        self.max_page_bytes = bytes;
        self
    }

    /// Where the session reads the time from, for tests.
    pub fn clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the session. Nothing is sent before its first use.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] naming the setting that is missing or cannot be used.
    pub fn build(self) -> Result<Session, Error> {
        let unusable = |field, problem: &str| Error::Config {
            field,
            problem: problem.to_owned(),
        };
        let credentials = self
            .credentials
            .ok_or_else(|| unusable("credentials", "a session needs a user name and a password"))?;
        credentials.check()?;
        if self.connector.as_ref().is_some_and(String::is_empty) {
            return Err(unusable("connector", "a connector id is not empty"));
        }
        if self.timeout.is_zero() || self.login_deadline.is_zero() {
            return Err(unusable("timeout", "a time limit of zero lets nothing through"));
        }
        let mut http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(self.timeout.min(Duration::from_secs(10)))
            .timeout(self.timeout)
            .user_agent(concat!("dex-auth/", env!("CARGO_PKG_VERSION")));
        #[cfg(feature = "rustls")]
        for pem in &self.root_certificates {
            let certificates = reqwest::Certificate::from_pem_bundle(pem)
                .ok()
                .filter(|certificates| !certificates.is_empty())
                .ok_or_else(|| unusable("root_certificate_pem", "it holds no certificate in PEM form"))?;
            http = http.tls_certs_merge(certificates);
        }
        if is_loopback(&self.gateway) {
            // A proxy cannot reach this machine's loopback, and the password would pass through it.
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| Error::Config {
            field: "root_certificate_pem",
            problem: crate::error::one_line(&error.without_url().to_string()),
        })?;
        let mut handlers = self.handlers;
        handlers.extend(built_in());
        let settings = Settings {
            plan: Plan {
                gateway: self.gateway,
                connector: self.connector,
                connector_directly: self.connector_directly,
                providers: self.providers,
                handlers: handlers.into(),
            },
            http,
            deadline: self.login_deadline,
            max_page_bytes: self.max_page_bytes,
            clock: self.clock,
        };
        Ok(Session::new(settings, credentials))
    }
}

/// The gateway's address, its path ended by `/`.
fn gateway(text: &str) -> Result<Url, Error> {
    let unusable = |problem: &str| Error::Config {
        field: "url",
        problem: problem.to_owned(),
    };
    let mut url =
        Url::parse(text.trim()).map_err(|_| unusable("it is no absolute URL such as https://kubeflow.example.com"))?;
    if !url.has_host() {
        return Err(unusable("it names no host"));
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err(unusable("http would show the password to the network; use https")),
        _ => return Err(unusable("only https is spoken")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(unusable(
            "a user or password in the URL ends up in logs; use SessionBuilder::credentials",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(unusable(
            "it is the address of Kubeflow itself, without query and fragment",
        ));
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

impl fmt::Debug for SessionBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SessionBuilder")
            .field("gateway", &self.gateway.as_str())
            .field("credentials", &self.credentials)
            .field("connector", &self.connector)
            .field("timeout", &self.timeout)
            .field("login_deadline", &self.login_deadline)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(url: &str) -> String {
        match SessionBuilder::new(url) {
            Err(Error::Config { field: "url", problem }) => problem,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn only_safe_addresses_are_taken() {
        assert!(problem("http://kubeflow.example.com").contains("https"));
        assert!(problem("ftp://kubeflow.example.com").contains("https"));
        assert!(problem("kubeflow.example.com").contains("absolute"));
        assert!(!problem("https://me:topsecret@kubeflow.example.com").contains("topsecret"));
        assert!(problem("https://kubeflow.example.com/?a=b").contains("query"));
        assert!(SessionBuilder::new("http://127.0.0.1:8080").is_ok());
    }

    #[test]
    fn a_base_path_is_kept() {
        let builder = SessionBuilder::new("https://example.com/kubeflow").unwrap();
        assert_eq!(builder.gateway.path(), "/kubeflow/");
    }

    #[test]
    fn credentials_are_required() {
        let error = SessionBuilder::new("https://kubeflow.example.com")
            .unwrap()
            .build()
            .unwrap_err();
        assert!(matches!(
            error,
            Error::Config {
                field: "credentials",
                ..
            }
        ));
    }

    #[cfg(feature = "rustls")]
    #[test]
    fn a_certificate_that_is_none_is_refused() {
        let error = SessionBuilder::new("https://kubeflow.example.com")
            .unwrap()
            .credentials(Credentials::new("u", "p"))
            .root_certificate_pem("hello")
            .build()
            .unwrap_err();
        assert!(matches!(
            error,
            Error::Config {
                field: "root_certificate_pem",
                ..
            }
        ));
    }
}
