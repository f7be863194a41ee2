//! A stateful fake of the Kubeflow Pipelines API server, for tests of programs that use this crate.
//!
//! [`KfpServer`] keeps what it is given: experiments, pipelines, versions, runs and recurring runs can be listed,
//! filtered, sorted and paged through both versions of the API. It refuses what the real server of the chosen
//! [`Generation`] refuses, in the same words where programs could depend on them. It shares no code with the client.
//!
//! Runs advance by themselves. With [`Execution::Simulate`] they follow the [`Clock`], which a test may move; with
//! [`Execution::Processes`] every container step runs as a child process on this machine: order, conditions, exit
//! handlers, loops, parameters and artifacts are handled as KFP's driver and launcher handle them, results are cached as
//! they are there, images are ignored, and artifact URIs are paths of local files. A step sees its own environment variables,
//! `PATH`, `HOME`, `TMPDIR`, `LANG` and `KFP_POD_NAME`, and nothing else of the test's environment. Mounted volumes are
//! not made: the mount path is used as it stands on this machine.
//!
//! Recurring runs and jobs fire as the clock moves, as the scheduled-workflow controller makes them: seconds-first cron,
//! periods, start and end, limited concurrency, with and without catching up. However far a test moves the clock,
//! everything happens in its order and at its own time. Only the controller's pause of ten seconds between two runs of
//! the same recurring run is left out.
//!
//! [`Fault`] orders what is to go wrong; [`KfpServer::calls`] tells what the server was asked.

mod access;
mod answer;
mod archive;
mod builder;
mod call;
mod clock;
mod context;
pub(crate) mod cron;
mod download;
mod execution;
mod experiments;
mod fault;
mod form;
mod generation;
mod go_json;
mod list;
mod logs;
mod messages;
mod pipelines;
mod recorded;
mod recurring_runs;
mod references;
mod reports;
mod routes;
mod runs;
mod runs_v1;
mod schedule;
mod scheduling;
mod schema;
mod server;
mod sources;
mod tasks;
mod template;
mod ui;
mod upload;
mod versions;
mod visualizations;

#[cfg(test)]
mod tests;

pub use builder::{Execution, KfpServerBuilder};
pub use clock::Clock;
pub use fault::{Fault, Trouble};
pub use generation::{Generation, UnknownGeneration};
pub use recorded::{ApiVersion, Ids, Operation, Recorded};
pub use server::{KfpServer, RunningKfpServer};
pub use ui::KfpUi;
