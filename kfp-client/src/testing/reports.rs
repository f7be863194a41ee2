//! Reports of the persistence agent: how workflows and scheduled workflows stand in the cluster.

use serde_json::{Value, json};

use super::access::Access;
use super::answer::{Answer, Code, Refusal};
use super::call::Json;
use super::context::Context;
use super::execution::Node;
use super::runs::{Run, is_final};
use super::schedule::Schedule;
use super::sources::{Plan, Source};

/// How long after its creation a workflow without a run is left alone, in seconds.
const GRACE: i64 = 120;

/// What a report says of a workflow.
struct Workflow {
    manifest: Value,
    name: String,
    namespace: String,
    run: String,
    /// The recurring run that owns it.
    owner: String,
    created: i64,
    finished: i64,
    state: &'static str,
}

impl Workflow {
    fn read(text: &str, generation_has_v2: bool) -> Result<Self, Refusal> {
        let manifest = parse(text, "workflow")?;
        let metadata = manifest.get("metadata").cloned().unwrap_or_default();
        for (key, what) in [("name", "a name"), ("namespace", "a namespace"), ("uid", "a UID")] {
            if metadata.text(key).is_empty() {
                return Err(Refusal::invalid(format!("The workflow must have {what}: {manifest}")));
            }
        }
        let labels = metadata.get("labels").cloned().unwrap_or_default();
        let owners = metadata.items("ownerReferences").iter();
        let owner = owners
            .filter(|owner| owner.text("kind") == "ScheduledWorkflow")
            .map(|owner| owner.text("uid").to_owned())
            .next();
        let status = manifest.get("status").cloned().unwrap_or_default();
        let phase = v2_state(status.text("phase"));
        let terminating = manifest.at(&["spec", "activeDeadlineSeconds"]).and_then(Value::as_i64) == Some(0);
        let state = if terminating && !is_final(phase) {
            "CANCELING"
        } else {
            phase
        };
        let (name, run) = (
            metadata.text("name").to_owned(),
            labels.text("pipeline/runid").to_owned(),
        );
        if run.is_empty() {
            let refusal = Refusal::invalid(format!("Workflow[{name}] missing the Run ID label"));
            return Err(if generation_has_v2 {
                refusal.context("Failed to report workflow")
            } else {
                refusal.context("Report workflow failed.")
            });
        }
        Ok(Self {
            namespace: metadata.text("namespace").to_owned(),
            owner: owner.unwrap_or_default(),
            created: seconds(metadata.text("creationTimestamp")).unwrap_or_default(),
            finished: seconds(status.text("finishedAt")).unwrap_or_default(),
            name,
            run,
            state,
            manifest,
        })
    }

    /// The time for which a recurring run made it, if a label says so.
    fn scheduled(&self) -> Option<i64> {
        let labels = self.manifest.at(&["metadata", "labels"])?;
        labels
            .text("scheduledworkflows.kubeflow.org/workflowEpoch")
            .parse()
            .ok()
    }

    fn nodes(&self, now: i64) -> Vec<Node> {
        let nodes = self.manifest.get("status").map(|status| status.members("nodes"));
        let read = |(id, node): (&String, &Value)| {
            let state = v2_state(node.text("phase"));
            let shown = node.text("displayName");
            let mut read = Node::new(id.clone(), shown, node_kind(node.text("type")), state, now);
            if let Some(started) = seconds(node.text("startedAt")) {
                read.created = started;
            }
            if let Some(finished) = seconds(node.text("finishedAt")).filter(|_| is_final(state)) {
                read.ended = finished;
            }
            node.text("templateName").clone_into(&mut read.template);
            let children = node.items("children").iter().filter_map(Value::as_str);
            read.children = children.map(str::to_owned).collect();
            read
        };
        nodes.unwrap_or_default().into_iter().map(read).collect()
    }
}

fn seconds(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

fn parse(text: &str, what: &str) -> Result<Value, Refusal> {
    serde_json::from_str(text).map_err(|error| Refusal::invalid(format!("Could not unmarshal {what}: {error}: {text}")))
}

/// Argo's phases in the words of v2beta1.
fn v2_state(phase: &str) -> &'static str {
    match phase {
        "Pending" => "PENDING",
        "Running" => "RUNNING",
        "Succeeded" => "SUCCEEDED",
        "Skipped" | "Omitted" => "SKIPPED",
        "Failed" | "Error" => "FAILED",
        _ => "",
    }
}

fn node_kind(kind: &str) -> &'static str {
    match kind {
        "DAG" => "DAG",
        "Steps" => "Steps",
        "StepGroup" => "StepGroup",
        "TaskGroup" => "TaskGroup",
        "Retry" => "Retry",
        "Skipped" => "Skipped",
        "Suspend" => "Suspend",
        _ => "Pod",
    }
}

impl Context<'_> {
    /// A body that is one JSON text.
    fn text_body(&self) -> Result<String, Refusal> {
        let refuse = |text: String| Refusal::gateway(Code::InvalidArgument, text);
        match serde_json::from_slice::<Value>(&self.call.body) {
            Ok(Value::String(text)) => Ok(text),
            Ok(Value::Null) => Ok(String::new()),
            Ok(other) => {
                let kind = match other {
                    Value::Object(_) => "object",
                    Value::Array(_) => "array",
                    Value::Bool(_) => "bool",
                    _ => "number",
                };
                Err(refuse(format!(
                    "json: cannot unmarshal {kind} into Go value of type string"
                )))
            }
            Err(_) if self.call.body.is_empty() => Ok(String::new()),
            Err(error) if error.is_eof() => Err(refuse("unexpected EOF".to_owned())),
            Err(error) => Err(refuse(error.to_string())),
        }
    }

    /// Servers from 2.0 on ask for a right that is no namespace's, which users do not have.
    fn may_report(&self, resource: &str, subject: &str) -> Result<(), Refusal> {
        if !self.generation().has_v2() {
            return Ok(());
        }
        let access = Access {
            verb: "report",
            resource,
            name: "",
            subject,
        };
        let outer = format!("Failed to report {resource} `{subject}` due to authorization error.");
        self.authorize("", access).map_err(|refusal| refusal.context(&outer))
    }

    pub(super) fn report_workflow(&mut self) -> Result<Answer, Refusal> {
        let text = self.text_body()?;
        let new = self.generation().has_v2();
        let fail = if new {
            "Report workflow failed"
        } else {
            "Report workflow failed."
        };
        let workflow = Workflow::read(&text, new).map_err(|refusal| refusal.context(fail))?;
        self.may_report("workflows", &workflow.name)?;
        let fail = if new { "Failed to report workflow" } else { fail };
        self.take_report(&workflow).map_err(|refusal| refusal.context(fail))?;
        Ok(Answer::empty())
    }

    fn take_report(&mut self, workflow: &Workflow) -> Result<(), Refusal> {
        if !self.state.runs.contains_key(&workflow.run) {
            if workflow.owner.is_empty() {
                return Err(self.without_run(workflow));
            }
            self.adopt(workflow)?;
        }
        let now = self.now;
        let nodes = workflow.nodes(now);
        let Some(run) = self.state.runs.get_mut(&workflow.run) else {
            return Ok(());
        };
        run.reported = true;
        if run.state != workflow.state {
            run.state = workflow.state;
            run.history.push((now, workflow.state));
        }
        run.finished_at = workflow.finished;
        for node in nodes {
            run.report_node(node);
        }
        // The server marks the workflow as kept, which it can only if the cluster has it.
        let known = self.state.runs.values().any(|run| run.workflow == workflow.name);
        if is_final(workflow.state) && !known {
            let text = format!("Failed to add PersistedFinalState label to workflow {}", workflow.name);
            return Err(Refusal::new(Code::NotFound, text));
        }
        Ok(())
    }

    /// A workflow of no run: left alone for a while by newer servers, otherwise deleted.
    fn without_run(&self, workflow: &Workflow) -> Refusal {
        let Workflow {
            name, namespace, run, ..
        } = workflow;
        let age = self.now - workflow.created;
        if self.generation().new_gateway() && age < GRACE {
            let cause = format!("workflow {name} is within GC grace period ({age}s old, threshold 2m0s)");
            let text = format!("Skipping GC for workflow {name} - will retry: {cause}");
            return Refusal::new(Code::Unavailable, text);
        }
        Refusal::not_found("Run", run).context(&format!(
            "Failed to report workflow name={name:?} namespace={namespace:?} runId={run:?}"
        ))
    }

    /// The run of a workflow that a recurring run made.
    fn adopt(&mut self, workflow: &Workflow) -> Result<(), Refusal> {
        let outer = format!(
            "Failed to report a workflow for run {} due to error retrieving recurring run {}",
            workflow.run, workflow.owner
        );
        let owner = self.state.recurring_runs.get(&workflow.owner);
        let owner = owner.ok_or_else(|| Refusal::not_found("Job", &workflow.owner).context(&outer))?;
        let shown = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
            "metadata": {"generateName": workflow.name, "creationTimestamp": null},
            "spec": workflow.manifest.get("spec"),
            "status": {"startedAt": null, "finishedAt": null},
        });
        let plan = Plan {
            source: Source::Inline {
                text: shown.to_string(),
                shown,
                argo: true,
            },
            parameters: serde_json::Map::new(),
            pipeline_root: String::new(),
            configured: false,
        };
        let plan = if self.generation().has_v2() && matches!(owner.plan.source, Source::Version { .. }) {
            owner.plan.clone()
        } else {
            plan
        };
        let old = !self.generation().has_v2();
        let scheduled = workflow.scheduled();
        let run = Run {
            id: workflow.run.clone(),
            name: workflow.name.clone(),
            description: String::new(),
            experiment_id: owner.experiment_id.clone(),
            namespace: owner.namespace.clone(),
            archived: false,
            created_at: workflow.created,
            scheduled_at: scheduled.unwrap_or(if old { 0 } else { workflow.created }),
            finished_at: workflow.finished,
            state: workflow.state,
            history: vec![(self.now, workflow.state)],
            plan,
            service_account: String::new(),
            recurring_run_id: workflow.owner.clone(),
            plugins_input: None,
            metrics: Vec::new(),
            nodes: Vec::new(),
            reported: true,
            workflow: workflow.name.clone(),
        };
        let home = run.experiment_id.clone();
        self.state.runs.insert(run.id.clone(), run);
        if let Some(home) = self.state.experiments.get_mut(&home) {
            home.last_run_created_at = workflow.created;
        }
        Ok(())
    }

    pub(super) fn report_scheduled_workflow(&mut self) -> Result<Answer, Refusal> {
        let text = self.text_body()?;
        let new = self.generation().has_v2();
        let fail = if new {
            "Report scheduled workflow failed"
        } else {
            "Report scheduled workflow failed."
        };
        let object = parse(&text, "scheduled workflow").map_err(|refusal| refusal.context(fail))?;
        let metadata = object.get("metadata").cloned().unwrap_or_default();
        for (key, what) in [("name", "a name"), ("namespace", "a namespace"), ("uid", "a UID")] {
            if metadata.text(key).is_empty() {
                let refusal = Refusal::invalid(format!("The resource must have {what}: {object}"));
                return Err(refusal.context(fail));
            }
        }
        let id = metadata.text("uid");
        self.may_report("scheduledworkflows", id)?;
        let now = self.now;
        let Some(row) = self.state.recurring_runs.get_mut(id) else {
            if new {
                let outer = format!("Failed to report scheduled workflow due to error retrieving recurring run {id}");
                return Err(Refusal::not_found("Job", id).context(&outer));
            }
            let text = format!(
                "There is no job corresponding to this scheduled workflow: {id}/{}/{}",
                metadata.text("namespace"),
                metadata.text("name")
            );
            return Err(Refusal::invalid(text));
        };
        let empty = json!({});
        let spec = object.get("spec").unwrap_or(&empty);
        row.enabled = spec.get("enabled").and_then(Value::as_bool).unwrap_or_default();
        row.max_concurrency = spec.get("maxConcurrency").and_then(Value::as_i64).unwrap_or_default();
        row.no_catchup = spec.get("noCatchup").and_then(Value::as_bool).unwrap_or_default();
        if let Ok((schedule, trigger)) = Schedule::read(&json!({"trigger": trigger(spec)})) {
            (row.schedule, row.trigger) = (schedule, trigger);
        }
        let conditions = object.get("status").map(|status| status.items("conditions"));
        row.condition = match conditions
            .and_then(<[Value]>::last)
            .map(|condition| condition.text("type"))
        {
            Some("Disabled") => "Disabled",
            Some("Running") => "Running",
            Some("Succeeded") => "Succeeded",
            Some("Enabled") => "Enabled",
            _ => "",
        };
        row.updated_at = now;
        Ok(Answer::empty())
    }
}

/// The trigger of an object in the words of the API.
fn trigger(spec: &Value) -> Value {
    let trigger = spec.get("trigger").cloned().unwrap_or_default();
    let times =
        |schedule: &Value| json!({"start_time": schedule.text("startTime"), "end_time": schedule.text("endTime")});
    let with = |schedule: &Value, key: &str, value: Value| {
        let mut times = times(schedule);
        if let Some(map) = times.as_object_mut() {
            map.insert(key.to_owned(), value);
        }
        times
    };
    if let Some(cron) = trigger.get("cronSchedule") {
        return json!({"cron_schedule": with(cron, "cron", cron.text("cron").into())});
    }
    if let Some(periodic) = trigger.get("periodicSchedule") {
        let interval = periodic.get("intervalSecond").cloned().unwrap_or_default();
        return json!({"periodic_schedule": with(periodic, "interval_second", interval)});
    }
    json!({})
}
