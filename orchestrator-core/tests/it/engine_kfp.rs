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

keeps_the_contract! {
    it_is_ready,
    artifacts_are_handed_on,
    steps_wait_for_all_before_them,
    words_arrive_unchanged,
    parameters_arrive_unchanged,
    environment_arrives_unchanged,
    a_failure_skips_what_needs_it,
    a_missing_program_fails_the_step,
    logs_are_cut_to_their_end,
    logs_may_hold_any_bytes,
    the_exit_step_runs_after_success,
    the_exit_step_runs_after_failure,
    conditions_decide,
    failed_steps_are_started_again,
    retries_come_to_an_end,
    steps_may_take_only_so_long,
    a_cancelled_run_is_cancelled,
    the_same_id_starts_one_run,
    a_failed_run_can_be_retried,
    a_deleted_run_is_gone,
    unknown_runs_are_not_found,
    what_it_cannot_do_is_refused,
    broken_workflows_are_refused,
    a_missing_secret_stops_the_step,
}

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
