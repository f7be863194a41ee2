//! The server's rules, without a connection.

use serde_json::{Value, json};

use super::answer::{Handled, Refusal};
use super::json::Json;
use super::routes::call_named;
use super::state::State;

struct Server(State);

impl Server {
    fn new() -> Self {
        Self(State::new("3.17.2".to_owned()))
    }

    fn call(&mut self, method: &str, name: &str, body: &Value) -> Handled {
        call_named(&mut self.0, method, name, &Json::parse(&body.to_string()).unwrap())
    }

    fn post(&mut self, name: &str, body: &Value) -> Value {
        self.call("POST", name, body).unwrap()
    }

    fn get(&mut self, name: &str, body: &Value) -> Value {
        self.call("GET", name, body).unwrap()
    }

    /// The status and code of a refusal.
    fn refused(&mut self, method: &str, name: &str, body: &Value) -> (u16, &'static str) {
        match self.call(method, name, body).unwrap_err() {
            Refusal::Coded { status, code, .. } => (status, code),
            other => (other.status(), ""),
        }
    }

    fn run(&mut self) -> String {
        let run = self.post("runs/create", &json!({"experiment_id": "0"}));
        run.pointer("/run/info/run_id").unwrap().as_str().unwrap().to_owned()
    }
}

const INVALID: (u16, &str) = (400, "INVALID_PARAMETER_VALUE");
const MISSING: (u16, &str) = (404, "RESOURCE_DOES_NOT_EXIST");

#[test]
fn experiments_live_and_die_with_their_runs() {
    let mut server = Server::new();
    let id = server.post("experiments/create", &json!({"name": "e"}));
    assert_eq!(id, json!({"experiment_id": "1"}));
    assert_eq!(
        server.refused("POST", "experiments/create", &json!({"name": "e"})),
        (400, "RESOURCE_ALREADY_EXISTS")
    );
    let run = server.post("runs/create", &json!({"experiment_id": "1"}));
    let run = json!({"run_id": run.pointer("/run/info/run_id")});
    server.post("experiments/delete", &id);
    assert_eq!(server.refused("POST", "experiments/delete", &id), MISSING);
    let get = server.get("runs/get", &run);
    assert_eq!(get.pointer("/run/info/lifecycle_stage"), Some(&json!("deleted")));
    let rename = json!({"experiment_id": "1", "new_name": "f"});
    assert_eq!(
        server.refused("POST", "experiments/update", &rename),
        (500, "INVALID_STATE")
    );
    server.post("experiments/restore", &id);
    let get = server.get("runs/get", &run);
    assert_eq!(get.pointer("/run/info/lifecycle_stage"), Some(&json!("active")));
    assert_eq!(server.refused("POST", "experiments/search", &json!({})), INVALID);
}

#[test]
fn the_latest_point_is_the_greatest_not_the_last() {
    let mut server = Server::new();
    let run = server.run();
    for value in [json!(1), json!(2), json!("NaN"), json!(2)] {
        server.post(
            "runs/log-metric",
            &json!({"run_id": run, "key": "m", "value": value, "timestamp": 1}),
        );
    }
    let get = server.get("runs/get", &json!({"run_id": run}));
    assert_eq!(get.pointer("/run/data/metrics/0/value"), Some(&json!(2.0)));
    let history = server.get("metrics/get-history", &json!({"run_id": run, "metric_key": "m"}));
    assert_eq!(history.pointer("/metrics").unwrap().as_array().unwrap().len(), 3);
    assert_eq!(
        server.get("metrics/get-history", &json!({"run_id": "none", "metric_key": "m"})),
        json!({})
    );
}

#[test]
fn a_batch_is_stored_whole_or_not_at_all() {
    let mut server = Server::new();
    let run = server.run();
    server.post(
        "runs/log-batch",
        &json!({"run_id": run, "params": [{"key": "p", "value": "1"}]}),
    );
    let point = json!({"key": "m", "value": 1, "timestamp": 1});
    for bad in [
        json!({"metrics": [point], "params": [{"key": "p", "value": "2"}]}),
        json!({"metrics": [point], "params": [{"key": "a", "value": "2"}, {"key": "a", "value": "2"}]}),
        json!({"metrics": [point, {"key": "m", "value": 1}]}),
        json!({"metrics": [point, {"key": "m$", "value": 1, "timestamp": 1}]}),
        json!({"metrics": vec![point.clone(); 1001]}),
        json!({"metrics": [point], "tags": [{"key": "a//b", "value": "x"}]}),
    ] {
        let mut body = bad.clone();
        body.as_object_mut().unwrap().insert("run_id".to_owned(), json!(run));
        assert_eq!(server.refused("POST", "runs/log-batch", &body), INVALID, "{bad}");
    }
    let get = server.get("runs/get", &json!({"run_id": run}));
    assert_eq!(get.pointer("/run/data/metrics"), None);
    assert_eq!(
        get.pointer("/run/data/params"),
        Some(&json!([{"key": "p", "value": "1"}]))
    );
}

#[test]
fn a_deleted_run_takes_nothing() {
    let mut server = Server::new();
    let run = server.run();
    server.post("runs/delete", &json!({"run_id": run}));
    server.post("runs/delete", &json!({"run_id": run}));
    let tag = json!({"run_id": run, "key": "t", "value": "v"});
    assert_eq!(server.refused("POST", "runs/set-tag", &tag), INVALID);
    assert_eq!(server.post("runs/search", &json!({"experiment_ids": ["0"]})), json!({}));
    server.post("runs/restore", &json!({"run_id": run}));
    server.post("runs/set-tag", &tag);
}

#[test]
fn version_numbers_are_never_given_again() {
    let mut server = Server::new();
    server.post("registered-models/create", &json!({"name": "m"}));
    let version = |server: &mut Server| {
        let made = server.post("model-versions/create", &json!({"name": "m", "source": "s3://b/k"}));
        made.pointer("/model_version/version")
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        (version(&mut server), version(&mut server)),
        ("1".to_owned(), "2".to_owned())
    );
    server.post(
        "registered-models/alias",
        &json!({"name": "m", "alias": "a", "version": "2"}),
    );
    server
        .call("DELETE", "model-versions/delete", &json!({"name": "m", "version": "2"}))
        .unwrap();
    assert_eq!(
        server.refused("GET", "registered-models/alias", &json!({"name": "m", "alias": "a"})),
        INVALID
    );
    assert_eq!(version(&mut server), "3");
    assert_eq!(
        server.refused("GET", "model-versions/get", &json!({"name": "m", "version": 3})),
        INVALID
    );
}

#[test]
fn sources_of_versions_are_checked() {
    let mut server = Server::new();
    let run = server.run();
    server.post("registered-models/create", &json!({"name": "m"}));
    let root = format!("mlflow-artifacts:/0/{run}/artifacts");
    for bad in [
        json!({"source": format!("runs:/{run}/model")}),
        json!({"source": "runs:/other/model", "run_id": run}),
        json!({"source": root}),
        json!({"source": format!("{root}-more"), "run_id": run}),
        json!({"source": "http://host/x"}),
        json!({"source": "mlflow-artifacts://host/x", "run_id": run}),
        json!({"source": "/etc", "run_id": run}),
        json!({"source": "s3://b/%2e%2e/k"}),
    ] {
        let mut body = bad.clone();
        body.as_object_mut().unwrap().insert("name".to_owned(), json!("m"));
        assert_eq!(server.refused("POST", "model-versions/create", &body), INVALID, "{bad}");
    }
    let source = format!("runs:/{run}/model");
    server.post(
        "model-versions/create",
        &json!({"name": "m", "source": source, "run_id": run}),
    );
    let uri = server.get("model-versions/get-download-uri", &json!({"name": "m", "version": "1"}));
    assert_eq!(uri, json!({"artifact_uri": source}));
    let made = server.post(
        "model-versions/create",
        &json!({"name": "m", "source": "models:/m/latest"}),
    );
    assert_eq!(made.pointer("/model_version/source"), Some(&json!("models:/m/1")));
}

#[test]
fn pages_of_runs_come_newest_first() {
    let mut server = Server::new();
    for start in 0..3 {
        server.post("runs/create", &json!({"experiment_id": "0", "start_time": start}));
    }
    let mut starts = Vec::new();
    let mut token = json!("");
    loop {
        let page = server.post(
            "runs/search",
            &json!({"experiment_ids": ["0"], "max_results": 2, "page_token": token}),
        );
        let runs = page.pointer("/runs").unwrap().as_array().unwrap();
        starts.extend(
            runs.iter()
                .filter_map(|run| run.pointer("/info/start_time").and_then(Value::as_i64)),
        );
        match page.get("next_page_token") {
            Some(next) => token = next.clone(),
            None => break,
        }
    }
    assert_eq!(starts, [2, 1, 0]);
}
