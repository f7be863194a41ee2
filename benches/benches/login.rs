//! What a session costs beside what cannot be avoided: what its middleware adds to a request, in time and in allocations,
//! and how long a login takes beside the bare sum of the same exchanges.

use std::future::Future;
use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use benches::{Failure, Figures, ended, line};
use dex_auth::testing::{Gateway, Release};
use dex_auth::{BearerToken, Credentials, Session};
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Respond, ResponseTemplate};

const URL: &str = "https://kubeflow.example.com/pipeline/apis/v2beta1/runs?page_size=10";
const LOGINS: usize = 31;
const ROUNDS: usize = 50;
const REQUESTS: u32 = 1_000;

/// Stands in for the network: answers at once.
struct Answer;

#[async_trait]
impl Middleware for Answer {
    async fn handle(&self, _: Request, _: &mut Extensions, _: Next<'_>) -> reqwest_middleware::Result<Response> {
        Ok(Response::from(http::Response::new("{}")))
    }
}

fn client(session: Option<&Session>) -> ClientWithMiddleware {
    let mut builder = ClientBuilder::new(reqwest::Client::new());
    if let Some(session) = session {
        builder = builder.with(session.middleware());
    }
    builder.with(Answer).build()
}

fn builder() -> dex_auth::SessionBuilder {
    match Session::builder("https://kubeflow.example.com") {
        Ok(builder) => builder,
        Err(error) => unreachable!("a good address: {error}"),
    }
}

/// A session of so many cookies of 4 kB each.
fn of_cookies(count: usize) -> Result<Session, Failure> {
    let cookies = (0..count).fold(builder(), |builder, part| {
        builder.cookie(&format!("oauth2_proxy_kubeflow_{part}"), "x".repeat(4000))
    });
    Ok(cookies.build()?)
}

/// Runs what never waits.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// One request through a client whose session is ready.
fn send(client: &ClientWithMiddleware, request: &Request) -> bool {
    let again = request.try_clone();
    again.is_some_and(|request| at_once(client.execute(request)).is_some_and(|answer| black_box(answer).is_ok()))
}

fn request() -> Result<Request, Failure> {
    Ok(reqwest::Client::new()
        .post(URL)
        .header("content-type", "application/json")
        .body(r#"{"display_name":"run"}"#)
        .build()?)
}

/// The clients to compare, their sessions ready.
fn clients() -> Result<Vec<(&'static str, ClientWithMiddleware)>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut clients = vec![("floor: no session", client(None))];
    let sessions = [
        ("1 cookie of 4 kB", of_cookies(1)?),
        ("3 cookies of 4 kB", of_cookies(3)?),
        ("12 cookies of 4 kB", of_cookies(12)?),
        ("a token", builder().token(BearerToken::new("x".repeat(1000))).build()?),
    ];
    for (name, session) in sessions {
        runtime.block_on(session.access())?;
        clients.push((name, client(Some(&session))));
    }
    Ok(clients)
}

/// Requests through each client in turns, so that whatever else the machine does meets all alike.
fn middleware() -> Result<(), Failure> {
    line("a request through the middleware")?;
    let request = request()?;
    let clients = clients()?;
    let mut times = vec![Vec::new(); clients.len()];
    for _ in 0..=ROUNDS {
        for ((_, client), times) in clients.iter().zip(&mut times) {
            let begin = Instant::now();
            for _ in 0..REQUESTS {
                assert!(send(client, &request));
            }
            times.push(begin.elapsed().as_secs_f64() / f64::from(REQUESTS));
        }
    }
    let mut floor = None;
    for ((name, _), mut times) in clients.into_iter().zip(times) {
        // The first round warmed up.
        times.remove(0);
        let figures = Figures::new(times).ok_or("nothing was measured")?;
        let added = (figures.median() - *floor.get_or_insert(figures.median())) * 1e6;
        line(&format!("  {name:<20} {figures}   +{added:.2} us"))?;
    }
    Ok(())
}

fn allocations() -> Result<(), Failure> {
    line("\nallocations of one request through the middleware, beside the floor's")?;
    let request = request()?;
    let mut floor = None;
    for (name, client) in clients()? {
        // The first request makes what later ones share.
        let _ = send(&client, &request);
        let counted = allocation_counter::measure(|| assert!(send(&client, &request)));
        let (count, bytes) = (counted.count_total, counted.bytes_total);
        let (least, fewest) = *floor.get_or_insert((count, bytes));
        line(&format!(
            "  {name:<20} {count:>4} allocations, {bytes:>6} bytes   (+{}, +{} bytes)",
            count - least,
            bytes - fewest
        ))?;
    }
    Ok(())
}

/// Answers as the gateway does, and then gives the same answers again in the same order: so a login can be repeated at the
/// same cost of the server.
#[derive(Clone)]
struct Playback {
    gateway: Gateway,
    answers: Arc<Mutex<Vec<ResponseTemplate>>>,
    /// Which answer comes next; `None` while they are recorded.
    next: Arc<Mutex<Option<usize>>>,
}

impl Playback {
    fn new(gateway: Gateway) -> Self {
        Self {
            gateway,
            answers: Arc::default(),
            next: Arc::default(),
        }
    }

    fn rewind(&self) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(0);
    }
}

impl Respond for Playback {
    fn respond(&self, request: &wiremock::Request) -> ResponseTemplate {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = next.as_mut() {
            *number += 1;
            let answer = answers.get(*number - 1).cloned();
            return answer.unwrap_or_else(|| ResponseTemplate::new(500));
        }
        let answer = self.gateway.respond(request);
        answers.push(answer.clone());
        answer
    }
}

/// Logins, and in turns the very requests that they send, one after the other by a bare client.
async fn logins() -> Result<(), Failure> {
    line("\na login through each gateway, beside the bare sum of the same exchanges")?;
    for release in [Release::Kubeflow1_8, Release::Kubeflow1_9, Release::Kubeflow1_11] {
        let gateway = Gateway::builder()
            .release(release)
            .user("user@example.com", "password")
            .build();
        let playback = Playback::new(gateway);
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(playback.clone()).mount(&server).await;
        let session = || -> Result<Session, Failure> {
            let credentials = Credentials::new("user@example.com", "password");
            Ok(Session::builder(&server.uri())?.credentials(credentials).build()?)
        };
        session()?.login().await?;
        let sent = server.received_requests().await.unwrap_or_default();
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..LOGINS {
            let session = session()?;
            playback.rewind();
            let begin = Instant::now();
            session.login().await?;
            ours.push(begin.elapsed().as_secs_f64());

            let http = reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .timeout(Duration::from_secs(10))
                .build()?;
            let request = |sent: &wiremock::Request| {
                // What was received names another host than the one that was asked.
                let below = &sent.url[url::Position::BeforePath..];
                http.request(sent.method.clone(), format!("{}{below}", server.uri()))
                    .headers(sent.headers.clone())
                    .body(sent.body.clone())
            };
            let requests: Vec<_> = sent.iter().map(request).collect();
            playback.rewind();
            let begin = Instant::now();
            for request in requests {
                request.send().await?.bytes().await?;
            }
            bare.push(begin.elapsed().as_secs_f64());
        }
        // The first ones warmed up.
        ours.remove(0);
        bare.remove(0);
        let (ours, bare) = (
            Figures::new(ours).ok_or("nothing")?,
            Figures::new(bare).ok_or("nothing")?,
        );
        let ratio = ours.median() / bare.median();
        line(&format!("  Kubeflow {release}, {} exchanges", sent.len()))?;
        line(&format!("    floor: bare exchanges          {bare}"))?;
        line(&format!(
            "    login                          {ours}  {ratio:.2} times the floor"
        ))?;
    }
    Ok(())
}

fn main() -> std::process::ExitCode {
    let runtime = tokio::runtime::Runtime::new();
    let result = middleware()
        .and_then(|()| allocations())
        .and_then(|()| runtime?.block_on(logins()));
    ended(result)
}
