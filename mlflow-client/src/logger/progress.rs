//! The books of a logger, and waiting for them.

use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    entry::Marker,
    error::SpoolError,
    report::{Rejection, Report},
};

const MOST_REJECTIONS: usize = 100;

/// Counts of entries, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Taken out of the queue, or found in the spool at the start.
    pub(super) accepted: u64,
    /// Written to the spool.
    pub(super) written: u64,
    /// Up to here everything is as safe as the spool's settings say, but for what is `in_hand`.
    pub(super) secured: u64,
    /// Handed over to be delivered because it could not be written.
    pub(super) in_hand: u64,
    /// Of those in the spool, how many are delivered or rejected.
    pub(super) settled_in_spool: u64,
    pub(super) delivered: u64,
    pub(super) rejected: u64,
    /// Given up by the limit of attempts.
    pub(super) lost: u64,
    pub(super) recovered: u64,
    pub(super) unreadable_bytes: u64,
    pub(super) sent_again: u64,
    pub(super) rejections: Vec<Rejection>,
    pub(super) last_error: Option<String>,
    pub(super) spool_error: Option<SpoolError>,
    /// Somebody waits until so many are delivered.
    pub(super) flush: u64,
    /// Somebody waits until so many are safe.
    pub(super) sync: u64,
    /// The run does not exist or is deleted, and its entries wait in the spool.
    pub(super) run_is_gone: bool,
    pub(super) closing: Option<Instant>,
    pub(super) finished: bool,
}

impl Counts {
    pub(super) fn settled(&self) -> u64 {
        self.delivered + self.rejected + self.lost
    }

    fn is_urgent(&self) -> bool {
        self.closing.is_some() || self.flush > self.settled()
    }
}

/// Where an entry is until it is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Memory,
    Spool,
}

#[derive(Debug, Default)]
pub(super) struct Progress {
    counts: Mutex<Counts>,
    dropped: AtomicU64,
    changed: Condvar,
    changed_for_tasks: Notify,
}

impl Progress {
    pub(super) fn read(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the books and tells those who wait.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        let result = change(&mut self.read());
        self.changed.notify_all();
        self.changed_for_tasks.notify_waiters();
        result
    }

    pub(super) fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Entries of which the server says that it has them.
    pub(super) fn delivered(&self, count: u64, origin: Origin) {
        self.update(|counts| {
            counts.delivered += count;
            counts.last_error = None;
            counts.run_is_gone = false;
            settled(counts, count, origin);
        });
    }

    pub(super) fn rejected(&self, rejections: impl Iterator<Item = Rejection>, origin: Origin) {
        let (mut count, mut kept) = (0, Vec::new());
        for rejection in rejections {
            count += 1;
            if kept.len() < MOST_REJECTIONS {
                kept.push(rejection);
            }
        }
        let Some(first) = kept.first() else {
            return;
        };
        tracing::error!(count, entry = %first.entry, reason = %first.reason, "the server does not take this");
        self.update(|counts| {
            counts.rejected += count;
            let room = MOST_REJECTIONS - counts.rejections.len();
            counts.rejections.extend(kept.into_iter().take(room));
            settled(counts, count, origin);
        });
    }

    pub(super) fn lost(&self, count: u64, origin: Origin) {
        tracing::error!(
            count,
            "entries given up: the server could not be reached in the time allowed"
        );
        self.update(|counts| {
            counts.lost += count;
            settled(counts, count, origin);
        });
    }

    pub(super) fn report(&self) -> Report {
        let counts = self.read();
        let open = counts.accepted.saturating_sub(counts.settled());
        let kept = counts.written.saturating_sub(counts.settled_in_spool).min(open);
        Report {
            logged: counts.accepted,
            delivered: counts.delivered,
            rejected: counts.rejected,
            rejections: counts.rejections.clone(),
            dropped: self.dropped.load(Ordering::Relaxed),
            undelivered: counts.lost + open.saturating_sub(kept),
            kept,
            recovered: counts.recovered,
            unreadable_bytes: counts.unreadable_bytes,
            sent_again: counts.sent_again,
            last_error: counts.last_error.clone(),
            spool_error: counts.spool_error.clone(),
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.read().closing.is_some()
    }

    /// Whether what waits should go out at once.
    pub(super) fn is_urgent(&self) -> bool {
        self.read().is_urgent()
    }

    pub(super) async fn until_urgent(&self) {
        self.until(Counts::is_urgent).await;
    }

    /// Whether somebody waits for what is not yet safe.
    pub(super) fn is_sync_wanted(&self) -> bool {
        let counts = self.read();
        counts.sync > counts.secured
    }

    /// Whether all that is in the spool is delivered.
    pub(super) fn is_spool_delivered(&self) -> bool {
        let counts = self.read();
        counts.written == counts.settled_in_spool
    }

    /// Whether what was delivered should be looked for now: somebody waits for it, or for its room.
    pub(super) fn is_looking_due(&self) -> bool {
        let counts = self.read();
        counts.is_urgent() || counts.spool_error.is_some()
    }

    /// Waits until the books satisfy `done`; `false` if that takes longer than `limit`.
    pub(super) fn wait_blocking(&self, limit: Duration, mut done: impl FnMut(&Counts) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        let mut counts = self.read();
        loop {
            if done(&counts) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            counts = self
                .changed
                .wait_timeout(counts, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// As [`wait_blocking`](Self::wait_blocking), for tasks.
    pub(super) async fn wait(&self, limit: Duration, done: impl FnMut(&Counts) -> bool) -> bool {
        tokio::time::timeout(limit, self.until(done)).await.is_ok()
    }

    /// Waits until the books satisfy `done`.
    pub(super) async fn until(&self, mut done: impl FnMut(&Counts) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed_for_tasks.notified());
            changed.as_mut().enable();
            if done(&self.read()) {
                return;
            }
            changed.await;
        }
    }
}

fn settled(counts: &mut Counts, count: u64, origin: Origin) {
    match origin {
        Origin::Spool => counts.settled_in_spool += count,
        Origin::Memory => counts.in_hand = counts.in_hand.saturating_sub(count),
    }
}

/// What somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// Everything is with the server, or will never be.
    Delivered,
    /// Everything is in the spool, or delivered.
    Safe,
}

impl Marker {
    /// Whether everything before the marker has got there.
    pub(super) fn is_reached(&self, counts: &Counts) -> bool {
        let position = self.position.load(Ordering::Acquire);
        let secured = self.goal == Goal::Safe && counts.in_hand == 0 && counts.secured >= position;
        position != Self::PENDING && (counts.settled() >= position || secured)
    }

    /// How much of what came before the marker is still to come.
    pub(super) fn outstanding(&self, counts: &Counts) -> u64 {
        let position = self.position.load(Ordering::Acquire).min(counts.accepted);
        position.saturating_sub(counts.settled())
    }
}
