//! The contract on the wire: cases written once as data in `tests/cases/`, played request by request on the fake and on
//! real servers, and compared with what the real ones answered.
//!
//! `MLFLOW_TEST_URI` (3.x) and `MLFLOW_TEST_URI_2` (2.22) name real servers; with `MLFLOW_TEST_RECORD=1` their answers
//! become what is compared with.

mod play;
mod shape;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mlflow_client::testing::MlflowServer;
use serde_json::{Map, Value};

/// The servers whose answers are recorded, with the variable that names one.
const GENERATIONS: [(&str, &str, &str); 2] = [("3", "3.17.2", "MLFLOW_TEST_URI"), ("2", "2.22.5", "MLFLOW_TEST_URI_2")];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("cases")
}

fn read(path: &Path) -> Map<String, Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    match serde_json::from_str(&text) {
        Ok(Value::Object(map)) => map,
        other => panic!("{}: {other:?}", path.display()),
    }
}

/// The cases of a topic. Those whose names end with a version are for that version only.
fn cases(topic: &str, generation: &str) -> Vec<(String, Vec<Value>)> {
    let other = |name: &str| {
        GENERATIONS
            .iter()
            .any(|(other, ..)| *other != generation && name.ends_with(&format!("(MLflow {other})")))
    };
    let all = read(&folder().join(format!("{topic}.json"))).into_iter();
    all.filter(|(name, _)| !other(name))
        .map(|(name, steps)| (name, steps.as_array().unwrap().clone()))
        .collect()
}

/// Differences between two transcripts, each with the step it is in.
fn differences(case: &str, steps: &[Value], expected: &Value, found: &[Value]) -> Vec<String> {
    let mut all = Vec::new();
    let expected = expected.as_array().map(Vec::as_slice).unwrap_or_default();
    if expected.len() != found.len() {
        all.push(format!(
            "{case}: {} answers were recorded, {} came",
            expected.len(),
            found.len()
        ));
    }
    for (at, (expected, found)) in expected.iter().zip(found).enumerate() {
        let mut parts = Vec::new();
        shape::compare("", expected, found, &mut parts);
        if !parts.is_empty() {
            let step = steps.get(at).map(play::title).unwrap_or_default();
            all.push(format!(
                "{case}, step {}, {step}:\n    {}",
                at + 1,
                parts.join("\n    ")
            ));
        }
    }
    all
}

async fn compare(topic: &str, generation: &str, server: &str) -> Vec<String> {
    let recorded = folder().join(generation).join(format!("{topic}.json"));
    let recorded = if recorded.exists() { read(&recorded) } else { Map::new() };
    let mut all = Vec::new();
    for (case, steps) in cases(topic, generation) {
        let found = play::play(server, &steps).await;
        match recorded.get(&case) {
            Some(expected) => all.extend(differences(&case, &steps, expected, &found)),
            None => all.push(format!("{case}: no answers are recorded for MLflow {generation}")),
        }
    }
    all
}

async fn record(topic: &str, generation: &str, server: &str) {
    let mut recorded = BTreeMap::new();
    for (case, steps) in cases(topic, generation) {
        recorded.insert(case, Value::Array(play::play(server, &steps).await));
    }
    let file = folder().join(generation);
    std::fs::create_dir_all(&file).unwrap();
    let mut text = String::from("{\n");
    for (at, (case, answers)) in recorded.iter().enumerate() {
        let lines: Vec<String> = answers.as_array().unwrap().iter().map(Value::to_string).collect();
        let end = if at + 1 == recorded.len() { "" } else { "," };
        let case = Value::from(case.as_str());
        text.extend([
            case.to_string(),
            ": [\n".to_owned(),
            lines.join(",\n"),
            format!("\n]{end}\n"),
        ]);
    }
    std::fs::write(file.join(format!("{topic}.json")), text + "}\n").unwrap();
}

fn report(server: &str, differences: &[String]) {
    assert!(
        differences.is_empty(),
        "{} differences on {server}:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

async fn on_the_fake(topic: &str) {
    let mut all = Vec::new();
    for (generation, version, _) in GENERATIONS {
        let running = MlflowServer::builder().version(version).build().start().await;
        let differences = compare(topic, generation, &running.url()).await;
        all.extend(differences.into_iter().map(|text| format!("MLflow {version}: {text}")));
    }
    report("the fake", &all);
}

async fn on_real_servers(topic: &str) {
    let mut all = Vec::new();
    for (generation, _, variable) in GENERATIONS {
        let Ok(server) = std::env::var(variable) else {
            eprintln!("SKIP: {variable} names no server");
            continue;
        };
        let server = server.trim_end_matches('/');
        if std::env::var_os("MLFLOW_TEST_RECORD").is_some() {
            record(topic, generation, server).await;
        }
        let differences = compare(topic, generation, server).await;
        all.extend(
            differences
                .into_iter()
                .map(|text| format!("MLflow {generation}: {text}")),
        );
    }
    report("real servers", &all);
}

macro_rules! topics {
    ($($name:ident),* $(,)?) => {
        mod fake {
            $(
                #[tokio::test]
                async fn $name() {
                    super::on_the_fake(stringify!($name)).await;
                }
            )*
        }
        mod real {
            $(
                #[tokio::test]
                async fn $name() {
                    super::on_real_servers(stringify!($name)).await;
                }
            )*
        }

        #[test]
        fn every_file_of_cases_is_played() {
            let known = [$(stringify!($name)),*];
            for file in std::fs::read_dir(folder()).unwrap() {
                let path = file.unwrap().path();
                if path.is_file() {
                    let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                    assert!(known.contains(&name.as_str()), "{name} is not played");
                }
            }
        }
    };
}

topics! { experiments, runs, metrics, params_and_tags, batches, search_runs, registry, sources, logged_models, artifacts, protocol }
