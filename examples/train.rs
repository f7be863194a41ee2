//! Trains a model: the main job, end to end.
//!
//! With no arguments it starts a mocked Kubeflow on loopback, logs in through its gateway, trains the bundled model
//! repository at a commit on a dataset version, shows progress, and prints a summary with the metrics.
//!
//!     cargo run --example train
//!     cargo run --example train -- --dataset-version v2 --param learning_rate=0.05 --report json
//!     KUBEFLOW_PASSWORD=… cargo run --example train -- --kubeflow-url https://kubeflow.example.com \
//!         --username me@example.com --namespace team-a --mlflow-uri https://mlflow.example.com \
//!         --git-repository https://git.example.com/fraud.git --git-sha 4f2a9c1d4f2a9c1d4f2a9c1d4f2a9c1d4f2a9c1d

use std::process::ExitCode;

use clap::Parser;
use examples::exit::{Failure, end};
use examples::flags::{Connection, Output, Work};
use examples::job::{interrupts, unless_interrupted};
use examples::{check, connect, job};

/// Trains a model on Kubeflow, or on a mocked one, and records it in MLflow.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    work: Work,
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
        output,
    } = arguments;
    check::work(&work, &connection)?;
    let mut interrupts = interrupts();
    let connected = unless_interrupted(&mut interrupts, connect::connect(&connection)).await?;
    connected.allows(output)?;
    let request = connected.train_request(&work, &connection)?;
    let run = connected.orchestrator.train(request).await?;
    job::finish(run, output, &mut interrupts).await
}
