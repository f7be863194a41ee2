//! Turns the flags into requests.

use orchestrator_core::{DeployRequest, EvaluateRequest, RunState, TrainRequest};

use crate::connect::{Connected, repository};
use crate::exit::{Failure, Status};
use crate::flags::{Connection, Output, Work};
use crate::job::{self, Interrupts};
use crate::progress::say;

/// Puts the flags that every request has into a request of any kind.
macro_rules! with_flags {
    ($request:expr, $work:expr, $connection:expr) => {{
        let (work, connection): (&Work, &Connection) = ($work, $connection);
        let mut request = $request
            .dataset_version(&work.dataset_version)
            .split(work.train_split)
            .seed(work.seed);
        for (name, value) in &work.environment {
            request = request.env(name, value);
        }
        for (name, value) in &work.parameters {
            request = request.param(name, value);
        }
        if let Some(experiment) = &work.experiment {
            request = request.experiment(experiment);
        }
        if let Some(namespace) = &connection.namespace {
            request = request.namespace(namespace);
        }
        request
    }};
}
pub(crate) use with_flags;

impl Connected {
    /// Whether a run may be left to itself.
    ///
    /// # Errors
    /// When the run would end with this program.
    pub fn allows(&self, output: Output) -> Result<(), Failure> {
        if output.no_wait && !self.outlives {
            return Err(Failure::usage(
                "--no-wait needs a --kubeflow-url: what runs here ends with this program",
            ));
        }
        Ok(())
    }

    /// The training that the flags ask for.
    ///
    /// # Errors
    /// When the repository cannot be told.
    pub fn train_request(&self, work: &Work, connection: &Connection) -> Result<TrainRequest, Failure> {
        let code = repository(work, self.on_this_machine)?;
        let request = with_flags!(TrainRequest::new(code.url, code.sha), work, connection);
        Ok(match &work.model_name {
            Some(name) => request.model_name(name),
            None => request,
        })
    }

    /// The evaluation that the flags ask for.
    ///
    /// # Errors
    /// When repository, model or version cannot be told.
    pub async fn evaluate_request(
        &self,
        work: &Work,
        connection: &Connection,
        version: Option<u64>,
    ) -> Result<EvaluateRequest, Failure> {
        let code = repository(work, self.on_this_machine)?;
        let (name, version) = self.model(work, &code.url, version).await?;
        Ok(with_flags!(
            EvaluateRequest::new(code.url, code.sha, name, version),
            work,
            connection
        ))
    }

    /// The deployment that the flags ask for, with the default gate.
    ///
    /// # Errors
    /// When repository, model or version cannot be told.
    pub async fn deploy_request(
        &self,
        work: &Work,
        connection: &Connection,
        version: Option<u64>,
    ) -> Result<DeployRequest, Failure> {
        let code = repository(work, self.on_this_machine)?;
        let (name, version) = self.model(work, &code.url, version).await?;
        Ok(with_flags!(
            DeployRequest::new(code.url, code.sha, name, version),
            work,
            connection
        ))
    }

    /// In a mocked Kubeflow that was just started there is no model yet: one is trained.
    ///
    /// # Errors
    /// When the training does not succeed.
    pub async fn train_first(
        &self,
        work: &Work,
        connection: &Connection,
        interrupts: &mut Interrupts,
    ) -> Result<(), Failure> {
        if self.sandbox.is_none() || connection.mlflow_uri.is_some() {
            return Ok(());
        }
        say("there is no model in this mocked Kubeflow yet: training one first");
        let run = self.orchestrator.train(self.train_request(work, connection)?).await?;
        match job::follow(run, interrupts).await? {
            (_, Some(left)) => Err(left),
            (record, None) if record.state == RunState::Succeeded => Ok(()),
            (record, None) => Err(job::failed(&record)),
        }
    }

    /// Name and version of the model: as named, else the repository's name and the newest version.
    async fn model(&self, work: &Work, repository: &str, version: Option<u64>) -> Result<(String, u64), Failure> {
        let Some(mlflow) = &self.mlflow else {
            return Err(Failure::usage(
                "name the MLflow where the model is registered: --mlflow-uri URL",
            ));
        };
        let name = match &work.model_name {
            Some(name) => name.clone(),
            None => orchestrator_core::GitRepository::parse(repository, self.on_this_machine)
                .map_err(|detail| Failure::usage(format!("--git-repository {detail}")))?
                .short_name()
                .to_owned(),
        };
        if let Some(version) = version {
            return Ok((name, version));
        }
        let newest = mlflow.model_versions().newest(&name).await.map_err(|error| {
            let status = if error.is_retryable() {
                Status::Service
            } else {
                Status::Failed
            };
            Failure::new(status, error)
        })?;
        match newest {
            Some(newest) => {
                say(&format!("the newest version of {name} is {}", newest.version));
                Ok((name, newest.version.get()))
            }
            None => Err(Failure::usage(format!(
                "there is no registered model {name} yet: train one first, or give --model-name"
            ))),
        }
    }
}
