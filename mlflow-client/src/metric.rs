//! Metrics and parameters.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{LoggedModelId, RunId},
    wire,
};

/// One point of a metric.
///
/// Points that are equal in everything are kept once, so logging a point again does nothing. Of several points of a key
/// the server takes that with the greatest step as the latest; at equal steps the greatest timestamp decides, then the
/// greatest value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Name: letters, digits and `_ - . : /` or spaces, at most 250.
    #[serde(default)]
    pub key: String,
    /// Value; may be NaN or infinite.
    #[serde(default, with = "wire::number")]
    pub value: f64,
    /// Milliseconds since 1970; not negative.
    #[serde(default, deserialize_with = "wire::int64")]
    pub timestamp: i64,
    /// Step, e.g. the epoch; may be negative.
    #[serde(default, deserialize_with = "wire::int64")]
    pub step: i64,
}

impl Metric {
    /// A point of now, at step 0.
    pub fn new(key: impl Into<String>, value: f64) -> Self {
        Self {
            key: key.into(),
            value,
            timestamp: Timestamp::now().as_millisecond(),
            step: 0,
        }
    }

    /// At this step.
    #[must_use]
    pub fn step(mut self, step: i64) -> Self {
        self.step = step;
        self
    }

    /// At this time.
    #[must_use]
    pub fn at(mut self, time: Timestamp) -> Self {
        self.timestamp = time.as_millisecond();
        self
    }

    /// The time of the point; `None` if its timestamp is none.
    pub fn time(&self) -> Option<Timestamp> {
        Timestamp::from_millisecond(self.timestamp).ok()
    }
}

/// A point of a metric that says which model and dataset it is about, and of which run it is.
///
/// Since MLflow 3; older servers keep key, value, timestamp and step only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use]
pub struct ModelMetric {
    /// Name: letters, digits and `_ - . : /` or spaces, at most 250.
    #[serde(default)]
    pub key: String,
    /// Value; may be NaN or infinite.
    #[serde(default, with = "wire::number")]
    pub value: f64,
    /// Milliseconds since 1970; not negative.
    #[serde(default, deserialize_with = "wire::int64")]
    pub timestamp: i64,
    /// Step, e.g. the epoch; may be negative.
    #[serde(default, deserialize_with = "wire::int64")]
    pub step: i64,
    /// The logged model that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<LoggedModelId>,
    /// Name of the dataset it was measured on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_name: Option<String>,
    /// Digest of that dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_digest: Option<String>,
    /// The run it was logged to; only in answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
}

impl ModelMetric {
    /// A point about a logged model.
    pub fn new(model_id: impl Into<LoggedModelId>, metric: Metric) -> Self {
        Self {
            key: metric.key,
            value: metric.value,
            timestamp: metric.timestamp,
            step: metric.step,
            model_id: Some(model_id.into()),
            dataset_name: None,
            dataset_digest: None,
            run_id: None,
        }
    }

    /// Measured on this dataset, which must be an input of the run.
    pub fn dataset(mut self, name: impl Into<String>, digest: impl Into<String>) -> Self {
        self.dataset_name = Some(name.into());
        self.dataset_digest = Some(digest.into());
        self
    }
}

/// A parameter of a run: set once, never changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Param {
    /// Name: letters, digits and `_ - . : /` or spaces, at most 250.
    #[serde(default)]
    pub key: String,
    /// Text, at most 6000 characters.
    #[serde(default)]
    pub value: String,
}

impl Param {
    /// A parameter.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
        }
    }
}

impl<K: Into<String>, V: Into<String>> From<(K, V)> for Param {
    fn from((key, value): (K, V)) -> Self {
        Self::new(key, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_has_no_number_for_is_text() {
        for (value, text) in [
            (f64::NAN, "\"NaN\""),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
            (0.5, "0.5"),
        ] {
            let json = serde_json::to_string(&Metric {
                key: "k".into(),
                value,
                timestamp: 1,
                step: 0,
            })
            .unwrap();
            assert_eq!(json, format!(r#"{{"key":"k","value":{text},"timestamp":1,"step":0}}"#));
            let back: Metric = serde_json::from_str(&json).unwrap();
            assert_eq!(back.value.to_bits(), value.to_bits());
        }
    }

    #[test]
    fn infinities_are_read_from_what_the_server_makes_of_them() {
        let metric: Metric =
            serde_json::from_str(r#"{"key":"k","value":-1.7976931348623157e308,"step":"-7"}"#).unwrap();
        assert_eq!(
            (metric.value, metric.step, metric.timestamp),
            (f64::NEG_INFINITY, -7, 0)
        );
    }
}
