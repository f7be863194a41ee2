//! Containers.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::message::message;

message! {
    /// What a pod runs.
    pub struct Container {
        /// Name; required of containers beside the main one.
        name: String,
        /// Image.
        image: String,
        /// When the image is pulled: `Always`, `IfNotPresent` or `Never`.
        #[serde(rename = "imagePullPolicy")]
        image_pull_policy: String,
        /// Program. Without it the image's is run, which Argo must be able to look up.
        command: Vec<String>,
        /// Arguments.
        args: Vec<String>,
        /// Environment.
        env: Vec<EnvVar>,
        /// Environment taken from whole secrets and config maps.
        #[serde(rename = "envFrom")]
        env_from: Vec<Value>,
        /// CPU, memory and devices.
        resources: Option<ResourceRequirements>,
        /// Volumes in its file system.
        #[serde(rename = "volumeMounts")]
        volume_mounts: Vec<VolumeMount>,
        /// Folder it starts in.
        #[serde(rename = "workingDir")]
        working_dir: String,
        /// Rights of its processes.
        #[serde(rename = "securityContext")]
        security_context: Option<Value>,
    }
}

message! {
    /// A variable of the environment.
    pub struct EnvVar {
        /// Name.
        name: String,
        /// Value.
        value: Option<String>,
        /// Where the value comes from.
        #[serde(rename = "valueFrom")]
        value_from: Option<EnvVarSource>,
    }
}

message! {
    /// Where the value of a variable comes from.
    pub struct EnvVarSource {
        /// A secret.
        #[serde(rename = "secretKeyRef")]
        secret_key_ref: Option<KeySelector>,
        /// A config map.
        #[serde(rename = "configMapKeyRef")]
        config_map_key_ref: Option<KeySelector>,
        /// A field of the pod.
        #[serde(rename = "fieldRef")]
        field_ref: Option<Value>,
        /// A resource of the container.
        #[serde(rename = "resourceFieldRef")]
        resource_field_ref: Option<Value>,
    }
}

message! {
    /// A key in a secret or a config map.
    pub struct KeySelector {
        /// Name of the secret or config map.
        name: String,
        /// The key.
        key: String,
        /// Whether it may be missing.
        optional: Option<bool>,
    }
}

message! {
    /// CPU, memory and devices, as Kubernetes writes quantities: `500m`, `2Gi`, `1`.
    pub struct ResourceRequirements {
        /// At most.
        limits: BTreeMap<String, Value>,
        /// At least.
        requests: BTreeMap<String, Value>,
    }
}

message! {
    /// A volume in the file system of a container.
    pub struct VolumeMount {
        /// Name of the volume.
        name: String,
        /// Where it is.
        #[serde(rename = "mountPath")]
        mount_path: String,
        /// Which part of it.
        #[serde(rename = "subPath")]
        sub_path: String,
        /// Whether it cannot be written.
        #[serde(rename = "readOnly")]
        read_only: bool,
    }
}

impl Container {
    /// A container of this image.
    pub fn new(image: impl Into<String>) -> Self {
        Self {
            image: image.into(),
            ..Self::default()
        }
    }

    /// Program.
    #[must_use]
    pub fn command(mut self, command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.command = command.into_iter().map(Into::into).collect();
        self
    }

    /// Arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.args = args.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push(EnvVar {
            name: name.into(),
            value: Some(value.into()),
            ..EnvVar::default()
        });
        self
    }

    /// Adds a variable of the environment that is taken from a secret.
    #[must_use]
    pub fn secret_env(mut self, name: impl Into<String>, secret: impl Into<String>, key: impl Into<String>) -> Self {
        let selector = KeySelector {
            name: secret.into(),
            key: key.into(),
            ..KeySelector::default()
        };
        let source = EnvVarSource {
            secret_key_ref: Some(selector),
            ..EnvVarSource::default()
        };
        self.env.push(EnvVar {
            name: name.into(),
            value_from: Some(source),
            ..EnvVar::default()
        });
        self
    }

    /// At most so much of a resource (`cpu`, `memory`, `nvidia.com/gpu`).
    #[must_use]
    pub fn limit(mut self, resource: impl Into<String>, quantity: impl Into<String>) -> Self {
        let limits = &mut self.resources.get_or_insert_default().limits;
        limits.insert(resource.into(), Value::String(quantity.into()));
        self
    }

    /// At least so much of a resource.
    #[must_use]
    pub fn request(mut self, resource: impl Into<String>, quantity: impl Into<String>) -> Self {
        let requests = &mut self.resources.get_or_insert_default().requests;
        requests.insert(resource.into(), Value::String(quantity.into()));
        self
    }

    /// Mounts a volume of the template or of the workflow.
    #[must_use]
    pub fn mount(mut self, volume: impl Into<String>, path: impl Into<String>) -> Self {
        self.volume_mounts.push(VolumeMount {
            name: volume.into(),
            mount_path: path.into(),
            ..VolumeMount::default()
        });
        self
    }

    /// When the image is pulled: `Always`, `IfNotPresent` or `Never`.
    #[must_use]
    pub fn image_pull_policy(mut self, policy: impl Into<String>) -> Self {
        self.image_pull_policy = policy.into();
        self
    }
}
