//! Runs: life cycle, parameters, tags, inputs.

use std::collections::HashMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{Handled, Refusal, empty, pair_list, put, put_list, set_pair};
use super::experiments::{VIEWS, active, in_view};
use super::json::Json;
use super::names;
use super::page;
use super::schema::Field;
use super::search::{Cell, Scope, Search};
use super::state::{Run, State, stage};

const STATUS: &[(&str, i64)] = &[
    ("RUNNING", 1),
    ("SCHEDULED", 2),
    ("FINISHED", 3),
    ("FAILED", 4),
    ("KILLED", 5),
];
const RUN_NAME: &str = "mlflow.runName";
const ADJECTIVES: &[&str] = &[
    "amused", "bold", "calm", "dapper", "gentle", "merry", "nimble", "proud", "silent", "wise",
];
const ANIMALS: &[&str] = &[
    "ape", "crane", "deer", "finch", "hare", "koi", "lynx", "newt", "seal", "wren",
];

const PAIR: &[Field] = &[Field::text("key"), Field::text("value")];
pub(super) const CREATE: &[Field] = &[
    Field::text("experiment_id"),
    Field::text("user_id").unchecked(),
    Field::text("run_name"),
    Field::int("start_time"),
    Field::message("tags", PAIR).list().unchecked(),
];
pub(super) const UPDATE: &[Field] = &[
    Field::text("run_id").required(),
    Field::text("run_uuid").unchecked(),
    Field::choice("status", STATUS),
    Field::int("end_time"),
    Field::text("run_name"),
];
pub(super) const ID: &[Field] = &[Field::text("run_id").required(), Field::text("run_uuid").unchecked()];
/// Without the old name of a run, which some calls do not read.
pub(super) const ID_ONLY: &[Field] = &[Field::text("run_id").required()];
pub(super) const SEARCH: &[Field] = &[
    Field::text("experiment_ids").list(),
    Field::text("filter"),
    Field::choice("run_view_type", VIEWS).unchecked(),
    Field::int("max_results"),
    Field::text("order_by").list(),
    Field::text("page_token").unchecked(),
];
pub(super) const PAIR_OF_RUN: &[Field] = &[
    Field::text("run_id").required(),
    Field::text("run_uuid").unchecked(),
    Field::text("key").required(),
    Field::text("value"),
];
pub(super) const DELETE_TAG: &[Field] = &[Field::text("run_id").required(), Field::text("key").required()];
const DATASET: &[Field] = &[
    Field::text("name"),
    Field::text("digest"),
    Field::text("source_type"),
    Field::text("source"),
    Field::text("schema"),
    Field::text("profile"),
];
const MODEL: &[Field] = &[Field::text("model_id"), Field::int("step")];
const DATASET_INPUT: &[Field] = &[Field::message("tags", PAIR).list(), Field::message("dataset", DATASET)];
pub(super) const INPUTS: &[Field] = &[
    Field::text("run_id").required(),
    Field::message("datasets", DATASET_INPUT).list(),
    Field::message("models", MODEL).list(),
];
pub(super) const LOG_MODEL: &[Field] = &[Field::text("run_id").required(), Field::text("model_json").required()];
pub(super) const OUTPUTS: &[Field] = &[
    Field::text("run_id").required(),
    Field::message("models", MODEL).list().required(),
];

/// The run that a request names, by either of its names.
pub(super) fn id_of(request: &Json) -> &str {
    match request.text("run_id") {
        "" => request.text("run_uuid"),
        id => id,
    }
}

fn info(run: &Run) -> Value {
    let mut value = json!({
        "run_id": run.id,
        "run_uuid": run.id,
        "run_name": run.name,
        "experiment_id": run.experiment.to_string(),
        "user_id": run.user,
        "status": run.status,
        "start_time": run.start,
        "artifact_uri": run.uri,
        "lifecycle_stage": stage(run.deleted),
    });
    put(&mut value, "end_time", run.end.map(Value::from));
    value
}

/// A run as `get` and `search` show it, which list its outputs too.
fn document(run: &Run, with_outputs: bool) -> Value {
    let mut data = empty();
    let metrics = run
        .metrics
        .iter()
        .filter_map(|(key, _)| Some(run.latest(key)?.json(key)))
        .collect();
    put_list(&mut data, "metrics", metrics);
    put_list(&mut data, "params", pair_list(&run.params));
    put_list(&mut data, "tags", pair_list(&run.tags));
    let mut inputs = empty();
    put_list(&mut inputs, "dataset_inputs", run.datasets.clone());
    put_list(
        &mut inputs,
        "model_inputs",
        run.model_inputs.iter().map(|id| json!({"model_id": id})).collect(),
    );
    let mut value = json!({"info": info(run), "data": data, "inputs": inputs});
    if with_outputs {
        let outputs = run
            .model_outputs
            .iter()
            .map(|(id, step)| json!({"model_id": id, "step": step}))
            .collect();
        let mut list = empty();
        put_list(&mut list, "model_outputs", outputs);
        put(&mut value, "outputs", Some(list));
    }
    value
}

/// A name such as `calm-seal-218` from the digits of an id.
fn generated_name(id: Uuid) -> String {
    let number = usize::from(*id.as_bytes().first().unwrap_or(&0));
    let second = usize::from(*id.as_bytes().get(1).unwrap_or(&0));
    let adjective = ADJECTIVES.get(number % ADJECTIVES.len()).unwrap_or(&"calm");
    let animal = ANIMALS.get(second % ANIMALS.len()).unwrap_or(&"seal");
    format!("{adjective}-{animal}-{}", (number * 256 + second) % 1000)
}

pub(super) fn create(state: &mut State, request: &Json) -> Handled {
    let experiment = request.text("experiment_id");
    if experiment.is_empty() {
        return Err(Refusal::database("FOREIGN KEY constraint failed"));
    }
    let experiment = active(state, experiment)?;
    let mut tags = request.pairs("tags");
    let tagged = tags
        .iter()
        .find(|(key, _)| key == RUN_NAME)
        .map(|(_, value)| value.clone());
    let id = Uuid::new_v4();
    let name = match (request.text("run_name"), tagged) {
        ("", None) => generated_name(id),
        ("", Some(tag)) => tag,
        (name, Some(tag)) if name != tag => {
            return Err(Refusal::invalid(format!(
                "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values (run_name='{name}', mlflow.runName='{tag}')."
            )));
        }
        (name, _) => name.to_owned(),
    };
    let mut keys: Vec<&str> = tags.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    if keys.windows(2).any(|pair| pair.first() == pair.get(1)) {
        return Err(Refusal::database("UNIQUE constraint failed: tags.key, tags.run_uuid"));
    }
    set_pair(&mut tags, RUN_NAME, &name);
    let id = id.simple().to_string();
    let run = Run {
        uri: format!("{}/{id}/artifacts", experiment.location.trim_end_matches('/')),
        experiment: experiment.id,
        name,
        user: request.text("user_id").to_owned(),
        status: "RUNNING".to_owned(),
        start: request.int("start_time").unwrap_or(0),
        end: None,
        deleted: false,
        tags,
        params: Vec::new(),
        metrics: Vec::new(),
        rows: HashMap::new(),
        datasets: Vec::new(),
        model_inputs: Vec::new(),
        model_outputs: Vec::new(),
        id: id.clone(),
    };
    let answer = json!({"run": document(&run, false)});
    state.space.runs.insert(id, run);
    Ok(answer)
}

pub(super) fn update(state: &mut State, request: &Json) -> Handled {
    let run = state.active_run(id_of(request))?;
    if let Some(status) = request.given("status") {
        status.clone_into(&mut run.status);
    }
    if let Some(end) = request.int("end_time") {
        run.end = Some(end);
    }
    if let Some(name) = request.given("run_name").filter(|name| !name.is_empty()) {
        name.clone_into(&mut run.name);
        set_pair(&mut run.tags, RUN_NAME, name);
    }
    Ok(json!({"run_info": info(run)}))
}

pub(super) fn delete(state: &mut State, request: &Json) -> Handled {
    state.run(request.text("run_id"))?.deleted = true;
    Ok(empty())
}

pub(super) fn restore(state: &mut State, request: &Json) -> Handled {
    state.run(request.text("run_id"))?.deleted = false;
    Ok(empty())
}

pub(super) fn get(state: &mut State, request: &Json) -> Handled {
    let run = state.run(id_of(request))?.clone();
    Ok(json!({"run": document(&run, state.is_3())}))
}

/// Why a parameter cannot be logged: it has another value already.
pub(super) fn conflict(run: &Run, key: &str, value: &str) -> Option<String> {
    let (_, old) = run.params.iter().find(|(name, _)| name == key)?;
    (old != value).then(|| format!("{{'key': '{key}', 'old_value': '{old}', 'new_value': '{value}'}}"))
}

/// The message for parameters that were logged with other values before.
pub(super) fn conflict_message(run: &str, conflicts: &[String]) -> Refusal {
    Refusal::invalid(format!(
        "Changing param values is not allowed. Params were already logged='[{}]' for run ID='{run}'.",
        conflicts.join(", ")
    ))
}

pub(super) fn log_param(state: &mut State, request: &Json) -> Handled {
    let (id, key) = (id_of(request), request.text("key"));
    names::key("key", key)?;
    let value = names::cut(request.text("value"), 6000);
    let run = state.active_run(id)?;
    if let Some(conflict) = conflict(run, key, &value) {
        return Err(conflict_message(id, &[conflict]));
    }
    set_pair(&mut run.params, key, &value);
    Ok(empty())
}

/// Sets a tag, and with the tag for it the run's name.
pub(super) fn tag(run: &mut Run, key: &str, value: &str) {
    let value = names::cut(value, 8000);
    if key == RUN_NAME {
        value.clone_into(&mut run.name);
    }
    set_pair(&mut run.tags, key, &value);
}

pub(super) fn set_tag(state: &mut State, request: &Json) -> Handled {
    let key = request.text("key");
    names::key("key", key)?;
    tag(state.active_run(id_of(request))?, key, request.text("value"));
    Ok(empty())
}

pub(super) fn delete_tag(state: &mut State, request: &Json) -> Handled {
    let (id, key) = (request.text("run_id"), request.text("key"));
    let run = state.active_run(id)?;
    let before = run.tags.len();
    run.tags.retain(|(name, _)| name != key);
    if run.tags.len() == before {
        return Err(Refusal::missing(format!("No tag with name: {key} in run with id {id}")));
    }
    Ok(empty())
}

pub(super) fn log_inputs(state: &mut State, request: &Json) -> Handled {
    let mut datasets = Vec::new();
    for input in request.list("datasets") {
        let dataset = input.get("dataset").cloned().unwrap_or(Json::Null);
        let mut value = json!({});
        for (field, limit) in [("name", 500), ("digest", 36)] {
            names::length(field, dataset.text(field), limit)?;
        }
        for field in ["name", "digest", "source_type", "source", "schema", "profile"] {
            let text = dataset.given(field).filter(|text| !text.is_empty());
            put(&mut value, field, text.map(Value::from));
        }
        for (key, value) in input.pairs("tags") {
            names::length("key", &key, 255)?;
            names::length("value", &value, 500)?;
        }
        let mut entry = json!({"dataset": value});
        put_list(&mut entry, "tags", pair_list(&input.pairs("tags")));
        datasets.push(entry);
    }
    if request.text("run_id").is_empty() {
        return Err(Refusal::invalid("Invalid value \"\" for parameter 'run_id' supplied."));
    }
    if !state.is_3() && request.list("datasets").is_empty() {
        return Err(Refusal::required("datasets"));
    }
    let generation = state.generation;
    let run = state.active_run(request.text("run_id"))?;
    let identity = |entry: &Value| {
        (
            entry.pointer("/dataset/name").cloned(),
            entry.pointer("/dataset/digest").cloned(),
        )
    };
    for entry in datasets {
        if !run.datasets.iter().any(|known| identity(known) == identity(&entry)) {
            run.datasets.push(entry);
        }
    }
    let models: &[Json] = if generation.is_3() { request.list("models") } else { &[] };
    for model in models {
        let id = model.text("model_id").to_owned();
        if !run.model_inputs.contains(&id) {
            run.model_inputs.push(id);
        }
    }
    Ok(empty())
}

/// A model in the manner of version 2: a tag holds the list of them.
pub(super) fn log_model(state: &mut State, request: &Json) -> Handled {
    const HISTORY: &str = "mlflow.log-model.history";
    let text = request.text("model_json");
    let malformed = || Refusal::invalid(format!("Malformed model info. \n {text} \n is not valid JSON"));
    let model: Value = serde_json::from_str(text).map_err(|_| malformed())?;
    if !model.is_object() {
        return Err(Refusal::Page(500));
    }
    let missing: Vec<&str> = ["artifact_path", "flavors", "utc_time_created", "run_id"]
        .into_iter()
        .filter(|field| model.get(field).is_none())
        .collect();
    if !missing.is_empty() {
        return Err(Refusal::invalid(format!(
            "Model json is missing mandatory fields: {missing:?}"
        )));
    }
    let run = state.active_run(request.text("run_id"))?;
    let known = run.tags.iter().find(|(key, _)| key == HISTORY);
    let mut models: Vec<Value> = known
        .and_then(|(_, text)| serde_json::from_str(text).ok())
        .unwrap_or_default();
    models.push(model);
    set_pair(&mut run.tags, HISTORY, &Value::Array(models).to_string());
    Ok(empty())
}

pub(super) fn log_outputs(state: &mut State, request: &Json) -> Handled {
    let run = state.active_run(request.text("run_id"))?;
    let mut fresh: Vec<(String, i64)> = Vec::new();
    for model in request.list("models") {
        let id = model.text("model_id").to_owned();
        if run.model_outputs.iter().chain(&fresh).any(|(known, _)| *known == id) {
            return Err(Refusal::database(
                "UNIQUE constraint failed: inputs.source_type, inputs.source_id, inputs.destination_type, inputs.destination_id",
            ));
        }
        fresh.push((id, model.int("step").unwrap_or(0)));
    }
    run.model_outputs.extend(fresh);
    Ok(empty())
}

/// What a dataset was used for.
pub(super) fn context(input: &Value) -> Option<&str> {
    let mut tags = input.get("tags")?.as_array()?.iter();
    let tag = tags.find(|tag| tag.get("key").is_some_and(|key| key == "mlflow.data.context"))?;
    tag.get("value")?.as_str()
}

fn pair(pairs: &[(String, String)], key: &str) -> Option<Cell> {
    pairs
        .iter()
        .find(|(name, _)| name == key)
        .map(|(_, value)| Cell::Text(value.clone()))
}

fn cell(run: &Run, entity: &str, key: &str) -> Option<Cell> {
    match entity {
        "metric" => run.latest(key).map(|point| Cell::Float(point.value)),
        "param" => pair(&run.params, key),
        "tag" => pair(&run.tags, key),
        "dataset" => {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let values = run.datasets.iter().filter_map(|entry| match key {
                "context" => context(entry).map(str::to_owned),
                _ => text(entry.get("dataset")?.get(key)?),
            });
            Some(Cell::Any(values.collect()))
        }
        _ => Some(match key {
            "run_id" => Cell::Text(run.id.clone()),
            "run_name" => Cell::Text(run.name.clone()),
            "status" => Cell::Text(run.status.clone()),
            "user_id" => Cell::Text(run.user.clone()),
            "artifact_uri" => Cell::Text(run.uri.clone()),
            "start_time" => Cell::Int(run.start),
            _ => return run.end.map(Cell::Int),
        }),
    }
}

pub(super) fn search(state: &mut State, request: &Json) -> Handled {
    let max = page::limit("max_results", request.int("max_results").unwrap_or(1000), 50_000)?;
    let search = Search::new(
        Scope::Runs,
        state.generation,
        request.text("filter"),
        &request.texts("order_by"),
    )?;
    let mut experiments = Vec::new();
    for id in request.texts("experiment_ids") {
        let number = id.parse::<i64>();
        if number.is_err() && !state.is_3() {
            continue;
        }
        experiments.push(number.map_err(|_| {
            Refusal::invalid(format!(
                "Invalid experiment ID '{id}'. Experiment ID must be a valid integer."
            ))
        })?);
    }
    let view = request.text("run_view_type");
    let mut found: Vec<&Run> = state
        .space
        .runs
        .values()
        .filter(|run| experiments.contains(&run.experiment) && in_view(view, run.deleted))
        .filter(|run| search.accepts(|entity, key| cell(run, entity, key)))
        .collect();
    found.sort_by(|a, b| {
        search
            .compare(|entity, key| (cell(a, entity, key), cell(b, entity, key)))
            .then_with(|| b.start.cmp(&a.start).then_with(|| a.id.cmp(&b.id)))
    });
    let (items, mut next) = page::slice(found, max, request.text("page_token"))?;
    if !state.is_3() && next.is_none() && items.len() == max {
        next = Some(page::after(request.text("page_token"), max)?);
    }
    Ok(page::answer(
        "runs",
        items.into_iter().map(|run| document(run, state.is_3())).collect(),
        next,
    ))
}
