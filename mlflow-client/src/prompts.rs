//! Prompts, which MLflow keeps in its registry: registered models and versions with tags of their own.

use futures_core::Stream;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use crate::{
    client::Client,
    error::{Error, Result},
    filter::{Filter, RegisteredModelKey},
    ids::VersionNumber,
    model_versions::{CreateModelVersion, ModelVersion},
    page::Page,
    registered_models::{CreateRegisteredModel, RegisteredModel, SearchRegisteredModels},
    tag::{Tag, tags},
};

/// What stands in place of a source of files.
const SOURCE: &str = "prompt-template";

/// A version of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct PromptVersion {
    /// Name of the prompt.
    pub name: String,
    /// Its number.
    pub version: VersionNumber,
    /// The text, with places to fill in written as `{{name}}`.
    pub template: String,
    /// What was said of the change.
    pub description: String,
    /// Its tags, without MLflow's own.
    pub tags: Vec<Tag>,
    /// Aliases that point at it.
    pub aliases: Vec<String>,
}

impl PromptVersion {
    /// A version of a registered model as a prompt's; `None` if it is none.
    fn of(version: ModelVersion) -> Option<Self> {
        let own = |tag: &&Tag| !tag.key.starts_with("mlflow.prompt.");
        Some(Self {
            template: version.tag(tags::PROMPT_TEXT)?.to_owned(),
            tags: version.tags.iter().filter(own).cloned().collect(),
            name: version.name,
            version: version.version,
            description: version.description,
            aliases: version.aliases,
        })
    }
}

/// Operations on prompts, as far as the registry keeps them; see [`Client::prompts`].
///
/// MLflow has no routes for prompts. They are registered models with the tag `mlflow.prompt.is_prompt`, whose versions hold
/// the text in a tag; searches for models leave them out. Aliases, tags and deletion are those of
/// [`registered_models`](Client::registered_models) and [`model_versions`](Client::model_versions).
///
/// ```no_run
/// # async fn example(client: mlflow_client::Client) -> Result<(), mlflow_client::Error> {
/// let prompts = client.prompts();
/// let version = prompts.create_version("greeting", "Hello {{name}}", "first").await?;
/// client.registered_models().set_alias("greeting", "production", version.version).await?;
/// let text = prompts.get_by_alias("greeting", "production").await?.unwrap().template;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Prompts {
    client: Client,
}

impl Prompts {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Makes a version of a prompt, and the prompt itself if there is none. Every call makes a new version.
    ///
    /// [`Error::AlreadyExists`] if a registered model has the name that is no prompt.
    pub async fn create_version(&self, name: &str, template: &str, description: &str) -> Result<PromptVersion> {
        let models = self.client.registered_models();
        let model = match models.get_opt(name).await? {
            Some(model) => model,
            None => match models
                .create(CreateRegisteredModel::new(name).tag(tags::IS_PROMPT, "true"))
                .await
            {
                Err(Error::AlreadyExists(_)) => models.get(name).await?,
                result => result?,
            },
        };
        if !is_prompt(&model) {
            let call = self.client.get("prompts.create_version", "registered-models/get")?;
            let message = format!("a registered model has the name {name:?}, and it is no prompt");
            return Err(Error::AlreadyExists(crate::http::context(&call, message)));
        }
        let version = CreateModelVersion::new(name, SOURCE)
            .description(description)
            .tag(tags::IS_PROMPT, "true")
            .tag(tags::PROMPT_TEXT, template);
        let made = self.client.model_versions().create(version).await?;
        let lost = || Error::invalid("template", "text that the server gives back");
        PromptVersion::of(made).ok_or_else(lost)
    }

    /// A version of a prompt; `None` if there is none, or the name is that of a model.
    pub async fn get(&self, name: &str, version: impl Into<VersionNumber>) -> Result<Option<PromptVersion>> {
        let found = self.client.model_versions().get_opt(name, version).await?;
        Ok(found.and_then(PromptVersion::of))
    }

    /// The version an alias points at; `None` if there is no such alias or prompt.
    pub async fn get_by_alias(&self, name: &str, alias: &str) -> Result<Option<PromptVersion>> {
        let found = self.client.registered_models().get_by_alias(name, alias).await?;
        Ok(found.and_then(PromptVersion::of))
    }

    /// One page of prompts.
    pub async fn search(&self, search: SearchRegisteredModels) -> Result<Page<RegisteredModel>> {
        self.client.registered_models().search(asking(search)).await
    }

    /// All prompts of a search, page by page as they are needed.
    pub fn search_all(
        &self,
        search: SearchRegisteredModels,
    ) -> impl Stream<Item = Result<RegisteredModel>> + Send + use<> {
        self.client.registered_models().search_all(asking(search)).boxed()
    }
}

fn is_prompt(model: &RegisteredModel) -> bool {
    model
        .tag(tags::IS_PROMPT)
        .is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// The server lists prompts only where it is asked for them.
fn asking(search: SearchRegisteredModels) -> SearchRegisteredModels {
    let filter: Filter<RegisteredModel> = RegisteredModelKey::tag(tags::IS_PROMPT).equals("true");
    SearchRegisteredModels {
        filter: filter.and(search.filter),
        ..search
    }
}
