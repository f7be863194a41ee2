//! Argo workflows, as far as Kubeflow Pipelines uses them: the pipeline format of KFP 1 and of the API
//! [`v1beta1`](crate::v1).
//!
//! Everything reads and writes without loss what it does not know: unknown fields are kept in `extra`. What is unset
//! is not written; an empty text or list counts as unset where Argo sees no difference.
//!
//! ```
//! use kfp_client::argo::{Container, DagTask, Template, WorkflowBuilder};
//!
//! let prepare = Template::container("prepare", Container::new("busybox").command(["sh", "-c", "wc -l > $0"])
//!     .args(["/tmp/outputs/rows/data"]))
//!     .output("rows", "/tmp/outputs/rows/data");
//! let train = Template::container("train", Container::new("trainer").args(["--rows", "{{inputs.parameters.rows}}"]))
//!     .input("rows")
//!     .retries(2);
//! let workflow = WorkflowBuilder::new("fraud-")
//!     .template(prepare)
//!     .template(train)
//!     .entrypoint(Template::dag("main", [
//!         DagTask::new("prepare", "prepare"),
//!         DagTask::new("train", "train")
//!             .argument("rows", "{{tasks.prepare.outputs.parameters.rows}}")
//!             .after("prepare"),
//!     ]))
//!     .build()?;
//! assert!(workflow.to_yaml().contains("entrypoint: main"));
//! # Ok::<(), kfp_client::argo::Error>(())
//! ```

mod build;
mod container;
mod dag;
mod placeholder;
mod status;
#[cfg(test)]
mod tests;
mod validate;
mod values;
mod workflow;

pub use self::{
    build::WorkflowBuilder,
    container::{Container, EnvVar, EnvVarSource, KeySelector, ResourceRequirements, VolumeMount},
    dag::{ContinueOn, Dag, DagTask},
    status::{NodePhase, NodeStatus, WorkflowStatus},
    values::{Arguments, Artifact, IntOrText, Parameter, RawArtifact, ValueFrom},
    workflow::{Backoff, ClaimVolume, Metadata, RetryStrategy, SecretVolume, Template, Volume, Workflow, WorkflowSpec},
};
pub use crate::ir::Error;

/// The `apiVersion` of a workflow.
pub const API_VERSION: &str = "argoproj.io/v1alpha1";

/// The `kind` of a workflow.
pub const KIND: &str = "Workflow";
