//! What is remembered of the runs that are followed, and what of an answer is news.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use jiff::Timestamp;

use super::followed::{Followed, TaskState};
use crate::{
    endpoint::path_id,
    ids::RunId,
    v2::runs::model::{Run, RunOutcome, RuntimeState},
};

/// News of a run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RunChange<R = Run> {
    /// The run as the server reported it. Of `v1beta1` its workflow is there only if the server was asked for it.
    pub run: R,
    /// Its state, of `v1beta1` in the words of the newer API.
    pub state: RuntimeState,
    /// State it had before; `None` if it had not been seen.
    pub previous: Option<RuntimeState>,
    /// How it stands. Tells a run that was terminated from one that failed, also where only the states seen on the
    /// way tell it.
    pub outcome: RunOutcome,
    /// Whether this is its end: the state is final, and so are its tasks unless they did not follow in time.
    pub ended: bool,
    /// Whether it had ended before and was retried.
    pub revived: bool,
    /// The tasks that changed; all of them when they are first seen. Through `v1beta1` they are the nodes of the
    /// workflow, without those that only hold others together.
    pub tasks: Vec<TaskChange>,
}

/// News of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskChange {
    /// Id of the task.
    pub task_id: String,
    /// Its name.
    pub display_name: String,
    /// State it had before; `None` if it had not been seen.
    pub previous: Option<RuntimeState>,
    /// Its state.
    pub state: RuntimeState,
}

/// A run that has not ended, in a few words: of thousands no more is kept.
#[derive(Debug, Default)]
struct Live {
    /// `None` until it is first seen.
    state: Option<RuntimeState>,
    canceling: bool,
    seen_in: u64,
    /// When its state became final while its tasks had not.
    settling: Option<Duration>,
    /// Round in which its tasks were last asked for by themselves.
    looked: u64,
    /// Tasks by a digest of their id, sorted.
    tasks: Vec<(u64, RuntimeState)>,
}

#[derive(Debug, PartialEq)]
struct Ended {
    state: RuntimeState,
    finished_at: Option<Timestamp>,
}

/// Runs that are followed.
#[derive(Debug)]
pub(super) struct Tracker {
    only: Option<HashSet<RunId>>,
    live: HashMap<RunId, Live>,
    ended: HashMap<RunId, Ended>,
    order: VecDeque<RunId>,
    remember: usize,
    settle: Duration,
    round: u64,
    newest: Option<Timestamp>,
}

impl Tracker {
    /// `only`: the runs to follow; all if there is none.
    pub(super) fn new(only: Option<HashSet<RunId>>, remember: usize, settle: Duration) -> Self {
        let live = only.iter().flatten().map(|id| (id.clone(), Live::default())).collect();
        Self {
            only,
            live,
            ended: HashMap::new(),
            order: VecDeque::new(),
            remember,
            settle,
            round: 0,
            newest: None,
        }
    }

    pub(super) fn only(&self) -> Option<&HashSet<RunId>> {
        self.only.as_ref()
    }

    pub(super) fn live(&self) -> usize {
        self.live.len()
    }

    /// The latest time that the server has told of any run.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    pub(super) fn begin_round(&mut self) {
        self.round += 1;
    }

    /// Runs that have not ended and did not come up in this round: they have ended, or are gone.
    pub(super) fn missing(&self) -> Vec<RunId> {
        let missing = self.live.iter().filter(|(_, live)| live.seen_in != self.round);
        missing.map(|(id, _)| id.clone()).collect()
    }

    /// Forgets a run that the server does not have; `false` if it had been forgotten or has come up meanwhile.
    pub(super) fn gone(&mut self, id: &RunId) -> bool {
        if self.live.get(id).is_some_and(|live| live.seen_in != self.round) {
            return self.live.remove(id).is_some();
        }
        false
    }

    /// Whether the run is among those that have not ended.
    pub(super) fn follows(&self, id: &RunId) -> bool {
        self.live.contains_key(id)
    }

    /// Forgets a run that is gone for sure; `false` if it had been forgotten.
    pub(super) fn forget(&mut self, id: &RunId) -> bool {
        self.live.remove(id).is_some()
    }

    /// Whether more has to be known of a run than a list says before it is told: it has ended, and whether it was
    /// terminated, or what became of its tasks, is not known.
    pub(super) fn wants_detail(&mut self, run: &impl Followed) -> bool {
        let state = run.state();
        if !state.is_final() || self.is_told(run, &state) || !self.is_asked_for(run.id()) || !is_reachable(run.id()) {
            return false;
        }
        let live = self.live.get_mut(run.id());
        let wanted = match &live {
            Some(live) => !live.tasks.is_empty() || (state == RuntimeState::Failed && !live.canceling),
            None => state == RuntimeState::Failed,
        };
        if let Some(live) = live.filter(|_| wanted) {
            live.seen_in = self.round;
        }
        wanted
    }

    /// Runs that have not ended whose tasks were not asked for the longest, at most so many.
    pub(super) fn stalest(&mut self, most: usize) -> Vec<RunId> {
        let live = self.live.iter_mut();
        let mut all: Vec<_> = live
            .filter(|(id, live)| live.state.is_some() && is_reachable(id))
            .collect();
        all.sort_by_key(|(_, live)| live.looked);
        let round = self.round;
        let chosen = all.into_iter().take(most).map(|(id, live)| {
            live.looked = round;
            id.clone()
        });
        chosen.collect()
    }

    /// Notes the end of a run that is no news.
    pub(super) fn known_end(&mut self, run: &impl Followed) {
        self.note(run);
        self.remember(run);
    }

    fn note(&mut self, run: &impl Followed) {
        self.newest = self.newest.max(run.created_at()).max(run.finished_at());
    }

    fn is_asked_for(&self, id: &RunId) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(id))
    }

    fn is_told(&self, run: &impl Followed, state: &RuntimeState) -> bool {
        let before = self.ended.get(run.id());
        let told = before.is_some_and(|ended| ended.state == *state && ended.finished_at == run.finished_at());
        told && !self.live.contains_key(run.id())
    }

    /// Takes in what the server says of a run; `None` if it is no news.
    pub(super) fn observe<R: Followed>(&mut self, run: R, now: Duration) -> Option<RunChange<R>> {
        self.note(&run);
        let state = run.state();
        if !self.is_asked_for(run.id()) || self.is_told(&run, &state) {
            return None;
        }
        let ended_before = self.ended.get(run.id()).map(|ended| ended.state.clone());
        let live = self.live.entry(run.id().clone()).or_default();
        live.seen_in = self.round;
        let previous = live.state.clone().or_else(|| ended_before.clone());
        let revived = !state.is_final() && previous.as_ref().is_some_and(RuntimeState::is_final);
        let tasks = run.tasks().map(|tasks| live.compare(&tasks)).unwrap_or_default();
        // A retry begins anew; until then a termination is remembered, since the history gets it late.
        live.canceling = state == RuntimeState::Canceling || (live.canceling && state.is_final());
        let outcome = run.outcome_after(live.canceling);
        let ended = state.is_final() && live.settled(&run, now, self.settle);
        let changed = previous.as_ref() != Some(&state) || live.state.is_none();
        live.state = Some(state.clone());
        if !state.is_final() {
            live.settling = None;
            self.ended.remove(run.id());
        }
        if ended {
            self.live.remove(run.id());
            self.remember(&run);
        } else if !changed && tasks.is_empty() {
            return None;
        }
        Some(RunChange {
            run,
            state,
            previous,
            outcome,
            ended,
            revived,
            tasks,
        })
    }

    fn remember(&mut self, run: &impl Followed) {
        let ended = Ended {
            state: run.state(),
            finished_at: run.finished_at(),
        };
        if self.ended.insert(run.id().clone(), ended).is_none() {
            self.order.push_back(run.id().clone());
        }
        // The order also holds runs that came back to life and were taken out of the table.
        while self.order.len() > self.remember {
            if let Some(oldest) = self.order.pop_front() {
                self.ended.remove(&oldest);
            }
        }
    }
}

impl Live {
    /// Whether nothing more is to come of a run whose state is final. Tasks are written after the run's state (KFP
    /// 2.17), so those in progress get some time to follow.
    fn settled(&mut self, run: &impl Followed, now: Duration, settle: Duration) -> bool {
        let since = *self.settling.get_or_insert(now);
        run.tasks_are_final() || now.saturating_sub(since) >= settle
    }

    /// The tasks that differ from those remembered, which they replace.
    fn compare(&mut self, tasks: &[TaskState<'_>]) -> Vec<TaskChange> {
        let mut now = Vec::with_capacity(tasks.len());
        let mut changes = Vec::new();
        for task in tasks {
            let state = task.state.clone();
            let digest = digest(task);
            let place = self.tasks.binary_search_by_key(&digest, |(digest, _)| *digest);
            let previous = place.ok().and_then(|place| self.tasks.get(place));
            let previous = previous.map(|(_, state)| state.clone());
            if previous.as_ref() != Some(&state) {
                changes.push(TaskChange {
                    task_id: task.id.to_string(),
                    display_name: task.name.to_string(),
                    previous,
                    state: state.clone(),
                });
            }
            now.push((digest, state));
        }
        now.sort_unstable_by_key(|(digest, _)| *digest);
        self.tasks = now;
        changes
    }
}

/// Whether the run can be asked for by its id. Servers take ids that no path can hold.
fn is_reachable(id: &RunId) -> bool {
    path_id("run_id", id.as_str()).is_ok()
}

fn digest(task: &TaskState<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    let names = [&task.id, &task.pod, &task.name];
    names.into_iter().find(|name| !name.is_empty()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "reads better where it is called")]
    fn run(state: &str, finished: &str, tasks: Value) -> Run {
        serde_json::from_value(json!({"run_id": "r", "state": state, "finished_at": finished,
            "created_at": "2026-11-23T21:00:00Z", "run_details": {"task_details": tasks}}))
        .unwrap()
    }

    fn task(id: &str, state: &str) -> Value {
        json!({"task_id": id, "display_name": id, "state": state})
    }

    const NEVER: &str = "1970-01-01T00:00:00Z";
    const NOW: Duration = Duration::ZERO;

    #[test]
    fn only_changes_are_news() {
        let mut tracker = Tracker::new(None, 10, Duration::ZERO);
        tracker.begin_round();
        let first = tracker.observe(run("RUNNING", NEVER, json!([task("a", "RUNNING")])), NOW);
        let first = first.unwrap();
        assert_eq!((first.previous, first.tasks.len(), first.ended), (None, 1, false));
        // The same in another order of tasks.
        assert_eq!(
            tracker.observe(run("RUNNING", NEVER, json!([task("a", "RUNNING")])), NOW),
            None
        );
        let next = tracker.observe(
            run("RUNNING", NEVER, json!([task("b", "PENDING"), task("a", "SUCCEEDED")])),
            NOW,
        );
        let next = next.unwrap();
        let names: Vec<_> = next.tasks.iter().map(|task| task.display_name.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!(next.tasks[1].previous, Some(RuntimeState::Running));
        assert_eq!(next.previous, Some(RuntimeState::Running));
    }

    #[test]
    fn an_end_is_told_once_and_a_retry_revives() {
        let mut tracker = Tracker::new(None, 10, Duration::ZERO);
        let over = || run("FAILED", "2026-11-23T21:02:00Z", json!([]));
        assert!(tracker.observe(over(), NOW).unwrap().ended);
        assert_eq!(tracker.observe(over(), NOW), None);
        let again = tracker.observe(run("RUNNING", NEVER, json!([])), NOW).unwrap();
        assert!(again.revived && !again.ended);
        assert_eq!(again.previous, Some(RuntimeState::Failed));
        assert!(tracker.observe(over(), NOW).unwrap().ended);
        // Retried and failed again between two looks: only the time tells.
        let later = run("FAILED", "2026-11-23T21:09:00Z", json!([]));
        assert!(tracker.observe(later, NOW).unwrap().ended);
    }

    #[test]
    fn a_termination_that_was_seen_is_remembered_until_a_retry() {
        let mut tracker = Tracker::new(None, 10, Duration::ZERO);
        tracker.observe(run("CANCELING", NEVER, json!([])), NOW);
        let end = tracker
            .observe(run("FAILED", "2026-11-23T21:02:00Z", json!([])), NOW)
            .unwrap();
        assert_eq!(end.outcome, RunOutcome::Cancelled);
        tracker.observe(run("RUNNING", NEVER, json!([])), NOW);
        let end = tracker
            .observe(run("FAILED", "2026-11-23T21:03:00Z", json!([])), NOW)
            .unwrap();
        assert_eq!(end.outcome, RunOutcome::Failed);
    }

    #[test]
    fn tasks_that_lag_get_time_and_not_for_ever() {
        let mut tracker = Tracker::new(None, 10, Duration::from_secs(5));
        let lagging = || run("SUCCEEDED", "2026-11-23T21:02:00Z", json!([task("a", "RUNNING")]));
        assert!(!tracker.observe(lagging(), NOW).unwrap().ended);
        tracker.begin_round();
        assert_eq!(tracker.missing().len(), 1);
        assert_eq!(tracker.observe(lagging(), Duration::from_secs(4)), None);
        assert!(tracker.observe(lagging(), Duration::from_secs(5)).unwrap().ended);
        assert_eq!(tracker.live(), 0);
    }

    #[test]
    fn what_is_remembered_of_ended_runs_is_bounded() {
        let mut tracker = Tracker::new(None, 3, Duration::ZERO);
        for number in 0..100 {
            let mut run = run("SUCCEEDED", "2026-11-23T21:02:00Z", json!([]));
            run.run_id = RunId::new(number.to_string());
            tracker.observe(run, NOW).unwrap();
        }
        assert_eq!(
            (tracker.ended.len(), tracker.order.len(), tracker.live.len()),
            (3, 3, 0)
        );
    }
}
