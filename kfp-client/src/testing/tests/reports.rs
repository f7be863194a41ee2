//! What the persistence agent reports, and tasks.

use super::*;

fn workflow(run: &str, phase: &str, owner: Option<&str>) -> Value {
    let owners: Vec<Value> = owner
        .map(|uid| json!({"apiVersion": "kubeflow.org/v1beta1", "kind": "ScheduledWorkflow", "name": "t", "uid": uid}))
        .into_iter()
        .collect();
    let object = json!({
        "metadata": {
            "name": "tick-1-abc", "namespace": "kubeflow", "uid": "u", "creationTimestamp": "2026-11-23T00:00:00Z",
            "labels": {"pipeline/runid": run, "scheduledworkflows.kubeflow.org/workflowEpoch": "1795400000"},
            "ownerReferences": owners,
        },
        "spec": {"entrypoint": "a"},
        "status": {"phase": phase, "startedAt": "2026-11-23T00:00:00Z", "nodes": {
            "tick-1-abc": {"displayName": "tick", "type": "DAG", "phase": phase},
        }},
    });
    Value::String(object.to_string())
}

#[tokio::test]
async fn a_reported_workflow_of_a_recurring_run_becomes_a_run() {
    for (generation, path) in [
        (Generation::V2_17, "/apis/v2beta1/workflows"),
        (Generation::V2_5, "/apis/v1beta1/workflows"),
    ] {
        let server = KfpServer::builder().generation(generation).build().start().await;
        let asker = Asker::new(&server);
        let job = json!({
            "display_name": "ticker", "max_concurrency": 1, "pipeline_spec": pipeline(&["echo"]),
            "trigger": {"periodic_schedule": {"interval_second": 3600}},
        });
        let (_, job) = asker.ask("POST", "recurringruns", Some(job)).await.unwrap();
        let id = job["recurring_run_id"].as_str().unwrap();
        let report = workflow("r-1", "Running", Some(id));
        assert_eq!(asker.ask("POST", path, Some(report)).await.unwrap(), (200, json!({})));
        let (_, run) = asker.ask("GET", "runs/r-1", None).await.unwrap();
        assert_eq!(
            (&run["display_name"], &run["recurring_run_id"], &run["state"]),
            (&json!("tick-1-abc"), &json!(id), &json!("RUNNING"))
        );
        assert_eq!(
            (&run["created_at"], &run["scheduled_at"]),
            (&json!("2026-11-23T00:00:00Z"), &json!("2026-11-23T02:13:20Z"))
        );
        assert_eq!(run["run_details"]["task_details"][0]["display_name"], "tick");
        let report = workflow("r-1", "Failed", Some(id));
        assert_eq!(asker.ask("POST", path, Some(report)).await.unwrap().0, 200);
        let (_, run) = asker.ask("GET", "runs/r-1", None).await.unwrap();
        assert_eq!(run["state"], "FAILED");
    }
}

#[tokio::test]
async fn a_report_that_makes_no_sense_is_refused() {
    let clock = Clock::manual("2026-11-23T00:01:00Z".parse().unwrap());
    let server = KfpServer::builder().clock(clock.clone()).build().start().await;
    let asker = Asker::new(&server);
    let says = |answer: (u16, Value)| (answer.0, answer.1["message"].as_str().unwrap_or_default().to_owned());
    let (status, text) = says(
        asker
            .ask("POST", "workflows", Some(json!("not a workflow")))
            .await
            .unwrap(),
    );
    assert_eq!(status, 400);
    assert!(
        text.starts_with("Report workflow failed: Invalid input error: Could not unmarshal workflow: "),
        "{text}"
    );
    assert!(text.ends_with(": not a workflow"), "{text}");
    let (status, text) = says(asker.ask("POST", "workflows", Some(json!("{}"))).await.unwrap());
    assert_eq!(status, 400);
    assert!(text.contains("The workflow must have a name"), "{text}");
    let (status, text) = says(
        asker
            .ask("POST", "workflows", Some(json!({"metadata": {}})))
            .await
            .unwrap(),
    );
    assert_eq!(
        (status, text.as_str()),
        (400, "json: cannot unmarshal object into Go value of type string")
    );
    // A workflow without a run is left alone as long as its row may still be written.
    assert_eq!(
        asker
            .ask("POST", "workflows", Some(workflow("r", "Running", None)))
            .await
            .unwrap()
            .0,
        503
    );
    clock.advance(Duration::from_secs(120));
    assert_eq!(
        asker
            .ask("POST", "workflows", Some(workflow("r", "Running", None)))
            .await
            .unwrap()
            .0,
        404
    );
}

#[tokio::test]
async fn a_reported_scheduled_workflow_changes_its_recurring_run() {
    let server = KfpServer::builder().build().start().await;
    let asker = Asker::new(&server);
    let job = json!({
        "display_name": "ticker", "max_concurrency": 1, "pipeline_spec": pipeline(&["echo"]), "mode": "ENABLE",
        "trigger": {"periodic_schedule": {"interval_second": 3600}},
    });
    let (_, job) = asker.ask("POST", "recurringruns", Some(job)).await.unwrap();
    let id = job["recurring_run_id"].as_str().unwrap();
    let object = |uid: &str| {
        let object = json!({
            "metadata": {"name": "ticker", "namespace": "kubeflow", "uid": uid},
            "spec": {"enabled": false, "maxConcurrency": 3, "noCatchup": true,
                "trigger": {"cronSchedule": {"cron": "0 0 0 * * *", "startTime": "2030-01-01T00:00:00Z"}}},
            "status": {"conditions": [{"type": "Disabled"}]},
        });
        Some(Value::String(object.to_string()))
    };
    assert_eq!(
        asker
            .ask("POST", "scheduledworkflows", object("nobody"))
            .await
            .unwrap()
            .0,
        404
    );
    assert_eq!(
        asker.ask("POST", "scheduledworkflows", object(id)).await.unwrap(),
        (200, json!({}))
    );
    let (_, row) = asker.ask("GET", &format!("recurringruns/{id}"), None).await.unwrap();
    assert_eq!(
        (&row["mode"], &row["max_concurrency"]),
        (&json!("DISABLE"), &json!("3"))
    );
    let cron = json!({"cron_schedule": {"start_time": "2030-01-01T00:00:00Z", "cron": "0 0 0 * * *"}});
    assert_eq!((&row["trigger"], &row["no_catchup"]), (&cron, &json!(true)));
    let (_, job) = asker
        .ask("GET", &format!("/apis/v1beta1/jobs/{id}"), None)
        .await
        .unwrap();
    assert_eq!(job["status"], "DISABLED");
}

#[tokio::test]
async fn tasks_are_kept_and_found_by_their_fingerprint() {
    let server = KfpServer::builder().build().start().await;
    let asker = Asker::new(&server);
    asker.create("r", &["echo"]).await.unwrap();
    let path = "/apis/v1alpha1/tasks";
    let task = json!({
        "pipelineName": "pipeline/p", "runId": "r", "mlmdExecutionID": "7", "fingerprint": "ff",
        "created_at": "2026-01-01T00:00:00Z",
    });
    let (status, made) = asker.ask("POST", path, Some(task.clone())).await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(
        (&made["mlmdExecutionID"], &made["finished_at"]),
        (&json!("7"), &json!("1970-01-01T00:00:00Z"))
    );
    for (key, value, text) in [
        ("fingerprint", "", "must specify FingerPrint"),
        (
            "pipelineName",
            "namespace/x",
            "invalid PipelineName for namespaced pipelines",
        ),
        ("id", "i", "Id should not be set"),
    ] {
        let mut wrong = task.clone();
        wrong[key] = json!(value);
        let (status, answer) = asker.ask("POST", path, Some(wrong)).await.unwrap();
        assert_eq!(status, 400);
        assert!(answer["message"].as_str().unwrap().contains(text), "{answer}");
    }
    let mut stray = task;
    stray["runId"] = json!("nobody");
    assert_eq!(asker.ask("POST", path, Some(stray)).await.unwrap().0, 404);
    let filter = |value: &str| {
        let filter = format!(r#"{{"predicates":[{{"op":"EQUALS","key":"fingerprint","string_value":"{value}"}}]}}"#);
        format!(
            "{path}?filter={}",
            url::form_urlencoded::byte_serialize(filter.as_bytes()).collect::<String>()
        )
    };
    let (_, found) = asker.ask("GET", &filter("ff"), None).await.unwrap();
    assert_eq!(
        (&found["tasks"][0]["id"], &found["total_size"]),
        (&made["id"], &json!(1))
    );
    assert_eq!(asker.ask("GET", &filter("00"), None).await.unwrap().1, json!({}));
}

#[tokio::test]
async fn a_visualization_needs_a_source_and_proper_arguments() {
    let server = KfpServer::builder().build().start().await;
    let asker = Asker::new(&server);
    let path = "/apis/v1beta1/visualizations/kubeflow";
    let (status, drawn) = asker
        .ask("POST", path, Some(json!({"type": "TABLE", "source": "s3://b/k"})))
        .await
        .unwrap();
    assert_eq!((status, &drawn["arguments"]), (200, &json!("{}")));
    assert!(drawn["html"].as_str().unwrap().contains("s3://b/k"));
    for wrong in [json!({"type": "TFDV"}), json!({"type": "CUSTOM", "arguments": "no"})] {
        assert_eq!(asker.ask("POST", path, Some(wrong)).await.unwrap().0, 400);
    }
    assert_eq!(
        asker
            .ask("POST", "visualizations/kubeflow", Some(json!({})))
            .await
            .unwrap()
            .0,
        404
    );
}
