//! Tokens in a file that somebody else keeps fresh.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use secrecy::{SecretString, zeroize::Zeroizing};

use super::{BearerToken, TokenContext, TokenSource};
use crate::error::Error;

/// Where Kubeflow's pods find a token for Pipelines, if they ask for one with the label `access-ml-pipeline: "true"`.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubeflow/pipelines/token";
/// The environment variable that names another path.
pub(crate) const SERVICE_ACCOUNT_PATH: &str = "KF_PIPELINES_SA_TOKEN_PATH";
/// Tokens with many groups take some ten thousand bytes.
const LONGEST: u64 = 256 * 1024;

/// A file that holds a token, and is looked at before each request: whoever owns it may replace it at any time, as the
/// kubelet does with a projected service-account token. It is read only when its time of change or its size differs.
///
/// A token of a service account with audience `pipelines.kubeflow.org` is for the services inside the cluster
/// (`http://ml-pipeline-ui.kubeflow`), not for the gateway; stock gateways since Kubeflow 1.9.1 refuse Kubernetes' tokens.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    read: Mutex<Option<Stamp>>,
}

/// What changes when the file does. The kubelet replaces a symbolic link, so also the file behind may be another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    changed: Option<SystemTime>,
    length: u64,
    #[cfg(unix)]
    file: u64,
}

impl TokenFile {
    /// A file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            read: Mutex::new(None),
        }
    }

    /// The service-account token that Kubeflow projects into its pods: the file that `KF_PIPELINES_SA_TOKEN_PATH` names,
    /// or `/var/run/secrets/kubeflow/pipelines/token`.
    pub fn service_account() -> Self {
        Self::new(std::env::var_os(SERVICE_ACCOUNT_PATH).map_or_else(|| PathBuf::from(SERVICE_ACCOUNT), PathBuf::from))
    }

    pub(crate) fn default_path() -> &'static Path {
        Path::new(SERVICE_ACCOUNT)
    }

    fn stamp(&self) -> Option<Stamp> {
        let metadata = std::fs::metadata(&self.path).ok()?;
        Some(Stamp {
            changed: metadata.modified().ok(),
            length: metadata.len(),
            #[cfg(unix)]
            file: std::os::unix::fs::MetadataExt::ino(&metadata),
        })
    }

    fn unavailable(&self, problem: impl Into<String>) -> Error {
        Error::TokenUnavailable {
            from: self.name(),
            problem: problem.into(),
        }
    }

    fn contents(&self) -> Result<BearerToken, Error> {
        use std::io::Read as _;
        let file = std::fs::File::open(&self.path).map_err(|error| self.unavailable(error.kind().to_string()))?;
        let mut text = Zeroizing::new(String::new());
        file.take(LONGEST + 1)
            .read_to_string(&mut text)
            .map_err(|error| self.unavailable(error.kind().to_string()))?;
        if text.len() as u64 > LONGEST {
            return Err(self.unavailable("it is too large for a token"));
        }
        let token = text.trim();
        if token.is_empty() {
            return Err(self.unavailable("it is empty"));
        }
        Ok(BearerToken::new(SecretString::from(token)))
    }
}

#[async_trait]
impl TokenSource for TokenFile {
    fn name(&self) -> String {
        format!("the file {}", self.path.display())
    }

    async fn token(&self, _context: &TokenContext) -> Result<BearerToken, Error> {
        // Before reading: should the file change in between, the next look sees it.
        let stamp = self.stamp();
        let token = self.contents()?;
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = stamp;
        Ok(token)
    }

    fn is_current(&self) -> bool {
        // A file that is gone, or empty, for a moment is no reason to throw a good token away.
        self.stamp().is_none_or(|stamp| {
            stamp.length == 0 || *self.read.lock().unwrap_or_else(PoisonError::into_inner) == Some(stamp)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::tests_support::context;

    #[tokio::test]
    async fn is_read_again_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "first\n").unwrap();
        let source = TokenFile::new(&path);
        let read = async || {
            use secrecy::ExposeSecret as _;
            source
                .token(&context())
                .await
                .unwrap()
                .token()
                .expose_secret()
                .to_owned()
        };
        assert_eq!(read().await, "first");
        assert!(source.is_current());
        // Same length: only the file behind the name is another.
        std::fs::write(folder.path().join("new"), "other\n").unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        assert!(!source.is_current());
        assert_eq!(read().await, "other");
        assert!(source.is_current());
        std::fs::write(&path, "").unwrap();
        assert!(source.is_current());
        std::fs::remove_file(&path).unwrap();
        assert!(source.is_current());
    }

    #[tokio::test]
    async fn what_holds_no_token_is_told_without_its_contents() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for (text, expected) in [(Some(""), "empty"), (None, "not found")] {
            if let Some(text) = text {
                std::fs::write(&path, text).unwrap();
            } else {
                std::fs::remove_file(&path).unwrap();
            }
            let error = TokenFile::new(&path).token(&context()).await.unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("token"), "{error}");
        }
        std::fs::write(&path, vec![b'a'; 300 * 1024]).unwrap();
        let error = TokenFile::new(&path).token(&context()).await.unwrap_err().to_string();
        assert!(error.contains("too large") && !error.contains("aaaa"), "{error}");
    }
}
