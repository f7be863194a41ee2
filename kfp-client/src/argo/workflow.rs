//! Workflows and their templates.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Error, KIND,
    container::Container,
    dag::Dag,
    status::WorkflowStatus,
    validate,
    values::{Arguments, IntOrText},
};
use crate::{
    ir,
    json_path::{self, Misread},
    message::message,
};

message! {
    /// A workflow.
    pub struct Workflow {
        /// [`API_VERSION`](super::API_VERSION). Missing where a server of KFP 2 shows a pipeline of the newer format.
        #[serde(rename = "apiVersion")]
        api_version: String,
        /// [`KIND`]. Missing in the same place.
        kind: String,
        /// Name, labels and annotations.
        metadata: Metadata,
        /// What is executed.
        spec: WorkflowSpec,
        /// How it stands.
        status: Option<WorkflowStatus>,
    }
}

message! {
    /// Name, labels and annotations.
    pub struct Metadata {
        /// Name.
        name: String,
        /// Beginning of the name; the cluster adds the rest.
        #[serde(rename = "generateName")]
        generate_name: String,
        /// Namespace; set by the server.
        namespace: String,
        /// UID; set by the cluster.
        uid: String,
        /// Labels. The server adds `pipeline/runid`.
        labels: BTreeMap<String, String>,
        /// Annotations. `pipelines.kubeflow.org/pipeline_spec` describes the pipeline to the UI.
        annotations: BTreeMap<String, String>,
    }
}

message! {
    /// What a workflow executes.
    pub struct WorkflowSpec {
        /// Template it begins with.
        entrypoint: String,
        /// Its parameters, with their defaults.
        arguments: Option<Arguments>,
        /// Its templates.
        templates: Vec<Template>,
        /// Template that is run at the end, however it ends: the exit handler.
        #[serde(rename = "onExit")]
        on_exit: String,
        /// Kubernetes service account of its pods. Replaced by that of the run, if that has one.
        #[serde(rename = "serviceAccountName")]
        service_account_name: String,
        /// Volumes that all templates may mount.
        volumes: Vec<Volume>,
        /// How many pods may be in progress at once.
        parallelism: Option<u64>,
        /// Seconds after which it is ended. 0 is how the server terminates a run.
        #[serde(rename = "activeDeadlineSeconds")]
        active_deadline_seconds: Option<IntOrText>,
        /// Secrets by which images are pulled.
        #[serde(rename = "imagePullSecrets")]
        image_pull_secrets: Vec<Value>,
        /// Labels that nodes must have.
        #[serde(rename = "nodeSelector")]
        node_selector: BTreeMap<String, String>,
        /// Taints of nodes that are put up with.
        tolerations: Vec<Value>,
        /// When it is removed from the cluster after its end.
        #[serde(rename = "ttlStrategy")]
        ttl_strategy: Option<Value>,
        /// When its pods are removed.
        #[serde(rename = "podGC")]
        pod_gc: Option<Value>,
        /// Labels and annotations of its pods.
        #[serde(rename = "podMetadata")]
        pod_metadata: Option<Metadata>,
        /// Set to end it early: `Stop` or `Terminate`.
        shutdown: String,
    }
}

message! {
    /// Something that can be executed: a container, or a graph of tasks.
    pub struct Template {
        /// Name, unique in the workflow.
        name: String,
        /// What goes in.
        inputs: Option<Arguments>,
        /// What comes out.
        outputs: Option<Arguments>,
        /// A container.
        container: Option<Container>,
        /// A graph of tasks.
        dag: Option<Dag>,
        /// A container with its program as text.
        script: Option<Value>,
        /// A change to a resource of the cluster.
        resource: Option<Value>,
        /// Tasks in steps.
        steps: Option<Value>,
        /// A pause.
        suspend: Option<Value>,
        /// Labels and annotations of its pod.
        metadata: Option<Metadata>,
        /// Containers that are run before.
        #[serde(rename = "initContainers")]
        init_containers: Vec<Container>,
        /// Containers that are run beside.
        sidecars: Vec<Container>,
        /// Volumes.
        volumes: Vec<Volume>,
        /// What happens when it fails.
        #[serde(rename = "retryStrategy")]
        retry_strategy: Option<RetryStrategy>,
        /// Seconds after which it is ended.
        #[serde(rename = "activeDeadlineSeconds")]
        active_deadline_seconds: Option<IntOrText>,
        /// The same for a graph too, e.g. `30m`.
        timeout: String,
        /// How many of its tasks may be in progress at once.
        parallelism: Option<u64>,
        /// Labels that nodes must have.
        #[serde(rename = "nodeSelector")]
        node_selector: BTreeMap<String, String>,
        /// Taints of nodes that are put up with.
        tolerations: Vec<Value>,
        /// Nodes that are preferred.
        affinity: Option<Value>,
        /// Kubernetes service account of its pod.
        #[serde(rename = "serviceAccountName")]
        service_account_name: String,
        /// Changes to its pod, as text.
        #[serde(rename = "podSpecPatch")]
        pod_spec_patch: String,
    }
}

message! {
    /// What happens when a template fails.
    pub struct RetryStrategy {
        /// How often it is tried again.
        limit: Option<IntOrText>,
        /// After what: `Always`, `OnFailure`, `OnError` or `OnTransientError`.
        #[serde(rename = "retryPolicy")]
        retry_policy: String,
        /// How long it is waited.
        backoff: Option<Backoff>,
        /// Condition of a retry.
        expression: String,
    }
}

message! {
    /// How long it is waited before a retry.
    pub struct Backoff {
        /// At first, e.g. `30s`.
        duration: String,
        /// By how much each wait is longer than the one before.
        factor: Option<IntOrText>,
        /// At most altogether, e.g. `1h`.
        #[serde(rename = "maxDuration")]
        max_duration: String,
    }
}

message! {
    /// A volume: one of the kinds of Kubernetes.
    pub struct Volume {
        /// Name.
        name: String,
        /// A persistent volume claim.
        #[serde(rename = "persistentVolumeClaim")]
        persistent_volume_claim: Option<ClaimVolume>,
        /// A secret.
        secret: Option<SecretVolume>,
        /// A config map.
        #[serde(rename = "configMap")]
        config_map: Option<Value>,
        /// An empty folder that lives as long as the pod.
        #[serde(rename = "emptyDir")]
        empty_dir: Option<Value>,
    }
}

message! {
    /// A persistent volume claim.
    pub struct ClaimVolume {
        /// Name of the claim.
        #[serde(rename = "claimName")]
        claim_name: String,
        /// Whether it cannot be written.
        #[serde(rename = "readOnly")]
        read_only: bool,
    }
}

message! {
    /// A secret as files.
    pub struct SecretVolume {
        /// Name of the secret.
        #[serde(rename = "secretName")]
        secret_name: String,
        /// Which keys become which files; all of them if empty.
        items: Vec<Value>,
        /// Whether it may be missing.
        optional: Option<bool>,
    }
}

impl Workflow {
    /// Reads YAML or JSON of one workflow. Does not [`validate`](Self::validate).
    ///
    /// # Errors
    ///
    /// If the text is not well-formed or is something else, e.g. a pipeline in the newer format.
    pub fn from_yaml(text: &str) -> Result<Self, Error> {
        let mut documents =
            ir::yaml_documents(text).map_err(|error| Error::new("document", format!("YAML or JSON: {error}")))?;
        match documents.len() {
            1 => Self::from_value(&documents.remove(0)),
            count => Err(Error::new("document", format!("one YAML document, not {count}"))),
        }
    }

    /// Reads JSON, as the server sends it. Does not [`validate`](Self::validate).
    ///
    /// # Errors
    ///
    /// If the text is not well-formed or is something else.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let value = serde_json::from_str(text).map_err(|error| Error::new("document", format!("JSON: {error}")))?;
        Self::from_value(&value)
    }

    /// Reads a document that was parsed before. Does not [`validate`](Self::validate).
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub fn from_value(value: &Value) -> Result<Self, Error> {
        let kind = value.get("kind").and_then(Value::as_str);
        if kind.is_some_and(|kind| kind != KIND) || (kind.is_none() && value.get("spec").is_none()) {
            return Err(Error::new("document", "an Argo workflow"));
        }
        parse(value)
    }

    /// Checks the rules by which Argo and the server take a workflow, and those its steps would stumble over: that
    /// everything that is named is there, that tasks make no circle, that inputs are given.
    ///
    /// # Errors
    ///
    /// The first fault, with its path.
    pub fn validate(&self) -> Result<(), Error> {
        validate::workflow(self)
    }

    /// As JSON text, which is also YAML.
    pub fn to_json(&self) -> String {
        ir::write_json(self)
    }

    /// As YAML.
    pub fn to_yaml(&self) -> String {
        ir::write_yaml(self)
    }

    /// As a document.
    pub fn to_value(&self) -> Value {
        // No map has keys other than text, and nothing else is in it that JSON cannot hold.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Whether it has a parameter of this name, so that a run may set it.
    pub fn has_parameter(&self, name: &str) -> bool {
        let arguments = self.spec.arguments.as_ref();
        arguments.is_some_and(|arguments| arguments.parameters.iter().any(|parameter| parameter.name == name))
    }

    /// The template of this name.
    pub fn template(&self, name: &str) -> Option<&Template> {
        self.spec.templates.iter().find(|template| template.name == name)
    }

    /// Whether it was ended early by hand: the server cuts its deadline to zero seconds.
    pub fn is_terminated(&self) -> bool {
        let deadline = self.spec.active_deadline_seconds.as_ref();
        deadline.and_then(IntOrText::as_int) == Some(0) || !self.spec.shutdown.is_empty()
    }
}

fn parse<T: DeserializeOwned>(value: &Value) -> Result<T, Error> {
    json_path::read_value(value)
        .map_err(|Misread { path, error }| Error::new(path, format!("of the right type: {error}")))
}
