//! What a run or a recurring run is made from.

use serde_json::{Map, Value, json};

use super::answer::{Message, Refusal};
use super::call::Json;
use super::context::Context;
use super::go_json;
use super::references::referred;
use super::template::{Template, Unfit};

/// The source as it is kept with a run.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// A document inside the request: how v2 shows it, and its text for v1.
    Inline { shown: Value, text: String, argo: bool },
    /// A version; none if a recurring run follows the latest.
    Version {
        pipeline_id: String,
        version_id: String,
        by_pipeline: bool,
    },
}

/// Source and parameters of a run or a recurring run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) source: Source,
    pub(super) parameters: Map<String, Value>,
    pub(super) pipeline_root: String,
    /// Whether the client sent a `runtime_config`.
    pub(super) configured: bool,
}

impl Plan {
    /// The fields of a v2 message.
    pub(super) fn v2(&self, message: Message) -> Message {
        let message = match &self.source {
            Source::Inline { shown, .. } => message.value("pipeline_spec", shown.clone()),
            Source::Version {
                pipeline_id,
                version_id,
                ..
            } => {
                let reference = Message::new()
                    .text("pipeline_id", pipeline_id)
                    .text("pipeline_version_id", version_id);
                message.value("pipeline_version_reference", reference.done())
            }
        };
        message.value("runtime_config", self.config())
    }

    fn config(&self) -> Option<Value> {
        let parameters = (!self.parameters.is_empty()).then(|| Value::Object(self.parameters.clone()));
        let config = Message::new()
            .value("parameters", parameters)
            .text("pipeline_root", &self.pipeline_root)
            .done();
        (self.configured || config.as_object().is_some_and(|map| !map.is_empty())).then_some(config)
    }

    /// The `pipeline_spec` of a v1 message.
    pub(super) fn v1(&self, context: &Context<'_>) -> Value {
        let message = Message::new();
        let (message, text, argo) = match &self.source {
            Source::Inline { text, argo, .. } => (message, text.clone(), *argo),
            Source::Version {
                pipeline_id,
                version_id,
                by_pipeline,
            } => {
                let name = context
                    .state
                    .pipelines
                    .get(pipeline_id)
                    .map_or("", |row| row.name.as_str());
                let version = context.state.versions.get(version_id);
                let argo = version.is_some_and(|version| matches!(version.template, Template::Argo(_)));
                let text = version.map(|version| version.template.text()).unwrap_or_default();
                let shown = *by_pipeline || context.generation().has_v2();
                let (id, name) = if shown { (pipeline_id.as_str(), name) } else { ("", "") };
                (message.text("pipeline_id", id).text("pipeline_name", name), text, argo)
            }
        };
        if argo {
            let parameters: Value = self
                .parameters
                .iter()
                .map(|(name, value)| Message::new().text("name", name).text("value", &as_text(value)).done())
                .collect();
            message
                .value("parameters", parameters)
                .text("workflow_manifest", &text)
                .done()
        } else {
            message
                .text("pipeline_manifest", &text)
                .value("runtime_config", self.config())
                .done()
        }
    }
}

/// A parameter value as v1 and command lines have it.
pub(super) fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Context<'_> {
    /// Source and parameters of a v2 request.
    pub(super) fn plan_v2(&self, body: &Value) -> Result<(Plan, Template), Refusal> {
        let config = body.get("runtime_config");
        let parameters = config
            .and_then(|config| config.get("parameters"))
            .and_then(Value::as_object);
        let reference = body.get("pipeline_version_reference");
        let (source, template) = if let Some(reference) = reference {
            self.referenced(reference.text("pipeline_id"), reference.text("pipeline_version_id"))?
        } else if let Some(spec) = body
            .get("pipeline_spec")
            .filter(|spec| spec.as_object().is_some_and(|map| !map.is_empty()))
        {
            let template = Template::inline(spec, self.generation()).map_err(|text| invalid_spec(&text))?;
            let shown = match (&template, spec.get("pipeline_spec"), spec.get("platform_spec")) {
                (Template::Ir { platform: None, .. }, Some(bare), _) => bare.clone(),
                _ => spec.clone(),
            };
            let argo = matches!(template, Template::Argo(_));
            (
                Source::Inline {
                    shown,
                    text: template.text(),
                    argo,
                },
                template,
            )
        } else {
            return Err(fetching(
                "Invalid input error: Failed to fetch a template with an empty pipeline spec manifest",
            ));
        };
        let plan = Plan {
            source,
            parameters: parameters.cloned().unwrap_or_default(),
            pipeline_root: config
                .map(|config| config.text("pipeline_root").to_owned())
                .unwrap_or_default(),
            configured: config.is_some(),
        };
        Ok((plan, template))
    }

    /// Source and parameters of a v1 request.
    pub(super) fn plan_v1(&self, body: &Value) -> Result<(Plan, Template), Refusal> {
        let empty = json!({});
        let spec = body.get("pipeline_spec").unwrap_or(&empty);
        let version = referred(body, "PIPELINE_VERSION");
        let text = [spec.text("workflow_manifest"), spec.text("pipeline_manifest")]
            .into_iter()
            .find(|text| !text.is_empty());
        let (source, template) = if let Some(text) = text {
            let template = Template::parse(text, self.generation()).map_err(|unfit| match unfit {
                Unfit::Broken(text) | Unfit::Refused(text) => invalid_spec(&text),
            })?;
            let argo = matches!(template, Template::Argo(_));
            (
                Source::Inline {
                    shown: template.shown(),
                    text: text.to_owned(),
                    argo,
                },
                template,
            )
        } else if !version.is_empty() || !spec.text("pipeline_id").is_empty() {
            self.referenced(spec.text("pipeline_id"), version)?
        } else {
            return Err(fetching(
                "Invalid input error: Failed to fetch a template with an empty pipeline spec manifest",
            ));
        };
        let pairs = spec.items("parameters").iter();
        let mut parameters: Map<String, Value> = pairs
            .map(|pair| (pair.text("name").to_owned(), pair.text("value").into()))
            .collect();
        let config = spec.get("runtime_config");
        if let Some(given) = config
            .and_then(|config| config.get("parameters"))
            .and_then(Value::as_object)
        {
            parameters.extend(given.clone());
        }
        let pipeline_root = config
            .map(|config| config.text("pipeline_root").to_owned())
            .unwrap_or_default();
        Ok((
            Plan {
                source,
                parameters,
                pipeline_root,
                configured: config.is_some(),
            },
            template,
        ))
    }

    /// A version by its id, or the latest of a pipeline.
    fn referenced(&self, pipeline: &str, version: &str) -> Result<(Source, Template), Refusal> {
        let old = !self.generation().has_v2();
        let missing = |refusal: Refusal| {
            if old {
                return refusal.context("Failed to create a run");
            }
            fetching(&format!(
                "Failed to fetch a template due to error retrieving pipeline version: {}",
                refusal.message()
            ))
        };
        let found = if version.is_empty() {
            let row = self.pipeline(pipeline).map_err(missing)?;
            self.default_version(row)
                .ok_or_else(|| missing(Refusal::not_found("PipelineVersion of pipeline", pipeline)))?
        } else {
            self.version(version).map_err(missing)?
        };
        let source = Source::Version {
            pipeline_id: found.pipeline_id.clone(),
            version_id: found.id.clone(),
            by_pipeline: !pipeline.is_empty(),
        };
        Ok((source, found.template.clone()))
    }
}

/// Most bytes of text parameters, as JSON.
const MOST: usize = 10_000;

/// The limit on the text parameters of a v1 request, counted as the server writes them to its database: those of 1.8
/// leave empty values out.
pub(super) fn check_size(body: &Value, bare: bool) -> Result<(), String> {
    let given = body.get("pipeline_spec").map(|spec| spec.items("parameters"));
    let written = given.unwrap_or_default().iter().map(|parameter| {
        let (name, value) = (parameter.text("name"), parameter.text("value"));
        if bare {
            Message::new().text("name", name).text("value", value).done()
        } else {
            json!({"name": name, "value": value})
        }
    });
    check_written(&written.collect())
}

/// Refuses a list of parameters that the server's column does not take.
pub(super) fn check_written(parameters: &Value) -> Result<(), String> {
    if go_json::written(parameters).len() > MOST {
        return Err(format!("The input parameter length exceed maximum size of {MOST}."));
    }
    Ok(())
}

/// Servers of 2.x cannot take a v1 request over, which they call their own fault.
pub(super) fn unconverted(kind: &str, cause: &str) -> Refusal {
    let text = format!(
        "Failed to convert an array of SpecParameters to their internal representation: Invalid input error: {cause}"
    );
    Refusal::internal(text).context(&format!(
        "Failed to convert v1beta1 API {kind} to its internal representation due to parameters parsing error"
    ))
}

fn fetching(cause: &str) -> Refusal {
    Refusal::internal(format!(
        "Failed to create a run due to error fetching manifest: {cause}"
    ))
}

fn invalid_spec(cause: &str) -> Refusal {
    fetching(&format!(
        "Failed to fetch a template with an invalid pipeline spec manifest: InvalidInputError: {cause}: pipeline \
         spec is invalid"
    ))
}
