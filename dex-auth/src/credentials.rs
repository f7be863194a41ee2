//! Who logs in.

use secrecy::SecretString;

use crate::error::Error;

/// Environment variable that [`Credentials::from_env`] reads the user name from.
const USERNAME: &str = "KUBEFLOW_USERNAME";
/// Environment variable that [`Credentials::from_env`] reads the password from.
const PASSWORD: &str = "KUBEFLOW_PASSWORD";

/// A user name and a password. The password never appears in `Debug` and is wiped from memory when dropped.
#[derive(Debug, Clone)]
pub struct Credentials {
    username: String,
    password: SecretString,
}

impl Credentials {
    /// A user name, for Dex's own users the e-mail address, and its password.
    ///
    /// ```
    /// let credentials = dex_auth::Credentials::new("user@example.com", "12341234");
    /// assert!(!format!("{credentials:?}").contains("12341234"));
    /// ```
    pub fn new(username: impl Into<String>, password: impl Into<SecretString>) -> Self {
        Self {
            username: username.into(),
            password: password.into(),
        }
    }

    /// Reads `KUBEFLOW_USERNAME` and `KUBEFLOW_PASSWORD`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when one of them is missing, empty or not UTF-8.
    pub fn from_env() -> Result<Self, Error> {
        let read = |field: &'static str| match std::env::var(field) {
            Ok(value) if !value.is_empty() => Ok(value),
            Ok(_) => Err(Error::Config {
                field,
                problem: "the environment variable is empty".to_owned(),
            }),
            Err(std::env::VarError::NotPresent) => Err(Error::Config {
                field,
                problem: "the environment variable is not set".to_owned(),
            }),
            Err(std::env::VarError::NotUnicode(_)) => Err(Error::Config {
                field,
                problem: "the environment variable is not UTF-8".to_owned(),
            }),
        };
        Ok(Self::new(read(USERNAME)?, read(PASSWORD)?))
    }

    /// The user name.
    pub fn username(&self) -> &str {
        &self.username
    }

    pub(crate) fn password(&self) -> &SecretString {
        &self.password
    }
}
