//! One workflow that is really executed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::node::{Node, node_id, pod_name};
use super::values::Outcome;
use super::{Launch, argo, lock, pipeline};
use crate::testing::call::Json;
use crate::testing::context::Core;
use crate::testing::runs::apply_report;
use crate::testing::template::Template;

/// A workflow and what is known of it.
#[derive(Debug)]
pub(super) struct Workflow {
    pub(super) launch: Launch,
    /// Name of its folder below the work folder.
    folder: String,
    cancelled: AtomicBool,
    /// The server ends: nothing is to be reported any more.
    abandoned: AtomicBool,
    deadline: Mutex<Option<Instant>>,
    /// Log files by node id and by pod name.
    logs: Mutex<BTreeMap<String, PathBuf>>,
    /// What succeeded, by path; a retry takes it over.
    done: Mutex<BTreeMap<String, Outcome>>,
    nodes: Mutex<BTreeMap<String, Node>>,
}

impl Workflow {
    pub(super) fn new(launch: Launch, folder: String) -> Self {
        Self {
            launch,
            folder,
            cancelled: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            deadline: Mutex::default(),
            logs: Mutex::default(),
            done: Mutex::default(),
            nodes: Mutex::default(),
        }
    }

    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::SeqCst);
        self.cancel();
    }

    /// Ready to be driven again.
    pub(super) fn rearm(&self) {
        self.cancelled.store(false, Ordering::SeqCst);
    }

    /// Whether nothing more is to be started and what runs is to be killed.
    pub(super) fn over(&self) -> bool {
        let late = lock(&self.deadline).is_some_and(|deadline| Instant::now() >= deadline);
        late || self.cancelled.load(Ordering::SeqCst)
    }

    pub(super) fn log_of(&self, pod: &str) -> Option<PathBuf> {
        lock(&self.logs).get(pod).cloned()
    }

    pub(super) fn keep_log(&self, id: &str, template: &str, path: &Path) {
        let mut logs = lock(&self.logs);
        logs.insert(pod_name(&self.launch.workflow, template, id), path.to_owned());
        logs.insert(id.to_owned(), path.to_owned());
    }

    pub(super) fn done(&self, path: &str) -> Option<Outcome> {
        lock(&self.done).get(path).cloned()
    }

    pub(super) fn keep(&self, path: &str, outcome: &Outcome) {
        if matches!(outcome, Outcome::Succeeded(_)) {
            lock(&self.done).insert(path.to_owned(), outcome.clone());
        }
    }

    /// Runs the whole workflow and reports its end.
    pub(super) fn drive(&self, core: &Core) {
        // A new workflow is seen as pending for a moment, as on a cluster.
        std::thread::sleep(Duration::from_millis(30));
        *lock(&self.deadline) = self.time_limit().and_then(|limit| Instant::now().checked_add(limit));
        let driving = Driving {
            core,
            workflow: self,
            root: PathBuf::new(),
        };
        driving.phase("RUNNING");
        let root = core.engine.work_dir().and_then(|dir| {
            let root = dir.join(&self.folder);
            std::fs::create_dir_all(&root).map(|()| root)
        });
        let driving = match root {
            Ok(root) => Driving { root, ..driving },
            Err(_) => return driving.phase("FAILED"),
        };
        let name = self.launch.workflow.clone();
        driving.enter(&name, &name, "DAG", "RUNNING");
        let outcome = match &self.launch.template {
            Template::Ir { spec, platform } => pipeline::run(&driving, spec, platform.as_ref()),
            Template::Argo(manifest) => argo::run(&driving, manifest),
        };
        let phase = if matches!(outcome, Outcome::Failed(_)) || self.cancelled.load(Ordering::SeqCst) {
            "FAILED"
        } else {
            "SUCCEEDED"
        };
        driving.enter(&name, &name, "DAG", phase);
        driving.phase(phase);
    }

    /// The longest that the workflow may take.
    fn time_limit(&self) -> Option<Duration> {
        let seconds = match &self.launch.template {
            Template::Ir { platform, .. } => {
                let config = platform.as_ref()?.at(&["platforms", "kubernetes", "pipelineConfig"])?;
                config.get("activeDeadlineSeconds")
            }
            Template::Argo(manifest) => manifest.at(&["spec", "activeDeadlineSeconds"]),
        };
        seconds_of(seconds?)
    }
}

/// A number of seconds, as a number or a text.
pub(super) fn seconds_of(value: &Value) -> Option<Duration> {
    let seconds = value
        .as_f64()
        .or_else(|| value.as_str()?.trim_end_matches('s').parse().ok())?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// A workflow while a thread drives it.
#[derive(Debug)]
pub(super) struct Driving<'a> {
    pub(super) core: &'a Core,
    pub(super) workflow: &'a Workflow,
    /// Folder of the run.
    pub(super) root: PathBuf,
}

impl Driving<'_> {
    fn phase(&self, phase: &'static str) {
        if !self.workflow.abandoned.load(Ordering::SeqCst) {
            let now = self.core.clock.seconds();
            apply_report(&mut self.core.lock(), &self.workflow.launch.run_id, phase, now);
        }
    }

    /// The id of the node with this path; the workflow's own name is the outermost node.
    pub(super) fn id(&self, path: &str) -> String {
        let workflow = &self.workflow.launch.workflow;
        if path == workflow {
            path.to_owned()
        } else {
            node_id(workflow, path)
        }
    }

    /// Reports that a node has come to a state.
    pub(super) fn enter(&self, path: &str, name: &str, kind: &'static str, state: &'static str) {
        self.change(path, name, kind, state, |_| {});
    }

    /// Reports a node, after a change to it.
    pub(super) fn change(
        &self,
        path: &str,
        name: &str,
        kind: &'static str,
        state: &'static str,
        change: impl FnOnce(&mut Node),
    ) {
        let now = self.core.clock.seconds();
        let id = self.id(path);
        let mut nodes = lock(&self.workflow.nodes);
        let node = nodes
            .entry(id.clone())
            .or_insert_with(|| Node::new(id, name, kind, state, now));
        node.kind = kind;
        node.enter(state, now);
        change(node);
        self.report(node);
    }

    /// Notes that one node follows another.
    pub(super) fn follow(&self, parent: &str, child: &str) {
        let child = self.id(child);
        if let Some(node) = lock(&self.workflow.nodes).get_mut(&self.id(parent)) {
            if !node.children.contains(&child) {
                node.children.push(child);
            }
            self.report(node);
        }
    }

    fn report(&self, node: &Node) {
        if self.workflow.abandoned.load(Ordering::SeqCst) {
            return;
        }
        if let Some(run) = self.core.lock().runs.get_mut(&self.workflow.launch.run_id) {
            run.report_node(node.clone());
        }
    }
}
