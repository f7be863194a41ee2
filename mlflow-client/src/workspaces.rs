//! Workspaces: parts of a server that do not see each other.

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    client::Client,
    endpoint::{Accept, Call},
    error::Result,
    http::found,
    limits,
    version::ServerVersion,
    wire,
};

/// A workspace.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Workspace {
    /// Name; `default` is always there.
    pub name: String,
    /// Free text.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub description: String,
    /// Where new experiments keep their artifacts, if not at the server's default.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub default_artifact_root: String,
}

/// What to do with what is in a workspace that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum WorkspaceDeletion {
    /// Refuse to delete one that is not empty.
    #[default]
    Restrict,
    /// Delete it too.
    Cascade,
    /// Move it to the workspace `default`.
    SetDefault,
}

impl WorkspaceDeletion {
    fn as_str(self) -> &'static str {
        match self {
            Self::Restrict => "RESTRICT",
            Self::Cascade => "CASCADE",
            Self::SetDefault => "SET_DEFAULT",
        }
    }
}

/// What a workspace is to be, or what to change of one: what is `None` is left to the server, or stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct WorkspaceSettings {
    /// Free text.
    pub description: Option<String>,
    /// Where new experiments keep their artifacts.
    pub default_artifact_root: Option<String>,
}

impl WorkspaceSettings {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Free text.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Where new experiments keep their artifacts.
    pub fn default_artifact_root(mut self, uri: impl Into<String>) -> Self {
        self.default_artifact_root = Some(uri.into());
        self
    }

    fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        for (name, value) in [
            ("description", &self.description),
            ("default_artifact_root", &self.default_artifact_root),
        ] {
            if let Some(value) = value {
                body.insert(name.to_owned(), json!(value));
            }
        }
        body
    }
}

/// Operations on workspaces; see [`Client::workspaces`], and [`workspace`](crate::ClientBuilder::workspace) to work in one.
///
/// Since MLflow 3, on servers started with `--enable-workspaces`; others are told as
/// [`Unsupported`](crate::Error::Unsupported), older ones as [`ServerTooOld`](crate::Error::ServerTooOld).
#[derive(Debug, Clone)]
pub struct Workspaces {
    client: Client,
}

#[derive(Deserialize)]
struct OneWorkspace {
    workspace: Workspace,
}

#[derive(Deserialize)]
struct ManyWorkspaces {
    #[serde(default)]
    workspaces: Vec<Workspace>,
}

impl Workspaces {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    fn path(&self, operation: &'static str, method: Method, name: Option<&str>) -> Result<Call> {
        self.client.since(operation, ServerVersion::V3)?;
        if let Some(name) = name {
            limits::workspace_name(name)?;
        }
        let root = ["api", "3.0", "mlflow", "workspaces"];
        Call::new(operation, method, &self.client.inner.base, root.into_iter().chain(name))
    }

    async fn json<T: serde::de::DeserializeOwned + Send>(&self, call: &Call) -> Result<T> {
        let result = self.client.inner.json(call).await;
        self.client.explain(call.operation, ServerVersion::V3, result).await
    }

    /// All workspaces that the caller may see.
    pub async fn list(&self) -> Result<Vec<Workspace>> {
        let call = self.path("workspaces.list", Method::GET, None)?;
        Ok(self.json::<ManyWorkspaces>(&call).await?.workspaces)
    }

    /// Makes a workspace. [`AlreadyExists`](crate::Error::AlreadyExists) if the name is taken. Names have lower-case
    /// letters, digits and `-`, not at either end.
    pub async fn create(&self, name: &str, settings: WorkspaceSettings) -> Result<Workspace> {
        limits::workspace_name(name)?;
        let mut body = settings.body();
        body.insert("name".to_owned(), json!(name));
        let call = self.path("workspaces.create", Method::POST, None)?.json(&body)?;
        Ok(self.json::<OneWorkspace>(&call).await?.workspace)
    }

    /// The workspace of this name.
    pub async fn get(&self, name: &str) -> Result<Workspace> {
        let call = self.path("workspaces.get", Method::GET, Some(name))?;
        Ok(self.json::<OneWorkspace>(&call).await?.workspace)
    }

    /// The workspace of this name; `None` if there is none.
    pub async fn get_opt(&self, name: &str) -> Result<Option<Workspace>> {
        found(self.get(name).await)
    }

    /// Changes what is given.
    pub async fn update(&self, name: &str, settings: WorkspaceSettings) -> Result<Workspace> {
        let call = self
            .path("workspaces.update", Method::PATCH, Some(name))?
            .json(&settings.body())?
            .idempotent();
        Ok(self.json::<OneWorkspace>(&call).await?.workspace)
    }

    /// Deletes a workspace.
    pub async fn delete(&self, name: &str, mode: WorkspaceDeletion) -> Result<()> {
        let call = self
            .path("workspaces.delete", Method::DELETE, Some(name))?
            .query("mode", mode.as_str())
            .accept(Accept::Nothing);
        let result = self.client.inner.done(&call).await;
        self.client.explain(call.operation, ServerVersion::V3, result).await
    }
}
