//! Live progress of a run on standard error: one line whenever a step changes.

use std::collections::HashMap;
use std::io::Write;

use orchestrator_core::{RunRecord, RunState, StepState};

/// Prints what is new since it was last asked.
#[derive(Debug, Default)]
pub struct Progress {
    state: Option<RunState>,
    steps: HashMap<String, StepState>,
    warnings: usize,
}

impl Progress {
    /// Prints the difference to the record before.
    pub fn show(&mut self, record: &RunRecord) {
        let mut out = std::io::stderr().lock();
        for step in &record.steps {
            let before = self.steps.insert(step.name.clone(), step.state);
            if step.state == StepState::Pending || before == Some(step.state) {
                continue;
            }
            let seconds = step
                .seconds
                .map(|seconds| format!("  {seconds:.1} s"))
                .unwrap_or_default();
            // A closed terminal is no reason to stop following the run.
            let _ = writeln!(out, "  {:<20} {}{seconds}", step.name, step.state);
        }
        for warning in record.warnings.iter().skip(self.warnings) {
            let _ = writeln!(out, "  warning: {warning}");
        }
        self.warnings = record.warnings.len();
        if self.state.replace(record.state) != Some(record.state) {
            let _ = writeln!(out, "{} {} is {}", record.kind, record.engine_run_id, record.state);
        }
    }
}

/// Writes one line to standard error.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
