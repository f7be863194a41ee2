use std::collections::BTreeMap;

use super::{Kit, deploy, evaluate, train};
use crate::request::{DeployRequest, Gate, GateDirection, TrainRequest};
use crate::{DatasetStore, EnvValue, SecretRef, Settings, Step, Word, Workflow};

fn build(
    settings: &Settings,
    tracked: bool,
    make: impl FnOnce(&Kit<'_>) -> Result<Workflow, crate::WorkflowError>,
) -> Workflow {
    let request = TrainRequest::new(
        "https://git.example.com/fraud.git",
        "4f2a9c1d4f2a9c1d4f2a9c1d4f2a9c1d4f2a9c1d",
    )
    .dataset_version("v3")
    .env("MODE", "fast; rm -rf /")
    .param("name", "$(id) \"{x}\"");
    let common = request.valid(settings).unwrap().common;
    let environment = BTreeMap::from([("MLFLOW_RUN_ID".to_owned(), EnvValue::from("r1"))]);
    let kit = Kit {
        settings,
        tracking: tracked.then_some(&environment),
        common: &common,
    };
    let workflow = make(&kit).unwrap();
    workflow.order().unwrap();
    workflow
}

fn names(workflow: &Workflow) -> Vec<&str> {
    workflow
        .order()
        .unwrap()
        .into_iter()
        .map(|step| step.name.as_str())
        .collect()
}

fn step<'a>(workflow: &'a Workflow, name: &str) -> &'a Step {
    workflow.steps.iter().find(|step| step.name.as_str() == name).unwrap()
}

#[test]
fn train_fetches_splits_trains_measures_and_registers() {
    let workflow = build(&Settings::default(), true, train);
    assert_eq!(
        names(&workflow),
        ["fetch-code", "fetch-dataset", "split", "train", "evaluate", "register"]
    );
    assert_eq!(workflow.exit_step.as_ref().unwrap().name.as_str(), "finish");
}

#[test]
fn without_a_record_nothing_is_registered() {
    let workflow = build(&Settings::default(), false, train);
    assert_eq!(
        names(&workflow),
        ["fetch-code", "fetch-dataset", "split", "train", "evaluate"]
    );
    assert_eq!(workflow.exit_step, None);
}

#[test]
fn evaluate_and_deploy_measure_both_versions_on_the_same_rows() {
    let workflow = build(&Settings::default(), true, |kit| evaluate(kit, 3));
    assert!(names(&workflow).ends_with(&["evaluate-candidate", "evaluate-champion", "compare"]));
    let gate = Gate::new("log_loss", GateDirection::Lower).threshold(-1.5);
    let workflow = build(&Settings::default(), true, |kit| deploy(kit, 3, &gate));
    assert!(names(&workflow).ends_with(&["gate", "promote", "deploy"]));
    assert_eq!(workflow.parameters["model_version"], "3");
    assert!(step(&workflow, "gate").command.contains(&Word::from("--maximum=-1.5")));
    assert_eq!(step(&workflow, "gate").retries, 0);
}

#[test]
fn values_of_callers_never_become_part_of_a_program() {
    let gate = DeployRequest::new("https://git.example.com/r", "a".repeat(40), "m", 1).gate;
    for workflow in [
        build(&Settings::default(), true, train),
        build(&Settings::default(), true, |kit| deploy(kit, 1, &gate)),
    ] {
        for step in workflow.steps.iter().chain(&workflow.exit_step) {
            for word in &step.command {
                if let Word::Text(text) = word {
                    assert!(
                        !text.contains("$(id)") && !text.contains("rm -rf") && !text.contains("fraud"),
                        "{}",
                        step.name
                    );
                }
            }
        }
    }
}

/// Engines that fill in templates take two braces for the beginning or end of a placeholder.
#[test]
fn no_program_holds_two_braces_in_a_row() {
    let workflow = build(&Settings::default(), true, |kit| deploy(kit, 1, &Gate::default()));
    let others = build(&Settings::default(), true, train);
    for step in workflow.steps.iter().chain(&others.steps).chain(&workflow.exit_step) {
        for word in &step.command {
            if let Word::Text(text) = word {
                assert!(!text.contains("{{") && !text.contains("}}"), "{}", step.name);
            }
        }
    }
}

#[test]
fn the_callers_environment_reaches_only_the_repositorys_own_code() {
    let settings = Settings::default().git_token(SecretRef {
        name: "git".into(),
        key: "token".into(),
    });
    let workflow = build(&settings, true, train);
    let with = |variable: &str| -> Vec<&str> {
        workflow
            .steps
            .iter()
            .filter(|step| step.environment.contains_key(variable))
            .map(|step| step.name.as_str())
            .collect()
    };
    assert_eq!(with("MODE"), ["train", "evaluate"]);
    assert_eq!(with("GIT_TOKEN"), ["fetch-code"]);
    assert_eq!(with("MLFLOW_RUN_ID").len(), 6);
}

#[test]
fn the_dataset_volume_is_mounted_where_data_is_fetched_and_nowhere_else() {
    let workflow = build(&Settings::default(), true, train);
    let mounted: Vec<_> = workflow
        .steps
        .iter()
        .filter(|step| !step.volumes.is_empty())
        .map(|step| step.name.as_str())
        .collect();
    assert_eq!(mounted, ["fetch-dataset"]);
    let settings = Settings::default().dataset_store(DatasetStore::folder("/data"));
    assert!(
        build(&settings, true, train)
            .steps
            .iter()
            .all(|step| step.volumes.is_empty())
    );
}
