//! What the client does on any server: each case is played on the fake, as either version, and on real servers where there
//! are some.

mod active_runs;
mod artifacts;
mod experiments;
mod logged_models;
mod logger;
mod registry;
mod runs;
mod search;
mod server;

use mlflow_client::testing::MlflowServer;
use mlflow_client::{Client, CreateRun, Error, Result, RunId, ServerVersion};

/// A name that no other test and no earlier run has used.
fn unique(word: &str) -> String {
    format!("{word}-{}", uuid::Uuid::new_v4().simple())
}

async fn on_the_fake(version: &str) -> (mlflow_client::testing::RunningMlflowServer, Client) {
    let running = MlflowServer::builder().version(version).build().start().await;
    let client = Client::builder(running.url()).unwrap().build().unwrap();
    (running, client)
}

fn on_a_real_server(variable: &str) -> Option<Client> {
    let Ok(uri) = std::env::var(variable) else {
        eprintln!("SKIP: {variable} names no server");
        return None;
    };
    Some(Client::builder(uri).unwrap().build().unwrap())
}

/// Whether a call was refused because the server is too old for it; then it is too old, and what is asked next is not even
/// sent.
async fn refused_as_too_old<T: std::fmt::Debug, E: std::borrow::Borrow<Error> + std::fmt::Debug>(
    client: &Client,
    result: Result<T, E>,
) -> bool {
    let old = client.server_version().await.unwrap() < ServerVersion::V3;
    let refused = matches!(&result, Err(error) if matches!(error.borrow(), Error::ServerTooOld(_)));
    assert_eq!(old, refused, "{result:?}");
    refused
}

macro_rules! cases {
    ($($topic:ident: $($name:ident),+;)+) => {
        mod fake_3 {
            $($(
                #[tokio::test]
                async fn $name() {
                    let (_running, client) = super::on_the_fake(super::MlflowServer::MLFLOW_3).await;
                    super::$topic::$name(&client).await;
                }
            )+)+
        }
        mod fake_2 {
            $($(
                #[tokio::test]
                async fn $name() {
                    let (_running, client) = super::on_the_fake(super::MlflowServer::MLFLOW_2).await;
                    super::$topic::$name(&client).await;
                }
            )+)+
        }
        mod real_3 {
            $($(
                #[tokio::test]
                async fn $name() {
                    if let Some(client) = super::on_a_real_server("MLFLOW_TEST_URI") {
                        super::$topic::$name(&client).await;
                    }
                }
            )+)+
        }
        mod real_2 {
            $($(
                #[tokio::test]
                async fn $name() {
                    if let Some(client) = super::on_a_real_server("MLFLOW_TEST_URI_2") {
                        super::$topic::$name(&client).await;
                    }
                }
            )+)+
        }
    };
}

cases! {
    runs: a_run_is_written_and_read_back, a_parameter_keeps_its_value, metrics_of_all_kinds_come_back,
        what_does_not_exist_is_not_found, deleted_runs_take_no_more, large_batches_are_split, datasets_are_inputs,
        histories_come_in_pages_and_thinned_out, models_are_inputs_and_outputs,
        models_are_described_in_the_manner_of_version_2;
    experiments: experiments_are_made_once, experiments_are_found_tagged_and_renamed, datasets_of_experiments_are_listed,
        without_a_name_the_default_experiment_is_used;
    search: runs_are_found_by_what_they_hold, filters_mean_what_they_say, what_cannot_be_written_is_not_sent;
    artifacts: files_go_up_and_come_down, folders_go_up_and_come_down, files_are_moved_whole,
        addresses_lead_to_artifacts;
    active_runs: runs_end_as_their_values_do, a_dropped_run_is_ended, runs_are_nested_and_taken_up;
    logger: what_a_logger_takes_is_there_once_it_is_closed;
    registry: versions_count_up_and_aliases_move, stages_and_tags_of_versions, models_and_versions_are_found,
        prompts_are_kept_apart, logged_models_become_versions;
    logged_models: a_logged_model_from_beginning_to_end, logged_models_are_found;
    server: the_server_says_what_it_is, everything_else_is_reached_by_raw_calls, webhooks_are_kept,
        workspaces_that_are_switched_off_are_told;
}

async fn run(client: &Client) -> RunId {
    let experiment = client.experiments().get_or_create(&unique("contract")).await.unwrap();
    client
        .runs()
        .create(CreateRun::new(experiment.experiment_id).run_name("a run"))
        .await
        .unwrap()
        .id()
        .clone()
}
