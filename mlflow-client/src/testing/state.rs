//! What the server keeps.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Value, json};

use super::answer::{Handled, Refusal, number};
use super::fault::Faults;
use super::multipart::Uploads;
use super::presigned::Bucket;
use super::server::Recorded;
use super::workspaces::Workspaces;

/// Most requests that are remembered; the oldest are forgotten first.
const REMEMBERED: usize = 10_000;

/// A list of names with values, in the order in which they came.
pub(super) type Pairs = Vec<(String, String)>;

/// The versions whose behaviour differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    /// As 2.22.
    Two,
    /// As 3.17.
    Three,
}

impl Generation {
    pub(super) fn of(version: &str) -> Self {
        match version.split('.').next().and_then(|major| major.parse::<u32>().ok()) {
            Some(..3) => Self::Two,
            _ => Self::Three,
        }
    }

    pub(super) fn is_3(self) -> bool {
        self == Self::Three
    }
}

/// What a workspace keeps to itself.
#[derive(Debug, Default)]
pub(super) struct Space {
    pub(super) experiments: BTreeMap<i64, Experiment>,
    pub(super) runs: BTreeMap<String, Run>,
    pub(super) models: BTreeMap<String, Model>,
    pub(super) logged_models: BTreeMap<String, LoggedModel>,
    pub(super) webhooks: Vec<Webhook>,
}

/// Everything the server knows.
#[derive(Debug)]
pub(super) struct State {
    /// Of the workspace that the request at hand is for.
    pub(super) space: Space,
    pub(super) workspaces: Workspaces,
    pub(super) last_experiment: i64,
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// Uploads in parts, if the store takes them.
    pub(super) uploads: Option<Uploads>,
    /// The store that the server reaches itself for `s3:` addresses, if it has rights in one.
    pub(super) bucket: Option<Bucket>,
    pub(super) version: String,
    pub(super) generation: Generation,
    pub(super) any_host: bool,
    pub(super) down: bool,
    pub(super) faults: Faults,
    pub(super) requests: Vec<Recorded>,
}

impl State {
    pub(super) fn new(version: String) -> Self {
        let mut state = Self {
            space: Space::default(),
            workspaces: Workspaces::default(),
            last_experiment: 0,
            files: BTreeMap::new(),
            uploads: None,
            bucket: None,
            generation: Generation::of(&version),
            version,
            any_host: false,
            down: false,
            faults: Faults::default(),
            requests: Vec::new(),
        };
        state.space.experiments.insert(
            0,
            Experiment::new(0, "Default", "mlflow-artifacts:/0".to_owned(), Vec::new()),
        );
        state
    }

    pub(super) fn is_3(&self) -> bool {
        self.generation.is_3()
    }

    /// The store that an address leads to without the proxy, and where in it.
    pub(super) fn bucket<'a>(&self, uri: &'a str) -> Option<(&Bucket, &'a str)> {
        Some((self.bucket.as_ref()?, uri.strip_prefix("s3://")?.trim_end_matches('/')))
    }

    /// Remembers a request that was answered.
    pub(super) fn note(&mut self, method: &str, path: &str, status: u16) {
        if self.requests.len() >= REMEMBERED {
            self.requests.remove(0);
        }
        self.requests.push(Recorded {
            method: method.to_owned(),
            path: path.to_owned(),
            status,
        });
    }

    /// The experiment with this id in its text form.
    pub(super) fn experiment(&mut self, id: &str) -> Handled<&mut Experiment> {
        let generation = self.generation;
        let number: i64 = id.parse().map_err(|_| {
            if generation.is_3() {
                Refusal::invalid(format!(
                    "Invalid experiment ID '{id}'. Experiment ID must be a valid integer."
                ))
            } else {
                Refusal::missing(format!("No Experiment with id={id} exists"))
            }
        })?;
        self.space
            .experiments
            .get_mut(&number)
            .ok_or_else(|| Refusal::missing(format!("No Experiment with id={id} exists")))
    }

    pub(super) fn run(&mut self, id: &str) -> Handled<&mut Run> {
        self.space
            .runs
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
    pub(super) fn new(id: i64, name: &str, location: String, tags: Pairs) -> Self {
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

    /// The order of points: by step for the latest, by time in histories; NaN comes after 0.
    pub(super) fn compare_value(&self, other: &Self) -> std::cmp::Ordering {
        self.rank()
            .total_cmp(&other.rank())
            .then_with(|| self.value.is_nan().cmp(&other.value.is_nan()))
    }

    /// Two points that are the same row of the table.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.row() == other.row()
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
                .then(a.compare_value(b))
        };
        self.points(key).iter().max_by(order).copied()
    }

    /// Whether it has an equal point.
    pub(super) fn has(&self, key: &str, point: &Point) -> bool {
        self.rows.get(key).is_some_and(|rows| rows.contains(&point.row()))
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
    pub(super) metrics: Vec<ModelPoint>,
    pub(super) deleted: bool,
}

/// A point of a metric about a logged model.
#[derive(Debug, Clone)]
pub(super) struct ModelPoint {
    pub(super) key: String,
    pub(super) point: Point,
    pub(super) dataset: Option<(String, String)>,
    pub(super) run: String,
}

#[derive(Debug, Clone)]
pub(super) struct Webhook {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) url: String,
    pub(super) description: String,
    pub(super) events: Vec<Value>,
    pub(super) status: String,
    pub(super) created: i64,
    pub(super) updated: i64,
}
