//! Artifacts of runs, as bytes.

pub(crate) mod data;

use std::fmt;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use http::Method;

use self::data::DataField;
use super::ROOT;
use crate::{
    client::Client,
    endpoint::{Call, path_id},
    error::{Error, Result},
    http::context,
    ids::RunId,
    stream::whole,
    wire::wire_enum,
};

/// Largest artifact that is read into memory.
const MAX_WHOLE: usize = 256 << 20;

wire_enum! {
    /// Where an artifact is kept, as the UI server names it.
    pub enum ArtifactSource {
        /// The cluster's own store.
        Minio = "minio",
        /// Amazon S3, or what speaks its language.
        S3 = "s3",
        /// Google Cloud Storage.
        Gcs = "gcs",
        /// Any URL with `http`.
        Http = "http",
        /// Any URL with `https`.
        Https = "https",
        /// A volume mounted into the UI server.
        Volume = "volume",
    }
}

/// An artifact in a store, to be read through the UI server.
///
/// ```
/// use kfp_client::ArtifactLocation;
///
/// let model = ArtifactLocation::from_uri("minio://mlpipeline/v2/artifacts/train/model")?.namespace("team-a");
/// assert_eq!((model.bucket.as_str(), model.key.as_str()), ("mlpipeline", "v2/artifacts/train/model"));
/// # Ok::<(), kfp_client::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArtifactLocation {
    /// Kind of store.
    pub source: ArtifactSource,
    /// Bucket; the host of a URL; the name of a volume.
    pub bucket: String,
    /// Path in the bucket, without a slash at its begin.
    pub key: String,
    /// Namespace of the run; the UI server of a multi-user installation requires it.
    pub namespace: String,
    /// Read only so many bytes; all if left out. The UI server cuts after it has unpacked.
    pub peek: Option<u64>,
    /// How the store is reached, as JSON: what the launcher noted with the artifact as `store_session_info` (from KFP
    /// 2.2 on). Needed for stores that are not the installation's own.
    pub provider_info: String,
}

impl ArtifactLocation {
    /// What is kept under `key` in `bucket`.
    pub fn new(source: ArtifactSource, bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            source,
            bucket: bucket.into(),
            key: key.into(),
            namespace: String::new(),
            peek: None,
            provider_info: String::new(),
        }
    }

    /// Takes a URI as the metadata store has it, e.g. `minio://mlpipeline/v2/artifacts/x`, `s3://..`, `gs://..`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] if it is not of the form `<kind>://<bucket>/<key>` with a kind the UI server reads.
    pub fn from_uri(uri: &str) -> Result<Self> {
        let refused = || {
            let allowed = "minio://, s3://, gs://, gcs://, http://, https:// or volume:// with a bucket and a key";
            Error::invalid("uri", allowed)
        };
        let (kind, rest) = uri.split_once("://").ok_or_else(refused)?;
        let (bucket, key) = rest.split_once('/').ok_or_else(refused)?;
        let source = match kind {
            "gs" => ArtifactSource::Gcs,
            other => ArtifactSource::from(other),
        };
        if matches!(source, ArtifactSource::Unknown(_)) || bucket.is_empty() || key.is_empty() {
            return Err(refused());
        }
        Ok(Self::new(source, bucket, key))
    }

    /// Namespace of the run.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Read only so many bytes.
    #[must_use]
    pub fn peek(mut self, bytes: u64) -> Self {
        self.peek = Some(bytes);
        self
    }

    /// How the store is reached, as JSON.
    #[must_use]
    pub fn provider_info(mut self, provider_info: impl Into<String>) -> Self {
        self.provider_info = provider_info.into();
        self
    }

    fn validate(&self) -> Result<()> {
        if self.bucket.is_empty() || self.bucket.contains('/') {
            return Err(Error::invalid("bucket", "not empty and without `/`"));
        }
        if self.key.is_empty() {
            return Err(Error::invalid("key", "not empty"));
        }
        if self.peek == Some(0) {
            return Err(Error::invalid("peek", "1 or more bytes"));
        }
        Ok(())
    }
}

impl fmt::Debug for ArtifactLocation {
    /// Leaves out how the store is reached, which may name its secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/{}", self.source, self.bucket, self.key)
    }
}

/// Reading of artifacts; made by [`Client::artifacts`].
///
/// Runs name their artifacts by ids of the metadata store only (`outputs` of a task), so a URI comes from the pipeline
/// root or from that store.
#[derive(Debug, Clone)]
pub struct Artifacts {
    client: Client,
}

impl Artifacts {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// An output artifact of a node of the Argo workflow, whole (at most 256 MiB); see
    /// [`read_stream`](Self::read_stream).
    pub async fn read(&self, run_id: &RunId, node_id: &str, name: &str) -> Result<Bytes> {
        let call = self.read_call(run_id, node_id, name)?;
        let pieces = self.read_stream(run_id, node_id, name).await?.boxed();
        whole(pieces, MAX_WHOLE, &call).await
    }

    /// An output artifact of a node of the Argo workflow, as it is stored, in pieces as they come.
    ///
    /// These are what Argo stores itself: `main-logs`, and what Argo pipelines declare (often a `.tgz`). Artifacts of
    /// KFP's own specification are read with [`get_stream`](Self::get_stream). `node_id` is
    /// `pod_name` of a task or of one of its `child_tasks`.
    ///
    /// The operation left the description of the API with KFP 2.15 and is still served.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such run, node or artifact. On a multi-user server of KFP 2.17 everybody is
    /// refused ([`Error::PermissionDenied`]): it loses the caller's identity.
    pub async fn read_stream(
        &self,
        run_id: &RunId,
        node_id: &str,
        name: &str,
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + 'static + use<>> {
        let call = self.read_call(run_id, node_id, name)?;
        let pieces = self.client.inner.pieces(call.clone()).await?;
        let state = Some((pieces, DataField::default(), call));
        Ok(stream::unfold(state, |state| async move {
            let (mut pieces, mut field, call) = state?;
            loop {
                let step = match pieces.next().await {
                    Some(Ok(piece)) => field.push(&piece).map(Some),
                    Some(Err(error)) => return Some((Err(error), None)),
                    None => field.end().map(|()| None),
                };
                match step {
                    Ok(Some(bytes)) if bytes.is_empty() => {}
                    Ok(Some(bytes)) => return Some((Ok(bytes), Some((pieces, field, call)))),
                    Ok(None) => return None,
                    Err(data::Fault::CutOff) => {
                        let error = Error::Interrupted(context(&call, "the artifact was cut off"));
                        return Some((Err(error), None));
                    }
                    Err(data::Fault::Shape) => {
                        let mut context = context(&call, "not an object with `data` in base64");
                        context.json_path = Some("data".to_owned());
                        return Some((Err(Error::Decode(context)), None));
                    }
                }
            }
        })
        .fuse())
    }

    fn read_call(&self, run_id: &RunId, node_id: &str, name: &str) -> Result<Call> {
        let (run, node) = (path_id("run_id", run_id.as_str())?, path_id("node_id", node_id)?);
        let last = format!("{}:read", path_id("name", name)?);
        let path = [ROOT[0], ROOT[1], "runs", run, "nodes", node, "artifacts", &last];
        Call::new("artifacts.read", Method::GET, &self.client.inner.base, &path)
    }

    /// An artifact in a store, whole (at most 256 MiB); see [`get_stream`](Self::get_stream).
    pub async fn get(&self, location: &ArtifactLocation) -> Result<Bytes> {
        let call = self.get_call(location)?;
        whole(self.client.inner.pieces(call.clone()).await?, MAX_WHOLE, &call).await
    }

    /// An artifact in a store, through the UI server (so below `/pipeline`, not at the API server itself), in pieces
    /// as they come. The UI server unpacks `.gz` and `.tar.gz` on the way.
    pub async fn get_stream(
        &self,
        location: &ArtifactLocation,
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + 'static + use<>> {
        self.client.inner.pieces(self.get_call(location)?).await
    }

    /// An artifact in a store as it is stored, not unpacked, through the UI server, in pieces as they come.
    pub async fn get_raw_stream(
        &self,
        location: &ArtifactLocation,
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + 'static + use<>> {
        location.validate()?;
        let mut path = vec!["artifacts", location.source.as_str(), &location.bucket];
        path.extend(location.key.split('/'));
        // A browser's way of reading paths would leave these out and reach another file.
        if path.iter().any(|part| matches!(*part, "" | "." | "..")) {
            return Err(Error::invalid("key", "a path without empty parts, `.` and `..`"));
        }
        let call = Call::new("artifacts.get_raw", Method::GET, &self.client.inner.base, &path)?;
        self.client.inner.pieces(shared(call, location).bytes()).await
    }

    fn get_call(&self, location: &ArtifactLocation) -> Result<Call> {
        location.validate()?;
        let path = ["artifacts", "get"];
        let call = Call::new("artifacts.get", Method::GET, &self.client.inner.base, &path)?;
        let call = call
            .query("source", location.source.as_str())
            .query("bucket", &location.bucket)
            .query("key", &location.key);
        Ok(shared(call, location).bytes())
    }
}

/// The parameters of both ways.
fn shared(call: Call, location: &ArtifactLocation) -> Call {
    let peek = location.peek.map(|peek| peek.to_string()).unwrap_or_default();
    call.query("namespace", &location.namespace)
        .query("peek", &peek)
        .query("providerInfo", &location.provider_info)
}
