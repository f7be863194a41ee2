//! Logs of a run's steps.

use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use http::Method;
use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    client::Client,
    endpoint::{Call, path_id},
    error::{Error, Result},
    http::{Reply, check, context, transport_error},
    ids::RunId,
};

/// Longest silence within a stream of log lines that still grows.
const LONGEST_SILENCE: Duration = Duration::from_secs(300);

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
    pub async fn pod_stream(
        &self,
        request: &PodLogRequest,
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + 'static> {
        let call = self.pod_call(request)?;
        let inner = &self.client.inner;
        let wire = std::sync::Arc::default();
        let head = tokio::time::timeout(inner.timeout, inner.head(&call, &wire)).await;
        let response = head.map_err(|_| Error::Timeout(context(&call, "no answer")))??;
        let reply = Reply {
            status: response.status(),
            headers: response.headers().clone(),
            body: Bytes::new(),
            attempts: 1,
        };
        if check(&call, &reply).is_err() {
            // The body says what is wrong.
            let body = tokio::time::timeout(inner.timeout, response.bytes()).await;
            let body = body.ok().and_then(Result::ok).unwrap_or_default();
            let reply = Reply { body, ..reply };
            check(&call, &reply)?;
            return Err(Error::UnexpectedResponse(context(&call, "an answer that is no log")));
        }
        let pieces = response.bytes_stream();
        Ok(stream::unfold(Some((pieces.boxed(), call)), |state| async move {
            let (mut pieces, call) = state?;
            match tokio::time::timeout(LONGEST_SILENCE, pieces.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(piece))) => Some((Ok(piece), Some((pieces, call)))),
                Ok(Some(Err(error))) => Some((Err(transport_error(&call, error.into())), None)),
                Err(_) => Some((Err(Error::Timeout(context(&call, "the log went silent"))), None)),
            }
        }))
    }

    /// The log of a node of a run, whole, from the API server.
    ///
    /// `node_id` is the name of the node in the Argo workflow (`pod_name` of a task). The path is not served through
    /// the UI server, and the API server asks nobody's permission for it (KFP 1.8 to 2.17).
    pub async fn node_log(&self, run_id: &RunId, node_id: &str) -> Result<String> {
        let path = [
            "apis",
            "v1alpha1",
            "runs",
            path_id("run_id", run_id.as_str())?,
            "nodes",
            path_id("node_id", node_id)?,
            "log",
        ];
        let call = Call::new("logs.node", Method::GET, &self.client.inner.base, &path)?.text();
        let text = self.text(&call).await?;
        // The status is sent before the work starts, so an error is a JSON object in an answer of status 200.
        if let Ok(error) = serde_json::from_str::<LogError>(&text) {
            // KFP 1.8 has other words for it.
            let absent = ["not found", "Run does not exist"];
            let make = if absent.iter().any(|text| error.error_message.contains(text)) {
                Error::NotFound
            } else {
                Error::Server
            };
            let mut context = context(&call, error.error_message);
            context.status = Some(http::StatusCode::OK);
            return Err(make(context));
        }
        Ok(text)
    }

    async fn text(&self, call: &Call) -> Result<String> {
        let inner = &self.client.inner;
        let reply = inner.send(call, inner.timeout, &std::sync::Arc::default()).await?;
        Ok(String::from_utf8_lossy(&reply.body).into_owned())
    }
}

/// The day in UTC, as archived logs are filed.
fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}
