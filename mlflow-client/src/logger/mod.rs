//! Logging that does not hold up whoever logs.

mod body;
mod builder;
mod delivery;
mod entry;
mod error;
mod progress;
mod queue;
mod report;
mod spool;
mod stored;
mod verify;
mod worker;

use std::{
    fmt,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use builder::Clock;
use futures_util::future::{self, Either};

use entry::{Entry, KeyId, Keys, Marker, Point, Rare};
use progress::{Counts, Goal, Progress};
use queue::{Queue, Refused};

pub use builder::{RunLoggerBuilder, WhenFull};
pub use error::{LogError, SpoolError};
pub use report::{Logged, Rejection, Report, Status};
pub use spool::{Fsync, Recovered, Spool};

use crate::{client::Client, error::Error, ids::RunId, limits, metric::Param, tag::Tag};

/// How long the logger's thread has to write to the spool what is left when the time to deliver is over.
const GRACE: Duration = Duration::from_secs(5);
/// How often a thread that waits for room looks whether there is any use in it.
const LOOK: Duration = Duration::from_millis(50);

/// Logs metrics, parameters and tags of one run in the background.
///
/// Logging a point puts it into a queue, which takes some hundred nanoseconds and no memory, on threads and in tasks alike;
/// a thread of the logger's own sends what is in the queue in as few requests as MLflow allows, in order, and tries again
/// when that fails. Handles are cheap to clone; the logger is closed when the last of them is dropped.
///
/// **Nothing is lost silently.** What is wrong is refused when it is logged. What could not be accepted, because the queue
/// was full, is the error of that call, and counted. What the server refuses is found in its request and reported with the
/// server's words, and does not take other points with it. Errors that are not the points' fault, such as a server that is
/// down, an overload, an expired login or a wrong proxy, are waited out. [`close`](Self::close) reports what became of
/// everything; if the last handle is dropped instead, losses go to the log (`tracing`).
///
/// What is in the queue when the process is killed, or ends by [`std::process::exit`], is lost, unless it is in a
/// [`Spool`].
///
/// The server keeps points of equal key, step, timestamp and value once. So sending again after a broken connection
/// does not double anything; as it is slow, the run is first asked whether it has them, where that can tell. But a value
/// that is logged twice in a millisecond, without a step of its own, is one point.
///
/// ```no_run
/// # async fn demo(mlflow: mlflow_client::Client, run: mlflow_client::Run) -> Result<(), Box<dyn std::error::Error>> {
/// let logger = mlflow.runs().logger(run.id()).start()?;
/// let loss = logger.metric("train/loss")?;
/// logger.param("learning_rate", "0.1")?;
/// for step in 0..1_000_000 {
///     loss.log(1.0 / (step + 1) as f64, step)?;
/// }
/// let report = logger.close().await;
/// assert!(report.is_complete(), "{report}");
/// # Ok(()) }
/// ```
///
/// # Threads and runtimes
///
/// The logger's thread has connections of its own, unless the client was given an HTTP client
/// ([`ClientBuilder::http`](crate::ClientBuilder::http)): that one is shared. Then close the logger with
/// [`close`](Self::close) in a program whose runtime has one thread; dropping it blocks that thread, and with it the
/// connections it serves.
#[derive(Clone)]
pub struct RunLogger {
    core: Arc<Core>,
}

/// One metric of a run, to log its points; made by [`RunLogger::metric`].
#[derive(Clone)]
pub struct MetricLogger {
    core: Arc<Core>,
    key: KeyId,
}

#[derive(Debug)]
struct Core {
    run_id: RunId,
    queue: Arc<Queue>,
    keys: Arc<Keys>,
    progress: Arc<Progress>,
    clock: Clock,
    when_full: WhenFull,
    close_limit: Duration,
}

impl RunLogger {
    /// Sets up a logger of a run; see also [`Runs::logger`](crate::Runs::logger).
    pub fn builder(client: &Client, run_id: impl Into<RunId>) -> RunLoggerBuilder {
        RunLoggerBuilder::new(client, run_id.into())
    }

    /// The run.
    pub fn run_id(&self) -> &RunId {
        &self.core.run_id
    }

    /// A handle for one metric, which saves looking its key up at each point.
    ///
    /// # Errors
    ///
    /// [`LogError::Invalid`] for a key that MLflow does not take.
    pub fn metric(&self, key: &str) -> Result<MetricLogger, LogError> {
        Ok(MetricLogger {
            core: Arc::clone(&self.core),
            key: self.core.key(key)?,
        })
    }

    /// Logs a point of now. If the queue is full, this blocks the thread for as long as [`WhenFull`] says.
    ///
    /// # Errors
    ///
    /// [`LogError::Invalid`] for a key that MLflow does not take, [`LogError::Full`] if there was no room in the queue, and
    /// [`LogError::Closed`].
    pub fn log(&self, key: &str, value: f64, step: i64) -> Result<(), LogError> {
        self.log_at(key, value, step, self.core.clock.now())
    }

    /// Logs a point of another time, in milliseconds since 1970; not negative.
    ///
    /// # Errors
    ///
    /// As [`log`](Self::log).
    pub fn log_at(&self, key: &str, value: f64, step: i64, timestamp: i64) -> Result<(), LogError> {
        let key = self.core.key(key)?;
        self.core.push(point(key, value, step, timestamp)?)
    }

    /// As [`log`](Self::log), but lets other tasks run while it waits for room.
    ///
    /// # Errors
    ///
    /// As [`log`](Self::log).
    pub async fn log_async(&self, key: &str, value: f64, step: i64) -> Result<(), LogError> {
        let key = self.core.key(key)?;
        let entry = point(key, value, step, self.core.clock.now())?;
        self.core.push_async(entry).await
    }

    /// Logs a parameter. One that has another value already is rejected by the server, which [`Report::rejections`] tells.
    ///
    /// # Errors
    ///
    /// As [`log`](Self::log).
    pub fn param(&self, key: &str, value: &str) -> Result<(), LogError> {
        self.core.push(param(key, value)?)
    }

    /// As [`param`](Self::param), but lets other tasks run while it waits for room.
    ///
    /// # Errors
    ///
    /// As [`log`](Self::log).
    pub async fn param_async(&self, key: &str, value: &str) -> Result<(), LogError> {
        self.core.push_async(param(key, value)?).await
    }

    /// Sets a tag.
    ///
    /// # Errors
    ///
    /// As [`log`](Self::log).
    pub fn tag(&self, key: &str, value: &str) -> Result<(), LogError> {
        self.core.push(tag(key, value)?)
    }

    /// As [`tag`](Self::tag), but lets other tasks run while it waits for room.
    ///
    /// # Errors
    ///
    /// As [`log`](Self::log).
    pub async fn tag_async(&self, key: &str, value: &str) -> Result<(), LogError> {
        self.core.push_async(tag(key, value)?).await
    }

    /// Waits until all that was logged before is with the server.
    ///
    /// What the server refused, and what was given up, does not come any more and is not waited for; the report tells.
    ///
    /// # Errors
    ///
    /// [`LogError::TooLate`] if that takes longer than `limit`; the logger goes on trying. [`LogError::Closed`] if the
    /// logger was closed before.
    pub async fn flush(&self, limit: Duration) -> Result<Report, LogError> {
        self.core.reach(Goal::Delivered, limit).await?;
        Ok(self.core.progress.report())
    }

    /// As [`flush`](Self::flush), for threads: blocks.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub fn flush_blocking(&self, limit: Duration) -> Result<Report, LogError> {
        self.core.reach_blocking(Goal::Delivered, limit)?;
        Ok(self.core.progress.report())
    }

    /// Waits until all that was logged before is safe: in the spool as its [`Fsync`] says, or with the server. This is the
    /// acknowledgement; without a spool it is the same as [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// [`LogError::Spool`] if the spool cannot be written, e.g. because the disk is full. Nothing is lost thereby: entries
    /// wait in memory, and whoever logs waits for them once the queue is full; try again. [`LogError::TooLate`] if it takes
    /// longer than `limit`, and [`LogError::Closed`].
    pub async fn sync(&self, limit: Duration) -> Result<(), LogError> {
        self.core.reach(Goal::Safe, limit).await
    }

    /// As [`sync`](Self::sync), for threads: blocks.
    ///
    /// # Errors
    ///
    /// As [`sync`](Self::sync).
    pub fn sync_blocking(&self, limit: Duration) -> Result<(), LogError> {
        self.core.reach_blocking(Goal::Safe, limit)
    }

    /// How things stand.
    pub fn status(&self) -> Status {
        Status {
            report: self.core.progress.report(),
            queued: self.core.queue.len(),
            finished: self.core.progress.read().finished,
        }
    }

    /// Closes the logger: nothing is accepted any more, all handles included, and what was accepted is delivered, for up to
    /// the time that [`RunLoggerBuilder::close_limit`] says. If this is cancelled, the logger closes all the same.
    pub async fn close(self) -> Report {
        let limit = self.core.begin_to_close();
        self.core.progress.wait(limit, |counts| counts.finished).await;
        self.core.progress.report()
    }

    /// As [`close`](Self::close), for threads: blocks.
    pub fn close_blocking(self) -> Report {
        let limit = self.core.begin_to_close();
        self.core.progress.wait_blocking(limit, |counts| counts.finished);
        self.core.progress.report()
    }
}

impl fmt::Debug for RunLogger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunLogger")
            .field("run_id", &self.core.run_id)
            .field("status", &self.status())
            .finish()
    }
}

impl MetricLogger {
    /// Logs a point of now. If the queue is full, this blocks the thread for as long as [`WhenFull`] says.
    ///
    /// # Errors
    ///
    /// [`LogError::Full`] if there was no room in the queue, and [`LogError::Closed`].
    #[inline]
    pub fn log(&self, value: f64, step: i64) -> Result<(), LogError> {
        self.log_at(value, step, self.core.clock.now())
    }

    /// Logs a point of another time, in milliseconds since 1970; not negative.
    ///
    /// # Errors
    ///
    /// As [`log`](Self::log), and [`LogError::Invalid`] for a negative time.
    #[inline]
    pub fn log_at(&self, value: f64, step: i64, timestamp: i64) -> Result<(), LogError> {
        self.core.push(point(self.key, value, step, timestamp)?)
    }

    /// As [`log`](Self::log), but lets other tasks run while it waits for room.
    ///
    /// # Errors
    ///
    /// As [`log`](Self::log).
    pub async fn log_async(&self, value: f64, step: i64) -> Result<(), LogError> {
        let entry = point(self.key, value, step, self.core.clock.now())?;
        self.core.push_async(entry).await
    }

    /// The metric's key.
    pub fn key(&self) -> String {
        self.core.keys.read().name(self.key).to_owned()
    }
}

impl fmt::Debug for MetricLogger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricLogger")
            .field("run_id", &self.core.run_id)
            .field("key", &self.key())
            .finish()
    }
}

#[inline]
fn point(key: KeyId, value: f64, step: i64, timestamp: i64) -> Result<Entry, LogError> {
    if timestamp < 0 {
        return Err(Error::invalid("metrics.timestamp", "zero or more milliseconds since 1970").into());
    }
    Ok(Entry::Point(Point {
        key,
        value,
        timestamp,
        step,
    }))
}

fn param(key: &str, value: &str) -> Result<Entry, LogError> {
    limits::param(key, value)?;
    Ok(Entry::Rare(Box::new(Rare::Param(Param::new(key, value)))))
}

fn tag(key: &str, value: &str) -> Result<Entry, LogError> {
    limits::run_tag(key, value)?;
    Ok(Entry::Rare(Box::new(Rare::Tag(Tag::new(key, value)))))
}

impl Core {
    fn key(&self, key: &str) -> Result<KeyId, LogError> {
        if let Some(known) = self.keys.find(key) {
            return Ok(known);
        }
        limits::key("metrics.key", key)?;
        let new = self.keys.intern(key);
        new.ok_or_else(|| Error::invalid("metrics.key", "one of at most four thousand million").into())
    }

    #[inline]
    fn push(&self, entry: Entry) -> Result<(), LogError> {
        match self.queue.push(entry) {
            Ok(()) => Ok(()),
            Err(refused) => self.wait_for_room(refused),
        }
    }

    #[cold]
    fn wait_for_room(&self, refused: Refused) -> Result<(), LogError> {
        let (entry, limit) = self.may_wait(refused)?;
        let pushed = self.queue.push_blocking(entry, limit);
        pushed.map_err(|refused| self.refused(&refused, limit))
    }

    async fn push_async(&self, entry: Entry) -> Result<(), LogError> {
        let Err(refused) = self.queue.push(entry) else {
            return Ok(());
        };
        let (entry, limit) = self.may_wait(refused)?;
        let pushed = self.queue.push_waiting(entry, limit).await;
        pushed.map_err(|refused| self.refused(&refused, limit))
    }

    fn may_wait(&self, refused: Refused) -> Result<(Entry, Duration), LogError> {
        match (refused, self.when_full) {
            (Refused::Full(entry), WhenFull::Wait(limit)) if !limit.is_zero() => Ok((entry, limit)),
            (refused, _) => Err(self.refused(&refused, Duration::ZERO)),
        }
    }

    fn refused(&self, refused: &Refused, waited: Duration) -> LogError {
        match refused {
            Refused::Closed => LogError::Closed,
            Refused::Full(_) => {
                self.progress.dropped();
                LogError::Full { waited }
            }
        }
    }

    async fn reach(&self, goal: Goal, limit: Duration) -> Result<(), LogError> {
        let deadline = Instant::now() + limit;
        let marker = Marker::new(goal);
        let entry = Entry::Rare(Box::new(Rare::Marker(Arc::clone(&marker))));
        // A queue that is full of what cannot be written or delivered does not take a marker either.
        let pushed = pin!(self.queue.push_waiting(entry, limit));
        let stuck = pin!(self.progress.until(|counts| stuck(goal, counts)));
        if let Either::Left((pushed, _)) = future::select(pushed, stuck).await {
            marked(&pushed)?;
            self.queue.wake();
            let left = deadline.saturating_duration_since(Instant::now());
            self.progress.wait(left, |counts| ended(&marker, counts)).await;
        }
        self.reached(&marker)
    }

    fn reach_blocking(&self, goal: Goal, limit: Duration) -> Result<(), LogError> {
        let deadline = Instant::now() + limit;
        let marker = Marker::new(goal);
        let mut entry = Entry::Rare(Box::new(Rare::Marker(Arc::clone(&marker))));
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            entry = match self.queue.push_blocking(entry, left.min(LOOK)) {
                Err(Refused::Full(entry)) if !left.is_zero() && !stuck(goal, &self.progress.read()) => entry,
                pushed => break marked(&pushed)?,
            };
        }
        self.queue.wake();
        let left = deadline.saturating_duration_since(Instant::now());
        self.progress.wait_blocking(left, |counts| ended(&marker, counts));
        self.reached(&marker)
    }

    fn reached(&self, marker: &Marker) -> Result<(), LogError> {
        let counts = self.progress.read();
        if marker.is_reached(&counts) {
            return Ok(());
        }
        match &counts.spool_error {
            Some(error) if marker.goal == Goal::Safe => Err(LogError::Spool(error.clone())),
            _ => Err(LogError::TooLate {
                outstanding: marker.outstanding(&counts) + self.queue.len() as u64,
                reason: counts.last_error.clone(),
            }),
        }
    }

    /// Answers how long it may take until the thread has ended.
    fn begin_to_close(&self) -> Duration {
        let deadline = Instant::now() + self.close_limit;
        self.progress.update(|counts| {
            counts.closing.get_or_insert(deadline);
        });
        self.queue.wake();
        self.close_limit + GRACE
    }
}

fn marked(pushed: &Result<(), Refused>) -> Result<(), LogError> {
    match pushed {
        Err(Refused::Closed) => Err(LogError::Closed),
        // A marker that did not come in has not got anywhere, which is told by the books.
        Ok(()) | Err(Refused::Full(_)) => Ok(()),
    }
}

/// Whether nothing comes of waiting for this goal.
fn stuck(goal: Goal, counts: &Counts) -> bool {
    counts.finished || goal == Goal::Safe && counts.spool_error.is_some()
}

fn ended(marker: &Marker, counts: &Counts) -> bool {
    marker.is_reached(counts) || stuck(marker.goal, counts)
}

impl Drop for Core {
    fn drop(&mut self) {
        if self.progress.read().finished {
            return;
        }
        let limit = self.begin_to_close();
        let finished = self.progress.wait_blocking(limit, |counts| counts.finished);
        let report = self.progress.report();
        if !finished || !report.is_complete() {
            tracing::error!(run_id = %self.run_id, finished, %report, "not everything that was logged is on the server");
        }
    }
}
