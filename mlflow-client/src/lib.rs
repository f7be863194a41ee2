//! Typed async client for the MLflow REST API, with a fake server for tests.
