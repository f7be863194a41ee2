//! What the typed client costs beside bare reqwest with untyped JSON, and what it takes to watch ten thousand runs.

use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use benches::{Failure, Figures, ended, line, measure, measure_if_asked};
use futures_util::StreamExt;
use kfp_client::{Client, ListRuns, RunEvent, RunId, WatchRuns};
use kfp_server::LIVE;
use serde_json::Value;

#[path = "shared/kfp_server.rs"]
mod kfp_server;

const ROUNDS: usize = 15;
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
    ended(result)
}

async fn run() -> Result<(), Failure> {
    let server = kfp_server::serve().await?;
    let url = server.url.clone();
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
    let mut child = Command::new(std::env::current_exe()?);
    child.env(WATCH, &url);
    let measured = measure(1, &child)?;
    line(&format!("  time of all rounds  {}", measured.time))?;
    line(&format!("  peak memory  {:.1} MiB (goal: below 64)", measured.peak))?;
    let asked = f64::from(u32::try_from(server.counted())?) / f64::from(u32::try_from(TICKS - 1)?);
    line(&format!(
        "  requests a round, from the second on  {asked:.1} (goal: {} and one for ends)",
        LIVE / kfp_server::PAGE
    ))?;
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
            RunEvent::CaughtUp { live, .. } if live == LIVE => {
                rounds += 1;
                // The first round also looks for the latest end. Nothing is asked between two events.
                if rounds == 1 {
                    reqwest::get(format!("{url}{}", kfp_server::COUNT_FROM_HERE)).await?;
                }
            }
            other => return Err(format!("unexpected: {other:?}").into()),
        }
    }
    if seen == LIVE {
        Ok(())
    } else {
        Err(format!("{seen} runs were seen").into())
    }
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
