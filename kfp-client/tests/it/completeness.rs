//! The client held against the description of the API: every operation, parameter, message, field and enum value.
//!
//! `tests/facts/v2beta1.json` was derived from the description of the API; it holds for each operation its name, verb,
//! path, query parameters, body and answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use kfp_client::{
    ArtifactList, ChildTask, Client, CreateExperiment, CreatePipeline, CreatePipelineVersion, CreateRecurringRun,
    CreateRun, CronSchedule, DeletePropagationPolicy, ExecutorDetail, Experiment, Filter, Health, ListExperiments,
    ListPipelineVersions, ListPipelines, ListRecurringRuns, ListRuns, PackageUrl, PeriodicSchedule, Pipeline,
    PipelineFile, PipelineSource, PipelineVersion, PipelineVersionReference, PluginEntry, PluginOutput, PluginState,
    RecurringRun, RecurringRunMode, RecurringRunStatus, RenderType, Run, RunDetails, RuntimeConfig, RuntimeState,
    RuntimeStatus, Status, StorageState, TaskDetail, Trigger, UpdatePipeline, UploadPipeline, UploadPipelineVersion,
    testing::{KfpServer, Recorded},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::scripted::{Act, Server};

const FACTS: &str = include_str!("../facts/v2beta1.json");

/// Described, and not registered on any server: a call of them is answered with 404.
const NOT_SERVED: [&str; 3] = [
    "/apis/v2beta1/auth",
    "/apis/v2beta1/filters",
    "/apis/v2beta1/visualizations/{namespace}",
];

fn facts() -> Value {
    serde_json::from_str(FACTS).unwrap()
}

// ---------------------------------------------------------------------------------------------- operations

/// Calls every operation with every parameter. What comes back does not matter here.
#[allow(clippy::too_many_lines, reason = "one row for each operation")]
async fn call_everything(client: &Client) {
    let filter = || Filter::new().equals("display_name", "x");
    let experiments = client.experiments();
    let new = CreateExperiment::new("x").description("d").namespace("team-a");
    drop(experiments.create(&new).await);
    let list = ListExperiments::new().namespace("team-a").filter(filter());
    drop(
        experiments
            .list(&list.page_size(1).page_token("t").sort_by("name"))
            .await,
    );
    let id = "x".into();
    drop(experiments.get(&id).await);
    drop(experiments.archive(&id).await);
    drop(experiments.unarchive(&id).await);
    drop(experiments.delete(&id).await);

    let pipelines = client.pipelines();
    let (id, version_id) = ("x".into(), "y".into());
    let new = CreatePipeline::new("x").display_name("X").description("d");
    let new = new.namespace("team-a").tag("k", "v");
    drop(pipelines.create(&new).await);
    let version = CreatePipelineVersion::new("v1", "https://example.com/p.yaml").display_name("V1");
    let version = version
        .description("d")
        .code_source_url("https://example.com")
        .tag("k", "v");
    drop(pipelines.create_with_version(&new, &version).await);
    drop(pipelines.create_version(&id, &version).await);
    let list = ListPipelines::new().namespace("team-a").filter(filter());
    drop(pipelines.list(&list.page_size(1).page_token("t").sort_by("name")).await);
    drop(pipelines.get(&id).await);
    drop(pipelines.get_by_name("x", Some("team-a")).await);
    let change = UpdatePipeline::new().display_name("X").tags(BTreeMap::new());
    drop(pipelines.update(&id, &change).await);
    drop(pipelines.update_version(&id, &version_id, &change).await);
    let list = ListPipelineVersions::new()
        .filter(filter())
        .page_size(1)
        .page_token("t");
    drop(pipelines.list_versions(&id, &list.sort_by("name")).await);
    drop(pipelines.get_version(&id, &version_id).await);
    drop(pipelines.delete_version(&id, &version_id).await);
    drop(pipelines.delete(&id, true).await);
    let file = PipelineFile::parse(r#"{"pipelineInfo":{"name":"x"},"schemaVersion":"2.1.0"}"#).unwrap();
    let upload = UploadPipeline::new("x", file.clone())
        .display_name("X")
        .description("d");
    let upload = upload
        .namespace("team-a")
        .tag("k", "v")
        .code_source_url("https://example.com");
    drop(pipelines.upload(&upload).await);
    let upload = UploadPipelineVersion::new("x", "v1", file)
        .display_name("V1")
        .description("d");
    drop(
        pipelines
            .upload_version(&upload.tag("k", "v").code_source_url("https://example.com"))
            .await,
    );

    let runs = client.runs();
    let by_version = || PipelineSource::Version {
        pipeline_id: Some("x".into()),
        pipeline_version_id: Some("y".into()),
    };
    for source in [by_version(), json!({"pipelineInfo": {}}).into()] {
        let new = CreateRun::new("x", "e", source)
            .run_id("r")
            .description("d")
            .parameter("p", 1);
        let new = new
            .pipeline_root("minio://b/k")
            .service_account("sa")
            .plugin("mlflow", json!({}));
        drop(runs.create(new).await);
    }
    let list = ListRuns::new().namespace("team-a").experiment_id("e").filter(filter());
    drop(runs.list(&list.page_size(1).page_token("t").sort_by("name")).await);
    let id = "x".into();
    drop(runs.get(&id).await);
    drop(runs.archive(&id).await);
    drop(runs.unarchive(&id).await);
    drop(runs.terminate(&id).await);
    drop(runs.retry(&id).await);
    drop(runs.delete(&id).await);

    let recurring = client.recurring_runs();
    let start = "2030-01-01T00:00:00Z".parse().unwrap();
    let triggers = [Trigger::cron("0 0 3 * * *"), Trigger::periodic(60)];
    for (trigger, source) in triggers
        .into_iter()
        .zip([by_version(), json!({"pipelineInfo": {}}).into()])
    {
        let new = CreateRecurringRun::new("x", "e", source, trigger.start_time(start)).description("d");
        let new = new
            .parameter("p", 1)
            .pipeline_root("minio://b/k")
            .service_account("sa")
            .no_catchup(true);
        drop(
            recurring
                .create(&new.plugin("mlflow", json!({})).max_concurrency(2))
                .await,
        );
    }
    let list = ListRecurringRuns::new()
        .namespace("team-a")
        .experiment_id("e")
        .filter(filter());
    drop(recurring.list(&list.page_size(1).page_token("t").sort_by("name")).await);
    let id = "x".into();
    drop(recurring.get(&id).await);
    drop(recurring.enable(&id).await);
    drop(recurring.disable(&id).await);
    drop(recurring.delete_with(&id, &DeletePropagationPolicy::Foreground).await);

    let object = json!({"metadata": {"name": "n", "namespace": "ns", "uid": "u"}});
    drop(client.reports().workflow(&object).await);
    drop(client.reports().scheduled_workflow(&object).await);
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template
            .iter()
            .zip(&path)
            .all(|(part, given)| match part.strip_prefix('{') {
                None => part == given,
                Some(parameter) => {
                    let verb = parameter.split_once('}').unwrap().1;
                    given
                        .strip_suffix(verb)
                        .is_some_and(|id| !id.is_empty() && !id.contains(':'))
                }
            })
}

/// Fields of the request that the client sends; everything else in the message is the server's.
fn sent(operation: &str) -> &'static [&'static str] {
    match operation {
        "ExperimentService_CreateExperiment" => &["display_name", "description", "namespace"],
        "PipelineService_CreatePipeline" => &["name", "display_name", "description", "namespace", "tags"],
        "PipelineService_CreatePipelineAndVersion" => &["pipeline", "pipeline_version"],
        "PipelineService_CreatePipelineVersion" => &[
            "pipeline_id",
            "name",
            "display_name",
            "description",
            "package_url",
            "code_source_url",
            "tags",
        ],
        "PipelineService_UpdatePipeline" | "PipelineService_UpdatePipelineVersion" => &["display_name", "tags"],
        "RunService_CreateRun" => &[
            "experiment_id",
            "run_id",
            "display_name",
            "description",
            "pipeline_spec",
            "pipeline_version_reference",
            "runtime_config",
            "service_account",
            "plugins_input",
        ],
        "RecurringRunService_CreateRecurringRun" => &[
            "display_name",
            "description",
            "pipeline_spec",
            "pipeline_version_reference",
            "runtime_config",
            "service_account",
            "max_concurrency",
            "trigger",
            "mode",
            "no_catchup",
            "experiment_id",
            "plugins_input",
        ],
        _ => &[],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_called_with_every_parameter() {
    let fake = KfpServer::builder().build();
    let server = fake.start().await;
    // A client that knows the release would refuse what only later ones take.
    let client = || Client::builder(&server.url()).unwrap().build().unwrap();
    drop(client().health().await);
    call_everything(&client()).await;
    let requests = fake.requests();
    let facts = facts();
    let mut missing = Vec::new();
    let mut known = vec![false; requests.len()];
    let mut live = 0;
    for operation in facts["operations"].as_array().unwrap() {
        let text = |index: usize| operation[index].as_str().unwrap();
        let (name, verb, path) = (text(0), text(1), text(2));
        if NOT_SERVED.contains(&path) {
            continue;
        }
        live += 1;
        let mut parameters: BTreeSet<&str> = operation[3]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        // Of single runs the experiment is not sent: it is deprecated, has no effect, and 2.0 does not know it.
        if path.starts_with("/apis/v2beta1/runs") && name != "RunService_ListRuns" {
            assert!(parameters.remove("experiment_id"), "{name}");
        }
        let (mut queries, mut fields, mut called) = (BTreeSet::new(), BTreeSet::new(), false);
        for (request, known) in requests.iter().zip(&mut known) {
            if request.method == verb && fits(path, &request.path) {
                (*known, called) = (true, true);
                queries.extend(request.query.iter().map(|(name, _)| name.as_str()));
                let body = request.body.as_ref().and_then(Value::as_object);
                fields.extend(body.into_iter().flat_map(Map::keys).map(String::as_str));
            }
        }
        if !called {
            missing.push(format!("{name}: not called"));
        }
        if queries != parameters {
            missing.push(format!("{name}: sends {queries:?}, the API has {parameters:?}"));
        }
        let expected: BTreeSet<&str> = sent(name).iter().copied().collect();
        if fields != expected {
            missing.push(format!("{name}: sends the fields {fields:?} and not {expected:?}"));
        }
        let message = &facts["messages"][text(4)];
        if let Some(stranger) = expected
            .iter()
            .find(|field| message.is_object() && message.get(**field).is_none())
        {
            missing.push(format!("{name}: the API has no field {stranger}"));
        }
    }
    assert_eq!(missing, Vec::<String>::new());
    assert_eq!(live, 37);
    let strangers: Vec<&Recorded> = requests
        .iter()
        .zip(known)
        .filter(|(_, known)| !known)
        .map(|pair| pair.0)
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}");
    let texts = requests.iter().filter(|request| request.path.ends_with("workflows"));
    assert!(
        texts.clone().count() == 2
            && texts
                .into_iter()
                .all(|request| request.body.as_ref().unwrap().is_string())
    );
}

#[test]
fn filters_hold_only_what_the_api_knows() {
    let time = "2026-11-23T21:02:24Z".parse().unwrap();
    let filter = Filter::new()
        .equals("a", "x")
        .not_equals("a", "x")
        .contains("a", "x")
        .one_of("a", ["x"])
        .since("a", time)
        .before("a", time);
    // Its shape on the wire is seen where it is sent; here its parts are enough.
    let shown = format!("{filter:?}");
    let facts = facts();
    for operation in [
        "EQUALS",
        "NOT_EQUALS",
        "IS_SUBSTRING",
        "IN",
        "GREATER_THAN_EQUALS",
        "LESS_THAN",
    ] {
        assert!(shown.contains(operation), "{operation}");
        let known = facts["enums"]["v2beta1PredicateOperation"].as_array().unwrap();
        assert!(known.contains(&json!(operation)), "{operation}");
    }
    for field in ["operation", "key", "string_value", "string_values", "timestamp_value"] {
        assert!(shown.contains(field), "{field}");
        assert!(facts["messages"]["v2beta1Predicate"][field].is_string(), "{field}");
    }
}

// ---------------------------------------------------------------------------------------------- messages

/// A value of this type in which nothing is left out. Rounds differ in the values of enums; the last has one that
/// nobody knows. With `future` every message in it also has a field that nobody knows.
fn fill(facts: &Value, kind: &str, name: &str, round: usize, future: bool) -> Value {
    let fill = |kind: &str, name: &str| fill(facts, kind, name, round, future);
    let inner = |from: char, to: char| kind.strip_prefix(from).and_then(|rest| rest.strip_suffix(to));
    if let Some(item) = inner('[', ']') {
        return json!([fill(item, name), fill(item, "second")]);
    }
    if let Some(item) = inner('{', '}') {
        return json!({"one": fill(item, name), "two.2": fill(item, "second")});
    }
    if let Some(values) = facts["enums"][kind].as_array() {
        return values
            .get(round % (values.len() + 1))
            .cloned()
            .unwrap_or_else(|| json!("FROM_THE_FUTURE"));
    }
    if let Some(fields) = facts["messages"][kind].as_object() {
        let fields = fields
            .iter()
            .map(|(name, kind)| (name.clone(), fill(kind.as_str().unwrap(), name)));
        let unknown = future.then(|| ("from_the_future".to_owned(), json!({"x": [1]})));
        return Value::Object(fields.chain(unknown).collect());
    }
    match kind {
        "string" => json!(format!("{name} ü {round}")),
        "time" => json!("2026-11-23T21:02:24.125Z"),
        "int32" => json!(7),
        "int64" => json!("9007199254740993"),
        "boolean" => json!(true),
        "any" => json!({"list": [1, null, "x", 0.5], "empty": ""}),
        "struct" => json!({"pipelineInfo": {"name": "x"}, "kept": [null, 0, "", {}]}),
        other => panic!("no value of {other}"),
    }
}

/// Reads the filled message, looks for fields that have no place of their own, and writes it back.
fn round_trip<T>(facts: &Value, name: &str, extra: impl Fn(&T) -> &Map<String, Value>)
where
    T: DeserializeOwned + Serialize + PartialEq + Debug,
{
    for round in 0..10 {
        let filled = fill(facts, name, name, round, false);
        let read: T = serde_json::from_value(filled.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(extra(&read).is_empty(), "{name} lacks {:?}", extra(&read));
        assert_eq!(serde_json::to_value(&read).unwrap(), filled, "{name}");
        // As a newer server may write it, at every depth.
        let filled = fill(facts, name, name, round, true);
        let read: T = serde_json::from_value(filled.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(serde_json::to_value(&read).unwrap(), filled, "{name}");
    }
    let fields: Vec<&String> = facts["messages"][name].as_object().unwrap().keys().collect();
    let empty: T = serde_json::from_str("{}").unwrap_or_else(|error| panic!("{name}: {error}"));
    for field in fields {
        // A field that is null is one that is not there.
        let read: T =
            serde_json::from_value(json!({field: null})).unwrap_or_else(|error| panic!("{name}.{field}: {error}"));
        assert_eq!(read, empty, "{name}.{field}");
    }
}

#[tokio::test]
#[allow(clippy::match_same_arms, reason = "one row for each message, with its reason")]
async fn every_field_of_every_message_is_read_and_written_back() {
    let facts = &facts();
    for name in facts["messages"].as_object().unwrap().keys() {
        match name.as_str() {
            "v2beta1Experiment" => round_trip::<Experiment>(facts, name, |it| &it.extra),
            "v2beta1Pipeline" => round_trip::<Pipeline>(facts, name, |it| &it.extra),
            "v2beta1PipelineVersion" => round_trip::<PipelineVersion>(facts, name, |it| &it.extra),
            "v2beta1Url" => round_trip::<PackageUrl>(facts, name, |it| &it.extra),
            "v2beta1Run" => round_trip::<Run>(facts, name, |it| &it.extra),
            "v2beta1RunDetails" => round_trip::<RunDetails>(facts, name, |it| &it.extra),
            "v2beta1PipelineTaskDetail" => round_trip::<TaskDetail>(facts, name, |it| &it.extra),
            "v2beta1PipelineTaskExecutorDetail" => round_trip::<ExecutorDetail>(facts, name, |it| &it.extra),
            "PipelineTaskDetailChildTask" => round_trip::<ChildTask>(facts, name, |it| &it.extra),
            "v2beta1ArtifactList" => round_trip::<ArtifactList>(facts, name, |it| &it.extra),
            "v2beta1RuntimeStatus" => round_trip::<RuntimeStatus>(facts, name, |it| &it.extra),
            "v2beta1RuntimeConfig" => round_trip::<RuntimeConfig>(facts, name, |it| &it.extra),
            "v2beta1PipelineVersionReference" => round_trip::<PipelineVersionReference>(facts, name, |it| &it.extra),
            "v2beta1PluginOutput" => round_trip::<PluginOutput>(facts, name, |it| &it.extra),
            "v2beta1MetadataValue" => round_trip::<PluginEntry>(facts, name, |it| &it.extra),
            "v2beta1RecurringRun" => round_trip::<RecurringRun>(facts, name, |it| &it.extra),
            "v2beta1Trigger" => round_trip::<Trigger>(facts, name, |it| &it.extra),
            "v2beta1CronSchedule" => round_trip::<CronSchedule>(facts, name, |it| &it.extra),
            "v2beta1PeriodicSchedule" => round_trip::<PeriodicSchedule>(facts, name, |it| &it.extra),
            // Its details are kept as they are, whatever they are.
            "googleRpcStatus" | "protobufAny" => round_trip::<Status>(facts, "googleRpcStatus", |it| &it.extra),
            "v2beta1GetHealthzResponse" => {
                let health: Health = serde_json::from_value(fill(facts, name, name, 0, false)).unwrap();
                assert!(health.multi_user && health.pipeline_store.is_some_and(|store| store == "pipeline_store ü 0"));
            }
            "v2beta1ListExperimentsResponse"
            | "v2beta1ListPipelinesResponse"
            | "v2beta1ListPipelineVersionsResponse"
            | "v2beta1ListRunsResponse"
            | "v2beta1ListRecurringRunsResponse" => list(facts, name).await,
            // Sent and never received: what is sent is looked at where operations are called.
            "v2beta1CreatePipelineAndVersionRequest" => {}
            // No list has a number as its key, so the numbers have no use.
            "v2beta1Filter"
            | "v2beta1Predicate"
            | "PredicateIntValues"
            | "PredicateLongValues"
            | "PredicateStringValues" => {}
            // Only of an operation that is not served.
            "v2beta1Visualization" => {}
            other => panic!("there is no type for {other}"),
        }
    }
}

/// Reads a page of which every field is filled.
async fn list(facts: &Value, name: &str) {
    let body = fill(facts, name, name, 1, false);
    let answer = body.clone();
    let server = Server::start(move |_, _| Act::json(200, answer.clone())).await;
    let client = server.client().build().unwrap();
    let mut fields = body.as_object().unwrap().clone();
    let (token, total) = (
        fields.remove("next_page_token").unwrap(),
        fields.remove("total_size").unwrap(),
    );
    assert_eq!(fields.len(), 1, "{name}");
    let expected = fields.into_iter().next().unwrap().1;
    macro_rules! page {
        ($page:expr) => {{
            let page = $page.await.unwrap();
            assert_eq!(
                (page.next_page_token.as_deref(), page.total_size),
                (token.as_str(), total.as_u64().unwrap())
            );
            assert!(page.broken.is_empty(), "{name}");
            serde_json::to_value(page.items).unwrap()
        }};
    }
    let id = "x".into();
    let items = match name {
        "v2beta1ListExperimentsResponse" => page!(client.experiments().list(&ListExperiments::new())),
        "v2beta1ListPipelinesResponse" => page!(client.pipelines().list(&ListPipelines::new())),
        "v2beta1ListRunsResponse" => page!(client.runs().list(&ListRuns::new())),
        "v2beta1ListRecurringRunsResponse" => page!(client.recurring_runs().list(&ListRecurringRuns::new())),
        _ => page!(client.pipelines().list_versions(&id, &ListPipelineVersions::new())),
    };
    assert_eq!(items, expected, "{name}");
}

#[test]
fn every_value_of_every_enum_is_known() {
    let facts = facts();
    macro_rules! values {
        ($kind:ty) => {
            <$kind>::KNOWN
                .iter()
                .map(|value| value.as_str().to_owned())
                .collect::<Vec<String>>()
        };
    }
    for (name, expected) in facts["enums"].as_object().unwrap() {
        let known = match name.as_str() {
            "v2beta1RuntimeState" => values!(RuntimeState),
            "v2beta1RunStorageState" | "v2beta1ExperimentStorageState" => values!(StorageState),
            "v2beta1PluginState" => values!(PluginState),
            "MetadataValueRenderType" => values!(RenderType),
            "RecurringRunMode" => values!(RecurringRunMode),
            "v2beta1RecurringRunStatus" => values!(RecurringRunStatus),
            "v2beta1DeletePropagationPolicy" => values!(DeletePropagationPolicy),
            // Built by methods of the filter; of operations that are not served; and JSON's own null.
            "v2beta1PredicateOperation"
            | "AuthorizeRequestResources"
            | "AuthorizeRequestVerb"
            | "v2beta1VisualizationType"
            | "protobufNullValue" => continue,
            other => panic!("there is no type for {other}"),
        };
        assert_eq!(json!(known), *expected, "{name}");
    }
}
