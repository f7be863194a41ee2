//! The same calls by this client and by the official Python client, on the same server, each in a process of its own:
//! time of a call as the caller sees it, and the processor time that it costs the caller.

use std::collections::BTreeMap;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use benches::{Failure, Figures, ended, line};
use kfp_client::{Client, ListRuns, RunId};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

#[path = "shared/kfp_server.rs"]
mod kfp_server;

/// Set in the process that calls: the server's address.
const CALL: &str = "BENCH_CALL";
const WARM_UP: usize = 3;
/// Calls of each kind.
const CALLS: [(&str, usize); 2] = [("list 200 runs", 20), ("get a run", 200)];
const LEAST_FASTER: f64 = 10.0;
const LEAST_CHEAPER: f64 = 20.0;

/// What one kind of call took.
#[derive(Debug, Serialize, Deserialize)]
struct Took {
    /// Of each call.
    seconds: Vec<f64>,
    /// Processor time of all calls.
    processor: f64,
}

fn main() -> ExitCode {
    let result = match std::env::var(CALL) {
        Ok(url) => call(&url),
        Err(_) => compare(),
    };
    ended(result)
}

#[tokio::main]
async fn compare() -> Result<(), Failure> {
    let server = kfp_server::serve().await?;
    let mut ours = Command::new(std::env::current_exe()?);
    ours.env(CALL, &server.url);
    let ours = called(ours).await?;
    let python = if let Some(python) = std::env::var_os("BENCH_PYTHON") {
        let mut peer = Command::new(python);
        peer.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/kfp_calls.py"))
            .arg(&server.url)
            .args(CALLS.map(|(_, times)| times.to_string()));
        Some(called(peer).await?)
    } else {
        line("SKIP: the Python client: name an interpreter that has kfp in BENCH_PYTHON")?;
        None
    };
    for (name, _) in CALLS {
        line(name)?;
        let (seconds, processor) = told("kfp-client", ours.get(name))?;
        let Some(python) = &python else { continue };
        let (their_seconds, their_processor) = told("Python: kfp", python.get(name))?;
        let (faster, cheaper) = (their_seconds / seconds, their_processor / processor);
        for (what, factor, least) in [
            ("as fast", faster, LEAST_FASTER),
            ("less processor time", cheaper, LEAST_CHEAPER),
        ] {
            let word = if factor >= least { "reached" } else { "MISSED" };
            line(&format!("  goal {word}: {least} times {what}; it is {factor:.1} times"))?;
        }
    }
    Ok(())
}

fn told(name: &str, took: Option<&Took>) -> Result<(f64, f64), Failure> {
    let took = took.ok_or("a call was not measured")?;
    let times = f64::from(u32::try_from(took.seconds.len())?);
    let figures = Figures::new(took.seconds.clone()).ok_or("nothing was measured")?;
    let processor = took.processor / times;
    line(&format!(
        "  {name:<14} {:<52} processor {:9.1} us",
        figures.to_string(),
        processor * 1e6
    ))?;
    Ok((figures.median(), processor))
}

/// Waits for a process that calls, while the server goes on serving in this one.
async fn called(mut command: Command) -> Result<BTreeMap<String, Took>, Failure> {
    let output = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).stderr(Stdio::inherit()).output());
    let output = output.await??;
    if !output.status.success() {
        return Err(format!("the calls ended with {}", output.status).into());
    }
    let took: Vec<Took> = serde_json::from_slice(&output.stdout)?;
    Ok(CALLS.iter().map(|(name, _)| (*name).to_owned()).zip(took).collect())
}

/// The process that calls.
#[tokio::main(flavor = "current_thread")]
async fn call(url: &str) -> Result<(), Failure> {
    let client = Client::builder(url)?.build()?;
    let (request, id) = (ListRuns::new().page_size(200), RunId::new("r1"));
    let mut all = Vec::new();
    for (kind, (_, times)) in CALLS.into_iter().enumerate() {
        let mut seconds = Vec::new();
        let mut before = processor()?;
        for number in 0..WARM_UP + times {
            if number == WARM_UP {
                seconds.clear();
                before = processor()?;
            }
            let begin = Instant::now();
            let seen = match kind {
                0 => client.runs().list(&request).await?.items.len(),
                _ => client.runs().get(&id).await?.run_details.task_details.len(),
            };
            seconds.push(begin.elapsed().as_secs_f64());
            if seen == 0 {
                return Err("an answer was empty".into());
            }
        }
        all.push(Took {
            seconds,
            processor: processor()? - before,
        });
    }
    line(&serde_json::to_string(&all)?)
}

/// Seconds of processor time of this process.
fn processor() -> Result<f64, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let microseconds = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(f64::from(u32::try_from(microseconds)?) / 1e6)
}
