//! A mocked Kubeflow on loopback, until it is ended: gateway with login, Kubeflow Pipelines, MLflow.
//!
//!     cargo run --example sandbox -- --port 8080
//!
//! The first line of standard output is one JSON object that says where everything is.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use dex_auth::testing::Release;
use examples::exit::{Failure, end};
use examples::job::interrupts;
use examples::progress::say;
use kfp_client::testing::Generation;
use orchestrator_core::testing::{Idp, Sandbox};

/// Runs a mocked Kubeflow on loopback.
#[derive(Debug, Parser)]
struct Arguments {
    /// Port of the gateway; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Kubeflow release whose gateway and login are imitated: 1.6, 1.8, 1.9 or 1.11.
    #[arg(long, default_value = "1.11")]
    release: Release,
    /// Where the user logs in: password (Dex's own), ldap, cognito, cognito-entra (Entra ID by SAML behind Cognito) or
    /// keycloak. Their addresses are `idp_origins` in the first line of output, for the flag --idp-origin of `login`.
    #[arg(long, default_value = "password")]
    idp: Idp,
    /// Generation of the Kubeflow Pipelines API server.
    #[arg(long, value_enum, default_value = "2.17")]
    kfp: GenerationName,
    /// Kubeflow Pipelines without users and namespaces.
    #[arg(long)]
    single_user: bool,
    /// How long a session lives.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    session_ttl: Option<u64>,
    /// Runs advance by the clock; nothing is executed.
    #[arg(long)]
    simulate: bool,
    /// The namespace that the user owns.
    #[arg(long, default_value = "team-a")]
    namespace: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum GenerationName {
    #[value(name = "1.8")]
    V1_8,
    #[value(name = "2.5")]
    V2_5,
    #[value(name = "2.17")]
    V2_17,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    end(run(arguments).await)
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut interrupts = interrupts();
    let mut builder = Sandbox::builder()
        .port(arguments.port)
        .release(arguments.release)
        .idp(arguments.idp)
        .generation(match arguments.kfp {
            GenerationName::V1_8 => Generation::V1_8,
            GenerationName::V2_5 => Generation::V2_5,
            GenerationName::V2_17 => Generation::V2_17,
        })
        .single_user(arguments.single_user)
        .simulate(arguments.simulate)
        .namespace(&arguments.namespace);
    if let Some(seconds) = arguments.session_ttl {
        builder = builder.session_ttl(Duration::from_secs(seconds));
    }
    let sandbox = builder.start().await.map_err(Failure::usage)?;
    let line = serde_json::json!({
        "url": sandbox.url(),
        "kfp_url": sandbox.kfp_url(),
        "kfp_direct_url": sandbox.kfp_direct_url(),
        "mlflow_url": sandbox.mlflow_url(),
        "username": sandbox.username(),
        "password": sandbox.password(),
        "namespace": sandbox.namespace(),
        "idp_origins": sandbox.idp_origins(),
    });
    let mut out = std::io::stdout();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::failed(format!("cannot write the addresses: {error}")))?;
    say("serving until it is interrupted (Ctrl-C)");
    interrupts.recv().await;
    Ok(())
}
