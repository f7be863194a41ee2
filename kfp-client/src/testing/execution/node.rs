//! Nodes of a workflow, as reports carry them.

use serde_json::{Value, json};

use crate::testing::answer::Message;
use crate::testing::clock::{YEAR_ONE, rfc3339};
use crate::testing::runs::{is_final, v1_status};

/// A node.
#[derive(Debug, Clone)]
pub(in crate::testing) struct Node {
    /// Node id: workflow name and a number.
    pub(in crate::testing) id: String,
    /// The server's own id of the task.
    pub(in crate::testing) task_id: String,
    pub(in crate::testing) display_name: String,
    /// What Argo calls it: `Pod`, `DAG`, `Skipped`.
    pub(in crate::testing) kind: &'static str,
    /// Template of the node, part of its pod's name.
    pub(in crate::testing) template: String,
    pub(in crate::testing) created: i64,
    pub(in crate::testing) ended: i64,
    pub(in crate::testing) state: &'static str,
    pub(in crate::testing) history: Vec<(i64, &'static str)>,
    pub(in crate::testing) children: Vec<String>,
}

impl Node {
    pub(in crate::testing) fn new(id: String, name: &str, kind: &'static str, state: &'static str, now: i64) -> Self {
        Self {
            id,
            task_id: uuid::Uuid::new_v4().to_string(),
            display_name: name.to_owned(),
            kind,
            template: String::new(),
            created: now,
            ended: if is_final(state) { now } else { YEAR_ONE },
            state,
            history: vec![(now, state)],
            children: Vec::new(),
        }
    }

    /// Brings the node to a state.
    pub(in crate::testing) fn enter(&mut self, state: &'static str, now: i64) {
        if self.state != state {
            self.state = state;
            self.history.push((now, state));
        }
        self.ended = if is_final(state) { now } else { YEAR_ONE };
    }

    /// As a `PipelineTaskDetail`. Its own pod is named by its parent alone.
    pub(in crate::testing) fn v2(&self, run_id: &str) -> Value {
        let history = self
            .history
            .iter()
            .map(|(time, state)| Message::new().time("update_time", *time).text("state", state).done());
        let children = self.children.iter().map(|child| json!({"pod_name": child}));
        Message::new()
            .text("run_id", run_id)
            .text("task_id", &self.task_id)
            .text("display_name", &self.display_name)
            .time("create_time", self.created)
            .time("start_time", YEAR_ONE)
            .time("end_time", self.ended)
            .text("state", self.state)
            .value("state_history", history.collect::<Value>())
            .value("child_tasks", children.collect::<Value>())
            .done()
    }

    /// As Argo writes it into a workflow's status.
    pub(in crate::testing) fn argo(&self) -> Value {
        let mut node = json!({
            "id": self.id, "name": self.display_name, "displayName": self.display_name, "type": self.kind,
            "phase": v1_status(self.state), "startedAt": rfc3339(self.created), "children": self.children,
            "templateName": self.template,
        });
        if let (true, Some(map)) = (is_final(self.state), node.as_object_mut()) {
            map.insert("finishedAt".to_owned(), rfc3339(self.ended).into());
        }
        node
    }
}

/// The id of a node: FNV-1a over its path, as Argo names its nodes.
pub(in crate::testing) fn node_id(workflow: &str, path: &str) -> String {
    let mut hash: u32 = 2_166_136_261;
    for byte in path.bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(16_777_619);
    }
    format!("{workflow}-{hash}")
}

/// The name of the pod of a node: the template's name stands in the middle.
pub(in crate::testing) fn pod_name(workflow: &str, template: &str, id: &str) -> String {
    id.strip_prefix(workflow)
        .map_or_else(|| id.to_owned(), |number| format!("{workflow}-{template}{number}"))
}
