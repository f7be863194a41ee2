//! Pod logs and artifacts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::answer::{Answer, Code, Refusal};
use super::context::Context;

impl Context<'_> {
    /// `artifacts/{name}:read`. In multi-user mode 2.17 refuses everybody: the handler loses the identity.
    pub(super) fn read_artifact(&mut self, run: &str, node: &str, artifact: &str) -> Result<Answer, Refusal> {
        let new = self.generation().new_gateway();
        if !new {
            if self.generation().has_v2() {
                self.may_run("readArtifact", run)
                    .map_err(|refusal| refusal.context("failed to authorize the request"))?;
            } else {
                self.run(run)?;
            }
        }
        if new && self.multi_user() {
            let text = format!(
                "Failed to authorize the request: Failed to access run {run}. User identity is empty in the request header"
            );
            return Err(Refusal::handwritten(403, false, text));
        }
        let missing = || {
            if new {
                Refusal::handwritten(
                    404,
                    false,
                    format!("artifact not found: node {node}, artifact {artifact}: <nil>"),
                )
            } else {
                Refusal::new(Code::NotFound, format!("artifact {run}/{node}/{artifact} not found"))
            }
        };
        if self.run(run).is_err() {
            return Err(missing());
        }
        let log = if artifact == "main-logs" {
            self.core.engine.log(run, node)
        } else {
            None
        };
        let log = log.ok_or_else(missing)?;
        Ok(Answer::Json(json!({"data": STANDARD.encode(log)})))
    }

    /// The log endpoint answers 200 before it knows anything, and asks nobody for an identity.
    pub(super) fn read_log(&mut self, run: &str, node: &str) -> Answer {
        let kind = "text/plain; charset=utf-8";
        let trouble =
            |text: String| Answer::Text(kind, json!({"error_message": text, "error_details": text}).to_string());
        if let Err(refusal) = self.run(run) {
            let text = format!(
                "BadRequestError: Failed to read logs for run {run} due to run fetching error: {}",
                refusal.message()
            );
            return trouble(text);
        }
        match self.core.engine.log(run, node) {
            Some(text) => Answer::Text(kind, text),
            None => trouble(format!(
                "InternalServerError: error in opening log stream: pods \"{node}\" not found"
            )),
        }
    }
}
