//! Pipelines and versions by name, changed, and downloaded by the server.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use kfp_client::{
    CreatePipeline, CreatePipelineVersion, Error, UpdatePipeline, UploadPipeline, UploadPipelineVersion,
    testing::{Generation, KfpServer},
};
use serde_json::{Value, json};

use super::{client, file, refused};
use crate::scripted::{Act, Seen, Server};

#[tokio::test(flavor = "multi_thread")]
async fn ten_who_want_the_same_pipeline_get_the_same() {
    for generation in [Generation::V2_5, Generation::V2_17] {
        let fake = KfpServer::builder().generation(generation).build();
        let server = fake.start().await;
        let pipelines = client(&server.url()).pipelines();
        let upload = UploadPipeline::new("100%+ say", file());
        let all = join_all((0..10).map(|_| pipelines.get_or_upload(&upload))).await;
        let all: Vec<_> = all.into_iter().map(|pipeline| pipeline.unwrap().pipeline_id).collect();
        assert!(all.iter().all(|id| *id == all[0]), "{all:?}");
        let version = UploadPipelineVersion::new(all[0].clone(), "v2", file());
        let versions = join_all((0..10).map(|_| pipelines.get_or_upload_version(&version))).await;
        let versions: Vec<_> = versions
            .into_iter()
            .map(|version| version.unwrap().pipeline_version_id)
            .collect();
        assert!(versions.iter().all(|id| *id == versions[0]), "{versions:?}");
        let empty = CreatePipeline::new("empty");
        let empties = join_all((0..10).map(|_| pipelines.get_or_create(&empty))).await;
        let empties: Vec<_> = empties
            .into_iter()
            .map(|pipeline| pipeline.unwrap().pipeline_id)
            .collect();
        assert!(empties.iter().all(|id| *id == empties[0]), "{empties:?}");
    }
}

#[tokio::test]
async fn a_taken_name_is_found_whatever_the_server_says_of_it() {
    // 500 is how servers before 2.5 say that a name is taken; a lost answer says nothing at all.
    for lost in [false, true] {
        let server = Server::start(move |seen: &Seen, number| match seen.method.as_str() {
            "GET" if number == 0 => Act::json(200, json!({})),
            "GET" => Act::json(
                200,
                json!({"pipelines": [
                {"pipeline_id": "p0", "display_name": "SAY", "created_at": "2026-11-23T21:02:24Z"},
                {"pipeline_id": "p1", "display_name": "say", "created_at": "2026-11-23T21:02:24Z"}]}),
            ),
            _ if lost => Act::Close,
            _ => Act::Answer(
                500,
                "text/plain",
                json!({"error_message": "exists", "error_details": ""}).to_string(),
            ),
        })
        .await;
        let pipelines = server.client().build().unwrap().pipelines();
        let found = pipelines
            .get_or_upload(&UploadPipeline::new("say", file()))
            .await
            .unwrap();
        assert_eq!(found.pipeline_id.as_str(), "p1");
        assert_eq!(server.count("POST", "/apis/v2beta1/pipelines/upload"), 1);
    }
    // A failure that is one.
    let server = Server::start(|seen: &Seen, _| match seen.method.as_str() {
        "GET" => Act::json(200, json!({})),
        _ => Act::json(500, json!({"error_message": "no", "error_details": ""})),
    })
    .await;
    let pipelines = server.client().build().unwrap().pipelines();
    let error = pipelines
        .get_or_upload(&UploadPipeline::new("say", file()))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Server(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_to_show_and_labels_can_change() {
    let fake = KfpServer::builder().build();
    let server = fake.start().await;
    let pipelines = client(&server.url()).pipelines();
    let new = CreatePipeline::new("say")
        .display_name("Say it")
        .tag("a", "1")
        .tag("b", "2");
    let made = pipelines.create(&new).await.unwrap();
    assert_eq!(
        (made.name.as_str(), made.display_name.as_str(), made.tags.len()),
        ("say", "Say it", 2)
    );
    let id = made.pipeline_id;
    let tags = [("c".to_owned(), "3".to_owned())].into();
    let changed = pipelines.update(&id, &UpdatePipeline::new().tags(tags)).await.unwrap();
    assert_eq!((changed.display_name.as_str(), changed.tags.len()), ("Say it", 1));
    let cleared = UpdatePipeline::new().display_name("Other").tags(BTreeMap::new());
    let changed = pipelines.update(&id, &cleared).await.unwrap();
    assert_eq!(
        (changed.name.as_str(), changed.display_name.as_str(), changed.tags.len()),
        ("say", "Other", 0)
    );
    let version = UploadPipelineVersion::new(id.clone(), "v1", file()).tag("a", "1");
    let version = pipelines.upload_version(&version).await.unwrap();
    let change = UpdatePipeline::new().display_name("First");
    let changed = pipelines
        .update_version(&id, &version.pipeline_version_id, &change)
        .await
        .unwrap();
    assert_eq!(
        (changed.name.as_str(), changed.display_name.as_str(), changed.tags.len()),
        ("v1", "First", 1)
    );

    refused(
        &pipelines.update(&id, &UpdatePipeline::new()).await.unwrap_err(),
        "request",
    );
    let empty = UpdatePipeline::new().display_name("");
    refused(&pipelines.update(&id, &empty).await.unwrap_err(), "display_name");
    let dotted = UpdatePipeline::new().tags([("a.b".to_owned(), String::new())].into());
    refused(&pipelines.update(&id, &dotted).await.unwrap_err(), "tags");

    let old = KfpServer::builder().generation(Generation::V2_5).build();
    let server = old.start().await;
    let error = client(&server.url())
        .pipelines()
        .update(&id, &change)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unsupported(_)), "{error}");
}

#[tokio::test]
async fn the_server_is_told_where_to_download_from() {
    let server = Server::start(|_, _| Act::json(200, json!({"pipeline_id": "p", "pipeline_version_id": "v"}))).await;
    let pipelines = server.client().build().unwrap().pipelines();
    let version = CreatePipelineVersion::new("v1", "https://example.com/p.yaml").code_source_url("https://example.com");
    pipelines.create_version(&"p".into(), &version).await.unwrap();
    pipelines
        .create_with_version(&CreatePipeline::new("say"), &version)
        .await
        .unwrap();
    let bodies: Vec<Value> = server.seen().iter().map(Seen::json).collect();
    let mut expected = json!({"display_name": "v1", "package_url": {"pipeline_url": "https://example.com/p.yaml"},
        "code_source_url": "https://example.com"});
    assert_eq!(
        bodies[1],
        json!({"pipeline": {"display_name": "say"}, "pipeline_version": expected})
    );
    expected["pipeline_id"] = json!("p");
    assert_eq!(bodies[0], expected);
    for url in ["", "p.yaml", "ftp://example.com/p.yaml", "file:///etc/passwd"] {
        let version = CreatePipelineVersion::new("v1", url);
        refused(
            &pipelines.create_version(&"p".into(), &version).await.unwrap_err(),
            "package_url",
        );
    }
    assert_eq!(server.seen().len(), 2);
}
