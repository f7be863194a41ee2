//! Choices between graphs: if, else if, else.

use super::{
    dag::DagBuilder,
    source::{ArtifactSource, ParameterSource},
    spec::ParameterType,
    task::TaskBuilder,
};

/// A choice between graphs, of which the first whose condition is true runs; for
/// [`TaskBuilder::sub_dag`](super::TaskBuilder::sub_dag).
///
/// Its inputs are inputs of every branch, and may be named in every condition. An output is that of the branch that
/// ran, each of which must have one of this name; without an [`otherwise`](Self::otherwise), it may be that there is
/// none.
///
/// ```
/// use kfp_client::ir::{Branches, ContainerComponent, DagBuilder, ParameterSource, ParameterType, PipelineBuilder, TaskBuilder};
///
/// let say = |word: &str| {
///     let container = ContainerComponent::new("busybox")
///         .command(["sh", "-c", "echo \"$0\" > \"$1\"", word, "{{$.outputs.parameters['said'].output_file}}"])
///         .output("said", ParameterType::String);
///     DagBuilder::new()
///         .task(TaskBuilder::new("say", container))
///         .output("said", ParameterType::String, "say", "said")
/// };
/// let choice = Branches::new()
///     .input("score", ParameterType::NumberDouble)
///     .when("inputs.parameter_values['score'] > 0.9", say("good"))
///     .when("inputs.parameter_values['score'] > 0.5", say("fair"))
///     .otherwise(say("poor"))
///     .output("said", ParameterType::String);
/// PipelineBuilder::new("judge")
///     .parameter("score", ParameterType::NumberDouble, None)
///     .task(TaskBuilder::sub_dag("judge", choice).input("score", ParameterSource::input("score")))
///     .build()?;
/// # Ok::<(), kfp_client::ir::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
pub struct Branches {
    /// Declares inputs and outputs; has no tasks yet.
    outside: DagBuilder,
    choices: Vec<(String, DagBuilder)>,
    outputs: Vec<(String, ParameterType)>,
    artifact_outputs: Vec<(String, String)>,
}

impl Branches {
    /// A choice without branches; it needs at least one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a required input value, of the choice and of each branch.
    pub fn input(mut self, name: impl Into<String>, parameter_type: ParameterType) -> Self {
        self.outside = self.outside.input(name, parameter_type);
        self
    }

    /// Adds an input file of this type, of the choice and of each branch.
    pub fn input_artifact(mut self, name: impl Into<String>, schema_title: impl Into<String>) -> Self {
        self.outside = self.outside.input_artifact(name, schema_title);
        self
    }

    /// Adds a branch that runs if this CEL expression over the inputs is true, and none before it was.
    pub fn when(mut self, condition: impl Into<String>, branch: DagBuilder) -> Self {
        self.choices.push((condition.into(), branch));
        self
    }

    /// Adds the branch that runs if no condition is true; the last one.
    pub fn otherwise(self, branch: DagBuilder) -> Self {
        self.when("", branch)
    }

    /// Adds an output value: that of the branch that ran.
    pub fn output(mut self, name: impl Into<String>, parameter_type: ParameterType) -> Self {
        self.outputs.push((name.into(), parameter_type));
        self
    }

    /// Adds an output file: that of the branch that ran.
    pub fn output_artifact(mut self, name: impl Into<String>, schema_title: impl Into<String>) -> Self {
        self.artifact_outputs.push((name.into(), schema_title.into()));
        self
    }
}

impl From<Branches> for DagBuilder {
    fn from(choice: Branches) -> Self {
        let Branches {
            outside,
            choices: branches,
            outputs,
            artifact_outputs,
        } = choice;
        let inputs = outside.inputs.clone();
        let mut dag = outside;
        let mut before: Vec<String> = Vec::new();
        let mut keys = Vec::new();
        for (number, (condition, mut branch)) in branches.into_iter().enumerate() {
            for (name, parameter) in &inputs.parameters {
                let declared = branch.inputs.parameters.entry(name.clone());
                declared.or_insert_with(|| parameter.clone());
            }
            for (name, artifact) in &inputs.artifacts {
                let declared = branch.inputs.artifacts.entry(name.clone());
                declared.or_insert_with(|| artifact.clone());
            }
            let not_before = before.iter().map(|condition| format!("!({condition})"));
            let whole = match (before.is_empty(), condition.is_empty()) {
                (true, _) => condition.clone(),
                (false, true) => not_before.collect::<Vec<_>>().join(" && "),
                (false, false) => not_before
                    .chain([format!("({condition})")])
                    .collect::<Vec<_>>()
                    .join(" && "),
            };
            let key = format!("condition-{}", number + 1);
            let mut task = TaskBuilder::sub_dag(key.clone(), branch).condition(whole);
            for name in inputs.parameters.keys() {
                task = task.input(name.clone(), ParameterSource::input(name.clone()));
            }
            for name in inputs.artifacts.keys() {
                task = task.artifact(name.clone(), ArtifactSource::input(name.clone()));
            }
            dag = dag.task(task);
            keys.push(key);
            before.push(condition);
        }
        for (name, parameter_type) in outputs {
            let selected: Vec<_> = keys.iter().map(|key| (key.clone(), name.clone())).collect();
            dag = dag.output_one_of(name, parameter_type, selected);
        }
        for (name, schema_title) in artifact_outputs {
            let selected: Vec<_> = keys.iter().map(|key| (key.clone(), name.clone())).collect();
            dag = dag.output_artifact_one_of(name, schema_title, selected);
        }
        dag
    }
}
