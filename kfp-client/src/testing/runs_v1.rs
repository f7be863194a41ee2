//! Runs of the v1beta1 API.

use serde_json::{Map, Value, json};

use super::answer::{Answer, Code, Message, Refusal};
use super::call::Json;
use super::context::Context;
use super::go_json::syntax_error;
use super::messages::{V1_METRICS, V1_RUN};
use super::references::{reference, referred};
use super::runs::{NewRun, Run, v1_status, version_of};
use super::sources::{Source, check_size, unconverted};

impl Context<'_> {
    fn run_v1(&self, run: &Run) -> Value {
        let new = self.generation().has_v2();
        let status = if new || run.reported { v1_status(run.state) } else { "" };
        Message::new()
            .text("id", &run.id)
            .text("name", &run.name)
            .text("storage_state", if run.archived { "STORAGESTATE_ARCHIVED" } else { "" })
            .text("description", &run.description)
            .value("pipeline_spec", run.plan.v1(self))
            .value("resource_references", self.run_references(run))
            .text("service_account", &run.service_account)
            .time("created_at", run.created_at)
            .time("scheduled_at", run.scheduled_at)
            .time("finished_at", run.finished_at)
            .text("status", status)
            .value(
                "metrics",
                run.metrics.iter().cloned().map(Value::Object).collect::<Value>(),
            )
            .done()
    }

    /// Experiment and namespace as owners, and one creator.
    fn run_references(&self, run: &Run) -> Value {
        let mut references = vec![self.named("EXPERIMENT", &run.experiment_id, "OWNER")];
        if !run.namespace.is_empty() && self.generation().has_v2() {
            references.push(reference("NAMESPACE", &run.namespace, "OWNER"));
        }
        if !run.recurring_run_id.is_empty() {
            references.push(self.named("JOB", &run.recurring_run_id, "CREATOR"));
        } else if let Source::Version { .. } = &run.plan.source {
            references.push(self.named("PIPELINE_VERSION", version_of(&run.plan.source), "CREATOR"));
        }
        Value::Array(references)
    }

    /// A reference; servers of 1.8 add the name.
    pub(super) fn named(&self, kind: &str, id: &str, relationship: &str) -> Value {
        let mut value = reference(kind, id, relationship);
        if !self.generation().has_v2() {
            let name = match kind {
                "EXPERIMENT" => self.state.experiments.get(id).map(|row| &row.name),
                "PIPELINE_VERSION" => self.state.versions.get(id).map(|row| &row.name),
                "JOB" => self.state.recurring_runs.get(id).map(|row| &row.name),
                _ => None,
            };
            if let (Some(name), Some(map)) = (name, value.as_object_mut()) {
                map.insert("name".to_owned(), name.clone().into());
            }
        }
        value
    }

    fn run_detail(&self, run: &Run) -> Value {
        let runtime = if run.reported {
            let nodes: Map<String, Value> = run.nodes.iter().map(|node| (node.id.clone(), node.argo())).collect();
            let phase = v1_status(run.state);
            let workflow = json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
                "metadata": {"name": run.workflow, "namespace": run.namespace, "labels": {"pipeline/runid": run.id}},
                "status": {"phase": phase, "nodes": nodes},
            });
            Some(workflow.to_string())
        } else {
            None
        };
        let key = match &run.plan.source {
            Source::Inline { argo: false, .. } if self.generation().new_gateway() => "pipeline_manifest",
            _ => "workflow_manifest",
        };
        let message = Message::new().value("run", self.run_v1(run));
        let runtime = Message::new().text(key, &runtime.unwrap_or_default()).done();
        message.value("pipeline_runtime", runtime).done()
    }

    pub(super) fn create_run_v1(&mut self) -> Result<Answer, Refusal> {
        let body = self.body(&V1_RUN)?;
        let outer = self.words("Failed to create a new run.", "Failed to create a new v1beta1 run");
        let refuse = |refusal: Refusal| refusal.context(outer);
        let old = !self.generation().has_v2();
        if old {
            self.check_run_1_8(&body)
                .map_err(|refusal| refusal.context("Validate create run request failed."))?;
        } else {
            let converting = "CreateJob(job.ToV2())Failed to create a v1beta1 run due to conversion error";
            if body.text("name").is_empty() {
                let text = "Failed to convert a API run detail to its internal representation: Invalid input error: \
                            Run name cannot be empty";
                return Err(Refusal::internal(text).context(converting));
            }
            check_size(&body, false).map_err(|text| unconverted("run", &text).context(converting))?;
        }
        let asked = NewRun {
            id: body.text("id"),
            name: body.text("name"),
            description: body.text("description"),
            experiment_id: referred(&body, "EXPERIMENT"),
            service_account: body.text("service_account"),
            recurring_run_id: referred(&body, "JOB"),
            archived: body.text("storage_state") == "STORAGESTATE_ARCHIVED",
            plugins_input: None,
        };
        let home = if old {
            self.home(asked.experiment_id).map_err(|refusal| match refusal.code() {
                Code::NotFound if !self.multi_user() => {
                    let cause = Refusal::not_found("Experiment", asked.experiment_id);
                    Refusal::internal(format!("Failed to get experiment.: {}", cause.message()))
                }
                _ => refusal,
            })
        } else {
            self.home_of_new("run", asked.experiment_id)
        };
        let (experiment, namespace) = home.map_err(refuse)?;
        self.may_create(&namespace, asked.name).map_err(refuse)?;
        if old {
            self.check_manifest_1_8(&body).map_err(refuse)?;
        }
        let (plan, template) = self.plan_v1(&body).map_err(refuse)?;
        let id = self
            .create_run(&asked, &experiment, &namespace, plan, &template)
            .map_err(refuse)?;
        Ok(Answer::Json(self.run_detail(self.run(&id)?)))
    }

    /// Servers of 1.8 look at the request itself first.
    fn check_run_1_8(&self, body: &Value) -> Result<(), Refusal> {
        if body.text("name").is_empty() {
            return Err(Refusal::invalid("The run name is empty. Please specify a valid name."));
        }
        self.check_source_1_8(body)?;
        check_size(body, true).map_err(Refusal::invalid)
    }

    /// One source, of the right form, and there.
    pub(super) fn check_source_1_8(&self, body: &Value) -> Result<(), Refusal> {
        let empty = json!({});
        let spec = body.get("pipeline_spec").unwrap_or(&empty);
        let manifest = spec.text("workflow_manifest");
        let (pipeline, version) = (spec.text("pipeline_id"), referred(body, "PIPELINE_VERSION"));
        let referred = !pipeline.is_empty() || !version.is_empty();
        if manifest.is_empty() && !referred {
            return Err(Refusal::invalid(
                "Please specify a pipeline by providing a (workflow manifest) or (pipeline id or/and pipeline version).",
            ));
        }
        if !manifest.is_empty() && referred {
            return Err(Refusal::invalid(
                "Please don't specify a pipeline version or pipeline ID when you specify a workflow manifest.",
            ));
        }
        if !manifest.is_empty() {
            return syntax_error(manifest.as_bytes()).map_or(Ok(()), |cause| {
                let text = format!("Invalid argo workflow format. Workflow: {manifest}");
                Err(Refusal::invalid_because(text, &cause))
            });
        }
        if !pipeline.is_empty() {
            self.pipeline(pipeline)
                .map_err(|refusal| refusal.context("Get pipelineId failed."))?;
        }
        if version.is_empty() {
            return Ok(());
        }
        let Some(row) = self.state.versions.get(version) else {
            return Err(Refusal::not_found("Version", version).context("Get pipelineVersionId failed."));
        };
        if !pipeline.is_empty() && row.pipeline_id != pipeline {
            return Err(Refusal::invalid("pipeline ID should be parent of pipeline version."));
        }
        Ok(())
    }

    /// Then, while the run is made, at the workflow.
    pub(super) fn check_manifest_1_8(&self, body: &Value) -> Result<(), Refusal> {
        let manifest = body.get("pipeline_spec").map(|spec| spec.text("workflow_manifest"));
        let manifest = manifest.unwrap_or_default();
        if manifest.is_empty() {
            return Ok(());
        }
        // Any object is taken for a workflow, and for none if it has nothing of one.
        let parsed = serde_json::from_str::<Value>(manifest);
        let Ok(Value::Object(workflow)) = parsed else {
            let text = format!("Invalid argo workflow format. Workflow: {manifest}");
            return Err(Refusal::invalid(text));
        };
        let parts = ["apiVersion", "kind", "metadata", "spec", "status"];
        if !parts.iter().any(|part| workflow.contains_key(*part)) {
            let name = body.text("name");
            return Err(
                Refusal::not_found("WorkflowSpecManifest", name).context("Failed to fetch workflow spec manifest.")
            );
        }
        if super::template::Template::parse(manifest, self.generation()).is_err() {
            return Err(Refusal::invalid("Invalid IR spec format: not a workflow manifest"));
        }
        Ok(())
    }

    pub(super) fn get_run_v1(&mut self, id: &str) -> Result<Answer, Refusal> {
        let new = self.generation().has_v2();
        self.may_run("get", id).map_err(|refusal| {
            if new {
                refusal.context("Failed to get a v1beta1 run")
            } else {
                refusal
            }
        })?;
        Ok(Answer::Json(self.run_detail(self.run(id)?)))
    }

    pub(super) fn list_runs_v1(&mut self) -> Result<Answer, Refusal> {
        let (experiment, namespace) = self.v1_scope();
        self.list_runs(&namespace, &experiment, true, Self::run_v1)
    }

    /// Experiment and namespace of a v1 list.
    pub(super) fn v1_scope(&self) -> (String, String) {
        let id = self.call.query("resource_reference_key.id").to_owned();
        match self.call.query("resource_reference_key.type") {
            "EXPERIMENT" => (id, String::new()),
            "NAMESPACE" => (String::new(), id),
            _ => (String::new(), String::new()),
        }
    }

    pub(super) fn report_metrics(&mut self, id: &str) -> Result<Answer, Refusal> {
        let body = self.body(&V1_METRICS)?;
        let refuse = |refusal: Refusal| refusal.context("Failed to report v1beta1 run metrics");
        if self.generation().has_v2() {
            self.may_run("reportMetrics", id).map_err(refuse)?;
        } else {
            self.run(id).map_err(refuse)?;
        }
        let mut results = Vec::new();
        for metric in body.items("metrics") {
            let (name, node) = (metric.text("name"), metric.text("node_id"));
            let result = Message::new().text("metric_name", name).text("metric_node_id", node);
            results.push(match self.take_metric(id, metric) {
                Ok(()) => result.text("status", "OK").done(),
                Err((status, message)) => result.text("status", status).text("message", &message).done(),
            });
        }
        Ok(Answer::Json(
            Message::new().value("results", Value::Array(results)).done(),
        ))
    }

    fn take_metric(&mut self, id: &str, metric: &Value) -> Result<(), (&'static str, String)> {
        let (name, node) = (metric.text("name"), metric.text("node_id"));
        let old = !self.generation().has_v2();
        let plain = |letter: char| letter.is_ascii_alphanumeric();
        let fits = name.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && name.ends_with(plain)
            && name.chars().all(|letter| plain(letter) || matches!(letter, '-' | '_'));
        if !fits || name.len() > 64 || node.is_empty() {
            let text = format!(
                "metric.name '{name}' doesn't match with the pattern '^[a-zA-Z]([-_a-zA-Z0-9]{{0,62}}[a-zA-Z0-9])?$'"
            );
            return Err(("INVALID_ARGUMENT", if old { text } else { String::new() }));
        }
        let Some(run) = self.state.runs.get_mut(id) else {
            return Err(("INTERNAL_ERROR", String::new()));
        };
        let same = |known: &Map<String, Value>| {
            known.get("name").and_then(Value::as_str) == Some(name)
                && known.get("node_id").and_then(Value::as_str) == Some(node)
        };
        if run.metrics.iter().any(same) {
            let text = if old {
                format!("same metric has been reported before: {node}/{name}")
            } else {
                format!("Failed to create a run metric. Same metric has been reported before: {node}/{name}")
            };
            return Err(("DUPLICATE_REPORTING", text));
        }
        run.metrics.push(metric.as_object().cloned().unwrap_or_default());
        Ok(())
    }
}
