//! The session against a fake gateway of each release.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers outside of test functions fail the test, too"
)]

mod clocks;
#[cfg(feature = "testing")]
mod cognito;
#[cfg(feature = "testing")]
mod entra;
#[cfg(feature = "testing")]
mod fake;
#[cfg(feature = "testing")]
mod gateways;
#[cfg(feature = "testing")]
mod grants;
mod hostile;
#[cfg(feature = "testing")]
mod keycloak;
#[cfg(feature = "testing")]
mod relying_party;
#[cfg(feature = "testing")]
mod secrets;
#[cfg(all(feature = "testing", unix))]
mod store;
#[cfg(feature = "testing")]
mod table;
#[cfg(feature = "testing")]
mod tokens;
#[cfg(feature = "testing")]
mod user;
