//! What a caller asks for: train, evaluate, deploy.

mod body;
mod common;
mod deploy;
mod evaluate;
mod train;

pub use deploy::{DeployRequest, Gate, GateDirection};
pub use evaluate::EvaluateRequest;
pub use train::TrainRequest;

pub(crate) use common::ValidCommon;
#[cfg(feature = "testing")]
pub(crate) use common::namespace_name;

/// Which of the standard workflows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RequestKind {
    /// Train a model and register it.
    Train,
    /// Measure a registered model version beside the champion.
    Evaluate,
    /// Measure, decide, and put a model version into use.
    Deploy,
}

impl RequestKind {
    /// The name as it stands in JSON and in names of runs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Evaluate => "evaluate",
            Self::Deploy => "deploy",
        }
    }
}

impl std::fmt::Display for RequestKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests;
