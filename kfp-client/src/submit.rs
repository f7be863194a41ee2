//! Creations that start something: sent exactly once, never broken off, and the truth about a lost answer.
//!
//! A closed connection can make the server start a workflow and forget its record, and a second submission starts a
//! second workflow; so a submission goes on in the background whatever becomes of its caller, and a lost answer is
//! looked up.

use std::{
    future::Future,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::{
    task::{JoinError, JoinHandle},
    time::Instant,
};

use crate::{
    client::Inner,
    endpoint::Call,
    error::{Error, ErrorContext, Result, Source},
    http::{Reply, Wire, backoff, context},
};

/// How much longer than the caller's limit a creation may take in the background.
const BACKGROUND_FACTOR: u32 = 5;
const SHORTEST_BACKGROUND: Duration = Duration::from_secs(300);

const FIRST_LOOK: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How a submission ended, as far as this side can tell.
pub(crate) enum Submission<T> {
    Made(Box<T>),
    /// The server or something before it said no, or nothing was sent.
    Refused(Error),
    /// The request may have been carried out; the error says how the answer was lost.
    Open(Error),
}

/// What became of a creation.
pub(crate) enum Outcome<T> {
    Made(T),
    /// The answer was lost and what was to be made cannot be found; the context says how.
    Unknown(Box<ErrorContext>),
}

/// The right to submit under a key, held by one creation at a time.
pub(crate) struct Claim {
    inner: Arc<Inner>,
    key: String,
    keep: bool,
}

impl Claim {
    /// Takes the key, which may be an id or a name; `field` is what an error calls it.
    pub(crate) fn new(inner: &Arc<Inner>, field: &'static str, key: String) -> Result<Self> {
        let mut submitted = inner.submitted.lock().unwrap_or_else(PoisonError::into_inner);
        if !submitted.insert(key.clone()) {
            return Err(Error::invalid(
                field,
                "one that is not being submitted and whose outcome is not open",
            ));
        }
        Ok(Self {
            inner: Arc::clone(inner),
            key,
            keep: false,
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.keep {
            let mut submitted = self.inner.submitted.lock().unwrap_or_else(PoisonError::into_inner);
            submitted.remove(&self.key);
        }
    }
}

/// Submits `call` once and waits for its outcome.
///
/// `read` reads the answer; `look` looks for what was made when the answer is lost, where "not found" and errors
/// prove nothing: the record is written after the workflow is started.
pub(crate) async fn once<T, Look>(
    inner: &Arc<Inner>,
    call: &Call,
    claim: Claim,
    read: fn(&Call, &Reply, &str) -> Submission<T>,
    look: impl Fn() -> Look,
) -> Result<Outcome<T>>
where
    T: Send + 'static,
    Look: Future<Output = Result<T>>,
{
    let limit = inner.timeout;
    let background = (limit.saturating_mul(BACKGROUND_FACTOR)).max(SHORTEST_BACKGROUND);
    let (sender, submitted) = (Arc::clone(inner), call.clone());
    let mut task = tokio::spawn(async move { submit(&sender, &submitted, claim, background, read).await });
    let Ok(joined) = tokio::time::timeout(limit, &mut task).await else {
        let error = Error::Timeout(context(call, format!("no answer within {limit:.1?}")));
        return settle(inner, call, Some(task), error, look).await;
    };
    match ended(call, joined) {
        Submission::Made(made) => Ok(Outcome::Made(*made)),
        Submission::Refused(error) => Err(error),
        Submission::Open(error) => settle(inner, call, None, error, look).await,
    }
}

async fn submit<T>(
    inner: &Inner,
    call: &Call,
    mut claim: Claim,
    limit: Duration,
    read: fn(&Call, &Reply, &str) -> Submission<T>,
) -> Submission<T> {
    let wire = Arc::new(Wire::default());
    let submission = match inner.send(call, limit, &wire).await {
        Ok(reply) => read(call, &reply, &claim.key),
        Err(error) if wire.is_unclear() || failed_to_store(&error) => Submission::Open(error),
        Err(error) => Submission::Refused(error),
    };
    // Bars the key for good: nobody knows whether it was used.
    claim.keep = matches!(submission, Submission::Open(_));
    submission
}

/// Looks for what was made, while the request may still be on its way.
async fn settle<T, Look>(
    inner: &Inner,
    call: &Call,
    mut task: Option<JoinHandle<Submission<T>>>,
    mut lost: Error,
    look: impl Fn() -> Look,
) -> Result<Outcome<T>>
where
    Look: Future<Output = Result<T>>,
{
    let operation = call.operation;
    let deadline = Instant::now() + inner.settle_time;
    let mut looks = 0;
    loop {
        looks += 1;
        let left = deadline.saturating_duration_since(Instant::now());
        let pause = backoff(FIRST_LOOK, LONGEST_PAUSE, looks).min(left);
        match &mut task {
            None => tokio::time::sleep(pause).await,
            Some(running) => {
                if let Ok(joined) = tokio::time::timeout(pause, running).await {
                    task = None;
                    match ended(call, joined) {
                        Submission::Made(made) => return Ok(Outcome::Made(*made)),
                        Submission::Refused(error) => return Err(error),
                        Submission::Open(error) => lost = error,
                    }
                }
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left.max(FIRST_LOOK), look()).await {
            Ok(Ok(made)) => {
                tracing::info!(operation, "the answer to a creation was lost; what was made was found");
                return Ok(Outcome::Made(made));
            }
            // Faults of the look may pass.
            Ok(Err(error)) => tracing::debug!(operation, looks, %error),
            Err(_) => tracing::debug!(operation, looks, "no answer"),
        }
        if Instant::now() >= deadline {
            return Ok(Outcome::Unknown(unknown(call, lost)));
        }
    }
}

fn ended<T>(call: &Call, joined: Result<Submission<T>, JoinError>) -> Submission<T> {
    joined.unwrap_or_else(|error| {
        let mut context = context(call, "the submission was broken off");
        context.source = Some(Source::Other(Box::new(error)));
        Submission::Open(Error::Interrupted(context))
    })
}

/// Whether the server failed after it had started the workflow: it records the run last.
fn failed_to_store(error: &Error) -> bool {
    let text = error
        .context()
        .map(|context| context.chain().unwrap_or(context.message()));
    matches!(error, Error::Server(_)) && text.is_some_and(|text| text.contains("Failed to store run"))
}

fn unknown(call: &Call, lost: Error) -> Box<ErrorContext> {
    let mut context = context(call, lost.to_string());
    if let Some(how) = lost.context() {
        context.status = how.status;
        context.code = how.code;
        context.attempts = how.attempts;
    }
    context.source = Some(Source::Other(Box::new(lost)));
    context
}
