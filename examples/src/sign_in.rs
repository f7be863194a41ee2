//! The flags of a login, and the session that they make.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use dex_auth::{Credentials, IdentityProvider, Session};
use secrecy::SecretString;

use crate::exit::Failure;

/// How to log in at a Kubeflow.
#[derive(Debug, Clone, Args)]
pub struct SignIn {
    /// User at that Kubeflow. The password comes from `KUBEFLOW_PASSWORD` or a prompt, the secret of an authenticator
    /// app from `KUBEFLOW_TOTP_SECRET`.
    #[arg(long, env = "KUBEFLOW_USERNAME")]
    pub username: Option<String>,
    /// Login method, where there are several: the connector's id, name or type.
    #[arg(long)]
    pub connector: Option<String>,
    /// File with further certificates to trust, in PEM.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Identity provider that the login may lead to and that may get the password; to be given for each of a chain.
    /// With `=NAME` it is a broker that never gets the password: the button of that name on its page is followed.
    #[arg(long = "idp-origin", value_name = "URL[=NAME]", value_parser = provider)]
    pub idp_origins: Vec<IdentityProvider>,
}

fn provider(text: &str) -> Result<IdentityProvider, String> {
    // An origin holds no equals sign, a name may hold several.
    let (url, name) = match text.split_once('=') {
        Some((url, name)) if !name.is_empty() => (url, Some(name)),
        Some(_) => return Err("give URL or URL=NAME".to_owned()),
        None => (text, None),
    };
    let provider = IdentityProvider::at(url).map_err(|error| error.to_string())?;
    Ok(match name {
        Some(name) => provider.broker(name),
        None => provider,
    })
}

impl SignIn {
    /// Whether a flag says how to log in; a user name of the environment says nothing.
    pub fn is_given(&self) -> bool {
        let environment = std::env::var("KUBEFLOW_USERNAME").ok();
        let username = self.username.is_some() && self.username != environment;
        username || self.connector.is_some() || !self.idp_origins.is_empty()
    }

    /// The certificates of `--ca-file`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn certificates(&self) -> Result<Option<Vec<u8>>, Failure> {
        let Some(path) = &self.ca_file else { return Ok(None) };
        let unusable =
            |problem: &dyn std::fmt::Display| Failure::usage(format!("--ca-file {}: {problem}", path.display()));
        let pem = std::fs::read(path).map_err(|error| unusable(&error))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem)
            .ok()
            .filter(|certificates| !certificates.is_empty())
            .ok_or_else(|| unusable(&"it holds no certificate in PEM form"))?;
        // Only a client reads what is inside of them, and would not know where they came from.
        reqwest::Client::builder()
            .tls_certs_merge(certificates)
            .build()
            .map_err(|_| unusable(&"it holds something else than certificates of authorities"))?;
        Ok(Some(pem))
    }

    /// A session that is not logged in yet.
    ///
    /// # Errors
    /// When the address or a flag cannot be used.
    pub fn session(&self, url: &str, credentials: Credentials) -> Result<Session, Failure> {
        let mut builder = Session::builder(url).map_err(Failure::usage)?.credentials(credentials);
        if let Some(connector) = &self.connector {
            builder = builder.connector(connector);
        }
        for provider in &self.idp_origins {
            builder = builder.identity_provider(provider.clone());
        }
        if let Some(pem) = self.certificates()? {
            builder = builder.root_certificate_pem(&pem);
        }
        builder.build().map_err(|error| match error {
            dex_auth::Error::Config {
                field: "root_certificate_pem",
                problem,
            } => Failure::usage(format!("--ca-file cannot be used: {problem}")),
            dex_auth::Error::Config {
                field: "totp_secret",
                problem,
            } => Failure::usage(format!("KUBEFLOW_TOTP_SECRET cannot be used: {problem}")),
            error => Failure::usage(error),
        })
    }

    /// The credentials that flags, environment and prompt give.
    ///
    /// # Errors
    /// Without a user name, and when there is neither a password nor somebody to ask for it.
    pub async fn credentials(&self) -> Result<Credentials, Failure> {
        let username = self
            .username
            .clone()
            .ok_or_else(|| Failure::usage("give --username (or KUBEFLOW_USERNAME)"))?;
        let credentials = Credentials::new(username, asked_password().await?);
        Ok(match std::env::var("KUBEFLOW_TOTP_SECRET") {
            Ok(secret) => credentials.totp_secret(SecretString::from(secret)),
            Err(_) => credentials,
        })
    }
}

/// Why a login failed: a wrong address or setting is the user's turn, everything else the service's.
pub fn login_failure(error: dex_auth::Error) -> Failure {
    use dex_auth::Error;
    match error {
        Error::ConnectorUnknown { requested, available } => Failure::usage(format!(
            "this Kubeflow offers no connector {requested}: give --connector one of {}",
            ids(&available)
        )),
        Error::ConnectorRequired { available } => Failure::usage(format!(
            "this Kubeflow offers several connectors: give --connector one of {}",
            ids(&available)
        )),
        Error::WrongPassword { origin } => Failure::service(format!(
            "{origin} refused the user name or password: check --username and KUBEFLOW_PASSWORD"
        )),
        Error::UnsafeTarget {
            origin,
            reason: dex_auth::UnsafeReason::OtherOrigin,
        } => Failure::service(format!(
            "the login led to {origin}, where nothing may be sent yet: if it is your identity provider, give \
             --idp-origin {origin}"
        )),
        Error::FederationChoice { origin, available, .. } => Failure::usage(format!(
            "{origin} offers {}: give --idp-origin {origin}=NAME with one of them",
            available.join(", ")
        )),
        Error::SecondFactorRequired { origin, methods } => Failure::service(format!(
            "{origin} asks for a second factor ({}): set KUBEFLOW_TOTP_SECRET if an authenticator app will do",
            methods.join(", ")
        )),
        Error::Config { .. } => Failure::usage(error),
        error => Failure::service(error),
    }
}

fn ids(connectors: &[dex_auth::Connector]) -> String {
    let ids: Vec<_> = connectors.iter().map(|connector| connector.id.as_str()).collect();
    ids.join(", ")
}

/// The password of the environment, or of a prompt where somebody can answer it.
///
/// # Errors
/// When there is neither.
fn password() -> Result<SecretString, Failure> {
    if let Ok(password) = std::env::var("KUBEFLOW_PASSWORD") {
        if password.is_empty() {
            return Err(Failure::usage("KUBEFLOW_PASSWORD is empty"));
        }
        return Ok(password.into());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "set KUBEFLOW_PASSWORD: there is no terminal to ask for the password",
        ));
    }
    let typed =
        rpassword::prompt_password("Password: ").map_err(|error| Failure::usage(format!("no password: {error}")))?;
    Ok(typed.into())
}

/// [`password`], asked for by a thread of its own: somebody who is asked must still be able to interrupt.
async fn asked_password() -> Result<SecretString, Failure> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || sender.send(password()));
    receiver
        .await
        .unwrap_or_else(|_| Err(Failure::failed("the password could not be asked for")))
}
