//! Tests of the crate from outside, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::float_cmp,
    reason = "helpers of tests may fail as tests do"
)]

/// Hands all cases of the contract of engines to a macro, so that no engine can miss one.
#[cfg(feature = "testing")]
macro_rules! every_case {
    ($keeps:ident) => {
        $keeps! {
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
    };
}

#[cfg(feature = "local")]
mod cancel;
#[cfg(feature = "testing")]
mod engine_kfp;
#[cfg(all(feature = "local", feature = "testing"))]
mod engine_local;
#[cfg(all(feature = "http", feature = "local"))]
mod http;
#[cfg(all(feature = "http", feature = "local"))]
mod http_bodies;
#[cfg(feature = "local")]
mod model_repository;
#[cfg(feature = "local")]
mod tracker;
#[cfg(all(feature = "local", feature = "testing"))]
mod workflows_kubeflow;
#[cfg(feature = "local")]
mod workflows_local;
