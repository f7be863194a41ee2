//! Which handler answers which path.

use super::access::Access;
use super::answer::{Answer, Code, Message, Refusal};
use super::context::Context;
use super::runs::Run;

type Handled = Result<Answer, Refusal>;

impl Context<'_> {
    /// Handles the request. What stands beside the gateway (health, uploads, logs) does not look at the method.
    pub(super) fn route(&mut self) -> Handled {
        let call = self.call;
        let parts: Vec<&str> = call.path.trim_start_matches('/').split('/').collect();
        let Some(("apis", [api, rest @ ..])) = parts.split_first().map(|(first, rest)| (*first, rest)) else {
            return Err(Refusal::text(404, "404 page not found\n"));
        };
        if rest == ["healthz"] && (*api == "v1beta1" || *api == "v2beta1" && self.generation().has_v2()) {
            return Ok(self.health(*api == "v1beta1"));
        }
        if call.path.contains("//") {
            return Err(Refusal::text(301, "Moved Permanently"));
        }
        let last = rest.last().copied().unwrap_or_default();
        let (last, verb) = last.rsplit_once(':').unwrap_or((last, ""));
        let mut rest = rest.to_vec();
        if let Some(end) = rest.last_mut() {
            *end = last;
        }
        let handled = match *api {
            "v1alpha1" => self.route_alpha(&rest, verb),
            "v1beta1" => self.route_v1(&rest, verb),
            "v2beta1" if self.generation().has_v2() => self.route_v2(&rest, verb),
            _ => None,
        };
        handled.unwrap_or_else(|| Err(self.no_route(api, &rest, verb)))
    }

    /// Whether another method finds this path.
    fn knows(&self, api: &str, rest: &[&str]) -> bool {
        match (api, rest) {
            (
                "v1beta1",
                ["experiments" | "pipelines" | "pipeline_versions" | "runs" | "jobs"]
                | ["experiments" | "pipelines" | "pipeline_versions" | "runs" | "jobs", _]
                | ["runs", _, "retry" | "terminate"]
                | ["jobs", _, "enable" | "disable"]
                | ["pipelines" | "pipeline_versions", _, "templates"]
                | ["pipelines", _, "default_version", _],
            ) => true,
            (
                "v2beta1",
                ["experiments" | "pipelines" | "runs" | "recurringruns"]
                | ["experiments" | "pipelines" | "runs" | "recurringruns", _]
                | ["pipelines", "names", _]
                | ["pipelines", _, "versions"]
                | ["pipelines", _, "versions", _],
            ) => self.generation().has_v2(),
            _ => false,
        }
    }

    /// Newer gateways say 501 if another method would have found the path, older ones 405.
    fn no_route(&self, api: &str, rest: &[&str], verb: &str) -> Refusal {
        let new = self.generation().new_gateway();
        let known = self.knows(api, rest);
        if known && (new || verb.is_empty()) {
            return if new {
                Refusal::gateway(Code::Unimplemented, "Method Not Allowed")
            } else {
                Refusal::text(405, "Method Not Allowed\n")
            };
        }
        if new {
            Refusal::gateway(Code::NotFound, "Not Found")
        } else {
            Refusal::text(404, "Not Found\n")
        }
    }

    fn health(&self, v1: bool) -> Answer {
        let generation = self.generation();
        let message = Message::new()
            .text("commit_sha", "unknown")
            .text("tag_name", generation.tag());
        let message = message.value("multi_user", serde_json::Value::Bool(self.multi_user()));
        let store = if generation.new_gateway() && !v1 {
            "database"
        } else {
            ""
        };
        let body = message.text("pipeline_store", store).done();
        if generation.has_v2() {
            Answer::Json(body)
        } else {
            Answer::Text("text/plain; charset=utf-8", body.to_string())
        }
    }

    fn route_alpha(&mut self, rest: &[&str], _verb: &str) -> Option<Handled> {
        match (self.call.method.as_str(), rest) {
            (_, ["runs", run, "nodes", node, "log"]) => Some(Ok(self.read_log(run, node))),
            ("GET", ["tasks"]) => Some(self.list_tasks()),
            ("POST", ["tasks"]) => Some(self.create_task()),
            _ => None,
        }
    }

    fn route_v2(&mut self, rest: &[&str], verb: &str) -> Option<Handled> {
        let call = self.call;
        let (namespace, experiment) = (call.query("namespace"), call.query("experiment_id"));
        Some(match (call.method.as_str(), rest, verb) {
            ("POST", ["experiments"], "") => self.create_experiment(false),
            ("GET", ["experiments"], "") => self.list_experiments(namespace, false),
            ("GET", ["experiments", id], "") => self.get_experiment(id, false),
            ("DELETE", ["experiments", id], "") => self.delete_experiment(id),
            ("POST", ["experiments", id], "archive" | "unarchive") => self.archive_experiment(id, verb == "archive"),

            (_, ["pipelines", "upload"], "") => self.upload_pipeline(false),
            (_, ["pipelines", "upload_version"], "") => self.upload_version(false),
            ("POST", ["pipelines", "create"], "") => self.create_pipeline_and_version(),
            ("GET", ["pipelines", "names", name], "") => self.get_pipeline_by_name(name, namespace, false),
            ("POST", ["pipelines"], "") => self.create_pipeline(),
            ("GET", ["pipelines"], "") => self.list_pipelines(namespace, false),
            ("GET", ["pipelines", id], "") => self.get_pipeline(id, false),
            ("DELETE", ["pipelines", id], "") => self.delete_pipeline(id, false),
            ("PATCH", ["pipelines", id], "") if self.generation().new_gateway() => self.update_pipeline(id),
            ("POST", ["pipelines", _, "versions"], "") => self.create_version(false),
            ("GET", ["pipelines", id, "versions"], "") => self.list_versions(id, false),
            ("GET", ["pipelines", _, "versions", id], "") => self.get_version(id, false),
            ("DELETE", ["pipelines", _, "versions", id], "") => self.delete_version(id),
            ("PATCH", ["pipelines", _, "versions", id], "") if self.generation().new_gateway() => {
                self.update_version(id)
            }

            ("POST", ["runs"], "") => self.create_run_v2(),
            ("GET", ["runs"], "") => self.list_runs(namespace, experiment, false, |_, run: &Run| run.v2()),
            ("GET", ["runs", run, "nodes", node, "artifacts", name], "read") => self.read_artifact(run, node, name),
            ("GET", ["runs", id], "") => self.get_run_v2(id),
            ("DELETE", ["runs", id], "") => self.delete_run(id),
            ("POST", ["runs", id], "archive" | "unarchive") => self.archive_run(id, verb == "archive"),
            ("POST", ["runs", id], "terminate") => self.terminate_run(id),
            ("POST", ["runs", id], "retry") => self.retry_run(id),

            ("POST", ["recurringruns"], "") => self.create_recurring_run(false),
            ("GET", ["recurringruns"], "") => self.list_recurring_runs(namespace, experiment, false),
            ("GET", ["recurringruns", id], "") => self.get_recurring_run(id, false),
            ("DELETE", ["recurringruns", id], "") => self.delete_recurring_run(id),
            ("POST", ["recurringruns", id], "enable" | "disable") => self.enable_recurring_run(id, verb == "enable"),

            ("POST", ["workflows"], "") => self.report_workflow(),
            ("POST", ["scheduledworkflows"], "") => self.report_scheduled_workflow(),
            _ => return None,
        })
    }

    fn route_v1(&mut self, rest: &[&str], verb: &str) -> Option<Handled> {
        let call = self.call;
        let (experiment, namespace) = self.v1_scope();
        Some(match (call.method.as_str(), rest, verb) {
            ("POST", ["experiments"], "") => self.create_experiment(true),
            ("GET", ["experiments"], "") => self.list_experiments(&namespace, true),
            ("GET", ["experiments", id], "") => self.get_experiment(id, true),
            ("DELETE", ["experiments", id], "") => self.delete_experiment(id),
            ("POST", ["experiments", id], "archive" | "unarchive") => self.archive_experiment(id, verb == "archive"),

            (_, ["pipelines", "upload"], "") => self.upload_pipeline(true),
            (_, ["pipelines", "upload_version"], "") => self.upload_version(true),
            ("POST", ["pipelines"], "") => self.create_pipeline_v1(),
            ("GET", ["pipelines"], "") => self.list_pipelines(&namespace, true),
            ("GET", ["pipelines", id], "") => self.get_pipeline(id, true),
            ("DELETE", ["pipelines", id], "") => self.delete_pipeline(id, true),
            ("GET", ["pipelines", id, "templates"], "") => self.get_template(id, true),
            ("POST", ["pipelines", id, "default_version", version], "") => self.set_default_version(id, version),
            ("GET", ["namespaces", namespace, "pipelines", name], "") if self.generation().has_v2() => {
                self.get_pipeline_by_name(name, if *namespace == "-" { "" } else { namespace }, true)
            }
            ("POST", ["pipeline_versions"], "") => self.create_version(true),
            ("GET", ["pipeline_versions"], "") => {
                let id = if call.query("resource_key.type") == "PIPELINE" {
                    call.query("resource_key.id")
                } else {
                    ""
                };
                self.list_versions(id, true)
            }
            ("GET", ["pipeline_versions", id], "") => self.get_version(id, true),
            ("DELETE", ["pipeline_versions", id], "") => self.delete_version(id),
            ("GET", ["pipeline_versions", id, "templates"], "") => self.get_template(id, false),

            ("POST", ["runs"], "") => self.create_run_v1(),
            ("GET", ["runs"], "") => self.list_runs_v1(),
            ("GET", ["runs", run, "nodes", node, "artifacts", name], "read") => self.read_artifact(run, node, name),
            ("GET", ["runs", id], "") => self.get_run_v1(id),
            ("DELETE", ["runs", id], "") => self.delete_run(id),
            ("POST", ["runs", id], "archive" | "unarchive") => self.archive_run(id, verb == "archive"),
            ("POST", ["runs", id], "reportMetrics") => self.report_metrics(id),
            ("POST", ["runs", id, "terminate"], "") => self.terminate_run(id),
            ("POST", ["runs", id, "retry"], "") => self.retry_run(id),

            ("POST", ["jobs"], "") => self.create_recurring_run(true),
            ("GET", ["jobs"], "") => self.list_recurring_runs(&namespace, &experiment, true),
            ("GET", ["jobs", id], "") => self.get_recurring_run(id, true),
            ("DELETE", ["jobs", id], "") => self.delete_recurring_run(id),
            ("POST", ["jobs", id, verb @ ("enable" | "disable")], "") => {
                self.enable_recurring_run(id, *verb == "enable")
            }

            ("POST", ["workflows"], "") => self.report_workflow(),
            ("POST", ["scheduledworkflows"], "") => self.report_scheduled_workflow(),
            ("POST", ["visualizations", namespace], "") => self.create_visualization(namespace),
            ("GET", ["auth"], "") => self.check_auth(),
            _ => return None,
        })
    }

    fn check_auth(&self) -> Handled {
        let namespace = self.call.query("namespace");
        let verb = self.call.query("verb").to_lowercase();
        let access = Access {
            verb: &verb,
            resource: "viewers",
            name: "",
            subject: "",
        };
        self.authorize(namespace, access).map(|()| Answer::empty())
    }
}
