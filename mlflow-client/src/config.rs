//! Settings from the environment, by the names that MLflow's Python client uses.

use std::{ffi::OsString, time::Duration};

use secrecy::SecretString;

use crate::{
    client::{Client, ClientBuilder},
    error::{Error, Result},
};

impl Client {
    /// A client as the environment describes it.
    ///
    /// | Variable | Meaning |
    /// |---|---|
    /// | `MLFLOW_TRACKING_URI` | the server; required |
    /// | `MLFLOW_TRACKING_USERNAME`, `MLFLOW_TRACKING_PASSWORD` | basic authentication; wins over the token |
    /// | `MLFLOW_TRACKING_TOKEN` | bearer token |
    /// | `MLFLOW_TRACKING_SERVER_CERT_PATH` | file with the certificates to trust (PEM) |
    /// | `MLFLOW_TRACKING_CLIENT_CERT_PATH` | file with the client's certificate and key (PEM) |
    /// | `MLFLOW_TRACKING_INSECURE_TLS` | `true`: do not check the server's certificate |
    /// | `MLFLOW_HTTP_REQUEST_TIMEOUT` | seconds; see [`ClientBuilder::timeout`] |
    /// | `MLFLOW_HTTP_REQUEST_MAX_RETRIES` | see [`ClientBuilder::max_retries`]; at most 10 |
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] that names the variable.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    fn from_variables(read: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let uri = text(&read, "MLFLOW_TRACKING_URI")?
            .ok_or_else(|| Error::invalid("MLFLOW_TRACKING_URI", "set to the URL of an MLflow server"))?;
        Self::builder(uri)?.credentials_from(read)?.build()
    }
}

impl ClientBuilder {
    /// Takes everything but the address from the environment; see [`Client::from_env`] for the variables.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] that names the variable.
    pub fn credentials_from_env(self) -> Result<Self> {
        self.credentials_from(|name| std::env::var_os(name))
    }

    fn credentials_from(mut self, read: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
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
        let username = text(&read, "MLFLOW_TRACKING_USERNAME")?;
        let password = text(&read, "MLFLOW_TRACKING_PASSWORD")?;
        let token = text(&read, "MLFLOW_TRACKING_TOKEN")?;
        self = match (username, password, token) {
            (Some(username), Some(password), _) => self.basic_auth(username, SecretString::from(password)),
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
        let insecure = match text(&read, "MLFLOW_TRACKING_INSECURE_TLS")?
            .unwrap_or_default()
            .to_ascii_lowercase()
            .as_str()
        {
            "true" | "1" => true,
            "" | "false" | "0" => false,
            _ => return Err(Error::invalid("MLFLOW_TRACKING_INSECURE_TLS", "`true` or `false`")),
        };
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
}
