//! The engine of local processes: the contract of all engines, and what only it promises.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use orchestrator_core::engines::Local;
use orchestrator_core::{
    Engine, EngineError, EngineRunId, EngineRunStatus, RunState, SecretRef, Step, StepState, Submission, Volume, Word,
    Workflow, contract,
};

macro_rules! keeps_the_contract {
    ($($name:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $name() {
                contract::$name(&Local::new().unwrap()).await;
            }
        )*
    };
}

every_case!(keeps_the_contract);

#[tokio::test]
async fn secrets_reach_steps() {
    let secret = SecretRef {
        name: "contract".into(),
        key: "token".into(),
    };
    let value = "s3cret $(id) \"value\"";
    let engine = Local::builder()
        .secret(&secret.name, &secret.key, value)
        .build()
        .unwrap();
    contract::secrets_reach_steps(&engine, &secret, value).await;
    assert!(!format!("{engine:?}").contains("s3cret"));
    let builder = Local::builder().secret(&secret.name, &secret.key, value);
    assert!(!format!("{builder:?}").contains("s3cret"));
}

#[tokio::test]
async fn volumes_are_shared() {
    let folder = tempfile::tempdir().unwrap();
    let volume = Volume::new("contract", folder.path().to_str().unwrap());
    contract::volumes_are_shared(&Local::new().unwrap(), &volume).await;
}

fn workflow() -> Workflow {
    Workflow::new("local").unwrap()
}

fn sh(name: &str, script: &str, arguments: impl IntoIterator<Item = Word>) -> Step {
    let words = ["sh", "-c", script, "sh"].map(Word::from).into_iter().chain(arguments);
    Step::new(name, "none", words).unwrap()
}

fn path(path: &Path) -> Word {
    path.to_str().unwrap().into()
}

async fn submit(engine: &Local, workflow: &Workflow) -> EngineRunId {
    let submission = Submission::new(EngineRunId::random(), "test", workflow.clone());
    engine.submit(&submission).await.unwrap();
    submission.run_id
}

async fn until(engine: &Local, run: &EngineRunId, workflow: &Workflow, state: RunState) -> EngineRunStatus {
    let begun = Instant::now();
    loop {
        let status = engine.describe(run, workflow).await.unwrap();
        if status.state == state {
            return status;
        }
        assert!(
            !status.state.is_final() && begun.elapsed() < Duration::from_secs(60),
            "{status:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn runs_to(engine: &Local, workflow: &Workflow, state: RunState) -> (EngineRunId, EngineRunStatus) {
    let run = submit(engine, workflow).await;
    let status = until(engine, &run, workflow, state).await;
    (run, status)
}

/// Waits until a step has written the file, so that it is known to be in its middle.
async fn appears(file: &Path) {
    let begun = Instant::now();
    while !file.exists() {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{} does not appear",
            file.display()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether somebody still writes a dot into the file every few milliseconds.
async fn grows(file: &Path) -> bool {
    let before = fs::metadata(file).unwrap().len();
    tokio::time::sleep(Duration::from_millis(200)).await;
    fs::metadata(file).unwrap().len() > before
}

const BEAT: &str = "beat() { while :; do printf . >> \"$1\"; sleep 0.02; done; }; ";

#[tokio::test]
async fn a_step_ends_with_its_main_process_and_takes_its_children_along() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("beat");
    let script = format!("{BEAT} beat \"$1\" & while ! test -e \"$1\"; do sleep 0.01; done; echo end");
    let workflow = workflow().step(sh("forks", &script, [path(&file)]));
    let engine = Local::new().unwrap();
    let begun = Instant::now();
    let (run, _) = runs_to(&engine, &workflow, RunState::Succeeded).await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(!grows(&file).await);
    assert_eq!(
        engine.logs(&run, &workflow.steps[0].name, 5).await.unwrap().lines,
        ["end"]
    );
}

#[tokio::test]
async fn a_child_that_left_the_group_does_not_hold_the_step() {
    // It goes when the folder goes, so that nothing is left behind.
    let folder = tempfile::tempdir().unwrap();
    let script = "import os, sys, time\n\
                  if os.fork():\n    print('end')\n    sys.exit()\n\
                  os.setsid()\n\
                  while os.path.exists(sys.argv[1]): time.sleep(0.05)";
    let words = ["python3", "-c", script]
        .map(Word::from)
        .into_iter()
        .chain([path(folder.path())]);
    let workflow = workflow().step(Step::new("leaves", "none", words).unwrap());
    let engine = Local::new().unwrap();
    let (run, _) = runs_to(&engine, &workflow, RunState::Succeeded).await;
    assert_eq!(
        engine.logs(&run, &workflow.steps[0].name, 5).await.unwrap().lines,
        ["end"]
    );
}

#[tokio::test]
async fn what_ignores_the_request_to_end_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("beat");
    let step = sh("deaf", &format!("trap '' TERM; {BEAT} beat \"$1\""), [path(&file)]);
    let engine = Local::builder().grace(Duration::from_millis(200)).build().unwrap();
    let slow = workflow().step(step.clone().timeout(Duration::from_millis(300)));
    let (_, status) = runs_to(&engine, &slow, RunState::Failed).await;
    assert_eq!(status.message.as_deref(), Some("step deaf took longer than 300ms"));
    assert!(!grows(&file).await);

    fs::remove_file(&file).unwrap();
    let endless = workflow().step(step);
    let run = submit(&engine, &endless).await;
    appears(&file).await;
    engine.cancel(&run).await.unwrap();
    assert_eq!(
        engine.describe(&run, &endless).await.unwrap().state,
        RunState::Cancelling
    );
    until(&engine, &run, &endless, RunState::Cancelled).await;
    assert!(!grows(&file).await);
}

#[tokio::test]
async fn a_cancelled_step_may_tidy_up() {
    let folder = tempfile::tempdir().unwrap();
    let (begun, tidied) = (folder.path().join("begun"), folder.path().join("tidied"));
    let script = "trap 'touch \"$2\"; exit 0' TERM; touch \"$1\"; while :; do sleep 0.02; done";
    let workflow = workflow()
        .step(sh("tidy", script, [path(&begun), path(&tidied)]))
        .exit_step(sh("exit", "true", []));
    let engine = Local::builder().grace(Duration::from_secs(20)).build().unwrap();
    let run = submit(&engine, &workflow).await;
    appears(&begun).await;
    engine.cancel(&run).await.unwrap();
    let status = until(&engine, &run, &workflow, RunState::Cancelled).await;
    assert!(tidied.exists());
    assert!(
        status.steps.iter().all(|step| step.state == StepState::Cancelled),
        "{status:?}"
    );
}

#[tokio::test]
async fn the_last_handle_takes_everything_along() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("beat");
    let workflow = workflow().step(sh("beats", &format!("{BEAT} beat \"$1\""), [path(&file)]).retries(5));
    let engine = Local::new().unwrap();
    let work_dir = engine.work_dir().to_owned();
    submit(&engine, &workflow).await;
    appears(&file).await;
    let other = engine.clone();
    drop(engine);
    assert!(grows(&file).await, "it ended with a handle that was not the last");
    drop(other);
    assert!(!grows(&file).await);
    assert!(!work_dir.exists());
}

#[tokio::test]
async fn deleting_kills_and_removes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("beat");
    let workflow = workflow().step(sh("beats", &format!("{BEAT} trap '' TERM; beat \"$1\""), [path(&file)]));
    let engine = Local::new().unwrap();
    let run = submit(&engine, &workflow).await;
    appears(&file).await;
    assert!(engine.work_dir().join(run.as_str()).exists());
    engine.delete(&run).await.unwrap();
    assert!(!grows(&file).await);
    assert!(!engine.work_dir().join(run.as_str()).exists());
    // What is forgotten is as if it had never been.
    let again = Submission::new(run, "again", workflow);
    engine.submit(&again).await.unwrap();
}

#[tokio::test]
async fn a_flood_of_output_keeps_its_end() {
    let flood = "head -c 100000000 /dev/zero | tr '\\0' 'x' | fold -w 99; echo; echo the end; exit 7";
    let workflow = workflow().step(sh("flood", flood, []));
    let engine = Local::new().unwrap();
    let (run, status) = runs_to(&engine, &workflow, RunState::Failed).await;
    assert_eq!(status.message.as_deref(), Some("step flood ended with status 7"));
    let tail = engine.logs(&run, &workflow.steps[0].name, 2).await.unwrap();
    assert_eq!(tail.lines.last().unwrap(), "the end");
    assert!(tail.truncated);
    let step = engine.work_dir().join(run.as_str()).join("flood");
    let kept: u64 = ["log", "log.previous"]
        .iter()
        .map(|name| fs::metadata(step.join(name)).unwrap().len())
        .sum();
    assert!(kept < 17 * 1024 * 1024, "{kept}");
}

#[tokio::test]
async fn failures_say_why() {
    let engine = Local::new().unwrap();
    for (step, message) in [
        (sh("a", "exit 3", []), "step a ended with status 3"),
        (sh("b", "kill -9 $$", []), "step b was ended by signal 9"),
        (
            Step::new("c", "none", [Word::from("no-such-program")]).unwrap(),
            "step c could not start no-such-program: it is not on this machine",
        ),
    ] {
        let (_, status) = runs_to(&engine, &workflow().step(step), RunState::Failed).await;
        assert_eq!(status.message.as_deref(), Some(message));
    }
    let nul = Step::new("d", "none", ["echo".into(), "a\0b".into()]).unwrap();
    let (_, status) = runs_to(&engine, &workflow().step(nul), RunState::Failed).await;
    assert!(status.message.unwrap().starts_with("step d could not start echo"));
}

#[tokio::test]
async fn each_attempt_begins_afresh_and_there_are_not_more_than_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let count = folder.path().join("count");
    let script = "echo x >> \"$2\"; test -z \"$(ls -A \"$1\")\" || exit 9; test -z \"$(ls -A .)\" || exit 9; \
                  touch \"$1/left\" here; echo attempt; exit 5";
    let step = sh("fails", script, [Word::Output("out".into()), path(&count)])
        .output("out")
        .retries(2);
    let workflow = workflow().step(step);
    let engine = Local::new().unwrap();
    let (run, status) = runs_to(&engine, &workflow, RunState::Failed).await;
    assert_eq!(status.message.as_deref(), Some("step fails ended with status 5"));
    assert_eq!(fs::read_to_string(&count).unwrap().lines().count(), 3);
    assert_eq!(
        engine.logs(&run, &workflow.steps[0].name, 5).await.unwrap().lines,
        ["attempt"]
    );
}

#[tokio::test]
async fn a_failed_exit_step_fails_the_run_and_retrying_runs_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let (count, good) = (folder.path().join("count"), folder.path().join("good"));
    let work = sh("work", "echo x >> \"$1\"", [path(&count)]);
    let exit = sh("exit", "test -e \"$1\"", [path(&good)]);
    let workflow = workflow().step(work).exit_step(exit);
    let engine = Local::new().unwrap();
    let (run, status) = runs_to(&engine, &workflow, RunState::Failed).await;
    assert_eq!(status.message.as_deref(), Some("step exit ended with status 1"));
    fs::write(&good, "").unwrap();
    engine.retry(&run).await.unwrap();
    let status = until(&engine, &run, &workflow, RunState::Succeeded).await;
    assert_eq!(status.message, None);
    assert_eq!(fs::read_to_string(&count).unwrap().lines().count(), 1);
    assert!(matches!(engine.retry(&run).await, Err(EngineError::Failed { .. })));
}

#[tokio::test]
async fn independent_steps_go_on_after_a_failure() {
    let bad = sh("bad", "exit 1", []);
    let slow = sh("slow", "sleep 0.3", []);
    let later = sh("later", "true", []).after(&slow.name);
    let needs = sh("needs", "true", []).after(&slow.name).after(&bad.name);
    let workflow = workflow().step(bad).step(slow).step(later).step(needs);
    let (_, status) = runs_to(&Local::new().unwrap(), &workflow, RunState::Failed).await;
    let ends: Vec<_> = status.steps.iter().map(|step| step.state).collect();
    assert_eq!(
        ends,
        [
            StepState::Failed,
            StepState::Succeeded,
            StepState::Succeeded,
            StepState::Skipped
        ]
    );
}

#[tokio::test]
async fn many_steps_run_but_not_at_once() {
    let folder = tempfile::tempdir().unwrap();
    // Each leaves the number of those that run at the same time.
    let script = "touch \"$1/run-$2\"; ls \"$1\" | grep -c '^run-' > \"$1/seen-$2\"; sleep 0.01; rm \"$1/run-$2\"";
    let steps = (0..200).map(|index: u32| {
        sh(
            &format!("s-{index}"),
            script,
            [path(folder.path()), index.to_string().into()],
        )
    });
    let workflow = steps.fold(workflow(), Workflow::step);
    let engine = Local::builder().parallel(3).build().unwrap();
    let (_, status) = runs_to(&engine, &workflow, RunState::Succeeded).await;
    assert_eq!(status.steps.len(), 200);
    let seen: BTreeSet<u32> = (0..200)
        .map(|index| {
            fs::read_to_string(folder.path().join(format!("seen-{index}")))
                .unwrap()
                .trim()
                .parse()
                .unwrap()
        })
        .collect();
    assert!(seen.iter().all(|count| (1..=3).contains(count)), "{seen:?}");
}

#[tokio::test]
async fn steps_inherit_nothing_but_the_search_path() {
    let workflow = workflow().step(sh(
        "env",
        "env | cut -d= -f1; test \"$PWD\" = \"$HOME\" && test -d \"$TMPDIR\"",
        [],
    ));
    let engine = Local::new().unwrap();
    let (run, _) = runs_to(&engine, &workflow, RunState::Succeeded).await;
    let lines = engine.logs(&run, &workflow.steps[0].name, 100).await.unwrap().lines;
    let names: BTreeSet<&str> = lines.iter().map(String::as_str).collect();
    let allowed = ["PATH", "HOME", "TMPDIR", "LANG", "PWD", "OLDPWD", "SHLVL", "_"];
    assert!(names.iter().all(|name| allowed.contains(name)), "{names:?}");
    let left: Vec<_> = fs::read_dir(engine.work_dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, [run.as_str()], "temporary folders are left");
}

#[tokio::test]
async fn what_cannot_work_is_refused_before_anything_starts() {
    let engine = Local::new().unwrap();
    let any = || sh("any", "true", []);
    let volume = Volume::new("claim", "/there/is/no/such/folder");
    for (id, step, named) in [
        ("a", any().volume(volume), "/there/is/no/such/folder"),
        ("b", any().volume(Volume::new("claim", "relative")), "relative"),
        ("c", any().env("A=B", "x"), "A=B"),
        ("../escape", any(), "../escape"),
        ("", any(), "run id"),
    ] {
        let run = EngineRunId::from(id.to_owned());
        match engine
            .submit(&Submission::new(run.clone(), "test", workflow().step(step)))
            .await
        {
            Err(EngineError::Failed { message, .. }) => assert!(message.contains(named), "{message}"),
            other => panic!("{id}: {other:?}"),
        }
        assert!(matches!(engine.cancel(&run).await, Err(EngineError::NotFound { .. })));
    }
    assert_eq!(fs::read_dir(engine.work_dir()).unwrap().count(), 0);
    assert!(Local::builder().parallel(0).build().is_err());
}

#[tokio::test]
async fn an_id_is_never_used_for_two_runs() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Local::builder().work_dir(folder.path().join("new")).build().unwrap();
    let one = Submission::new(EngineRunId::random(), "test", workflow().step(sh("one", "true", [])));
    engine.submit(&one).await.unwrap();
    let mut other = one.clone();
    other.workflow = workflow().step(sh("two", "true", []));
    assert!(matches!(engine.submit(&other).await, Err(EngineError::Failed { .. })));
    until(&engine, &one.run_id, &one.workflow, RunState::Succeeded).await;
    // As after a restart of the program.
    let second = Local::builder().work_dir(engine.work_dir()).build().unwrap();
    assert!(matches!(second.submit(&one).await, Err(EngineError::Failed { .. })));
    let work_dir = engine.work_dir().to_owned();
    drop((engine, second));
    assert!(
        work_dir.join(one.run_id.as_str()).exists(),
        "a folder that was given is not removed"
    );
}

/// A runtime with stopped time must not make a step's time limit pass.
#[tokio::test(start_paused = true)]
async fn time_limits_follow_the_real_clock() {
    let step = sh("short", "sleep 0.2", []).timeout(Duration::from_secs(30));
    let (_, status) = runs_to(&Local::new().unwrap(), &workflow().step(step), RunState::Succeeded).await;
    assert!(status.steps[0].seconds().unwrap() >= 0.2);
}
