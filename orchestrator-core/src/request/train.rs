//! Train a model on a dataset version and register it.

use super::body::Body;
use super::common::{Common, ValidCommon, common_setters};
use crate::Settings;
use crate::field::{Problems, ValidationError};

/// Asks for a model to be trained by the code of one commit on one dataset version.
///
/// ```
/// use orchestrator_core::{Settings, TrainRequest};
///
/// let request = TrainRequest::new("https://git.example.com/fraud.git", "4f2a9c1d4f2a9c1d4f2a9c1d4f2a9c1d4f2a9c1d")
///     .dataset_version("v3")
///     .split(0.8)
///     .param("learning_rate", "0.1");
/// assert!(request.validate(&Settings::default()).is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TrainRequest {
    pub(crate) common: Common,
}

/// A train request whose fields have been checked.
#[derive(Debug, Clone)]
pub(crate) struct ValidTrain {
    pub(crate) common: ValidCommon,
}

impl TrainRequest {
    /// A request for the code of `git_sha` (a full commit id) in `git_repository`.
    pub fn new(git_repository: impl Into<String>, git_sha: impl Into<String>) -> Self {
        Self {
            common: Common::new(git_repository, git_sha),
        }
    }

    common_setters!();

    /// Sets the name under which the model is registered. Default: the repository's name.
    #[must_use]
    pub fn model_name(mut self, name: impl Into<String>) -> Self {
        self.common.model_name = Some(name.into());
        self
    }

    /// Reads a request from a JSON body and checks it.
    ///
    /// # Errors
    /// Every field that is missing, unknown, of the wrong type or refused.
    pub fn from_json(body: serde_json::Value, settings: &Settings) -> Result<Self, ValidationError> {
        let mut body = Body::new(body)?;
        let request = Self { common: body.common() };
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

    pub(crate) fn valid(&self, settings: &Settings) -> Result<ValidTrain, ValidationError> {
        let mut problems = Problems::default();
        let common = self.common.validate(settings, &mut problems);
        problems.finish()?;
        common
            .map(|common| ValidTrain { common })
            .ok_or_else(|| ValidationError::of("", "the request is incomplete"))
    }
}
