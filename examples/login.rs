//! Logs in to a Kubeflow without a browser and prints the session cookie, for use with any other client.
//!
//!     KUBEFLOW_PASSWORD=… cargo run --example login -- --url https://kubeflow.example.com --username me@example.com

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use examples::exit::{Failure, end};
use examples::progress::say;
use examples::sign_in::{SignIn, login_failure};
use secrecy::ExposeSecret;

/// Logs in and prints the session cookie as one JSON object.
#[derive(Debug, Parser)]
struct Arguments {
    /// Address of the Kubeflow.
    #[arg(long)]
    url: String,
    #[command(flatten)]
    sign_in: SignIn,
    /// Explain every step of the login on standard error, whether it worked or not.
    #[arg(long, value_enum, value_name = "FORM", num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    explain: Option<Explanation>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Explanation {
    /// A list.
    Text,
    /// A Mermaid sequence diagram.
    Mermaid,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    end(run(arguments).await)
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let credentials = arguments.sign_in.credentials().await?;
    let session = arguments.sign_in.session(&arguments.url, credentials)?;
    let outcome = session.login().await;
    if let (Some(form), Some(trace)) = (arguments.explain, session.last_login()) {
        say(&match form {
            Explanation::Text => trace.to_string(),
            Explanation::Mermaid => trace.mermaid(),
        });
    }
    let cookie = outcome.map_err(login_failure)?;
    let line = serde_json::json!({
        "kind": "cookie",
        "name": cookie.name(),
        "value": cookie.value().expose_secret(),
        "expires_at": cookie.expires_at(),
    });
    writeln!(std::io::stdout(), "{line}").map_err(|error| Failure::failed(format!("cannot write the result: {error}")))
}
