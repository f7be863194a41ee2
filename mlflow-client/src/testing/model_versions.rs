//! Versions of registered models.

use serde_json::{Value, json};

use super::answer::{Handled, Refusal, empty, pair_list, put, put_list, set_pair};
use super::json::Json;
use super::names;
use super::page;
use super::registered_models::model;
use super::schema::Field;
use super::search::{Cell, PROMPT, Scope, Search};
use super::sources::{self, Source};
use super::state::{Model, State, Version, now};

const STAGES: &[&str] = &["None", "Staging", "Production", "Archived"];
const PAIR: &[Field] = &[Field::text("key"), Field::text("value")];
const NAME: Field = Field::text("name").required();
const NUMBER: Field = Field::text("version").required();
pub(super) const CREATE: &[Field] = &[
    NAME,
    Field::text("source").required(),
    Field::text("run_id"),
    Field::message("tags", PAIR).list(),
    Field::text("run_link"),
    Field::text("description"),
    Field::text("model_id"),
];
pub(super) const ID: &[Field] = &[NAME, NUMBER];
pub(super) const UPDATE: &[Field] = &[NAME, NUMBER, Field::text("description")];
pub(super) const STAGE: &[Field] = &[
    NAME,
    NUMBER,
    Field::text("stage").required(),
    Field::bool("archive_existing_versions"),
];
pub(super) const SEARCH: &[Field] = &[
    Field::text("filter"),
    Field::int("max_results"),
    Field::text("order_by").list(),
    Field::text("page_token"),
];
pub(super) const SET_TAG: &[Field] = &[NAME, NUMBER, Field::text("key").required(), Field::text("value")];
pub(super) const DELETE_TAG: &[Field] = &[NAME, NUMBER, Field::text("key").required()];

/// A version's number from its text.
pub(super) fn number(text: &str) -> Handled<i64> {
    text.parse()
        .map_err(|_| Refusal::invalid(format!("Parameter 'version' must be an integer, got '{text}'.")))
}

/// A stage in its canonical spelling.
pub(super) fn stage(name: &str) -> Handled<&'static str> {
    let known = STAGES.iter().find(|stage| stage.eq_ignore_ascii_case(name)).copied();
    known.ok_or_else(|| {
        Refusal::invalid(format!(
            "Invalid Model Version stage: {name}. Value must be one of {STAGES:?}."
        ))
    })
}

pub(super) fn document(model: &Model, version: &Version, with_aliases: bool) -> Value {
    let mut value = json!({
        "name": model.name,
        "version": version.number.to_string(),
        "creation_timestamp": version.created,
        "last_updated_timestamp": version.updated,
        "current_stage": version.stage,
        "source": version.source,
        "run_id": version.run,
        "status": "READY",
        "run_link": version.link,
    });
    put(
        &mut value,
        "description",
        version.description.as_ref().map(|text| json!(text)),
    );
    put_list(&mut value, "tags", pair_list(&version.tags));
    if with_aliases {
        let aliases = model.aliases.iter().filter(|(_, number)| **number == version.number);
        put_list(&mut value, "aliases", aliases.map(|(alias, _)| json!(alias)).collect());
    }
    value
}

fn find<'a>(state: &'a mut State, request: &Json) -> Handled<&'a mut Model> {
    let name = request.text("name");
    let number = number(request.text("version"))?;
    let missing = || Refusal::missing(format!("Model Version (name={name}, version={number}) not found"));
    let model = state.space.models.get_mut(name).ok_or_else(missing)?;
    if model.versions.contains_key(&number) {
        Ok(model)
    } else {
        Err(missing())
    }
}

/// Changes a version and answers with it.
fn change(state: &mut State, request: &Json, by: impl FnOnce(&mut Version)) -> Handled {
    let number = number(request.text("version"))?;
    let model = find(state, request)?;
    let mut value = empty();
    if let Some(version) = model.versions.get_mut(&number) {
        by(version);
        version.updated = now();
    }
    if let Some(version) = model.versions.get(&number) {
        value = document(model, version, true);
    }
    Ok(json!({"model_version": value}))
}

pub(super) fn create(state: &mut State, request: &Json) -> Handled {
    let (name, source) = (request.text("name"), request.text("source"));
    let model_id = if state.is_3() { request.text("model_id") } else { "" }.to_owned();
    let mut tags = request.pairs("tags");
    // For version 2 the name of the tag is enough.
    let prompt = tags
        .iter()
        .any(|(key, value)| key == PROMPT && (!state.is_3() || value.eq_ignore_ascii_case("true")));
    let resolved = if prompt {
        // What the official client and the server's own store send, since a prompt has no files.
        if state.is_3() && !matches!(source, "dummy-source" | "prompt-template") {
            return Err(sources::refuse_of_prompt(source));
        }
        Source {
            stored: source.to_owned(),
            storage: source.to_owned(),
            run: request.text("run_id").to_owned(),
        }
    } else {
        sources::resolve(state, source, request.text("run_id"), &model_id)?
    };
    names::model_of(state.generation, name)?;
    for (key, value) in &tags {
        names::registry_tag(key, value)?;
    }
    let mut unique = Vec::new();
    for (key, value) in tags.drain(..) {
        set_pair(&mut unique, &key, &value);
    }
    if !model_id.is_empty() && !state.space.logged_models.contains_key(&model_id) {
        return Err(Refusal::missing(format!(
            "Logged model with ID '{model_id}' not found."
        )));
    }
    let model = model(state, name)?;
    model.last += 1;
    let now = now();
    let version = Version {
        number: model.last,
        created: now,
        updated: now,
        stage: "None",
        description: Some(request.text("description").to_owned()),
        source: resolved.stored,
        storage: resolved.storage,
        run: resolved.run,
        link: request.text("run_link").to_owned(),
        tags: unique,
    };
    model.updated = now;
    let answer = json!({"model_version": document(model, &version, true)});
    model.versions.insert(version.number, version);
    Ok(answer)
}

pub(super) fn get(state: &mut State, request: &Json) -> Handled {
    let number = number(request.text("version"))?;
    let model = find(state, request)?;
    let version = model
        .versions
        .get(&number)
        .map(|version| document(model, version, true));
    Ok(json!({"model_version": version}))
}

pub(super) fn update(state: &mut State, request: &Json) -> Handled {
    let description = request.given("description").map(str::to_owned);
    change(state, request, |version| version.description = description)
}

pub(super) fn transition(state: &mut State, request: &Json) -> Handled {
    let target = stage(request.text("stage"))?;
    let archive = request.flag("archive_existing_versions");
    if archive && !matches!(target, "Staging" | "Production") {
        return Err(Refusal::internal(format!(
            "Model version transition cannot archive existing model versions because '{target}' is not an Active stage."
        )));
    }
    let number = number(request.text("version"))?;
    let model = find(state, request)?;
    if archive {
        for version in model
            .versions
            .values_mut()
            .filter(|version| version.stage == target && version.number != number)
        {
            version.stage = "Archived";
            version.updated = now();
        }
    }
    model.updated = now();
    change(state, request, |version| version.stage = target)
}

pub(super) fn delete(state: &mut State, request: &Json) -> Handled {
    let number = number(request.text("version"))?;
    let modern = state.is_3();
    let model = find(state, request)?;
    model.versions.remove(&number);
    if modern {
        model.aliases.retain(|_, version| *version != number);
    }
    model.updated = now();
    Ok(empty())
}

pub(super) fn download_uri(state: &mut State, request: &Json) -> Handled {
    let number = number(request.text("version"))?;
    let model = find(state, request)?;
    let uri = model.versions.get(&number).map(|version| {
        // A source of this form is not resolved (MLflow 3.17).
        let unresolved = version.source.starts_with("runs:");
        if unresolved {
            version.source.clone()
        } else {
            version.storage.clone()
        }
    });
    Ok(json!({"artifact_uri": uri}))
}

pub(super) fn set_tag(state: &mut State, request: &Json) -> Handled {
    let (key, value) = (request.text("key"), request.text("value"));
    names::registry_tag(key, value)?;
    let number = number(request.text("version"))?;
    if let Some(version) = find(state, request)?.versions.get_mut(&number) {
        set_pair(&mut version.tags, key, value);
    }
    Ok(empty())
}

pub(super) fn delete_tag(state: &mut State, request: &Json) -> Handled {
    let number = number(request.text("version"))?;
    if let Some(version) = find(state, request)?.versions.get_mut(&number) {
        version.tags.retain(|(key, _)| key != request.text("key"));
    }
    Ok(empty())
}

fn cell(model: &Model, version: &Version, entity: &str, key: &str) -> Option<Cell> {
    if entity == "tag" {
        return version
            .tags
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| Cell::Text(value.clone()));
    }
    Some(match key {
        "name" => Cell::Text(model.name.clone()),
        "run_id" => Cell::Text(version.run.clone()),
        "source_path" => Cell::Text(version.source.clone()),
        "version_number" => Cell::Int(version.number),
        "creation_timestamp" => Cell::Int(version.created),
        _ => Cell::Int(version.updated),
    })
}

pub(super) fn search(state: &mut State, request: &Json) -> Handled {
    let max = page::limit("max_results", request.int("max_results").unwrap_or(10_000), 200_000)?;
    let mut search = Search::new(
        Scope::Versions,
        state.generation,
        request.text("filter"),
        &request.texts("order_by"),
    )?;
    let prompts = search.takes_prompts();
    let is_prompt = |model: &Model| {
        let mut tags = model.versions.values().flat_map(|version| &version.tags);
        tags.any(|(key, value)| key == PROMPT && value == "true")
    };
    let mut found: Vec<(&Model, &Version)> = state
        .space
        .models
        .values()
        .filter(|model| prompts || !is_prompt(model))
        .flat_map(|model| model.versions.values().map(move |version| (model, version)))
        .filter(|(model, version)| search.accepts(|entity, key| cell(model, version, entity, key)))
        .collect();
    found.sort_by(|a, b| {
        search
            .compare(|entity, key| (cell(a.0, a.1, entity, key), cell(b.0, b.1, entity, key)))
            .then_with(|| b.1.updated.cmp(&a.1.updated))
            .then_with(|| a.0.name.cmp(&b.0.name))
            .then_with(|| b.1.number.cmp(&a.1.number))
    });
    let (items, next) = page::slice(found, max, request.text("page_token"))?;
    let items = items
        .into_iter()
        .map(|(model, version)| document(model, version, false))
        .collect();
    Ok(page::answer("model_versions", items, next))
}
