//! Bringing entries to the server: tried until they are stored, refused, or given up.
//!
//! What the server says decides, see [`Verdict`]. A request that is refused is halved until the entries at fault are
//! found, so that one bad entry does not take a thousand good ones with it.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    time::Duration,
};

use futures_util::future;
use tokio::time::Instant;

use super::{
    body::{self, Body},
    entry::{Entry, Keys},
    progress::{Origin, Progress},
    report::Rejection,
    stored::{self, Confirmed},
    verify::Unverified,
};
use crate::{
    client::Client,
    error::{Error, ErrorContext, Result},
    experiments::LifecycleStage,
    http,
    ids::RunId,
};

/// Database errors leak out as faulty requests, and not all of them are the request's fault.
const ATTEMPTS_OF_BAD_REQUESTS: u32 = 3;
/// A run that cannot be read so often is logged to all the same.
const MOST_FAILED_LOOKS: u32 = 10;
/// A server that asks for more patience is asked again all the same.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// How long is tried, and how often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retry {
    /// From the first failure on; without it there is no end.
    pub(super) limit: Option<Duration>,
    pub(super) first_pause: Duration,
    pub(super) longest_pause: Duration,
}

impl Retry {
    /// Doubled with every attempt, with the upper half left to chance.
    fn pause(&self, attempt: u32) -> Duration {
        let full = self
            .first_pause
            .saturating_mul(1 << attempt.saturating_sub(1).min(16))
            .min(self.longest_pause);
        let [chance, ..] = *uuid::Uuid::new_v4().as_bytes();
        full / 2 + full.mul_f64(f64::from(chance) / 512.0)
    }
}

/// What an error says about the request.
///
/// | Error | Verdict |
/// |---|---|
/// | 400 and 404 with MLflow's own code, 413 | the request is at fault |
/// | 404 with code `RESOURCE_DOES_NOT_EXIST` | the run is gone |
/// | 400 with code `BAD_REQUEST`: a leaked database error | tried three times, then as above |
/// | everything else: no connection, overload, 5xx, a login page, a login that has expired, an answer that is not MLflow's | the server cannot be used at the moment |
///
/// Entries are never given away for what is not their fault: a training job must not lose its curves because a token has
/// expired or a proxy is set up wrongly for an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Refused,
    RunGone,
    Later,
}

fn verdict(error: &Error, attempts: u32) -> Verdict {
    match error {
        Error::NotFound(context) if context.error_code().is_some() => Verdict::RunGone,
        Error::InvalidArgument(context) => match context.error_code() {
            Some("BAD_REQUEST") if attempts < ATTEMPTS_OF_BAD_REQUESTS => Verdict::Later,
            Some(_) => Verdict::Refused,
            // A proxy's limit on the size of requests; halves may fit.
            None if error.status().is_some_and(|status| status.as_u16() == 413) => Verdict::Refused,
            None => Verdict::Later,
        },
        Error::InvalidRequest(_) | Error::AlreadyExists(_) => Verdict::Refused,
        _ => Verdict::Later,
    }
}

/// What came of a call.
#[derive(Debug)]
pub(super) enum Tried<T> {
    Done(T),
    Refused(String),
    /// The run does not exist or is deleted, so that nothing can be logged to it.
    RunGone(String),
    GivenUp,
}

/// Brings entries to the server.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) client: Client,
    pub(super) run_id: RunId,
    pub(super) keys: Arc<Keys>,
    pub(super) progress: Arc<Progress>,
    pub(super) retry: Retry,
    pub(super) concurrency: usize,
    /// Whether entries are safe while they wait.
    pub(super) spooled: bool,
    pub(super) stored: Confirmed,
    /// What was confirmed and is yet to be looked for, if that is wanted.
    pub(super) unverified: Option<RefCell<Unverified>>,
}

impl Delivery {
    /// Returns when every entry is delivered, rejected or given up, and the books say so.
    pub(super) async fn deliver(&self, entries: &[Entry], origin: Origin) {
        if self.concurrency == 1 {
            return self.in_order(entries, origin).await;
        }
        // Each key has its place in one lane, so its points stay in order.
        let mut lanes = vec![Vec::new(); self.concurrency];
        for entry in entries {
            let lane = match entry {
                Entry::Point(point) => point.key.0.get() as usize % self.concurrency,
                Entry::Rare(_) => 0,
            };
            if let Some(lane) = lanes.get_mut(lane) {
                lane.push(entry.clone());
            }
        }
        future::join_all(lanes.iter().map(|lane| self.in_order(lane, origin))).await;
    }

    async fn in_order(&self, entries: &[Entry], origin: Origin) {
        let mut start = 0;
        while start < entries.len() {
            let range = body::next(entries, start, &self.keys.read());
            start = range.end;
            self.request(entries.get(range).unwrap_or_default(), origin).await;
        }
    }

    /// Delivers what fits into one request.
    async fn request(&self, entries: &[Entry], origin: Origin) {
        let mut parts = vec![entries];
        let mut run_checked = false;
        while let Some(part) = parts.pop() {
            match self.send(part).await {
                Tried::Done(()) => self.confirmed(part, origin),
                Tried::Refused(reason) if is_stored_nan(part, &reason) => self.confirmed(part, origin),
                Tried::GivenUp => self.progress.lost(part.len() as u64, origin),
                Tried::RunGone(reason) => self.reject(part, &reason, origin),
                // A deleted run refuses everything: that need not be found out a thousand times.
                Tried::Refused(_) if !run_checked => {
                    run_checked = true;
                    match self.check_run().await {
                        Tried::RunGone(reason) => self.reject(part, &reason, origin),
                        _ => parts.push(part),
                    }
                }
                Tried::Refused(reason) if part.len() <= 1 => self.reject(part, &reason, origin),
                Tried::Refused(_) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            }
        }
    }

    fn confirmed(&self, part: &[Entry], origin: Origin) {
        match &self.unverified {
            Some(unverified) => unverified.borrow_mut().add(part, origin),
            None => self.progress.delivered(part.len() as u64, origin),
        }
    }

    pub(super) async fn send(&self, part: &[Entry]) -> Tried<()> {
        let call = {
            let body = Body {
                run_id: &self.run_id,
                entries: part,
                keys: &self.keys.read(),
            };
            self.client.post("runs.log_batch", "runs/log-batch", &body)
        };
        let call = match call {
            Ok(call) => call.idempotent(),
            Err(error) => return Tried::Refused(error.to_string()),
        };
        let (in_doubt, failed_looks) = (Cell::new(false), Cell::new(0));
        let sent = self.persist(async || {
            if in_doubt.get() && failed_looks.get() < MOST_FAILED_LOOKS {
                match self.has(part).await {
                    Ok(true) => return Ok(()),
                    Err(error) if verdict(&error, 0) == Verdict::Later => {
                        failed_looks.set(failed_looks.get() + 1);
                        return Err(error);
                    }
                    Ok(false) | Err(_) => {}
                }
            }
            failed_looks.set(0);
            let result = self.client.inner.done(&call).await;
            if result.as_ref().is_err_and(stored::is_in_doubt) {
                in_doubt.set(true);
            }
            result
        });
        let sent = sent.await;
        if let Tried::Done(()) = sent {
            self.stored.add(part);
        }
        sent
    }

    /// Tries until it is done, refused, or given up.
    ///
    /// Entries in a spool are never given up: until the logger is closed they wait, also for a deleted run to be restored.
    pub(super) async fn persist<T>(&self, attempt: impl AsyncFn() -> Result<T>) -> Tried<T> {
        let mut first_failure = None;
        let mut attempts = 0;
        loop {
            let error = match attempt().await {
                Ok(done) => return Tried::Done(done),
                Err(error) => error,
            };
            attempts += 1;
            let verdict = verdict(&error, attempts);
            match verdict {
                Verdict::Refused => return Tried::Refused(reason(&error)),
                Verdict::RunGone if !self.spooled => return Tried::RunGone(reason(&error)),
                Verdict::RunGone | Verdict::Later => {}
            }
            tracing::warn!(run_id = %self.run_id, attempts, %error, "metrics could not be delivered");
            self.progress.update(|counts| {
                counts.last_error = Some(error.to_string());
                counts.run_is_gone = verdict == Verdict::RunGone;
            });
            let asked = error.context().and_then(ErrorContext::retry_after);
            let pause = asked.map_or(self.retry.pause(attempts), |asked| asked.min(LONGEST_ASKED));
            let since = *first_failure.get_or_insert_with(Instant::now);
            let limit = self.retry.limit.filter(|_| !self.spooled);
            if limit.is_some_and(|limit| since.elapsed() + pause > limit) {
                return Tried::GivenUp;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Finds out whether it is the run that the server does not take anything for.
    async fn check_run(&self) -> Tried<()> {
        self.persist(async || {
            let run = self.client.runs().get(&self.run_id).await?;
            if run.info.lifecycle_stage != LifecycleStage::Deleted {
                return Ok(());
            }
            let call = self.client.get("runs.get", "runs/get")?;
            let mut context = http::context(&call, format!("the run {} is deleted", self.run_id));
            context.error_code = Some("RESOURCE_DOES_NOT_EXIST".to_owned());
            Err(Error::NotFound(context))
        })
        .await
    }

    pub(super) fn reject(&self, entries: &[Entry], reason: &str, origin: Origin) {
        let keys = self.keys.read();
        let entries = entries.iter().filter_map(|entry| body::logged(entry, &keys));
        let rejections = entries.map(|entry| Rejection {
            entry,
            reason: reason.to_owned(),
        });
        self.progress.rejected(rejections, origin);
    }
}

/// MLflow 2 does not see that two points without a number are equal, and refuses the second by a rule of its table: it has
/// the point (2.22.5 with SQLite; with PostgreSQL the rule's name is in the text).
fn is_stored_nan(part: &[Entry], reason: &str) -> bool {
    let doubled = ["UNIQUE constraint failed: metrics", "metric_pk"];
    matches!(part, [Entry::Point(point)] if point.value.is_nan()) && doubled.iter().any(|text| reason.contains(text))
}

/// The server's own words, without what is the same for all requests.
fn reason(error: &Error) -> String {
    match error.context() {
        Some(context) if !context.message().is_empty() => context.message().to_owned(),
        _ => error.to_string(),
    }
}
