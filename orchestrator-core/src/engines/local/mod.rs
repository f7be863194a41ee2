//! The engine that runs steps as processes of this machine.

mod attempt;
mod log;
mod run;
mod schedule;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use tempfile::TempDir;

use crate::{
    Capabilities, Capability, Engine, EngineError, EngineRunId, EngineRunStatus, EnvValue, LogTail, SecretRef,
    StepName, Submission, Workflow,
};

use schedule::{Machine, Shared};

pub(super) const NAME: &str = "local";

/// Runs every step as a child process of this program; images are ignored and no server is needed.
///
/// A handle is cheap to clone. **Runs live as long as the handles**: when the last one is dropped, every process is
/// killed and, unless [`LocalBuilder::work_dir`] was used, every folder removed. A program that ends without dropping
/// its handles (`std::process::exit`, a signal) leaves the processes behind. Finished runs are kept until
/// [`Engine::delete`]. Only Unix.
///
/// **What a step meets.** It starts in an empty folder of its own, which is also its `HOME`, with nothing on standard
/// input, in a process group of its own. Its environment is `PATH` and `LANG` of this program (`C.UTF-8` if there is no
/// `LANG`), `HOME`, `TMPDIR`, and what the step itself sets; nothing else is inherited. Output directories are
/// `<work dir>/<run>/<step>/outputs/<name>`, made empty before each attempt; inputs are those very directories of the
/// step before, so a step that writes into its inputs changes them for all. There is no isolation beyond that: a step
/// may do whatever this program may.
///
/// **How it ends.** When the main process ends, whatever else is left of its process group is killed. A step that is
/// cancelled or takes too long gets `SIGTERM`, and `SIGKILL` after [`LocalBuilder::grace`]. Retries follow at once.
/// When a step fails, those that need it are skipped and the others go on. Volumes are paths that must be there
/// already. Of each step the last 8 to 16 MiB of output of the last attempt are kept.
///
/// Limits of processor or memory cannot be kept, so workflows that ask for them are refused.
///
/// ```
/// use orchestrator_core::engines::Local;
/// use orchestrator_core::{Engine, EngineRunId, Step, Submission, Word, Workflow};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let engine = Local::new()?;
/// let workflow = Workflow::new("demo")?.step(Step::new("hello", "any", ["echo", "hello"].map(Word::from))?);
/// let run = EngineRunId::random();
/// engine.submit(&Submission::new(run.clone(), "a demonstration", workflow.clone())).await?;
/// while !engine.describe(&run, &workflow).await?.state.is_final() {
///     tokio::time::sleep(std::time::Duration::from_millis(10)).await;
/// }
/// let log = engine.logs(&run, &workflow.steps[0].name, 10).await?;
/// assert_eq!(log.lines, ["hello"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Local {
    shared: Arc<Shared>,
    // Threads of running steps hold `shared`; only handles hold this, so its end is the end of the last handle.
    _owner: Arc<Owner>,
}

/// Ends everything together with the last handle.
struct Owner {
    shared: Arc<Shared>,
    _temporary: Option<TempDir>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local")
            .field("work_dir", &self.shared.machine.work_dir)
            .field("parallel", &self.shared.machine.parallel)
            .finish_non_exhaustive()
    }
}

impl Local {
    /// An engine in a temporary folder, with the defaults of [`LocalBuilder`].
    ///
    /// # Errors
    /// [`EngineError::Failed`] if the folder cannot be made.
    pub fn new() -> Result<Self, EngineError> {
        Self::builder().build()
    }

    /// An engine with other settings.
    pub fn builder() -> LocalBuilder {
        LocalBuilder::default()
    }

    /// The folder in which the folders of the runs are.
    pub fn work_dir(&self) -> &Path {
        &self.shared.machine.work_dir
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Shared>) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let shared = Arc::clone(&self.shared);
        match tokio::task::spawn_blocking(move || work(&shared)).await {
            Ok(result) => result,
            Err(error) => Err(failed("the call was broken off", Some(Box::new(error)))),
        }
    }
}

/// Settings of a [`Local`].
#[derive(Debug, Clone, Default)]
pub struct LocalBuilder {
    work_dir: Option<PathBuf>,
    parallel: Option<usize>,
    grace: Option<Duration>,
    secrets: BTreeMap<SecretRef, SecretString>,
}

impl LocalBuilder {
    /// Folder for the folders of the runs, made if it is not there and never removed. Default: a temporary folder,
    /// removed with the last handle.
    #[must_use]
    pub fn work_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.work_dir = Some(path.into());
        self
    }

    /// How many steps run at the same time, of all runs together; at least 1. Default 2.
    #[must_use]
    pub fn parallel(mut self, steps: usize) -> Self {
        self.parallel = Some(steps);
        self
    }

    /// Time between asking a step to end and killing it. Default 2 seconds.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// Makes a secret known, which steps then may have in their environment.
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>, key: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.secrets.insert(
            SecretRef {
                name: name.into(),
                key: key.into(),
            },
            value.into(),
        );
        self
    }

    /// The engine.
    ///
    /// # Errors
    /// [`EngineError::Failed`] if the folder cannot be made or nothing may run at the same time.
    pub fn build(self) -> Result<Local, EngineError> {
        let parallel = self.parallel.unwrap_or(2);
        if parallel == 0 {
            return Err(failed("parallel must be at least 1", None));
        }
        let made = |error: io::Error| {
            failed(
                format!("the work folder cannot be made: {error}"),
                Some(Box::new(error)),
            )
        };
        let (work_dir, temporary) = if let Some(path) = self.work_dir {
            std::fs::create_dir_all(&path).map_err(made)?;
            (path, None)
        } else {
            let folder = tempfile::Builder::new()
                .prefix("orchestrator-")
                .tempdir()
                .map_err(made)?;
            (folder.path().to_owned(), Some(folder))
        };
        let machine = Machine {
            // Steps run in other folders, so that a relative path would mean something else to them.
            work_dir: work_dir.canonicalize().map_err(made)?,
            parallel,
            grace: self.grace.unwrap_or(Duration::from_secs(2)),
            secrets: self.secrets,
        };
        let shared = Arc::new(Shared::new(machine));
        Ok(Local {
            _owner: Arc::new(Owner {
                shared: Arc::clone(&shared),
                _temporary: temporary,
            }),
            shared,
        })
    }
}

#[async_trait]
impl Engine for Local {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        [
            Capability::Conditions,
            Capability::ExitStep,
            Capability::Retries,
            Capability::Secrets,
            Capability::Timeouts,
            Capability::Volumes,
        ]
        .into_iter()
        .collect()
    }

    async fn ready(&self) -> Result<(), EngineError> {
        self.blocking(|shared| {
            let probe = tempfile::Builder::new()
                .prefix(".ready-")
                .tempfile_in(&shared.machine.work_dir);
            probe.map(drop).map_err(|error| {
                failed(
                    format!("the work folder cannot be written to: {error}"),
                    Some(Box::new(error)),
                )
            })
        })
        .await
    }

    async fn submit(&self, submission: &Submission) -> Result<(), EngineError> {
        let workflow = &submission.workflow;
        workflow.order()?;
        let lacking = self.capabilities().lacking(&workflow.required_capabilities());
        if !lacking.is_empty() {
            return Err(EngineError::Unsupported {
                engine: NAME.to_owned(),
                lacking,
            });
        }
        let (run, workflow) = (submission.run_id.clone(), workflow.clone());
        self.blocking(move |shared| {
            check(&shared.machine, &run, &workflow)?;
            shared.submit(run, &workflow)
        })
        .await
    }

    async fn describe(&self, run: &EngineRunId, _workflow: &Workflow) -> Result<EngineRunStatus, EngineError> {
        self.shared.describe(run)
    }

    async fn cancel(&self, run: &EngineRunId) -> Result<(), EngineError> {
        self.shared.cancel(run)
    }

    async fn retry(&self, run: &EngineRunId) -> Result<(), EngineError> {
        self.shared.retry(run)
    }

    async fn delete(&self, run: &EngineRunId) -> Result<(), EngineError> {
        let run = run.clone();
        self.blocking(move |shared| shared.delete(&run)).await
    }

    async fn logs(&self, run: &EngineRunId, step: &StepName, lines: usize) -> Result<LogTail, EngineError> {
        let (run, step) = (run.clone(), step.clone());
        self.blocking(move |shared| {
            let folder = shared.step_folder(&run, &step)?;
            log::tail(&folder, &shared.logs, lines).map_err(|error| {
                failed(
                    format!("the log of {step} cannot be read: {error}"),
                    Some(Box::new(error)),
                )
            })
        })
        .await
    }
}

/// Refuses what would only fail once the run is under way.
fn check(machine: &Machine, run: &EngineRunId, workflow: &Workflow) -> Result<(), EngineError> {
    let id = run.as_str();
    // The id becomes the name of a folder.
    if id.is_empty()
        || id.len() > 100
        || !id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    {
        let message = format!("the run id {id:?} is not allowed: use 1 to 100 letters, digits, '-' and '_'");
        return Err(failed(message, None));
    }
    for step in workflow.steps.iter().chain(&workflow.exit_step) {
        let name = &step.name;
        for volume in &step.volumes {
            let path = Path::new(&volume.mount_path);
            if !path.is_absolute() || !path.is_dir() {
                let message = format!(
                    "the step {name} wants the volume {} at {}, and there is no such folder on this machine",
                    volume.claim, volume.mount_path
                );
                return Err(failed(message, None));
            }
        }
        for (variable, value) in &step.environment {
            if variable.is_empty() || variable.contains(['=', '\0']) {
                let message = format!("the step {name} has an environment variable called {variable:?}");
                return Err(failed(message, None));
            }
            if let EnvValue::Secret(secret) = value
                && !machine.secrets.contains_key(secret)
            {
                let message = format!(
                    "the step {name} wants the key {} of the secret {}, which is not known here",
                    secret.key, secret.name
                );
                return Err(failed(message, None));
            }
        }
    }
    Ok(())
}

fn failed(message: impl Into<String>, source: Option<Box<dyn std::error::Error + Send + Sync>>) -> EngineError {
    EngineError::Failed {
        engine: NAME.to_owned(),
        message: message.into(),
        source,
    }
}

fn not_found(run: &EngineRunId) -> EngineError {
    EngineError::NotFound {
        engine: NAME.to_owned(),
        run: run.clone(),
    }
}
