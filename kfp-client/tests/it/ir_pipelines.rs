//! Pipelines of the official compiler: read, checked, written, uploaded, run and followed to their end.
//!
//! Those of `tests/pipelines/` always; those of the folders in `KFP_PIPELINES` too, if it is set. What is written is
//! also left in the folder `KFP_PIPELINES_WRITTEN`, for the official tools to judge.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use kfp_client::{
    Client, CreateRun, Experiment, PipelineFile, PipelineSource, RunOutcome, UploadPipeline, Wait,
    ir::{ParameterType, PipelineDocument},
    testing::{Execution, KfpServer},
};
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

/// Pipelines with a step that fails.
const FAILING: [&str; 2] = ["final-status", "upstream-failure"];

/// Folder in which a `python3` with the SDK is found first; without it, runs that need one are simulated.
const PYTHON: &str = "KFP_PIPELINES_PATH";

/// By name; one that is given goes before one of the same name that is here.
fn files() -> Vec<PathBuf> {
    let given = std::env::var_os("KFP_PIPELINES").unwrap_or_default();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pipelines");
    let given = std::env::split_paths(&given).filter(|path| !path.as_os_str().is_empty());
    let mut files = BTreeMap::new();
    for folder in std::iter::once(own).chain(given) {
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let found = entries.map(|entry| entry.unwrap().path());
        let found = found.filter(|file| file.extension().is_some_and(|extension| extension == "yaml"));
        files.extend(found.map(|file| (file.file_stem().unwrap().to_owned(), file)));
    }
    files.into_values().collect()
}

fn documents(text: &str) -> Vec<Value> {
    let documents = serde_norway::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap());
    documents.filter(|document| !document.is_null()).collect()
}

/// What a document means: numbers are doubles to the server, and 64-bit integers may be texts, so 1, 1.0 and "1" of a
/// field that is one are the same.
pub(crate) fn meaning(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), meaning(value))).collect(),
        Value::Array(items) => items.iter().map(meaning).collect(),
        Value::Number(number) => json!(number.as_f64()),
        other => other.clone(),
    }
}

/// What differs, by path, but for what an absent field means too.
pub(crate) fn differences(path: &str, left: &Value, right: &Value, found: &mut Vec<String>) {
    let unset =
        |value: &Value| matches!(value, Value::Null | Value::Bool(false)) || *value == json!("") || *value == json!([]);
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            for key in left.keys().chain(right.keys().filter(|key| !left.contains_key(*key))) {
                let path = format!("{path}.{key}");
                match (left.get(key), right.get(key)) {
                    (Some(left), Some(right)) => differences(&path, left, right, found),
                    (Some(only), None) | (None, Some(only)) if unset(only) => {}
                    (left, right) => found.push(format!("{path}: {left:?} and {right:?}")),
                }
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                differences(&format!("{path}[{index}]"), left, right, found);
            }
        }
        (left, right) if left == right => {}
        (left, right) => found.push(format!("{path}: {left} and {right}")),
    }
}

fn read(file: &Path) -> (String, PipelineDocument) {
    let text = std::fs::read_to_string(file).unwrap();
    let document = PipelineDocument::from_yaml(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    (text, document)
}

#[test]
fn what_is_read_is_written_again() {
    let written_to = std::env::var_os("KFP_PIPELINES_WRITTEN").map(PathBuf::from);
    for file in files() {
        let name = file.display();
        let (text, document) = read(&file);
        document.validate().unwrap_or_else(|error| panic!("{name}: {error}"));
        let original = documents(&text);
        let yaml = document.to_yaml();
        for (kind, written) in [
            ("yaml", documents(&yaml)),
            (
                "documents",
                match document.to_wire() {
                    Value::Object(mut both) if both.contains_key("pipeline_spec") => {
                        let platform = both.remove("platform_spec");
                        both.remove("pipeline_spec").into_iter().chain(platform).collect()
                    }
                    spec => vec![spec],
                },
            ),
        ] {
            let (original, written): (Value, Value) = (
                original.iter().map(meaning).collect(),
                written.iter().map(meaning).collect(),
            );
            let mut found = Vec::new();
            differences("", &original, &written, &mut found);
            assert!(found.is_empty(), "{name} as {kind}: {found:#?}");
        }
        assert_eq!(PipelineDocument::from_yaml(&yaml).unwrap(), document, "{name}");
        assert_eq!(
            PipelineDocument::from_yaml(&document.to_json()).unwrap(),
            document,
            "{name}"
        );
        assert_eq!(
            PipelineDocument::from_json(document.to_wire()).unwrap(),
            document,
            "{name}"
        );
        PipelineFile::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        if let Some(folder) = &written_to {
            let stem = file.file_stem().unwrap().to_string_lossy();
            std::fs::write(folder.join(format!("{stem}.yaml")), yaml).unwrap();
            std::fs::write(folder.join(format!("{stem}.json")), document.to_json()).unwrap();
        }
    }
}

#[test]
fn nothing_of_the_official_compiler_is_unknown() {
    for file in files() {
        let (_, document) = read(&file);
        // Every typed object prints its own `extra`; one that is not empty is a field without a name here.
        let printed = format!("{document:?}");
        let found: Vec<&str> = printed
            .split("extra: {\"")
            .skip(1)
            .filter_map(|rest| rest.get(..60))
            .collect();
        assert!(found.is_empty(), "{}: {found:?}", file.display());
    }
}

/// A value for each parameter that has no default.
fn arguments(document: &PipelineDocument) -> Map<String, Value> {
    let inputs = &document.pipeline_spec.root.input_definitions.parameters;
    let required = inputs
        .iter()
        .filter(|(_, parameter)| !parameter.is_optional && parameter.default_value.is_none());
    let sample = |kind: Option<&ParameterType>| match kind {
        Some(ParameterType::NumberInteger) => json!(2),
        Some(ParameterType::NumberDouble) => json!(0.5),
        Some(ParameterType::Boolean) => json!(true),
        Some(ParameterType::List) => json!(["a", "b"]),
        Some(ParameterType::Struct) => json!({"a": 1}),
        _ => json!("some text"),
    };
    required
        .map(|(name, parameter)| (name.clone(), sample(parameter.parameter_type.as_ref())))
        .collect()
}

/// Whether its steps run here: all of them, or those that need no Python and no package from elsewhere.
fn executes(document: &PipelineDocument, python: bool) -> bool {
    let executors = document.pipeline_spec.deployment_spec.executors.values();
    let words = executors
        .filter_map(|executor| executor.container.as_ref())
        .flat_map(|container| &container.command);
    words.fold(true, |executes, word| {
        // The SDK itself is installed first, other packages in a second step.
        let installs_more = word.matches("pip install").count() > word.matches("'kfp==").count();
        executes && !installs_more && (python || !word.contains("kfp.dsl.executor_main"))
    })
}

/// Uploads a pipeline, runs the version, and follows the run to its end; gives the outcome and the states of its tasks.
async fn run(client: &Client, experiment: &Experiment, name: &str, document: &PipelineDocument) -> (RunOutcome, Value) {
    let file = PipelineFile::try_from(document).unwrap();
    let uploaded = client
        .pipelines()
        .upload(&UploadPipeline::new(name, file))
        .await
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let source = PipelineSource::Version {
        pipeline_id: Some(uploaded.pipeline_id),
        pipeline_version_id: None,
    };
    let mut request = CreateRun::new(name, experiment.experiment_id.clone(), source);
    request.parameters = arguments(document);
    let created = client.runs().create(request).await;
    let created = created.unwrap_or_else(|error| panic!("{name}: {error}"));
    let wait = Wait::new()
        .timeout(Duration::from_secs(100))
        .intervals(Duration::from_millis(10), Duration::from_millis(200));
    let finished = client.runs().wait(&created.run_id, wait).await;
    let finished = finished.unwrap_or_else(|error| panic!("{name}: {error}"));
    let tasks = finished.run.run_details.task_details.iter();
    let states = tasks.map(|task| json!([task.display_name, task.state]));
    (finished.run.outcome(), states.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_uploaded_run_and_followed_to_its_end() {
    let python = std::env::var_os(PYTHON);
    let mut executing = KfpServer::builder().execution(Execution::Processes);
    if let Some(folder) = &python {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(PathBuf::from(folder)).chain(std::env::split_paths(&path));
        executing = executing.environment("PATH", std::env::join_paths(path).unwrap().to_string_lossy());
    }
    let executing = executing.build().start().await;
    let simulating = KfpServer::builder()
        .pace(Duration::from_millis(1))
        .build()
        .start()
        .await;
    let mut others = Vec::new();
    for file in files() {
        let (_, document) = read(&file);
        let executes = executes(&document, python.is_some());
        let server = if executes { &executing } else { &simulating };
        let client = Client::builder(&server.url()).unwrap().build().unwrap();
        let experiment = client.experiments().get_or_create("compiled", None).await.unwrap();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let (outcome, tasks) = run(&client, &experiment, &name, &document).await;
        let fails = executes && FAILING.contains(&name.as_str());
        let expected = if fails {
            RunOutcome::Failed
        } else {
            RunOutcome::Succeeded
        };
        if outcome != expected {
            others.push(format!("{name}: {outcome:?}, {tasks}"));
        }
    }
    assert!(others.is_empty(), "{others:#?}");
}
