//! Files of runs and models: through the server, past it to the store behind it, or in a store of their own.

mod digest;
mod folder;
mod local;
mod multipart;
#[cfg(feature = "object-store")]
mod object_store;
mod options;
mod path;
mod presigned;
mod presigned_url;
mod proxy;
mod report;
mod repository;
mod resume;
mod standstill;
mod store_http;
mod uri;

use bytes::Bytes;
use futures_core::Stream;
use http::Method;
use serde::{Deserialize, Serialize};

pub use self::{
    digest::{Digest, DigestAlgorithm},
    options::{DirectTransfer, TransferOptions, TransferProgress},
    presigned_url::PresignedUrl,
    repository::{ArtifactRepository, TransferredFile},
};
use self::{
    proxy::Proxy,
    repository::Place,
    uri::{ArtifactUri, Which},
};
use crate::{
    client::Client,
    endpoint::Call,
    error::{Error, Result},
    http::context,
    ids::{LoggedModelId, RunId},
    limits,
    model_versions::Stage,
    wire,
};

/// Addresses of more runs than this are not remembered.
const REMEMBERED: usize = 1024;
/// An address may lead to another one; more than so many are taken for a loop.
const MOST_STEPS: usize = 5;

/// A file or directory among artifacts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct FileInfo {
    /// Path relative to the root of what was listed, with `/`.
    pub path: String,
    /// Whether it is a directory.
    #[serde(default)]
    pub is_dir: bool,
    /// Size in bytes; `None` for directories, and for empty files, whose size the server leaves out.
    #[serde(default, deserialize_with = "wire::optional_int64")]
    pub file_size: Option<i64>,
}

impl FileInfo {
    /// Size in bytes; `None` for directories.
    pub fn size(&self) -> Option<u64> {
        if self.is_dir {
            return None;
        }
        u64::try_from(self.file_size.unwrap_or(0)).ok()
    }
}

/// Operations on artifacts; see [`Client::artifacts`].
///
/// Served are artifacts that the server keeps itself (`mlflow-artifacts:`, as `mlflow server` does unless told otherwise),
/// and with the features `s3`, `gcs`, `azure` and `object-store` those in a store of their own. Others fail with
/// [`Error::Unsupported`]. [`of_run`](Self::of_run), [`of_model`](Self::of_model) and [`at`](Self::at) give a folder with all
/// that can be done with it; the other methods are for the most usual of a run. Paths are relative to the run, with `/`; what
/// would lead out of it is refused before anything is sent.
///
/// ```no_run
/// # async fn example(client: mlflow_client::Client, run: mlflow_client::RunId) -> Result<(), mlflow_client::Error> {
/// client.artifacts().upload(&run, "model/weights.bin", vec![0_u8; 16]).await?;
/// let weights = client.artifacts().read(&run, "model/weights.bin").await?;
/// assert_eq!(weights.len(), 16);
/// let champion = client.artifacts().at("models:/fraud@champion").await?;
/// champion.download_folder("", "/srv/models/fraud").await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Artifacts {
    client: Client,
    #[cfg(feature = "object-store")]
    stores: object_store::Stores,
}

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    files: Vec<FileInfo>,
}

impl Artifacts {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            #[cfg(feature = "object-store")]
            stores: object_store::Stores::default(),
        }
    }

    /// The artifacts of a run.
    pub async fn of_run(&self, run: &RunId) -> Result<ArtifactRepository> {
        limits::id("run_id", run.as_str())?;
        self.open(self.uri(run).await?).await
    }

    /// The artifacts of a logged model. Since MLflow 3.
    pub async fn of_model(&self, model: &LoggedModelId) -> Result<ArtifactRepository> {
        let uri = self.client.logged_models().get(model).await?.info.artifact_uri;
        self.open(uri).await
    }

    /// The folder at an address as MLflow writes them.
    ///
    /// | Address | Folder |
    /// |---|---|
    /// | `runs:/<run id>/<path>` | of the run |
    /// | `models:/<name>/<version>`, `models:/<name>/latest`, `models:/<name>/<stage>` | of a version of a registered model |
    /// | `models:/<name>@<alias>` | of the version that has the alias |
    /// | `models:/m-<id>` | of a logged model; since MLflow 3 |
    /// | `mlflow-artifacts:/<path>` | of the server's store |
    /// | `s3://…`, `gs://…`, `abfss://…`, `wasbs://…`, `file:…` | of a store, with the feature for it |
    ///
    /// A path may follow the version, the alias or the id.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] for what is no such address; [`Error::NotFound`] if it leads to nothing;
    /// [`Error::Unsupported`] for a store that this build does not reach, and for `mlflow-artifacts://` with the name of another
    /// server: make a client of that one.
    pub async fn at(&self, uri: &str) -> Result<ArtifactRepository> {
        self.open(uri.to_owned()).await
    }

    /// The run's artifacts that are not passed on by the server, in a store that was set up by the program itself, instead
    /// of one by the environment. `address` is the beginning of the artifacts' addresses, e.g. `s3://bucket`.
    #[cfg(feature = "object-store")]
    #[must_use]
    pub fn store(mut self, address: &str, store: std::sync::Arc<dyn ::object_store::ObjectStore>) -> Self {
        self.stores.give(address, store);
        self
    }

    /// Allows artifacts in local folders (`file:`, absolute paths) below this one, e.g. a shared file system. Without it they
    /// are refused: it is the server that says which folder, and it may say any.
    #[cfg(feature = "object-store")]
    #[must_use]
    pub fn local_root(mut self, root: impl Into<std::path::PathBuf>) -> Self {
        self.stores.local_root(root.into());
        self
    }

    async fn open(&self, uri: String) -> Result<ArtifactRepository> {
        let uri = self.resolve(uri).await?;
        let base = &self.client.inner.base;
        if let Some(root) = uri::proxied(&uri, base) {
            let proxy = Proxy::new(self.client.clone(), root)?;
            return Ok(ArtifactRepository::new(self.client.clone(), uri, Place::Proxy(proxy)));
        }
        #[cfg(feature = "object-store")]
        if !uri.starts_with("mlflow-artifacts:") {
            let store = self.stores.open(&self.client, &uri)?;
            return Ok(ArtifactRepository::new(self.client.clone(), uri, Place::Store(store)));
        }
        let call = Call::new("artifacts.resolve", Method::GET, base, [])?;
        let why = if uri.starts_with("mlflow-artifacts:") {
            "which is another server's; make a client of that one"
        } else {
            "which this server does not pass on, and this build has no feature `object-store`"
        };
        Err(Error::Unsupported(context(
            &call,
            format!("the artifacts are at {uri}, {why}"),
        )))
    }

    /// The address without anything that has to be looked up.
    async fn resolve(&self, uri: String) -> Result<String> {
        let mut uri = uri;
        for _ in 0..MOST_STEPS {
            let (next, below) = match uri::parse(&uri)? {
                ArtifactUri::Proxied | ArtifactUri::Elsewhere => return Ok(uri),
                ArtifactUri::Run(run, below) => (self.uri(&run).await?, below),
                ArtifactUri::LoggedModel(model, below) => {
                    (self.client.logged_models().get(&model).await?.info.artifact_uri, below)
                }
                ArtifactUri::Version(name, which, below) => (self.version_uri(name, which).await?, below),
            };
            path::folder(below)?;
            uri = if below.is_empty() {
                next
            } else {
                format!("{}/{below}", next.trim_end_matches('/'))
            };
        }
        Err(Error::invalid(
            "artifact URI",
            "one that leads to artifacts, and not from address to address",
        ))
    }

    async fn version_uri(&self, name: &str, which: Which<'_>) -> Result<String> {
        let versions = self.client.model_versions();
        let models = self.client.registered_models();
        let number = match which {
            Which::Number(number) => Some(number),
            Which::Latest => versions.newest(name).await?.map(|version| version.version),
            Which::Alias(alias) => models.get_by_alias(name, alias).await?.map(|version| version.version),
            Which::Stage(stage) => {
                // The server takes any case and answers in its own.
                let known = Stage::KNOWN
                    .iter()
                    .find(|known| known.as_str().eq_ignore_ascii_case(stage));
                let stages = [known.cloned().unwrap_or_else(|| Stage::from(stage))];
                let found = models.latest_versions(name, &stages).await?;
                found.iter().map(|version| version.version).max()
            }
        };
        let Some(number) = number else {
            let call = Call::new("artifacts.resolve", Method::GET, &self.client.inner.base, [])?;
            let message = format!("no version of the registered model `{name}` is what the address says");
            return Err(Error::NotFound(context(&call, message)));
        };
        versions.download_uri(name, number).await
    }

    /// Files and directories directly below `path`, or below the run's root if it is empty. A path that is not there, or
    /// is a file, has none.
    pub async fn list(&self, run: &RunId, path: &str) -> Result<Vec<FileInfo>> {
        limits::id("run_id", run.as_str())?;
        path::folder(path)?;
        let call = self
            .client
            .get("artifacts.list", "artifacts/list")?
            .query("run_id", run.as_str())
            .query("path", path);
        Ok(self.client.inner.json::<Listing>(&call).await?.files)
    }

    /// Writes a file, replacing one of the same path. An upload that breaks off leaves nothing visible.
    pub async fn upload(&self, run: &RunId, path: &str, content: impl Into<Bytes>) -> Result<()> {
        path::segments(path)?;
        self.of_run(run).await?.upload(path, content).await
    }

    /// Writes a file from a stream, which is sent as it comes and never held in memory. It can be read once only, so
    /// the upload is not repeated when it breaks. It may take as long as it likes, as long as it moves on: the client's
    /// time limit is for a standstill.
    pub async fn upload_stream<S, E>(&self, run: &RunId, path: &str, content: S) -> Result<()>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        path::segments(path)?;
        self.of_run(run).await?.upload_stream(path, content).await
    }

    /// The content of a file, at most 256 MiB; larger ones are for [`download`](Self::download).
    pub async fn read(&self, run: &RunId, path: &str) -> Result<Bytes> {
        path::segments(path)?;
        self.of_run(run).await?.read(path).await
    }

    /// The content of a file as it comes; see [`ArtifactRepository::download`].
    pub async fn download(&self, run: &RunId, path: &str) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        path::segments(path)?;
        self.of_run(run).await?.download(path).await
    }

    /// Deletes a file, or a directory with all below it. What is not there is no error.
    pub async fn delete(&self, run: &RunId, path: &str) -> Result<()> {
        path::segments(path)?;
        self.of_run(run).await?.delete(path).await
    }

    /// Where a run keeps its artifacts; asked once.
    async fn uri(&self, run: &RunId) -> Result<String> {
        if let Some(uri) = self.client.inner.artifact_uris.lock().await.get(run) {
            return Ok(uri.clone());
        }
        let uri = self.client.runs().get(run).await?.info.artifact_uri;
        let mut known = self.client.inner.artifact_uris.lock().await;
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(run.clone(), uri.clone());
        Ok(uri)
    }
}
