//! The engines that come with this crate.

#[cfg(feature = "kfp")]
mod kfp_v2;
#[cfg(all(feature = "local", unix))]
mod local;

#[cfg(feature = "kfp")]
pub use kfp_v2::KfpV2;
#[cfg(all(feature = "local", unix))]
pub use local::{Local, LocalBuilder};
