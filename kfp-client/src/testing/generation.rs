//! The server generations this fake imitates, as switches.

use std::fmt;
use std::str::FromStr;

/// A generation of Kubeflow Pipelines API servers.
///
/// The names are those of the releases whose answers were recorded; the releases around them answer alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Generation {
    /// 1.8: `v1beta1` alone, Argo manifests alone.
    V1_8,
    /// 2.0 to 2.5: both versions of the API, unknown request fields are dropped.
    V2_5,
    /// 2.14 and later: both versions, unknown request fields are refused, errors are `google.rpc.Status`.
    #[default]
    V2_17,
}

impl Generation {
    /// The release as the health endpoint gives it.
    pub fn tag(self) -> &'static str {
        match self {
            Self::V1_8 => "1.8.22",
            Self::V2_5 => "2.5.0",
            Self::V2_17 => "2.17.0",
        }
    }

    pub(super) fn has_v2(self) -> bool {
        self != Self::V1_8
    }

    /// grpc-gateway v2 with protojson instead of v1 with jsonpb: strict bodies, JSON for routing errors.
    pub(super) fn new_gateway(self) -> bool {
        self == Self::V2_17
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1_8 => "1.8",
            Self::V2_5 => "2.5",
            Self::V2_17 => "2.17",
        })
    }
}

/// The text names no known generation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown generation {0:?}: one of 1.8, 2.5, 2.17")]
pub struct UnknownGeneration(String);

impl FromStr for Generation {
    type Err = UnknownGeneration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "1.8" => Ok(Self::V1_8),
            "2.5" => Ok(Self::V2_5),
            "2.17" => Ok(Self::V2_17),
            other => Err(UnknownGeneration(other.to_owned())),
        }
    }
}
