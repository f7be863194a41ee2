//! The scheduled-workflow controller: recurring runs that fire as the clock moves.
//!
//! However far the clock has moved since the last request, everything happens in its order: a recurring run fires at
//! each of its times, each run advances at its own, and the next one fires when there is room for it.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Generation;
use super::answer::Refusal;
use super::call::{Call, Json};
use super::context::{Context, Core, State, fresh_id};
use super::recurring_runs::RecurringRun;
use super::runs::{NewRun, Run, is_final};
use super::schedule::{Moment, NEVER};
use super::sources::{Plan, Source, as_text};
use super::template::Template;

/// Most runs that fire within one look at the clock; the rest fire with the next.
const MOST: usize = 1_000;

/// Kubernetes makes names unique with five of these.
const SUFFIX: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The name of the `ScheduledWorkflow` object of a recurring run: of its own name what Kubernetes allows, and a suffix.
pub(super) fn object_name(name: &str) -> String {
    let plain = |letter: &char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || *letter == '-';
    let mut object: String = name.to_lowercase().chars().filter(plain).collect();
    if object.is_empty() {
        "job-".clone_into(&mut object);
    }
    object.truncate(25);
    let random = uuid::Uuid::new_v4();
    let letters = random.as_bytes().iter().take(5);
    object.extend(letters.filter_map(|byte| SUFFIX.get(usize::from(*byte) % SUFFIX.len()).copied().map(char::from)));
    object
}

/// The name of a run: object, number, and a hash of both.
fn occasion_name(object: &str, index: i64) -> String {
    let name = format!("{object}-{index}");
    let hash = name.bytes().fold(2_166_136_261_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(16_777_619)
    });
    format!("{name}-{hash}")
}

impl RecurringRun {
    /// When it is due next, as seen from `now`.
    fn due(&self, now: i64) -> i64 {
        self.schedule.next(Moment {
            created: self.created_at,
            last: self.last_due,
            now,
            catchup: !self.no_catchup,
        })
    }
}

impl Core {
    /// Brings runs and recurring runs to where they are at this time.
    pub(super) fn catch_up(self: &Arc<Self>, state: &mut State, now: Timestamp) {
        let mut room = MOST;
        let mut time = state.reached.unwrap_or(now).min(now);
        self.engine.advance(state, &self.settings, time);
        loop {
            if !self.fire(state, time, &mut room) {
                state.reached = Some(time);
                return;
            }
            let due = |row: &RecurringRun| Timestamp::from_second(row.due(time.as_second())).ok();
            let enabled = state.recurring_runs.values().filter(|row| row.enabled);
            let next = enabled.filter_map(due).filter(|due| *due > time).min();
            let next = next.into_iter().chain(self.engine.due()).min();
            match next {
                Some(next) if next < now => time = next,
                _ if time < now => time = now,
                _ => break,
            }
            self.engine.advance(state, &self.settings, time);
        }
        state.reached = Some(now);
    }

    /// Makes the runs that are due at this time; `false` if there are too many for one go.
    fn fire(self: &Arc<Self>, state: &mut State, time: Timestamp, room: &mut usize) -> bool {
        let now = time.as_second();
        let ids: Vec<String> = state.recurring_runs.keys().cloned().collect();
        for id in ids {
            while let Some(due) = self.to_fire(state, &id, now) {
                if *room == 0 {
                    return false;
                }
                *room -= 1;
                let call = Call::internal();
                let mut context = Context {
                    core: self,
                    state,
                    call: &call,
                    time,
                    now,
                };
                // The controller tries again later, as this does with the next look at the clock.
                if context.make_run(&id, due).is_err() {
                    break;
                }
            }
        }
        true
    }

    /// The time for which a recurring run is to make a run now, if it is.
    fn to_fire(&self, state: &State, id: &str, now: i64) -> Option<i64> {
        let row = state.recurring_runs.get(id).filter(|row| row.enabled)?;
        let due = row.due(now);
        if due == NEVER || due > now {
            return None;
        }
        let own = state.runs.values().filter(|run| run.recurring_run_id == id);
        let mut active = own.filter(|run| !is_final(run.state)).count();
        // Workflows that a 2.5 server makes for its controller lack the label by which the controller counts them.
        if self.settings.generation == Generation::V2_5 && row.template.is_none() {
            active = 0;
        }
        (i64::try_from(active).unwrap_or(i64::MAX) < row.max_concurrency).then_some(due)
    }
}

impl Context<'_> {
    fn make_run(&mut self, id: &str, due: i64) -> Result<(), Refusal> {
        let row = self.state.recurring_runs.get(id).cloned();
        let row = row.ok_or_else(|| Refusal::not_found("Job", id))?;
        let index = row.index + 1;
        let name = occasion_name(&row.object, index);
        match &row.template {
            None => self.ask_for_run(&row, &name)?,
            Some(template) => self.report_run(&row, &name, template, (due, index)),
        }
        let now = self.now;
        if let Some(row) = self.state.recurring_runs.get_mut(id) {
            row.last_due = Some(due);
            row.index = index;
            row.condition = "Enabled";
            row.updated_at = now;
        }
        Ok(())
    }

    /// A run of the latest version: the controller asks the server for it, as a client would.
    fn ask_for_run(&mut self, row: &RecurringRun, name: &str) -> Result<(), Refusal> {
        let Source::Version { pipeline_id, .. } = &row.plan.source else {
            return Err(Refusal::not_found("Pipeline", ""));
        };
        let body = json!({
            "pipeline_version_reference": {"pipeline_id": pipeline_id},
            "runtime_config": {"parameters": row.plan.parameters, "pipeline_root": row.plan.pipeline_root},
        });
        let (mut plan, template) = self.plan_v2(&body)?;
        plan.configured = false;
        let asked = NewRun {
            id: "",
            name,
            description: "",
            experiment_id: &row.experiment_id,
            service_account: &row.service_account,
            recurring_run_id: &row.id,
            archived: false,
            plugins_input: None,
        };
        self.create_run(&asked, &row.experiment_id, &row.namespace, plan, &template)?;
        Ok(())
    }

    /// A run of what the recurring run holds itself: the controller starts the workflow, and the run comes to be when
    /// the persistence agent reports it. It has no service account, and is named as its workflow.
    fn report_run(&mut self, row: &RecurringRun, name: &str, template: &Template, due: (i64, i64)) {
        let id = fresh_id();
        let names = (name, name);
        self.start_workflow(&id, names, &row.namespace, &row.plan, template, Some(due));
        let plan = if self.generation().has_v2() {
            Plan {
                configured: false,
                ..row.plan.clone()
            }
        } else {
            workflow_plan(name, template, &row.plan.parameters)
        };
        let run = Run {
            id: id.clone(),
            name: name.to_owned(),
            description: String::new(),
            experiment_id: row.experiment_id.clone(),
            namespace: row.namespace.clone(),
            archived: false,
            created_at: self.now,
            scheduled_at: due.0,
            finished_at: 0,
            state: "PENDING",
            history: vec![(self.now, "PENDING")],
            plan,
            service_account: String::new(),
            recurring_run_id: row.id.clone(),
            plugins_input: None,
            metrics: Vec::new(),
            nodes: Vec::new(),
            reported: true,
            workflow: name.to_owned(),
        };
        self.state.runs.insert(id, run);
        if let Some(home) = self.state.experiments.get_mut(&row.experiment_id) {
            home.last_run_created_at = self.now;
        }
    }

    /// With a recurring run Kubernetes deletes the workflows that it owns; their runs stay as they were last reported.
    pub(super) fn collect_garbage(&mut self, recurring_run: &str) {
        let own = self
            .state
            .runs
            .values()
            .filter(|run| run.recurring_run_id == recurring_run);
        let running: Vec<String> = own
            .filter(|run| !is_final(run.state))
            .map(|run| run.id.clone())
            .collect();
        for run in running {
            self.core.engine.stop(&run);
        }
    }
}

/// The source of a run that a 1.8 server knows by its workflow alone.
fn workflow_plan(name: &str, template: &Template, parameters: &Map<String, Value>) -> Plan {
    let mut workflow = template.shown();
    if let Some(map) = workflow.as_object_mut() {
        map.insert(
            "metadata".to_owned(),
            json!({"generateName": name, "creationTimestamp": null}),
        );
    }
    let declared = workflow
        .pointer_mut("/spec/arguments/parameters")
        .and_then(Value::as_array_mut);
    for parameter in declared.into_iter().flatten() {
        let given = parameters.get(parameter.text("name")).map(as_text);
        if let (Some(given), Some(map)) = (given, parameter.as_object_mut()) {
            map.insert("value".to_owned(), given.into());
        }
    }
    Plan {
        source: Source::Inline {
            text: workflow.to_string(),
            shown: workflow,
            argo: true,
        },
        parameters: Map::new(),
        pipeline_root: String::new(),
        configured: false,
    }
}
