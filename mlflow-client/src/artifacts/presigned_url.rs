//! Addresses by which whoever has them reaches one file in a store, for a while.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Artifacts, path::segments};
use crate::{
    error::{Error, Result},
    ids::{LoggedModelId, RunId},
    limits,
    version::ServerVersion,
    wire,
};

/// Stores make no address that lasts longer: seven days.
const LONGEST: Duration = Duration::from_secs(604_800);

/// An address that carries the right to write or read one file, for a program without rights of its own in the store.
///
/// Whoever knows it has that right, so `Debug` shows none of it.
#[derive(Clone, Deserialize)]
#[non_exhaustive]
pub struct PresignedUrl {
    #[serde(rename = "presigned_url")]
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "wire::optional_int64")]
    file_size: Option<i64>,
}

impl PresignedUrl {
    /// The address. An upload is a PUT to it, a download a GET, without credentials of MLflow.
    pub fn expose_url(&self) -> &str {
        &self.url
    }

    /// Headers that the request must have; what is signed differs without them, and the store refuses it.
    pub fn headers(&self) -> &BTreeMap<String, String> {
        &self.headers
    }

    /// Size in bytes of the file to be read; `None` for an upload.
    pub fn file_size(&self) -> Option<u64> {
        self.file_size.and_then(|size| u64::try_from(size).ok())
    }
}

impl fmt::Debug for PresignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresignedUrl")
            .field("file_size", &self.file_size)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Serialize)]
struct Wanted<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<&'a RunId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<&'a LoggedModelId>,
    path: &'a str,
    /// In seconds.
    expiration: u64,
}

impl<'a> Wanted<'a> {
    fn new(path: &'a str, expiration: Duration) -> Result<Self> {
        segments(path)?;
        if expiration.subsec_nanos() > 0 || expiration.is_zero() || expiration > LONGEST {
            return Err(Error::invalid(
                "expiration",
                "whole seconds from 1 to 604800 (seven days)",
            ));
        }
        Ok(Self {
            path,
            expiration: expiration.as_secs(),
            ..Self::default()
        })
    }
}

const UPLOAD: [&str; 2] = ["artifacts.presigned_upload", "artifacts/presigned-upload-url"];
const DOWNLOAD: [&str; 2] = ["artifacts.presigned_download_url", "artifacts/presigned-download-url"];

impl Artifacts {
    /// An address to write a file of a run by, which is good for as long as `expiration` says: whole seconds, at most seven
    /// days. For runs whose artifacts are in a store that the server does not pass on, but has rights in. Since MLflow 3.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the server passes the run's artifacts on itself; [`Error::Unsupported`] if its store
    /// makes no such addresses.
    ///
    /// ```no_run
    /// # async fn example(client: mlflow_client::Client, run: mlflow_client::RunId) -> Result<(), Box<dyn std::error::Error>> {
    /// let hour = std::time::Duration::from_secs(3600);
    /// let address = client.artifacts().presigned_upload(&run, "model.bin", hour).await?;
    /// let mut request = reqwest::Client::new().put(address.expose_url()).body("content");
    /// for (name, value) in address.headers() {
    ///     request = request.header(name, value);
    /// }
    /// request.send().await?.error_for_status()?;
    /// # Ok(()) }
    /// ```
    pub async fn presigned_upload(&self, run: &RunId, path: &str, expiration: Duration) -> Result<PresignedUrl> {
        limits::id("run_id", run.as_str())?;
        let wanted = Wanted {
            run_id: Some(run),
            ..Wanted::new(path, expiration)?
        };
        self.presigned(UPLOAD, &wanted).await
    }

    /// The same for a file of a logged model.
    pub async fn presigned_model_upload(
        &self,
        model: &LoggedModelId,
        path: &str,
        expiration: Duration,
    ) -> Result<PresignedUrl> {
        limits::id("model_id", model.as_str())?;
        let wanted = Wanted {
            model_id: Some(model),
            ..Wanted::new(path, expiration)?
        };
        self.presigned(UPLOAD, &wanted).await
    }

    /// An address to read a file of a run by; see [`presigned_upload`](Self::presigned_upload). A file that is not there is
    /// [`Error::NotFound`].
    pub async fn presigned_download(&self, run: &RunId, path: &str, expiration: Duration) -> Result<PresignedUrl> {
        limits::id("run_id", run.as_str())?;
        let wanted = Wanted {
            run_id: Some(run),
            ..Wanted::new(path, expiration)?
        };
        self.presigned(DOWNLOAD, &wanted).await
    }

    async fn presigned(&self, [operation, path]: [&'static str; 2], wanted: &Wanted<'_>) -> Result<PresignedUrl> {
        let call = self
            .client
            .post(operation, path, wanted)?
            // Nothing comes of an address that is not used.
            .read_only();
        let result = self.client.inner.json(&call).await;
        self.client.explain(operation, ServerVersion::V3, result).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_not_told() {
        let text = r#"{"presigned_url": "https://b/k?X-Amz-Signature=s1gnature", "file_size": "7"}"#;
        let url: PresignedUrl = serde_json::from_str(text).unwrap();
        assert_eq!(url.file_size(), Some(7));
        assert!(url.expose_url().contains("s1gnature") && !format!("{url:?}").contains("s1gnature"));
    }
}
