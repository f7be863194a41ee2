//! Workspaces: each has experiments, runs and models of its own.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answer::{Answer, Handled, Refusal, document, empty, put, put_list};
use super::json::Json;
use super::schema::Field;
use super::state::{Experiment, Space, State};

const DEFAULT: &str = "default";
pub(super) const CREATE: &[Field] = &[
    Field::text("name").required(),
    Field::text("description"),
    Field::text("default_artifact_root"),
];
pub(super) const UPDATE: &[Field] = &[Field::text("description"), Field::text("default_artifact_root")];

#[derive(Debug, Clone, Default)]
struct Workspace {
    description: String,
    root: String,
}

/// The workspaces of a server.
#[derive(Debug, Default)]
pub(super) struct Workspaces {
    pub(super) enabled: bool,
    known: BTreeMap<String, Workspace>,
    /// What the workspaces keep that the request at hand is not for.
    away: BTreeMap<String, Space>,
    current: Option<String>,
}

impl Workspaces {
    pub(super) fn enable(&mut self) {
        self.enabled = true;
        self.known.insert(DEFAULT.to_owned(), Workspace::default());
    }

    /// Name of the workspace that the request at hand is for.
    pub(super) fn current(&self) -> &str {
        self.current.as_deref().unwrap_or(DEFAULT)
    }

    /// Where new experiments keep their artifacts.
    pub(super) fn artifact_root(&self) -> String {
        match self.known.get(self.current()) {
            Some(workspace) if !workspace.root.is_empty() => workspace.root.trim_end_matches('/').to_owned(),
            _ if self.enabled => format!("mlflow-artifacts:/workspaces/{}", self.current()),
            _ => "mlflow-artifacts:".to_owned(),
        }
    }
}

/// Turns the state to the workspace that a request names. Without workspaces a name is an error of its own.
pub(super) fn enter(state: &mut State, name: Option<&str>) -> Handled<()> {
    let Some(name) = name else {
        turn(state, DEFAULT);
        return Ok(());
    };
    if !state.is_3() {
        return Ok(());
    }
    if !state.workspaces.enabled {
        return Err(Refusal::Coded {
            code: "FEATURE_DISABLED",
            status: 500,
            message:
                "Workspace APIs are not available: workspaces are not enabled on this server. Start the server with \
                      --enable-workspaces (or set MLFLOW_ENABLE_WORKSPACES=true) to enable workspaces support."
                    .to_owned(),
        });
    }
    if !state.workspaces.known.contains_key(name) {
        return Err(missing(name));
    }
    turn(state, name);
    Ok(())
}

fn turn(state: &mut State, name: &str) {
    let before = state.workspaces.current().to_owned();
    if before == name {
        return;
    }
    let space = state.workspaces.away.remove(name).unwrap_or_default();
    let left = std::mem::replace(&mut state.space, space);
    state.workspaces.away.insert(before, left);
    state.workspaces.current = Some(name.to_owned());
}

fn missing(name: &str) -> Refusal {
    Refusal::missing(format!("Workspace '{name}' not found"))
}

fn check_name(name: &str) -> Handled<()> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let length = name.chars().count();
    let reserved = matches!(name, "workspaces" | "api" | "ajax-api" | "static-files");
    if !(2..=63).contains(&length)
        || !name.chars().all(good)
        || name.starts_with('-')
        || name.ends_with('-')
        || reserved
    {
        return Err(Refusal::invalid(format!(
            "Workspace name '{name}' must match the pattern ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$ (lowercase alphanumeric with optional internal hyphens)."
        )));
    }
    Ok(())
}

fn show(name: &str, workspace: &Workspace) -> Value {
    let mut value = json!({"name": name});
    for (key, text) in [
        ("description", &workspace.description),
        ("default_artifact_root", &workspace.root),
    ] {
        put(&mut value, key, (!text.is_empty()).then(|| json!(text)));
    }
    value
}

fn one(name: &str, workspace: &Workspace) -> Value {
    json!({"workspace": show(name, workspace)})
}

fn take(workspace: &mut Workspace, request: &Json) {
    if let Some(text) = request.given("description") {
        text.clone_into(&mut workspace.description);
    }
    if let Some(text) = request.given("default_artifact_root") {
        text.clone_into(&mut workspace.root);
    }
}

/// Whether the routes are there at all.
pub(super) fn check_enabled(state: &State, rule: &str) -> Handled<()> {
    if state.workspaces.enabled {
        return Ok(());
    }
    Err(Refusal::Sentence(
        503,
        format!(
            "Endpoint: {rule} disabled because the server is running without workspaces support. To enable workspace, run \
             `mlflow server` with `--enable-workspaces`"
        ),
    ))
}

pub(super) fn list(state: &State) -> Answer {
    let all = state
        .workspaces
        .known
        .iter()
        .map(|(name, workspace)| show(name, workspace));
    let mut value = empty();
    put_list(&mut value, "workspaces", all.collect());
    document(&value)
}

pub(super) fn create(state: &mut State, request: &Json) -> Handled<Answer> {
    let name = request.text("name");
    if name == DEFAULT {
        return Err(Refusal::invalid(
            "The 'default' workspace is reserved and cannot be created",
        ));
    }
    check_name(name)?;
    if state.workspaces.known.contains_key(name) {
        return Err(Refusal::exists(format!("Workspace '{name}' already exists.")));
    }
    let mut workspace = Workspace::default();
    take(&mut workspace, request);
    let answer = document(&one(name, &workspace)).with_status(201);
    state.workspaces.known.insert(name.to_owned(), workspace);
    Ok(answer)
}

pub(super) fn get(state: &State, name: &str) -> Handled<Answer> {
    if name != DEFAULT {
        check_name(name)?;
    }
    let workspace = state.workspaces.known.get(name).ok_or_else(|| missing(name))?;
    Ok(document(&one(name, workspace)))
}

pub(super) fn update(state: &mut State, name: &str, request: &Json) -> Handled<Answer> {
    if name != DEFAULT {
        check_name(name)?;
    }
    if request.given("description").is_none() && request.given("default_artifact_root").is_none() {
        return Err(Refusal::invalid("Workspace update must have at least one key"));
    }
    let workspace = state.workspaces.known.get_mut(name).ok_or_else(|| missing(name))?;
    take(workspace, request);
    Ok(document(&one(name, workspace)))
}

pub(super) fn delete(state: &mut State, name: &str, mode: &str) -> Handled<Answer> {
    if name == DEFAULT {
        return Err(Refusal::invalid(
            "The 'default' workspace is reserved and cannot be deleted",
        ));
    }
    check_name(name)?;
    if !matches!(mode, "" | "RESTRICT" | "CASCADE" | "SET_DEFAULT") {
        return Err(Refusal::invalid(format!(
            "Invalid deletion mode '{mode}'. Must be one of: SET_DEFAULT, CASCADE, RESTRICT"
        )));
    }
    if !state.workspaces.known.contains_key(name) {
        return Err(missing(name));
    }
    turn(state, DEFAULT);
    let empty = state
        .workspaces
        .away
        .get(name)
        .is_none_or(|space| space.experiments.is_empty() && space.models.is_empty());
    if !empty && matches!(mode, "" | "RESTRICT") {
        return Err(Refusal::state(format!(
            "Cannot delete workspace '{name}': it still contains resources"
        )));
    }
    let space = state.workspaces.away.remove(name).unwrap_or_default();
    if mode == "SET_DEFAULT" {
        let mut experiments: BTreeMap<i64, Experiment> = space.experiments;
        state.space.experiments.append(&mut experiments);
        state.space.runs.extend(space.runs);
        state.space.models.extend(space.models);
        state.space.logged_models.extend(space.logged_models);
    }
    state.workspaces.known.remove(name);
    Ok(Answer::new(204))
}
