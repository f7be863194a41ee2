use serde_json::json;

use super::{DeployRequest, EvaluateRequest, GateDirection, TrainRequest};
use crate::{Settings, ValidationError};

const SHA: &str = "4f2a9c1d4f2a9c1d4f2a9c1d4f2a9c1d4f2a9c1d";

fn pointers(error: &ValidationError) -> Vec<&str> {
    error.errors().iter().map(|field| field.pointer.as_str()).collect()
}

#[test]
fn a_body_becomes_the_same_request_as_the_setters() {
    let body = json!({
        "git_repository": "https://git.example.com/fraud.git", "git_sha": SHA, "dataset_version": "v3",
        "environment": {"A": "1"}, "parameters": {"rate": 0.1, "deep": true, "name": "x"},
        "train_split": 0.7, "seed": 7, "namespace": "team-a", "experiment": "e", "model_name": "m",
    });
    let request = TrainRequest::new("https://git.example.com/fraud.git", SHA)
        .dataset_version("v3")
        .env("A", "1")
        .param("rate", "0.1")
        .param("deep", "true")
        .param("name", "x")
        .split(0.7)
        .seed(7)
        .namespace("team-a")
        .experiment("e")
        .model_name("m");
    assert_eq!(TrainRequest::from_json(body, &Settings::default()), Ok(request));
}

#[test]
fn every_bad_field_is_reported_once() {
    let body = json!({
        "git_repository": "", "git_sha": "main", "dataset_version": "../v1", "environment": {"A B": "1", "C": 2, "MLFLOW_RUN_ID": "x"},
        "parameters": {"seed": 1, "train_data": "x", "ok": [1]}, "train_split": 1.2, "seed": -1, "namespace": "Team A",
        "model_name": "a/b", "experiment": 3, "colour": "red",
    });
    let error = TrainRequest::from_json(body, &Settings::default()).unwrap_err();
    let mut found = pointers(&error);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "/colour",
            "/dataset_version",
            "/environment/A B",
            "/environment/C",
            "/environment/MLFLOW_RUN_ID",
            "/experiment",
            "/git_repository",
            "/git_sha",
            "/model_name",
            "/namespace",
            "/parameters/ok",
            "/parameters/seed",
            "/parameters/train_data",
            "/seed",
            "/train_split",
        ]
    );
}

#[test]
fn a_missing_field_names_itself() {
    let error = TrainRequest::from_json(json!({}), &Settings::default()).unwrap_err();
    assert_eq!(pointers(&error), ["/git_repository", "/git_sha", "/dataset_version"]);
    for body in [json!([]), json!("x"), json!(null)] {
        assert!(TrainRequest::from_json(body, &Settings::default()).is_err());
    }
}

#[test]
fn a_split_must_leave_both_parts_something() {
    for split in [0.0, 1.0, -0.1, 1.2, f64::NAN, f64::INFINITY] {
        let request = TrainRequest::new("https://git.example.com/r", SHA)
            .dataset_version("v1")
            .split(split);
        assert_eq!(
            pointers(&request.validate(&Settings::default()).unwrap_err()),
            ["/train_split"],
            "{split}"
        );
    }
}

#[test]
fn an_evaluation_needs_a_version() {
    let body = json!({"git_repository": "https://git.example.com/r", "git_sha": SHA, "dataset_version": "v1"});
    let error = EvaluateRequest::from_json(body, &Settings::default()).unwrap_err();
    assert_eq!(pointers(&error), ["/model_version"]);
}

#[test]
fn a_gate_is_read_and_checked() {
    let body = |gate: serde_json::Value| json!({"git_repository": "https://git.example.com/r", "git_sha": SHA, "dataset_version": "v1", "model_version": 2, "gate": gate});
    let request = DeployRequest::from_json(
        body(json!({"metric": "log_loss", "direction": "lower", "tolerance": 0.1, "threshold": 0.5})),
        &Settings::default(),
    )
    .unwrap();
    assert_eq!(request.gate.direction, GateDirection::Lower);
    assert_eq!(request.gate.threshold, Some(0.5));
    let error = DeployRequest::from_json(
        body(json!({"metric": 3, "direction": "up", "tolerance": -1, "limit": 0.5})),
        &Settings::default(),
    )
    .unwrap_err();
    let mut found = pointers(&error);
    found.sort_unstable();
    assert_eq!(
        found,
        ["/gate/direction", "/gate/limit", "/gate/metric", "/gate/tolerance"]
    );
    assert_eq!(
        pointers(&DeployRequest::from_json(body(json!("x")), &Settings::default()).unwrap_err()),
        ["/gate"]
    );
}
