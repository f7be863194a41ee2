//! Driving an Argo workflow, the format of v1 pipelines.
//!
//! Container, script, DAG and steps templates; parameters, artifacts, `when`, `depends`, loops, retries and the exit
//! handler. Paths of declared inputs and outputs lie in a container's own file system: here each of them is moved into
//! the step's folder, and so is every mention of it in commands, arguments and environment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use serde_json::{Map, Value, json};

use super::container::Pod;
use super::substitution::{self, Variables};
use super::values::{Outcome, Values, text_of};
use super::workflow::{Driving, seconds_of};
use super::{cache, kubelet};
use crate::testing::call::Json;

/// A workflow being driven.
struct Argo<'a> {
    driving: &'a Driving<'a>,
    manifest: &'a Value,
    /// `workflow.*`.
    globals: Variables,
}

/// Runs a workflow, and then its exit handler.
pub(super) fn run(driving: &Driving<'_>, manifest: &Value) -> Outcome {
    let launch = &driving.workflow.launch;
    let mut globals = Variables::default();
    globals.insert("workflow.uid", &launch.run_id);
    globals.insert("workflow.name", &launch.workflow);
    globals.insert("workflow.namespace", &launch.namespace);
    let declared = manifest
        .at(&["spec", "arguments"])
        .map(|arguments| arguments.items("parameters"))
        .unwrap_or_default();
    for parameter in declared {
        let name = parameter.text("name");
        let own = parameter
            .get("value")
            .or_else(|| parameter.get("default"))
            .cloned()
            .unwrap_or_default();
        let value = text_of(launch.parameters.get(name).unwrap_or(&own));
        globals.insert(&format!("workflow.parameters.{name}"), &launch.macros.format(&value));
    }
    let mut argo = Argo {
        driving,
        manifest,
        globals,
    };
    let name = launch.workflow.clone();
    let entry = manifest
        .at(&["spec", "entrypoint"])
        .and_then(Value::as_str)
        .unwrap_or_default();
    let outcome = argo.entry("", &name, entry);
    if let Some(handler) = manifest.at(&["spec", "onExit"]).and_then(Value::as_str)
        && !driving.workflow.over()
    {
        argo.globals.insert(
            "workflow.status",
            if matches!(outcome, Outcome::Failed(_)) {
                "Failed"
            } else {
                "Succeeded"
            },
        );
        let exit = argo.entry("onExit", &name, handler);
        if let (Outcome::Succeeded(_), Outcome::Failed(cause)) = (&outcome, &exit) {
            return Outcome::Failed(format!("exit handler: {cause}"));
        }
    }
    outcome
}

/// A task of a DAG or a step.
struct Task<'a> {
    name: &'a str,
    spec: &'a Value,
    /// Tasks that have to end first.
    after: BTreeSet<String>,
    /// What has to hold of them.
    depends: String,
}

impl Argo<'_> {
    /// Runs a template with the arguments of the workflow.
    fn entry(&self, path: &str, node: &str, name: &str) -> Outcome {
        let Some(template) = self.find(name) else {
            return Outcome::Failed(format!("template {name:?} not found"));
        };
        let mut inputs = Values::default();
        for parameter in template
            .get("inputs")
            .map(|inputs| inputs.items("parameters"))
            .unwrap_or_default()
        {
            let name = parameter.text("name");
            let value = self
                .globals
                .get(&format!("workflow.parameters.{name}"))
                .map(str::to_owned);
            let value = value.or_else(|| parameter.get("value").or_else(|| parameter.get("default")).map(text_of));
            inputs
                .parameters
                .insert(name.to_owned(), value.unwrap_or_default().into());
        }
        if template.get("dag").is_some() || template.get("steps").is_some() {
            return self.template(path, node, template, &inputs);
        }
        let own = if path.is_empty() { name } else { path };
        self.driving.enter(own, name, "Pod", "RUNNING");
        self.driving.follow(node, own);
        let outcome = self.template(own, own, template, &inputs);
        self.driving.enter(own, name, "Pod", outcome.state());
        outcome
    }

    fn find(&self, name: &str) -> Option<&Value> {
        self.manifest
            .get("spec")?
            .items("templates")
            .iter()
            .find(|template| template.text("name") == name)
    }

    fn template(&self, path: &str, node: &str, template: &Value, inputs: &Values) -> Outcome {
        if let Some(dag) = template.get("dag") {
            let tasks: Vec<Task<'_>> = dag.items("tasks").iter().map(|spec| dag_task(spec)).collect();
            return self.tasks("tasks", path, node, template, &tasks, inputs);
        }
        if let Some(groups) = template.get("steps").and_then(Value::as_array) {
            let mut tasks = Vec::new();
            let mut before = BTreeSet::new();
            for group in groups {
                let steps = group.as_array().map(Vec::as_slice).unwrap_or_default();
                let after = std::mem::take(&mut before);
                for spec in steps {
                    let depends = after
                        .iter()
                        .map(|name| format!("({name}.Succeeded || {name}.Skipped)"))
                        .collect::<Vec<_>>();
                    tasks.push(Task {
                        name: spec.text("name"),
                        spec,
                        after: after.clone(),
                        depends: depends.join(" && "),
                    });
                    before.insert(spec.text("name").to_owned());
                }
            }
            return self.tasks("steps", path, node, template, &tasks, inputs);
        }
        if let Some(outcome) = self.driving.workflow.done(path) {
            return outcome;
        }
        let outcome = self.pod(path, node, template, inputs);
        self.driving.workflow.keep(path, &outcome);
        outcome
    }

    /// The variables inside a template.
    fn scope(&self, inputs: &Values) -> Variables {
        let mut variables = self.globals.clone();
        for (name, value) in &inputs.parameters {
            variables.insert(&format!("inputs.parameters.{name}"), &text_of(value));
        }
        for (name, list) in &inputs.artifacts {
            if let Some(artifact) = list.first() {
                variables.insert_artifact(&format!("inputs.artifacts.{name}"), artifact);
            }
        }
        variables
    }

    /// Runs tasks, each when what it waits for has ended.
    fn tasks(
        &self,
        group: &str,
        path: &str,
        node: &str,
        template: &Value,
        tasks: &[Task<'_>],
        inputs: &Values,
    ) -> Outcome {
        let mut variables = self.scope(inputs);
        let mut results: BTreeMap<String, Outcome> = BTreeMap::new();
        let mut waiting: Vec<&Task<'_>> = tasks.iter().collect();
        let mut running = 0;
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            loop {
                let (ready, rest): (Vec<_>, Vec<_>) = waiting
                    .iter()
                    .copied()
                    .partition(|task| task.after.iter().all(|name| results.contains_key(name)));
                waiting = rest;
                let mut skipped = false;
                for task in ready {
                    let own = if path.is_empty() {
                        task.name.to_owned()
                    } else {
                        format!("{path}/{}", task.name)
                    };
                    let failed = results.values().any(|outcome| matches!(outcome, Outcome::Failed(_)));
                    let when = variables.fill(task.spec.text("when"));
                    let wanted = substitution::depends(&task.depends, &results)
                        && (!failed || task.depends.contains("Failed"))
                        && substitution::when(&when);
                    if !wanted || self.driving.workflow.over() {
                        self.driving.enter(&own, task.name, "Skipped", "SKIPPED");
                        self.driving.follow(node, &own);
                        results.insert(task.name.to_owned(), Outcome::Skipped);
                        skipped = true;
                        continue;
                    }
                    running += 1;
                    let (sender, scoped) = (sender.clone(), variables.clone());
                    let body = move || {
                        let outcome = self.task(&own, node, task, &scoped);
                        let _unheard = sender.send((task.name.to_owned(), outcome));
                    };
                    if std::thread::Builder::new()
                        .name("kfp-task".to_owned())
                        .spawn_scoped(scope, body)
                        .is_err()
                    {
                        running -= 1;
                        results.insert(
                            task.name.to_owned(),
                            Outcome::Failed("no thread for the task".to_owned()),
                        );
                    }
                }
                if skipped {
                    continue;
                }
                if running == 0 {
                    break;
                }
                let Ok((name, outcome)) = receiver.recv() else { break };
                running -= 1;
                variables.add_outcome(&format!("{group}.{name}"), &outcome);
                results.insert(name, outcome);
            }
        });
        if self.driving.workflow.over() {
            return Outcome::Failed("terminated".to_owned());
        }
        if !waiting.is_empty() {
            return Outcome::Failed("tasks wait for what is not there".to_owned());
        }
        let failed = results.iter().find(|(name, outcome)| {
            let task = tasks.iter().find(|task| task.name == *name);
            let goes_on = task.is_some_and(|task| task.spec.at(&["continueOn", "failed"]) == Some(&Value::Bool(true)));
            matches!(outcome, Outcome::Failed(_)) && !goes_on
        });
        if let Some((name, Outcome::Failed(cause))) = failed {
            return Outcome::Failed(format!("{name}: {cause}"));
        }
        Outcome::Succeeded(outer_outputs(template, &variables))
    }

    /// Runs a task: once, or once for each item.
    fn task(&self, path: &str, parent: &str, task: &Task<'_>, variables: &Variables) -> Outcome {
        let name = task.spec.text("template");
        let Some(template) = self.find(name) else {
            return Outcome::Failed(format!("template {name:?} not found"));
        };
        let kind = if template.get("dag").is_some() || template.get("steps").is_some() {
            "DAG"
        } else {
            "Pod"
        };
        self.driving.change(path, task.name, kind, "RUNNING", |node| {
            name.clone_into(&mut node.template);
        });
        self.driving.follow(parent, path);
        let items = match (
            task.spec.get("withItems"),
            task.spec.get("withParam").and_then(Value::as_str),
        ) {
            (Some(items), _) => Some(items.clone()),
            (None, Some(text)) => serde_json::from_str(&variables.fill(text)).ok(),
            (None, None) => None,
        };
        let outcome = match items.as_ref().and_then(Value::as_array) {
            None => self.template(path, path, template, &arguments(task.spec, template, variables)),
            Some(items) => self.items(path, task, template, items, variables),
        };
        self.driving.enter(path, task.name, kind, outcome.state());
        outcome
    }

    fn items(&self, path: &str, task: &Task<'_>, template: &Value, items: &[Value], variables: &Variables) -> Outcome {
        let mut merged: Map<String, Value> = Map::new();
        for (at, item) in items.iter().enumerate() {
            let mut own = variables.clone();
            own.insert("item", &text_of(item));
            for (key, value) in item.as_object().into_iter().flatten() {
                own.insert(&format!("item.{key}"), &text_of(value));
            }
            let round = format!("{path}/{at}");
            let name = format!("{}({at}:{})", task.name, text_of(item));
            self.driving.enter(&round, &name, "Pod", "RUNNING");
            self.driving.follow(path, &round);
            let outcome = self.template(&round, &round, template, &arguments(task.spec, template, &own));
            self.driving.enter(&round, &name, "Pod", outcome.state());
            match outcome {
                Outcome::Succeeded(values) => {
                    for (name, value) in values.parameters {
                        if let Some(list) = merged.entry(name).or_insert_with(|| json!([])).as_array_mut() {
                            list.push(value);
                        }
                    }
                }
                Outcome::Skipped => {}
                Outcome::Failed(cause) => return Outcome::Failed(cause),
            }
        }
        Outcome::Succeeded(Values {
            parameters: merged,
            ..Values::default()
        })
    }

    /// Runs a container or script template, with its retries.
    fn pod(&self, path: &str, node: &str, template: &Value, inputs: &Values) -> Outcome {
        let strategy = template.get("retryStrategy");
        let limit = strategy
            .and_then(|strategy| strategy.get("limit"))
            .map_or(0, |limit| text_of(limit).parse().unwrap_or(0));
        let cached = self.driving.pod_fingerprint(template, inputs);
        let known = cached
            .as_ref()
            .and_then(|(fingerprint, limit)| self.driving.reuse(fingerprint, *limit));
        if let Some(values) = known {
            self.driving.say(path, node, template.text("name"), cache::REUSED);
            return Outcome::Succeeded(values);
        }
        let mut attempt: u32 = 0;
        loop {
            match self.attempt(path, node, template, inputs, attempt) {
                Ok(values) => {
                    if let Some((fingerprint, _)) = &cached {
                        self.driving.keep_results(fingerprint, &values);
                    }
                    return Outcome::Succeeded(values);
                }
                Err(cause) if attempt >= limit || self.driving.workflow.over() => return Outcome::Failed(cause),
                Err(_) => attempt += 1,
            }
        }
    }

    fn attempt(
        &self,
        path: &str,
        node: &str,
        template: &Value,
        inputs: &Values,
        attempt: u32,
    ) -> Result<Values, String> {
        let io = |error: std::io::Error| format!("cannot prepare the step: {error}");
        let folder = self.driving.root.join(path);
        let files = folder.join("files");
        if files.exists() {
            std::fs::remove_dir_all(&files).map_err(io)?;
        }
        std::fs::create_dir_all(&files).map_err(io)?;
        let moved = moved_paths(template, &files);
        for target in moved.values() {
            std::fs::create_dir_all(target.parent().unwrap_or(&files)).map_err(io)?;
        }
        for artifact in template
            .get("inputs")
            .map(|inputs| inputs.items("artifacts"))
            .unwrap_or_default()
        {
            place_artifact(artifact, inputs, &moved).map_err(io)?;
        }
        let mut variables = self.scope(inputs);
        variables.insert("retries", &attempt.to_string());
        variables.insert("pod.name", &self.driving.id(node));
        let fill = |text: &str| relocate(&variables.fill(text), &moved);
        let container = template
            .get("container")
            .or_else(|| template.get("script"))
            .cloned()
            .unwrap_or_default();
        let mut words: Vec<String> = container
            .items("command")
            .iter()
            .map(|word| fill(&text_of(word)))
            .collect();
        if let Some(source) = container.get("source").and_then(Value::as_str) {
            let script = folder.join("script");
            std::fs::write(&script, fill(source)).map_err(io)?;
            words.push(script.to_string_lossy().into_owned());
        }
        words.extend(container.items("args").iter().map(|word| fill(&text_of(word))));
        let environment = self.environment(&container, &fill)?;
        let words = words.iter().map(|word| kubelet::expand(word, &environment)).collect();
        let pod = Pod {
            node,
            template: template.text("name"),
            folder: &folder,
            words,
            environment,
            limit: template.get("activeDeadlineSeconds").and_then(seconds_of),
        };
        self.driving.run_pod(&pod)?;
        collect(template, &moved)
    }

    fn environment(
        &self,
        container: &Value,
        fill: &impl Fn(&str) -> String,
    ) -> Result<BTreeMap<String, String>, String> {
        let namespace = &self.driving.workflow.launch.namespace;
        let mut environment = BTreeMap::new();
        for variable in container.items("env") {
            let name = variable.text("name").to_owned();
            let Some(secret) = variable.at(&["valueFrom", "secretKeyRef"]) else {
                let value = kubelet::expand(&fill(variable.text("value")), &environment);
                environment.insert(name, value);
                continue;
            };
            let state = self.driving.core.lock();
            let values = state.secrets.get(&(namespace.clone(), secret.text("name").to_owned()));
            match values.and_then(|values| values.get(secret.text("key"))) {
                Some(value) => {
                    environment.insert(name, value.clone());
                }
                None if secret.get("optional") == Some(&Value::Bool(true)) => {}
                None => {
                    return Err(format!(
                        "CreateContainerConfigError: secret \"{}\" not found",
                        secret.text("name")
                    ));
                }
            }
        }
        Ok(environment)
    }
}

fn dag_task(spec: &Value) -> Task<'_> {
    let listed = spec
        .items("dependencies")
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned);
    let mut after: BTreeSet<String> = listed.collect();
    let mut depends = spec.text("depends").to_owned();
    if depends.is_empty() {
        let each = after.iter().map(|name| format!("({name}.Succeeded || {name}.Skipped)"));
        depends = each.collect::<Vec<_>>().join(" && ");
    } else {
        after.extend(substitution::names(&depends));
    }
    Task {
        name: spec.text("name"),
        spec,
        after,
        depends,
    }
}

/// What a task passes to its template.
fn arguments(spec: &Value, template: &Value, variables: &Variables) -> Values {
    let mut values = Values::default();
    for parameter in template
        .get("inputs")
        .map(|inputs| inputs.items("parameters"))
        .unwrap_or_default()
    {
        if let Some(default) = parameter.get("value").or_else(|| parameter.get("default")) {
            values.parameters.insert(
                parameter.text("name").to_owned(),
                variables.fill(&text_of(default)).into(),
            );
        }
    }
    let arguments = spec.get("arguments").cloned().unwrap_or_default();
    for parameter in arguments.items("parameters") {
        let value = parameter.get("value").map(text_of).unwrap_or_default();
        values
            .parameters
            .insert(parameter.text("name").to_owned(), variables.fill(&value).into());
    }
    for artifact in arguments.items("artifacts") {
        if let Some(found) = variables.artifact(artifact.text("from")) {
            values.artifacts.insert(artifact.text("name").to_owned(), vec![found]);
        }
    }
    values
}

/// Declared paths and where they lie on this machine.
fn moved_paths(template: &Value, files: &Path) -> BTreeMap<String, PathBuf> {
    let mut moved = BTreeMap::new();
    let mut add = |path: &str| {
        if !path.is_empty() {
            moved.insert(path.to_owned(), files.join(path.trim_start_matches('/')));
        }
    };
    for side in ["inputs", "outputs"] {
        let Some(declared) = template.get(side) else { continue };
        for artifact in declared.items("artifacts") {
            add(artifact.text("path"));
        }
        for parameter in declared.items("parameters") {
            add(parameter
                .at(&["valueFrom", "path"])
                .and_then(Value::as_str)
                .unwrap_or_default());
        }
    }
    moved
}

/// Mentions of declared paths, longest first so that one inside another is not cut.
fn relocate(text: &str, moved: &BTreeMap<String, PathBuf>) -> String {
    let mut paths: Vec<(&String, &PathBuf)> = moved.iter().collect();
    paths.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
    let mut out = text.to_owned();
    let mut targets = Vec::new();
    for (path, target) in paths {
        // A mark in between, since the new path holds the old one.
        let mark = format!("\u{1}{}\u{1}", targets.len());
        out = out.replace(path.as_str(), &mark);
        targets.push((mark, target.to_string_lossy().into_owned()));
    }
    for (mark, target) in targets {
        out = out.replace(&mark, &target);
    }
    out
}

fn place_artifact(artifact: &Value, inputs: &Values, moved: &BTreeMap<String, PathBuf>) -> std::io::Result<()> {
    let Some(target) = moved.get(artifact.text("path")) else {
        return Ok(());
    };
    if let Some(raw) = artifact.at(&["raw", "data"]).and_then(Value::as_str) {
        return std::fs::write(target, raw);
    }
    let given = inputs
        .artifacts
        .get(artifact.text("name"))
        .and_then(|list| list.first());
    let Some(source) = given.map(|given| PathBuf::from(given.text("uri"))) else {
        return Ok(());
    };
    copy(&source, target)
}

/// Copies a file or a folder.
fn copy(source: &Path, target: &Path) -> std::io::Result<()> {
    if !source.is_dir() {
        return std::fs::copy(source, target).map(|_| ());
    }
    std::fs::create_dir_all(target)?;
    for entry in std::fs::read_dir(source)? {
        let entry = entry?;
        copy(&entry.path(), &target.join(entry.file_name()))?;
    }
    Ok(())
}

/// Reads what the step has written. The outputs that the UI reads are optional.
fn collect(template: &Value, moved: &BTreeMap<String, PathBuf>) -> Result<Values, String> {
    let mut values = Values::default();
    let outputs = template.get("outputs").cloned().unwrap_or_default();
    for parameter in outputs.items("parameters") {
        let path = parameter
            .at(&["valueFrom", "path"])
            .and_then(Value::as_str)
            .unwrap_or_default();
        let Some(file) = moved.get(path) else { continue };
        let default = parameter.at(&["valueFrom", "default"]).map(text_of);
        let text = std::fs::read_to_string(file).ok().or(default);
        let text = text.ok_or_else(|| format!("failed to save outputs: open {path}: no such file or directory"))?;
        values
            .parameters
            .insert(parameter.text("name").to_owned(), text.trim_end_matches('\n').into());
    }
    for artifact in outputs.items("artifacts") {
        let name = artifact.text("name");
        let Some(file) = moved.get(artifact.text("path")) else {
            continue;
        };
        let optional = matches!(name, "mlpipeline-ui-metadata" | "mlpipeline-metrics")
            || artifact.get("optional") == Some(&Value::Bool(true));
        if file.exists() {
            values
                .artifacts
                .insert(name.to_owned(), vec![json!({"name": name, "uri": file})]);
        } else if !optional {
            return Err(format!(
                "failed to save outputs: stat {}: no such file or directory",
                artifact.text("path")
            ));
        }
    }
    Ok(values)
}

/// What a DAG gives to the outside.
fn outer_outputs(template: &Value, variables: &Variables) -> Values {
    let mut values = Values::default();
    let outputs = template.get("outputs").cloned().unwrap_or_default();
    for parameter in outputs.items("parameters") {
        let source = parameter
            .at(&["valueFrom", "parameter"])
            .and_then(Value::as_str)
            .unwrap_or_default();
        values
            .parameters
            .insert(parameter.text("name").to_owned(), variables.fill(source).into());
    }
    for artifact in outputs.items("artifacts") {
        if let Some(found) = variables.artifact(artifact.text("from")) {
            values.artifacts.insert(artifact.text("name").to_owned(), vec![found]);
        }
    }
    values
}
