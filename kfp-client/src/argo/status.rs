//! How a workflow stands.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::values::Arguments;
use crate::{message::message, wire::wire_enum};

wire_enum! {
    /// State of a workflow or of one of its nodes.
    pub enum NodePhase {
        /// Not started.
        Pending = "Pending",
        /// In progress.
        Running = "Running",
        /// Ended well.
        Succeeded = "Succeeded",
        /// Not done, because of a condition.
        Skipped = "Skipped",
        /// Ended badly.
        Failed = "Failed",
        /// Ended by a fault of the cluster or of the workflow itself.
        Error = "Error",
        /// Not done, because what it depends on did not come about.
        Omitted = "Omitted",
    }
}

impl NodePhase {
    /// Whether nothing follows, unless the run is retried. An unknown phase is not final.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Pending | Self::Running | Self::Unknown(_))
    }
}

message! {
    /// How a workflow stands.
    pub struct WorkflowStatus {
        /// State.
        phase: Option<NodePhase>,
        /// When it started.
        #[serde(rename = "startedAt")]
        started_at: Option<Timestamp>,
        /// When it ended.
        #[serde(rename = "finishedAt")]
        finished_at: Option<Timestamp>,
        /// Why it failed, if that is known.
        message: String,
        /// Its nodes, by id. The id of a pod's node is what logs and artifacts are asked by.
        nodes: BTreeMap<String, NodeStatus>,
    }
}

message! {
    /// How one node stands: a pod, a graph, or a condition that did not hold.
    pub struct NodeStatus {
        /// Id.
        id: String,
        /// Name, which holds those of the nodes around it.
        name: String,
        /// Name to show: that of the task.
        #[serde(rename = "displayName")]
        display_name: String,
        /// Kind: `Pod`, `DAG`, `TaskGroup`, `Retry`, `Skipped`, ...
        #[serde(rename = "type")]
        node_type: String,
        /// State.
        phase: Option<NodePhase>,
        /// Template it runs.
        #[serde(rename = "templateName")]
        template_name: String,
        /// The graph it is in.
        #[serde(rename = "boundaryID")]
        boundary_id: String,
        /// Why it failed, if that is known.
        message: String,
        /// When it started.
        #[serde(rename = "startedAt")]
        started_at: Option<Timestamp>,
        /// When it ended.
        #[serde(rename = "finishedAt")]
        finished_at: Option<Timestamp>,
        /// Nodes that follow, by id.
        children: Vec<String>,
        /// What went in.
        inputs: Option<Arguments>,
        /// What came out.
        outputs: Option<Arguments>,
    }
}
