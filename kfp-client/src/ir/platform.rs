//! Settings for platforms: the second document of a pipeline file.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{kubernetes::KubernetesExecutorConfig, object::ir_object};

/// The platform whose settings KFP reads.
pub(crate) const KUBERNETES: &str = "kubernetes";

ir_object! {
    /// Settings for platforms; the second document of a pipeline file.
    PlatformSpec {
        /// Platforms, by name. KFP reads `kubernetes`.
        platforms: BTreeMap<String, SinglePlatformSpec> = "platforms",
    }
}

impl PlatformSpec {
    /// Settings for Kubernetes, if there are any.
    pub fn kubernetes(&self) -> Option<&SinglePlatformSpec> {
        self.platforms.get(KUBERNETES)
    }

    /// Settings for Kubernetes; made if there are none.
    pub fn kubernetes_mut(&mut self) -> &mut SinglePlatformSpec {
        self.platforms.entry(KUBERNETES.to_owned()).or_default()
    }

    /// Settings of the executors on Kubernetes, by label.
    pub fn kubernetes_executors(&mut self) -> &mut BTreeMap<String, KubernetesExecutorConfig> {
        &mut self.kubernetes_mut().deployment_spec.executors
    }
}

ir_object! {
    /// Settings for one platform.
    SinglePlatformSpec {
        /// Settings of the executors.
        deployment_spec: DeploymentConfig = "deploymentSpec",
        /// Settings of the pipeline as a whole.
        pipeline_config: Option<PipelineConfig> = "pipelineConfig",
        /// Name of the platform; the key it stands under.
        platform: String = "platform",
        /// Settings of platforms other than Kubernetes.
        config: Map<String, Value> = "config",
    }
}

ir_object! {
    /// Settings of the executors.
    DeploymentConfig {
        /// Settings, by the label the executor has in the specification.
        executors: BTreeMap<String, KubernetesExecutorConfig> = "executors",
    }
}

ir_object! {
    /// Settings of a pipeline as a whole (from KFP 2.14 on, the times from 2.17 on).
    PipelineConfig {
        /// A volume that all tasks of a run share.
        workspace: Option<WorkspaceConfig> = "workspace",
        /// Seconds after a run's end, however it ended, until its workflow is removed from the cluster.
        resource_ttl_on_completion: Option<i32> = "resourceTtlOnCompletion",
        /// The same after a success; goes before the former.
        resource_ttl_on_success: Option<i32> = "resourceTtlOnSuccess",
        /// The same after a failure.
        resource_ttl_on_failure: Option<i32> = "resourceTtlOnFailure",
        /// Seconds after which a run is ended as failed.
        active_deadline_seconds: Option<i32> = "activeDeadlineSeconds",
    }
}

ir_object! {
    /// A volume that all tasks of a run share, made with the run and removed with it.
    WorkspaceConfig {
        /// Its size, e.g. `10Gi`; required.
        size: String = "size",
        /// How its claim is made.
        kubernetes: Option<KubernetesWorkspaceConfig> = "kubernetes",
    }
}

ir_object! {
    /// How the claim of a workspace is made.
    KubernetesWorkspaceConfig {
        /// Fields of the claim's `spec`, e.g. `storageClassName`.
        pvc_spec_patch: Option<Map<String, Value>> = "pvcSpecPatch",
    }
}

impl WorkspaceConfig {
    /// A volume of this size, e.g. `10Gi`.
    pub fn new(size: impl Into<String>) -> Self {
        Self {
            size: size.into(),
            ..Self::default()
        }
    }
}
