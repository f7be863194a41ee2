//! Settings of an executor on Kubernetes: secrets, volumes, placement.
//!
//! Names are written twice, as plain text and as an input: servers before KFP 2.5 read only the one, later ones the
//! other.

use std::collections::BTreeMap;

use super::{
    object::ir_object,
    source::ParameterSource,
    spec::{ParameterInput, TaskOutputParameter},
};

ir_object! {
    /// Settings of one executor on Kubernetes.
    KubernetesExecutorConfig {
        /// Secrets given as environment variables.
        secret_as_env: Vec<SecretAsEnv> = "secretAsEnv",
        /// Secrets mounted as files.
        secret_as_volume: Vec<SecretAsVolume> = "secretAsVolume",
        /// Config maps given as environment variables.
        config_map_as_env: Vec<ConfigMapAsEnv> = "configMapAsEnv",
        /// Config maps mounted as files.
        config_map_as_volume: Vec<ConfigMapAsVolume> = "configMapAsVolume",
        /// Volume claims.
        pvc_mount: Vec<PvcMount> = "pvcMount",
        /// Volume claims that live as long as the pod.
        generic_ephemeral_volume: Vec<GenericEphemeralVolume> = "genericEphemeralVolume",
        /// Empty folders that live as long as the pod.
        empty_dir_mounts: Vec<EmptyDirMount> = "emptyDirMounts",
        /// Memory shared by the processes of the pod.
        enabled_shared_memory: Option<EnabledSharedMemory> = "enabledSharedMemory",
        /// Fields of the pod given as environment variables.
        field_path_as_env: Vec<FieldPathAsEnv> = "fieldPathAsEnv",
        /// Nodes it may run on.
        node_selector: Option<NodeSelector> = "nodeSelector",
        /// Taints it tolerates.
        tolerations: Vec<Toleration> = "tolerations",
        /// Nodes it must or should run on.
        node_affinity: Vec<NodeAffinityTerm> = "nodeAffinity",
        /// Pods it must or should run beside or apart from.
        pod_affinity: Vec<PodAffinityTerm> = "podAffinity",
        /// Labels and annotations of its pod.
        pod_metadata: Option<PodMetadata> = "podMetadata",
        /// Secrets to pull the image with.
        image_pull_secret: Vec<ImagePullSecret> = "imagePullSecret",
        /// When the image is pulled: `Always`, `IfNotPresent` or `Never`.
        image_pull_policy: String = "imagePullPolicy",
        /// Seconds after which the pod is ended; text on the wire.
        active_deadline_seconds: Option<i64> = "activeDeadlineSeconds",
        /// Under whose name its processes run (from KFP 2.17 on).
        security_context: Option<SecurityContext> = "securityContext",
    }
}

impl KubernetesExecutorConfig {
    pub(crate) fn is_empty(&self) -> bool {
        super::object::Field::is_unset(self)
    }

    /// The values that are looked up in the graph of the task, each with the field it is in.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&'static str, &ParameterInput)> {
        let secrets = self.secret_as_env.iter().map(|one| &one.secret_name_parameter);
        let secrets = secrets.chain(self.secret_as_volume.iter().map(|one| &one.secret_name_parameter));
        let maps = self.config_map_as_env.iter().map(|one| &one.config_map_name_parameter);
        let maps = maps.chain(
            self.config_map_as_volume
                .iter()
                .map(|one| &one.config_map_name_parameter),
        );
        let claims = self.pvc_mount.iter().map(|one| &one.pvc_name_parameter);
        let pulls = self.image_pull_secret.iter().map(|one| &one.secret_name_parameter);
        let selector = self.node_selector.iter().map(|one| &one.node_selector_json);
        let tolerations = self.tolerations.iter().map(|one| &one.toleration_json);
        let affinity = self.node_affinity.iter().map(|one| &one.node_affinity_json);
        let secrets = secrets.filter_map(|one| Some(("secretNameParameter", one.as_ref()?)));
        let maps = maps.filter_map(|one| Some(("configMapNameParameter", one.as_ref()?)));
        let claims = claims.filter_map(|one| Some(("pvcNameParameter", one.as_ref()?)));
        let pulls = pulls.filter_map(|one| Some(("imagePullSecret", one.as_ref()?)));
        let selector = selector.filter_map(|one| Some(("nodeSelectorJson", one.as_ref()?)));
        let tolerations = tolerations.filter_map(|one| Some(("tolerationJson", one.as_ref()?)));
        let affinity = affinity.filter_map(|one| Some(("nodeAffinityJson", one.as_ref()?)));
        secrets
            .chain(maps)
            .chain(claims)
            .chain(pulls)
            .chain(selector)
            .chain(tolerations)
            .chain(affinity)
    }

    /// The same, to be changed; the old form of a claim's name with it.
    pub(crate) fn rename_inputs(&mut self, rename: &impl Fn(&str) -> String) {
        let change = |input: &mut Option<ParameterInput>| {
            if let Some(name) = input
                .as_mut()
                .and_then(|input| input.component_input_parameter.as_mut())
            {
                *name = rename(name);
            }
        };
        for one in &mut self.secret_as_env {
            change(&mut one.secret_name_parameter);
        }
        for one in &mut self.secret_as_volume {
            change(&mut one.secret_name_parameter);
        }
        for one in &mut self.config_map_as_env {
            change(&mut one.config_map_name_parameter);
        }
        for one in &mut self.config_map_as_volume {
            change(&mut one.config_map_name_parameter);
        }
        for one in &mut self.pvc_mount {
            change(&mut one.pvc_name_parameter);
            if let Some(name) = &mut one.component_input_parameter {
                *name = rename(name);
            }
        }
        for one in &mut self.image_pull_secret {
            change(&mut one.secret_name_parameter);
        }
        if let Some(one) = &mut self.node_selector {
            change(&mut one.node_selector_json);
        }
        for one in &mut self.tolerations {
            change(&mut one.toleration_json);
        }
        for one in &mut self.node_affinity {
            change(&mut one.node_affinity_json);
        }
    }
}

/// The name as servers before KFP 2.5 read it, which know constants only.
fn plain_name(source: &ParameterSource) -> String {
    source.as_text().unwrap_or_default().to_owned()
}

ir_object! {
    /// A secret given as environment variables.
    SecretAsEnv {
        /// Name of the secret, as servers before KFP 2.5 read it.
        secret_name: String = "secretName",
        /// Name of the secret, as later servers read it.
        secret_name_parameter: Option<ParameterInput> = "secretNameParameter",
        /// Its keys and the variables they become.
        key_to_env: Vec<KeyToEnv> = "keyToEnv",
        /// Whether the secret may be missing.
        optional: Option<bool> = "optional",
    }
}

impl SecretAsEnv {
    /// These keys of a secret as these variables.
    pub fn new<K: Into<String>, V: Into<String>>(
        secret_name: impl Into<ParameterSource>,
        keys: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let secret_name = secret_name.into();
        let key_to_env = keys.into_iter().map(|(key, variable)| KeyToEnv {
            secret_key: key.into(),
            env_var: variable.into(),
            ..KeyToEnv::default()
        });
        Self {
            secret_name: plain_name(&secret_name),
            secret_name_parameter: Some(secret_name.into_input()),
            key_to_env: key_to_env.collect(),
            ..Self::default()
        }
    }
}

ir_object! {
    /// A secret mounted as files, one for each key.
    SecretAsVolume {
        /// Name of the secret, as servers before KFP 2.5 read it.
        secret_name: String = "secretName",
        /// Name of the secret, as later servers read it.
        secret_name_parameter: Option<ParameterInput> = "secretNameParameter",
        /// Directory in the container.
        mount_path: String = "mountPath",
        /// Whether the secret may be missing.
        optional: Option<bool> = "optional",
    }
}

impl SecretAsVolume {
    /// A secret in this directory.
    pub fn new(secret_name: impl Into<ParameterSource>, mount_path: impl Into<String>) -> Self {
        let secret_name = secret_name.into();
        Self {
            secret_name: plain_name(&secret_name),
            secret_name_parameter: Some(secret_name.into_input()),
            mount_path: mount_path.into(),
            ..Self::default()
        }
    }
}

ir_object! {
    /// A key of a secret or config map, and the variable it becomes.
    KeyToEnv {
        /// Key in a secret.
        secret_key: String = "secretKey",
        /// Key in a config map.
        config_map_key: String = "configMapKey",
        /// Variable.
        env_var: String = "envVar",
    }
}

ir_object! {
    /// A config map given as environment variables.
    ConfigMapAsEnv {
        /// Name of the config map, as servers before KFP 2.5 read it.
        config_map_name: String = "configMapName",
        /// Name of the config map, as later servers read it.
        config_map_name_parameter: Option<ParameterInput> = "configMapNameParameter",
        /// Its keys and the variables they become.
        key_to_env: Vec<KeyToEnv> = "keyToEnv",
        /// Whether the config map may be missing.
        optional: Option<bool> = "optional",
    }
}

impl ConfigMapAsEnv {
    /// These keys of a config map as these variables.
    pub fn new<K: Into<String>, V: Into<String>>(
        config_map_name: impl Into<ParameterSource>,
        keys: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let config_map_name = config_map_name.into();
        let key_to_env = keys.into_iter().map(|(key, variable)| KeyToEnv {
            config_map_key: key.into(),
            env_var: variable.into(),
            ..KeyToEnv::default()
        });
        Self {
            config_map_name: plain_name(&config_map_name),
            config_map_name_parameter: Some(config_map_name.into_input()),
            key_to_env: key_to_env.collect(),
            ..Self::default()
        }
    }
}

ir_object! {
    /// A config map mounted as files, one for each key.
    ConfigMapAsVolume {
        /// Name of the config map, as servers before KFP 2.5 read it.
        config_map_name: String = "configMapName",
        /// Name of the config map, as later servers read it.
        config_map_name_parameter: Option<ParameterInput> = "configMapNameParameter",
        /// Directory in the container.
        mount_path: String = "mountPath",
        /// Whether the config map may be missing.
        optional: Option<bool> = "optional",
    }
}

impl ConfigMapAsVolume {
    /// A config map in this directory.
    pub fn new(config_map_name: impl Into<ParameterSource>, mount_path: impl Into<String>) -> Self {
        let config_map_name = config_map_name.into();
        Self {
            config_map_name: plain_name(&config_map_name),
            config_map_name_parameter: Some(config_map_name.into_input()),
            mount_path: mount_path.into(),
            ..Self::default()
        }
    }
}

ir_object! {
    /// A volume claim mounted into the container.
    PvcMount {
        /// Directory in the container.
        mount_path: String = "mountPath",
        /// Name of the claim, as servers before KFP 2.5 read it: a constant, ...
        constant: Option<String> = "constant",
        /// ... an output of another task, ...
        task_output_parameter: Option<TaskOutputParameter> = "taskOutputParameter",
        /// ... or an input of the graph.
        component_input_parameter: Option<String> = "componentInputParameter",
        /// Name of the claim, as later servers read it.
        pvc_name_parameter: Option<ParameterInput> = "pvcNameParameter",
        /// Directory in the volume.
        sub_path: String = "subPath",
    }
}

impl PvcMount {
    /// A claim: one that is there already, or one whose name comes from the graph.
    pub fn new(claim: impl Into<ParameterSource>, mount_path: impl Into<String>) -> Self {
        let claim = claim.into();
        let constant = claim.as_text().map(ToOwned::to_owned);
        let input = claim.into_input();
        Self {
            mount_path: mount_path.into(),
            constant,
            task_output_parameter: input.task_output_parameter.clone(),
            component_input_parameter: input.component_input_parameter.clone(),
            pvc_name_parameter: Some(input),
            ..Self::default()
        }
    }
}

ir_object! {
    /// A volume claim that lives as long as the pod.
    GenericEphemeralVolume {
        /// Name of the volume.
        volume_name: String = "volumeName",
        /// Directory in the container.
        mount_path: String = "mountPath",
        /// How nodes may use it at the same time: `ReadWriteOnce`, `ReadOnlyMany`, `ReadWriteMany`, `ReadWriteOncePod`.
        access_modes: Vec<String> = "accessModes",
        /// Its size, e.g. `5Gi`.
        size: String = "size",
        /// Whether it is of the cluster's default storage class.
        default_storage_class: bool = "defaultStorageClass",
        /// Its storage class otherwise.
        storage_class_name: String = "storageClassName",
        /// Labels and annotations of the claim.
        metadata: Option<PodMetadata> = "metadata",
    }
}

ir_object! {
    /// An empty folder that lives as long as the pod.
    EmptyDirMount {
        /// Name of the volume.
        volume_name: String = "volumeName",
        /// Directory in the container.
        mount_path: String = "mountPath",
        /// What it is made of, e.g. `Memory`; the node's disk if left out.
        medium: Option<String> = "medium",
        /// Its size at most, e.g. `5Gi`.
        size_limit: Option<String> = "sizeLimit",
    }
}

ir_object! {
    /// Memory shared by the processes of the pod, at `/dev/shm`.
    EnabledSharedMemory {
        /// Name of the volume.
        volume_name: String = "volumeName",
        /// Its size, e.g. `1Gi`.
        size: String = "size",
    }
}

ir_object! {
    /// A field of the pod given as an environment variable.
    FieldPathAsEnv {
        /// The variable.
        name: String = "name",
        /// The field, e.g. `metadata.name` or `spec.nodeName`.
        field_path: String = "fieldPath",
    }
}

ir_object! {
    /// Nodes a pod may run on.
    NodeSelector {
        /// Labels the node must have.
        labels: BTreeMap<String, String> = "labels",
        /// The labels as an object that comes from the graph; goes before `labels`.
        node_selector_json: Option<ParameterInput> = "nodeSelectorJson",
    }
}

ir_object! {
    /// A taint that is tolerated.
    Toleration {
        /// Key of the taint; every one if left out, with the operator `Exists`.
        key: String = "key",
        /// `Equal` or `Exists`.
        operator: String = "operator",
        /// Value of the taint.
        value: String = "value",
        /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`; every one if left out.
        effect: String = "effect",
        /// Seconds for which `NoExecute` is tolerated; for ever if left out. Text on the wire.
        toleration_seconds: Option<i64> = "tolerationSeconds",
        /// One toleration or a list of them, as an object that comes from the graph; goes before the others.
        toleration_json: Option<ParameterInput> = "tolerationJson",
    }
}

impl Toleration {
    /// Tolerates the taint of this key and value.
    pub fn equal(key: impl Into<String>, value: impl Into<String>, effect: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            operator: "Equal".to_owned(),
            value: value.into(),
            effect: effect.into(),
            ..Self::default()
        }
    }

    /// Tolerates the taint of this key, whatever its value.
    pub fn exists(key: impl Into<String>, effect: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            operator: "Exists".to_owned(),
            effect: effect.into(),
            ..Self::default()
        }
    }
}

ir_object! {
    /// What a label or field must be.
    SelectorRequirement {
        /// The label or field.
        key: String = "key",
        /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt` or `Lt`.
        operator: String = "operator",
        /// What it is compared with.
        values: Vec<String> = "values",
    }
}

ir_object! {
    /// Nodes a pod must run on, or should if there is a weight.
    NodeAffinityTerm {
        /// What their labels must be.
        match_expressions: Vec<SelectorRequirement> = "matchExpressions",
        /// What their fields must be.
        match_fields: Vec<SelectorRequirement> = "matchFields",
        /// How much it counts, 1 to 100; a rule without exception if left out.
        weight: Option<i32> = "weight",
        /// The affinity as an object that comes from the graph; goes before the others.
        node_affinity_json: Option<ParameterInput> = "nodeAffinityJson",
    }
}

ir_object! {
    /// Pods that a pod must run beside, or should if there is a weight.
    PodAffinityTerm {
        /// What their labels must be.
        match_pod_expressions: Vec<SelectorRequirement> = "matchPodExpressions",
        /// Labels they must have.
        match_pod_labels: BTreeMap<String, String> = "matchPodLabels",
        /// Label of a node that says what "beside" means, e.g. `kubernetes.io/hostname`.
        topology_key: String = "topologyKey",
        /// Their namespaces.
        namespaces: Vec<String> = "namespaces",
        /// What the labels of their namespaces must be.
        match_namespace_expressions: Vec<SelectorRequirement> = "matchNamespaceExpressions",
        /// Labels their namespaces must have.
        match_namespace_labels: BTreeMap<String, String> = "matchNamespaceLabels",
        /// How much it counts, 1 to 100; a rule without exception if left out.
        weight: Option<i32> = "weight",
        /// Whether it must run apart from them instead.
        anti: Option<bool> = "anti",
    }
}

ir_object! {
    /// Labels and annotations of a pod.
    PodMetadata {
        /// Labels.
        labels: BTreeMap<String, String> = "labels",
        /// Annotations.
        annotations: BTreeMap<String, String> = "annotations",
    }
}

ir_object! {
    /// A secret to pull an image with.
    ImagePullSecret {
        /// Name of the secret, as servers before KFP 2.5 read it.
        secret_name: String = "secretName",
        /// Name of the secret, as later servers read it.
        secret_name_parameter: Option<ParameterInput> = "secretNameParameter",
    }
}

impl ImagePullSecret {
    /// This secret.
    pub fn new(secret_name: impl Into<ParameterSource>) -> Self {
        let secret_name = secret_name.into();
        Self {
            secret_name: plain_name(&secret_name),
            secret_name_parameter: Some(secret_name.into_input()),
            ..Self::default()
        }
    }
}

ir_object! {
    /// Under whose name processes run.
    SecurityContext {
        /// Id of the user; text on the wire.
        run_as_user: Option<i64> = "runAsUser",
        /// Id of the group; text on the wire.
        run_as_group: Option<i64> = "runAsGroup",
        /// Whether the user must not be root.
        run_as_non_root: Option<bool> = "runAsNonRoot",
    }
}
