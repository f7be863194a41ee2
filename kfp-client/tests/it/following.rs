//! Following runs: waiting for one, watching many.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{Stream, StreamExt};
use kfp_client::{Error, Result, Run, RunEvent, RunId, RunOutcome, RuntimeState, Wait, WatchRuns, v1::RunDetail};
use serde_json::{Value, json};

use crate::{
    pacing::{Jumps, Lists, run, run_v1},
    scripted::{Act, Server},
};

const LIST: &str = "/apis/v2beta1/runs";

async fn serve(lists: &Lists) -> Server {
    let lists = lists.clone();
    Server::start(move |seen, _| lists.answer(seen)).await
}

trait Named {
    fn id(&self) -> &RunId;
}

impl Named for Run {
    fn id(&self) -> &RunId {
        &self.run_id
    }
}

impl Named for RunDetail {
    fn id(&self) -> &RunId {
        &self.run.id
    }
}

/// What happened in one round, in words.
async fn round<R: Named>(events: &mut (impl Stream<Item = Result<RunEvent<R>>> + Unpin)) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        match event.unwrap() {
            RunEvent::Changed(change) => {
                let before = change
                    .previous
                    .map_or_else(|| "-".to_owned(), |state| state.to_string());
                let mut text = format!("{} {before} {}", change.run.id(), change.state);
                for (flag, word) in [(change.ended, " ended"), (change.revived, " revived")] {
                    text.push_str(if flag { word } else { "" });
                }
                if change.outcome == RunOutcome::Cancelled {
                    text.push_str(" cancelled");
                }
                for task in change.tasks {
                    text = format!("{text} {}={}", task.display_name, task.state);
                }
                told.push(text);
            }
            RunEvent::Gone(id) => told.push(format!("{id} gone")),
            RunEvent::Trouble(error) => {
                let status = error.status().map(|status| status.as_u16());
                told.push(format!("trouble {status:?}"));
            }
            RunEvent::CaughtUp { live, requests, .. } => {
                told.push(format!("live {live} requests {requests}"));
                return told;
            }
            _ => {}
        }
    }
    told.push("over".to_owned());
    told
}

#[tokio::test]
async fn thousands_of_runs_cost_one_request_for_two_hundred() {
    let lists = Lists::default();
    for number in 0..1000 {
        lists.put(run(&format!("r{number}"), "RUNNING", ""));
    }
    let server = serve(&lists).await;
    let runs = server.client().build().unwrap().runs();
    let mut events = Box::pin(runs.watch(WatchRuns::new().pacer(Jumps::new())));
    let first = round(&mut events).await;
    assert_eq!(first.len(), 1001);
    assert_eq!(first[0], "r0 - RUNNING");
    // Once to know which ends are old, five pages, once for those that ended.
    assert_eq!(first.last().unwrap(), "live 1000 requests 7");
    assert_eq!(round(&mut events).await, ["live 1000 requests 6"]);
    lists.put(run("r7", "SUCCEEDED", "2026-11-23T21:05:00Z"));
    lists.put(run("r8", "FAILED", "2026-11-23T21:05:01Z"));
    let told = round(&mut events).await;
    assert_eq!(
        told,
        [
            "r8 RUNNING FAILED ended",
            "r7 RUNNING SUCCEEDED ended",
            "live 998 requests 6"
        ]
    );
    assert!(server.seen().iter().all(|seen| seen.is("GET", LIST)));
    assert!(server.seen().iter().all(|seen| seen.target.len() < 8192));
}

#[tokio::test]
async fn runs_that_come_and_go_between_two_rounds_are_seen_and_old_ones_are_not_told() {
    let lists = Lists::default();
    lists.put(run("old", "SUCCEEDED", "2026-11-23T20:00:00Z"));
    lists.put(run("just before", "SUCCEEDED", "2026-11-23T20:59:59Z"));
    let server = serve(&lists).await;
    let runs = server.client().build().unwrap().runs();
    let mut events = Box::pin(runs.watch(WatchRuns::new().pacer(Jumps::new())));
    assert_eq!(round(&mut events).await, ["live 0 requests 3"]);
    lists.put(run("quick", "CANCELED", "2026-11-23T21:00:03Z"));
    assert_eq!(
        round(&mut events).await,
        ["quick - CANCELED ended cancelled", "live 0 requests 2"]
    );
    // Told once, though it is listed again.
    assert_eq!(round(&mut events).await, ["live 0 requests 2"]);

    let since = WatchRuns::new().since("2026-11-23T20:30:00Z".parse().unwrap());
    let mut events = Box::pin(runs.watch(since.pacer(Jumps::new())));
    let told = round(&mut events).await;
    assert_eq!(
        told[..2],
        ["quick - CANCELED ended cancelled", "just before - SUCCEEDED ended"]
    );
}

#[tokio::test]
async fn retried_runs_come_back_and_deleted_ones_are_gone() {
    let lists = Lists::default();
    lists.put(run("a", "RUNNING", ""));
    lists.put(run("b", "MELTING", ""));
    let server = serve(&lists).await;
    let runs = server.client().build().unwrap().runs();
    let mut events = Box::pin(runs.watch(WatchRuns::new().pacer(Jumps::new())));
    assert_eq!(
        round(&mut events).await[..2],
        ["a - RUNNING", "b - MELTING"],
        "a state nobody knows is not final"
    );
    lists.put(run("a", "FAILED", "2026-11-23T21:05:00Z"));
    lists.remove("b");
    let told = round(&mut events).await;
    assert_eq!(told, ["a RUNNING FAILED ended", "b gone", "live 0 requests 3"]);
    lists.put(run("a", "RUNNING", ""));
    assert_eq!(round(&mut events).await[0], "a FAILED RUNNING revived");
    lists.put(run("a", "CANCELING", ""));
    assert_eq!(round(&mut events).await[0], "a RUNNING CANCELING");
    lists.put(run("a", "FAILED", "2026-11-23T21:09:00Z"));
    assert_eq!(round(&mut events).await[0], "a CANCELING FAILED ended cancelled");
}

fn with_tasks(mut run: Value, tasks: &[(&str, &str)]) -> Value {
    let tasks: Vec<Value> = tasks
        .iter()
        .map(|(name, state)| json!({"task_id": name, "display_name": name, "state": state}))
        .collect();
    run["run_details"] = json!({"task_details": tasks});
    run
}

#[tokio::test]
async fn tasks_are_told_and_those_that_lag_are_waited_for() {
    let lists = Lists::default();
    lists.put(with_tasks(run("a", "RUNNING", ""), &[("x", "RUNNING")]));
    let server = serve(&lists).await;
    let runs = server.client().build().unwrap().runs();
    let ids = [RunId::new("a")];
    let request = WatchRuns::new().run_ids(ids).interval(Duration::from_secs(10));
    let request = request.settle(Duration::from_secs(30)).pacer(Jumps::new());
    let mut events = Box::pin(runs.watch(request));
    assert_eq!(round(&mut events).await, ["a - RUNNING x=RUNNING", "live 1 requests 1"]);
    let end = "2026-11-23T21:05:00Z";
    lists.put(with_tasks(
        run("a", "SUCCEEDED", end),
        &[("x", "SUCCEEDED"), ("y", "RUNNING")],
    ));
    let told = round(&mut events).await;
    assert_eq!(told, ["a RUNNING SUCCEEDED x=SUCCEEDED y=RUNNING", "live 1 requests 1"]);
    lists.put(with_tasks(
        run("a", "SUCCEEDED", end),
        &[("y", "SUCCEEDED"), ("x", "SUCCEEDED")],
    ));
    let told = round(&mut events).await;
    assert_eq!(told, ["a SUCCEEDED SUCCEEDED ended y=SUCCEEDED", "live 0 requests 1"]);
    assert_eq!(round(&mut events).await, ["over"]);
}

#[tokio::test]
async fn a_watch_of_given_runs_ends_with_them() {
    let lists = Lists::default();
    for number in 0..150 {
        lists.put(run(&format!("r{number}"), "RUNNING", ""));
    }
    lists.put(run("other", "RUNNING", ""));
    let server = serve(&lists).await;
    let runs = server.client().build().unwrap().runs();
    let ids = (0..150).map(|number| RunId::new(format!("r{number}")));
    let ids: Vec<_> = ids.chain([RunId::new("nobody")]).collect();
    let mut events = Box::pin(runs.watch(WatchRuns::new().run_ids(ids).pacer(Jumps::new())));
    let first = round(&mut events).await;
    assert_eq!(first[150..], ["nobody gone", "live 150 requests 2"]);
    assert!(!first.iter().any(|text| text.contains("other")));
    for number in 0..150 {
        lists.put(run(&format!("r{number}"), "SKIPPED", "2026-11-23T21:05:00Z"));
    }
    let told = round(&mut events).await;
    // One list of those that go on, two look-ups by a hundred.
    assert_eq!((told.len(), told[150].as_str()), (151, "live 0 requests 3"));
    assert_eq!(round(&mut events).await, ["over"]);
    assert_eq!(server.count("GET", LIST), 5);
}

#[tokio::test]
async fn a_watch_goes_on_where_it_was_after_faults() {
    let lists = Lists::default();
    for number in 0..300 {
        lists.put(run(&format!("r{number}"), "RUNNING", ""));
    }
    let held = lists.clone();
    // Faults in the midst of a round: between its two pages.
    let faults = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&faults);
    let server = Server::start(move |seen, _| {
        if !seen.target.contains("page_token") {
            return held.answer(seen);
        }
        match count.fetch_add(1, Ordering::SeqCst) {
            0..=8 => Act::Headers(
                503,
                vec![("retry-after", "0".to_owned())],
                "upstream connect error".into(),
            ),
            9 => Act::Close,
            10 => Act::Headers(302, vec![("location", "/dex/auth".to_owned())], String::new()),
            11 => Act::Truncate("{\"runs\": [".into()),
            12 => Act::Answer(200, "text/html", "<html><title>Log in</title></html>".into()),
            13 => Act::json(400, json!({"code": 3, "message": "page token does not match"})),
            _ => held.answer(seen),
        }
    })
    .await;
    let runs = server.client().build().unwrap().runs();
    let pacer = Jumps::new();
    let mut events = Box::pin(runs.watch(WatchRuns::new().pacer(Arc::clone(&pacer) as _)));
    let told = round(&mut events).await;
    let appeared = told.iter().filter(|text| text.ends_with("- RUNNING")).count();
    assert_eq!(appeared, 300, "each once");
    let trouble: Vec<_> = told.iter().filter(|text| text.starts_with("trouble")).collect();
    assert_eq!(trouble, ["trouble Some(503)"], "told once");
    assert_eq!(told.last().unwrap(), "live 300 requests 5");
    assert!(faults.load(Ordering::SeqCst) >= 15);
    let pauses = pacer.pauses();
    assert!(
        pauses.len() >= 5 && pauses.iter().all(|pause| *pause >= Duration::from_millis(500)),
        "{pauses:?}"
    );
}

#[tokio::test]
async fn a_watch_that_cannot_go_on_says_why_and_ends() {
    let refused = json!({"code": 7, "message": "no", "details": []});
    let server = Server::start(move |_, _| Act::json(403, &refused)).await;
    let runs = server.client().build().unwrap().runs();
    let mut events = Box::pin(runs.watch(WatchRuns::new().pacer(Jumps::new())));
    assert!(matches!(events.next().await, Some(Err(Error::PermissionDenied(_)))));
    assert!(events.next().await.is_none());

    // A storm that does not end.
    let storm = || Act::Headers(503, vec![("retry-after", "0".to_owned())], String::new());
    let server = Server::start(move |_, _| storm()).await;
    let runs = server.client().build().unwrap().runs();
    let request = WatchRuns::new().patience(Duration::from_secs(60)).pacer(Jumps::new());
    let mut events = Box::pin(runs.watch(request));
    assert!(matches!(
        events.next().await,
        Some(Ok(RunEvent::Trouble(Error::Unavailable(_))))
    ));
    assert!(matches!(events.next().await, Some(Err(Error::Unavailable(_)))));
    assert!(events.next().await.is_none());

    let lists = Lists::default();
    lists.put(run("a", "RUNNING", ""));
    let server = serve(&lists).await;
    let runs = server.client().build().unwrap().runs();
    let request = WatchRuns::new().timeout(Duration::from_secs(35)).pacer(Jumps::new());
    let told: Vec<_> = runs.watch(request).collect().await;
    let Some(Err(error)) = told.last() else {
        panic!("no error at the end")
    };
    assert!(
        matches!(error, Error::Timeout(_)) && error.to_string().contains("1 runs have not ended"),
        "{error}"
    );
    assert_eq!(told.len(), 1 + 4 + 1, "{told:?}");
}

#[tokio::test]
async fn a_watch_asks_only_while_it_is_polled() {
    let lists = Lists::default();
    lists.put(run("a", "RUNNING", ""));
    let server = serve(&lists).await;
    let runs = server.client().build().unwrap().runs();
    let mut events = Box::pin(runs.watch(WatchRuns::new().pacer(Jumps::new())));
    assert!(server.seen().is_empty());
    round(&mut events).await;
    let asked = server.seen().len();
    tokio::task::yield_now().await;
    drop(events);
    assert_eq!(server.seen().len(), asked);
}

#[tokio::test]
async fn waiting_ends_with_every_final_state_and_bears_with_faults() {
    let done = |state: &str| run("r1", state, "2026-11-23T21:05:00Z");
    let cases: Vec<(Vec<Act>, RunOutcome, RuntimeState)> = vec![
        (
            vec![
                Act::json(200, run("r1", "PENDING", "")),
                Act::Headers(503, vec![("retry-after", "0".to_owned())], String::new()),
                Act::Answer(200, "text/html", "<html>Log in</html>".into()),
                Act::json(200, run("r1", "MELTING", "")),
                Act::json(200, done("SUCCEEDED")),
            ],
            RunOutcome::Succeeded,
            RuntimeState::Succeeded,
        ),
        (
            vec![Act::json(200, done("CANCELED"))],
            RunOutcome::Cancelled,
            RuntimeState::Canceled,
        ),
        (
            // The history does not tell (yet) that it was terminated; who has watched knows.
            vec![
                Act::json(200, run("r1", "CANCELING", "")),
                Act::json(200, done("FAILED")),
            ],
            RunOutcome::Cancelled,
            RuntimeState::Failed,
        ),
        (
            vec![Act::json(200, done("FAILED"))],
            RunOutcome::Failed,
            RuntimeState::Failed,
        ),
        (
            vec![Act::json(200, done("SKIPPED"))],
            RunOutcome::Skipped,
            RuntimeState::Skipped,
        ),
        (
            vec![
                Act::json(200, with_tasks(done("SUCCEEDED"), &[("x", "RUNNING")])),
                Act::json(200, with_tasks(done("SUCCEEDED"), &[("x", "SUCCEEDED")])),
            ],
            RunOutcome::Succeeded,
            RuntimeState::Succeeded,
        ),
    ];
    for (acts, outcome, state) in cases {
        let acts = Mutex::new(acts.into_iter());
        let server = Server::start(move |_, _| acts.lock().unwrap().next().unwrap()).await;
        let runs = server.client().build().unwrap().runs();
        let end = runs
            .wait(&RunId::new("r1"), Wait::new().pacer(Jumps::new()))
            .await
            .unwrap();
        assert_eq!((end.outcome, end.run.state.clone()), (outcome, Some(state)));
        assert!(
            end.run
                .run_details
                .task_details
                .iter()
                .all(|task| task.state == Some(RuntimeState::Succeeded))
        );
    }
}

#[tokio::test]
async fn waiting_has_limits() {
    let server = Server::start(|_, _| Act::json(200, run("r1", "RUNNING", ""))).await;
    let runs = server.client().build().unwrap().runs();
    let pacer = Jumps::new();
    let wait = Wait::new()
        .timeout(Duration::from_secs(100))
        .pacer(Arc::clone(&pacer) as _);
    let error = runs.wait(&RunId::new("r1"), wait).await.unwrap_err();
    assert!(
        matches!(error, Error::Timeout(_)) && error.to_string().contains("RUNNING"),
        "{error}"
    );
    let pauses = pacer.pauses();
    assert_eq!(pauses.iter().sum::<Duration>(), Duration::from_secs(100));
    assert_eq!(
        (pauses[0], pauses[8]),
        (Duration::from_secs(1), Duration::from_secs(10))
    );

    // Tasks that never follow.
    let lagging = with_tasks(run("r1", "FAILED", "2026-11-23T21:05:00Z"), &[("x", "RUNNING")]);
    let server = Server::start(move |_, _| Act::json(200, &lagging)).await;
    let runs = server.client().build().unwrap().runs();
    let pacer = Jumps::new();
    let wait = Wait::new()
        .settle(Duration::from_secs(5))
        .pacer(Arc::clone(&pacer) as _);
    let end = runs.wait(&RunId::new("r1"), wait).await.unwrap();
    assert_eq!(end.outcome, RunOutcome::Failed);
    assert_eq!(pacer.pauses().iter().sum::<Duration>(), Duration::from_secs(5));

    let server = Server::start(|_, _| {
        let detail = json!({"code": 5, "message": "Run r1 not found"});
        Act::json(404, json!({"code": 5, "message": "x", "details": [detail]}))
    })
    .await;
    let runs = server.client().build().unwrap().runs();
    let error = runs
        .wait(&RunId::new("r1"), Wait::new().pacer(Jumps::new()))
        .await
        .unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert_eq!(server.seen().len(), 1);
}

const LIST_V1: &str = "/apis/v1beta1/runs";

async fn serve_v1(lists: &Lists) -> Server {
    let lists = lists.clone();
    Server::start(move |seen, _| match seen.target.split('?').next().unwrap() {
        LIST_V1 => lists.answer(seen),
        path => lists.detail(path.rsplit('/').next().unwrap()),
    })
    .await
}

/// With a workflow of these nodes, which was terminated or not.
fn with_nodes(mut run: Value, terminated: bool, nodes: &[(&str, &str, &str)]) -> Value {
    let nodes = nodes.iter().map(|(id, kind, phase)| {
        let node = json!({"id": id, "displayName": id, "type": kind, "phase": phase});
        ((*id).to_owned(), node)
    });
    let nodes: serde_json::Map<String, Value> = nodes.collect();
    let spec = if terminated {
        json!({"activeDeadlineSeconds": 0})
    } else {
        json!({})
    };
    run["workflow"] = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "spec": spec,
        "status": {"nodes": nodes}});
    run
}

#[tokio::test]
async fn runs_of_the_older_api_are_told_in_the_same_words() {
    let lists = Lists::default();
    lists.put(run_v1("a", "", ""));
    lists.put(run_v1("b", "Melting", ""));
    let server = serve_v1(&lists).await;
    let runs = server.client().build().unwrap().v1().runs();
    let mut events = Box::pin(runs.watch(WatchRuns::new().pacer(Jumps::new())));
    let told = round(&mut events).await;
    assert_eq!(told, ["a - PENDING", "b - Melting", "live 2 requests 5"]);
    let nodes = [("main", "DAG", "Running"), ("x", "Pod", "Running")];
    lists.put(with_nodes(run_v1("a", "Running", ""), false, &nodes));
    lists.remove("b");
    let told = round(&mut events).await;
    assert_eq!(
        told,
        [
            "a PENDING RUNNING",
            "b gone",
            "a RUNNING RUNNING x=RUNNING",
            "live 1 requests 4"
        ]
    );
    let nodes = [
        ("main", "DAG", "Failed"),
        ("x", "Pod", "Error"),
        ("y", "Pod", "Omitted"),
    ];
    lists.put(with_nodes(run_v1("a", "Failed", "2026-11-23T21:05:00Z"), false, &nodes));
    let told = round(&mut events).await;
    assert_eq!(told, ["a RUNNING FAILED ended x=FAILED y=SKIPPED", "live 0 requests 3"]);
    lists.put(with_nodes(
        run_v1("a", "Running", ""),
        false,
        &[("x", "Pod", "Running")],
    ));
    let told = round(&mut events).await;
    assert_eq!(told[..2], ["a FAILED RUNNING revived", "a RUNNING RUNNING x=RUNNING"]);
    // Terminated between two rounds: only the workflow tells.
    lists.put(with_nodes(
        run_v1("a", "Failed", "2026-11-23T21:09:00Z"),
        true,
        &[("x", "Pod", "Failed")],
    ));
    assert_eq!(round(&mut events).await[0], "a RUNNING FAILED ended cancelled x=FAILED");
    assert_eq!(round(&mut events).await, ["live 0 requests 2"], "told once");
}

#[tokio::test]
async fn thousands_of_runs_of_the_older_api_cost_few_requests() {
    let lists = Lists::default();
    for number in 0..1000 {
        lists.put(with_nodes(
            run_v1(&format!("r{number}"), "Running", ""),
            false,
            &[("x", "Pod", "Running")],
        ));
    }
    let server = serve_v1(&lists).await;
    let runs = server.client().build().unwrap().v1().runs();
    let request = WatchRuns::new().details(20).pacer(Jumps::new());
    let mut events = Box::pin(runs.watch(request));
    let first = round(&mut events).await;
    assert_eq!(first.len(), 1000 + 20 + 1);
    assert_eq!(first.last().unwrap(), "live 1000 requests 27");
    // The next twenty take their turn.
    let second = round(&mut events).await;
    assert_eq!(
        (second.len(), second.last().unwrap().as_str()),
        (21, "live 1000 requests 26")
    );
    assert!(second.iter().all(|text| !first.contains(text)));
    let asked = |id: usize| server.count("GET", &format!("{LIST_V1}/r{id}"));
    assert_eq!((0..1000).map(asked).max(), Some(1));

    let mut bare = Box::pin(runs.watch(WatchRuns::new().details(0).pacer(Jumps::new())));
    assert_eq!(round(&mut bare).await.last().unwrap(), "live 1000 requests 7");
    lists.put(run_v1("r7", "Succeeded", "2026-11-23T21:05:00Z"));
    assert_eq!(
        round(&mut bare).await,
        ["r7 RUNNING SUCCEEDED ended", "live 999 requests 6"]
    );
}

#[tokio::test]
async fn a_server_that_cannot_filter_by_the_end_is_followed_by_the_begin() {
    let lists = Lists::without("finished_at");
    lists.put(run_v1("old", "Failed", "2026-11-23T21:00:30Z"));
    let server = serve_v1(&lists).await;
    let runs = server.client().build().unwrap().v1().runs();
    let mut events = Box::pin(runs.watch(WatchRuns::new().pacer(Jumps::new())));
    assert_eq!(round(&mut events).await, ["live 0 requests 3"]);
    lists.put(run_v1("quick", "Succeeded", "2026-11-23T21:00:03Z"));
    assert_eq!(
        round(&mut events).await,
        ["quick - SUCCEEDED ended", "live 0 requests 2"]
    );
    assert_eq!(round(&mut events).await, ["live 0 requests 2"]);
}

#[tokio::test]
async fn a_watch_of_given_runs_of_the_older_api_ends_with_them() {
    let lists = Lists::default();
    lists.put(run_v1("a", "Terminating", ""));
    lists.put(run_v1("other", "Running", ""));
    let server = serve_v1(&lists).await;
    let runs = server.client().build().unwrap().v1().runs();
    let ids = [RunId::new("a"), RunId::new("nobody")];
    let mut events = Box::pin(runs.watch(WatchRuns::new().run_ids(ids).pacer(Jumps::new())));
    assert_eq!(
        round(&mut events).await,
        ["a - CANCELING", "nobody gone", "live 1 requests 2"]
    );
    // Seen being terminated: nothing more has to be asked for.
    lists.put(run_v1("a", "Failed", "2026-11-23T21:05:00Z"));
    assert_eq!(
        round(&mut events).await,
        ["a CANCELING FAILED ended cancelled", "live 0 requests 1"]
    );
    assert_eq!(round(&mut events).await, ["over"]);
}

#[tokio::test]
async fn waiting_for_a_run_of_the_older_api_ends_with_every_final_status() {
    let end = "2026-11-23T21:05:00Z";
    for (status, terminated, outcome) in [
        ("Succeeded", false, RunOutcome::Succeeded),
        ("Skipped", false, RunOutcome::Skipped),
        ("Failed", false, RunOutcome::Failed),
        ("Error", false, RunOutcome::Failed),
        ("Failed", true, RunOutcome::Cancelled),
    ] {
        let lists = Lists::default();
        lists.put(run_v1("r1", "", ""));
        let last = lists.clone();
        let pacer = Jumps::with(move |number, _| match number {
            1 => last.put(run_v1("r1", "Running", "")),
            _ => last.put(with_nodes(
                run_v1("r1", status, end),
                terminated,
                &[("x", "Pod", "Pending")],
            )),
        });
        let server = serve_v1(&lists).await;
        let runs = server.client().build().unwrap().v1().runs();
        let id = RunId::new("r1");
        let done = runs.wait(&id, Wait::new().pacer(pacer)).await.unwrap();
        assert_eq!((done.outcome, done.run.run.status.unwrap().as_str()), (outcome, status));
        assert_eq!(server.seen().len(), 3);
    }
    let server = serve_v1(&Lists::default()).await;
    let runs = server.client().build().unwrap().v1().runs();
    let id = RunId::new("r1");
    assert!(
        runs.wait(&id, Wait::new().pacer(Jumps::new()))
            .await
            .unwrap_err()
            .is_not_found()
    );
}

#[cfg(feature = "testing")]
mod on_the_fake {
    use kfp_client::{
        Client, CreateRun,
        testing::{Clock, Execution, Generation, KfpServer},
    };

    use super::*;

    fn pipeline(word: &str) -> Value {
        json!({"pipelineInfo": {"name": "say"}, "schemaVersion": "2.1.0",
            "root": {"dag": {"tasks": {"a": {"taskInfo": {"name": "a"}, "componentRef": {"name": "comp-a"}}}}},
            "components": {"comp-a": {"executorLabel": "exec-a"}},
            "deploymentSpec": {"executors": {"exec-a": {"container": {"image": "busybox", "command": ["echo", word]}}}}})
    }

    async fn start(client: &Client, word: &str) -> RunId {
        let request = CreateRun::new(word, "", pipeline(word));
        client.runs().create(request).await.unwrap().run_id
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_life_of_runs_is_followed_on_every_generation() {
        for generation in [Generation::V2_5, Generation::V2_17] {
            let clock = Clock::manual("2026-11-23T21:00:00Z".parse().unwrap());
            let fake = KfpServer::builder()
                .generation(generation)
                .execution(Execution::Simulate)
                .clock(clock.clone())
                .pace(Duration::from_secs(15))
                .build();
            let server = fake.start().await;
            let client = Client::builder(&server.url()).unwrap().build().unwrap();
            let old = start(&client, "hello").await;
            clock.advance(Duration::from_secs(60));
            let advance = clock.clone();
            let pacer = Jumps::with(move |_, length| advance.advance(length));
            let end = client
                .runs()
                .wait(&old, Wait::new().pacer(Arc::clone(&pacer) as _))
                .await
                .unwrap();
            assert_eq!(end.outcome, RunOutcome::Succeeded);

            let mut events = Box::pin(client.runs().watch(WatchRuns::new().pacer(pacer)));
            assert_eq!(round(&mut events).await, ["live 0 requests 3"]);
            let good = start(&client, "hello").await;
            let bad = start(&client, "please-fail").await;
            let long = start(&client, "please-hang").await;
            let mut told = String::new();
            for number in 0..12 {
                told += &round(&mut events).await.join("\n");
                told.push('\n');
                match number {
                    4 => client.runs().retry(&bad).await.unwrap(),
                    7 => client.runs().terminate(&long).await.unwrap(),
                    _ => {}
                }
            }
            let count = |text: &str| told.matches(text).count();
            assert_eq!(count(&format!("{good} RUNNING SUCCEEDED ended")), 1, "{told}");
            assert_eq!(count(&format!("{bad} RUNNING FAILED ended")), 2, "{told}");
            assert_eq!(count(&format!("{bad} FAILED RUNNING revived")), 1, "{told}");
            assert_eq!(count(&format!("{long} CANCELING FAILED ended cancelled")), 1, "{told}");
            assert_eq!(count(old.as_ref()), 0, "{told}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_life_of_runs_is_followed_through_the_older_api_on_every_generation() {
        use kfp_client::{
            argo::{Container, DagTask, Template, WorkflowBuilder},
            v1,
        };

        async fn begin(client: &Client, word: &str) -> RunId {
            let step = Template::container("step", Container::new("busybox").command(["echo", word]));
            let workflow = WorkflowBuilder::new("w-").template(step);
            let workflow = workflow.entrypoint(Template::dag("main", [DagTask::new("one", "step")]));
            let request = v1::CreateRun::with_unique_name(word, workflow.build().unwrap());
            client.v1().runs().create(request).await.unwrap().run.id
        }

        for generation in [Generation::V1_8, Generation::V2_5, Generation::V2_17] {
            let clock = Clock::manual("2026-11-23T21:00:00Z".parse().unwrap());
            let fake = KfpServer::builder()
                .generation(generation)
                .execution(Execution::Simulate)
                .clock(clock.clone())
                .pace(Duration::from_secs(15))
                .build();
            let server = fake.start().await;
            let client = Client::builder(&server.url()).unwrap().build().unwrap();
            let runs = client.v1().runs();
            let old = begin(&client, "hello").await;
            clock.advance(Duration::from_secs(60));
            let advance = clock.clone();
            let pacer = Jumps::with(move |_, length| advance.advance(length));
            let end = runs
                .wait(&old, Wait::new().pacer(Arc::clone(&pacer) as _))
                .await
                .unwrap();
            assert_eq!(end.outcome, RunOutcome::Succeeded, "{generation}");

            let mut events = Box::pin(runs.watch(WatchRuns::new().pacer(pacer)));
            assert_eq!(round(&mut events).await, ["live 0 requests 3"], "{generation}");
            let good = begin(&client, "hello").await;
            let bad = begin(&client, "please-fail").await;
            let long = begin(&client, "please-hang").await;
            let mut told = String::new();
            for number in 0..12 {
                told += &round(&mut events).await.join("\n");
                told.push('\n');
                match number {
                    4 => runs.retry(&bad).await.unwrap(),
                    7 => runs.terminate(&long).await.unwrap(),
                    _ => {}
                }
            }
            let count = |text: &str| told.matches(text).count();
            assert_eq!(
                count(&format!("{good} RUNNING SUCCEEDED ended")),
                1,
                "{generation}: {told}"
            );
            assert_eq!(count(&format!("{bad} RUNNING FAILED ended")), 2, "{generation}: {told}");
            assert_eq!(
                count(&format!("{bad} FAILED RUNNING revived")),
                1,
                "{generation}: {told}"
            );
            assert_eq!(
                count(&format!("{long} CANCELING FAILED ended cancelled")),
                1,
                "{generation}: {told}"
            );
            assert_eq!(count(old.as_ref()), 0, "{generation}: {told}");
            assert!(
                count("one=RUNNING") >= 3 && count("one=SUCCEEDED") >= 1,
                "{generation}: {told}"
            );
        }
    }
}
