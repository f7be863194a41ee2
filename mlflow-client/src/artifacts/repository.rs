//! A folder of artifacts, wherever it is kept.

use std::path::Path;

use bytes::Bytes;
use futures_core::{Stream, stream::BoxStream};
use futures_util::TryStreamExt;

#[cfg(feature = "object-store")]
use super::object_store::Store;
use super::{
    FileInfo,
    digest::Digest,
    local::{LocalFile, PartialFile},
    options::TransferOptions,
    path::segments,
    presigned,
    proxy::Proxy,
    report::Report,
};
use crate::{
    client::Client,
    endpoint::Call,
    error::{Error, ErrorContext, Result},
    http::context,
};

/// A file that was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransferredFile {
    /// Its path below the root of the repository, with `/`.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its digest, if [one was asked for](crate::TransferOptions::digest).
    pub digest: Option<Digest>,
}

/// The artifacts of a run or a model, or any folder of them: what MLflow calls an artifact repository.
///
/// Made by [`Artifacts`](crate::Artifacts). Paths are relative to its root, with `/`; what would lead out of it, and what
/// MLflow refuses (`#`, percent-encoding, `..`), is refused before anything is sent. No file is ever held in memory as a
/// whole, except by [`read`](Self::read).
///
/// Transfers have no limit in time as long as they move on: the client's
/// [`timeout`](crate::ClientBuilder::timeout) is for a standstill. What breaks is tried again as often as calls are; a
/// download then goes on where it stopped, if the server knows ranges (MLflow 3), and otherwise begins again.
///
/// ```no_run
/// # async fn example(client: mlflow_client::Client, run: mlflow_client::RunId) -> Result<(), mlflow_client::Error> {
/// let repository = client.artifacts().of_run(&run).await?;
/// repository.upload_folder("model", "target/model").await?;
/// repository.download_file("model/weights.bin", "/tmp/weights.bin").await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct ArtifactRepository {
    uri: String,
    client: Client,
    place: Place,
    options: TransferOptions,
}

#[derive(Debug, Clone)]
pub(super) enum Place {
    Proxy(Proxy),
    #[cfg(feature = "object-store")]
    Store(Store),
}

impl ArtifactRepository {
    pub(super) fn new(client: Client, uri: String, place: Place) -> Self {
        Self {
            uri,
            client,
            place,
            options: TransferOptions::default(),
        }
    }

    /// The same, with files moved in another way.
    #[must_use]
    pub fn with(mut self, options: TransferOptions) -> Self {
        self.options = options;
        self
    }

    /// Where the artifacts are, e.g. `mlflow-artifacts:/1/4f…/artifacts`.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn options(&self) -> &TransferOptions {
        &self.options
    }

    /// Files and folders directly in `folder`, or in the root if it is empty, in order of their paths. A path that is not
    /// there, or is a file, has none.
    pub async fn list(&self, folder: &str) -> Result<Vec<FileInfo>> {
        match &self.place {
            Place::Proxy(proxy) => proxy.list(folder).await,
            #[cfg(feature = "object-store")]
            Place::Store(store) => store.list(folder).await,
        }
    }

    /// Writes a file, replacing one of the same path. An upload that breaks off leaves nothing visible.
    pub async fn upload(&self, path: &str, content: impl Into<Bytes>) -> Result<()> {
        match &self.place {
            Place::Proxy(proxy) => proxy.put_bytes(path, content.into()).await,
            #[cfg(feature = "object-store")]
            Place::Store(store) => store.put_bytes(path, content.into()).await,
        }
    }

    /// Writes a file from a stream, which is sent as it comes. It can be read once only, so the upload is not repeated when
    /// it breaks.
    pub async fn upload_stream<S, E>(&self, path: &str, content: S) -> Result<()>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        segments(path)?;
        let report = Report::new(&self.options, path, None);
        match &self.place {
            Place::Proxy(proxy) => proxy.put_stream(path, content, report).await,
            #[cfg(feature = "object-store")]
            Place::Store(store) => store.put_stream(path, content, &self.options, report).await,
        }
    }

    /// Sends a local file to `path`, replacing one of the same path. Large ones go in parts to the store behind the server
    /// where that is offered; see [`TransferOptions`].
    ///
    /// # Errors
    ///
    /// [`Error::File`] if the file cannot be read, is not a regular one, or changes while it is read.
    pub async fn upload_file(&self, path: &str, file: impl AsRef<Path>) -> Result<TransferredFile> {
        let operation = "artifacts.upload_file";
        self.options.check()?;
        segments(path)?;
        let file = LocalFile::look(operation, file.as_ref()).await?;
        let digest = self.digest_of(&file.path).await?;
        let report = Report::new(&self.options, path, Some(file.size));
        match &self.place {
            Place::Proxy(proxy) => proxy.put_file(path, &file, &self.options, &report).await?,
            #[cfg(feature = "object-store")]
            Place::Store(store) => store.put_file(path, &file, &self.options, &report).await?,
        }
        file.unchanged(operation).await?;
        Ok(TransferredFile {
            path: path.to_owned(),
            bytes: file.size,
            digest,
        })
    }

    /// The content of a file, at most 256 MiB; larger ones are for [`download`](Self::download) and
    /// [`download_file`](Self::download_file).
    pub async fn read(&self, path: &str) -> Result<Bytes> {
        match &self.place {
            Place::Proxy(proxy) => proxy.read(path).await,
            #[cfg(feature = "object-store")]
            Place::Store(store) => {
                let (size, bytes) = store.get(path).await?;
                gather(size, bytes, || self.too_large(path)).await
            }
        }
    }

    #[cfg(feature = "object-store")]
    fn too_large(&self, path: &str) -> Error {
        let message = format!("`{path}` is larger than {} bytes", super::proxy::MOST_IN_MEMORY);
        match Call::new("artifacts.read", http::Method::GET, &self.client.inner.base, []) {
            Ok(call) => Error::UnexpectedResponse(context(&call, message)),
            Err(error) => error,
        }
    }

    /// The content of a file as it comes. The call ends with the head of the answer; what breaks later and cannot be resumed
    /// is an error of the stream. Until the stream ends or is dropped it counts among the client's requests in flight.
    ///
    /// The stream fails with [`Error::Conflict`] if the file changes while it is read.
    pub async fn download(&self, path: &str) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        Ok(self.open(path).await?.1)
    }

    async fn open(&self, path: &str) -> Result<(Option<u64>, BoxStream<'static, Result<Bytes>>)> {
        match &self.place {
            Place::Proxy(proxy) => proxy.get(path).await,
            #[cfg(feature = "object-store")]
            Place::Store(store) => store.get(path).await,
        }
    }

    /// Writes a file to the local `target`, whose folder must exist. A file already there is replaced when the new one is
    /// whole, and kept if that fails: it is written beside it first, under a name that begins with a dot.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if the file keeps changing while it is read; [`Error::File`] if the target cannot be written.
    pub async fn download_file(&self, path: &str, target: impl AsRef<Path>) -> Result<TransferredFile> {
        self.options.check()?;
        segments(path)?;
        self.fetch(path, target.as_ref(), None).await
    }

    /// The same for a path that came from the server, and whose size it has told.
    pub(super) async fn fetch(&self, path: &str, target: &Path, size: Option<u64>) -> Result<TransferredFile> {
        let mut file = PartialFile::create("artifacts.download_file", target).await?;
        let mut attempts = 0;
        let bytes = loop {
            attempts += 1;
            match self.fill(path, &mut file, size).await {
                Ok(bytes) => break bytes,
                // Read from the beginning, all is of one state again.
                Err(Error::Conflict(_)) if attempts <= self.client.inner.max_retries => {
                    file.truncate().await?;
                }
                Err(error) => return Err(error),
            }
        };
        file.close(self.options.sync).await?;
        let digest = self.digest_of(file.path()).await?;
        if let Some(expected) = &self.options.expected {
            let found = match &digest {
                Some(digest) if digest.algorithm() == expected.algorithm() => digest.clone(),
                _ => Digest::of_file(expected.algorithm(), file.path()).await?,
            };
            if found != *expected {
                return Err(self.unexpected(path, &format!("`{path}` has the digest {found} and not {expected}")));
            }
        }
        file.persist(self.options.sync).await?;
        Ok(TransferredFile {
            path: path.to_owned(),
            bytes,
            digest,
        })
    }

    fn unexpected(&self, path: &str, message: &str) -> Error {
        self.about(path, message, Error::UnexpectedResponse)
    }

    fn conflict(&self, path: &str, message: &str) -> Error {
        self.about(path, message, Error::Conflict)
    }

    fn about(&self, path: &str, message: &str, make: fn(Box<ErrorContext>) -> Error) -> Error {
        let parts = path.split('/');
        match Call::new(
            "artifacts.download_file",
            http::Method::GET,
            &self.client.inner.base,
            parts,
        ) {
            Ok(call) => make(context(&call, message)),
            Err(error) => error,
        }
    }

    async fn fill(&self, path: &str, file: &mut PartialFile, size: Option<u64>) -> Result<u64> {
        let report = Report::new(&self.options, path, size);
        match &self.place {
            Place::Proxy(proxy) => {
                if let Some(presigned) = proxy.presigned(path, &self.options).await?
                    && let Some(size) = presigned.file_size
                {
                    let report = report.clone().sized(Some(size));
                    match presigned::download(proxy, presigned, size, file, &self.options, &report).await {
                        Ok(()) => return Ok(size),
                        // The store may be out of reach from here, and only from here.
                        Err(Error::Unsupported(_) | Error::Connect(_)) => {
                            report.reset();
                            file.truncate().await?;
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            #[cfg(feature = "object-store")]
            Place::Store(_) => {}
        }
        let (told, mut bytes) = self.open(path).await?;
        let report = report.sized(told);
        let mut count = 0;
        while let Some(piece) = bytes.try_next().await? {
            file.write(&piece).await?;
            count += piece.len() as u64;
            report.moved(piece.len() as u64);
        }
        // Something on the way may have cut it off cleanly, or it has another size by now.
        if size.is_some_and(|size| size != count) && self.listed_size(path).await? != Some(count) {
            let message = format!(
                "{count} bytes of `{path}` came, and it is listed with {}",
                size.unwrap_or_default()
            );
            return Err(self.conflict(path, &message));
        }
        Ok(count)
    }

    async fn listed_size(&self, path: &str) -> Result<Option<u64>> {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let files = self.list(folder).await?;
        Ok(files.iter().find(|file| file.path == path).and_then(FileInfo::size))
    }

    async fn digest_of(&self, file: &Path) -> Result<Option<Digest>> {
        match self.options.digest {
            Some(algorithm) => Digest::of_file(algorithm, file).await.map(Some),
            None => Ok(None),
        }
    }

    /// Deletes a file, or a folder with all below it. What is not there is no error.
    pub async fn delete(&self, path: &str) -> Result<()> {
        match &self.place {
            Place::Proxy(proxy) => proxy.delete(path).await,
            #[cfg(feature = "object-store")]
            Place::Store(store) => store.delete(path).await,
        }
    }
}

/// A content as a whole, if it is not too large.
#[cfg_attr(
    not(feature = "object-store"),
    allow(dead_code, reason = "the proxy reads by itself")
)]
async fn gather(
    size: Option<u64>,
    mut content: BoxStream<'static, Result<Bytes>>,
    too_large: impl Fn() -> Error,
) -> Result<Bytes> {
    const MOST: usize = super::proxy::MOST_IN_MEMORY;
    if size.is_some_and(|size| size > MOST as u64) {
        return Err(too_large());
    }
    let mut all = bytes::BytesMut::new();
    while let Some(piece) = content.try_next().await? {
        if all.len() + piece.len() > MOST {
            return Err(too_large());
        }
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}
