//! Login, gateway, Kubeflow Pipelines and MLflow on loopback, wired as in a real Kubeflow.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use dex_auth::testing::{Gateway, Release};
use kfp_client::testing::{Execution, Generation, KfpServer, RunningKfpServer};
use mlflow_client::testing::{MlflowServer, RunningMlflowServer};

use super::idp::{Idp, Providers};

use crate::request::namespace_name;

/// A mocked Kubeflow on loopback: a gateway with Dex behind it, the Kubeflow Pipelines UI and API behind the gateway,
/// the API also directly, and MLflow. It ends when it is dropped, with every step that still runs.
///
/// Steps are run for real, as processes of this machine, unless it was told to [simulate](SandboxBuilder::simulate).
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let sandbox = orchestrator_core::testing::Sandbox::builder().start().await?;
/// let session = dex_auth::Session::builder(sandbox.url())?
///     .credentials(dex_auth::Credentials::new(sandbox.username(), sandbox.password().to_owned()))
///     .build()?;
/// let kubeflow = kfp_client::Client::builder(sandbox.kfp_url())?.http(session.http_client()).build()?;
/// assert!(kubeflow.health().await.is_ok());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Sandbox {
    gateway: Gateway,
    kfp: KfpServer,
    mlflow: MlflowServer,
    _running: (RunningKfpServer, RunningMlflowServer),
    kfp_url: String,
    kfp_direct_url: String,
    mlflow_url: String,
    namespace: String,
    providers: Providers,
}

/// User of the sandbox, the one that a stock Kubeflow installation has.
pub(super) const USERNAME: &str = "user@example.com";
/// Password of that user in a stock installation; public knowledge.
pub(super) const PASSWORD: &str = "12341234";

/// Settings of a [`Sandbox`].
#[derive(Debug)]
pub struct SandboxBuilder {
    port: u16,
    release: Release,
    generation: Generation,
    single_user: bool,
    session_ttl: Option<Duration>,
    simulate: bool,
    namespace: String,
    step_environment: Vec<(String, String)>,
    idp: Idp,
}

/// The sandbox could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The port could not be bound.
    #[error("cannot listen on 127.0.0.1:{port}: {source}")]
    Listen {
        /// The port.
        port: u16,
        /// Why not.
        source: std::io::Error,
    },
    /// No cluster could have a namespace of this name.
    #[error("the namespace {namespace:?} {detail}")]
    Namespace {
        /// The name.
        namespace: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl Default for SandboxBuilder {
    fn default() -> Self {
        Self {
            port: 0,
            release: Release::Kubeflow1_11,
            generation: Generation::V2_17,
            single_user: false,
            session_ttl: None,
            simulate: false,
            namespace: "team-a".to_owned(),
            step_environment: Vec::new(),
            idp: Idp::default(),
        }
    }
}

impl SandboxBuilder {
    /// Sets the gateway's port; 0, the default, takes a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets the Kubeflow release whose gateway and Dex are imitated. Default 1.11.
    #[must_use]
    pub fn release(mut self, release: Release) -> Self {
        self.release = release;
        self
    }

    /// Sets the generation of the Kubeflow Pipelines API server. Default 2.17.
    #[must_use]
    pub fn generation(mut self, generation: Generation) -> Self {
        self.generation = generation;
        self
    }

    /// Makes Kubeflow Pipelines know no users and no namespaces.
    #[must_use]
    pub fn single_user(mut self, single_user: bool) -> Self {
        self.single_user = single_user;
        self
    }

    /// Sets how long a session lives. Default: as the release does, 24 hours.
    #[must_use]
    pub fn session_ttl(mut self, ttl: Duration) -> Self {
        self.session_ttl = Some(ttl);
        self
    }

    /// Lets runs advance by the clock instead of executing their steps.
    #[must_use]
    pub fn simulate(mut self, simulate: bool) -> Self {
        self.simulate = simulate;
        self
    }

    /// Sets the one namespace that the user owns. Default `team-a`.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Sets where the user logs in. Default: Dex's own password database.
    #[must_use]
    pub fn idp(mut self, idp: Idp) -> Self {
        self.idp = idp;
        self
    }

    /// Sets a variable in the environment of every step, as a `PodDefault` of the namespace does.
    #[must_use]
    pub fn step_environment(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.step_environment.push((name.into(), value.into()));
        self
    }

    /// Starts everything, on loopback only.
    ///
    /// # Errors
    /// [`SandboxError::Listen`] if the port is taken, [`SandboxError::Namespace`] for a name that cannot be one.
    pub async fn start(self) -> Result<Sandbox, SandboxError> {
        if let Err(detail) = namespace_name(&self.namespace) {
            let namespace = self.namespace;
            return Err(SandboxError::Namespace { namespace, detail });
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let listener = TcpListener::bind(address).map_err(|source| SandboxError::Listen {
            port: self.port,
            source,
        })?;
        let mut kfp = KfpServer::builder()
            .generation(self.generation)
            .multi_user(!self.single_user)
            .owner(USERNAME, &self.namespace)
            .execute(if self.simulate {
                Execution::Simulate
            } else {
                Execution::Processes
            });
        for (name, value) in self.step_environment {
            kfp = kfp.environment(name, value);
        }
        let kfp = kfp.build();
        let mlflow = MlflowServer::builder().build();
        let providers = Providers::start(self.idp).await;
        let mut gateway = Gateway::builder()
            .release(self.release)
            .user(USERNAME, PASSWORD)
            .connector(providers.connector.clone())
            .namespace(&self.namespace)
            .upstream("/pipeline", kfp.ui())
            .listener(listener);
        if let Some(ttl) = self.session_ttl {
            gateway = gateway.session_ttl(ttl);
        }
        let gateway = gateway.start().await;
        let kfp_direct = kfp.start().await;
        let mlflow_running = mlflow.start().await;
        let kfp_url = format!("{}/pipeline", gateway.url().trim_end_matches('/'));
        Ok(Sandbox {
            kfp_direct_url: kfp_direct.url().clone(),
            mlflow_url: mlflow_running.url().clone(),
            gateway,
            kfp,
            mlflow,
            _running: (kfp_direct, mlflow_running),
            kfp_url,
            namespace: self.namespace,
            providers,
        })
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // The gateway's server holds a handle as well, and lets go of it at some later time, if at all.
        self.kfp.shutdown();
    }
}

impl Sandbox {
    /// Begins with the defaults.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder::default()
    }

    /// Address of the gateway.
    pub fn url(&self) -> &str {
        self.gateway.url()
    }

    /// Address of Kubeflow Pipelines through the gateway.
    pub fn kfp_url(&self) -> &str {
        &self.kfp_url
    }

    /// Address of the API server itself, which trusts the header `kubeflow-userid` as the real one does inside the
    /// cluster.
    pub fn kfp_direct_url(&self) -> &str {
        &self.kfp_direct_url
    }

    /// Address of MLflow.
    pub fn mlflow_url(&self) -> &str {
        &self.mlflow_url
    }

    /// The user, as the login form asks for it.
    pub fn username(&self) -> &str {
        self.providers.username
    }

    /// The addresses of the identity providers behind the gateway, in the order in which a login comes to them; to be
    /// named to a session. Empty where Dex asks for the password itself.
    pub fn idp_origins(&self) -> &[String] {
        &self.providers.origins
    }

    /// The user's password.
    pub fn password(&self) -> &str {
        PASSWORD
    }

    /// The namespace that the user owns.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The gateway, to let sessions expire or the auth service fail.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The API server, to inject faults and to see what it was asked.
    pub fn kfp(&self) -> &KfpServer {
        &self.kfp
    }

    /// MLflow, to inject faults and to see what it was asked.
    pub fn mlflow(&self) -> &MlflowServer {
        &self.mlflow
    }
}
