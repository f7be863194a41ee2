//! Driving a pipeline in the intermediate representation: order, conditions, loops, what flows between tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;

use serde_json::{Map, Value, json};

use super::cache::{self, executor_settings};
use super::container::Step;
use super::expression;
use super::values::{Outcome, Values};
use super::workflow::Driving;
use crate::testing::call::Json;
use crate::testing::clock::rfc3339;

/// A pipeline being driven.
struct Pipeline<'a> {
    driving: &'a Driving<'a>,
    spec: &'a Value,
    platform: Option<&'a Value>,
}

/// A task in its place.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    /// Path of the task, also that of its folder.
    path: &'a str,
    /// Path of the node above.
    parent: &'a str,
    key: &'a str,
    task: &'a Value,
}

/// Runs a pipeline.
pub(super) fn run(driving: &Driving<'_>, spec: &Value, platform: Option<&Value>) -> Outcome {
    let pipeline = Pipeline {
        driving,
        spec,
        platform,
    };
    let name = &driving.workflow.launch.workflow;
    driving.enter("root-driver", "root-driver", "Pod", "SUCCEEDED");
    driving.follow(name, "root-driver");
    driving.enter("root", "root", "DAG", "RUNNING");
    driving.follow("root-driver", "root");
    let root = spec.get("root").cloned().unwrap_or_default();
    let mut inputs = Values::default();
    for (name, value) in &driving.workflow.launch.parameters {
        inputs
            .parameters
            .insert(name.clone(), driving.workflow.launch.macros.expand(value));
    }
    add_defaults(&root, &mut inputs);
    let outcome = pipeline.dag("", "root", &root, &inputs);
    driving.enter("root", "root", "DAG", outcome.state());
    outcome
}

/// Fills in the defaults that a component declares.
fn add_defaults(component: &Value, inputs: &mut Values) {
    let definitions = component
        .get("inputDefinitions")
        .map(|inputs| inputs.members("parameters"))
        .unwrap_or_default();
    for (name, definition) in definitions {
        if let (false, Some(default)) = (inputs.parameters.contains_key(name), definition.get("defaultValue")) {
            inputs.parameters.insert(name.clone(), default.clone());
        }
    }
}

fn is_exit(task: &Value) -> bool {
    task.at(&["triggerPolicy", "strategy"]).and_then(Value::as_str) == Some("ALL_UPSTREAM_TASKS_COMPLETED")
}

/// The tasks that a task waits for.
fn upstream(task: &Value) -> BTreeSet<String> {
    let listed = task
        .items("dependentTasks")
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned);
    let mut found: BTreeSet<String> = listed.collect();
    for kind in ["parameters", "artifacts"] {
        for (_, source) in task
            .get("inputs")
            .map(|inputs| inputs.members(kind))
            .unwrap_or_default()
        {
            for key in ["taskOutputParameter", "taskOutputArtifact", "taskFinalStatus"] {
                if let Some(producer) = source.at(&[key, "producerTask"]).and_then(Value::as_str) {
                    found.insert(producer.to_owned());
                }
            }
        }
    }
    found
}

impl Pipeline<'_> {
    /// Runs the tasks of a DAG, each when what it waits for has ended.
    fn dag(&self, folder: &str, node: &str, component: &Value, inputs: &Values) -> Outcome {
        let dag = component.get("dag").cloned().unwrap_or_default();
        let tasks: BTreeMap<String, Value> = dag
            .members("tasks")
            .into_iter()
            .map(|(key, task)| (key.clone(), task.clone()))
            .collect();
        let mut waiting: BTreeSet<&String> = tasks.keys().collect();
        let mut results: BTreeMap<String, Outcome> = BTreeMap::new();
        let mut running = 0;
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            loop {
                let ready: Vec<&String> = waiting
                    .iter()
                    .copied()
                    .filter(|key| {
                        tasks.get(*key).is_some_and(|task| {
                            upstream(task)
                                .iter()
                                .all(|up| results.contains_key(up) || !tasks.contains_key(up))
                        })
                    })
                    .collect();
                let mut skipped = false;
                for key in ready {
                    waiting.remove(key);
                    let Some(task) = tasks.get(key) else { continue };
                    let failed = results.values().any(|outcome| matches!(outcome, Outcome::Failed(_)));
                    let wanted = is_exit(task)
                        || !failed
                            && upstream(task)
                                .iter()
                                .all(|up| matches!(results.get(up), Some(Outcome::Succeeded(_)) | None));
                    let path = if folder.is_empty() {
                        key.clone()
                    } else {
                        format!("{folder}/{key}")
                    };
                    if self.driving.workflow.over() || !wanted {
                        let name = task.at(&["taskInfo", "name"]).and_then(Value::as_str).unwrap_or(key);
                        self.driving.enter(&path, name, "Skipped", "SKIPPED");
                        self.driving.follow(node, &path);
                        results.insert(key.clone(), Outcome::Skipped);
                        skipped = true;
                        continue;
                    }
                    let resolved = self.resolve(key, task, inputs, &results);
                    let sender = sender.clone();
                    running += 1;
                    let place_node = node.to_owned();
                    let body = move || {
                        let place = Place {
                            path: &path,
                            parent: &place_node,
                            key,
                            task,
                        };
                        let outcome = match resolved {
                            Ok(inputs) => self.task(place, inputs),
                            Err(cause) => {
                                self.driving.enter(&path, key, "Pod", "FAILED");
                                Outcome::Failed(cause)
                            }
                        };
                        let _unheard = sender.send((key.clone(), outcome));
                    };
                    if std::thread::Builder::new()
                        .name("kfp-task".to_owned())
                        .spawn_scoped(scope, body)
                        .is_err()
                    {
                        running -= 1;
                        results.insert(key.clone(), Outcome::Failed("no thread for the task".to_owned()));
                    }
                }
                if skipped {
                    continue;
                }
                if running == 0 {
                    break;
                }
                let Ok((key, outcome)) = receiver.recv() else { break };
                running -= 1;
                results.insert(key, outcome);
            }
        });
        if self.driving.workflow.over() {
            return Outcome::Failed("terminated".to_owned());
        }
        if !waiting.is_empty() {
            return Outcome::Failed("tasks wait for each other".to_owned());
        }
        if let Some((key, Outcome::Failed(cause))) = results
            .iter()
            .find(|(_, outcome)| matches!(outcome, Outcome::Failed(_)))
        {
            return Outcome::Failed(format!("{key}: {cause}"));
        }
        Outcome::Succeeded(dag_outputs(&dag, &results))
    }

    /// Runs a task: once, or once for each element of a list.
    fn task(&self, place: Place<'_>, inputs: Values) -> Outcome {
        let Place {
            path,
            parent,
            key,
            task,
        } = place;
        let shown = task.at(&["taskInfo", "name"]).and_then(Value::as_str).unwrap_or(key);
        // A retry leaves what had succeeded as it was.
        if let Some(outcome) = self.driving.workflow.done(path) {
            return outcome;
        }
        let driver = format!("{path}-driver");
        self.driving
            .enter(&driver, &format!("{shown}-driver"), "Pod", "SUCCEEDED");
        self.driving.follow(parent, &driver);
        if let Some(condition) = task.at(&["triggerPolicy", "condition"]).and_then(Value::as_str) {
            match expression::condition(condition, &inputs.parameters) {
                Ok(true) => {}
                Ok(false) => {
                    self.driving.enter(path, shown, "Skipped", "SKIPPED");
                    self.driving.follow(&driver, path);
                    return Outcome::Skipped;
                }
                Err(cause) => {
                    self.driving.enter(&driver, &format!("{shown}-driver"), "Pod", "FAILED");
                    return Outcome::Failed(cause);
                }
            }
        }
        self.driving.enter(path, shown, "DAG", "RUNNING");
        self.driving.follow(&driver, path);
        let outcome = match iterations(task, &inputs) {
            Ok(None) => self.component(path, task, inputs),
            Ok(Some(rounds)) => self.rounds(path, task, &rounds),
            Err(cause) => Outcome::Failed(cause),
        };
        self.driving.enter(path, shown, "DAG", outcome.state());
        outcome
    }

    /// Runs the rounds of a loop; each output becomes the list of the rounds' outputs.
    fn rounds(&self, path: &str, task: &Value, rounds: &[Values]) -> Outcome {
        let limit = task
            .at(&["iteratorPolicy", "parallelismLimit"])
            .and_then(Value::as_u64)
            .filter(|limit| *limit > 0);
        let width = usize::try_from(limit.unwrap_or(8)).unwrap_or(8).min(8);
        let mut outcomes = Vec::new();
        for (chunk, inputs) in rounds.chunks(width.max(1)).enumerate() {
            let batch: Vec<Outcome> = std::thread::scope(|scope| {
                let threads: Vec<_> = inputs
                    .iter()
                    .enumerate()
                    .map(|(at, inputs)| {
                        let own = format!("{path}/iteration-{}", chunk * width + at);
                        scope.spawn(move || {
                            self.driving.enter(&own, "iteration", "DAG", "RUNNING");
                            self.driving.follow(path, &own);
                            let outcome = self.component(&own, task, inputs.clone());
                            self.driving.enter(&own, "iteration", "DAG", outcome.state());
                            outcome
                        })
                    })
                    .collect();
                let ended = |thread: std::thread::ScopedJoinHandle<'_, Outcome>| {
                    thread
                        .join()
                        .unwrap_or_else(|_| Outcome::Failed("the round ended early".to_owned()))
                };
                threads.into_iter().map(ended).collect()
            });
            outcomes.extend(batch);
        }
        let mut merged = Values::default();
        for outcome in outcomes {
            match outcome {
                Outcome::Failed(cause) => return Outcome::Failed(cause),
                Outcome::Skipped => {}
                Outcome::Succeeded(values) => {
                    for (name, value) in values.parameters {
                        let list = merged.parameters.entry(name).or_insert_with(|| json!([]));
                        if let Some(list) = list.as_array_mut() {
                            list.push(value);
                        }
                    }
                    for (name, list) in values.artifacts {
                        merged.artifacts.entry(name).or_default().extend(list);
                    }
                }
            }
        }
        Outcome::Succeeded(merged)
    }

    /// Runs what a task refers to: a DAG, a container or an importer.
    fn component(&self, path: &str, task: &Value, mut inputs: Values) -> Outcome {
        let name = task
            .at(&["componentRef", "name"])
            .and_then(Value::as_str)
            .unwrap_or_default();
        let Some(component) = self.spec.at(&["components", name]) else {
            return Outcome::Failed(format!("component {name:?} not found"));
        };
        add_defaults(component, &mut inputs);
        if component.get("dag").is_some() {
            return self.dag(path, path, component, &inputs);
        }
        if let Some(outcome) = self.driving.workflow.done(path) {
            return outcome;
        }
        let label = component.text("executorLabel");
        let executor = self
            .spec
            .at(&["deploymentSpec", "executors", label])
            .cloned()
            .unwrap_or_default();
        let outcome = if let Some(importer) = executor.get("importer") {
            import(importer, &inputs)
        } else {
            let container = executor.get("container").cloned().unwrap_or_default();
            match container.text("image") {
                "argostub/createpvc" => Outcome::Succeeded(self.create_pvc(&inputs)),
                "argostub/deletepvc" => Outcome::Succeeded(Values::default()),
                _ => self.container(path, task, component, &container, label, &inputs),
            }
        };
        self.driving.workflow.keep(path, &outcome);
        outcome
    }

    fn container(
        &self,
        path: &str,
        task: &Value,
        component: &Value,
        container: &Value,
        label: &str,
        inputs: &Values,
    ) -> Outcome {
        let platform = self.platform.and_then(|platform| executor_settings(platform, label));
        let node = format!("{path}/executor");
        let pipeline = self.spec.at(&["pipelineInfo", "name"]).and_then(Value::as_str);
        let cacheable = cache::Step {
            pipeline: pipeline.unwrap_or_default(),
            namespace: &self.driving.workflow.launch.namespace,
            task,
            component,
            container,
            platform,
        };
        let fingerprint = cacheable.fingerprint(&self.driving.core.settings, inputs);
        let known = fingerprint
            .as_deref()
            .and_then(|fingerprint| self.driving.reuse(fingerprint, None));
        if let Some(values) = known {
            self.driving.enter(&node, "executor", "Skipped", "SKIPPED");
            self.driving.follow(path, &node);
            return Outcome::Succeeded(values);
        }
        let started = self.driving.core.clock.seconds();
        self.driving.change(&node, "executor", "Pod", "RUNNING", |node| {
            "system-container-impl".clone_into(&mut node.template);
        });
        self.driving.follow(path, &node);
        let step = Step {
            path,
            component,
            container,
            platform,
            retry: task.get("retryPolicy"),
            inputs,
        };
        let outcome = self.driving.run_step(&step);
        if let (Some(fingerprint), Outcome::Succeeded(values)) = (&fingerprint, &outcome) {
            self.driving.keep_results(fingerprint, values);
            self.driving.record_task(fingerprint, started);
        }
        self.driving.enter(&node, "executor", "Pod", outcome.state());
        outcome
    }

    /// A claim is a name only: mount paths are used as they stand on this machine.
    fn create_pvc(&self, inputs: &Values) -> Values {
        let given = inputs
            .parameters
            .get("pvc_name")
            .and_then(Value::as_str)
            .filter(|name| !name.is_empty());
        let suffix = inputs
            .parameters
            .get("pvc_name_suffix")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let name = given.map_or_else(
            || format!("{}{suffix}", self.driving.workflow.launch.workflow),
            str::to_owned,
        );
        let mut values = Values::default();
        values.parameters.insert("name".to_owned(), name.into());
        values
    }

    /// Where the inputs of a task come from.
    fn resolve(
        &self,
        key: &str,
        task: &Value,
        own: &Values,
        results: &BTreeMap<String, Outcome>,
    ) -> Result<Values, String> {
        let mut values = Values::default();
        let sources = task.get("inputs").cloned().unwrap_or_default();
        for (name, source) in sources.members("parameters") {
            let value = self.parameter(key, task, source, own, results);
            let Some(mut value) = value else { continue };
            if let Some(selector) = source.get("parameterExpressionSelector").and_then(Value::as_str) {
                value = select(selector, &value)?;
            }
            values.parameters.insert(name.clone(), value);
        }
        // A constant may mention other inputs of the same task: this is how the SDK writes a text with parts.
        let known = values.parameters.clone();
        for (name, source) in sources.members("parameters") {
            if let (Some(_), Some(value)) = (source.get("runtimeValue"), values.parameters.get_mut(name)) {
                *value = super::placeholder::mention(value, &known);
            }
        }
        for (name, source) in sources.members("artifacts") {
            let found = if let Some(output) = source.get("taskOutputArtifact") {
                let produced = results.get(output.text("producerTask")).and_then(Outcome::values);
                produced.and_then(|values| values.artifacts.get(output.text("outputArtifactKey")))
            } else {
                own.artifacts.get(source.text("componentInputArtifact"))
            };
            if let Some(list) = found {
                values.artifacts.insert(name.clone(), list.clone());
            }
        }
        Ok(values)
    }

    fn parameter(
        &self,
        key: &str,
        task: &Value,
        source: &Value,
        own: &Values,
        results: &BTreeMap<String, Outcome>,
    ) -> Option<Value> {
        if let Some(output) = source.get("taskOutputParameter") {
            let produced = results.get(output.text("producerTask")).and_then(Outcome::values)?;
            return produced.parameters.get(output.text("outputParameterKey")).cloned();
        }
        if let Some(name) = source.get("componentInputParameter").and_then(Value::as_str) {
            return own.parameters.get(name).cloned();
        }
        if let Some(producer) = source.at(&["taskFinalStatus", "producerTask"]).and_then(Value::as_str) {
            return Some(self.final_status(producer, results.get(producer)));
        }
        let value = source.at(&["runtimeValue", "constant"])?;
        Some(self.run_placeholder(key, task, value))
    }

    fn final_status(&self, producer: &str, outcome: Option<&Outcome>) -> Value {
        let mut status = json!({
            "state": outcome.map_or("SKIPPED", Outcome::state),
            "pipelineJobResourceName": self.driving.workflow.launch.workflow,
            "pipelineTaskName": producer,
        });
        if let (Some(Outcome::Failed(cause)), Some(map)) = (outcome, status.as_object_mut()) {
            map.insert("error".to_owned(), json!({"code": 9, "message": cause}));
        }
        status
    }

    /// Placeholders of the run stand for whole constants only.
    fn run_placeholder(&self, key: &str, task: &Value, value: &Value) -> Value {
        let launch = &self.driving.workflow.launch;
        let Some(name) = value
            .as_str()
            .and_then(|text| text.strip_prefix("{{$.")?.strip_suffix("}}"))
        else {
            return value.clone();
        };
        let created = rfc3339(launch.macros.now);
        let scheduled = launch
            .macros
            .due
            .map_or_else(|| created.clone(), |(due, _)| rfc3339(due));
        let task_name = task.at(&["taskInfo", "name"]).and_then(Value::as_str).unwrap_or(key);
        let text = match name {
            "pipeline_job_name" => launch.run_name.as_str(),
            "pipeline_job_resource_name" => launch.workflow.as_str(),
            "pipeline_job_uuid" => launch.run_id.as_str(),
            "pipeline_job_create_time_utc" => created.as_str(),
            "pipeline_job_schedule_time_utc" => scheduled.as_str(),
            "pipeline_task_name" => task_name,
            "pipeline_root" => launch.pipeline_root.as_str(),
            "pipeline_task_uuid" => return self.driving.id(key).into(),
            _ => return value.clone(),
        };
        text.into()
    }
}

/// The inputs of each round of a loop.
fn iterations(task: &Value, inputs: &Values) -> Result<Option<Vec<Values>>, String> {
    if let Some(iterator) = task.get("parameterIterator") {
        let raw = iterator.at(&["items", "raw"]).and_then(Value::as_str);
        let list = if let Some(text) = raw {
            serde_json::from_str::<Value>(text).map_err(|error| format!("items of the loop: {error}"))?
        } else {
            let name = iterator
                .at(&["items", "inputParameter"])
                .and_then(Value::as_str)
                .unwrap_or_default();
            let value = inputs.parameters.get(name).cloned().unwrap_or_default();
            value
                .as_str()
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or(value)
        };
        let item = iterator.text("itemInput");
        let list = list.as_array().ok_or("items of the loop are no list")?;
        return Ok(Some(
            list.iter()
                .map(|value| {
                    let mut own = inputs.clone();
                    own.parameters.insert(item.to_owned(), value.clone());
                    own
                })
                .collect(),
        ));
    }
    if let Some(iterator) = task.get("artifactIterator") {
        let name = iterator
            .at(&["items", "inputArtifact"])
            .and_then(Value::as_str)
            .unwrap_or_default();
        let item = iterator.text("itemInput");
        let list = inputs.artifacts.get(name).cloned().unwrap_or_default();
        return Ok(Some(
            list.into_iter()
                .map(|artifact| {
                    let mut own = inputs.clone();
                    own.artifacts.insert(item.to_owned(), vec![artifact]);
                    own
                })
                .collect(),
        ));
    }
    Ok(None)
}

/// `parseJson(string_value)["a"][0]`.
fn select(selector: &str, value: &Value) -> Result<Value, String> {
    let cannot = || format!("cannot apply {selector:?}");
    let path = selector
        .trim()
        .strip_prefix("parseJson(string_value)")
        .ok_or_else(cannot)?;
    let mut found = match value {
        Value::String(text) => serde_json::from_str(text).map_err(|_| cannot())?,
        other => other.clone(),
    };
    for part in path.split(']').filter(|part| !part.is_empty()) {
        let part = part.trim().strip_prefix('[').ok_or_else(cannot)?;
        let next = match part.parse::<usize>() {
            Ok(at) => found.get(at),
            Err(_) => found.get(part.trim_matches(|letter| matches!(letter, '"' | '\''))),
        };
        found = next.cloned().ok_or_else(cannot)?;
    }
    Ok(found)
}

/// An artifact that exists elsewhere.
fn import(importer: &Value, inputs: &Values) -> Outcome {
    let uri = importer.get("artifactUri").cloned().unwrap_or_default();
    let given = uri
        .get("runtimeParameter")
        .and_then(Value::as_str)
        .and_then(|name| inputs.parameters.get(name));
    let constant = uri.get("constant").or_else(|| uri.at(&["runtimeValue", "constant"]));
    let Some(uri) = given.or_else(|| inputs.parameters.get("uri")).or(constant) else {
        return Outcome::Failed("the importer has no artifact URI".to_owned());
    };
    let kind = importer
        .get("typeSchema")
        .cloned()
        .unwrap_or_else(|| json!({"schemaTitle": "system.Artifact"}));
    let metadata = importer.get("metadata").cloned().unwrap_or_else(|| json!({}));
    let mut values = Values::default();
    let artifact = json!({"name": "artifact", "type": kind, "uri": uri, "metadata": metadata});
    values.artifacts.insert("artifact".to_owned(), vec![artifact]);
    Outcome::Succeeded(values)
}

/// What a DAG gives to the outside.
fn dag_outputs(dag: &Value, results: &BTreeMap<String, Outcome>) -> Values {
    let outputs = dag.get("outputs").cloned().unwrap_or_default();
    let parameter = |selector: &Value| {
        let values = results.get(selector.text("producerSubtask"))?.values()?;
        values.parameters.get(selector.text("outputParameterKey")).cloned()
    };
    let mut values = Values {
        parameters: Map::new(),
        ..Values::default()
    };
    for (name, output) in outputs.members("parameters") {
        let single = output.get("valueFromParameter").and_then(parameter);
        let choices = output
            .at(&["valueFromOneof"])
            .map(|one| one.items("parameterSelectors"))
            .unwrap_or_default();
        if let Some(value) = single.or_else(|| choices.iter().find_map(parameter)) {
            values.parameters.insert(name.clone(), value);
        }
    }
    for (name, output) in outputs.members("artifacts") {
        let found = output.items("artifactSelectors").iter().filter_map(|selector| {
            results
                .get(selector.text("producerSubtask"))?
                .values()?
                .artifacts
                .get(selector.text("outputArtifactKey"))
        });
        let list: Vec<Value> = found.flatten().cloned().collect();
        if !list.is_empty() {
            values.artifacts.insert(name.clone(), list);
        }
    }
    values
}
