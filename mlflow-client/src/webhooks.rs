//! Webhooks: addresses that the server calls when something happens in its registry.

use futures_core::Stream;
use http::Method;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use crate::{
    client::Client,
    endpoint::Call,
    error::{Error, Result},
    http::found,
    ids::WebhookId,
    limits,
    page::{self, Page},
    version::ServerVersion,
    wire::{self, wire_enum},
};

wire_enum! {
    /// What a webhook's event is about.
    pub enum WebhookEntity {
        /// A registered model.
        RegisteredModel = "REGISTERED_MODEL",
        /// A version of a model.
        ModelVersion = "MODEL_VERSION",
        /// A tag of a version.
        ModelVersionTag = "MODEL_VERSION_TAG",
        /// An alias of a version.
        ModelVersionAlias = "MODEL_VERSION_ALIAS",
        /// A prompt.
        Prompt = "PROMPT",
        /// A version of a prompt.
        PromptVersion = "PROMPT_VERSION",
        /// A tag of a prompt.
        PromptTag = "PROMPT_TAG",
        /// A tag of a version of a prompt.
        PromptVersionTag = "PROMPT_VERSION_TAG",
        /// An alias of a prompt.
        PromptAlias = "PROMPT_ALIAS",
        /// A budget of the gateway.
        BudgetPolicy = "BUDGET_POLICY",
    }
}

wire_enum! {
    /// What happened.
    pub enum WebhookAction {
        /// It was made: models, versions, prompts and aliases.
        Created = "CREATED",
        /// It was changed.
        Updated = "UPDATED",
        /// It was deleted: tags and aliases.
        Deleted = "DELETED",
        /// It was set: tags.
        Set = "SET",
        /// It was exceeded: budgets.
        Exceeded = "EXCEEDED",
    }
}

wire_enum! {
    /// Whether a webhook is called.
    #[derive(Default)]
    pub enum WebhookStatus {
        /// It is.
        #[default]
        Active = "ACTIVE",
        /// It is not.
        Disabled = "DISABLED",
    }
}

/// Something that happens, of which a webhook tells. Not every pair exists: see [`WebhookAction`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[non_exhaustive]
pub struct WebhookEvent {
    /// What it is about.
    pub entity: WebhookEntity,
    /// What happened.
    pub action: WebhookAction,
}

impl WebhookEvent {
    /// An event.
    pub fn new(entity: WebhookEntity, action: WebhookAction) -> Self {
        Self { entity, action }
    }

    /// Whether the server knows the pair (MLflow 3.17).
    fn is_known(&self) -> bool {
        use WebhookAction as A;
        use WebhookEntity as E;
        match (&self.entity, &self.action) {
            // What a newer server may know.
            (E::Unknown(_), _) | (_, A::Unknown(_)) => true,
            (entity, A::Created) => !matches!(
                entity,
                E::ModelVersionTag | E::PromptTag | E::PromptVersionTag | E::BudgetPolicy
            ),
            (entity, A::Set) => matches!(entity, E::ModelVersionTag | E::PromptTag | E::PromptVersionTag),
            (entity, A::Deleted) => matches!(
                entity,
                E::ModelVersionTag | E::PromptTag | E::PromptVersionTag | E::ModelVersionAlias | E::PromptAlias
            ),
            (entity, A::Exceeded) => *entity == E::BudgetPolicy,
            (_, A::Updated) => false,
        }
    }
}

/// A webhook. Its secret is never told.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Webhook {
    /// Id.
    pub webhook_id: WebhookId,
    /// Name.
    #[serde(default)]
    pub name: String,
    /// The address that is called.
    #[serde(default)]
    pub url: String,
    /// Free text.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub description: String,
    /// What it tells of.
    #[serde(default)]
    pub events: Vec<WebhookEvent>,
    /// Whether it is called.
    #[serde(default)]
    pub status: WebhookStatus,
    /// When it was made.
    #[serde(default, with = "wire::millis", rename = "creation_timestamp")]
    pub created_at: Option<Timestamp>,
    /// When it was changed last.
    #[serde(default, with = "wire::millis", rename = "last_updated_timestamp")]
    pub updated_at: Option<Timestamp>,
}

/// A new webhook, or what to change of one: what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
#[must_use]
pub struct WebhookSettings {
    /// Name, 1 to 63 letters, digits, `.`, `_` or `-`, the first and last a letter or digit.
    pub name: Option<String>,
    /// The address to call: https, with a host of the public internet.
    pub url: Option<String>,
    /// What to tell of; at least one.
    pub events: Option<Vec<WebhookEvent>>,
    /// Free text.
    pub description: Option<String>,
    /// Key by which the server signs what it sends.
    pub secret: Option<SecretString>,
    /// Whether it is called.
    pub status: Option<WebhookStatus>,
}

impl WebhookSettings {
    /// Changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a new webhook needs: its name, the address to call, and what to tell of.
    pub fn create(
        name: impl Into<String>,
        url: impl Into<String>,
        events: impl IntoIterator<Item = WebhookEvent>,
    ) -> Self {
        Self::new().name(name).url(url).events(events)
    }

    /// Name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The address to call.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// What to tell of.
    pub fn events(mut self, events: impl IntoIterator<Item = WebhookEvent>) -> Self {
        self.events = Some(events.into_iter().collect());
        self
    }

    /// Free text.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Key by which the server signs what it sends.
    pub fn secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.secret = Some(secret.into());
        self
    }

    /// Whether it is called.
    pub fn status(mut self, status: WebhookStatus) -> Self {
        self.status = Some(status);
        self
    }

    fn body(&self) -> Result<Map<String, Value>> {
        let mut body = Map::new();
        if let Some(name) = &self.name {
            limits::webhook_name(name)?;
            body.insert("name".to_owned(), json!(name));
        }
        if let Some(url) = &self.url {
            let https = Url::parse(url).is_ok_and(|url| url.scheme() == "https" && url.has_host());
            if !https {
                return Err(Error::invalid("url", "an https URL"));
            }
            body.insert("url".to_owned(), json!(url));
        }
        if let Some(events) = &self.events {
            if events.is_empty() {
                return Err(Error::invalid("events", "at least one event"));
            }
            // The server answers unknown entities with a page.
            if let Some(event) = events.iter().find(|event| !event.is_known()) {
                let allowed = format!("pairs that exist; {} of {} does not", event.action, event.entity);
                return Err(Error::invalid("events", allowed));
            }
            body.insert("events".to_owned(), json!(events));
        }
        if let Some(description) = &self.description {
            body.insert("description".to_owned(), json!(description));
        }
        if let Some(secret) = &self.secret {
            body.insert("secret".to_owned(), json!(secret.expose_secret()));
        }
        if let Some(status) = &self.status {
            body.insert("status".to_owned(), json!(status));
        }
        Ok(body)
    }
}

/// What came of a trial call of a webhook.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct WebhookTestResult {
    /// Whether the address answered with success.
    #[serde(default)]
    pub success: bool,
    /// Status of its answer, if one came.
    pub response_status: Option<i32>,
    /// Its answer.
    pub response_body: Option<String>,
    /// Why there was none.
    pub error_message: Option<String>,
}

/// Operations on webhooks; see [`Client::webhooks`]. Since MLflow 3; an older server is told as [`Error::ServerTooOld`].
///
/// ```no_run
/// # async fn example(client: mlflow_client::Client) -> Result<(), mlflow_client::Error> {
/// use mlflow_client::{WebhookAction, WebhookEntity, WebhookEvent, WebhookSettings};
///
/// let event = WebhookEvent::new(WebhookEntity::ModelVersion, WebhookAction::Created);
/// let settings = WebhookSettings::create("deploy", "https://ci.example.com/hook", [event]).secret("k3y");
/// let webhook = client.webhooks().create(settings).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Webhooks {
    client: Client,
}

#[derive(Deserialize)]
struct OneWebhook {
    webhook: Webhook,
}

#[derive(Deserialize)]
struct ManyWebhooks {
    #[serde(default)]
    webhooks: Vec<Webhook>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Tested {
    result: WebhookTestResult,
}

impl Webhooks {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    fn path(&self, operation: &'static str, method: Method, path: &[&str]) -> Result<Call> {
        let root = ["api", "2.0", "mlflow", "webhooks"];
        self.client.since(operation, ServerVersion::V3)?;
        Call::new(
            operation,
            method,
            &self.client.inner.base,
            root.iter().chain(path).copied(),
        )
    }

    fn of(&self, operation: &'static str, method: Method, id: &WebhookId, path: &[&str]) -> Result<Call> {
        limits::id("webhook_id", id.as_str())?;
        if id.as_str().contains('/') || matches!(id.as_str(), "." | "..") {
            return Err(Error::invalid("webhook_id", "an id as the server made it"));
        }
        let path: Vec<&str> = [id.as_str()].iter().chain(path).copied().collect();
        self.path(operation, method, &path)
    }

    async fn json<T: serde::de::DeserializeOwned + Send>(&self, call: &Call) -> Result<T> {
        let result = self.client.inner.json(call).await;
        self.client.explain(call.operation, ServerVersion::V3, result).await
    }

    /// Makes a webhook; name, address and events are needed. The server wants the address's host to be a public one that
    /// it can resolve. Every call makes a new webhook, so it is never sent twice by itself.
    pub async fn create(&self, settings: WebhookSettings) -> Result<Webhook> {
        for (field, given) in [
            ("name", settings.name.is_some()),
            ("url", settings.url.is_some()),
            ("events", settings.events.is_some()),
        ] {
            if !given {
                return Err(Error::invalid(field, "set for a new webhook"));
            }
        }
        let call = self
            .path("webhooks.create", Method::POST, &[])?
            .json(&settings.body()?)?;
        Ok(self.json::<OneWebhook>(&call).await?.webhook)
    }

    /// The webhook with this id.
    pub async fn get(&self, id: &WebhookId) -> Result<Webhook> {
        let call = self.of("webhooks.get", Method::GET, id, &[])?;
        Ok(self.json::<OneWebhook>(&call).await?.webhook)
    }

    /// The webhook with this id; `None` if there is none.
    pub async fn get_opt(&self, id: &WebhookId) -> Result<Option<Webhook>> {
        found(self.get(id).await)
    }

    /// One page of webhooks, at most `max_results` (1 to 1000; the server's default is 100).
    pub async fn list(&self, max_results: Option<u32>, page_token: Option<&str>) -> Result<Page<Webhook>> {
        limits::page_size("max_results", max_results, 1000)?;
        let call = self
            .path("webhooks.list", Method::GET, &[])?
            .query_opt("max_results", max_results)
            .query_opt("page_token", page_token);
        let answer: ManyWebhooks = self.json(&call).await?;
        Ok(Page::new(answer.webhooks, answer.next_page_token))
    }

    /// All webhooks, page by page as they are needed.
    pub fn list_all(&self) -> impl Stream<Item = Result<Webhook>> + Send + use<> {
        let this = self.clone();
        page::all(None, move |page_token| {
            let this = this.clone();
            async move { this.list(None, page_token.as_deref()).await }
        })
    }

    /// Changes what is given.
    pub async fn update(&self, id: &WebhookId, settings: WebhookSettings) -> Result<Webhook> {
        let call = self
            .of("webhooks.update", Method::PATCH, id, &[])?
            .json(&settings.body()?)?
            .idempotent();
        Ok(self.json::<OneWebhook>(&call).await?.webhook)
    }

    /// Deletes a webhook; [`Error::NotFound`] if there is none.
    pub async fn delete(&self, id: &WebhookId) -> Result<()> {
        let call = self.of("webhooks.delete", Method::DELETE, id, &[])?;
        let result = self.client.inner.done(&call).await;
        self.client.explain(call.operation, ServerVersion::V3, result).await
    }

    /// Has the server call the webhook with an example of `event`, or of its first one. What the address says is no error
    /// of this call.
    pub async fn test(&self, id: &WebhookId, event: Option<WebhookEvent>) -> Result<WebhookTestResult> {
        let body = event.map_or_else(|| json!({}), |event| json!({"event": event}));
        let call = self.of("webhooks.test", Method::POST, id, &["test"])?.json(&body)?;
        Ok(self.json::<Tested>(&call).await?.result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked_and_secrets_hidden() {
        let event = WebhookEvent::new(WebhookEntity::ModelVersion, WebhookAction::Created);
        let good = WebhookSettings::create("a.b", "https://example.com/x", [event.clone()]).secret("s3cret".to_owned());
        assert!(!format!("{good:?}").contains("s3cret"));
        assert_eq!(good.body().unwrap().get("secret"), Some(&json!("s3cret")));
        let updated = WebhookEvent::new(WebhookEntity::ModelVersion, WebhookAction::Updated);
        for bad in [
            good.clone().name("-a"),
            good.clone().name("a".repeat(64)),
            good.clone().url("http://example.com"),
            good.clone().url("example.com"),
            good.clone().events([]),
            good.clone().events([updated]),
        ] {
            assert!(bad.body().is_err(), "{bad:?}");
        }
    }
}
