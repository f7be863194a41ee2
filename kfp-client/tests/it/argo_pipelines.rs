//! Pipelines of the compiler of KFP 1: read, checked, written, uploaded, run and followed to their end.

use std::{path::Path, time::Duration};

use kfp_client::{
    Client, CreateRun, PipelineFile, PipelineSource, RunOutcome, UploadPipeline, Wait,
    argo::Workflow,
    testing::{Execution, KfpServer},
};
use serde::Deserialize as _;
use serde_json::Value;

use crate::ir_pipelines::{differences, meaning};

/// Pipelines that need a cluster, for they make resources in it.
const OF_A_CLUSTER: [&str; 1] = ["resources"];

fn files() -> Vec<(String, String)> {
    let given = std::env::var_os("KFP_V1_PIPELINES").unwrap_or_default();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pipelines/v1");
    let mut files = Vec::new();
    for folder in std::iter::once(own).chain(std::env::split_paths(&given).filter(|path| !path.as_os_str().is_empty()))
    {
        for entry in std::fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            if file.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            files.push((name, std::fs::read_to_string(file).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn what_is_read_is_written_again() {
    for (name, text) in files() {
        let workflow = Workflow::from_yaml(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        workflow.validate().unwrap_or_else(|error| panic!("{name}: {error}"));
        let original = Value::deserialize(serde_norway::Deserializer::from_str(&text)).unwrap();
        let yaml = workflow.to_yaml();
        let written = Value::deserialize(serde_norway::Deserializer::from_str(&yaml)).unwrap();
        for written in [written, workflow.to_value()] {
            let mut found = Vec::new();
            differences("", &meaning(&original), &meaning(&written), &mut found);
            assert!(found.is_empty(), "{name}: {found:#?}");
        }
        assert_eq!(Workflow::from_yaml(&yaml).unwrap(), workflow, "{name}");
        assert_eq!(Workflow::from_json(&workflow.to_json()).unwrap(), workflow, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_uploaded_run_and_followed_to_its_end() {
    let kfp = KfpServer::builder().execution(Execution::Processes).build();
    kfp.secret("kubeflow", "credentials", "password", "hidden");
    let executing = kfp.start().await;
    let simulating = KfpServer::builder()
        .pace(Duration::from_millis(1))
        .build()
        .start()
        .await;
    for (name, text) in files() {
        let workflow = Workflow::from_yaml(&text).unwrap();
        let server = if OF_A_CLUSTER.contains(&name.as_str()) {
            &simulating
        } else {
            &executing
        };
        let client = Client::builder(&server.url()).unwrap().build().unwrap();
        let file = PipelineFile::try_from(&workflow).unwrap();
        let uploaded = client
            .pipelines()
            .upload(&UploadPipeline::new(name.clone(), file))
            .await
            .unwrap();
        let experiment = client.experiments().get_or_create("compiled", None).await.unwrap();
        let source = PipelineSource::Version {
            pipeline_id: Some(uploaded.pipeline_id),
            pipeline_version_id: None,
        };
        let request = CreateRun::new(name.clone(), experiment.experiment_id, source);
        let created = client.runs().create(request).await.unwrap();
        let wait = Wait::new()
            .timeout(Duration::from_secs(60))
            .intervals(Duration::from_millis(10), Duration::from_millis(200));
        let finished = client.runs().wait(&created.run_id, wait).await;
        let run = finished.unwrap_or_else(|error| panic!("{name}: {error}")).run;
        assert_eq!(run.outcome(), RunOutcome::Succeeded, "{name}: {run:?}");
    }
}
