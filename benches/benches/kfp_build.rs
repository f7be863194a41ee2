//! What a program takes to build that depends on `kfp-client` alone, beside one that depends on `reqwest` alone with the
//! features it needs for the same work. Both are made in a temporary folder and built from nothing, in turns.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use benches::{Failure, ended, line};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

const ROUNDS: usize = 2;
const MOST: f64 = 1.15;
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn main() -> ExitCode {
    ended(compare())
}

fn compare() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let floor = package(
        folder.path(),
        "floor",
        "reqwest = { version = \"0.13\", default-features = false, features = [\"json\", \"stream\", \"multipart\", \"rustls\"] }",
    )?;
    let ours = package(
        folder.path(),
        "ours",
        &format!("kfp-client = {{ path = {:?} }}", format!("{ROOT}/kfp-client")),
    )?;

    let (least, all) = (crates(&floor)?, crates(&ours)?);
    line("crates that are built, its own not counted")?;
    line(&format!("  floor: reqwest  {}", least.len()))?;
    line(&goal(
        "  kfp-client",
        count(all.len())? / count(least.len())?,
        &all.len().to_string(),
    ))?;
    let more: Vec<&str> = all.difference(&least).map(String::as_str).collect();
    line(&format!("  beside those of the floor: {}", more.join(", ")))?;

    line("build from nothing, in turns")?;
    let (mut floors, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floors.push(built(&floor)?);
        whole.push(built(&ours)?);
    }
    for (name, index) in [("processor time", 1), ("time", 0)] {
        let of = |figures: &[[f64; 2]]| {
            figures
                .iter()
                .filter_map(|took| took.get(index))
                .copied()
                .fold(f64::INFINITY, f64::min)
        };
        let (least, time) = (of(&floors), of(&whole));
        line(&format!("  least {name} of {ROUNDS}, floor: reqwest  {least:.1} s"))?;
        line(&goal(
            &format!("  least {name} of {ROUNDS}, kfp-client"),
            time / least,
            &format!("{time:.1} s"),
        ))?;
    }
    Ok(())
}

fn count(number: usize) -> Result<f64, Failure> {
    Ok(f64::from(u32::try_from(number)?))
}

fn goal(name: &str, ratio: f64, got: &str) -> String {
    let word = if ratio <= MOST { "reached" } else { "MISSED" };
    format!("{name}  {got}, {ratio:.2} times the floor (goal {word}: {MOST})")
}

/// A program of one dependency, with the versions that this workspace uses, all of them fetched.
fn package(folder: &Path, name: &str, dependency: &str) -> Result<std::path::PathBuf, Failure> {
    let folder = folder.join(name);
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/main.rs"), "fn main() {}\n")?;
    fs::write(
        folder.join("Cargo.toml"),
        format!(
            "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
             [dependencies]\n{dependency}\n\n[workspace]\n"
        ),
    )?;
    fs::copy(format!("{ROOT}/Cargo.lock"), folder.join("Cargo.lock"))?;
    cargo(&folder, &["fetch", "--quiet"])?;
    Ok(folder)
}

fn crates(folder: &Path) -> Result<BTreeSet<String>, Failure> {
    let told = cargo(
        folder,
        &[
            "tree",
            "--offline",
            "--quiet",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
        ],
    )?;
    // The first is the program itself.
    let names = told.lines().skip(1).map(|line| {
        let words: Vec<&str> = line.split(' ').take(2).collect();
        words.join(" ")
    });
    Ok(names.collect())
}

/// Seconds of time and of processor time of a build from nothing.
fn built(folder: &Path) -> Result<[f64; 2], Failure> {
    let target = folder.join("target");
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    let (begin, before) = (Instant::now(), processor()?);
    cargo(folder, &["build", "--offline", "--quiet"])?;
    Ok([begin.elapsed().as_secs_f64(), processor()? - before])
}

fn cargo(folder: &Path, arguments: &[&str]) -> Result<String, Failure> {
    let output = Command::new(env!("CARGO"))
        .current_dir(folder)
        .args(arguments)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        // A cache of compiled crates would be measured instead.
        .env_remove("RUSTC_WRAPPER")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo {} ended with {}", arguments.join(" "), output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Seconds of processor time of the processes waited for.
fn processor() -> Result<f64, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let milliseconds = usage.user_time().num_milliseconds() + usage.system_time().num_milliseconds();
    Ok(f64::from(u32::try_from(milliseconds)?) / 1e3)
}
