//! A server of Kubeflow Pipelines that has nothing but runs.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use benches::Failure;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Runs it has.
pub(crate) const LIVE: usize = 10_000;
/// Runs on a page of it.
pub(crate) const PAGE: usize = 200;
/// A request of this path sets the count of requests back.
#[allow(dead_code, reason = "not every benchmark counts")]
pub(crate) const COUNT_FROM_HERE: &str = "/count-from-here";

/// A server with ten thousand live runs.
pub(crate) struct KfpServer {
    /// Its address.
    pub(crate) url: String,
    requests: Arc<AtomicUsize>,
}

impl KfpServer {
    /// Requests since the latest to [`COUNT_FROM_HERE`].
    #[allow(dead_code, reason = "not every benchmark counts")]
    pub(crate) fn counted(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Starts it on loopback. It builds each answer anew, so that it holds no memory of note.
pub(crate) async fn serve() -> Result<KfpServer, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    let spec = spec();
    let tasks: Vec<Value> = (0..11)
        .map(|task| {
            json!({"run_id": "RUN", "task_id": format!("task-{task}"), "display_name": format!("step-{task}"),
                "create_time": "2026-11-23T21:02:24Z", "start_time": "0001-01-01T00:00:00Z",
                "end_time": "2026-11-23T21:03:24Z", "state": "RUNNING",
                "child_tasks": [{"pod_name": format!("bench-x7k2p-{task}")}],
                "state_history": [{"update_time": "2026-11-23T21:02:24Z", "state": "PENDING"},
                    {"update_time": "2026-11-23T21:02:34Z", "state": "RUNNING"}]})
        })
        .collect();
    let run = json!({"run_id": "RUN", "experiment_id": "9c1b0f54-6e44-4f0c-9d0e-5f1f6f2d1c11",
        "display_name": "bench", "storage_state": "AVAILABLE", "pipeline_spec": spec, "state": "RUNNING",
        "created_at": "2026-11-23T21:02:24Z", "finished_at": "1970-01-01T00:00:00Z",
        "runtime_config": {"parameters": {"word": "hello"}}, "service_account": "default-editor",
        "run_details": {"task_details": tasks}});
    let run = Arc::new(run.to_string());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (run, counter) = (Arc::clone(&run), Arc::clone(&counter));
            tokio::spawn(async move { answer(stream, &run, &counter).await });
        }
    });
    Ok(KfpServer { url, requests })
}

/// A pipeline of five steps, as the official compiler writes one.
fn spec() -> Value {
    let (mut executors, mut components, mut tasks) = (Map::new(), Map::new(), Map::new());
    for step in 0..5 {
        let (executor, component) = (format!("exec-step-{step}"), format!("comp-step-{step}"));
        let container = json!({"image": "python:3.12", "command": ["python", "-m", "step"],
            "args": ["--word", "{{$.inputs.parameters['word']}}"]});
        executors.insert(executor.clone(), json!({ "container": container }));
        let inputs = json!({"parameters": {"word": {"parameterType": "STRING"}}});
        components.insert(
            component.clone(),
            json!({"executorLabel": executor, "inputDefinitions": inputs}),
        );
        let name = format!("step-{step}");
        tasks.insert(
            name.clone(),
            json!({"taskInfo": {"name": name}, "componentRef": {"name": component},
                "cachingOptions": {"enableCache": true},
                "inputs": {"parameters": {"word": {"componentInputParameter": "word"}}}}),
        );
    }
    let word = json!({"parameterType": "STRING", "defaultValue": "hello", "isOptional": true});
    json!({"pipelineInfo": {"name": "bench"}, "schemaVersion": "2.1.0", "sdkVersion": "kfp-2.17.0",
        "components": components, "deploymentSpec": {"executors": executors},
        "root": {"dag": {"tasks": tasks}, "inputDefinitions": {"parameters": {"word": word}}}})
}

async fn answer(mut stream: TcpStream, run: &str, counter: &AtomicUsize) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut data = Vec::new();
    loop {
        while !data.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut data).await? == 0 {
                return Ok(());
            }
        }
        counter.fetch_add(1, Ordering::SeqCst);
        let head = String::from_utf8_lossy(&data);
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        data.clear();
        if target == COUNT_FROM_HERE {
            counter.store(0, Ordering::SeqCst);
        }
        let body = body(&target, run);
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
    }
}

fn body(target: &str, run: &str) -> String {
    if !target.contains('?') {
        return run.replace("RUN\"", "r1\"");
    }
    // None has ended.
    if target.contains("finished_at") {
        return "{}".to_owned();
    }
    let token = target
        .split("page_token=")
        .nth(1)
        .and_then(|rest| rest.split('&').next());
    let start: usize = token.and_then(|token| token.parse().ok()).unwrap_or(0);
    let mut body = String::with_capacity(PAGE * (run.len() + 64));
    body.push_str("{\"runs\": [");
    for number in start..start + PAGE {
        let comma = if number == start { "" } else { "," };
        let _ = write!(
            body,
            "{comma}{}",
            run.replace("\"RUN\"", &format!("\"4f2a9c10-0000-4000-8000-{number:012}\""))
        );
    }
    let _ = write!(body, "], \"total_size\": {LIVE}");
    if start + PAGE < LIVE {
        let _ = write!(body, ", \"next_page_token\": \"{}\"", start + PAGE);
    }
    body.push('}');
    body
}
