//! Measures a registered model version on the test part of a dataset version, beside the version in use.
//!
//! With no arguments it starts a mocked Kubeflow, trains a model there first, and evaluates it.
//!
//!     cargo run --example evaluate
//!     cargo run --example evaluate -- --kubeflow-url http://127.0.0.1:8080 --username user@example.com \
//!         --mlflow-uri http://127.0.0.1:5000 --model-version 3

use std::process::ExitCode;

use clap::Parser;
use examples::exit::{Failure, end};
use examples::flags::{Connection, Output, Work};
use examples::job::{interrupts, unless_interrupted};
use examples::{check, connect, job};

/// Evaluates a registered model version beside the one in use.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    work: Work,
    /// Version of the registered model. Default: the newest.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    model_version: Option<u64>,
    #[command(flatten)]
    output: Output,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    end(run(arguments).await)
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments {
        connection,
        work,
        model_version,
        output,
    } = arguments;
    check::work(&work, &connection)?;
    let mut interrupts = interrupts();
    let connected = unless_interrupted(&mut interrupts, connect::connect(&connection)).await?;
    connected.allows(output)?;
    connected.train_first(&work, &connection, &mut interrupts).await?;
    let request = connected.evaluate_request(&work, &connection, model_version);
    let request = unless_interrupted(&mut interrupts, request).await?;
    let run = connected.orchestrator.evaluate(request).await?;
    job::finish(run, output, &mut interrupts).await
}
