//! Real pipeline files, and documents built here, held against the official tools.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use kfp_client::{
    PipelineFile,
    ir::{
        ArtifactSource, ContainerComponent, DagBuilder, Error, ParameterSource, ParameterSpec, ParameterType,
        PipelineBuilder, PipelineDocument, RetryPolicy, TaskBuilder,
    },
};
use serde_json::{Value, json};

const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/reference");

fn yaml(text: &str) -> Vec<Value> {
    use serde::Deserialize;
    let documents = serde_norway::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap());
    documents.filter(|document| !document.is_null()).collect()
}

/// What a document means: without fields at their zero value, numbers compared as numbers.
fn meaning(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let fields = map.iter().map(|(key, value)| (key.clone(), meaning(value)));
            // An empty object can mean something (`cachingOptions`); empty text, lists and `false` do not.
            let empty = |value: &Value| *value == json!("") || *value == json!([]) || *value == json!(false);
            fields.filter(|(_, value)| !empty(value)).collect()
        }
        Value::Array(items) => items.iter().map(meaning).collect(),
        Value::Number(number) => json!(number.as_f64()),
        other => other.clone(),
    }
}

#[test]
fn real_pipelines_survive_being_read_and_written() {
    let Ok(entries) = std::fs::read_dir(format!("{REFERENCE}/kfp-pipelines")) else {
        println!("skipped: no pipelines at {REFERENCE}/kfp-pipelines");
        return;
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.push(format!("{REFERENCE}/ir_example.yaml").into());
    for file in &files {
        let name = file.display();
        let text = std::fs::read_to_string(file).unwrap();
        let document = PipelineDocument::from_yaml(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let original: Vec<Value> = yaml(&text).iter().map(meaning).collect();
        let written: Vec<Value> = yaml(&document.to_yaml()).iter().map(meaning).collect();
        assert_eq!(written, original, "{name}");
        assert_eq!(
            PipelineDocument::from_json(document.to_wire()).unwrap(),
            document,
            "{name}"
        );
        assert_eq!(
            PipelineDocument::from_yaml(&document.to_yaml()).unwrap(),
            document,
            "{name}"
        );
        document.validate().unwrap_or_else(|error| panic!("{name}: {error}"));
        PipelineFile::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    println!("{} files", files.len());
}

/// A pipeline with everything the builder can do.
#[allow(clippy::too_many_lines, reason = "one example, to be read as a whole")]
fn everything() -> PipelineBuilder {
    let prepare = ContainerComponent::new("registry.example.com/prepare:1")
        .command(["prepare"])
        .args([
            "--rows={{$.inputs.parameters['rows']}}",
            "--source={{$.inputs.parameters['source']}}",
        ])
        .args([
            "{{$.outputs.artifacts['data'].path}}",
            "{{$.outputs.parameters['count'].output_file}}",
        ])
        .input("rows", ParameterType::NumberInteger)
        .input("source", ParameterType::String)
        .input_spec(
            "columns",
            ParameterSpec::new(ParameterType::List).default_value(json!(["a"])),
        )
        .output("count", ParameterType::NumberInteger)
        .output_artifact("data", "system.Dataset")
        .config_map_env("settings", [("region", "REGION")])
        .pvc_mount("train-data", "/mnt/data");
    let train = ContainerComponent::new("registry.example.com/train:1")
        .command(["train"])
        .args([
            "{{$.inputs.artifacts['data'].path}}",
            "{{$.outputs.artifacts['model'].path}}",
        ])
        .env("MLFLOW_TRACKING_URI", "http://mlflow:5000")
        .input("count", ParameterType::NumberInteger)
        .input("run", ParameterType::String)
        .input_artifact("data", "system.Dataset")
        .output_artifact("model", "system.Model")
        .output("score", ParameterType::NumberDouble)
        .cpu_request("500m")
        .cpu_limit("2")
        .memory_request("1Gi")
        .memory_limit("4Gi")
        .accelerator("nvidia.com/gpu", 1)
        .secret_env("mlflow-credentials", [("password", "MLFLOW_TRACKING_PASSWORD")])
        .node_label("disk", "ssd")
        .image_pull_secret("registry")
        .image_pull_policy("IfNotPresent")
        .active_deadline_seconds(3600);
    let deploy = ContainerComponent::new("registry.example.com/deploy:1")
        .command(["deploy", "{{$.inputs.artifacts['model'].uri}}"])
        .input("score", ParameterType::NumberDouble)
        .input("min", ParameterType::NumberDouble)
        .input_artifact("model", "system.Model");
    let shadow = DagBuilder::new().input_artifact("model", "system.Model").task(
        TaskBuilder::new(
            "deploy",
            ContainerComponent::new("shadow:1")
                .command(["shadow"])
                .input_artifact("model", "system.Model"),
        )
        .artifact("model", ArtifactSource::input("model")),
    );
    let notify = ContainerComponent::new("registry.example.com/notify:1")
        .command([
            "notify",
            "{{$.inputs.parameters['status']}}",
            "{{$.inputs.parameters['source']}}",
        ])
        .input("status", ParameterType::TaskFinalStatus)
        .input("source", ParameterType::String);
    PipelineBuilder::new("train-and-deploy")
        .description("everything")
        .pipeline_root("minio://mlpipeline/v2/artifacts")
        .parameter("source", ParameterType::String, None)
        .parameter("rows", ParameterType::NumberInteger, Some(100.into()))
        .parameter("min", ParameterType::NumberDouble, Some(json!(0.8)))
        .task(
            TaskBuilder::new("prepare", prepare)
                .input("rows", ParameterSource::input("rows"))
                .input("source", ParameterSource::input("source")),
        )
        .task(
            TaskBuilder::new("train", train)
                .name("Train the model")
                .input_from("count", "prepare", "count")
                .input("run", ParameterSource::run_id())
                .artifact_from("data", "prepare", "data")
                .retry(RetryPolicy::new(3).backoff(30, 2.0, 600))
                .caching(false),
        )
        .task(
            TaskBuilder::new("deploy", deploy)
                .input_from("score", "train", "score")
                .input("min", ParameterSource::input("min"))
                .artifact_from("model", "train", "model")
                .condition("inputs.parameter_values['score'] >= inputs.parameter_values['min']"),
        )
        .task(
            TaskBuilder::sub_dag("shadow", shadow)
                .artifact_from("model", "train", "model")
                .after("deploy"),
        )
        .exit_task(
            TaskBuilder::new("notify", notify)
                .input("status", ParameterSource::final_status("exit-handler-1"))
                .input("source", ParameterSource::input("source"))
                .caching(false),
        )
}

#[test]
fn what_is_built_is_what_the_format_asks_for() {
    let document = everything().build().unwrap();
    let spec = &document.pipeline_spec;
    let notify = &spec.root.dag.as_ref().unwrap().tasks["notify"];
    assert_eq!(notify.dependent_tasks, ["exit-handler-1"]);
    assert_eq!(
        json!(notify.trigger_policy),
        json!({"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"})
    );
    assert_eq!(json!(notify.caching_options), json!({}));
    let inner = spec.components["comp-exit-handler-1"].dag.as_ref().unwrap();
    assert_eq!(inner.tasks["train"].dependent_tasks, ["prepare"]);
    assert_eq!(
        json!(inner.tasks["prepare"].inputs.parameters["rows"]),
        json!({"componentInputParameter": "pipelinechannel--rows"})
    );
    // Two graphs have a task of this name.
    assert!(spec.components.contains_key("comp-deploy") && spec.components.contains_key("comp-deploy-2"));
    let kubernetes = &document.platform_spec.as_ref().unwrap().platforms["kubernetes"]
        .deployment_spec
        .executors;
    assert_eq!(
        json!(kubernetes["exec-train"]),
        json!({
            "secretAsEnv": [{"secretName": "mlflow-credentials",
                "secretNameParameter": {"runtimeValue": {"constant": "mlflow-credentials"}},
                "keyToEnv": [{"secretKey": "password", "envVar": "MLFLOW_TRACKING_PASSWORD"}]}],
            "nodeSelector": {"labels": {"disk": "ssd"}},
            "imagePullSecret": [{"secretName": "registry",
                "secretNameParameter": {"runtimeValue": {"constant": "registry"}}}],
            "imagePullPolicy": "IfNotPresent",
            "activeDeadlineSeconds": "3600",
        })
    );
    assert_eq!(PipelineDocument::from_yaml(&document.to_yaml()).unwrap(), document);
}

#[test]
fn the_official_compiler_takes_what_is_built() {
    let python = std::env::var("KFP_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let judge = format!("{REFERENCE}/validate_ir.py");
    let imports = Command::new(&python)
        .args(["-c", "import kfp, kfp.kubernetes"])
        .output();
    if !Path::new(&judge).is_file() || !imports.is_ok_and(|output| output.status.success()) {
        println!("skipped: needs {judge} and a Python with kfp and kfp-kubernetes (set KFP_PYTHON)");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let minimal = PipelineBuilder::new("hi")
        .task(TaskBuilder::new(
            "a",
            ContainerComponent::new("busybox").command(["echo", "hi"]),
        ))
        .build()
        .unwrap();
    for (name, document) in [("everything", everything().build().unwrap()), ("minimal", minimal)] {
        for (kind, text) in [("yaml", document.to_yaml()), ("json", document.to_wire().to_string())] {
            let file = directory.path().join(format!("{name}.{kind}"));
            std::fs::write(&file, text).unwrap();
            let output = Command::new(&python).arg(&judge).arg(&file).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{name}.{kind}: {said}");
            println!("{said}");
        }
    }
}

fn path_of(result: Result<PipelineDocument, Error>) -> String {
    result.unwrap_err().path().to_owned()
}

#[test]
fn faults_are_named_by_their_path() {
    let one = || {
        TaskBuilder::new(
            "a",
            ContainerComponent::new("busybox").input("x", ParameterType::NumberInteger),
        )
    };
    let bound = || one().input("x", ParameterSource::constant(1));
    let pipeline = |task| {
        PipelineBuilder::new("p")
            .parameter("s", ParameterType::Boolean, None)
            .task(task)
    };
    let task = "root.dag.tasks.a";
    assert_eq!(
        path_of(PipelineBuilder::new("P").task(bound()).build()),
        "pipelineInfo.name"
    );
    assert_eq!(path_of(PipelineBuilder::new("p").build()), "root.dag.tasks");
    assert_eq!(path_of(pipeline(bound().exit()).build()), "root.dag.tasks");
    assert_eq!(path_of(pipeline(one()).build()), format!("{task}.inputs.parameters.x"));
    assert_eq!(
        path_of(pipeline(one().input("x", ParameterSource::input("s"))).build()),
        format!("{task}.inputs.parameters.x")
    );
    assert_eq!(
        path_of(pipeline(one().input("x", ParameterSource::input("t"))).build()),
        format!("{task}.inputs.parameters.x")
    );
    assert_eq!(
        path_of(pipeline(one().input_from("x", "b", "y")).build()),
        format!("{task}.inputs.parameters.x")
    );
    assert_eq!(
        path_of(pipeline(one().input("x", ParameterSource::constant(json!([1])))).build()),
        format!("{task}.inputs.parameters.x.runtimeValue.constant")
    );
    assert_eq!(
        path_of(pipeline(bound().after("b")).build()),
        format!("{task}.dependentTasks")
    );
    assert_eq!(path_of(pipeline(bound()).task(bound()).build()), task);
    assert_eq!(
        path_of(pipeline(bound().condition("inputs.parameter_values['y'] > 1")).build()),
        format!("{task}.triggerPolicy.condition")
    );
    let container = |component: ContainerComponent| pipeline(TaskBuilder::new("a", component)).build();
    assert_eq!(
        path_of(container(ContainerComponent::new(""))),
        "deploymentSpec.executors.exec-a.container.image"
    );
    let stray = ContainerComponent::new("busybox").args(["{{$.inputs.parameters['y']}}"]);
    assert_eq!(
        path_of(container(stray)),
        "deploymentSpec.executors.exec-a.container.args"
    );
    let other = || TaskBuilder::new("b", ContainerComponent::new("busybox"));
    assert_eq!(
        path_of(pipeline(bound().after("b")).task(other().after("a")).build()),
        format!("{task}.dependentTasks")
    );

    let mut document = everything().build().unwrap();
    document.pipeline_spec.schema_version = "2.0.0".to_owned();
    assert_eq!(document.validate().unwrap_err().path(), "schemaVersion");
}

#[test]
fn text_a_server_would_choke_on_is_refused() {
    for text in [
        "a: b: c",
        "a: [1",
        "\ta: 1",
        "",
        "just text",
        "a: 1",
        "apiVersion",
        "a: 1\na: 2",
    ] {
        assert!(PipelineFile::parse(text).is_err(), "{text:?}");
        assert!(PipelineDocument::from_yaml(text).is_err(), "{text:?}");
    }
    let argo = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {entrypoint: main}\n";
    assert!(PipelineFile::parse(argo).is_ok());
    assert!(PipelineDocument::from_yaml(argo).is_err());
}
