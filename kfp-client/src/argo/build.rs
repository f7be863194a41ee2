//! Making workflows.

use serde_json::{Value, json};

use super::{
    API_VERSION, Error, KIND,
    container::Container,
    dag::{Dag, DagTask},
    values::{Arguments, Artifact, IntOrText, Parameter, ValueFrom},
    workflow::{ClaimVolume, Metadata, RetryStrategy, SecretVolume, Template, Volume, Workflow, WorkflowSpec},
};

/// Describes the pipeline to the UI.
const PIPELINE_SPEC: &str = "pipelines.kubeflow.org/pipeline_spec";
/// Whether the results of a step may be taken from an earlier execution.
const ENABLE_CACHING: &str = "pipelines.kubeflow.org/enable_caching";
/// How old such an execution may be; `P0D` for never.
const MAX_CACHE_STALENESS: &str = "pipelines.kubeflow.org/max_cache_staleness";

/// Makes a [`Workflow`]; faults are reported by [`build`](Self::build).
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct WorkflowBuilder {
    generate_name: String,
    description: String,
    metadata: Metadata,
    spec: WorkflowSpec,
}

impl WorkflowBuilder {
    /// A workflow whose name begins with `generate_name`, to which the cluster adds the rest: lower-case letters,
    /// digits and `-`, e.g. `train-`.
    pub fn new(generate_name: impl Into<String>) -> Self {
        Self {
            generate_name: generate_name.into(),
            ..Self::default()
        }
    }

    /// Describes the pipeline to the users of the UI.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Adds a parameter that runs may set, `{{workflow.parameters.NAME}}` within. Without a default every run must.
    pub fn parameter(mut self, name: impl Into<String>, default: Option<&str>) -> Self {
        let mut parameter = Parameter::new(name);
        parameter.value = default.map(|text| Value::String(text.to_owned()));
        let arguments = self.spec.arguments.get_or_insert_default();
        arguments.parameters.push(parameter);
        self
    }

    /// Adds a template.
    pub fn template(mut self, template: Template) -> Self {
        self.spec.templates.push(template);
        self
    }

    /// Adds the template that the workflow begins with.
    pub fn entrypoint(mut self, template: Template) -> Self {
        self.spec.entrypoint.clone_from(&template.name);
        self.template(template)
    }

    /// Adds the template that is run at the end, however the workflow ends; `{{workflow.status}}` within says how.
    pub fn on_exit(mut self, template: Template) -> Self {
        self.spec.on_exit.clone_from(&template.name);
        self.template(template)
    }

    /// Adds a volume that all templates may mount.
    pub fn volume(mut self, volume: Volume) -> Self {
        self.spec.volumes.push(volume);
        self
    }

    /// Kubernetes service account of its pods. That of the run goes first.
    pub fn service_account(mut self, name: impl Into<String>) -> Self {
        self.spec.service_account_name = name.into();
        self
    }

    /// Seconds after which the workflow is ended: at least 1.
    pub fn deadline(mut self, seconds: i64) -> Self {
        self.spec.active_deadline_seconds = Some(IntOrText::Int(seconds));
        self
    }

    /// How many pods may be in progress at once.
    pub fn parallelism(mut self, pods: u64) -> Self {
        self.spec.parallelism = Some(pods);
        self
    }

    /// Adds a label of the workflow.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.labels.insert(key.into(), value.into());
        self
    }

    /// Adds an annotation of the workflow.
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.annotations.insert(key.into(), value.into());
        self
    }

    /// Makes the workflow and [validates](Workflow::validate) it.
    ///
    /// # Errors
    ///
    /// The first fault, with its path.
    pub fn build(mut self) -> Result<Workflow, Error> {
        let description = self.describe();
        let annotations = &mut self.metadata.annotations;
        annotations.entry(PIPELINE_SPEC.to_owned()).or_insert(description);
        self.metadata.generate_name = self.generate_name;
        let workflow = Workflow {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            metadata: self.metadata,
            spec: self.spec,
            ..Workflow::default()
        };
        if workflow.is_terminated() {
            return Err(Error::new("spec.activeDeadlineSeconds", "at least 1"));
        }
        workflow.validate()?;
        Ok(workflow)
    }

    fn describe(&self) -> String {
        let parameters = self.spec.arguments.iter().flat_map(|arguments| &arguments.parameters);
        let inputs: Vec<Value> = parameters
            .map(|parameter| match &parameter.value {
                Some(value) => json!({"name": parameter.name, "default": value, "optional": true}),
                None => json!({ "name": parameter.name }),
            })
            .collect();
        let name = self.generate_name.trim_end_matches('-');
        let mut spec = json!({"name": name, "inputs": inputs});
        if let (false, Some(spec)) = (self.description.is_empty(), spec.as_object_mut()) {
            spec.insert("description".to_owned(), self.description.clone().into());
        }
        spec.to_string()
    }
}

impl Template {
    fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// A container.
    pub fn container(name: impl Into<String>, container: Container) -> Self {
        Self {
            container: Some(container),
            ..Self::named(name)
        }
    }

    /// A graph of tasks.
    pub fn dag(name: impl Into<String>, tasks: impl IntoIterator<Item = DagTask>) -> Self {
        Self {
            dag: Some(Dag {
                tasks: tasks.into_iter().collect(),
                ..Dag::default()
            }),
            ..Self::named(name)
        }
    }

    /// Adds a parameter that must be given, `{{inputs.parameters.NAME}}` within.
    #[must_use]
    pub fn input(mut self, name: impl Into<String>) -> Self {
        let inputs = self.inputs.get_or_insert_default();
        inputs.parameters.push(Parameter::new(name));
        self
    }

    /// Adds a parameter that has a default.
    #[must_use]
    pub fn input_or(mut self, name: impl Into<String>, default: impl Into<String>) -> Self {
        let mut parameter = Parameter::new(name);
        parameter.default = Some(Value::String(default.into()));
        let inputs = self.inputs.get_or_insert_default();
        inputs.parameters.push(parameter);
        self
    }

    /// Adds an artifact that must be given, and where the container finds it.
    #[must_use]
    pub fn input_artifact(mut self, name: impl Into<String>, path: impl Into<String>) -> Self {
        self.inputs.get_or_insert_default().artifacts.push(artifact(name, path));
        self
    }

    /// Adds a parameter that the container leaves in a file.
    #[must_use]
    pub fn output(self, name: impl Into<String>, path: impl Into<String>) -> Self {
        let value_from = ValueFrom {
            path: path.into(),
            ..ValueFrom::default()
        };
        self.with_output(name, value_from)
    }

    /// Adds a parameter of a graph, taken from a task: `{{tasks.TASK.outputs.parameters.NAME}}`.
    #[must_use]
    pub fn output_from(self, name: impl Into<String>, parameter: impl Into<String>) -> Self {
        let value_from = ValueFrom {
            parameter: parameter.into(),
            ..ValueFrom::default()
        };
        self.with_output(name, value_from)
    }

    fn with_output(mut self, name: impl Into<String>, value_from: ValueFrom) -> Self {
        let mut parameter = Parameter::new(name);
        parameter.value_from = Some(value_from);
        let outputs: &mut Arguments = self.outputs.get_or_insert_default();
        outputs.parameters.push(parameter);
        self
    }

    /// Adds an artifact that the container leaves in a file or folder.
    #[must_use]
    pub fn output_artifact(mut self, name: impl Into<String>, path: impl Into<String>) -> Self {
        self.outputs
            .get_or_insert_default()
            .artifacts
            .push(artifact(name, path));
        self
    }

    /// Tries it again so often when it fails.
    #[must_use]
    pub fn retries(self, limit: u32) -> Self {
        self.retry(RetryStrategy {
            limit: Some(IntOrText::Int(limit.into())),
            ..RetryStrategy::default()
        })
    }

    /// What happens when it fails.
    #[must_use]
    pub fn retry(mut self, strategy: RetryStrategy) -> Self {
        self.retry_strategy = Some(strategy);
        self
    }

    /// Seconds after which it is ended: at least 1.
    #[must_use]
    pub fn deadline(mut self, seconds: i64) -> Self {
        self.active_deadline_seconds = Some(IntOrText::Int(seconds));
        self
    }

    /// Whether its results may be taken from an earlier execution.
    #[must_use]
    pub fn caching(mut self, enabled: bool) -> Self {
        let metadata = self.metadata.get_or_insert_default();
        let text = if enabled { "true" } else { "false" };
        metadata.labels.insert(ENABLE_CACHING.to_owned(), text.to_owned());
        if enabled {
            metadata.annotations.remove(MAX_CACHE_STALENESS);
        } else {
            metadata
                .annotations
                .insert(MAX_CACHE_STALENESS.to_owned(), "P0D".to_owned());
        }
        self
    }

    /// Adds a label of its pod.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let metadata = self.metadata.get_or_insert_default();
        metadata.labels.insert(key.into(), value.into());
        self
    }

    /// Adds an annotation of its pod.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let metadata = self.metadata.get_or_insert_default();
        metadata.annotations.insert(key.into(), value.into());
        self
    }

    /// Adds a volume.
    #[must_use]
    pub fn volume(mut self, volume: Volume) -> Self {
        self.volumes.push(volume);
        self
    }

    /// Adds a label that its node must have.
    #[must_use]
    pub fn node_selector(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.node_selector.insert(key.into(), value.into());
        self
    }
}

fn artifact(name: impl Into<String>, path: impl Into<String>) -> Artifact {
    Artifact {
        name: name.into(),
        path: path.into(),
        ..Artifact::default()
    }
}

impl Volume {
    fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// A persistent volume claim.
    pub fn claim(name: impl Into<String>, claim_name: impl Into<String>) -> Self {
        let claim = ClaimVolume {
            claim_name: claim_name.into(),
            ..ClaimVolume::default()
        };
        Self {
            persistent_volume_claim: Some(claim),
            ..Self::named(name)
        }
    }

    /// A secret as files.
    pub fn secret(name: impl Into<String>, secret_name: impl Into<String>) -> Self {
        let secret = SecretVolume {
            secret_name: secret_name.into(),
            ..SecretVolume::default()
        };
        Self {
            secret: Some(secret),
            ..Self::named(name)
        }
    }

    /// An empty folder that lives as long as the pod.
    pub fn empty_dir(name: impl Into<String>) -> Self {
        Self {
            empty_dir: Some(json!({})),
            ..Self::named(name)
        }
    }
}
