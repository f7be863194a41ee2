//! A container with declared inputs and outputs.

use super::{
    platform::{ConfigMapAsEnv, ImagePullSecret, KubernetesExecutorConfig, NodeSelector, PvcMount, SecretAsEnv},
    spec::{
        Accelerator, ArtifactSpec, ComponentInputs, ComponentOutputs, ContainerSpec, EnvVar, ParameterSpec,
        ParameterType, Resources,
    },
};

/// A container with declared inputs and outputs, to be used by one task.
///
/// Its command and arguments reach them by placeholders: `{{$.inputs.parameters['p']}}`,
/// `{{$.inputs.artifacts['a'].path}}` and `.uri`, `{{$.outputs.artifacts['a'].path}}`,
/// `{{$.outputs.parameters['p'].output_file}}`. Lists and objects arrive as JSON text.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
pub struct ContainerComponent {
    pub(crate) inputs: ComponentInputs,
    pub(crate) outputs: ComponentOutputs,
    pub(crate) container: ContainerSpec,
    pub(crate) kubernetes: KubernetesExecutorConfig,
}

impl ContainerComponent {
    /// A container of this image.
    pub fn new(image: impl Into<String>) -> Self {
        let mut component = Self::default();
        component.container.image = image.into();
        component
    }

    /// Program and its first arguments; replaces those set before.
    pub fn command<S: Into<String>>(mut self, command: impl IntoIterator<Item = S>) -> Self {
        self.container.command = command.into_iter().map(Into::into).collect();
        self
    }

    /// Further arguments; replaces those set before.
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.container.args = args.into_iter().map(Into::into).collect();
        self
    }

    /// Adds an environment variable.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.container.env.push(EnvVar {
            name: name.into(),
            value: value.into(),
            ..EnvVar::default()
        });
        self
    }

    /// Adds a required input value.
    pub fn input(self, name: impl Into<String>, parameter_type: ParameterType) -> Self {
        self.input_spec(name, ParameterSpec::new(parameter_type))
    }

    /// Adds an input value, e.g. one with a default.
    pub fn input_spec(mut self, name: impl Into<String>, parameter: ParameterSpec) -> Self {
        self.inputs.parameters.insert(name.into(), parameter);
        self
    }

    /// Adds an input file of this type, e.g. `system.Dataset`.
    pub fn input_artifact(mut self, name: impl Into<String>, schema_title: impl Into<String>) -> Self {
        self.inputs
            .artifacts
            .insert(name.into(), ArtifactSpec::new(schema_title));
        self
    }

    /// Adds an output value, which the container writes to `{{$.outputs.parameters['name'].output_file}}`.
    pub fn output(mut self, name: impl Into<String>, parameter_type: ParameterType) -> Self {
        self.outputs
            .parameters
            .insert(name.into(), ParameterSpec::new(parameter_type));
        self
    }

    /// Adds an output file of this type, which the container writes to `{{$.outputs.artifacts['name'].path}}`.
    pub fn output_artifact(mut self, name: impl Into<String>, schema_title: impl Into<String>) -> Self {
        self.outputs
            .artifacts
            .insert(name.into(), ArtifactSpec::new(schema_title));
        self
    }

    fn resources(&mut self) -> &mut Resources {
        self.container.resources.get_or_insert_default()
    }

    /// CPU set aside, e.g. `500m`.
    pub fn cpu_request(mut self, quantity: impl Into<String>) -> Self {
        self.resources().resource_cpu_request = quantity.into();
        self
    }

    /// Most CPU, e.g. `2`.
    pub fn cpu_limit(mut self, quantity: impl Into<String>) -> Self {
        self.resources().resource_cpu_limit = quantity.into();
        self
    }

    /// Memory set aside, e.g. `1Gi`.
    pub fn memory_request(mut self, quantity: impl Into<String>) -> Self {
        self.resources().resource_memory_request = quantity.into();
        self
    }

    /// Most memory, e.g. `4Gi`.
    pub fn memory_limit(mut self, quantity: impl Into<String>) -> Self {
        self.resources().resource_memory_limit = quantity.into();
        self
    }

    /// Accelerators, e.g. `nvidia.com/gpu` and 1.
    pub fn accelerator(mut self, kind: impl Into<String>, count: u32) -> Self {
        let (kind, count) = (kind.into(), count.to_string());
        let mut accelerator = Accelerator {
            resource_type: kind.clone(),
            resource_count: count.clone(),
            ..Accelerator::default()
        };
        // What servers before KFP 2.5 read.
        accelerator.extra.insert("type".to_owned(), kind.into());
        accelerator.extra.insert("count".to_owned(), count.into());
        self.resources().accelerator = Some(accelerator);
        self
    }

    /// Gives keys of a Kubernetes secret as environment variables.
    pub fn secret_env<K: Into<String>, V: Into<String>>(
        mut self,
        secret: impl Into<String>,
        keys: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.kubernetes.secret_as_env.push(SecretAsEnv::new(secret, keys));
        self
    }

    /// Gives keys of a Kubernetes config map as environment variables.
    pub fn config_map_env<K: Into<String>, V: Into<String>>(
        mut self,
        config_map: impl Into<String>,
        keys: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.kubernetes
            .config_map_as_env
            .push(ConfigMapAsEnv::new(config_map, keys));
        self
    }

    /// Mounts a volume claim that is there already.
    pub fn pvc_mount(mut self, claim: impl Into<String>, mount_path: impl Into<String>) -> Self {
        self.kubernetes.pvc_mount.push(PvcMount::new(claim, mount_path));
        self
    }

    /// Label a node must have to run it.
    pub fn node_label(mut self, label: impl Into<String>, value: impl Into<String>) -> Self {
        let selector = self.kubernetes.node_selector.get_or_insert_with(NodeSelector::default);
        selector.labels.insert(label.into(), value.into());
        self
    }

    /// Adds a secret to pull the image with.
    pub fn image_pull_secret(mut self, secret: impl Into<String>) -> Self {
        self.kubernetes.image_pull_secret.push(ImagePullSecret::new(secret));
        self
    }

    /// When the image is pulled: `Always`, `IfNotPresent` or `Never`.
    pub fn image_pull_policy(mut self, policy: impl Into<String>) -> Self {
        self.kubernetes.image_pull_policy = policy.into();
        self
    }

    /// Seconds after which the pod is ended as failed.
    pub fn active_deadline_seconds(mut self, seconds: u32) -> Self {
        self.kubernetes.active_deadline_seconds = Some(i64::from(seconds));
        self
    }

    /// All settings for Kubernetes, for what has no method here.
    pub fn kubernetes(mut self, change: impl FnOnce(&mut KubernetesExecutorConfig)) -> Self {
        change(&mut self.kubernetes);
        self
    }
}
