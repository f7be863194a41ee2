//! The engine for Kubeflow Pipelines, on the fake API server: the contract of all engines.

use kfp_client::testing::{Execution, KfpServer};
use orchestrator_core::engines::KfpV2;
use orchestrator_core::{SecretRef, Volume, contract};
use wiremock::{Mock, MockServer, matchers::any};

const USER: &str = "user@example.com";
const NAMESPACE: &str = "team-a";

async fn server() -> (KfpServer, MockServer, KfpV2) {
    let server = KfpServer::builder()
        .multi_user(true)
        .owner(USER, NAMESPACE)
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
async fn volumes_are_shared() {
    let (_server, _running, engine) = server().await;
    let folder = tempfile::tempdir().unwrap();
    let volume = Volume::new("contract", folder.path().display().to_string());
    contract::volumes_are_shared(&engine, &volume).await;
}
