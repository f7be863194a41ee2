//! A run and how its steps depend on each other; starts nothing itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::PipeWriter;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::process::Pid;

use super::attempt::{self, End};
use crate::{EngineRunStatus, RunState, Step, StepName, StepState, StepStatus, Word, Workflow};

/// A run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) workflow: Workflow,
    pub(super) folder: PathBuf,
    pub(super) cancelled: bool,
    pub(super) deleted: bool,
    message: Option<String>,
    steps: Vec<StepRun>,
}

/// A step of a run.
#[derive(Debug)]
pub(super) struct StepRun {
    pub(super) step: Step,
    pub(super) group: Option<Pid>,
    pub(super) control: Option<PipeWriter>,
    exit: bool,
    state: StepState,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

impl StepRun {
    fn new(step: &Step, exit: bool) -> Self {
        Self {
            step: step.clone(),
            group: None,
            control: None,
            exit,
            state: StepState::Pending,
            started_at: None,
            finished_at: None,
        }
    }
}

impl Run {
    /// A run of a workflow whose steps are in `order`.
    pub(super) fn new(workflow: &Workflow, order: &[&Step], folder: PathBuf) -> Self {
        let steps = order.iter().map(|step| StepRun::new(step, false));
        let exit = workflow.exit_step.iter().map(|step| StepRun::new(step, true));
        Self {
            folder,
            cancelled: false,
            deleted: false,
            message: None,
            steps: steps.chain(exit).collect(),
            workflow: workflow.clone(),
        }
    }

    pub(super) fn step_folder(&self, step: &StepName) -> PathBuf {
        self.folder.join(step.as_str())
    }

    pub(super) fn has_step(&self, name: &StepName) -> bool {
        self.steps.iter().any(|step| &step.step.name == name)
    }

    pub(super) fn step_mut(&mut self, index: usize) -> Option<&mut StepRun> {
        self.steps.get_mut(index)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.steps.iter().any(|step| step.state == StepState::Running)
    }

    pub(super) fn is_final(&self) -> bool {
        self.steps.iter().all(|step| step.state.is_final())
    }

    /// Skips what can never run, and gives the first step that can run now.
    pub(super) fn next(&mut self) -> Option<usize> {
        if self.cancelled || self.deleted {
            return None;
        }
        let mut states: BTreeMap<&StepName, StepState> = BTreeMap::new();
        let mut ready = None;
        // Steps stand behind those they need, so one pass carries a failure through to the end.
        for (index, run) in self.steps.iter_mut().enumerate() {
            if run.state == StepState::Pending {
                let parameters = &self.workflow.parameters;
                let holds = run
                    .step
                    .condition
                    .as_ref()
                    .is_none_or(|condition| condition.holds(parameters));
                let before: Vec<StepState> = if run.exit {
                    Vec::new()
                } else {
                    run.step
                        .predecessors()
                        .iter()
                        .filter_map(|name| states.get(name).copied())
                        .collect()
                };
                let waits = run.exit && !states.values().all(|state| state.is_final());
                if before
                    .iter()
                    .any(|state| state.is_final() && *state != StepState::Succeeded)
                    || !(holds || waits)
                {
                    run.state = StepState::Skipped;
                } else if !waits && before.iter().all(|state| *state == StepState::Succeeded) && ready.is_none() {
                    ready = Some(index);
                }
            }
            states.insert(&run.step.name, run.state);
        }
        ready
    }

    pub(super) fn begin(&mut self, index: usize, control: PipeWriter) {
        if let Some(step) = self.steps.get_mut(index) {
            step.state = StepState::Running;
            step.control = Some(control);
            step.started_at = Some(Timestamp::now());
            step.finished_at = None;
        }
    }

    pub(super) fn end(&mut self, index: usize, end: End) {
        let Some(step) = self.steps.get_mut(index) else { return };
        step.group = None;
        step.control = None;
        step.finished_at = Some(Timestamp::now());
        step.state = match end {
            End::Succeeded => StepState::Succeeded,
            End::Stopped => StepState::Cancelled,
            End::Failed(why) => {
                let message = format!("step {} {why}", step.step.name);
                tracing::debug!(message);
                self.message.get_or_insert(message);
                StepState::Failed
            }
        };
    }

    /// Stops what runs and gives up what has not begun.
    pub(super) fn cancel(&mut self) {
        if self.cancelled || self.is_final() {
            return;
        }
        self.cancelled = true;
        for step in &mut self.steps {
            match (step.state, &step.control) {
                (StepState::Pending, _) => step.state = StepState::Cancelled,
                (StepState::Running, Some(control)) => attempt::ask_to_stop(control),
                _ => {}
            }
        }
    }

    /// Kills what runs, at once.
    pub(super) fn kill(&self) {
        self.steps.iter().filter_map(|step| step.group).for_each(attempt::kill);
    }

    /// Forgets everything but what succeeded. An exit step speaks of the whole run, so it runs again in any case.
    pub(super) fn reset(&mut self) {
        self.cancelled = false;
        self.message = None;
        for step in &mut self.steps {
            if step.exit || step.state != StepState::Succeeded {
                *step = StepRun::new(&step.step, step.exit);
            }
        }
    }

    pub(super) fn state(&self) -> RunState {
        let any = |state| self.steps.iter().any(|step| step.state == state);
        if !self.is_final() {
            return match () {
                () if self.cancelled => RunState::Cancelling,
                () if self.steps.iter().any(|step| step.started_at.is_some()) => RunState::Running,
                () => RunState::Pending,
            };
        }
        // A run whose last step ended by itself before it could be stopped was not cancelled.
        match () {
            () if any(StepState::Cancelled) => RunState::Cancelled,
            () if any(StepState::Failed) => RunState::Failed,
            () => RunState::Succeeded,
        }
    }

    pub(super) fn status(&self) -> EngineRunStatus {
        let steps = self.steps.iter().map(|step| {
            let mut status = StepStatus::pending(step.step.name.clone());
            status.state = step.state;
            status.started_at = step.started_at;
            status.finished_at = step.finished_at;
            status
        });
        let mut status = EngineRunStatus::new(self.state(), steps.collect());
        status.message.clone_from(&self.message);
        status
    }

    /// The command line of a step with everything put in.
    pub(super) fn command(&self, step: &Step) -> Vec<OsString> {
        let word = |word: &Word| match word {
            Word::Text(text) => OsString::from(text),
            Word::Parameter(name) => self.workflow.parameters.get(name).cloned().unwrap_or_default().into(),
            Word::Input(input) => output_folder(&self.step_folder(&input.step), &input.output).into(),
            Word::Output(name) => output_folder(&self.step_folder(&step.name), name).into(),
            Word::FinalStatus => {
                let failed = self
                    .steps
                    .iter()
                    .any(|step| !step.exit && step.state == StepState::Failed);
                OsString::from(if failed { "Failed" } else { "Succeeded" })
            }
        };
        step.command.iter().map(word).collect()
    }
}

pub(super) fn output_folder(step_folder: &Path, output: &str) -> PathBuf {
    step_folder.join("outputs").join(output)
}
