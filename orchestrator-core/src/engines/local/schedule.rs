//! Which step runs when. There is no thread that plans: whoever changes a run starts what has become ready.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, PipeReader, PipeWriter};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::Pid;
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;

use super::attempt::{Attempt, End, Registry};
use super::log::Log;
use super::run::{Run, output_folder};
use super::{failed, not_found};
use crate::{EngineError, EngineRunId, EngineRunStatus, EnvValue, SecretRef, Step, StepName, Workflow};

/// Longest wait for killed processes, which end at once unless the kernel holds them.
const LAST_BREATH: Duration = Duration::from_secs(5);

/// What is the same for all runs.
pub(super) struct Machine {
    pub(super) work_dir: PathBuf,
    pub(super) parallel: usize,
    pub(super) grace: Duration,
    pub(super) secrets: BTreeMap<SecretRef, SecretString>,
}

/// What all handles and all threads of steps share.
pub(super) struct Shared {
    pub(super) machine: Machine,
    /// Held while segments of any log are renamed or opened.
    pub(super) logs: Mutex<()>,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    closed: bool,
    running: usize,
    runs: BTreeMap<EngineRunId, Run>,
    /// Runs that have not ended, in the order in which they came.
    active: Vec<EngineRunId>,
}

impl Shared {
    pub(super) fn new(machine: Machine) -> Self {
        Self {
            machine,
            logs: Mutex::default(),
            state: Mutex::default(),
            ended: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn submit(self: &Arc<Self>, id: EngineRunId, workflow: &Workflow) -> Result<(), EngineError> {
        let order = workflow.order()?;
        let mut state = self.lock();
        match state.runs.get(&id) {
            Some(run) if run.deleted => return Err(failed(format!("the run {id} is being deleted"), None)),
            Some(run) if run.workflow == *workflow => return Ok(()),
            Some(_) => return Err(failed(format!("there is a run {id} of another workflow already"), None)),
            None => {}
        }
        let folder = self.machine.work_dir.join(id.as_str());
        // Not `create_dir_all`: a folder that is there belongs to a run of an earlier process.
        fs::create_dir(&folder).map_err(|error| {
            let message = match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    format!(
                        "the run {id} was started by another process: {} is there already",
                        folder.display()
                    )
                }
                _ => format!("the folder of the run {id} cannot be made: {error}"),
            };
            failed(message, Some(Box::new(error)))
        })?;
        state.runs.insert(id.clone(), Run::new(workflow, &order, folder));
        state.active.push(id);
        self.start_ready(&mut state);
        Ok(())
    }

    pub(super) fn describe(&self, id: &EngineRunId) -> Result<EngineRunStatus, EngineError> {
        self.lock().run(id).map(|run| run.status())
    }

    pub(super) fn cancel(&self, id: &EngineRunId) -> Result<(), EngineError> {
        let mut state = self.lock();
        state.run(id)?.cancel();
        Ok(())
    }

    pub(super) fn retry(self: &Arc<Self>, id: &EngineRunId) -> Result<(), EngineError> {
        let mut state = self.lock();
        let run = state.run(id)?;
        match run.state() {
            crate::RunState::Failed | crate::RunState::Cancelled => {}
            other => {
                return Err(failed(
                    format!("the run {id} is {other}: only what failed is run again"),
                    None,
                ));
            }
        }
        run.reset();
        if !state.active.contains(id) {
            state.active.push(id.clone());
        }
        self.start_ready(&mut state);
        Ok(())
    }

    pub(super) fn delete(self: &Arc<Self>, id: &EngineRunId) -> Result<(), EngineError> {
        let mut state = self.lock();
        // One that could not be deleted before may be tried again.
        let run = state.runs.get_mut(id).ok_or_else(|| not_found(id))?;
        run.deleted = true;
        run.kill();
        let busy = |state: &mut State| state.runs.get(id).is_some_and(Run::is_busy);
        let (mut state, waited) = self
            .ended
            .wait_timeout_while(state, LAST_BREATH, busy)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(failed(format!("processes of the run {id} could not be killed"), None));
        }
        let Some(run) = state.runs.remove(id) else {
            return Ok(());
        };
        state.active.retain(|other| other != id);
        drop(state);
        match fs::remove_dir_all(&run.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(
                format!("the folder of the run {id} cannot be removed: {error}"),
                Some(Box::new(error)),
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn step_folder(&self, id: &EngineRunId, step: &StepName) -> Result<PathBuf, EngineError> {
        let mut state = self.lock();
        let run = state.run(id)?;
        if run.has_step(step) {
            Ok(run.step_folder(step))
        } else {
            Err(failed(format!("the run {id} has no step {step}"), None))
        }
    }

    /// Kills everything for good, and waits shortly until it is dead, so that nobody writes into folders that are
    /// being removed.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.runs.values().for_each(Run::kill);
        let waited = self
            .ended
            .wait_timeout_while(state, LAST_BREATH, |state| state.running > 0);
        if waited.is_ok_and(|(_, waited)| waited.timed_out()) {
            tracing::warn!("processes of steps could not be killed in time");
        }
    }

    fn start_ready(self: &Arc<Self>, state: &mut State) {
        let State {
            closed,
            running,
            runs,
            active,
        } = state;
        if *closed {
            return;
        }
        active.retain(|id| {
            let Some(run) = runs.get_mut(id) else { return false };
            // Also when nothing can be started, because it is what skips steps.
            while let Some(index) = run.next() {
                if *running >= self.machine.parallel {
                    break;
                }
                match self.start(id, run, index) {
                    Ok(control) => {
                        run.begin(index, control);
                        *running += 1;
                    }
                    Err(error) => run.end(index, End::Failed(format!("could not be started: {error}"))),
                }
            }
            !run.is_final()
        });
    }

    /// Starts the thread of a step. It first waits for the lock that the caller holds.
    fn start(self: &Arc<Self>, id: &EngineRunId, run: &mut Run, index: usize) -> io::Result<PipeWriter> {
        let Some(step) = run.step_mut(index).map(|step| step.step.clone()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let (control, waker) = io::pipe()?;
        let asks = waker.try_clone()?;
        let task = Task {
            shared: Arc::clone(self),
            run: id.clone(),
            index,
            command: run.command(&step),
            folder: run.step_folder(&step.name),
            step,
            control,
            waker,
        };
        thread::Builder::new()
            .name("step".to_owned())
            .spawn(move || task.run())?;
        Ok(asks)
    }
}

impl State {
    fn run(&mut self, id: &EngineRunId) -> Result<&mut Run, EngineError> {
        self.runs
            .get_mut(id)
            .filter(|run| !run.deleted)
            .ok_or_else(|| not_found(id))
    }
}

/// What the thread of a step knows.
struct Task {
    shared: Arc<Shared>,
    run: EngineRunId,
    index: usize,
    step: Step,
    command: Vec<OsString>,
    folder: PathBuf,
    control: PipeReader,
    waker: PipeWriter,
}

impl Task {
    fn run(self) {
        let end = self.attempts();
        let mut state = self.shared.lock();
        if let Some(run) = state.runs.get_mut(&self.run) {
            run.end(self.index, end);
        }
        state.running = state.running.saturating_sub(1);
        self.shared.start_ready(&mut state);
        self.shared.ended.notify_all();
    }

    fn attempts(&self) -> End {
        let mut left = self.step.retries;
        loop {
            if !self.is_wanted() {
                return End::Stopped;
            }
            match self
                .attempt()
                .unwrap_or_else(|error| End::Failed(format!("could not be prepared: {error}")))
            {
                End::Failed(why) if left > 0 => {
                    tracing::debug!(run = %self.run, step = %self.step.name, why, left, "an attempt failed");
                    left -= 1;
                }
                end => return end,
            }
        }
    }

    fn is_wanted(&self) -> bool {
        let state = self.shared.lock();
        !state.closed
            && state
                .runs
                .get(&self.run)
                .is_some_and(|run| !run.cancelled && !run.deleted)
    }

    fn attempt(&self) -> io::Result<End> {
        let scratch = self.folder.join("work");
        for folder in [scratch.clone(), self.folder.join("outputs")] {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => fs::create_dir_all(&folder)?,
            }
        }
        for output in &self.step.outputs {
            fs::create_dir(output_folder(&self.folder, output))?;
        }
        // Not below the step's folder: sockets are made in it, and their paths may have only some 100 bytes.
        let temporary = tempfile::Builder::new()
            .prefix(".tmp-")
            .tempdir_in(&self.shared.machine.work_dir)?;
        let mut log = Log::new(&self.folder, &self.shared.logs)?;
        let mut words = self.command.iter().cloned();
        let attempt = Attempt {
            program: words.next().unwrap_or_default(),
            arguments: words.collect(),
            environment: self.environment(&scratch, &temporary),
            folder: &scratch,
            timeout: self.step.timeout,
            grace: self.shared.machine.grace,
        };
        Ok(attempt.run(&self.control, &self.waker, self, &mut log))
    }

    fn environment(&self, scratch: &Path, temporary: &TempDir) -> BTreeMap<OsString, OsString> {
        let mut environment = BTreeMap::from([
            ("HOME".into(), scratch.into()),
            ("TMPDIR".into(), temporary.path().into()),
            (
                "LANG".into(),
                std::env::var_os("LANG").unwrap_or_else(|| "C.UTF-8".into()),
            ),
        ]);
        if let Some(path) = std::env::var_os("PATH") {
            environment.insert("PATH".into(), path);
        }
        for (name, value) in &self.step.environment {
            let value = match value {
                EnvValue::Text(text) => Some(text.as_str()),
                EnvValue::Secret(secret) => self.shared.machine.secrets.get(secret).map(ExposeSecret::expose_secret),
            };
            environment.insert(name.into(), value.unwrap_or_default().into());
        }
        environment
    }
}

impl Registry for Task {
    fn started(&self, group: Pid) -> bool {
        let mut state = self.shared.lock();
        let closed = state.closed;
        let Some(run) = state.runs.get_mut(&self.run) else {
            return false;
        };
        if let Some(step) = run.step_mut(self.index) {
            step.group = Some(group);
        }
        // A cancelled one is told through the pipe, so that it has its time to end.
        !closed && !run.deleted
    }

    fn ended(&self) {
        let mut state = self.shared.lock();
        if let Some(step) = state.runs.get_mut(&self.run).and_then(|run| run.step_mut(self.index)) {
            step.group = None;
        }
    }
}
