//! A mocked Kubeflow for tests of programs that use this crate, and for trying things without a cluster.

mod sandbox;

pub use sandbox::{Sandbox, SandboxBuilder, SandboxError};
