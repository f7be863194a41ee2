//! What users of other clients fall into, one test for each.

use std::{sync::Mutex, time::Duration};

use kfp_client::{
    Client, Error, ExperimentId, Filter, ListExperiments, ListRuns, RunId, RunOutcome, RuntimeState, TraceContext,
    Wait, v1,
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
    type Expected = fn(&Error) -> bool;
    let cases: [(&str, Expected); 6] = [
        (
            "Failed to get: InternalServerError: Invalid input error: Run name cannot be empty",
            |error| matches!(error, Error::InvalidArgument(_)),
        ),
        (
            "Failed to fetch: ResourceNotFoundError: PipelineVersion nope not found",
            |error| error.is_not_found(),
        ),
        ("Failed: Already exist error: The name x already exists", |error| {
            matches!(error, Error::AlreadyExists(_))
        }),
        (
            "Failed to list: Error 1054 (42S22): Unknown column 'experiments.x' in 'WHERE'",
            |error| matches!(error, Error::InvalidArgument(_)),
        ),
        (
            "API request version v2beta1: Invalid input error: Invalid api version detected",
            |error| matches!(error, Error::Unsupported(_)),
        ),
        (
            "Internal error: Unauthenticated: Request header error: there is no user identity header.",
            |error| matches!(error, Error::Unauthenticated(_)),
        ),
    ];
    for (text, expected) in cases {
        let body = json!({"code": 13, "message": text, "details": []});
        let (result, tries) = after(vec![Act::json(500, &body)]).await;
        let error = result.unwrap_err();
        assert!(expected(&error) && tries == 1, "{error}");
        assert!(!error.is_retryable(), "{error}");
    }
    // The server's own fault, of which nobody knows whether it passes.
    let body = json!({"code": 13, "message": "Failed to get a run: sql: connection is already closed"});
    let (result, tries) = after(vec![Act::json(500, &body)]).await;
    let error = result.unwrap_err();
    assert!(
        matches!(error, Error::Server(_)) && tries == 1 && error.is_retryable(),
        "{error}"
    );
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

/// Every trap of an answer, through the older API as well.
#[tokio::test]
async fn the_older_api_falls_into_none_of_them() {
    let page = "<!doctype html><title>Log in to Your Account</title>";
    for (status, location) in [
        (200, None),
        (302, Some("https://idp.example.com/auth?state=secret")),
        (401, None),
    ] {
        let (client, server) = client(move || {
            let location = location.map(|location| ("location", location.to_owned()));
            let kind = ("content-type", "text/html".to_owned());
            Act::Headers(status, [kind].into_iter().chain(location).collect(), page.to_owned())
        })
        .await;
        let runs = client.v1().runs();
        let error = runs.get(&RunId::new("r1")).await.unwrap_err();
        assert!(
            matches!(error, Error::LoginPage(_)) && !error.to_string().contains("secret"),
            "{error}"
        );
        let error = runs.list(&v1::ListRuns::new()).await.unwrap_err();
        assert!(matches!(error, Error::LoginPage(_)), "{error}");
        let error = runs.terminate(&RunId::new("r1")).await.unwrap_err();
        assert!(matches!(error, Error::LoginPage(_)), "{error}");
        assert_eq!(server.seen().len(), 3, "none is tried again");
    }

    let answer = json!({"jobs": [
        {"id": "j", "name": "n", "created_at": "2026-11-23T21:02:24Z", "updated_at": "1970-01-01T00:00:00Z",
         "max_concurrency": "9007199254740993", "status": "MELTING", "mode": null,
         "trigger": {"periodic_schedule": {"interval_second": 60, "start_time": "0001-01-01T00:00:00Z"}}},
        {"id": "broken", "error": "Failed to convert: ResourceNotFoundError: Pipeline p not found"}]});
    let (api, _) = client(move || Act::json(200, &answer)).await;
    let page = api.v1().jobs().list(&v1::ListJobs::new()).await.unwrap();
    let job = &page.items[0];
    assert_eq!(
        (job.max_concurrency, job.updated_at, &job.mode),
        (Some(9_007_199_254_740_993), None, &None)
    );
    assert_eq!(job.status, Some(v1::JobStatus::Unknown("MELTING".to_owned())));
    let schedule = job.trigger.clone().unwrap().periodic_schedule.unwrap();
    assert_eq!((schedule.interval_second, schedule.start_time), (Some(60), None));
    assert_eq!(page.items.len(), 1);
    assert!(page.broken[0].is_not_found(), "{}", page.broken[0]);

    let (api, _) = client(|| Act::json(200, json!({"run": {"id": "r1", "status": "Melting"}}))).await;
    let run = api.v1().runs().get(&RunId::new("r1")).await.unwrap();
    assert_eq!(run.outcome(), RunOutcome::Unfinished);
    assert_eq!(serde_json::to_value(&run).unwrap()["run"]["status"], "Melting");
}

#[tokio::test]
async fn errors_in_a_list_are_told_by_what_they_say() {
    let item = |id: &str, code: i32, message: &str| json!({"run_id": id, "error": {"code": code, "message": message, "details": []}});
    let answer = json!({"total_size": 3, "runs": [
        item("a", 5, "Run a not found"),
        item("b", 13, "Failed to get: ResourceNotFoundError: Pipeline p not found"),
        item("c", 13, "Failed to parse the state history")]});
    let (client, _) = client(move || Act::json(200, &answer)).await;
    let page = client.runs().list(&ListRuns::new()).await.unwrap();
    assert!(page.items.is_empty() && page.total_size == 3);
    let [absent, wrapped, failed] = &page.broken[..] else {
        panic!("{:?}", page.broken)
    };
    assert!(absent.is_not_found() && wrapped.is_not_found(), "{absent} {wrapped}");
    assert!(
        matches!(failed, Error::Server(_)) && failed.to_string().contains("c: Failed"),
        "{failed}"
    );
}

#[tokio::test]
async fn an_answer_that_stops_in_the_middle_ends_at_the_limit() {
    // The head and a part of the body come, then nothing more.
    let server = Server::start(|_, _| Act::Stall("{\"run_id\": \"r1\",".into())).await;
    let client = server.client().timeout(Duration::from_millis(400)).build().unwrap();
    let started = std::time::Instant::now();
    let error = client.runs().get(&RunId::new("r1")).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(_)) && error.is_retryable(), "{error}");
    assert!(started.elapsed() < Duration::from_secs(2));
    assert!(server.seen().len() >= 2, "a read is asked again");
}

#[tokio::test]
async fn pages_of_a_gateway_are_no_data_and_no_login() {
    for (status, expected) in [
        (404, "not served"),
        (500, "server error"),
        (502, "unavailable"),
        (413, "unexpected"),
    ] {
        let page = format!("<html><head><title>{status} of nginx</title></head><body>x</body></html>");
        let (client, _) = client(move || Act::Answer(status, "text/html", page.clone())).await;
        let error = client.runs().terminate(&RunId::new("r1")).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(expected) && text.contains(&format!("{status} of nginx")),
            "{text}"
        );
        assert!(!matches!(error, Error::LoginPage(_)) && !text.contains('<'), "{text}");
    }
}

#[tokio::test]
async fn data_of_another_kind_is_an_error_that_says_where() {
    for (body, place) in [
        ("[]", "."),
        ("null", "."),
        ("\"text\"", "."),
        (r#"{"run_id": 5}"#, "run_id"),
        (r#"{"state_history": [{"state": {}}]}"#, "state_history[0].state"),
        (
            r#"{"run_details": {"task_details": [{"execution_id": "many"}]}}"#,
            "run_details.task_details[0].execution_id",
        ),
        (r#"{"created_at": "yesterday"}"#, "created_at"),
    ] {
        let (client, server) = client(move || Act::json(200, body)).await;
        let error = client.runs().get(&RunId::new("r1")).await.unwrap_err();
        assert!(
            matches!(error, Error::Decode(_)) && !error.is_retryable(),
            "{body}: {error}"
        );
        assert_eq!(error.context().unwrap().json_path(), Some(place), "{body}");
        assert_eq!(server.seen().len(), 1, "{body}");
    }
}
