//! Logged models, as far as `log_model` and the registry need them.

use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{Handled, Refusal, empty, pair_list, put_list, set_pair};
use super::experiments::active;
use super::json::Json;
use super::schema::Field;
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
    json!({"model": {"info": info, "data": data}})
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
    let answer = document(&model);
    state.logged_models.insert(id, model);
    Ok(answer)
}

pub(super) fn get(state: &mut State, id: &str) -> Handled {
    find(state, id).map(|model| document(model))
}

pub(super) fn finalize(state: &mut State, request: &Json) -> Handled {
    let model = find(state, request.text("model_id"))?;
    model.status = request
        .given("status")
        .unwrap_or("LOGGED_MODEL_STATUS_UNSPECIFIED")
        .to_owned();
    model.updated = now();
    Ok(document(model))
}

pub(super) fn delete(state: &mut State, id: &str) -> Handled {
    state.logged_models.remove(id);
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
