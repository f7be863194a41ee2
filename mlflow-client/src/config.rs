//! Settings from the environment, by the names that MLflow's Python client uses.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use secrecy::SecretString;

use crate::{
    client::{Client, ClientBuilder},
    credentials::{self, CredentialsFile},
    error::{Error, Result},
    experiments::Experiment,
    ids::ExperimentId,
};

/// The experiment that `MLFLOW_EXPERIMENT_NAME` and `MLFLOW_EXPERIMENT_ID` name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DefaultExperiment {
    name: Option<String>,
    id: Option<ExperimentId>,
}

impl Client {
    /// A client as the environment describes it.
    ///
    /// | Variable | Meaning |
    /// |---|---|
    /// | `MLFLOW_TRACKING_URI` | the server; required |
    /// | `MLFLOW_REGISTRY_URI` | the server of the registry, if it is another one |
    /// | `MLFLOW_TRACKING_USERNAME`, `MLFLOW_TRACKING_PASSWORD` | basic authentication; wins over the token |
    /// | `MLFLOW_TRACKING_TOKEN` | bearer token |
    /// | `MLFLOW_TRACKING_SERVER_CERT_PATH` | file with the certificates to trust (PEM) |
    /// | `MLFLOW_TRACKING_CLIENT_CERT_PATH` | file with the client's certificate and key (PEM) |
    /// | `MLFLOW_TRACKING_INSECURE_TLS` | `true`: do not check the server's certificate |
    /// | `MLFLOW_HTTP_REQUEST_TIMEOUT` | seconds; see [`ClientBuilder::timeout`] |
    /// | `MLFLOW_HTTP_REQUEST_MAX_RETRIES` | see [`ClientBuilder::max_retries`]; at most 10 |
    /// | `MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR` | seconds before the first repetition, doubled up to 120 s |
    /// | `MLFLOW_HTTP_REQUEST_BACKOFF_JITTER` | seconds, added at most; see [`ClientBuilder::backoff_jitter`] |
    /// | `MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER` | `false`: do not wait as long as the server asks for |
    /// | `MLFLOW_WORKSPACE` | see [`ClientBuilder::workspace`] |
    /// | `MLFLOW_EXPERIMENT_NAME`, `MLFLOW_EXPERIMENT_ID` | see [`Client::default_experiment`] |
    ///
    /// User name and password that are not set are taken from the file `~/.mlflow/credentials`: section `[mlflow]`, keys
    /// `mlflow_tracking_username` and `mlflow_tracking_password`. An empty variable counts as not set.
    ///
    /// Two of MLflow's variables are refused rather than ignored, because what they ask for is not done here:
    /// `MLFLOW_TRACKING_AUTH` (plug-ins of the Python client) and `MLFLOW_TRACKING_AWS_SIGV4`; give a middleware to
    /// [`ClientBuilder::http`] instead.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] that names the variable, or the file.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    fn from_variables(read: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let uri = text(&read, "MLFLOW_TRACKING_URI")?
            .ok_or_else(|| Error::invalid("MLFLOW_TRACKING_URI", "set to the URL of an MLflow server"))?;
        let builder = Self::builder(&uri).map_err(|error| named("MLFLOW_TRACKING_URI", error))?;
        builder.settings_from(read)?.build()
    }

    /// The experiment that `MLFLOW_EXPERIMENT_NAME` or `MLFLOW_EXPERIMENT_ID` named when the client was made from the
    /// environment; without them the experiment `Default`, whose id is 0. One that is named and does not exist is made.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] if name and id are of different experiments; [`Error::NotFound`] if there is none with the id.
    pub async fn default_experiment(&self) -> Result<Experiment> {
        let DefaultExperiment { name, id } = &self.inner.default_experiment;
        let Some(name) = name else {
            let id = id.clone().unwrap_or_else(|| ExperimentId::new("0"));
            return self.experiments().get(id).await;
        };
        let experiment = self.experiments().get_or_create(name).await?;
        match id {
            Some(id) if *id != experiment.experiment_id => Err(Error::invalid(
                "MLFLOW_EXPERIMENT_ID",
                format!(
                    "unset, or {}, the id of the experiment that MLFLOW_EXPERIMENT_NAME names",
                    experiment.experiment_id
                ),
            )),
            _ => Ok(experiment),
        }
    }
}

/// The same refusal of a value, by the name of the variable that gave it.
fn named(variable: &'static str, error: Error) -> Error {
    match error {
        Error::InvalidRequest(mut invalid) => {
            invalid.field = variable.into();
            Error::InvalidRequest(invalid)
        }
        error => error,
    }
}

impl ClientBuilder {
    /// Takes everything but the addresses from the environment; see [`Client::from_env`] for the variables.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] that names the variable, or the file.
    pub fn credentials_from_env(self) -> Result<Self> {
        self.settings_from(|name| {
            let wanted = name != "MLFLOW_REGISTRY_URI";
            wanted.then(|| std::env::var_os(name)).flatten()
        })
    }

    fn settings_from(mut self, read: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        if let Some(uri) = text(&read, "MLFLOW_REGISTRY_URI")? {
            self = self
                .registry_uri(uri)
                .map_err(|error| named("MLFLOW_REGISTRY_URI", error))?;
        }
        if text(&read, "MLFLOW_TRACKING_AUTH")?.is_some() {
            let allowed =
                "unset: plug-ins of the Python client do not work here; give a middleware to `ClientBuilder::http`";
            return Err(Error::invalid("MLFLOW_TRACKING_AUTH", allowed));
        }
        if flag(&read, "MLFLOW_TRACKING_AWS_SIGV4")?.unwrap_or(false) {
            let allowed = "unset or false: requests are not signed for AWS; give a middleware to `ClientBuilder::http`";
            return Err(Error::invalid("MLFLOW_TRACKING_AWS_SIGV4", allowed));
        }
        if let Some(workspace) = text(&read, "MLFLOW_WORKSPACE")? {
            crate::limits::workspace_name(&workspace).map_err(|error| named("MLFLOW_WORKSPACE", error))?;
            self = self.workspace(workspace);
        }
        let experiment = DefaultExperiment {
            name: text(&read, "MLFLOW_EXPERIMENT_NAME")?,
            id: text(&read, "MLFLOW_EXPERIMENT_ID")?.map(ExperimentId::new),
        };
        self = self.default_experiment(experiment).pauses_from(&read)?;
        if let Some(seconds) = text(&read, "MLFLOW_HTTP_REQUEST_TIMEOUT")? {
            let limit = seconds.parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
            let limit = limit.ok_or_else(|| {
                Error::invalid(
                    "MLFLOW_HTTP_REQUEST_TIMEOUT",
                    "a whole number of seconds, at least 1 and at most a day",
                )
            })?;
            self = self.timeout(Duration::from_secs(limit));
        }
        if let Some(retries) = text(&read, "MLFLOW_HTTP_REQUEST_MAX_RETRIES")? {
            let retries = retries.parse().ok().filter(|retries| *retries <= 10);
            let retries = retries
                .ok_or_else(|| Error::invalid("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "a whole number from 0 to 10"))?;
            self = self.max_retries(retries);
        }
        let mut username = text(&read, "MLFLOW_TRACKING_USERNAME")?;
        let mut password = text(&read, "MLFLOW_TRACKING_PASSWORD")?.map(SecretString::from);
        if username.is_none() || password.is_none() {
            let file = credentials_file(&read)?;
            username = username.or(file.username);
            password = password.or(file.password);
        }
        let token = text(&read, "MLFLOW_TRACKING_TOKEN")?;
        self = match (username, password, token) {
            (Some(username), Some(password), _) => self.basic_auth(username, password),
            (_, _, Some(token)) => self.bearer_token(SecretString::from(token)),
            (Some(_), None, None) => {
                return Err(Error::invalid(
                    "MLFLOW_TRACKING_PASSWORD",
                    "set along with the user name",
                ));
            }
            (None, Some(_), None) => {
                return Err(Error::invalid(
                    "MLFLOW_TRACKING_USERNAME",
                    "set along with the password",
                ));
            }
            (None, None, None) => self,
        };
        self.certificates_from(read)
    }

    /// When to repeat, in the manner of the Python client: the factor, doubled each time up to 120 s.
    fn pauses_from(mut self, read: &impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        const LONGEST: Duration = Duration::from_secs(120);
        let seconds = |name: &'static str| -> Result<Option<Duration>> {
            let Some(value) = text(read, name)? else {
                return Ok(None);
            };
            let seconds = value
                .parse()
                .ok()
                .filter(|seconds: &f64| (0.0..=120.0).contains(seconds));
            let seconds = seconds.ok_or_else(|| Error::invalid(name, "seconds, from 0 to 120"))?;
            Ok(Some(Duration::from_secs_f64(seconds)))
        };
        if let Some(first) = seconds("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR")? {
            self = self.backoff(first, LONGEST);
        }
        if let Some(jitter) = seconds("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER")? {
            self = self.backoff_jitter(jitter);
        }
        if let Some(respect) = flag(read, "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER")? {
            self = self.respect_retry_after(respect);
        }
        Ok(self)
    }

    #[cfg(feature = "rustls")]
    fn certificates_from(mut self, read: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let file = |name: &'static str| -> Result<Option<Vec<u8>>> {
            let Some(path) = read(name).filter(|path| !path.is_empty()) else {
                return Ok(None);
            };
            let content = std::fs::read(path);
            content
                .map(Some)
                .map_err(|error| Error::invalid(name, format!("the path of a readable file: {error}")))
        };
        if let Some(pem) = file("MLFLOW_TRACKING_SERVER_CERT_PATH")? {
            self = self.root_certificate_pem(&pem);
        }
        if let Some(pem) = file("MLFLOW_TRACKING_CLIENT_CERT_PATH")? {
            let pem = String::from_utf8(pem)
                .map_err(|_| Error::invalid("MLFLOW_TRACKING_CLIENT_CERT_PATH", "the path of a file in PEM format"))?;
            self = self.client_certificate_pem(pem);
        }
        let insecure = flag(&read, "MLFLOW_TRACKING_INSECURE_TLS")?.unwrap_or(false);
        if insecure && read("MLFLOW_TRACKING_SERVER_CERT_PATH").is_some_and(|path| !path.is_empty()) {
            let allowed = "unset while MLFLOW_TRACKING_SERVER_CERT_PATH is set";
            return Err(Error::invalid("MLFLOW_TRACKING_INSECURE_TLS", allowed));
        }
        Ok(self.danger_accept_invalid_certificates(insecure))
    }

    #[cfg(not(feature = "rustls"))]
    fn certificates_from(self, read: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        for name in [
            "MLFLOW_TRACKING_SERVER_CERT_PATH",
            "MLFLOW_TRACKING_CLIENT_CERT_PATH",
            "MLFLOW_TRACKING_INSECURE_TLS",
        ] {
            if read(name).is_some_and(|value| !value.is_empty()) {
                return Err(Error::invalid(name, "unset: this program was built without TLS"));
            }
        }
        Ok(self)
    }
}

fn text(read: &impl Fn(&str) -> Option<OsString>, name: &'static str) -> Result<Option<String>> {
    let Some(value) = read(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    value
        .into_string()
        .map(Some)
        .map_err(|_| Error::invalid(name, "UTF-8 text"))
}

fn flag(read: &impl Fn(&str) -> Option<OsString>, name: &'static str) -> Result<Option<bool>> {
    let Some(value) = text(read, name)? else {
        return Ok(None);
    };
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(Some(true)),
        "false" | "0" => Ok(Some(false)),
        _ => Err(Error::invalid(name, "`true` or `false`")),
    }
}

/// What the file in the home folder gives.
fn credentials_file(read: &impl Fn(&str) -> Option<OsString>) -> Result<CredentialsFile> {
    let home = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    match read(home).filter(|home| !home.is_empty()) {
        Some(home) => credentials::read(&PathBuf::from(home).join(".mlflow").join("credentials")),
        None => Ok(CredentialsFile::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(variables: &[(&str, &str)]) -> Result<Client> {
        Client::from_variables(|name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).into())
        })
    }

    const URI: (&str, &str) = ("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000/");

    #[test]
    fn the_variable_at_fault_is_named() {
        for (variables, name) in [
            (vec![], "MLFLOW_TRACKING_URI"),
            (
                vec![URI, ("MLFLOW_HTTP_REQUEST_TIMEOUT", "soon")],
                "MLFLOW_HTTP_REQUEST_TIMEOUT",
            ),
            (
                vec![URI, ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "11")],
                "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
            ),
            (
                vec![URI, ("MLFLOW_TRACKING_USERNAME", "me")],
                "MLFLOW_TRACKING_PASSWORD",
            ),
            (vec![("MLFLOW_TRACKING_URI", "databricks")], "MLFLOW_TRACKING_URI"),
            (
                vec![URI, ("MLFLOW_REGISTRY_URI", "sqlite:///x.db")],
                "MLFLOW_REGISTRY_URI",
            ),
            (vec![URI, ("MLFLOW_TRACKING_AUTH", "x")], "MLFLOW_TRACKING_AUTH"),
            (
                vec![URI, ("MLFLOW_TRACKING_AWS_SIGV4", "true")],
                "MLFLOW_TRACKING_AWS_SIGV4",
            ),
            (vec![URI, ("MLFLOW_WORKSPACE", "A b")], "MLFLOW_WORKSPACE"),
            (
                vec![URI, ("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "NaN")],
                "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR",
            ),
            (
                vec![URI, ("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "-1")],
                "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER",
            ),
            (
                vec![URI, ("MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER", "maybe")],
                "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER",
            ),
            (
                vec![URI, ("MLFLOW_TRACKING_SERVER_CERT_PATH", "/nowhere/ca.pem")],
                "MLFLOW_TRACKING_SERVER_CERT_PATH",
            ),
        ] {
            let error = client(&variables).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn a_password_wins_over_a_token() {
        let user = [("MLFLOW_TRACKING_USERNAME", "me"), ("MLFLOW_TRACKING_PASSWORD", "x")];
        let variables = [URI, ("MLFLOW_TRACKING_TOKEN", "t"), user[0], user[1]];
        let client = client(&variables).unwrap();
        assert_eq!(
            client.inner.authorization.as_ref().unwrap().to_str().unwrap(),
            "Basic bWU6eA=="
        );
        assert_eq!(client.base_url(), "http://127.0.0.1:5000");
    }

    #[test]
    fn the_environment_wins_over_the_file_for_each_of_the_two() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        std::fs::create_dir(home.join(".mlflow")).unwrap();
        let file = "[mlflow]\nmlflow_tracking_username = me\nmlflow_tracking_password = x\n";
        std::fs::write(home.join(".mlflow").join("credentials"), file).unwrap();
        let variable = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
        let home = (variable, home.to_str().unwrap());
        let header = |variables: &[(&str, &str)]| {
            let client = client(variables).unwrap();
            let header = client.inner.authorization.as_ref().unwrap();
            header.to_str().unwrap().to_owned()
        };
        assert_eq!(header(&[URI, home]), "Basic bWU6eA==");
        assert_eq!(header(&[URI, home, ("MLFLOW_TRACKING_TOKEN", "t")]), "Basic bWU6eA==");
        assert_eq!(
            header(&[URI, home, ("MLFLOW_TRACKING_PASSWORD", "y")]),
            "Basic bWU6eQ=="
        );
    }

    #[test]
    fn all_that_is_set_is_taken() {
        let client = client(&[
            URI,
            ("MLFLOW_REGISTRY_URI", "https://registry.example.com/x"),
            ("MLFLOW_HTTP_REQUEST_TIMEOUT", "7"),
            ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "9"),
            ("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "2"),
            ("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0.5"),
            ("MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER", "False"),
            ("MLFLOW_WORKSPACE", "team-a"),
            ("MLFLOW_EXPERIMENT_NAME", "fraud"),
            ("MLFLOW_EXPERIMENT_ID", "12"),
        ])
        .unwrap();
        let inner = &client.inner;
        assert_eq!(client.registry().base_url(), "https://registry.example.com/x");
        assert_eq!((inner.timeout, inner.max_retries), (Duration::from_secs(7), 9));
        assert_eq!(inner.backoff.first, Duration::from_secs(2));
        assert_eq!(inner.backoff.longest, Duration::from_secs(120));
        assert_eq!(inner.backoff.jitter, Some(Duration::from_millis(500)));
        assert!(!inner.backoff.respect_retry_after);
        assert_eq!(inner.workspace.as_ref().unwrap(), "team-a");
        let experiment = DefaultExperiment {
            name: Some("fraud".to_owned()),
            id: Some("12".into()),
        };
        assert_eq!(inner.default_experiment, experiment);
    }
}
