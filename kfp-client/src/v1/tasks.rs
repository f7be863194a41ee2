//! Tasks that steps recorded for the cache.

use futures_core::Stream;
use http::Method;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    list_query,
    references::{ResourceKey, ResourceType},
};
use crate::{
    client::Client,
    endpoint::Call,
    error::{Error, Result},
    ids::{PipelineId, RunId, TaskId},
    list::list_request,
    message::message,
    page::{self, Listed, Page},
    status::Status,
    v2::storable,
};

message! {
    /// A step's execution, recorded so that a later one of the same fingerprint can take its results.
    ///
    /// The names of some of its fields differ in style on the wire from all others.
    pub struct Task {
        /// Id, made by the server.
        id: TaskId,
        /// Namespace.
        namespace: String,
        /// The pipeline: `pipeline/NAME`, or `namespace/NAMESPACE/pipeline/NAME`.
        #[serde(rename = "pipelineName")]
        pipeline_name: String,
        /// The run.
        #[serde(rename = "runId")]
        run_id: RunId,
        /// The execution in the metadata store.
        #[serde(rename = "mlmdExecutionID")]
        mlmd_execution_id: String,
        /// When the step started.
        created_at: Option<Timestamp>,
        /// When it ended.
        finished_at: Option<Timestamp>,
        /// What two executions must have in common for one to take the other's results.
        fingerprint: String,
    }
}

impl Listed for Task {
    fn broken(&self) -> Option<(&str, &Status)> {
        None
    }
}

/// A task to be recorded.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CreateTask {
    /// Namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The pipeline: `pipeline/NAME`, or `namespace/NAMESPACE/pipeline/NAME`.
    #[serde(rename = "pipelineName")]
    pub pipeline_name: String,
    /// The run.
    #[serde(rename = "runId")]
    pub run_id: RunId,
    /// The execution in the metadata store.
    #[serde(rename = "mlmdExecutionID")]
    pub mlmd_execution_id: String,
    /// What two executions must have in common.
    pub fingerprint: String,
    /// When the step started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

impl CreateTask {
    /// The execution of this fingerprint in a run of a pipeline.
    pub fn new(
        pipeline_name: impl Into<String>,
        run_id: impl Into<RunId>,
        mlmd_execution_id: impl Into<String>,
        fingerprint: impl Into<String>,
    ) -> Self {
        Self {
            namespace: String::new(),
            pipeline_name: pipeline_name.into(),
            run_id: run_id.into(),
            mlmd_execution_id: mlmd_execution_id.into(),
            fingerprint: fingerprint.into(),
            created_at: None,
            finished_at: None,
        }
    }

    /// Namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// When the step started.
    #[must_use]
    pub fn created_at(mut self, time: Timestamp) -> Self {
        self.created_at = Some(time);
        self
    }

    /// When it ended.
    #[must_use]
    pub fn finished_at(mut self, time: Timestamp) -> Self {
        self.finished_at = Some(time);
        self
    }

    fn validate(&self) -> Result<()> {
        let fields = [
            ("pipelineName", &*self.pipeline_name),
            ("runId", self.run_id.as_str()),
            ("mlmdExecutionID", &self.mlmd_execution_id),
            ("fingerprint", &self.fingerprint),
        ];
        for (name, value) in fields {
            if value.is_empty() {
                return Err(Error::invalid(name, "not empty"));
            }
            storable(name, value)?;
        }
        Ok(())
    }
}

list_request! {
    /// Which tasks to list.
    ListTasks {
        /// Whose tasks: a pipeline's or a namespace's.
        reference: ResourceKey,
    }
}

impl ListTasks {
    /// The tasks of this pipeline.
    #[must_use]
    pub fn pipeline(self, id: impl Into<PipelineId>) -> Self {
        self.reference(ResourceKey::new(ResourceType::Pipeline, id.into()))
    }

    /// The tasks of this namespace.
    #[must_use]
    pub fn namespace(self, namespace: impl Into<String>) -> Self {
        self.reference(ResourceKey::new(ResourceType::Namespace, namespace))
    }
}

/// Operations on tasks; made by [`V1::tasks`](super::V1::tasks). For the inside of the cluster: the gateway of a
/// whole Kubeflow does not serve them.
#[derive(Debug, Clone)]
pub struct Tasks {
    client: Client,
}

impl Tasks {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Tasks alone have an API version of their own.
    fn call(&self, operation: &'static str, method: Method) -> Result<Call> {
        Call::new(
            operation,
            method,
            &self.client.inner.base,
            &["apis", "v1alpha1", "tasks"],
        )
    }

    /// Records a task.
    pub async fn create(&self, request: &CreateTask) -> Result<Task> {
        request.validate()?;
        let call = self.call("v1.tasks.create", Method::POST)?.json(request)?;
        self.client.inner.json(&call).await
    }

    /// Lists one page.
    pub async fn list(&self, request: &ListTasks) -> Result<Page<Task>> {
        let call = self.call("v1.tasks.list", Method::GET)?;
        let key = request.reference.as_ref();
        self.client
            .page(&list_query(call, "resource_reference_key", key, request)?)
            .await
    }

    /// Lists all pages, fetched as they are needed.
    pub fn list_all(&self, request: ListTasks) -> impl Stream<Item = Result<Task>> + Send + 'static {
        page::all(self.clone(), request, |this, request| async move {
            this.list(&request).await
        })
    }
}
