//! What the server keeps.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Value, json};

use super::answer::{Handled, Refusal, number};
use super::fault::Faults;
use super::server::Recorded;

/// A list of names with values, in the order in which they came.
pub(super) type Pairs = Vec<(String, String)>;

/// Everything the server knows.
#[derive(Debug)]
pub(super) struct State {
    pub(super) experiments: BTreeMap<i64, Experiment>,
    pub(super) runs: BTreeMap<String, Run>,
    pub(super) models: BTreeMap<String, Model>,
    pub(super) logged_models: BTreeMap<String, LoggedModel>,
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) version: String,
    pub(super) down: bool,
    pub(super) faults: Faults,
    pub(super) requests: Vec<Recorded>,
}

impl State {
    pub(super) fn new(version: String) -> Self {
        let mut state = Self {
            experiments: BTreeMap::new(),
            runs: BTreeMap::new(),
            models: BTreeMap::new(),
            logged_models: BTreeMap::new(),
            files: BTreeMap::new(),
            version,
            down: false,
            faults: Faults::default(),
            requests: Vec::new(),
        };
        state
            .experiments
            .insert(0, Experiment::new(0, "Default", "", Vec::new()));
        state
    }

    /// The experiment with this id in its text form.
    pub(super) fn experiment(&mut self, id: &str) -> Handled<&mut Experiment> {
        let number: i64 = id.parse().map_err(|_| {
            Refusal::invalid(format!(
                "Invalid experiment ID '{id}'. Experiment ID must be a valid integer."
            ))
        })?;
        self.experiments
            .get_mut(&number)
            .ok_or_else(|| Refusal::missing(format!("No Experiment with id={id} exists")))
    }

    pub(super) fn run(&mut self, id: &str) -> Handled<&mut Run> {
        self.runs
            .get_mut(id)
            .ok_or_else(|| Refusal::missing(format!("Run with id={id} not found")))
    }

    /// A run that may be written to.
    pub(super) fn active_run(&mut self, id: &str) -> Handled<&mut Run> {
        let run = self.run(id)?;
        if run.deleted {
            return Err(Refusal::invalid(format!(
                "The run {id} must be in the 'active' state. Current state is deleted."
            )));
        }
        Ok(run)
    }
}

/// Milliseconds since the epoch.
pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

pub(super) fn stage(deleted: bool) -> &'static str {
    if deleted { "deleted" } else { "active" }
}

#[derive(Debug, Clone)]
pub(super) struct Experiment {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) location: String,
    pub(super) deleted: bool,
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) tags: Pairs,
}

impl Experiment {
    pub(super) fn new(id: i64, name: &str, location: &str, tags: Pairs) -> Self {
        let location = match location {
            "" => format!("mlflow-artifacts:/{id}"),
            _ => location.to_owned(),
        };
        let now = now();
        Self {
            id,
            name: name.to_owned(),
            location,
            deleted: false,
            created: now,
            updated: now,
            tags,
        }
    }
}

/// One point of a metric.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) value: f64,
    pub(super) timestamp: i64,
    pub(super) step: i64,
}

impl Point {
    /// The value in comparisons: NaN counts as 0 there.
    pub(super) fn rank(&self) -> f64 {
        if self.value.is_nan() { 0.0 } else { self.value }
    }

    /// What two points that are the same row of the table have in common.
    fn row(&self) -> (i64, i64, u64, bool) {
        let nan = self.value.is_nan();
        (self.timestamp, self.step, self.rank().to_bits(), nan)
    }

    pub(super) fn json(&self, key: &str) -> Value {
        json!({"key": key, "value": number(self.value), "timestamp": self.timestamp, "step": self.step})
    }
}

#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) experiment: i64,
    pub(super) name: String,
    pub(super) user: String,
    pub(super) status: String,
    pub(super) start: i64,
    pub(super) end: Option<i64>,
    pub(super) deleted: bool,
    pub(super) uri: String,
    pub(super) tags: Pairs,
    pub(super) params: Pairs,
    pub(super) metrics: Vec<(String, Vec<Point>)>,
    /// The points of each metric once more, to be found quickly.
    pub(super) rows: HashMap<String, HashSet<(i64, i64, u64, bool)>>,
    pub(super) datasets: Vec<Value>,
    pub(super) model_inputs: Vec<String>,
    pub(super) model_outputs: Vec<(String, i64)>,
}

impl Run {
    pub(super) fn points(&self, key: &str) -> &[Point] {
        self.metrics
            .iter()
            .find(|(name, _)| name == key)
            .map_or(&[], |(_, points)| points)
    }

    /// The point that counts as the metric's latest: the greatest by step, then timestamp, then value.
    pub(super) fn latest(&self, key: &str) -> Option<Point> {
        let order = |a: &&Point, b: &&Point| {
            (a.step, a.timestamp)
                .cmp(&(b.step, b.timestamp))
                .then(a.rank().total_cmp(&b.rank()))
        };
        self.points(key).iter().max_by(order).copied()
    }

    /// Adds a point unless it is there already.
    pub(super) fn log(&mut self, key: &str, point: Point) {
        let points = if let Some(at) = self.metrics.iter().position(|(name, _)| name == key) {
            self.metrics.get_mut(at)
        } else {
            self.metrics.push((key.to_owned(), Vec::new()));
            self.metrics.last_mut()
        };
        if let Some((_, points)) = points
            && self.rows.entry(key.to_owned()).or_default().insert(point.row())
        {
            points.push(point);
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) description: String,
    pub(super) tags: Pairs,
    pub(super) aliases: BTreeMap<String, i64>,
    pub(super) versions: BTreeMap<i64, Version>,
    /// The highest number that was ever given.
    pub(super) last: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) number: i64,
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) stage: &'static str,
    pub(super) description: Option<String>,
    pub(super) source: String,
    /// Where the files are, if the source only points at them.
    pub(super) storage: String,
    pub(super) run: String,
    pub(super) link: String,
    pub(super) model_id: String,
    pub(super) tags: Pairs,
}

#[derive(Debug, Clone)]
pub(super) struct LoggedModel {
    pub(super) id: String,
    pub(super) experiment: i64,
    pub(super) name: String,
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) status: String,
    pub(super) kind: String,
    pub(super) run: String,
    pub(super) uri: String,
    pub(super) tags: Pairs,
    pub(super) params: Pairs,
}
