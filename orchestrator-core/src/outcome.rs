//! The states that a run goes through, whatever engine runs it.

use std::fmt;

/// State of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RunState {
    /// Accepted and recorded; the engine has not confirmed it yet.
    Submitting,
    /// The engine has it, no step has begun.
    Pending,
    /// At least one step has begun.
    Running,
    /// Somebody asked for the run to be stopped; steps may still be ending.
    Cancelling,
    /// Every step succeeded.
    Succeeded,
    /// A step failed, or the engine could not run the workflow.
    Failed,
    /// The run was stopped on request.
    Cancelled,
    /// The engine says something that this version does not know.
    Unknown,
}

impl RunState {
    /// Whether the state never changes again by itself.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The name as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submitting => "submitting",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
