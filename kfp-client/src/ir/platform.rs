//! What only Kubernetes understands: secrets, volumes, placement.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::spec::{ParameterInput, ir_object};
use crate::wire;

ir_object! {
    /// Settings for platforms; the second document of a pipeline file.
    PlatformSpec {
        /// Platforms, by name. KFP reads `kubernetes`.
        platforms: BTreeMap<String, SinglePlatformSpec>,
    }
}

impl PlatformSpec {
    /// Settings of the executors on Kubernetes, by label.
    pub fn kubernetes_executors(&mut self) -> &mut BTreeMap<String, KubernetesExecutorConfig> {
        &mut self
            .platforms
            .entry("kubernetes".to_owned())
            .or_default()
            .deployment_spec
            .executors
    }
}

ir_object! {
    /// Settings for one platform.
    SinglePlatformSpec {
        /// Settings of the executors.
        deployment_spec: DeploymentConfig,
        /// Settings of the pipeline as a whole: `workspace`, `resourceTtlOnCompletion`, `activeDeadlineSeconds`, ...
        pipeline_config: Map<String, Value>,
    }
}

ir_object! {
    /// Settings of the executors.
    DeploymentConfig {
        /// Settings, by the label the executor has in the specification.
        executors: BTreeMap<String, KubernetesExecutorConfig>,
    }
}

/// Settings of one executor on Kubernetes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct KubernetesExecutorConfig {
    /// Secrets given as environment variables.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub secret_as_env: Vec<SecretAsEnv>,
    /// Secrets mounted as files, as the platform's format writes them.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub secret_as_volume: Vec<Value>,
    /// Config maps given as environment variables.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub config_map_as_env: Vec<ConfigMapAsEnv>,
    /// Config maps mounted as files, as the platform's format writes them.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub config_map_as_volume: Vec<Value>,
    /// Volumes.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub pvc_mount: Vec<PvcMount>,
    /// Nodes it may run on.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "Option::is_none"
    )]
    pub node_selector: Option<NodeSelector>,
    /// Taints it tolerates, as the platform's format writes them.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub tolerations: Vec<Value>,
    /// Labels and annotations of its pod.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "Option::is_none"
    )]
    pub pod_metadata: Option<PodMetadata>,
    /// Secrets to pull the image with.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub image_pull_secret: Vec<ImagePullSecret>,
    /// When the image is pulled: `Always`, `IfNotPresent` or `Never`.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub image_pull_policy: String,
    /// Seconds after which the pod is ended; text on the wire.
    #[serde(default, with = "wire::int64", skip_serializing_if = "Option::is_none")]
    pub active_deadline_seconds: Option<i64>,
    /// Fields this crate does not name, kept as they were read.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl KubernetesExecutorConfig {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

// Names are written twice, as plain text and as an input: servers before 2.5 read only the one, later ones the other.

ir_object! {
    /// A secret given as environment variables.
    SecretAsEnv {
        /// Name of the secret, as servers before KFP 2.5 read it.
        secret_name: String,
        /// Name of the secret, as later servers read it.
        secret_name_parameter: Option<ParameterInput>,
        /// Its keys and the variables they become.
        key_to_env: Vec<KeyToEnv>,
        /// Whether the secret may be missing.
        optional: bool,
    }
}

impl SecretAsEnv {
    /// These keys of a secret as these variables.
    pub fn new<K: Into<String>, V: Into<String>>(
        secret_name: impl Into<String>,
        keys: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let secret_name = secret_name.into();
        let key_to_env = keys.into_iter().map(|(key, variable)| KeyToEnv {
            secret_key: key.into(),
            env_var: variable.into(),
            ..KeyToEnv::default()
        });
        Self {
            secret_name_parameter: Some(ParameterInput::constant(secret_name.clone())),
            secret_name,
            key_to_env: key_to_env.collect(),
            ..Self::default()
        }
    }
}

ir_object! {
    /// A key of a secret or config map, and the variable it becomes.
    KeyToEnv {
        /// Key in a secret.
        secret_key: String,
        /// Key in a config map.
        config_map_key: String,
        /// Variable.
        env_var: String,
    }
}

ir_object! {
    /// A config map given as environment variables.
    ConfigMapAsEnv {
        /// Name of the config map, as servers before KFP 2.5 read it.
        config_map_name: String,
        /// Name of the config map, as later servers read it.
        config_map_name_parameter: Option<ParameterInput>,
        /// Its keys and the variables they become.
        key_to_env: Vec<KeyToEnv>,
        /// Whether the config map may be missing.
        optional: bool,
    }
}

impl ConfigMapAsEnv {
    /// These keys of a config map as these variables.
    pub fn new<K: Into<String>, V: Into<String>>(
        config_map_name: impl Into<String>,
        keys: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let config_map_name = config_map_name.into();
        let key_to_env = keys.into_iter().map(|(key, variable)| KeyToEnv {
            config_map_key: key.into(),
            env_var: variable.into(),
            ..KeyToEnv::default()
        });
        Self {
            config_map_name_parameter: Some(ParameterInput::constant(config_map_name.clone())),
            config_map_name,
            key_to_env: key_to_env.collect(),
            ..Self::default()
        }
    }
}

ir_object! {
    /// A volume claim mounted into the container.
    PvcMount {
        /// Directory in the container.
        mount_path: String,
        /// Name of the claim, as servers before KFP 2.5 read it.
        constant: Option<String>,
        /// Name of the claim, as later servers read it.
        pvc_name_parameter: Option<ParameterInput>,
        /// Directory in the volume.
        sub_path: String,
    }
}

impl PvcMount {
    /// A claim that is there already.
    pub fn new(claim: impl Into<String>, mount_path: impl Into<String>) -> Self {
        let claim = claim.into();
        Self {
            mount_path: mount_path.into(),
            pvc_name_parameter: Some(ParameterInput::constant(claim.clone())),
            constant: Some(claim),
            ..Self::default()
        }
    }
}

ir_object! {
    /// Nodes a pod may run on.
    NodeSelector {
        /// Labels the node must have.
        labels: BTreeMap<String, String>,
    }
}

ir_object! {
    /// Labels and annotations of a pod.
    PodMetadata {
        /// Labels.
        labels: BTreeMap<String, String>,
        /// Annotations.
        annotations: BTreeMap<String, String>,
    }
}

ir_object! {
    /// A secret to pull an image with.
    ImagePullSecret {
        /// Name of the secret, as servers before KFP 2.5 read it.
        secret_name: String,
        /// Name of the secret, as later servers read it.
        secret_name_parameter: Option<ParameterInput>,
    }
}

impl ImagePullSecret {
    /// This secret.
    pub fn new(secret_name: impl Into<String>) -> Self {
        let secret_name = secret_name.into();
        Self {
            secret_name_parameter: Some(ParameterInput::constant(secret_name.clone())),
            secret_name,
            ..Self::default()
        }
    }
}
