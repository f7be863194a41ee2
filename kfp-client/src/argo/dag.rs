//! Graphs of tasks.

use serde_json::Value;

use super::values::{Arguments, Artifact, Parameter};
use crate::message::message;

message! {
    /// A graph of tasks.
    pub struct Dag {
        /// The tasks, in any order.
        tasks: Vec<DagTask>,
        /// Tasks that end the graph, by name; all that nothing depends on if empty.
        target: String,
        /// Whether the failure of one task keeps others from starting; so it is unless it says no.
        #[serde(rename = "failFast")]
        fail_fast: Option<bool>,
    }
}

message! {
    /// One use of a template in a graph.
    pub struct DagTask {
        /// Name, unique in the graph: letters, digits, `-` and `_`.
        name: String,
        /// The template.
        template: String,
        /// What goes in.
        arguments: Option<Arguments>,
        /// Tasks that must have ended well before.
        dependencies: Vec<String>,
        /// The same as an expression, e.g. `a && (b.Failed || c)`; instead of `dependencies`.
        depends: String,
        /// Condition under which it is run, e.g. `{{inputs.parameters.score}} > 0.8`.
        when: String,
        /// Runs it once for each item, with `{{item}}` or `{{item.KEY}}` standing for it.
        #[serde(rename = "withItems")]
        with_items: Option<Vec<Value>>,
        /// The same for a JSON list, which may come from another task.
        #[serde(rename = "withParam")]
        with_param: String,
        /// The same for numbers in order.
        #[serde(rename = "withSequence")]
        with_sequence: Option<Value>,
        /// Whether the graph goes on although it failed.
        #[serde(rename = "continueOn")]
        continue_on: Option<ContinueOn>,
        /// Template that is run when it has ended, however.
        #[serde(rename = "onExit")]
        on_exit: String,
    }
}

message! {
    /// What does not end a graph.
    pub struct ContinueOn {
        /// An error.
        error: bool,
        /// A failure.
        failed: bool,
    }
}

impl DagTask {
    /// Runs this template.
    pub fn new(name: impl Into<String>, template: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            template: template.into(),
            ..Self::default()
        }
    }

    /// Value of an input, which may hold placeholders: `{{inputs.parameters.NAME}}`,
    /// `{{tasks.TASK.outputs.parameters.NAME}}`, `{{workflow.parameters.NAME}}`, `{{item}}`.
    #[must_use]
    pub fn argument(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let arguments = self.arguments.get_or_insert_default();
        arguments.parameters.push(Parameter::new(name).value(value));
        self
    }

    /// An artifact that goes in: the output of a task, e.g. `{{tasks.TASK.outputs.artifacts.NAME}}`.
    #[must_use]
    pub fn artifact(mut self, name: impl Into<String>, from: impl Into<String>) -> Self {
        let arguments = self.arguments.get_or_insert_default();
        arguments.artifacts.push(Artifact {
            name: name.into(),
            from: from.into(),
            ..Artifact::default()
        });
        self
    }

    /// Starts after this task has ended well.
    #[must_use]
    pub fn after(mut self, task: impl Into<String>) -> Self {
        self.dependencies.push(task.into());
        self
    }

    /// Condition under which it is run, e.g. `'{{inputs.parameters.deploy}}' == 'true'`.
    #[must_use]
    pub fn when(mut self, condition: impl Into<String>) -> Self {
        self.when = condition.into();
        self
    }

    /// Runs it once for each item, with `{{item}}` standing for it.
    #[must_use]
    pub fn with_items(mut self, items: impl IntoIterator<Item = impl Into<Value>>) -> Self {
        self.with_items = Some(items.into_iter().map(Into::into).collect());
        self
    }

    /// Runs it once for each item of a JSON list, e.g. `{{tasks.TASK.outputs.parameters.NAME}}`.
    #[must_use]
    pub fn with_param(mut self, list: impl Into<String>) -> Self {
        self.with_param = list.into();
        self
    }
}
