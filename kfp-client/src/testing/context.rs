//! What a handler works with.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

use super::Generation;
use super::answer::{Code, Refusal};
use super::builder::Settings;
use super::call::Call;
use super::clock::Clock;
use super::execution::Engine;
use super::experiments::Experiment;
use super::fault::Faults;
use super::pipelines::Pipeline;
use super::recurring_runs::RecurringRun;
use super::runs::Run;
use super::schema::{Reader, Schema};
use super::tasks::Task;
use super::versions::Version;

/// Everything a server is made of.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) state: Mutex<State>,
    pub(super) engine: Engine,
}

impl Core {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tables, and what stands beside them.
#[derive(Default)]
pub(super) struct State {
    pub(super) experiments: BTreeMap<String, Experiment>,
    pub(super) pipelines: BTreeMap<String, Pipeline>,
    pub(super) versions: BTreeMap<String, Version>,
    pub(super) runs: BTreeMap<String, Run>,
    pub(super) recurring_runs: BTreeMap<String, RecurringRun>,
    pub(super) tasks: BTreeMap<String, Task>,
    /// Id of the experiment for runs that name none.
    pub(super) default_experiment: String,
    /// Users and the namespaces they own.
    pub(super) owners: Vec<(String, String)>,
    /// Bearer tokens and their users.
    pub(super) tokens: BTreeMap<String, String>,
    /// Values by namespace and name of the secret, then by key.
    pub(super) secrets: BTreeMap<(String, String), BTreeMap<String, String>>,
    pub(super) faults: Faults,
    pub(super) requests: VecDeque<super::Recorded>,
    /// How many workflows were made so far.
    pub(super) workflows: usize,
    /// Up to when recurring runs have fired and simulated runs have advanced.
    pub(super) reached: Option<Timestamp>,
}

impl std::fmt::Debug for State {
    /// Leaves out secrets and tokens.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("experiments", &self.experiments.len())
            .field("pipelines", &self.pipelines.len())
            .field("runs", &self.runs.len())
            .finish_non_exhaustive()
    }
}

/// One request being handled.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) core: &'a Arc<Core>,
    pub(super) state: &'a mut State,
    pub(super) call: &'a Call,
    pub(super) time: Timestamp,
    /// The time in whole seconds since 1970, as servers keep it.
    pub(super) now: i64,
}

impl Context<'_> {
    pub(super) fn generation(&self) -> Generation {
        self.core.settings.generation
    }

    /// The words around an error: servers of 1.8 have others.
    pub(super) fn words(&self, old: &'static str, new: &'static str) -> &'static str {
        if self.generation().has_v2() { new } else { old }
    }

    pub(super) fn multi_user(&self) -> bool {
        self.core.settings.multi_user
    }

    /// Reads the body: the first JSON value counts, an empty body is `{}`.
    pub(super) fn body(&self, schema: &'static Schema) -> Result<Value, Refusal> {
        let refuse = |text: String| Refusal::gateway(Code::InvalidArgument, text);
        let text = String::from_utf8_lossy(&self.call.body);
        if text.trim().is_empty() {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        let value = match serde_json::Deserializer::from_str(&text).into_iter::<Value>().next() {
            // jsonpb takes null for an empty message.
            Some(Ok(Value::Null)) if !self.generation().new_gateway() => {
                return Ok(Value::Object(serde_json::Map::new()));
            }
            Some(Ok(value)) => value,
            Some(Err(error)) if error.is_eof() => return Err(refuse("unexpected EOF".to_owned())),
            _ => {
                return Err(refuse(format!(
                    "invalid character in {:?}",
                    text.chars().take(20).collect::<String>()
                )));
            }
        };
        let new = self.generation().new_gateway();
        Reader {
            source: &text,
            strict: new,
            protojson: new,
            generation: self.generation(),
        }
        .message(schema, &value)
        .map_err(refuse)
    }
}

/// A fresh id.
pub(super) fn fresh_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
