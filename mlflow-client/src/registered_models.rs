//! Registered models: names under which versions of a model are kept, and aliases that point at versions.

use futures_core::Stream;
use http::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    client::Client,
    error::{Error, Result},
    filter::{Filter, OrderBy},
    http::found,
    ids::VersionNumber,
    limits,
    model_versions::{ManyVersions, ModelVersion, OneVersion, Stage},
    page::{self, Page},
    tag::Tag,
    wire,
};

/// A registered model.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct RegisteredModel {
    /// Its name.
    pub name: String,
    /// When it was made.
    #[serde(default, with = "wire::millis", rename = "creation_timestamp")]
    pub created_at: Option<Timestamp>,
    /// When it was changed last.
    #[serde(default, with = "wire::millis", rename = "last_updated_timestamp")]
    pub updated_at: Option<Timestamp>,
    /// Free text.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub description: String,
    /// The newest version of each stage.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub latest_versions: Vec<ModelVersion>,
    /// Its tags.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub tags: Vec<Tag>,
    /// Its aliases.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub aliases: Vec<ModelAlias>,
    /// Who made it; hosted servers only.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub user_id: String,
    /// The job that deploys its versions; hosted servers only.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub deployment_job_id: String,
    /// How that job is; hosted servers only.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub deployment_job_state: String,
}

impl RegisteredModel {
    /// The version an alias points at.
    pub fn alias(&self, alias: &str) -> Option<VersionNumber> {
        self.aliases
            .iter()
            .find(|known| known.alias == alias)
            .map(|known| known.version)
    }

    /// The value of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags
            .iter()
            .find(|tag| tag.key == key)
            .map(|tag| tag.value.as_str())
    }
}

/// A name for a version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct ModelAlias {
    /// The alias.
    pub alias: String,
    /// The version it points at.
    pub version: VersionNumber,
}

/// A registered model to be made.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CreateRegisteredModel {
    /// Name: not blank, without `/` and `:`, not `.` or `..`.
    pub name: String,
    /// Free text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Tags; values at most 100 000 characters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// The job that deploys its versions. Since MLflow 3; other than hosted servers ignore it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_job_id: Option<String>,
}

impl CreateRegisteredModel {
    /// A model of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// Sets the free text.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push(Tag::new(key, value));
        self
    }
}

impl<T: Into<String>> From<T> for CreateRegisteredModel {
    fn from(name: T) -> Self {
        Self::new(name)
    }
}

/// A search of registered models.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct SearchRegisteredModels {
    /// Condition; all if empty. See [`RegisteredModelKey`](crate::RegisteredModelKey).
    pub filter: Filter<RegisteredModel>,
    /// Order; by name if empty.
    pub order_by: Vec<OrderBy<RegisteredModel>>,
    /// Most models on a page, 1 to 1000; the server's default is 100.
    pub max_results: Option<u32>,
    /// Where to go on.
    pub page_token: Option<String>,
}

impl SearchRegisteredModels {
    /// All models.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the filter: a condition, or a text in MLflow's search language.
    #[must_use]
    pub fn filter(mut self, filter: impl Into<Filter<RegisteredModel>>) -> Self {
        self.filter = filter.into();
        self
    }

    /// Adds a criterion of order.
    #[must_use]
    pub fn order_by(mut self, order: impl Into<OrderBy<RegisteredModel>>) -> Self {
        self.order_by.push(order.into());
        self
    }

    /// Sets how many models are on a page.
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

/// Operations on registered models; see [`Client::registered_models`].
///
/// ```no_run
/// # async fn example(client: mlflow_client::Client) -> Result<(), mlflow_client::Error> {
/// let models = client.registered_models();
/// models.get_or_create("fraud").await?;
/// models.set_alias("fraud", "champion", 3).await?;
/// assert_eq!(models.get_by_alias("fraud", "champion").await?.unwrap().version.get(), 3);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct RegisteredModels {
    client: Client,
}

#[derive(Deserialize)]
struct OneModel {
    registered_model: RegisteredModel,
}

#[derive(Deserialize)]
struct ManyModels {
    #[serde(default)]
    registered_models: Vec<RegisteredModel>,
    next_page_token: Option<String>,
}

impl RegisteredModels {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Makes a registered model. [`Error::AlreadyExists`] if the name is taken.
    pub async fn create(&self, model: impl Into<CreateRegisteredModel>) -> Result<RegisteredModel> {
        let model = model.into();
        limits::model_name(&model.name)?;
        for tag in &model.tags {
            limits::registry_tag(&tag.key, &tag.value)?;
        }
        let call = self
            .client
            .post("registered_models.create", "registered-models/create", &model)?;
        Ok(self.client.inner.json::<OneModel>(&call).await?.registered_model)
    }

    /// The model of this name.
    pub async fn get(&self, name: &str) -> Result<RegisteredModel> {
        limits::model_name(name)?;
        let call = self
            .client
            .get("registered_models.get", "registered-models/get")?
            .query("name", name);
        Ok(self.client.inner.json::<OneModel>(&call).await?.registered_model)
    }

    /// The model of this name; `None` if there is none.
    pub async fn get_opt(&self, name: &str) -> Result<Option<RegisteredModel>> {
        found(self.get(name).await)
    }

    /// The model of this name, made if there is none. Safe when several callers do the same at once.
    pub async fn get_or_create(&self, name: &str) -> Result<RegisteredModel> {
        if let Some(model) = self.get_opt(name).await? {
            return Ok(model);
        }
        match self.create(name).await {
            Err(Error::AlreadyExists(_)) => self.get(name).await,
            result => result,
        }
    }

    /// One page of models. Prompts, which MLflow keeps in the same place, are left out by the server.
    pub async fn search(&self, search: SearchRegisteredModels) -> Result<Page<RegisteredModel>> {
        limits::page_size("max_results", search.max_results, 1000)?;
        let mut call = self
            .client
            .get("registered_models.search", "registered-models/search")?
            .query("filter", search.filter.text()?)
            .query_opt("max_results", search.max_results);
        for order in &search.order_by {
            call = call.query("order_by", order.text()?);
        }
        let call = call.query("page_token", search.page_token.as_deref().unwrap_or_default());
        let answer: ManyModels = self.client.inner.json(&call).await?;
        Ok(Page::new(answer.registered_models, answer.next_page_token))
    }

    /// All models of a search, page by page as they are needed.
    pub fn search_all(
        &self,
        search: SearchRegisteredModels,
    ) -> impl Stream<Item = Result<RegisteredModel>> + Send + use<> {
        let this = self.clone();
        page::all(search.page_token.clone(), move |page_token| {
            let (this, search) = (
                this.clone(),
                SearchRegisteredModels {
                    page_token,
                    ..search.clone()
                },
            );
            async move { this.search(search).await }
        })
    }

    /// Sets the free text; the server clears one that is not given.
    pub async fn update(&self, name: &str, description: &str) -> Result<RegisteredModel> {
        limits::model_name(name)?;
        let body = json!({"name": name, "description": description});
        let call = self
            .client
            .call(
                "registered_models.update",
                Method::PATCH,
                "registered-models/update",
                &body,
            )?
            .idempotent();
        Ok(self.client.inner.json::<OneModel>(&call).await?.registered_model)
    }

    /// The newest version of each of these stages, or of every stage that has one if none is given. A stage without
    /// versions has no entry. Aliases have taken the place of stages.
    pub async fn latest_versions(&self, name: &str, stages: &[Stage]) -> Result<Vec<ModelVersion>> {
        limits::model_name(name)?;
        let mut call = self
            .client
            .get(
                "registered_models.latest_versions",
                "registered-models/get-latest-versions",
            )?
            .query("name", name);
        for stage in stages {
            call = call.query("stages", stage.as_str());
        }
        Ok(self.client.inner.json::<ManyVersions>(&call).await?.model_versions)
    }

    /// Gives a model another name. [`Error::AlreadyExists`] if it is taken.
    pub async fn rename(&self, name: &str, new_name: &str) -> Result<RegisteredModel> {
        limits::model_name(name)?;
        limits::model_name(new_name)?;
        let body = json!({"name": name, "new_name": new_name});
        let call = self
            .client
            .post("registered_models.rename", "registered-models/rename", &body)?;
        Ok(self.client.inner.json::<OneModel>(&call).await?.registered_model)
    }

    /// Deletes a model with all its versions.
    pub async fn delete(&self, name: &str) -> Result<()> {
        limits::model_name(name)?;
        let body = json!({"name": name});
        let call = self.client.call(
            "registered_models.delete",
            Method::DELETE,
            "registered-models/delete",
            &body,
        )?;
        self.client.inner.done(&call).await
    }

    /// Sets a tag; value at most 100 000 characters.
    pub async fn set_tag(&self, name: &str, key: &str, value: &str) -> Result<()> {
        limits::model_name(name)?;
        limits::registry_tag(key, value)?;
        let body = json!({"name": name, "key": key, "value": value});
        let call = self
            .client
            .post("registered_models.set_tag", "registered-models/set-tag", &body)?
            .idempotent();
        self.client.inner.done(&call).await
    }

    /// Removes a tag. A tag that is not there is no error.
    pub async fn delete_tag(&self, name: &str, key: &str) -> Result<()> {
        limits::model_name(name)?;
        let body = json!({"name": name, "key": key});
        let path = "registered-models/delete-tag";
        let call = self
            .client
            .call("registered_models.delete_tag", Method::DELETE, path, &body)?
            .idempotent();
        self.client.inner.done(&call).await
    }

    /// Points an alias at a version, wherever it pointed before.
    pub async fn set_alias(&self, name: &str, alias: &str, version: impl Into<VersionNumber>) -> Result<()> {
        limits::model_name(name)?;
        limits::alias(alias)?;
        let body = json!({"name": name, "alias": alias, "version": version.into()});
        let call = self
            .client
            .post("registered_models.set_alias", "registered-models/alias", &body)?
            .idempotent();
        self.client.inner.done(&call).await
    }

    /// The version an alias points at; `None` if there is no such alias or model.
    pub async fn get_by_alias(&self, name: &str, alias: &str) -> Result<Option<ModelVersion>> {
        limits::model_name(name)?;
        limits::alias(alias)?;
        let call = self
            .client
            .get("registered_models.get_by_alias", "registered-models/alias")?;
        let call = call.query("name", name).query("alias", alias);
        match found(self.client.inner.json::<OneVersion>(&call).await) {
            Ok(answer) => Ok(answer.map(|answer| answer.model_version)),
            // MLflow says of an unknown alias that the argument is invalid, not that it is not found.
            Err(Error::InvalidArgument(context)) if context.message().contains("alias") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes an alias. An alias that is not there is no error.
    pub async fn delete_alias(&self, name: &str, alias: &str) -> Result<()> {
        limits::model_name(name)?;
        limits::alias(alias)?;
        let body = json!({"name": name, "alias": alias});
        let path = "registered-models/alias";
        let call = self
            .client
            .call("registered_models.delete_alias", Method::DELETE, path, &body)?
            .idempotent();
        self.client.inner.done(&call).await
    }
}
