//! The thread that takes entries out of the queue and delivers them.
//!
//! Without a spool it is one loop: collect for a while, deliver, again. With a spool there are two on the same thread:
//! one takes entries out of the queue and writes them to files, the other reads those and delivers. If the files cannot be
//! written, entries wait in memory, and once all that was written is delivered, they are handed over directly.

use std::{
    cell::{Cell, RefCell},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::future;
use tokio::{runtime::Runtime, sync::Notify, time::Instant};

use super::{
    delivery::Delivery,
    entry::{Entry, Rare},
    error::SpoolError,
    progress::{Goal, Origin, Progress},
    queue::Queue,
    spool::{Position, Store},
};
use crate::limits;

/// How long one waits for more entries before they are written to the spool.
const SPOOL_LINGER: Duration = Duration::from_millis(2);
/// How often is tried whether the spool can be written again.
const SPOOL_RETRY: Duration = Duration::from_millis(200);
/// Confirmed entries are looked for when there are so many of them, if that is wanted.
const MOST_UNVERIFIED: usize = 100_000;

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) queue: Arc<Queue>,
    pub(super) progress: Arc<Progress>,
    pub(super) delivery: Delivery,
    pub(super) linger: Duration,
    pub(super) spooling: Option<Spooling>,
}

/// What the two loops of a logger with a spool share.
#[derive(Debug)]
pub(super) struct Spooling {
    store: RefCell<Store>,
    /// How often the spool is forced to the disk; without it, when somebody asks for it.
    interval: Option<Duration>,
    /// Out of the queue, and not written yet.
    pending: RefCell<Vec<Entry>>,
    /// To be delivered although they are not in the spool.
    handover: RefCell<Vec<Entry>>,
    /// For the one that delivers: there is something new.
    arrived: Notify,
    /// For the one that collects: what was handed over is delivered.
    taken: Notify,
    collected: Cell<bool>,
}

impl Spooling {
    pub(super) fn new(store: Store, interval: Option<Duration>) -> Self {
        Self {
            store: RefCell::new(store),
            interval,
            pending: RefCell::default(),
            handover: RefCell::default(),
            arrived: Notify::new(),
            taken: Notify::new(),
            collected: Cell::new(false),
        }
    }
}

impl Worker {
    /// Works until the logger is closed and all is done, or until the time for that is over.
    pub(super) fn run(self, runtime: &Runtime) {
        let _finished = Finished(Arc::clone(&self.progress));
        runtime.block_on(async {
            let work = std::pin::pin!(async {
                match &self.spooling {
                    None => self.deliver_from_queue().await,
                    Some(spooling) => {
                        future::join(self.collect(spooling), self.deliver_from_spool(spooling)).await;
                    }
                }
            });
            let too_late = std::pin::pin!(too_late(&self.progress));
            future::select(work, too_late).await;
        });
        self.settle();
    }

    /// Closes the books: nothing is accepted any more, and what is left is kept if there is a spool.
    fn settle(self) {
        self.queue.close();
        let Some(spooling) = self.spooling.as_ref() else {
            while self.take(&mut Vec::new(), usize::MAX) > 0 {}
            return;
        };
        let mut left = spooling.handover.take();
        left.append(&mut spooling.pending.take());
        while self.take(&mut left, usize::MAX) > 0 {}
        let mut store = spooling.store.borrow_mut();
        let (written, result) = store.append(&left);
        let synced = sync(&store.take_dirty());
        let kept = self.progress.update(|counts| {
            counts.written += written as u64;
            counts.unreadable_bytes = store.unreadable();
            match result.and(synced) {
                Ok(()) => counts.secured = counts.accepted,
                Err(error) => counts.spool_error = Some(error),
            }
            counts.in_hand = 0;
            counts.written.saturating_sub(counts.settled_in_spool)
        });
        drop(store);
        if kept == 0
            && let Some(spooling) = self.spooling
            && let Err(error) = spooling.store.into_inner().remove()
        {
            tracing::warn!(%error, "an empty spool could not be removed");
        }
    }

    /// Takes entries out of the queue, and tells markers how many came before them.
    fn take(&self, out: &mut Vec<Entry>, most: usize) -> usize {
        let before = out.len();
        let mut markers = Vec::new();
        let taken = self.queue.pop(most, |entry| {
            if let Entry::Rare(rare) = &entry
                && let Rare::Marker(marker) = &**rare
            {
                markers.push((Arc::clone(marker), (out.len() - before) as u64));
            } else {
                out.push(entry);
            }
        });
        if taken > 0 {
            self.progress.update(|counts| {
                for (marker, position) in markers {
                    let target = counts.accepted + position;
                    marker.position.store(target, Ordering::Release);
                    let wanted = match marker.goal {
                        Goal::Delivered => &mut counts.flush,
                        Goal::Safe => &mut counts.sync,
                    };
                    *wanted = target.max(*wanted);
                }
                counts.accepted += (out.len() - before) as u64;
            });
        }
        taken
    }

    async fn deliver_from_queue(&self) {
        let most = limits::BATCH_ITEMS * self.delivery.concurrency;
        let mut window = Vec::with_capacity(most);
        loop {
            let closed = self.queue.is_closed();
            self.take(&mut window, most);
            if window.is_empty() {
                if closed {
                    break;
                } else if self.progress.is_closing() {
                    // What was accepted until now comes out on the next turn.
                    self.queue.close();
                } else if self.delivery.unverified() > 0 && self.progress.is_urgent() {
                    self.delivery.verify().await;
                } else {
                    self.queue.wait().await;
                }
                continue;
            }
            let deadline = Instant::now() + self.linger;
            while window.len() < most && !self.progress.is_urgent() && Instant::now() < deadline {
                let room = most - window.len();
                self.queue.linger(room, deadline).await;
                self.take(&mut window, room);
            }
            self.delivery.deliver(&window, Origin::Memory).await;
            window.clear();
            if self.delivery.unverified() >= MOST_UNVERIFIED {
                self.delivery.verify().await;
            }
        }
        self.delivery.verify().await;
    }

    /// Writes to the spool what comes out of the queue.
    async fn collect(&self, spooling: &Spooling) {
        let mut forced = Instant::now();
        loop {
            let closed = self.queue.is_closed();
            let room = limits::BATCH_ITEMS.saturating_sub(spooling.pending.borrow().len());
            self.take(&mut spooling.pending.borrow_mut(), room);
            let failed = self.append(spooling);
            let due = spooling.interval.is_some_and(|interval| forced.elapsed() >= interval);
            if due || spooling.interval.is_none() && self.progress.is_sync_wanted() {
                self.force(spooling).await;
                forced = Instant::now();
            }
            if failed {
                self.hand_over(spooling);
                // There is room again, or what was handed over is delivered.
                let _ = tokio::time::timeout(SPOOL_RETRY, spooling.taken.notified()).await;
            } else if room == limits::BATCH_ITEMS && self.queue.len() == 0 {
                if closed {
                    break;
                }
                if self.progress.is_closing() {
                    // What was accepted until now comes out on the next turn.
                    self.queue.close();
                    continue;
                }
                self.rest(spooling, forced).await;
            }
        }
        spooling.collected.set(true);
        spooling.arrived.notify_one();
    }

    /// Waits for more to write.
    async fn rest(&self, spooling: &Spooling, forced: Instant) {
        // A writer that logs now and then is not to wake this thread each time.
        self.queue
            .linger(limits::BATCH_ITEMS, Instant::now() + SPOOL_LINGER)
            .await;
        if self.queue.len() > 0 || self.progress.is_closing() {
            return;
        }
        match spooling.interval {
            Some(interval) if spooling.store.borrow().is_dirty() => self.queue.linger(1, forced + interval).await,
            _ => self.queue.wait().await,
        }
    }

    /// Writes what is pending; `true` if that failed.
    fn append(&self, spooling: &Spooling) -> bool {
        let mut pending = spooling.pending.borrow_mut();
        if pending.is_empty() {
            return false;
        }
        let (written, result) = spooling.store.borrow_mut().append(&pending);
        pending.drain(..written);
        let failed = result.is_err();
        self.progress.update(|counts| {
            counts.written += written as u64;
            if spooling.interval.is_some() {
                counts.secured = counts.accepted - pending.len() as u64;
            }
            if let Err(error) = &result
                && counts.spool_error.is_none()
            {
                tracing::error!(run_id = %self.delivery.run_id, %error, "points are kept in memory only");
            }
            counts.spool_error = result.err();
        });
        if written > 0 {
            spooling.arrived.notify_one();
        }
        failed
    }

    /// Forces what was written to the disk.
    async fn force(&self, spooling: &Spooling) {
        let files = spooling.store.borrow_mut().take_dirty();
        let secured = self.progress.read().accepted - spooling.pending.borrow().len() as u64;
        let result = if files.is_empty() {
            Ok(())
        } else {
            let work = tokio::task::spawn_blocking(move || {
                let result = sync(&files);
                (files, result)
            });
            match work.await {
                Ok((_, Ok(()))) => Ok(()),
                Ok((files, Err(error))) => {
                    spooling.store.borrow_mut().keep_dirty(files);
                    Err(error)
                }
                Err(error) => Err(SpoolError::io("spool", std::io::Error::other(error))),
            }
        };
        self.progress.update(|counts| match result {
            Ok(()) => counts.secured = counts.secured.max(secured),
            Err(error) => counts.spool_error = Some(error),
        });
    }

    /// Lets entries that cannot be written be delivered all the same, in their turn.
    fn hand_over(&self, spooling: &Spooling) {
        let mut handover = spooling.handover.borrow_mut();
        if handover.is_empty() && self.progress.is_spool_delivered() {
            handover.append(&mut spooling.pending.borrow_mut());
            self.progress.update(|counts| counts.in_hand += handover.len() as u64);
        }
        spooling.arrived.notify_one();
    }

    async fn deliver_from_spool(&self, spooling: &Spooling) {
        let most = limits::BATCH_ITEMS * self.delivery.concurrency;
        let mut window = Vec::with_capacity(most);
        loop {
            let position = self.read(spooling, &mut window, most).await;
            if window.is_empty() {
                if spooling.store.borrow().is_behind(position) {
                    // A file that reached its end, perhaps because the disk was full, gives its room back.
                    self.confirm(spooling, position);
                }
                let handed = spooling.handover.borrow().clone();
                let collected = spooling.collected.get();
                if !handed.is_empty() {
                    self.delivery.deliver(&handed, Origin::Memory).await;
                    self.delivery.verify().await;
                    spooling.handover.borrow_mut().clear();
                    spooling.taken.notify_one();
                } else if self.delivery.unverified() > 0 && (collected || self.progress.is_looking_due()) {
                    self.delivery.verify().await;
                    self.confirm(spooling, position);
                } else if collected {
                    break;
                } else if self.delivery.unverified() > 0 {
                    // A flush waits for what is to be looked for, without anything new arriving.
                    self.news(spooling).await;
                } else {
                    spooling.arrived.notified().await;
                }
                continue;
            }
            let mut position = position;
            let deadline = Instant::now() + self.linger;
            while window.len() < most && !self.progress.is_urgent() && Instant::now() < deadline {
                let _ = tokio::time::timeout_at(deadline, self.news(spooling)).await;
                position = self.read(spooling, &mut window, most).await;
            }
            self.delivery.deliver(&window, Origin::Spool).await;
            window.clear();
            if self.delivery.unverified() >= MOST_UNVERIFIED {
                self.delivery.verify().await;
            }
            self.confirm(spooling, position);
        }
    }

    /// Waits until there is more to deliver, or somebody waits for what there is.
    async fn news(&self, spooling: &Spooling) {
        let urgent = std::pin::pin!(self.progress.until_urgent());
        let arrived = std::pin::pin!(spooling.arrived.notified());
        future::select(urgent, arrived).await;
    }

    async fn read(&self, spooling: &Spooling, window: &mut Vec<Entry>, most: usize) -> Position {
        loop {
            let read = spooling.store.borrow_mut().read(most, window);
            match read {
                Ok(position) => return position,
                Err(error) => {
                    tracing::error!(run_id = %self.delivery.run_id, %error, "the spool cannot be read");
                    self.progress.update(|counts| counts.spool_error = Some(error));
                }
            }
            tokio::time::sleep(SPOOL_RETRY).await;
        }
    }

    /// Notes how far the spool is delivered, unless some of it is yet to be looked for.
    fn confirm(&self, spooling: &Spooling, position: Position) {
        if self.delivery.unverified() > 0 {
            return;
        }
        if let Err(error) = spooling.store.borrow_mut().confirm(position) {
            tracing::warn!(run_id = %self.delivery.run_id, %error, "what is delivered will be sent once more after a restart");
        }
        // There may be room again.
        spooling.taken.notify_one();
    }
}

fn sync(files: &[Arc<std::fs::File>]) -> Result<(), SpoolError> {
    files
        .iter()
        .try_for_each(|file| file.sync_data())
        .map_err(|error| SpoolError::io("spool", error))
}

/// Returns when the time to close is over, or nothing can come of waiting.
async fn too_late(progress: &Progress) {
    let mut deadline = None;
    progress
        .until(|counts| {
            deadline = counts.closing;
            deadline.is_some()
        })
        .await;
    let Some(deadline) = deadline else { return };
    let hopeless = progress.until(|counts| counts.run_is_gone);
    let _ = tokio::time::timeout_at(deadline.into(), hopeless).await;
}

/// Tells those who wait that the thread has ended, whatever the reason.
#[derive(Debug)]
struct Finished(Arc<Progress>);

impl Drop for Finished {
    fn drop(&mut self) {
        let panicked = std::thread::panicking();
        self.0.update(|counts| {
            counts.finished = true;
            if panicked {
                counts.last_error = Some("the logger's thread panicked".to_owned());
            }
        });
    }
}
