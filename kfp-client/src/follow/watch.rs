//! Watching thousands of runs by a few lists.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures_core::Stream;
use futures_util::stream;
use jiff::Timestamp;

use super::{
    Pacer, RunChange, TokioPacer,
    followed::{Feed, Followed, Scope},
    out_of_time,
    pace::Patience,
    track::Tracker,
};
use crate::{
    error::{Error, Result},
    filter::Filter,
    ids::{ExperimentId, RunId},
    page::Page,
    v1,
    v2::runs::{Runs, model::Run},
};

/// Largest page the server gives.
const PAGE: u32 = 200;
/// Ids that are asked for at once. The address of the request then stays below 8 KiB, which every proxy takes.
const BATCH: usize = 100;

const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);
const DEFAULT_OVERLAP: Duration = Duration::from_secs(60);
const DEFAULT_SETTLE: Duration = Duration::from_secs(30);
const DEFAULT_PATIENCE: Duration = Duration::from_secs(900);
const DEFAULT_REMEMBER: usize = 20_000;
const DEFAULT_DETAILS: usize = 50;

/// Which runs to watch, and how; see [`Runs::watch`] and [`v1::Runs::watch`].
#[derive(Debug, Clone)]
#[must_use]
pub struct WatchRuns {
    scope: Scope,
    filter: Filter,
    run_ids: Option<HashSet<RunId>>,
    since: Option<Timestamp>,
    interval: Duration,
    overlap: Duration,
    settle: Duration,
    patience: Duration,
    timeout: Option<Duration>,
    remember: usize,
    details: usize,
    pacer: Arc<dyn Pacer>,
}

impl Default for WatchRuns {
    fn default() -> Self {
        Self {
            scope: Scope::default(),
            filter: Filter::new(),
            run_ids: None,
            since: None,
            interval: DEFAULT_INTERVAL,
            overlap: DEFAULT_OVERLAP,
            settle: DEFAULT_SETTLE,
            patience: DEFAULT_PATIENCE,
            timeout: None,
            remember: DEFAULT_REMEMBER,
            details: DEFAULT_DETAILS,
            pacer: Arc::new(TokioPacer::default()),
        }
    }
}

impl WatchRuns {
    /// Watches all runs, those to come too, for ever. A multi-user server requires a namespace or an experiment.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only runs of this namespace.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.scope.namespace = Some(namespace.into());
        self
    }

    /// Only runs of this experiment.
    pub fn experiment_id(mut self, experiment_id: impl Into<ExperimentId>) -> Self {
        self.scope.experiment_id = Some(experiment_id.into());
        self
    }

    /// Only runs that match. A run that no longer matches is [`RunEvent::Gone`], so filter by what does not change.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Only these runs. The stream ends when all of them have ended or are gone.
    pub fn run_ids(mut self, run_ids: impl IntoIterator<Item = RunId>) -> Self {
        self.run_ids = Some(run_ids.into_iter().collect());
        self
    }

    /// Tells also of runs that ended at this time or later, e.g. when a watch is taken up again. Without it only of
    /// those that end from now on.
    pub fn since(mut self, since: Timestamp) -> Self {
        self.since = Some(since);
        self
    }

    /// Time between two rounds. Default: 10 seconds.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How far the clocks that write the runs' times may differ; as much is read again with every round. Default: one
    /// minute.
    pub fn overlap(mut self, overlap: Duration) -> Self {
        self.overlap = overlap;
        self
    }

    /// How long tasks in progress are waited for once a run's state is final. Default: 30 seconds.
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// How long the server may be out of reach, overloaded, or refuse the session before the watch fails. Default: 15
    /// minutes.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Ends the watch after this time with [`Error::Timeout`]. Default: none.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How many ended runs are remembered, to tell a retried one from a new one; at least as many as end within the
    /// overlap and one interval, or an end may be told twice. Default: 20,000.
    pub fn remember(mut self, runs: usize) -> Self {
        self.remember = runs.max(1);
        self
    }

    /// Of how many runs in progress the tasks are asked for in one round where lists do not hold them, which is so
    /// through `v1beta1`: each costs one request. With more runs than this they take turns. Default: 50; zero asks for
    /// none.
    pub fn details(mut self, runs: usize) -> Self {
        self.details = runs;
        self
    }

    /// Takes the time from here; for tests.
    pub fn pacer(mut self, pacer: Arc<dyn Pacer>) -> Self {
        self.pacer = pacer;
        self
    }
}

/// What a watch tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunEvent<R = Run> {
    /// A run appeared, changed or ended, or some of its tasks changed.
    Changed(Box<RunChange<R>>),
    /// A run that had not ended was deleted, or no longer matches the filter.
    Gone(RunId),
    /// The server is in trouble; the watch goes on by itself where it was. Told once for each time of trouble.
    Trouble(Error),
    /// Everything that was to be told at the moment has been told.
    #[non_exhaustive]
    CaughtUp {
        /// Runs that have not ended.
        live: usize,
        /// Answers it took since the last time.
        requests: u32,
    },
}

/// What is asked for next.
#[derive(Debug)]
enum Phase {
    /// The time of the latest end there is, so that older ones are known to be old.
    Baseline,
    /// Runs that have not ended.
    Live(Option<String>),
    /// Runs that have ended lately, also those that came and went between two rounds.
    Finished(Option<String>),
    /// What became of runs that are on neither list.
    LookUp(Vec<RunId>),
    /// What lists do not say of these runs.
    Details(Vec<RunId>),
    /// Nothing, until the next round.
    Rest,
    Over,
}

#[derive(Debug)]
struct Watch<F: Feed> {
    feed: F,
    operation: &'static str,
    request: WatchRuns,
    tracker: Tracker,
    patience: Patience,
    deadline: Option<Duration>,
    phase: Phase,
    /// Ends before this time are not asked for in this round, and in the next one.
    from: Timestamp,
    from_next: Timestamp,
    /// Ends up to this time are no news.
    old: Option<Timestamp>,
    /// The time by which runs that have ended are listed. Servers that cannot filter by their end list by their begin.
    ends: &'static str,
    /// Runs that have ended and are told when more is known of them.
    ended: HashSet<RunId>,
    ready: VecDeque<RunEvent<F::Run>>,
    delay: Option<Duration>,
    restarted: bool,
    requests: u32,
}

impl Runs {
    /// Watches many runs as a stream of what happens to them.
    ///
    /// Each round costs one list request for 200 runs that have not ended, one for 200 that have ended since, and one
    /// for 100 that disappeared; a run that did not change costs nothing else, and of it only its states are kept.
    /// Runs that are made, ended and retried while the watch goes on are seen; what happens between two rounds is told
    /// as one change. Rows that an upgraded server took over from KFP 1.8 and never touched have no state; such runs
    /// are not seen before they end.
    ///
    /// After a fault that may pass (a storm of 503, a broken connection, an expired session) the watch goes on where
    /// it was. Any other fault, one that lasts too long, and the end of the time allowed are the last item. Requests
    /// are made only while the stream is polled, and dropping it ends the watch.
    ///
    /// ```no_run
    /// # async fn example(client: kfp_client::Client) -> kfp_client::Result<()> {
    /// use futures_util::TryStreamExt;
    /// use kfp_client::{RunEvent, WatchRuns};
    ///
    /// let mut events = std::pin::pin!(client.runs().watch(WatchRuns::new().namespace("team-a")));
    /// while let Some(event) = events.try_next().await? {
    ///     if let RunEvent::Changed(change) = event {
    ///         println!("{} {:?} {:?}", change.run.display_name, change.run.state, change.outcome);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch(&self, request: WatchRuns) -> impl Stream<Item = Result<RunEvent>> + Send + 'static {
        Watch::new(self.clone(), "runs.watch", request).stream()
    }
}

impl v1::Runs {
    /// Watches many runs as a stream of what happens to them: the same as
    /// [`Runs::watch`](crate::Runs::watch) of the newer API, also on KFP 1.8.
    ///
    /// Lists of this API say nothing of tasks, nor whether a run that failed was terminated. So one more request is
    /// made for each run that failed and was not seen being terminated, for each that ended while its tasks were
    /// followed, and in each round for as many runs in progress as [`WatchRuns::details`] allows. The keys of a
    /// [filter](WatchRuns::filter) are those of this API.
    ///
    /// ```no_run
    /// # async fn example(client: kfp_client::Client) -> kfp_client::Result<()> {
    /// use futures_util::TryStreamExt;
    /// use kfp_client::{RunEvent, WatchRuns};
    ///
    /// let mut events = std::pin::pin!(client.v1().runs().watch(WatchRuns::new().namespace("team-a")));
    /// while let Some(event) = events.try_next().await? {
    ///     if let RunEvent::Changed(change) = event {
    ///         println!("{} {:?} {:?}", change.run.run.name, change.state, change.outcome);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch(&self, request: WatchRuns) -> impl Stream<Item = Result<RunEvent<v1::RunDetail>>> + Send + 'static {
        Watch::new(self.clone(), "v1.runs.watch", request).stream()
    }
}

impl<F: Feed> Watch<F> {
    fn stream(self) -> impl Stream<Item = Result<RunEvent<F::Run>>> + Send + 'static {
        stream::unfold(self, |mut watch| async move {
            let item = watch.next().await?;
            Some((item, watch))
        })
    }

    fn new(feed: F, operation: &'static str, request: WatchRuns) -> Self {
        let start = request.since.unwrap_or(Timestamp::UNIX_EPOCH);
        let tracker = Tracker::new(request.run_ids.clone(), request.remember, request.settle);
        let mut watch = Self {
            feed,
            operation,
            tracker,
            patience: Patience::new(request.patience),
            deadline: request.timeout.map(|timeout| request.pacer.now() + timeout),
            phase: Phase::Rest,
            from: start,
            from_next: start,
            old: request
                .since
                .and_then(|since| since.checked_sub(Duration::from_secs(1)).ok()),
            ends: "finished_at",
            ended: HashSet::new(),
            ready: VecDeque::new(),
            delay: None,
            restarted: false,
            requests: 0,
            request,
        };
        watch.begin_round();
        if watch.request.since.is_none() && watch.request.run_ids.is_none() {
            watch.phase = Phase::Baseline;
        }
        watch
    }

    async fn next(&mut self) -> Option<Result<RunEvent<F::Run>>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if matches!(self.phase, Phase::Over) {
                return None;
            }
            let pause = match self.phase {
                Phase::Rest => Some(self.request.interval),
                _ => self.delay.take(),
            };
            if let Some(pause) = pause {
                let left = self.left().unwrap_or(pause);
                self.request.pacer.pause(pause.min(left)).await;
                if matches!(self.phase, Phase::Rest) {
                    self.begin_round();
                }
            }
            if self.left().is_some_and(|left| left.is_zero()) {
                self.phase = Phase::Over;
                return Some(Err(self.time_is_up()));
            }
            if let Err(error) = self.step().await
                && let Some(error) = self.fault(error)
            {
                self.phase = Phase::Over;
                return Some(Err(error));
            }
        }
    }

    fn left(&self) -> Option<Duration> {
        let deadline = self.deadline?;
        Some(deadline.saturating_sub(self.request.pacer.now()))
    }

    fn time_is_up(&self) -> Error {
        let message = format!("the time is up, and {} runs have not ended", self.tracker.live());
        match self.feed.call(self.operation, None) {
            Ok(call) => out_of_time(&call, message),
            Err(error) => error,
        }
    }

    fn begin_round(&mut self) {
        self.tracker.begin_round();
        self.from = self.from_next;
        self.restarted = false;
        self.requests = 0;
        self.phase = match self.tracker.only() {
            // So few are asked for by their ids, whatever else runs on the server.
            Some(only) if only.len() <= BATCH => Phase::LookUp(only.iter().cloned().collect()),
            _ => Phase::Live(None),
        };
    }

    /// What is to be done about a fault: nothing but a pause, or the end.
    fn fault(&mut self, error: Error) -> Option<Error> {
        // A token that the server does not take (any more) is no reason to give up: the list is begun again, once.
        let token = matches!(self.phase, Phase::Live(Some(_)) | Phase::Finished(Some(_)));
        if token && !self.restarted && matches!(error, Error::InvalidArgument(_)) {
            self.restarted = true;
            match &mut self.phase {
                Phase::Live(token) | Phase::Finished(token) => *token = None,
                _ => {}
            }
            return None;
        }
        let by_end = matches!(self.phase, Phase::Baseline | Phase::Finished(None)) && self.ends == "finished_at";
        if F::BARE_LISTS && by_end && matches!(error, Error::InvalidArgument(_)) {
            self.ends = "created_at";
            return None;
        }
        match self.patience.bear(error, self.request.pacer.now()) {
            Ok(borne) => {
                self.delay = Some(borne.pause);
                if borne.first {
                    self.ready.push_back(RunEvent::Trouble(borne.error));
                }
                None
            }
            Err(error) => Some(error),
        }
    }

    /// Asks for one page and takes in what it says.
    async fn step(&mut self) -> Result<()> {
        match &self.phase {
            Phase::Baseline => {
                let order = format!("{} desc", self.ends);
                let page = self.list(1, None, &order, self.request.filter.clone()).await?;
                let latest = page.items.first();
                let (latest, old) = if self.ends == "finished_at" {
                    let end = latest.and_then(Followed::finished_at);
                    (end, end)
                } else {
                    // The latest end is not known, but every one that is listed in this round has been.
                    (latest.and_then(Followed::created_at), Some(Timestamp::MAX))
                };
                let latest = latest.unwrap_or(Timestamp::UNIX_EPOCH);
                self.old = Some(old.unwrap_or(Timestamp::UNIX_EPOCH));
                self.from = latest;
                self.from_next = latest;
                self.phase = Phase::Live(None);
            }
            Phase::Live(token) => {
                let token = token.clone();
                // What is not final, rather than what is: a state of a newer server is not missed.
                let own = self.request.filter.clone();
                let filter = F::FINAL
                    .iter()
                    .fold(own, |filter, state| filter.not_equals(F::STATE, *state));
                let page = self.list(PAGE, token.clone(), "created_at asc", filter).await?;
                let next = next_token(&page, token.as_deref());
                self.take(page.items);
                match next {
                    Some(next) => self.phase = Phase::Live(Some(next)),
                    None => self.end_of_live(),
                }
            }
            Phase::Finished(token) => {
                let token = token.clone();
                let overlap = self.request.overlap;
                // Runs that have not ended carry the epoch itself.
                let earliest = Timestamp::from_second(1).unwrap_or(Timestamp::UNIX_EPOCH);
                let from = self.from.checked_sub(overlap).unwrap_or(earliest).max(earliest);
                let filter = self.request.filter.clone().since(self.ends, from);
                let order = format!("{} desc", self.ends);
                let page = self.list(PAGE, token.clone(), &order, filter).await?;
                let next = next_token(&page, token.as_deref());
                self.take(page.items);
                if let Some(next) = next {
                    self.phase = Phase::Finished(Some(next));
                } else {
                    self.old = None;
                    let missing = self.tracker.missing();
                    self.look_up(missing);
                }
            }
            Phase::LookUp(ids) => {
                let rest = ids.len().saturating_sub(BATCH);
                let batch: Vec<RunId> = ids.iter().skip(rest).cloned().collect();
                let filter = self
                    .request
                    .filter
                    .clone()
                    .one_of(F::ID, batch.iter().map(RunId::as_str));
                let page = self.list(PAGE, None, "created_at asc", filter).await?;
                let whole = page.broken.is_empty();
                self.take(page.items);
                for error in &page.broken {
                    tracing::warn!(%error, "a run that is watched cannot be read");
                }
                // Which run it is that could not be read is not known, so none is given up.
                for id in batch.into_iter().filter(|_| whole) {
                    if self.tracker.gone(&id) {
                        self.ready.push_back(RunEvent::Gone(id));
                    }
                }
                if let Phase::LookUp(ids) = &mut self.phase {
                    ids.truncate(rest);
                    let ids = std::mem::take(ids);
                    self.look_up(ids);
                }
            }
            Phase::Details(ids) => {
                if let Some(id) = ids.last().cloned() {
                    self.look_at(&id).await?;
                }
                if let Phase::Details(ids) = &mut self.phase {
                    ids.pop();
                    let ids = std::mem::take(ids);
                    self.details(ids);
                }
            }
            Phase::Rest | Phase::Over => {}
        }
        Ok(())
    }

    fn end_of_live(&mut self) {
        // A run that was not seen now was made after this moment, so it ends after it as well.
        self.from_next = self.tracker.newest().unwrap_or(self.from).max(self.from);
        if self.tracker.only().is_some() {
            let missing = self.tracker.missing();
            self.look_up(missing);
        } else {
            self.phase = Phase::Finished(None);
        }
    }

    fn look_up(&mut self, ids: Vec<RunId>) {
        if !ids.is_empty() {
            self.phase = Phase::LookUp(ids);
            return;
        }
        let mut ids = std::mem::take(&mut self.ended);
        if F::BARE_LISTS {
            ids.extend(self.tracker.stalest(self.request.details));
        }
        self.details(ids.into_iter().collect());
    }

    /// Asks for what lists do not say of one run.
    async fn look_at(&mut self, id: &RunId) -> Result<()> {
        let found = self.feed.detail(id).await;
        self.requests += 1;
        match found {
            Ok(run) => {
                let change = self.tracker.observe(run, self.request.pacer.now());
                self.ready
                    .extend(change.map(|change| RunEvent::Changed(Box::new(change))));
            }
            Err(Error::NotFound(_)) => {
                if self.tracker.forget(id) {
                    self.ready.push_back(RunEvent::Gone(id.clone()));
                }
            }
            Err(error) => return Err(error),
        }
        self.patience.restore();
        Ok(())
    }

    fn details(&mut self, ids: Vec<RunId>) {
        if !ids.is_empty() {
            self.phase = Phase::Details(ids);
            return;
        }
        self.ready.push_back(RunEvent::CaughtUp {
            live: self.tracker.live(),
            requests: self.requests,
        });
        let all_ended = self.tracker.only().is_some() && self.tracker.live() == 0;
        self.phase = if all_ended { Phase::Over } else { Phase::Rest };
    }

    fn take(&mut self, runs: Vec<F::Run>) {
        let now = self.request.pacer.now();
        for run in runs {
            if let (Some(old), Some(finished)) = (self.old, run.finished_at())
                && finished <= old
                && !self.tracker.follows(run.id())
            {
                self.tracker.known_end(&run);
            } else if F::BARE_LISTS && self.tracker.wants_detail(&run) {
                self.ended.insert(run.id().clone());
            } else if let Some(change) = self.tracker.observe(run, now) {
                self.ready.push_back(RunEvent::Changed(Box::new(change)));
            }
        }
    }

    async fn list(&mut self, size: u32, token: Option<String>, sort_by: &str, filter: Filter) -> Result<Page<F::Run>> {
        let scope = &self.request.scope;
        let page = self.feed.page(scope, size, token, sort_by, filter).await?;
        self.patience.restore();
        self.requests += 1;
        Ok(page)
    }
}

/// The token of the next page. One that comes back unchanged would go round for ever.
fn next_token<R>(page: &Page<R>, token: Option<&str>) -> Option<String> {
    page.next_page_token.clone().filter(|next| Some(next.as_str()) != token)
}
