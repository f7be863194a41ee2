//! Metrics of runs: reported by their steps, shown by this API alone.

use http::Method;
use serde::{Deserialize, Serialize};

use super::Runs;
use crate::{
    endpoint::path_id,
    error::{Error, Result},
    ids::RunId,
    message::message,
    wire::wire_enum,
};

wire_enum! {
    /// How a metric is to be shown.
    pub enum MetricFormat {
        /// Not said: as a plain number.
        Unspecified = "UNSPECIFIED",
        /// As a plain number.
        Raw = "RAW",
        /// As a percentage; 1 is 100 %.
        Percentage = "PERCENTAGE",
    }
}

wire_enum! {
    /// What became of a metric that was reported.
    pub enum MetricStatus {
        /// Not said.
        Unspecified = "UNSPECIFIED",
        /// Taken.
        Ok = "OK",
        /// Its name or its node is not allowed.
        InvalidArgument = "INVALID_ARGUMENT",
        /// The node has reported a metric of that name before, which stays.
        DuplicateReporting = "DUPLICATE_REPORTING",
        /// The server failed.
        InternalError = "INTERNAL_ERROR",
    }
}

message! {
    /// A number that a step measured.
    pub struct RunMetric {
        /// Name: a letter, then at most 63 letters, digits, `-` or `_`, the last one a letter or a digit.
        name: String,
        /// Node of the Argo workflow that measured it.
        node_id: String,
        /// The number. Zero is a value too.
        number_value: Option<f64>,
        /// How it is to be shown.
        format: Option<MetricFormat>,
    }
}

impl RunMetric {
    /// A number that this node measured.
    pub fn new(name: impl Into<String>, node_id: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            node_id: node_id.into(),
            number_value: Some(value),
            ..Self::default()
        }
    }

    /// How it is to be shown.
    #[must_use]
    pub fn format(mut self, format: MetricFormat) -> Self {
        self.format = Some(format);
        self
    }

    fn validate(&self, index: usize) -> Result<()> {
        let plain = |letter: char| letter.is_ascii_alphanumeric();
        let fits = self.name.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && self.name.ends_with(plain)
            && self
                .name
                .chars()
                .all(|letter| plain(letter) || matches!(letter, '-' | '_'))
            && self.name.len() <= 64;
        if !fits {
            return Err(Error::invalid(
                format!("metrics[{index}].name"),
                "a letter, then at most 63 letters, digits, `-` or `_`, the last one a letter or a digit",
            ));
        }
        if self.node_id.is_empty() {
            return Err(Error::invalid(format!("metrics[{index}].node_id"), "not empty"));
        }
        if !self.number_value.is_some_and(f64::is_finite) {
            return Err(Error::invalid(
                format!("metrics[{index}].number_value"),
                "a finite number",
            ));
        }
        Ok(())
    }
}

/// Metrics to be reported.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ReportMetrics {
    /// The metrics.
    pub metrics: Vec<RunMetric>,
}

impl ReportMetrics {
    /// These metrics.
    pub fn new(metrics: impl IntoIterator<Item = RunMetric>) -> Self {
        Self {
            metrics: metrics.into_iter().collect(),
        }
    }
}

message! {
    /// What became of one metric.
    pub struct MetricResult {
        /// Its name.
        metric_name: String,
        /// Its node.
        metric_node_id: String,
        /// What became of it.
        status: Option<MetricStatus>,
        /// Why it was not taken; may be empty.
        message: String,
    }
}

impl MetricResult {
    /// Whether the metric was taken.
    pub fn is_ok(&self) -> bool {
        self.status == Some(MetricStatus::Ok)
    }
}

#[derive(Deserialize)]
pub(crate) struct Results {
    #[serde(default, deserialize_with = "crate::wire::or_default")]
    results: Vec<MetricResult>,
}

impl Runs {
    /// Reports what steps of a run measured. Each metric has a result of its own, in the order of the request: the
    /// call succeeds even if none was taken.
    ///
    /// The gateway of a whole Kubeflow does not let it through ([`Error::PermissionDenied`]); it is meant for the
    /// inside of the cluster.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such run; [`Error::InvalidRequest`] for a metric that the server would not
    /// take.
    pub async fn report_metrics(&self, id: &RunId, request: &ReportMetrics) -> Result<Vec<MetricResult>> {
        let id = path_id("run_id", id.as_str())?;
        for (index, metric) in request.metrics.iter().enumerate() {
            metric.validate(index)?;
        }
        let call = self.call(
            "v1.runs.report_metrics",
            Method::POST,
            &[&format!("{id}:reportMetrics")],
        )?;
        let results: Results = self.client.inner.json(&call.json(request)?).await?;
        Ok(results.results)
    }
}
