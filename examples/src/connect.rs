//! Turns the flags into an orchestrator: a mocked Kubeflow of its own, a real one, or processes of this machine.

use std::path::PathBuf;
use std::time::Duration;

use dex_auth::Credentials;
use orchestrator_core::engines::{KfpV2, Local};
use orchestrator_core::testing::{Sandbox, SandboxError};
use orchestrator_core::{DatasetStore, GitRepository, MlflowTracker, Orchestrator, Settings};
use secrecy::SecretString;
use url::Url;

use crate::bundled::{self, Repository};
use crate::exit::{Failure, Status};
use crate::flags::{Connection, EngineName, Work};
use crate::progress::say;
use crate::sign_in::login_failure;

/// An orchestrator and what it stands on.
#[derive(Debug)]
pub struct Connected {
    /// The orchestrator.
    pub orchestrator: Orchestrator,
    /// MLflow, where there is one.
    pub mlflow: Option<mlflow_client::Client>,
    /// The mocked Kubeflow, if it was started here. It ends when this is dropped.
    pub sandbox: Option<Sandbox>,
    /// Whether steps run on this machine, so that they see its folders.
    pub on_this_machine: bool,
    /// Whether a run goes on when this program ends.
    pub outlives: bool,
}

/// Connects as the flags say.
///
/// # Errors
/// Wrong flags, or a service that cannot be reached or refuses the login.
pub async fn connect(flags: &Connection) -> Result<Connected, Failure> {
    if flags.kubeflow_url.is_none() && flags.sign_in.is_given() {
        return Err(Failure::usage(
            "--username, --connector and --idp-origin need --kubeflow-url: there is nothing else to log in to",
        ));
    }
    match (flags.engine, &flags.kubeflow_url) {
        (EngineName::Local, Some(_)) => Err(Failure::usage(
            "--engine local needs no server: leave --kubeflow-url out",
        )),
        (EngineName::Local, None) => local(flags),
        (EngineName::KfpV2, Some(url)) => kubeflow(flags, url).await,
        (EngineName::KfpV2, None) => sandbox(flags).await,
    }
}

fn local(flags: &Connection) -> Result<Connected, Failure> {
    let engine = Local::new().map_err(|error| Failure::failed(format!("cannot prepare local runs: {error}")))?;
    let mlflow = flags.mlflow_uri.as_deref().map(|uri| mlflow(uri, flags)).transpose()?;
    let builder = Orchestrator::builder().engine(engine).settings(settings(flags, true)?);
    build(builder, mlflow, flags, None, true)
}

async fn sandbox(flags: &Connection) -> Result<Connected, Failure> {
    let mut builder = Sandbox::builder();
    if let Some(namespace) = &flags.namespace {
        builder = builder.namespace(namespace);
    }
    let sandbox = builder.start().await.map_err(|error| {
        let status = match error {
            SandboxError::Namespace { .. } => Status::Usage,
            _ => Status::Failed,
        };
        Failure::new(status, format!("cannot start the mocked Kubeflow: {error}"))
    })?;
    say(&format!("started a mocked Kubeflow at {}", sandbox.url()));
    let password = SecretString::from(sandbox.password().to_owned());
    let credentials = Credentials::new(sandbox.username(), password);
    let uri = flags
        .mlflow_uri
        .clone()
        .unwrap_or_else(|| sandbox.mlflow_url().to_owned());
    let mlflow = mlflow(&uri, flags)?;
    let engine = kfp_v2(sandbox.url(), credentials, sandbox.namespace(), flags).await?;
    let builder = Orchestrator::builder().engine(engine).settings(settings(flags, true)?);
    build(builder, Some(mlflow), flags, Some(sandbox), true)
}

async fn kubeflow(flags: &Connection, url: &str) -> Result<Connected, Failure> {
    let credentials = flags.sign_in.credentials().await?;
    let namespace = match &flags.namespace {
        Some(namespace) => namespace.clone(),
        None => String::new(),
    };
    let engine = kfp_v2(url, credentials, &namespace, flags).await?;
    let mlflow = flags.mlflow_uri.as_deref().map(|uri| mlflow(uri, flags)).transpose()?;
    if mlflow.is_none() {
        say("no --mlflow-uri: the run is not recorded and its model is not registered");
    }
    let here = on_this_machine(flags);
    let builder = Orchestrator::builder().engine(engine).settings(settings(flags, here)?);
    build(builder, mlflow, flags, None, here)
}

/// Logs in and finds the namespace, if none was named.
async fn kfp_v2(url: &str, credentials: Credentials, namespace: &str, flags: &Connection) -> Result<KfpV2, Failure> {
    let session = flags.sign_in.session(url, credentials)?;
    session.login().await.map_err(login_failure)?;
    let base = format!("{}/pipeline", url.trim_end_matches('/'));
    let client = kfp_client::Client::builder(&base)
        .and_then(|builder| builder.http(session.http_client()).build())
        .map_err(Failure::usage)?;
    if !namespace.is_empty() {
        return Ok(KfpV2::new(client, namespace));
    }
    match session.namespaces().await.map_err(Failure::service)?.as_slice() {
        [only] => Ok(KfpV2::new(client, only)),
        [] => Err(Failure::usage("this user owns no namespace: name one with --namespace")),
        several => Err(Failure::usage(format!(
            "this user has several namespaces, name one with --namespace: {}",
            several.join(", ")
        ))),
    }
}

fn build(
    builder: orchestrator_core::OrchestratorBuilder,
    mlflow: Option<mlflow_client::Client>,
    flags: &Connection,
    sandbox: Option<Sandbox>,
    on_this_machine: bool,
) -> Result<Connected, Failure> {
    let builder = match &mlflow {
        Some(client) => {
            let tracker = MlflowTracker::new(client.clone());
            builder.tracker(match &flags.mlflow_step_uri {
                Some(uri) => tracker.step_uri(uri),
                None => tracker,
            })
        }
        None => builder,
    };
    let outlives = flags.engine == EngineName::KfpV2 && sandbox.is_none();
    Ok(Connected {
        orchestrator: builder.build()?,
        mlflow,
        sandbox,
        on_this_machine,
        outlives,
    })
}

/// What the flags fix for all runs.
///
/// # Errors
/// When the folder of this process, to which a path may be relative, is gone.
pub fn settings(flags: &Connection, on_this_machine: bool) -> Result<Settings, Failure> {
    let path = match &flags.dataset_store {
        Some(path) if on_this_machine => std::path::absolute(path).map_err(Failure::usage)?.display().to_string(),
        Some(path) => path.clone(),
        None if on_this_machine => bundled::dataset_store().display().to_string(),
        None => "/mnt/datasets".to_owned(),
    };
    let store = match &flags.dataset_claim {
        Some(claim) => DatasetStore::volume(claim, path),
        None if on_this_machine => DatasetStore::folder(path),
        None => DatasetStore::volume("datasets", path),
    };
    let mut settings = Settings::default()
        .dataset_store(store)
        .allow_local_repositories(on_this_machine);
    if on_this_machine {
        // Steps take a second or so; a person is watching.
        // A pod can be evicted and a step started again elsewhere; a process that failed here fails again.
        settings = settings.poll_interval(Duration::from_millis(200)).retries(0);
        // A real service may restart; one of this machine that is gone does not come back.
        settings = settings
            .outage_limit(Duration::from_secs(20))
            .tracking_limit(Duration::from_secs(5));
    }
    if let Some(image) = &flags.image {
        settings = settings.image(image);
    }
    Ok(settings)
}

fn mlflow(uri: &str, flags: &Connection) -> Result<mlflow_client::Client, Failure> {
    let mut builder = mlflow_client::Client::builder(uri)
        .map_err(Failure::usage)?
        .credentials_from_env()
        .map_err(Failure::usage)?;
    if let Some(pem) = flags.sign_in.certificates()? {
        builder = builder.root_certificate_pem(&pem);
    }
    builder.build().map_err(Failure::usage)
}

/// Whether steps run on this machine.
pub fn on_this_machine(flags: &Connection) -> bool {
    // A Kubeflow on loopback is a mocked one, whose steps are processes of this machine.
    flags.kubeflow_url.as_deref().is_none_or(is_loopback)
}

fn is_loopback(url: &str) -> bool {
    match Url::parse(url).ok().as_ref().and_then(Url::host) {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Repository and commit that the flags name: both, or the bundled repository.
///
/// # Errors
/// When the commit is missing, or the folder.
pub fn repository(work: &Work, on_this_machine: bool) -> Result<Repository, Failure> {
    match (&work.git_repository, &work.git_sha) {
        (Some(url), Some(sha)) => Ok(Repository {
            url: address(url, on_this_machine)?,
            sha: sha.clone(),
        }),
        (Some(_), None) => Err(Failure::usage(
            "--git-repository needs --git-sha: the full id of a commit (git rev-parse HEAD)",
        )),
        (None, _) if !on_this_machine => Err(Failure::usage(
            "name your model's repository: --git-repository URL --git-sha SHA (the bundled one is on this machine only)",
        )),
        (None, sha) => {
            let bundled = bundled::repository()?;
            Ok(Repository {
                sha: sha.clone().unwrap_or(bundled.sha),
                url: bundled.url,
            })
        }
    }
}

/// A folder of this machine becomes the address that git knows it by.
fn address(text: &str, on_this_machine: bool) -> Result<String, Failure> {
    let folder = match Url::parse(text) {
        Ok(url) if url.scheme() == "file" => url.to_file_path().ok(),
        Ok(_) => None,
        // What is neither a folder nor an address is most likely a folder that was meant.
        Err(_) if text.is_empty() || GitRepository::parse(text, false).is_ok() => None,
        Err(_) => Some(PathBuf::from(text)),
    };
    let Some(folder) = folder.filter(|_| on_this_machine) else {
        return Ok(text.to_owned());
    };
    if !folder.is_dir() {
        return Err(Failure::usage(format!(
            "--git-repository {text}: there is no such folder"
        )));
    }
    let url = std::fs::canonicalize(&folder)
        .ok()
        .and_then(|path| Url::from_file_path(path).ok());
    Ok(url.map_or_else(|| text.to_owned(), String::from))
}
