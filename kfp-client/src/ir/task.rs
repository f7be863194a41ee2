//! Tasks of a graph, before they become entries of a document.

use serde_json::Value;

use super::{
    build::DagBuilder,
    component::ContainerComponent,
    spec::{
        ArtifactInput, CachingOptions, IteratorItems, ParameterInput, ParameterIterator, RetryPolicy, TaskFinalStatus,
        TaskOutputArtifact, TaskOutputParameter,
    },
};

/// Where a task's input value comes from.
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

    /// The task this makes its owner wait for.
    pub(crate) fn producer(&self) -> Option<&str> {
        match self {
            Self::Output { task, .. } | Self::FinalStatus { task } => Some(task),
            Self::Constant(_) | Self::Input(_) => None,
        }
    }

    pub(crate) fn to_input(&self) -> ParameterInput {
        match self.clone() {
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
        }
    }
}

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

    pub(crate) fn to_input(&self) -> ArtifactInput {
        match self.clone() {
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

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Work {
    Container(Box<ContainerComponent>),
    Dag(Box<DagBuilder>),
}

/// A task of a graph: a container or a sub-graph, with its inputs bound, and when it runs.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct TaskBuilder {
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) work: Work,
    pub(crate) parameters: Vec<(String, ParameterSource)>,
    pub(crate) artifacts: Vec<(String, ArtifactSource)>,
    pub(crate) after: Vec<String>,
    pub(crate) condition: String,
    pub(crate) exit: bool,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) caching: CachingOptions,
    pub(crate) iterator: Option<ParameterIterator>,
}

impl TaskBuilder {
    /// A task of this key that runs a container. The key is its identity in the graph.
    ///
    /// An earlier result may be used unless [`caching`](Self::caching) is switched off.
    pub fn new(key: impl Into<String>, component: ContainerComponent) -> Self {
        Self::of(key.into(), Work::Container(Box::new(component)))
    }

    /// A task of this key that stands for a graph of its own.
    ///
    /// Inside it, only its own tasks and inputs can be named; what it needs from outside is bound here.
    pub fn sub_dag(key: impl Into<String>, dag: DagBuilder) -> Self {
        Self::of(key.into(), Work::Dag(Box::new(dag)))
    }

    fn of(key: String, work: Work) -> Self {
        Self {
            name: key.clone(),
            key,
            work,
            parameters: Vec::new(),
            artifacts: Vec::new(),
            after: Vec::new(),
            condition: String::new(),
            exit: false,
            retry: None,
            caching: CachingOptions {
                enable_cache: true,
                ..CachingOptions::default()
            },
            iterator: None,
        }
    }

    /// Name to show; the key if not set.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Binds an input value.
    pub fn input(mut self, name: impl Into<String>, source: ParameterSource) -> Self {
        self.parameters.push((name.into(), source));
        self
    }

    /// Binds an input value to an output of another task.
    pub fn input_from(self, name: impl Into<String>, task: impl Into<String>, output: impl Into<String>) -> Self {
        self.input(name, ParameterSource::output(task, output))
    }

    /// Binds an input file.
    pub fn artifact(mut self, name: impl Into<String>, source: ArtifactSource) -> Self {
        self.artifacts.push((name.into(), source));
        self
    }

    /// Binds an input file to an output of another task.
    pub fn artifact_from(self, name: impl Into<String>, task: impl Into<String>, output: impl Into<String>) -> Self {
        self.artifact(name, ArtifactSource::output(task, output))
    }

    /// Runs after this task. Tasks it gets data from come before it anyway.
    pub fn after(mut self, task: impl Into<String>) -> Self {
        self.after.push(task.into());
        self
    }

    /// Runs only if this CEL expression over its inputs is true: `inputs.parameter_values['score'] >= 0.8`.
    pub fn condition(mut self, expression: impl Into<String>) -> Self {
        self.condition = expression.into();
        self
    }

    /// Runs when the tasks before it have ended, however they ended.
    pub fn exit(mut self) -> Self {
        self.exit = true;
        self
    }

    /// Is tried again when it fails.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Whether an earlier result may be used; it may unless switched off.
    pub fn caching(mut self, enabled: bool) -> Self {
        self.caching.enable_cache = enabled;
        self
    }

    /// Runs once for each of these values, given to `input`. Only for sub-graphs.
    pub fn for_each(mut self, input: impl Into<String>, values: &[Value]) -> Self {
        let items = IteratorItems {
            raw: Value::from(values).to_string(),
            ..IteratorItems::default()
        };
        self.iterator = Some(ParameterIterator {
            items,
            item_input: input.into(),
            ..ParameterIterator::default()
        });
        self
    }
}
