//! What travels through the queue.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, atomic::AtomicU64},
};

use super::progress::Goal;
use crate::{metric::Param, tag::Tag};

/// A key of a metric, interned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct KeyId(pub(super) NonZeroU32);

/// A point of a metric: 32 bytes, nothing of it on the heap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) key: KeyId,
    pub(super) value: f64,
    pub(super) timestamp: i64,
    pub(super) step: i64,
}

/// One place in the queue, no larger than a point.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Point(Point),
    Rare(Box<Rare>),
}

/// What comes so seldom that it may be allocated.
#[derive(Debug, Clone)]
pub(super) enum Rare {
    Param(Param),
    Tag(Tag),
    /// Nothing to log: tells how much was logged before it.
    Marker(Arc<Marker>),
}

/// Finds out how much was logged before it.
#[derive(Debug)]
pub(super) struct Marker {
    pub(super) goal: Goal,
    /// Once the marker has come out of the queue, the number of entries that came before it.
    pub(super) position: AtomicU64,
}

impl Marker {
    pub(super) const PENDING: u64 = u64::MAX;

    pub(super) fn new(goal: Goal) -> Arc<Self> {
        Arc::new(Self {
            goal,
            position: AtomicU64::new(Self::PENDING),
        })
    }
}

/// The keys of metrics by number and by name. Keys are never forgotten.
#[derive(Debug, Default)]
pub(super) struct Keys {
    tables: RwLock<Tables>,
}

#[derive(Debug, Default)]
pub(super) struct Tables {
    ids: HashMap<Arc<str>, KeyId>,
    names: Vec<Arc<str>>,
}

impl Tables {
    pub(super) fn name(&self, key: KeyId) -> &str {
        let at = key.0.get() as usize - 1;
        self.names.get(at).map_or("", |name| name)
    }
}

impl Keys {
    /// The number of a key that is known already.
    pub(super) fn find(&self, name: &str) -> Option<KeyId> {
        self.read().ids.get(name).copied()
    }

    /// The number of a key, a new one if need be; `None` if there are four thousand million keys.
    pub(super) fn intern(&self, name: &str) -> Option<KeyId> {
        if let Some(id) = self.find(name) {
            return Some(id);
        }
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = tables.ids.get(name) {
            return Some(*id);
        }
        let number = u32::try_from(tables.names.len() + 1).ok()?;
        let id = KeyId(NonZeroU32::new(number)?);
        let name: Arc<str> = name.into();
        tables.names.push(Arc::clone(&name));
        tables.ids.insert(name, id);
        Some(id)
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_queue_is_as_large_as_a_point() {
        assert_eq!(size_of::<Point>(), 32);
        assert_eq!(size_of::<Entry>(), size_of::<Point>());
    }

    #[test]
    fn a_key_has_one_number() {
        let keys = Keys::default();
        let loss = keys.intern("loss").unwrap();
        assert_ne!(keys.intern("accuracy").unwrap(), loss);
        assert_eq!(keys.intern("loss"), Some(loss));
        assert_eq!(keys.find("loss"), Some(loss));
        assert_eq!(keys.find("none"), None);
        assert_eq!(keys.read().name(loss), "loss");
    }
}
