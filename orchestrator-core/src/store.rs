//! The seam to whatever keeps run records, and the one that keeps them in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::{RunId, RunRecord};

/// Keeps run records. A record is written before anything is sent out, and again after each outside effect.
#[async_trait]
pub trait RunStore: fmt::Debug + Send + Sync {
    /// Writes a record, new or changed.
    async fn put(&self, record: &RunRecord) -> Result<(), StoreError>;

    /// The record with this id.
    async fn get(&self, id: &RunId) -> Result<Option<RunRecord>, StoreError>;

    /// The newest `most` records, newest first.
    async fn list(&self, most: usize) -> Result<Vec<RunRecord>, StoreError>;
}

/// A record could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// What happened.
    pub message: String,
}

/// Keeps records as long as the program runs. For tests, examples, and programs that need no history.
#[derive(Default)]
pub struct MemoryStore(Mutex<BTreeMap<RunId, RunRecord>>);

impl MemoryStore {
    fn records(&self) -> MutexGuard<'_, BTreeMap<RunId, RunRecord>> {
        // A panic elsewhere cannot leave a record half written: each is replaced as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("records", &self.records().len())
            .finish()
    }
}

#[async_trait]
impl RunStore for MemoryStore {
    async fn put(&self, record: &RunRecord) -> Result<(), StoreError> {
        self.records().insert(record.id.clone(), record.clone());
        Ok(())
    }

    async fn get(&self, id: &RunId) -> Result<Option<RunRecord>, StoreError> {
        Ok(self.records().get(id).cloned())
    }

    async fn list(&self, most: usize) -> Result<Vec<RunRecord>, StoreError> {
        Ok(self.records().values().rev().take(most).cloned().collect())
    }
}
