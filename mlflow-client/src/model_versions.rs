//! Versions of registered models.

use futures_core::Stream;
use http::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    client::Client,
    error::{Error, Result},
    filter::{Filter, ModelVersionKey, OrderBy},
    http::found,
    ids::{LoggedModelId, RunId, VersionNumber},
    limits,
    metric::ModelMetric,
    page::{self, Page},
    tag::Tag,
    version::ServerVersion,
    wire::{self, wire_enum},
};

wire_enum! {
    /// Whether a version can be used.
    #[derive(Default)]
    pub enum ModelVersionStatus {
        /// Being registered.
        PendingRegistration = "PENDING_REGISTRATION",
        /// Its registration failed.
        FailedRegistration = "FAILED_REGISTRATION",
        /// Can be used.
        #[default]
        Ready = "READY",
    }
}

wire_enum! {
    /// What a version is for. Aliases have taken the place of stages, which MLflow calls deprecated.
    #[derive(Default)]
    pub enum Stage {
        /// Nothing yet.
        #[default]
        None = "None",
        /// Being tried.
        Staging = "Staging",
        /// In use.
        Production = "Production",
        /// No more in use.
        Archived = "Archived",
    }
}

/// One version of a registered model.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct ModelVersion {
    /// Name of the registered model.
    pub name: String,
    /// Its number.
    pub version: VersionNumber,
    /// When it was made.
    #[serde(default, with = "wire::millis", rename = "creation_timestamp")]
    pub created_at: Option<Timestamp>,
    /// When it was changed last.
    #[serde(default, with = "wire::millis", rename = "last_updated_timestamp")]
    pub updated_at: Option<Timestamp>,
    /// Its stage. Aliases have taken the place of stages.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub current_stage: Stage,
    /// Free text.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub description: String,
    /// Where its files are, as it was given.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub source: String,
    /// Run that made it; empty if unknown.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub run_id: RunId,
    /// Whether it can be used.
    #[serde(default)]
    pub status: ModelVersionStatus,
    /// Its tags.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub tags: Vec<Tag>,
    /// Aliases that point at it. Left out where the version is a part of its registered model.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub aliases: Vec<String>,
    /// Who made it; hosted servers only.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub user_id: String,
    /// More about its status.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub status_message: String,
    /// Address of a page about the run that made it, where the run is on another server.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub run_link: String,
    /// The logged model that it is; hosted servers only. Others tell it by [`source`](Self::source), `models:/m-…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<LoggedModelId>,
    /// Parameters of that model; hosted servers only.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub model_params: Vec<ModelParam>,
    /// Metrics of that model; hosted servers only.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub model_metrics: Vec<ModelMetric>,
    /// How the job that deploys it is, as the server writes it; hosted servers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_job_state: Option<serde_json::Value>,
}

/// A parameter of the logged model that became a version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[non_exhaustive]
pub struct ModelParam {
    /// Name.
    #[serde(default)]
    pub name: String,
    /// Text.
    #[serde(default)]
    pub value: String,
}

impl ModelVersion {
    /// The value of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags
            .iter()
            .find(|tag| tag.key == key)
            .map(|tag| tag.value.as_str())
    }
}

/// A version to be made.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CreateModelVersion {
    /// Name of the registered model, which must be there.
    pub name: String,
    /// Where its files are, e.g. `runs:/<run id>/model`. From MLflow 3 on the run must be named as well and be that one.
    pub source: String,
    /// Run that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// Tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// Free text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Address of a page about the run that made it, where the run is on another server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_link: Option<String>,
    /// The logged model that it is. Since MLflow 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<LoggedModelId>,
}

impl CreateModelVersion {
    /// A version of the model `name` with the files at `source`.
    pub fn new(name: impl Into<String>, source: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            source: source.into(),
            run_id: None,
            tags: Vec::new(),
            description: String::new(),
            run_link: None,
            model_id: None,
        }
    }

    /// A version of the model `name` with the files of a run below `path`.
    pub fn of_run(name: impl Into<String>, run_id: impl Into<RunId>, path: &str) -> Self {
        let run_id = run_id.into();
        let source = format!("runs:/{run_id}/{path}");
        Self {
            run_id: Some(run_id),
            ..Self::new(name, source)
        }
    }

    /// A version of the model `name` that is a logged model; its run is taken from there. Since MLflow 3.
    pub fn of_logged_model(name: impl Into<String>, model_id: impl Into<LoggedModelId>) -> Self {
        let model_id = model_id.into();
        let source = format!("models:/{model_id}");
        Self {
            model_id: Some(model_id),
            ..Self::new(name, source)
        }
    }

    /// Sets the logged model that it is. Since MLflow 3.
    #[must_use]
    pub fn model_id(mut self, model_id: impl Into<LoggedModelId>) -> Self {
        self.model_id = Some(model_id.into());
        self
    }

    /// Sets the address of a page about the run.
    #[must_use]
    pub fn run_link(mut self, url: impl Into<String>) -> Self {
        self.run_link = Some(url.into());
        self
    }

    /// Sets the run that made it.
    #[must_use]
    pub fn run_id(mut self, run_id: impl Into<RunId>) -> Self {
        self.run_id = Some(run_id.into());
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push(Tag::new(key, value));
        self
    }

    /// Sets the free text.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }
}

/// A search of versions.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct SearchModelVersions {
    /// Condition; all if empty. See [`ModelVersionKey`](crate::ModelVersionKey).
    pub filter: Filter<ModelVersion>,
    /// Order; what was changed last comes first if empty.
    pub order_by: Vec<OrderBy<ModelVersion>>,
    /// Most versions on a page, 1 to 200 000; the server's default is 10 000.
    pub max_results: Option<u32>,
    /// Where to go on.
    pub page_token: Option<String>,
}

impl SearchModelVersions {
    /// All versions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the filter: a condition, or a text in MLflow's search language.
    #[must_use]
    pub fn filter(mut self, filter: impl Into<Filter<ModelVersion>>) -> Self {
        self.filter = filter.into();
        self
    }

    /// Adds a criterion of order.
    #[must_use]
    pub fn order_by(mut self, order: impl Into<OrderBy<ModelVersion>>) -> Self {
        self.order_by.push(order.into());
        self
    }

    /// Sets how many versions are on a page.
    #[must_use]
    pub fn max_results(mut self, most: u32) -> Self {
        self.max_results = Some(most);
        self
    }

    /// Goes on where a page ended.
    #[must_use]
    pub fn page_token(mut self, token: impl Into<String>) -> Self {
        self.page_token = Some(token.into());
        self
    }
}

/// Operations on versions of registered models; see [`Client::model_versions`].
#[derive(Debug, Clone)]
pub struct ModelVersions {
    client: Client,
}

#[derive(Deserialize)]
pub(crate) struct OneVersion {
    pub(crate) model_version: ModelVersion,
}

#[derive(Deserialize)]
pub(crate) struct ManyVersions {
    #[serde(default)]
    pub(crate) model_versions: Vec<ModelVersion>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct DownloadUri {
    artifact_uri: String,
}

impl ModelVersions {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Makes a version. Every call makes a new one, so a call whose answer was lost must be looked up
    /// (by [`search`](Self::search) for the run) before it is sent again; this client never sends it twice.
    pub async fn create(&self, version: CreateModelVersion) -> Result<ModelVersion> {
        limits::model_name(&version.name)?;
        for tag in &version.tags {
            limits::registry_tag(&tag.key, &tag.value)?;
        }
        if version.source.is_empty() {
            return Err(Error::invalid(
                "source",
                "where the files are, e.g. `runs:/<run id>/model`",
            ));
        }
        if version.model_id.is_some() {
            // An older server would ignore it.
            self.client
                .surely_since("model_versions.create", ServerVersion::V3)
                .await?;
        }
        let call = self
            .client
            .post("model_versions.create", "model-versions/create", &version)?;
        Ok(self.client.inner.json::<OneVersion>(&call).await?.model_version)
    }

    /// A version.
    pub async fn get(&self, name: &str, version: impl Into<VersionNumber>) -> Result<ModelVersion> {
        limits::model_name(name)?;
        let call = self.client.get("model_versions.get", "model-versions/get")?;
        let call = call.query("name", name).query("version", &version.into().to_string());
        Ok(self.client.inner.json::<OneVersion>(&call).await?.model_version)
    }

    /// A version; `None` if there is none.
    pub async fn get_opt(&self, name: &str, version: impl Into<VersionNumber>) -> Result<Option<ModelVersion>> {
        found(self.get(name, version).await)
    }

    /// The version with the highest number; `None` if the model has none or is not there.
    pub async fn newest(&self, name: &str) -> Result<Option<ModelVersion>> {
        limits::model_name(name)?;
        let search = SearchModelVersions::new()
            .filter(ModelVersionKey::name().equals(name))
            .order_by(ModelVersionKey::version_number().descending())
            .max_results(1);
        Ok(self.search(search).await?.items.into_iter().next())
    }

    /// One page of versions.
    pub async fn search(&self, search: SearchModelVersions) -> Result<Page<ModelVersion>> {
        limits::page_size("max_results", search.max_results, 200_000)?;
        let mut call = self
            .client
            .get("model_versions.search", "model-versions/search")?
            .query("filter", search.filter.text()?)
            .query_opt("max_results", search.max_results);
        for order in &search.order_by {
            call = call.query("order_by", order.text()?);
        }
        let call = call.query("page_token", search.page_token.as_deref().unwrap_or_default());
        let answer: ManyVersions = self.client.inner.json(&call).await?;
        Ok(Page::new(answer.model_versions, answer.next_page_token))
    }

    /// All versions of a search, page by page as they are needed.
    pub fn search_all(&self, search: SearchModelVersions) -> impl Stream<Item = Result<ModelVersion>> + Send + use<> {
        let this = self.clone();
        page::all(search.page_token.clone(), move |page_token| {
            let (this, search) = (
                this.clone(),
                SearchModelVersions {
                    page_token,
                    ..search.clone()
                },
            );
            async move { this.search(search).await }
        })
    }

    /// Sets the free text.
    pub async fn update(
        &self,
        name: &str,
        version: impl Into<VersionNumber>,
        description: &str,
    ) -> Result<ModelVersion> {
        limits::model_name(name)?;
        let body = json!({"name": name, "version": version.into(), "description": description});
        let call = self
            .client
            .call("model_versions.update", Method::PATCH, "model-versions/update", &body)?
            .idempotent();
        Ok(self.client.inner.json::<OneVersion>(&call).await?.model_version)
    }

    /// Deletes a version; aliases that point at it go too. Its number is never used again.
    pub async fn delete(&self, name: &str, version: impl Into<VersionNumber>) -> Result<()> {
        limits::model_name(name)?;
        let body = json!({"name": name, "version": version.into()});
        let call = self
            .client
            .call("model_versions.delete", Method::DELETE, "model-versions/delete", &body)?;
        self.client.inner.done(&call).await
    }

    /// Sets a tag; value at most 100 000 characters.
    pub async fn set_tag(&self, name: &str, version: impl Into<VersionNumber>, key: &str, value: &str) -> Result<()> {
        limits::model_name(name)?;
        limits::registry_tag(key, value)?;
        let body = json!({"name": name, "version": version.into(), "key": key, "value": value});
        let call = self
            .client
            .post("model_versions.set_tag", "model-versions/set-tag", &body)?
            .idempotent();
        self.client.inner.done(&call).await
    }

    /// Removes a tag. A tag that is not there is no error.
    pub async fn delete_tag(&self, name: &str, version: impl Into<VersionNumber>, key: &str) -> Result<()> {
        limits::model_name(name)?;
        let body = json!({"name": name, "version": version.into(), "key": key});
        let path = "model-versions/delete-tag";
        let call = self
            .client
            .call("model_versions.delete_tag", Method::DELETE, path, &body)?
            .idempotent();
        self.client.inner.done(&call).await
    }

    /// Moves a version to another stage. With `archive_existing`, which is for [`Stage::Staging`] and
    /// [`Stage::Production`] only, the versions that were there are archived. Aliases have taken the place of stages.
    pub async fn transition_stage(
        &self,
        name: &str,
        version: impl Into<VersionNumber>,
        stage: Stage,
        archive_existing: bool,
    ) -> Result<ModelVersion> {
        limits::model_name(name)?;
        // The server answers this with an internal error.
        if archive_existing && !matches!(stage, Stage::Staging | Stage::Production) {
            return Err(Error::invalid(
                "archive_existing",
                "set for `Staging` and `Production` only",
            ));
        }
        let body = json!({
            "name": name, "version": version.into(), "stage": stage, "archive_existing_versions": archive_existing,
        });
        let call = self
            .client
            .post(
                "model_versions.transition_stage",
                "model-versions/transition-stage",
                &body,
            )?
            .idempotent();
        Ok(self.client.inner.json::<OneVersion>(&call).await?.model_version)
    }

    /// Where the files are, as far as the server resolves it. A source `runs:/…` comes back unchanged (MLflow 3.17).
    pub async fn download_uri(&self, name: &str, version: impl Into<VersionNumber>) -> Result<String> {
        limits::model_name(name)?;
        let call = self
            .client
            .get("model_versions.download_uri", "model-versions/get-download-uri")?;
        let call = call.query("name", name).query("version", &version.into().to_string());
        Ok(self.client.inner.json::<DownloadUri>(&call).await?.artifact_uri)
    }
}
