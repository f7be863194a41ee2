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
    state.active_run(&id)?;
    about_models(state, &id, &[(request, point)])?;
    store(state, &id, &[(key, point)])?;
    Ok(empty())
}

/// Keeps points: all or none. In version 2 a second NaN is a database error, while other equal points are kept once.
pub(super) fn store(state: &mut State, run: &str, points: &[(String, Point)]) -> Handled<()> {
    let modern = state.is_3();
    let run = state.active_run(run)?;
    let nans = || points.iter().filter(|(_, point)| point.value.is_nan());
    let known = |(at, (key, new)): (usize, &(String, Point))| {
        let mut before = nans().take(at);
        before.any(|(other, point)| other == key && point.same(new)) || run.has(key, new)
    };
    if !modern && nans().enumerate().any(known) {
        return Err(Refusal::autoflush(
            "UNIQUE constraint failed: metrics.key, metrics.timestamp, metrics.step, metrics.run_uuid, metrics.value, metrics.is_nan",
        ));
    }
    for (key, point) in points {
        run.log(key, *point);
    }
    Ok(())
}

/// Notes points at the logged models that they are about: all or none.
pub(super) fn about_models(state: &mut State, run: &str, points: &[(&Json, Point)]) -> Handled<()> {
    if !state.is_3() {
        return Ok(());
    }
    let mut fresh: Vec<(String, ModelPoint)> = Vec::new();
    for (request, point) in points {
        let id = request.text("model_id");
        if id.is_empty() {
            continue;
        }
        let model = state.space.logged_models.get(id);
        let model = model.ok_or_else(|| Refusal::database("FOREIGN KEY constraint failed"))?;
        let new = ModelPoint {
            key: request.text("key").to_owned(),
            point: *point,
            dataset: match (request.text("dataset_name"), request.text("dataset_digest")) {
                ("", _) | (_, "") => None,
                (name, digest) => Some((name.to_owned(), digest.to_owned())),
            },
            run: run.to_owned(),
        };
        let before = fresh.iter().filter(|(known, _)| known == id).map(|(_, point)| point);
        let place = |point: &ModelPoint| {
            (
                point.key.clone(),
                point.run.clone(),
                point.point.timestamp,
                point.point.step,
            )
        };
        match model
            .metrics
            .iter()
            .chain(before)
            .find(|known| place(known) == place(&new))
        {
            None => fresh.push((id.to_owned(), new)),
            Some(known) if known.point.same(&new.point) && known.dataset == new.dataset => {}
            Some(_) => {
                return Err(Refusal::database(
                    "UNIQUE constraint failed: logged_model_metrics.model_id, logged_model_metrics.metric_name, \
                     logged_model_metrics.metric_timestamp_ms, logged_model_metrics.metric_step, logged_model_metrics.run_id",
                ));
            }
        }
    }
    for (id, point) in fresh {
        if let Some(model) = state.space.logged_models.get_mut(&id) {
            model.metrics.push(point);
        }
    }
    Ok(())
}
