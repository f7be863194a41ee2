//! A stateful fake of the MLflow tracking server, for tests of programs that use this crate.
//!
//! [`MlflowServer`] keeps what it is given: experiments, runs with their parameters, tags and metric histories,
//! artifacts behind the proxy, logged models, registered models and their versions, webhooks, workspaces. It refuses what
//! MLflow 3.17 (or 2.22, by choice) with an SQLite store refuses, and is as careless as that server where it is: a body that
//! cannot be read in full loses its rest and is answered with 200. It shares no code with the client, and the official
//! Python client works against it. Its answers are compared with those of the real servers, request by request.
//!
//! Not there: traces, evaluation data sets, the gateway, access control, the calls of webhooks, and stores other than the
//! server's own artifact proxy. Unknown paths answer 404 with a page, as on the real server.
//!
//! [`Fault`] orders what is to go wrong.

mod access;
mod answer;
mod artifacts;
mod batch;
mod experiments;
mod fault;
mod history;
mod json;
mod logged_models;
mod metrics;
mod model_versions;
mod multipart;
mod names;
mod page;
mod presigned;
mod registered_models;
mod routes;
mod runs;
mod schema;
mod search;
mod server;
mod sources;
mod state;
#[cfg(test)]
mod tests;
mod webhooks;
mod workspaces;

pub use fault::Fault;
pub use server::{MlflowServer, MlflowServerBuilder, Recorded, RunningMlflowServer};
