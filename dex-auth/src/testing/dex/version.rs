//! Which Dex is imitated.

use std::fmt;

/// The generation of Dex that a [`Gateway`](super::super::Gateway) has behind it, see
/// [`GatewayBuilder::dex`](super::super::GatewayBuilder::dex). Later ones compare as greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DexVersion {
    /// 2.24 to 2.28, of Kubeflow 1.3 to 1.5: `/dex/auth` begins the login, the form goes to `/dex/auth/{connector}?req=`.
    /// Written from its source; the others were measured.
    V2_24,
    /// 2.29 to 2.34, of Kubeflow 1.6 and 1.7: a refused password is answered with 200, and the way back always leads over
    /// `/dex/approval`.
    V2_31,
    /// 2.36, of Kubeflow 1.8: a refused password is answered with 401.
    V2_36,
    /// 2.38 to 2.44, of Kubeflow 1.9 to 1.11.0: token exchange and introspection.
    V2_39,
    /// 2.45: error pages tell users less.
    V2_45,
    /// The one after 2.45.1, not released when it was measured: login sessions, second factors, `prompt=none` taken at
    /// its word, another layout of the chooser.
    Head,
}

impl DexVersion {
    /// The status of the form that comes again after a wrong password.
    pub(super) fn refused(self) -> u16 {
        if self < Self::V2_36 { 200 } else { 401 }
    }

    /// From 2.35 on only who comes from a login reaches the approval page.
    pub(super) fn seals_approval(self) -> bool {
        self >= Self::V2_36
    }

    pub(super) fn is_terse(self) -> bool {
        self >= Self::V2_45
    }

    pub(super) fn is_head(self) -> bool {
        self == Self::Head
    }

    pub(super) fn exchanges_tokens(self) -> bool {
        self >= Self::V2_39
    }

    pub(super) fn knows_devices(self) -> bool {
        self >= Self::V2_31
    }
}

impl fmt::Display for DexVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V2_24 => "2.24",
            Self::V2_31 => "2.31",
            Self::V2_36 => "2.36",
            Self::V2_39 => "2.39",
            Self::V2_45 => "2.45",
            Self::Head => "HEAD",
        })
    }
}
