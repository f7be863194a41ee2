//! Which Kubeflow's gateway is imitated.

use std::fmt;
use std::str::FromStr;

use super::dex::DexVersion;

/// The Kubeflow release whose gateway and Dex a [`Gateway`](super::Gateway) imitates.
///
/// Its text form, for settings and flags, is `1.6`, `1.8`, `1.9` or `1.11`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Release {
    /// Kubeflow 1.3 to 1.6: oidc-authservice `28c59ef`, which keeps the state of logins to itself and takes a session's
    /// value in `X-Auth-Token`; Dex 2.31, up to Kubeflow 1.5 [`DexVersion::V2_24`]. Written from its source.
    Kubeflow1_6,
    /// Kubeflow 1.7 and 1.8: oidc-authservice `e236439`, Dex 2.36 (1.7: [`DexVersion::V2_31`]). Anything without a session is redirected to Dex.
    Kubeflow1_8,
    /// Kubeflow 1.9.0: oauth2-proxy 7.6 behind Envoy's check for every request, Dex 2.39. Anything without a session is
    /// redirected, each login passes an approval page, and errors of oauth2-proxy arrive as 403 without a body.
    Kubeflow1_9,
    /// Kubeflow 1.9.1 to 1.11 and later: oauth2-proxy 7.14, Dex 2.45. Without a session, pages answer 403 with a sign-in
    /// page and API paths 401.
    #[default]
    Kubeflow1_11,
}

impl Release {
    /// `1.6`, `1.8`, `1.9` or `1.11`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kubeflow1_6 => "1.6",
            Self::Kubeflow1_8 => "1.8",
            Self::Kubeflow1_9 => "1.9",
            Self::Kubeflow1_11 => "1.11",
        }
    }

    /// Where Dex sends the user back to.
    pub(super) const fn callback_path(self) -> &'static str {
        match self {
            Self::Kubeflow1_6 => "/login/oidc",
            Self::Kubeflow1_8 => "/authservice/oidc/callback",
            Self::Kubeflow1_9 | Self::Kubeflow1_11 => "/oauth2/callback",
        }
    }

    /// The Dex that it was released with.
    pub(super) const fn dex(self) -> DexVersion {
        match self {
            Self::Kubeflow1_6 => DexVersion::V2_31,
            Self::Kubeflow1_8 => DexVersion::V2_36,
            Self::Kubeflow1_9 => DexVersion::V2_39,
            Self::Kubeflow1_11 => DexVersion::V2_45,
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Release {
    type Err = UnknownRelease;

    fn from_str(text: &str) -> Result<Self, UnknownRelease> {
        match text {
            "1.6" => Ok(Self::Kubeflow1_6),
            "1.8" => Ok(Self::Kubeflow1_8),
            "1.9" => Ok(Self::Kubeflow1_9),
            "1.11" => Ok(Self::Kubeflow1_11),
            other => Err(UnknownRelease(other.to_owned())),
        }
    }
}

/// The text names no release that can be imitated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown Kubeflow release {0:?}: expected 1.6, 1.8, 1.9 or 1.11")]
pub struct UnknownRelease(String);
