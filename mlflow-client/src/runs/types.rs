//! Runs as the server describes them, and what is asked of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    experiments::LifecycleStage,
    filter::{Filter, OrderBy, ViewType},
    ids::{ExperimentId, LoggedModelId, RunId},
    metric::{Metric, Param},
    tag::{Tag, tags},
    wire::{self, wire_enum},
};

wire_enum! {
    /// How far a run is. The server lets any status follow any other.
    #[derive(Default)]
    pub enum RunStatus {
        /// In progress.
        #[default]
        Running = "RUNNING",
        /// Will run later.
        Scheduled = "SCHEDULED",
        /// Ended well.
        Finished = "FINISHED",
        /// Ended in failure.
        Failed = "FAILED",
        /// Was ended from outside.
        Killed = "KILLED",
    }
}

impl RunStatus {
    /// Whether the run is over.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Killed)
    }
}

/// What a run is.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct RunInfo {
    /// Id.
    pub run_id: RunId,
    /// Name; not unique.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub run_name: String,
    /// Its experiment.
    pub experiment_id: ExperimentId,
    /// Who started it, if that was said.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub user_id: String,
    /// How far it is.
    #[serde(default)]
    pub status: RunStatus,
    /// When it started, if that was said.
    #[serde(default, with = "wire::millis")]
    pub start_time: Option<Timestamp>,
    /// When it ended, if that was said.
    #[serde(default, with = "wire::millis", skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Timestamp>,
    /// Where its artifacts are, e.g. `mlflow-artifacts:/1/4f…/artifacts`.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub artifact_uri: String,
    /// Whether it is deleted.
    #[serde(default)]
    pub lifecycle_stage: LifecycleStage,
}

/// What was logged to a run.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct RunData {
    /// The latest point of each metric, in no particular order.
    #[serde(default)]
    pub metrics: Vec<Metric>,
    /// Parameters, in no particular order.
    #[serde(default)]
    pub params: Vec<Param>,
    /// Tags, in no particular order.
    #[serde(default)]
    pub tags: Vec<Tag>,
}

/// What a run used.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct RunInputs {
    /// Datasets.
    #[serde(default)]
    pub dataset_inputs: Vec<DatasetInput>,
    /// Logged models. Since MLflow 3.
    #[serde(default)]
    pub model_inputs: Vec<ModelInput>,
}

/// A logged model that a run used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[non_exhaustive]
pub struct ModelInput {
    /// The model.
    #[serde(default)]
    pub model_id: LoggedModelId,
}

/// What a run made. Since MLflow 3.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct RunOutputs {
    /// Logged models.
    #[serde(default)]
    pub model_outputs: Vec<ModelOutput>,
}

/// A logged model that a run made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[non_exhaustive]
pub struct ModelOutput {
    /// The model.
    #[serde(default)]
    pub model_id: LoggedModelId,
    /// The step at which it was made.
    #[serde(default, deserialize_with = "wire::int64")]
    pub step: i64,
}

impl ModelOutput {
    /// A model made at this step.
    pub fn new(model_id: impl Into<LoggedModelId>, step: i64) -> Self {
        Self {
            model_id: model_id.into(),
            step,
        }
    }
}

/// A run.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Run {
    /// What it is.
    pub info: RunInfo,
    /// What was logged to it.
    #[serde(default)]
    pub data: RunData,
    /// What it used.
    #[serde(default)]
    pub inputs: RunInputs,
    /// What it made. Empty where a run was just created, and before MLflow 3.
    #[serde(default)]
    pub outputs: RunOutputs,
}

impl Run {
    /// Its id.
    pub fn id(&self) -> &RunId {
        &self.info.run_id
    }

    /// The latest value of a metric.
    pub fn metric(&self, key: &str) -> Option<f64> {
        self.data
            .metrics
            .iter()
            .find(|metric| metric.key == key)
            .map(|metric| metric.value)
    }

    /// The value of a parameter.
    pub fn param(&self, key: &str) -> Option<&str> {
        self.data
            .params
            .iter()
            .find(|param| param.key == key)
            .map(|param| param.value.as_str())
    }

    /// The value of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.data
            .tags
            .iter()
            .find(|tag| tag.key == key)
            .map(|tag| tag.value.as_str())
    }
}

/// A dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Dataset {
    /// Name, at most 500 characters.
    #[serde(default)]
    pub name: String,
    /// Fingerprint of the content or version, at most 36 characters.
    #[serde(default)]
    pub digest: String,
    /// Kind of source, e.g. `http`, `s3`, `code`.
    #[serde(default)]
    pub source_type: String,
    /// Where it is from, in a form that depends on the kind.
    #[serde(default)]
    pub source: String,
    /// Its columns, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Facts about its content, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

/// A dataset as an input of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
#[must_use]
pub struct DatasetInput {
    /// Tags of the use, such as [`tags::DATASET_CONTEXT`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// The dataset.
    #[serde(default)]
    pub dataset: Dataset,
}

impl DatasetInput {
    /// A dataset: its name, fingerprint or version, kind of source and source.
    pub fn new(
        name: impl Into<String>,
        digest: impl Into<String>,
        source_type: impl Into<String>,
        source: impl Into<String>,
    ) -> Self {
        let dataset = Dataset {
            name: name.into(),
            digest: digest.into(),
            source_type: source_type.into(),
            source: source.into(),
            ..Dataset::default()
        };
        Self {
            tags: Vec::new(),
            dataset,
        }
    }

    /// What it is used for, e.g. `training`.
    pub fn context(self, context: impl Into<String>) -> Self {
        self.tag(tags::DATASET_CONTEXT, context)
    }

    /// Adds a tag.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push(Tag::new(key, value));
        self
    }

    /// Its columns, as JSON.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.dataset.schema = Some(schema.into());
        self
    }

    /// Facts about its content, as JSON.
    pub fn profile(mut self, profile: impl Into<String>) -> Self {
        self.dataset.profile = Some(profile.into());
        self
    }
}

/// What a new run is to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[must_use]
pub struct CreateRun {
    /// Its experiment.
    pub experiment_id: ExperimentId,
    /// Name; the server invents one if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub run_name: String,
    /// Who starts it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_id: String,
    /// When it starts; the time of sending if `None`.
    #[serde(serialize_with = "wire::millis::serialize")]
    pub start_time: Option<Timestamp>,
    /// Tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

impl CreateRun {
    /// A run in this experiment.
    pub fn new(experiment_id: impl Into<ExperimentId>) -> Self {
        Self {
            experiment_id: experiment_id.into(),
            run_name: String::new(),
            user_id: String::new(),
            start_time: None,
            tags: Vec::new(),
        }
    }

    /// Name.
    pub fn run_name(mut self, name: impl Into<String>) -> Self {
        self.run_name = name.into();
        self
    }

    /// Who starts it; pages show it. MLflow's Python client writes the tag `mlflow.user` too.
    pub fn user_id(mut self, user: impl Into<String>) -> Self {
        self.user_id = user.into();
        self
    }

    /// When it starts.
    pub fn start_time(mut self, time: Timestamp) -> Self {
        self.start_time = Some(time);
        self
    }

    /// Adds a tag; the last value of a key counts.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let tag = Tag::new(key, value);
        // The server answers a repeated key with a database error.
        self.tags.retain(|other| other.key != tag.key);
        self.tags.push(tag);
        self
    }
}

/// What to change in a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
#[must_use]
pub struct UpdateRun {
    /// New status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<RunStatus>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "wire::millis::serialize")]
    pub end_time: Option<Timestamp>,
    /// New name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_name: Option<String>,
}

impl UpdateRun {
    /// Changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The run has ended, now, in this way.
    pub fn ended(status: RunStatus) -> Self {
        Self::new().status(status).end_time(Timestamp::now())
    }

    /// New status.
    pub fn status(mut self, status: RunStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// When it ended.
    pub fn end_time(mut self, time: Timestamp) -> Self {
        self.end_time = Some(time);
        self
    }

    /// New name.
    pub fn run_name(mut self, name: impl Into<String>) -> Self {
        self.run_name = Some(name.into());
        self
    }
}

/// Which runs to list.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
#[must_use]
pub struct SearchRuns {
    /// In which experiments; with none, nothing is found.
    pub experiment_ids: Vec<ExperimentId>,
    /// Condition; all if empty. See [`RunKey`](crate::RunKey).
    #[serde(skip_serializing_if = "Filter::is_empty")]
    pub filter: Filter<Run>,
    /// Whether deleted ones are listed.
    pub run_view_type: ViewType,
    /// Size of a page, 1 to 50 000; default 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_results: Option<u32>,
    /// Order; the latest start first if empty. Runs without the metric, parameter or tag come last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub order_by: Vec<OrderBy<Run>>,
    /// Token of an earlier page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}

impl SearchRuns {
    /// All runs of these experiments that are not deleted.
    pub fn new<T: Into<ExperimentId>>(experiment_ids: impl IntoIterator<Item = T>) -> Self {
        Self {
            experiment_ids: experiment_ids.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Condition, e.g. `RunKey::metric("accuracy").greater_than(0.9)`, or a text in MLflow's search language, for which
    /// [`quote`](crate::quote) writes strings.
    pub fn filter(mut self, filter: impl Into<Filter<Run>>) -> Self {
        self.filter = filter.into();
        self
    }

    /// Whether deleted ones are listed.
    pub fn view_type(mut self, view_type: ViewType) -> Self {
        self.run_view_type = view_type;
        self
    }

    /// Size of a page, 1 to 50 000.
    pub fn max_results(mut self, max_results: u32) -> Self {
        self.max_results = Some(max_results);
        self
    }

    /// Adds a key to order by, e.g. `RunKey::metric("accuracy").descending()`.
    pub fn order_by(mut self, order: impl Into<OrderBy<Run>>) -> Self {
        self.order_by.push(order.into());
        self
    }

    /// Token of an earlier page.
    pub fn page_token(mut self, token: impl Into<String>) -> Self {
        self.page_token = Some(token.into());
        self
    }
}
