//! Follows a submitted run to its end, shows progress, reacts to Ctrl-C, and writes the result.

use orchestrator_core::{Run, RunRecord, RunState};
use tokio::sync::mpsc;

use crate::exit::{Failure, Status};
use crate::flags::Output;
use crate::progress::{Progress, say};
use crate::summary;

/// Waits for the run unless told not to, and writes the result. An interrupt since before the submission counts: the
/// submission itself is never abandoned, since nobody could say afterwards whether there is a run.
///
/// # Errors
/// When the run did not succeed.
pub async fn finish(run: Run, output: Output, interrupts: &mut Interrupts) -> Result<(), Failure> {
    if output.no_wait && interrupts.is_empty() {
        return summary::write(run.record(), output.report);
    }
    let (record, left) = follow(run, interrupts).await?;
    let failure = left.or_else(|| (record.state != RunState::Succeeded).then(|| failed(&record)));
    summary::write(record, output.report)?;
    failure.map_or(Ok(()), Err)
}

/// Waits for the run and shows its progress. The first Ctrl-C (or SIGTERM) cancels it, the second one leaves it alone.
/// Returns what is known of the run, and why it was left before its end, if it was.
///
/// # Errors
/// When its record got lost.
pub async fn follow(mut run: Run, interrupts: &mut Interrupts) -> Result<(RunRecord, Option<Failure>), Failure> {
    let mut progress = Progress::default();
    progress.show(&run.record());
    let mut cancelled = false;
    loop {
        tokio::select! {
            changed = run.changed() => match changed {
                Some(record) => progress.show(&record),
                None => break,
            },
            Some(()) = interrupts.recv() => {
                if cancelled {
                    return Ok((run.record(), Some(left(&run))));
                }
                cancelled = true;
                say("cancelling the run; interrupt again to leave it alone");
                let asked = tokio::select! {
                    asked = run.cancel() => asked,
                    Some(()) = interrupts.recv() => return Ok((run.record(), Some(left(&run)))),
                };
                if let Err(error) = asked {
                    let known = run.record();
                    if known.state.is_final() {
                        continue;
                    }
                    say(&format!("the run {} was not cancelled and is left to itself", known.engine_run_id));
                    return Ok((known, Some(error.into())));
                }
            }
        }
    }
    Ok((run.wait().await?, None))
}

fn left(run: &Run) -> Failure {
    Failure::failed(format!("the run {} is left to itself", run.record().engine_run_id))
}

/// Why a run did not succeed, after showing the last lines of the step that failed.
pub fn failed(record: &RunRecord) -> Failure {
    if let Some(failure) = &record.failure {
        if !failure.log.is_empty() {
            say(&format!(
                "the last lines of the step {}:",
                failure.step.as_deref().unwrap_or("-")
            ));
            for line in &failure.log {
                say(&format!("  | {line}"));
            }
        }
        // Nobody knows how a run ended that could not be seen to its end.
        let status = match record.state {
            RunState::Unknown => Status::Service,
            _ => Status::Failed,
        };
        return Failure::new(status, &failure.message);
    }
    Failure::failed(format!("the run ended {}", record.state))
}

/// Every Ctrl-C and SIGTERM since [`interrupts`] was called.
pub type Interrupts = mpsc::Receiver<()>;

/// Listens for Ctrl-C and SIGTERM from now on, also between two receptions, so that none is missed.
#[cfg(unix)]
pub fn interrupts() -> Interrupts {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = mpsc::channel(2);
    // Begun here and not in the task: a signal before the task's first turn counts as well.
    let listening = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = listening else {
            return pass_on(sender).await;
        };
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if sender.send(()).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// Listens for Ctrl-C.
#[cfg(not(unix))]
pub fn interrupts() -> Interrupts {
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(pass_on(sender));
    receiver
}

async fn pass_on(sender: mpsc::Sender<()>) {
    while tokio::signal::ctrl_c().await.is_ok() && sender.send(()).await.is_ok() {}
}

/// Does what leaves nothing behind when it is dropped, for instance a login.
///
/// # Errors
/// That of `work`, or that it was interrupted.
pub async fn unless_interrupted<T>(
    interrupts: &mut Interrupts,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        done = work => done,
        Some(()) = interrupts.recv() => Err(Failure::failed("interrupted before anything was submitted")),
    }
}
