//! Creations: sent exactly once, never broken off, and the truth about a lost answer.
//!
//! A closed connection can make the server start a workflow and forget its record, and a second submission starts a
//! second workflow; so a submission goes on in the background whatever becomes of its caller, and a lost answer is
//! looked up: by the id if it was chosen here, otherwise by the name if nothing else has it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio::{
    task::{JoinError, JoinHandle},
    time::Instant,
};

use crate::{
    client::Inner,
    endpoint::Call,
    error::{Error, ErrorContext, Result, Source, one_line},
    faults,
    http::{Reply, Wire, backoff, context, decode},
    ids::RunId,
    stream::FormFile,
};

/// How much longer than the caller's limit a creation may take in the background.
const BACKGROUND_FACTOR: u32 = 5;
const SHORTEST_BACKGROUND: Duration = Duration::from_secs(300);

const FIRST_LOOK: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How far the clocks of the server and of this side may differ. A thing that is older than its submission by more was
/// made by another one.
const CLOCKS_APART: Duration = Duration::from_secs(300);

/// Kind of a thing that is made on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// An experiment.
    Experiment,
    /// A pipeline.
    Pipeline,
    /// A version of a pipeline.
    PipelineVersion,
    /// A run.
    Run,
    /// A recurring run, which `v1beta1` calls a job.
    RecurringRun,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Experiment => "experiment",
            Self::Pipeline => "pipeline",
            Self::PipelineVersion => "pipeline version",
            Self::Run => "run",
            Self::RecurringRun => "recurring run",
        })
    }
}

/// What was submitted to be made, and was not confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Submitted {
    /// What it is.
    pub resource: Resource,
    /// Name it was submitted under.
    pub name: String,
    /// Id it was submitted under, of a run; servers of KFP 1.8 ignore it and make their own.
    pub run_id: Option<RunId>,
    /// Whether nothing else has the name: by the server's rules, or because the caller said so of a run or a recurring
    /// run.
    pub name_is_unique: bool,
}

impl Submitted {
    /// A thing whose names the server keeps unique.
    pub(crate) fn new(resource: Resource, name: impl Into<String>) -> Self {
        Self {
            resource,
            name: name.into(),
            run_id: None,
            name_is_unique: true,
        }
    }
}

impl fmt::Display for Submitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} \"{}\"", self.resource, one_line(&self.name))?;
        match &self.run_id {
            Some(run_id) => write!(f, " ({run_id})"),
            None => Ok(()),
        }
    }
}

/// An answer to a creation.
pub(crate) trait Made: DeserializeOwned + Send + 'static {
    /// Empty if the answer names nothing.
    fn id(&self) -> &str;
    fn created_at(&self) -> Option<Timestamp>;
}

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
    /// Takes the key, which may be an id or a name; `field` is what an error calls it. What the server is too old for
    /// is refused before it is looked for.
    pub(crate) fn new(inner: &Arc<Inner>, call: &Call, field: &'static str, key: String) -> Result<Self> {
        inner.refuse_older(call)?;
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
/// `read` reads the answer; `look`, if there is a way to look, looks for what was made when the answer is lost, where
/// "not found" and errors prove nothing (the record is written after the workflow is started), except that what is
/// there is another one's ([`Error::AlreadyExists`]).
pub(crate) async fn once<T, Read, Look, Looking>(
    inner: &Arc<Inner>,
    call: &Call,
    claim: Option<Claim>,
    read: Read,
    look: Option<Look>,
) -> Result<Outcome<T>>
where
    T: Send + 'static,
    Read: FnOnce(&Call, &Reply) -> Submission<T> + Send + 'static,
    Look: Fn() -> Looking,
    Looking: Future<Output = Result<T>>,
{
    let limit = inner.timeout;
    let background = (limit.saturating_mul(BACKGROUND_FACTOR)).max(SHORTEST_BACKGROUND);
    let (sender, submitted) = (Arc::clone(inner), call.clone());
    // As one type for each kind of answer: a task is much code, which would be built for each creation.
    let submission: Pin<Box<dyn Future<Output = Submission<T>> + Send>> =
        Box::pin(async move { submit(&sender, &submitted, claim, background, read).await });
    let mut task = tokio::spawn(submission);
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

/// Makes what can be told by its name alone; `find` finds what has that name.
///
/// What is found after a lost answer counts as made here, unless it is older than this call. Whoever makes the same
/// name at the same time gets the same thing.
pub(crate) async fn named<T, Find, Finding>(
    inner: &Arc<Inner>,
    call: &Call,
    claim: Option<Claim>,
    submitted: Submitted,
    find: Find,
) -> Result<T>
where
    T: Made,
    Find: Fn() -> Finding,
    Finding: Future<Output = Result<Option<T>>>,
{
    let began = Timestamp::now();
    let is_older = |found: &T| found.created_at().is_some_and(|at| began.duration_since(at) > apart());
    let look = || async {
        match find().await? {
            Some(found) if is_older(&found) => Err(taken(call, &submitted)),
            Some(found) => Ok(found),
            None => Err(Error::NotFound(context(call, "nothing has the name"))),
        }
    };
    match once(
        inner,
        call,
        claim,
        made,
        Some(look).filter(|_| submitted.name_is_unique),
    )
    .await?
    {
        Outcome::Made(made) => Ok(made),
        Outcome::Unknown(context) => Err(Error::NamedOutcomeUnknown {
            submitted: Box::new(submitted),
            context,
        }),
    }
}

fn apart() -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(CLOCKS_APART).unwrap_or_default()
}

/// The error of a name that something else has.
pub(crate) fn taken(call: &Call, submitted: &Submitted) -> Error {
    Error::AlreadyExists(context(call, format!("there is a {submitted}")))
}

fn made<T: Made>(call: &Call, reply: &Reply) -> Submission<T> {
    match decode::<T>(call, reply) {
        Ok(made) if made.id().is_empty() => {
            Submission::Open(Error::UnexpectedResponse(context(call, "the answer names nothing")))
        }
        Ok(made) => Submission::Made(Box::new(made)),
        Err(error) => Submission::Open(error),
    }
}

async fn submit<T>(
    inner: &Inner,
    call: &Call,
    mut claim: Option<Claim>,
    limit: Duration,
    read: impl FnOnce(&Call, &Reply) -> Submission<T>,
) -> Submission<T> {
    let wire = Arc::new(Wire::default());
    let submission = match inner.send(call, limit, &wire).await {
        Ok(reply) => read(call, &reply),
        // A body that was cut on this side is no request.
        Err(error) if call.form.as_ref().is_some_and(FormFile::was_broken_off) => Submission::Refused(error),
        Err(error) if wire.is_unclear() || faults::is_after_the_start(&error) => Submission::Open(error),
        Err(error) => Submission::Refused(error),
    };
    // Bars the key for good: nobody knows whether it was used.
    if let Some(claim) = &mut claim {
        claim.keep = matches!(submission, Submission::Open(_));
    }
    submission
}

/// Looks for what was made, while the request may still be on its way.
async fn settle<T, Look, Looking>(
    inner: &Inner,
    call: &Call,
    mut task: Option<JoinHandle<Submission<T>>>,
    mut lost: Error,
    look: Option<Look>,
) -> Result<Outcome<T>>
where
    Look: Fn() -> Looking,
    Looking: Future<Output = Result<T>>,
{
    let operation = call.operation;
    let deadline = Instant::now() + inner.settle_time;
    let mut looks = 0;
    loop {
        if task.is_none() && look.is_none() {
            return Ok(Outcome::Unknown(unknown(call, lost)));
        }
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
        if let Some(look) = &look {
            match tokio::time::timeout(left.max(FIRST_LOOK), look()).await {
                Ok(Ok(made)) => {
                    tracing::info!(operation, "the answer to a creation was lost; what was made was found");
                    return Ok(Outcome::Made(made));
                }
                Ok(Err(taken @ Error::AlreadyExists(_))) => return Err(taken),
                // Faults of the look may pass.
                Ok(Err(error)) => tracing::debug!(operation, looks, %error),
                Err(_) => tracing::debug!(operation, looks, "no answer"),
            }
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
