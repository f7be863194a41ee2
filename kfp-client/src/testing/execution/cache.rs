//! Results of executed steps, kept for later steps that would do the same.
//!
//! A step of the intermediate representation is looked up by its driver, and recorded as a task by its launcher. What
//! two steps must have in common: pipeline name, namespace, image, command, arguments, inputs and declared outputs;
//! environment variables do not count. A step of an Argo workflow is looked up by a webhook that changes its pod; the
//! whole template and its inputs count there, and an annotation limits the age.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::values::Values;
use super::workflow::Driving;
use super::{Launch, lock};
use crate::testing::builder::Settings;
use crate::testing::call::Json;
use crate::testing::context::{State, fresh_id};
use crate::testing::tasks::Task;
use crate::testing::template::Template;

/// What the log of a step of an Argo workflow says whose results were taken.
pub(super) const REUSED: &str = "This step output is taken from cache.\n";

/// The results so far, by fingerprint.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<BTreeMap<String, Kept>>);

#[derive(Debug)]
struct Kept {
    values: Values,
    /// Seconds since 1970.
    at: i64,
}

/// A fingerprint, of as many digits as the servers' SHA-256.
fn fingerprint(parts: &Value) -> String {
    let text = parts.to_string();
    let half = |text: &str| {
        uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, text.as_bytes())
            .simple()
            .to_string()
    };
    let first = half(&text);
    let second = half(&format!("{first}{text}"));
    first + &second
}

/// A step of the intermediate representation, as far as it decides which other steps do the same.
pub(super) struct Step<'a> {
    pub(super) pipeline: &'a str,
    pub(super) namespace: &'a str,
    pub(super) task: &'a Value,
    pub(super) component: &'a Value,
    pub(super) container: &'a Value,
    /// The settings of its executor beside the pipeline.
    pub(super) platform: Option<&'a Value>,
}

impl Step<'_> {
    /// The fingerprint; none if it is not to be cached.
    pub(super) fn fingerprint(&self, settings: &Settings, inputs: &Values) -> Option<String> {
        let options = self.task.get("cachingOptions")?;
        if !settings.caching || options.get("enableCache") != Some(&Value::Bool(true)) {
            return None;
        }
        let own = options.text("cacheKey");
        if !own.is_empty() && settings.generation.new_gateway() {
            return Some(fingerprint(&json!([self.pipeline, self.namespace, own])));
        }
        Some(fingerprint(&json!([
            self.pipeline,
            self.namespace,
            self.container.text("image"),
            self.container.get("command"),
            self.container.get("args"),
            inputs.parameters,
            identities(inputs),
            self.component.get("outputDefinitions"),
            self.platform.and_then(|platform| platform.get("pvcMount")),
        ])))
    }
}

/// The Kubernetes settings of an executor.
pub(super) fn executor_settings<'a>(platform: &'a Value, label: &str) -> Option<&'a Value> {
    platform.at(&["platforms", "kubernetes", "deploymentSpec", "executors", label])
}

/// Records a step's execution, as its launcher does; times are seconds since 1970.
pub(super) fn record(state: &mut State, launch: &Launch, fingerprint: &str, (started, finished): (i64, i64)) {
    let name = match &launch.template {
        Template::Ir { spec, .. } => spec.at(&["pipelineInfo", "name"]).and_then(Value::as_str),
        Template::Argo(_) => None,
    };
    let task = Task {
        id: fresh_id(),
        namespace: launch.namespace.clone(),
        pipeline_name: format!("pipeline/{}", name.unwrap_or_default()),
        run_id: launch.run_id.clone(),
        execution_id: (state.tasks.len() + 1).to_string(),
        created_at: started,
        finished_at: finished,
        fingerprint: fingerprint.to_owned(),
    };
    state.tasks.insert(task.id.clone(), task);
}

impl Driving<'_> {
    /// The fingerprint of a step of an Argo workflow, and how old results may be; none if it is not to be cached.
    pub(super) fn pod_fingerprint(&self, template: &Value, inputs: &Values) -> Option<(String, Option<i64>)> {
        let metadata = template.get("metadata")?;
        let marked = metadata
            .at(&["labels", "pipelines.kubeflow.org/enable_caching"])?
            .as_str()
            == Some("true");
        if !self.core.settings.caching || !marked {
            return None;
        }
        let limit = metadata.at(&["annotations", "pipelines.kubeflow.org/max_cache_staleness"]);
        let limit = match limit.and_then(Value::as_str) {
            None | Some("") => None,
            // Results that are zero days old are never there. What is no duration is taken for no limit.
            Some(text) => text.parse::<jiff::Span>().ok().and_then(days),
        };
        if limit == Some(0) {
            return None;
        }
        let mut own = template.clone();
        if let Some(map) = own.as_object_mut() {
            map.remove("metadata");
        }
        let namespace = &self.workflow.launch.namespace;
        let parts = json!([namespace, own, inputs.parameters, identities(inputs)]);
        Some((fingerprint(&parts), limit))
    }

    /// The results that a step may take.
    pub(super) fn reuse(&self, fingerprint: &str, limit: Option<i64>) -> Option<Values> {
        let kept = lock(&self.core.engine.cache.0);
        let found = kept.get(fingerprint)?;
        let age = self.core.clock.seconds() - found.at;
        limit.is_none_or(|limit| age <= limit).then(|| found.values.clone())
    }

    /// Keeps the results of a step.
    pub(super) fn keep_results(&self, fingerprint: &str, values: &Values) {
        let kept = Kept {
            values: values.clone(),
            at: self.core.clock.seconds(),
        };
        lock(&self.core.engine.cache.0).insert(fingerprint.to_owned(), kept);
    }

    /// Records a step's execution, as its launcher does.
    pub(super) fn record_task(&self, fingerprint: &str, started: i64) {
        let times = (started, self.core.clock.seconds());
        record(&mut self.core.lock(), &self.workflow.launch, fingerprint, times);
    }
}

/// Artifacts are the same if they lie in the same place.
fn identities(inputs: &Values) -> BTreeMap<&String, Vec<&str>> {
    let lists = inputs.artifacts.iter();
    lists
        .map(|(name, list)| (name, list.iter().map(|artifact| artifact.text("uri")).collect()))
        .collect()
}

/// A span in seconds, where a day has 24 hours.
fn days(span: jiff::Span) -> Option<i64> {
    let relative = jiff::SpanRelativeTo::days_are_24_hours();
    let seconds = span.total((jiff::Unit::Second, relative)).ok()?;
    (seconds >= 0.0)
        .then(|| crate::testing::schema::plain_number(seconds.floor()).as_i64())
        .flatten()
}
