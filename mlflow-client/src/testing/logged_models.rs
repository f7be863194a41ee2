//! Logged models, as far as `log_model` and the registry need them.

use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{Handled, Refusal, empty, pair_list, put_list, set_pair};
use super::experiments::active;
use super::json::Json;
use super::page;
use super::schema::Field;
use super::search::{Cell, Scope, Search};
use super::state::{LoggedModel, State, now};

const STATUS: &[(&str, i64)] = &[
    ("LOGGED_MODEL_PENDING", 1),
    ("LOGGED_MODEL_READY", 2),
    ("LOGGED_MODEL_UPLOAD_FAILED", 3),
];
const PAIR: &[Field] = &[Field::text("key"), Field::text("value")];
pub(super) const CREATE: &[Field] = &[
    Field::text("experiment_id").required(),
    Field::text("name"),
    Field::text("model_type"),
    Field::text("source_run_id"),
    Field::message("params", PAIR).list(),
    Field::message("tags", PAIR).list(),
];
pub(super) const FINALIZE: &[Field] = &[
    Field::text("model_id").required(),
    Field::choice("status", STATUS).required(),
];
pub(super) const TAGS: &[Field] = &[Field::message("tags", PAIR).list()];
pub(super) const PARAMS: &[Field] = &[
    Field::text("model_id").required(),
    Field::message("params", PAIR).list(),
];

const DATASET: &[Field] = &[Field::text("dataset_name"), Field::text("dataset_digest")];
const ORDER: &[Field] = &[Field::text("field_name"), Field::bool("ascending")];
pub(super) const SEARCH: &[Field] = &[
    Field::text("experiment_ids").list().required(),
    Field::text("filter"),
    Field::message("datasets", DATASET).list(),
    Field::int("max_results"),
    Field::message("order_by", ORDER).list(),
    Field::text("page_token"),
];

fn document(model: &LoggedModel) -> Value {
    let mut info = json!({
        "model_id": model.id,
        "experiment_id": model.experiment.to_string(),
        "name": model.name,
        "creation_timestamp_ms": model.created,
        "last_updated_timestamp_ms": model.updated,
        "artifact_uri": model.uri,
        "status": model.status,
        "model_type": model.kind,
        "source_run_id": model.run,
    });
    put_list(&mut info, "tags", pair_list(&model.tags));
    let mut data = empty();
    put_list(&mut data, "params", pair_list(&model.params));
    json!({"info": info, "data": data})
}

fn answer(model: &LoggedModel) -> Value {
    json!({"model": document(model)})
}

fn find<'a>(state: &'a mut State, id: &str) -> Handled<&'a mut LoggedModel> {
    let missing = || Refusal::missing(format!("Logged model with ID '{id}' not found."));
    state.logged_models.get_mut(id).ok_or_else(missing)
}

pub(super) fn create(state: &mut State, request: &Json) -> Handled {
    let experiment = active(state, request.text("experiment_id"))?;
    let id = format!("m-{}", Uuid::new_v4().simple());
    let name = match request.text("name") {
        "" => format!("calm-{}", id.get(2..6).unwrap_or("model")),
        name if name.contains(['/', ':', '.', '%', '"', '\'']) => {
            return Err(Refusal::invalid(format!("Invalid model name ({name})")));
        }
        name => name.to_owned(),
    };
    let now = now();
    let model = LoggedModel {
        uri: format!("{}/models/{id}/artifacts", experiment.location.trim_end_matches('/')),
        experiment: experiment.id,
        name,
        created: now,
        updated: now,
        status: "LOGGED_MODEL_PENDING".to_owned(),
        kind: request.text("model_type").to_owned(),
        run: request.text("source_run_id").to_owned(),
        tags: request.pairs("tags"),
        params: request.pairs("params"),
        id: id.clone(),
    };
    let answer = answer(&model);
    state.logged_models.insert(id, model);
    Ok(answer)
}

pub(super) fn get(state: &mut State, id: &str) -> Handled {
    find(state, id).map(|model| answer(model))
}

pub(super) fn finalize(state: &mut State, request: &Json) -> Handled {
    let model = find(state, request.text("model_id"))?;
    request
        .given("status")
        .unwrap_or("LOGGED_MODEL_STATUS_UNSPECIFIED")
        .clone_into(&mut model.status);
    model.updated = now();
    Ok(answer(model))
}

/// Deletes a model; one that is not there is as good as deleted.
pub(super) fn delete(state: &mut State, id: &str) -> Value {
    state.logged_models.remove(id);
    empty()
}

pub(super) fn set_tags(state: &mut State, id: &str, request: &Json) -> Handled {
    let model = find(state, id)?;
    for (key, value) in request.pairs("tags") {
        set_pair(&mut model.tags, &key, &value);
    }
    Ok(empty())
}

pub(super) fn log_params(state: &mut State, request: &Json) -> Handled {
    let model = find(state, request.text("model_id"))?;
    let params = request.pairs("params");
    if params
        .iter()
        .any(|(key, _)| model.params.iter().any(|(known, _)| known == key))
    {
        return Err(Refusal::database(
            "UNIQUE constraint failed: logged_model_params.model_id, logged_model_params.param_key",
        ));
    }
    model.params.extend(params);
    Ok(empty())
}

pub(super) fn delete_tag(state: &mut State, id: &str, key: &str) -> Handled {
    let model = find(state, id)?;
    let before = model.tags.len();
    model.tags.retain(|(name, _)| name != key);
    if model.tags.len() == before {
        return Err(Refusal::missing(format!(
            "No tag with key {key} found for model with ID {id}."
        )));
    }
    Ok(empty())
}

fn cell(model: &LoggedModel, entity: &str, key: &str) -> Option<Cell> {
    let pairs = match entity {
        "tag" => &model.tags,
        "param" => &model.params,
        "metric" => return None,
        _ => {
            return Some(match key {
                "name" => Cell::Text(model.name.clone()),
                "model_id" => Cell::Text(model.id.clone()),
                "model_type" => Cell::Text(model.kind.clone()),
                "source_run_id" => Cell::Text(model.run.clone()),
                "status" => {
                    let known = STATUS.iter().find(|(name, _)| *name == model.status);
                    Cell::Int(known.map_or(0, |(_, number)| *number))
                }
                "creation_timestamp" => Cell::Int(model.created),
                _ => Cell::Int(model.updated),
            });
        }
    };
    pairs
        .iter()
        .find(|(name, _)| name == key)
        .map(|(_, value)| Cell::Text(value.clone()))
}

pub(super) fn search(state: &mut State, request: &Json) -> Handled {
    let mut order = Vec::new();
    for item in request.list("order_by") {
        let descending = item.get("ascending") == Some(&Json::Bool(false));
        order.push(format!(
            "{} {}",
            item.text("field_name"),
            if descending { "DESC" } else { "ASC" }
        ));
    }
    let search = Search::new(Scope::LoggedModels, request.text("filter"), &order)?;
    let experiments = request.texts("experiment_ids");
    let mut found: Vec<&LoggedModel> = state
        .logged_models
        .values()
        .filter(|model| experiments.contains(&model.experiment.to_string()))
        .filter(|model| search.accepts(|entity, key| cell(model, entity, key)))
        .collect();
    found.sort_by(|a, b| {
        search
            .compare(|entity, key| (cell(a, entity, key), cell(b, entity, key)))
            .then_with(|| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)))
    });
    let max = request.int("max_results").filter(|count| *count != 0).unwrap_or(100);
    let (items, next) = page::any_slice(found, max, request.text("page_token"))?;
    Ok(page::answer("models", items.into_iter().map(document).collect(), next))
}
