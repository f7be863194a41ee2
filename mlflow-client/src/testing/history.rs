//! Histories of metrics: in full, and thinned out for charts.

use std::collections::BTreeMap;

use super::answer::{Handled, Refusal};
use super::json::Json;
use super::page;
use super::runs::id_of;
use super::schema::Field;
use super::state::{Point, State};

pub(super) const HISTORY: &[Field] = &[
    Field::text("run_id").required(),
    Field::text("run_uuid").unchecked(),
    Field::text("metric_key").required(),
    Field::text("page_token"),
    Field::int("max_results").unchecked(),
];

pub(super) const BULK: &[Field] = &[
    Field::text("run_ids").list().required(),
    Field::text("metric_key").required(),
    Field::int("start_step"),
    Field::int("end_step"),
    Field::int("max_results"),
];

/// Most points of each run.
const MOST: usize = 2500;

pub(super) fn history(state: &mut State, request: &Json) -> Handled {
    let max = match request.int("max_results") {
        Some(count) => page::limit("max_results", count, usize::MAX)?,
        None => usize::MAX,
    };
    let key = request.text("metric_key");
    let mut points = state.space.runs
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

/// Points of several runs; of many, evenly chosen steps with the first and the last.
pub(super) fn bulk(state: &mut State, request: &Json) -> Handled {
    let runs = request.texts("run_ids");
    if runs.len() > 100 {
        return Err(Refusal::invalid(
            "GetMetricHistoryBulkInterval request must specify at most 100 run_ids.",
        ));
    }
    let most = match request.int("max_results") {
        None => MOST,
        Some(count) => match usize::try_from(count) {
            Ok(count @ 1..=MOST) => count,
            _ => return Err(Refusal::invalid(format!("max_results must be between 1 and {MOST}."))),
        },
    };
    let steps = match (request.int("start_step"), request.int("end_step")) {
        (None, None) => None,
        (Some(first), Some(last)) if first <= last => Some((first, last)),
        _ => {
            return Err(Refusal::invalid(
                "If either start step or end step are specified, both must be specified, and in order.",
            ));
        }
    };
    let key = request.text("metric_key");
    let mut by_run: BTreeMap<&str, Vec<Point>> = BTreeMap::new();
    for id in &runs {
        if let Some(run) = state.space.runs.get(id) {
            let within = |point: &&Point| steps.is_none_or(|(first, last)| (first..=last).contains(&point.step));
            by_run.insert(id, run.points(key).iter().filter(within).copied().collect());
        }
    }
    let mut all: Vec<i64> = by_run.values().flatten().map(|point| point.step).collect();
    all.sort_unstable();
    all.dedup();
    let chosen = sampled(&all, most);
    let mut found = Vec::new();
    for id in &runs {
        let Some(mut points) = by_run.remove(id.as_str()) else {
            continue;
        };
        points.retain(|point| chosen.binary_search(&point.step).is_ok());
        points.sort_by(|a, b| {
            (a.step, a.timestamp)
                .cmp(&(b.step, b.timestamp))
                .then_with(|| a.rank().total_cmp(&b.rank()))
        });
        points.truncate(MOST);
        found.extend(points.iter().map(|point| {
            let mut value = point.json(key);
            super::answer::put(&mut value, "run_id", Some(id.as_str().into()));
            value
        }));
    }
    Ok(page::answer("metrics", found, None))
}

/// Evenly chosen steps, with the first and the last.
fn sampled(steps: &[i64], most: usize) -> Vec<i64> {
    if steps.len() <= most {
        return steps.to_vec();
    }
    let mut chosen: Vec<i64> = (0..most).filter_map(|n| steps.get(n * steps.len() / most)).copied().collect();
    chosen.extend(steps.last());
    chosen.dedup();
    chosen
}
