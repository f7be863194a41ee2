//! The orchestrator as an HTTP service on loopback.
//!
//!     cargo run --example server -- --listen 127.0.0.1:8000
//!
//! With no Kubeflow named it starts a mocked one. The first line of standard output is one JSON object: the address,
//! and a model repository to try it with:
//!
//!     curl --json '{"git_repository": "…", "git_sha": "…", "dataset_version": "v1"}' http://127.0.0.1:8000/train
//!     curl http://127.0.0.1:8000/runs

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use examples::exit::{Failure, end};
use examples::flags::Connection;
use examples::job::{interrupts, unless_interrupted};
use examples::progress::say;
use examples::{bundled, connect};
use orchestrator_core::testing::Sandbox;

/// Offers train, evaluate and deploy over HTTP.
#[derive(Debug, Parser)]
struct Arguments {
    /// Address to listen on. It has no login of its own, so only loopback is allowed.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    #[command(flatten)]
    connection: Connection,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    end(run(arguments).await)
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    if !arguments.listen.ip().is_loopback() {
        return Err(Failure::usage(format!(
            "--listen {}: this program has no login of its own, so it listens on loopback only",
            arguments.listen
        )));
    }
    let mut interrupts = interrupts();
    let listener = tokio::net::TcpListener::bind(arguments.listen)
        .await
        .map_err(|error| Failure::usage(format!("cannot listen on {}: {error}", arguments.listen)))?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::failed(format!("cannot tell the address: {error}")))?;
    let connected = unless_interrupted(&mut interrupts, connect::connect(&arguments.connection)).await?;
    let repository = if connected.on_this_machine {
        Some(bundled::repository()?)
    } else {
        None
    };
    let line = serde_json::json!({
        "url": format!("http://{address}"),
        "mlflow_url": connected.sandbox.as_ref().map(Sandbox::mlflow_url),
        "git_repository": repository.as_ref().map(|repository| &repository.url),
        "git_sha": repository.as_ref().map(|repository| &repository.sha),
        "dataset_versions": repository.as_ref().map(|_| ["v1", "v2"]),
    });
    let mut out = std::io::stdout();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::failed(format!("cannot write the address: {error}")))?;
    say("serving until it is interrupted (Ctrl-C)");
    axum::serve(
        listener,
        orchestrator_core::http::router(connected.orchestrator.clone()),
    )
    .with_graceful_shutdown(async move {
        interrupts.recv().await;
    })
    .await
    .map_err(|error| Failure::failed(format!("the service ended: {error}")))
}
