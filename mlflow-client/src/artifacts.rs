//! Files of runs, through the server's artifact proxy.

use bytes::Bytes;
use futures_core::Stream;
use futures_util::TryStreamExt;
use http::Method;
use serde::{Deserialize, Serialize};

use crate::{
    client::Client,
    endpoint::{Accept, Call},
    error::{Error, Result},
    http::{check_stream, read, too_late, transport_error},
    ids::RunId,
    limits, wire,
};

/// Most bytes that [`Artifacts::read`] holds.
const MOST_IN_MEMORY: usize = 256 * 1024 * 1024;

/// A file or directory among the artifacts of a run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct FileInfo {
    /// Path relative to the run's artifacts, with `/`.
    pub path: String,
    /// Whether it is a directory.
    #[serde(default)]
    pub is_dir: bool,
    /// Size in bytes; `None` for directories, and for empty files, whose size the server leaves out.
    #[serde(default, deserialize_with = "wire::optional_int64")]
    pub file_size: Option<i64>,
}

/// Operations on the files of runs; see [`Client::artifacts`].
///
/// Served are runs whose artifacts the server keeps itself (`mlflow-artifacts:`, as `mlflow server` does unless told
/// otherwise). Others fail with [`Error::Unsupported`]. Paths are relative to the run, with `/`; what would lead out of
/// it is refused before anything is sent.
///
/// ```no_run
/// # async fn example(client: mlflow_client::Client, run: mlflow_client::RunId) -> Result<(), mlflow_client::Error> {
/// client.artifacts().upload(&run, "model/weights.bin", vec![0_u8; 16]).await?;
/// let weights = client.artifacts().read(&run, "model/weights.bin").await?;
/// assert_eq!(weights.len(), 16);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Artifacts {
    client: Client,
}

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    files: Vec<FileInfo>,
}

impl Artifacts {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Files and directories directly below `path`, or below the run's root if it is empty. A path that is not there, or
    /// is a file, has none.
    pub async fn list(&self, run: &RunId, path: &str) -> Result<Vec<FileInfo>> {
        limits::id("run_id", run.as_str())?;
        if !path.is_empty() {
            segments(path)?;
        }
        let call = self.client.get("artifacts.list", "artifacts/list")?.query("run_id", run.as_str()).query("path", path);
        Ok(self.client.inner.json::<Listing>(&call).await?.files)
    }

    /// Writes a file, replacing one of the same path. An upload that breaks off leaves nothing visible.
    pub async fn upload(&self, run: &RunId, path: &str, content: impl Into<Bytes>) -> Result<()> {
        let call = self.file("artifacts.upload", Method::PUT, run, path).await?;
        self.client.inner.done(&call.bytes(content.into()).accept(Accept::Nothing).idempotent()).await
    }

    /// Writes a file from a stream, which is sent as it comes and never held in memory. It can be read once only, so
    /// the upload is not repeated when it breaks.
    pub async fn upload_stream<S, E>(&self, run: &RunId, path: &str, content: S) -> Result<()>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let call = self.file("artifacts.upload_stream", Method::PUT, run, path).await?.accept(Accept::Nothing);
        let body = reqwest::Body::wrap_stream(content.map_err(Into::into));
        let response = self.client.inner.head(&call, Some(body)).await?;
        check_stream(&call, response).await.map(drop)
    }

    /// The content of a file, at most 256 MiB; larger ones are for [`download`](Self::download).
    pub async fn read(&self, run: &RunId, path: &str) -> Result<Bytes> {
        let call = self.file("artifacts.read", Method::GET, run, path).await?.accept(Accept::Artifact);
        let inner = &self.client.inner;
        let work = |limit| {
            let call = &call;
            async move {
                let work = async {
                    let response = check_stream(call, inner.head(call, None).await?).await?;
                    read(call, response, MOST_IN_MEMORY).await
                };
                tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(too_late(call, limit)))
            }
        };
        Ok(inner.repeat(&call, inner.timeout, work).await?.0)
    }

    /// The content of a file as it comes. The call ends with the head of the answer; what breaks later is an error of
    /// the stream.
    pub async fn download(&self, run: &RunId, path: &str) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        let call = self.file("artifacts.download", Method::GET, run, path).await?.accept(Accept::Artifact);
        let inner = &self.client.inner;
        let head = tokio::time::timeout(inner.timeout, inner.head(&call, None)).await;
        let response = head.unwrap_or_else(|_| Err(too_late(&call, inner.timeout)))?;
        let response = check_stream(&call, response).await?;
        Ok(response.bytes_stream().map_err(move |error| transport_error(&call, error.into())))
    }

    /// Deletes a file, or a directory with all below it. What is not there is no error.
    pub async fn delete(&self, run: &RunId, path: &str) -> Result<()> {
        let call = self.file("artifacts.delete", Method::DELETE, run, path).await?;
        self.client.inner.done(&call.accept(Accept::Nothing).idempotent()).await
    }

    async fn file(&self, operation: &'static str, method: Method, run: &RunId, path: &str) -> Result<Call> {
        let below = segments(path)?;
        let uri = self.uri(run).await?;
        let root = proxied(&uri).ok_or_else(|| {
            let allowed = "a run whose artifacts the server keeps itself (start it with --serve-artifacts)";
            Error::invalid("run_id", format!("{allowed}; this one keeps them at {uri}"))
        })?;
        let parts = ["api", "2.0", "mlflow-artifacts", "artifacts"].into_iter().chain(root.split('/')).chain(below);
        Call::new(operation, method, &self.client.inner.base, parts)
    }

    /// Where a run keeps its artifacts; asked once.
    async fn uri(&self, run: &RunId) -> Result<String> {
        let mut known = self.client.inner.artifact_uris.lock().await;
        if let Some(uri) = known.get(run) {
            return Ok(uri.clone());
        }
        let uri = self.client.runs().get(run).await?.info.artifact_uri;
        known.insert(run.clone(), uri.clone());
        Ok(uri)
    }
}

/// The path below the proxy's root. A host in the address is the server itself: the client asks no other.
fn proxied(uri: &str) -> Option<&str> {
    let path = uri.strip_prefix("mlflow-artifacts:")?;
    let path = match path.strip_prefix("//") {
        Some(with_host) => with_host.split_once('/')?.1,
        None => path,
    };
    Some(path.trim_matches('/')).filter(|path| !path.is_empty())
}

/// The parts of a path that stays inside the run. MLflow refuses `#` and encoded tricks itself (3.17).
fn segments(path: &str) -> Result<Vec<&str>> {
    const ALLOWED: &str = "a path relative to the run, with '/', without empty parts, '.', '..', '\\' and control characters";
    let parts: Vec<&str> = path.split('/').collect();
    let bad = |part: &&str| {
        part.is_empty() || matches!(*part, "." | "..") || part.contains(['\\', '#']) || part.chars().any(char::is_control)
    };
    if parts.iter().any(bad) {
        return Err(Error::invalid("path", ALLOWED));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_run() {
        assert_eq!(segments("model/weights v1.bin").unwrap(), ["model", "weights v1.bin"]);
        for path in ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a\\b", "a#b", "a\nb"] {
            assert!(segments(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn only_artifacts_of_the_server_itself_are_served() {
        assert_eq!(proxied("mlflow-artifacts:/1/abc/artifacts"), Some("1/abc/artifacts"));
        assert_eq!(proxied("mlflow-artifacts://host:5000/1/abc"), Some("1/abc"));
        for uri in ["s3://bucket/1", "/tmp/x", "mlflow-artifacts:", "mlflow-artifacts:/", "runs:/abc/model"] {
            assert_eq!(proxied(uri), None, "{uri}");
        }
    }
}
