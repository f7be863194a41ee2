//! Measure a registered model version on a dataset version.

use super::body::Body;
use super::common::{Common, ValidCommon, common_setters};
use crate::Settings;
use crate::field::{Problems, ValidationError};

/// Asks for a registered model version to be measured on the test part of a dataset version, beside the version that
/// is in use.
///
/// Dataset version, split and seed should be those of the training, so that no row is measured that was trained on.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluateRequest {
    pub(crate) common: Common,
    pub(crate) model_version: u64,
}

/// An evaluate request whose fields have been checked.
#[derive(Debug, Clone)]
pub(crate) struct ValidEvaluate {
    pub(crate) common: ValidCommon,
    pub(crate) model_version: u64,
}

impl EvaluateRequest {
    /// A request for version `model_version` of the model `model_name`, measured by the code of `git_sha` (a full
    /// commit id) in `git_repository`.
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
        Self { common, model_version }
    }

    common_setters!();

    /// Reads a request from a JSON body and checks it.
    ///
    /// # Errors
    /// Every field that is missing, unknown, of the wrong type or refused.
    pub fn from_json(body: serde_json::Value, settings: &Settings) -> Result<Self, ValidationError> {
        let mut body = Body::new(body)?;
        let request = Self {
            common: body.common(),
            model_version: body.whole("model_version", VERSION).unwrap_or_default(),
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

    pub(crate) fn valid(&self, settings: &Settings) -> Result<ValidEvaluate, ValidationError> {
        let mut problems = Problems::default();
        let common = self.common.validate(settings, &mut problems);
        model_version(self.model_version, &mut problems);
        problems.finish()?;
        common
            .map(|common| ValidEvaluate {
                common,
                model_version: self.model_version,
            })
            .ok_or_else(|| ValidationError::of("", "the request is incomplete"))
    }
}

pub(super) const VERSION: &str = "the number of a registered version, 1 or more";

pub(super) fn model_version(version: u64, problems: &mut Problems) {
    if version == 0 {
        problems.add("/model_version", format!("is required: give {VERSION}"));
    }
}
