//! The same with answers that are made, not found, and with the seeds of the fuzz targets.

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, json};

use super::{super::tests::seeds, *};

/// Names and values that answers have, in places where they need not be.
fn any_value() -> impl Strategy<Value = Value> {
    let names = vec![
        "runs",
        "experiments",
        "recurringRuns",
        "jobs",
        "run_id",
        "id",
        "display_name",
        "created_at",
        "finished_at",
        "state",
        "state_history",
        "error",
        "code",
        "message",
        "details",
        "run_details",
        "task_details",
        "total_size",
        "next_page_token",
        "pipeline_spec",
        "runtime_config",
        "parameters",
        "trigger",
        "cron_schedule",
        "run",
        "pipeline_runtime",
        "workflow_manifest",
        "resource_references",
        "key",
        "type",
        "metrics",
        "number_value",
        "value",
        "child_tasks",
        "execution_id",
        "outputs",
        "artifact_ids",
        "plugins_output",
        "storage_state",
        "name",
        "error_message",
        "error_details",
        "data",
        "template",
        "results",
        "tag_name",
        "multi_user",
        "tags",
        "url",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(vec![
            "",
            "0",
            "-1",
            "9223372036854775808",
            "NaN",
            "-Infinity",
            "1970-01-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "2026-11-23T21:02:24.5+02:00",
            "9999-12-31T23:59:60Z",
            "RUNNING",
            "SUCCEEDED",
            "CANCELING",
            "Internal Server Error",
            "a\n goroutine 1",
            "<html><title>Sign in</title>",
            "{\"kind\": \"Workflow\", \"spec\": {}}",
            "2.5.0",
            "v99999.1",
        ])
        .prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((select(names.clone()), inner), 0..6).prop_map(|members| {
                let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
                Value::Object(members.collect::<Map<_, _>>())
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_of_any_shape(value in any_value(), cut in any::<prop::sample::Index>()) {
        let text = value.to_string();
        answer(text.as_bytes());
        answer(&text.as_bytes()[..cut.index(text.len())]);
    }

    #[test]
    fn answers_of_any_bytes(body in vec(any::<u8>(), 0..60)) {
        answer(&body);
        package(&body);
    }

    /// A real answer with one of its values replaced by another.
    #[test]
    fn answers_with_one_wrong_value(value in any_value(), place in any::<prop::sample::Index>()) {
        for seed in seeds("answer") {
            let mut answer_body: Value = serde_json::from_slice(&seed).unwrap();
            let places = count(&answer_body);
            replace(&mut answer_body, &mut place.index(places), &value);
            answer(answer_body.to_string().as_bytes());
        }
    }

    #[test]
    fn artifacts_in_any_pieces(size in any::<u8>(), text in "[A-Za-z0-9+/=\\\\\"{}:, ]{0,30}", bytes in vec(any::<u8>(), 0..60)) {
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &bytes);
        let whole = json!({"data": encoded}).to_string();
        prop_assert_eq!(pieces(whole.as_bytes(), usize::from(size).max(1)), Some(bytes));
        for body in [whole, format!("{{\"data\":\"{text}\"}}"), text] {
            artifact(&[&[size], body.as_bytes()].concat());
        }
    }
}

/// Values within a value, itself included.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum::<usize>(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

fn replace(value: &mut Value, place: &mut usize, with: &Value) {
    if *place == 0 {
        *value = with.clone();
    }
    *place = place.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, place, with)),
        Value::Object(members) => members.values_mut().for_each(|member| replace(member, place, with)),
        _ => {}
    }
}

#[test]
fn seeds_hold() {
    for seed in seeds("answer") {
        answer(&seed);
    }
    for seed in seeds("artifact") {
        artifact(&seed);
    }
}
