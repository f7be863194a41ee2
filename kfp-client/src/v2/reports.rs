//! Reports of what happens in the cluster, as KFP's persistence agent sends them.

use http::Method;
use serde_json::Value;

use super::ROOT;
use crate::{
    client::Client,
    endpoint::Call,
    error::{Error, Result},
    version::Feature,
};

/// Operations of the persistence agent; made by [`Client::reports`].
///
/// They are served by the API server inside the cluster only: the UI server, and so every gateway, refuses them
/// ([`Error::PermissionDenied`]). The version `v2beta1` of them is there from KFP 2.5 on ([`Error::Unsupported`]
/// before). A program needs them to play a cluster's part, e.g. in tests against a real API server.
#[derive(Debug, Clone)]
pub struct Reports {
    client: Client,
}

impl Reports {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Reports the state of an Argo `Workflow`, from which the server takes the state of the run that its label
    /// `pipeline/runid` names.
    ///
    /// The server also wants `metadata.name`, `metadata.namespace` and `metadata.uid`.
    pub async fn workflow(&self, workflow: &Value) -> Result<()> {
        self.report("reports.workflow", "workflows", "workflow", workflow).await
    }

    /// Reports the state of a `ScheduledWorkflow`, from which the server takes the state of a recurring run.
    pub async fn scheduled_workflow(&self, scheduled_workflow: &Value) -> Result<()> {
        let field = "scheduled_workflow";
        self.report(
            "reports.scheduled_workflow",
            "scheduledworkflows",
            field,
            scheduled_workflow,
        )
        .await
    }

    async fn report(&self, operation: &'static str, last: &str, field: &'static str, object: &Value) -> Result<()> {
        let text = |key: &str| object.get("metadata").and_then(|metadata| metadata.get(key)?.as_str());
        for key in ["name", "namespace", "uid"] {
            if text(key).is_none_or(str::is_empty) {
                return Err(Error::invalid(format!("{field}.metadata.{key}"), "not empty"));
            }
        }
        let call = Call::new(
            operation,
            Method::POST,
            &self.client.inner.base,
            &[ROOT[0], ROOT[1], last],
        )?;
        // The body is the manifest as a text, itself written as JSON.
        let call = call.json(&object.to_string())?.needs(Feature::REPORTS, true);
        self.client.inner.done(&call).await
    }
}
