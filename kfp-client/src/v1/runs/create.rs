//! Creating a run: by an id where the server takes it, by a name that no other run has where it does not.

use serde::Serialize;
use serde_json::Value;

use super::{
    Runs,
    model::{Run, RunDetail},
};
use crate::{
    endpoint::{Call, path_id},
    error::{Error, Result},
    http::{Reply, context, decode},
    ids::{ExperimentId, RunId},
    submit::{self, Claim, Outcome, Resource, Submission, Submitted},
    v1::{
        references::{ResourceKey, ResourceReference, ResourceType},
        source::{PipelineSpec, Plan, Source},
    },
    v2::{storable, stored_text},
    version::{Feature, ServerVersion},
};

/// A run to be made.
///
/// ```
/// use kfp_client::{PipelineId, v1::CreateRun};
///
/// let run = CreateRun::with_unique_name("train fraud model", PipelineId::new("4f2a"))
///     .experiment("9c1b")
///     .parameter("epochs", "10");
/// assert!(run.name.starts_with("train fraud model ") && run.name_is_unique);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CreateRun {
    /// Name: 1 to 255 characters.
    pub name: String,
    /// Whether no other run has the name, so that the run can be told by it.
    pub name_is_unique: bool,
    /// Id of the run; a new UUID if left out. Never use one twice. KFP 1.8 ignores it and makes its own.
    pub run_id: Option<RunId>,
    /// Experiment it belongs to; the default one if left out, which a multi-user server refuses.
    pub experiment_id: Option<ExperimentId>,
    /// Free text, at most 255 characters.
    pub description: String,
    /// Kubernetes service account of the pods; empty for the server's default.
    pub service_account: String,
    plan: Plan,
}

#[derive(Serialize)]
struct Body {
    id: RunId,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pipeline_spec: Option<PipelineSpec>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource_references: Vec<ResourceReference>,
    #[serde(skip_serializing_if = "String::is_empty")]
    service_account: String,
}

impl CreateRun {
    /// A run of `source` with this name: 1 to 255 characters.
    ///
    /// Such a run cannot be told from others of the name: if the answer to its creation is lost on KFP 1.8, nobody
    /// can say whether it was made. See [`with_unique_name`](Self::with_unique_name).
    pub fn new(name: impl Into<String>, source: impl Into<Source>) -> Self {
        Self {
            name: name.into(),
            name_is_unique: false,
            run_id: None,
            experiment_id: None,
            description: String::new(),
            service_account: String::new(),
            plan: Plan::new(source.into()),
        }
    }

    /// A run of `source` whose name is `title` (at most 218 characters) with a new UUID behind it.
    pub fn with_unique_name(title: &str, source: impl Into<Source>) -> Self {
        Self::new(format!("{title} {}", crate::random::uuid()), source).name_is_unique(true)
    }

    /// Says that no other run has the name, nor ever will. Record the name before the call, and a crash during the
    /// call loses nothing: [`Runs::find_by_name`] finds the run.
    #[must_use]
    pub fn name_is_unique(mut self, name_is_unique: bool) -> Self {
        self.name_is_unique = name_is_unique;
        self
    }

    /// Id of the run (from KFP 2.0 on; 1.8 ignores it).
    #[must_use]
    pub fn run_id(mut self, run_id: impl Into<RunId>) -> Self {
        self.run_id = Some(run_id.into());
        self
    }

    /// Experiment it belongs to; a multi-user server requires one.
    #[must_use]
    pub fn experiment(mut self, experiment_id: impl Into<ExperimentId>) -> Self {
        self.experiment_id = Some(experiment_id.into());
        self
    }

    /// Free text, at most 255 characters.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Kubernetes service account of the pods.
    #[must_use]
    pub fn service_account(mut self, service_account: impl Into<String>) -> Self {
        self.service_account = service_account.into();
        self
    }

    /// Value of a parameter of an Argo workflow, which is text whatever it stands for. One that the workflow does not
    /// have is refused.
    ///
    /// All of them together may have 10,000 bytes as JSON. More is refused, by the client as long as the server is not
    /// known to be 2.16 or newer, where administrators can set another limit (`MAX_PARAMETER_BYTES`).
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.plan.parameters.insert(name.into(), value.into());
        self
    }

    /// Value of a parameter of a pipeline in the newer format (from KFP 2.0 on).
    #[must_use]
    pub fn runtime_parameter(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.plan.runtime_config.parameters.insert(name.into(), value.into());
        self
    }

    /// Where the artifacts of a pipeline in the newer format are kept (from KFP 2.0 on).
    #[must_use]
    pub fn pipeline_root(mut self, pipeline_root: impl Into<String>) -> Self {
        self.plan.runtime_config.pipeline_root = pipeline_root.into();
        self
    }

    fn body(self, run_id: &RunId, server: Option<ServerVersion>) -> Result<Body> {
        stored_text("name", &self.name, 255, true)?;
        stored_text("description", &self.description, 255, false)?;
        self.plan.check_size(server)?;
        let (pipeline_spec, version) = self.plan.build()?;
        let experiment = self.experiment_id.map(ResourceReference::experiment);
        Ok(Body {
            id: run_id.clone(),
            name: self.name,
            description: self.description,
            pipeline_spec,
            resource_references: experiment.into_iter().chain(version).collect(),
            service_account: self.service_account,
        })
    }
}

impl Runs {
    /// Creates a run and starts it.
    ///
    /// The submission is made once and is never broken off: if this future is dropped or its time is up, the request
    /// goes on in the background (of the Tokio runtime it was started in).
    ///
    /// If the answer is lost, the run is looked for, for the client's
    /// [`settle_time`](crate::ClientBuilder::settle_time): by its id, and, if its name is
    /// [unique](CreateRun::name_is_unique), by its name, since servers of KFP 1.8 ignore the id.
    ///
    /// The run that is returned has the id by which it is known from now on, which on KFP 1.8 is not the one asked
    /// for.
    ///
    /// # Errors
    ///
    /// [`Error::NamedOutcomeUnknown`] if the answer was lost and the run cannot be found: it may still appear, and its
    /// steps may be running. [`Error::AlreadyExists`] if there is a run of the id that was asked for, or of the name
    /// that was said to be unique; nothing was submitted then. With every other error no run was made.
    pub async fn create(&self, request: CreateRun) -> Result<RunDetail> {
        let chosen = request.run_id.clone();
        let run_id = chosen.clone().unwrap_or_else(RunId::random);
        path_id("run_id", run_id.as_str())?;
        let submitted = Submitted {
            run_id: Some(run_id.clone()),
            name_is_unique: request.name_is_unique,
            ..Submitted::new(Resource::Run, &request.name)
        };
        let newer = request.plan.is_newer_format();
        let within = request.experiment_id.clone();
        let within = within.map(|id| ResourceKey::new(ResourceType::Experiment, id));
        let body = request.body(&run_id, self.client.server_version())?;
        let call = self.call("v1.runs.create", http::Method::POST, &[])?.json(&body)?;
        let call = call.needs(Feature::NEWER_FORMAT, newer);
        if let Some((_, bytes)) = &call.body {
            storable("pipeline or parameters", &String::from_utf8_lossy(bytes))?;
        }
        let inner = &self.client.inner;
        let claim = if submitted.name_is_unique {
            let place = within.as_ref().map_or("", |key| &*key.id);
            Claim::new(inner, &call, "name", format!("{place}/{}", submitted.name))?
        } else {
            Claim::new(inner, &call, "run_id", run_id.to_string())?
        };
        // The server would start a second workflow before it notices that an id is taken, and names may repeat.
        if submitted.name_is_unique && self.named(&submitted.name, within.as_ref()).await?.is_some() {
            return Err(submit::taken(&call, &submitted));
        }
        if chosen.is_some() && self.get_opt(&run_id).await?.is_some() {
            let message = format!("there is a run of id {run_id}");
            return Err(Error::AlreadyExists(context(&call, message)));
        }
        let look = || async {
            match self.get(&run_id).await {
                Err(Error::NotFound(absent)) if submitted.name_is_unique => {
                    match self.named(&submitted.name, within.as_ref()).await? {
                        Some(run) => self.get(&run.id).await,
                        None => Err(Error::NotFound(absent)),
                    }
                }
                other => other,
            }
        };
        match submit::once(inner, &call, Some(claim), made, Some(look)).await? {
            Outcome::Made(run) => Ok(run),
            Outcome::Unknown(context) => Err(Error::NamedOutcomeUnknown {
                submitted: Box::new(submitted),
                context,
            }),
        }
    }

    /// The one run of this name.
    async fn named(&self, name: &str, within: Option<&ResourceKey>) -> Result<Option<Run>> {
        Ok(self.find_by_name(name, within).await?.into_iter().next())
    }
}

/// Reads the answer to a creation. Its id need not be the one asked for.
fn made(call: &Call, reply: &Reply) -> Submission<RunDetail> {
    match decode::<RunDetail>(call, reply) {
        Ok(detail) if !detail.run.id.is_empty() => Submission::Made(Box::new(detail)),
        Ok(_) => Submission::Open(Error::UnexpectedResponse(context(call, "the answer names no run"))),
        Err(error) => Submission::Open(error),
    }
}
