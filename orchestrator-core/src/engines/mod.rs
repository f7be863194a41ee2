//! The engines that come with this crate.

#[cfg(feature = "local")]
mod local;

#[cfg(feature = "local")]
pub use local::{Local, LocalBuilder};
