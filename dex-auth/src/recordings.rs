//! Recordings of real gateways and identity providers as test input. They lie beside the repository and are not part of
//! it.

#[cfg(feature = "testing")]
mod fake_keycloak;
mod file;
mod keycloak;
mod logins;
mod pages;
mod requests;
