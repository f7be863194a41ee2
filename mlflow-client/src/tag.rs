//! Tags, and the names that MLflow itself gives to some of them.

use serde::{Deserialize, Serialize};

/// A name and a text, on experiments, runs, datasets and in the registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tag {
    /// Name.
    #[serde(default)]
    pub key: String,
    /// Text; may be empty.
    #[serde(default)]
    pub value: String,
}

impl Tag {
    /// A tag.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
        }
    }
}

impl<K: Into<String>, V: Into<String>> From<(K, V)> for Tag {
    fn from((key, value): (K, V)) -> Self {
        Self::new(key, value)
    }
}

/// Names of tags that MLflow's own programs and pages know.
pub mod tags {
    /// Name of the run, as pages show it; the server keeps it equal to the run's name.
    pub const RUN_NAME: &str = "mlflow.runName";
    /// Description in Markdown, of a run or an experiment.
    pub const NOTE: &str = "mlflow.note.content";
    /// Id of the run that this run is a part of.
    pub const PARENT_RUN_ID: &str = "mlflow.parentRunId";
    /// Who started the run.
    pub const USER: &str = "mlflow.user";
    /// What was run.
    pub const SOURCE_NAME: &str = "mlflow.source.name";
    /// `JOB`, `PROJECT`, `LOCAL`, `NOTEBOOK` or `UNKNOWN`.
    pub const SOURCE_TYPE: &str = "mlflow.source.type";
    /// Commit of the code.
    pub const GIT_COMMIT: &str = "mlflow.source.git.commit";
    /// Branch of the code.
    pub const GIT_BRANCH: &str = "mlflow.source.git.branch";
    /// Repository of the code.
    pub const GIT_REPOSITORY_URL: &str = "mlflow.source.git.repoURL";
    /// `true` or `false`: whether the code had changes that were not committed.
    pub const GIT_DIRTY: &str = "mlflow.source.git.dirty";
    /// Entry point of the `MLproject` file.
    pub const PROJECT_ENTRY_POINT: &str = "mlflow.project.entryPoint";
    /// Image in which the run took place.
    pub const DOCKER_IMAGE_URI: &str = "mlflow.docker.image.uri";
    /// `true` on a registered model, and its versions, that are prompts.
    pub const IS_PROMPT: &str = "mlflow.prompt.is_prompt";
    /// Text of a version of a prompt.
    pub const PROMPT_TEXT: &str = "mlflow.prompt.text";
    /// JSON list of the models that were logged in the manner of MLflow 2.
    pub const LOGGED_MODEL_HISTORY: &str = "mlflow.log-model.history";
    /// What a dataset was used for, e.g. `training`; a tag of a run's input.
    pub const DATASET_CONTEXT: &str = "mlflow.data.context";
}
