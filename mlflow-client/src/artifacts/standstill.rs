//! Time limits of transfers, which may take as long as they like as long as they move on.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    client::Inner,
    endpoint::Call,
    error::{Error, Result},
    http::too_late,
    retry,
};

/// What a server takes at least of a file in a second once it has all of it, e.g. to move it on to its own store.
const SETTLING_BYTES_PER_SECOND: u64 = 10 << 20;

/// When something last moved.
#[derive(Debug, Clone)]
pub(super) struct Movement(Arc<Mutex<Instant>>);

impl Movement {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(super) fn note(&self) {
        self.set(Instant::now());
    }

    /// All has been sent; the answer to so many bytes may take a while.
    pub(super) fn sent(&self, bytes: u64) {
        self.set(Instant::now() + Duration::from_secs(bytes / SETTLING_BYTES_PER_SECOND));
    }

    fn set(&self, at: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends `work` when nothing has moved for `limit`.
    pub(super) async fn watch<T>(
        &self,
        call: &Call,
        limit: Duration,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let until = self.last() + limit;
            match tokio::time::timeout_at(until, &mut work).await {
                Ok(result) => return result,
                Err(_) if self.last() + limit > until => {}
                Err(_) => return Err(too_late(call, limit)),
            }
        }
    }
}

/// Repeats a transfer as often as calls are repeated, but without a limit to the time of all attempts: each ends by itself
/// when it stands still.
pub(super) async fn repeat<T, F: Future<Output = Result<T>>>(
    inner: &Inner,
    call: &Call,
    attempt: impl Fn() -> F,
) -> Result<T> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let mut error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if let Some(context) = error.context_mut() {
            context.attempts = attempts;
        }
        if !pause(inner, call, &error, attempts).await {
            return Err(error);
        }
    }
}

/// Waits before the next attempt; false if there is to be none.
pub(super) async fn pause(inner: &Inner, call: &Call, error: &Error, attempts: u32) -> bool {
    let again = attempts <= inner.max_retries && retry::again(error, call.effect);
    tracing::debug!(operation = call.operation, attempts, again, %error, "transfer failed");
    if again {
        let pause = inner.backoff.pause(error, attempts);
        // What a server asks for is no reason to wait without a limit.
        tokio::time::sleep(pause.min(inner.timeout)).await;
    }
    again
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        let base = "http://127.0.0.1:5000".parse().unwrap();
        Call::new("x", http::Method::PUT, &base, ["x"]).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_standstill_ends_a_transfer() {
        let limit = Duration::from_secs(2);
        let movement = Movement::new();
        let slow = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                movement.note();
            }
            Ok(())
        };
        movement.watch(&call(), limit, slow).await.unwrap();
        let stuck = movement
            .watch(&call(), limit, std::future::pending::<Result<()>>())
            .await;
        assert!(matches!(stuck, Err(Error::Timeout(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_may_take_its_time_with_what_it_has_got() {
        let movement = Movement::new();
        let begin = Instant::now();
        let settling = async {
            movement.sent(1 << 30);
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(())
        };
        movement.watch(&call(), Duration::from_secs(2), settling).await.unwrap();
        movement.sent(1 << 30);
        let stuck = movement
            .watch(&call(), Duration::from_secs(2), std::future::pending::<Result<()>>())
            .await;
        assert!(matches!(stuck, Err(Error::Timeout(_))));
        assert!(begin.elapsed() < Duration::from_secs(60 + 105));
    }
}
