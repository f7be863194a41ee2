//! What controllers in the cluster report.

use http::Method;
use serde_json::Value;

use super::ROOT;
use crate::{
    argo,
    client::Client,
    endpoint::Call,
    error::{Error, Result},
};

/// Reports of controllers; made by [`V1::reports`](super::V1::reports).
///
/// For the inside of the cluster, where the persistence agent makes them: the gateway of a whole Kubeflow refuses them
/// ([`Error::PermissionDenied`]).
#[derive(Debug, Clone)]
pub struct Reports {
    client: Client,
}

impl Reports {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// The body is a JSON text that holds JSON.
    async fn report(&self, operation: &'static str, last: &str, resource: String) -> Result<()> {
        let path = [ROOT[0], ROOT[1], last];
        let call = Call::new(operation, Method::POST, &self.client.inner.base, &path)?.json(&resource)?;
        self.client.inner.done(&call).await
    }

    /// Reports how an Argo workflow stands; its label `pipeline/runid` says which run it is.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the server misses something in it.
    pub async fn workflow(&self, workflow: &argo::Workflow) -> Result<()> {
        let fields = [
            ("metadata.name", &workflow.metadata.name),
            ("metadata.namespace", &workflow.metadata.namespace),
            ("metadata.uid", &workflow.metadata.uid),
        ];
        if let Some((field, _)) = fields.iter().find(|(_, value)| value.is_empty()) {
            return Err(Error::invalid(*field, "not empty"));
        }
        self.report("v1.reports.workflow", "workflows", workflow.to_json())
            .await
    }

    /// Reports how a job's Kubernetes resource (a `ScheduledWorkflow`) stands.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the server misses something in it.
    pub async fn scheduled_workflow(&self, resource: &Value) -> Result<()> {
        if !resource.is_object() {
            return Err(Error::invalid("scheduled_workflow", "a JSON object"));
        }
        let operation = "v1.reports.scheduled_workflow";
        self.report(operation, "scheduledworkflows", resource.to_string()).await
    }
}
