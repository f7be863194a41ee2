//! Artifacts that the server does not pass on: read from and written to their store directly.

use std::{
    path::{Path as LocalPath, PathBuf},
    sync::Arc,
};

use ::object_store::{
    Error as StoreError, GetOptions, ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart, parse_url_opts,
    path::Path,
};
use bytes::{Bytes, BytesMut};
use futures_core::{Stream, stream::BoxStream};
use futures_util::{StreamExt, TryStreamExt, pin_mut};
use http::Method;
use url::Url;

use super::{
    FileInfo,
    local::LocalFile,
    options::TransferOptions,
    path::{folder, join, segments},
    report::Report,
};
use crate::{
    client::Client,
    endpoint::Call,
    error::{Error, FileError, Result, Source},
    http::context,
};

/// The stores that a program has set up itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Stores {
    given: Vec<(String, Arc<dyn ObjectStore>)>,
    local_root: Option<PathBuf>,
}

impl Stores {
    pub(super) fn give(&mut self, address: &str, store: Arc<dyn ObjectStore>) {
        self.given.push((address.trim_end_matches('/').to_owned(), store));
    }

    pub(super) fn local_root(&mut self, root: PathBuf) {
        self.local_root = Some(root);
    }

    /// The folder at an address that the server tells.
    pub(super) fn open(&self, client: &Client, uri: &str) -> Result<Store> {
        let store = |store: Arc<dyn ObjectStore>, root: &str| {
            let root = Path::parse(root).map_err(|_| unfit())?;
            Ok(Store {
                client: client.clone(),
                objects: store,
                root,
            })
        };
        for (address, given) in &self.given {
            let rest = uri.strip_prefix(address.as_str());
            if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
                return store(Arc::clone(given), rest.trim_matches('/'));
            }
        }
        if let Some(path) = local_path(uri)? {
            let (root, below) = self.below_local_root(&path)?;
            let local = ::object_store::local::LocalFileSystem::new_with_prefix(root)
                .map_err(|error| failure(client, Method::GET, "", error))?;
            return store(Arc::new(local), &below);
        }
        let (made, root) = from_environment(client, uri)?;
        store(made, &root)
    }

    fn below_local_root(&self, path: &LocalPath) -> Result<(&LocalPath, String)> {
        let Some(root) = &self.local_root else {
            let allowed = "an address of a store; the server keeps these artifacts in a folder of its own, which is only \
                           used here below `Artifacts::local_root`";
            return Err(Error::invalid("artifact_uri", allowed));
        };
        let below = path.strip_prefix(root).ok().and_then(LocalPath::to_str);
        let plain = below.filter(|below| folder(below).is_ok());
        let below =
            plain.ok_or_else(|| Error::invalid("artifact_uri", format!("a folder below {}", root.display())))?;
        Ok((root, below.to_owned()))
    }
}

fn unfit() -> Error {
    Error::invalid(
        "artifact_uri",
        "an address without empty parts, dots and control characters",
    )
}

/// A folder in a store.
#[derive(Debug, Clone)]
pub(super) struct Store {
    client: Client,
    objects: Arc<dyn ObjectStore>,
    root: Path,
}

/// The local path that an address means, if it means one.
fn local_path(uri: &str) -> Result<Option<PathBuf>> {
    if uri.starts_with("file:") {
        let url: Url = uri.parse().map_err(|_| unfit())?;
        return url.to_file_path().map(Some).map_err(|()| unfit());
    }
    Ok(uri.starts_with('/').then(|| PathBuf::from(uri)))
}

/// A store by its address and the variables that the tools of its maker read.
fn from_environment(client: &Client, uri: &str) -> Result<(Arc<dyn ObjectStore>, String)> {
    let refused = || {
        Error::invalid(
            "artifact_uri",
            "the address of a store: `s3:`, `gs:`, `abfss:`, `wasbs:` or `file:`",
        )
    };
    let (scheme, rest) = uri.split_once("://").ok_or_else(refused)?;
    let (authority, root) = rest.split_once('/').unwrap_or((rest, ""));
    let address = match scheme {
        "s3" | "s3a" | "gs" | "abfs" | "abfss" => format!("{scheme}://{authority}/"),
        // The older name of the same.
        "wasb" | "wasbs" => format!("abfss://{}/", authority.replace(".blob.", ".dfs.")),
        _ => return Err(refused()),
    };
    let url: Url = address.parse().map_err(|_| refused())?;
    let mut options: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?.to_ascii_lowercase(), value.into_string().ok()?)))
        // Without these beginnings a variable such as `TOKEN` would be taken for one of a store.
        .filter(|(name, _)| {
            ["aws_", "google_", "azure_"]
                .iter()
                .any(|start| name.starts_with(start))
        })
        .collect();
    // The name that MLflow gives to it.
    if let Ok(endpoint) = std::env::var("MLFLOW_S3_ENDPOINT_URL") {
        options.push(("aws_allow_http".to_owned(), endpoint.starts_with("http://").to_string()));
        options.push(("aws_endpoint_url".to_owned(), endpoint));
    }
    let (store, _) = parse_url_opts(&url, options).map_err(|error| match error {
        StoreError::Generic { .. } | StoreError::NotSupported { .. } | StoreError::NotImplemented { .. } => {
            let call = Call::new("artifacts.resolve", Method::GET, &client.inner.base, []);
            let message = format!("no store for {scheme}: ({error}); it may need the feature `s3`, `gcs` or `azure`");
            call.map_or_else(|error| error, |call| Error::Unsupported(context(&call, message)))
        }
        error => failure(client, Method::GET, "", error),
    })?;
    Ok((Arc::from(store), root.trim_matches('/').to_owned()))
}

/// The error of a store, by what the caller can do.
fn failure(client: &Client, method: Method, path: &str, error: StoreError) -> Error {
    let call = Call::new("artifacts.store", method, &client.inner.base, []);
    let call = match call {
        Ok(call) => call,
        Err(error) => return error,
    };
    let make = match &error {
        StoreError::NotFound { .. } => Error::NotFound,
        StoreError::AlreadyExists { .. } => Error::AlreadyExists,
        StoreError::InvalidPath { .. } => Error::InvalidArgument,
        StoreError::NotSupported { .. } | StoreError::NotImplemented { .. } => Error::Unsupported,
        StoreError::Precondition { .. } | StoreError::NotModified { .. } => Error::Conflict,
        StoreError::PermissionDenied { .. } => Error::PermissionDenied,
        StoreError::Unauthenticated { .. } => Error::Unauthenticated,
        StoreError::UnknownConfigurationKey { .. } => Error::Setup,
        _ => Error::Unavailable,
    };
    // Its own text may quote addresses with rights in them; it is reached as the source.
    let mut context = context(&call, format!("the store could not serve `{path}`"));
    path.clone_into(&mut context.path);
    context.source = Some(Source::Other(Box::new(error)));
    make(context)
}

impl Store {
    fn place(&self, parts: &[&str]) -> Result<Path> {
        let mut place = self.root.as_ref().to_owned();
        for part in parts {
            place = join(&place, part);
        }
        Path::parse(place).map_err(|_| unfit())
    }

    fn failed(&self, method: Method, path: &str, error: StoreError) -> Error {
        failure(&self.client, method, path, error)
    }

    pub(super) async fn list(&self, path: &str) -> Result<Vec<FileInfo>> {
        let place = self.place(&folder(path)?)?;
        let found = self.objects.list_with_delimiter(Some(&place)).await;
        let found = found.map_err(|error| self.failed(Method::GET, path, error))?;
        let name = |place: &Path| place.filename().map(|name| join(path, name));
        let folders = found.common_prefixes.iter().filter_map(name).map(|path| FileInfo {
            path,
            is_dir: true,
            file_size: None,
        });
        let files = found.objects.iter().filter_map(|object| {
            Some(FileInfo {
                path: name(&object.location)?,
                is_dir: false,
                file_size: i64::try_from(object.size).ok().filter(|size| *size > 0),
            })
        });
        let mut all: Vec<FileInfo> = folders.chain(files).collect();
        all.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(all)
    }

    pub(super) async fn put_bytes(&self, path: &str, content: Bytes) -> Result<()> {
        let place = self.place(&segments(path)?)?;
        let done = self.objects.put(&place, PutPayload::from_bytes(content)).await;
        done.map(drop).map_err(|error| self.failed(Method::PUT, path, error))
    }

    pub(super) async fn put_file(
        &self,
        path: &str,
        file: &LocalFile,
        options: &TransferOptions,
        report: &Report,
    ) -> Result<()> {
        let content = file.bytes(0, file.size).await;
        let content = content.map_err(|error| FileError::of("artifacts.upload_file", &file.path, error))?;
        self.put_stream(path, content, options, report.clone()).await
    }

    /// Small ones at once, larger ones in parts.
    pub(super) async fn put_stream<S, E>(
        &self,
        path: &str,
        content: S,
        options: &TransferOptions,
        report: Report,
    ) -> Result<()>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let place = self.place(&segments(path)?)?;
        let chunk = usize::try_from(options.upload_chunk).unwrap_or(usize::MAX);
        let failed = |error| self.failed(Method::PUT, path, error);
        let mut first = BytesMut::new();
        let mut parts = AbortOnDrop(None);
        pin_mut!(content);
        while let Some(piece) = content.next().await {
            let piece = piece.map_err(|error| {
                failed(StoreError::Generic {
                    store: "source",
                    source: error.into(),
                })
            })?;
            let size = piece.len() as u64;
            if let Some(parts) = &mut parts.0 {
                parts.wait_for_capacity(options.parallel).await.map_err(failed)?;
                parts.put(piece);
            } else {
                first.extend_from_slice(&piece);
                if first.len() >= chunk {
                    let begun = self.objects.put_multipart(&place).await.map_err(failed)?;
                    let mut begun = WriteMultipart::new_with_chunk_size(begun, chunk);
                    begun.put(std::mem::take(&mut first).freeze());
                    parts.0 = Some(begun);
                }
            }
            report.moved(size);
        }
        if let Some(parts) = parts.0.take() {
            return parts.finish().await.map(drop).map_err(failed);
        }
        let all = PutPayload::from_bytes(first.freeze());
        self.objects.put(&place, all).await.map(drop).map_err(failed)
    }

    pub(super) async fn get(&self, path: &str) -> Result<(Option<u64>, BoxStream<'static, Result<Bytes>>)> {
        let place = self.place(&segments(path)?)?;
        let found = self.objects.get_opts(&place, GetOptions::default()).await;
        let found = found.map_err(|error| self.failed(Method::GET, path, error))?;
        let size = found.meta.size;
        let (client, path) = (self.client.clone(), path.to_owned());
        let bytes = found
            .into_stream()
            .map_err(move |error| failure(&client, Method::GET, &path, error));
        Ok((Some(size), bytes.boxed()))
    }

    pub(super) async fn delete(&self, path: &str) -> Result<()> {
        let place = self.place(&segments(path)?)?;
        let failed = |error| self.failed(Method::DELETE, path, error);
        let below = self.objects.list(Some(&place)).map_ok(|object| object.location).boxed();
        let mut deleted = self.objects.delete_stream(below);
        while let Some(result) = deleted.next().await {
            match result {
                Ok(_) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        match self.objects.delete(&place).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            // Of a local folder, which is no file.
            Err(_) if self.objects.head(&place).await.is_err() => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

/// Stores charge for the parts of an upload that came to no end.
struct AbortOnDrop(Option<WriteMultipart>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        let Some(parts) = self.0.take() else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let limit = std::time::Duration::from_secs(30);
                if !matches!(tokio::time::timeout(limit, parts.abort()).await, Ok(Ok(()))) {
                    tracing::warn!("an upload to a store could not be aborted; its parts remain");
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_below_the_one_allowed_are_used() {
        let client = Client::builder("http://x").unwrap().build().unwrap();
        let mut stores = Stores::default();
        assert!(stores.open(&client, "/mnt/mlruns/1").is_err());
        let folder = tempfile::tempdir().unwrap();
        stores.local_root(folder.path().to_owned());
        let below = format!("{}/1/a b/artifacts", folder.path().display());
        assert_eq!(stores.open(&client, &below).unwrap().root.as_ref(), "1/a b/artifacts");
        let url = format!("file://{}/1/a%20b", folder.path().display());
        assert_eq!(stores.open(&client, &url).unwrap().root.as_ref(), "1/a b");
        let out = format!("{}/../etc", folder.path().display());
        for bad in [out.as_str(), "/etc", "file:///etc", "ftp://x/y", "hdfs:/x", "relative"] {
            assert!(stores.open(&client, bad).is_err(), "{bad}");
        }
    }
}
