//! A mocked Kubeflow for tests of programs that use this crate, and for trying things without a cluster.

mod idp;
mod sandbox;

pub use idp::{Idp, UnknownIdp};
pub use sandbox::{Sandbox, SandboxBuilder, SandboxError};
