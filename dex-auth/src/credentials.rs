//! Who logs in.

use secrecy::{ExposeSecret, SecretString};

use crate::error::Error;
use crate::one_time_code::OneTimeCodes;

/// Environment variable that [`Credentials::from_env`] reads the user name from.
const USERNAME: &str = "KUBEFLOW_USERNAME";
/// Environment variable that [`Credentials::from_env`] reads the password from.
const PASSWORD: &str = "KUBEFLOW_PASSWORD";

/// Environment variable that [`Credentials::from_env`] reads the secret of an authenticator app from, if it is set.
const TOTP_SECRET: &str = "KUBEFLOW_TOTP_SECRET";

/// A user name and a password, and the secret of an authenticator app where a provider asks for its codes. Neither
/// secret appears in `Debug`; both are wiped from memory when dropped.
#[derive(Debug, Clone)]
pub struct Credentials {
    username: String,
    password: SecretString,
    totp: Option<Result<OneTimeCodes, Error>>,
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
            totp: None,
        }
    }

    /// The secret of an authenticator app (TOTP) in base32, as the provider shows it beside the picture. Codes are made
    /// from it when a provider asks for one: SHA-1, six digits, steps of 30 seconds.
    ///
    /// A secret that is no base32 is reported by [`SessionBuilder::build`](crate::SessionBuilder::build).
    #[must_use]
    pub fn totp_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.totp = Some(OneTimeCodes::new(secret.into().expose_secret()));
        self
    }

    /// Reads `KUBEFLOW_USERNAME` and `KUBEFLOW_PASSWORD`, and `KUBEFLOW_TOTP_SECRET` if it is set.
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
        let optional = |field| match std::env::var_os(field) {
            None => Ok(None),
            Some(_) => read(field).map(Some),
        };
        Self::of(&read, &optional)
    }

    /// From whatever holds the variables.
    pub(crate) fn of(
        needed: &dyn Fn(&'static str) -> Result<String, Error>,
        optional: &dyn Fn(&'static str) -> Result<Option<String>, Error>,
    ) -> Result<Self, Error> {
        let credentials = Self::new(needed(USERNAME)?, needed(PASSWORD)?);
        Ok(match optional(TOTP_SECRET)? {
            Some(secret) => credentials.totp_secret(secret),
            None => credentials,
        })
    }

    /// The user name.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The codes of the authenticator app, if there is one.
    pub(crate) fn codes(&self) -> Option<&OneTimeCodes> {
        self.totp.as_ref()?.as_ref().ok()
    }

    /// What is wrong with them, if anything is.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.username.is_empty() {
            return Err(Error::Config {
                field: "credentials",
                problem: "the user name is empty".to_owned(),
            });
        }
        match &self.totp {
            Some(Err(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    pub(crate) fn password(&self) -> &SecretString {
        &self.password
    }
}
