//! What the server says of itself.

use http::Method;
use serde::{Deserialize, Serialize};

use super::ROOT;
use crate::{client::Client, endpoint::Call, error::Result};

/// What the server says of itself.
///
/// The API server and the UI server in front of it (which answers below `/pipeline`) write different fields; both
/// are read into this one shape.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// Release of the API server, e.g. `2.17.0`.
    pub version: Option<String>,
    /// Commit the API server was built from.
    pub commit: Option<String>,
    /// Whether the server keeps namespaces apart: then identity and namespace are required.
    pub multi_user: bool,
    /// Where pipelines are kept: `database` or `kubernetes` (from KFP 2.14 on).
    pub pipeline_store: Option<String>,
    /// Whether the UI server reaches the API server; `None` if the API server itself answered.
    pub api_server_ready: Option<bool>,
    /// Release of the UI server, if that answered.
    pub ui_version: Option<String>,
}

#[derive(Deserialize)]
struct WireHealth {
    tag_name: Option<String>,
    commit_sha: Option<String>,
    multi_user: Option<bool>,
    pipeline_store: Option<String>,
    #[serde(rename = "apiServerReady")]
    api_server_ready: Option<bool>,
    #[serde(rename = "apiServerTagName")]
    api_server_tag_name: Option<String>,
    #[serde(rename = "apiServerCommitHash")]
    api_server_commit_hash: Option<String>,
    #[serde(rename = "apiServerMultiUser")]
    api_server_multi_user: Option<bool>,
    #[serde(rename = "frontendTagName")]
    frontend_tag_name: Option<String>,
    #[serde(rename = "pipelineStore")]
    ui_pipeline_store: Option<String>,
}

impl<'de> Deserialize<'de> for Health {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = WireHealth::deserialize(deserializer)?;
        Ok(Self {
            version: wire
                .tag_name
                .or(wire.api_server_tag_name)
                .filter(|text| !text.is_empty()),
            commit: wire
                .commit_sha
                .or(wire.api_server_commit_hash)
                .filter(|text| !text.is_empty()),
            multi_user: wire.multi_user.or(wire.api_server_multi_user).unwrap_or_default(),
            pipeline_store: wire
                .pipeline_store
                .or(wire.ui_pipeline_store)
                .filter(|text| !text.is_empty()),
            api_server_ready: wire.api_server_ready,
            ui_version: wire.frontend_tag_name.filter(|text| !text.is_empty()),
        })
    }
}

pub(crate) async fn get(client: &Client) -> Result<Health> {
    let path = [ROOT[0], ROOT[1], "healthz"];
    let call = Call::new("health", Method::GET, &client.inner.base, &path)?;
    probe(client, call).await
}

/// Asks, and keeps the release that is told. The question itself goes to every server.
pub(crate) async fn probe(client: &Client, mut call: Call) -> Result<Health> {
    call.needs.clear();
    let health: Health = client.inner.json(&call).await?;
    client.inner.learn_version(health.version.as_deref());
    Ok(health)
}
