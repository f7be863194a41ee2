//! Runs of the v2beta1 API, and what both versions share.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::access::Access;
use super::answer::{Answer, Code, Message, Refusal};
use super::call::Json;
use super::context::{Context, State, fresh_id};
use super::execution::{Launch, Macros, Node};
use super::experiments::storage;
use super::fault::Trouble;
use super::list::{Column, ListOptions, Listed};
use super::messages::RUN;
use super::sources::{Plan, Source};
use super::template::Template;

/// A row.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) experiment_id: String,
    pub(super) namespace: String,
    pub(super) archived: bool,
    pub(super) created_at: i64,
    pub(super) scheduled_at: i64,
    /// 0 until the end.
    pub(super) finished_at: i64,
    pub(super) state: &'static str,
    pub(super) history: Vec<(i64, &'static str)>,
    pub(super) plan: Plan,
    pub(super) service_account: String,
    pub(super) recurring_run_id: String,
    pub(super) plugins_input: Option<Value>,
    pub(super) metrics: Vec<Map<String, Value>>,
    pub(super) nodes: Vec<Node>,
    /// Whether a workflow has reported yet.
    pub(super) reported: bool,
    /// Name of the Kubernetes object that runs it.
    pub(super) workflow: String,
}

impl Listed for Run {
    const KIND: &'static str = "Run";
    const TABLE: &'static str = "run_details";
    const KEYS: &'static [&'static str] = &[
        "run_id",
        "id",
        "display_name",
        "name",
        "created_at",
        "finished_at",
        "scheduled_at",
        "description",
        "storage_state",
        "status",
        "state",
        "namespace",
        "runtime_details",
    ];
    const UNSORTED: &'static [&'static str] = &["experiment_id", "state_history", "recurring_run_id"];
    const OLD_KEYS: &'static [&'static str] = &[
        "id",
        "name",
        "created_at",
        "description",
        "scheduled_at",
        "storage_state",
        "status",
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn column(&self, key: &str) -> Column {
        let text = match key {
            "run_id" | "id" => self.id.as_str(),
            "display_name" | "name" => self.name.as_str(),
            "description" => self.description.as_str(),
            "namespace" => self.namespace.as_str(),
            "experiment_id" => self.experiment_id.as_str(),
            "recurring_run_id" => self.recurring_run_id.as_str(),
            "storage_state" => storage(self.archived),
            "state" => self.state,
            "status" => v1_status(self.state),
            "state_history" | "runtime_details" => "",
            "finished_at" => return Column::Number(self.finished_at),
            "scheduled_at" => return Column::Number(self.scheduled_at),
            metric if metric.starts_with("metric:") => {
                let name = metric.trim_start_matches("metric:");
                let found = self
                    .metrics
                    .iter()
                    .find(|metric| metric.get("name").and_then(Value::as_str) == Some(name));
                let value = found
                    .and_then(|metric| metric.get("number_value"))
                    .and_then(Value::as_f64)
                    .unwrap_or_default();
                return Column::Text(format!("{value:020.6}"));
            }
            _ => return Column::Number(self.created_at),
        };
        Column::Text(text.to_owned())
    }
}

/// The v1 words for states.
pub(super) fn v1_status(state: &str) -> &'static str {
    match state {
        "PENDING" | "PAUSED" => "Pending",
        "RUNNING" => "Running",
        "SUCCEEDED" => "Succeeded",
        "SKIPPED" => "Skipped",
        "CANCELING" => "Terminating",
        "FAILED" | "CANCELED" => "Failed",
        _ => "",
    }
}

/// Whether a state is the last.
pub(super) fn is_final(state: &str) -> bool {
    matches!(state, "SUCCEEDED" | "SKIPPED" | "FAILED" | "CANCELED")
}

impl Run {
    /// What a workflow's report does to the row.
    pub(super) fn report(&mut self, state: &'static str, now: i64) {
        self.reported = true;
        if is_final(self.state) || self.state == state || self.state == "CANCELING" && !is_final(state) {
            return;
        }
        if self.state == "CANCELING" {
            self.history.push((now, "CANCELING"));
        }
        self.state = state;
        self.history.push((now, state));
        if is_final(state) {
            self.finished_at = now;
        }
    }

    /// Takes over a node of the workflow: new, or changed.
    pub(super) fn report_node(&mut self, node: Node) {
        self.reported = true;
        match self.nodes.iter_mut().find(|known| known.id == node.id) {
            Some(known) => {
                let mut node = node;
                node.task_id.clone_from(&known.task_id);
                let last = node.history.last().copied();
                node.history.clone_from(&known.history);
                if node.state != known.state {
                    node.history.extend(last);
                }
                *known = node;
            }
            None => self.nodes.push(node),
        }
    }

    fn details(&self) -> Option<Value> {
        if !self.reported || self.nodes.is_empty() {
            return None;
        }
        let tasks: Value = self.nodes.iter().map(|node| node.v2(&self.id)).collect();
        Some(Message::new().value("task_details", tasks).done())
    }

    pub(super) fn v2(&self) -> Value {
        let history: Value = self
            .history
            .iter()
            .map(|(time, state)| Message::new().time("update_time", *time).text("state", state).done())
            .collect();
        let message = Message::new()
            .text("experiment_id", &self.experiment_id)
            .text("run_id", &self.id)
            .text("display_name", &self.name)
            .text("storage_state", storage(self.archived))
            .text("description", &self.description);
        self.plan
            .v2(message)
            .text("service_account", &self.service_account)
            .time("created_at", self.created_at)
            .time("scheduled_at", self.scheduled_at)
            .time("finished_at", self.finished_at)
            .text("state", self.state)
            .value("run_details", self.details())
            .text("recurring_run_id", &self.recurring_run_id)
            .value("state_history", history)
            .value("plugins_input", self.plugins_input.clone())
            .done()
    }
}

/// What a client asks of a new run, in either version.
#[derive(Debug)]
pub(super) struct NewRun<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    pub(super) experiment_id: &'a str,
    pub(super) service_account: &'a str,
    pub(super) recurring_run_id: &'a str,
    pub(super) archived: bool,
    pub(super) plugins_input: Option<Value>,
}

impl Context<'_> {
    pub(super) fn run(&self, id: &str) -> Result<&Run, Refusal> {
        let missing = || {
            let refusal = Refusal::not_found("Run", id);
            if self.generation().has_v2() {
                refusal.context(&format!("Failed to fetch run {id}"))
            } else {
                refusal
            }
        };
        self.state.runs.get(id).ok_or_else(missing)
    }

    /// The run, if it is there and the user may do this with it.
    pub(super) fn may_run(&self, verb: &str, id: &str) -> Result<(), Refusal> {
        let row = self.run(id)?;
        let access = Access {
            verb,
            resource: "runs",
            name: &row.workflow,
            subject: id,
        };
        self.authorize(&row.namespace, access)
    }

    /// The experiment of a new run and its namespace; single-user servers have a default one.
    pub(super) fn home(&self, experiment_id: &str) -> Result<(String, String), Refusal> {
        if experiment_id.is_empty() {
            if self.multi_user() {
                return Err(Refusal::invalid("Experiment id can not be empty in multi-user mode"));
            }
            return Ok((self.state.default_experiment.clone(), String::new()));
        }
        let missing =
            |refusal: Refusal| refusal.context(&format!("Failed to fetch namespace from experiment {experiment_id}"));
        let row = self.experiment(experiment_id).map_err(missing)?;
        Ok((experiment_id.to_owned(), row.namespace.clone()))
    }

    /// As [`home`](Self::home), in the words of a creation.
    pub(super) fn home_of_new(&self, kind: &str, experiment_id: &str) -> Result<(String, String), Refusal> {
        self.home(experiment_id).map_err(|refusal| {
            let outer = format!("Failed to create a {kind} due to invalid experimentId and namespace combination");
            if refusal.code() == Code::NotFound {
                let inner = format!("Failed to fetch namespace for experiment {experiment_id}");
                return refusal.context(&inner).context(&outer);
            }
            refusal.context(&outer)
        })
    }

    /// As [`home`](Self::home), in the words of a list; only the namespace.
    pub(super) fn home_of_listed(&self, list: &str, experiment_id: &str) -> Result<String, Refusal> {
        let outer = format!(
            "Failed to list {list} due to error fetching namespace for experiment {experiment_id}. Try filtering based \
             on namespace"
        );
        let home = self.home(experiment_id).map_err(|refusal| refusal.context(&outer))?;
        Ok(home.1)
    }

    pub(super) fn create_run_v2(&mut self) -> Result<Answer, Refusal> {
        let body = self.body(&RUN)?;
        if body.get("plugins_output").is_some() {
            let text = "plugins_output is server-owned and populated exclusively via plugin lifecycle hooks";
            let refusal = Refusal::new(Code::Aborted, text);
            return Err(refusal.because("plugins_output must not be set by the client"));
        }
        if body.text("display_name").is_empty() {
            let text = "Failed to convert a API run detail to its internal representation: Invalid input error: Run \
                        name cannot be empty";
            let outer = "CreateJob(job.ToV2())Failed to create a run due to conversion error";
            return Err(Refusal::internal(text).context(outer));
        }
        let asked = NewRun {
            id: body.text("run_id"),
            name: body.text("display_name"),
            description: body.text("description"),
            experiment_id: body.text("experiment_id"),
            service_account: body.text("service_account"),
            recurring_run_id: body.text("recurring_run_id"),
            archived: body.text("storage_state") == "ARCHIVED",
            plugins_input: body.get("plugins_input").cloned(),
        };
        let refuse = |refusal: Refusal| refusal.context("Failed to create a new run");
        let (experiment, namespace) = self.home_of_new("run", asked.experiment_id).map_err(refuse)?;
        self.may_create(&namespace, asked.name).map_err(refuse)?;
        let (plan, template) = self.plan_v2(&body).map_err(refuse)?;
        let id = self
            .create_run(&asked, &experiment, &namespace, plan, &template)
            .map_err(refuse)?;
        Ok(Answer::Json(self.run(&id)?.v2()))
    }

    pub(super) fn may_create(&self, namespace: &str, name: &str) -> Result<(), Refusal> {
        self.authorize(
            namespace,
            Access {
                verb: "create",
                resource: "runs",
                name,
                subject: "",
            },
        )
    }

    /// Starts the workflow, then writes the row: in this order, as the real server does.
    pub(super) fn create_run(
        &mut self,
        asked: &NewRun<'_>,
        experiment: &str,
        namespace: &str,
        plan: Plan,
        template: &Template,
    ) -> Result<String, Refusal> {
        template.check_parameters(&plan.parameters)?;
        template.check_compiles().map_err(Refusal::plain)?;
        let mut id = if self.generation().has_v2() {
            asked.id.to_owned()
        } else {
            String::new()
        };
        let mut due = None;
        if !asked.recurring_run_id.is_empty() {
            let Some(owner) = self.state.recurring_runs.get(asked.recurring_run_id) else {
                let text = format!("RecurringRunId doesn't exist: {}", asked.recurring_run_id);
                return Err(Refusal::internal(format!(
                    "Failed to create a run due to invalid recurring run id: Invalid input error: {text}"
                )));
            };
            due = Some((self.now, owner.index + 1));
            // Newer servers make one run of an occasion, however often they are asked.
            if self.generation().new_gateway() {
                let twin = |run: &&Run| run.recurring_run_id == asked.recurring_run_id && run.name == asked.name;
                if let Some(run) = self.state.runs.values().find(twin) {
                    return Ok(run.id.clone());
                }
                if id.is_empty() {
                    let name = format!("{}/{}", asked.recurring_run_id, asked.name);
                    id = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).to_string();
                }
            }
        }
        if id.is_empty() {
            id = fresh_id();
        }
        let suffix: String = fresh_id().chars().filter(char::is_ascii_hexdigit).take(5).collect();
        let workflow = format!("{}-{suffix}", template.base_name());
        self.start_workflow(&id, (asked.name, &workflow), namespace, &plan, template, due);
        let store = |cause: &str| {
            Refusal::internal(format!("Failed to store run {} to table: {cause}", asked.name))
                .context("Failed to create a run")
        };
        // A text inside of JSON.
        let parameters = Value::String(Value::Object(plan.parameters.clone()).to_string()).to_string();
        if self.state.runs.contains_key(&id) {
            return Err(store(&format!(
                "Error 1062 (23000): Duplicate entry '{id}' for key 'PRIMARY'"
            )));
        }
        for (column, text, limit) in [
            ("DisplayName", asked.name, 255),
            ("Description", asked.description, 255),
            ("UUID", id.as_str(), 191),
            ("PipelineRuntimeManifest", parameters.as_str(), usize::MAX),
        ] {
            if text.chars().count() > limit {
                return Err(store(&format!(
                    "Error 1406 (22001): Data too long for column '{column}' at row 1"
                )));
            }
            if let Some(at) = text.find(|letter: char| letter.len_utf8() > 3) {
                let value = shown_bytes(text.as_bytes().get(at..).unwrap_or_default());
                return Err(store(&format!(
                    "Error 1366 (22007): Incorrect string value: '{value}' for column \
                     `mlpipeline`.`run_details`.`{column}` at row 1"
                )));
            }
        }
        let account = self.core.settings.service_account();
        let run = Run {
            id: id.clone(),
            name: asked.name.to_owned(),
            description: asked.description.to_owned(),
            experiment_id: experiment.to_owned(),
            namespace: namespace.to_owned(),
            archived: asked.archived,
            created_at: self.now,
            scheduled_at: if self.generation().has_v2() { self.now } else { 0 },
            finished_at: 0,
            state: "PENDING",
            history: vec![(self.now, "PENDING")],
            plan,
            service_account: if asked.service_account.is_empty() {
                account
            } else {
                asked.service_account
            }
            .to_owned(),
            recurring_run_id: asked.recurring_run_id.to_owned(),
            plugins_input: asked.plugins_input.clone(),
            metrics: Vec::new(),
            nodes: Vec::new(),
            reported: false,
            workflow,
        };
        self.state.runs.insert(id.clone(), run);
        if let Some(home) = self.state.experiments.get_mut(experiment) {
            home.last_run_created_at = self.now;
        }
        Ok(id)
    }

    /// Starts a workflow for the run of this id and these names, its own and the workflow's; `due` is the time and the
    /// number of an occasion.
    pub(super) fn start_workflow(
        &mut self,
        id: &str,
        (run_name, workflow): (&str, &str),
        namespace: &str,
        plan: &Plan,
        template: &Template,
        due: Option<(i64, i64)>,
    ) {
        self.state.workflows += 1;
        let launch = Launch {
            run_id: id.to_owned(),
            run_name: run_name.to_owned(),
            namespace: if namespace.is_empty() {
                "kubeflow".to_owned()
            } else {
                namespace.to_owned()
            },
            workflow: workflow.to_owned(),
            template: template.clone(),
            parameters: plan.parameters.clone(),
            pipeline_root: plan.pipeline_root.clone(),
            macros: Macros {
                run_id: id.to_owned(),
                now: self.now,
                due,
            },
        };
        self.core.engine.launch(self.core, launch, self.time);
    }

    /// An orphan: the workflow without its row.
    pub(super) fn orphan(&mut self, id: &str) {
        self.state.runs.remove(id);
    }

    pub(super) fn get_run_v2(&mut self, id: &str) -> Result<Answer, Refusal> {
        self.may_run("get", id)
            .map_err(|refusal| refusal.context("Failed to get a run"))?;
        Ok(Answer::Json(self.run(id)?.v2()))
    }

    /// The runs of an experiment or a namespace, after the checks that both versions share.
    pub(super) fn list_runs(
        &mut self,
        namespace: &str,
        experiment: &str,
        v1: bool,
        render: impl Fn(&Self, &Run) -> Value,
    ) -> Result<Answer, Refusal> {
        let options = ListOptions::read::<Run>(self.call, v1, self.generation())?;
        let refuse = |refusal: Refusal| refusal.context("Failed to list runs");
        let mut namespace = namespace.to_owned();
        if !experiment.is_empty() && (self.generation().has_v2() || self.multi_user()) {
            namespace = self.home_of_listed("runs", experiment).map_err(refuse)?;
        }
        self.require_namespace(&namespace, "A run").map_err(refuse)?;
        let access = Access {
            verb: "list",
            resource: "runs",
            name: "",
            subject: "",
        };
        self.authorize(&namespace, access).map_err(refuse)?;
        let all = !self.multi_user();
        let rows = self.state.runs.values();
        let rows = rows.filter(|run| {
            if experiment.is_empty() {
                all || run.namespace == namespace
            } else {
                run.experiment_id == experiment
            }
        });
        let page = options.page(rows);
        let rows = page.rows.iter().map(|run| render(self, run)).collect();
        Ok(Answer::Json(page.message("runs", rows)))
    }

    pub(super) fn delete_run(&mut self, id: &str) -> Result<Answer, Refusal> {
        let refuse = |refusal: Refusal| refusal.context("Failed to delete a run");
        self.may_run("delete", id).map_err(refuse)?;
        self.core.engine.stop(id);
        self.state.runs.remove(id);
        Ok(Answer::empty())
    }

    pub(super) fn archive_run(&mut self, id: &str, archive: bool) -> Result<Answer, Refusal> {
        let verb = if archive { "archive" } else { "unarchive" };
        let refuse = |refusal: Refusal| refusal.context(&format!("Failed to {verb} a run"));
        if !self.generation().has_v2() && !self.multi_user() && !self.state.runs.contains_key(id) {
            return Ok(Answer::empty());
        }
        let why = if archive {
            "it failed to be retrieved"
        } else {
            "it does not exist"
        };
        let missing = |refusal: Refusal| match refusal.code() {
            Code::NotFound => refusal.context(&format!("Failed to {verb} run {id} as {why}")),
            _ => refusal,
        };
        self.may_run(verb, id).map_err(missing).map_err(refuse)?;
        let home = self.run(id)?.experiment_id.clone();
        if !archive && self.generation().has_v2() && self.state.experiments.get(&home).is_some_and(|row| row.archived) {
            let text = format!("Failed to unarchive run {id} as experiment {home} must be un-archived first");
            return Err(refuse(Refusal::new(Code::FailedPrecondition, text)));
        }
        if let Some(run) = self.state.runs.get_mut(id) {
            run.archived = archive;
        }
        Ok(Answer::empty())
    }

    pub(super) fn terminate_run(&mut self, id: &str) -> Result<Answer, Refusal> {
        let outer = self.words(
            "Terminate run failed: Check run exist failed",
            "Failed to terminate a run",
        );
        let refuse = |refusal: Refusal| refusal.context(outer);
        self.may_run("terminate", id).map_err(refuse)?;
        let Some(run) = self
            .state
            .runs
            .get_mut(id)
            .filter(|run| matches!(run.state, "PENDING" | "RUNNING" | "PAUSED"))
        else {
            return Err(refuse(Refusal::invalid(format!(
                "Failed to terminate a run {id}. Row not found"
            ))));
        };
        run.state = "CANCELING";
        self.core.engine.terminate(id, self.core.clock.now());
        Ok(Answer::empty())
    }

    pub(super) fn retry_run(&mut self, id: &str) -> Result<Answer, Refusal> {
        let refuse = |refusal: Refusal| {
            refusal
                .context(&format!("Failed to retry run {id}"))
                .context("Failed to retry a run")
        };
        self.may_run("retry", id).map_err(refuse)?;
        let (new, now) = (self.generation().new_gateway(), self.now);
        let core = Arc::clone(self.core);
        let Some(run) = self.state.runs.get_mut(id) else {
            return Err(refuse(Refusal::not_found("Run", id)));
        };
        if !run.reported {
            let text = format!("Failed to retry run {id} due to error fetching workflow manifest");
            return Err(refuse(Refusal::new(Code::Aborted, text)));
        }
        if run.state != "FAILED" {
            return Err(refuse(Refusal::new(
                Code::Aborted,
                "Workflow must be Failed/Error to retry",
            )));
        }
        run.state = "RUNNING";
        run.finished_at = 0;
        if !new {
            run.history.clear();
        }
        run.history.push((now, "RUNNING"));
        core.engine.retry(&core, id);
        Ok(Answer::empty())
    }
}

/// The beginning of what a database does not take, as it shows that.
fn shown_bytes(bytes: &[u8]) -> String {
    let shown = bytes.iter().take(6).map(|byte| match byte {
        b' '..=b'~' => char::from(*byte).to_string(),
        byte => format!("\\x{byte:02X}"),
    });
    let more = if bytes.len() > 6 { "..." } else { "" };
    shown.collect::<String>() + more
}

/// Whether this answer made a run, and which.
pub(super) fn made_run(call_path: &str, trouble: Option<&Trouble>, answer: &Value) -> Option<String> {
    let creates = call_path.trim_end_matches('/').ends_with("/runs");
    if !creates || trouble != Some(&Trouble::Orphan) {
        return None;
    }
    let id = answer
        .get("run_id")
        .or_else(|| answer.get("run").and_then(|run| run.get("id")));
    id.and_then(Value::as_str).map(str::to_owned)
}

/// The version a source refers to.
pub(super) fn version_of(source: &Source) -> &str {
    match source {
        Source::Version { version_id, .. } => version_id,
        Source::Inline { .. } => "",
    }
}

/// Applies a report of a workflow to the rows.
pub(super) fn apply_report(state: &mut State, id: &str, phase: &'static str, now: i64) {
    if let Some(run) = state.runs.get_mut(id) {
        run.report(phase, now);
    }
}
