//! Setting up a fake server.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::clock::Clock;
use super::context::{Core, State};
use super::execution::Engine;
use super::server::KfpServer;
use super::{Generation, experiments};

/// What happens to the steps of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Execution {
    /// Nothing is executed: runs advance with the clock. A run whose commands hold the text `please-fail` fails, with
    /// `please-hang` it runs until it is terminated, every other run succeeds.
    #[default]
    Simulate,
    /// Every container step runs as a child process on this machine, its image is ignored. Unix only.
    Processes,
}

/// What a server was built with.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) generation: Generation,
    pub(super) multi_user: bool,
    pub(super) identity_header: String,
    pub(super) execution: Execution,
    pub(super) pace: Duration,
    pub(super) concurrency: usize,
    pub(super) work_dir: Option<PathBuf>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) validate_urls: bool,
    pub(super) caching: bool,
}

impl std::fmt::Debug for Settings {
    /// Leaves out the environment, which may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("generation", &self.generation)
            .field("multi_user", &self.multi_user)
            .field("execution", &self.execution)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// The account that runs get when they name none.
    pub(super) fn service_account(&self) -> &'static str {
        if self.multi_user {
            "default-editor"
        } else {
            "pipeline-runner"
        }
    }
}

/// Builds a [`KfpServer`]. All settings have defaults; building cannot fail.
#[derive(Debug)]
#[must_use]
pub struct KfpServerBuilder {
    settings: Settings,
    owners: Vec<(String, String)>,
    clock: Clock,
}

impl Default for KfpServerBuilder {
    fn default() -> Self {
        let settings = Settings {
            generation: Generation::default(),
            multi_user: false,
            identity_header: "kubeflow-userid".to_owned(),
            execution: Execution::default(),
            pace: Duration::from_millis(400),
            concurrency: 4,
            work_dir: None,
            // A step that installs packages would otherwise change the Python of this machine for good.
            environment: BTreeMap::from([("PIP_REQUIRE_VIRTUALENV".to_owned(), "1".to_owned())]),
            validate_urls: true,
            caching: true,
        };
        Self {
            settings,
            owners: Vec::new(),
            clock: Clock::system(),
        }
    }
}

impl KfpServerBuilder {
    /// Which servers to imitate; default 2.17.
    pub fn generation(mut self, generation: Generation) -> Self {
        self.settings.generation = generation;
        self
    }

    /// Whether requests need an identity and namespaces have owners; default false.
    pub fn multi_user(mut self, multi_user: bool) -> Self {
        self.settings.multi_user = multi_user;
        self
    }

    /// The header that names the user; default `kubeflow-userid`, as Kubeflow configures it.
    pub fn identity_header(mut self, name: impl Into<String>) -> Self {
        self.settings.identity_header = name.into();
        self
    }

    /// Gives a user all rights in a namespace. Nobody has any right elsewhere.
    pub fn owner(mut self, user: impl Into<String>, namespace: impl Into<String>) -> Self {
        self.owners.push((user.into(), namespace.into()));
        self
    }

    /// What happens to the steps of a run; default [`Execution::Simulate`].
    pub fn execution(mut self, execution: Execution) -> Self {
        self.settings.execution = execution;
        self
    }

    /// The same as [`execution`](Self::execution).
    pub fn execute(self, execution: Execution) -> Self {
        self.execution(execution)
    }

    /// How long a simulated run stays in each state, default 400 ms: RUNNING after one pace, its end after two.
    pub fn pace(mut self, pace: Duration) -> Self {
        self.settings.pace = pace;
        self
    }

    /// How many steps run at once with [`Execution::Processes`]; default 4, at least 1.
    pub fn concurrency(mut self, steps: usize) -> Self {
        self.settings.concurrency = steps.max(1);
        self
    }

    /// Where the folders of runs live. Default: a temporary folder, removed with the server.
    pub fn work_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.work_dir = Some(path.into());
        self
    }

    /// An environment variable that every step gets, as an administrator's pod defaults would add it.
    ///
    /// Steps run without their images, so `PIP_REQUIRE_VIRTUALENV=1` is set: a step's `pip install` works in a virtual
    /// environment only. To run Python components that install what they need, make one and put its `bin` in front of
    /// `PATH` here.
    pub fn environment(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.environment.insert(name.into(), value.into());
        self
    }

    /// Whether servers since 2.17 fetch pipelines only from the addresses that their default configuration allows, all
    /// of them public; default true. Without this check, as with older servers, any `http` or `https` address is
    /// fetched, such as that of another server of the test. Its environment variable is
    /// `PIPELINE_URL_VALIDATION_ENABLED`.
    pub fn validate_pipeline_urls(mut self, validate: bool) -> Self {
        self.settings.validate_urls = validate;
        self
    }

    /// Whether steps that allow it take the results of an earlier execution with the same inputs; default true, as
    /// the server's `CacheEnabled`. Only executed steps are cached, not simulated ones.
    pub fn caching(mut self, caching: bool) -> Self {
        self.settings.caching = caching;
        self
    }

    /// What time it is; default the system's clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Makes the server. It answers nothing until it is started or asked through `wiremock::Respond`.
    pub fn build(self) -> KfpServer {
        let mut state = State {
            owners: self.owners,
            ..State::default()
        };
        if !self.settings.multi_user {
            experiments::make_default(&mut state, self.clock.seconds());
        }
        let engine = Engine::new(&self.settings);
        KfpServer::new(Arc::new(Core {
            settings: self.settings,
            clock: self.clock,
            state: Mutex::new(state),
            engine,
        }))
    }
}
