//! The pipeline format (IR): what KFP 2 executes.
//!
//! A [`PipelineDocument`] is read from YAML or JSON, or made by a [`PipelineBuilder`], checked by the server's own
//! rules ([`PipelineDocument::validate`]), and sent with a run or uploaded. Fields this crate does not name are kept,
//! so that reading and writing lose nothing. Field names are read in camelCase and in `snake_case`, as the server reads
//! them, and written in camelCase, as all compilers write them.
//!
//! ```
//! use kfp_client::ir::{ContainerComponent, ParameterSource, ParameterType, PipelineBuilder, TaskBuilder};
//!
//! let prepare = ContainerComponent::new("registry.example.com/prepare:1")
//!     .command(["prepare"])
//!     .args(["--rows", "{{$.inputs.parameters['rows']}}", "--out", "{{$.outputs.artifacts['data'].path}}"])
//!     .input("rows", ParameterType::NumberInteger)
//!     .output_artifact("data", "system.Dataset");
//! let train = ContainerComponent::new("registry.example.com/train:1")
//!     .command(["train"])
//!     .args(["{{$.inputs.artifacts['data'].path}}"])
//!     .input_artifact("data", "system.Dataset")
//!     .secret_env("mlflow-credentials", [("password", "MLFLOW_TRACKING_PASSWORD")]);
//!
//! let document = PipelineBuilder::new("prepare-and-train")
//!     .parameter("rows", ParameterType::NumberInteger, Some(100.into()))
//!     .task(TaskBuilder::new("prepare", prepare).input("rows", ParameterSource::input("rows")))
//!     .task(TaskBuilder::new("train", train).artifact_from("data", "prepare", "data").caching(false))
//!     .build()?;
//! println!("{}", document.to_yaml());
//! # Ok::<(), kfp_client::ir::Error>(())
//! ```

mod branches;
mod build;
mod component;
mod dag;
mod document;
mod error;
mod importer;
mod kubernetes;
mod object;
mod platform;
mod pvc;
mod quantity;
mod source;
mod spec;
mod task;
mod validate;
mod yaml;

pub use self::{
    branches::Branches,
    build::PipelineBuilder,
    component::ContainerComponent,
    dag::DagBuilder,
    document::PipelineDocument,
    error::Error,
    importer::ImporterComponent,
    kubernetes::{
        ConfigMapAsEnv, ConfigMapAsVolume, EmptyDirMount, EnabledSharedMemory, FieldPathAsEnv, GenericEphemeralVolume,
        ImagePullSecret, KeyToEnv, KubernetesExecutorConfig, NodeAffinityTerm, NodeSelector, PodAffinityTerm,
        PodMetadata, PvcMount, SecretAsEnv, SecretAsVolume, SecurityContext, SelectorRequirement, Toleration,
    },
    platform::{
        DeploymentConfig, KubernetesWorkspaceConfig, PipelineConfig, PlatformSpec, SinglePlatformSpec, WorkspaceConfig,
    },
    pvc::CreatePvc,
    source::{ArtifactSource, ParameterSource},
    spec::{
        Accelerator, ArtifactInput, ArtifactIterator, ArtifactOutput, ArtifactSelector, ArtifactSpec, ArtifactType,
        CachingOptions, ComponentInputs, ComponentOutputs, ComponentRef, ComponentSpec, ContainerSpec, Dag, DagOutputs,
        DeploymentSpec, EnvVar, ExecutorSpec, ImporterSpec, IteratorItems, IteratorPolicy, OneofSelector,
        ParameterInput, ParameterIterator, ParameterOutput, ParameterSelector, ParameterSpec, ParameterType,
        PipelineInfo, PipelineSpec, Resources, RetryPolicy, RuntimeValue, Task, TaskConfigField, TaskConfigPassthrough,
        TaskFinalStatus, TaskInfo, TaskInputs, TaskOutputArtifact, TaskOutputParameter, TriggerPolicy, TriggerStrategy,
    },
    task::TaskBuilder,
};
pub(crate) use self::{
    validate::{PIPELINE_NAME_RULE, is_pipeline_name},
    yaml::{documents as yaml_documents, json as write_json, json_documents, write as write_yaml},
};

/// The only version of the format the server takes.
pub const SCHEMA_VERSION: &str = "2.1.0";
