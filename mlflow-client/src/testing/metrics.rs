//! Metric points and their history.

use super::answer::{Handled, Refusal, empty};
use super::json::Json;
use super::names;
use super::page;
use super::runs::id_of;
use super::schema::Field;
use super::state::{Point, State};

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
pub(super) const HISTORY: &[Field] = &[
    Field::text("run_id").required(),
    Field::text("run_uuid").unchecked(),
    Field::text("metric_key").required(),
    Field::text("page_token"),
    Field::int("max_results").unchecked(),
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
    state.active_run(id_of(request))?.log(&key, point);
    Ok(empty())
}

pub(super) fn history(state: &mut State, request: &Json) -> Handled {
    let max = match request.int("max_results") {
        Some(count) => page::limit("max_results", count, usize::MAX)?,
        None => usize::MAX,
    };
    let key = request.text("metric_key");
    let mut points = state
        .runs
        .get(id_of(request))
        .map(|run| run.points(key).to_vec())
        .unwrap_or_default();
    points.sort_by(|a, b| {
        (a.timestamp, a.step)
            .cmp(&(b.timestamp, b.step))
            .then_with(|| a.rank().total_cmp(&b.rank()))
    });
    let (items, next) = page::slice(points, max, request.text("page_token"))?;
    Ok(page::answer(
        "metrics",
        items.iter().map(|point| point.json(key)).collect(),
        next,
    ))
}
