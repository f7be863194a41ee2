//! A recurring run to be made.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{model::RecurringRunMode, trigger::Trigger};
use crate::{
    error::{Error, Result},
    ids::ExperimentId,
    v2::{
        runs::{
            create::{PipelineSource, check_parameters, check_plugins},
            model::{PipelineVersionReference, RuntimeConfig},
        },
        stored_text,
    },
    wire,
};

/// A recurring run to be made.
///
/// ```
/// use kfp_client::{CreateRecurringRun, ExperimentId, PipelineId, PipelineSource, Trigger};
///
/// // Without a version it follows the latest one.
/// let source = PipelineSource::Version { pipeline_id: Some(PipelineId::new("4f2a")), pipeline_version_id: None };
/// let nightly = CreateRecurringRun::new("nightly", ExperimentId::new("9c1b"), source, Trigger::cron("0 0 3 * * *"))
///     .parameter("epochs", 10)
///     .no_catchup(true);
/// # let _ = nightly;
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CreateRecurringRun {
    /// Name: 1 to 255 characters, not unique for the server.
    pub display_name: String,
    /// Whether nothing else has the name, so that it can be told by it if the answer to its creation is lost.
    pub name_is_unique: bool,
    /// Experiment its runs belong to. Empty for the default one of a single-user server.
    pub experiment_id: ExperimentId,
    /// What its runs execute. A pipeline without a version follows the latest.
    pub source: PipelineSource,
    /// When it starts runs.
    pub trigger: Trigger,
    /// Free text.
    pub description: String,
    /// Whether it starts runs from the beginning. Default: [`RecurringRunMode::Enable`].
    pub mode: RecurringRunMode,
    /// Most runs of it at one time, 1 to 10. Default: 1.
    pub max_concurrency: u32,
    /// Of the starts that were missed, make up for the latest only.
    pub no_catchup: bool,
    /// Values of the pipeline's parameters. The texts `[[RunUUID]]`, `[[CurrentTime]]`, `[[ScheduledTime]]` and
    /// `[[Index]]` in them are replaced for each run.
    pub parameters: Map<String, Value>,
    /// Where artifacts are kept; empty for the server's default.
    pub pipeline_root: String,
    /// Kubernetes service account of the pods; empty for the server's default.
    pub service_account: String,
    /// Settings of server plugins, an object for each (from KFP 2.17 on).
    pub plugins_input: Map<String, Value>,
}

impl CreateRecurringRun {
    /// Runs of `source` in this experiment, started by `trigger`.
    pub fn new(
        display_name: impl Into<String>,
        experiment_id: impl Into<ExperimentId>,
        source: impl Into<PipelineSource>,
        trigger: Trigger,
    ) -> Self {
        Self {
            display_name: display_name.into(),
            name_is_unique: false,
            experiment_id: experiment_id.into(),
            source: source.into(),
            trigger,
            description: String::new(),
            mode: RecurringRunMode::Enable,
            max_concurrency: 1,
            no_catchup: false,
            parameters: Map::new(),
            pipeline_root: String::new(),
            service_account: String::new(),
            plugins_input: Map::new(),
        }
    }

    /// The same with a name that is `title` (at most 218 characters) with a new UUID behind it.
    pub fn with_unique_name(
        title: &str,
        experiment_id: impl Into<ExperimentId>,
        source: impl Into<PipelineSource>,
        trigger: Trigger,
    ) -> Self {
        let name = format!("{title} {}", crate::random::uuid());
        Self::new(name, experiment_id, source, trigger).name_is_unique(true)
    }

    /// Says that no other recurring run of the experiment has the name, nor ever will. Record the name before the
    /// call, and a crash during the call loses nothing: it is found by
    /// [`RecurringRuns::find_by_name`](super::RecurringRuns::find_by_name).
    #[must_use]
    pub fn name_is_unique(mut self, name_is_unique: bool) -> Self {
        self.name_is_unique = name_is_unique;
        self
    }

    /// Free text.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Whether it starts runs from the beginning.
    #[must_use]
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.mode = if enabled {
            RecurringRunMode::Enable
        } else {
            RecurringRunMode::Disable
        };
        self
    }

    /// Most runs of it at one time, 1 to 10.
    #[must_use]
    pub fn max_concurrency(mut self, max_concurrency: u32) -> Self {
        self.max_concurrency = max_concurrency;
        self
    }

    /// Of the starts that were missed, make up for the latest only.
    #[must_use]
    pub fn no_catchup(mut self, no_catchup: bool) -> Self {
        self.no_catchup = no_catchup;
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

    pub(super) fn body(&self) -> Result<Body> {
        stored_text("display_name", &self.display_name, 255, true)?;
        stored_text("description", &self.description, usize::MAX, false)?;
        if !(1..=10).contains(&self.max_concurrency) {
            return Err(Error::invalid("max_concurrency", "1 to 10"));
        }
        if matches!(self.mode, RecurringRunMode::Unspecified | RecurringRunMode::Unknown(_)) {
            return Err(Error::invalid("mode", "ENABLE or DISABLE"));
        }
        self.trigger.validate()?;
        check_parameters(&self.parameters)?;
        check_plugins(&self.plugins_input)?;
        let (pipeline_spec, pipeline_version_reference) = self.source.clone().into_wire()?;
        Ok(Body {
            display_name: self.display_name.clone(),
            description: self.description.clone(),
            pipeline_spec,
            pipeline_version_reference,
            runtime_config: RuntimeConfig {
                parameters: self.parameters.clone(),
                pipeline_root: self.pipeline_root.clone(),
                ..RuntimeConfig::default()
            },
            service_account: self.service_account.clone(),
            max_concurrency: self.max_concurrency.to_string(),
            trigger: self.trigger.clone(),
            mode: self.mode.clone(),
            no_catchup: self.no_catchup,
            experiment_id: self.experiment_id.clone(),
            plugins_input: self.plugins_input.clone(),
        })
    }
}

#[derive(Serialize)]
pub(super) struct Body {
    display_name: String,
    #[serde(skip_serializing_if = "wire::is_default")]
    description: String,
    #[serde(skip_serializing_if = "wire::is_default")]
    pipeline_spec: Option<Value>,
    #[serde(skip_serializing_if = "wire::is_default")]
    pipeline_version_reference: Option<PipelineVersionReference>,
    #[serde(skip_serializing_if = "wire::is_default")]
    runtime_config: RuntimeConfig,
    #[serde(skip_serializing_if = "wire::is_default")]
    service_account: String,
    max_concurrency: String,
    trigger: Trigger,
    mode: RecurringRunMode,
    #[serde(skip_serializing_if = "wire::is_default")]
    no_catchup: bool,
    #[serde(skip_serializing_if = "wire::is_default")]
    experiment_id: ExperimentId,
    #[serde(skip_serializing_if = "wire::is_default")]
    plugins_input: Map<String, Value>,
}
