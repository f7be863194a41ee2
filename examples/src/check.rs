//! Refuses flags before a password is sent, a sandbox started, or anything else done with them.

use std::collections::BTreeSet;

use orchestrator_core::{DeployRequest, Gate, TrainRequest};

use crate::connect::{on_this_machine, repository, settings};
use crate::exit::Failure;
use crate::flags::{Connection, Work};
use crate::requests::with_flags;

/// Stands in for what only the outside world can tell: the bundled repository's commit, a registered model.
const ANY_URL: &str = "https://git.example.com/model.git";
const ANY_SHA: &str = "1111111111111111111111111111111111111111";

/// Checks what is run.
///
/// # Errors
/// Flags that no installation would take.
pub fn work(work: &Work, connection: &Connection) -> Result<(), Failure> {
    once("--env", &work.environment)?;
    once("--param", &work.parameters)?;
    let (url, sha) = code(work, connection)?;
    let request = with_flags!(TrainRequest::new(url, sha), work, connection);
    let request = match &work.model_name {
        Some(name) => request.model_name(name),
        None => request,
    };
    let settings = settings(connection, on_this_machine(connection))?;
    request.validate(&settings).map_err(Failure::usage)
}

/// Checks the rule that decides whether a model is deployed. The rest is checked by [`work`].
///
/// # Errors
/// A rule that no model can meet or fail.
pub fn gate(gate: &Gate, connection: &Connection) -> Result<(), Failure> {
    let settings = settings(connection, on_this_machine(connection))?;
    DeployRequest::new(ANY_URL, ANY_SHA, "model", 1)
        .dataset_version("v1")
        .gate(gate.clone())
        .validate(&settings)
        .map_err(Failure::usage)
}

fn code(work: &Work, connection: &Connection) -> Result<(String, String), Failure> {
    let here = on_this_machine(connection);
    if work.git_repository.is_none() && here {
        let sha = work.git_sha.clone().unwrap_or_else(|| ANY_SHA.to_owned());
        return Ok((ANY_URL.to_owned(), sha));
    }
    let code = repository(work, here)?;
    Ok((code.url, code.sha))
}

/// Of two values for one name a person meant one, and only that person knows which.
fn once(flag: &str, entries: &[(String, String)]) -> Result<(), Failure> {
    let mut names = BTreeSet::new();
    for (name, _) in entries {
        if !names.insert(name) {
            return Err(Failure::usage(format!("{flag} {name} is given twice: leave one out")));
        }
    }
    Ok(())
}
