//! Where the inputs of tasks come from.

use serde_json::Value;

use super::spec::{ArtifactInput, ParameterInput, TaskFinalStatus, TaskOutputArtifact, TaskOutputParameter};

/// Where a task's input value comes from.
///
/// Texts, numbers, booleans and JSON values turn into constants by themselves.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ParameterSource {
    /// A constant.
    Constant(Value),
    /// An input of the graph: a parameter of the pipeline, or an input of the sub-graph the task is in.
    Input(String),
    /// An output of another task of the same graph.
    Output {
        /// Key of the task.
        task: String,
        /// Name of the output.
        output: String,
    },
    /// How another task ended, as JSON; for exit tasks.
    FinalStatus {
        /// Key of the task.
        task: String,
    },
    /// A part of another value.
    Part {
        /// The whole.
        of: Box<Self>,
        /// CEL expression that picks it: `parseJson(string_value)["name"]`.
        expression: String,
    },
}

impl ParameterSource {
    /// A constant.
    pub fn constant(value: impl Into<Value>) -> Self {
        Self::Constant(value.into())
    }

    /// A parameter of the pipeline, or an input of the sub-graph the task is in.
    pub fn input(name: impl Into<String>) -> Self {
        Self::Input(name.into())
    }

    /// An output of another task of the same graph.
    pub fn output(task: impl Into<String>, output: impl Into<String>) -> Self {
        Self::Output {
            task: task.into(),
            output: output.into(),
        }
    }

    /// How another task ended.
    pub fn final_status(task: impl Into<String>) -> Self {
        Self::FinalStatus { task: task.into() }
    }

    /// The run's own id, known only when it runs.
    pub fn run_id() -> Self {
        Self::constant("{{$.pipeline_job_uuid}}")
    }

    /// The member of this name, of a value that is an object: of the items of a loop, for instance.
    #[must_use]
    pub fn member(self, name: &str) -> Self {
        self.part(&format!("[{}]", Value::from(name)))
    }

    /// The element at this place, from 0, of a value that is a list.
    #[must_use]
    pub fn element(self, index: usize) -> Self {
        self.part(&format!("[{index}]"))
    }

    fn part(self, step: &str) -> Self {
        match self {
            Self::Part { of, expression } => Self::Part {
                of,
                expression: expression + step,
            },
            whole => Self::Part {
                of: Box::new(whole),
                expression: format!("parseJson(string_value){step}"),
            },
        }
    }

    /// The task this makes its owner wait for.
    pub(crate) fn producer(&self) -> Option<&str> {
        match self {
            Self::Output { task, .. } | Self::FinalStatus { task } => Some(task),
            Self::Part { of, .. } => of.producer(),
            Self::Constant(_) | Self::Input(_) => None,
        }
    }

    /// The constant, if it is a text.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Constant(value) => value.as_str(),
            _ => None,
        }
    }

    pub(crate) fn rename_inputs(&mut self, rename: &impl Fn(&str) -> String) {
        match self {
            Self::Input(name) => *name = rename(name),
            Self::Part { of, .. } => of.rename_inputs(rename),
            Self::Constant(_) | Self::Output { .. } | Self::FinalStatus { .. } => {}
        }
    }

    pub(crate) fn into_input(self) -> ParameterInput {
        match self {
            Self::Constant(value) => ParameterInput::constant(value),
            Self::Input(name) => ParameterInput {
                component_input_parameter: Some(name),
                ..ParameterInput::default()
            },
            Self::Output { task, output } => ParameterInput {
                task_output_parameter: Some(TaskOutputParameter {
                    producer_task: task,
                    output_parameter_key: output,
                    ..TaskOutputParameter::default()
                }),
                ..ParameterInput::default()
            },
            Self::FinalStatus { task } => ParameterInput {
                task_final_status: Some(TaskFinalStatus {
                    producer_task: task,
                    ..TaskFinalStatus::default()
                }),
                ..ParameterInput::default()
            },
            Self::Part { of, expression } => ParameterInput {
                parameter_expression_selector: expression,
                ..of.into_input()
            },
        }
    }
}

macro_rules! constants {
    ($($type:ty),*) => {
        $(impl From<$type> for ParameterSource {
            fn from(value: $type) -> Self {
                Self::Constant(value.into())
            }
        })*
    };
}

constants!(Value, &str, String, bool, i32, i64, u32, f64);

/// Where a task's input file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArtifactSource {
    /// An input of the sub-graph the task is in.
    Input(String),
    /// An output of another task of the same graph.
    Output {
        /// Key of the task.
        task: String,
        /// Name of the output.
        output: String,
    },
}

impl ArtifactSource {
    /// An input of the sub-graph the task is in.
    pub fn input(name: impl Into<String>) -> Self {
        Self::Input(name.into())
    }

    /// An output of another task of the same graph.
    pub fn output(task: impl Into<String>, output: impl Into<String>) -> Self {
        Self::Output {
            task: task.into(),
            output: output.into(),
        }
    }

    pub(crate) fn producer(&self) -> Option<&str> {
        match self {
            Self::Output { task, .. } => Some(task),
            Self::Input(_) => None,
        }
    }

    pub(crate) fn into_input(self) -> ArtifactInput {
        match self {
            Self::Input(name) => ArtifactInput {
                component_input_artifact: Some(name),
                ..ArtifactInput::default()
            },
            Self::Output { task, output } => ArtifactInput {
                task_output_artifact: Some(TaskOutputArtifact {
                    producer_task: task,
                    output_artifact_key: output,
                    ..TaskOutputArtifact::default()
                }),
                ..ArtifactInput::default()
            },
        }
    }
}
