//! Experiments: named collections of runs.

use futures_core::Stream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    client::Client,
    endpoint::Call,
    error::{Error, Result},
    filter::{self, Filter, OrderBy, ViewType},
    http::found,
    ids::ExperimentId,
    limits,
    page::{self, Page},
    tag::Tag,
    version::ServerVersion,
    wire::{self, wire_enum},
};

wire_enum! {
    /// Whether a thing is deleted. Deleted things can still be read, and restored.
    #[derive(Default)]
    pub enum LifecycleStage {
        /// In use.
        #[default]
        Active = "active",
        /// Deleted; nothing can be written to it.
        Deleted = "deleted",
    }
}

/// An experiment.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Experiment {
    /// Id.
    pub experiment_id: ExperimentId,
    /// Name; unique among deleted experiments too.
    #[serde(default)]
    pub name: String,
    /// Where its runs keep their artifacts, e.g. `mlflow-artifacts:/1`.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub artifact_location: String,
    /// Whether it is deleted.
    #[serde(default)]
    pub lifecycle_stage: LifecycleStage,
    /// When it was made.
    #[serde(default, with = "wire::millis")]
    pub creation_time: Option<Timestamp>,
    /// When it was last changed.
    #[serde(default, with = "wire::millis")]
    pub last_update_time: Option<Timestamp>,
    /// Tags, in no particular order.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub tags: Vec<Tag>,
    /// Its workspace; late versions 3 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// For how long its traces stay before they are moved away; late versions 3 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_trace_archival_retention: Option<String>,
}

/// A dataset that runs of an experiment used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[non_exhaustive]
pub struct DatasetSummary {
    /// The experiment.
    pub experiment_id: ExperimentId,
    /// Name of the dataset.
    #[serde(default)]
    pub name: String,
    /// Its digest.
    #[serde(default)]
    pub digest: String,
    /// What it was used for, if that was said.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub context: String,
}

impl Experiment {
    /// The value of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags
            .iter()
            .find(|tag| tag.key == key)
            .map(|tag| tag.value.as_str())
    }
}

/// What a new experiment is to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[must_use]
pub struct CreateExperiment {
    /// Name, 1 to 500 characters.
    pub name: String,
    /// Where its runs keep their artifacts; the server's choice if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub artifact_location: String,
    /// Tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

impl CreateExperiment {
    /// An experiment with this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            artifact_location: String::new(),
            tags: Vec::new(),
        }
    }

    /// Where its runs keep their artifacts.
    pub fn artifact_location(mut self, uri: impl Into<String>) -> Self {
        self.artifact_location = uri.into();
        self
    }

    /// Adds a tag.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push(Tag::new(key, value));
        self
    }
}

impl<T: Into<String>> From<T> for CreateExperiment {
    fn from(name: T) -> Self {
        Self::new(name)
    }
}

/// Which experiments to list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[must_use]
pub struct SearchExperiments {
    /// Condition; all if empty. See [`ExperimentKey`](crate::ExperimentKey).
    #[serde(skip_serializing_if = "Filter::is_empty")]
    pub filter: Filter<Experiment>,
    /// Order; the newest first if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub order_by: Vec<OrderBy<Experiment>>,
    /// Whether deleted ones are listed.
    pub view_type: ViewType,
    /// Size of a page, 1 to 50 000; default 1000.
    pub max_results: u32,
    /// Token of an earlier page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}

impl Default for SearchExperiments {
    fn default() -> Self {
        Self {
            filter: Filter::new(),
            order_by: Vec::new(),
            view_type: ViewType::default(),
            max_results: 1000,
            page_token: None,
        }
    }
}

impl SearchExperiments {
    /// All that are not deleted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Condition, e.g. `ExperimentKey::name().like("team-a/%")`, or a text in MLflow's search language.
    pub fn filter(mut self, filter: impl Into<Filter<Experiment>>) -> Self {
        self.filter = filter.into();
        self
    }

    /// Adds a key to order by, e.g. `ExperimentKey::creation_time().descending()`.
    pub fn order_by(mut self, order: impl Into<OrderBy<Experiment>>) -> Self {
        self.order_by.push(order.into());
        self
    }

    /// Whether deleted ones are listed.
    pub fn view_type(mut self, view_type: ViewType) -> Self {
        self.view_type = view_type;
        self
    }

    /// Size of a page, 1 to 50 000.
    pub fn max_results(mut self, max_results: u32) -> Self {
        self.max_results = max_results;
        self
    }

    /// Token of an earlier page.
    pub fn page_token(mut self, token: impl Into<String>) -> Self {
        self.page_token = Some(token.into());
        self
    }
}

/// Operations on experiments; see [`Client::experiments`].
#[derive(Debug, Clone)]
pub struct Experiments {
    client: Client,
}

#[derive(Deserialize)]
struct Summaries {
    #[serde(default)]
    dataset_summaries: Vec<DatasetSummary>,
}

#[derive(Deserialize)]
struct OneExperiment {
    experiment: Experiment,
}

#[derive(Deserialize)]
struct Created {
    experiment_id: ExperimentId,
}

#[derive(Deserialize)]
struct ManyExperiments {
    #[serde(default)]
    experiments: Vec<Experiment>,
    next_page_token: Option<String>,
}

impl Experiments {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Makes an experiment. [`Error::AlreadyExists`] if the name is taken, by a deleted experiment too.
    pub async fn create(&self, experiment: impl Into<CreateExperiment>) -> Result<ExperimentId> {
        let experiment = experiment.into();
        limits::experiment_name(&experiment.name)?;
        for tag in &experiment.tags {
            limits::experiment_tag(&tag.key, &tag.value)?;
        }
        let call = self
            .client
            .post("experiments.create", "experiments/create", &experiment)?;
        Ok(self.client.inner.json::<Created>(&call).await?.experiment_id)
    }

    /// The experiment with this id, also a deleted one.
    pub async fn get(&self, id: impl Into<ExperimentId>) -> Result<Experiment> {
        let id = id.into();
        limits::id("experiment_id", id.as_str())?;
        let call = self
            .client
            .get("experiments.get", "experiments/get")?
            .query("experiment_id", id.as_str());
        Ok(self.client.inner.json::<OneExperiment>(&call).await?.experiment)
    }

    /// The experiment with this name, also a deleted one; `None` if there is none.
    pub async fn get_by_name(&self, name: &str) -> Result<Option<Experiment>> {
        limits::experiment_name(name)?;
        let call = self
            .client
            .get("experiments.get_by_name", "experiments/get-by-name")?
            .query("experiment_name", name);
        Ok(found(self.client.inner.json::<OneExperiment>(&call).await)?.map(|answer| answer.experiment))
    }

    /// The experiment with this name, made if there is none. Safe when several callers do the same at once.
    ///
    /// [`Error::AlreadyExists`] if it is deleted: it can be restored, with all its runs, or another name chosen.
    pub async fn get_or_create(&self, name: &str) -> Result<Experiment> {
        if let Some(experiment) = self.get_by_name(name).await? {
            return usable(&self.client, experiment);
        }
        let lost_race = match self.create(name).await {
            Ok(id) => return self.get(id).await,
            Err(Error::AlreadyExists(context)) => Error::AlreadyExists(context),
            Err(error) => return Err(error),
        };
        match self.get_by_name(name).await? {
            Some(experiment) => usable(&self.client, experiment),
            None => Err(lost_race),
        }
    }

    /// One page of experiments.
    pub async fn search(&self, search: SearchExperiments) -> Result<Page<Experiment>> {
        limits::page_size("max_results", Some(search.max_results), 50_000)?;
        filter::check(&search.filter, &search.order_by)?;
        let call = self
            .client
            .post("experiments.search", "experiments/search", &search)?
            .read_only();
        let answer: ManyExperiments = self.client.inner.json(&call).await?;
        Ok(Page::new(answer.experiments, answer.next_page_token))
    }

    /// All experiments of a search, page by page as they are needed.
    pub fn search_all(&self, search: SearchExperiments) -> impl Stream<Item = Result<Experiment>> + Send + use<> {
        let this = self.clone();
        page::all(search.page_token.clone(), move |page_token| {
            let (this, search) = (
                this.clone(),
                SearchExperiments {
                    page_token,
                    ..search.clone()
                },
            );
            async move { this.search(search).await }
        })
    }

    /// Gives an experiment another name. Fails for a deleted one.
    pub async fn update(&self, id: impl Into<ExperimentId>, new_name: &str) -> Result<()> {
        let id = id.into();
        limits::id("experiment_id", id.as_str())?;
        limits::experiment_name(new_name)?;
        let body = json!({"experiment_id": id, "new_name": new_name});
        let call = self
            .client
            .post("experiments.update", "experiments/update", &body)?
            .idempotent();
        self.client.inner.done(&call).await
    }

    /// Deletes an experiment and its runs; [`Error::NotFound`] if that was done already.
    pub async fn delete(&self, id: impl Into<ExperimentId>) -> Result<()> {
        self.change("experiments.delete", "experiments/delete", &id.into())
            .await
    }

    /// Brings a deleted experiment and its runs back; [`Error::NotFound`] if it is not deleted.
    pub async fn restore(&self, id: impl Into<ExperimentId>) -> Result<()> {
        self.change("experiments.restore", "experiments/restore", &id.into())
            .await
    }

    async fn change(&self, operation: &'static str, path: &str, id: &ExperimentId) -> Result<()> {
        limits::id("experiment_id", id.as_str())?;
        let call = self.client.post(operation, path, &json!({"experiment_id": id}))?;
        self.client.inner.done(&call).await
    }

    /// Sets a tag; value at most 20 000 characters.
    pub async fn set_tag(&self, id: impl Into<ExperimentId>, key: &str, value: &str) -> Result<()> {
        let id = id.into();
        limits::id("experiment_id", id.as_str())?;
        limits::experiment_tag(key, value)?;
        let body = json!({"experiment_id": id, "key": key, "value": value});
        let call = self
            .client
            .post("experiments.set_tag", "experiments/set-experiment-tag", &body)?
            .idempotent();
        self.client.inner.done(&call).await
    }

    /// Deletes a tag; [`Error::NotFound`] if there is none. Since MLflow 3.
    pub async fn delete_tag(&self, id: impl Into<ExperimentId>, key: &str) -> Result<()> {
        let id = id.into();
        limits::id("experiment_id", id.as_str())?;
        limits::key("key", key)?;
        let body = json!({"experiment_id": id, "key": key});
        let call = self
            .client
            .post("experiments.delete_tag", "experiments/delete-experiment-tag", &body)?;
        self.client.since(call.operation, ServerVersion::V3)?;
        let result = self.client.inner.done(&call).await;
        self.client.explain(call.operation, ServerVersion::V3, result).await
    }

    /// The datasets that runs of these experiments used; at most 20 experiments at once.
    pub async fn search_datasets<T: Into<ExperimentId>>(
        &self,
        ids: impl IntoIterator<Item = T>,
    ) -> Result<Vec<DatasetSummary>> {
        let ids: Vec<ExperimentId> = ids.into_iter().map(Into::into).collect();
        if ids.is_empty() || ids.len() > 20 {
            return Err(Error::invalid("experiment_ids", "1 to 20 experiments"));
        }
        for id in &ids {
            limits::id("experiment_ids", id.as_str())?;
        }
        // The only route of these that has no form below `/api` (MLflow 3.17).
        let path = ["ajax-api", "2.0", "mlflow", "experiments", "search-datasets"];
        let call = Call::new(
            "experiments.search_datasets",
            http::Method::POST,
            &self.client.inner.base,
            path,
        )?
        .json(&json!({"experiment_ids": ids}))?
        .read_only();
        Ok(self.client.inner.json::<Summaries>(&call).await?.dataset_summaries)
    }
}

fn usable(client: &Client, experiment: Experiment) -> Result<Experiment> {
    if experiment.lifecycle_stage != LifecycleStage::Deleted {
        return Ok(experiment);
    }
    let call = client.get("experiments.get_or_create", "experiments/get-by-name")?;
    let message = format!(
        "experiment {} has this name and is deleted; restore it or choose another name",
        experiment.experiment_id
    );
    Err(Error::AlreadyExists(crate::http::context(&call, message)))
}
