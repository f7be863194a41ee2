//! Metric points and their history.

use super::answer::{Handled, Refusal, empty};
use super::json::Json;
use super::names;
use super::runs::id_of;
use super::schema::Field;
use super::state::{ModelPoint, Point, State};

pub(super) const LOG: &[Field] = &[
    Field::text("run_id").required(),
    Field::text("run_uuid").unchecked(),
    Field::text("key").required(),
    Field::float("value").required(),
    Field::int("timestamp").required(),
    Field::int("step"),
    Field::text("model_id"),
    Field::text("dataset_name"),
    Field::text("dataset_digest"),
];
/// Reads a point out of a request, after the checks of its key and time.
pub(super) fn point(request: &Json, path: &str) -> Handled<(String, Point)> {
    let key = request.text("key");
    names::key(&format!("{path}name"), key)?;
    let value = request.float("value");
    let value = if value.is_infinite() {
        f64::MAX.copysign(value)
    } else {
        value
    };
    let timestamp = request.int("timestamp").unwrap_or(0);
    if timestamp < 0 {
        return Err(Refusal::invalid(format!(
            "Invalid value {timestamp} for parameter '{path}timestamp' supplied: metric '{key}' (value={value}). \
             Timestamp must be a nonnegative long (64-bit integer) "
        )));
    }
    Ok((
        key.to_owned(),
        Point {
            value,
            timestamp,
            step: request.int("step").unwrap_or(0),
        },
    ))
}

pub(super) fn log(state: &mut State, request: &Json) -> Handled {
    let (key, point) = point(request, "")?;
    let id = id_of(request).to_owned();
    state.active_run(&id)?.log(&key, point);
    about_model(state, &id, request, point);
    Ok(empty())
}

/// Notes a point at the logged model that it is about.
pub(super) fn about_model(state: &mut State, run: &str, request: &Json, point: Point) {
    if !state.is_3() {
        return;
    }
    let Some(model) = state.space.logged_models.get_mut(request.text("model_id")) else {
        return;
    };
    let dataset = match (request.text("dataset_name"), request.text("dataset_digest")) {
        ("", _) | (_, "") => None,
        (name, digest) => Some((name.to_owned(), digest.to_owned())),
    };
    model.metrics.push(ModelPoint {
        key: request.text("key").to_owned(),
        point,
        dataset,
        run: run.to_owned(),
    });
}
