//! Recurring runs that fire as the clock moves.

use super::*;

/// A server whose clock stands at the full hour, with runs that take two seconds.
struct Bench {
    clock: Clock,
    asker: Asker,
    _server: RunningKfpServer,
}

const START: &str = "2026-01-01T00:00:00Z";

impl Bench {
    async fn new(generation: Generation) -> Self {
        let clock = Clock::manual(START.parse().unwrap());
        let builder = KfpServer::builder().generation(generation).clock(clock.clone());
        let server = builder.pace(Duration::from_secs(1)).build().start().await;
        Self {
            clock,
            asker: Asker::new(&server),
            _server: server,
        }
    }

    async fn create(&self, change: Value) -> String {
        let mut body = json!({
            "display_name": "Each Hour!", "mode": "ENABLE", "max_concurrency": 1, "pipeline_spec": pipeline(&["echo"]),
            "trigger": {"cron_schedule": {"cron": "0 0 * * * *"}},
        });
        for (key, value) in change.as_object().unwrap() {
            body[key] = value.clone();
        }
        let (status, made) = self.asker.ask("POST", "recurringruns", Some(body)).await.unwrap();
        assert_eq!(status, 200, "{made}");
        made["recurring_run_id"].as_str().unwrap().to_owned()
    }

    async fn runs(&self) -> Vec<Value> {
        let path = "runs?sort_by=created_at&page_size=200";
        let (_, list) = self.asker.ask("GET", path, None).await.unwrap();
        list["runs"].as_array().cloned().unwrap_or_default()
    }

    /// Times of the runs, as `HH:MM:SS`.
    async fn times(&self, key: &str) -> Vec<String> {
        let runs = self.runs().await;
        let time = |run: &Value| run[key].as_str().unwrap()[11..19].to_owned();
        runs.iter().map(time).collect()
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

#[tokio::test]
async fn a_clock_moved_far_makes_every_run_at_its_own_time() {
    let bench = Bench::new(Generation::V2_17).await;
    let id = bench.create(json!({})).await;
    assert!(bench.runs().await.is_empty());
    bench.pass(3 * 3600 + 1);
    let runs = bench.runs().await;
    assert_eq!(bench.times("created_at").await, ["01:00:00", "02:00:00", "03:00:00"]);
    assert_eq!(bench.times("scheduled_at").await, ["01:00:00", "02:00:00", "03:00:00"]);
    assert_eq!(bench.times("finished_at").await, ["01:00:02", "02:00:02", "00:00:00"]);
    for (run, state) in runs.iter().zip(["SUCCEEDED", "SUCCEEDED", "RUNNING"]) {
        assert_eq!(
            (run["state"].as_str().unwrap(), &run["recurring_run_id"]),
            (state, &json!(id))
        );
        // The controller made the workflow itself: the run has no service account.
        assert_eq!(run.get("service_account"), None);
    }
    let name = runs[1]["display_name"].as_str().unwrap();
    let parts: Vec<&str> = name.split('-').collect();
    assert!(parts[0].starts_with("eachhour") && parts[0].len() == 13, "{name}");
    assert_eq!(parts[1], "2");
    assert!(parts[2].parse::<u32>().is_ok(), "{name}");
}

#[tokio::test]
async fn a_period_counts_from_the_creation_and_ends_in_time() {
    let bench = Bench::new(Generation::V2_5).await;
    let trigger = json!({"periodic_schedule": {"interval_second": "60", "end_time": "2026-01-01T00:03:30Z"}});
    bench.create(json!({"trigger": trigger})).await;
    bench.pass(3600);
    assert_eq!(bench.times("created_at").await, ["00:01:00", "00:02:00", "00:03:00"]);
}

#[tokio::test]
async fn missed_times_are_made_up_for_unless_that_is_not_wanted() {
    for (no_catchup, times) in [
        (false, vec!["01:00:00", "02:00:00", "03:00:00"]),
        (true, vec!["03:00:00"]),
    ] {
        let bench = Bench::new(Generation::V2_17).await;
        let id = bench.create(json!({"no_catchup": no_catchup, "mode": "DISABLE"})).await;
        bench.pass(3 * 3600 + 600);
        assert!(bench.runs().await.is_empty());
        bench
            .asker
            .ask("POST", &format!("recurringruns/{id}:enable"), None)
            .await
            .unwrap();
        bench.pass(60);
        assert_eq!(bench.times("scheduled_at").await, times);
        // One after the other, since only one may run at once.
        assert!(
            bench
                .times("created_at")
                .await
                .iter()
                .all(|time| time.starts_with("03:10:0"))
        );
    }
}

#[tokio::test]
async fn no_more_runs_at_once_than_allowed() {
    let bench = Bench::new(Generation::V2_17).await;
    let hang = pipeline(&["sleep", "please-hang"]);
    let id = bench.create(json!({"pipeline_spec": hang, "max_concurrency": 2})).await;
    bench.pass(5 * 3600);
    let runs = bench.runs().await;
    assert_eq!(bench.times("scheduled_at").await, ["01:00:00", "02:00:00"]);
    let first = runs[0]["run_id"].as_str().unwrap();
    bench
        .asker
        .ask("POST", &format!("runs/{first}:terminate"), None)
        .await
        .unwrap();
    bench.pass(60);
    assert_eq!(bench.times("scheduled_at").await, ["01:00:00", "02:00:00", "03:00:00"]);
    bench
        .asker
        .ask("POST", &format!("recurringruns/{id}:disable"), None)
        .await
        .unwrap();
    bench
        .asker
        .ask(
            "POST",
            &format!("runs/{}:terminate", runs[1]["run_id"].as_str().unwrap()),
            None,
        )
        .await
        .unwrap();
    bench.pass(3600);
    assert_eq!(bench.runs().await.len(), 3);
    // With the recurring run its workflows go, and nobody reports of the run any more.
    bench
        .asker
        .ask("DELETE", &format!("recurringruns/{id}"), None)
        .await
        .unwrap();
    bench.pass(3600);
    assert_eq!(bench.runs().await[2]["state"], "RUNNING");
}

#[tokio::test]
async fn without_a_trigger_there_is_one_run_at_once() {
    let bench = Bench::new(Generation::V2_17).await;
    bench.create(json!({"trigger": {}})).await;
    bench.pass(1);
    bench.pass(3600);
    assert_eq!(bench.times("created_at").await, ["00:00:00"]);
}

#[tokio::test]
async fn without_a_version_each_run_takes_the_latest() {
    let bench = Bench::new(Generation::V2_17).await;
    let upload = |name: &str, path: &str| {
        let document = pipeline(&["echo", name]).to_string();
        let form = format!(
            "--b\r\nContent-Disposition: form-data; name=\"uploadfile\"; filename=\"p.yaml\"\r\n\r\n{document}\r\n--b--\r\n"
        );
        let url = format!("{}/apis/v2beta1/pipelines/{path}", bench.asker.url);
        let request = bench.asker.client.post(url).body(form);
        request.header("content-type", "multipart/form-data; boundary=b")
    };
    let made = sent(upload("one", "upload?name=p")).await;
    let pipeline = made["pipeline_id"].as_str().unwrap();
    let reference = json!({"pipeline_version_reference": {"pipeline_id": pipeline}, "pipeline_spec": null});
    let id = bench.create(reference).await;
    bench.pass(3600);
    bench.runs().await;
    let path = format!("upload_version?name=two&pipelineid={pipeline}");
    let second = sent(upload("two", &path)).await;
    bench.pass(3600);
    let runs = bench.runs().await;
    assert_eq!(runs.len(), 2);
    assert_ne!(
        runs[0]["pipeline_version_reference"],
        runs[1]["pipeline_version_reference"]
    );
    assert_eq!(
        runs[1]["pipeline_version_reference"]["pipeline_version_id"],
        second["pipeline_version_id"]
    );
    // The server itself made these runs, as if a client had asked.
    assert_eq!(runs[1]["service_account"], "pipeline-runner");
    assert_eq!(runs[1]["recurring_run_id"], json!(id));
}

#[tokio::test]
async fn a_job_of_1_8_makes_runs_that_refer_to_it() {
    let bench = Bench::new(Generation::V1_8).await;
    let manifest = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"generateName": "tiny-"},
        "spec": {
            "entrypoint": "main", "arguments": {"parameters": [{"name": "msg", "value": "hi"}]},
            "templates": [{"name": "main", "container": {"image": "busybox", "command": ["echo"]}}],
        },
    });
    let job = json!({
        "name": "tick", "max_concurrency": "1", "enabled": true,
        "trigger": {"periodic_schedule": {"interval_second": "60"}},
        "pipeline_spec": {
            "workflow_manifest": manifest.to_string(), "parameters": [{"name": "msg", "value": "[[Index]]"}],
        },
    });
    let (_, job) = bench.asker.ask("POST", "/apis/v1beta1/jobs", Some(job)).await.unwrap();
    bench.pass(61);
    let (_, list) = bench.asker.ask("GET", "/apis/v1beta1/runs", None).await.unwrap();
    let run = &list["runs"][0];
    assert!(run["name"].as_str().unwrap().starts_with("tick"), "{run}");
    assert_eq!(
        (&run["scheduled_at"], &run["status"]),
        (&json!("2026-01-01T00:01:00Z"), &json!("Running"))
    );
    let job_reference = json!({
        "key": {"type": "JOB", "id": job["id"]}, "name": "tick", "relationship": "CREATOR",
    });
    assert!(
        run["resource_references"].as_array().unwrap().contains(&job_reference),
        "{run}"
    );
    let spec = &run["pipeline_spec"];
    let workflow: Value = serde_json::from_str(spec["workflow_manifest"].as_str().unwrap()).unwrap();
    assert_eq!(workflow["metadata"]["generateName"], run["name"]);
    assert_eq!(workflow["spec"]["arguments"]["parameters"][0]["value"], "[[Index]]");
    assert_eq!(spec.get("parameters"), None);
}

#[cfg(unix)]
#[tokio::test]
async fn executed_runs_fire_although_nobody_asks() {
    let clock = Clock::manual(START.parse().unwrap());
    let builder = KfpServer::builder()
        .execution(Execution::Processes)
        .clock(clock.clone());
    let server = builder.build().start().await;
    let asker = Asker::new(&server);
    let folder = tempfile::tempdir().unwrap();
    let mut spec = pipeline(&["sh", "-c", "echo \"$0\" > \"$1\""]);
    let container = &mut spec["deploymentSpec"]["executors"]["exec-main"]["container"];
    container["command"]
        .as_array_mut()
        .unwrap()
        .extend([json!("{{$.inputs.parameters['n']}}"), json!(folder.path().join("told"))]);
    let parameter = json!({"parameters": {"n": {"parameterType": "STRING"}}});
    spec["root"]["inputDefinitions"] = parameter.clone();
    spec["components"]["comp-main"]["inputDefinitions"] = parameter;
    spec["root"]["dag"]["tasks"]["main"]["inputs"] = json!({"parameters": {"n": {"componentInputParameter": "n"}}});
    let body = json!({
        "display_name": "tick", "mode": "ENABLE", "max_concurrency": 1, "pipeline_spec": spec,
        "runtime_config": {"parameters": {"n": "number [[Index]] at [[ScheduledTime]]"}},
        "trigger": {"periodic_schedule": {"interval_second": 60}},
    });
    assert_eq!(asker.ask("POST", "recurringruns", Some(body)).await.unwrap().0, 200);
    clock.advance(Duration::from_secs(60));
    let deadline = Instant::now() + Duration::from_secs(20);
    let told = loop {
        let told = std::fs::read_to_string(folder.path().join("told")).unwrap_or_default();
        if told.ends_with('\n') {
            break told;
        }
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(told, "number 1 at 20260101000100\n");
}
