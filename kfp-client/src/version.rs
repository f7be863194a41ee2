//! The release of a server, and what only newer releases know.

use std::{fmt, str::FromStr};

use crate::error::{Error, Result};

/// A release of Kubeflow Pipelines.
///
/// ```
/// use kfp_client::ServerVersion;
///
/// let version: ServerVersion = "2.14.0-rc.1".parse()?;
/// assert!(version < ServerVersion::new(2, 17, 0));
/// assert_eq!(version.to_string(), "2.14.0");
/// # Ok::<(), kfp_client::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerVersion {
    major: u16,
    minor: u16,
    patch: u16,
}

impl ServerVersion {
    /// The release of these numbers.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for ServerVersion {
    type Err = Error;

    /// Reads `2.17`, `2.17.0`, `v2.17.0`; what follows `-` or `+` is not looked at.
    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.trim().trim_start_matches('v');
        let numbers = numbers.split(['-', '+']).next().unwrap_or_default();
        let mut parts = numbers.split('.').map(str::parse);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor)), None, None) => Ok(Self::new(major, minor, 0)),
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) => Ok(Self::new(major, minor, patch)),
            _ => Err(Error::invalid("server_version", "a release such as `2.17.0`")),
        }
    }
}

/// Something that older servers do not know.
///
/// It is refused before anything is sent ([`Error::OlderServer`]) if the server is known to be too old: by
/// [`ClientBuilder::server_version`](crate::ClientBuilder::server_version), or since it was asked by
/// [`Client::health`](crate::Client::health). Nothing is refused as long as the release is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Feature {
    /// The operation, or the operation and its parameter.
    pub name: &'static str,
    /// First release that knows it.
    pub since: ServerVersion,
    /// What earlier ones do with it.
    pub before: &'static str,
}

const NOT_SERVED: &str = "not served";
const IGNORED: &str = "ignored";
const REFUSED: &str = "refused";

const fn feature(name: &'static str, since: (u16, u16, u16), before: &'static str) -> Feature {
    Feature {
        name,
        since: ServerVersion::new(since.0, since.1, since.2),
        before,
    }
}

macro_rules! features {
    ($($constant:ident = $name:literal, since $since:expr, before $before:expr;)*) => {
        impl Feature {
            $(pub(crate) const $constant: Self = feature($name, $since, $before);)*

            /// Everything that is looked at before a call is sent.
            pub const ALL: &'static [Self] = &[$(Self::$constant),*];
        }
    };
}

// Measured on 1.8.22, 2.0.5, 2.5.0 and 2.17.0; the releases between them from the descriptions of their API.
features! {
    V2 = "v2beta1", since (2, 0, 0), before NOT_SERVED;
    NEWER_FORMAT = "v1beta1: pipelines in the newer format", since (2, 0, 0), before REFUSED;
    V1_PIPELINE_BY_NAME = "v1.pipelines.get_by_name", since (2, 0, 0), before NOT_SERVED;
    V1_NEWER_KEYS = "v1beta1: filter and order by names of v2beta1", since (2, 0, 0), before REFUSED;
    // 2.0.5 serves neither, 2.5.0 does; what lies between was not measured.
    PIPELINE_BY_NAME = "pipelines.get_by_name", since (2, 1, 0), before "answered with 500";
    REPORTS = "reports", since (2, 1, 0), before NOT_SERVED;
    LAST_RUN_KEY = "experiments.list: last_run_created_at", since (2, 4, 0), before REFUSED;
    SHOWN_NAME = "pipelines: display_name besides name", since (2, 14, 0), before "taken for the name, or ignored";
    CASCADE = "pipelines.delete: cascade", since (2, 14, 0), before IGNORED;
    PROPAGATION_POLICY = "recurring_runs.delete: propagation_policy", since (2, 16, 0), before IGNORED;
    UPDATE = "pipelines.update", since (2, 17, 0), before NOT_SERVED;
    TAGS = "pipelines: tags", since (2, 17, 0), before "ignored, or refused from 2.14 on";
    TAG_KEYS = "pipelines.list: tags.NAME", since (2, 17, 0), before REFUSED;
    PLUGINS = "plugins_input", since (2, 17, 0), before "ignored, or refused from 2.14 on";
    // In no release up to 2.17.0.
    UPLOADED_SOURCE_URL = "pipelines.upload: code_source_url", since (2, 17, 1), before IGNORED;
    RUN_PIPELINE_KEY = "runs.list: pipeline_id", since (2, 17, 1), before REFUSED;
}

/// A call that the server is too old for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct OlderServer {
    /// Name of the operation, e.g. `pipelines.update`.
    pub operation: &'static str,
    /// What the server does not know.
    pub feature: Feature,
    /// Its release.
    pub server: ServerVersion,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_as_servers_write_them() {
        for (text, expected) in [
            ("2.17.0", ServerVersion::new(2, 17, 0)),
            ("v2.5", ServerVersion::new(2, 5, 0)),
            (" 1.8.22\n", ServerVersion::new(1, 8, 22)),
            ("2.14.0-rc.1", ServerVersion::new(2, 14, 0)),
        ] {
            assert_eq!(text.parse::<ServerVersion>().unwrap(), expected, "{text}");
        }
        for text in ["", "dev", "2", "2.x.0", "2.17.0.1", "unknown", "99999999.1"] {
            assert!(text.parse::<ServerVersion>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_feature_has_a_name_of_its_own() {
        let mut names: Vec<_> = Feature::ALL.iter().map(|feature| feature.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Feature::ALL.len());
    }
}
