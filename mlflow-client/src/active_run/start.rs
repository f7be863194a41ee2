//! How a run starts.

use std::{ffi::OsString, path::PathBuf};

#[cfg(feature = "system-metrics")]
use super::system_metrics::{Sampler, SystemMetrics};
use super::{ActiveRun, context, git};
use crate::{
    client::Client,
    error::{Error, Result},
    ids::{ExperimentId, RunId},
    runs::{CreateRun, RunStatus, UpdateRun},
    tag::{Tag, tags},
};

/// What a run that is about to start is to be.
///
/// ```
/// use mlflow_client::StartRun;
///
/// let start = StartRun::new("1").run_name("baseline").source_tags().git(".").tag("team", "fraud");
/// # let _ = start;
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct StartRun {
    experiment: Option<ExperimentId>,
    resume: Option<RunId>,
    name: Option<String>,
    parent: Option<RunId>,
    description: Option<String>,
    tags: Vec<Tag>,
    source: Vec<Tag>,
    git: Option<PathBuf>,
    on_drop: RunStatus,
    #[cfg(feature = "system-metrics")]
    system_metrics: Option<SystemMetrics>,
}

impl StartRun {
    /// A run in this experiment.
    pub fn new(experiment: impl Into<ExperimentId>) -> Self {
        Self {
            experiment: Some(experiment.into()),
            ..Self::in_default_experiment()
        }
    }

    /// A run in the experiment that the client's environment names; see [`Client::default_experiment`].
    pub fn in_default_experiment() -> Self {
        Self {
            experiment: None,
            resume: None,
            name: None,
            parent: None,
            description: None,
            tags: Vec::new(),
            source: Vec::new(),
            git: None,
            on_drop: RunStatus::Failed,
            #[cfg(feature = "system-metrics")]
            system_metrics: None,
        }
    }

    /// As the environment says, in the way of MLflow's Python client.
    ///
    /// | Variable | Meaning |
    /// |---|---|
    /// | `MLFLOW_EXPERIMENT_NAME`, `MLFLOW_EXPERIMENT_ID` | see [`Client::default_experiment`] |
    /// | `MLFLOW_RUN_ID` | [`resume`](Self::resume)s that run |
    /// | `MLFLOW_RUN_CONTEXT` | a JSON object of tags |
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] that names the variable.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(&|name: &str| std::env::var_os(name))
    }

    fn from_variables(read: &impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let mut start = Self::in_default_experiment().tags(context::from_variable(read)?);
        if let Some(id) = read("MLFLOW_RUN_ID").filter(|id| !id.is_empty()) {
            let id = id.into_string();
            let id = id.map_err(|_| Error::invalid("MLFLOW_RUN_ID", "the id of a run"))?;
            start = start.resume(id);
        }
        Ok(start)
    }

    /// In this experiment.
    pub fn in_experiment(mut self, experiment: impl Into<ExperimentId>) -> Self {
        self.experiment = Some(experiment.into());
        self
    }

    /// Takes up this run instead of making one: it is `RUNNING` again, and gets the tags given here. Its experiment and parent
    /// stay.
    pub fn resume(mut self, run: impl Into<RunId>) -> Self {
        self.resume = Some(run.into());
        self
    }

    /// Name; the server invents one otherwise.
    pub fn run_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The run that this one is a part of; pages show it below that. See also [`ActiveRun::start_nested`].
    pub fn parent(mut self, run: impl Into<RunId>) -> Self {
        self.parent = Some(run.into());
        self
    }

    /// Description in Markdown.
    pub fn description(mut self, markdown: impl Into<String>) -> Self {
        self.description = Some(markdown.into());
        self
    }

    /// Adds a tag; the last value of a key counts, and goes before what the crate finds out itself.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push(Tag::new(key, value));
        self
    }

    /// Adds tags.
    pub fn tags<T: Into<Tag>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Notes who starts the run (`mlflow.user`, by `MLFLOW_TRACKING_USERNAME` or the login name) and by which program
    /// (`mlflow.source.name`, `mlflow.source.type`).
    pub fn source_tags(mut self) -> Self {
        self.source = context::source(&|name: &str| std::env::var_os(name), std::env::args_os().next());
        self
    }

    /// Notes commit, branch, repository (without credentials) and whether there are uncommitted changes, of the git repository
    /// that `folder` is in. The program `git` is asked, for a few seconds at most; what it does not know is left out.
    pub fn git(mut self, folder: impl Into<PathBuf>) -> Self {
        self.git = Some(folder.into());
        self
    }

    /// The status that the run gets when its value is dropped before it was ended; default [`RunStatus::Failed`].
    pub fn status_on_drop(mut self, status: RunStatus) -> Self {
        self.on_drop = status;
        self
    }

    /// Logs the load of the machine while the run lasts.
    #[cfg(feature = "system-metrics")]
    pub fn system_metrics(mut self, metrics: SystemMetrics) -> Self {
        self.system_metrics = Some(metrics);
        self
    }

    /// All tags, of which the last of a key counts.
    async fn all_tags(&self) -> Vec<Tag> {
        let mut all = self.source.clone();
        if let Some(folder) = &self.git {
            all.extend(git::describe(folder).await);
        }
        let own = [
            (tags::PARENT_RUN_ID, self.parent.as_ref().map(RunId::as_str)),
            (tags::NOTE, self.description.as_deref()),
        ];
        all.extend(own.into_iter().filter_map(|(key, value)| Some(Tag::new(key, value?))));
        all.extend(self.tags.iter().cloned());
        let mut last: Vec<Tag> = Vec::with_capacity(all.len());
        for tag in all {
            last.retain(|other| other.key != tag.key);
            last.push(tag);
        }
        last
    }
}

pub(super) async fn start(client: &Client, start: StartRun) -> Result<ActiveRun> {
    if !start.on_drop.is_final() {
        return Err(Error::invalid("status_on_drop", "`FINISHED`, `FAILED` or `KILLED`"));
    }
    #[cfg(feature = "system-metrics")]
    if let Some(metrics) = &start.system_metrics {
        metrics.check()?;
    }
    let tags = start.all_tags().await;
    let runs = client.runs();
    let resumed = start.resume.is_some();
    let run = if let Some(id) = &start.resume {
        let batch = crate::runs::LogBatch::new().tags(tags);
        let mut update = UpdateRun::new().status(RunStatus::Running);
        if let Some(name) = &start.name {
            update = update.run_name(name);
        }
        runs.update(id, update).await?;
        runs.log_batch(id, &batch).await?;
        runs.get(id).await?
    } else {
        let experiment = match &start.experiment {
            Some(experiment) => experiment.clone(),
            None => client.default_experiment().await?.experiment_id,
        };
        let mut create = CreateRun::new(experiment);
        // As MLflow does it: the user is told twice.
        if let Some(user) = tags.iter().find(|tag| tag.key == tags::USER) {
            create = create.user_id(&user.value);
        }
        if let Some(name) = &start.name {
            create = create.run_name(name);
        }
        for tag in tags {
            create = create.tag(tag.key, tag.value);
        }
        runs.create(create).await?
    };
    #[cfg(feature = "system-metrics")]
    let metrics = start
        .system_metrics
        .map(|metrics| Sampler::start(client, &run, &metrics, resumed));
    #[cfg(not(feature = "system-metrics"))]
    let _ = resumed;
    Ok(ActiveRun {
        client: client.clone(),
        run,
        on_drop: start.on_drop,
        ended: false,
        #[cfg(feature = "system-metrics")]
        metrics,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_value_of_a_tag_counts() {
        let start = StartRun::new("1")
            .parent("p")
            .tag("a", "1")
            .tag("a", "2")
            .tag(tags::SOURCE_NAME, "notebook")
            .source_tags();
        let all = start.all_tags().await;
        let value = |key: &str| {
            let found: Vec<_> = all.iter().filter(|tag| tag.key == key).collect();
            assert_eq!(found.len(), 1, "{key}");
            found[0].value.clone()
        };
        assert_eq!(
            (value("a"), value(tags::SOURCE_NAME)),
            ("2".to_owned(), "notebook".to_owned())
        );
        assert_eq!(value(tags::PARENT_RUN_ID), "p");
        value(tags::USER);
    }

    #[test]
    fn the_environment_may_name_a_run() {
        let start = StartRun::from_variables(&|name: &str| match name {
            "MLFLOW_RUN_ID" => Some("abc".into()),
            "MLFLOW_RUN_CONTEXT" => Some(r#"{"team": "fraud"}"#.into()),
            _ => None,
        });
        let start = start.unwrap();
        assert_eq!(start.resume, Some(RunId::new("abc")));
        assert_eq!(start.tags, [Tag::new("team", "fraud")]);
    }
}
