//! The bounded queue between those who log and the thread that delivers.
//!
//! Writing is one compare-and-swap in a ring that was allocated at the start. A writer wakes the reader only if that
//! waits for what the writer brings: the reader tells by `watch`. Both sides put a full fence between their write and
//! their read of the other's, so at least one of them sees the other.

use std::{
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicU8, AtomicUsize, Ordering, fence},
    },
    time::{Duration, Instant},
};

use crossbeam_queue::ArrayQueue;
use tokio::sync::Notify;

use super::entry::Entry;

/// The reader is at work and will look again by itself.
const BUSY: u8 = 0;
/// The reader sleeps until anything comes.
const IDLE: u8 = 1;
/// The reader sleeps until there are `wanted` entries, or for a while.
const LINGERS: u8 = 2;
/// Nothing is read any more after what is in the queue now.
const CLOSED: u8 = 3;

/// Why an entry was not taken.
#[derive(Debug)]
pub(super) enum Refused {
    Full(Entry),
    Closed,
}

#[derive(Debug)]
pub(super) struct Queue {
    entries: ArrayQueue<Entry>,
    watch: AtomicU8,
    wanted: AtomicUsize,
    reader: Notify,
    blocked: AtomicUsize,
    gate: Mutex<()>,
    space: Condvar,
    space_for_tasks: Notify,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: ArrayQueue::new(capacity),
            watch: AtomicU8::new(BUSY),
            wanted: AtomicUsize::new(1),
            reader: Notify::new(),
            blocked: AtomicUsize::new(0),
            gate: Mutex::new(()),
            space: Condvar::new(),
            space_for_tasks: Notify::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds an entry if there is room. After `Closed` the entry may still be delivered; nobody will tell.
    #[inline]
    pub(super) fn push(&self, entry: Entry) -> Result<(), Refused> {
        if self.watch.load(Ordering::Relaxed) == CLOSED {
            return Err(Refused::Closed);
        }
        self.entries.push(entry).map_err(Refused::Full)?;
        fence(Ordering::SeqCst);
        match self.watch.load(Ordering::Relaxed) {
            BUSY => Ok(()),
            watch => self.signal(watch),
        }
    }

    #[cold]
    fn signal(&self, watch: u8) -> Result<(), Refused> {
        match watch {
            CLOSED => return Err(Refused::Closed),
            LINGERS if self.entries.len() < self.wanted.load(Ordering::Relaxed) => return Ok(()),
            _ => {}
        }
        // One of several writers wakes the reader.
        let exchanged = self
            .watch
            .compare_exchange(watch, BUSY, Ordering::SeqCst, Ordering::Relaxed);
        match exchanged {
            Ok(_) => self.reader.notify_one(),
            Err(CLOSED) => return Err(Refused::Closed),
            Err(_) => {}
        }
        Ok(())
    }

    /// Adds an entry, and holds the thread up to `limit` until there is room.
    pub(super) fn push_blocking(&self, mut entry: Entry, limit: Duration) -> Result<(), Refused> {
        let deadline = Instant::now() + limit;
        let _waiting = Waiting::new(&self.blocked);
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            entry = match self.push(entry) {
                Err(Refused::Full(entry)) => entry,
                done => return done,
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Refused::Full(entry));
            }
            gate = self
                .space
                .wait_timeout(gate, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Adds an entry, and waits up to `limit` until there is room.
    pub(super) async fn push_waiting(&self, mut entry: Entry, limit: Duration) -> Result<(), Refused> {
        let deadline = tokio::time::Instant::now() + limit;
        let _waiting = Waiting::new(&self.blocked);
        loop {
            let mut space = std::pin::pin!(self.space_for_tasks.notified());
            space.as_mut().enable();
            entry = match self.push(entry) {
                Err(Refused::Full(entry)) => entry,
                done => return done,
            };
            if tokio::time::timeout_at(deadline, space).await.is_err() {
                return Err(Refused::Full(entry));
            }
        }
    }

    /// Takes up to `most` entries.
    pub(super) fn pop(&self, most: usize, mut each: impl FnMut(Entry)) -> usize {
        let mut taken = 0;
        while taken < most
            && let Some(entry) = self.entries.pop()
        {
            each(entry);
            taken += 1;
        }
        if taken > 0 {
            self.tell_blocked();
        }
        taken
    }

    fn tell_blocked(&self) {
        fence(Ordering::SeqCst);
        if self.blocked.load(Ordering::Relaxed) > 0 {
            // With the gate held, a writer either waits already or has yet to try.
            drop(self.gate.lock().unwrap_or_else(PoisonError::into_inner));
            self.space.notify_all();
            self.space_for_tasks.notify_waiters();
        }
    }

    /// Waits until there is something, or until [`wake`](Self::wake).
    pub(super) async fn wait(&self) {
        self.rest(IDLE, 1, None).await;
    }

    /// Waits until there are `wanted` entries, until [`wake`](Self::wake), or until `deadline`.
    pub(super) async fn linger(&self, wanted: usize, deadline: tokio::time::Instant) {
        self.rest(LINGERS, wanted.clamp(1, self.entries.capacity()), Some(deadline))
            .await;
    }

    async fn rest(&self, watch: u8, wanted: usize, deadline: Option<tokio::time::Instant>) {
        if self.is_closed() {
            return;
        }
        self.wanted.store(wanted, Ordering::Relaxed);
        self.watch.store(watch, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.entries.len() < wanted {
            let woken = self.reader.notified();
            match deadline {
                None => woken.await,
                Some(deadline) => drop(tokio::time::timeout_at(deadline, woken).await),
            }
        }
        self.watch.store(BUSY, Ordering::SeqCst);
    }

    /// Wakes the reader.
    pub(super) fn wake(&self) {
        self.reader.notify_one();
    }

    /// Only the reader calls this. What is pushed from now on is refused; what was accepted before is in the queue.
    pub(super) fn close(&self) {
        self.watch.store(CLOSED, Ordering::SeqCst);
        self.tell_blocked();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.watch.load(Ordering::SeqCst) == CLOSED
    }
}

/// Counts a writer that waits for room, for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, sync::Arc};

    use super::*;
    use crate::logger::entry::{KeyId, Point};

    fn entry(step: i64) -> Entry {
        Entry::Point(Point {
            key: KeyId(NonZeroU32::MIN),
            value: 0.0,
            timestamp: 0,
            step,
        })
    }

    fn step(entry: &Entry) -> i64 {
        let Entry::Point(point) = entry else { panic!("a point") };
        point.step
    }

    #[test]
    fn what_does_not_fit_comes_back() {
        let queue = Queue::new(2);
        queue.push(entry(1)).unwrap();
        queue.push(entry(2)).unwrap();
        assert!(matches!(queue.push(entry(3)), Err(Refused::Full(entry)) if step(&entry) == 3));
        let waited = queue.push_blocking(entry(3), Duration::ZERO);
        assert!(matches!(waited, Err(Refused::Full(_))));
        queue.close();
        assert!(matches!(queue.push(entry(4)), Err(Refused::Closed)));
        let mut taken = Vec::new();
        assert_eq!(queue.pop(10, |entry| taken.push(step(&entry))), 2);
        assert_eq!(taken, [1, 2]);
    }

    #[tokio::test]
    async fn a_closed_queue_lets_those_who_wait_go() {
        let queue = Arc::new(Queue::new(1));
        queue.push(entry(1)).unwrap();
        let thread = std::thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.push_blocking(entry(2), Duration::from_secs(60))
        });
        let task = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.push_waiting(entry(2), Duration::from_secs(60)).await }
        });
        while queue.blocked.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        queue.close();
        assert!(matches!(task.await.unwrap(), Err(Refused::Closed)));
        assert!(matches!(thread.join().unwrap(), Err(Refused::Closed)));
    }

    /// Many writers, threads and tasks, and room for few: everything comes through, each writer's in its order, and
    /// nobody sleeps for ever.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nobody_is_left_asleep() {
        const EACH: i64 = 5_000;
        let queue = Arc::new(Queue::new(8));
        let mut threads = Vec::new();
        for writer in 0..4 {
            let queue = Arc::clone(&queue);
            if writer % 2 == 0 {
                threads.push(std::thread::spawn(move || {
                    for number in 0..EACH {
                        queue
                            .push_blocking(entry(writer * EACH + number), Duration::from_secs(60))
                            .unwrap();
                    }
                }));
            } else {
                tokio::spawn(async move {
                    for number in 0..EACH {
                        let pushed = queue.push_waiting(entry(writer * EACH + number), Duration::from_secs(60));
                        pushed.await.unwrap();
                    }
                });
            }
        }
        let mut next = [0; 4];
        let mut count = 0;
        while count < 4 * EACH {
            queue.pop(3, |entry| {
                let number = step(&entry);
                let writer = usize::try_from(number / EACH).unwrap();
                assert_eq!(number % EACH, next[writer]);
                next[writer] += 1;
                count += 1;
            });
            if count % 3 == 0 {
                queue
                    .linger(2, tokio::time::Instant::now() + Duration::from_millis(1))
                    .await;
            } else if queue.len() == 0 && count < 4 * EACH {
                tokio::time::timeout(Duration::from_secs(60), queue.wait())
                    .await
                    .unwrap();
            }
        }
        for thread in threads {
            thread.join().unwrap();
        }
    }
}
