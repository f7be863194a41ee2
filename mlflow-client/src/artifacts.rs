//! Files of runs, through the server's artifact proxy.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use http::Method;
use serde::{Deserialize, Serialize};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use url::Url;

use crate::{
    client::Client,
    endpoint::{Accept, Call},
    error::{Error, Result},
    http::{check_stream, context, read, too_late, transport_error},
    ids::RunId,
    limits, wire,
};

/// Most bytes that [`Artifacts::read`] holds.
const MOST_IN_MEMORY: usize = 256 * 1024 * 1024;
/// Addresses of more runs than this are not remembered.
const REMEMBERED: usize = 1024;

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
        let call = self
            .client
            .get("artifacts.list", "artifacts/list")?
            .query("run_id", run.as_str())
            .query("path", path);
        Ok(self.client.inner.json::<Listing>(&call).await?.files)
    }

    /// Writes a file, replacing one of the same path. An upload that breaks off leaves nothing visible.
    pub async fn upload(&self, run: &RunId, path: &str, content: impl Into<Bytes>) -> Result<()> {
        let call = self.file("artifacts.upload", Method::PUT, run, path).await?;
        self.client
            .inner
            .done(&call.bytes(content.into()).accept(Accept::Nothing).idempotent())
            .await
    }

    /// Writes a file from a stream, which is sent as it comes and never held in memory. It can be read once only, so
    /// the upload is not repeated when it breaks. It may take as long as it likes, as long as it moves on: the client's
    /// time limit is for a standstill.
    pub async fn upload_stream<S, E>(&self, run: &RunId, path: &str, content: S) -> Result<()>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let call = self
            .file("artifacts.upload_stream", Method::PUT, run, path)
            .await?
            .accept(Accept::Nothing);
        let inner = &self.client.inner;
        let _slot = inner.slot(&call, Instant::now() + inner.timeout, inner.timeout).await?;
        let progress = Progress::new();
        let moved = progress.clone();
        let body = reqwest::Body::wrap_stream(content.map(move |chunk| {
            moved.note();
            chunk.map_err(Into::into)
        }));
        let work = async {
            check_stream(&call, inner.head(&call, Some(body)).await?)
                .await
                .map(drop)
        };
        progress.watch(&call, inner.timeout, work).await
    }

    /// The content of a file, at most 256 MiB; larger ones are for [`download`](Self::download).
    pub async fn read(&self, run: &RunId, path: &str) -> Result<Bytes> {
        let call = self
            .file("artifacts.read", Method::GET, run, path)
            .await?
            .accept(Accept::Artifact);
        let inner = &self.client.inner;
        let work = |limit, slot| {
            let call = &call;
            async move {
                let work = async {
                    let _slot = slot;
                    let response = check_stream(call, inner.head(call, None).await?).await?;
                    read(call, response, MOST_IN_MEMORY).await
                };
                tokio::time::timeout(limit, work)
                    .await
                    .unwrap_or_else(|_| Err(too_late(call, limit)))
            }
        };
        Ok(inner.repeat(&call, inner.timeout, work).await?.0)
    }

    /// The content of a file as it comes. The call ends with the head of the answer; what breaks later is an error of
    /// the stream, and so is a standstill for the client's time limit. Until the stream ends or is dropped it counts among the
    /// requests in flight.
    pub async fn download(&self, run: &RunId, path: &str) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        let call = self
            .file("artifacts.download", Method::GET, run, path)
            .await?
            .accept(Accept::Artifact);
        let inner = &self.client.inner;
        let open = |limit, slot| {
            let call = &call;
            async move {
                let work = async { Ok((check_stream(call, inner.head(call, None).await?).await?, slot)) };
                tokio::time::timeout(limit, work)
                    .await
                    .unwrap_or_else(|_| Err(too_late(call, limit)))
            }
        };
        let ((response, slot), _) = inner.repeat(&call, inner.timeout, open).await?;
        Ok(in_time(call, response, slot, inner.timeout))
    }

    /// Deletes a file, or a directory with all below it. What is not there is no error.
    pub async fn delete(&self, run: &RunId, path: &str) -> Result<()> {
        let call = self.file("artifacts.delete", Method::DELETE, run, path).await?;
        self.client.inner.done(&call.accept(Accept::Nothing).idempotent()).await
    }

    async fn file(&self, operation: &'static str, method: Method, run: &RunId, path: &str) -> Result<Call> {
        limits::id("run_id", run.as_str())?;
        let below = segments(path)?;
        let uri = self.uri(run).await?;
        let base = &self.client.inner.base;
        let proxy = ["api", "2.0", "mlflow-artifacts", "artifacts"];
        let Some(root) = proxied(&uri, base) else {
            let call = Call::new(operation, method, base, proxy)?;
            let message = format!("run {run} keeps its artifacts at {uri}, which this server does not pass on");
            return Err(Error::Unsupported(context(&call, message)));
        };
        // The address is the server's, but with dots in it the files would land elsewhere.
        let root =
            segments(root).map_err(|_| Error::invalid("artifact_uri", "an address without empty parts and dots"))?;
        Call::new(operation, method, base, proxy.into_iter().chain(root).chain(below))
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

/// When something last moved.
#[derive(Clone)]
struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends `work` when nothing has moved for `limit`.
    async fn watch<T>(&self, call: &Call, limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let until = self.last() + limit;
            match tokio::time::timeout_at(until, &mut work).await {
                Ok(result) => return result,
                Err(_) if self.last() + limit > until => {}
                Err(_) => return Err(too_late(call, limit)),
            }
        }
    }
}

fn in_time(
    call: Call,
    response: reqwest::Response,
    slot: OwnedSemaphorePermit,
    limit: Duration,
) -> impl Stream<Item = Result<Bytes>> + Send + use<> {
    let bytes = response.bytes_stream().boxed();
    // The request is in flight until the stream ends.
    stream::unfold(Some((bytes, call, slot)), move |state| async move {
        let (mut bytes, call, slot) = state?;
        match tokio::time::timeout(limit, bytes.next()).await {
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some((bytes, call, slot)))),
            Ok(Some(Err(error))) => Some((Err(transport_error(&call, error.into())), None)),
            Ok(None) => None,
            Err(_) => Some((Err(too_late(&call, limit)), None)),
        }
    })
}

/// The path below the proxy's root. Artifacts at another host are not for this client, whose credentials are for its own
/// server only.
fn proxied<'a>(uri: &'a str, base: &Url) -> Option<&'a str> {
    let path = uri.strip_prefix("mlflow-artifacts:")?;
    let path = match path.strip_prefix("//") {
        Some(with_host) => {
            let (authority, path) = with_host.split_once('/')?;
            let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
            if !authority.is_empty() && base.host_str() != Some(host) && base.host_str() != Some(authority) {
                return None;
            }
            path
        }
        None => path,
    };
    Some(path.trim_matches('/')).filter(|path| !path.is_empty())
}

/// The parts of a path that stays inside the run. `#` and what looks percent-encoded MLflow refuses itself (3.17).
fn segments(path: &str) -> Result<Vec<&str>> {
    const ALLOWED: &str = "a path relative to the run, with '/', without empty parts, '.', '..', '\\', '#', percent-encoding and control characters";
    let parts: Vec<&str> = path.split('/').collect();
    let bad = |part: &&str| {
        part.is_empty()
            || matches!(*part, "." | "..")
            || part.contains(['\\', '#'])
            || part.chars().any(char::is_control)
    };
    let encoded = |three: &[u8]| matches!(three, [b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    if parts.iter().any(bad) || path.as_bytes().windows(3).any(encoded) {
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
        for path in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a\\b", "a#b", "a%2e%2e", "a\nb",
        ] {
            assert!(segments(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn only_artifacts_of_the_server_itself_are_served() {
        let base = "http://127.0.0.1:5000".parse().unwrap();
        for (uri, path) in [
            ("mlflow-artifacts:/1/abc/artifacts", "1/abc/artifacts"),
            ("mlflow-artifacts:///1/abc/artifacts", "1/abc/artifacts"),
            ("mlflow-artifacts://127.0.0.1:5000/1/abc", "1/abc"),
        ] {
            assert_eq!(proxied(uri, &base), Some(path), "{uri}");
        }
        for uri in [
            "s3://bucket/1",
            "/tmp/x",
            "mlflow-artifacts:",
            "mlflow-artifacts:/",
            "runs:/abc/model",
            "mlflow-artifacts://other:5000/1",
        ] {
            assert_eq!(proxied(uri, &base), None, "{uri}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_standstill_ends_a_transfer() {
        let base: Url = "http://127.0.0.1:5000".parse().unwrap();
        let call = Call::new("x", Method::PUT, &base, ["x"]).unwrap();
        let limit = Duration::from_secs(2);
        let progress = Progress::new();
        let slow = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                progress.note();
            }
            Ok(())
        };
        progress.watch(&call, limit, slow).await.unwrap();
        let stuck = progress.watch(&call, limit, std::future::pending::<Result<()>>()).await;
        assert!(matches!(stuck, Err(Error::Timeout(_))));
    }
}
