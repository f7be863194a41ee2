//! How a logger is set up.

use std::{
    cell::RefCell,
    fmt, io,
    sync::{Arc, mpsc},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    Core, RunLogger,
    delivery::{Delivery, Retry},
    entry::Keys,
    error::LogError,
    progress::Progress,
    queue::Queue,
    spool::{Spool, Store, is_folder_name},
    stored::Confirmed,
    worker::{Spooling, Worker},
};
use crate::{client::Client, error::Error, ids::RunId, limits};

/// What happens to an entry when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// It waits for room, at most for this time, and is then dropped. This holds up whoever logs, and so no more is
    /// logged than can be delivered.
    Wait(Duration),
    /// It is dropped at once.
    Drop,
}

/// Where a logger takes the time of a point from: milliseconds since 1970.
#[derive(Clone)]
pub(super) enum Clock {
    System,
    Custom(Arc<dyn Fn() -> i64 + Send + Sync>),
}

impl Clock {
    #[inline]
    pub(super) fn now(&self) -> i64 {
        match self {
            Self::System => Timestamp::now().as_millisecond(),
            Self::Custom(clock) => clock(),
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Custom(_) => "Custom",
        })
    }
}

/// Sets up a [`RunLogger`]; faults are reported by [`start`](Self::start).
#[derive(Debug)]
#[must_use]
pub struct RunLoggerBuilder {
    client: Client,
    run_id: RunId,
    capacity: usize,
    when_full: WhenFull,
    linger: Duration,
    concurrency: usize,
    retry: Retry,
    verify: bool,
    spool: Option<Spool>,
    close_limit: Duration,
    clock: Clock,
}

impl RunLoggerBuilder {
    pub(super) fn new(client: &Client, run_id: RunId) -> Self {
        Self {
            client: client.clone(),
            run_id,
            capacity: 1 << 16,
            when_full: WhenFull::Wait(Duration::from_secs(30)),
            linger: Duration::from_millis(250),
            concurrency: 1,
            retry: Retry {
                limit: None,
                first_pause: Duration::from_millis(250),
                longest_pause: Duration::from_secs(10),
            },
            verify: false,
            spool: None,
            close_limit: Duration::from_secs(30),
            clock: Clock::System,
        }
    }

    /// How many entries the queue holds; default 65,536, which take 2.6 MB from the start.
    pub fn capacity(mut self, entries: usize) -> Self {
        self.capacity = entries;
        self
    }

    /// What happens when the queue is full; default: wait up to 30 s for room.
    pub fn when_full(mut self, policy: WhenFull) -> Self {
        self.when_full = policy;
        self
    }

    /// How long the first entry waits for others before they are sent together; default 250 ms. A full request, 1000
    /// entries, does not wait.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// How many requests may be on their way at once, from 1 to 8; default 1. The points of one key stay in order.
    ///
    /// One MLflow worker with SQLite serves one after the other, so more help only where the way to the server is long or
    /// there are several workers.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests;
        self
    }

    /// Gives entries up when delivering them has failed for so long; without this, and with a spool in any case, there
    /// is no end of trying until the logger is closed. What is given up is counted in [`Report::undelivered`].
    ///
    /// [`Report::undelivered`]: super::Report::undelivered
    pub fn give_up_after(mut self, limit: Duration) -> Self {
        self.retry.limit = Some(limit);
        self
    }

    /// The pause after the first failure, doubled after each further one, and the longest pause; default 250 ms and 10 s.
    /// A pause that the server asks for is kept instead.
    pub fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.retry.first_pause = first;
        self.retry.longest_pause = longest;
        self
    }

    /// Reads back what the server has confirmed, and sends again what it does not have; default no.
    ///
    /// MLflow confirms a body of which it could read only a part, and a proxy may confirm what it has not passed on. With
    /// this, points count as delivered, and leave the spool, only once they were seen in the run's history: before
    /// [`RunLogger::flush`] and [`RunLogger::close`] return, and after each 100,000. It costs reading the whole history of
    /// each key that was logged. Parameters and tags are not read back.
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// Keeps entries on the disk until they are delivered; default no.
    pub fn spool(mut self, spool: Spool) -> Self {
        self.spool = Some(spool);
        self
    }

    /// How long [`RunLogger::close`], or dropping the logger, may deliver what is left; default 30 s.
    pub fn close_limit(mut self, limit: Duration) -> Self {
        self.close_limit = limit;
        self
    }

    /// Takes the time of points from `clock`, in milliseconds since 1970, instead of from the system. It is called on the
    /// thread that logs.
    pub fn clock(mut self, clock: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        self.clock = Clock::Custom(Arc::new(clock));
        self
    }

    /// Starts the thread that delivers. Nothing is sent before something is logged, except what an earlier process left
    /// in the spool. With a spool this reads files.
    ///
    /// # Errors
    ///
    /// [`LogError::Invalid`] for a setting, [`LogError::Spool`] if the spool cannot be opened, e.g. because another logger
    /// of this run uses it, [`LogError::Thread`] if there is no room for a thread.
    pub fn start(self) -> Result<RunLogger, LogError> {
        self.check()?;
        let keys = Arc::new(Keys::default());
        let progress = Arc::new(Progress::default());
        let spooling = self.open_spool(&keys, &progress)?;
        let queue = Arc::new(Queue::new(self.capacity));
        let worker = Worker {
            queue: Arc::clone(&queue),
            progress: Arc::clone(&progress),
            delivery: Delivery {
                client: self.client.separate(0)?,
                run_id: self.run_id.clone(),
                keys: Arc::clone(&keys),
                progress: Arc::clone(&progress),
                retry: self.retry,
                concurrency: self.concurrency,
                spooled: spooling.is_some(),
                stored: Confirmed::default(),
                unverified: self.verify.then(RefCell::default),
            },
            linger: self.linger,
            spooling,
        };
        start_thread(worker).map_err(LogError::Thread)?;
        Ok(RunLogger {
            core: Arc::new(Core {
                run_id: self.run_id,
                queue,
                keys,
                progress,
                clock: self.clock,
                when_full: self.when_full,
                close_limit: self.close_limit,
            }),
        })
    }

    fn check(&self) -> Result<(), Error> {
        limits::id("run_id", self.run_id.as_str())?;
        if !(1..=1 << 24).contains(&self.capacity) {
            return Err(Error::invalid("capacity", "from 1 to 16,777,216 entries"));
        }
        if !(1..=8).contains(&self.concurrency) {
            return Err(Error::invalid("concurrency", "from 1 to 8 requests"));
        }
        if self.retry.first_pause.is_zero() || self.retry.longest_pause < self.retry.first_pause {
            return Err(Error::invalid(
                "pauses",
                "longer than zero, the longest not below the first",
            ));
        }
        if self.spool.is_some() && !is_folder_name(self.run_id.as_str()) {
            return Err(Error::invalid(
                "run_id",
                "of letters, digits, `-` and `_`, at most 128, to name a folder of the spool",
            ));
        }
        Ok(())
    }

    fn open_spool(&self, keys: &Arc<Keys>, progress: &Progress) -> Result<Option<Spooling>, LogError> {
        let Some(spool) = &self.spool else {
            return Ok(None);
        };
        let interval = spool.interval();
        let (store, left) = Store::open(spool.clone(), self.run_id.as_str(), Arc::clone(keys))?;
        progress.update(|counts| {
            counts.accepted = left.entries;
            counts.written = left.entries;
            counts.secured = left.entries;
            counts.recovered = left.entries;
            counts.unreadable_bytes = left.unreadable_bytes;
        });
        Ok(Some(Spooling::new(store, interval)))
    }
}

/// Returns when the thread runs. Its runtime is made there, and ends there, since it must not end in a task.
fn start_thread(worker: Worker) -> io::Result<()> {
    let (started, result) = mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name("mlflow-logger".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => {
                    // Whoever starts a logger waits for this.
                    let _ = started.send(Ok(()));
                    worker.run(&runtime);
                }
                Err(error) => drop(started.send(Err(error))),
            }
        })?;
    result.recv().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
}
