//! Pipelines, in both versions of the API.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::access::Access;
use super::answer::{Answer, Code, Message, Refusal};
use super::call::Json;
use super::context::{Context, fresh_id};
use super::list::{Column, ListOptions, Listed};
use super::messages::PIPELINE;
use super::references::reference;

/// A row.
#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) display_name: String,
    pub(super) description: String,
    pub(super) namespace: String,
    pub(super) created_at: i64,
    pub(super) tags: BTreeMap<String, String>,
    /// Servers of 1.8 keep which version stands for the pipeline; later ones take the latest.
    pub(super) default_version: String,
}

impl Listed for Pipeline {
    const KIND: &'static str = "Pipeline";
    const TABLE: &'static str = "pipelines";
    const KEYS: &'static [&'static str] = &[
        "pipeline_id",
        "id",
        "name",
        "display_name",
        "created_at",
        "description",
        "namespace",
    ];
    const OLD_KEYS: &'static [&'static str] = &["id", "name", "created_at", "description", "namespace"];
    const TAGGED: bool = true;

    fn id(&self) -> &str {
        &self.id
    }

    fn column(&self, key: &str) -> Column {
        match key {
            "pipeline_id" | "id" => Column::Text(self.id.clone()),
            "name" => Column::Text(self.name.clone()),
            "display_name" => Column::Text(self.display_name.clone()),
            "description" => Column::Text(self.description.clone()),
            "namespace" => Column::Text(self.namespace.clone()),
            _ => Column::Number(self.created_at),
        }
    }

    fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }
}

/// What a client says of a new pipeline or version.
#[derive(Debug, Clone, Default)]
pub(super) struct Naming {
    pub(super) name: String,
    pub(super) display_name: String,
    pub(super) description: String,
    pub(super) namespace: String,
    pub(super) tags: BTreeMap<String, String>,
}

impl Naming {
    /// From a `Pipeline` or `PipelineVersion` message: the name is the identity, the display name stands in for it.
    pub(super) fn read(body: &Value) -> Self {
        let (name, shown) = (body.text("name"), body.text("display_name"));
        Self {
            name: if name.is_empty() { shown } else { name }.to_owned(),
            display_name: if shown.is_empty() { name } else { shown }.to_owned(),
            description: body.text("description").to_owned(),
            namespace: body.text("namespace").to_owned(),
            tags: tags_of(body),
        }
    }

    /// Takes the name of a file where the client gave none.
    pub(super) fn name_after(&mut self, file: &str) {
        if self.name.is_empty() {
            file.clone_into(&mut self.name);
        }
        if self.display_name.is_empty() {
            self.display_name.clone_from(&self.name);
        }
    }
}

pub(super) fn tags_of(body: &Value) -> BTreeMap<String, String> {
    let pairs = body.members("tags").into_iter();
    pairs
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// Limits of tags.
pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), String> {
    if tags.len() > 20 {
        return Err(format!("too many tags: {}, at most 20 are allowed", tags.len()));
    }
    for (key, value) in tags {
        if key.contains('.') {
            return Err(format!("tag key {key:?} must not contain '.' character"));
        }
        if key.is_empty() || key.chars().count() > 63 || value.chars().count() > 63 {
            return Err(format!(
                "tag {key:?} must have a key and a value of at most 63 characters"
            ));
        }
    }
    Ok(())
}

/// Tags as JSON; `None` if there are none.
pub(super) fn tags_value(tags: &BTreeMap<String, String>) -> Option<Value> {
    (!tags.is_empty()).then(|| json!(tags))
}

impl Context<'_> {
    pub(super) fn pipeline(&self, id: &str) -> Result<&Pipeline, Refusal> {
        self.state
            .pipelines
            .get(id)
            .ok_or_else(|| Refusal::not_found("Pipeline", id))
    }

    /// Reading a shared pipeline needs no rights and no identity; changing one is checked in the server's namespace.
    pub(super) fn may_pipeline(&self, verb: &str, id: &str) -> Result<(), Refusal> {
        if !self.multi_user() {
            return Ok(());
        }
        let row = self.pipeline(id)?;
        let namespace = match row.namespace.as_str() {
            // Servers before 2.17 let everybody do everything with the pipelines that belong to nobody.
            "" if verb == "get" || !self.generation().new_gateway() => return Ok(()),
            "" => "kubeflow",
            namespace => namespace,
        };
        self.authorize(
            namespace,
            Access {
                verb,
                resource: "pipelines",
                name: &row.name,
                subject: id,
            },
        )
    }

    pub(super) fn render_pipeline(&self, row: &Pipeline, v1: bool) -> Value {
        if !v1 {
            let new = self.generation().new_gateway();
            return Message::new()
                .text("pipeline_id", &row.id)
                .text("display_name", &row.display_name)
                .text("name", if new { &row.name } else { "" })
                .text("description", &row.description)
                .time("created_at", row.created_at)
                .text("namespace", &row.namespace)
                .value("tags", tags_value(&row.tags))
                .done();
        }
        let default = self.default_version(row);
        let parameters = default
            .map(|version| version.template.v1_parameters())
            .unwrap_or_default();
        let owner = (!row.namespace.is_empty() && self.generation().has_v2())
            .then(|| json!([reference("NAMESPACE", &row.namespace, "OWNER")]));
        Message::new()
            .text("id", &row.id)
            .time("created_at", row.created_at)
            .text("name", &row.name)
            .text("description", &row.description)
            .value("parameters", Value::Array(parameters))
            .value(
                "default_version",
                default.map(|version| self.render_version(version, true)),
            )
            .value("resource_references", owner)
            .done()
    }

    /// Inserts a pipeline if its name is free.
    pub(super) fn add_pipeline(&mut self, naming: &Naming) -> Result<String, Refusal> {
        let namespace = if self.multi_user() {
            naming.namespace.as_str()
        } else {
            ""
        };
        let taken = |row: &Pipeline| row.namespace == namespace && row.name.eq_ignore_ascii_case(&naming.name);
        if self.state.pipelines.values().any(taken) {
            let told = if self.generation().has_v2() {
                "already exists. Please specify a new name"
            } else {
                "already exist. Please specify a new name."
            };
            let text = format!("Failed to create a new pipeline. The name {} {told}", naming.name);
            return Err(Refusal::new(Code::AlreadyExists, text).context("Failed to create a pipeline"));
        }
        let row = Pipeline {
            id: fresh_id(),
            name: naming.name.clone(),
            display_name: naming.display_name.clone(),
            description: naming.description.clone(),
            namespace: namespace.to_owned(),
            created_at: self.now,
            tags: naming.tags.clone(),
            default_version: String::new(),
        };
        let id = row.id.clone();
        self.state.pipelines.insert(id.clone(), row);
        Ok(id)
    }

    /// v2: a pipeline without versions.
    pub(super) fn create_pipeline(&mut self) -> Result<Answer, Refusal> {
        let body = self.body(&PIPELINE)?;
        let naming = Naming::read(&body);
        let outer = |refusal: Refusal| refusal.context("Failed to create a pipeline");
        if naming.name.is_empty() {
            let new = self.generation().new_gateway();
            let text = if new {
                "name is required"
            } else {
                "pipeline's name cannot be empty"
            };
            return Err(Refusal::invalid(text).context("Failed to create a pipeline due to server error"));
        }
        check_tags(&naming.tags).map_err(|text| outer(Refusal::invalid(text)))?;
        self.may_create_pipeline(&naming).map_err(outer)?;
        let id = self.add_pipeline(&naming)?;
        Ok(Answer::Json(self.render_pipeline(self.pipeline(&id)?, false)))
    }

    /// Whether the user may make a pipeline or a version through the gateway.
    pub(super) fn may_create_pipeline(&self, naming: &Naming) -> Result<(), Refusal> {
        if naming.namespace.is_empty() && self.generation().new_gateway() {
            return self.may_create_in("kubeflow", &naming.name);
        }
        self.may_upload(naming)
    }

    /// Whether the user may upload it: what belongs to nobody may be uploaded by everybody, in all generations.
    pub(super) fn may_upload(&self, naming: &Naming) -> Result<(), Refusal> {
        if naming.namespace.is_empty() {
            return Ok(());
        }
        self.may_create_in(&naming.namespace, &naming.name)
    }

    fn may_create_in(&self, namespace: &str, name: &str) -> Result<(), Refusal> {
        let access = Access {
            verb: "create",
            resource: "pipelines",
            name,
            subject: name,
        };
        self.authorize(namespace, access)
    }

    pub(super) fn get_pipeline(&mut self, id: &str, v1: bool) -> Result<Answer, Refusal> {
        let new = self.generation().has_v2();
        let refuse = |refusal: Refusal| {
            if !new {
                return refusal.context("Get pipeline failed.");
            }
            let version = if v1 { " (v1beta1)" } else { "" };
            let refusal = refusal.context(&format!("Failed to get a pipeline with id {id}"));
            refusal.context(&format!("Failed to get a pipeline{version} {id}. Check error stack"))
        };
        self.may_pipeline("get", id).map_err(refuse)?;
        let row = self.pipeline(id).map_err(refuse)?;
        Ok(Answer::Json(self.render_pipeline(row, v1)))
    }

    /// Without a namespace a namespaced pipeline is found too.
    pub(super) fn get_pipeline_by_name(&mut self, name: &str, namespace: &str, v1: bool) -> Result<Answer, Refusal> {
        let namespace = if self.multi_user() { namespace } else { "" };
        let found =
            self.state.pipelines.values().find(|row| {
                row.name.eq_ignore_ascii_case(name) && (namespace.is_empty() || row.namespace == namespace)
            });
        let Some(id) = found.map(|row| row.id.clone()) else {
            let refusal = Refusal::new(Code::NotFound, format!("Pipeline {namespace}/{name} not found"));
            return Err(refusal.context("Failed to get a pipeline by name"));
        };
        self.get_pipeline(&id, v1)
    }

    pub(super) fn list_pipelines(&mut self, namespace: &str, v1: bool) -> Result<Answer, Refusal> {
        let options = ListOptions::read::<Pipeline>(self.call, v1, self.generation())?;
        let namespace = if self.multi_user() { namespace } else { "" };
        if !namespace.is_empty() {
            let access = Access {
                verb: "list",
                resource: "pipelines",
                name: "",
                subject: "",
            };
            self.authorize(namespace, access)
                .map_err(|refusal| refusal.context("Failed to list pipelines"))?;
        }
        let page = options.page(self.state.pipelines.values().filter(|row| row.namespace == namespace));
        let rows = page.rows.iter().map(|row| self.render_pipeline(row, v1)).collect();
        Ok(Answer::Json(page.message("pipelines", rows)))
    }

    pub(super) fn delete_pipeline(&mut self, id: &str, v1: bool) -> Result<Answer, Refusal> {
        let refuse = |refusal: Refusal| refusal.context(&format!("Failed to delete pipeline {id}. Check error stack"));
        let cascade = match self.call.flag("cascade") {
            _ if !self.generation().has_v2() => true,
            // Unknown words of a query are skipped.
            _ if v1 || !self.generation().new_gateway() => false,
            Ok(cascade) => cascade,
            Err(cause) => {
                let text = format!("parsing field \"cascade\": {cause}");
                return Err(Refusal::gateway(Code::InvalidArgument, text));
            }
        };
        self.may_pipeline("delete", id).map_err(refuse)?;
        self.pipeline(id).map_err(refuse)?;
        let versions: Vec<String> = self
            .state
            .versions
            .values()
            .filter(|row| row.pipeline_id == id)
            .map(|row| row.id.clone())
            .collect();
        if let Some(version) = versions.first()
            && !cascade
        {
            let text = format!(
                "Failed to delete pipeline with id {id} as it has existing pipeline versions (e.g. {version}). \
                 Set cascade=true to delete all versions"
            );
            return Err(refuse(Refusal::invalid(text)));
        }
        for version in versions {
            self.state.versions.remove(&version);
        }
        self.state.pipelines.remove(id);
        Ok(Answer::empty())
    }

    /// Display name and tags alone can change; tags are replaced as a whole.
    pub(super) fn update_pipeline(&mut self, id: &str) -> Result<Answer, Refusal> {
        let body = self.body(&PIPELINE)?;
        let refuse = |refusal: Refusal| refusal.context(&format!("Failed to update pipeline {id}"));
        self.may_pipeline("update", id).map_err(refuse)?;
        self.pipeline(id).map_err(refuse)?;
        let tags = tags_of(&body);
        check_tags(&tags).map_err(|text| refuse(Refusal::invalid(text)))?;
        if let Some(row) = self.state.pipelines.get_mut(id) {
            if body.get("tags").is_some() {
                row.tags = tags;
            }
            if !body.text("display_name").is_empty() {
                body.text("display_name").clone_into(&mut row.display_name);
            }
        }
        Ok(Answer::Json(self.render_pipeline(self.pipeline(id)?, false)))
    }
}
