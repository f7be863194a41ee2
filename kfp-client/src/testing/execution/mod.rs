//! What becomes of a run: its workflow, simulated or executed.

mod argo;
mod cache;
mod container;
mod expression;
mod kubelet;
mod macros;
mod node;
mod pipeline;
mod placeholder;
mod process;
mod reuse;
mod simulation;
mod substitution;
mod values;
mod workflow;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::builder::{Execution, Settings};
use super::context::{Core, State};
use super::template::Template;

pub(super) use macros::Macros;
pub(super) use node::Node;
use simulation::{Simulation, Simulations};
use workflow::Workflow;

/// How often the clock is looked at for recurring runs.
const WATCH: Duration = Duration::from_millis(200);

/// All that a workflow is started with.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    pub(super) run_id: String,
    pub(super) run_name: String,
    pub(super) namespace: String,
    /// Name of the workflow, from which nodes and pods are named.
    pub(super) workflow: String,
    pub(super) template: Template,
    pub(super) parameters: Map<String, Value>,
    pub(super) pipeline_root: String,
    pub(super) macros: Macros,
}

/// Runs workflows.
#[derive(Debug)]
pub(super) struct Engine {
    mode: Execution,
    pace: Duration,
    slots: Slots,
    cache: cache::Cache,
    folder: Folder,
    simulations: Mutex<Simulations>,
    /// By run id; more than one if an id was posted more than once.
    workflows: Mutex<BTreeMap<String, Vec<Arc<Workflow>>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Whether a thread lets recurring runs fire.
    watched: AtomicBool,
    /// Set once and for all: a request that comes late starts nothing and makes no folder again.
    ended: AtomicBool,
}

/// Where run folders live.
#[derive(Debug)]
enum Folder {
    Given(PathBuf),
    Temporary(Mutex<Option<tempfile::TempDir>>),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    pub(super) fn new(settings: &Settings) -> Self {
        let folder = match &settings.work_dir {
            // Steps run elsewhere than the server: their paths have to be absolute.
            Some(path) => Folder::Given(std::path::absolute(path).unwrap_or_else(|_| path.clone())),
            None => Folder::Temporary(Mutex::new(None)),
        };
        Self {
            mode: settings.execution,
            pace: settings.pace,
            slots: Slots::new(settings.concurrency),
            cache: cache::Cache::default(),
            folder,
            simulations: Mutex::default(),
            workflows: Mutex::default(),
            threads: Mutex::default(),
            watched: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    /// The folder of all runs; a temporary one is made when the first run needs it.
    pub(super) fn work_dir(&self) -> std::io::Result<PathBuf> {
        match &self.folder {
            Folder::Given(path) => Ok(path.clone()),
            Folder::Temporary(held) => {
                let mut held = lock(held);
                if held.is_none() {
                    if self.ended.load(Ordering::SeqCst) {
                        return Err(std::io::Error::other("the server has ended"));
                    }
                    *held = Some(tempfile::Builder::new().prefix("kfp-").tempdir()?);
                }
                Ok(held.as_ref().map(|dir| dir.path().to_owned()).unwrap_or_default())
            }
        }
    }

    /// Starts a workflow at a time, which only simulated ones follow.
    pub(super) fn launch(&self, core: &Arc<Core>, launch: Launch, now: Timestamp) {
        if self.mode == Execution::Simulate {
            lock(&self.simulations).add(Simulation::new(launch, now, self.pace));
            return;
        }
        let mut workflows = lock(&self.workflows);
        let known = workflows.entry(launch.run_id.clone()).or_default();
        let mut name = file_name(&launch.run_id);
        if !known.is_empty() {
            name = format!("{name}+{}", launch.workflow);
        }
        let workflow = Arc::new(Workflow::new(launch, name));
        known.push(Arc::clone(&workflow));
        self.spawn(core, workflow);
    }

    fn spawn(&self, core: &Arc<Core>, workflow: Arc<Workflow>) {
        let mut threads = lock(&self.threads);
        if self.ended.load(Ordering::SeqCst) {
            return;
        }
        threads.retain(|thread| !thread.is_finished());
        let core = Arc::clone(core);
        let builder = std::thread::Builder::new().name("kfp-workflow".to_owned());
        if let Ok(thread) = builder.spawn(move || workflow.drive(&core)) {
            threads.push(thread);
        }
    }

    /// Lets recurring runs fire although no request comes, which matters where steps are really executed.
    pub(super) fn watch(&self, core: &Arc<Core>) {
        let mut threads = lock(&self.threads);
        let idle = self.mode == Execution::Simulate || self.ended.load(Ordering::SeqCst);
        if idle || self.watched.swap(true, Ordering::SeqCst) {
            return;
        }
        let core = Arc::downgrade(core);
        let builder = std::thread::Builder::new().name("kfp-schedules".to_owned());
        let watch = move || {
            while let Some(core) = core.upgrade() {
                if core.engine.ended.load(Ordering::SeqCst) {
                    return;
                }
                let now = core.clock.now();
                core.catch_up(&mut core.lock(), now);
                drop(core);
                std::thread::park_timeout(WATCH);
            }
        };
        if let Ok(thread) = builder.spawn(watch) {
            threads.push(thread);
        }
    }

    /// When something happens next to a simulated workflow.
    pub(super) fn due(&self) -> Option<Timestamp> {
        lock(&self.simulations).due()
    }

    /// Moves simulated workflows to where they are by now.
    pub(super) fn advance(&self, state: &mut State, settings: &Settings, now: Timestamp) {
        lock(&self.simulations).advance(state, settings, now);
    }

    pub(super) fn terminate(&self, run_id: &str, now: Timestamp) {
        lock(&self.simulations).change(run_id, |simulation| simulation.terminate(now));
        for workflow in lock(&self.workflows).get(run_id).into_iter().flatten() {
            workflow.cancel();
        }
    }

    /// The run is deleted: its workflow too.
    pub(super) fn stop(&self, run_id: &str) {
        lock(&self.simulations).remove(run_id);
        for workflow in lock(&self.workflows).remove(run_id).into_iter().flatten() {
            workflow.cancel();
        }
    }

    /// Runs the failed part again.
    pub(super) fn retry(&self, core: &Arc<Core>, run_id: &str) {
        if self.mode == Execution::Simulate {
            let now = core.clock.now();
            lock(&self.simulations).change(run_id, |simulation| simulation.retry(now));
            return;
        }
        let workflow = lock(&self.workflows)
            .get(run_id)
            .and_then(|known| known.last().cloned());
        if let Some(workflow) = workflow {
            workflow.rearm();
            self.spawn(core, workflow);
        }
    }

    /// The log of a pod, by its name or node id.
    pub(super) fn log(&self, run_id: &str, pod: &str) -> Option<String> {
        if let Some(text) = lock(&self.simulations).log(run_id, pod) {
            return Some(text);
        }
        let workflows = lock(&self.workflows);
        let path = workflows
            .get(run_id)?
            .iter()
            .find_map(|workflow| workflow.log_of(pod))?;
        drop(workflows);
        read_text(&path)
    }

    /// The log of a pod of any run.
    pub(super) fn log_of_pod(&self, pod: &str) -> Option<String> {
        let runs: Vec<String> = {
            let simulated: Vec<String> = lock(&self.simulations).runs().cloned().collect();
            simulated
                .into_iter()
                .chain(lock(&self.workflows).keys().cloned())
                .collect()
        };
        runs.iter().find_map(|run| self.log(run, pod))
    }

    /// Ends everything, and waits for it, though not for ever.
    pub(super) fn shutdown(&self) {
        let threads = {
            let mut threads = lock(&self.threads);
            self.ended.store(true, Ordering::SeqCst);
            std::mem::take(&mut *threads)
        };
        for workflow in lock(&self.workflows).values().flatten() {
            workflow.abandon();
        }
        self.slots.close();
        let deadline = Instant::now() + Duration::from_secs(5);
        for thread in threads {
            thread.thread().unpark();
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            if thread.is_finished() {
                let _ended = thread.join();
            }
        }
        if let Folder::Temporary(held) = &self.folder {
            lock(held).take();
        }
    }
}

fn read_text(path: &Path) -> Option<String> {
    std::fs::read(path)
        .ok()
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// An id as a file name.
fn file_name(id: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let name: String = id
        .chars()
        .take(120)
        .map(|letter| if plain(letter) { letter } else { '_' })
        .collect();
    if name.starts_with('.') || name.is_empty() {
        format!("_{name}")
    } else {
        name
    }
}

/// How many steps may run at once.
#[derive(Debug)]
struct Slots {
    free: Mutex<Option<usize>>,
    changed: Condvar,
}

impl Slots {
    fn new(count: usize) -> Self {
        Self {
            free: Mutex::new(Some(count)),
            changed: Condvar::new(),
        }
    }

    /// Waits for a slot; `false` if `cancelled` says so first, or the engine ends.
    fn take(&self, cancelled: impl Fn() -> bool) -> bool {
        let mut free = lock(&self.free);
        loop {
            match *free {
                None => return false,
                _ if cancelled() => return false,
                Some(count) if count > 0 => {
                    *free = Some(count - 1);
                    return true;
                }
                Some(_) => {
                    let waited = self.changed.wait_timeout(free, Duration::from_millis(50));
                    free = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    fn give(&self) {
        if let Some(count) = lock(&self.free).as_mut() {
            *count += 1;
        }
        self.changed.notify_one();
    }

    fn close(&self) {
        *lock(&self.free) = None;
        self.changed.notify_all();
    }
}
