//! Tasks of a graph, before they become entries of a document.

use serde_json::Value;

use super::{
    component::ContainerComponent,
    dag::DagBuilder,
    document::PipelineDocument,
    importer::ImporterComponent,
    pvc::{self, CreatePvc},
    source::{ArtifactSource, ParameterSource},
    spec::{
        ArtifactIterator, CachingOptions, IteratorItems, IteratorPolicy, ParameterIterator, ParameterSpec,
        ParameterType, RetryPolicy, TriggerStrategy,
    },
};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Work {
    Container(Box<ContainerComponent>),
    Importer(Box<ImporterComponent>),
    Dag(Box<DagBuilder>),
    Document(Box<PipelineDocument>),
}

/// A task of a graph: a container, an importer or a sub-graph, with its inputs bound, and when it runs.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct TaskBuilder {
    pub(crate) key: String,
    pub(crate) name: Option<String>,
    pub(crate) work: Work,
    pub(crate) parameters: Vec<(String, ParameterSource)>,
    pub(crate) artifacts: Vec<(String, ArtifactSource)>,
    pub(crate) after: Vec<String>,
    pub(crate) condition: String,
    pub(crate) strategy: Option<TriggerStrategy>,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) caching: Option<CachingOptions>,
    pub(crate) parameter_iterator: Option<ParameterIterator>,
    pub(crate) artifact_iterator: Option<ArtifactIterator>,
    pub(crate) iterator_policy: Option<IteratorPolicy>,
}

impl TaskBuilder {
    /// A task of this key that runs a container. The key is its identity in the graph.
    ///
    /// An earlier result may be used unless [`caching`](Self::caching) is switched off.
    pub fn new(key: impl Into<String>, component: ContainerComponent) -> Self {
        Self::of(key, Work::Container(Box::new(component))).caching(true)
    }

    /// A task of this key that stands for a graph of its own.
    ///
    /// Inside it, only its own tasks and inputs can be named; what it needs from outside is bound here. A choice
    /// between graphs is one too: see [`Branches`](super::Branches).
    pub fn sub_dag(key: impl Into<String>, dag: impl Into<DagBuilder>) -> Self {
        Self::of(key, Work::Dag(Box::new(dag.into())))
    }

    /// A task of this key that stands for a pipeline, or for a component that was compiled to a file of its own, with
    /// its settings for Kubernetes.
    ///
    /// Its parameters are inputs of the task. Its name, and its settings as a whole, such as a workspace, have no
    /// meaning here.
    pub fn pipeline(key: impl Into<String>, document: PipelineDocument) -> Self {
        Self::of(key, Work::Document(Box::new(document)))
    }

    /// A task of this key that takes a file that is there already. Its output is named `artifact`.
    pub fn importer(key: impl Into<String>, importer: ImporterComponent) -> Self {
        let uri = importer.uri.clone();
        Self::of(key, Work::Importer(Box::new(importer)))
            .caching(true)
            .input("uri", uri)
    }

    /// A task of this key that makes a volume claim. Its output `name` is the claim's name.
    pub fn create_pvc(key: impl Into<String>, claim: CreatePvc) -> Self {
        let mut task = Self::new(key, pvc::create_component());
        task.parameters = claim.inputs;
        // A claim that was deleted is not there again because it had been made before.
        task.caching(false)
    }

    /// A task of this key that removes a volume claim.
    pub fn delete_pvc(key: impl Into<String>, claim: impl Into<ParameterSource>) -> Self {
        Self::new(key, pvc::delete_component())
            .input("pvc_name", claim)
            .caching(false)
    }

    fn of(key: impl Into<String>, work: Work) -> Self {
        Self {
            name: None,
            key: key.into(),
            work,
            parameters: Vec::new(),
            artifacts: Vec::new(),
            after: Vec::new(),
            condition: String::new(),
            strategy: None,
            retry: None,
            caching: None,
            parameter_iterator: None,
            artifact_iterator: None,
            iterator_policy: None,
        }
    }

    /// Name to show; the key if not set.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Binds an input value: to a constant, which may be given as it is, or to what a [`ParameterSource`] names.
    pub fn input(mut self, name: impl Into<String>, source: impl Into<ParameterSource>) -> Self {
        self.parameters.push((name.into(), source.into()));
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
        self.strategy = Some(TriggerStrategy::AllUpstreamTasksCompleted);
        self
    }

    /// Runs also if tasks before it have failed; what it takes from them must have defaults.
    ///
    /// The same as [`exit`](Self::exit), under the name that the official compiler has for a task in the middle.
    pub fn ignore_upstream_failure(self) -> Self {
        self.exit()
    }

    /// Is tried again when it fails.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Whether an earlier result may be used; it may unless switched off.
    pub fn caching(mut self, enabled: bool) -> Self {
        self.caching.get_or_insert_default().enable_cache = enabled;
        self
    }

    /// Key under which an earlier result is found, instead of one computed from the task.
    pub fn cache_key(mut self, key: impl Into<String>) -> Self {
        let caching = self.caching.get_or_insert_default();
        caching.enable_cache = true;
        caching.cache_key = key.into();
        self
    }

    /// Runs once for each of these values, given to `input`. Only for sub-graphs.
    ///
    /// Each output of the sub-graph becomes the list of the rounds' outputs.
    pub fn for_each(self, input: impl Into<String>, values: &[Value]) -> Self {
        let items = IteratorItems {
            raw: Value::from(values).to_string(),
            ..IteratorItems::default()
        };
        self.iterate(input.into(), items)
    }

    /// Runs once for each value of a list, given to `input`: of a parameter, or of an output of another task. Only for
    /// sub-graphs, as [`for_each`](Self::for_each).
    pub fn for_each_in(mut self, input: impl Into<String>, list: impl Into<ParameterSource>) -> Self {
        let input = input.into();
        let name = format!("{input}-list");
        if let Work::Dag(dag) = &mut self.work {
            let list = ParameterSpec::new(ParameterType::List);
            dag.inputs.parameters.entry(name.clone()).or_insert(list);
        }
        let items = IteratorItems {
            input_parameter: name.clone(),
            ..IteratorItems::default()
        };
        self.input(name, list).iterate(input, items)
    }

    fn iterate(mut self, item_input: String, items: IteratorItems) -> Self {
        self.parameter_iterator = Some(ParameterIterator {
            items,
            item_input,
            ..ParameterIterator::default()
        });
        self
    }

    /// Runs once for each file of a list, given to `input`. Only for sub-graphs, as [`for_each`](Self::for_each).
    pub fn for_each_artifact_in(mut self, input: impl Into<String>, list: ArtifactSource) -> Self {
        let input = input.into();
        let name = format!("{input}-list");
        if let Work::Dag(dag) = &mut self.work
            && let Some(item) = dag.inputs.artifacts.get(&input)
        {
            let mut list = item.clone();
            list.is_artifact_list = true;
            dag.inputs.artifacts.entry(name.clone()).or_insert(list);
        }
        self.artifact_iterator = Some(ArtifactIterator {
            items: IteratorItems {
                input_artifact: name.clone(),
                ..IteratorItems::default()
            },
            item_input: input,
            ..ArtifactIterator::default()
        });
        self.artifact(name, list)
    }

    /// How many rounds of a loop run at once; all of them if not set.
    pub fn parallelism(mut self, limit: u32) -> Self {
        self.iterator_policy = Some(IteratorPolicy {
            parallelism_limit: limit,
            ..IteratorPolicy::default()
        });
        self
    }

    /// Whether it is a loop.
    pub(crate) fn iterates(&self) -> bool {
        self.parameter_iterator.is_some() || self.artifact_iterator.is_some()
    }

    /// Gives the inputs of the graph it is in other names.
    pub(crate) fn rename_inputs(&mut self, rename: &impl Fn(&str) -> String) {
        for (_, source) in &mut self.parameters {
            source.rename_inputs(rename);
        }
        for (_, source) in &mut self.artifacts {
            if let ArtifactSource::Input(name) = source {
                *name = rename(name);
            }
        }
        if let Work::Container(container) = &mut self.work {
            container.kubernetes.rename_inputs(rename);
        }
    }
}
