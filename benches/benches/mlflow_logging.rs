//! What logging to MLflow costs: the call in the training loop, the way to the server beside a bare load generator, and
//! reading ten thousand runs beside untyped JSON; the official Python client does the same.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::{Failure, Figures, Mlflow, ended, line};
use futures_util::StreamExt;
use mlflow_client::testing::MlflowServer;
use mlflow_client::{Client, CreateRun, LogBatch, Metric, RunId, SearchRuns, WhenFull};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ROUNDS: usize = 5;
const WRITES: u32 = 50_000;
const BATCH: usize = 1000;
const BATCHES: usize = 10;
const RUNS: usize = 10_000;
const PAGE: usize = 1000;
/// Seconds.
const MOST_FOR_A_WRITE: f64 = 300e-9;
const LEAST_SHARE: f64 = 0.95;

#[tokio::main]
async fn main() -> ExitCode {
    ended(run().await)
}

async fn run() -> Result<(), Failure> {
    let static_url = serve().await?;
    write(&static_url).await?;
    // The batches go to the real server if there is one.
    let folder = tempfile::tempdir()?;
    let program = std::env::var_os("BENCH_MLFLOW").map(PathBuf::from);
    let (real, fake);
    let url = if let Some(program) = &program {
        line("log-batch, 1000 points a request, one key; MLflow with SQLite")?;
        let (program, folder) = (program.clone(), folder.path().to_owned());
        real = tokio::task::spawn_blocking(move || Mlflow::start(&program, &folder)).await??;
        real.url().to_owned()
    } else {
        line(
            "log-batch, 1000 points a request, one key; on the fake, since BENCH_MLFLOW does not name the program mlflow",
        )?;
        fake = MlflowServer::builder().build().start().await;
        fake.url()
    };
    let ours = batches(&url).await?;
    let search = search(&static_url).await?;
    if let (Some(python), Some(_)) = (std::env::var_os("BENCH_PYTHON"), program) {
        beside_python(Path::new(&python), &url, &static_url, ours, search).await?;
    } else {
        line(
            "SKIP: the Python client: name an interpreter that has mlflow in BENCH_PYTHON, and the program in BENCH_MLFLOW",
        )?;
    }
    Ok(())
}

/// The call in the training loop.
async fn write(url: &str) -> Result<(), Failure> {
    line(&format!("logging one point, mean of {WRITES}"))?;
    let client = Client::builder(url)?.build()?;
    for threads in [1, 2] {
        let (mut seconds, mut by_key) = (Vec::new(), Vec::new());
        let mut allocations = 0;
        for _ in 0..=ROUNDS {
            // Room for all, so that it is the write that is measured and not the server.
            let logger = client
                .runs()
                .logger(&RunId::new("r"))
                .capacity(1 << 20)
                .when_full(WhenFull::Drop)
                .start()?;
            let metric = logger.metric("train/loss")?;
            metric.log(0.5, 0)?;
            let others: Vec<_> = (1..threads)
                .map(|_| {
                    let metric = metric.clone();
                    std::thread::spawn(move || (0..i64::from(WRITES)).try_for_each(|step| metric.log(0.5, step)))
                })
                .collect();
            let begin = Instant::now();
            let counted = allocation_counter::measure(|| {
                for step in 0..i64::from(WRITES) {
                    let _ = black_box(metric.log(black_box(0.5), step));
                }
            });
            seconds.push(begin.elapsed().as_secs_f64() / f64::from(WRITES));
            allocations = counted.count_total;
            for other in others {
                other.join().map_err(|_| "a writer failed")??;
            }
            let begin = Instant::now();
            for step in 0..i64::from(WRITES) {
                logger.log("train/loss", 0.5, step)?;
            }
            by_key.push(begin.elapsed().as_secs_f64() / f64::from(WRITES));
            logger.close().await;
        }
        let took = told_nanoseconds(&format!("{threads} writing: by handle"), seconds)?;
        told_nanoseconds(&format!("{threads} writing: by key, one alone"), by_key)?;
        goal(
            &format!("below {:.0} ns and no allocation", MOST_FOR_A_WRITE * 1e9),
            &format!("{:.0} ns and {allocations} allocations in {WRITES} calls", took * 1e9),
            took < MOST_FOR_A_WRITE && allocations == 0,
        )?;
    }
    Ok(())
}

/// The same points, each time to a run of its own, by bare reqwest with bodies made before, by the client, and by the
/// logger.
async fn batches(url: &str) -> Result<f64, Failure> {
    let client = Client::builder(url)?.build()?;
    let bare = reqwest::Client::builder().timeout(Duration::from_secs(60)).build()?;
    let target = format!("{url}/api/2.0/mlflow/runs/log-batch");
    let points: Vec<_> = (0..i64::try_from(BATCH * BATCHES)?).collect();
    let (mut floor, mut ours, mut logger) = (Vec::new(), Vec::new(), Vec::new());
    // In turns, so that whatever else the machine does meets all alike.
    for _ in 0..=ROUNDS {
        let run = client.runs().create(CreateRun::new("0")).await?;
        let bodies = points.chunks(BATCH).map(|steps| {
            let metrics: Vec<_> = steps
                .iter()
                .map(|step| json!({"key": "loss", "value": value(*step), "timestamp": step, "step": step}))
                .collect();
            serde_json::to_vec(&json!({"run_id": run.id(), "metrics": metrics}))
        });
        let bodies = bodies.collect::<Result<Vec<_>, _>>()?;
        let begin = Instant::now();
        for body in bodies {
            let request = bare.post(&target).header("content-type", "application/json").body(body);
            request.send().await?.error_for_status()?.bytes().await?;
        }
        floor.push(begin.elapsed().as_secs_f64());

        let run = client.runs().create(CreateRun::new("0")).await?;
        let begin = Instant::now();
        let metrics = points.iter().map(|step| {
            let mut metric = Metric::new("loss", value(*step)).step(*step);
            metric.timestamp = *step;
            metric
        });
        client
            .runs()
            .log_batch(run.id(), &LogBatch::new().metrics(metrics))
            .await?;
        ours.push(begin.elapsed().as_secs_f64());

        let run = client.runs().create(CreateRun::new("0")).await?;
        let begin = Instant::now();
        let logging = client.runs().logger(run.id()).start()?;
        let metric = logging.metric("loss")?;
        for step in &points {
            metric.log_at(value(*step), *step, *step)?;
        }
        let report = logging.close().await;
        logger.push(begin.elapsed().as_secs_f64());
        if !report.is_complete() {
            return Err(report.to_string().into());
        }
    }
    let floor = told("floor: bare reqwest, bodies made before", floor, None)?;
    let ours = told("log_batch", ours, Some(floor))?;
    let logger = told("logger, from its start to its end", logger, Some(floor))?;
    for (name, took) in [("log_batch", ours), ("logger", logger)] {
        goal(
            &format!("{name}: {:.0} % of the floor's throughput", LEAST_SHARE * 100.0),
            &format!("{:.1} %", 100.0 * floor / took),
            floor / took >= LEAST_SHARE,
        )?;
    }
    Ok(logger)
}

#[allow(clippy::cast_precision_loss, reason = "steps are small")]
fn value(step: i64) -> f64 {
    0.5 * step as f64
}

async fn search(url: &str) -> Result<f64, Failure> {
    line(&format!(
        "search of {RUNS} runs with 5 metrics and 5 parameters each, {PAGE} a page"
    ))?;
    let client = Client::builder(url)?.build()?;
    let bare = reqwest::Client::builder().timeout(Duration::from_secs(60)).build()?;
    let target = format!("{url}/api/2.0/mlflow/runs/search");
    let (mut floor, mut typed) = (Vec::new(), Vec::new());
    for _ in 0..=ROUNDS {
        let begin = Instant::now();
        let (mut found, mut token) = (0, None);
        loop {
            let body = json!({"experiment_ids": ["0"], "max_results": PAGE, "page_token": token});
            let answer = bare.post(&target).json(&body).send().await?.error_for_status()?;
            let answer: Value = answer.json().await?;
            found += answer.get("runs").and_then(Value::as_array).map_or(0, Vec::len);
            token = answer.get("next_page_token").cloned();
            if token.is_none() {
                break;
            }
        }
        floor.push(begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        let request = SearchRuns::new(["0"]).max_results(u32::try_from(PAGE)?);
        let mut runs = Box::pin(client.runs().search_all(request));
        let mut count = 0;
        while let Some(run) = runs.next().await {
            count += usize::from(!black_box(run?).id().is_empty());
        }
        typed.push(begin.elapsed().as_secs_f64());
        if (found, count) != (RUNS, RUNS) {
            return Err(format!("{found} and {count} runs were found").into());
        }
    }
    let floor = told("floor: reqwest and serde_json::Value", floor, None)?;
    let typed = told("typed", typed, Some(floor))?;
    goal(
        "not slower",
        &format!("{:.2} times the floor", typed / floor),
        typed <= floor,
    )?;
    Ok(typed)
}

async fn beside_python(python: &Path, url: &str, static_url: &str, ours: f64, search: f64) -> Result<(), Failure> {
    line("the official Python client, in a process of its own, without the time it takes to start")?;
    let mut command = Command::new(python);
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/mlflow_logging.py"))
        .args([url, static_url, &(BATCH * BATCHES).to_string(), &RUNS.to_string()])
        .env("MLFLOW_DISABLE_TELEMETRY", "true")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    if !output.status.success() {
        return Err("the Python client failed".into());
    }
    let told: Value = serde_json::from_slice(&output.stdout)?;
    let seconds = |name: &str| told.get(name).and_then(Value::as_f64).ok_or("a figure is missing");
    let batch = seconds("log_batch")?;
    line(&format!(
        "  log_batch of {} points  {batch:.2} s, {:.1} times the logger",
        BATCH * BATCHES,
        batch / ours
    ))?;
    for (name, what) in [
        ("log_metric", "log_metric"),
        ("log_metric_async", "log_metric, asynchronous"),
    ] {
        line(&format!("  {what}, one call  {:.0} us", seconds(name)? * 1e6))?;
    }
    let found = seconds("search")?;
    line(&format!(
        "  search of {RUNS} runs  {found:.2} s, {:.1} times ours",
        found / search
    ))?;
    Ok(())
}

/// A server that takes every batch and has ten thousand runs, all made before.
async fn serve() -> Result<String, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let pages: Vec<String> = (0..RUNS / PAGE).map(page).collect();
    let pages = Arc::new(pages);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let pages = Arc::clone(&pages);
            tokio::spawn(async move { answer(stream, &pages).await });
        }
    });
    Ok(url)
}

async fn answer(mut stream: TcpStream, pages: &[String]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut data = Vec::new();
    loop {
        let (head, length) = loop {
            if let Some(end) = data.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(data.get(..end).unwrap_or_default()).to_ascii_lowercase();
                let length = head
                    .split("content-length:")
                    .nth(1)
                    .and_then(|rest| rest.lines().next());
                let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
                break (head, end + 4 + length);
            }
            if stream.read_buf(&mut data).await? == 0 {
                return Ok(());
            }
        };
        while data.len() < length {
            if stream.read_buf(&mut data).await? == 0 {
                return Ok(());
            }
        }
        let request: Vec<u8> = data.drain(..length).collect();
        let body = if head.contains("runs/search") {
            let text = String::from_utf8_lossy(&request);
            let token = text.split("page-").nth(1).and_then(|rest| rest.split('"').next());
            let number: usize = token.and_then(|token| token.parse().ok()).unwrap_or(0);
            pages.get(number).map_or("{}", String::as_str)
        } else {
            "{}"
        };
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
    }
}

/// As MLflow writes it, indented.
fn page(number: usize) -> String {
    let runs: Vec<_> = (number * PAGE..(number + 1) * PAGE)
        .map(|run| {
            let id = format!("{run:032x}");
            let metrics: Vec<_> = (0..5)
                .map(|at| json!({"key": format!("metric{at}"), "value": 0.125, "timestamp": 1_795_870_442_581_i64, "step": at}))
                .collect();
            let params: Vec<_> = (0..5)
                .map(|at| json!({"key": format!("param{at}"), "value": "0.001"}))
                .collect();
            json!({
                "info": {"run_uuid": id, "experiment_id": "0", "run_name": "bold-crane-77", "user_id": "",
                    "status": "FINISHED", "start_time": 1_795_870_442_000_i64, "end_time": 1_795_870_443_000_i64,
                    "artifact_uri": format!("mlflow-artifacts:/0/{id}/artifacts"), "lifecycle_stage": "active",
                    "run_id": id},
                "data": {"metrics": metrics, "params": params,
                    "tags": [{"key": "mlflow.runName", "value": "bold-crane-77"}]},
                "inputs": {}, "outputs": {}
            })
        })
        .collect();
    let mut text = String::new();
    let _ = write!(text, "{:#}", json!({"runs": runs}));
    if number + 1 < RUNS / PAGE {
        text.truncate(text.len() - 2);
        let _ = write!(text, ",\n  \"next_page_token\": \"page-{}\"\n}}", number + 1);
    }
    text
}

fn told(name: &str, mut seconds: Vec<f64>, floor: Option<f64>) -> Result<f64, Failure> {
    // The first round warmed up.
    seconds.remove(0);
    let figures = Figures::new(seconds).ok_or("nothing was measured")?;
    let ratio = floor.map_or_else(String::new, |floor| {
        format!("  {:.2} times the floor", figures.median() / floor)
    });
    line(&format!("  {name:<42} {:<48}{ratio}", figures.to_string()))?;
    Ok(figures.median())
}

fn told_nanoseconds(name: &str, mut seconds: Vec<f64>) -> Result<f64, Failure> {
    seconds.remove(0);
    let figures = Figures::new(seconds).ok_or("nothing was measured")?;
    line(&format!("  {name:<42} {:9.0} ns", figures.median() * 1e9))?;
    Ok(figures.median())
}

fn goal(wanted: &str, got: &str, reached: bool) -> Result<(), Failure> {
    let word = if reached { "reached" } else { "MISSED" };
    line(&format!("  goal {word}: {wanted}; it is {got}"))
}
