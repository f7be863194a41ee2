//! A handle on one run.

use tokio::sync::watch;

use crate::follow::Followed;
use crate::{Error, Orchestrator, RunId, RunRecord};

/// A run that was submitted. Dropping it changes nothing: the run goes on, and its record is kept.
#[derive(Debug)]
pub struct Run {
    orchestrator: Orchestrator,
    id: RunId,
    record: watch::Receiver<RunRecord>,
}

impl Run {
    pub(crate) fn new(orchestrator: Orchestrator, followed: &Followed) -> Self {
        Self {
            orchestrator,
            id: followed.id(),
            record: followed.subscribe(),
        }
    }

    /// The orchestrator's id of the run.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// What is known now.
    pub fn record(&self) -> RunRecord {
        self.record.borrow().clone()
    }

    /// Waits until something changes and returns the new record; `None` once the run has ended and its last record
    /// was returned.
    pub async fn changed(&mut self) -> Option<RunRecord> {
        self.record.changed().await.ok()?;
        Some(self.record.borrow_and_update().clone())
    }

    /// Waits until the run has ended, at most the installation's
    /// [`run_timeout`](crate::Settings::run_timeout), and returns its record, whose `state` tells how. Metrics and
    /// failure are in it.
    ///
    /// # Errors
    /// [`Error::Store`] if the record got lost.
    pub async fn wait(&self) -> Result<RunRecord, Error> {
        let mut record = self.record.clone();
        // The sender goes away when the run is no longer followed; its last word stays readable.
        let _ = record.wait_for(|record| record.state.is_final()).await;
        let last = record.borrow().clone();
        Ok(last)
    }

    /// Asks for the run to be stopped; [`wait`](Self::wait) tells when it has. A request that its engine did not accept
    /// changes nothing.
    ///
    /// # Errors
    /// [`Error::Engine`].
    pub async fn cancel(&self) -> Result<RunRecord, Error> {
        self.orchestrator.cancel(&self.id).await
    }
}
