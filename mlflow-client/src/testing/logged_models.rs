//! Logged models, as far as `log_model` and the registry need them.

use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{Answer, Handled, Refusal, empty, pair_list, put, put_list, set_pair};
use super::artifacts;
use super::experiments::active;
use super::json::Json;
use super::page;
use super::schema::Field;
use super::search::{Cell, Scope, Search};
use super::state::{LoggedModel, ModelPoint, State, now};

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
const ORDER: &[Field] = &[
    Field::text("field_name"),
    Field::bool("ascending"),
    Field::text("dataset_name"),
    Field::text("dataset_digest"),
];
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
    put_list(
        &mut data,
        "metrics",
        model.metrics.iter().map(|point| metric(model, point)).collect(),
    );
    json!({"info": info, "data": data})
}

/// The latest point of each metric and dataset.
fn latest(model: &LoggedModel) -> Vec<&ModelPoint> {
    let mut found: Vec<&ModelPoint> = Vec::new();
    for point in &model.metrics {
        let rank = |point: &ModelPoint| (point.point.step, point.point.timestamp);
        match found
            .iter_mut()
            .find(|known| known.key == point.key && known.dataset == point.dataset && known.run == point.run)
        {
            Some(known) if rank(known) > rank(point) => {}
            Some(known) if rank(known) == rank(point) && known.point.rank() > point.point.rank() => {}
            Some(known) => *known = point,
            None => found.push(point),
        }
    }
    found
}

fn metric(model: &LoggedModel, point: &ModelPoint) -> Value {
    let mut value = point.point.json(&point.key);
    put(&mut value, "model_id", Some(json!(model.id)));
    put(&mut value, "run_id", Some(json!(point.run)));
    if let Some((name, digest)) = &point.dataset {
        put(&mut value, "dataset_name", Some(json!(name)));
        put(&mut value, "dataset_digest", Some(json!(digest)));
    }
    value
}

/// Files and directories right below a path.
pub(super) fn list_artifacts(state: &mut State, id: &str, path: &str) -> Handled<Answer> {
    let uri = find(state, id)?.uri.clone();
    artifacts::list_of_model(state, &uri, path)
}

/// A file.
pub(super) fn file(state: &mut State, id: &str, path: &str, range: Option<&str>) -> Handled<Answer> {
    let uri = find(state, id)?.uri.clone();
    artifacts::below(state, &uri, path, range)
}

fn answer(model: &LoggedModel) -> Value {
    json!({"model": document(model)})
}

fn find<'a>(state: &'a mut State, id: &str) -> Handled<&'a mut LoggedModel> {
    let found = state.space.logged_models.get_mut(id).filter(|model| !model.deleted);
    found.ok_or_else(|| missing(id))
}

fn missing(id: &str) -> Refusal {
    Refusal::missing(format!("Logged model with ID '{id}' not found."))
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
        metrics: Vec::new(),
        deleted: false,
        id: id.clone(),
    };
    let answer = answer(&model);
    state.space.logged_models.insert(id, model);
    Ok(answer)
}

pub(super) fn get(state: &mut State, id: &str) -> Handled {
    find(state, id).map(|model| answer(model))
}

pub(super) fn finalize(state: &mut State, request: &Json) -> Handled {
    // Deleted ones are changed as well.
    let id = request.text("model_id");
    let model = state.space.logged_models.get_mut(id).ok_or_else(|| missing(id))?;
    request
        .given("status")
        .unwrap_or("LOGGED_MODEL_STATUS_UNSPECIFIED")
        .clone_into(&mut model.status);
    model.updated = now();
    Ok(answer(model))
}

/// Deletes a model, again if need be.
pub(super) fn delete(state: &mut State, id: &str) -> Handled {
    let model = state.space.logged_models.get_mut(id).ok_or_else(|| missing(id))?;
    model.deleted = true;
    Ok(empty())
}

pub(super) fn set_tags(state: &mut State, id: &str, request: &Json) -> Handled {
    let model = find(state, id)?;
    for (key, value) in request.pairs("tags") {
        set_pair(&mut model.tags, &key, &value);
    }
    Ok(empty())
}

pub(super) fn log_params(state: &mut State, request: &Json) -> Handled {
    let Ok(model) = find(state, request.text("model_id")) else {
        return Err(Refusal::database("FOREIGN KEY constraint failed"));
    };
    let params = request.pairs("params");
    let twice = |(at, (key, _)): (usize, &(String, String))| {
        let before = params.iter().take(at);
        model.params.iter().chain(before).any(|(known, _)| known == key)
    };
    if params.iter().enumerate().any(twice) {
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

/// What a filter or order looks at. An order takes a dataset without a digest for any of that name, a filter does not.
fn cell(model: &LoggedModel, datasets: &[(String, String)], any_digest: bool, entity: &str, key: &str) -> Option<Cell> {
    let pairs = match entity {
        "tag" => &model.tags,
        "param" => &model.params,
        "metric" => {
            let of = |point: &&&ModelPoint| {
                point.key == key
                    && (datasets.is_empty()
                        || point.dataset.as_ref().is_some_and(|(name, digest)| {
                            let same = |(wanted, exact): &(String, String)| {
                                wanted == name && (exact == digest || any_digest && exact.is_empty())
                            };
                            datasets.iter().any(same)
                        }))
            };
            let points = latest(model);
            let values: Vec<f64> = points.iter().filter(of).map(|point| point.point.value).collect();
            return (!values.is_empty()).then_some(Cell::Numbers(values));
        }
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
                "experiment_id" => Cell::Text(model.experiment.to_string()),
                "creation_timestamp" | "creation_time" | "creation_timestamp_ms" => Cell::Int(model.created),
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
    let search = Search::new(Scope::LoggedModels, state.generation, request.text("filter"), &order)?;
    let dataset = |item: &Json| {
        (
            item.text("dataset_name").to_owned(),
            item.text("dataset_digest").to_owned(),
        )
    };
    let datasets: Vec<_> = request.list("datasets").iter().map(dataset).collect();
    let orders: Vec<_> = request.list("order_by").iter().map(dataset).collect();
    let ordered: Vec<_> = orders
        .into_iter()
        .find(|(name, _)| !name.is_empty())
        .into_iter()
        .collect();
    let experiments = request.texts("experiment_ids");
    if let Some(id) = experiments.iter().find(|id| id.parse::<i64>().is_err()) {
        return Err(Refusal::invalid(format!(
            "Invalid experiment ID '{id}'. Experiment ID must be a valid integer."
        )));
    }
    // Tokens hold what they were made for.
    let bound = format!(
        "{experiments:?} {:?} {:?} {order:?}",
        request.text("filter"),
        request.list("datasets")
    );
    let token = match request.text("page_token") {
        "" => String::new(),
        token => match page::unbind(token) {
            None => return Err(Refusal::Page(500)),
            Some((token, of)) if of == bound => token,
            Some(_) => {
                return Err(Refusal::invalid(
                    "Filter string, order by or experiments in the page token do not match the requested ones.",
                ));
            }
        },
    };
    let mut found: Vec<&LoggedModel> = state
        .space
        .logged_models
        .values()
        .filter(|model| !model.deleted)
        .filter(|model| experiments.contains(&model.experiment.to_string()))
        .filter(|model| search.accepts(|entity, key| cell(model, &datasets, false, entity, key)))
        .collect();
    found.sort_by(|a, b| {
        search
            .compare(|entity, key| {
                (
                    cell(a, &ordered, true, entity, key),
                    cell(b, &ordered, true, entity, key),
                )
            })
            .then_with(|| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)))
    });
    let max = request.int("max_results").filter(|count| *count != 0).unwrap_or(100);
    let (items, next) = page::any_slice(found, max, &token)?;
    let next = next.map(|token| page::bind(&token, &bound));
    Ok(page::answer("models", items.into_iter().map(document).collect(), next))
}
