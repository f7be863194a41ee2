//! A neutral workflow as a pipeline in Kubeflow's intermediate representation (IR).

use kfp_client::ir::{
    ContainerComponent, ParameterSource, ParameterType, PipelineBuilder, PipelineDocument, RetryPolicy, TaskBuilder,
};

use super::NAME;
use crate::{Condition, EngineError, EnvValue, Step, Word, Workflow};

/// Every artifact is a directory of files, whose content is the steps' own business.
const ARTIFACT: &str = "system.Artifact";

/// The task of the official compiler's making that stands for all steps before the exit step.
const ALL_STEPS: &str = "exit-handler-1";

/// Seconds before a failed step is started again, by what they grow each time, and the longest pause.
const BACKOFF: (u32, f64, u32) = (1, 2.0, 60);

pub(super) fn document(workflow: &Workflow) -> Result<PipelineDocument, EngineError> {
    let mut pipeline = PipelineBuilder::new(format!("orchestrator-{}", workflow.name));
    for name in workflow.parameters.keys() {
        pipeline = pipeline.parameter(name, ParameterType::String, None);
    }
    for step in workflow.order()? {
        pipeline = pipeline.task(task(step));
    }
    if let Some(step) = &workflow.exit_step {
        pipeline = pipeline.exit_task(task(step));
    }
    pipeline.build().map_err(|error| EngineError::Failed {
        engine: NAME.to_owned(),
        message: format!("the workflow cannot be written as a pipeline: {error}"),
        source: Some(Box::new(error)),
    })
}

/// What a step needs from outside, gathered while its command line is written.
struct Draft {
    component: ContainerComponent,
    inputs: Vec<(String, ParameterType, ParameterSource)>,
    artifacts: Vec<(String, String, String)>,
}

impl Draft {
    /// Binds a value to an input of the task, once, and gives what stands for it in the command line.
    fn value(&mut self, name: String, kind: ParameterType, source: ParameterSource) -> String {
        let placeholder = format!("{{{{$.inputs.parameters['{name}']}}}}");
        if !self.inputs.iter().any(|(known, _, _)| *known == name) {
            self.inputs.push((name, kind, source));
        }
        placeholder
    }

    fn word(&mut self, position: usize, word: &Word) -> String {
        match word {
            // What looks like a placeholder would be taken for one: it goes in as a constant instead.
            Word::Text(text) if is_special(text) => {
                let source = ParameterSource::constant(literal(text));
                self.value(format!("text-{position}"), ParameterType::String, source)
            }
            Word::Text(text) => literal(text),
            Word::Parameter(name) => self.value(name.clone(), ParameterType::String, ParameterSource::input(name)),
            Word::Input(reference) => {
                let name = format!("{}-{}", reference.step, reference.output);
                let placeholder = format!("{{{{$.inputs.artifacts['{name}'].path}}}}");
                let artifact = (name, reference.step.to_string(), reference.output.clone());
                if !self.artifacts.contains(&artifact) {
                    self.artifacts.push(artifact);
                }
                placeholder
            }
            Word::Output(name) => format!("{{{{$.outputs.artifacts['{name}'].path}}}}"),
            Word::FinalStatus => {
                let source = ParameterSource::final_status(ALL_STEPS);
                self.value("final-status".to_owned(), ParameterType::TaskFinalStatus, source)
            }
        }
    }
}

/// Kubernetes replaces `$(NAME)` and `$$` in commands, arguments and environment variables, also in what the launcher is
/// given as its input; a doubled sign is a plain one.
pub(super) fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// Placeholders, and the JSON objects that the launcher takes for instructions.
fn is_special(text: &str) -> bool {
    text.contains("{{") || text.starts_with("{\"IfPresent\"") || text.starts_with("{\"Concat\"")
}

fn task(step: &Step) -> TaskBuilder {
    let mut draft = Draft {
        component: ContainerComponent::new(&step.image),
        inputs: Vec::new(),
        artifacts: Vec::new(),
    };
    let words: Vec<String> = step
        .command
        .iter()
        .enumerate()
        .map(|(n, word)| draft.word(n, word))
        .collect();
    let condition = step.condition.as_ref().map(|condition| {
        let name = condition.parameter();
        draft.value(name.to_owned(), ParameterType::String, ParameterSource::input(name));
        expression(condition)
    });
    let Draft {
        mut component,
        inputs,
        artifacts,
    } = draft;
    let (program, arguments) = words.split_at(words.len().min(1));
    component = component
        .command(program.iter().cloned())
        .args(arguments.iter().cloned());
    for (name, value) in &step.environment {
        component = match value {
            EnvValue::Text(text) => component.env(name, literal(text)),
            EnvValue::Secret(secret) => {
                component.secret_env(secret.name.as_str(), [(secret.key.as_str(), name.as_str())])
            }
        };
    }
    for (name, kind, _) in &inputs {
        component = component.input(name, kind.clone());
    }
    for (name, _, _) in &artifacts {
        component = component.input_artifact(name, ARTIFACT);
    }
    for output in &step.outputs {
        component = component.output_artifact(output, ARTIFACT);
    }
    component = resources(component, step);
    for volume in &step.volumes {
        component = component.pvc_mount(volume.claim.as_str(), &volume.mount_path);
    }
    if let Some(timeout) = step.timeout {
        let seconds = u32::try_from(timeout.as_secs().max(1)).unwrap_or(u32::MAX);
        component = component.active_deadline_seconds(seconds);
    }

    // Steps have effects outside, and their inputs do not tell all they depend on: nothing may be taken from a cache.
    let mut task = TaskBuilder::new(step.name.as_str(), component).caching(false);
    for (name, _, source) in inputs {
        task = task.input(name, source);
    }
    for (name, from, output) in artifacts {
        task = task.artifact_from(name, from, output);
    }
    for before in &step.after {
        task = task.after(before.as_str());
    }
    if let Some(condition) = condition {
        task = task.condition(condition);
    }
    if step.retries > 0 {
        let (seconds, factor, longest) = BACKOFF;
        task = task.retry(RetryPolicy::new(step.retries).backoff(seconds, factor, longest));
    }
    task
}

fn resources(mut component: ContainerComponent, step: &Step) -> ContainerComponent {
    let wanted = &step.resources;
    if let Some(quantity) = &wanted.cpu_request {
        component = component.cpu_request(quantity);
    }
    if let Some(quantity) = &wanted.cpu_limit {
        component = component.cpu_limit(quantity);
    }
    if let Some(quantity) = &wanted.memory_request {
        component = component.memory_request(quantity);
    }
    if let Some(quantity) = &wanted.memory_limit {
        component = component.memory_limit(quantity);
    }
    if let Some((kind, count)) = &wanted.accelerator {
        component = component.accelerator(kind, *count);
    }
    component
}

/// A condition in the expression language of the driver (CEL), whose strings escape as those of JSON do.
fn expression(condition: &Condition) -> String {
    let (parameter, operator, value) = match condition {
        Condition::Equals { parameter, value } => (parameter, "==", value),
        Condition::NotEquals { parameter, value } => (parameter, "!=", value),
    };
    format!(
        "inputs.parameter_values['{parameter}'] {operator} {}",
        serde_json::Value::from(value.as_str())
    )
}
