//! Typed async client for the Kubeflow Pipelines REST API, with the pipeline format (IR) and a fake server for tests.

#[cfg(feature = "testing")]
pub mod testing;
