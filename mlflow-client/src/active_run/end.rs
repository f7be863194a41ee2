//! Ending a run whose value was dropped.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    client::Client,
    ids::RunId,
    runs::{RunStatus, UpdateRun},
};

/// How long telling the server may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Messages on their way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Endings(Arc<(Mutex<usize>, Condvar)>);

impl Endings {
    fn add(&self) -> Ending {
        let (count, _) = &*self.0;
        *count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Ending(self.clone())
    }

    fn wait_here(&self, limit: Duration) -> bool {
        let (count, changed) = &*self.0;
        let until = Instant::now() + limit;
        let mut waiting = count.lock().unwrap_or_else(PoisonError::into_inner);
        while *waiting > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            waiting = changed
                .wait_timeout(waiting, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(waiting, _)| waiting);
        }
        true
    }

    pub(super) async fn wait(self, limit: Duration) -> bool {
        let waited = tokio::task::spawn_blocking(move || self.wait_here(limit));
        waited.await.unwrap_or(false)
    }
}

/// Counts until it is dropped.
struct Ending(Endings);

impl Drop for Ending {
    fn drop(&mut self) {
        let (count, changed) = &*self.0.0;
        *count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        changed.notify_all();
    }
}

/// Tells the server from a thread of its own, which does not depend on the runtime that may be shutting down.
pub(super) fn in_background(client: &Client, run: RunId, status: RunStatus) {
    let endings = client.inner.endings.clone();
    let ending = endings.add();
    let in_runtime = tokio::runtime::Handle::try_current().is_ok();
    let separate = client.separate(client.inner.max_retries);
    let work = move || {
        let _ending = ending;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::warn!(%run, %error, "a run could not be ended");
                return;
            }
        };
        runtime.block_on(async {
            let client = match separate {
                Ok(client) => client,
                Err(error) => {
                    tracing::warn!(%run, %error, "a run could not be ended");
                    return;
                }
            };
            let update = UpdateRun::ended(status);
            match tokio::time::timeout(LIMIT, client.runs().update(&run, update)).await {
                Ok(Ok(_)) => tracing::debug!(%run, "a dropped run was ended"),
                Ok(Err(error)) => tracing::warn!(%run, %error, "a run could not be ended"),
                Err(_) => tracing::warn!(%run, "a run could not be ended in time"),
            }
        });
    };
    let thread = std::thread::Builder::new()
        .name("mlflow-run-end".to_owned())
        .spawn(work);
    if let Err(error) = thread {
        tracing::warn!(%error, "no thread could be started to end a run");
        return;
    }
    // The process may be about to end. A client whose connections are driven by the very thread that would wait here gets
    // nowhere, though.
    let has_own_connections = client.inner.transport.is_some();
    if !in_runtime || (std::thread::panicking() && has_own_connections) {
        endings.wait_here(LIMIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_has_a_limit() {
        let endings = Endings::default();
        assert!(endings.wait_here(Duration::ZERO));
        let one = endings.add();
        assert!(!endings.wait_here(Duration::from_millis(1)));
        drop(one);
        assert!(endings.wait_here(Duration::ZERO));
    }
}
