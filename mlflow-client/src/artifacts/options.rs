//! How files are moved.

use std::{ffi::OsString, fmt, sync::Arc};

use super::digest::{Digest, DigestAlgorithm};
use crate::error::{Error, Result};

/// What S3 takes as a part at least, the last one excepted.
const LEAST_CHUNK: u64 = 5 << 20;
/// What S3 takes as a part at most.
const MOST_CHUNK: u64 = 5 << 30;

/// Whether large files go past the server, to or from the store behind it, by addresses that the server hands out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DirectTransfer {
    /// Where the server says of itself that it offers that (late versions of MLflow 3).
    #[default]
    Auto,
    /// The server is asked each time; what it does not offer goes through it.
    Always,
    /// Everything goes through the server.
    Never,
}

/// How far the transfer of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransferProgress<'a> {
    /// Path of the file, relative to the root of the repository.
    pub path: &'a str,
    /// How many of its bytes have been moved. Goes down again when a part of it is sent or read once more.
    pub bytes: u64,
    /// Its size in bytes, if that is known.
    pub size: Option<u64>,
}

pub(super) type Callback = Arc<dyn Fn(TransferProgress<'_>) + Send + Sync>;

/// How files are moved to and from an [`ArtifactRepository`](crate::ArtifactRepository).
///
/// ```
/// use mlflow_client::{DigestAlgorithm, TransferOptions};
///
/// let options = TransferOptions::new()
///     .parallel(8)
///     .digest(DigestAlgorithm::Sha256)
///     .on_progress(|at| eprintln!("{}: {} of {:?} bytes", at.path, at.bytes, at.size));
/// # let _ = options;
/// ```
#[derive(Clone)]
#[must_use]
pub struct TransferOptions {
    pub(super) parallel: usize,
    pub(super) multipart_upload: DirectTransfer,
    pub(super) multipart_minimum: u64,
    pub(super) upload_chunk: u64,
    pub(super) presigned_download: DirectTransfer,
    pub(super) download_chunk: u64,
    pub(super) verify_parts: bool,
    pub(super) digest: Option<DigestAlgorithm>,
    pub(super) expected: Option<Digest>,
    pub(super) sync: bool,
    pub(super) follow_symlinks: bool,
    pub(super) progress: Option<Callback>,
}

impl Default for TransferOptions {
    fn default() -> Self {
        Self {
            parallel: 4,
            multipart_upload: DirectTransfer::Auto,
            multipart_minimum: 500 << 20,
            upload_chunk: 10 << 20,
            presigned_download: DirectTransfer::Auto,
            download_chunk: 100 << 20,
            verify_parts: false,
            digest: None,
            expected: None,
            sync: false,
            follow_symlinks: false,
            progress: None,
        }
    }
}

impl fmt::Debug for TransferOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransferOptions")
            .field("parallel", &self.parallel)
            .field("multipart_upload", &self.multipart_upload)
            .field("presigned_download", &self.presigned_download)
            .finish_non_exhaustive()
    }
}

impl TransferOptions {
    /// The defaults, which are MLflow's own where it has some.
    pub fn new() -> Self {
        Self::default()
    }

    /// The defaults, changed by what the environment says in the way of MLflow's Python client.
    ///
    /// | Variable | Meaning |
    /// |---|---|
    /// | `MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD` | `true`: [`DirectTransfer::Always`] for uploads, `false`: `Never` |
    /// | `MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD` | the same for downloads |
    /// | `MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE` | bytes; see [`multipart_minimum`](Self::multipart_minimum) |
    /// | `MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE` | bytes; see [`upload_chunk`](Self::upload_chunk) |
    /// | `MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE` | bytes; see [`download_chunk`](Self::download_chunk) |
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] that names the variable.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    fn from_variables(read: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let text = |name: &'static str| -> Result<Option<String>> {
            let Some(value) = read(name).filter(|value| !value.is_empty()) else {
                return Ok(None);
            };
            let value = value.into_string();
            value.map(Some).map_err(|_| Error::invalid(name, "UTF-8 text"))
        };
        let direct = |name: &'static str| -> Result<DirectTransfer> {
            match text(name)?.map(|value| value.to_ascii_lowercase()).as_deref() {
                None => Ok(DirectTransfer::Auto),
                Some("true" | "1") => Ok(DirectTransfer::Always),
                Some("false" | "0") => Ok(DirectTransfer::Never),
                Some(_) => Err(Error::invalid(name, "`true` or `false`")),
            }
        };
        let bytes = |name: &'static str, default: u64| -> Result<u64> {
            let Some(value) = text(name)? else {
                return Ok(default);
            };
            value
                .parse()
                .map_err(|_| Error::invalid(name, "a whole number of bytes"))
        };
        let default = Self::default();
        let chunk = |name: &'static str, default: u64| {
            let size = bytes(name, default)?;
            check_chunk(name, size).map(|()| size)
        };
        Ok(Self {
            multipart_upload: direct("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD")?,
            presigned_download: direct("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD")?,
            multipart_minimum: bytes("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", default.multipart_minimum)?,
            upload_chunk: chunk("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", default.upload_chunk)?,
            download_chunk: chunk("MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE", default.download_chunk)?,
            ..default
        })
    }

    /// How many files of a folder, or parts of a large file, are moved at once; default 4, at least 1. Of what goes through
    /// the server, the client's [`max_in_flight`](crate::ClientBuilder::max_in_flight) limits it too.
    pub fn parallel(mut self, most: usize) -> Self {
        self.parallel = most;
        self
    }

    /// Whether large files are sent in parts to the store behind the server.
    pub fn multipart_upload(mut self, direct: DirectTransfer) -> Self {
        self.multipart_upload = direct;
        self
    }

    /// Files of at least so many bytes are sent in parts; default 500 MiB, as in MLflow.
    pub fn multipart_minimum(mut self, bytes: u64) -> Self {
        self.multipart_minimum = bytes;
        self
    }

    /// Size of the parts of a file that is sent in parts, in bytes; default 10 MiB, as in MLflow; 5 MiB to 5 GiB. Of files
    /// above 10 000 parts, the most that S3 takes, it grows as needed.
    pub fn upload_chunk(mut self, bytes: u64) -> Self {
        self.upload_chunk = bytes;
        self
    }

    /// Whether files are read from the store behind the server. Concerns
    /// [`download_file`](crate::ArtifactRepository::download_file) and folders.
    pub fn presigned_download(mut self, direct: DirectTransfer) -> Self {
        self.presigned_download = direct;
        self
    }

    /// Size of the parts in which a file is read from the store behind the server, in bytes; default 100 MiB, as in MLflow;
    /// 5 MiB to 5 GiB.
    pub fn download_chunk(mut self, bytes: u64) -> Self {
        self.download_chunk = bytes;
        self
    }

    /// Whether the `ETag` that a store gives for a part must be the part's MD5; default false.
    ///
    /// That is so on S3, unless the bucket encrypts with keys of its own (KMS), and on most servers that imitate it. A part
    /// whose `ETag` is of another form is let through.
    pub fn verify_parts(mut self, verify: bool) -> Self {
        self.verify_parts = verify;
        self
    }

    /// Computes a digest of each file, which is given with the result. It is an additional pass over the local file.
    pub fn digest(mut self, algorithm: DigestAlgorithm) -> Self {
        self.digest = Some(algorithm);
        self
    }

    /// The digest that a downloaded file must have. With any other the target is left as it was. For single files only.
    pub fn expect(mut self, digest: Digest) -> Self {
        self.expected = Some(digest);
        self
    }

    /// Whether a downloaded file is on the disk, and not only with the operating system, before it takes its name; default
    /// false. It is slow, and protects against a loss of power.
    pub fn sync(mut self, sync: bool) -> Self {
        self.sync = sync;
        self
    }

    /// Whether symbolic links to files are followed when a folder is uploaded; by default they are refused, since they may
    /// lead to files outside. Links to folders are refused always.
    pub fn follow_symlinks(mut self, follow: bool) -> Self {
        self.follow_symlinks = follow;
        self
    }

    /// Calls this whenever a part of a file has been moved: often, so let it be quick. It may be called from several tasks
    /// at once, for different files.
    pub fn on_progress(mut self, callback: impl Fn(TransferProgress<'_>) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(callback));
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.parallel == 0 {
            return Err(Error::invalid("parallel", "at least 1"));
        }
        check_chunk("upload_chunk", self.upload_chunk)?;
        check_chunk("download_chunk", self.download_chunk)
    }
}

fn check_chunk(field: &'static str, bytes: u64) -> Result<()> {
    if (LEAST_CHUNK..=MOST_CHUNK).contains(&bytes) {
        return Ok(());
    }
    Err(Error::invalid(
        field,
        format!("from {LEAST_CHUNK} (5 MiB) to {MOST_CHUNK} (5 GiB) bytes"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(variables: &[(&str, &str)]) -> Result<TransferOptions> {
        TransferOptions::from_variables(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).into())
        })
    }

    #[test]
    fn the_environment_is_heeded_and_named_when_at_fault() {
        let set = options(&[
            ("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "True"),
            ("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "false"),
            ("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "1000"),
            ("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", "6000000"),
        ])
        .unwrap();
        assert_eq!(set.multipart_upload, DirectTransfer::Always);
        assert_eq!(set.presigned_download, DirectTransfer::Never);
        assert_eq!((set.multipart_minimum, set.upload_chunk), (1000, 6_000_000));
        assert_eq!(options(&[]).unwrap().download_chunk, 100 << 20);
        for (name, value) in [
            ("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "maybe"),
            ("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "-1"),
            ("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", "1024"),
            ("MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE", "10 MB"),
        ] {
            let error = options(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn impossible_settings_are_refused() {
        assert!(TransferOptions::new().check().is_ok());
        for bad in [
            TransferOptions::new().parallel(0),
            TransferOptions::new().upload_chunk(LEAST_CHUNK - 1),
            TransferOptions::new().download_chunk(MOST_CHUNK + 1),
        ] {
            assert!(matches!(bad.check(), Err(Error::InvalidRequest(_))));
        }
    }
}
