//! What an engine can do, so that a workflow that asks for more is refused before anything is sent.

use std::collections::BTreeSet;
use std::fmt;

/// Something that not every engine can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// Steps with a [`Condition`](crate::Condition).
    Conditions,
    /// Runs go on when the program that submitted them has ended.
    Detached,
    /// A step that runs however the others ended.
    ExitStep,
    /// Limits and requests of processor, memory, accelerators.
    Resources,
    /// Starting a failed step again.
    Retries,
    /// Environment variables whose values the platform keeps.
    Secrets,
    /// A longest time for a step.
    Timeouts,
    /// Mounting volumes of the platform.
    Volumes,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Conditions => "conditions",
            Self::Detached => "runs that outlive the program",
            Self::ExitStep => "an exit step",
            Self::Resources => "resource limits",
            Self::Retries => "retries",
            Self::Secrets => "secrets",
            Self::Timeouts => "timeouts",
            Self::Volumes => "volumes",
        })
    }
}

/// The set of [`Capability`] that an engine has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities(BTreeSet<Capability>);

impl Capabilities {
    /// Whether the engine can do this.
    pub fn has(&self, capability: Capability) -> bool {
        self.0.contains(&capability)
    }

    /// Those of `needed` that the engine lacks.
    pub fn lacking(&self, needed: &BTreeSet<Capability>) -> Vec<Capability> {
        needed.difference(&self.0).copied().collect()
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<T: IntoIterator<Item = Capability>>(capabilities: T) -> Self {
        Self(capabilities.into_iter().collect())
    }
}
