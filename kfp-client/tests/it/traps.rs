//! What users of other clients fall into, one test for each.

use std::{sync::Mutex, time::Duration};

use kfp_client::{
    Client, Error, ExperimentId, Filter, ListExperiments, ListRuns, RunId, RunOutcome, RuntimeState, TraceContext, Wait,
};
use serde_json::{Value, json};

use crate::{
    pacing::{Jumps, run},
    scripted::{Act, Server},
};

async fn client(act: impl Fn() -> Act + Send + Sync + 'static) -> (Client, Server) {
    let server = Server::start(move |_, _| act()).await;
    (server.client().build().unwrap(), server)
}

#[tokio::test]
async fn a_login_page_is_no_run_whatever_its_status() {
    let page = "\n<!doctype html><title>Log in to Your Account</title>";
    // Also where the content type lies.
    for kind in ["text/html", "application/json", ""] {
        let (client, server) = client(move || Act::Answer(200, kind, page.into())).await;
        let error = client.runs().get(&RunId::new("r1")).await.unwrap_err();
        assert!(matches!(error, Error::LoginPage(_)), "{kind}: {error}");
        let error = client.runs().list(&ListRuns::new()).await.unwrap_err();
        assert!(matches!(error, Error::LoginPage(_)), "{kind}: {error}");
        let error = client.runs().terminate(&RunId::new("r1")).await.unwrap_err();
        assert!(matches!(error, Error::LoginPage(_)), "{kind}: {error}");
        assert_eq!(server.seen().len(), 3, "none is tried again");
    }
    let location = "https://idp.example.com/auth?state=secret".to_owned();
    let (client, server) = client(move || Act::Headers(302, vec![("location", location.clone())], page.into())).await;
    let error = client.runs().terminate(&RunId::new("r1")).await.unwrap_err();
    assert!(
        matches!(error, Error::LoginPage(_)) && !error.to_string().contains("secret"),
        "{error}"
    );
    assert_eq!(server.seen().len(), 1, "the body of a POST is not carried to the login");
}

#[tokio::test]
async fn canceled_is_final() {
    let canceled = || Act::json(200, run("r1", "CANCELED", "2026-11-23T21:05:00Z"));
    let (client, server) = client(canceled).await;
    let end = client
        .runs()
        .wait(&RunId::new("r1"), Wait::new().pacer(Jumps::new()))
        .await
        .unwrap();
    assert_eq!(end.outcome, RunOutcome::Cancelled);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn times_that_are_not_set_are_none_and_long_integers_stay_exact() {
    let answer = json!({"run_id": "r1", "finished_at": "1970-01-01T00:00:00Z", "scheduled_at": null,
        "run_details": {"pipeline_context_id": "9007199254740993", "task_details": [
            {"task_id": "t", "start_time": "0001-01-01T00:00:00Z", "execution_id": 7,
             "outputs": {"m": {"artifact_ids": ["-9223372036854775808", "9223372036854775807"]}}}]}});
    let (client, _) = client(move || Act::json(200, &answer)).await;
    let run = client.runs().get(&RunId::new("r1")).await.unwrap();
    assert_eq!((run.finished_at, run.scheduled_at), (None, None));
    assert_eq!(run.run_details.pipeline_context_id, Some(9_007_199_254_740_993));
    let task = &run.run_details.task_details[0];
    assert_eq!((task.start_time, task.execution_id), (None, Some(7)));
    assert_eq!(task.outputs["m"].artifact_ids, [i64::MIN, i64::MAX]);
}

#[tokio::test]
async fn a_filter_is_escaped_twice_and_kept_with_the_token() {
    let server = Server::start(|seen, _| {
        if seen.target.contains("page_token") {
            Act::json(200, json!({}))
        } else {
            Act::json(
                200,
                json!({"runs": [run("r1", "RUNNING", "")], "next_page_token": "a+b/c=="}),
            )
        }
    })
    .await;
    let runs = server.client().build().unwrap().runs();
    let filter = Filter::new().equals("display_name", "100%+ ü & more");
    let request = ListRuns::new()
        .namespace("team-a")
        .sort_by("created_at desc")
        .filter(filter);
    let found: Vec<_> = futures_util::StreamExt::collect(runs.list_all(request)).await;
    assert_eq!(found.len(), 1);
    let seen = server.seen();
    let query = |target: &str, name: &str| {
        let url = url::Url::parse(&format!("http://x{target}")).unwrap();
        let found = url.query_pairs().find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let filter = query(&seen[0].target, "filter");
    let (json, _) = url::form_urlencoded::parse(filter.as_bytes()).next().unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["predicates"][0]["string_value"], "100%+ ü & more");
    // A later page with another filter or order is refused by the server.
    for name in ["filter", "sort_by", "namespace"] {
        assert_eq!(query(&seen[1].target, name), query(&seen[0].target, name), "{name}");
    }
    assert_eq!(query(&seen[1].target, "page_token"), "a+b/c==");
}

#[tokio::test]
async fn fields_that_a_list_does_not_know_are_refused_before_anything_is_sent() {
    let (client, server) = client(|| Act::json(200, json!({}))).await;
    let request = ListRuns::new().filter(Filter::new().equals("stat", "RUNNING"));
    let error = client.runs().list(&request).await.unwrap_err();
    assert!(error.to_string().contains("one of run_id, id, display_name"), "{error}");
    let error = client
        .experiments()
        .list(&ListExperiments::new().sort_by("finished_at"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("last_run_created_at"), "{error}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_state_that_nobody_knows_is_kept_and_not_final() {
    let (client, _) = client(|| Act::json(200, run("r1", "MELTING", ""))).await;
    let run = client.runs().get(&RunId::new("r1")).await.unwrap();
    assert_eq!(run.state, Some(RuntimeState::Unknown("MELTING".to_owned())));
    assert_eq!(run.outcome(), RunOutcome::Unfinished);
    assert_eq!(serde_json::to_value(&run).unwrap()["state"], "MELTING");
}

/// Gets a run from a server that first does these, and says how often it was asked.
async fn after(acts: Vec<Act>) -> (kfp_client::Result<kfp_client::Run>, usize) {
    let acts = Mutex::new(acts.into_iter());
    let server = Server::start(move |_, _| {
        let act = acts.lock().unwrap().next();
        act.unwrap_or_else(|| Act::json(200, run("r1", "RUNNING", "")))
    })
    .await;
    let client = server.client().timeout(Duration::from_secs(20)).build().unwrap();
    let result = client.runs().get(&RunId::new("r1")).await;
    (result, server.seen().len())
}

fn busy(status: u16, retry_after: &str, body: &str) -> Act {
    Act::Headers(
        status,
        vec![
            ("retry-after", retry_after.to_owned()),
            ("content-type", "text/html".to_owned()),
        ],
        body.to_owned(),
    )
}

#[tokio::test]
async fn reads_outlast_cuts_resets_and_storms() {
    let (result, tries) = after(vec![Act::Truncate("{\"run_id\": \"r1\", \"sta".into())]).await;
    assert!(result.is_ok() && tries == 2, "{result:?}");
    // Cut off although the length fits.
    let (result, tries) = after(vec![Act::json(200, "{\"run_id\": \"r1\", \"sta")]).await;
    assert!(matches!(result, Err(Error::Interrupted(_))) && tries == 1, "{result:?}");
    let (result, tries) = after(vec![Act::Close]).await;
    assert!(result.is_ok() && tries == 2, "{result:?}");
    let page = "<html><head><title>503 Service Temporarily Unavailable</title></head></html>";
    let (result, tries) = after(vec![busy(503, "0", page), busy(502, "0", page)]).await;
    assert!(result.is_ok() && tries == 3, "{result:?}");
    let (result, tries) = after((0..9).map(|_| busy(503, "0", page)).collect()).await;
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)) && tries == 3, "{error}");
    assert!(
        error.to_string().contains("503 Service Temporarily Unavailable"),
        "{error}"
    );
    assert!(!error.to_string().contains('<'), "{error}");
    // A moment that has passed, in the other form.
    let (result, tries) = after(vec![busy(503, "Mon, 23 Nov 2020 21:00:00 GMT", "")]).await;
    assert!(result.is_ok() && tries == 2, "{result:?}");
    let (result, tries) = after(vec![busy(429, "Sat, 23 Nov 2120 21:00:00 GMT", "")]).await;
    let asked = result
        .unwrap_err()
        .context()
        .and_then(kfp_client::ErrorContext::retry_after);
    assert!(asked > Some(Duration::from_secs(1_000_000)) && tries == 1, "{asked:?}");
}

#[tokio::test]
async fn a_500_that_a_user_caused_is_never_tried_again_and_one_of_a_gateway_is() {
    let text = "Failed to get: InternalServerError: Invalid input error: Invalid api version";
    let body = json!({"code": 13, "message": text, "details": []});
    let (result, tries) = after(vec![Act::json(500, &body)]).await;
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Server(_)) && tries == 1, "{error}");
    assert!(!error.is_retryable(), "{error}");
    let (result, tries) = after(vec![busy(500, "0", "proxy error")]).await;
    assert!(result.is_ok() && tries == 2, "{result:?}");
}

#[tokio::test]
async fn a_gateway_that_limits_has_passed_nothing_on() {
    let server = Server::start(|_, number| match number {
        0 => busy(429, "0", "local_rate_limited"),
        _ => Act::json(200, json!({})),
    })
    .await;
    let client = server.client().build().unwrap();
    client.runs().archive(&RunId::new("r1")).await.unwrap();
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_slow_server_is_waited_for_and_a_hanging_one_asked_again() {
    let (result, tries) = after(vec![Act::After(
        Duration::from_millis(100),
        Box::new(Act::json(200, run("r1", "RUNNING", ""))),
    )])
    .await;
    assert!(result.is_ok() && tries == 1, "{result:?}");
    let server = Server::start(|_, number| match number {
        0 => Act::Hang,
        _ => Act::json(200, json!({"experiment_id": "e"})),
    })
    .await;
    let client = server.client().timeout(Duration::from_secs(2)).build().unwrap();
    assert!(client.experiments().get(&ExperimentId::new("e")).await.is_ok());
}

#[tokio::test]
async fn the_callers_trace_is_joined() {
    let server = Server::start(|_, _| Act::json(200, json!({"multi_user": false}))).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let client = server
        .client()
        .trace_context(move || parent.parse::<TraceContext>().ok()?.tracestate("a=b").ok())
        .build()
        .unwrap();
    client.health().await.unwrap();
    let head = server.seen()[0].head.to_ascii_lowercase();
    assert!(
        head.contains(&format!("traceparent: {parent}\r\n")) && head.contains("tracestate: a=b"),
        "{head}"
    );
    let plain = server.client().build().unwrap();
    plain.health().await.unwrap();
    assert!(!server.seen()[1].head.contains("traceparent"));
}
