//! Against the real programs: slapd, Keycloak, oauth2-proxy, Envoy and oidc-provider, as `.ci/sso/start.py` starts them.
//!
//! Each test ends with a visible `SKIP` line where they are not running.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers outside of test functions fail the test, too"
)]

mod logins;
mod refusals;
mod setup;
