//! Settings as users of Kubeflow know them: from the environment, from the cluster, from the Python client's file.

mod context_file;
mod credentials;

pub use self::credentials::TokenFile;

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use reqwest_middleware::ClientWithMiddleware;
use secrecy::{ExposeSecret, SecretString};

use self::credentials::FixedHeaders;
use crate::{
    client::{Client, ClientBuilder},
    error::{Error, Result},
};

/// Address of the API server inside a cluster where Kubeflow has its usual namespace.
const IN_CLUSTER: &str = "http://ml-pipeline.kubeflow:8888";
/// Where a pod's token for the API server is mounted (audience `pipelines.kubeflow.org`).
const TOKEN_PATH: &str = "/var/run/secrets/kubeflow/pipelines/token";
const NAMESPACE_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

const ENDPOINT: &str = "KF_PIPELINES_ENDPOINT";
const UI_ENDPOINT: &str = "KF_PIPELINES_UI_ENDPOINT";
const TOKEN_FILE: &str = "KF_PIPELINES_SA_TOKEN_PATH";
const DEFAULT_EXPERIMENT: &str = "KF_PIPELINES_DEFAULT_EXPERIMENT_NAME";
const OVERRIDE_EXPERIMENT: &str = "KF_PIPELINES_OVERRIDE_EXPERIMENT_NAME";
const IAP_CLIENT: &str = "KF_PIPELINES_IAP_OAUTH2_CLIENT_ID";
const APP_CLIENT: &str = "KF_PIPELINES_APP_OAUTH2_CLIENT_ID";
const APP_SECRET: &str = "KF_PIPELINES_APP_OAUTH2_CLIENT_SECRET";

/// How to reach a server and who to be there.
///
/// | Source | Read by | What it gives |
/// |---|---|---|
/// | `KF_PIPELINES_ENDPOINT` | [`from_env`](Self::from_env) | address; `https://` if it has no scheme |
/// | `KF_PIPELINES_SA_TOKEN_PATH` | [`from_env`](Self::from_env), [`in_cluster`](Self::in_cluster) | file with a token, read again for each request |
/// | `KF_PIPELINES_UI_ENDPOINT` | [`from_env`](Self::from_env) | [`ui_endpoint`](Self::ui_endpoint), for links |
/// | `KF_PIPELINES_OVERRIDE_EXPERIMENT_NAME`, `KF_PIPELINES_DEFAULT_EXPERIMENT_NAME` | [`from_env`](Self::from_env) | [`experiment`](Self::experiment) |
/// | `~/.config/kfp/context.json` | [`from_env`](Self::from_env), [`context_file`](Self::context_file) | namespace, cookie, header |
/// | `KUBERNETES_SERVICE_HOST` | [`from_env`](Self::from_env) | without an address: settings of the cluster |
/// | `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY` | the HTTP client | proxies, unless one is set here |
///
/// Setters never fail; [`build`](Self::build) reports what is wrong, by the name of the variable or file it came from.
///
/// ```no_run
/// # fn example() -> kfp_client::Result<()> {
/// use kfp_client::Config;
///
/// let client = Config::from_env()?.build()?;
/// let other = Config::new("kubeflow.example.com/pipeline").token("from a vault").build()?;
/// # let _ = (client, other);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Config {
    endpoint: String,
    /// What the endpoint is called in errors.
    endpoint_name: &'static str,
    ui_endpoint: Option<String>,
    namespace: Option<String>,
    experiment: Option<String>,
    token: Option<SecretString>,
    token_file: Option<PathBuf>,
    cookie: Option<SecretString>,
    header: Option<(String, SecretString)>,
    user_id: Option<String>,
    proxy: Option<SecretString>,
    #[cfg(feature = "rustls")]
    root_certificates: Vec<Vec<u8>>,
    #[cfg(feature = "rustls")]
    client_certificate: Option<SecretString>,
    timeout: Option<Duration>,
    connect_timeout: Duration,
}

impl Config {
    /// The server at this address, e.g. `https://kubeflow.example.com/pipeline`; without a scheme `https` is meant.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            endpoint_name: "endpoint",
            ui_endpoint: None,
            namespace: None,
            experiment: None,
            token: None,
            token_file: None,
            cookie: None,
            header: None,
            user_id: None,
            proxy: None,
            #[cfg(feature = "rustls")]
            root_certificates: Vec::new(),
            #[cfg(feature = "rustls")]
            client_certificate: None,
            timeout: None,
            connect_timeout: Duration::from_secs(10),
        }
    }

    /// The server that the environment names, as the Python client finds it: the address from
    /// `KF_PIPELINES_ENDPOINT`, otherwise the cluster this program runs in; what the Python client's context file adds.
    ///
    /// Unlike the Python client this writes nothing and asks no kubeconfig.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] that names the variable or file: if there is neither an address nor a cluster, if the
    /// context file is not one, or if a login by Google's IAP is configured and nothing else, which is not offered.
    pub fn from_env() -> Result<Self> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// As [`from_env`](Self::from_env), with variables from `variable`.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn from_lookup(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let set = |name: &str| {
            variable(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let token_file = set(TOKEN_FILE);
        let mut config = match set(ENDPOINT) {
            Some(endpoint) => Self {
                endpoint_name: ENDPOINT,
                token_file: token_file.map(PathBuf::from),
                ..Self::new(endpoint)
            },
            None if set("KUBERNETES_SERVICE_HOST").is_some() => Self::in_cluster_with(token_file),
            None => {
                return Err(Error::invalid(
                    ENDPOINT,
                    "the address of the server, e.g. https://kubeflow.example.com/pipeline; it can be left out only \
                     inside a cluster",
                ));
            }
        };
        config.ui_endpoint = set(UI_ENDPOINT);
        config.experiment = set(OVERRIDE_EXPERIMENT).or_else(|| set(DEFAULT_EXPERIMENT));
        if let Some(home) = set("HOME") {
            let path = Path::new(&home).join(".config/kfp/context.json");
            if path.exists() {
                config = config.context_file(&path)?;
            }
        }
        let anonymous = config.token_file.is_none() && config.cookie.is_none() && config.header.is_none();
        if let Some(name) = [IAP_CLIENT, APP_CLIENT, APP_SECRET]
            .into_iter()
            .find(|name| set(name).is_some())
            && anonymous
        {
            return Err(Error::invalid(
                name,
                format!("unset, or beside {TOKEN_FILE}: logins by Google's IAP are not offered"),
            ));
        }
        Ok(config)
    }

    /// The server of the cluster this program runs in, `http://ml-pipeline.kubeflow:8888`, with the token that is
    /// mounted at `/var/run/secrets/kubeflow/pipelines/token` (or where `KF_PIPELINES_SA_TOKEN_PATH` says), if it is.
    pub fn in_cluster() -> Self {
        Self::in_cluster_with(std::env::var(TOKEN_FILE).ok().filter(|path| !path.trim().is_empty()))
    }

    fn in_cluster_with(token_file: Option<String>) -> Self {
        // One that was named has to be there; the usual one is not mounted where the server keeps no users apart.
        let usual = Some(PathBuf::from(TOKEN_PATH)).filter(|path| path.exists());
        let namespace = std::fs::read_to_string(NAMESPACE_PATH).ok();
        Self {
            token_file: token_file.map(PathBuf::from).or(usual),
            namespace: namespace
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty()),
            ..Self::new(IN_CLUSTER)
        }
    }

    /// Takes namespace, cookie and header from the Python client's context file, where they are not set already.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] that names the file if it cannot be read, is no JSON object, or gives a header's name
    /// without its value.
    pub fn context_file(mut self, path: &Path) -> Result<Self> {
        let file = context_file::read(path)?;
        self.namespace = self.namespace.or(file.namespace);
        self.cookie = self.cookie.or(file.cookie);
        self.header = self.header.or(file.header);
        Ok(self)
    }

    /// Sends this token (`Authorization: Bearer`) instead of one from a file.
    pub fn token(mut self, token: impl Into<SecretString>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sends the token in this file, read again for each request: Kubernetes renews projected tokens in place.
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.token_file = Some(path.into());
        self
    }

    /// Sends these cookies, e.g. `authservice_session=…`.
    pub fn cookie(mut self, cookie: impl Into<SecretString>) -> Self {
        self.cookie = Some(cookie.into());
        self
    }

    /// Sends this header with each request.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.header = Some((name.into(), value.into()));
        self
    }

    /// See [`ClientBuilder::user_id`].
    pub fn user_id(mut self, user_id: impl Into<String>) -> Self {
        self.user_id = Some(user_id.into());
        self
    }

    /// Sends everything through this proxy, e.g. `http://user:password@proxy.example.com:3128`, whatever the
    /// environment says.
    pub fn proxy(mut self, proxy: impl Into<SecretString>) -> Self {
        self.proxy = Some(proxy.into());
        self
    }

    /// Trusts these certificates too, in PEM format; may be given several times.
    #[cfg(feature = "rustls")]
    pub fn root_certificate_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates.push(pem.into());
        self
    }

    /// Shows this certificate to the server: certificate and private key in PEM format.
    #[cfg(feature = "rustls")]
    pub fn client_certificate_pem(mut self, pem: impl Into<SecretString>) -> Self {
        self.client_certificate = Some(pem.into());
        self
    }

    /// See [`ClientBuilder::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Limit for making a connection. Default: 10 seconds.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Namespace to work in, if one is known; replaces that of a file.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Namespace to work in: of the context file, or of this pod.
    pub fn default_namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Experiment to use when none is named.
    pub fn experiment(&self) -> Option<&str> {
        self.experiment.as_deref()
    }

    /// Address for links to the user interface, where it differs from the server's.
    pub fn ui_endpoint(&self) -> Option<&str> {
        self.ui_endpoint.as_deref()
    }

    /// Makes a client.
    ///
    /// # Errors
    ///
    /// As [`builder`](Self::builder) and [`ClientBuilder::build`].
    pub fn build(&self) -> Result<Client> {
        self.builder()?.build()
    }

    /// The builder of such a client, for settings that are not here.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] that names the setting, variable or file and what is allowed there.
    pub fn builder(&self) -> Result<ClientBuilder> {
        let endpoint = self.endpoint.trim();
        let address = if endpoint.contains("://") {
            endpoint.to_owned()
        } else {
            format!("https://{endpoint}")
        };
        let http = self.http_client()?;
        let mut builder = Client::builder(&address)
            .map_err(|error| match error {
                Error::InvalidRequest(invalid) => Error::invalid(self.endpoint_name, invalid.allowed),
                other => other,
            })?
            .http(http);
        if let Some(user_id) = &self.user_id {
            builder = builder.user_id(user_id);
        }
        if let Some(timeout) = self.timeout {
            builder = builder.timeout(timeout);
        }
        Ok(builder)
    }

    fn http_client(&self) -> Result<ClientWithMiddleware> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(self.connect_timeout)
            .user_agent(concat!("kfp-client/", env!("CARGO_PKG_VERSION")));
        if let Some(proxy) = &self.proxy {
            let refused = |_| Error::invalid("proxy", "an http or https URL");
            builder = builder.proxy(reqwest::Proxy::all(proxy.expose_secret()).map_err(refused)?);
        }
        #[cfg(feature = "rustls")]
        {
            builder = self.tls(builder)?;
        }
        let http = builder
            .build()
            .map_err(|error| Error::invalid("TLS settings", format!("usable: {error}")))?;
        let mut fixed = FixedHeaders::default();
        if let Some(token) = &self.token {
            fixed.add("authorization", &format!("Bearer {}", token.expose_secret()), "token")?;
        }
        if let Some(cookie) = &self.cookie {
            fixed.add("cookie", cookie.expose_secret(), "cookie")?;
        }
        if let Some((name, value)) = &self.header {
            fixed.add(name, value.expose_secret(), "header")?;
        }
        let mut builder = reqwest_middleware::ClientBuilder::new(http).with(fixed);
        if let (Some(path), None) = (&self.token_file, &self.token) {
            builder = builder.with(TokenFile::new(path));
        }
        Ok(builder.build())
    }

    #[cfg(feature = "rustls")]
    fn tls(&self, mut builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder> {
        for pem in &self.root_certificates {
            let certificates = reqwest::Certificate::from_pem_bundle(pem).ok();
            let certificates = certificates.filter(|certificates| !certificates.is_empty());
            let refused = || Error::invalid("root_certificate_pem", "at least one certificate in PEM format");
            builder = builder.tls_certs_merge(certificates.ok_or_else(refused)?);
        }
        if let Some(pem) = &self.client_certificate {
            let identity = reqwest::Identity::from_pem(pem.expose_secret().as_bytes());
            let refused = |_| {
                Error::invalid(
                    "client_certificate_pem",
                    "a certificate and a private key in PEM format",
                )
            };
            builder = builder.identity(identity.map_err(refused)?);
        }
        Ok(builder)
    }
}

impl fmt::Debug for Config {
    /// Leaves out what may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("namespace", &self.namespace)
            .field("token_file", &self.token_file)
            .field("token", &self.token.is_some())
            .field("cookie", &self.cookie.is_some())
            .field("header", &self.header.as_ref().map(|(name, _)| name))
            .field("proxy", &self.proxy.is_some())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn header_name(name: &str, field: &'static str) -> Result<HeaderName> {
    let parsed = HeaderName::from_bytes(name.trim().as_bytes());
    parsed.map_err(|_| Error::invalid(field, "with a name of letters, digits and hyphens"))
}

fn secret_value(value: &str, field: &'static str) -> Result<HeaderValue> {
    let parsed = HeaderValue::from_str(value.trim())
        .ok()
        .filter(|value| !value.is_empty());
    let mut value = parsed.ok_or_else(|| Error::invalid(field, "not empty, and printable ASCII"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &'static [(&'static str, &'static str)]) -> Result<Config> {
        Config::from_lookup(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_is_read_as_the_python_client_reads_it() {
        let config = from(&[
            (ENDPOINT, "kubeflow.example.com/pipeline/"),
            (TOKEN_FILE, "/tokens/kfp"),
            (DEFAULT_EXPERIMENT, "usual"),
            (OVERRIDE_EXPERIMENT, "this one"),
            (UI_ENDPOINT, "https://ui.example.com"),
        ])
        .unwrap();
        assert_eq!(
            config.build().unwrap().base_url().as_str(),
            "https://kubeflow.example.com/pipeline"
        );
        assert_eq!(config.token_file.as_deref(), Some(Path::new("/tokens/kfp")));
        assert_eq!(config.experiment(), Some("this one"));
        assert_eq!(config.ui_endpoint(), Some("https://ui.example.com"));
        let config = from(&[("KUBERNETES_SERVICE_HOST", "10.0.0.1"), (TOKEN_FILE, "/tokens/kfp")]).unwrap();
        assert_eq!(
            config.build().unwrap().base_url().as_str(),
            "http://ml-pipeline.kubeflow:8888/"
        );
        assert!(config.token_file.is_some());
    }

    #[test]
    fn errors_name_the_variable_and_what_is_allowed() {
        let text = |result: Result<Config>| result.and_then(|config| config.build()).unwrap_err().to_string();
        assert!(text(from(&[])).contains("KF_PIPELINES_ENDPOINT must be the address"));
        let wrong = text(from(&[(ENDPOINT, "ftp://x")]));
        assert!(
            wrong.contains("KF_PIPELINES_ENDPOINT must be an http or https URL"),
            "{wrong}"
        );
        let iap = text(from(&[(ENDPOINT, "https://x"), (IAP_CLIENT, "id")]));
        assert!(iap.contains(IAP_CLIENT) && iap.contains(TOKEN_FILE), "{iap}");
        assert!(from(&[(ENDPOINT, "https://x"), (IAP_CLIENT, "id"), (TOKEN_FILE, "/t")]).is_ok());
        for (config, field) in [
            (Config::new("https://x").token("a\nb"), "token"),
            (Config::new("https://x").token(" "), "token"),
            (Config::new("https://x").cookie(""), "cookie"),
            (Config::new("https://x").header("a b", "c"), "header"),
            (Config::new("https://x").proxy("::"), "proxy"),
            (Config::new("https://x").user_id(" "), "user_id"),
        ] {
            let text = text(Ok(config));
            assert!(text.contains(&format!("{field} must be")), "{text}");
        }
    }

    #[cfg(feature = "rustls")]
    #[test]
    fn certificates_that_are_none_are_refused() {
        let error = Config::new("https://x").root_certificate_pem("no").build().unwrap_err();
        assert!(error.to_string().contains("root_certificate_pem"), "{error}");
        let error = Config::new("https://x")
            .client_certificate_pem("secret-key")
            .build()
            .unwrap_err();
        assert!(error.to_string().contains("client_certificate_pem"), "{error}");
        assert!(!format!("{error:?}").contains("secret-key"));
    }

    #[test]
    fn no_secret_is_shown() {
        let config = Config::new("https://x")
            .token("secret-a")
            .cookie("secret-b")
            .header("x-auth", "secret-c")
            .proxy("http://u:secret-d@p");
        assert!(!format!("{config:?}").contains("secret"), "{config:?}");
    }
}
