//! Tests of the client against loopback servers, recorded answers and the official tools.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do; the exemption for tests covers test functions only"
)]

#[cfg(feature = "testing")]
mod argo_pipelines;
#[cfg(feature = "testing")]
mod completeness;
#[cfg(feature = "testing")]
mod contract;
mod creation;
mod following;
#[cfg(feature = "testing")]
mod ir_building;
mod ir_documents;
#[cfg(feature = "testing")]
mod ir_pipelines;
mod lists;
mod named_creations;
mod pacing;
mod properties;
mod recordings;
#[cfg(feature = "testing")]
mod releases;
#[cfg(feature = "testing")]
mod routes;
mod scripted;
mod settings;
mod transport;
mod traps;
#[cfg(feature = "testing")]
mod v1_contract;
mod v1_creation;
mod v1_facts;
mod v1_operations;
mod v1_recordings;
#[cfg(feature = "testing")]
mod v2_operations;
