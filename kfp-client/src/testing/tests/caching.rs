//! Steps that take the results of earlier ones.
#![cfg(unix)]

use super::*;

/// A step that counts its executions in a file and gives a parameter out.
fn counting(file: &std::path::Path, cached: bool) -> Value {
    let script = "echo x >> \"$0\"; printf %s \"$1\" > \"$2\"; echo ran";
    let command = json!([
        "sh",
        "-c",
        script,
        file,
        "{{$.inputs.parameters['n']}}",
        "{{$.outputs.parameters['o'].output_file}}",
    ]);
    let mut spec = pipeline(&[]);
    spec["deploymentSpec"]["executors"]["exec-main"]["container"]["command"] = command;
    let parameter = json!({"parameters": {"n": {"parameterType": "STRING"}}});
    spec["root"]["inputDefinitions"] = parameter.clone();
    spec["components"]["comp-main"]["inputDefinitions"] = parameter;
    spec["components"]["comp-main"]["outputDefinitions"] = json!({"parameters": {"o": {"parameterType": "STRING"}}});
    let task = &mut spec["root"]["dag"]["tasks"]["main"];
    task["inputs"] = json!({"parameters": {"n": {"componentInputParameter": "n"}}});
    task["cachingOptions"] = if cached {
        json!({"enableCache": true})
    } else {
        json!({})
    };
    spec
}

async fn run(asker: &Asker, id: &str, spec: &Value, n: &str) -> Value {
    let config = json!({"parameters": {"n": n}});
    let body = json!({"run_id": id, "display_name": "r", "pipeline_spec": spec, "runtime_config": config});
    assert_eq!(asker.ask("POST", "runs", Some(body)).await.unwrap().0, 200);
    asker.until(id, "SUCCEEDED").await
}

#[tokio::test]
async fn a_step_with_the_same_inputs_is_skipped_and_its_results_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("count");
    let count = || std::fs::read_to_string(&file).unwrap().len() / 2;
    let kfp = KfpServer::builder().execution(Execution::Processes).build();
    let server = kfp.start().await;
    let asker = Asker::new(&server);
    let spec = counting(&file, true);
    run(&asker, "first", &spec, "one").await;
    let again = run(&asker, "again", &spec, "one").await;
    assert_eq!(count(), 1);
    let tasks = again["run_details"]["task_details"].as_array().unwrap();
    let state = |name: &str| &tasks.iter().find(|task| task["display_name"] == name).unwrap()["state"];
    assert_eq!(
        (state("executor"), state("main")),
        (&json!("SKIPPED"), &json!("SUCCEEDED"))
    );
    run(&asker, "other", &spec, "two").await;
    assert_eq!(count(), 2);
    run(&asker, "uncached", &counting(&file, false), "one").await;
    assert_eq!(count(), 3);
    // The launcher has recorded what was executed with caching.
    let (_, tasks) = asker.ask("GET", "/apis/v1alpha1/tasks", None).await.unwrap();
    assert_eq!(tasks["total_size"], 2);
    assert_eq!(tasks["tasks"][0]["pipelineName"], "pipeline/quick");
}

#[tokio::test]
async fn an_administrator_can_turn_caching_off() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("count");
    let builder = KfpServer::builder().execution(Execution::Processes).caching(false);
    let server = builder.build().start().await;
    let asker = Asker::new(&server);
    let spec = counting(&file, true);
    for id in ["first", "again"] {
        run(&asker, id, &spec, "one").await;
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "x\nx\n");
}

#[tokio::test]
async fn results_of_an_argo_step_grow_stale() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("count");
    let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
    let builder = KfpServer::builder()
        .execution(Execution::Processes)
        .clock(clock.clone());
    let server = builder.build().start().await;
    let asker = Asker::new(&server);
    let manifest = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"generateName": "tiny-"},
        "spec": {"entrypoint": "main", "templates": [{
            "name": "main", "container": {"image": "busybox", "command": ["sh", "-c", "echo x >> \"$0\"", file]},
            "metadata": {
                "labels": {"pipelines.kubeflow.org/enable_caching": "true"},
                "annotations": {"pipelines.kubeflow.org/max_cache_staleness": "P1D"},
            },
        }]},
    });
    for (id, seconds, count) in [("a", 0, 1), ("b", 86_400, 1), ("c", 1, 2)] {
        clock.advance(Duration::from_secs(seconds));
        let body = json!({"run_id": id, "display_name": "r", "pipeline_spec": manifest});
        assert_eq!(asker.ask("POST", "runs", Some(body)).await.unwrap().0, 200);
        asker.until(id, "SUCCEEDED").await;
        assert_eq!(std::fs::read_to_string(&file).unwrap().len() / 2, count, "{id}");
    }
}

#[tokio::test]
async fn simulated_steps_take_results_too() {
    let server = KfpServer::builder()
        .pace(Duration::from_millis(1))
        .build()
        .start()
        .await;
    let asker = Asker::new(&server);
    let mut spec = counting(std::path::Path::new("count"), true);
    spec["root"]["dag"]["tasks"]["after"] = spec["root"]["dag"]["tasks"]["main"].clone();
    let after = &mut spec["root"]["dag"]["tasks"]["after"];
    after["taskInfo"]["name"] = "after".into();
    let output = json!({"producerTask": "main", "outputParameterKey": "o"});
    after["inputs"] = json!({"parameters": {"n": {"taskOutputParameter": output}}});
    let skipped = |run: &Value| {
        let tasks = run["run_details"]["task_details"].as_array().unwrap();
        let executors = tasks.iter().filter(|task| task["display_name"] == "executor");
        executors.filter(|task| task["state"] == "SKIPPED").count()
    };
    let mut uncached = spec.clone();
    uncached["root"]["dag"]["tasks"]["main"]["cachingOptions"] = json!({});
    let mut failing = spec.clone();
    failing["deploymentSpec"]["executors"]["exec-main"]["container"]["args"] = json!(["please-fail"]);
    for (id, spec, n, expected) in [
        ("first", &spec, "one", 0),
        ("again", &spec, "one", 2),
        ("other", &spec, "two", 0),
        // What follows a step that was executed again has other inputs.
        ("uncached", &uncached, "one", 0),
        ("still", &spec, "one", 2),
    ] {
        let run = run(&asker, id, spec, n).await;
        assert_eq!(skipped(&run), expected, "{id}");
        let whole = |name: &str| {
            let tasks = run["run_details"]["task_details"].as_array().unwrap();
            tasks.iter().find(|task| task["display_name"] == name).unwrap()["state"].clone()
        };
        assert_eq!(
            (whole("main"), whole("after")),
            (json!("SUCCEEDED"), json!("SUCCEEDED")),
            "{id}"
        );
    }
    let (_, tasks) = asker.ask("GET", "/apis/v1alpha1/tasks", None).await.unwrap();
    assert_eq!(tasks["total_size"], 5);
    // A failed step leaves no results.
    for id in ["fails", "fails-again"] {
        let config = json!({"parameters": {"n": "one"}});
        let body = json!({"run_id": id, "display_name": "r", "pipeline_spec": failing, "runtime_config": config});
        assert_eq!(asker.ask("POST", "runs", Some(body)).await.unwrap().0, 200);
        assert_eq!(skipped(&asker.until(id, "FAILED").await), 0, "{id}");
    }
}

#[tokio::test]
async fn an_administrator_can_turn_caching_off_for_simulated_runs() {
    let builder = KfpServer::builder().pace(Duration::from_millis(1)).caching(false);
    let server = builder.build().start().await;
    let asker = Asker::new(&server);
    let spec = counting(std::path::Path::new("count"), true);
    for id in ["first", "again"] {
        let run = run(&asker, id, &spec, "one").await;
        assert!(!run.to_string().contains("SKIPPED"), "{run}");
    }
}
