//! Every operation of `v1beta1`, called by its method and path with all parameters it takes.

use base64::Engine;
use kfp_client::{
    Client, Error, Filter, Page, PipelineFile, PipelineId,
    argo::Workflow,
    v1::{
        AuthResource, AuthVerb, CreateExperiment, CreateJob, CreatePipeline, CreatePipelineVersion, CreateRun,
        CreateTask, ListExperiments, ListJobs, ListPipelineVersions, ListPipelines, ListRuns, ListTasks, MetricFormat,
        ReportMetrics, RunMetric, Trigger, UploadPipeline, UploadPipelineVersion, Visualization, VisualizationType,
    },
};
use serde::Serialize;
use serde_json::{Value, json};

/// A list request with every parameter set.
macro_rules! full {
    ($request:expr) => {
        $request
            .page_size(7)
            .page_token("t")
            .sort_by("name desc")
            .filter(Filter::new().equals("name", "x"))
    };
}

fn written<T: Serialize>(result: Result<T, Error>) -> Result<Value, Error> {
    result.map(|value| serde_json::to_value(value).unwrap())
}

fn nothing(result: Result<(), Error>) -> Result<Value, Error> {
    result.map(|()| json!({}))
}

fn listed<T: Serialize>(name: &str, result: Result<Page<T>, Error>) -> Result<Value, Error> {
    let page = result?;
    if let Some(error) = page.broken.into_iter().next() {
        return Err(error);
    }
    let token = page.next_page_token.unwrap_or_default();
    let mut value = json!({name: page.items, "next_page_token": token});
    if page.total_size > 0 {
        value["total_size"] = page.total_size.into();
    }
    Ok(value)
}

fn file() -> PipelineFile {
    PipelineFile::parse(r#"{"pipelineInfo":{"name":"x"},"schemaVersion":"2.1.0"}"#).unwrap()
}

/// What the operation makes of the answer, written back; `None` if there is no such operation.
#[allow(clippy::too_many_lines, reason = "one row for each operation")]
pub(crate) async fn call(client: &Client, method: &str, path: &str) -> Option<Result<Value, Error>> {
    let (path, verb) = path.rsplit_once(':').map_or((path, ""), |(path, verb)| (path, verb));
    let parts: Vec<&str> = path.trim_start_matches("/apis/").split('/').collect();
    let (api, stored) = (client.v1(), PipelineId::new("p"));
    let time = "2026-11-23T21:02:24Z".parse().unwrap();
    Some(match (method, parts.as_slice(), verb) {
        ("GET", ["v1beta1", "healthz"], "") => written(api.health().await).map(|mut health| {
            // The crate writes its own shape, which is that of both servers that answer.
            health["tag_name"] = health["version"].take();
            health["commit_sha"] = health["commit"].take();
            health
        }),
        ("GET", ["v1beta1", "experiments"], "") => {
            let request = full!(ListExperiments::new().namespace("n"));
            listed("experiments", api.experiments().list(&request).await)
        }
        ("POST", ["v1beta1", "experiments"], "") => {
            let request = CreateExperiment::new("x").description("d").namespace("n");
            written(api.experiments().create(&request).await)
        }
        ("GET", ["v1beta1", "experiments", _], "") => written(api.experiments().get(&"x".into()).await),
        ("DELETE", ["v1beta1", "experiments", _], "") => nothing(api.experiments().delete(&"x".into()).await),
        ("POST", ["v1beta1", "experiments", _], "archive") => nothing(api.experiments().archive(&"x".into()).await),
        ("POST", ["v1beta1", "experiments", _], "unarchive") => nothing(api.experiments().unarchive(&"x".into()).await),

        ("GET", ["v1beta1", "runs"], "") => {
            listed("runs", api.runs().list(&full!(ListRuns::new().experiment("e"))).await)
        }
        ("POST", ["v1beta1", "runs"], "") => {
            let request = CreateRun::new("x", stored)
                .experiment("e")
                .description("d")
                .service_account("s");
            let request = request.parameter("a", "1").runtime_parameter("b", 2).pipeline_root("r");
            written(api.runs().create(request).await)
        }
        ("GET", ["v1beta1", "runs", _], "") => written(api.runs().get(&"x".into()).await),
        ("DELETE", ["v1beta1", "runs", _], "") => nothing(api.runs().delete(&"x".into()).await),
        ("POST", ["v1beta1", "runs", _], "archive") => nothing(api.runs().archive(&"x".into()).await),
        ("POST", ["v1beta1", "runs", _], "unarchive") => nothing(api.runs().unarchive(&"x".into()).await),
        ("POST", ["v1beta1", "runs", _, "terminate"], "") => nothing(api.runs().terminate(&"x".into()).await),
        ("POST", ["v1beta1", "runs", _, "retry"], "") => nothing(api.runs().retry(&"x".into()).await),
        ("POST", ["v1beta1", "runs", _], "reportMetrics") => {
            let request = ReportMetrics::new([RunMetric::new("m", "n", 0.0).format(MetricFormat::Raw)]);
            let results = api.runs().report_metrics(&"x".into(), &request).await;
            results.map(|results| json!({ "results": results }))
        }
        ("GET", ["v1beta1", "runs", _, "nodes", _, "artifacts", _], "read") => {
            let artifact = api.runs().read_artifact(&"x".into(), "n", "a").await;
            artifact.map(|bytes| json!({"data": base64::engine::general_purpose::STANDARD.encode(bytes)}))
        }

        ("GET", ["v1beta1", "jobs"], "") => {
            listed("jobs", api.jobs().list(&full!(ListJobs::new().namespace("n"))).await)
        }
        ("POST", ["v1beta1", "jobs"], "") => {
            let trigger = Trigger::cron("0 0 * * * *").from(time);
            let request = CreateJob::new("x", stored, trigger)
                .experiment("e")
                .description("d")
                .no_catchup(true);
            let request = request.service_account("s").parameter("a", "1");
            written(api.jobs().create(request).await)
        }
        ("GET", ["v1beta1", "jobs", _], "") => written(api.jobs().get(&"x".into()).await),
        ("DELETE", ["v1beta1", "jobs", _], "") => nothing(api.jobs().delete(&"x".into()).await),
        ("POST", ["v1beta1", "jobs", _, "enable"], "") => nothing(api.jobs().enable(&"x".into()).await),
        ("POST", ["v1beta1", "jobs", _, "disable"], "") => nothing(api.jobs().disable(&"x".into()).await),

        ("POST", ["v1beta1", "pipelines", "upload"], "") => {
            let request = UploadPipeline::new("x", file()).description("d").namespace("n");
            written(api.pipelines().upload(&request).await)
        }
        ("POST", ["v1beta1", "pipelines", "upload_version"], "") => {
            let request = UploadPipelineVersion::new("p", "x", file())
                .description("d")
                .namespace("n");
            written(api.pipeline_versions().upload(&request).await)
        }
        ("GET", ["v1beta1", "pipelines"], "") => {
            let request = full!(ListPipelines::new().namespace("n"));
            listed("pipelines", api.pipelines().list(&request).await)
        }
        ("POST", ["v1beta1", "pipelines"], "") => {
            let request = CreatePipeline::new("x", "https://example.com/p.yaml")
                .description("d")
                .namespace("n");
            written(api.pipelines().create(&request).await)
        }
        ("GET", ["v1beta1", "pipelines", _], "") => written(api.pipelines().get(&"x".into()).await),
        ("DELETE", ["v1beta1", "pipelines", _], "") => nothing(api.pipelines().delete(&"x".into()).await),
        ("GET", ["v1beta1", "pipelines", _, "templates"], "") => {
            let template = api.pipelines().template(&"x".into()).await;
            template.map(|template| json!({ "template": template }))
        }
        ("POST", ["v1beta1", "pipelines", _, "default_version", _], "") => {
            nothing(api.pipelines().set_default_version(&"x".into(), &"v".into()).await)
        }
        ("GET", ["v1beta1", "namespaces", _, "pipelines", _], "") => {
            written(api.pipelines().get_by_name("x", Some("n")).await)
        }
        ("GET", ["v1beta1", "pipeline_versions"], "") => {
            let request = full!(ListPipelineVersions::new());
            listed("versions", api.pipeline_versions().list(&stored, &request).await)
        }
        ("POST", ["v1beta1", "pipeline_versions"], "") => {
            let request = CreatePipelineVersion::new("p", "x", "https://example.com/p.yaml");
            let request = request.description("d").code_source_url("https://example.com");
            written(api.pipeline_versions().create(&request).await)
        }
        ("GET", ["v1beta1", "pipeline_versions", _], "") => written(api.pipeline_versions().get(&"x".into()).await),
        ("DELETE", ["v1beta1", "pipeline_versions", _], "") => {
            nothing(api.pipeline_versions().delete(&"x".into()).await)
        }
        ("GET", ["v1beta1", "pipeline_versions", _, "templates"], "") => {
            let template = api.pipeline_versions().template(&"x".into()).await;
            template.map(|template| json!({ "template": template }))
        }

        ("GET", ["v1beta1", "auth"], "") => {
            nothing(api.auth().authorize("n", &AuthResource::Viewers, &AuthVerb::Get).await)
        }
        ("GET", ["v1alpha1", "tasks"], "") => {
            listed("tasks", api.tasks().list(&full!(ListTasks::new().pipeline("p"))).await)
        }
        ("POST", ["v1alpha1", "tasks"], "") => {
            let request = CreateTask::new("pipeline/p", "r", "1", "f")
                .namespace("n")
                .created_at(time);
            written(api.tasks().create(&request.finished_at(time)).await)
        }
        ("POST", ["v1beta1", "workflows"], "") => {
            let workflow = json!({"kind": "Workflow", "metadata": {"name": "w", "namespace": "n", "uid": "u"}});
            nothing(api.reports().workflow(&Workflow::from_value(&workflow).unwrap()).await)
        }
        ("POST", ["v1beta1", "scheduledworkflows"], "") => nothing(
            api.reports()
                .scheduled_workflow(&json!({"kind": "ScheduledWorkflow"}))
                .await,
        ),
        ("POST", ["v1beta1", "visualizations", _], "") => {
            let request = Visualization::new(VisualizationType::Table, "gs://x").arguments("{\"a\": 1}");
            written(api.visualizations().create("n", &request).await)
        }
        ("GET", ["v1alpha1", "runs", _, "nodes", _, "log"], "") => {
            client.logs().node_log(&"x".into(), "n").await.map(|_| Value::Null)
        }
        _ => return None,
    })
}
