//! What an installation fixes for all runs.

use std::time::Duration;

use crate::{Resources, SecretRef};

/// Where steps find the objects of dataset versions: a DVC remote or cache on a shared volume.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatasetStore {
    /// Claim of the volume; `None` if the path is there without mounting, as for local processes.
    pub claim: Option<String>,
    /// Absolute path at which steps see it.
    pub path: String,
}

impl DatasetStore {
    /// The volume `claim`, mounted at `path`.
    pub fn volume(claim: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            claim: Some(claim.into()),
            path: path.into(),
        }
    }

    /// A folder that every step sees anyway.
    pub fn folder(path: impl Into<String>) -> Self {
        Self {
            claim: None,
            path: path.into(),
        }
    }
}

/// Settings of an installation: what the requests of data scientists do not say.
///
/// ```
/// use orchestrator_core::{DatasetStore, Settings};
///
/// let settings = Settings::default().dataset_store(DatasetStore::volume("datasets", "/mnt/datasets"));
/// assert!(!settings.allow_local_repositories);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Image of every standard step: Python 3.9 or later and git. Default `python:3.12`.
    pub image: String,
    /// The Python interpreter in that image. Default `python3`.
    pub python: String,
    /// Where dataset versions are. Default: the volume `datasets` at `/mnt/datasets`.
    pub dataset_store: DatasetStore,
    /// Token with which steps read private repositories over https; offered to git as HTTP header.
    pub git_token: Option<SecretRef>,
    /// Token with which steps reach the tracking server.
    pub tracking_token: Option<SecretRef>,
    /// What the steps `train` and `evaluate` may use.
    pub resources: Resources,
    /// Longest time of one attempt of the steps that run the repository's own code. Default 6 hours.
    pub work_timeout: Duration,
    /// Longest time of one attempt of all other steps. Default 30 minutes.
    pub step_timeout: Duration,
    /// How often steps that only fetch or record are started again. Default 2.
    pub retries: u32,
    /// Longest time a run is followed; it is cancelled afterwards. Default 24 hours.
    pub run_timeout: Duration,
    /// Longest time an engine may be out of reach before a run is no longer followed. Default 1 hour.
    pub outage_limit: Duration,
    /// Longest time for which the end of a run is offered to a tracker that is out of reach. Default 1 minute.
    pub tracking_limit: Duration,
    /// Longest time in which the HTTP router reads the body of one request. Default 30 seconds.
    pub body_timeout: Duration,
    /// Time between two looks at a run. Default 2 seconds.
    pub poll_interval: Duration,
    /// Whether requests may name `file:///` repositories. Default no; for steps that run on this machine.
    pub allow_local_repositories: bool,
    /// Alias of the model version in use. Default `champion`.
    pub champion_alias: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            image: "python:3.12".to_owned(),
            python: "python3".to_owned(),
            dataset_store: DatasetStore::volume("datasets", "/mnt/datasets"),
            git_token: None,
            tracking_token: None,
            resources: Resources::default(),
            work_timeout: Duration::from_secs(6 * 3600),
            step_timeout: Duration::from_secs(1800),
            retries: 2,
            run_timeout: Duration::from_secs(24 * 3600),
            outage_limit: Duration::from_secs(3600),
            tracking_limit: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
            poll_interval: Duration::from_secs(2),
            allow_local_repositories: false,
            champion_alias: "champion".to_owned(),
        }
    }
}

impl Settings {
    /// Sets where dataset versions are.
    #[must_use]
    pub fn dataset_store(mut self, store: DatasetStore) -> Self {
        self.dataset_store = store;
        self
    }

    /// Sets the image of the standard steps.
    #[must_use]
    pub fn image(mut self, image: impl Into<String>) -> Self {
        self.image = image.into();
        self
    }

    /// Sets the time between two looks at a run.
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Sets the longest time a run is followed.
    #[must_use]
    pub fn run_timeout(mut self, timeout: Duration) -> Self {
        self.run_timeout = timeout;
        self
    }

    /// Sets the longest time an engine may be out of reach before a run is no longer followed.
    #[must_use]
    pub fn outage_limit(mut self, limit: Duration) -> Self {
        self.outage_limit = limit;
        self
    }

    /// Sets the longest time for which the end of a run is offered to a tracker that is out of reach.
    #[must_use]
    pub fn tracking_limit(mut self, limit: Duration) -> Self {
        self.tracking_limit = limit;
        self
    }

    /// Sets the longest time in which the HTTP router reads the body of one request.
    #[must_use]
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// Sets how often steps that only fetch or record are started again.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Admits `file:///` repositories.
    #[must_use]
    pub fn allow_local_repositories(mut self, allow: bool) -> Self {
        self.allow_local_repositories = allow;
        self
    }

    /// Sets the secret with which steps read private repositories.
    #[must_use]
    pub fn git_token(mut self, secret: SecretRef) -> Self {
        self.git_token = Some(secret);
        self
    }

    /// Sets the secret with which steps reach the tracking server.
    #[must_use]
    pub fn tracking_token(mut self, secret: SecretRef) -> Self {
        self.tracking_token = Some(secret);
        self
    }

    /// Sets what the steps that run the repository's own code may use.
    #[must_use]
    pub fn resources(mut self, resources: Resources) -> Self {
        self.resources = resources;
        self
    }
}
