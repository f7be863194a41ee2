//! Workflows of which nothing is executed.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::Launch;
use super::node::{Node, node_id};
use crate::testing::call::Json;
use crate::testing::context::State;
use crate::testing::template::Template;

/// A workflow that advances with the clock.
#[derive(Debug)]
pub(super) struct Simulation {
    launch: Launch,
    started: Timestamp,
    pace: Duration,
    terminated: Option<Timestamp>,
    outcome: Option<&'static str>,
    nodes: Vec<Node>,
    over: bool,
}

impl Simulation {
    pub(super) fn new(launch: Launch, now: Timestamp, pace: Duration) -> Self {
        let text = match &launch.template {
            Template::Ir { spec, .. } => spec.to_string(),
            Template::Argo(workflow) => workflow.to_string(),
        };
        let outcome = if text.contains("please-hang") {
            None
        } else if text.contains("please-fail") {
            Some("FAILED")
        } else {
            Some("SUCCEEDED")
        };
        Self {
            launch,
            started: now,
            pace,
            terminated: None,
            outcome,
            nodes: Vec::new(),
            over: false,
        }
    }

    pub(super) fn run_id(&self) -> &str {
        &self.launch.run_id
    }

    pub(super) fn is_of(&self, run_id: &str) -> bool {
        self.launch.run_id == run_id
    }

    pub(super) fn terminate(&mut self, now: Timestamp) {
        self.terminated.get_or_insert(now);
    }

    pub(super) fn retry(&mut self, now: Timestamp) {
        self.started = now;
        self.terminated = None;
        self.over = false;
    }

    /// Every pod of a simulated run has said the same.
    pub(super) fn log(&self, run_id: &str, pod: &str) -> Option<String> {
        let known = pod.starts_with(&self.launch.workflow);
        (self.is_of(run_id) && known).then(|| "nothing was executed: this run is simulated\n".to_owned())
    }

    /// Reports what has happened by now; `false` if the workflow need not be kept.
    pub(super) fn advance(&mut self, state: &mut State, now: Timestamp) -> bool {
        if self.over {
            return true;
        }
        let since = |from: Timestamp| Duration::try_from(now.duration_since(from)).unwrap_or_default();
        if since(self.started) >= self.pace {
            self.report(state, "RUNNING", now.as_second());
        }
        let ended = match (self.terminated, self.outcome) {
            (Some(at), _) => (since(at) >= self.pace).then_some("FAILED"),
            (None, Some(outcome)) => (since(self.started) >= self.pace * 2).then_some(outcome),
            (None, None) => None,
        };
        if let Some(outcome) = ended {
            self.report(state, outcome, now.as_second());
            self.over = true;
        }
        true
    }

    fn report(&mut self, state: &mut State, phase: &'static str, now: i64) {
        if self.nodes.is_empty() {
            self.nodes = self.plan(now);
        }
        for node in &mut self.nodes {
            if !node.display_name.ends_with("-driver") {
                node.enter(phase, now);
            }
        }
        if let Some(run) = state.runs.get_mut(&self.launch.run_id) {
            run.report(phase, now);
            for node in &self.nodes {
                run.report_node(node.clone());
            }
        }
    }

    /// The nodes of the outermost DAG.
    fn plan(&self, now: i64) -> Vec<Node> {
        let workflow = &self.launch.workflow;
        let make = |path: &str, name: &str, kind, state| Node::new(node_id(workflow, path), name, kind, state, now);
        let mut top = Node::new(workflow.clone(), workflow, "DAG", "RUNNING", now);
        match &self.launch.template {
            Template::Ir { spec, .. } => {
                let mut driver = make("root-driver", "root-driver", "Pod", "SUCCEEDED");
                let mut root = make("root", "root", "DAG", "RUNNING");
                top.children.push(driver.id.clone());
                driver.children.push(root.id.clone());
                let mut nodes = Vec::new();
                let dag = spec.at(&["root", "dag"]).cloned().unwrap_or_default();
                for (name, task) in dag.members("tasks") {
                    let shown = task.at(&["taskInfo", "name"]).and_then(Value::as_str).unwrap_or(name);
                    let mut driver = make(
                        &format!("{name}-driver"),
                        &format!("{shown}-driver"),
                        "Pod",
                        "SUCCEEDED",
                    );
                    let mut body = make(name, shown, "DAG", "RUNNING");
                    let executor = make(&format!("{name}/executor"), "executor", "Pod", "RUNNING");
                    root.children.push(driver.id.clone());
                    driver.children.push(body.id.clone());
                    body.children.push(executor.id.clone());
                    nodes.extend([driver, body, executor]);
                }
                nodes.extend([top, driver, root]);
                nodes
            }
            Template::Argo(manifest) => {
                let entry = manifest
                    .at(&["spec", "entrypoint"])
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned();
                let templates = manifest
                    .get("spec")
                    .map(|spec| spec.items("templates"))
                    .unwrap_or_default();
                let dag = templates
                    .iter()
                    .find(|template| template.text("name") == entry)
                    .and_then(|found| found.get("dag"));
                let tasks = dag.map(|dag| dag.items("tasks")).unwrap_or_default();
                let mut nodes: Vec<Node> = tasks
                    .iter()
                    .map(|task| make(task.text("name"), task.text("name"), "Pod", "RUNNING"))
                    .collect();
                top.children = nodes.iter().map(|node| node.id.clone()).collect();
                nodes.push(top);
                nodes
            }
        }
    }
}
