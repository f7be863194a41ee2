//! The engine for Kubeflow Pipelines, on the fake API server: the contract of all engines.

use std::time::Duration;

use kfp_client::testing::{Execution, KfpServer};
use orchestrator_core::engines::KfpV2;
use orchestrator_core::{Engine, EngineRunId, SecretRef, Step, Submission, Volume, Word, Workflow, contract};
use wiremock::{Mock, MockServer, matchers::any};

const USER: &str = "user@example.com";
const NAMESPACE: &str = "team-a";
const OTHER_NAMESPACE: &str = "team-b";

async fn server() -> (KfpServer, MockServer, KfpV2) {
    let server = KfpServer::builder()
        .multi_user(true)
        .owner(USER, NAMESPACE)
        .owner(USER, OTHER_NAMESPACE)
        .execute(Execution::Processes)
        .build();
    // The UI server, as behind a gateway: the API server alone has no logs of pods.
    let running = MockServer::start().await;
    Mock::given(any()).respond_with(server.ui()).mount(&running).await;
    let client = kfp_client::Client::builder(&running.uri())
        .unwrap()
        .user_id(USER)
        .build()
        .unwrap();
    (server, running, KfpV2::new(client, NAMESPACE))
}

macro_rules! keeps_the_contract {
    ($($name:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let (_server, _running, engine) = server().await;
                contract::$name(&engine).await;
            }
        )*
    };
}

every_case!(keeps_the_contract);

#[tokio::test]
async fn secrets_reach_steps() {
    let (server, _running, engine) = server().await;
    let secret = SecretRef {
        name: "contract".into(),
        key: "token".into(),
    };
    let value = "s3cret $(id) \"value\"";
    server.secret(NAMESPACE, &secret.name, &secret.key, value);
    contract::secrets_reach_steps(&engine, &secret, value).await;
}

#[tokio::test]
async fn logs_are_found_in_the_namespace_of_the_run() {
    let (server, running, engine) = server().await;
    let step = Step::new("speak", "image", ["echo", "hello from there"].map(Word::from)).unwrap();
    let workflow = Workflow::new("elsewhere").unwrap().step(step);
    let run = EngineRunId::random();
    let mut submission = Submission::new(run.clone(), "elsewhere", workflow.clone());
    submission.namespace = Some(OTHER_NAMESPACE.to_owned());
    engine.submit(&submission).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), async {
        while !engine.describe(&run, &workflow).await.unwrap().state.is_final() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    let step = &workflow.steps[0].name;
    assert_eq!(engine.logs(&run, step, 5).await.unwrap().lines, ["hello from there"]);
    // A program that was started again has not submitted the run itself.
    let client = kfp_client::Client::builder(&running.uri())
        .unwrap()
        .user_id(USER)
        .build();
    let restarted = KfpV2::new(client.unwrap(), NAMESPACE);
    assert_eq!(restarted.logs(&run, step, 5).await.unwrap().lines, ["hello from there"]);
    drop(server);
}

#[tokio::test]
async fn volumes_are_shared() {
    let (_server, _running, engine) = server().await;
    let folder = tempfile::tempdir().unwrap();
    let volume = Volume::new("contract", folder.path().display().to_string());
    contract::volumes_are_shared(&engine, &volume).await;
}
