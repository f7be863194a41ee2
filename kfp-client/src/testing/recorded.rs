//! What the server was asked, in typed form.

use std::fmt;

use serde_json::Value;

use super::call::{Call, Json};
use super::references::{namespace_of, referred};

/// A version of the API, as the path names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ApiVersion {
    /// `v1alpha1`: logs of nodes, and tasks.
    V1alpha1,
    /// `v1beta1`.
    V1beta1,
    /// `v2beta1`.
    V2beta1,
}

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a request asks for. The names are those of the API's own description; for v1beta1, which calls some of
        /// them otherwise, those of v2beta1 stand.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Operation { $($(#[$doc])* $name,)* }

        impl Operation {
            /// All operations.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name, such as `CreateRun`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

operations! {
    /// The server's health.
    GetHealthz,
    /// Experiments of a namespace.
    ListExperiments,
    /// A new experiment.
    CreateExperiment,
    /// An experiment.
    GetExperiment,
    /// Deletes an experiment.
    DeleteExperiment,
    /// Archives an experiment.
    ArchiveExperiment,
    /// Takes an experiment out of the archive.
    UnarchiveExperiment,
    /// A new pipeline with its first version, as a file.
    UploadPipeline,
    /// A new version, as a file.
    UploadPipelineVersion,
    /// A new pipeline; in v1beta1 with a version that the server downloads.
    CreatePipeline,
    /// A new pipeline with a version that the server downloads.
    CreatePipelineAndVersion,
    /// Pipelines of a namespace.
    ListPipelines,
    /// A pipeline.
    GetPipeline,
    /// A pipeline by its name.
    GetPipelineByName,
    /// Changes a pipeline's display name or tags.
    UpdatePipeline,
    /// Deletes a pipeline.
    DeletePipeline,
    /// v1beta1: the document of a pipeline's default version.
    GetTemplate,
    /// v1beta1: chooses the default version.
    UpdatePipelineDefaultVersion,
    /// A new version that the server downloads.
    CreatePipelineVersion,
    /// Versions of a pipeline.
    ListPipelineVersions,
    /// A version.
    GetPipelineVersion,
    /// Changes a version's display name or tags.
    UpdatePipelineVersion,
    /// Deletes a version.
    DeletePipelineVersion,
    /// v1beta1: the document of a version.
    GetPipelineVersionTemplate,
    /// A new run.
    CreateRun,
    /// Runs of an experiment or a namespace.
    ListRuns,
    /// A run.
    GetRun,
    /// Deletes a run.
    DeleteRun,
    /// Archives a run.
    ArchiveRun,
    /// Takes a run out of the archive.
    UnarchiveRun,
    /// Terminates a run.
    TerminateRun,
    /// Runs the failed part of a run again.
    RetryRun,
    /// v1beta1: metrics of a run's steps.
    ReportRunMetrics,
    /// The content of an artifact.
    ReadArtifact,
    /// The log of a node.
    ReadRunLog,
    /// A new recurring run; v1beta1 calls it a job.
    CreateRecurringRun,
    /// Recurring runs of an experiment or a namespace.
    ListRecurringRuns,
    /// A recurring run.
    GetRecurringRun,
    /// Deletes a recurring run.
    DeleteRecurringRun,
    /// Enables a recurring run.
    EnableRecurringRun,
    /// Disables a recurring run.
    DisableRecurringRun,
    /// The persistence agent's report of a workflow.
    ReportWorkflow,
    /// The persistence agent's report of a scheduled workflow.
    ReportScheduledWorkflow,
    /// A cached execution is recorded.
    CreateTask,
    /// Cached executions.
    ListTasks,
    /// A visualization.
    CreateVisualization,
    /// Whether the user has a right.
    Authorize,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Method, path below the version with its parameters in braces, and operation.
const ALPHA: &[(&str, &str, Operation)] = &[
    ("GET", "runs/{run}/nodes/{node}/log", Operation::ReadRunLog),
    ("GET", "tasks", Operation::ListTasks),
    ("POST", "tasks", Operation::CreateTask),
];

/// What both versions share.
const BOTH: &[(&str, &str, Operation)] = &[
    ("GET", "healthz", Operation::GetHealthz),
    ("GET", "experiments", Operation::ListExperiments),
    ("POST", "experiments", Operation::CreateExperiment),
    ("GET", "experiments/{experiment}", Operation::GetExperiment),
    ("DELETE", "experiments/{experiment}", Operation::DeleteExperiment),
    ("POST", "experiments/{experiment}:archive", Operation::ArchiveExperiment),
    (
        "POST",
        "experiments/{experiment}:unarchive",
        Operation::UnarchiveExperiment,
    ),
    ("POST", "pipelines/upload", Operation::UploadPipeline),
    ("POST", "pipelines/upload_version", Operation::UploadPipelineVersion),
    ("POST", "pipelines", Operation::CreatePipeline),
    ("GET", "pipelines", Operation::ListPipelines),
    ("GET", "pipelines/{pipeline}", Operation::GetPipeline),
    ("DELETE", "pipelines/{pipeline}", Operation::DeletePipeline),
    ("POST", "runs", Operation::CreateRun),
    ("GET", "runs", Operation::ListRuns),
    ("GET", "runs/{run}", Operation::GetRun),
    ("DELETE", "runs/{run}", Operation::DeleteRun),
    ("POST", "runs/{run}:archive", Operation::ArchiveRun),
    ("POST", "runs/{run}:unarchive", Operation::UnarchiveRun),
    (
        "GET",
        "runs/{run}/nodes/{node}/artifacts/{artifact}:read",
        Operation::ReadArtifact,
    ),
    ("POST", "workflows", Operation::ReportWorkflow),
    ("POST", "scheduledworkflows", Operation::ReportScheduledWorkflow),
];

const V1: &[(&str, &str, Operation)] = &[
    (
        "GET",
        "namespaces/{namespace}/pipelines/{name}",
        Operation::GetPipelineByName,
    ),
    ("GET", "pipelines/{pipeline}/templates", Operation::GetTemplate),
    (
        "POST",
        "pipelines/{pipeline}/default_version/{version}",
        Operation::UpdatePipelineDefaultVersion,
    ),
    ("POST", "pipeline_versions", Operation::CreatePipelineVersion),
    ("GET", "pipeline_versions", Operation::ListPipelineVersions),
    ("GET", "pipeline_versions/{version}", Operation::GetPipelineVersion),
    (
        "DELETE",
        "pipeline_versions/{version}",
        Operation::DeletePipelineVersion,
    ),
    (
        "GET",
        "pipeline_versions/{version}/templates",
        Operation::GetPipelineVersionTemplate,
    ),
    ("POST", "runs/{run}/terminate", Operation::TerminateRun),
    ("POST", "runs/{run}/retry", Operation::RetryRun),
    ("POST", "runs/{run}:reportMetrics", Operation::ReportRunMetrics),
    ("POST", "jobs", Operation::CreateRecurringRun),
    ("GET", "jobs", Operation::ListRecurringRuns),
    ("GET", "jobs/{recurring_run}", Operation::GetRecurringRun),
    ("DELETE", "jobs/{recurring_run}", Operation::DeleteRecurringRun),
    ("POST", "jobs/{recurring_run}/enable", Operation::EnableRecurringRun),
    ("POST", "jobs/{recurring_run}/disable", Operation::DisableRecurringRun),
    ("POST", "visualizations/{namespace}", Operation::CreateVisualization),
    ("GET", "auth", Operation::Authorize),
];

const V2: &[(&str, &str, Operation)] = &[
    ("POST", "pipelines/create", Operation::CreatePipelineAndVersion),
    ("GET", "pipelines/names/{name}", Operation::GetPipelineByName),
    ("PATCH", "pipelines/{pipeline}", Operation::UpdatePipeline),
    (
        "POST",
        "pipelines/{pipeline}/versions",
        Operation::CreatePipelineVersion,
    ),
    ("GET", "pipelines/{pipeline}/versions", Operation::ListPipelineVersions),
    (
        "GET",
        "pipelines/{pipeline}/versions/{version}",
        Operation::GetPipelineVersion,
    ),
    (
        "PATCH",
        "pipelines/{pipeline}/versions/{version}",
        Operation::UpdatePipelineVersion,
    ),
    (
        "DELETE",
        "pipelines/{pipeline}/versions/{version}",
        Operation::DeletePipelineVersion,
    ),
    ("POST", "runs/{run}:terminate", Operation::TerminateRun),
    ("POST", "runs/{run}:retry", Operation::RetryRun),
    ("POST", "recurringruns", Operation::CreateRecurringRun),
    ("GET", "recurringruns", Operation::ListRecurringRuns),
    ("GET", "recurringruns/{recurring_run}", Operation::GetRecurringRun),
    ("DELETE", "recurringruns/{recurring_run}", Operation::DeleteRecurringRun),
    (
        "POST",
        "recurringruns/{recurring_run}:enable",
        Operation::EnableRecurringRun,
    ),
    (
        "POST",
        "recurringruns/{recurring_run}:disable",
        Operation::DisableRecurringRun,
    ),
];

/// The objects that a request is about: those that its path names, else its query or body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ids {
    /// The experiment, also the one that a new run or a list is for.
    pub experiment: Option<String>,
    /// The run, also the id that a client chose for a new one.
    pub run: Option<String>,
    /// The recurring run, also the one that a new run is said to be of.
    pub recurring_run: Option<String>,
    /// The pipeline, also the source of a new run.
    pub pipeline: Option<String>,
    /// The pipeline version, also the source of a new run.
    pub version: Option<String>,
    /// The node of a log or an artifact.
    pub node: Option<String>,
    /// The name of an artifact.
    pub artifact: Option<String>,
}

/// A request that the server got.
///
/// ```
/// use kfp_client::testing::{ApiVersion, KfpServer, Operation};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = KfpServer::builder().build().start().await;
/// let client = kfp_client::Client::builder(&server.url())?.build()?;
/// let _missing = client.runs().get(&"some-run".into()).await;
///
/// let calls = server.kfp().calls(Operation::GetRun);
/// assert_eq!(calls.len(), 1);
/// assert_eq!(calls[0].version, Some(ApiVersion::V2beta1));
/// assert_eq!(calls[0].ids.run.as_deref(), Some("some-run"));
/// assert_eq!(calls[0].status, Some(404));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Recorded {
    /// What was asked for; none if the path names no operation of the API.
    pub operation: Option<Operation>,
    /// The version of the API.
    pub version: Option<ApiVersion>,
    /// The objects that the request names.
    pub ids: Ids,
    /// The namespace that the request names, in its path, query or body.
    pub namespace: Option<String>,
    /// `GET`, `POST` and so on.
    pub method: String,
    /// Path, decoded.
    pub path: String,
    /// Query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// The user that the identity header named.
    pub user: Option<String>,
    /// The body, if it was JSON.
    pub body: Option<Value>,
    /// The status of the answer; none if the connection was ended.
    pub status: Option<u16>,
}

impl Recorded {
    /// Understands a request, whatever was answered.
    pub(super) fn new(call: Call, identity_header: &str, status: Option<u16>) -> Self {
        let identity = identify(&call);
        let version = identity.as_ref().map(|identity| identity.version);
        let operation = identity.as_ref().map(|identity| identity.operation);
        let body: Option<Value> = serde_json::from_slice(&call.body).ok();
        let empty = Value::Null;
        let content = body.as_ref().unwrap_or(&empty);
        let named = |name: &str| {
            let mut pairs = identity.iter().flat_map(|identity| &identity.named);
            let pair = pairs.find(|(key, _)| key == name);
            pair.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        let first = |candidates: &[&str]| {
            let found = candidates.iter().find(|text| !text.is_empty());
            found.map(|text| (*text).to_owned())
        };
        let listed = |kind: &str, prefix: &str| {
            if call.query(&format!("{prefix}.type")) == kind {
                call.query(&format!("{prefix}.id"))
            } else {
                ""
            }
        };
        let reference = content.get("pipeline_version_reference").unwrap_or(&empty);
        let v1_spec = content.get("pipeline_spec").unwrap_or(&empty);
        let creates_run = operation == Some(Operation::CreateRun);
        let v1 = version == Some(ApiVersion::V1beta1);
        let ids = Ids {
            experiment: first(&[
                named("experiment"),
                call.query("experiment_id"),
                listed("EXPERIMENT", "resource_reference_key"),
                content.text("experiment_id"),
                referred(content, "EXPERIMENT"),
            ]),
            run: first(&[
                named("run"),
                match (creates_run, v1) {
                    (true, true) => content.text("id"),
                    (true, false) => content.text("run_id"),
                    _ => content.text("runId"),
                },
            ]),
            recurring_run: first(&[
                named("recurring_run"),
                content.text("recurring_run_id"),
                referred(content, "JOB"),
            ]),
            pipeline: first(&[
                named("pipeline"),
                call.query("pipelineid"),
                listed("PIPELINE", "resource_key"),
                reference.text("pipeline_id"),
                content.text("pipeline_id"),
                v1_spec.text("pipeline_id"),
                referred(content, "PIPELINE"),
            ]),
            version: first(&[
                named("version"),
                reference.text("pipeline_version_id"),
                content.text("pipeline_version_id"),
                referred(content, "PIPELINE_VERSION"),
            ]),
            node: first(&[named("node")]),
            artifact: first(&[named("artifact")]),
        };
        let namespace = first(&[
            named("namespace"),
            call.query("namespace"),
            listed("NAMESPACE", "resource_reference_key"),
            content.text("namespace"),
            namespace_of(content),
        ]);
        Self {
            operation,
            version,
            ids,
            namespace,
            user: call.header(identity_header).map(str::to_owned),
            method: call.method,
            path: call.path,
            query: call.query,
            body,
            status,
        }
    }
}

/// Parameters of a path.
type Named = Vec<(String, String)>;

/// What a request asks for.
struct Identity {
    version: ApiVersion,
    operation: Operation,
    named: Named,
}

fn identify(call: &Call) -> Option<Identity> {
    let rest = call.path.strip_prefix("/apis/")?;
    let (version, rest) = rest.split_once('/')?;
    let (version, tables) = match version {
        "v1alpha1" => (ApiVersion::V1alpha1, [ALPHA, &[]]),
        "v1beta1" => (ApiVersion::V1beta1, [BOTH, V1]),
        "v2beta1" => (ApiVersion::V2beta1, [V2, BOTH]),
        _ => return None,
    };
    let mut rows = tables
        .into_iter()
        .flatten()
        .filter(|(method, ..)| *method == call.method);
    rows.find_map(|(_, pattern, operation)| {
        let named = fit(pattern, rest)?;
        Some(Identity {
            version,
            operation: *operation,
            named,
        })
    })
}

/// The parameters of a path that has the form of a pattern.
fn fit(pattern: &str, path: &str) -> Option<Named> {
    let (wanted, given): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    if wanted.len() != given.len() {
        return None;
    }
    let mut named = Named::new();
    for (wanted, given) in wanted.into_iter().zip(given) {
        let Some(inner) = wanted.strip_prefix('{') else {
            if wanted != given {
                return None;
            }
            continue;
        };
        let (name, verb) = inner.split_once('}')?;
        let value = match verb {
            "" if matches!(given.rsplit_once(':'), Some((_, verb)) if VERBS.contains(&verb)) => return None,
            verb => given.strip_suffix(verb)?,
        };
        named.push((name.to_owned(), value.to_owned()));
    }
    Some(named)
}

/// What may follow an id after a colon.
const VERBS: &[&str] = &[
    "archive",
    "unarchive",
    "terminate",
    "retry",
    "enable",
    "disable",
    "read",
    "reportMetrics",
];
