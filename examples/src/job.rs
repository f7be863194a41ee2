//! Follows a submitted run to its end, shows progress, reacts to Ctrl-C, and writes the result.

use orchestrator_core::{Run, RunRecord, RunState};
use tokio::sync::mpsc;

use crate::exit::Failure;
use crate::flags::Output;
use crate::progress::{Progress, say};
use crate::summary;

/// Waits for the run unless told not to, and writes the result.
///
/// # Errors
/// When the run did not succeed.
pub async fn finish(run: Run, output: Output) -> Result<(), Failure> {
    if output.no_wait {
        return summary::write(run.record(), output.report);
    }
    let record = follow(run).await?;
    let failure = (record.state != RunState::Succeeded).then(|| failed(&record));
    summary::write(record, output.report)?;
    failure.map_or(Ok(()), Err)
}

/// Waits for the run and shows its progress. The first Ctrl-C (or SIGTERM) cancels it, the second one leaves it alone.
///
/// # Errors
/// When the run could not be followed to its end.
pub async fn follow(mut run: Run) -> Result<RunRecord, Failure> {
    let mut progress = Progress::default();
    progress.show(&run.record());
    let mut cancelled = false;
    let mut interrupts = interrupts();
    loop {
        tokio::select! {
            changed = run.changed() => match changed {
                Some(record) => progress.show(&record),
                None => break,
            },
            Some(()) = interrupts.recv() => {
                if cancelled {
                    return Err(Failure::failed(format!("the run {} is left to itself", run.record().engine_run_id)));
                }
                cancelled = true;
                say("cancelling the run; interrupt again to leave it alone");
                run.cancel().await?;
            }
        }
    }
    Ok(run.wait().await?)
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
        return Failure::failed(&failure.message);
    }
    Failure::failed(format!("the run ended {}", record.state))
}

/// Every Ctrl-C and SIGTERM from now on. Listening goes on between two receptions, so none is missed.
pub fn interrupts() -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        loop {
            interrupted().await;
            if sender.send(()).await.is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(unix)]
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn interrupted() {
    let _ = tokio::signal::ctrl_c().await;
}
