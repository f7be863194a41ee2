//! Which sources a model version may have.

use super::answer::{Handled, Refusal};
use super::state::State;

pub(super) fn refuse(source: &str) -> Refusal {
    Refusal::invalid(format!(
        "Invalid model version source: '{source}'. To use this as a model version source, the run_id or model_id request parameter has to be specified and the source has to be contained within its artifact directory."
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
    let decoded = source
        .replace("%2e", ".")
        .replace("%2E", ".")
        .replace("%2f", "/")
        .replace("%2F", "/");
    if decoded.split(['/', '\\']).any(|part| part == "..") {
        return Err(refuse());
    }
    if !state.is_3() && matches!(source.split(':').next(), Some("runs" | "mlflow-artifacts" | "http" | "https")) {
        return Ok(plain(run));
    }
    let inside = |root: &str| {
        let rest = source.strip_prefix(root);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let lower = source.to_lowercase();
    let scheme = lower.split_once(':').map_or("", |(scheme, _)| scheme);
    match scheme {
        "http" | "https" | "hdfs" | "viewfs" | "ftp" | "sftp" => Err(refuse()),
        "runs" => {
            let rest = source.get(5..).unwrap_or_default().trim_start_matches('/');
            let (id, path) = rest.split_once('/').unwrap_or((rest, ""));
            if run.is_empty() || id != run {
                return Err(refuse());
            }
            // The run need not exist: only the text of the source is looked at.
            let storage = state.space.runs
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
            let known = state.space.runs
                .get(run)
                .ok_or_else(|| Refusal::missing(format!("Run with id={run} not found")))?;
            if inside(&known.uri) {
                Ok(plain(run))
            } else {
                Err(refuse())
            }
        }
        _ => Ok(plain(run)),
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
    if rest.starts_with("m-") && !rest.contains('/') {
        if model_id != rest {
            return Err(refuse());
        }
        let model = state.space.logged_models.get(rest);
        let model = model.ok_or_else(|| Refusal::missing(format!("Logged model with ID '{rest}' not found.")))?;
        let run = if run.is_empty() { &model.run } else { run };
        return Ok(Source {
            storage: model.uri.clone(),
            ..plain(run)
        });
    }
    let missing = || Refusal::missing(format!("Model version of '{source}' not found"));
    let (name, version) = if let Some((name, alias)) = rest.split_once('@') {
        let model = state.space.models.get(name).ok_or_else(missing)?;
        let not_set = || Refusal::invalid(format!("Registered model alias {alias} not found."));
        (name, *model.aliases.get(alias).ok_or_else(not_set)?)
    } else {
        let (name, version) = rest.split_once('/').ok_or_else(refuse)?;
        let model = state.space.models.get(name).ok_or_else(missing)?;
        let newest = model.versions.keys().next_back().copied();
        let number = if version.eq_ignore_ascii_case("latest") {
            newest
        } else {
            version.parse().ok()
        };
        (name, number.ok_or_else(missing)?)
    };
    let target = state.space.models
        .get(name)
        .and_then(|model| model.versions.get(&version))
        .ok_or_else(missing)?;
    Ok(Source {
        stored: format!("models:/{name}/{version}"),
        storage: target.storage.clone(),
        run: run.to_owned(),
    })
}
