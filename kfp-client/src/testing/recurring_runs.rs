//! Recurring runs of the v2beta1 API, and jobs, as v1beta1 calls them.

use serde_json::Value;

use super::access::Access;
use super::answer::{Answer, Message, Refusal};
use super::call::Json;
use super::context::{Context, fresh_id};
use super::list::{Column, ListOptions, Listed};
use super::messages::{RECURRING_RUN, V1_JOB};
use super::references::{reference, referred};
use super::runs::version_of;
use super::schedule::Schedule;
use super::scheduling::object_name;
use super::sources::{Plan, Source, check_size, unconverted};
use super::template::Template;

/// A row.
#[derive(Debug, Clone)]
pub(super) struct RecurringRun {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) experiment_id: String,
    pub(super) namespace: String,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
    pub(super) enabled: bool,
    pub(super) no_catchup: bool,
    pub(super) max_concurrency: i64,
    /// As it is given back.
    pub(super) trigger: Value,
    pub(super) schedule: Schedule,
    pub(super) plan: Plan,
    /// What every run is made of; none if each run takes the pipeline's latest version.
    pub(super) template: Option<Template>,
    pub(super) service_account: String,
    /// Name of the `ScheduledWorkflow` object, of which runs are named.
    pub(super) object: String,
    /// The time for which the last run was made.
    pub(super) last_due: Option<i64>,
    /// How many runs were made.
    pub(super) index: i64,
    /// The state of the object, as the persistence agent last reported it.
    pub(super) condition: &'static str,
}

impl Listed for RecurringRun {
    const KIND: &'static str = "Job";
    const TABLE: &'static str = "jobs";
    const KEYS: &'static [&'static str] = &[
        "recurring_run_id",
        "id",
        "display_name",
        "name",
        "created_at",
        "updated_at",
        "description",
    ];
    const OLD_KEYS: &'static [&'static str] = &["id", "name", "created_at"];

    fn id(&self) -> &str {
        &self.id
    }

    fn column(&self, key: &str) -> Column {
        match key {
            "recurring_run_id" | "id" => Column::Text(self.id.clone()),
            "display_name" | "name" => Column::Text(self.name.clone()),
            "description" => Column::Text(self.description.clone()),
            "updated_at" => Column::Number(self.updated_at),
            _ => Column::Number(self.created_at),
        }
    }
}

impl RecurringRun {
    fn v2(&self) -> Value {
        let message = Message::new()
            .text("recurring_run_id", &self.id)
            .text("display_name", &self.name)
            .text("description", &self.description);
        self.plan
            .v2(message)
            .text("service_account", &self.service_account)
            .text("max_concurrency", &self.max_concurrency.to_string())
            .value("trigger", self.trigger.clone())
            .text("mode", if self.enabled { "ENABLE" } else { "DISABLE" })
            .time("created_at", self.created_at)
            .time("updated_at", self.updated_at)
            .text("status", if self.enabled { "ENABLED" } else { "DISABLED" })
            .flag("no_catchup", self.no_catchup)
            .text("namespace", &self.namespace)
            .text("experiment_id", &self.experiment_id)
            .done()
    }

    fn v1(&self, context: &Context<'_>) -> Value {
        let old = !context.generation().has_v2();
        let mut references = vec![context.named("EXPERIMENT", &self.experiment_id, "OWNER")];
        if !old {
            references.push(reference("NAMESPACE", &self.namespace, "OWNER"));
        }
        if let Source::Version { .. } = &self.plan.source {
            references.push(context.named("PIPELINE_VERSION", version_of(&self.plan.source), "CREATOR"));
        }
        Message::new()
            .text("id", &self.id)
            .text("name", &self.name)
            .text("description", &self.description)
            .value("pipeline_spec", self.plan.v1(context))
            .value("resource_references", Value::Array(references))
            .text("service_account", &self.service_account)
            .text("max_concurrency", &self.max_concurrency.to_string())
            .value("trigger", self.trigger.clone())
            .time("created_at", self.created_at)
            .time("updated_at", self.updated_at)
            .text("status", self.v1_status(old))
            .flag("enabled", self.enabled)
            .flag("no_catchup", self.no_catchup)
            .done()
    }

    fn v1_status(&self, old: bool) -> &'static str {
        match (self.condition, old) {
            ("", true) => "NO_STATUS",
            ("", false) => "STATUS_UNSPECIFIED",
            ("Disabled", false) => "DISABLED",
            (_, false) => "ENABLED",
            (condition, true) => condition,
        }
    }

    fn render(&self, context: &Context<'_>, v1: bool) -> Value {
        if v1 { self.v1(context) } else { self.v2() }
    }
}

impl Context<'_> {
    fn recurring_run(&self, id: &str) -> Result<&RecurringRun, Refusal> {
        self.state
            .recurring_runs
            .get(id)
            .ok_or_else(|| Refusal::not_found("Job", id))
    }

    fn may_recurring_run(&self, verb: &str, id: &str) -> Result<(), Refusal> {
        let row = self.recurring_run(id)?;
        self.authorize(
            &row.namespace,
            Access {
                verb,
                resource: "jobs",
                name: &row.name,
                subject: id,
            },
        )
    }

    pub(super) fn create_recurring_run(&mut self, v1: bool) -> Result<Answer, Refusal> {
        let body = self.body(if v1 { &V1_JOB } else { &RECURRING_RUN })?;
        let old = !self.generation().has_v2();
        if old {
            let validating = |refusal: Refusal| refusal.context("Validate create job request failed.");
            self.check_source_1_8(&body).map_err(validating)?;
            check_size(&body, true).map_err(|text| validating(Refusal::invalid(text)))?;
        }
        let converting = |refusal: Refusal| refusal.context("Failed to create a recurring run due to conversion error");
        let name = body.text(if v1 { "name" } else { "display_name" });
        if name.is_empty() && !old {
            let text = "Failed to convert a API recurring run to its internal representation: Invalid input error: \
                        Recurring run's name cannot be empty";
            return Err(converting(Refusal::internal(text)));
        }
        let concurrency = body.get("max_concurrency").and_then(Value::as_i64).unwrap_or_default();
        if !(1..=10).contains(&concurrency) {
            if old {
                let text =
                    format!("The max concurrency of the job is out of range. Support 1-10. Received {concurrency}.");
                return Err(Refusal::invalid(text).context("Validate create job request failed."));
            }
            let text =
                format!("Max concurrency of a recurring run must be at least 1 and at most 10. Received {concurrency}");
            return Err(converting(Refusal::invalid(text)));
        }
        if v1 && !old {
            check_size(&body, false).map_err(|text| converting(unconverted("recurring run", &text)))?;
        }
        let (schedule, trigger) = Schedule::read(&body).map_err(converting)?;
        let refuse = |refusal: Refusal| refusal.context("Failed to create a recurring run");
        let experiment = if v1 {
            referred(&body, "EXPERIMENT")
        } else {
            body.text("experiment_id")
        };
        let (experiment, namespace) = self.home_of_new("recurring run", experiment).map_err(refuse)?;
        self.authorize(
            &namespace,
            Access {
                verb: "create",
                resource: "jobs",
                name,
                subject: "",
            },
        )
        .map_err(refuse)?;
        let (plan, template, service_account) = self.recurring_plan(&body, v1).map_err(refuse)?;
        let enabled = if v1 {
            let flag = body.get("enabled").and_then(Value::as_bool).unwrap_or_default();
            flag || !old && body.text("mode") == "ENABLED"
        } else {
            body.text("mode") == "ENABLE"
        };
        let row = RecurringRun {
            id: fresh_id(),
            name: name.to_owned(),
            description: body.text("description").to_owned(),
            experiment_id: experiment,
            namespace: if namespace.is_empty() {
                "kubeflow".to_owned()
            } else {
                namespace
            },
            created_at: self.now,
            updated_at: self.now,
            enabled,
            no_catchup: body.get("no_catchup").and_then(Value::as_bool).unwrap_or_default(),
            max_concurrency: concurrency,
            trigger,
            schedule,
            plan,
            template,
            service_account,
            object: object_name(name),
            last_due: None,
            index: 0,
            condition: "",
        };
        let answer = row.render(self, v1);
        self.state.recurring_runs.insert(row.id.clone(), row);
        self.core.engine.watch(self.core);
        Ok(Answer::Json(answer))
    }

    /// Without a version a v2 recurring run follows the latest, and then has no service account of its own.
    fn recurring_plan(&self, body: &Value, v1: bool) -> Result<(Plan, Option<Template>, String), Refusal> {
        let reference = body.get("pipeline_version_reference");
        let spec = body.get("pipeline_spec");
        if !v1 && reference.is_none() && spec.is_none() && body.get("pipeline_version_id").is_none() {
            return Err(Refusal::plain("Cannot create a job with an empty pipeline ID"));
        }
        if v1 {
            if !self.generation().has_v2() {
                self.check_manifest_1_8(body)?;
            } else if spec.is_none() && referred(body, "PIPELINE_VERSION").is_empty() {
                return Err(Refusal::plain("Cannot create a job with an empty pipeline ID"));
            }
        }
        if let Some(reference) = reference {
            let (pipeline, version) = (reference.text("pipeline_id"), reference.text("pipeline_version_id"));
            if version.is_empty() {
                self.pipeline(pipeline)?;
            } else {
                self.version(version)?;
            }
        }
        let (mut plan, template) = if v1 { self.plan_v1(body)? } else { self.plan_v2(body)? };
        template.check_parameters(&plan.parameters)?;
        template.check_compiles().map_err(Refusal::plain)?;
        let own = body.text("service_account");
        let mut account = if own.is_empty() {
            self.core.settings.service_account()
        } else {
            own
        };
        let follows = reference.is_some_and(|reference| reference.text("pipeline_version_id").is_empty());
        if let (true, Source::Version { version_id, .. }) = (follows, &mut plan.source) {
            version_id.clear();
            account = own;
            return Ok((plan, None, account.to_owned()));
        }
        Ok((plan, Some(template), account.to_owned()))
    }

    pub(super) fn get_recurring_run(&mut self, id: &str, v1: bool) -> Result<Answer, Refusal> {
        self.may_recurring_run("get", id)
            .map_err(|refusal| refusal.context("Failed to fetch a recurring run"))?;
        Ok(Answer::Json(self.recurring_run(id)?.render(self, v1)))
    }

    pub(super) fn list_recurring_runs(
        &mut self,
        namespace: &str,
        experiment: &str,
        v1: bool,
    ) -> Result<Answer, Refusal> {
        let options = ListOptions::read::<RecurringRun>(self.call, v1, self.generation())?;
        let refuse = |refusal: Refusal| refusal.context("Failed to list recurring runs");
        let mut namespace = namespace.to_owned();
        if !experiment.is_empty() && (self.generation().has_v2() || self.multi_user()) {
            namespace = self.home_of_listed("recurring runs", experiment).map_err(refuse)?;
        }
        self.require_namespace(&namespace, "A recurring run").map_err(refuse)?;
        let access = Access {
            verb: "list",
            resource: "jobs",
            name: "",
            subject: "",
        };
        self.authorize(&namespace, access).map_err(refuse)?;
        let all = !self.multi_user();
        let rows = self.state.recurring_runs.values().filter(|row| {
            if experiment.is_empty() {
                all || row.namespace == namespace
            } else {
                row.experiment_id == experiment
            }
        });
        let page = options.page(rows);
        let rows = page.rows.iter().map(|row| row.render(self, v1)).collect();
        Ok(Answer::Json(
            page.message(if v1 { "jobs" } else { "recurringRuns" }, rows),
        ))
    }

    pub(super) fn delete_recurring_run(&mut self, id: &str) -> Result<Answer, Refusal> {
        let refuse = |refusal: Refusal| refusal.context("Failed to delete a recurring run");
        self.may_recurring_run("delete", id).map_err(refuse)?;
        self.state.recurring_runs.remove(id);
        if !(self.generation().new_gateway() && matches!(self.call.query("propagation_policy"), "ORPHAN" | "3")) {
            self.collect_garbage(id);
        }
        Ok(Answer::empty())
    }

    pub(super) fn enable_recurring_run(&mut self, id: &str, enable: bool) -> Result<Answer, Refusal> {
        let verb = if enable { "enable" } else { "disable" };
        self.may_recurring_run(verb, id)
            .map_err(|refusal| refusal.context(&format!("Failed to {verb} a recurring run")))?;
        let now = self.now;
        if let Some(row) = self.state.recurring_runs.get_mut(id) {
            row.enabled = enable;
            row.updated_at = now;
        }
        Ok(Answer::empty())
    }
}
