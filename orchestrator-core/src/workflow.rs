//! The neutral workflow: a graph of steps that any engine can run.
//!
//! A workflow says what is to be run, never how an engine runs it. Steps are containers: an image, a command line,
//! an environment. They hand each other *artifacts*, which are directories; an engine gives a step the path of its
//! inputs and outputs through [`Word::Input`] and [`Word::Output`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::Capability;

/// Name of a step, unique in its workflow: 1 to 50 lower-case letters, digits and `-`, beginning with a letter.
///
/// The limits are those that every engine's naming rules have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepName(String);

impl StepName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`WorkflowError::Name`] with what is allowed.
    pub fn new(name: impl Into<String>) -> Result<Self, WorkflowError> {
        let name = name.into();
        if is_name(&name) {
            Ok(Self(name))
        } else {
            Err(WorkflowError::Name { name })
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= 50
        && !name.ends_with('-')
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// An output artifact of a step: the directory `output` that `step` wrote.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutputRef {
    /// The step that writes it.
    pub step: StepName,
    /// The output's name, by the same rules as [`StepName`].
    pub output: String,
}

/// One word of a command line. What is not [`Word::Text`] is put in by the engine when the step starts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Word {
    /// This text, exactly; engines escape what they would otherwise interpret.
    Text(String),
    /// The value of a workflow parameter.
    Parameter(String),
    /// Path of the directory that another step wrote.
    Input(OutputRef),
    /// Path of the directory that this step is to write. The step creates it if it is not there.
    Output(String),
    /// Final state of the steps before; only in the exit step. The text depends on the engine: `Succeeded`,
    /// `Failed`, or a JSON object with the key `state`.
    FinalStatus,
}

impl<T: Into<String>> From<T> for Word {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

/// A key of a secret that the engine's platform keeps. The orchestrator never sees the value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretRef {
    /// Name of the secret, in the namespace of the run.
    pub name: String,
    /// Key inside the secret.
    pub key: String,
}

/// Value of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnvValue {
    /// This text.
    Text(String),
    /// The value of a key of a secret.
    Secret(SecretRef),
}

impl<T: Into<String>> From<T> for EnvValue {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

/// A volume that the platform already has, mounted into a step.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Volume {
    /// Name of the volume claim in the run's namespace.
    pub claim: String,
    /// Absolute path at which the step sees it.
    pub mount_path: String,
}

impl Volume {
    /// The volume `claim` at `mount_path`.
    pub fn new(claim: impl Into<String>, mount_path: impl Into<String>) -> Self {
        Self {
            claim: claim.into(),
            mount_path: mount_path.into(),
        }
    }
}

/// What a step may use, in the notation of Kubernetes quantities (`500m`, `2`, `4Gi`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resources {
    /// Processor time that is reserved.
    pub cpu_request: Option<String>,
    /// Processor time that is the limit.
    pub cpu_limit: Option<String>,
    /// Memory that is reserved.
    pub memory_request: Option<String>,
    /// Memory that is the limit.
    pub memory_limit: Option<String>,
    /// Accelerators: resource name (`nvidia.com/gpu`) and count.
    pub accelerator: Option<(String, u32)>,
}

/// Compares a workflow parameter with a text; a step with a condition is skipped when it does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// The parameter is this text.
    Equals {
        /// Name of a workflow parameter.
        parameter: String,
        /// What it must be.
        value: String,
    },
    /// The parameter is not this text.
    NotEquals {
        /// Name of a workflow parameter.
        parameter: String,
        /// What it must not be.
        value: String,
    },
}

impl Condition {
    pub(crate) fn parameter(&self) -> &str {
        match self {
            Self::Equals { parameter, .. } | Self::NotEquals { parameter, .. } => parameter,
        }
    }

    #[cfg(feature = "local")]
    pub(crate) fn holds(&self, parameters: &BTreeMap<String, String>) -> bool {
        match self {
            Self::Equals { parameter, value } => parameters.get(parameter) == Some(value),
            Self::NotEquals { parameter, value } => parameters.get(parameter) != Some(value),
        }
    }
}

/// One step: a command in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// Its name.
    pub name: StepName,
    /// Container image. Engines that run processes of this machine ignore it.
    pub image: String,
    /// The program and its arguments; at least one word.
    pub command: Vec<Word>,
    /// Environment variables beside those of the platform.
    pub environment: BTreeMap<String, EnvValue>,
    /// Steps that must have succeeded before, beside those whose output this step takes.
    pub after: BTreeSet<StepName>,
    /// Names of the directories that this step writes.
    pub outputs: BTreeSet<String>,
    /// Runs only if this holds.
    pub condition: Option<Condition>,
    /// How often a failed step is started again; 0 is not at all.
    pub retries: u32,
    /// Longest time one attempt may take. The engine ends it as failed afterwards.
    pub timeout: Option<Duration>,
    /// What it may use.
    pub resources: Resources,
    /// Volumes it sees.
    pub volumes: Vec<Volume>,
}

impl Step {
    /// A step with a command; everything else is set by the methods below.
    ///
    /// # Errors
    /// [`WorkflowError::Name`] if the name is not allowed.
    pub fn new(
        name: impl Into<String>,
        image: impl Into<String>,
        command: impl IntoIterator<Item = Word>,
    ) -> Result<Self, WorkflowError> {
        Ok(Self {
            name: StepName::new(name)?,
            image: image.into(),
            command: command.into_iter().collect(),
            environment: BTreeMap::new(),
            after: BTreeSet::new(),
            outputs: BTreeSet::new(),
            condition: None,
            retries: 0,
            timeout: None,
            resources: Resources::default(),
            volumes: Vec::new(),
        })
    }

    /// Adds an output directory.
    #[must_use]
    pub fn output(mut self, name: impl Into<String>) -> Self {
        self.outputs.insert(name.into());
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<EnvValue>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Runs only after this step has succeeded.
    #[must_use]
    pub fn after(mut self, step: &StepName) -> Self {
        self.after.insert(step.clone());
        self
    }

    /// Starts a failed step again, up to `retries` times.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Ends an attempt that takes longer.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Mounts a volume.
    #[must_use]
    pub fn volume(mut self, volume: Volume) -> Self {
        self.volumes.push(volume);
        self
    }

    /// Runs only if the condition holds.
    #[must_use]
    pub fn when(mut self, condition: Condition) -> Self {
        self.condition = Some(condition);
        self
    }

    /// A reference to one of this step's outputs.
    pub fn output_ref(&self, output: impl Into<String>) -> OutputRef {
        OutputRef {
            step: self.name.clone(),
            output: output.into(),
        }
    }

    /// The artifacts of other steps that the command takes.
    pub fn inputs(&self) -> BTreeSet<&OutputRef> {
        self.command
            .iter()
            .filter_map(|word| match word {
                Word::Input(reference) => Some(reference),
                _ => None,
            })
            .collect()
    }

    /// Every step that must have ended before: those it takes artifacts of, and those named in `after`.
    pub fn predecessors(&self) -> BTreeSet<&StepName> {
        self.inputs()
            .into_iter()
            .map(|input| &input.step)
            .chain(&self.after)
            .collect()
    }
}

/// A graph of steps, with parameters and an optional exit step.
///
/// ```
/// use orchestrator_core::{Step, Word, Workflow};
///
/// let hello = Step::new("hello", "busybox", [Word::from("echo"), Word::Parameter("greeting".into())])?;
/// let workflow = Workflow::new("demo")?.parameter("greeting", "hi").step(hello);
/// assert_eq!(workflow.order()?.len(), 1);
/// # Ok::<(), orchestrator_core::WorkflowError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Workflow {
    /// Name of the kind of workflow, for instance `train`; by the rules of [`StepName`].
    pub name: String,
    /// Values known at submission, by name.
    pub parameters: BTreeMap<String, String>,
    /// The steps, in no particular order.
    pub steps: Vec<Step>,
    /// Runs when all other steps have ended, however they ended, unless the run was cancelled.
    pub exit_step: Option<Step>,
}

impl Workflow {
    /// An empty workflow.
    ///
    /// # Errors
    /// [`WorkflowError::Name`] if the name is not allowed.
    pub fn new(name: impl Into<String>) -> Result<Self, WorkflowError> {
        let name = name.into();
        if !is_name(&name) {
            return Err(WorkflowError::Name { name });
        }
        Ok(Self {
            name,
            parameters: BTreeMap::new(),
            steps: Vec::new(),
            exit_step: None,
        })
    }

    /// Sets a parameter.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.insert(name.into(), value.into());
        self
    }

    /// Adds a step.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Sets the exit step.
    #[must_use]
    pub fn exit_step(mut self, step: Step) -> Self {
        self.exit_step = Some(step);
        self
    }

    /// Checks the whole workflow and gives its steps in an order in which they can be run, without the exit step.
    /// Steps that do not depend on each other keep the order in which they were added.
    ///
    /// # Errors
    /// The first [`WorkflowError`] that is found.
    pub fn order(&self) -> Result<Vec<&Step>, WorkflowError> {
        if self.steps.is_empty() {
            return Err(WorkflowError::Empty);
        }
        let mut names = BTreeSet::new();
        for step in self.steps.iter().chain(&self.exit_step) {
            if !names.insert(&step.name) {
                return Err(WorkflowError::Twice {
                    step: step.name.clone(),
                });
            }
            self.check(step)?;
        }
        let mut done: BTreeSet<&StepName> = BTreeSet::new();
        let mut order: Vec<&Step> = Vec::with_capacity(self.steps.len());
        while order.len() < self.steps.len() {
            let ready = self
                .steps
                .iter()
                .find(|step| !done.contains(&step.name) && step.predecessors().is_subset(&done));
            let Some(step) = ready else {
                let stuck = self
                    .steps
                    .iter()
                    .map(|step| &step.name)
                    .filter(|name| !done.contains(name));
                return Err(WorkflowError::Cycle {
                    steps: stuck.cloned().collect(),
                });
            };
            done.insert(&step.name);
            order.push(step);
        }
        Ok(order)
    }

    /// What an engine must be able to do to run this workflow.
    pub fn required_capabilities(&self) -> BTreeSet<Capability> {
        let mut needed = BTreeSet::new();
        for step in self.steps.iter().chain(&self.exit_step) {
            if step
                .environment
                .values()
                .any(|value| matches!(value, EnvValue::Secret(_)))
            {
                needed.insert(Capability::Secrets);
            }
            if !step.volumes.is_empty() {
                needed.insert(Capability::Volumes);
            }
            if step.retries > 0 {
                needed.insert(Capability::Retries);
            }
            if step.timeout.is_some() {
                needed.insert(Capability::Timeouts);
            }
            if step.condition.is_some() {
                needed.insert(Capability::Conditions);
            }
            if step.resources != Resources::default() {
                needed.insert(Capability::Resources);
            }
        }
        if self.exit_step.is_some() {
            needed.insert(Capability::ExitStep);
        }
        needed
    }

    fn check(&self, step: &Step) -> Result<(), WorkflowError> {
        let is_exit = self.exit_step.as_ref().is_some_and(|exit| exit.name == step.name);
        if step.command.is_empty() {
            return Err(WorkflowError::NoCommand {
                step: step.name.clone(),
            });
        }
        for output in &step.outputs {
            if !is_name(output) {
                return Err(WorkflowError::Name { name: output.clone() });
            }
        }
        let dangling = |what: String| {
            Err(WorkflowError::Dangling {
                step: step.name.clone(),
                what,
            })
        };
        let parameters = step.command.iter().filter_map(|word| match word {
            Word::Parameter(name) => Some(name.as_str()),
            _ => None,
        });
        for name in parameters.chain(step.condition.as_ref().map(Condition::parameter)) {
            if !self.parameters.contains_key(name) {
                return dangling(format!("the parameter {name}"));
            }
        }
        for word in &step.command {
            match word {
                Word::Output(name) if !step.outputs.contains(name) => {
                    return dangling(format!("its own output {name}"));
                }
                Word::FinalStatus if !is_exit => {
                    return dangling("the final status, which only the exit step has".to_owned());
                }
                _ => {}
            }
        }
        if is_exit && !step.predecessors().is_empty() {
            return dangling("other steps, although it is the exit step, which runs even if they never did".to_owned());
        }
        for input in step.inputs() {
            let found = self
                .steps
                .iter()
                .any(|other| other.name == input.step && other.outputs.contains(&input.output));
            if !found {
                return dangling(format!("the output {} of {}", input.output, input.step));
            }
        }
        for name in &step.after {
            if !self.steps.iter().any(|other| &other.name == name) {
                return dangling(format!("the step {name}"));
            }
        }
        Ok(())
    }
}

/// A workflow that no engine could run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkflowError {
    /// A name of a workflow, step or output.
    #[error(
        "the name {name:?} is not allowed: use 1 to 50 lower-case letters, digits and '-', beginning with a letter and not ending in '-'"
    )]
    Name {
        /// The refused name.
        name: String,
    },
    /// No steps.
    #[error("the workflow has no steps")]
    Empty,
    /// Two steps of one name.
    #[error("two steps are called {step}")]
    Twice {
        /// The name.
        step: StepName,
    },
    /// A step without a command.
    #[error("the step {step} has no command")]
    NoCommand {
        /// The step.
        step: StepName,
    },
    /// A step refers to something that is not there.
    #[error("the step {step} refers to {what}, which is not there")]
    Dangling {
        /// The step.
        step: StepName,
        /// What it refers to.
        what: String,
    },
    /// Steps that wait for each other.
    #[error("these steps wait for each other: {}", list(steps))]
    Cycle {
        /// Those steps.
        steps: Vec<StepName>,
    },
}

fn list(names: &[StepName]) -> String {
    names.iter().map(StepName::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, words: impl IntoIterator<Item = Word>) -> Step {
        Step::new(name, "image", words).unwrap()
    }

    #[test]
    fn steps_run_after_what_they_take() {
        let make = step("make", ["make".into(), Word::Output("thing".into())]).output("thing");
        let take = step("take", ["take".into(), Word::Input(make.output_ref("thing"))]);
        let last = step("last", ["last".into()]).after(&take.name);
        let workflow = Workflow::new("w").unwrap().step(last).step(take).step(make);
        let order: Vec<_> = workflow.order().unwrap().iter().map(|s| s.name.to_string()).collect();
        assert_eq!(order, ["make", "take", "last"]);
    }

    #[test]
    fn broken_workflows_are_refused_with_the_reason() {
        let empty = Workflow::new("w").unwrap();
        assert_eq!(empty.order(), Err(WorkflowError::Empty));
        let a = step("a", ["x".into()]);
        assert!(matches!(
            empty.clone().step(a.clone()).step(a.clone()).order(),
            Err(WorkflowError::Twice { .. })
        ));
        let b = step("b", ["x".into()]).after(&a.name);
        assert!(matches!(
            empty.clone().step(a.clone().after(&b.name)).step(b.clone()).order(),
            Err(WorkflowError::Cycle { steps }) if steps.len() == 2
        ));
        for words in [
            vec![Word::Parameter("p".into())],
            vec![Word::Output("o".into())],
            vec![Word::Input(OutputRef {
                step: b.name.clone(),
                output: "o".into(),
            })],
            vec![Word::FinalStatus],
        ] {
            let broken = empty.clone().step(step("c", words));
            assert!(
                matches!(broken.order(), Err(WorkflowError::Dangling { .. })),
                "{broken:?}"
            );
        }
        assert!(matches!(
            empty.clone().step(step("c", [])).order(),
            Err(WorkflowError::NoCommand { .. })
        ));
        assert!(Step::new("Not allowed", "i", []).is_err());
    }

    #[test]
    fn required_capabilities_follow_from_what_is_used() {
        let plain = Workflow::new("w").unwrap().step(step("a", ["x".into()]));
        assert!(plain.required_capabilities().is_empty());
        let secret = EnvValue::Secret(SecretRef {
            name: "s".into(),
            key: "k".into(),
        });
        let rich = plain
            .step(step("b", ["x".into()]).env("TOKEN", secret).retries(1))
            .exit_step(step("end", ["x".into()]));
        assert_eq!(
            rich.required_capabilities().into_iter().collect::<Vec<_>>(),
            [Capability::ExitStep, Capability::Retries, Capability::Secrets]
        );
    }
}
