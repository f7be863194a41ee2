//! Histories of metrics: in full, and thinned out for charts.

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
    let paged = state.is_3();
    let max = match request.int("max_results").filter(|_| paged) {
        Some(count) => page::limit("max_results", count, usize::MAX)?,
        None => usize::MAX,
    };
    let key = request.text("metric_key");
    let mut points = state
        .space
        .runs
        .get(id_of(request))
        .map(|run| run.points(key).to_vec())
        .unwrap_or_default();
    points.sort_by(|a, b| {
        (a.timestamp, a.step)
            .cmp(&(b.timestamp, b.step))
            .then_with(|| a.compare_value(b))
    });
    let token = if paged { request.text("page_token") } else { "" };
    let (items, next) = page::slice(points, max, token)?;
    Ok(page::answer(
        "metrics",
        items.iter().map(|point| point.json(key)).collect(),
        next,
    ))
}

/// Points of several runs; of many, evenly chosen steps with the first and the last.
pub(super) fn bulk(state: &mut State, request: &Json) -> Handled {
    let runs = request.texts("run_ids");
    if runs.len() > 100 && !state.is_3() {
        return Err(Refusal::Page(400));
    }
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
    let mut by_run: Vec<(&str, Vec<Point>)> = Vec::new();
    for id in &runs {
        if let Some(run) = state.space.runs.get(id) {
            let within = |point: &&Point| steps.is_none_or(|(first, last)| (first..=last).contains(&point.step));
            let mut points: Vec<Point> = run.points(key).iter().filter(within).copied().collect();
            points.sort_by(|a, b| {
                (a.step, a.timestamp)
                    .cmp(&(b.step, b.timestamp))
                    .then_with(|| a.compare_value(b))
            });
            by_run.push((id, points));
        }
    }
    if !state.is_3() {
        thin_out_steps(&mut by_run, most);
    }
    let mut found = Vec::new();
    for (id, points) in by_run {
        let points = if state.is_3() {
            thinned_out(&points, most)
        } else {
            points
        };
        found.extend(points.iter().map(|point| {
            let mut value = point.json(key);
            super::answer::put(&mut value, "run_id", Some(id.into()));
            value
        }));
    }
    Ok(page::answer("metrics", found, None))
}

/// The first of each of so many equal parts, with the last point of all in place of the last of these.
fn thinned_out(points: &[Point], most: usize) -> Vec<Point> {
    if points.len() <= most {
        return points.to_vec();
    }
    let (size, longer) = (points.len() / most, points.len() % most);
    let start = |part: usize| part * size + part.min(longer);
    let mut chosen: Vec<Point> = (0..most - 1)
        .filter_map(|part| points.get(start(part)))
        .copied()
        .collect();
    chosen.extend(points.last());
    chosen
}

/// What version 2 does: it chooses among the steps of all runs.
fn thin_out_steps(by_run: &mut [(&str, Vec<Point>)], most: usize) {
    let mut all: Vec<i64> = by_run
        .iter()
        .flat_map(|(_, points)| points)
        .map(|point| point.step)
        .collect();
    all.sort_unstable();
    all.dedup();
    let chosen = sampled(&all, most);
    for (_, points) in by_run {
        points.retain(|point| chosen.binary_search(&point.step).is_ok());
        points.truncate(MOST);
    }
}

/// Evenly chosen steps, with the first and the last.
fn sampled(steps: &[i64], most: usize) -> Vec<i64> {
    if steps.len() <= most {
        return steps.to_vec();
    }
    let mut chosen: Vec<i64> = (0..most)
        .filter_map(|n| steps.get(n * steps.len() / most))
        .copied()
        .collect();
    chosen.extend(steps.last());
    chosen.dedup();
    chosen
}
