//! One container step, run as KFP's driver and launcher run it, on this machine.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::kubelet;
use super::placeholder::fill;
use super::process::{self, Ended};
use super::values::{Outcome, Values, parse_text};
use super::workflow::{Driving, seconds_of};
use crate::testing::call::Json;

/// Longest pause between attempts: a fake need not wait as a cluster does.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A step about to run.
#[derive(Debug)]
pub(super) struct Step<'a> {
    /// Its place in the pipeline, also its folder.
    pub(super) path: &'a str,
    pub(super) component: &'a Value,
    pub(super) container: &'a Value,
    /// Kubernetes settings of the executor.
    pub(super) platform: Option<&'a Value>,
    pub(super) retry: Option<&'a Value>,
    pub(super) inputs: &'a Values,
}

/// What a command is run with, in either pipeline format.
#[derive(Debug)]
pub(super) struct Pod<'a> {
    pub(super) node: &'a str,
    /// Name of the template, part of the pod's name.
    pub(super) template: &'a str,
    pub(super) folder: &'a Path,
    pub(super) words: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) limit: Option<Duration>,
}

impl Driving<'_> {
    /// Runs a command once; an error text if it did not end with 0.
    pub(super) fn run_pod(&self, pod: &Pod<'_>) -> Result<(), String> {
        let log = pod.folder.join("pod.log");
        self.workflow.keep_log(&self.id(pod.node), pod.template, &log);
        let mut words = pod.words.iter();
        let Some(program) = words.next() else {
            return Err(
                "the container has no command: an image's own entrypoint cannot be run without the image".to_owned(),
            );
        };
        let slots = &self.core.engine.slots;
        if !slots.take(|| self.workflow.over()) {
            return Err("terminated".to_owned());
        }
        let ended = self.start(pod, program, words, &log);
        slots.give();
        match ended {
            Ok(Ended::Code(0)) => Ok(()),
            Ok(Ended::Code(code)) => Err(format!("exit code {code}")),
            Ok(Ended::Killed) => Err("terminated".to_owned()),
            Ok(Ended::TooLong) => Err("Pod was active on the node longer than the specified deadline".to_owned()),
            Err(error) => Err(format!("cannot run: {error}")),
        }
    }

    fn start<'w>(
        &self,
        pod: &Pod<'_>,
        program: &str,
        words: impl Iterator<Item = &'w String>,
        log: &Path,
    ) -> std::io::Result<Ended> {
        let (work, temporary) = (pod.folder.join("work"), pod.folder.join("tmp"));
        std::fs::create_dir_all(&work)?;
        std::fs::create_dir_all(&temporary)?;
        let mut command = Command::new(program);
        command.args(words).current_dir(&work).env_clear();
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        command
            .env("PATH", path)
            .env("HOME", &work)
            .env("LANG", "C.UTF-8")
            .env("TMPDIR", &temporary);
        command.env(
            "KFP_POD_NAME",
            super::node::pod_name(&self.workflow.launch.workflow, pod.template, &self.id(pod.node)),
        );
        command.envs(&self.core.settings.environment).envs(&pod.environment);
        process::run(command, log, pod.limit, || self.workflow.over())
    }

    /// Lets a pod say something without running anything.
    pub(super) fn say(&self, path: &str, node: &str, template: &str, text: &str) {
        let folder = self.root.join(path);
        let log = folder.join("pod.log");
        self.workflow.keep_log(&self.id(node), template, &log);
        // A log that cannot be written is missing, as one that a cluster lost.
        let _unwritten = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&log, text));
    }

    /// Runs a step with its retries.
    pub(super) fn run_step(&self, step: &Step<'_>) -> Outcome {
        let folder = self.root.join(step.path);
        let retries = step
            .retry
            .and_then(|policy| policy.get("maxRetryCount"))
            .and_then(Value::as_u64)
            .unwrap_or_default();
        let mut pause = step
            .retry
            .and_then(|policy| seconds_of(policy.get("backoffDuration")?))
            .unwrap_or_default()
            .min(LONGEST_PAUSE);
        let mut attempt = 0;
        loop {
            let failure = match self.attempt(step, &folder) {
                Ok(values) => return Outcome::Succeeded(values),
                Err(failure) => failure,
            };
            note(&folder, &failure);
            if attempt >= retries || self.workflow.over() {
                return Outcome::Failed(failure);
            }
            attempt += 1;
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn attempt(&self, step: &Step<'_>, folder: &Path) -> Result<Values, String> {
        let io = |error: std::io::Error| format!("cannot prepare the step: {error}");
        let outputs = folder.join("outputs");
        if outputs.exists() {
            std::fs::remove_dir_all(&outputs).map_err(io)?;
        }
        std::fs::create_dir_all(&outputs).map_err(io)?;
        let executor_input = executor_input(step, &outputs)?;
        let mut words = step.container.items("command").to_vec();
        words.extend_from_slice(step.container.items("args"));
        let mut environment = self.secrets(step)?;
        for variable in step.container.items("env") {
            let value = kubelet::expand(variable.text("value"), &environment);
            environment.insert(variable.text("name").to_owned(), value);
        }
        // Kubernetes comes first, the launcher fills placeholders afterwards.
        let words: Vec<Value> = words
            .iter()
            .map(|word| kubelet::expand_value(word, &environment))
            .collect();
        let seen = kubelet::expand_value(&executor_input, &environment);
        let pod = Pod {
            node: &format!("{}/executor", step.path),
            template: "system-container-impl",
            folder,
            words: fill(&words, step.inputs, &seen),
            environment,
            limit: step
                .platform
                .and_then(|platform| seconds_of(platform.get("activeDeadlineSeconds")?)),
        };
        self.run_pod(&pod)?;
        collect(step, &executor_input, &outputs)
    }

    /// Secrets as environment variables. A pod whose secret is missing cannot start.
    fn secrets(&self, step: &Step<'_>) -> Result<BTreeMap<String, String>, String> {
        let mut variables = BTreeMap::new();
        let wanted = step
            .platform
            .map(|platform| platform.items("secretAsEnv"))
            .unwrap_or_default();
        let namespace = &self.workflow.launch.namespace;
        for secret in wanted {
            let by_input = secret
                .at(&["secretNameParameter", "componentInputParameter"])
                .and_then(Value::as_str);
            let name = by_input
                .and_then(|input| step.inputs.parameters.get(input)?.as_str())
                .or_else(|| {
                    secret
                        .at(&["secretNameParameter", "runtimeValue", "constant"])?
                        .as_str()
                })
                .unwrap_or_else(|| secret.text("secretName"));
            let optional = secret.get("optional").and_then(Value::as_bool).unwrap_or_default();
            let values = self
                .core
                .lock()
                .secrets
                .get(&(namespace.clone(), name.to_owned()))
                .cloned();
            let Some(values) = values else {
                if optional {
                    continue;
                }
                return Err(format!("CreateContainerConfigError: secret \"{name}\" not found"));
            };
            for pair in secret.items("keyToEnv") {
                match values.get(pair.text("secretKey")) {
                    Some(value) => {
                        variables.insert(pair.text("envVar").to_owned(), value.clone());
                    }
                    None if optional => {}
                    None => {
                        let key = pair.text("secretKey");
                        return Err(format!(
                            "CreateContainerConfigError: couldn't find key {key} in Secret {namespace}/{name}"
                        ));
                    }
                }
            }
        }
        Ok(variables)
    }
}

/// Adds a line to the pod's log, where the launcher would have said it.
fn note(folder: &Path, text: &str) {
    let file = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("pod.log"));
    if let Ok(mut file) = file {
        let _unwritten = writeln!(file, "failed to execute component: {text}");
    }
}

/// The `ExecutorInput` message, with the folders of outputs made.
fn executor_input(step: &Step<'_>, outputs: &Path) -> Result<Value, String> {
    let io = |error: std::io::Error| format!("cannot prepare outputs: {error}");
    let mut files = Map::new();
    for (name, _) in definitions(step.component, "parameters") {
        let file = outputs.join("parameters").join(name).join("data");
        std::fs::create_dir_all(file.parent().unwrap_or(outputs)).map_err(io)?;
        files.insert(name.clone(), json!({"outputFile": file}));
    }
    let mut artifacts = Map::new();
    for (name, definition) in definitions(step.component, "artifacts") {
        let path = outputs.join("artifacts").join(name);
        std::fs::create_dir_all(outputs.join("artifacts")).map_err(io)?;
        let kind = definition
            .get("artifactType")
            .cloned()
            .unwrap_or_else(|| json!({"schemaTitle": "system.Artifact"}));
        let artifact = json!({"name": name, "type": kind, "uri": path, "metadata": {}});
        artifacts.insert(name.clone(), json!({"artifacts": [artifact]}));
    }
    let inputs: Map<String, Value> = step
        .inputs
        .artifacts
        .iter()
        .map(|(name, list)| (name.clone(), json!({"artifacts": list})))
        .collect();
    Ok(json!({
        "inputs": {"parameterValues": step.inputs.parameters, "artifacts": inputs},
        "outputs": {"parameters": files, "artifacts": artifacts, "outputFile": outputs.join("executor_output.json")},
    }))
}

fn definitions<'a>(component: &'a Value, kind: &str) -> Vec<(&'a String, &'a Value)> {
    component
        .get("outputDefinitions")
        .map(|outputs| outputs.members(kind))
        .unwrap_or_default()
}

/// Reads what the step has written.
fn collect(step: &Step<'_>, executor_input: &Value, outputs: &Path) -> Result<Values, String> {
    let written = match std::fs::read_to_string(outputs.join("executor_output.json")) {
        Ok(text) => {
            serde_json::from_str::<Value>(&text).map_err(|error| format!("executor output is no JSON: {error}"))?
        }
        Err(_) => json!({}),
    };
    let mut values = Values::default();
    for (name, definition) in definitions(step.component, "parameters") {
        if let Some(value) = written.at(&["parameterValues", name]) {
            values.parameters.insert(name.clone(), value.clone());
            continue;
        }
        let file = executor_input
            .at(&["outputs", "parameters", name, "outputFile"])
            .and_then(Value::as_str)
            .unwrap_or_default();
        let kind = definition.text("parameterType");
        let fail = |cause: String| {
            format!("failed to read output parameter name={name:?} type={kind:?} path={file:?}: {cause}")
        };
        let text = std::fs::read_to_string(PathBuf::from(file)).map_err(|error| fail(error.to_string()))?;
        values
            .parameters
            .insert(name.clone(), parse_text(&text, kind).map_err(fail)?);
    }
    for (name, _) in definitions(step.component, "artifacts") {
        let mut artifact = executor_input
            .at(&["outputs", "artifacts", name, "artifacts"])
            .and_then(|list| list.get(0))
            .cloned()
            .unwrap_or_default();
        let own = written
            .at(&["artifacts", name, "artifacts"])
            .and_then(|list| list.get(0));
        for key in ["metadata", "uri", "name"] {
            if let (Some(value), Some(map)) = (own.and_then(|own| own.get(key)), artifact.as_object_mut()) {
                map.insert(key.to_owned(), value.clone());
            }
        }
        values.artifacts.insert(name.clone(), vec![artifact]);
    }
    Ok(values)
}
