//! Registered models, their tags and aliases.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answer::{Handled, Refusal, empty, pair_list, put, put_list, set_pair};
use super::json::Json;
use super::model_versions::{self, number};
use super::names;
use super::page;
use super::schema::Field;
use super::search::{Cell, PROMPT, Scope, Search};
use super::state::{Model, State, now};

const PAIR: &[Field] = &[Field::text("key"), Field::text("value")];
const NAME: Field = Field::text("name").required();
pub(super) const CREATE: &[Field] = &[NAME, Field::message("tags", PAIR).list(), Field::text("description")];
pub(super) const ID: &[Field] = &[NAME];
pub(super) const UPDATE: &[Field] = &[NAME, Field::text("description")];
pub(super) const RENAME: &[Field] = &[NAME, Field::text("new_name").required()];
pub(super) const LATEST: &[Field] = &[NAME, Field::text("stages").list()];
pub(super) const SEARCH: &[Field] = &[
    Field::text("filter"),
    Field::int("max_results"),
    Field::text("order_by").list(),
    Field::text("page_token"),
];
pub(super) const SET_TAG: &[Field] = &[NAME, Field::text("key").required(), Field::text("value")];
pub(super) const DELETE_TAG: &[Field] = &[NAME, Field::text("key").required()];
pub(super) const SET_ALIAS: &[Field] = &[NAME, Field::text("alias").required(), Field::text("version").required()];
pub(super) const ALIAS: &[Field] = &[NAME, Field::text("alias").required()];

/// The newest version of each stage.
fn latest(model: &Model, with_aliases: bool) -> Vec<Value> {
    let mut newest = BTreeMap::new();
    for version in model.versions.values() {
        newest.insert(version.stage, version);
    }
    newest
        .into_values()
        .map(|version| model_versions::document(model, version, with_aliases))
        .collect()
}

fn document(model: &Model) -> Value {
    let mut value = json!({
        "name": model.name,
        "creation_timestamp": model.created,
        "last_updated_timestamp": model.updated,
    });
    let description = (!model.description.is_empty()).then(|| json!(model.description));
    put(&mut value, "description", description);
    put_list(&mut value, "latest_versions", latest(model, false));
    put_list(&mut value, "tags", pair_list(&model.tags));
    let alias = |(alias, version): (&String, &i64)| json!({"alias": alias, "version": version.to_string()});
    put_list(&mut value, "aliases", model.aliases.iter().map(alias).collect());
    value
}

pub(super) fn model<'a>(state: &'a mut State, name: &str) -> Handled<&'a mut Model> {
    let missing = || Refusal::missing(format!("Registered Model with name={name} not found"));
    state.space.models.get_mut(name).ok_or_else(missing)
}

pub(super) fn create(state: &mut State, request: &Json) -> Handled {
    let name = request.text("name");
    names::model_of(state.generation, name)?;
    let mut tags = Vec::new();
    for (key, value) in request.pairs("tags") {
        names::registry_tag(&key, &value)?;
        set_pair(&mut tags, &key, &value);
    }
    if state.space.models.contains_key(name) {
        return Err(Refusal::exists(format!(
            "Registered Model (name={name}) already exists."
        )));
    }
    let now = now();
    let model = Model {
        name: name.to_owned(),
        created: now,
        updated: now,
        description: request.text("description").to_owned(),
        tags,
        aliases: BTreeMap::new(),
        versions: BTreeMap::new(),
        last: 0,
    };
    let answer = json!({"registered_model": document(&model)});
    state.space.models.insert(name.to_owned(), model);
    Ok(answer)
}

pub(super) fn get(state: &mut State, request: &Json) -> Handled {
    let name = request.text("name");
    names::model_of(state.generation, name)?;
    Ok(json!({"registered_model": document(model(state, name)?)}))
}

pub(super) fn update(state: &mut State, request: &Json) -> Handled {
    let model = model(state, request.text("name"))?;
    // A description that is not given is cleared.
    request.text("description").clone_into(&mut model.description);
    model.updated = now();
    Ok(json!({"registered_model": document(model)}))
}

pub(super) fn rename(state: &mut State, request: &Json) -> Handled {
    let (name, new) = (request.text("name"), request.text("new_name"));
    names::model_of(state.generation, new)?;
    drop(model(state, name)?.name.clone());
    if new != name && state.space.models.contains_key(new) {
        return Err(Refusal::exists(format!(
            "Registered Model (name={new}) already exists."
        )));
    }
    let Some(mut model) = state.space.models.remove(name) else {
        return Ok(empty());
    };
    new.clone_into(&mut model.name);
    model.updated = now();
    for version in model.versions.values_mut() {
        version.updated = model.updated;
    }
    let answer = json!({"registered_model": document(&model)});
    state.space.models.insert(new.to_owned(), model);
    Ok(answer)
}

pub(super) fn delete(state: &mut State, request: &Json) -> Handled {
    let name = request.text("name");
    names::model(name)?;
    let removed = state.space.models.remove(name).map(|_| empty());
    removed.ok_or_else(|| Refusal::missing(format!("Registered Model with name={name} not found")))
}

pub(super) fn latest_versions(state: &mut State, request: &Json) -> Handled {
    let model = model(state, request.text("name"))?;
    let mut stages = Vec::new();
    for stage in request.texts("stages") {
        stages.push(model_versions::stage(&stage)?);
    }
    let wanted = |version: &Value| {
        stages.is_empty()
            || version
                .get("current_stage")
                .is_some_and(|stage| stages.iter().any(|wanted| stage == wanted))
    };
    let versions = latest(model, true).into_iter().filter(wanted).collect();
    Ok(page::answer("model_versions", versions, None))
}

pub(super) fn set_tag(state: &mut State, request: &Json) -> Handled {
    let (key, value) = (request.text("key"), request.text("value"));
    names::registry_tag(key, value)?;
    set_pair(&mut model(state, request.text("name"))?.tags, key, value);
    Ok(empty())
}

pub(super) fn delete_tag(state: &mut State, request: &Json) -> Handled {
    let key = request.text("key");
    names::key("key", key)?;
    model(state, request.text("name"))?.tags.retain(|(name, _)| name != key);
    Ok(empty())
}

pub(super) fn set_alias(state: &mut State, request: &Json) -> Handled {
    let (name, alias) = (request.text("name"), request.text("alias"));
    names::alias(alias)?;
    let number = number(request.text("version"))?;
    let model = model(state, name)?;
    if !model.versions.contains_key(&number) {
        return Err(Refusal::missing(format!(
            "Model Version (name={name}, version={number}) not found"
        )));
    }
    model.aliases.insert(alias.to_owned(), number);
    Ok(empty())
}

pub(super) fn delete_alias(state: &mut State, request: &Json) -> Handled {
    let alias = request.text("alias");
    names::alias(alias)?;
    model(state, request.text("name"))?.aliases.remove(alias);
    Ok(empty())
}

pub(super) fn by_alias(state: &mut State, request: &Json) -> Handled {
    let alias = request.text("alias");
    let generation = state.generation;
    if generation.is_3() && alias.eq_ignore_ascii_case("latest") {
        let name = request.text("name");
        let model = model(state, name)?;
        let newest = model.versions.values().next_back();
        let newest = newest.ok_or_else(|| Refusal::missing(format!("Latest version not found for model {name}.")))?;
        return Ok(json!({"model_version": model_versions::document(model, newest, true)}));
    }
    names::alias(alias)?;
    let model = model(state, request.text("name")).map_err(|refusal| {
        if generation.is_3() {
            refusal
        } else {
            Refusal::invalid(format!("Registered model alias {alias} not found."))
        }
    })?;
    let number = model.aliases.get(alias);
    let number = number.ok_or_else(|| Refusal::invalid(format!("Registered model alias {alias} not found.")))?;
    // In version 2 an alias outlives its version.
    let version = model.versions.get(number).ok_or_else(|| {
        Refusal::missing(format!(
            "Model Version (name={}, version={number}) not found",
            model.name
        ))
    })?;
    Ok(json!({"model_version": model_versions::document(model, version, true)}))
}

fn cell(model: &Model, entity: &str, key: &str) -> Option<Cell> {
    match (entity, key) {
        ("tag", _) => model
            .tags
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| Cell::Text(value.clone())),
        (_, "name") => Some(Cell::Text(model.name.clone())),
        _ => Some(Cell::Int(model.updated)),
    }
}

pub(super) fn search(state: &mut State, request: &Json) -> Handled {
    let max = request.int("max_results").unwrap_or(100);
    // There is no lower limit: with 0 every page is empty and has a successor.
    if max > 1000 {
        page::limit("max_results", max, 1000)?;
    }
    let mut search = Search::new(
        Scope::Models,
        state.generation,
        request.text("filter"),
        &request.texts("order_by"),
    )?;
    // Prompts are kept as registered models, and only a search that asks for them shows them.
    let prompts = search.takes_prompts();
    let prompt = |model: &Model| model.tags.iter().any(|(key, value)| key == PROMPT && value == "true");
    let mut found: Vec<&Model> = state
        .space
        .models
        .values()
        .filter(|model| prompts || !prompt(model))
        .filter(|model| search.accepts(|entity, key| cell(model, entity, key)))
        .collect();
    found.sort_by(|a, b| {
        search
            .compare(|entity, key| (cell(a, entity, key), cell(b, entity, key)))
            .then_with(|| a.name.cmp(&b.name))
    });
    let (items, next) = page::any_slice(found, max, request.text("page_token"))?;
    Ok(page::answer(
        "registered_models",
        items.into_iter().map(document).collect(),
        next,
    ))
}
