//! Files behind the server's own artifact routes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_core::{Stream, stream::BoxStream};
use futures_util::{StreamExt, stream};
use http::{HeaderValue, Method, header};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    FileInfo,
    local::LocalFile,
    multipart::{self, Outcome},
    options::{DirectTransfer, TransferOptions},
    path::{self, segments},
    report::Report,
    resume,
    standstill::{self, Movement},
};
use crate::{
    client::{Client, Inner},
    endpoint::{Accept, Call},
    error::{Error, Result},
    http::{check_stream, context, read, too_late},
    server::ServerInfo,
};

/// Most bytes that a file read at once may have.
pub(super) const MOST_IN_MEMORY: usize = 256 << 20;
/// The routes of the artifact proxy.
const SERVICE: [&str; 3] = ["api", "2.0", "mlflow-artifacts"];

/// A folder of the server's store.
#[derive(Debug, Clone)]
pub(super) struct Proxy {
    pub(super) client: Client,
    /// Below the store's own root.
    root: Vec<String>,
}

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    files: Vec<FileInfo>,
}

/// Where a file can be had directly.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Presigned {
    pub(super) url: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) file_size: Option<u64>,
}

impl Proxy {
    /// The folder at `root`, a path that came from the server.
    pub(super) fn new(client: Client, root: &str) -> Result<Self> {
        // The address is the server's, but with dots in it the files would land elsewhere.
        let root = segments(root);
        let root = root.map_err(|_| Error::invalid("artifact_uri", "an address without empty parts and dots"))?;
        Ok(Self {
            client,
            root: root.into_iter().map(str::to_owned).collect(),
        })
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.client.inner
    }

    /// A call of a route about a file or folder; the path has been checked.
    pub(super) fn call(&self, operation: &'static str, method: Method, route: &[&str], path: &[&str]) -> Result<Call> {
        let root = self.root.iter().map(String::as_str);
        let parts = SERVICE
            .iter()
            .chain(route)
            .copied()
            .chain(root)
            .chain(path.iter().copied());
        Call::new(operation, method, &self.inner().base, parts)
    }

    fn file(&self, operation: &'static str, method: Method, path: &str) -> Result<Call> {
        self.call(operation, method, &["artifacts"], &segments(path)?)
    }

    /// What lies directly in a folder, with paths below the root.
    pub(super) async fn list(&self, folder: &str) -> Result<Vec<FileInfo>> {
        let operation = "artifacts.list";
        let mut place = self.root.join("/");
        for part in path::folder(folder)? {
            place = path::join(&place, part);
        }
        let parts = SERVICE.iter().copied().chain(["artifacts"]);
        let call = Call::new(operation, Method::GET, &self.inner().base, parts)?.query("path", &place);
        let mut files = self.inner().json::<Listing>(&call).await?.files;
        for file in &mut files {
            // Names that lead elsewhere are of no use to anybody.
            if !path::is_plain(&file.path) {
                let message = format!(
                    "the server lists `{}`, which is no name of a file",
                    file.path.escape_debug()
                );
                return Err(Error::UnexpectedResponse(context(&call, message)));
            }
            file.path = path::join(folder, &file.path);
        }
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(files)
    }

    pub(super) async fn put_bytes(&self, path: &str, content: Bytes) -> Result<()> {
        let call = self.file("artifacts.upload", Method::PUT, path)?;
        let call = call.bytes(content).accept(Accept::Nothing).idempotent();
        self.inner().done(&call).await
    }

    /// Sends a stream, which can be read once only.
    pub(super) async fn put_stream<S, E>(&self, path: &str, content: S, report: Report) -> Result<()>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let call = self.file("artifacts.upload_stream", Method::PUT, path)?;
        let call = call.accept(Accept::Nothing);
        self.put(&call, content, report).await
    }

    pub(super) async fn put_file(
        &self,
        path: &str,
        file: &LocalFile,
        options: &TransferOptions,
        report: &Report,
    ) -> Result<()> {
        if file.size >= options.multipart_minimum && file.size > 0 && self.takes_parts(options).await {
            match multipart::upload(self, path, file, options, report).await? {
                Outcome::Done => return Ok(()),
                Outcome::NotOffered => report.reset(),
            }
        }
        let call = self
            .file("artifacts.upload_file", Method::PUT, path)?
            .header(header::CONTENT_LENGTH, HeaderValue::from(file.size))
            .accept(Accept::Nothing)
            .idempotent();
        standstill::repeat(self.inner(), &call, || async {
            report.reset();
            let content = file.bytes(0, file.size).await;
            let content = content.map_err(|error| crate::error::FileError::of(call.operation, &file.path, error))?;
            self.put(&call, content, report.clone()).await
        })
        .await
    }

    async fn put<S, E>(&self, call: &Call, content: S, report: Report) -> Result<()>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let inner = self.inner();
        let _slot = inner.slot(call, Instant::now() + inner.timeout, inner.timeout).await?;
        let movement = Movement::new();
        let size = call
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|size| size.to_str().ok()?.parse().ok());
        let body = moving_body(content, size, movement.clone(), report);
        let work = async { check_stream(call, inner.head(call, Some(body)).await?).await.map(drop) };
        movement.watch(call, inner.timeout, work).await
    }

    /// The whole content of a file.
    pub(super) async fn read(&self, path: &str) -> Result<Bytes> {
        let call = self.file("artifacts.read", Method::GET, path)?.accept(Accept::Artifact);
        let inner = self.inner();
        let work = |limit: Duration, slot| {
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

    /// The content of a file as it comes, and its size if the server tells it.
    pub(super) async fn get(&self, path: &str) -> Result<(Option<u64>, BoxStream<'static, Result<Bytes>>)> {
        let call = self
            .file("artifacts.download", Method::GET, path)?
            .accept(Accept::Artifact);
        resume::open(&self.client, call).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<()> {
        let call = self.file("artifacts.delete", Method::DELETE, path)?;
        self.inner().done(&call.accept(Accept::Nothing).idempotent()).await
    }

    /// Where a file can be had directly, if the server hands that out.
    pub(super) async fn presigned(&self, path: &str, options: &TransferOptions) -> Result<Option<Presigned>> {
        let ask = match options.presigned_download {
            DirectTransfer::Never => false,
            DirectTransfer::Always => true,
            DirectTransfer::Auto => self.offers(|info| info.multipart_downloads_enabled).await,
        };
        if !ask {
            return Ok(None);
        }
        let call = self.call(
            "artifacts.presigned_download",
            Method::GET,
            &["presigned"],
            &segments(path)?,
        )?;
        match self.inner().json(&call).await {
            Ok(presigned) => Ok(Some(presigned)),
            Err(Error::Unsupported(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn takes_parts(&self, options: &TransferOptions) -> bool {
        match options.multipart_upload {
            DirectTransfer::Never => false,
            DirectTransfer::Always => true,
            DirectTransfer::Auto => self.offers(|info| info.multipart_uploads_enabled).await,
        }
    }

    /// What the server says of itself. One that says nothing, for now or for ever, offers nothing.
    async fn offers(&self, part: impl Fn(&ServerInfo) -> Option<bool>) -> bool {
        let known = self.inner().server_info.get_or_try_init(|| async {
            match self.client.server_info().await {
                Err(error) if error.is_retryable() => Err(error),
                answer => Ok(answer.unwrap_or_default()),
            }
        });
        known.await.is_ok_and(|info| part(info).unwrap_or(false))
    }
}

/// A body that notes how it moves on.
pub(super) fn moving_body<S, E>(content: S, size: Option<u64>, movement: Movement, report: Report) -> reqwest::Body
where
    S: Stream<Item = std::result::Result<Bytes, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let sent = Arc::new(AtomicU64::new(0));
    let (at_end, all) = (movement.clone(), Arc::clone(&sent));
    let content = content.map(move |chunk| {
        let chunk = chunk.map_err(Into::into)?;
        let bytes = chunk.len() as u64;
        let so_far = sent.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        movement.note();
        // Of a body whose size is known nobody asks for the end.
        if size == Some(so_far) {
            movement.sent(so_far);
        }
        report.moved(bytes);
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(chunk)
    });
    let end = stream::poll_fn(move |_| {
        at_end.sent(all.load(Ordering::Relaxed));
        std::task::Poll::Ready(None)
    });
    reqwest::Body::wrap_stream(content.chain(end))
}
