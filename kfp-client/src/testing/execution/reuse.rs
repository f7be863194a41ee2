//! Which steps of a simulated workflow take the results of earlier ones.
//!
//! Nothing is executed, so nobody knows what a step would have given out. Two outputs count as the same if the same
//! execution made them: a step that follows one that was not cached is not cached either.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Launch;
use super::cache::{Step, executor_settings};
use super::values::Values;
use crate::testing::builder::Settings;
use crate::testing::call::Json;
use crate::testing::template::Template;

/// The run in which a step was simulated, by the step's fingerprint.
pub(super) type Results = BTreeMap<String, String>;

/// The steps of the outermost DAG that may be cached, by the key of their task.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// Those whose results are there.
    pub(super) cached: BTreeSet<String>,
    /// The fingerprints of the others.
    pub(super) fresh: Vec<String>,
}

impl Steps {
    pub(super) fn of(launch: &Launch, settings: &Settings, results: &Results) -> Self {
        let Template::Ir { spec, platform } = &launch.template else {
            return Self::default();
        };
        let dag = spec.at(&["root", "dag"]).cloned().unwrap_or_default();
        let mut waiting = dag.members("tasks");
        let cacheable = |task: &Value| task.at(&["cachingOptions", "enableCache"]) == Some(&Value::Bool(true));
        let mut steps = Self::default();
        if !settings.caching || !waiting.iter().any(|(_, task)| cacheable(task)) {
            return steps;
        }
        let root = Root {
            launch,
            settings,
            spec,
            platform: platform.as_ref(),
        };
        // The run that made a task's outputs.
        let mut makers: BTreeMap<&str, &str> = BTreeMap::new();
        loop {
            let before = waiting.len();
            waiting.retain(|(key, task)| {
                let Some(inputs) = root.inputs(task, &makers) else {
                    return true;
                };
                let fingerprint = root.fingerprint(task, &inputs);
                let known = fingerprint.as_ref().and_then(|fingerprint| results.get(fingerprint));
                makers.insert(key, known.map_or(launch.run_id.as_str(), String::as_str));
                match (fingerprint, known) {
                    (Some(_), Some(_)) => {
                        steps.cached.insert((*key).clone());
                    }
                    (Some(fingerprint), None) => steps.fresh.push(fingerprint),
                    (None, _) => {}
                }
                false
            });
            // What is left waits for itself.
            if waiting.len() == before {
                return steps;
            }
        }
    }
}

struct Root<'a> {
    launch: &'a Launch,
    settings: &'a Settings,
    spec: &'a Value,
    platform: Option<&'a Value>,
}

impl Root<'_> {
    /// The inputs of a task, with the makers of outputs in place of these; none as long as one is not known.
    fn inputs(&self, task: &Value, makers: &BTreeMap<&str, &str>) -> Option<Values> {
        let mut values = Values::default();
        let sources = task.get("inputs").cloned().unwrap_or_default();
        for (name, source) in sources.members("parameters") {
            let value = if let Some(output) = source.get("taskOutputParameter") {
                let producer = output.text("producerTask");
                json!([makers.get(producer)?, producer, output.text("outputParameterKey")])
            } else if let Some(input) = source.get("componentInputParameter").and_then(Value::as_str) {
                self.parameter(input)
            } else if let Some(producer) = source.at(&["taskFinalStatus", "producerTask"]) {
                // It names the run.
                json!([self.launch.run_id, producer])
            } else {
                let constant = source.at(&["runtimeValue", "constant"]).cloned().unwrap_or_default();
                match constant.as_str() {
                    Some(text) if text.starts_with("{{$.") => json!([self.launch.run_id, text]),
                    _ => constant,
                }
            };
            values.parameters.insert(name.clone(), value);
        }
        for (name, source) in sources.members("artifacts") {
            if let Some(output) = source.get("taskOutputArtifact") {
                let producer = output.text("producerTask");
                let (maker, key) = (makers.get(producer)?, output.text("outputArtifactKey"));
                let artifact = json!({"uri": format!("{maker}/{producer}/{key}")});
                values.artifacts.insert(name.clone(), vec![artifact]);
            }
        }
        Some(values)
    }

    /// A parameter of the run, or its default.
    fn parameter(&self, name: &str) -> Value {
        if let Some(given) = self.launch.parameters.get(name) {
            return self.launch.macros.expand(given);
        }
        let default = self
            .spec
            .at(&["root", "inputDefinitions", "parameters", name, "defaultValue"]);
        default.cloned().unwrap_or_default()
    }

    /// Containers alone are cached, and those that stand for something else are not.
    fn fingerprint(&self, task: &Value, inputs: &Values) -> Option<String> {
        if task.get("parameterIterator").is_some() || task.get("artifactIterator").is_some() {
            return None;
        }
        let component = self
            .spec
            .at(&["components", task.at(&["componentRef", "name"])?.as_str()?])?;
        let label = component.get("executorLabel")?.as_str()?;
        let container = self.spec.at(&["deploymentSpec", "executors", label, "container"])?;
        if container.text("image").starts_with("argostub/") {
            return None;
        }
        let pipeline = self.spec.at(&["pipelineInfo", "name"]).and_then(Value::as_str);
        let step = Step {
            pipeline: pipeline.unwrap_or_default(),
            namespace: &self.launch.namespace,
            task,
            component,
            container,
            platform: self.platform.and_then(|platform| executor_settings(platform, label)),
        };
        step.fingerprint(self.settings, inputs)
    }
}
