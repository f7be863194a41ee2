//! What the typed client costs beside bare reqwest with untyped JSON, and what it takes to watch ten thousand runs.

use std::fmt::Write as _;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use benches::{Failure, Figures, line, measure, measure_if_asked};
use futures_util::StreamExt;
use kfp_client::ir::{
    ContainerComponent, ParameterSource, ParameterType, PipelineBuilder, PipelineDocument, TaskBuilder,
};
use kfp_client::{Client, ListRuns, RunEvent, RunId, WatchRuns};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ROUNDS: usize = 15;
const LIVE: usize = 10_000;
const PAGE: usize = 200;
const TICKS: usize = 3;
/// Set in the process that watches: the server's address.
const WATCH: &str = "BENCH_WATCH";

#[tokio::main]
async fn main() -> ExitCode {
    if let Some(code) = measure_if_asked() {
        return code;
    }
    let result = match std::env::var(WATCH) {
        Ok(url) => watch(&url).await,
        Err(_) => run().await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = line(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let (url, requests) = serve().await?;
    let client = Client::builder(&url)?.build()?;
    let bare = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;

    let (mut floor, mut typed, mut one_floor, mut one) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let list = format!("{url}/apis/v2beta1/runs?page_size=200");
    let get = format!("{url}/apis/v2beta1/runs/r1");
    let request = ListRuns::new().page_size(200);
    let id = RunId::new("r1");
    // In turns, so that whatever else the machine does meets all alike.
    for _ in 0..=ROUNDS {
        let begin = Instant::now();
        for _ in 0..5 {
            black_box(
                bare.get(&list)
                    .send()
                    .await?
                    .error_for_status()?
                    .json::<Value>()
                    .await?,
            );
        }
        floor.push(begin.elapsed().as_secs_f64() / 5.0);
        let begin = Instant::now();
        for _ in 0..5 {
            black_box(client.runs().list(&request).await?);
        }
        typed.push(begin.elapsed().as_secs_f64() / 5.0);
        let begin = Instant::now();
        for _ in 0..200 {
            black_box(bare.get(&get).send().await?.error_for_status()?.json::<Value>().await?);
        }
        one_floor.push(begin.elapsed().as_secs_f64() / 200.0);
        let begin = Instant::now();
        for _ in 0..200 {
            black_box(client.runs().get(&id).await?);
        }
        one.push(begin.elapsed().as_secs_f64() / 200.0);
    }
    line("list 200 runs, each with its pipeline and 11 tasks")?;
    let floor = told("floor: reqwest and serde_json::Value", floor, None)?;
    told("typed", typed, Some(floor))?;
    line("get one run")?;
    let floor = told("floor: reqwest and serde_json::Value", one_floor, None)?;
    told("typed", one, Some(floor))?;

    line(&format!(
        "watch {LIVE} live runs, {TICKS} rounds, in a process of its own"
    ))?;
    let before = requests.load(Ordering::SeqCst);
    let mut child = Command::new(std::env::current_exe()?);
    child.env(WATCH, &url);
    let measured = measure(1, &child)?;
    let asked = requests.load(Ordering::SeqCst) - before;
    line(&format!("  time of all rounds  {}", measured.time))?;
    line(&format!("  peak memory  {:.1} MiB (goal: below 64)", measured.peak))?;
    // Once more to warm up; each began by asking for the latest end.
    let asked = f64::from(u32::try_from(asked.saturating_sub(2))?);
    let rounds = f64::from(u32::try_from(2 * TICKS)?);
    line(&format!("  requests a round  {:.1}", asked / rounds))?;
    Ok(())
}

async fn watch(url: &str) -> Result<(), Failure> {
    let client = Client::builder(url)?.build()?;
    let request = WatchRuns::new().interval(Duration::from_millis(1));
    let mut events = Box::pin(client.runs().watch(request));
    let (mut seen, mut rounds) = (0, 0);
    while rounds < TICKS {
        match events.next().await.ok_or("the watch ended")?? {
            RunEvent::Changed(_) => seen += 1,
            RunEvent::CaughtUp { live, .. } if live == LIVE => rounds += 1,
            other => return Err(format!("unexpected: {other:?}").into()),
        }
    }
    if seen == LIVE {
        Ok(())
    } else {
        Err(format!("{seen} runs were seen").into())
    }
}

fn pipeline(steps: usize) -> Result<PipelineDocument, Failure> {
    let mut pipeline = PipelineBuilder::new("bench").parameter("word", ParameterType::String, Some("hello".into()));
    for step in 0..steps {
        let component = ContainerComponent::new("python:3.12")
            .command(["python", "-m", "step"])
            .args(["--word", "{{$.inputs.parameters['word']}}"])
            .input("word", ParameterType::String);
        let task = TaskBuilder::new(format!("step-{step}"), component).input("word", ParameterSource::input("word"));
        pipeline = pipeline.task(task);
    }
    Ok(pipeline.build()?)
}

/// A server on loopback that builds each answer anew, so that it holds no memory of note.
async fn serve() -> Result<(String, Arc<AtomicUsize>), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    let spec = pipeline(5)?.to_wire();
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
    Ok((url, requests))
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

fn told(name: &str, mut seconds: Vec<f64>, floor: Option<f64>) -> Result<f64, Failure> {
    // The first round warmed up.
    seconds.remove(0);
    let figures = Figures::new(seconds).ok_or("nothing was measured")?;
    let ratio = floor
        .map(|floor| format!("  {:.2} times the floor", figures.median() / floor))
        .unwrap_or_default();
    line(&format!("  {name:<38} {:<48}{ratio}", figures.to_string()))?;
    Ok(figures.median())
}
