//! Which sources a model version may have.

use super::answer::{Handled, Refusal};
use super::artifacts::decode;
use super::state::State;

pub(super) fn refuse(source: &str) -> Refusal {
    Refusal::invalid(format!(
        "Invalid model version source: '{source}'. To use this as a model version source, the run_id or model_id request parameter has to be specified and the source has to be contained within its artifact directory."
    ))
}

pub(super) fn refuse_of_prompt(source: &str) -> Refusal {
    Refusal::invalid(format!(
        "Invalid prompt source: '{source}'. Prompt sources must use an MLflow placeholder."
    ))
}

/// What a source is stored as: itself, where the files are, and the run.
pub(super) struct Source {
    pub(super) stored: String,
    pub(super) storage: String,
    pub(super) run: String,
}

pub(super) fn resolve(state: &State, source: &str, run: &str, model_id: &str) -> Handled<Source> {
    let refuse = || refuse(source);
    let plain = |run: &str| Source {
        stored: source.to_owned(),
        storage: source.to_owned(),
        run: run.to_owned(),
    };
    let mut decoded = source.to_owned();
    // What is encoded again and again is still found out.
    for _ in 0..8 {
        decoded = decode(&decoded);
    }
    if decoded.split(['/', '\\']).any(|part| part == "..") {
        return Err(refuse());
    }
    if !state.is_3()
        && matches!(
            source.split(':').next(),
            Some("runs" | "mlflow-artifacts" | "http" | "https" | "hdfs" | "ftp" | "sftp" | "abfss")
        )
    {
        return Ok(plain(run));
    }
    let inside = |root: &str| {
        let rest = source.strip_prefix(root);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let lower = source.to_lowercase();
    let scheme = lower.split_once(':').map_or("", |(scheme, _)| scheme);
    match scheme {
        "http" | "https" | "hdfs" | "viewfs" | "ftp" | "sftp" | "abfs" | "abfss" => Err(refuse()),
        "runs" => {
            let rest = source.get(5..).unwrap_or_default().trim_start_matches('/');
            let (id, path) = rest.split_once('/').unwrap_or((rest, ""));
            if run.is_empty() || id != run {
                return Err(refuse());
            }
            // The run need not exist: only the text of the source is looked at.
            let storage = state
                .space
                .runs
                .get(run)
                .map_or_else(|| source.to_owned(), |run| format!("{}/{path}", run.uri));
            Ok(Source { storage, ..plain(run) })
        }
        "mlflow-artifacts" if lower.starts_with("mlflow-artifacts://") => Err(refuse()),
        "models" => of_model(state, source, run, model_id),
        "mlflow-artifacts" | "file" | "" => {
            if !model_id.is_empty() {
                let model = state.space.logged_models.get(model_id);
                let model =
                    model.ok_or_else(|| Refusal::missing(format!("Logged model with ID '{model_id}' not found.")))?;
                return if inside(&model.uri) {
                    Ok(plain(if run.is_empty() { &model.run } else { run }))
                } else {
                    Err(refuse())
                };
            }
            if run.is_empty() {
                return Err(refuse());
            }
            let known = state.space.runs.get(run).ok_or_else(refuse)?;
            if inside(&known.uri) {
                Ok(plain(run))
            } else {
                Err(refuse())
            }
        }
        _ => {
            let model = state.space.logged_models.get(model_id);
            Ok(plain(model.filter(|_| run.is_empty()).map_or(run, |model| &model.run)))
        }
    }
}

/// A source that names a logged model, or a version of a registered one.
fn of_model(state: &State, source: &str, run: &str, model_id: &str) -> Handled<Source> {
    let refuse = || refuse(source);
    let plain = |run: &str| Source {
        stored: source.to_owned(),
        storage: source.to_owned(),
        run: run.to_owned(),
    };
    let rest = source.get(7..).unwrap_or_default().trim_start_matches('/');
    // What version 2 cannot resolve it fails on.
    let fails = |_: Refusal| Refusal::internal(format!("'{source}' could not be resolved"));
    if !state.is_3() && rest.is_empty() {
        return Err(refuse());
    }
    if !state.is_3() {
        let numbered = rest
            .split_once('/')
            .is_some_and(|(_, version)| version.parse::<i64>().is_ok());
        return if numbered {
            of_version(state, source, rest, run).map_err(fails)
        } else {
            Err(fails(refuse()))
        };
    }
    if rest.starts_with("m-") && !rest.contains(['/', '@']) {
        if model_id != rest {
            return Err(refuse());
        }
        let model = state.space.logged_models.get(rest);
        let model = model.ok_or_else(|| Refusal::internal(format!("Logged model with ID '{rest}' not found.")))?;
        let run = if run.is_empty() { &model.run } else { run };
        return Ok(Source {
            storage: model.uri.clone(),
            ..plain(run)
        });
    }
    of_version(state, source, rest, run)
}

fn of_version(state: &State, source: &str, rest: &str, run: &str) -> Handled<Source> {
    let refuse = || refuse(source);
    let missing = || Refusal::missing(format!("Model version of '{source}' not found"));
    let (name, version) = if let Some((name, alias)) = rest.split_once('@') {
        let model = state.space.models.get(name).ok_or_else(missing)?;
        let not_set = || Refusal::invalid(format!("Registered model alias {alias} not found."));
        (name, *model.aliases.get(alias).ok_or_else(not_set)?)
    } else {
        let (name, version) = rest.split_once('/').ok_or_else(refuse)?;
        let model = state.space.models.get(name).ok_or_else(missing)?;
        let newest = model.versions.keys().next_back().copied();
        let number = match version.parse() {
            Ok(number) => Some(number),
            Err(_) if version.eq_ignore_ascii_case("latest") => newest,
            // A stage that nothing is in.
            Err(_) => return Err(Refusal::internal(format!("'{source}' could not be resolved"))),
        };
        (name, number.ok_or_else(missing)?)
    };
    let target = state
        .space
        .models
        .get(name)
        .and_then(|model| model.versions.get(&version))
        .ok_or_else(missing)?;
    Ok(Source {
        stored: format!("models:/{name}/{version}"),
        storage: target.storage.clone(),
        run: run.to_owned(),
    })
}
