//! Writes something of everything to a real server for the official Python client to read back.
//!
//! With `MLFLOW_TEST_URI` and `MLFLOW_TEST_WRITTEN=FILE` set, FILE tells what was written; `tests/python/read_back.py` reads
//! it. Without them the same is written to the fake, and read back by nobody.

use bytes::Bytes;
use mlflow_client::testing::MlflowServer;
use mlflow_client::{
    Client, CreateExperiment, CreateLoggedModel, CreateModelVersion, CreateRegisteredModel, CreateRun, DatasetInput,
    LogBatch, LoggedModelStatus, Metric, ModelMetric, ModelOutput, RunStatus, Stage, UpdateRun,
};
use serde_json::{Value, json};

#[tokio::test]
async fn for_the_python_client() {
    let uri = std::env::var("MLFLOW_TEST_URI");
    let Some((uri, file)) = uri.ok().zip(std::env::var_os("MLFLOW_TEST_WRITTEN")) else {
        let running = MlflowServer::builder().build().start().await;
        write(&Client::builder(running.url()).unwrap().build().unwrap()).await;
        return;
    };
    let written = write(&Client::builder(uri).unwrap().build().unwrap()).await;
    std::fs::write(file, written.to_string()).unwrap();
}

async fn write(client: &Client) -> Value {
    let mark = format!("written-{}", uuid::Uuid::new_v4().simple());
    let experiment = CreateExperiment::new(&mark).tag("made by", "rüst");
    let experiment = client.experiments().create(experiment).await.unwrap();
    let new = CreateRun::new(&experiment)
        .run_name("first")
        .user_id("me")
        .tag("colour", "grün")
        .tag("mlflow.note.content", "what it is");
    let run = client.runs().create(new).await.unwrap().id().clone();
    let batch = LogBatch::new()
        .params([("rate", "0.1"), ("a b/c.d-e:f", "it's \"two\"\n"), ("empty", "")])
        .tags([("more", "1")])
        .metrics((0..1500).map(|step| Metric::new("loss", 1.0 / f64::from(step + 1)).step(step.into())))
        .metric(Metric::new("nan", f64::NAN))
        .metric(Metric::new("up", f64::INFINITY))
        .metric(Metric::new("down", f64::NEG_INFINITY))
        .metric(Metric::new("back", 1.0).step(-7));
    client.runs().log_batch(&run, &batch).await.unwrap();
    let dataset =
        DatasetInput::new("penguins", "d1", "http", r#"{"url": "https://example.com/x.csv"}"#).context("training");
    client.runs().log_inputs(&run, &[dataset]).await.unwrap();
    let files = client.artifacts();
    files
        .upload(&run, "d/a b ü.txt", Bytes::from_static("grün".as_bytes()))
        .await
        .unwrap();
    files.upload(&run, "empty", Bytes::new()).await.unwrap();
    let model = CreateLoggedModel::new(&experiment)
        .name("forest")
        .source_run_id(&run)
        .param("depth", "3")
        .tag("t", "v");
    let model = client.logged_models().create(model).await.unwrap();
    let point = ModelMetric::new(model.id(), Metric::new("accuracy", 0.5)).dataset("penguins", "d1");
    client.runs().log_model_metrics(&run, &[point]).await.unwrap();
    client
        .runs()
        .log_outputs(&run, &[ModelOutput::new(model.id(), 4)])
        .await
        .unwrap();
    client.runs().log_model_inputs(&run, [model.id()]).await.unwrap();
    client
        .logged_models()
        .finalize(model.id(), LoggedModelStatus::Ready)
        .await
        .unwrap();
    client
        .runs()
        .update(&run, UpdateRun::ended(RunStatus::Finished))
        .await
        .unwrap();
    let models = client.registered_models();
    models
        .create(CreateRegisteredModel::new(&mark).description("words").tag("team", "a"))
        .await
        .unwrap();
    let versions = client.model_versions();
    let version = CreateModelVersion::of_run(&mark, &run, "d")
        .tag("n", "1")
        .description("one");
    versions.create(version).await.unwrap();
    versions
        .create(CreateModelVersion::of_logged_model(&mark, model.id()))
        .await
        .unwrap();
    models.set_alias(&mark, "champion", 2).await.unwrap();
    versions
        .transition_stage(&mark, 1, Stage::Staging, false)
        .await
        .unwrap();
    let prompt = format!("{mark}-prompt");
    client
        .prompts()
        .create_version(&prompt, "Hello {{name}}", "greets")
        .await
        .unwrap();
    json!({
        "mark": mark, "experiment": experiment, "run": run, "model": model.id(), "prompt": prompt,
    })
}
