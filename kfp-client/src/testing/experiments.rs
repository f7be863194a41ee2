//! Experiments, in both versions of the API.

use serde_json::Value;

use super::Generation;
use super::access::Access;
use super::answer::{Answer, Code, Message, Refusal};
use super::call::Json;
use super::context::{Context, State, fresh_id};
use super::list::{Column, ListOptions, Listed};
use super::messages::{EXPERIMENT, V1_EXPERIMENT};
use super::references::{namespace_of, reference};

/// A row.
#[derive(Debug, Clone)]
pub(super) struct Experiment {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) namespace: String,
    pub(super) created_at: i64,
    pub(super) last_run_created_at: i64,
    pub(super) archived: bool,
}

impl Listed for Experiment {
    const KIND: &'static str = "Experiment";
    const TABLE: &'static str = "experiments";
    const KEYS: &'static [&'static str] = &[
        "experiment_id",
        "id",
        "display_name",
        "name",
        "created_at",
        "last_run_created_at",
        "description",
        "namespace",
        "storage_state",
    ];
    const OLD_KEYS: &'static [&'static str] =
        &["id", "name", "created_at", "description", "namespace", "storage_state"];

    fn id(&self) -> &str {
        &self.id
    }

    fn column(&self, key: &str) -> Column {
        match key {
            "experiment_id" | "id" => Column::Text(self.id.clone()),
            "display_name" | "name" => Column::Text(self.name.clone()),
            "description" => Column::Text(self.description.clone()),
            "namespace" => Column::Text(self.namespace.clone()),
            "storage_state" => Column::Text(storage(self.archived).to_owned()),
            "last_run_created_at" => Column::Number(self.last_run_created_at),
            _ => Column::Number(self.created_at),
        }
    }
}

/// `storage_state` as it is stored.
pub(super) fn storage(archived: bool) -> &'static str {
    if archived { "ARCHIVED" } else { "AVAILABLE" }
}

/// Makes the experiment that single-user servers have from the start.
pub(super) fn make_default(state: &mut State, now: i64) {
    let description = "All runs created without specifying an experiment will be grouped here.".to_owned();
    let (id, name) = (fresh_id(), "Default".to_owned());
    let row = Experiment {
        id: id.clone(),
        name,
        description,
        namespace: String::new(),
        created_at: now,
        last_run_created_at: 0,
        archived: false,
    };
    state.default_experiment.clone_from(&id);
    state.experiments.insert(id, row);
}

impl Experiment {
    fn v2(&self) -> Value {
        Message::new()
            .text("experiment_id", &self.id)
            .text("display_name", &self.name)
            .text("description", &self.description)
            .time("created_at", self.created_at)
            .text("namespace", &self.namespace)
            .text("storage_state", storage(self.archived))
            .time("last_run_created_at", self.last_run_created_at)
            .done()
    }

    fn v1(&self, generation: Generation, multi_user: bool) -> Value {
        let owner = if generation.has_v2() || multi_user {
            Some(Value::Array(vec![reference("NAMESPACE", &self.namespace, "OWNER")]))
        } else {
            None
        };
        Message::new()
            .text("id", &self.id)
            .text("name", &self.name)
            .text("description", &self.description)
            .time("created_at", self.created_at)
            .value("resource_references", owner)
            .text("storage_state", &format!("STORAGESTATE_{}", storage(self.archived)))
            .done()
    }

    fn render(&self, context: &Context<'_>, v1: bool) -> Value {
        if v1 {
            self.v1(context.generation(), context.multi_user())
        } else {
            self.v2()
        }
    }
}

impl Context<'_> {
    pub(super) fn experiment(&self, id: &str) -> Result<&Experiment, Refusal> {
        self.state
            .experiments
            .get(id)
            .ok_or_else(|| Refusal::not_found("Experiment", id))
    }

    fn may_experiment(&self, verb: &str, id: &str) -> Result<(), Refusal> {
        if !self.multi_user() {
            return Ok(());
        }
        let row = self.experiment(id)?;
        self.authorize(
            &row.namespace,
            Access {
                verb,
                resource: "experiments",
                name: &row.name,
                subject: id,
            },
        )
    }

    pub(super) fn create_experiment(&mut self, v1: bool) -> Result<Answer, Refusal> {
        let body = self.body(if v1 { &V1_EXPERIMENT } else { &EXPERIMENT })?;
        let name = body.text(if v1 { "name" } else { "display_name" });
        let namespace = if v1 {
            namespace_of(&body)
        } else {
            body.text("namespace")
        };
        self.experiment_name(name)?;
        self.require_namespace(namespace, "An experiment")?;
        if self.multi_user() {
            let access = Access {
                verb: "create",
                resource: "experiments",
                name,
                subject: name,
            };
            self.authorize(namespace, access)?;
        } else if v1 && !self.generation().has_v2() && !namespace.is_empty() {
            let text = "In single-user mode, CreateExperimentRequest shouldn't contain resource references.";
            return Err(Refusal::invalid(text).context("Validate experiment request failed."));
        }
        let namespace = if self.multi_user() { namespace } else { "" };
        if self
            .state
            .experiments
            .values()
            .any(|row| row.namespace == namespace && row.name.eq_ignore_ascii_case(name))
        {
            let text =
                format!("Failed to create a new experiment. The name {name} already exists. Please specify a new name");
            let outer = self.words("Create experiment failed.", "Failed to create a experiment");
            return Err(Refusal::new(Code::AlreadyExists, text).context(outer));
        }
        let row = Experiment {
            id: fresh_id(),
            name: name.to_owned(),
            description: body.text("description").to_owned(),
            namespace: namespace.to_owned(),
            created_at: self.now,
            last_run_created_at: 0,
            archived: false,
        };
        let answer = row.render(self, v1);
        self.state.experiments.insert(row.id.clone(), row);
        Ok(Answer::Json(answer))
    }

    fn experiment_name(&self, name: &str) -> Result<(), Refusal> {
        let old = !self.generation().has_v2();
        if name.is_empty() {
            return Err(if old {
                let text = "Experiment name is empty. Please specify a valid experiment name.";
                Refusal::invalid(text).context("Validate experiment request failed.")
            } else {
                converting("Experiment must have a non-empty name")
            });
        }
        let store = |code: &str, cause: &str| {
            let cause = format!("Error {code}: {cause} for column 'Name' at row 1");
            let text = format!("Failed to add experiment to experiment table: {cause}: {cause}");
            let outer = self.words("Create experiment failed.", "Failed to create a experiment");
            Err(Refusal::internal(text).context(outer))
        };
        if self.generation().new_gateway() && name.chars().count() > 128 {
            return Err(converting("Experiment.Name length cannot exceed 128"));
        }
        if name.chars().count() > 255 {
            return store(if old { "1406" } else { "1406 (22001)" }, "Data too long");
        }
        if name.chars().any(|letter| letter.len_utf8() > 3) {
            return store(if old { "1366" } else { "1366 (22007)" }, "Incorrect string value");
        }
        Ok(())
    }

    pub(super) fn get_experiment(&mut self, id: &str, v1: bool) -> Result<Answer, Refusal> {
        let outer = self.words("Get experiment failed.", "Failed to fetch experiment");
        let refuse = |refusal: Refusal| refusal.context(outer);
        self.may_experiment("get", id).map_err(refuse)?;
        let row = self.experiment(id).map_err(refuse)?;
        Ok(Answer::Json(row.render(self, v1)))
    }

    pub(super) fn list_experiments(&mut self, namespace: &str, v1: bool) -> Result<Answer, Refusal> {
        let options = ListOptions::read::<Experiment>(self.call, v1, self.generation())?;
        let outer = self.words("List experiments failed.", "List experiments failed");
        let refuse = |refusal: Refusal| refusal.context(outer);
        self.require_namespace(namespace, "An experiment").map_err(refuse)?;
        let access = Access {
            verb: "list",
            resource: "experiments",
            name: "",
            subject: "",
        };
        self.authorize(namespace, access).map_err(refuse)?;
        let all = !self.multi_user();
        let page = options.page(
            self.state
                .experiments
                .values()
                .filter(|row| all || row.namespace == namespace),
        );
        let rows = page.rows.iter().map(|row| row.render(self, v1)).collect();
        Ok(Answer::Json(page.message("experiments", rows)))
    }

    pub(super) fn delete_experiment(&mut self, id: &str) -> Result<Answer, Refusal> {
        let refuse = |refusal: Refusal| refusal.context("Failed to delete experiment");
        self.may_experiment("delete", id).map_err(refuse)?;
        self.experiment(id).map_err(refuse)?;
        if self.state.default_experiment == id && self.generation().has_v2() {
            let text = format!("Failed to delete experiment {id}. The default experiment cannot be deleted");
            return Err(refuse(Refusal::new(Code::Aborted, text)));
        }
        self.state.experiments.remove(id);
        Ok(Answer::empty())
    }

    /// Archives the experiment and its runs, and disables its recurring runs; an unknown id is no error.
    pub(super) fn archive_experiment(&mut self, id: &str, archive: bool) -> Result<Answer, Refusal> {
        self.may_experiment(if archive { "archive" } else { "unarchive" }, id)?;
        if let Some(row) = self.state.experiments.get_mut(id) {
            row.archived = archive;
        }
        if archive {
            for run in self.state.runs.values_mut().filter(|run| run.experiment_id == id) {
                run.archived = true;
            }
            for job in self
                .state
                .recurring_runs
                .values_mut()
                .filter(|job| job.experiment_id == id)
            {
                job.enabled = false;
            }
        }
        Ok(Answer::empty())
    }
}

/// An experiment that cannot be taken over from its message.
fn converting(cause: &str) -> Refusal {
    let text = format!("Failed to convert API experiment to model experiment: Invalid input error: {cause}");
    Refusal::internal(text).context("[ExperimentServer]: Failed to create a experiment due to conversion error")
}
