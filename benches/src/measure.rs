//! Runs a program several times and measures time and peak memory.
//!
//! The kernel tells a parent the largest memory of the children that it waited for, and a child begins with its parent's.
//! So a small process is put between: this same program, started with another environment.

use std::ffi::OsStr;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use crate::{Failure, Figures};

/// Set in the process between: how often it runs its arguments.
const ROUNDS: &str = "BENCH_ROUNDS";
/// A program that takes longer than this is ended.
const LIMIT: Duration = Duration::from_secs(120);
/// How often is looked whether a program has ended; below what a start of a process takes.
const LOOK: Duration = Duration::from_micros(300);

/// What a program took.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Seconds from start to end.
    pub time: Figures,
    /// Most memory that was resident in any round, in MiB; includes what the process between occupied when it forked.
    pub peak: f64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Told {
    seconds: Vec<f64>,
    peak_kib: u32,
}

/// Runs a program once to warm up and then `rounds` times.
///
/// # Errors
/// When it cannot be started, fails, or takes too long.
pub fn measure(rounds: u32, command: &Command) -> Result<Measured, Failure> {
    let mut between = Command::new(std::env::current_exe()?);
    between
        .arg(command.get_program())
        .args(command.get_args())
        .env(ROUNDS, rounds.to_string());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => between.env(name, value),
            None => between.env_remove(name),
        };
    }
    let output = between.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{} could not be measured", command.get_program().display()).into());
    }
    let told: Told = serde_json::from_slice(&output.stdout)?;
    let time = Figures::new(told.seconds).ok_or("nothing was measured")?;
    Ok(Measured {
        time,
        peak: f64::from(told.peak_kib) / 1024.0,
    })
}

/// Does the work of the process between, if this process is it. To be called first in `main`.
pub fn measure_if_asked() -> Option<ExitCode> {
    let rounds = std::env::var(ROUNDS).ok()?.parse().ok()?;
    let result = run(rounds).and_then(|told| crate::line(&serde_json::to_string(&told)?));
    Some(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the parent shows what this process says")]
            {
                eprintln!("{error}");
            }
            ExitCode::FAILURE
        }
    })
}

fn run(rounds: u32) -> Result<Told, Failure> {
    let mut words = std::env::args_os().skip(1);
    let program = words.next().ok_or("no program to measure")?;
    let arguments: Vec<_> = words.collect();
    let mut seconds = Vec::new();
    for round in 0..=rounds {
        let took = once(&program, &arguments)?;
        if round > 0 {
            seconds.push(took);
        }
    }
    let peak_kib = u32::try_from(getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss())?;
    Ok(Told { seconds, peak_kib })
}

fn once(program: &OsStr, arguments: &[std::ffi::OsString]) -> Result<f64, Failure> {
    let begin = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .env_remove(ROUNDS)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    loop {
        if let Some(status) = child.try_wait()? {
            let took = begin.elapsed().as_secs_f64();
            if status.success() {
                return Ok(took);
            }
            let said = child.wait_with_output()?.stderr;
            return Err(format!(
                "{} ended with {status}: {}",
                program.display(),
                String::from_utf8_lossy(&said)
            )
            .into());
        }
        if begin.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            return Err(format!("{} took longer than {} s", program.display(), LIMIT.as_secs()).into());
        }
        std::thread::sleep(LOOK);
    }
}
