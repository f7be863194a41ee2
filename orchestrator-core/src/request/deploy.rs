//! Put a registered model version into use, if it is good enough.

use std::fmt;
use std::str::FromStr;

use super::body::Body;
use super::common::{Common, ValidCommon, common_setters};
use super::evaluate::{VERSION, model_version};
use crate::Settings;
use crate::field::{Problems, ValidationError};

/// Which way a metric is better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum GateDirection {
    /// More is better, as for accuracy.
    #[default]
    Higher,
    /// Less is better, as for a loss.
    Lower,
}

impl GateDirection {
    /// The name as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Higher => "higher",
            Self::Lower => "lower",
        }
    }
}

impl fmt::Display for GateDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for GateDirection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "higher" => Ok(Self::Higher),
            "lower" => Ok(Self::Lower),
            _ => Err(format!("is {text:?}: give higher or lower")),
        }
    }
}

/// The rule that decides whether a model version may be put into use.
///
/// The version passes if its metric is not worse than that of the version in use by more than the tolerance, and not
/// worse than the threshold where there is one. Without a version in use only the threshold counts.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Gate {
    /// Name of the metric, as the repository's `evaluate` entry point writes it.
    pub metric: String,
    /// Which way it is better.
    pub direction: GateDirection,
    /// By how much it may be worse than the version in use; 0 or more, in the metric's unit.
    pub tolerance: f64,
    /// Worst value that may be put into use at all, in the metric's unit.
    pub threshold: Option<f64>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            metric: "accuracy".to_owned(),
            direction: GateDirection::Higher,
            tolerance: 0.0,
            threshold: None,
        }
    }
}

impl Gate {
    /// Not worse in `metric` than the version in use.
    pub fn new(metric: impl Into<String>, direction: GateDirection) -> Self {
        Self {
            metric: metric.into(),
            direction,
            ..Self::default()
        }
    }

    /// Lets the metric be worse by this much.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Sets the worst value that may be put into use at all.
    #[must_use]
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = Some(threshold);
        self
    }

    fn from_json(value: serde_json::Value, problems: &mut Problems) -> Self {
        let mut gate = Self::default();
        let Ok(mut body) = Body::new(value) else { return gate };
        if let Some(metric) = body.text("metric") {
            gate.metric = metric;
        }
        if let Some(text) = body.text("direction")
            && let Some(direction) = body.problems.check("/direction", text.parse())
        {
            gate.direction = direction;
        }
        if let Some(tolerance) = body.number("tolerance") {
            gate.tolerance = tolerance;
        }
        gate.threshold = body.number("threshold");
        if let Err(error) = body.finish(Ok(())) {
            for field in error.errors() {
                problems.add(format!("/gate{}", field.pointer), field.detail.clone());
            }
        }
        gate
    }

    fn check(&self, problems: &mut Problems) {
        let plain = |c: char| c.is_alphanumeric() || "_-. /".contains(c);
        if self.metric.is_empty()
            || self.metric.starts_with('-')
            || self.metric.len() > 200
            || !self.metric.chars().all(plain)
        {
            problems.add(
                "/gate/metric",
                "is not the name of a metric: use 1 to 200 letters, digits, '_', '-', '.', '/' and blanks",
            );
        }
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            problems.add("/gate/tolerance", format!("is {}: give 0 or more", self.tolerance));
        }
        if self.threshold.is_some_and(|threshold| !threshold.is_finite()) {
            problems.add("/gate/threshold", "is not a finite number");
        }
    }
}

/// Asks for a registered model version to be put into use: it is measured beside the version in use, the [`Gate`]
/// decides, the registry's alias moves, and the repository's own `deploy` entry point is called.
#[derive(Debug, Clone, PartialEq)]
pub struct DeployRequest {
    pub(crate) common: Common,
    pub(crate) model_version: u64,
    pub(crate) gate: Gate,
}

/// A deploy request whose fields have been checked.
#[derive(Debug, Clone)]
pub(crate) struct ValidDeploy {
    pub(crate) common: ValidCommon,
    pub(crate) model_version: u64,
    pub(crate) gate: Gate,
}

impl DeployRequest {
    /// A request for version `model_version` of the model `model_name`, measured and deployed by the code of
    /// `git_sha` (a full commit id) in `git_repository`.
    pub fn new(
        git_repository: impl Into<String>,
        git_sha: impl Into<String>,
        model_name: impl Into<String>,
        model_version: u64,
    ) -> Self {
        let common = Common {
            model_name: Some(model_name.into()),
            ..Common::new(git_repository, git_sha)
        };
        Self {
            common,
            model_version,
            gate: Gate::default(),
        }
    }

    common_setters!();

    /// Sets the rule that decides. Default: `accuracy` not lower than that of the version in use.
    #[must_use]
    pub fn gate(mut self, gate: Gate) -> Self {
        self.gate = gate;
        self
    }

    /// Reads a request from a JSON body and checks it.
    ///
    /// # Errors
    /// Every field that is missing, unknown, of the wrong type or refused.
    pub fn from_json(body: serde_json::Value, settings: &Settings) -> Result<Self, ValidationError> {
        let mut body = Body::new(body)?;
        let common = body.common();
        let model_version = body.whole("model_version", VERSION).unwrap_or_default();
        let gate = match body.object("gate") {
            Some(value) => Gate::from_json(value, &mut body.problems),
            None => Gate::default(),
        };
        let request = Self {
            common,
            model_version,
            gate,
        };
        body.finish(request.validate(settings))?;
        Ok(request)
    }

    /// Checks the request without sending anything.
    ///
    /// # Errors
    /// Every field that is refused.
    pub fn validate(&self, settings: &Settings) -> Result<(), ValidationError> {
        self.valid(settings).map(drop)
    }

    pub(crate) fn valid(&self, settings: &Settings) -> Result<ValidDeploy, ValidationError> {
        let mut problems = Problems::default();
        let common = self.common.validate(settings, &mut problems);
        model_version(self.model_version, &mut problems);
        self.gate.check(&mut problems);
        problems.finish()?;
        common
            .map(|common| ValidDeploy {
                common,
                model_version: self.model_version,
                gate: self.gate.clone(),
            })
            .ok_or_else(|| ValidationError::of("", "the request is incomplete"))
    }
}
