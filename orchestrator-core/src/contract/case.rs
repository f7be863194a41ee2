//! A run under test, and what its steps are made of.

use std::time::{Duration, Instant, SystemTime};

use crate::{
    Capability, Engine, EngineError, EngineRunId, EngineRunStatus, RunState, Step, StepState, Submission, Word,
    Workflow,
};

use super::IMAGE;

/// Longest wait for whatever a run is to come to.
const PATIENCE: Duration = Duration::from_secs(20);

/// Fails until a time, given in seconds since 1970.
pub(super) const FAIL_UNTIL: &str = "import sys, time\ntime.sleep(0.2)\nsys.exit(time.time() < float(sys.argv[1]))";

pub(super) fn since_epoch(from_now: Duration) -> String {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + from_now;
    format!("{:.3}", time.as_secs_f64())
}

pub(super) fn workflow() -> Workflow {
    Workflow::new("contract").unwrap()
}

pub(super) fn step(name: &str, command: impl IntoIterator<Item = Word>) -> Step {
    Step::new(name, IMAGE, command).unwrap()
}

pub(super) fn sh(name: &str, script: &str, arguments: impl IntoIterator<Item = Word>) -> Step {
    step(
        name,
        ["sh", "-c", script, "sh"].map(Word::from).into_iter().chain(arguments),
    )
}

pub(super) fn python(name: &str, script: &str, arguments: impl IntoIterator<Item = Word>) -> Step {
    step(
        name,
        ["python3", "-c", script].map(Word::from).into_iter().chain(arguments),
    )
}

/// A step that fails unless `words` arrive as `expected`.
pub(super) fn expecting(name: &str, expected: &[&str], words: impl IntoIterator<Item = Word>) -> Step {
    let check = "import json, sys\n\
                 want = json.loads(bytes.fromhex(sys.argv[1]))\n\
                 print(ascii(sys.argv[2:]))\n\
                 sys.exit(sys.argv[2:] != want)";
    python(name, check, [hidden(expected)].into_iter().chain(words))
}

/// Texts in a form that nothing on the way can take for anything else.
pub(super) fn hidden(texts: &[&str]) -> Word {
    hex(&serde_json::to_vec(texts).unwrap())
}

pub(super) fn hex(bytes: &[u8]) -> Word {
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap();
    let digits: String = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect();
    digits.into()
}

pub(super) fn states(status: &EngineRunStatus) -> Vec<StepState> {
    status.steps.iter().map(|step| step.state).collect()
}

pub(super) async fn refused(engine: &dyn Engine, workflow: Workflow, capability: Capability) {
    let submission = Submission::new(EngineRunId::random(), "contract", workflow.clone());
    match engine.submit(&submission).await {
        Err(EngineError::Unsupported { lacking, .. }) => assert_eq!(lacking, [capability]),
        other => panic!("a workflow that needs {capability} was not refused: {other:?}"),
    }
    let gone = engine.describe(&submission.run_id, &workflow).await;
    assert!(matches!(gone, Err(EngineError::NotFound { .. })), "{gone:?}");
}

/// A run under test.
pub(super) struct Case<'a> {
    pub(super) engine: &'a dyn Engine,
    pub(super) run: EngineRunId,
    pub(super) workflow: Workflow,
}

impl<'a> Case<'a> {
    pub(super) async fn start(engine: &'a dyn Engine, workflow: Workflow) -> Self {
        let submission = Submission::new(EngineRunId::random(), "contract", workflow);
        engine.submit(&submission).await.unwrap();
        Self {
            engine,
            run: submission.run_id,
            workflow: submission.workflow,
        }
    }

    /// Starts the run if the engine can do what it needs, and otherwise checks that it is refused.
    pub(super) async fn start_if(engine: &'a dyn Engine, capability: Capability, workflow: Workflow) -> Option<Self> {
        if engine.capabilities().has(capability) {
            Some(Self::start(engine, workflow).await)
        } else {
            refused(engine, workflow, capability).await;
            None
        }
    }

    pub(super) async fn describe(&self) -> EngineRunStatus {
        self.engine.describe(&self.run, &self.workflow).await.unwrap()
    }

    pub(super) async fn comes_to(&self, what: &str, there: impl Fn(&EngineRunStatus) -> bool) -> EngineRunStatus {
        let begun = Instant::now();
        loop {
            let status = self.describe().await;
            if there(&status) {
                return status;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "the run did not come to {what}: {}",
                self.explain(&status).await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) async fn ends(&self, state: RunState) -> EngineRunStatus {
        let status = self.comes_to("its end", |status| status.state.is_final()).await;
        assert!(
            status.state == state,
            "the run should be {state}: {}",
            self.explain(&status).await
        );
        assert!(
            status.steps.iter().all(|step| step.state.is_final()),
            "the run has ended and a step not: {status:?}"
        );
        status
    }

    /// Logs may come a moment after the end.
    pub(super) async fn logs_contain(&self, step: usize, lines: &[&str]) {
        let begun = Instant::now();
        let name = self.workflow.order().unwrap()[step].name.clone();
        loop {
            let tail = self.engine.logs(&self.run, &name, 50).await.unwrap();
            if lines.iter().all(|line| tail.lines.iter().any(|found| found == line)) {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "the log of {name} lacks one of {lines:?}: {tail:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Everything that helps to see what went wrong.
    pub(super) async fn explain(&self, status: &EngineRunStatus) -> String {
        let mut text = format!("{status:#?}");
        for step in &status.steps {
            let tail = self.engine.logs(&self.run, &step.name, 20).await.unwrap_or_default();
            text = format!("{text}\nlog of {}:\n{}", step.name, tail.lines.join("\n"));
        }
        text
    }

    pub(super) async fn delete(self) {
        self.engine.delete(&self.run).await.unwrap();
    }
}
