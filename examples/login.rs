//! Logs in to a Kubeflow without a browser and prints the session cookie, for use with any other client.
//!
//!     KUBEFLOW_PASSWORD=… cargo run --example login -- --url https://kubeflow.example.com --username me@example.com

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use dex_auth::Credentials;
use examples::connect::{login_failure, password, session};
use examples::exit::{Failure, end};
use secrecy::ExposeSecret;

/// Logs in and prints the session cookie as one JSON object.
#[derive(Debug, Parser)]
struct Arguments {
    /// Address of the Kubeflow.
    #[arg(long)]
    url: String,
    /// The user. The password comes from `KUBEFLOW_PASSWORD` or a prompt.
    #[arg(long, env = "KUBEFLOW_USERNAME")]
    username: String,
    /// Login method, where there are several (the connector's id).
    #[arg(long)]
    connector: Option<String>,
    /// File with further certificates to trust, in PEM.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    end(run(arguments).await)
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let credentials = Credentials::new(arguments.username, password()?);
    let session = session(
        &arguments.url,
        credentials,
        arguments.connector.as_deref(),
        arguments.ca_file.as_deref(),
    )?;
    let cookie = session.login().await.map_err(login_failure)?;
    let line = serde_json::json!({
        "kind": "cookie",
        "name": cookie.name(),
        "value": cookie.value().expose_secret(),
        "expires_at": cookie.expires_at(),
    });
    writeln!(std::io::stdout(), "{line}").map_err(|error| Failure::failed(format!("cannot write the result: {error}")))
}
