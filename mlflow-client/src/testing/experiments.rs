//! Experiments.

use serde_json::{Value, json};

use super::answer::{Handled, Refusal, empty, pair_list, put, put_list, set_pair};
use super::json::Json;
use super::names;
use super::page;
use super::schema::Field;
use super::search::{Cell, Scope, Search};
use super::state::{Experiment, Generation, State, now, stage};

/// Which life cycle stages a search covers.
pub(super) const VIEWS: &[(&str, i64)] = &[("ACTIVE_ONLY", 1), ("DELETED_ONLY", 2), ("ALL", 3)];

const TAG: &[Field] = &[Field::text("key"), Field::text("value")];
pub(super) const CREATE: &[Field] = &[
    Field::text("name").required(),
    Field::text("artifact_location"),
    Field::message("tags", TAG).list(),
];
pub(super) const ID: &[Field] = &[Field::text("experiment_id").required()];
pub(super) const NAME: &[Field] = &[Field::text("experiment_name").required()];
pub(super) const UPDATE: &[Field] = &[
    Field::text("experiment_id").required(),
    Field::text("new_name").required(),
];
pub(super) const SEARCH: &[Field] = &[
    Field::choice("view_type", VIEWS).unchecked(),
    Field::int("max_results"),
    Field::text("order_by").list(),
    Field::text("filter"),
    Field::text("page_token"),
];
pub(super) const SET_TAG: &[Field] = &[
    Field::text("experiment_id").required(),
    Field::text("key").required(),
    Field::text("value"),
];
pub(super) const DATASETS: &[Field] = &[Field::text("experiment_ids").list().required()];
pub(super) const DELETE_TAG: &[Field] = &[Field::text("experiment_id").required(), Field::text("key").required()];

fn document(state: &State, experiment: &Experiment) -> Value {
    let mut value = json!({
        "experiment_id": experiment.id.to_string(),
        "name": experiment.name,
        "artifact_location": experiment.location,
        "lifecycle_stage": stage(experiment.deleted),
        "last_update_time": experiment.updated,
        "creation_time": experiment.created,
    });
    put(
        &mut value,
        "workspace",
        state.is_3().then(|| json!(state.workspaces.current())),
    );
    put_list(&mut value, "tags", pair_list(&experiment.tags));
    value
}

/// An experiment that may be written to.
pub(super) fn active<'a>(state: &'a mut State, id: &str) -> Handled<&'a mut Experiment> {
    let experiment = state.experiment(id)?;
    if experiment.deleted {
        return Err(Refusal::invalid(format!(
            "The experiment {id} must be in the 'active' state. Current state is deleted."
        )));
    }
    Ok(experiment)
}

fn check_location(generation: Generation, location: &str) -> Handled<()> {
    names::length("artifact_location", location, 2048)?;
    if location.contains('#') {
        return Err(Refusal::invalid(format!("Invalid 'artifact_location': {location}")));
    }
    if !generation.is_3() {
        return Ok(());
    }
    let scheme = location.split_once(':').map_or("", |(scheme, _)| scheme);
    let hosted = matches!(scheme, "http" | "https" | "hdfs") || location.starts_with("mlflow-artifacts://");
    if scheme == "runs" || hosted {
        return Err(Refusal::invalid(format!("Invalid 'artifact_location': {location}")));
    }
    Ok(())
}

pub(super) fn create(state: &mut State, request: &Json) -> Handled {
    let name = request.text("name");
    let location = request.text("artifact_location");
    check_location(state.generation, location)?;
    names::length("name", name, 500)?;
    let mut tags: Vec<(String, String)> = Vec::new();
    for (key, value) in request.pairs("tags") {
        if state.is_3() {
            names::experiment_tag(&key, &value)?;
        }
        // The database's complaint is taken for that about the name.
        if tags.iter().any(|(known, _)| *known == key) {
            return Err(Refusal::exists(format!("Experiment(name={name}) already exists.")));
        }
        tags.push((key, value));
    }
    if state
        .space
        .experiments
        .values()
        .any(|experiment| experiment.name == name)
    {
        return Err(Refusal::exists(format!(
            "Experiment(name={name}) already exists. Error: (sqlite3.IntegrityError) UNIQUE constraint failed: experiments.workspace, experiments.name"
        )));
    }
    state.last_experiment += 1;
    let id = state.last_experiment;
    let location = match location {
        "" => format!("{}/{id}", state.workspaces.artifact_root()),
        _ => location.to_owned(),
    };
    let experiment = Experiment::new(id, name, location, tags);
    state.space.experiments.insert(id, experiment);
    Ok(json!({"experiment_id": id.to_string()}))
}

pub(super) fn get(state: &mut State, request: &Json) -> Handled {
    let experiment = state.experiment(request.text("experiment_id"))?.clone();
    Ok(json!({"experiment": document(state, &experiment)}))
}

pub(super) fn get_by_name(state: &mut State, request: &Json) -> Handled {
    let name = request.text("experiment_name");
    let experiment = state
        .space
        .experiments
        .values()
        .find(|experiment| experiment.name == name);
    let experiment =
        experiment.ok_or_else(|| Refusal::missing(format!("Could not find experiment with name '{name}'")))?;
    Ok(json!({"experiment": document(state, experiment)}))
}

pub(super) fn update(state: &mut State, request: &Json) -> Handled {
    let name = request.text("new_name").to_owned();
    let taken = state
        .space
        .experiments
        .values()
        .find(|experiment| experiment.name == name)
        .map(|experiment| experiment.id);
    let modern = state.is_3();
    let experiment = state.experiment(request.text("experiment_id"))?;
    if experiment.deleted {
        return Err(Refusal::state("Cannot rename a non-active experiment."));
    }
    if modern && name.chars().count() > 500 {
        return Err(Refusal::invalid("'name' exceeds the maximum length of 500 characters"));
    }
    if taken.is_some_and(|id| id != experiment.id) {
        return Err(Refusal::database(
            "UNIQUE constraint failed: experiments.workspace, experiments.name",
        ));
    }
    experiment.name = name;
    experiment.updated = now();
    Ok(empty())
}

pub(super) fn delete(state: &mut State, request: &Json) -> Handled {
    move_to(state, request, true)
}

pub(super) fn restore(state: &mut State, request: &Json) -> Handled {
    move_to(state, request, false)
}

/// Moves an experiment and its runs into the other stage.
fn move_to(state: &mut State, request: &Json, deleted: bool) -> Handled {
    let id = request.text("experiment_id");
    let experiment = state.experiment(id)?;
    if experiment.deleted == deleted {
        return Err(Refusal::missing(format!("No Experiment with id={id} exists")));
    }
    experiment.deleted = deleted;
    experiment.updated = now();
    let number = experiment.id;
    for run in state.space.runs.values_mut().filter(|run| run.experiment == number) {
        run.deleted = deleted;
    }
    Ok(empty())
}

pub(super) fn set_tag(state: &mut State, request: &Json) -> Handled {
    let (key, value) = (request.text("key"), request.text("value"));
    names::experiment_tag(key, value)?;
    let experiment = active(state, request.text("experiment_id"))?;
    set_pair(&mut experiment.tags, key, value);
    experiment.updated = now();
    Ok(empty())
}

pub(super) fn delete_tag(state: &mut State, request: &Json) -> Handled {
    let (id, key) = (request.text("experiment_id"), request.text("key"));
    let experiment = active(state, id)?;
    let before = experiment.tags.len();
    experiment.tags.retain(|(name, _)| name != key);
    if experiment.tags.len() == before {
        return Err(Refusal::missing(format!(
            "No tag with name: {key} in experiment with id {id}"
        )));
    }
    experiment.updated = now();
    Ok(empty())
}

/// Whether a stage is part of a view.
pub(super) fn in_view(view: &str, deleted: bool) -> bool {
    match view {
        "DELETED_ONLY" => deleted,
        "ALL" => true,
        _ => !deleted,
    }
}

fn cell(experiment: &Experiment, entity: &str, key: &str) -> Option<Cell> {
    if entity == "tag" {
        return experiment
            .tags
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| Cell::Text(value.clone()));
    }
    Some(match key {
        "name" => Cell::Text(experiment.name.clone()),
        "experiment_id" => Cell::Text(experiment.id.to_string()),
        "creation_time" => Cell::Int(experiment.created),
        _ => Cell::Int(experiment.updated),
    })
}

pub(super) fn search(state: &mut State, request: &Json) -> Handled {
    let max = page::limit("max_results", request.int("max_results").unwrap_or(0), 50_000)?;
    let search = Search::new(
        Scope::Experiments,
        state.generation,
        request.text("filter"),
        &request.texts("order_by"),
    )?;
    let view = request.text("view_type");
    let mut found: Vec<&Experiment> = state
        .space
        .experiments
        .values()
        .filter(|experiment| in_view(view, experiment.deleted))
        .filter(|experiment| search.accepts(|entity, key| cell(experiment, entity, key)))
        .collect();
    found.sort_by(|a, b| {
        search
            .compare(|entity, key| (cell(a, entity, key), cell(b, entity, key)))
            .then_with(|| {
                if search.ordered() {
                    a.id.cmp(&b.id)
                } else {
                    b.created.cmp(&a.created).then(a.id.cmp(&b.id))
                }
            })
    });
    let (items, next) = page::slice(found, max, request.text("page_token"))?;
    Ok(page::answer(
        "experiments",
        items
            .into_iter()
            .map(|experiment| document(state, experiment))
            .collect(),
        next,
    ))
}

/// The datasets of the runs of some experiments.
pub(super) fn search_datasets(state: &mut State, request: &Json) -> Handled {
    let ids = request.texts("experiment_ids");
    if ids.len() > 20 {
        return Err(Refusal::invalid(
            "SearchDatasets request cannot specify more than 20 experiment_ids.",
        ));
    }
    let mut found: Vec<Value> = Vec::new();
    for run in state
        .space
        .runs
        .values()
        .filter(|run| ids.contains(&run.experiment.to_string()))
    {
        for input in &run.datasets {
            let mut summary = json!({
                "experiment_id": run.experiment.to_string(),
                "name": input.pointer("/dataset/name"),
                "digest": input.pointer("/dataset/digest"),
            });
            put(&mut summary, "context", super::runs::context(input).map(Value::from));
            if !found.contains(&summary) {
                found.push(summary);
            }
        }
    }
    let mut value = empty();
    put_list(&mut value, "dataset_summaries", found);
    Ok(value)
}
