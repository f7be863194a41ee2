//! Puts a registered model version into use, if it is good enough: it is measured beside the version in use, the gate
//! decides, the registry's alias moves, and the repository's own `deploy` entry point is called.
//!
//! With no arguments it starts a mocked Kubeflow, trains a model there first, and deploys it. A version that the gate
//! refuses ends with exit status 1 and the figures that decided.
//!
//!     cargo run --example deploy
//!     cargo run --example deploy -- --kubeflow-url http://127.0.0.1:8080 --username user@example.com \
//!         --mlflow-uri http://127.0.0.1:5000 --model-version 3 --gate-metric accuracy --gate-threshold 0.9

use std::process::ExitCode;

use clap::Parser;
use examples::exit::{Failure, end};
use examples::flags::{Connection, Output, Work};
use examples::job::{interrupts, unless_interrupted};
use examples::{check, connect, job};
use orchestrator_core::{Gate, GateDirection};

/// Deploys a registered model version, if it is good enough.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    work: Work,
    /// Version of the registered model. Default: the newest.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    model_version: Option<u64>,
    /// Metric that decides.
    #[arg(long, value_name = "METRIC", default_value = "accuracy")]
    gate_metric: String,
    /// Which way that metric is better: higher or lower.
    #[arg(long, value_name = "WAY", default_value = "higher")]
    gate_direction: GateDirection,
    /// By how much it may be worse than that of the version in use.
    #[arg(long, value_name = "NUMBER", default_value_t = 0.0, allow_negative_numbers = true)]
    gate_tolerance: f64,
    /// Worst value that may be deployed at all.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    gate_threshold: Option<f64>,
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
        ..
    } = &arguments;
    let mut gate = Gate::new(&arguments.gate_metric, arguments.gate_direction).tolerance(arguments.gate_tolerance);
    if let Some(threshold) = arguments.gate_threshold {
        gate = gate.threshold(threshold);
    }
    check::work(work, connection)?;
    check::gate(&gate, connection)?;
    let mut interrupts = interrupts();
    let connected = unless_interrupted(&mut interrupts, connect::connect(connection)).await?;
    connected.allows(*output)?;
    connected.train_first(work, connection, &mut interrupts).await?;
    let request = connected.deploy_request(work, connection, *model_version);
    let request = unless_interrupted(&mut interrupts, request).await?.gate(gate);
    let run = connected.orchestrator.deploy(request).await?;
    job::finish(run, *output, &mut interrupts).await
}
