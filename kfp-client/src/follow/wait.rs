//! Waiting for one run.

use std::{sync::Arc, time::Duration};

use super::{
    Pacer, TokioPacer,
    followed::{Feed, Followed},
    out_of_time,
    pace::Patience,
};
use crate::{
    endpoint::path_id,
    error::Result,
    http::decode,
    ids::RunId,
    v1,
    v2::runs::{
        Runs,
        model::{Run, RunOutcome, RuntimeState},
    },
};

const FIRST_INTERVAL: Duration = Duration::from_secs(1);
const LONGEST_INTERVAL: Duration = Duration::from_secs(10);
const DEFAULT_SETTLE: Duration = Duration::from_secs(10);
const DEFAULT_PATIENCE: Duration = Duration::from_secs(300);

/// How to wait for a run; see [`Runs::wait`] and [`v1::Runs::wait`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Wait {
    timeout: Option<Duration>,
    intervals: (Duration, Duration),
    settle: Duration,
    patience: Duration,
    pacer: Arc<dyn Pacer>,
}

impl Default for Wait {
    fn default() -> Self {
        Self {
            timeout: None,
            intervals: (FIRST_INTERVAL, LONGEST_INTERVAL),
            settle: DEFAULT_SETTLE,
            patience: DEFAULT_PATIENCE,
            pacer: Arc::new(TokioPacer::default()),
        }
    }
}

impl Wait {
    /// Waits without limit, looking after one second and then ever less often, down to every ten seconds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives up after this time, whatever the run does: with [`Error::Timeout`](crate::Error::Timeout).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Time between two looks: the first, and the longest that it grows to. Default: 1 and 10 seconds.
    pub fn intervals(mut self, first: Duration, longest: Duration) -> Self {
        self.intervals = (first, longest.max(first));
        self
    }

    /// How long tasks in progress are waited for once the run's state is final: the server writes them later. The run
    /// is given as it is after that time. Default: 10 seconds; zero takes the run as it is.
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// How long the server may be out of reach, overloaded, or refuse the session before the wait fails. Default: five
    /// minutes.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Takes the time from here; for tests.
    pub fn pacer(mut self, pacer: Arc<dyn Pacer>) -> Self {
        self.pacer = pacer;
        self
    }
}

/// A run that has ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Finished<R = Run> {
    /// The run as it was reported last.
    pub run: R,
    /// How it ended; never [`RunOutcome::Unfinished`].
    pub outcome: RunOutcome,
}

impl Runs {
    /// Waits until a run has ended.
    ///
    /// Every final state counts, `CANCELED` too; a run that was terminated ends as [`RunOutcome::Cancelled`] although
    /// the server calls it failed. Faults that may pass are borne for a while. Dropping the future ends the wait and
    /// leaves the run as it is.
    ///
    /// ```no_run
    /// # async fn example(client: kfp_client::Client, id: kfp_client::RunId) -> kfp_client::Result<()> {
    /// use std::time::Duration;
    /// use kfp_client::{RunOutcome, Wait};
    ///
    /// let end = client.runs().wait(&id, Wait::new().timeout(Duration::from_secs(3600))).await?;
    /// if end.outcome == RunOutcome::Cancelled {
    ///     println!("{} was terminated", end.run.display_name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`](crate::Error::Timeout) when the time is up, [`Error::NotFound`](crate::Error::NotFound) if
    /// there is no such run (any more), otherwise the fault that did not pass.
    pub async fn wait(&self, id: &RunId, wait: Wait) -> Result<Finished> {
        until_ended(self, "runs.wait", id, wait).await
    }
}

impl v1::Runs {
    /// Waits until a run has ended; the same as [`Runs::wait`](crate::Runs::wait) of the newer API, with the run and
    /// its workflow.
    ///
    /// A run that was terminated ends as [`RunOutcome::Cancelled`]: its workflow tells.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`](crate::Error::Timeout) when the time is up, [`Error::NotFound`](crate::Error::NotFound) if
    /// there is no such run (any more), otherwise the fault that did not pass.
    pub async fn wait(&self, id: &RunId, wait: Wait) -> Result<Finished<v1::RunDetail>> {
        until_ended(self, "v1.runs.wait", id, wait).await
    }
}

async fn until_ended<F: Feed>(feed: &F, operation: &'static str, id: &RunId, wait: Wait) -> Result<Finished<F::Run>> {
    let Wait {
        timeout,
        intervals: (first, longest),
        settle,
        patience,
        pacer,
    } = wait;
    let id = path_id("run_id", id.as_str())?;
    let call = feed.call(operation, Some(id))?;
    let inner = &feed.client().inner;
    let deadline = timeout.map(|timeout| pacer.now() + timeout);
    let mut patience = Patience::new(patience);
    let mut interval = first;
    let mut canceling = false;
    let mut settling = None;
    let mut last = None;
    loop {
        let left = deadline.map(|deadline| deadline.saturating_sub(pacer.now()));
        if left.is_some_and(|left| left.is_zero()) {
            let state = last.map_or_else(|| "unknown".to_owned(), |state: RuntimeState| state.to_string());
            let message = format!("the time is up, and the state of run {id} is {state}");
            return Err(out_of_time(&call, message));
        }
        let limit = left.map_or(inner.timeout, |left| left.min(inner.timeout));
        let answer = inner.send(&call, limit, &Arc::default()).await;
        let answer: Result<F::Run> = answer.and_then(|reply| decode(&call, &reply));
        let pause = match answer {
            Ok(run) => {
                patience.restore();
                let state = run.state();
                canceling = state == RuntimeState::Canceling || (canceling && state.is_final());
                let now = pacer.now();
                if state.is_final() {
                    let since = *settling.get_or_insert(now);
                    if run.tasks_are_final() || now.saturating_sub(since) >= settle {
                        let outcome = run.outcome_after(canceling);
                        return Ok(Finished { run, outcome });
                    }
                    last = Some(state);
                    first.min((since + settle).saturating_sub(now))
                } else {
                    settling = None;
                    last = Some(state);
                    let pause = interval;
                    interval = interval.mul_f64(1.5).min(longest);
                    pause
                }
            }
            Err(error) => {
                let borne = patience.bear(error, pacer.now())?;
                tracing::debug!(run_id = id, error = %borne.error, "bearing with a fault");
                borne.pause
            }
        };
        let left = deadline.map(|deadline| deadline.saturating_sub(pacer.now()));
        pacer.pause(left.map_or(pause, |left| left.min(pause))).await;
    }
}
