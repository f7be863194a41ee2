//! The server itself: whether it is up, and what it can do.

use http::Method;
use serde::{Deserialize, Serialize};

use crate::{
    client::Client,
    endpoint::{Accept, Call},
    error::{Error, Result},
    version::ServerVersion,
    wire,
};

/// What a server says of itself. Fields that it does not send are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct ServerInfo {
    /// Kind of its store, e.g. `SqlStore`.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub store_type: String,
    /// Whether it keeps things apart by workspace.
    pub workspaces_enabled: Option<bool>,
    /// Whether it moves old traces away.
    pub trace_archival_enabled: Option<bool>,
    /// Whether its artifact proxy takes large files in parts.
    pub multipart_uploads_enabled: Option<bool>,
    /// Whether its artifact proxy hands out addresses to download from directly.
    pub multipart_downloads_enabled: Option<bool>,
    /// Whether it hands out addresses for uploads to a run.
    pub presigned_upload_run_id_supported: Option<bool>,
    /// Whether it hands out addresses for uploads to a logged model.
    pub presigned_upload_model_id_supported: Option<bool>,
    /// Further parts that are switched on or off, by name.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub features_enabled: std::collections::BTreeMap<String, bool>,
}

impl Client {
    /// Whether the server is up. Needs no credentials, so it does not tell whether they are right.
    pub async fn health(&self) -> Result<()> {
        let call = Call::new("health", Method::GET, &self.inner.base, ["health"])?.accept(Accept::Text);
        let reply = self.inner.send(&call).await?;
        if reply.body.trim_ascii() == b"OK" {
            return Ok(());
        }
        let mut context = crate::http::context(&call, "the answer is not `OK`: this is not MLflow");
        context.status = Some(reply.status);
        Err(Error::UnexpectedResponse(context))
    }

    /// What the server can do. Since MLflow 3.
    pub async fn server_info(&self) -> Result<ServerInfo> {
        let operation = "server.info";
        self.since(operation, ServerVersion::V3)?;
        let path = ["api", "3.0", "mlflow", "server-info"];
        let call = Call::new(operation, Method::GET, &self.inner.base, path)?;
        let result = self.inner.json(&call).await;
        self.explain(operation, ServerVersion::V3, result).await
    }
}
