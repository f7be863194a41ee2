//! The main job from the start of a process to a submitted run: log in through gateway and Dex, make the record in
//! MLflow, submit to Kubeflow Pipelines. Beside it the same job with the official Python clients, and a floor: a process
//! that sends as many requests on one connection and does nothing else.

#![allow(clippy::indexing_slicing, reason = "an index into JSON that is not there gives null")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use benches::{Failure, Measured, ended, line, measure, measure_if_asked};
use orchestrator_core::testing::Sandbox;
use serde_json::Value;

/// Set in the process that is the floor: where it sends its requests.
const FLOOR: &str = "BENCH_FLOOR";
/// Set in the process that is the floor: how many it sends.
const FLOOR_REQUESTS: &str = "BENCH_FLOOR_REQUESTS";
const OURS: u32 = 20;
const PEERS: u32 = 5;
const MOST_MEMORY: f64 = 30.0;
const LEAST_FACTOR: f64 = 10.0;
const GIT: [&str; 4] = [
    "--git-repository",
    "https://git.example.com/fraud.git",
    "--git-sha",
    "4f2a9c1d4f2a9c1d4f2a9c1d4f2a9c1d4f2a9c1d",
];

fn main() -> ExitCode {
    if let Some(status) = measure_if_asked() {
        return status;
    }
    let result = match std::env::var(FLOOR) {
        Ok(url) => floor(&url),
        Err(_) => compare(),
    };
    ended(result)
}

/// The floor: nothing but the requests.
#[tokio::main(flavor = "current_thread")]
async fn floor(url: &str) -> Result<(), Failure> {
    let requests: u32 = std::env::var(FLOOR_REQUESTS)?.parse()?;
    let client = reqwest::Client::builder()
        .timeout(std::time::Duration::from_secs(10))
        .build()?;
    for _ in 0..requests {
        client.get(url).send().await?.error_for_status()?.bytes().await?;
    }
    Ok(())
}

#[tokio::main]
async fn compare() -> Result<(), Failure> {
    let train = tokio::task::spawn_blocking(build_train).await??;
    // Simulated: what the steps do after the submission would be measured as well.
    let sandbox = Sandbox::builder().simulate(true).start().await?;
    let requests = requests_of_one_job(&sandbox, &train)?;

    line("main job: start of the process to the submitted run")?;
    line(&format!(
        "  {:<28} {:>9}     {:<40} peak memory",
        "", "median", "(spread)"
    ))?;
    let mut bare = Command::new(std::env::current_exe()?);
    bare.env(FLOOR, format!("{}/apis/v2beta1/healthz", sandbox.kfp_direct_url()))
        .env(FLOOR_REQUESTS, requests.to_string());
    let bare = told(&format!("floor: {requests} bare requests"), measured(OURS, bare).await?)?;
    let ours = told("train --no-wait", measured(OURS, job(&sandbox, &train)).await?)?;
    let python = if let Some(python) = std::env::var_os("BENCH_PYTHON") {
        let measured = peer(&sandbox, &train, Path::new(&python)).await?;
        Some(told("Python: kfp, mlflow, requests", measured)?)
    } else {
        line("  SKIP: the Python clients: name an interpreter that has kfp, mlflow and requests in BENCH_PYTHON")?;
        None
    };

    line(&format!(
        "  ratio to the floor: {:.1} times its time",
        ours.time.median() / bare.time.median()
    ))?;
    line(&goal(
        &format!("less than {MOST_MEMORY} MiB"),
        &format!("{:.1} MiB", ours.peak),
        ours.peak < MOST_MEMORY,
    ))?;
    if let Some(python) = python {
        let factor = python.time.median() / ours.time.median();
        line(&goal(
            &format!("{LEAST_FACTOR} times as fast as Python"),
            &format!("{factor:.1} times"),
            factor >= LEAST_FACTOR,
        ))?;
        line(&format!(
            "  memory: Python takes {:.1} times as much",
            python.peak / ours.peak
        ))?;
    }
    Ok(())
}

fn told(name: &str, measured: Measured) -> Result<Measured, Failure> {
    line(&format!(
        "  {name:<28} {:<52} {:6.1} MiB",
        measured.time.to_string(),
        measured.peak
    ))?;
    Ok(measured)
}

fn goal(wanted: &str, got: &str, reached: bool) -> String {
    format!(
        "  goal {}: {wanted}; it is {got}",
        if reached { "reached" } else { "MISSED" }
    )
}

/// Measures while the sandbox goes on serving in this process.
async fn measured(rounds: u32, command: Command) -> Result<Measured, Failure> {
    tokio::task::spawn_blocking(move || measure(rounds, &command)).await?
}

/// Builds the program as it would be shipped.
fn build_train() -> Result<PathBuf, Failure> {
    let output = Command::new(env!("CARGO"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["build", "--release", "--example", "train", "--message-format", "json"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("the example train could not be built".into());
    }
    String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|message| message["target"]["name"] == "train" && message["executable"].is_string())
        .and_then(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| "cargo did not say where the example train is".into())
}

fn job(sandbox: &Sandbox, train: &Path) -> Command {
    let mut command = Command::new(train);
    command
        .args([
            "--no-wait",
            "--report",
            "json",
            "--kubeflow-url",
            sandbox.url(),
            "--username",
            sandbox.username(),
        ])
        .args(["--namespace", sandbox.namespace(), "--mlflow-uri", sandbox.mlflow_url()])
        .args(GIT)
        .env("KUBEFLOW_PASSWORD", sandbox.password())
        .stdin(Stdio::null());
    command
}

/// How many requests one job sends.
fn requests_of_one_job(sandbox: &Sandbox, train: &Path) -> Result<usize, Failure> {
    let count = || sandbox.gateway().requests().len() + sandbox.mlflow().requests().len();
    // The first one also makes what later ones find: the experiments.
    submit(sandbox, train)?;
    let before = count();
    submit(sandbox, train)?;
    Ok(count() - before)
}

/// Submits a run; answers its id.
fn submit(sandbox: &Sandbox, train: &Path) -> Result<String, Failure> {
    let output = job(sandbox, train).output()?;
    if !output.status.success() {
        return Err(format!("train failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let report: Value = serde_json::from_slice(&output.stdout)?;
    Ok(report["run_id"].as_str().ok_or("the report has no run_id")?.to_owned())
}

/// The same job with the official clients: they submit the very pipeline that `train` submitted, compiled already.
async fn peer(sandbox: &Sandbox, train: &Path, python: &Path) -> Result<Measured, Failure> {
    let id = submit(sandbox, train)?;
    let run: Value = reqwest::Client::new()
        .get(format!("{}/apis/v2beta1/runs/{id}", sandbox.kfp_direct_url()))
        .header("kubeflow-userid", sandbox.username())
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    // The home folder too: the clients write into it.
    let folder = tempfile::tempdir()?;
    let package = folder.path().join("pipeline.yaml");
    std::fs::write(&package, documents(&run["pipeline_spec"])?)?;
    let parameters = run["runtime_config"]["parameters"].clone();
    let mut command = Command::new(python);
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/main_job.py"))
        .args([
            "--url",
            sandbox.url(),
            "--username",
            sandbox.username(),
            "--namespace",
            sandbox.namespace(),
        ])
        .args(["--mlflow-uri", sandbox.mlflow_url()])
        .args(GIT)
        .arg("--package")
        .arg(&package)
        .args([
            "--arguments",
            &if parameters.is_null() {
                "{}".to_owned()
            } else {
                parameters.to_string()
            },
        ])
        .env("KUBEFLOW_PASSWORD", sandbox.password())
        .env("HOME", folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("MLFLOW_DISABLE_TELEMETRY", "true");
    measured(PEERS, command).await
}

/// A pipeline as the compiler writes it: the specification, and a second document with what is the platform's.
fn documents(specification: &Value) -> Result<String, Box<dyn Error + Send + Sync>> {
    let pair = (specification.get("pipeline_spec"), specification.get("platform_spec"));
    Ok(match pair {
        (Some(pipeline), Some(platform)) => {
            format!(
                "{}\n---\n{}\n",
                serde_json::to_string(pipeline)?,
                serde_json::to_string(platform)?
            )
        }
        (Some(pipeline), None) => serde_json::to_string(pipeline)?,
        (None, _) => serde_json::to_string(specification)?,
    })
}
