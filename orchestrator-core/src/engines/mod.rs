//! The engines that come with this crate.

#[cfg(feature = "kfp")]
mod kfp_v2;
#[cfg(feature = "local")]
mod local;

#[cfg(feature = "kfp")]
// pub use kfp_v2::KfpV2;
#[cfg(feature = "local")]
pub use local::Local;
