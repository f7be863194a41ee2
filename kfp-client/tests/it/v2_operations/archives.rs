//! Uploads of archives, in pieces.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::stream;
use kfp_client::{
    Error, ListPipelineVersions, PipelinePackage, UploadPipeline, ir::PipelineDocument, testing::KfpServer,
};
use serde_json::{Value, json};

use super::{client, document, refused};
use crate::scripted::{Act, Server};

fn tar_gz(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    header[156] = b'0';
    let mut tar = header.to_vec();
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&tar).unwrap();
    packed.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_are_uploaded_from_files_memory_and_streams() {
    let fake = KfpServer::builder().build();
    let server = fake.start().await;
    let pipelines = client(&server.url()).pipelines();
    let text = serde_json::to_vec(&document().to_wire()).unwrap();
    let text = String::from_utf8(text).unwrap();
    let spec: Value = serde_json::from_str(&text).unwrap();
    let spec = spec.get("pipeline_spec").cloned().unwrap_or(spec);
    let packed = tar_gz("pipeline.yaml", spec.to_string().as_bytes());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("say.tar.gz");
    std::fs::write(&path, &packed).unwrap();
    let pieces: Vec<std::io::Result<Bytes>> = packed.chunks(1).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
    let packages = [
        ("file", PipelinePackage::open(&path).await.unwrap()),
        ("memory", PipelinePackage::archive(packed).unwrap()),
        (
            "stream",
            PipelinePackage::archive_stream(stream::iter(pieces)).await.unwrap(),
        ),
    ];
    for (name, package) in packages {
        let made = pipelines
            .upload(&UploadPipeline::new(name, package.clone()))
            .await
            .unwrap();
        let versions = pipelines
            .list_versions(&made.pipeline_id, &ListPipelineVersions::new())
            .await
            .unwrap();
        let read = PipelineDocument::from_json(versions.items[0].pipeline_spec.clone().unwrap()).unwrap();
        assert_eq!(read, document(), "{name}");
        let again = pipelines
            .upload(&UploadPipeline::new(format!("{name}-2"), package))
            .await;
        assert_eq!(again.is_ok(), name != "stream", "{again:?}");
    }
    // A document is read and checked, and not sent as it is.
    let path = folder.path().join("say.yaml");
    std::fs::write(&path, spec.to_string()).unwrap();
    pipelines
        .upload(&UploadPipeline::new(
            "text",
            PipelinePackage::open(&path).await.unwrap(),
        ))
        .await
        .unwrap();
    for broken in ["a: [1\n b: {", "a: b: c", "just text", "", "pipelineInfo: {name: X}"] {
        std::fs::write(&path, broken).unwrap();
        let error = PipelinePackage::open(&path).await.unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{broken}: {error}");
    }
    std::fs::File::create(&path).unwrap().set_len((32 << 20) + 1).unwrap();
    refused(&PipelinePackage::open(&path).await.unwrap_err(), "file");
    refused(
        &PipelinePackage::open(folder.path().join("none")).await.unwrap_err(),
        "file",
    );
    refused(&PipelinePackage::archive(&b"kind: Workflow"[..]).unwrap_err(), "file");
    let text = stream::iter([Ok(Bytes::from_static(b"kind"))]);
    refused(&PipelinePackage::archive_stream(text).await.unwrap_err(), "file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_end_is_broken_off() {
    let fake = KfpServer::builder().build();
    let server = fake.start().await;
    let pulled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&pulled);
    let endless = stream::repeat_with(move || {
        count.fetch_add(1, Ordering::SeqCst);
        let mut piece = vec![0_u8; 1 << 20];
        piece[..2].copy_from_slice(b"PK");
        Ok(Bytes::from(piece))
    });
    let package = PipelinePackage::archive_stream(endless).await.unwrap();
    let error = client(&server.url())
        .pipelines()
        .upload(&UploadPipeline::new("x", package))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Interrupted(_)), "{error}");
    assert!(error.to_string().contains("longer than 33554432 bytes"), "{error}");
    assert_eq!(pulled.load(Ordering::SeqCst), 33);
    assert!(
        fake.requests().iter().all(|request| request.method != "POST"),
        "nothing was taken for whole"
    );
}

#[tokio::test]
async fn an_archive_arrives_byte_by_byte_with_its_length() {
    let server = Server::start(|_, _| Act::json(200, json!({"pipeline_id": "p"}))).await;
    let pipelines = server.client().build().unwrap().pipelines();
    let content = [
        b"PK".to_vec(),
        (0..200_000_u32)
            .flat_map(|number| (number % 128).to_le_bytes())
            .collect(),
    ]
    .concat();
    let package = PipelinePackage::archive(content.clone()).unwrap();
    pipelines
        .upload(&UploadPipeline::new("x", package).code_source_url("https://example.com/a b"))
        .await
        .unwrap();
    let seen = &server.seen()[0];
    assert!(
        seen.head.contains("filename") || seen.body.contains("filename=\"pipeline.zip\""),
        "{}",
        seen.head
    );
    let text = String::from_utf8(content).unwrap();
    assert!(seen.body.contains(&format!("\r\n\r\n{text}\r\n--")));
    let length = format!("content-length: {}", seen.body.len());
    assert!(seen.head.to_lowercase().contains(&length), "{}", seen.head);
    assert!(
        seen.target.contains("code_source_url=https%3A%2F%2Fexample.com%2Fa+b"),
        "{}",
        seen.target
    );
}
