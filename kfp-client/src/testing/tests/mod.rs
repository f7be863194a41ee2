//! The fake over HTTP: what happens to runs, and the faults. Its answers in general are compared with the real
//! server's from outside.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;

mod caching;
mod downloads;
mod parameters;
mod recordings;
mod recurring;
mod reports;
mod requests;

fn pipeline(command: &[&str]) -> Value {
    json!({
        "pipelineInfo": {"name": "quick"}, "schemaVersion": "2.1.0",
        "root": {"dag": {"tasks": {"main": {"taskInfo": {"name": "main"}, "componentRef": {"name": "comp-main"}}}}},
        "components": {"comp-main": {"executorLabel": "exec-main"}},
        "deploymentSpec": {"executors": {"exec-main": {"container": {"image": "busybox", "command": command}}}},
    })
}

/// A client without a retry, so that lost answers are seen.
struct Asker {
    client: reqwest::Client,
    url: String,
}

impl Asker {
    fn new(server: &RunningKfpServer) -> Self {
        Self {
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            url: server.url(),
        }
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Option<(u16, Value)> {
        let method = method.parse::<reqwest::Method>().unwrap();
        // A path that is no full one is of v2beta1.
        let prefix = if path.starts_with('/') { "" } else { "/apis/v2beta1/" };
        let request = self.client.request(method, format!("{}{prefix}{path}", self.url));
        let request = request.body(body.map(|body| body.to_string()).unwrap_or_default());
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    async fn create(&self, id: &str, command: &[&str]) -> Option<(u16, Value)> {
        let body = json!({"run_id": id, "display_name": "run", "pipeline_spec": pipeline(command)});
        self.ask("POST", "runs", Some(body)).await
    }

    async fn state(&self, id: &str) -> String {
        let (_, run) = self.ask("GET", &format!("runs/{id}"), None).await.unwrap();
        run["state"].as_str().unwrap_or_default().to_owned()
    }

    async fn until(&self, id: &str, wanted: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let (_, run) = self.ask("GET", &format!("runs/{id}"), None).await.unwrap();
            if run["state"] == wanted {
                return run;
            }
            assert!(Instant::now() < deadline, "never {wanted}: {run}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The JSON that a request is answered with.
async fn sent(request: reqwest::RequestBuilder) -> Value {
    let text = request.send().await.unwrap().text().await.unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn a_simulated_run_follows_the_clock_alone() {
    let clock = Clock::manual(Timestamp::from_second(1_700_000_000).unwrap());
    let server = KfpServer::builder()
        .pace(Duration::from_secs(60))
        .clock(clock.clone())
        .build()
        .start()
        .await;
    let asker = Asker::new(&server);
    asker.create("one", &["echo", "hi"]).await.unwrap();
    assert_eq!(asker.state("one").await, "PENDING");
    clock.advance(Duration::from_secs(60));
    assert_eq!(asker.state("one").await, "RUNNING");
    clock.advance(Duration::from_secs(60));
    let run = asker.until("one", "SUCCEEDED").await;
    assert_eq!(run["finished_at"], "2023-11-14T22:15:20Z");
}

#[tokio::test]
async fn a_lost_answer_leaves_row_and_workflow() {
    let kfp = KfpServer::builder().build();
    let server = kfp.start().await;
    let asker = Asker::new(&server);
    kfp.fault(Fault::lost_answer().method("POST").path("/runs"));
    assert_eq!(asker.create("mine", &["echo"]).await, None);
    assert_eq!(asker.ask("GET", "runs/mine", None).await.unwrap().0, 200);
    assert_eq!(kfp.workflows_started(), 1);
    // The same id again: refused, and yet a second workflow.
    assert_eq!(asker.create("mine", &["echo"]).await.unwrap().0, 500);
    assert_eq!(kfp.workflows_started(), 2);
}

#[tokio::test]
async fn an_orphan_is_a_workflow_that_no_request_finds() {
    let kfp = KfpServer::builder().build();
    let server = kfp.start().await;
    let asker = Asker::new(&server);
    kfp.fault(Fault::new(Trouble::Orphan).method("POST").path("/runs"));
    assert_eq!(asker.create("mine", &["echo"]).await, None);
    assert_eq!(asker.ask("GET", "runs/mine", None).await.unwrap().0, 404);
    assert_eq!(kfp.workflows_started(), 1);
    assert_eq!(kfp.requests().first().unwrap().status, None);
}

#[tokio::test]
async fn a_request_that_never_started_leaves_nothing() {
    let kfp = KfpServer::builder().build();
    let server = kfp.start().await;
    let asker = Asker::new(&server);
    kfp.fault(Fault::new(Trouble::NeverStarted).path("/runs"));
    kfp.fault(Fault::status(503).path("/experiments").times(2));
    assert_eq!(asker.create("mine", &["echo"]).await, None);
    assert_eq!(kfp.workflows_started(), 0);
    for status in [503, 503, 200] {
        assert_eq!(asker.ask("GET", "experiments", None).await.unwrap().0, status);
    }
}

#[cfg(unix)]
mod processes {
    use super::*;

    fn server() -> KfpServer {
        KfpServer::builder().execution(Execution::Processes).build()
    }

    #[tokio::test]
    async fn a_terminated_run_is_killed_with_all_it_started() {
        let kfp = server();
        let running = kfp.start().await;
        let asker = Asker::new(&running);
        let mark = tempfile::tempdir().unwrap();
        let file = mark.path().join("alive");
        let script = format!("(while :; do date +%N > {}; sleep 0.05; done) & wait", file.display());
        asker.create("long", &["sh", "-c", &script]).await.unwrap();
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let answer = asker.ask("POST", "runs/long:terminate", None).await.unwrap();
        assert_eq!(answer.0, 200);
        let run = asker.until("long", "FAILED").await;
        let states: Vec<&str> = run["state_history"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["state"].as_str().unwrap())
            .collect();
        assert_eq!(states, ["PENDING", "RUNNING", "CANCELING", "FAILED"]);
        let before = std::fs::read(&file).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }

    #[tokio::test]
    async fn nothing_outlives_the_server() {
        let kfp = server();
        let running = kfp.start().await;
        let asker = Asker::new(&running);
        asker
            .create("long", &["sh", "-c", "echo started; exec sleep 60"])
            .await
            .unwrap();
        asker.until("long", "RUNNING").await;
        let folder = kfp.work_dir().unwrap();
        assert!(folder.exists());
        let start = Instant::now();
        drop(running);
        drop(kfp);
        assert!(start.elapsed() < Duration::from_secs(5));
        assert!(!folder.exists());
    }

    #[tokio::test]
    async fn a_retry_runs_the_failed_part_alone() {
        let kfp = server();
        let running = kfp.start().await;
        let asker = Asker::new(&running);
        let mut spec = pipeline(&["sh", "-c", "echo once"]);
        spec["root"]["dag"]["tasks"]["second"] = json!({
            "taskInfo": {"name": "second"}, "componentRef": {"name": "comp-second"}, "dependentTasks": ["main"],
        });
        spec["components"]["comp-second"] = json!({"executorLabel": "exec-second"});
        let script = "test -e ../again || { touch ../again; exit 1; }";
        spec["deploymentSpec"]["executors"]["exec-second"] = json!({"container": {"command": ["sh", "-c", script]}});
        let body = json!({"run_id": "twice", "display_name": "run", "pipeline_spec": spec});
        asker.ask("POST", "runs", Some(body)).await.unwrap();
        asker.until("twice", "FAILED").await;
        assert_eq!(asker.ask("POST", "runs/twice:retry", None).await.unwrap().0, 200);
        let run = asker.until("twice", "SUCCEEDED").await;
        let log = std::fs::read_to_string(kfp.work_dir().unwrap().join("twice/main/pod.log")).unwrap();
        assert_eq!(log, "once\n");
        // The log of a step is found by the id under which its parent names it.
        let tasks = run["run_details"]["task_details"].as_array().unwrap();
        let main = tasks.iter().find(|task| task["display_name"] == "main").unwrap();
        let pod = main["child_tasks"][0]["pod_name"].as_str().unwrap();
        assert_eq!(kfp.pod_log("twice", pod).unwrap(), "once\n");
    }

    #[tokio::test]
    async fn a_step_sees_its_own_environment_only() {
        let kfp = server();
        let running = kfp.start().await;
        let asker = Asker::new(&running);
        let id = "env";
        asker.create(id, &["env"]).await.unwrap();
        asker.until(id, "SUCCEEDED").await;
        let log = std::fs::read_to_string(kfp.work_dir().unwrap().join("env/main/pod.log")).unwrap();
        let mut names: Vec<&str> = log.lines().filter_map(|line| line.split('=').next()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "HOME",
                "KFP_POD_NAME",
                "LANG",
                "PATH",
                "PIP_REQUIRE_VIRTUALENV",
                "TMPDIR"
            ]
        );
    }

    #[tokio::test]
    async fn a_missing_secret_keeps_the_pod_from_starting() {
        let kfp = server();
        let running = kfp.start().await;
        let asker = Asker::new(&running);
        let secret = json!({"secretNameParameter": {"runtimeValue": {"constant": "store"}},
            "keyToEnv": [{"secretKey": "password", "envVar": "PASSWORD"}]});
        let platform = json!({"platforms": {"kubernetes": {"deploymentSpec": {"executors": {
            "exec-main": {"secretAsEnv": [secret]}}}}}});
        let spec = pipeline(&["sh", "-c", "test \"$PASSWORD\" = hidden"]);
        let spec = json!({"pipeline_spec": spec, "platform_spec": platform});
        let body = |id: &str| Some(json!({"run_id": id, "display_name": "run", "pipeline_spec": spec}));
        asker.ask("POST", "runs", body("without")).await.unwrap();
        asker.until("without", "FAILED").await;
        kfp.secret("kubeflow", "store", "password", "hidden");
        asker.ask("POST", "runs", body("with")).await.unwrap();
        asker.until("with", "SUCCEEDED").await;
        assert!(!format!("{kfp:?}").contains("hidden"));
    }
}
