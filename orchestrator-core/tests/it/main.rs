//! Tests of the crate from outside, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::float_cmp,
    reason = "helpers of tests may fail as tests do"
)]

#[cfg(feature = "testing")]
mod engine_kfp;
#[cfg(all(feature = "local", feature = "testing"))]
mod engine_local;
#[cfg(all(feature = "http", feature = "local"))]
mod http;
#[cfg(feature = "local")]
mod model_repository;
#[cfg(all(feature = "local", feature = "testing"))]
mod workflows_kubeflow;
#[cfg(feature = "local")]
mod workflows_local;
