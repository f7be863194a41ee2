//! What the session's middleware and the typed client cost on one request through the gateway, beside bare reqwest with
//! the cookie set by hand, on the same server.

use std::future::Future;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use benches::{Failure, Figures, ended, line};
use dex_auth::{Credentials, Session};
use orchestrator_core::testing::Sandbox;
use secrecy::ExposeSecret;

const ROUNDS: usize = 15;
const REQUESTS: u32 = 200;

#[tokio::main]
async fn main() -> ExitCode {
    ended(run().await)
}

async fn run() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().simulate(true).start().await?;
    let session = Session::builder(sandbox.url())?
        .credentials(Credentials::new(sandbox.username(), sandbox.password().to_owned()))
        .build()?;
    let cookie = session.login().await?;
    let with_session = session.http_client();
    let typed = kfp_client::Client::builder(sandbox.kfp_url())?
        .http(session.http_client())
        .build()?;
    let bare = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
    let url = format!("{}/apis/v2beta1/healthz", sandbox.kfp_url());
    let header = cookie.header();

    let (mut floor, mut middle, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    // In turns, so that whatever else the machine does meets all alike.
    for _ in 0..=ROUNDS {
        floor.push(
            each(|| async {
                let request = bare.get(&url).header("Cookie", header.expose_secret());
                Ok(request.send().await?.error_for_status()?.bytes().await.map(drop)?)
            })
            .await?,
        );
        middle.push(
            each(|| async {
                Ok(with_session
                    .get(&url)
                    .send()
                    .await?
                    .error_for_status()?
                    .bytes()
                    .await
                    .map(drop)?)
            })
            .await?,
        );
        whole.push(each(|| async { Ok(typed.health().await.map(drop)?) }).await?);
    }

    line(&format!("one request through the gateway, mean of {REQUESTS}"))?;
    let floor = told("floor: bare reqwest", floor, None)?;
    told("with the session's middleware", middle, Some(floor))?;
    told("kfp-client on top", whole, Some(floor))?;
    Ok(())
}

fn told(name: &str, mut seconds: Vec<f64>, floor: Option<f64>) -> Result<f64, Failure> {
    // The first round warmed up.
    seconds.remove(0);
    let figures = Figures::new(seconds).ok_or("nothing was measured")?;
    let ratio = floor
        .map(|floor| format!("  {:.2} times the floor", figures.median() / floor))
        .unwrap_or_default();
    line(&format!("  {name:<32} {:<48}{ratio}", figures.to_string()))?;
    Ok(figures.median())
}

/// Mean seconds of one request.
async fn each<F, R>(request: F) -> Result<f64, Failure>
where
    F: Fn() -> R,
    R: Future<Output = Result<(), Failure>>,
{
    let begin = Instant::now();
    for _ in 0..REQUESTS {
        request().await?;
    }
    Ok(begin.elapsed().as_secs_f64() / f64::from(REQUESTS))
}
