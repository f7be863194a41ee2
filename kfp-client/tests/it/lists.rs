//! Pages, streams of pages, and names looked up.

use futures_util::TryStreamExt;
use kfp_client::{Error, ListRuns};
use serde_json::{Value, json};

use crate::scripted::{Act, Seen, Server};

fn item(id: &str) -> Value {
    json!({"run_id": id, "display_name": id, "created_at": "2026-11-23T21:02:24Z"})
}

async fn pages() -> Server {
    Server::start(|seen: &Seen, _| {
        let token = seen
            .target
            .split("page_token=")
            .nth(1)
            .map(|rest| rest.split('&').next().unwrap());
        Act::json(
            200,
            match token {
                None => json!({"runs": [item("a")], "next_page_token": "t+1/=", "total_size": 3}),
                // Empty, and yet not the last.
                Some("t%2B1%2F%3D") => json!({"next_page_token": "t2", "total_size": 3}),
                Some("t2") => json!({"total_size": 3, "next_page_token": "t3", "runs": [
                    {"run_id": "broken", "error": {"code": 13, "message": "cannot be read"}}, item("b")]}),
                Some(_) => json!({}),
            },
        )
    })
    .await
}

#[tokio::test]
async fn all_pages_are_read_and_broken_items_are_errors_in_their_place() {
    let server = pages().await;
    let runs = server.client().build().unwrap().runs();
    let mut stream = std::pin::pin!(runs.list_all(ListRuns::new().namespace("team-a").sort_by("created_at desc")));
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    loop {
        match stream.try_next().await {
            Ok(Some(run)) => good.push(run.run_id.to_string()),
            Ok(None) => break,
            Err(error) => bad.push(error),
        }
    }
    assert_eq!(good, ["a", "b"]);
    assert_eq!(bad.len(), 1);
    assert!(bad[0].to_string().contains("broken: cannot be read"), "{}", bad[0]);
    let seen = server.seen();
    assert_eq!(seen.len(), 4);
    assert!(
        seen.iter()
            .all(|seen| seen.target.contains("namespace=team-a") && seen.target.contains("sort_by="))
    );
}

#[tokio::test]
async fn an_error_of_the_list_ends_the_stream() {
    let server = Server::start(|_, number| match number {
        0 => Act::json(200, json!({"runs": [item("a")], "next_page_token": "t"})),
        _ => Act::json(400, json!({"code": 3, "message": "bad token"})),
    })
    .await;
    let runs = server.client().build().unwrap().runs();
    let mut stream = std::pin::pin!(runs.list_all(ListRuns::new()));
    assert!(stream.try_next().await.unwrap().is_some());
    assert!(matches!(
        stream.try_next().await.unwrap_err(),
        Error::InvalidArgument(_)
    ));
    assert!(stream.try_next().await.unwrap().is_none());
    let error = runs.list(&ListRuns::new().page_size(201)).await.unwrap_err();
    assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
}

#[tokio::test]
async fn an_experiment_is_made_once_although_two_want_it() {
    // Another caller makes it between the look and the creation.
    let server = Server::start(|seen: &Seen, number| match (seen.method.as_str(), number) {
        ("GET", 0) => Act::json(200, json!({})),
        ("POST", _) => Act::json(409, json!({"code": 6, "message": "exists"})),
        _ => Act::json(
            200,
            json!({"experiments": [
            {"experiment_id": "e0", "display_name": "FRAUD"}, {"experiment_id": "e1", "display_name": "fraud"}]}),
        ),
    })
    .await;
    let experiments = server.client().build().unwrap().experiments();
    let found = experiments.get_or_create("fraud", Some("team-a")).await.unwrap();
    assert_eq!(found.experiment_id.as_str(), "e1");
    assert_eq!(
        server.seen()[1].json(),
        json!({"display_name": "fraud", "namespace": "team-a"})
    );
}
