//! The standard workflows through the whole mocked Kubeflow: login, gateway, Kubeflow Pipelines, MLflow.

use std::time::Duration;

use kfp_client::testing::Fault;
use orchestrator_core::engines::KfpV2;
use orchestrator_core::testing::{Idp, Sandbox};
use orchestrator_core::{
    DatasetStore, DeployRequest, EngineError, Error, EvaluateRequest, Orchestrator, RunRecord, RunState, Settings,
    StepState, TrainRequest,
};

use crate::model_repository::ModelRepository;

struct Stage {
    sandbox: Sandbox,
    repository: ModelRepository,
    orchestrator: Orchestrator,
    mlflow: mlflow_client::Client,
}

async fn stage() -> Stage {
    let repository = ModelRepository::new();
    // A server that is away is asked again at once: only that it is asked again matters here.
    let sandbox = Sandbox::builder().step_environment("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0.01");
    let sandbox = sandbox.start().await.unwrap();
    let session = dex_auth::Session::builder(sandbox.url())
        .unwrap()
        .credentials(dex_auth::Credentials::new(
            sandbox.username(),
            sandbox.password().to_owned(),
        ))
        .build()
        .unwrap();
    let kubeflow = kfp_client::Client::builder(sandbox.kfp_url())
        .unwrap()
        .http(session.http_client())
        .build()
        .unwrap();
    let mlflow = mlflow_client::Client::builder(sandbox.mlflow_url())
        .unwrap()
        .max_retries(0)
        .build()
        .unwrap();
    let settings = Settings::default()
        .dataset_store(DatasetStore::folder(repository.store()))
        .allow_local_repositories(true)
        .retries(0)
        .poll_interval(Duration::from_millis(50));
    let orchestrator = Orchestrator::builder()
        .engine(KfpV2::new(kubeflow, sandbox.namespace()))
        .tracking(mlflow.clone())
        .settings(settings)
        .build()
        .unwrap();
    Stage {
        sandbox,
        repository,
        orchestrator,
        mlflow,
    }
}

impl Stage {
    fn request(&self) -> TrainRequest {
        TrainRequest::new(self.repository.url(), &self.repository.sha).dataset_version("v1")
    }

    async fn status_in_mlflow(&self, record: &RunRecord) -> String {
        let id = mlflow_client::RunId::from(record.tracking.as_ref().unwrap().run_id.as_str());
        format!("{:?}", self.mlflow.runs().get(&id).await.unwrap().info.status)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_is_trained_evaluated_and_deployed() {
    let stage = stage().await;
    let trained = stage
        .orchestrator
        .train(stage.request())
        .await
        .unwrap()
        .wait()
        .await
        .unwrap();
    assert_eq!(trained.state, RunState::Succeeded, "{trained:#?}");
    assert!(
        trained.steps.iter().all(|step| step.state == StepState::Succeeded),
        "{trained:#?}"
    );
    assert_eq!((trained.model_version, trained.metrics["rows"]), (Some(1), 2.0));
    assert_eq!(stage.status_in_mlflow(&trained).await, "Finished");
    let (url, sha) = (stage.repository.url(), &stage.repository.sha);
    let gate = orchestrator_core::Gate::new("rows", orchestrator_core::GateDirection::Higher);
    let evaluate = EvaluateRequest::new(&url, sha, "mean", 1).dataset_version("v1");
    let deploy = DeployRequest::new(&url, sha, "mean", 1)
        .dataset_version("v1")
        .gate(gate.clone());
    let refuse = DeployRequest::new(&url, sha, "mean", 1)
        .dataset_version("v1")
        .gate(gate.threshold(100.0));
    // None of the three needs another's result, and the chain of steps is what takes the time of this test.
    let (evaluated, deployed, refused) = tokio::join!(
        async {
            stage
                .orchestrator
                .evaluate(evaluate)
                .await
                .unwrap()
                .wait()
                .await
                .unwrap()
        },
        async { stage.orchestrator.deploy(deploy).await.unwrap().wait().await.unwrap() },
        async { stage.orchestrator.deploy(refuse).await.unwrap().wait().await.unwrap() },
    );
    assert_eq!(evaluated.state, RunState::Succeeded, "{evaluated:#?}");
    assert_eq!(deployed.state, RunState::Succeeded, "{deployed:#?}");
    let champion = stage
        .mlflow
        .registered_models()
        .get_by_alias("mean", "champion")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(champion.version.get(), 1);
    assert_eq!(refused.state, RunState::Failed);
    let failure = refused.failure.clone().unwrap();
    assert_eq!(failure.step.as_deref(), Some("gate"));
    assert!(failure.message.contains("minimum is 100"), "{failure:?}");
    assert_eq!(stage.status_in_mlflow(&refused).await, "Failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_looked_up_and_never_sent_again() {
    let stage = stage().await;
    stage
        .sandbox
        .kfp()
        .fault(Fault::lost_answer().method("POST").path("/runs"));
    let run = stage.orchestrator.train(stage.request()).await.unwrap();
    assert_eq!(run.wait().await.unwrap().state, RunState::Succeeded);
    assert_eq!(stage.sandbox.kfp().workflows_started(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn training_starts_although_mlflow_is_down() {
    let stage = stage().await;
    stage.sandbox.mlflow().down(true);
    let record = stage
        .orchestrator
        .train(stage.request())
        .await
        .unwrap()
        .wait()
        .await
        .unwrap();
    assert_eq!(record.state, RunState::Succeeded, "{record:#?}");
    assert!(record.tracking.is_none() && record.warnings.len() == 1, "{record:#?}");
    assert_eq!(record.metrics["rows"], 2.0);
    let request = EvaluateRequest::new(stage.repository.url(), &stage.repository.sha, "mean", 1).dataset_version("v1");
    assert!(matches!(
        stage.orchestrator.evaluate(request).await,
        Err(Error::Tracking(_))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_that_mlflow_did_not_take_come_with_the_next_step() {
    let stage = stage().await;
    let run = stage.orchestrator.train(stage.request()).await.unwrap();
    // As often as the steps that split and measure try.
    let away = mlflow_client::testing::Fault::status(503).path("log-batch").times(10);
    stage.sandbox.mlflow().fault(away);
    let record = run.wait().await.unwrap();
    assert_eq!(record.state, RunState::Succeeded, "{record:#?}");
    assert_eq!(record.metrics["rows"], 2.0);
    assert!(
        record.model_version.is_some() && record.warnings.is_empty(),
        "{record:#?}"
    );
    assert_eq!(stage.status_in_mlflow(&record).await, "Finished");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_run_is_killed_in_the_record_and_a_refused_submission_is_failed() {
    let stage = stage().await;
    let run = stage.orchestrator.train(stage.request()).await.unwrap();
    run.cancel().await.unwrap();
    let record = run.wait().await.unwrap();
    assert_eq!(record.state, RunState::Cancelled, "{record:#?}");
    assert_eq!(stage.status_in_mlflow(&record).await, "Killed");
    let refused = stage
        .orchestrator
        .train(stage.request().namespace("somebody-elses"))
        .await;
    let Err(Error::Engine(refused @ EngineError::Refused { .. })) = refused else {
        panic!("{refused:?}");
    };
    let told = refused.to_string();
    for part in ["namespace somebody-elses", "name another one", "ask its owner"] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains("ResourceAttributes"), "{told}");
    let record = stage.orchestrator.runs(1).await.unwrap().remove(0);
    assert_eq!(record.state, RunState::Failed);
    assert_eq!(stage.status_in_mlflow(&record).await, "Failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_company_logs_in_through_saml_and_a_broker() {
    let sandbox = Sandbox::builder().idp(Idp::CognitoEntra).simulate(true);
    let sandbox = sandbox.start().await.unwrap();
    let [broker, company] = sandbox.idp_origins() else {
        panic!("{:?}", sandbox.idp_origins())
    };
    let provider = |origin: &str| dex_auth::IdentityProvider::at(origin).unwrap();
    let session = dex_auth::Session::builder(sandbox.url())
        .unwrap()
        .credentials(dex_auth::Credentials::new(
            sandbox.username(),
            sandbox.password().to_owned(),
        ))
        .identity_provider(provider(broker).broker("AzureAD"))
        .identity_provider(provider(company))
        .build()
        .unwrap();
    let kubeflow = kfp_client::Client::builder(sandbox.kfp_url())
        .unwrap()
        .http(session.http_client())
        .build()
        .unwrap();
    let experiments = kubeflow.experiments();
    let experiment = experiments
        .get_or_create("fraud", Some(sandbox.namespace()))
        .await
        .unwrap();
    assert_eq!(experiment.namespace, sandbox.namespace());
    let asked = sandbox.kfp().requests();
    assert!(
        asked
            .iter()
            .all(|request| request.user.as_deref() == Some("user@example.com"))
    );
    let pages: Vec<_> = session
        .last_login()
        .unwrap()
        .steps
        .iter()
        .filter_map(|step| step.page.clone())
        .collect();
    for part in ["Cognito", "Entra ID", "SAML"] {
        assert!(pages.iter().any(|page| page.contains(part)), "{pages:?}");
    }
}
