//! Logged models as the server describes them, and what is asked of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    filter::Filter,
    ids::{ExperimentId, LoggedModelId, RunId, VersionNumber},
    metric::{ModelMetric, Param},
    tag::Tag,
    wire::{self, wire_enum},
};

wire_enum! {
    /// How far a logged model is. The server lets any status follow any other.
    #[derive(Default)]
    pub enum LoggedModelStatus {
        /// Its files are still to come.
        #[default]
        Pending = "LOGGED_MODEL_PENDING",
        /// Complete.
        Ready = "LOGGED_MODEL_READY",
        /// Its files could not be stored.
        UploadFailed = "LOGGED_MODEL_UPLOAD_FAILED",
    }
}

impl LoggedModelStatus {
    /// The number by which searches know it.
    pub(crate) fn number(&self) -> Option<i32> {
        match self {
            Self::Pending => Some(1),
            Self::Ready => Some(2),
            Self::UploadFailed => Some(3),
            Self::Unknown(_) => None,
        }
    }
}

/// A logged model: one that belongs to an experiment, whether it is registered or not. Since MLflow 3.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct LoggedModel {
    /// What it is.
    pub info: LoggedModelInfo,
    /// What was logged to it.
    #[serde(default)]
    pub data: LoggedModelData,
}

impl LoggedModel {
    /// Its id.
    pub fn id(&self) -> &LoggedModelId {
        &self.info.model_id
    }

    /// The value of a parameter.
    pub fn param(&self, key: &str) -> Option<&str> {
        let mut params = self.data.params.iter();
        params.find(|param| param.key == key).map(|param| param.value.as_str())
    }

    /// The value of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        let mut tags = self.info.tags.iter();
        tags.find(|tag| tag.key == key).map(|tag| tag.value.as_str())
    }
}

/// What a logged model is.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct LoggedModelInfo {
    /// Id: `m-` and 32 hexadecimal digits.
    pub model_id: LoggedModelId,
    /// Its experiment.
    pub experiment_id: ExperimentId,
    /// Name; not unique.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub name: String,
    /// When it was made.
    #[serde(default, with = "wire::millis", rename = "creation_timestamp_ms")]
    pub created_at: Option<Timestamp>,
    /// When it was changed last.
    #[serde(default, with = "wire::millis", rename = "last_updated_timestamp_ms")]
    pub updated_at: Option<Timestamp>,
    /// Where its files are, e.g. `mlflow-artifacts:/1/models/m-4f…/artifacts`.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub artifact_uri: String,
    /// How far it is.
    #[serde(default)]
    pub status: LoggedModelStatus,
    /// Who made it; hosted servers only.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub creator_id: String,
    /// Its kind, as whoever logged it calls it, e.g. `Agent`.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub model_type: String,
    /// The run that made it; empty if unknown.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub source_run_id: RunId,
    /// More about its status.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub status_message: String,
    /// Its tags, in no particular order.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub tags: Vec<Tag>,
    /// Versions of registered models that it became; hosted servers only.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub registrations: Vec<Registration>,
}

/// What was logged to a logged model.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct LoggedModelData {
    /// Parameters, in no particular order.
    #[serde(default)]
    pub params: Vec<Param>,
    /// The latest point of each metric and dataset, in no particular order.
    #[serde(default)]
    pub metrics: Vec<ModelMetric>,
}

/// A version of a registered model that a logged model became.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Registration {
    /// Name of the registered model.
    pub name: String,
    /// Number of the version.
    pub version: VersionNumber,
}

/// What a new logged model is to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[must_use]
pub struct CreateLoggedModel {
    /// Its experiment.
    pub experiment_id: ExperimentId,
    /// Name, without `/ : . % " '`; the server invents one if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its kind, as you call it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model_type: String,
    /// The run that makes it. The server does not check that there is such a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_run_id: Option<RunId>,
    /// Parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// Tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

impl CreateLoggedModel {
    /// A model in this experiment.
    pub fn new(experiment_id: impl Into<ExperimentId>) -> Self {
        Self {
            experiment_id: experiment_id.into(),
            name: String::new(),
            model_type: String::new(),
            source_run_id: None,
            params: Vec::new(),
            tags: Vec::new(),
        }
    }

    /// Name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Its kind, as you call it.
    pub fn model_type(mut self, kind: impl Into<String>) -> Self {
        self.model_type = kind.into();
        self
    }

    /// The run that makes it.
    pub fn source_run_id(mut self, run_id: impl Into<RunId>) -> Self {
        self.source_run_id = Some(run_id.into());
        self
    }

    /// Adds a parameter.
    pub fn param(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.params.push(Param::new(key, value));
        self
    }

    /// Adds a tag.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push(Tag::new(key, value));
        self
    }
}

/// A dataset by which the metrics of logged models are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SearchedDataset {
    /// Name.
    pub dataset_name: String,
    /// Digest; without the right one nothing is found (MLflow 3.17).
    pub dataset_digest: String,
}

/// What logged models are ordered by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[must_use]
pub struct LoggedModelOrder {
    /// `metrics.` and a key, or an attribute: `name`, `model_id`, `creation_timestamp`, `last_updated_timestamp`, ...
    pub field_name: String,
    /// Whether the smallest comes first.
    pub ascending: bool,
    /// Only the metric's points of this dataset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_name: Option<String>,
    /// Only the metric's points of a dataset with this digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_digest: Option<String>,
}

impl LoggedModelOrder {
    /// By an attribute, the smallest first.
    pub fn attribute(name: impl Into<String>) -> Self {
        Self {
            field_name: name.into(),
            ascending: true,
            dataset_name: None,
            dataset_digest: None,
        }
    }

    /// By the latest value of a metric, the smallest first.
    pub fn metric(key: &str) -> Self {
        Self::attribute(format!("metrics.{key}"))
    }

    /// The greatest first.
    pub fn descending(mut self) -> Self {
        self.ascending = false;
        self
    }

    /// Only the metric's points of this dataset.
    pub fn dataset(mut self, name: impl Into<String>, digest: Option<&str>) -> Self {
        self.dataset_name = Some(name.into());
        self.dataset_digest = digest.map(str::to_owned);
        self
    }
}

/// Which logged models to list.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
#[must_use]
pub struct SearchLoggedModels {
    /// In which experiments; at least one.
    pub experiment_ids: Vec<ExperimentId>,
    /// Condition; see [`LoggedModelKey`](crate::LoggedModelKey).
    #[serde(skip_serializing_if = "Filter::is_empty")]
    pub filter: Filter<LoggedModel>,
    /// Datasets whose metrics a condition on metrics means.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<SearchedDataset>,
    /// Size of a page, at least 1; the server's default is 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_results: Option<u32>,
    /// Order; the newest first if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub order_by: Vec<LoggedModelOrder>,
    /// Token of an earlier page of the same search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}

impl SearchLoggedModels {
    /// All logged models of these experiments.
    pub fn new<T: Into<ExperimentId>>(experiment_ids: impl IntoIterator<Item = T>) -> Self {
        Self {
            experiment_ids: experiment_ids.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Condition.
    pub fn filter(mut self, filter: impl Into<Filter<LoggedModel>>) -> Self {
        self.filter = filter.into();
        self
    }

    /// Adds a dataset whose metrics a condition on metrics means.
    pub fn dataset(mut self, name: impl Into<String>, digest: impl Into<String>) -> Self {
        self.datasets.push(SearchedDataset {
            dataset_name: name.into(),
            dataset_digest: digest.into(),
        });
        self
    }

    /// Size of a page.
    pub fn max_results(mut self, max_results: u32) -> Self {
        self.max_results = Some(max_results);
        self
    }

    /// Adds a key to order by.
    pub fn order_by(mut self, order: LoggedModelOrder) -> Self {
        self.order_by.push(order);
        self
    }

    /// Token of an earlier page.
    pub fn page_token(mut self, token: impl Into<String>) -> Self {
        self.page_token = Some(token.into());
        self
    }
}
