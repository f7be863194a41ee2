//! The client against the facts of `v1beta1`: every operation with every parameter, every message with every field.

use std::collections::{BTreeMap, BTreeSet};

use kfp_client::{Filter, Health, v1};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{
    scripted::{Act, Seen, Server},
    v1_operations,
};

const FACTS: &str = include_str!("../facts-v1beta1.txt");

type Fields = BTreeMap<&'static str, &'static str>;

fn lines(kind: &str) -> Vec<Vec<&'static str>> {
    let lines = FACTS.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    lines.filter(|words| words[0] == kind).collect()
}

fn types() -> BTreeMap<&'static str, Fields> {
    let fields = |words: &[&'static str]| words.iter().map(|word| word.split_once(':').unwrap()).collect();
    lines("type")
        .into_iter()
        .map(|words| (words[1], fields(&words[2..])))
        .collect()
}

fn enums() -> BTreeMap<&'static str, Vec<&'static str>> {
    lines("enum")
        .into_iter()
        .map(|words| (words[1], words[2..].to_vec()))
        .collect()
}

/// A value of this kind, with every field set; of enums the value of this number.
fn value(kind: &str, number: usize) -> Value {
    filled_value(kind, number, false)
}

/// With `future` every message in it also has a field that nobody knows.
fn filled_value(kind: &str, number: usize, future: bool) -> Value {
    if let Some(inner) = kind.strip_prefix('[') {
        return json!([filled_value(inner.trim_end_matches(']'), number, future)]);
    }
    match kind {
        // A free text in the description, of which the client knows some values.
        "string" => json!("text"),
        "int64" => json!("9007199254740993"),
        "int32" => json!(7),
        "double" => json!(0.5),
        "boolean" => json!(true),
        "date-time" => json!("2026-11-23T21:02:24Z"),
        "map" => json!({"a": [1, null]}),
        name => {
            if let Some(values) = enums().get(name) {
                return json!(values[number % values.len()]);
            }
            let fields = types().remove(name).unwrap_or_else(|| panic!("{name} is no type"));
            let fields = fields
                .into_iter()
                .map(|(field, kind)| (field.to_owned(), filled_value(kind, number, future)));
            let unknown = future.then(|| ("from_the_future".to_owned(), json!({"x": [1]})));
            Value::Object(fields.chain(unknown).collect::<Map<_, _>>())
        }
    }
}

/// Reads and writes the type with every field and every value of its enums.
fn check<T: Serialize + DeserializeOwned + std::fmt::Debug>(name: &str) {
    for number in 0..9 {
        let whole = value(name, number);
        let read: T = serde_json::from_value(whole.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(serde_json::to_value(&read).unwrap(), whole, "{name}");
        let text = format!("{read:?}");
        assert!(
            !text.contains("extra: {\"") && !text.contains("extra: Object {\""),
            "{name} lacks a field: {text}"
        );
        // `status` is a free text.
        let invented = text.matches("Unknown(\"").count() - text.matches("Unknown(\"text\")").count();
        assert_eq!(invented, 0, "{name} lacks a value: {text}");
        // As a newer server may write it, at every depth.
        let newer = filled_value(name, number, true);
        let read: T = serde_json::from_value(newer.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(serde_json::to_value(&read).unwrap(), newer, "{name}");
    }
}

#[test]
fn every_message_has_every_field() {
    let mut by_calls = 0;
    for name in types().into_keys() {
        match name {
            "PipelineSpecRuntimeConfig" => check::<v1::RuntimeConfig>(name),
            "ReportRunMetricsResponseReportRunMetricResult" => check::<v1::MetricResult>(name),
            "apiCronSchedule" => check::<v1::CronSchedule>(name),
            "apiExperiment" => check::<v1::Experiment>(name),
            "apiJob" => check::<v1::Job>(name),
            "apiParameter" => check::<v1::Parameter>(name),
            "apiPeriodicSchedule" => check::<v1::PeriodicSchedule>(name),
            "apiPipeline" => check::<v1::Pipeline>(name),
            "apiPipelineRuntime" => check::<v1::PipelineRuntime>(name),
            "apiPipelineSpec" => check::<v1::PipelineSpec>(name),
            "apiPipelineVersion" => check::<v1::PipelineVersion>(name),
            "apiResourceKey" => check::<v1::ResourceKey>(name),
            "apiResourceReference" => check::<v1::ResourceReference>(name),
            "apiRun" => check::<v1::Run>(name),
            "apiRunDetail" => check::<v1::RunDetail>(name),
            "apiRunMetric" => check::<v1::RunMetric>(name),
            "apiTask" => check::<v1::Task>(name),
            "apiTrigger" => check::<v1::Trigger>(name),
            "apiUrl" => check::<v1::Url>(name),
            "apiVisualization" => check::<v1::Visualization>(name),
            "apiGetHealthzResponse" => {
                assert!(serde_json::from_value::<Health>(value(name, 0)).unwrap().multi_user);
            }
            // Answers and bodies without a type of their own; the operations read and write them, below.
            "RunServiceReportRunMetricsV1Body" | "apiGetTemplateResponse" | "apiReportRunMetricsResponse" => {
                by_calls += 1;
            }
            list if list.starts_with("apiList") => by_calls += 1,
            "apiFilter" | "apiPredicate" | "apiIntValues" | "apiLongValues" | "apiStringValues" => by_calls += 1,
            other => panic!("{other} has no type"),
        }
    }
    assert_eq!((types().len(), by_calls), (35, 14));
}

#[test]
fn every_value_of_the_enums_of_requests_is_known() {
    let known = |values: Vec<String>, name: &str| assert_eq!(values, enums()[name], "{name}");
    let text = |values: &[v1::AuthResource]| values.iter().map(ToString::to_string).collect();
    known(text(v1::AuthResource::KNOWN), "AuthorizeRequestResources");
    known(
        v1::AuthVerb::KNOWN.iter().map(ToString::to_string).collect(),
        "AuthorizeRequestVerb",
    );
    assert_eq!(enums().len(), 11);
}

/// The path of an operation with ids in the place of its parameters.
fn filled(template: &str) -> String {
    let parts = template.split('/').map(|part| match part.split_once('}') {
        Some((_, rest)) => format!("x{rest}"),
        None => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

fn assert_sent(words: &[&str], seen: &Seen) {
    let (method, template) = (words[1], words[2]);
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    let literal = |path: &str| {
        let parts = path.split('/').map(|part| {
            part.split_once('}')
                .map_or(part.to_owned(), |(_, rest)| format!("*{rest}"))
        });
        parts.collect::<Vec<_>>()
    };
    let sent: Vec<&str> = path.split('/').collect();
    for (expected, sent) in literal(template).iter().zip(&sent) {
        let fits = match expected.strip_prefix('*') {
            Some(verb) => sent.ends_with(verb) && sent.len() > verb.len(),
            None => expected == sent,
        };
        assert!(fits, "{method} {template}: {path}");
    }
    assert_eq!(
        (sent.len(), &*seen.method),
        (template.split('/').count(), method),
        "{template}"
    );
    let names: BTreeSet<String> = url::form_urlencoded::parse(query.as_bytes())
        .map(|(name, _)| name.into_owned())
        .collect();
    assert_eq!(
        names,
        words[5..].iter().map(ToString::to_string).collect(),
        "{method} {template}"
    );
    match words[3] {
        "-" => assert!(seen.body.is_empty(), "{method} {template}"),
        "string" => assert!(
            serde_json::from_str::<Value>(seen.json().as_str().unwrap())
                .unwrap()
                .is_object()
        ),
        form if form.starts_with("form:") => {
            assert!(seen.body.contains("name=\"uploadfile\"; filename=\"pipeline.yaml\""));
        }
        body => assert_fields(body, &seen.json(), template),
    }
}

/// Newer servers refuse a field that the description does not have.
fn assert_fields(kind: &str, value: &Value, place: &str) {
    if let Some(inner) = kind.strip_prefix('[') {
        let items = value.as_array().unwrap().iter();
        return items.for_each(|item| assert_fields(inner.trim_end_matches(']'), item, place));
    }
    if let Some(fields) = types().get(kind) {
        for (name, value) in value.as_object().unwrap() {
            let kind = fields
                .get(name.as_str())
                .unwrap_or_else(|| panic!("{place}: {name} is no field"));
            assert_fields(kind, value, place);
        }
    } else if let Some(values) = enums().get(kind) {
        assert!(values.contains(&value.as_str().unwrap()), "{place}: {value}");
    } else if kind == "int64" {
        assert!(value.is_string(), "{place}: {value}");
    }
}

#[tokio::test]
async fn every_operation_is_sent_with_every_parameter_and_reads_its_answer() {
    let operations = lines("op");
    assert_eq!(operations.len(), 42);
    for words in operations {
        let whole = match words[4] {
            "-" | "object" => json!({}),
            kind => value(kind, 1),
        };
        let answer = whole.clone();
        let server = Server::start(move |_, _| Act::json(200, answer.clone())).await;
        let client = server.client().build().unwrap();
        let result = v1_operations::call(&client, words[1], &filled(words[2])).await;
        let result = result.unwrap_or_else(|| panic!("{} {} is missing", words[1], words[2]));
        let mut written = result.unwrap_or_else(|error| panic!("{} {}: {error}", words[1], words[2]));
        if words[2].ends_with("healthz") {
            written = json!({"multi_user": written["multi_user"]});
        }
        assert_eq!(written, whole, "{} {}", words[1], words[2]);
        let seen = server.seen();
        assert_eq!(seen.len(), 1, "{} {}", words[1], words[2]);
        assert_sent(&words, &seen[0]);
    }
}

#[tokio::test]
async fn a_filter_is_written_in_the_words_of_the_api() {
    let server = Server::start(|_, _| Act::json(200, json!({}))).await;
    let time = "2026-11-23T21:02:24Z".parse().unwrap();
    let filter = Filter::new()
        .equals("name", "50%+ ü")
        .not_equals("name", "a")
        .contains("name", "b")
        .one_of("status", ["Failed"])
        .equals_int("created_at", 1)
        .equals_long("created_at", 2)
        .one_of_ints("created_at", [1])
        .one_of_longs("created_at", [2])
        .since("created_at", time)
        .after("created_at", time)
        .before("created_at", time)
        .until("created_at", time);
    let request = v1::ListRuns::new().filter(filter);
    server
        .client()
        .build()
        .unwrap()
        .v1()
        .runs()
        .list(&request)
        .await
        .unwrap();
    let target = server.seen()[0].target.clone();
    let query = target.split_once('?').unwrap().1.to_owned();
    let (_, once) = url::form_urlencoded::parse(query.as_bytes()).next().unwrap();
    // The server unescapes once more.
    let (twice, _) = url::form_urlencoded::parse(once.as_bytes()).next().unwrap();
    let filter: Value = serde_json::from_str(&twice).unwrap();
    assert_fields("apiFilter", &filter, "filter");
    let predicates = filter["predicates"].as_array().unwrap();
    assert_eq!(
        predicates[0],
        json!({"op": "EQUALS", "key": "name", "string_value": "50%+ ü"})
    );
    let used: BTreeSet<&str> = predicates
        .iter()
        .map(|predicate| predicate["op"].as_str().unwrap())
        .collect();
    let all: BTreeSet<&str> = enums()["PredicateOp"]
        .iter()
        .copied()
        .filter(|name| *name != "UNKNOWN")
        .collect();
    assert_eq!(used, all);
    let used: BTreeSet<&str> = predicates
        .iter()
        .flat_map(|one| one.as_object().unwrap().keys().map(String::as_str))
        .collect();
    assert_eq!(used, types()["apiPredicate"].keys().copied().collect());
}
