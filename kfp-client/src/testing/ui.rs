//! The UI server in front of the API server.

use std::sync::Arc;

use serde_json::json;
use wiremock::{Request, Respond, ResponseTemplate};

use super::call::Call;
use super::context::Core;

/// The fake of `ml-pipeline-ui`, through which a full Kubeflow reaches the API.
///
/// It passes `/apis/v1beta1` and `/apis/v2beta1` on, answers health in its own way, refuses what only the persistence
/// agent may call, and serves pod logs and artifacts. Paths may carry the prefix `/pipeline` or not.
///
/// It keeps no steps alive: those end with the last handle of the [`KfpServer`](super::KfpServer), whenever the server
/// that this is mounted on lets go of it.
#[derive(Clone)]
pub struct KfpUi {
    core: Arc<Core>,
}

impl KfpUi {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }
}

impl std::fmt::Debug for KfpUi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("KfpUi").field(&self.core.settings).finish()
    }
}

fn text(status: u16, body: impl Into<String>) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(body.into(), "text/plain; charset=utf-8")
}

impl Respond for KfpUi {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let call = Call::new(request);
        let path = call
            .path
            .strip_prefix("/pipeline")
            .filter(|rest| rest.starts_with('/'))
            .unwrap_or(&call.path);
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match parts.as_slice() {
            ["apis", "v1beta1" | "v2beta1", "healthz"] => self.health(),
            ["apis", "v1beta1" | "v2beta1", "workflows" | "scheduledworkflows"] => text(403, "endpoint is not proxied"),
            ["apis", "v1beta1" | "v2beta1", "runs", last] if last.ends_with(":reportMetrics") => {
                text(403, "endpoint is not proxied")
            }
            ["apis", "v1beta1" | "v2beta1", ..] => self.core.respond(request),
            ["k8s", "pod", "logs"] => self.logs(&call),
            ["artifacts", "get"] => self.artifact(&call),
            ["" | "index.html"] => {
                ResponseTemplate::new(200).set_body_raw("<!doctype html><title>Kubeflow Pipelines</title>", "text/html")
            }
            _ => text(404, "Not Found"),
        }
    }
}

impl KfpUi {
    fn health(&self) -> ResponseTemplate {
        let settings = &self.core.settings;
        let tag = settings.generation.tag();
        let mut body = json!({
            "buildDate": "unknown", "frontendCommitHash": "unknown", "frontendTagName": tag, "apiServerReady": true,
            "apiServerCommitHash": "unknown", "apiServerTagName": tag, "apiServerMultiUser": settings.multi_user,
            "multi_user": settings.multi_user,
        });
        if let (true, Some(map)) = (settings.generation.new_gateway(), body.as_object_mut()) {
            map.insert("pipelineStore".to_owned(), "database".into());
        }
        ResponseTemplate::new(200).set_body_raw(body.to_string(), "application/json; charset=utf-8")
    }

    /// In multi-user mode the user needs rights in the pod's namespace.
    fn logs(&self, call: &Call) -> ResponseTemplate {
        let pod = call.query("podname");
        if pod.is_empty() {
            return text(400, "podname argument is required");
        }
        let core = &self.core;
        let namespace = call.query("podnamespace");
        let run = call.query("runid");
        {
            let mut state = core.lock();
            let now = core.clock.now();
            core.catch_up(&mut state, now);
            let user = call.header(&core.settings.identity_header).unwrap_or_default();
            let owner = |pair: &(String, String)| pair.0 == user && pair.1 == namespace;
            if core.settings.multi_user && !state.owners.iter().any(owner) {
                return text(403, format!("Access denied to namespace {namespace}"));
            }
            if core.settings.multi_user && state.runs.get(run).is_some_and(|row| row.namespace != namespace) {
                return text(
                    404,
                    format!("Could not get main container logs: pods \"{pod}\" not found"),
                );
            }
        }
        let log = if run.is_empty() {
            core.engine.log_of_pod(pod)
        } else {
            core.engine.log(run, pod)
        };
        match log {
            Some(log) => text(200, log),
            None => text(
                404,
                format!("Could not get main container logs: pods \"{pod}\" not found"),
            ),
        }
    }

    /// Artifacts are files below the work folder, and nothing else is served.
    fn artifact(&self, call: &Call) -> ResponseTemplate {
        let key = std::path::PathBuf::from(call.query("key"));
        let Ok(root) = self.core.engine.work_dir().and_then(std::fs::canonicalize) else {
            return text(404, "Not Found");
        };
        match std::fs::canonicalize(root.join(key)) {
            Ok(path) if path.starts_with(&root) && path.is_file() => match std::fs::read(&path) {
                Ok(bytes) => ResponseTemplate::new(200).set_body_raw(bytes, "application/octet-stream"),
                Err(error) => text(500, error.to_string()),
            },
            _ => text(404, "Not Found"),
        }
    }
}
