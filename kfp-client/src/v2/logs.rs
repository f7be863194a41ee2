//! Logs of a run's steps.

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::Method;
use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    client::Client,
    endpoint::{Call, path_id},
    error::{Error, Result},
    http::context,
    ids::RunId,
};

/// Which pod's log to read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PodLogRequest {
    /// Name of the pod: `pod_name` of a task, or of one of its `child_tasks`.
    pub pod_name: String,
    /// Namespace the run's pods are in.
    pub namespace: String,
    /// Run of the pod; the log is then also looked for in the archive when the pod is gone.
    pub run_id: Option<RunId>,
    /// When the run was created; part of the name under which logs are archived.
    pub created_at: Option<Timestamp>,
}

impl PodLogRequest {
    /// The log of this pod.
    pub fn new(pod_name: impl Into<String>, namespace: impl Into<String>) -> Self {
        Self {
            pod_name: pod_name.into(),
            namespace: namespace.into(),
            run_id: None,
            created_at: None,
        }
    }

    /// Run of the pod.
    #[must_use]
    pub fn run_id(mut self, run_id: impl Into<RunId>) -> Self {
        self.run_id = Some(run_id.into());
        self
    }

    /// When the run was created.
    #[must_use]
    pub fn created_at(mut self, created_at: Timestamp) -> Self {
        self.created_at = Some(created_at);
        self
    }
}

/// Reading of logs; made by [`Client::logs`].
#[derive(Debug, Clone)]
pub struct Logs {
    client: Client,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogError {
    error_message: String,
    #[serde(default)]
    #[allow(dead_code, reason = "part of the shape that tells an error from a log")]
    error_details: String,
}

impl Logs {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    fn pod_call(&self, request: &PodLogRequest) -> Result<Call> {
        if request.pod_name.trim().is_empty() {
            return Err(Error::invalid("pod_name", "not empty"));
        }
        let call = Call::new(
            "logs.pod",
            Method::GET,
            &self.client.inner.base,
            &["k8s", "pod", "logs"],
        )?;
        let run_id = request.run_id.as_ref().map(RunId::as_str).unwrap_or_default();
        let created_at = request.created_at.map(day).unwrap_or_default();
        Ok(call
            .query("podname", &request.pod_name)
            .query("podnamespace", &request.namespace)
            .query("runid", run_id)
            .query("createdat", &created_at)
            .text())
    }

    /// The log of a pod, whole, from the UI server (so below `/pipeline`, not at the API server itself).
    ///
    /// A pod that is gone and has no archived log is an error whose variant depends on the server's release.
    pub async fn pod(&self, request: &PodLogRequest) -> Result<String> {
        self.text(&self.pod_call(request)?).await
    }

    /// The log of a pod, in pieces as they come. A piece may end in the middle of a line or character.
    ///
    /// Of a pod that is gone the UI server sends the archived log, if it is set up to and the request names the run
    /// and when it was created.
    pub async fn pod_stream(
        &self,
        request: &PodLogRequest,
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + 'static + use<>> {
        self.client.inner.pieces(self.pod_call(request)?).await
    }

    /// The log of a node of a run, whole, from the API server.
    ///
    /// `node_id` is the name of the node in the Argo workflow (`pod_name` of a task). The path is not served through
    /// the UI server, and the API server asks nobody's permission for it (KFP 1.8 to 2.17).
    pub async fn node_log(&self, run_id: &RunId, node_id: &str) -> Result<String> {
        let call = self.node_call(run_id, node_id)?;
        let text = self.text(&call).await?;
        match log_error(&call, text.as_bytes()) {
            Some(error) => Err(error),
            None => Ok(text),
        }
    }

    /// The log of a node of a run in pieces as they come, from the API server; see [`node_log`](Self::node_log). A
    /// piece may end in the middle of a line or character.
    ///
    /// The log ends where it stood: the server does not follow a step that still works (KFP 1.8 to 2.17).
    pub async fn node_log_stream(
        &self,
        run_id: &RunId,
        node_id: &str,
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + 'static + use<>> {
        let call = self.node_call(run_id, node_id)?;
        let mut pieces = self.client.inner.pieces(call.clone()).await?;
        // What begins as an error may be a log as well; only the whole tells.
        let mut begin = BytesMut::new();
        while may_be_log_error(&begin) {
            match pieces.try_next().await? {
                Some(piece) => begin.extend_from_slice(&piece),
                None => break,
            }
        }
        match log_error(&call, &begin) {
            Some(error) => Err(error),
            None => Ok(stream::iter([Ok(begin.freeze())]).chain(pieces)),
        }
    }

    fn node_call(&self, run_id: &RunId, node_id: &str) -> Result<Call> {
        let path = [
            "apis",
            "v1alpha1",
            "runs",
            path_id("run_id", run_id.as_str())?,
            "nodes",
            path_id("node_id", node_id)?,
            "log",
        ];
        Ok(Call::new("logs.node", Method::GET, &self.client.inner.base, &path)?.text())
    }

    /// The archived log of a node of a run, as its artifact `main-logs`, in pieces as they come.
    ///
    /// It is there when Argo is set up to archive logs. Through a gateway it is reached as every artifact is; see
    /// [`Artifacts::read_stream`](crate::Artifacts::read_stream) for who may read it.
    pub async fn archived_stream(
        &self,
        run_id: &RunId,
        node_id: &str,
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + 'static + use<>> {
        self.client.artifacts().read_stream(run_id, node_id, "main-logs").await
    }

    async fn text(&self, call: &Call) -> Result<String> {
        let inner = &self.client.inner;
        let reply = inner.send(call, inner.timeout, &std::sync::Arc::default()).await?;
        Ok(String::from_utf8_lossy(&reply.body).into_owned())
    }
}

/// Longest text that is taken for an error in place of a log.
const LONGEST_ERROR: usize = 64 << 10;

/// Whether what came so far may be the beginning of an error.
fn may_be_log_error(begin: &[u8]) -> bool {
    let mark = br#"{"error_message""#;
    let length = begin.len().min(mark.len());
    begin.len() <= LONGEST_ERROR && begin.get(..length) == mark.get(..length)
}

/// The status is sent before the work starts, so an error is a JSON object in an answer of status 200.
fn log_error(call: &Call, text: &[u8]) -> Option<Error> {
    let error: LogError = serde_json::from_slice(text).ok()?;
    // KFP 1.8 has other words for it.
    let absent = ["not found", "Run does not exist"];
    let make = if absent.iter().any(|text| error.error_message.contains(text)) {
        Error::NotFound
    } else {
        Error::Server
    };
    let mut context = context(call, error.error_message);
    context.status = Some(http::StatusCode::OK);
    Some(make(context))
}

/// The day in UTC, as archived logs are filed.
fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}
