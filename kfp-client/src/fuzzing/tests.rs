//! The bodies of the fuzz targets, with real documents, changed ones, and texts of all kinds.

use std::{fs, path::Path};

use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value, json};

use super::*;

/// What a fuzz target begins with.
pub(super) fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let files = fs::read_dir(folder).unwrap();
    files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

const PIPELINES: [&str; 6] = [
    include_str!("../../tests/pipelines/if-elif-else.yaml"),
    include_str!("../../tests/pipelines/loops.yaml"),
    include_str!("../../tests/pipelines/imported.yaml"),
    include_str!("../../tests/pipelines/nested.yaml"),
    include_str!("../../tests/pipelines/platform.yaml"),
    include_str!("../../tests/pipelines/settings.yaml"),
];
const WORKFLOWS: [&str; 4] = [
    include_str!("../../tests/pipelines/v1/artifacts.yaml"),
    include_str!("../../tests/pipelines/v1/loops.yaml"),
    include_str!("../../tests/pipelines/v1/resources.yaml"),
    include_str!("../../tests/pipelines/v1/settings.yaml"),
];

#[test]
fn seeds_hold() {
    for text in PIPELINES {
        pipeline_document(text);
    }
    for text in WORKFLOWS {
        argo_workflow(text);
    }
    for text in [
        "",
        "pipelineInfo: {name: a}\n---\nplatforms: {}",
        "pipelineInfo: {name: a}\n---\n{}",
        "pipelineInfo: 1",
        "{pipelineInfo: {name: a}, root: {dag: {tasks: {a: {retryPolicy: {backoffFactor: NaN}}}}}}",
        "{pipeline_spec: {pipelineInfo: {}}, platform_spec: {platforms: {kubernetes: null}}}",
        "{kind: Workflow, spec: {templates: [{retryStrategy: {limit: 1e3}}]}}",
        "{kind: Workflow, spec: {arguments: {parameters: [{name: a, value: 1.0}]}}}",
    ] {
        pipeline_document(text);
        argo_workflow(text);
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        select(vec![
            "",
            "on",
            "1",
            "{{$.inputs.parameters['a']}}",
            "2s",
            "12:30:45",
            "~",
            "\u{85}"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z$<]{0,3}|parameters|name|constant", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Puts a value in the place that the numbers lead to.
fn change(document: &mut Value, path: &[prop::sample::Index], with: Value) {
    let Some((step, rest)) = path.split_first() else {
        *document = with;
        return;
    };
    match document {
        Value::Object(members) if !members.is_empty() => {
            let at = step.index(members.len());
            if let Some(member) = members.values_mut().nth(at) {
                change(member, rest, with);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let at = step.index(items.len());
            if let Some(item) = items.get_mut(at) {
                change(item, rest, with);
            }
        }
        other => *other = with,
    }
}

fn read(text: &str) -> Value {
    let mut documents = crate::ir::yaml_documents(text).unwrap();
    if documents.len() == 1 {
        return documents.remove(0);
    }
    json!({"pipeline_spec": documents[0], "platform_spec": documents[1]})
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_pipelines(
        text in select(&PIPELINES[..]),
        changes in prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 2..9), value()), 1..4),
    ) {
        let mut document = read(text);
        for (path, with) in changes {
            change(&mut document, &path, with);
        }
        pipeline_document(&document.to_string());
    }

    #[test]
    fn changed_workflows(
        text in select(&WORKFLOWS[..]),
        changes in prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 2..9), value()), 1..4),
    ) {
        let mut document = read(text);
        for (path, with) in changes {
            change(&mut document, &path, with);
        }
        argo_workflow(&document.to_string());
    }

    #[test]
    fn texts(text in any::<String>(), start in 0..2000_usize) {
        pipeline_document(&text);
        argo_workflow(&text);
        for seed in [PIPELINES[0], WORKFLOWS[0]] {
            let start = (0..=start.min(seed.len())).rev().find(|at| seed.is_char_boundary(*at)).unwrap_or_default();
            let cut = format!("{}{text}", &seed[..start]);
            pipeline_document(&cut);
            argo_workflow(&cut);
        }
    }
}
