//! The same with inputs that are made, not found.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Pieces of answers as servers and proxies send them.
fn any_body() -> impl Strategy<Value = String> {
    let pieces = select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "null",
        "true",
        "-1",
        "1e400",
        "9007199254740993",
        "\"NaN\"",
        "\"-Infinity\"",
        "\"experiment_id\":",
        "\"run_id\":",
        "\"info\":",
        "\"data\":",
        "\"metrics\":",
        "\"value\":",
        "\"key\":",
        "\"error_code\":",
        "\"message\":",
        "\"detail\":",
        "\"RESOURCE_DOES_NOT_EXIST\"",
        "\"BAD_REQUEST\"",
        "\"QueuePool limit\"",
        "<html><title>",
        "</title>",
        "<!doctype html>",
        "Endpoint: x disabled y",
        "OK",
        "3.17.2",
        "\\u0000",
        "\n",
        "\"version\":",
        "\"name\":",
        "\"model_id\":",
        "\"webhook_id\":",
        "\"2\"",
        "1.7976931348623157e308",
    ]);
    vec(prop_oneof![pieces.prop_map(str::to_owned), "\\PC{0,5}"], 0..30).prop_map(|pieces| pieces.concat())
}

fn any_head() -> impl Strategy<Value = String> {
    let kinds = select(vec!["application/json", "text/html; charset=utf-8", "text/plain", ""]);
    (100_u16..600, kinds).prop_map(|(status, kind)| format!("{status} {kind}"))
}

/// A document of a run, with parts of it changed.
fn any_run() -> impl Strategy<Value = String> {
    let value = select(vec![
        "null", "\"x\"", "1", "-1", "[]", "{}", "true", "\"NaN\"", "1e999", "\"12\"",
    ]);
    (value, 0_usize..8).prop_map(|(value, at)| {
        let mut parts = [
            "\"r\"", "\"1\"", "\"RUNNING\"", "1700000000000", "\"mlflow-artifacts:/1\"", "0.5", "\"key\"", "7",
        ];
        parts[at] = value;
        let [id, experiment, status, start, uri, number, key, step] = parts;
        format!(
            "{{\"info\": {{\"run_id\": {id}, \"experiment_id\": {experiment}, \"status\": {status}, \"start_time\": {start}, \
             \"artifact_uri\": {uri}}}, \"data\": {{\"metrics\": [{{\"key\": {key}, \"value\": {number}, \"step\": {step}}}]}}}}"
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn responses(head in any_head(), body in any_body()) {
        response(&format!("{head}\n{body}"));
    }

    #[test]
    fn runs(body in any_run()) {
        response(&format!("200 application/json\n{body}"));
    }

    #[test]
    fn filters(key in "[a-z`\" .'\\\\]{0,8}", value in "\\PC{0,12}|['\"%\\\\a ]{0,8}", number in any::<f64>()) {
        filter(&format!("{key}\n{value}\n{number:?}"));
    }

    #[test]
    fn credentials_files(text in "(\\[mlflow\\]\r?\n)?(mlflow_tracking_(username|password) ?[=:] ?[a-z%;# ]{0,8}\n| {0,2}[a-z=\\[\\]]{0,6}\n){0,5}") {
        credentials_file(&text);
    }
}

/// Every seed of the fuzz targets, so that they stay good ones.
#[test]
fn seeds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join("seeds");
    for (name, body) in [
        ("response", response as fn(&str)),
        ("filter", filter),
        ("credentials_file", credentials_file),
    ] {
        let seeds: Vec<_> = std::fs::read_dir(folder.join(name)).unwrap().collect();
        assert!(!seeds.is_empty(), "{name}");
        for seed in seeds {
            body(&std::fs::read_to_string(seed.unwrap().path()).unwrap());
        }
    }
}
