//! Artifacts, logs and reports.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::TryStreamExt;
use kfp_client::{
    ArtifactLocation, Client, CreateRun, Error, RunId, RunOutcome,
    testing::{Execution, KfpServer},
};
use serde_json::{Value, json};

use super::{client, document, refused};
use crate::scripted::{Act, Seen, Server};

async fn text(pieces: impl futures_util::Stream<Item = kfp_client::Result<Bytes>>) -> kfp_client::Result<String> {
    let pieces: Vec<Bytes> = pieces.try_collect().await?;
    Ok(String::from_utf8(pieces.concat()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_read_as_bytes_from_the_step_and_from_the_archive() {
    let fake = KfpServer::builder().execution(Execution::Processes).build();
    let server = fake.start().await;
    let client = client(&server.url());
    let experiment = client
        .experiments()
        .get_or_create("Default", None)
        .await
        .unwrap()
        .experiment_id;
    let run = client
        .runs()
        .create(CreateRun::new("r", experiment, document()))
        .await
        .unwrap()
        .run_id;
    let tasks = loop {
        let run = client.runs().get(&run).await.unwrap();
        if run.outcome() == RunOutcome::Succeeded {
            break run.run_details.task_details;
        }
        assert_eq!(run.outcome(), RunOutcome::Unfinished);
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let (logs, artifacts) = (client.logs(), client.artifacts());
    let mut seen = 0;
    let parts = tasks.iter().flat_map(|task| &task.child_tasks);
    for node in parts.map(|part| part.pod_name.as_str()) {
        let Ok(log) = logs.node_log(&run, node).await else {
            continue;
        };
        if !log.contains("one\ntwo\n") {
            continue;
        }
        seen += 1;
        assert_eq!(
            text(logs.node_log_stream(&run, node).await.unwrap()).await.unwrap(),
            log
        );
        assert_eq!(
            text(logs.archived_stream(&run, node).await.unwrap()).await.unwrap(),
            log
        );
        assert_eq!(artifacts.read(&run, node, "main-logs").await.unwrap(), log.as_bytes());
    }
    assert!(seen > 0, "{tasks:?}");
    let nobody = RunId::new("nope");
    assert!(logs.node_log_stream(&nobody, "n").await.err().unwrap().is_not_found());
    assert!(artifacts.read(&nobody, "n", "a").await.unwrap_err().is_not_found());
    refused(&artifacts.read(&run, "n", "a:b").await.unwrap_err(), "name");
}

#[tokio::test]
async fn a_large_artifact_is_decoded_as_it_comes_and_a_broken_one_told() {
    let bytes: Vec<u8> = (0..3_000_001_u32)
        .map(|number| u8::try_from(number % 251).unwrap())
        .collect();
    let body = json!({"data": STANDARD.encode(&bytes)}).to_string();
    let server = Server::start(move |seen: &Seen, _| match seen.target.as_str() {
        target if target.contains("/cut:read") => Act::json(200, &body[..body.len() / 2]),
        target if target.contains("/torn:read") => Act::Truncate(body.clone()),
        target if target.contains("/other:read") => Act::json(200, json!({"error": "x"})),
        target if target.contains("/empty:read") => Act::json(200, json!({})),
        target if target.contains("/page:read") => Act::Answer(200, "text/html", "<title>Sign in</title>".to_owned()),
        _ => Act::json(200, &body),
    })
    .await;
    let artifacts = server.client().build().unwrap().artifacts();
    let run = RunId::new("r");
    let pieces = artifacts.read_stream(&run, "n", "whole").await.unwrap();
    let pieces: Vec<Bytes> = pieces.try_collect().await.unwrap();
    assert!(pieces.len() > 1 && pieces.concat() == bytes);
    assert!(artifacts.read(&run, "n", "empty").await.unwrap().is_empty());
    for (name, lost) in [("cut", true), ("torn", true), ("other", false)] {
        let error = artifacts.read(&run, "n", name).await.unwrap_err();
        let as_expected = if lost {
            matches!(error, Error::Interrupted(_))
        } else {
            matches!(error, Error::Decode(_))
        };
        assert!(as_expected, "{name}: {error}");
    }
    assert!(matches!(
        artifacts.read(&run, "n", "page").await.unwrap_err(),
        Error::LoginPage(_)
    ));
}

#[tokio::test]
async fn artifacts_are_asked_of_the_ui_server() {
    let server = Server::start(|seen: &Seen, _| {
        if seen.target.contains("lost") {
            Act::Answer(404, "text/plain", "not here".to_owned())
        } else {
            Act::Answer(200, "application/octet-stream", "\u{0}bytes".to_owned())
        }
    })
    .await;
    let client = Client::builder(&format!("http://{}/pipeline", server.address))
        .unwrap()
        .build()
        .unwrap();
    let artifacts = client.artifacts();
    let location = ArtifactLocation::from_uri("gs://bucket/a folder/x+y")
        .unwrap()
        .namespace("team-a");
    let location = location.peek(10).provider_info("{}");
    assert_eq!(artifacts.get(&location).await.unwrap(), "\u{0}bytes");
    assert_eq!(
        text(artifacts.get_raw_stream(&location).await.unwrap()).await.unwrap(),
        "\u{0}bytes"
    );
    let lost = ArtifactLocation::from_uri("minio://bucket/lost").unwrap();
    assert!(artifacts.get(&lost).await.unwrap_err().is_not_found());
    let targets: Vec<String> = server.seen().into_iter().map(|seen| seen.target).collect();
    let shared = "namespace=team-a&peek=10&providerInfo=%7B%7D";
    assert_eq!(
        targets[0],
        format!("/pipeline/artifacts/get?source=gcs&bucket=bucket&key=a+folder%2Fx%2By&{shared}")
    );
    assert_eq!(
        targets[1],
        format!("/pipeline/artifacts/gcs/bucket/a%20folder/x+y?{shared}")
    );
    let up = ArtifactLocation::from_uri("minio://bucket/../x").unwrap();
    refused(&artifacts.get_raw_stream(&up).await.err().unwrap(), "key");
    for uri in [
        "",
        "x",
        "ftp://b/k",
        "minio://",
        "minio://b",
        "minio:///k",
        "minio://b/",
    ] {
        refused(&ArtifactLocation::from_uri(uri).unwrap_err(), "uri");
    }
}

#[tokio::test]
async fn a_log_that_begins_like_an_error_is_still_a_log() {
    let log = "{\"error_message\": \"of the step\"}\nand more\n";
    let server = Server::start(move |seen: &Seen, _| {
        let error = json!({"error_message": "pods \"n\" not found", "error_details": "x"}).to_string();
        Act::Answer(
            200,
            "text/plain",
            if seen.target.contains("/gone/") {
                error
            } else {
                log.to_owned()
            },
        )
    })
    .await;
    let logs = server.client().build().unwrap().logs();
    let run = RunId::new("r");
    assert_eq!(text(logs.node_log_stream(&run, "n").await.unwrap()).await.unwrap(), log);
    assert!(logs.node_log_stream(&run, "gone").await.err().unwrap().is_not_found());
}

#[tokio::test]
async fn reports_are_texts_and_want_their_names() {
    let server = Server::start(|_, _| Act::json(200, json!({}))).await;
    let reports = server.client().build().unwrap().reports();
    let object = json!({"kind": "Workflow", "metadata": {"name": "n", "namespace": "ns", "uid": "u"}});
    reports.workflow(&object).await.unwrap();
    reports.scheduled_workflow(&object).await.unwrap();
    let error = reports
        .workflow(&json!({"metadata": {"name": "n", "namespace": "ns"}}))
        .await
        .unwrap_err();
    refused(&error, "workflow.metadata.uid");
    let seen = server.seen();
    assert!(seen[0].is("POST", "/apis/v2beta1/workflows") && seen[1].is("POST", "/apis/v2beta1/scheduledworkflows"));
    let text: String = serde_json::from_str(&seen[0].body).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), object);
}
