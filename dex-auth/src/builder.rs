//! Settings of a session, checked before anything is sent.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::cookie::SessionCookie;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::flow::Plan;
use crate::handler::PageHandler;
use crate::identity_provider::{IdentityProvider, Providers};
use crate::login::{Clock, Settings};
use crate::origin::{is_in_cluster, is_loopback};
use crate::providers::built_in;
use crate::session::{LOGIN_DEADLINE, MAX_PAGE_BYTES, Session, TIMEOUT};
use crate::source::Source;
use crate::store::Store;
use crate::token::TokenSource;

/// Builds a [`Session`]. Setters never fail; [`build`](Self::build) reports what cannot be used.
#[must_use]
pub struct SessionBuilder {
    gateway: Url,
    source: Option<Source>,
    /// The fixed cookies, as one header.
    cookies: String,
    /// Every kind of source that was given.
    given: Vec<&'static str>,
    store: Option<PathBuf>,
    plain_http_inside_the_cluster: bool,
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
            source: None,
            cookies: String::new(),
            given: Vec::new(),
            store: None,
            plain_http_inside_the_cluster: false,
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

    /// Who logs in through the gateway's pages. A session has one source: this, [`cookie`](Self::cookie) or
    /// [`token`](Self::token).
    pub fn credentials(self, credentials: Credentials) -> Self {
        self.from("credentials", Source::Pages(credentials))
    }

    /// A cookie of a login that was made elsewhere. Each further call adds another part of a split cookie.
    ///
    /// Nobody can renew it: when the gateway refuses it, requests fail with [`Error::CredentialsExpired`].
    pub fn cookie(self, name: &str, value: impl Into<SecretString>) -> Self {
        let pair = Zeroizing::new(format!("{name}={}", value.into().expose_secret()));
        self.cookie_header(pair.as_str())
    }

    /// The same as a whole `Cookie:` header, such as [`SessionCookie::header`](crate::SessionCookie::header) gives.
    pub fn cookie_header(mut self, header: impl Into<SecretString>) -> Self {
        if !self.cookies.is_empty() {
            self.cookies.push_str("; ");
        }
        self.cookies.push_str(header.into().expose_secret());
        self.note("cookie");
        self
    }

    /// Where bearer tokens come from: a [`BearerToken`](crate::BearerToken), a file, a command, a grant, or a
    /// [`TokenSource`] of your own.
    ///
    /// Which tokens a gateway takes is its own matter: Kubeflow 1.9.1 and later those of Dex, for any client; 1.7 to 1.9.0
    /// ID tokens of Dex for the gateway's own client; an AWS load balancer none.
    pub fn token(self, source: impl TokenSource) -> Self {
        self.from("token", Source::Token(Arc::new(source)))
    }

    pub(crate) fn from(mut self, kind: &'static str, source: Source) -> Self {
        self.note(kind);
        self.source = Some(source);
        self
    }

    fn note(&mut self, kind: &'static str) {
        if !self.given.contains(&kind) {
            self.given.push(kind);
        }
    }

    /// Keeps sessions in this file, so that processes of one user, one after the other or at the same time, log in once
    /// between them. Sessions are told apart by gateway, user and connector.
    ///
    /// The file holds cookies and tokens. It is made for its owner only (mode 0600), and refused where others may read it or
    /// where it is not one's own; a broken one is replaced. Beside it stands a lock, `FILE.lock`, which is held during a
    /// login. A password that the pages refused is remembered by a slow, salted hash, so that no other process tries it
    /// again; a call of [`Session::set_credentials`] forgets that. Fixed cookies and tokens, files and commands are not kept.
    pub fn store(mut self, path: impl Into<PathBuf>) -> Self {
        self.store = Some(path.into());
        self
    }

    /// Allows `http` to a service inside the cluster, such as `http://ml-pipeline-ui.kubeflow`, for sessions of tokens and
    /// fixed cookies: there is no TLS in Kubeflow's own network, unless a mesh adds it. A password never travels so.
    pub fn plain_http_inside_the_cluster(mut self) -> Self {
        self.plain_http_inside_the_cluster = true;
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
        if let [_, _, ..] = self.given.as_slice() {
            let problem = format!("a session has one source, and was given {}", self.given.join(" and "));
            return Err(unusable("credentials", &problem));
        }
        let source = match self.source {
            Some(source) => source,
            None if !self.cookies.is_empty() => {
                Source::Cookie(fixed_cookie(&Zeroizing::new(self.cookies), (self.clock)())?)
            }
            None => {
                return Err(unusable(
                    "credentials",
                    "a session needs a user name and a password, a cookie or a token",
                ));
            }
        };
        if let Source::Pages(credentials) = &source {
            credentials.check()?;
        }
        if self.gateway.scheme() == "http" && !is_loopback(&self.gateway) {
            let may = self.plain_http_inside_the_cluster && !matches!(source, Source::Pages(_));
            if !may {
                return Err(unusable(
                    "url",
                    "http would show the session to the network; use https, or plain_http_inside_the_cluster for a \
                     session of tokens",
                ));
            }
        }
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
        Ok(Session::new(settings, source, self.store.map(Store::new)))
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
        // Whether it may be used is seen when the session is built.
        "http" if names_a_service(&url) => {}
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

/// `name`, `name.namespace` or `name.namespace.svc`: what a service is called inside its cluster.
fn names_a_service(url: &Url) -> bool {
    let labels = url
        .domain()
        .map_or(0, |host| host.trim_end_matches('.').split('.').count());
    is_in_cluster(url) || (1..=2).contains(&labels)
}

/// The cookies of a header, which has to hold at least one.
pub(crate) fn fixed_cookie(header: &str, now: Timestamp) -> Result<SessionCookie, Error> {
    SessionCookie::of_header(header, now)
        .filter(|cookie| cookie.header_value().is_ok())
        .ok_or_else(|| Error::Config {
            field: "cookie",
            problem: "it is no cookie such as `name=value`".to_owned(),
        })
}

impl fmt::Debug for SessionBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SessionBuilder")
            .field("gateway", &self.gateway.as_str())
            .field("source", &self.source)
            .field("cookies", &!self.cookies.is_empty())
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

    fn build_problem(builder: SessionBuilder) -> (&'static str, String) {
        match builder.build() {
            Err(Error::Config { field, problem }) => (field, problem),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_session_has_one_source() {
        let builder = || SessionBuilder::new("https://kubeflow.example.com").unwrap();
        let two = builder()
            .credentials(Credentials::new("u", "p"))
            .token(crate::BearerToken::new("t"));
        assert!(build_problem(two).1.contains("credentials and token"));
        let two = builder().cookie("a", "b").token(crate::BearerToken::new("t"));
        assert!(build_problem(two).1.contains("cookie and token"));
        assert!(builder().cookie("a", "b").cookie("c", "d").build().is_ok());
        for header in ["", "novalue", "a=b\u{0}c", "=x"] {
            let (field, problem) = build_problem(builder().cookie_header(header));
            assert_eq!(
                field,
                if header.is_empty() { "credentials" } else { "cookie" },
                "{header:?}"
            );
            assert!(!problem.contains("novalue"));
        }
    }

    #[test]
    fn plain_http_is_for_tokens_inside_the_cluster_only() {
        let builder = |url| SessionBuilder::new(url);
        let inside = "http://ml-pipeline-ui.kubeflow";
        assert!(builder("http://kubeflow.example.com").is_err());
        assert!(builder("http://10.0.0.1").is_err());
        let token = || crate::BearerToken::new("t");
        let open = |url| builder(url).unwrap().plain_http_inside_the_cluster();
        assert!(open(inside).token(token()).build().is_ok());
        assert!(
            open("http://ml-pipeline.kubeflow.svc.cluster.local:8888")
                .token(token())
                .build()
                .is_ok()
        );
        assert_eq!(
            build_problem(open(inside).credentials(Credentials::new("u", "p"))).0,
            "url"
        );
        assert_eq!(build_problem(builder(inside).unwrap().token(token())).0, "url");
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
