//! Tests of the client from outside, in one binary.
//!
//! The contract is written once and played on the fake server; with `MLFLOW_TEST_URI` (3.x) and `MLFLOW_TEST_URI_2` (2.22)
//! set also on the real servers there.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail and speak"
)]

#[cfg(feature = "testing")]
mod child;
#[cfg(feature = "testing")]
mod contract;
#[cfg(feature = "testing")]
mod faults;
#[cfg(feature = "testing")]
mod logger;
#[cfg(feature = "testing")]
mod outage;
#[cfg(all(feature = "testing", feature = "s3"))]
mod s3;
#[cfg(feature = "testing")]
mod transfers;
#[cfg(feature = "testing")]
mod transport;
#[cfg(feature = "testing")]
mod wire;
#[cfg(feature = "testing")]
mod written;
