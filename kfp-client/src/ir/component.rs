//! A container with declared inputs and outputs.

use super::{
    kubernetes::{
        ConfigMapAsEnv, ConfigMapAsVolume, EmptyDirMount, EnabledSharedMemory, FieldPathAsEnv, ImagePullSecret,
        KubernetesExecutorConfig, NodeAffinityTerm, NodeSelector, PodAffinityTerm, PodMetadata, PvcMount, SecretAsEnv,
        SecretAsVolume, SecurityContext, Toleration,
    },
    quantity,
    source::ParameterSource,
    spec::{
        Accelerator, ArtifactSpec, ComponentInputs, ComponentOutputs, ContainerSpec, EnvVar, ParameterSpec,
        ParameterType, Resources, TaskConfigField, TaskConfigPassthrough,
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
    pub(crate) passthroughs: Vec<TaskConfigPassthrough>,
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
    pub fn input_artifact(self, name: impl Into<String>, schema_title: impl Into<String>) -> Self {
        self.input_artifact_spec(name, ArtifactSpec::new(schema_title))
    }

    /// Adds an input file, e.g. one that may be left out, or a list of files.
    pub fn input_artifact_spec(mut self, name: impl Into<String>, artifact: ArtifactSpec) -> Self {
        self.inputs.artifacts.insert(name.into(), artifact);
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
    pub fn output_artifact(self, name: impl Into<String>, schema_title: impl Into<String>) -> Self {
        self.output_artifact_spec(name, ArtifactSpec::new(schema_title))
    }

    /// Adds an output file, e.g. a list of files.
    pub fn output_artifact_spec(mut self, name: impl Into<String>, artifact: ArtifactSpec) -> Self {
        self.outputs.artifacts.insert(name.into(), artifact);
        self
    }

    fn resources(&mut self) -> &mut Resources {
        self.container.resources.get_or_insert_default()
    }

    /// CPU set aside, e.g. `500m`.
    pub fn cpu_request(mut self, quantity: impl Into<String>) -> Self {
        let quantity = quantity.into();
        let resources = self.resources();
        resources.cpu_request = quantity::cores(&quantity);
        resources.resource_cpu_request = quantity;
        self
    }

    /// Most CPU, e.g. `2`.
    pub fn cpu_limit(mut self, quantity: impl Into<String>) -> Self {
        let quantity = quantity.into();
        let resources = self.resources();
        resources.cpu_limit = quantity::cores(&quantity);
        resources.resource_cpu_limit = quantity;
        self
    }

    /// Memory set aside, e.g. `1Gi`.
    pub fn memory_request(mut self, quantity: impl Into<String>) -> Self {
        let quantity = quantity.into();
        let resources = self.resources();
        resources.memory_request = quantity::gigabytes(&quantity);
        resources.resource_memory_request = quantity;
        self
    }

    /// Most memory, e.g. `4Gi`.
    pub fn memory_limit(mut self, quantity: impl Into<String>) -> Self {
        let quantity = quantity.into();
        let resources = self.resources();
        resources.memory_limit = quantity::gigabytes(&quantity);
        resources.resource_memory_limit = quantity;
        self
    }

    /// Accelerators, e.g. `nvidia.com/gpu` and 1.
    pub fn accelerator(mut self, kind: impl Into<String>, count: u32) -> Self {
        let kind = kind.into();
        let accelerator = Accelerator {
            resource_type: kind.clone(),
            resource_count: count.to_string(),
            kind,
            count: Some(i64::from(count)),
            ..Accelerator::default()
        };
        self.resources().accelerator = Some(accelerator);
        self
    }

    /// Hands a setting of the task's pod on to the component, for jobs that it makes itself (from KFP 2.14 on).
    ///
    /// The component gets it in an input of type [`ParameterType::TaskConfig`]; `apply_to_task` says whether it holds
    /// for its own pod too.
    pub fn pass_through(mut self, field: TaskConfigField, apply_to_task: bool) -> Self {
        self.passthroughs.push(TaskConfigPassthrough {
            field: Some(field),
            apply_to_task,
            ..TaskConfigPassthrough::default()
        });
        self
    }

    /// Gives keys of a Kubernetes secret as environment variables.
    ///
    /// Here and below a name may also come from the graph the task is in, as a [`ParameterSource`] (from KFP 2.5 on;
    /// for claims in every version).
    pub fn secret_env<K: Into<String>, V: Into<String>>(
        mut self,
        secret: impl Into<ParameterSource>,
        keys: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.kubernetes.secret_as_env.push(SecretAsEnv::new(secret, keys));
        self
    }

    /// Mounts a Kubernetes secret as files, one for each key.
    pub fn secret_volume(mut self, secret: impl Into<ParameterSource>, mount_path: impl Into<String>) -> Self {
        let volume = SecretAsVolume::new(secret, mount_path);
        self.kubernetes.secret_as_volume.push(volume);
        self
    }

    /// Gives keys of a Kubernetes config map as environment variables.
    pub fn config_map_env<K: Into<String>, V: Into<String>>(
        mut self,
        config_map: impl Into<ParameterSource>,
        keys: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let variables = ConfigMapAsEnv::new(config_map, keys);
        self.kubernetes.config_map_as_env.push(variables);
        self
    }

    /// Mounts a Kubernetes config map as files, one for each key.
    pub fn config_map_volume(mut self, config_map: impl Into<ParameterSource>, mount_path: impl Into<String>) -> Self {
        let volume = ConfigMapAsVolume::new(config_map, mount_path);
        self.kubernetes.config_map_as_volume.push(volume);
        self
    }

    /// Mounts a volume claim: one that is there already, or one whose name comes from the graph, such as the output
    /// `name` of a [`TaskBuilder::create_pvc`](super::TaskBuilder::create_pvc).
    pub fn pvc_mount(mut self, claim: impl Into<ParameterSource>, mount_path: impl Into<String>) -> Self {
        self.kubernetes.pvc_mount.push(PvcMount::new(claim, mount_path));
        self
    }

    /// Mounts an empty folder that lives as long as the pod.
    pub fn empty_dir(mut self, volume: impl Into<String>, mount_path: impl Into<String>) -> Self {
        self.kubernetes.empty_dir_mounts.push(EmptyDirMount {
            volume_name: volume.into(),
            mount_path: mount_path.into(),
            ..EmptyDirMount::default()
        });
        self
    }

    /// Gives the pod shared memory of this size at `/dev/shm`, e.g. `1Gi`.
    pub fn shared_memory(mut self, size: impl Into<String>) -> Self {
        self.kubernetes.enabled_shared_memory = Some(EnabledSharedMemory {
            volume_name: "shm".to_owned(),
            size: size.into(),
            ..EnabledSharedMemory::default()
        });
        self
    }

    /// Gives a field of the pod, e.g. `metadata.name`, as an environment variable.
    pub fn field_path_env(mut self, name: impl Into<String>, field_path: impl Into<String>) -> Self {
        self.kubernetes.field_path_as_env.push(FieldPathAsEnv {
            name: name.into(),
            field_path: field_path.into(),
            ..FieldPathAsEnv::default()
        });
        self
    }

    /// Label a node must have to run it.
    pub fn node_label(mut self, label: impl Into<String>, value: impl Into<String>) -> Self {
        let selector = self.kubernetes.node_selector.get_or_insert_with(NodeSelector::default);
        selector.labels.insert(label.into(), value.into());
        self
    }

    /// Tolerates a taint of nodes.
    pub fn toleration(mut self, toleration: Toleration) -> Self {
        self.kubernetes.tolerations.push(toleration);
        self
    }

    /// Nodes it must or should run on.
    pub fn node_affinity(mut self, term: NodeAffinityTerm) -> Self {
        self.kubernetes.node_affinity.push(term);
        self
    }

    /// Pods it must or should run beside or apart from.
    pub fn pod_affinity(mut self, term: PodAffinityTerm) -> Self {
        self.kubernetes.pod_affinity.push(term);
        self
    }

    fn pod_metadata(&mut self) -> &mut PodMetadata {
        self.kubernetes.pod_metadata.get_or_insert_default()
    }

    /// Label of its pod.
    pub fn pod_label(mut self, label: impl Into<String>, value: impl Into<String>) -> Self {
        self.pod_metadata().labels.insert(label.into(), value.into());
        self
    }

    /// Annotation of its pod.
    pub fn pod_annotation(mut self, annotation: impl Into<String>, value: impl Into<String>) -> Self {
        self.pod_metadata().annotations.insert(annotation.into(), value.into());
        self
    }

    /// Adds a secret to pull the image with.
    pub fn image_pull_secret(mut self, secret: impl Into<ParameterSource>) -> Self {
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

    /// Ids of the user and group under whose name it runs (from KFP 2.17 on).
    pub fn run_as(mut self, user: u32, group: u32) -> Self {
        self.kubernetes.security_context = Some(SecurityContext {
            run_as_user: Some(i64::from(user)),
            run_as_group: Some(i64::from(group)),
            ..SecurityContext::default()
        });
        self
    }

    /// All settings for Kubernetes, for what has no method here.
    pub fn kubernetes(mut self, change: impl FnOnce(&mut KubernetesExecutorConfig)) -> Self {
        change(&mut self.kubernetes);
        self
    }
}
