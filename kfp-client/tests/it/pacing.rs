//! Time that passes only where something pauses, and a server of lists that scripts can disturb.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use kfp_client::Pacer;
use serde_json::{Value, json};

use crate::scripted::{Act, Seen};

/// A clock that jumps over every pause, and does something at each.
pub(crate) struct Jumps {
    now: Mutex<Duration>,
    pauses: Mutex<Vec<Duration>>,
    at_pause: Box<dyn Fn(usize, Duration) + Send + Sync>,
}

impl std::fmt::Debug for Jumps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Jumps")
    }
}

impl Jumps {
    pub(crate) fn new() -> Arc<Self> {
        Self::with(|_, _| ())
    }

    /// `at_pause` gets the number of the pause, from 1, and its length.
    pub(crate) fn with(at_pause: impl Fn(usize, Duration) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            now: Mutex::default(),
            pauses: Mutex::default(),
            at_pause: Box::new(at_pause),
        })
    }

    pub(crate) fn pauses(&self) -> Vec<Duration> {
        self.pauses.lock().unwrap().clone()
    }
}

impl Pacer for Jumps {
    fn now(&self) -> Duration {
        *self.now.lock().unwrap()
    }

    fn pause(&self, length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        *self.now.lock().unwrap() += length;
        let number = {
            let mut pauses = self.pauses.lock().unwrap();
            pauses.push(length);
            pauses.len()
        };
        (self.at_pause)(number, length);
        Box::pin(tokio::task::yield_now())
    }
}

/// Runs of a server that knows the lists a watch asks for, through either version of the API.
#[derive(Clone, Default)]
pub(crate) struct Lists {
    runs: Arc<Mutex<Vec<Value>>>,
    /// A field by which the server cannot filter and sort.
    refused: Option<&'static str>,
}

/// A run of `v1beta1`.
pub(crate) fn run_v1(id: &str, status: &str, finished: &str) -> Value {
    let mut run = json!({"id": id, "name": id, "created_at": "2026-11-23T21:00:00Z",
        "finished_at": if finished.is_empty() { "1970-01-01T00:00:00Z" } else { finished }});
    if !status.is_empty() {
        run["status"] = status.into();
    }
    run
}

fn id(run: &Value) -> &Value {
    run.get("run_id").unwrap_or(&run["id"])
}

pub(crate) fn run(id: &str, state: &str, finished: &str) -> Value {
    json!({"run_id": id, "display_name": id, "state": state, "created_at": "2026-11-23T21:00:00Z",
        "finished_at": if finished.is_empty() { "1970-01-01T00:00:00Z" } else { finished }})
}

impl Lists {
    /// Lists that cannot be filtered and sorted by this field.
    pub(crate) fn without(refused: &'static str) -> Self {
        Self {
            refused: Some(refused),
            ..Self::default()
        }
    }

    /// Adds the run, or replaces that of its id.
    pub(crate) fn put(&self, run: Value) {
        let mut runs = self.runs.lock().unwrap();
        match runs.iter_mut().find(|held| id(held) == id(&run)) {
            Some(held) => *held = run,
            None => runs.push(run),
        }
    }

    pub(crate) fn remove(&self, gone: &str) {
        self.runs.lock().unwrap().retain(|run| id(run) != gone);
    }

    /// The run of this id of `v1beta1` with its workflow, which is kept beside it.
    pub(crate) fn detail(&self, wanted: &str) -> Act {
        let runs = self.runs.lock().unwrap();
        let Some(run) = runs.iter().find(|run| id(run) == wanted) else {
            let details = [json!({"error_message": "Run not found."})];
            return Act::json(
                404,
                json!({"error": "m", "code": 5, "message": "m", "details": details}),
            );
        };
        let mut run = run.clone();
        let workflow = run.as_object_mut().unwrap().remove("workflow");
        let runtime = workflow.map_or(json!({}), |workflow| json!({"workflow_manifest": workflow.to_string()}));
        Act::json(200, json!({"run": run, "pipeline_runtime": runtime}))
    }

    pub(crate) fn answer(&self, seen: &Seen) -> Act {
        let url = url::Url::parse(&format!("http://x{}", seen.target)).unwrap();
        let query = |name: &str| {
            let found = url.query_pairs().find(|(key, _)| key == name);
            found.map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        let filter = query("filter");
        let filter = url::form_urlencoded::parse(filter.as_bytes()).next();
        let filter: Value = filter.map_or(json!({}), |(text, _)| serde_json::from_str(&text).unwrap());
        let predicates = filter["predicates"].as_array().cloned().unwrap_or_default();
        let sort = query("sort_by");
        let keys = predicates.iter().map(|predicate| predicate["key"].as_str().unwrap());
        let mut keys = keys.chain(sort.split(' ').take(1));
        if let Some(refused) = self.refused
            && keys.any(|key| key == refused)
        {
            let message = format!("no support for filtering on unrecognized field \"{refused}\"");
            return Act::json(400, json!({"code": 3, "message": message}));
        }
        let mut runs = self.runs.lock().unwrap().clone();
        runs.retain(|run| {
            predicates.iter().all(|predicate| {
                let value = &run[predicate["key"].as_str().unwrap()];
                let operation = predicate.get("operation").unwrap_or(&predicate["op"]);
                match operation.as_str().unwrap() {
                    "NOT_EQUALS" => *value != predicate["string_value"],
                    "IN" => predicate["string_values"]["values"].as_array().unwrap().contains(value),
                    "GREATER_THAN_EQUALS" => value.as_str() >= predicate["timestamp_value"].as_str(),
                    other => panic!("the script knows no {other}"),
                }
            })
        });
        if let Some(key) = sort.strip_suffix(" desc") {
            runs.sort_by_key(|run| std::cmp::Reverse(run[key].to_string()));
        }
        for run in &mut runs {
            run.as_object_mut().unwrap().remove("workflow");
        }
        let size: usize = query("page_size").parse().unwrap();
        let start: usize = query("page_token").parse().unwrap_or(0);
        let end = runs.len().min(start + size);
        let token = if end < runs.len() {
            end.to_string()
        } else {
            String::new()
        };
        Act::json(
            200,
            json!({"runs": runs[start..end], "next_page_token": token, "total_size": runs.len()}),
        )
    }
}
