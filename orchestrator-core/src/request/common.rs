//! The part that all requests share: which code, which data, how divided, for whom.

use std::collections::BTreeMap;

use crate::field::{Problems, pointer_segment};
use crate::{GitRepository, GitSha, Settings, TrainSplit};

/// Names that the orchestrator gives to entry points; see the contract of model repositories.
const RESERVED_PARAMETERS: [&str; 7] = [
    "train_data",
    "test_data",
    "model_dir",
    "metrics_file",
    "model_name",
    "model_version",
    "seed",
];

/// Longest value of a parameter: what MLflow keeps without cutting it (2.x and 3.x).
const LONGEST_PARAMETER: usize = 6000;

/// Fields of every request, as the caller gave them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Common {
    pub(crate) git_repository: String,
    pub(crate) git_sha: String,
    pub(crate) dataset_version: String,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) train_split: Option<f64>,
    pub(crate) seed: u32,
    pub(crate) namespace: Option<String>,
    pub(crate) experiment: Option<String>,
    pub(crate) model_name: Option<String>,
}

/// The same fields, checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ValidCommon {
    pub(crate) git_repository: GitRepository,
    pub(crate) git_sha: GitSha,
    pub(crate) dataset_version: String,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) split: TrainSplit,
    pub(crate) namespace: Option<String>,
    pub(crate) experiment: String,
    pub(crate) model_name: String,
}

impl Common {
    pub(crate) fn new(git_repository: impl Into<String>, git_sha: impl Into<String>) -> Self {
        Self {
            git_repository: git_repository.into(),
            git_sha: git_sha.into(),
            ..Self::default()
        }
    }

    /// Checks every field; what is wrong goes into `problems`, all of it.
    pub(crate) fn validate(&self, settings: &Settings, problems: &mut Problems) -> Option<ValidCommon> {
        let git_repository = problems.check(
            "/git_repository",
            GitRepository::parse(&self.git_repository, settings.allow_local_repositories),
        );
        let git_sha = problems.check("/git_sha", GitSha::parse(&self.git_sha));
        let dataset_version = problems.check("/dataset_version", dataset_version(&self.dataset_version));
        for (name, value) in &self.environment {
            if let Err(detail) = environment_entry(name, value) {
                problems.add(format!("/environment/{}", pointer_segment(name)), detail);
            }
        }
        for (name, value) in &self.parameters {
            if let Err(detail) = parameter(name, value) {
                problems.add(format!("/parameters/{}", pointer_segment(name)), detail);
            }
        }
        let split = problems.check(
            "/train_split",
            TrainSplit::new(self.train_split.unwrap_or(0.8), self.seed),
        );
        if let Some(namespace) = &self.namespace {
            problems.check("/namespace", namespace_name(namespace));
        }
        let model_name = match (&self.model_name, &git_repository) {
            (Some(name), _) => problems.check("/model_name", model_name(name)),
            // The repository's own fault is reported at its own field.
            (None, None) => None,
            (None, Some(repository)) => problems.check("/model_name", model_name(repository.short_name())),
        };
        let experiment = match (&self.experiment, &model_name) {
            (Some(name), _) => problems.check("/experiment", experiment_name(name)),
            (None, name) => name.clone(),
        };
        Some(ValidCommon {
            git_repository: git_repository?,
            git_sha: git_sha?,
            dataset_version: dataset_version?,
            environment: self.environment.clone(),
            parameters: self.parameters.clone(),
            split: split?,
            namespace: self.namespace.clone(),
            experiment: experiment?,
            model_name: model_name?,
        })
    }
}

fn dataset_version(text: &str) -> Result<String, String> {
    const ALLOWED: &str =
        "give 1 to 100 letters, digits, '.', '_' and '-', beginning with a letter or digit, for instance v1";
    if text.is_empty() {
        return Err(format!("is required: {ALLOWED}"));
    }
    let good = text.len() <= 100
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!("is not the name of a dataset version: {ALLOWED}"))
    }
}

fn environment_entry(name: &str, value: &str) -> Result<(), String> {
    let good = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !good || name.len() > 255 {
        return Err(
            "is not the name of an environment variable: use letters, digits and '_', not beginning with a digit"
                .to_owned(),
        );
    }
    if name.starts_with("MLFLOW_") || name == "GIT_TOKEN" || name == "PATH" {
        return Err("is set by the orchestrator and cannot be changed".to_owned());
    }
    if value.contains('\0') {
        return Err("holds a NUL character, which no environment variable can".to_owned());
    }
    if value.len() > 32 * 1024 {
        return Err("is longer than 32768 bytes".to_owned());
    }
    Ok(())
}

fn parameter(name: &str, value: &str) -> Result<(), String> {
    let good = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
        && name.len() <= 200;
    if !good {
        return Err(
            "is not the name of a parameter: use up to 200 letters, digits, '_', '-' and '.', beginning with a letter"
                .to_owned(),
        );
    }
    if RESERVED_PARAMETERS.contains(&name) {
        return Err(if name == "seed" {
            "is a field of the request itself: set seed there".to_owned()
        } else {
            "is given to the entry point by the orchestrator and cannot be set".to_owned()
        });
    }
    if value.chars().count() > LONGEST_PARAMETER {
        return Err(format!(
            "is longer than {LONGEST_PARAMETER} characters, more than the tracking server keeps"
        ));
    }
    if value.contains('\0') {
        return Err("holds a NUL character, which no command line can".to_owned());
    }
    Ok(())
}

pub(crate) fn namespace_name(text: &str) -> Result<(), String> {
    let good = !text.is_empty()
        && text.len() <= 63
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if good {
        Ok(())
    } else {
        Err("is not a namespace: use 1 to 63 lower-case letters, digits and '-', not at the ends".to_owned())
    }
}

pub(super) fn model_name(text: &str) -> Result<String, String> {
    let good = !text.trim().is_empty()
        && text.len() <= 250
        && !matches!(text, "." | "..")
        && !text.starts_with('-')
        && !text.chars().any(|c| c.is_control() || "/:\\".contains(c));
    if good {
        Ok(text.to_owned())
    } else {
        Err("is not the name of a registered model: use 1 to 250 characters without '/', ':', '\\' and control characters, not beginning with '-'"
            .to_owned())
    }
}

fn experiment_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().count() > 128 || text.chars().any(char::is_control) {
        return Err(
            "is not the name of an experiment: use 1 to 128 characters, none of them control characters".to_owned(),
        );
    }
    Ok(text.to_owned())
}

/// Setters that every request has. One list, so that the three requests cannot drift apart.
macro_rules! common_setters {
    () => {
        /// Sets the dataset version, as the model repository names it. Required.
        #[must_use]
        pub fn dataset_version(mut self, version: impl Into<String>) -> Self {
            self.common.dataset_version = version.into();
            self
        }

        /// Adds an environment variable for the repository's own code. Its value is never recorded, its name is.
        #[must_use]
        pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.common.environment.insert(name.into(), value.into());
            self
        }

        /// Adds a parameter for the repository's entry point. It is recorded.
        #[must_use]
        pub fn param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.common.parameters.insert(name.into(), value.into());
            self
        }

        /// Sets the share of rows used for training, strictly between 0 and 1. Default 0.8.
        #[must_use]
        pub fn split(mut self, train: f64) -> Self {
            self.common.train_split = Some(train);
            self
        }

        /// Sets the seed of the split and of the training. Default 0.
        #[must_use]
        pub fn seed(mut self, seed: u32) -> Self {
            self.common.seed = seed;
            self
        }

        /// Sets the namespace in which the run lives. Default: the engine's.
        #[must_use]
        pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
            self.common.namespace = Some(namespace.into());
            self
        }

        /// Sets the experiment under which the run is recorded. Default: the model's name.
        #[must_use]
        pub fn experiment(mut self, name: impl Into<String>) -> Self {
            self.common.experiment = Some(name.into());
            self
        }
    };
}
pub(crate) use common_setters;
