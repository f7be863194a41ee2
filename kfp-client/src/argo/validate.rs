//! The rules by which Argo and the server take a workflow.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    API_VERSION, Error, KIND,
    dag::{Dag, DagTask},
    placeholder::{Named, named},
    values::{Arguments, IntOrText},
    workflow::{RetryStrategy, Template, Workflow},
};

type Checked = Result<(), Error>;

const NAME_RULE: &str = "letters, digits, `-` and `_`, beginning with a letter or a digit, and unique";
const RETRY_POLICIES: [&str; 5] = ["", "Always", "OnFailure", "OnError", "OnTransientError"];

/// All templates by name.
type Templates<'a> = BTreeMap<&'a str, &'a Template>;

pub(super) fn workflow(workflow: &Workflow) -> Checked {
    require(workflow.api_version == API_VERSION, "apiVersion", || {
        format!("`{API_VERSION}`")
    })?;
    require(workflow.kind == KIND, "kind", || format!("`{KIND}`"))?;
    object_name(workflow)?;
    let spec = &workflow.spec;
    if let Some(arguments) = &spec.arguments {
        unique_names("spec.arguments", arguments)?;
    }
    deadline("spec", spec.active_deadline_seconds.as_ref())?;
    let mut templates = Templates::new();
    for (index, template) in spec.templates.iter().enumerate() {
        let fresh = templates.insert(&template.name, template).is_none();
        require(
            fresh && is_name(&template.name),
            format!("spec.templates[{index}].name"),
            || NAME_RULE,
        )?;
    }
    begins_with("spec.entrypoint", &spec.entrypoint, workflow, &templates)?;
    if !spec.on_exit.is_empty() {
        begins_with("spec.onExit", &spec.on_exit, workflow, &templates)?;
    }
    for (index, template) in spec.templates.iter().enumerate() {
        let path = format!("spec.templates[{index}]");
        check_template(&path, template, workflow, &templates)?;
    }
    Ok(())
}

fn require<R: Into<std::borrow::Cow<'static, str>>>(
    holds: bool,
    path: impl Into<String>,
    rule: impl FnOnce() -> R,
) -> Checked {
    if holds { Ok(()) } else { Err(Error::new(path, rule())) }
}

fn is_name(name: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric();
    name.starts_with(plain) && name.len() <= 128 && name.chars().all(|letter| plain(letter) || "-_".contains(letter))
}

/// The cluster takes a name, or a beginning of one to which it adds five letters.
fn object_name(workflow: &Workflow) -> Checked {
    let metadata = &workflow.metadata;
    let (path, name) = if metadata.name.is_empty() {
        ("metadata.generateName", metadata.generate_name.trim_end_matches('-'))
    } else {
        ("metadata.name", metadata.name.as_str())
    };
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let fits = name.starts_with(plain)
        && name.ends_with(plain)
        && name.len() <= 248
        && name.chars().all(|letter| plain(letter) || "-.".contains(letter));
    require(
        fits,
        path,
        || "lower-case letters, digits, `-` and `.`, beginning with a letter or a digit",
    )
}

/// A template that is run without anybody giving it arguments, but for those of the workflow.
fn begins_with(path: &str, name: &str, workflow: &Workflow, templates: &Templates<'_>) -> Checked {
    let template = templates.get(name);
    let template = template.ok_or_else(|| Error::new(path, "the name of a template"))?;
    let inputs = template.inputs.iter().flat_map(|inputs| &inputs.parameters);
    let mut missing = inputs.filter(|input| !input.is_set() && !workflow.has_parameter(&input.name));
    require(
        missing.next().is_none(),
        path,
        || "a template all of whose inputs have a default or are parameters of the workflow",
    )
}

fn deadline(path: &str, seconds: Option<&IntOrText>) -> Checked {
    let negative = seconds.and_then(IntOrText::as_int).is_some_and(|seconds| seconds < 0);
    require(!negative, format!("{path}.activeDeadlineSeconds"), || "at least 0")
}

fn unique_names(path: &str, arguments: &Arguments) -> Checked {
    let names = |kind: &str, names: Vec<&str>| {
        let mut seen = BTreeSet::new();
        for (index, name) in names.into_iter().enumerate() {
            let path = format!("{path}.{kind}[{index}].name");
            require(
                !name.is_empty() && seen.insert(name.to_owned()),
                path,
                || "not empty, and unique",
            )?;
        }
        Ok(())
    };
    names(
        "parameters",
        arguments.parameters.iter().map(|one| one.name.as_str()).collect(),
    )?;
    names(
        "artifacts",
        arguments.artifacts.iter().map(|one| one.name.as_str()).collect(),
    )
}

fn check_template(path: &str, template: &Template, workflow: &Workflow, templates: &Templates<'_>) -> Checked {
    let kinds = [
        template.container.is_some(),
        template.dag.is_some(),
        template.script.is_some(),
        template.resource.is_some(),
        template.steps.is_some(),
        template.suspend.is_some(),
    ];
    let count = kinds.into_iter().filter(|kind| *kind).count();
    // A kind that is not known here stands among the unknown fields.
    let fits = count == 1 || (count == 0 && !template.extra.is_empty());
    require(
        fits,
        path,
        || "one of container, dag, script, resource, steps and suspend",
    )?;
    for (kind, arguments) in [("inputs", &template.inputs), ("outputs", &template.outputs)] {
        if let Some(arguments) = arguments {
            unique_names(&format!("{path}.{kind}"), arguments)?;
        }
    }
    let outputs = template
        .outputs
        .iter()
        .flat_map(|outputs| &outputs.parameters)
        .enumerate();
    for (index, output) in outputs {
        let from = output.value_from.is_some() || output.value.is_some();
        require(
            from,
            format!("{path}.outputs.parameters[{index}].valueFrom"),
            || "present",
        )?;
    }
    deadline(path, template.active_deadline_seconds.as_ref())?;
    if let Some(strategy) = &template.retry_strategy {
        retry(&format!("{path}.retryStrategy"), strategy)?;
    }
    if let Some(container) = &template.container {
        require(
            !container.image.is_empty(),
            format!("{path}.container.image"),
            || "not empty",
        )?;
        let unnamed = container.env.iter().position(|variable| variable.name.is_empty());
        if let Some(index) = unnamed {
            return Err(Error::new(format!("{path}.container.env[{index}].name"), "not empty"));
        }
        volumes(&format!("{path}.container"), template, workflow)?;
    }
    let scope = Scope {
        template,
        workflow,
        templates,
    };
    if let Some(dag) = &template.dag {
        return scope.graph(path, dag);
    }
    let mut pod = template.clone();
    // The annotations of KFP describe the component, in words of their own.
    pod.metadata = None;
    scope.text(path, &pod, None)
}

fn retry(path: &str, strategy: &RetryStrategy) -> Checked {
    let negative = strategy
        .limit
        .as_ref()
        .and_then(IntOrText::as_int)
        .is_some_and(|limit| limit < 0);
    require(!negative, format!("{path}.limit"), || "at least 0")?;
    let known = RETRY_POLICIES.contains(&strategy.retry_policy.as_str());
    require(
        known,
        format!("{path}.retryPolicy"),
        || "one of Always, OnFailure, OnError and OnTransientError",
    )
}

fn volumes(path: &str, template: &Template, workflow: &Workflow) -> Checked {
    // Claims that are made with the workflow are volumes too.
    let made = workflow.spec.extra.contains_key("volumeClaimTemplates");
    let mounts = template.container.iter().flat_map(|container| &container.volume_mounts);
    for (index, mount) in mounts.enumerate() {
        let mut known = template.volumes.iter().chain(&workflow.spec.volumes);
        let known = made || known.any(|volume| volume.name == mount.name);
        let path = format!("{path}.volumeMounts[{index}]");
        require(
            known,
            format!("{path}.name"),
            || "a volume of the template or of the workflow",
        )?;
        require(
            !mount.mount_path.is_empty(),
            format!("{path}.mountPath"),
            || "not empty",
        )?;
    }
    Ok(())
}

/// Where placeholders are looked up.
struct Scope<'a> {
    template: &'a Template,
    workflow: &'a Workflow,
    templates: &'a Templates<'a>,
}

/// The tasks of a graph, and what each waits for.
struct Graph<'a> {
    tasks: BTreeMap<&'a str, &'a DagTask>,
    before: BTreeMap<&'a str, Vec<&'a str>>,
}

impl Graph<'_> {
    /// Whether `task` ends before `later` starts.
    fn is_before(&self, task: &str, later: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![later];
        while let Some(name) = open.pop() {
            for before in self.before.get(name).into_iter().flatten() {
                if *before == task {
                    return true;
                }
                if seen.insert(*before) {
                    open.push(before);
                }
            }
        }
        false
    }

    /// Whether no task waits for itself.
    fn has_an_end(&self) -> bool {
        let mut waiting: BTreeMap<&str, usize> = BTreeMap::new();
        let mut after: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, before) in &self.before {
            waiting.insert(name, before.len());
            for before in before {
                after.entry(before).or_default().push(name);
            }
        }
        let mut ready: Vec<&str> = waiting
            .iter()
            .filter(|(_, count)| **count == 0)
            .map(|(name, _)| *name)
            .collect();
        let mut done = 0;
        while let Some(name) = ready.pop() {
            done += 1;
            for next in after.get(name).into_iter().flatten() {
                if let Some(count) = waiting.get_mut(next) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(next);
                    }
                }
            }
        }
        done == self.before.len()
    }
}

/// The tasks that `depends` names: `a && (b.Failed || !c)`.
fn named_tasks(depends: &str) -> impl Iterator<Item = &str> {
    let words = depends.split(|letter: char| !(letter.is_ascii_alphanumeric() || "-_.".contains(letter)));
    let words = words.filter(|word| !word.is_empty());
    words.map(|word| word.split('.').next().unwrap_or(word))
}

impl<'a> Scope<'a> {
    fn graph(&self, path: &str, dag: &'a Dag) -> Checked {
        require(
            !dag.tasks.is_empty(),
            format!("{path}.dag.tasks"),
            || "at least one task",
        )?;
        let mut graph = Graph {
            tasks: BTreeMap::new(),
            before: BTreeMap::new(),
        };
        for (index, task) in dag.tasks.iter().enumerate() {
            let fresh = graph.tasks.insert(&task.name, task).is_none();
            require(
                fresh && is_name(&task.name),
                format!("{path}.dag.tasks[{index}].name"),
                || NAME_RULE,
            )?;
        }
        for task in &dag.tasks {
            let path = format!("{path}.dag.tasks.{}", task.name);
            let both = !task.dependencies.is_empty() && !task.depends.is_empty();
            require(
                !both,
                format!("{path}.depends"),
                || "left out where dependencies are given",
            )?;
            let mut before: Vec<&str> = task.dependencies.iter().map(String::as_str).collect();
            before.extend(named_tasks(&task.depends));
            before.sort_unstable();
            before.dedup();
            let field = if task.depends.is_empty() {
                "dependencies"
            } else {
                "depends"
            };
            let known = before.iter().all(|name| graph.tasks.contains_key(name));
            require(known, format!("{path}.{field}"), || "names of tasks of the same graph")?;
            graph.before.insert(&task.name, before);
        }
        require(
            graph.has_an_end(),
            format!("{path}.dag.tasks"),
            || "without a circle: no task may wait for itself",
        )?;
        for task in &dag.tasks {
            let path = format!("{path}.dag.tasks.{}", task.name);
            self.task(&path, task)?;
            self.text(&path, task, Some((&graph, Some(task))))?;
        }
        self.text(&format!("{path}.outputs"), &self.template.outputs, Some((&graph, None)))
    }

    fn task(&self, path: &str, task: &DagTask) -> Checked {
        let loops = [
            task.with_items.is_some(),
            !task.with_param.is_empty(),
            task.with_sequence.is_some(),
        ];
        let loops = loops.into_iter().filter(|one| *one).count();
        require(loops <= 1, path, || "with one of withItems, withParam and withSequence")?;
        if let Some(arguments) = &task.arguments {
            unique_names(&format!("{path}.arguments"), arguments)?;
        }
        if !task.on_exit.is_empty() {
            let known = self.templates.contains_key(task.on_exit.as_str());
            require(known, format!("{path}.onExit"), || "the name of a template")?;
        }
        // A template from elsewhere, or written in place, stands among the unknown fields.
        if task.template.is_empty() && !task.extra.is_empty() {
            return Ok(());
        }
        let template = self.templates.get(task.template.as_str());
        let template = template.ok_or_else(|| Error::new(format!("{path}.template"), "the name of a template"))?;
        let given = task.arguments.as_ref();
        let Some(inputs) = &template.inputs else {
            return Ok(());
        };
        for input in inputs.parameters.iter().filter(|input| !input.is_set()) {
            let mut given = given.into_iter().flat_map(|given| &given.parameters);
            let given = given.any(|argument| argument.name == input.name);
            require(given, format!("{path}.arguments.parameters"), || {
                format!("given a value for `{}`", input.name)
            })?;
        }
        for input in inputs
            .artifacts
            .iter()
            .filter(|input| !input.optional && input.raw.is_none())
        {
            let kept = input.s3.is_some() || !input.extra.is_empty();
            let mut given = given.into_iter().flat_map(|given| &given.artifacts);
            let given = kept || given.any(|argument| argument.name == input.name);
            require(given, format!("{path}.arguments.artifacts"), || {
                format!("given `{}`", input.name)
            })?;
        }
        Ok(())
    }

    /// Checks every placeholder in a part of the template: of one of its tasks, or of its outputs.
    fn text(&self, path: &str, part: &impl Serialize, graph: Option<(&Graph<'_>, Option<&DagTask>)>) -> Checked {
        // Placeholders hold nothing that JSON escapes.
        let text = serde_json::to_string(part).unwrap_or_default();
        let inputs = self.template.inputs.as_ref();
        for name in named(&text) {
            match (name, graph) {
                (Named::Input(name), _) => {
                    let mut known = inputs.into_iter().flat_map(|inputs| &inputs.parameters);
                    require(known.any(|input| input.name == name), path, || {
                        format!("free of `inputs.parameters.{name}`, or the template given that input")
                    })?;
                }
                (Named::InputArtifact(name), _) => {
                    let mut known = inputs.into_iter().flat_map(|inputs| &inputs.artifacts);
                    require(known.any(|input| input.name == name), path, || {
                        format!("free of `inputs.artifacts.{name}`, or the template given that input")
                    })?;
                }
                (Named::WorkflowParameter(name), _) => {
                    require(self.workflow.has_parameter(name), path, || {
                        format!("free of `workflow.parameters.{name}`, or the workflow given that parameter")
                    })?;
                }
                (Named::Task(name, output), Some((graph, task))) => {
                    self.output(path, name, output, graph)?;
                    let ready = task.is_none_or(|task| graph.is_before(name, &task.name));
                    require(ready, path, || {
                        format!("after the task `{name}`, whose output it takes")
                    })?;
                }
                (Named::Item, Some((_, Some(task)))) => {
                    let looped =
                        task.with_items.is_some() || !task.with_param.is_empty() || task.with_sequence.is_some();
                    require(looped, path, || "free of `item`, or a loop")?;
                }
                (Named::Task(..) | Named::Item, _) => {}
            }
        }
        Ok(())
    }

    fn output(&self, path: &str, task: &str, output: Option<&str>, graph: &Graph<'_>) -> Checked {
        let task = graph.tasks.get(task);
        let task = task.ok_or_else(|| Error::new(path, "about tasks of the same graph"))?;
        let template = self.templates.get(task.template.as_str());
        let (Some(output), Some(template)) = (output, template) else {
            return Ok(());
        };
        let mut outputs = template.outputs.iter().flat_map(|outputs| &outputs.parameters);
        require(outputs.any(|known| known.name == output), path, || {
            format!(
                "free of `{output}` of `{}`, or that template given such an output",
                task.name
            )
        })
    }
}
