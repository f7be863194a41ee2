//! Workflows of which nothing is executed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::Launch;
use super::cache::record;
use super::node::{Node, node_id};
use super::reuse::{Results, Steps};
use crate::testing::builder::Settings;
use crate::testing::call::Json;
use crate::testing::context::State;
use crate::testing::template::Template;

/// All simulated workflows, in the order of what happens to them next.
#[derive(Debug, Default)]
pub(super) struct Simulations {
    all: BTreeMap<u64, Simulation>,
    /// The numbers of a run's workflows: more than one if its id was posted more than once.
    by_run: BTreeMap<String, Vec<u64>>,
    agenda: BTreeSet<(Timestamp, u64)>,
    next: u64,
    results: Results,
}

impl Simulations {
    pub(super) fn add(&mut self, simulation: Simulation) {
        let number = self.next;
        self.next += 1;
        self.by_run
            .entry(simulation.launch.run_id.clone())
            .or_default()
            .push(number);
        self.agenda.extend(simulation.due().map(|due| (due, number)));
        self.all.insert(number, simulation);
    }

    /// When something happens next.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.agenda.first().map(|(due, _)| *due)
    }

    /// Lets happen what happens up to now, each thing at its own time.
    pub(super) fn advance(&mut self, state: &mut State, settings: &Settings, now: Timestamp) {
        while let Some((due, number)) = self.agenda.first().copied().filter(|(due, _)| *due <= now) {
            self.agenda.remove(&(due, number));
            if let Some(simulation) = self.all.get_mut(&number) {
                if !simulation.running {
                    simulation.steps = Steps::of(&simulation.launch, settings, &self.results);
                }
                simulation.step(state, due);
                if simulation.over && simulation.outcome == Some("SUCCEEDED") && simulation.terminated.is_none() {
                    simulation.keep(state, &mut self.results, due.as_second());
                }
                self.agenda.extend(simulation.due().map(|due| (due, number)));
            }
        }
    }

    /// Changes the workflows of a run.
    pub(super) fn change(&mut self, run_id: &str, change: impl Fn(&mut Simulation)) {
        for number in self.by_run.get(run_id).into_iter().flatten() {
            if let Some(simulation) = self.all.get_mut(number) {
                if let Some(due) = simulation.due() {
                    self.agenda.remove(&(due, *number));
                }
                change(simulation);
                self.agenda.extend(simulation.due().map(|due| (due, *number)));
            }
        }
    }

    /// Forgets the workflows of a run.
    pub(super) fn remove(&mut self, run_id: &str) {
        for number in self.by_run.remove(run_id).unwrap_or_default() {
            if let Some(due) = self.all.remove(&number).and_then(|simulation| simulation.due()) {
                self.agenda.remove(&(due, number));
            }
        }
    }

    /// The log of a pod of a run; every pod of a simulated run has said the same.
    pub(super) fn log(&self, run_id: &str, pod: &str) -> Option<String> {
        let mut own = self
            .by_run
            .get(run_id)?
            .iter()
            .filter_map(|number| self.all.get(number));
        own.any(|simulation| pod.starts_with(&simulation.launch.workflow))
            .then(|| "nothing was executed: this run is simulated\n".to_owned())
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = &String> {
        self.by_run.keys()
    }
}

/// A workflow that advances with the clock.
#[derive(Debug)]
pub(super) struct Simulation {
    launch: Launch,
    started: Timestamp,
    pace: Duration,
    terminated: Option<Timestamp>,
    outcome: Option<&'static str>,
    nodes: Vec<Node>,
    steps: Steps,
    running: bool,
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
            steps: Steps::default(),
            running: false,
            over: false,
        }
    }

    pub(super) fn terminate(&mut self, now: Timestamp) {
        self.terminated.get_or_insert(now);
    }

    pub(super) fn retry(&mut self, now: Timestamp) {
        self.started = now;
        self.terminated = None;
        self.running = false;
        self.over = false;
    }

    fn after(&self, start: Timestamp, paces: u32) -> Option<Timestamp> {
        let span = self.pace.checked_mul(paces)?;
        start.checked_add(span).ok()
    }

    /// When its state changes next; never if it has ended or hangs.
    fn due(&self) -> Option<Timestamp> {
        match (self.terminated, self.outcome) {
            _ if self.over => None,
            (Some(at), _) => self.after(at, 1),
            _ if !self.running => self.after(self.started, 1),
            (None, outcome) => outcome.and_then(|_| self.after(self.started, 2)),
        }
    }

    /// The change that is due.
    fn step(&mut self, state: &mut State, now: Timestamp) {
        let phase = match (self.terminated, self.outcome) {
            (Some(_), _) => "FAILED",
            (None, Some(outcome)) if self.running => outcome,
            (None, _) => "RUNNING",
        };
        self.running = true;
        self.over = phase != "RUNNING";
        self.report(state, phase, now.as_second());
    }

    /// Keeps what its steps have made.
    fn keep(&mut self, state: &mut State, results: &mut Results, now: i64) {
        let started = self.nodes.first().map_or(now, |node| node.created);
        for fingerprint in std::mem::take(&mut self.steps.fresh) {
            record(state, &self.launch, &fingerprint, (started, now));
            results.insert(fingerprint, self.launch.run_id.clone());
        }
    }

    fn report(&mut self, state: &mut State, phase: &'static str, now: i64) {
        if self.nodes.is_empty() {
            self.nodes = self.plan(now);
        }
        for node in &mut self.nodes {
            if !node.display_name.ends_with("-driver") && node.kind != "Skipped" {
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
                    let path = format!("{name}/executor");
                    let executor = if self.steps.cached.contains(name) {
                        make(&path, "executor", "Skipped", "SKIPPED")
                    } else {
                        make(&path, "executor", "Pod", "RUNNING")
                    };
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
