//! What every [`Engine`] must do, as functions that panic when it does not.
//!
//! Call each of them in a test of its own, with a handle of the engine under test. They start real runs of a few
//! short steps that need `sh` and `python3`, delete them afterwards, and wait at most 20 seconds for each. A
//! function whose capability the engine does not have only checks that such a workflow is refused.
//!
//! ```
//! # #[cfg(feature = "local")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use orchestrator_core::{contract, engines::Local};
//!
//! let engine = Local::new()?;
//! contract::artifacts_are_handed_on(&engine).await;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "local"))]
//! # fn main() {}
//! ```

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "to panic is how these functions report, as the front of the module says"
)]

mod case;

use std::time::{Duration, Instant};

use crate::{
    Capability, Condition, Engine, EngineError, EngineRunId, EngineRunStatus, EnvValue, Resources, RunState, SecretRef,
    StepState, Submission, Volume, Word, Workflow, WorkflowError,
};

use case::{Case, FAIL_UNTIL, expecting, hex, hidden, python, refused, sh, since_epoch, states, step, workflow};

/// Image of all steps, for engines that use it.
pub const IMAGE: &str = "python:3.12";

/// Texts that some layer between here and a process could take for its own notation.
const HOSTILE: [&str; 20] = [
    "plain",
    "two words",
    " spaces around ",
    "",
    "\"double\" 'single' \\back\\\\slash",
    "{{$.x}}",
    "{{$.inputs.parameters['x']}}",
    "{{inputs.parameters.x}} {{workflow.name}} {{=1+1}}",
    "$(id) `id` $HOME ${HOME}",
    "$(HOME) $$(HOME) $$",
    "line\nbreak\ttab",
    "gr\u{f6}\u{df}e \u{6f22}\u{5b57}",
    "*?[a-z]~/{a,b}",
    "a;b|c&d>e<f#g!h",
    "--flag=value",
    "%s %n %{x}",
    "{\"json\": [1, null]}",
    "null",
    "007",
    "trailing newline\n",
];

/// The engine can be reached and has a name.
pub async fn it_is_ready(engine: &dyn Engine) {
    assert!(!engine.name().is_empty());
    engine.ready().await.unwrap();
}

/// Directories that steps write are where later steps look for them; times stand in order.
pub async fn artifacts_are_handed_on(engine: &dyn Engine) {
    let make = sh(
        "make",
        "mkdir -p \"$1/deep\" && printf 'some text' > \"$1/deep/file\"",
        [Word::Output("thing".into())],
    )
    .output("thing");
    let copy = sh(
        "copy",
        "mkdir -p \"$2\" && cp -r \"$1/deep\" \"$2/copied\"",
        [Word::Input(make.output_ref("thing")), Word::Output("copy".into())],
    )
    .output("copy");
    let both = sh(
        "both",
        "test \"$(cat \"$1/deep/file\")\" = 'some text' && cmp \"$1/deep/file\" \"$2/copied/file\"",
        [
            Word::Input(make.output_ref("thing")),
            Word::Input(copy.output_ref("copy")),
        ],
    );
    // The order of adding is not the order of running.
    let case = Case::start(engine, workflow().step(both).step(copy).step(make)).await;
    let status = case.ends(RunState::Succeeded).await;
    let names: Vec<_> = status.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["make", "copy", "both"]);
    let mut last_end = None;
    for step in &status.steps {
        assert_eq!(step.state, StepState::Succeeded, "{status:?}");
        assert!(
            step.started_at.is_some() && step.finished_at.is_some(),
            "no times: {step:?}"
        );
        assert!(step.started_at <= step.finished_at, "{step:?}");
        assert!(
            last_end <= step.started_at,
            "begun before the step before it had ended: {status:?}"
        );
        last_end = step.finished_at;
    }
    case.delete().await;
}

/// A step begins when all steps in `after` have succeeded; steps that do not depend on each other all run.
pub async fn steps_wait_for_all_before_them(engine: &dyn Engine) {
    let first = sh("first", "true", []);
    let branches = ["left", "middle", "right"].map(|name| sh(name, "true", []).after(&first.name));
    let last = branches
        .iter()
        .fold(sh("last", "true", []), |last, branch| last.after(&branch.name));
    let all = branches
        .into_iter()
        .fold(workflow().step(last).step(first), Workflow::step);
    let case = Case::start(engine, all).await;
    let status = case.ends(RunState::Succeeded).await;
    assert!(
        status.steps.iter().all(|step| step.state == StepState::Succeeded),
        "{status:?}"
    );
    let last = status.steps.last().unwrap();
    assert_eq!(last.name.as_str(), "last");
    assert!(
        status.steps.iter().all(|step| step.finished_at <= last.finished_at),
        "{status:?}"
    );
    case.delete().await;
}

/// Words of a command line reach the process unchanged, whatever they look like.
pub async fn words_arrive_unchanged(engine: &dyn Engine) {
    let words = HOSTILE.map(Word::from);
    let case = Case::start(engine, workflow().step(expecting("words", &HOSTILE, words))).await;
    case.ends(RunState::Succeeded).await;
    case.delete().await;
}

/// Workflow parameters reach the process unchanged, whatever they look like.
pub async fn parameters_arrive_unchanged(engine: &dyn Engine) {
    let name = |index: usize| format!("p-{index}");
    let words = (0..HOSTILE.len()).map(|index| Word::Parameter(name(index)));
    let step = expecting("parameters", &HOSTILE, words);
    let with_parameters = HOSTILE.iter().enumerate().fold(workflow(), |workflow, (index, value)| {
        workflow.parameter(name(index), *value)
    });
    let case = Case::start(engine, with_parameters.step(step)).await;
    case.ends(RunState::Succeeded).await;
    case.delete().await;
}

/// Environment variables reach the process unchanged, whatever they look like.
pub async fn environment_arrives_unchanged(engine: &dyn Engine) {
    let read = "import json, os, sys\n\
                want = json.loads(bytes.fromhex(sys.argv[1]))\n\
                got = [os.environ.get('WORD_%d' % i) for i in range(len(want))]\n\
                print(ascii(got))\n\
                sys.exit(got != want)";
    // Not what looks like a template: engines that fill in templates may refuse it in the environment.
    let values: Vec<&str> = HOSTILE.into_iter().filter(|text| !text.contains("{{")).collect();
    let step = python("environment", read, [hidden(&values)]);
    let step = values
        .iter()
        .enumerate()
        .fold(step, |step, (index, text)| step.env(format!("WORD_{index}"), *text));
    let case = Case::start(engine, workflow().step(step)).await;
    case.ends(RunState::Succeeded).await;
    case.delete().await;
}

/// A failed step fails the run; what needs it, also indirectly, never runs; its log tells why.
pub async fn a_failure_skips_what_needs_it(engine: &dyn Engine) {
    let good = sh("good", "true", []);
    let bad = sh("bad", "echo to standard output; echo to standard error >&2; exit 3", []).after(&good.name);
    let next = sh("next", "echo never", []).after(&bad.name);
    let last = sh("last", "echo never", []).after(&next.name);
    let case = Case::start(engine, workflow().step(good).step(bad).step(next).step(last)).await;
    let status = case.ends(RunState::Failed).await;
    assert_eq!(
        states(&status),
        [
            StepState::Succeeded,
            StepState::Failed,
            StepState::Skipped,
            StepState::Skipped
        ],
        "{status:?}"
    );
    case.logs_contain(1, &["to standard output", "to standard error"]).await;
    let never = case.engine.logs(&case.run, &status.steps[2].name, 10).await.unwrap();
    assert!(never.lines.is_empty(), "a step that never ran has a log: {never:?}");
    // To stop what has ended is no error and changes nothing.
    engine.cancel(&case.run).await.unwrap();
    assert_eq!(case.describe().await.state, RunState::Failed);
    case.delete().await;
}

/// A program that is not there fails the step; the run does not hang.
pub async fn a_missing_program_fails_the_step(engine: &dyn Engine) {
    let step = step("missing", ["there-is-no-such-program".into()]);
    let case = Case::start(engine, workflow().step(step)).await;
    let status = case.ends(RunState::Failed).await;
    assert_eq!(states(&status), [StepState::Failed]);
    case.delete().await;
}

/// Only the last lines of a log are given, and it is said that there are more.
pub async fn logs_are_cut_to_their_end(engine: &dyn Engine) {
    let step = python("talk", "for i in range(100): print('line', i)", []);
    let case = Case::start(engine, workflow().step(step)).await;
    let status = case.ends(RunState::Succeeded).await;
    case.logs_contain(0, &["line 97", "line 98", "line 99"]).await;
    let name = &status.steps[0].name;
    let tail = engine.logs(&case.run, name, 3).await.unwrap();
    assert_eq!(tail.lines, ["line 97", "line 98", "line 99"]);
    assert!(tail.truncated);
    assert!(engine.logs(&case.run, name, 0).await.unwrap().lines.is_empty());
    case.delete().await;
}

/// Bytes that are no UTF-8 do not hide the rest of a log.
pub async fn logs_may_hold_any_bytes(engine: &dyn Engine) {
    let step = sh("talk", "printf 'before\\n\\377\\376\\n'; echo after", []);
    let case = Case::start(engine, workflow().step(step)).await;
    case.ends(RunState::Succeeded).await;
    case.logs_contain(0, &["before", "after"]).await;
    case.delete().await;
}

/// The exit step runs last and is told how the others ended.
pub async fn the_exit_step_runs_after_success(engine: &dyn Engine) {
    exit_step(engine, "true", RunState::Succeeded, "Succeeded").await;
}

/// The exit step runs after a failure too, is told so, and its own success does not hide the failure.
pub async fn the_exit_step_runs_after_failure(engine: &dyn Engine) {
    exit_step(engine, "exit 1", RunState::Failed, "Failed").await;
}

async fn exit_step(engine: &dyn Engine, script: &str, state: RunState, told: &str) {
    let work = sh("work", script, []);
    let check = "import json, sys\n\
                 got = sys.argv[1]\n\
                 got = json.loads(got).get('state', '') if got.startswith('{') else got\n\
                 print('told', got)\n\
                 sys.exit(got.lower() != sys.argv[2].lower())";
    let exit = python("at-exit", check, [Word::FinalStatus, told.into()]);
    let workflow = workflow().step(work).exit_step(exit);
    let Some(case) = Case::start_if(engine, Capability::ExitStep, workflow).await else {
        return;
    };
    let status = case.ends(state).await;
    let exit = status.steps.last().unwrap();
    assert_eq!(
        (exit.name.as_str(), exit.state),
        ("at-exit", StepState::Succeeded),
        "{}",
        case.explain(&status).await
    );
    assert!(status.steps[0].finished_at <= exit.finished_at, "{status:?}");
    case.delete().await;
}

/// Steps whose condition does not hold are skipped, and that is no failure.
pub async fn conditions_decide(engine: &dyn Engine) {
    let equals = |value: &str| Condition::Equals {
        parameter: "mode".into(),
        value: value.into(),
    };
    let differs = |value: &str| Condition::NotEquals {
        parameter: "mode".into(),
        value: value.into(),
    };
    let first = sh("first", "true", []);
    let steps = [
        sh("same", "true", []).when(equals("it's \"on\"")),
        sh("other", "true", []).when(equals("off")),
        sh("not-same", "true", []).when(differs("it's \"on\"")),
        sh("not-other", "true", []).when(differs("off")).after(&first.name),
    ];
    let workflow = steps
        .into_iter()
        .fold(workflow().parameter("mode", "it's \"on\"").step(first), Workflow::step);
    let Some(case) = Case::start_if(engine, Capability::Conditions, workflow).await else {
        return;
    };
    let status = case.ends(RunState::Succeeded).await;
    let expected = [
        StepState::Succeeded,
        StepState::Succeeded,
        StepState::Skipped,
        StepState::Skipped,
        StepState::Succeeded,
    ];
    assert_eq!(states(&status), expected, "{status:?}");
    case.delete().await;
}

/// A step that fails at first is started again.
pub async fn failed_steps_are_started_again(engine: &dyn Engine) {
    // What one attempt leaves behind is not there for the next, so time tells them apart.
    let step = python("flaky", FAIL_UNTIL, [since_epoch(Duration::from_secs(1)).into()]).retries(12);
    let Some(case) = Case::start_if(engine, Capability::Retries, workflow().step(step)).await else {
        return;
    };
    let status = case.ends(RunState::Succeeded).await;
    assert_eq!(states(&status), [StepState::Succeeded]);
    case.delete().await;
}

/// A step that fails every time fails in the end.
pub async fn retries_come_to_an_end(engine: &dyn Engine) {
    let step = sh("hopeless", "exit 1", []).retries(1);
    let Some(case) = Case::start_if(engine, Capability::Retries, workflow().step(step)).await else {
        return;
    };
    let status = case.ends(RunState::Failed).await;
    assert_eq!(states(&status), [StepState::Failed]);
    case.delete().await;
}

/// A step that takes too long is ended and has failed.
pub async fn steps_may_take_only_so_long(engine: &dyn Engine) {
    let slow = sh("slow", "sleep 100", []).timeout(Duration::from_secs(1));
    let next = sh("next", "true", []).after(&slow.name);
    let Some(case) = Case::start_if(engine, Capability::Timeouts, workflow().step(slow).step(next)).await else {
        return;
    };
    let status = case.ends(RunState::Failed).await;
    assert_eq!(states(&status), [StepState::Failed, StepState::Skipped], "{status:?}");
    case.delete().await;
}

/// A cancelled run ends as cancelled, not as failed, and nothing of it begins any more.
pub async fn a_cancelled_run_is_cancelled(engine: &dyn Engine) {
    let done = sh("done", "true", []);
    let long = sh("long", "sleep 100", []).after(&done.name);
    let never = sh("never", "true", []).after(&long.name);
    let case = Case::start(engine, workflow().step(done).step(long).step(never)).await;
    let runs = |status: &EngineRunStatus| status.steps[1].state == StepState::Running;
    case.comes_to("its second step", runs).await;
    engine.cancel(&case.run).await.unwrap();
    // Twice is as good as once.
    engine.cancel(&case.run).await.unwrap();
    let between = case.describe().await.state;
    assert!(
        matches!(between, RunState::Cancelling | RunState::Cancelled),
        "{between}"
    );
    let status = case.ends(RunState::Cancelled).await;
    assert_eq!(status.steps[0].state, StepState::Succeeded, "{status:?}");
    assert_eq!(status.steps[1].state, StepState::Cancelled, "{status:?}");
    assert!(
        matches!(status.steps[2].state, StepState::Cancelled | StepState::Skipped),
        "{status:?}"
    );
    case.delete().await;
}

/// An id stands for one run, however often it is submitted, also at the same time.
pub async fn the_same_id_starts_one_run(engine: &dyn Engine) {
    let one = workflow().step(sh("once", "echo run; sleep 1", []));
    let submission = Submission::new(EngineRunId::random(), "contract", one.clone());
    let (first, second) = tokio::join!(engine.submit(&submission), engine.submit(&submission));
    first.unwrap();
    second.unwrap();
    let case = Case {
        engine,
        run: submission.run_id.clone(),
        workflow: one,
    };
    let status = case.ends(RunState::Succeeded).await;
    case.logs_contain(0, &["run"]).await;
    engine.submit(&submission).await.unwrap();
    let later = case.describe().await;
    assert_eq!(
        (later.state, &later.steps),
        (status.state, &status.steps),
        "it was started again"
    );
    case.delete().await;
}

/// Retrying a failed run runs what failed and what was skipped, and keeps what succeeded.
pub async fn a_failed_run_can_be_retried(engine: &dyn Engine) {
    // Only time tells the second try from the first, and a slow engine can miss the time in which the first fails.
    for seconds in [2, 6, 15] {
        if retried(engine, Duration::from_secs(seconds)).await {
            return;
        }
    }
    panic!("the engine is too slow: the run did not come to the step that was to fail");
}

async fn retried(engine: &dyn Engine, fails_for: Duration) -> bool {
    let make = sh(
        "make",
        "mkdir -p \"$1\" && echo kept > \"$1/file\"",
        [Word::Output("thing".into())],
    )
    .output("thing");
    let submitted = Instant::now();
    let fail = python("fail", FAIL_UNTIL, [since_epoch(fails_for).into()]).after(&make.name);
    let last = sh("last", "grep kept \"$1/file\"", [Word::Input(make.output_ref("thing"))]).after(&fail.name);
    let case = Case::start(engine, workflow().step(make).step(fail).step(last)).await;
    let before = case.comes_to("its end", |status| status.state.is_final()).await;
    if before.state == RunState::Succeeded {
        case.delete().await;
        return false;
    }
    assert_eq!(
        states(&before),
        [StepState::Succeeded, StepState::Failed, StepState::Skipped]
    );
    tokio::time::sleep(fails_for.saturating_sub(submitted.elapsed())).await;
    engine.retry(&case.run).await.unwrap();
    let after = case
        .comes_to("success", |status| status.state == RunState::Succeeded)
        .await;
    assert!(
        after.steps.iter().all(|step| step.state == StepState::Succeeded),
        "{after:?}"
    );
    assert_eq!(after.steps[0], before.steps[0], "what had succeeded ran again");
    case.delete().await;
    true
}

/// What is deleted is not found any more, even if it was running.
pub async fn a_deleted_run_is_gone(engine: &dyn Engine) {
    let case = Case::start(engine, workflow().step(sh("long", "sleep 100", []))).await;
    case.comes_to("its step", |status| status.state == RunState::Running)
        .await;
    engine.delete(&case.run).await.unwrap();
    let gone = engine.describe(&case.run, &case.workflow).await;
    assert!(matches!(gone, Err(EngineError::NotFound { .. })), "{gone:?}");
}

/// Runs that were never submitted are not found, whatever is asked of them.
pub async fn unknown_runs_are_not_found(engine: &dyn Engine) {
    let run = EngineRunId::random();
    let workflow = workflow().step(sh("any", "true", []));
    let name = workflow.steps[0].name.clone();
    let answers = [
        engine.describe(&run, &workflow).await.err(),
        engine.cancel(&run).await.err(),
        engine.retry(&run).await.err(),
        engine.delete(&run).await.err(),
        engine.logs(&run, &name, 5).await.err(),
    ];
    for (index, answer) in answers.iter().enumerate() {
        assert!(
            matches!(answer, Some(EngineError::NotFound { run: named, .. }) if *named == run),
            "{index}: {answer:?}"
        );
    }
}

/// What the engine cannot do is refused with the name of what it lacks, and nothing begins.
pub async fn what_it_cannot_do_is_refused(engine: &dyn Engine) {
    let any = || sh("any", "true", []);
    let secret = EnvValue::Secret(SecretRef {
        name: "contract".into(),
        key: "any".into(),
    });
    let condition = Condition::Equals {
        parameter: "p".into(),
        value: "v".into(),
    };
    let limited = Resources {
        cpu_limit: Some("1".into()),
        ..Resources::default()
    };
    let mut heavy = any();
    heavy.resources = limited;
    let demanding = [
        (
            Capability::Conditions,
            workflow().parameter("p", "v").step(any().when(condition)),
        ),
        (
            Capability::ExitStep,
            workflow().step(any()).exit_step(sh("exit", "true", [])),
        ),
        (Capability::Resources, workflow().step(heavy)),
        (Capability::Retries, workflow().step(any().retries(1))),
        (Capability::Secrets, workflow().step(any().env("SECRET", secret))),
        (
            Capability::Timeouts,
            workflow().step(any().timeout(Duration::from_secs(60))),
        ),
        (
            Capability::Volumes,
            workflow().step(any().volume(Volume::new("contract", "/mnt/contract"))),
        ),
    ];
    for (capability, workflow) in demanding {
        if !engine.capabilities().has(capability) {
            refused(engine, workflow, capability).await;
        }
    }
}

/// A broken workflow is refused as such, and nothing begins.
pub async fn broken_workflows_are_refused(engine: &dyn Engine) {
    let one = sh("one", "true", []);
    let broken = [
        workflow(),
        workflow().step(one.clone()).step(one.clone()),
        workflow().step(one.clone().after(&one.name)),
    ];
    for workflow in broken {
        let submission = Submission::new(EngineRunId::random(), "contract", workflow.clone());
        let answer = engine.submit(&submission).await;
        let reason: Option<WorkflowError> = workflow.order().err();
        assert!(
            matches!(&answer, Err(EngineError::Workflow(error)) if Some(error) == reason.as_ref()),
            "{answer:?}"
        );
        let gone = engine.describe(&submission.run_id, &workflow).await;
        assert!(matches!(gone, Err(EngineError::NotFound { .. })), "{gone:?}");
    }
}

/// Steps find the value of a secret in their environment. The platform of the engine must have the secret.
pub async fn secrets_reach_steps(engine: &dyn Engine, secret: &SecretRef, value: &str) {
    let read = "import os, sys\nsys.exit(os.environ.get('SECRET') != bytes.fromhex(sys.argv[1]).decode())";
    let step = python("secret", read, [hex(value.as_bytes())]).env("SECRET", EnvValue::Secret(secret.clone()));
    let Some(case) = Case::start_if(engine, Capability::Secrets, workflow().step(step)).await else {
        return;
    };
    case.ends(RunState::Succeeded).await;
    case.delete().await;
}

/// A step whose secret is not there never runs: the run is refused, or fails.
pub async fn a_missing_secret_stops_the_step(engine: &dyn Engine) {
    let secret = SecretRef {
        name: "there-is-no-such-secret".into(),
        key: "key".into(),
    };
    let step = sh("secret", "echo it runs", []).env("SECRET", EnvValue::Secret(secret));
    if !engine.capabilities().has(Capability::Secrets) {
        return refused(engine, workflow().step(step), Capability::Secrets).await;
    }
    let workflow = workflow().step(step);
    let submission = Submission::new(EngineRunId::random(), "contract", workflow.clone());
    match engine.submit(&submission).await {
        Err(EngineError::Failed { message, .. }) => assert!(message.contains("there-is-no-such-secret"), "{message}"),
        Err(error) => panic!("it was refused for another reason: {error}"),
        Ok(()) => {
            let case = Case {
                engine,
                run: submission.run_id,
                workflow,
            };
            case.ends(RunState::Failed).await;
            let log = engine
                .logs(&case.run, &case.workflow.steps[0].name, 10)
                .await
                .unwrap_or_default();
            assert!(!log.lines.iter().any(|line| line == "it runs"), "{log:?}");
            case.delete().await;
        }
    }
}

/// Steps see a volume, and what one writes into it another reads. The platform must have the volume, and steps may
/// write to it.
pub async fn volumes_are_shared(engine: &dyn Engine, volume: &Volume) {
    let file = format!("{}/contract-{}", volume.mount_path, EngineRunId::random());
    let write = sh("write", "echo here > \"$1\"", [file.as_str().into()]).volume(volume.clone());
    let read = sh("read", "grep here \"$1\" && rm \"$1\"", [file.into()])
        .volume(volume.clone())
        .after(&write.name);
    let workflow = workflow().step(write).step(read);
    let Some(case) = Case::start_if(engine, Capability::Volumes, workflow).await else {
        return;
    };
    case.ends(RunState::Succeeded).await;
    case.delete().await;
}
