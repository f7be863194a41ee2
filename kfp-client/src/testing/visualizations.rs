//! Visualizations of the v1beta1 API.

use serde_json::{Value, json};

use super::access::Access;
use super::answer::{Answer, Message, Refusal};
use super::call::Json;
use super::context::Context;
use super::messages::V1_VISUALIZATION;

impl Context<'_> {
    /// A visualization, as the service that a full installation has would draw it.
    pub(super) fn create_visualization(&mut self, namespace: &str) -> Result<Answer, Refusal> {
        let body = self.body(&V1_VISUALIZATION)?;
        let kind = body.text("type");
        let source = body.text("source");
        if kind != "CUSTOM" && source.is_empty() {
            let text = format!("A visualization requires a Source to be provided. Received {source}");
            return Err(Refusal::invalid(text));
        }
        let arguments = match body.text("arguments") {
            "" => "{}",
            given => given,
        };
        if serde_json::from_str::<Value>(arguments).is_err() {
            return Err(Refusal::invalid(format!(
                "A visualization requires valid JSON to be provided as Arguments. Received {arguments}"
            )));
        }
        if !namespace.is_empty() {
            let access = Access {
                verb: "create",
                resource: "visualizations",
                name: "",
                subject: "",
            };
            self.authorize(namespace, access)
                .map_err(|refusal| refusal.context("Failed to authorize on namespace"))?;
        }
        let html = format!(
            "<!doctype html><title>{}</title><pre>{}</pre>",
            if kind.is_empty() { "ROC_CURVE" } else { kind },
            json!({"source": source, "arguments": arguments})
                .to_string()
                .replace('<', "&lt;"),
        );
        let message = Message::new().text("type", if kind == "ROC_CURVE" { "" } else { kind });
        Ok(Answer::Json(
            message
                .text("source", source)
                .text("arguments", arguments)
                .text("html", &html)
                .done(),
        ))
    }
}
