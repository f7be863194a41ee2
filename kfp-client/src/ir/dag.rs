//! Graphs of tasks, before they become components of a document.

use super::{
    spec::{
        ArtifactSelector, ArtifactSpec, ComponentInputs, ComponentOutputs, ParameterSelector, ParameterSpec,
        ParameterType,
    },
    task::TaskBuilder,
};

/// A graph of tasks with inputs and outputs of its own, to stand as one task in another.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
pub struct DagBuilder {
    pub(crate) inputs: ComponentInputs,
    pub(crate) outputs: ComponentOutputs,
    pub(crate) parameter_outputs: Vec<(String, Vec<ParameterSelector>)>,
    pub(crate) artifact_outputs: Vec<(String, Vec<ArtifactSelector>)>,
    pub(crate) tasks: Vec<TaskBuilder>,
}

impl DagBuilder {
    /// An empty graph; it needs at least one task.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a required input value.
    pub fn input(self, name: impl Into<String>, parameter_type: ParameterType) -> Self {
        self.input_spec(name, ParameterSpec::new(parameter_type))
    }

    /// Adds an input value, e.g. one with a default.
    pub fn input_spec(mut self, name: impl Into<String>, parameter: ParameterSpec) -> Self {
        self.inputs.parameters.insert(name.into(), parameter);
        self
    }

    /// Adds an input file of this type, e.g. `system.Model`.
    pub fn input_artifact(self, name: impl Into<String>, schema_title: impl Into<String>) -> Self {
        self.input_artifact_spec(name, ArtifactSpec::new(schema_title))
    }

    /// Adds an input file, e.g. one that may be left out, or a list of files.
    pub fn input_artifact_spec(mut self, name: impl Into<String>, artifact: ArtifactSpec) -> Self {
        self.inputs.artifacts.insert(name.into(), artifact);
        self
    }

    /// Adds an output value, taken from an output of one of its tasks.
    pub fn output(
        self,
        name: impl Into<String>,
        parameter_type: ParameterType,
        task: impl Into<String>,
        output: impl Into<String>,
    ) -> Self {
        self.output_one_of(name, parameter_type, [(task, output)])
    }

    /// Adds an output value, taken from the one of these outputs of tasks that is there: of the branches of a choice,
    /// of which one runs.
    pub fn output_one_of<T: Into<String>, O: Into<String>>(
        mut self,
        name: impl Into<String>,
        parameter_type: ParameterType,
        outputs: impl IntoIterator<Item = (T, O)>,
    ) -> Self {
        let name = name.into();
        let selectors = outputs.into_iter().map(|(task, output)| ParameterSelector {
            producer_subtask: task.into(),
            output_parameter_key: output.into(),
            ..ParameterSelector::default()
        });
        self.parameter_outputs.push((name.clone(), selectors.collect()));
        self.outputs.parameters.insert(name, ParameterSpec::new(parameter_type));
        self
    }

    /// Adds an output file, taken from an output of one of its tasks.
    pub fn output_artifact(
        self,
        name: impl Into<String>,
        schema_title: impl Into<String>,
        task: impl Into<String>,
        output: impl Into<String>,
    ) -> Self {
        self.output_artifact_one_of(name, schema_title, [(task, output)])
    }

    /// Adds an output file, taken from the one of these outputs of tasks that is there.
    pub fn output_artifact_one_of<T: Into<String>, O: Into<String>>(
        mut self,
        name: impl Into<String>,
        schema_title: impl Into<String>,
        outputs: impl IntoIterator<Item = (T, O)>,
    ) -> Self {
        let name = name.into();
        let selectors = outputs.into_iter().map(|(task, output)| ArtifactSelector {
            producer_subtask: task.into(),
            output_artifact_key: output.into(),
            ..ArtifactSelector::default()
        });
        self.artifact_outputs.push((name.clone(), selectors.collect()));
        self.outputs.artifacts.insert(name, ArtifactSpec::new(schema_title));
        self
    }

    /// Adds a task.
    pub fn task(mut self, task: TaskBuilder) -> Self {
        self.tasks.push(task);
        self
    }
}
