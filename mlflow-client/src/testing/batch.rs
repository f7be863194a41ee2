//! `log-batch`: everything or nothing.

use super::answer::{Handled, Refusal, empty, set_pair};
use super::json::Json;
use super::metrics::{self, point};
use super::names;
use super::runs::{conflict, conflict_message, tag};
use super::schema::Field;
use super::state::State;

const PAIR: &[Field] = &[Field::text("key"), Field::text("value")];
const METRIC: &[Field] = &[
    Field::text("key"),
    Field::float("value"),
    Field::int("timestamp"),
    Field::int("step"),
    Field::text("dataset_name"),
    Field::text("dataset_digest"),
    Field::text("model_id"),
];
pub(super) const LOG: &[Field] = &[
    Field::text("run_id").required(),
    Field::message("metrics", METRIC).list(),
    Field::message("params", PAIR).list(),
    Field::message("tags", PAIR).list(),
];

/// Checks on the raw body what its message cannot tell: which keys were missing.
pub(super) fn check(raw: &Json) -> Handled<()> {
    for (list, fields) in [
        ("metrics", ["key", "value", "timestamp"].as_slice()),
        ("params", &["key"]),
        ("tags", &["key"]),
    ] {
        match raw.get(list) {
            Some(Json::Null) => return Err(Refusal::Page(500)),
            Some(Json::List(_)) | None => {}
            Some(_) => {
                return Err(Refusal::invalid(format!(
                    "Invalid value for parameter '{list}' supplied."
                )));
            }
        }
        for (at, item) in raw.list(list).iter().enumerate() {
            if !matches!(item, Json::Object(_)) {
                return Err(Refusal::Page(500));
            }
            for field in fields {
                let missing = match item.get(field) {
                    None | Some(Json::Null) => true,
                    Some(Json::Text(text)) => text.is_empty(),
                    Some(_) => false,
                };
                if missing {
                    return Err(Refusal::required(&format!("{list}[{at}].{field}")));
                }
            }
        }
    }
    Ok(())
}

fn limit(name: &str, count: usize, most: usize) -> Handled<()> {
    if count > most {
        return Err(Refusal::invalid(format!(
            "A batch logging request can contain at most {most} {name}. Got {count} {name}. Please split up {name} across multiple requests and try again."
        )));
    }
    Ok(())
}

pub(super) fn log(state: &mut State, request: &Json) -> Handled {
    let (logged, params, tags) = (request.list("metrics"), request.list("params"), request.list("tags"));
    let mut points = Vec::with_capacity(logged.len());
    for (at, metric) in logged.iter().enumerate() {
        points.push(point(metric, &format!("metrics[{at}]."))?);
    }
    let mut fresh: Vec<(String, String)> = Vec::with_capacity(params.len());
    for (at, (key, value)) in request.pairs("params").into_iter().enumerate() {
        names::key(&format!("params[{at}].key"), &key)?;
        fresh.push((key, names::cut(&value, 6000)));
    }
    for (at, (key, _)) in request.pairs("tags").iter().enumerate() {
        names::key(&format!("tags[{at}].key"), key)?;
    }
    limit("metrics", logged.len(), 1000)?;
    limit("params", params.len(), 100)?;
    limit("tags", tags.len(), 100)?;
    limit(
        "metrics, params, and tags",
        logged.len() + params.len() + tags.len(),
        1000,
    )?;
    let mut keys: Vec<&str> = fresh.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    if let Some(pair) = keys.windows(2).find(|pair| pair.first() == pair.get(1)) {
        return Err(Refusal::invalid(format!(
            "Duplicate parameter keys have been submitted: {pair:?}. Please ensure the request contains only one param value per param key."
        )));
    }
    let id = request.text("run_id");
    if id.is_empty() {
        return Err(Refusal::invalid("Invalid value \"\" for parameter 'run_id' supplied."));
    }
    let run = state.active_run(id)?;
    let conflicts: Vec<String> = fresh
        .iter()
        .filter_map(|(key, value)| conflict(run, key, value))
        .collect();
    if !conflicts.is_empty() {
        return Err(conflict_message(id, &conflicts));
    }
    for (key, value) in &fresh {
        set_pair(&mut run.params, key, value);
    }
    metrics::store(state, id, &points)?;
    let about: Vec<_> = logged
        .iter()
        .zip(&points)
        .map(|(metric, (_, point))| (metric, *point))
        .collect();
    metrics::about_models(state, id, &about)?;
    let run = state.active_run(id)?;
    for (key, value) in request.pairs("tags") {
        tag(run, &key, &value);
    }
    Ok(empty())
}
