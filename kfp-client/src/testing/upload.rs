//! Uploads of pipelines and versions: handwritten HTTP handlers beside the gateway, with errors of their own.

use super::Generation;
use super::answer::{Answer, Code, Refusal};
use super::archive;
use super::context::Context;
use super::form;
use super::pipelines::{Naming, check_tags};
use super::template::{Template, Unfit};

/// Largest upload.
const LIMIT: usize = 32 << 20;

/// What an upload makes.
#[derive(Debug, Clone, Copy)]
enum Made {
    Pipeline,
    Version,
}

impl Made {
    fn failed(self) -> &'static str {
        match self {
            Self::Pipeline => "Failed to create a pipeline and a pipeline version",
            Self::Version => "Failed to create a pipeline version",
        }
    }

    fn failed_1_8(self) -> &'static str {
        match self {
            Self::Pipeline => "Error creating pipeline: Create pipeline failed",
            Self::Version => "Error creating pipeline version: Create pipeline version failed",
        }
    }
}

impl Context<'_> {
    /// Refusals of the handler are JSON since 2.5, some of them in a text/plain answer.
    fn upload_refusal(&self, status: u16, json: bool, message: impl Into<String>) -> Refusal {
        Refusal::handwritten(status, json && self.generation().has_v2(), message)
    }

    /// The file of the form: its name and document.
    fn uploaded(&self, fail: &str) -> Result<(String, String), Refusal> {
        let kind = self.call.header("content-type").unwrap_or_default();
        let parts = form::parts(kind, &self.call.body).unwrap_or_default();
        let Some(part) = parts.into_iter().find(|part| part.field == "uploadfile") else {
            return Err(self.upload_refusal(
                400,
                false,
                "Failed to read pipeline from file: http: no such file (uploadfile)",
            ));
        };
        if part.data.len() > LIMIT {
            return Err(self.upload_refusal(400, false, "File size too large. Maximum supported size: 32 MB"));
        }
        match archive::document(&part.file_name, &part.data) {
            Ok(document) => Ok((part.file_name, document)),
            Err(_) if self.generation().new_gateway() => Err(self.upload_refusal(400, false, fail)),
            Err(cause) => Err(self.upload_refusal(400, false, format!("{fail}: {cause}"))),
        }
    }

    fn upload_naming(&self, file_name: &str) -> Result<Naming, Refusal> {
        let (name, shown) = (self.call.query("name"), self.call.query("display_name"));
        let shown = if self.generation().new_gateway() { shown } else { "" };
        let name = [name, shown, file_name]
            .into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or_default();
        let mut naming = Naming {
            name: name.to_owned(),
            display_name: if shown.is_empty() { name } else { shown }.to_owned(),
            description: self.call.query("description").to_owned(),
            namespace: self.call.query("namespace").to_owned(),
            ..Naming::default()
        };
        let tags = self.call.query("tags");
        if !tags.is_empty() && self.generation().new_gateway() {
            let Ok(tags) = serde_json::from_str(tags) else {
                return Err(self.upload_refusal(
                    400,
                    false,
                    "Failed to parse tags query parameter. Expected JSON object with string keys and values",
                ));
            };
            naming.tags = tags;
        }
        Ok(naming)
    }

    /// The document as a pipeline.
    fn upload_template(&self, document: &str, made: Made) -> Result<Template, Refusal> {
        let generation = self.generation();
        let refuse = |label: &str, text: String, end: &str| {
            let (status, text) = match generation {
                Generation::V1_8 => (500, format!("{}: {label}: {text}{end}", made.failed_1_8())),
                Generation::V2_5 => {
                    let failed = made.failed();
                    let cause = format!("{failed} due to template creation error");
                    (500, format!("{failed}: {cause}: {label}: {text}{end}"))
                }
                Generation::V2_17 => (400, text),
            };
            self.upload_refusal(status, true, text)
        };
        match Template::parse(document, generation) {
            Ok(template) => {
                let stored = template.check_stored(generation);
                let refuse = |text| refuse("Invalid input error", text, "");
                stored.map(|()| template).map_err(refuse)
            }
            // A 2.x server loops for ever on such a text.
            Err(Unfit::Broken(_)) if generation.has_v2() => Err(Refusal::hang()),
            Err(Unfit::Broken(text) | Unfit::Refused(text)) => {
                Err(refuse("InvalidInputError", text, ": pipeline spec is invalid"))
            }
        }
    }

    fn upload_conflict(&self, refusal: &Refusal, made: Made) -> Refusal {
        let taken = refusal.code() == Code::AlreadyExists;
        let failed = made.failed();
        let text = match self.generation() {
            Generation::V1_8 => format!("{}: {}", made.failed_1_8(), refusal.bare()),
            Generation::V2_5 if taken => {
                let inner = match made {
                    Made::Pipeline => failed,
                    Made::Version => "Failed to create pipeline version in PipelineStore",
                };
                format!("{failed}. The pipeline already exists.: {inner}: {}", refusal.bare())
            }
            Generation::V2_5 => format!("{failed}: {}", refusal.message()),
            Generation::V2_17 => failed.to_owned(),
        };
        let status = if taken && self.generation().has_v2() { 409 } else { 500 };
        self.upload_refusal(status, true, text)
    }

    /// Older servers tell the cause, newer ones keep it to themselves.
    fn upload_cause(&self, refusal: &Refusal, message: &str) -> String {
        if self.generation().new_gateway() {
            message.to_owned()
        } else {
            format!("{message}: {}", refusal.message())
        }
    }

    pub(super) fn upload_pipeline(&mut self, v1: bool) -> Result<Answer, Refusal> {
        let unread = self.words("Error read pipeline file.", "Failed to read a pipeline spec file");
        let (file_name, document) = self.uploaded(unread)?;
        let naming = self.upload_naming(&file_name)?;
        let limit = match self.generation() {
            Generation::V1_8 => 100,
            Generation::V2_5 => usize::MAX,
            Generation::V2_17 => 128,
        };
        if naming.name.chars().count() > limit {
            if limit == 128 {
                return Err(Refusal::text(
                    400,
                    "Invalid input error: Pipeline.Name length cannot exceed 128\n",
                ));
            }
            let text =
                "Invalid pipeline name.: Invalid input error: Pipeline name too long. Support maximum length of 100";
            return Err(self.upload_refusal(400, false, text));
        }
        if let Err(refusal) = self.may_upload(&naming) {
            return Err(self.upload_refusal(400, false, self.upload_cause(&refusal, "Failed to create a pipeline")));
        }
        check_tags(&naming.tags).map_err(|text| self.upload_refusal(400, true, text))?;
        let template = self.upload_template(&document, Made::Pipeline)?;
        let id = self
            .add_pipeline(&naming)
            .map_err(|refusal| self.upload_conflict(&refusal, Made::Pipeline))?;
        let version = (!self.generation().has_v2()).then_some(id.as_str());
        if let Err(refusal) = self.add_version(&id, version, &naming, template, document) {
            self.state.pipelines.remove(&id);
            return Err(self.upload_conflict(&refusal, Made::Pipeline));
        }
        Ok(Answer::Json(self.render_pipeline(self.pipeline(&id)?, v1)))
    }

    pub(super) fn upload_version(&mut self, v1: bool) -> Result<Answer, Refusal> {
        let fail = "Failed to create a pipeline version";
        let unread = match self.generation() {
            Generation::V1_8 => "Error read pipeline file.",
            Generation::V2_5 => "Failed to create a pipeline version due to error reading pipeline spec file",
            Generation::V2_17 => fail,
        };
        let (file_name, document) = self.uploaded(unread)?;
        let naming = self.upload_naming(&file_name)?;
        let pipeline = self.call.query("pipelineid").to_owned();
        if pipeline.is_empty() {
            return Err(self.upload_refusal(
                400,
                false,
                match self.generation() {
                    Generation::V1_8 => "Please specify a pipeline id when creating versions.",
                    Generation::V2_5 => "Failed to create a pipeline version due to error reading pipeline id",
                    Generation::V2_17 => fail,
                },
            ));
        }
        let home = self.pipeline(&pipeline).map(|row| row.namespace.clone());
        let may = home.and_then(|namespace| {
            self.may_upload(&Naming {
                namespace,
                ..naming.clone()
            })
        });
        may.map_err(|refusal| self.upload_refusal(400, false, self.upload_cause(&refusal, fail)))?;
        let template = self.upload_template(&document, Made::Version)?;
        let id = self.add_version(&pipeline, None, &naming, template, document);
        let id = id.map_err(|refusal| self.upload_conflict(&refusal, Made::Version))?;
        if let Some(row) = self.state.versions.get_mut(&id) {
            row.tags = naming.tags;
        }
        Ok(Answer::Json(self.render_version(self.version(&id)?, v1)))
    }
}
