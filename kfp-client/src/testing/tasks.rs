//! Tasks of the v1alpha1 API: executions that steps record, so that later ones can take their results.

use serde_json::Value;

use super::answer::{Answer, Message, Refusal};
use super::call::Json;
use super::context::{Context, fresh_id};
use super::list::{Column, ListOptions, Listed};
use super::messages::V1_TASK;

/// A row.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) namespace: String,
    pub(super) pipeline_name: String,
    pub(super) run_id: String,
    pub(super) execution_id: String,
    pub(super) created_at: i64,
    pub(super) finished_at: i64,
    pub(super) fingerprint: String,
}

impl Listed for Task {
    const KIND: &'static str = "Task";
    const TABLE: &'static str = "tasks";
    const KEYS: &'static [&'static str] = &[
        "id",
        "task_id",
        "namespace",
        "pipelineName",
        "pipeline_name",
        "runId",
        "run_id",
        "mlmdExecutionID",
        "execution_id",
        "created_at",
        "create_time",
        "start_time",
        "finished_at",
        "end_time",
        "fingerprint",
    ];
    const OLD_KEYS: &'static [&'static str] = &[
        "id",
        "namespace",
        "pipelineName",
        "runId",
        "mlmdExecutionID",
        "created_at",
        "finished_at",
        "fingerprint",
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn column(&self, key: &str) -> Column {
        let text = match key {
            "id" | "task_id" => &self.id,
            "namespace" => &self.namespace,
            "pipelineName" | "pipeline_name" => &self.pipeline_name,
            "runId" | "run_id" => &self.run_id,
            "mlmdExecutionID" | "execution_id" => &self.execution_id,
            "fingerprint" => &self.fingerprint,
            "finished_at" | "end_time" => return Column::Number(self.finished_at),
            _ => return Column::Number(self.created_at),
        };
        Column::Text(text.clone())
    }
}

impl Task {
    fn render(&self) -> Value {
        Message::new()
            .text("id", &self.id)
            .text("namespace", &self.namespace)
            .text("pipelineName", &self.pipeline_name)
            .text("runId", &self.run_id)
            .text("mlmdExecutionID", &self.execution_id)
            .time("created_at", self.created_at)
            .time("finished_at", self.finished_at)
            .text("fingerprint", &self.fingerprint)
            .done()
    }
}

/// What a new task has to have.
fn check(task: &Value, new: bool) -> Result<(), Refusal> {
    if !task.text("id").is_empty() {
        return Err(Refusal::invalid("Invalid task: Id should not be set"));
    }
    let name = task.text("pipelineName");
    if let Some(text) = namespaced(task, name) {
        return Err(Refusal::invalid(text));
    }
    let required = [
        (name, "PipelineName"),
        (task.text("runId"), if new { "RunID" } else { "RunId" }),
        (task.text("mlmdExecutionID"), "MlmdExecutionID"),
        (task.text("fingerprint"), "FingerPrint"),
        (task.text("created_at"), "CreatedAt"),
    ];
    match required.iter().find(|(value, _)| value.is_empty()) {
        Some((_, field)) => Err(Refusal::invalid(format!("Invalid task: must specify {field}"))),
        None => Ok(()),
    }
}

/// What is wrong with the name of a namespace's pipeline.
fn namespaced(task: &Value, name: &str) -> Option<String> {
    let rest = name.strip_prefix("namespace/")?;
    let parts: Vec<&str> = rest.splitn(3, '/').collect();
    let [found, _, _] = *parts.as_slice() else {
        return Some(format!(
            "invalid PipelineName for namespaced pipelines, need to follow \
             'namespace/${{namespace}}/pipeline/${{pipelineName}}': {name}"
        ));
    };
    let given = task.text("namespace");
    (!given.is_empty() && given != found).then(|| {
        format!("the namespace {found} extracted from pipelineName is not equal to the namespace {given} in task")
    })
}

impl Context<'_> {
    /// Nobody's rights are looked at.
    pub(super) fn create_task(&mut self) -> Result<Answer, Refusal> {
        let body = self.body(&V1_TASK)?;
        let new = self.generation().has_v2();
        check(&body, new).map_err(|refusal| {
            refusal.context(if new {
                "Failed to create a new task due to validation error"
            } else {
                "Failed to create a new task due to validation error."
            })
        })?;
        let run = body.text("runId");
        let refuse = |refusal: Refusal| {
            refusal
                .context(&format!("Failed to create a task for run {run}"))
                .context("Failed to create a new task")
        };
        let home = self.run(run).map_err(refuse)?.experiment_id.clone();
        let time = |key: &str| {
            let time = body.text(key).parse::<jiff::Timestamp>();
            time.map(jiff::Timestamp::as_second).unwrap_or_default()
        };
        let own = self.state.experiments.get(&home).map(|row| row.namespace.clone());
        let task = Task {
            id: fresh_id(),
            namespace: match body.text("namespace") {
                "" => own.unwrap_or_default(),
                given => given.to_owned(),
            },
            pipeline_name: body.text("pipelineName").to_owned(),
            run_id: run.to_owned(),
            execution_id: body.text("mlmdExecutionID").to_owned(),
            created_at: time("created_at"),
            finished_at: time("finished_at"),
            fingerprint: body.text("fingerprint").to_owned(),
        };
        let answer = task.render();
        self.state.tasks.insert(task.id.clone(), task);
        Ok(Answer::Json(answer))
    }

    pub(super) fn list_tasks(&mut self) -> Result<Answer, Refusal> {
        let options = ListOptions::read::<Task>(self.call, true, self.generation())?;
        let pipeline = match self.call.query("resource_reference_key.type") {
            "PIPELINE" => self.call.query("resource_reference_key.id"),
            _ => "",
        };
        let rows = self.state.tasks.values();
        let page = options.page(rows.filter(|row| pipeline.is_empty() || row.pipeline_name == pipeline));
        let rows = page.rows.iter().map(|row| row.render()).collect();
        Ok(Answer::Json(page.message("tasks", rows)))
    }
}
