//! Creating a run under an id chosen here, by which a lost answer is looked up.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    Runs,
    model::{PipelineVersionReference, Run, RuntimeConfig},
};
use crate::{
    endpoint::{Call, path_id},
    error::{Error, Result},
    http::{Reply, context, decode},
    ids::{ExperimentId, PipelineId, PipelineVersionId, RunId},
    ir,
    submit::{self, Claim, Outcome, Submission},
    v2::{storable, stored_text},
    version::Feature,
};

/// What a run executes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PipelineSource {
    /// A pipeline as JSON: a specification, `{pipeline_spec, platform_spec}`, or an Argo workflow.
    Inline(Value),
    /// A typed pipeline; checked by the server's rules before it is sent.
    Document(Box<ir::PipelineDocument>),
    /// A pipeline stored on the server.
    Version {
        /// The pipeline; may be left out if a version is given.
        pipeline_id: Option<PipelineId>,
        /// The version; the latest if left out. Versions made within one second have no order, so name it.
        pipeline_version_id: Option<PipelineVersionId>,
    },
}

impl From<Value> for PipelineSource {
    fn from(pipeline: Value) -> Self {
        Self::Inline(pipeline)
    }
}

impl From<ir::PipelineDocument> for PipelineSource {
    fn from(document: ir::PipelineDocument) -> Self {
        Self::Document(Box::new(document))
    }
}

impl PipelineSource {
    /// The specification and the reference, of which the wire has exactly one.
    pub(crate) fn into_wire(self) -> Result<(Option<Value>, Option<PipelineVersionReference>)> {
        let spec = match self {
            Self::Inline(spec) => spec,
            Self::Document(document) => {
                document
                    .validate()
                    .map_err(|error| Error::invalid(error.path().to_owned(), error.rule().to_owned()))?;
                document.to_wire()
            }
            Self::Version {
                pipeline_id,
                pipeline_version_id,
            } => {
                let reference = PipelineVersionReference {
                    pipeline_id: pipeline_id.unwrap_or_default(),
                    pipeline_version_id: pipeline_version_id.unwrap_or_default(),
                    ..PipelineVersionReference::default()
                };
                if reference == PipelineVersionReference::default() {
                    return Err(Error::invalid("source", "a pipeline id, a version id, or both"));
                }
                return Ok((None, Some(reference)));
            }
        };
        if !spec.is_object() {
            return Err(Error::invalid("source", "a JSON object"));
        }
        Ok((Some(spec), None))
    }
}

/// A run to be made.
///
/// ```
/// use kfp_client::{CreateRun, ExperimentId, PipelineId, PipelineSource};
///
/// let source = PipelineSource::Version { pipeline_id: Some(PipelineId::new("4f2a")), pipeline_version_id: None };
/// let run = CreateRun::new("train fraud model", ExperimentId::new("9c1b"), source)
///     .parameter("epochs", 10)
///     .parameter("learning_rate", 0.1);
/// # let _ = run;
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CreateRun {
    /// Name: 1 to 255 characters, not unique.
    pub display_name: String,
    /// Experiment it belongs to.
    pub experiment_id: ExperimentId,
    /// What it executes.
    pub source: PipelineSource,
    /// Id of the run; a new UUID if left out. Never use one twice.
    pub run_id: Option<RunId>,
    /// Free text, at most 255 characters.
    pub description: String,
    /// Values of the pipeline's parameters. One the pipeline does not have is refused by the server.
    pub parameters: Map<String, Value>,
    /// Where artifacts are kept; empty for the server's default.
    pub pipeline_root: String,
    /// Kubernetes service account of the pods; empty for the server's default.
    pub service_account: String,
    /// Settings of server plugins, an object for each, e.g. of `mlflow` (from KFP 2.17 on).
    pub plugins_input: Map<String, Value>,
}

impl CreateRun {
    /// A run of `source` with this name (1 to 255 characters) in this experiment.
    pub fn new(
        display_name: impl Into<String>,
        experiment_id: impl Into<ExperimentId>,
        source: impl Into<PipelineSource>,
    ) -> Self {
        Self {
            display_name: display_name.into(),
            experiment_id: experiment_id.into(),
            source: source.into(),
            run_id: None,
            description: String::new(),
            parameters: Map::new(),
            pipeline_root: String::new(),
            service_account: String::new(),
            plugins_input: Map::new(),
        }
    }

    /// Id of the run. Record it before the call, and a crash during the call loses nothing.
    #[must_use]
    pub fn run_id(mut self, run_id: impl Into<RunId>) -> Self {
        self.run_id = Some(run_id.into());
        self
    }

    /// Free text, at most 255 characters.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Value of one of the pipeline's parameters.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.parameters.insert(name.into(), value.into());
        self
    }

    /// Values of the pipeline's parameters; replaces those set before.
    #[must_use]
    pub fn parameters(mut self, parameters: Map<String, Value>) -> Self {
        self.parameters = parameters;
        self
    }

    /// Where artifacts are kept, e.g. `minio://mlpipeline/v2/artifacts`.
    #[must_use]
    pub fn pipeline_root(mut self, pipeline_root: impl Into<String>) -> Self {
        self.pipeline_root = pipeline_root.into();
        self
    }

    /// Kubernetes service account of the pods.
    #[must_use]
    pub fn service_account(mut self, service_account: impl Into<String>) -> Self {
        self.service_account = service_account.into();
        self
    }

    /// Settings of one server plugin, an object (from KFP 2.17 on).
    #[must_use]
    pub fn plugin(mut self, name: impl Into<String>, settings: impl Into<Value>) -> Self {
        self.plugins_input.insert(name.into(), settings.into());
        self
    }

    fn body(self, run_id: &RunId) -> Result<Body> {
        // The server refuses these only after it has started the workflow, or with an error that names no field.
        stored_text("display_name", &self.display_name, 255, true)?;
        stored_text("description", &self.description, 255, false)?;
        check_parameters(&self.parameters)?;
        check_plugins(&self.plugins_input)?;
        let (pipeline_spec, pipeline_version_reference) = self.source.into_wire()?;
        let runtime_config = RuntimeConfig {
            parameters: self.parameters,
            pipeline_root: self.pipeline_root,
            ..RuntimeConfig::default()
        };
        Ok(Body {
            run_id: run_id.clone(),
            experiment_id: self.experiment_id,
            display_name: self.display_name,
            description: self.description,
            pipeline_spec,
            pipeline_version_reference,
            runtime_config: Some(runtime_config).filter(|config| *config != RuntimeConfig::default()),
            service_account: self.service_account,
            plugins_input: self.plugins_input,
        })
    }
}

/// A parameter that is null is refused by the server as one of the wrong type.
pub(crate) fn check_parameters(parameters: &Map<String, Value>) -> Result<()> {
    match parameters.iter().find(|(_, value)| value.is_null()) {
        Some((name, _)) => Err(Error::invalid(format!("parameters.{name}"), "not null")),
        None => Ok(()),
    }
}

/// The settings of each plugin are an object.
pub(crate) fn check_plugins(plugins: &Map<String, Value>) -> Result<()> {
    match plugins.iter().find(|(_, settings)| !settings.is_object()) {
        Some((name, _)) => Err(Error::invalid(format!("plugins_input.{name}"), "a JSON object")),
        None => Ok(()),
    }
}

#[derive(Serialize)]
struct Body {
    run_id: RunId,
    #[serde(skip_serializing_if = "ExperimentId::is_empty")]
    experiment_id: ExperimentId,
    display_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pipeline_spec: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pipeline_version_reference: Option<PipelineVersionReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime_config: Option<RuntimeConfig>,
    #[serde(skip_serializing_if = "String::is_empty")]
    service_account: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    plugins_input: Map<String, Value>,
}

impl Runs {
    /// Creates a run and starts it.
    ///
    /// The submission is made once, under an id chosen here, and is never broken off: if this future is dropped or its
    /// time is up, the request goes on in the background (of the Tokio runtime it was started in). A closed connection
    /// can make the server start a workflow and forget the run.
    ///
    /// If the answer is lost, the run is looked for by its id, for the client's
    /// [`settle_time`](crate::ClientBuilder::settle_time). If it is found it is returned as if nothing had happened.
    ///
    /// # Errors
    ///
    /// [`Error::OutcomeUnknown`] if the answer was lost and the run cannot be found: it may still appear, and its
    /// steps may be running. [`Error::AlreadyExists`] if there is a run of the id that was asked for; nothing was
    /// submitted then. With every other error no run was made, be it [`Error::NotFound`] of the pipeline or
    /// [`Error::InvalidArgument`]; a faulty request that cannot be told by the server's text is [`Error::Server`].
    pub async fn create(&self, request: CreateRun) -> Result<Run> {
        let chosen = request.run_id.clone();
        let run_id = chosen.clone().unwrap_or_else(RunId::random);
        path_id("run_id", run_id.as_str())?;
        let body = request.body(&run_id)?;
        let call = self.call("runs.create", http::Method::POST, None)?.json(&body)?;
        let call = call.needs(Feature::PLUGINS, !body.plugins_input.is_empty());
        if let Some((_, bytes)) = &call.body {
            storable("pipeline or parameters", &String::from_utf8_lossy(bytes))?;
        }
        let claim = Claim::new(&self.client.inner, &call, "run_id", run_id.to_string())?;
        // The server would start a second workflow before it notices that the id is taken.
        if chosen.is_some() && self.get_opt(&run_id).await?.is_some() {
            let message = format!("there is a run of id {run_id}");
            return Err(Error::AlreadyExists(context(&call, message)));
        }
        let asked_for = run_id.clone();
        let read = move |call: &Call, reply: &Reply| made(call, reply, &asked_for);
        let look = || self.get(&run_id);
        match submit::once(&self.client.inner, &call, Some(claim), read, Some(look)).await? {
            Outcome::Made(run) => Ok(run),
            Outcome::Unknown(context) => Err(Error::OutcomeUnknown {
                run_id: Box::new(run_id),
                context,
            }),
        }
    }
}

/// Reads the answer to the creation of the run of this id.
fn made(call: &Call, reply: &Reply, run_id: &RunId) -> Submission<Run> {
    match decode::<Run>(call, reply) {
        Ok(run) if run.run_id == *run_id => Submission::Made(Box::new(run)),
        Ok(run) if run.run_id.is_empty() => {
            Submission::Open(Error::UnexpectedResponse(context(call, "the answer names no run")))
        }
        Ok(run) => {
            let message = format!("asked for run {run_id}, the server made {}", run.run_id);
            Submission::Refused(Error::UnexpectedResponse(context(call, message)))
        }
        Err(error) => Submission::Open(error),
    }
}
