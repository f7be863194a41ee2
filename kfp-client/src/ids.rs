//! Identifiers: one type each, so that a pipeline's id is never passed where a run's is due.

use std::{convert::Infallible, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! id_type {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl crate::message::Plain for $name {}

        impl $name {
            /// Takes the text as it is. What the server could not find again by its path (empty, with `/` or `:`)
            /// is refused when the id is used.
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether the server sent none.
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id)
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = Infallible;

            fn from_str(id: &str) -> Result<Self, Infallible> {
                Ok(Self(id.to_owned()))
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

id_type! {
    /// Id of an experiment; made by the server.
    ExperimentId
}
id_type! {
    /// Id of a pipeline; made by the server.
    PipelineId
}
id_type! {
    /// Id of one version of a pipeline; made by the server.
    PipelineVersionId
}
id_type! {
    /// Id of a run: at most 191 characters, chosen by this client (a UUID) when the run is created.
    RunId
}
id_type! {
    /// Id of a recurring run: the UID of its Kubernetes resource.
    RecurringRunId
}
id_type! {
    /// Id of a job, which is what `v1beta1` calls a recurring run: the UID of its Kubernetes resource.
    JobId
}
id_type! {
    /// Id of a task that a step recorded for the cache; made by the server.
    TaskId
}

impl From<RecurringRunId> for JobId {
    fn from(id: RecurringRunId) -> Self {
        Self(id.0)
    }
}

impl From<JobId> for RecurringRunId {
    fn from(id: JobId) -> Self {
        Self(id.0)
    }
}

impl RunId {
    /// A new random id (UUID version 4).
    pub fn random() -> Self {
        Self(crate::random::uuid().to_string())
    }
}

impl From<uuid::Uuid> for RunId {
    fn from(id: uuid::Uuid) -> Self {
        Self(id.to_string())
    }
}
