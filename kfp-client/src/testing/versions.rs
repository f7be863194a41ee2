//! Pipeline versions, in both versions of the API.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answer::{Answer, Code, Message, Refusal};
use super::call::Json;
use super::context::{Context, fresh_id};
use super::list::{Column, ListOptions, Listed};
use super::messages::VERSION;
use super::pipelines::{Naming, Pipeline, check_tags, tags_of, tags_value};
use super::references::reference;
use super::template::Template;

/// A row.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) id: String,
    pub(super) pipeline_id: String,
    pub(super) name: String,
    pub(super) display_name: String,
    pub(super) description: String,
    pub(super) created_at: i64,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) template: Template,
    /// The document as it was sent.
    pub(super) text: String,
    /// From where the server fetched it, if it did.
    pub(super) package_url: String,
    /// Where its source is, as the client said.
    pub(super) code_source_url: String,
}

impl Listed for Version {
    const KIND: &'static str = "PipelineVersion";
    const TABLE: &'static str = "pipeline_versions";
    const KEYS: &'static [&'static str] = &[
        "pipeline_version_id",
        "id",
        "name",
        "display_name",
        "created_at",
        "description",
        "status",
    ];
    const OLD_KEYS: &'static [&'static str] = &["id", "name", "created_at", "status"];
    const TAGGED: bool = true;

    fn id(&self) -> &str {
        &self.id
    }

    fn column(&self, key: &str) -> Column {
        match key {
            "pipeline_version_id" | "id" => Column::Text(self.id.clone()),
            "name" => Column::Text(self.name.clone()),
            "display_name" => Column::Text(self.display_name.clone()),
            "description" => Column::Text(self.description.clone()),
            "status" => Column::Text("READY".to_owned()),
            _ => Column::Number(self.created_at),
        }
    }

    fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }
}

/// A URL message; none for an empty one.
fn package_url(url: &str) -> Option<Value> {
    (!url.is_empty()).then(|| json!({"pipeline_url": url}))
}

impl Context<'_> {
    pub(super) fn version(&self, id: &str) -> Result<&Version, Refusal> {
        self.state
            .versions
            .get(id)
            .ok_or_else(|| Refusal::not_found("PipelineVersion", id))
    }

    /// The version that stands for a pipeline. Times are whole seconds, so within one second it is arbitrary.
    pub(super) fn default_version(&self, pipeline: &Pipeline) -> Option<&Version> {
        if !self.generation().has_v2() {
            return self.state.versions.get(&pipeline.default_version);
        }
        let own = self
            .state
            .versions
            .values()
            .filter(|row| row.pipeline_id == pipeline.id);
        own.max_by_key(|row| (row.created_at, row.id.clone()))
    }

    pub(super) fn render_version(&self, row: &Version, v1: bool) -> Value {
        if !v1 {
            let new = self.generation().new_gateway();
            return Message::new()
                .text("pipeline_id", &row.pipeline_id)
                .text("pipeline_version_id", &row.id)
                .text("display_name", &row.display_name)
                .text("name", if new { &row.name } else { "" })
                .text("description", &row.description)
                .time("created_at", row.created_at)
                .value("package_url", package_url(&row.package_url))
                .value("pipeline_spec", row.template.shown())
                .value("tags", tags_value(&row.tags))
                .done();
        }
        // A v1 answer takes the source for the package; v2 does not give the source back at all.
        let package = self.generation().has_v2().then(|| package_url(&row.code_source_url));
        Message::new()
            .text("id", &row.id)
            .text("name", &row.name)
            .time("created_at", row.created_at)
            .value("parameters", Value::Array(row.template.v1_parameters()))
            .text("code_source_url", &row.code_source_url)
            .value("package_url", package.flatten())
            .value(
                "resource_references",
                json!([reference("PIPELINE", &row.pipeline_id, "OWNER")]),
            )
            .text("description", &row.description)
            .done()
    }

    /// Inserts a version if its name is free in the pipeline.
    pub(super) fn add_version(
        &mut self,
        pipeline_id: &str,
        id: Option<&str>,
        naming: &Naming,
        template: Template,
        text: String,
    ) -> Result<String, Refusal> {
        let taken = |row: &Version| row.pipeline_id == pipeline_id && row.name.eq_ignore_ascii_case(&naming.name);
        if self.state.versions.values().any(taken) {
            let told = if self.generation().has_v2() {
                "Specify a new name"
            } else {
                "Please specify a new name."
            };
            let text = format!(
                "Failed to create a new pipeline version. The name {} already exist. {told}",
                naming.name
            );
            return Err(Refusal::new(Code::AlreadyExists, text));
        }
        if naming.name.chars().count() > 127 && self.generation().has_v2() {
            return Err(Refusal::internal("PipelineVersion.Name length cannot exceed 127"));
        }
        let template = template.stored(self.generation());
        // A workflow is kept as the server's types write it, a specification as it was sent.
        let text = match &template {
            Template::Argo(workflow) => serde_norway::to_string(workflow).unwrap_or(text),
            Template::Ir { .. } => text,
        };
        let row = Version {
            id: id.map_or_else(fresh_id, str::to_owned),
            pipeline_id: pipeline_id.to_owned(),
            name: naming.name.clone(),
            display_name: naming.display_name.clone(),
            // The first version on a server of 1.8, which has its pipeline's id, is not described.
            description: if id.is_some() {
                String::new()
            } else {
                naming.description.clone()
            },
            created_at: self.now,
            tags: BTreeMap::new(),
            template,
            text,
            package_url: String::new(),
            code_source_url: String::new(),
        };
        let id = row.id.clone();
        self.state.versions.insert(id.clone(), row);
        if let Some(pipeline) = self.state.pipelines.get_mut(pipeline_id) {
            pipeline.default_version.clone_from(&id);
        }
        Ok(id)
    }

    pub(super) fn get_version(&mut self, id: &str, v1: bool) -> Result<Answer, Refusal> {
        let refuse = |refusal: Refusal| refusal.context(&format!("Failed to get a pipeline version with id {id}"));
        let pipeline = self.version(id).map_err(refuse)?.pipeline_id.clone();
        self.may_pipeline("get", &pipeline).map_err(refuse)?;
        Ok(Answer::Json(self.render_version(self.version(id)?, v1)))
    }

    pub(super) fn list_versions(&mut self, pipeline: &str, v1: bool) -> Result<Answer, Refusal> {
        let refuse = |refusal: Refusal| refusal.context("Failed to list pipeline versions");
        if v1 && pipeline.is_empty() {
            if !self.generation().has_v2() {
                return Err(Refusal::invalid("ResourceKey must be set in the input"));
            }
            let text = "Invalid resource references for pipeline versions. Expect one pipeline reference, got none";
            return Err(refuse(Refusal::invalid(text)));
        }
        let options = ListOptions::read::<Version>(self.call, v1, self.generation())?;
        self.pipeline(pipeline).map_err(refuse)?;
        self.may_pipeline("get", pipeline).map_err(refuse)?;
        let page = options.page(self.state.versions.values().filter(|row| row.pipeline_id == pipeline));
        let rows = page.rows.iter().map(|row| self.render_version(row, v1)).collect();
        Ok(Answer::Json(
            page.message(if v1 { "versions" } else { "pipeline_versions" }, rows),
        ))
    }

    pub(super) fn delete_version(&mut self, id: &str) -> Result<Answer, Refusal> {
        let refuse = |refusal: Refusal, pipeline: &str| {
            refusal.context(&format!(
                "Failed to delete pipeline version {id} under pipeline {pipeline}"
            ))
        };
        let asked = self.call.path.split('/').nth(4).unwrap_or_default().to_owned();
        let pipeline = self
            .version(id)
            .map_err(|refusal| refuse(refusal, &asked))?
            .pipeline_id
            .clone();
        self.may_pipeline("delete", &pipeline)
            .map_err(|refusal| refuse(refusal, &pipeline))?;
        self.state.versions.remove(id);
        if !self.generation().has_v2() {
            let own = self.state.versions.values().filter(|row| row.pipeline_id == pipeline);
            let latest = own
                .max_by_key(|row| (row.created_at, row.id.clone()))
                .map(|row| row.id.clone());
            if let Some(row) = self.state.pipelines.get_mut(&pipeline)
                && row.default_version == id
            {
                row.default_version = latest.unwrap_or_default();
            }
        }
        Ok(Answer::empty())
    }

    pub(super) fn update_version(&mut self, id: &str) -> Result<Answer, Refusal> {
        let body = self.body(&VERSION)?;
        let refuse = |refusal: Refusal| refusal.context(&format!("Failed to update pipeline version {id}"));
        let pipeline = self.version(id).map_err(refuse)?.pipeline_id.clone();
        self.may_pipeline("update", &pipeline).map_err(refuse)?;
        let tags = tags_of(&body);
        check_tags(&tags).map_err(|text| refuse(Refusal::invalid(text)))?;
        if let Some(row) = self.state.versions.get_mut(id) {
            if body.get("tags").is_some() {
                row.tags = tags;
            }
            if !body.text("display_name").is_empty() {
                body.text("display_name").clone_into(&mut row.display_name);
            }
        }
        Ok(Answer::Json(self.render_version(self.version(id)?, false)))
    }

    /// v1: the document of a version, or of the version that stands for a pipeline.
    pub(super) fn get_template(&mut self, id: &str, of_pipeline: bool) -> Result<Answer, Refusal> {
        let version = if of_pipeline {
            self.may_pipeline("get", id)?;
            let pipeline = self.pipeline(id)?;
            self.default_version(pipeline)
                .ok_or_else(|| Refusal::not_found("PipelineVersion", id))?
        } else {
            let version = self.version(id)?;
            self.may_pipeline("get", &version.pipeline_id)?;
            version
        };
        Ok(Answer::Json(json!({"template": version.text})))
    }

    /// Servers of 2.x answer and do nothing: the latest version counts.
    pub(super) fn set_default_version(&mut self, pipeline: &str, version: &str) -> Result<Answer, Refusal> {
        self.may_pipeline("update", pipeline)?;
        if let Some(row) = self.state.pipelines.get_mut(pipeline) {
            version.clone_into(&mut row.default_version);
        }
        Ok(Answer::empty())
    }
}
