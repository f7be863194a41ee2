//! The server itself, webhooks, and calls without a method of their own.

use futures_util::TryStreamExt;
use http::Method;
use mlflow_client::{
    Client, Error, WebhookAction, WebhookEntity, WebhookEvent, WebhookId, WebhookSettings, WebhookStatus,
};
use serde_json::{Value, json};

use super::{refused_as_too_old, unique};

pub(super) async fn the_server_says_what_it_is(client: &Client) {
    client.health().await.unwrap();
    let version = client.version().await.unwrap();
    let parsed = client.server_version().await.unwrap();
    assert!(version.starts_with(&parsed.to_string()), "{version}");
    let info = client.server_info().await;
    if refused_as_too_old(client, info.as_ref().map(drop)).await {
        return;
    }
    assert_eq!(info.unwrap().workspaces_enabled, Some(false));
}

pub(super) async fn everything_else_is_reached_by_raw_calls(client: &Client) {
    let name = unique("raw");
    let made: Value = client
        .raw(
            Method::POST,
            "/api/2.0/mlflow/experiments/create",
            &json!({"name": name}),
        )
        .await
        .unwrap();
    let query = json!({"experiment_id": made["experiment_id"]});
    let found: Value = client
        .raw(Method::GET, "api/2.0/mlflow/experiments/get", &query)
        .await
        .unwrap();
    assert_eq!(found["experiment"]["name"], json!(name));
    let text = format!("/api/2.0/mlflow/experiments/get-by-name?experiment_name={name}");
    let found: Value = client.request(Method::GET, &text).send().await.unwrap();
    assert_eq!(found["experiment"]["experiment_id"], made["experiment_id"]);
    let missing = client.raw::<Value>(Method::GET, "/api/2.0/mlflow/nothing", &()).await;
    assert!(matches!(missing, Err(Error::Unsupported(_))), "{missing:?}");
    let refused = client.raw::<Value>(Method::GET, "/api/../x", &()).await;
    assert!(matches!(refused, Err(Error::InvalidRequest(_))), "{refused:?}");
}

pub(super) async fn webhooks_are_kept(client: &Client) {
    let event = WebhookEvent::new(WebhookEntity::ModelVersion, WebhookAction::Created);
    let settings = WebhookSettings::create("hook", "https://8.8.8.8/x", [event.clone()]).secret("s3cret".to_owned());
    let made = client.webhooks().create(settings.clone()).await;
    if refused_as_too_old(client, made.as_ref().map(drop)).await {
        return;
    }
    let made = made.unwrap();
    assert_eq!((&made.status, &made.events), (&WebhookStatus::Active, &vec![event]));
    let change = WebhookSettings::new().name("other").status(WebhookStatus::Disabled);
    let changed = client.webhooks().update(&made.webhook_id, change).await.unwrap();
    assert_eq!(
        (changed.name.as_str(), &changed.status),
        ("other", &WebhookStatus::Disabled)
    );
    let all: Vec<_> = client.webhooks().list_all().try_collect().await.unwrap();
    assert!(all.iter().any(|webhook| webhook.webhook_id == made.webhook_id));
    client.webhooks().delete(&made.webhook_id).await.unwrap();
    assert_eq!(client.webhooks().get_opt(&made.webhook_id).await.unwrap(), None);
    let gone = client
        .webhooks()
        .delete(&WebhookId::new(uuid::Uuid::new_v4().to_string()))
        .await;
    assert!(matches!(gone, Err(Error::NotFound(_))), "{gone:?}");
    let private = client.webhooks().create(settings.url("https://127.0.0.1/x")).await;
    assert!(matches!(private, Err(Error::InvalidArgument(_))), "{private:?}");
}

pub(super) async fn workspaces_that_are_switched_off_are_told(client: &Client) {
    let list = client.workspaces().list().await;
    if refused_as_too_old(client, list.as_ref().map(drop)).await {
        return;
    }
    assert!(
        matches!(&list, Err(error @ Error::Unsupported(_)) if !error.is_retryable()),
        "{list:?}"
    );
    assert!(list.unwrap_err().to_string().contains("--enable-workspaces"));
}
