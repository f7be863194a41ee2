//! Kubeflow's central dashboard: what lies behind the gateway where nothing else does.

use http::{HeaderMap, Method, header};
use serde_json::json;
use wiremock::{Request, Respond, ResponseTemplate};

use super::message::{Incoming, Reply};
use super::pages;

/// The user that the dashboard believes in where the gateway named none.
const ANONYMOUS: &str = "anonymous@kubeflow.org";

pub(super) struct Dashboard {
    pub(super) namespaces: Vec<String>,
}

impl Respond for Dashboard {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        self.reply(Incoming::new(request)).into()
    }
}

impl Dashboard {
    pub(super) fn reply(&self, request: Incoming<'_>) -> Reply {
        let user = user(&request.request.headers);
        match (request.method(), request.path()) {
            (&Method::GET | &Method::HEAD, "/api/workgroup/exists") => Reply::json(
                200,
                &json!({
                    "hasAuth": user.is_some(),
                    "user": user.unwrap_or(ANONYMOUS).split('@').next(),
                    "hasWorkgroup": user.is_some() && !self.namespaces.is_empty(),
                    "registrationFlowAllowed": false,
                }),
            ),
            (&Method::GET | &Method::HEAD, "/api/workgroup/env-info") => {
                let owner = user.unwrap_or(ANONYMOUS);
                let namespaces: Vec<_> = self
                    .namespaces
                    .iter()
                    .filter(|_| user.is_some())
                    .map(|namespace| json!({ "namespace": namespace, "role": "owner", "user": owner }))
                    .collect();
                Reply::json(
                    200,
                    &json!({
                        "user": owner,
                        "platform": { "provider": "other", "providerName": "other", "kubeflowVersion": "unknown" },
                        "namespaces": namespaces,
                        "isClusterAdmin": false,
                    }),
                )
            }
            (_, path) if path.starts_with("/api/") => {
                Reply::json(404, &json!({ "error": "Could not find the route you're looking for" }))
            }
            // A single-page application: any path is its index page, so HTML with status 200 proves nothing.
            (&Method::GET | &Method::HEAD, _) => Reply::html(200, pages::dashboard()),
            (&Method::OPTIONS, _) => Reply::empty(200).header(header::ALLOW, "GET,HEAD"),
            (method, path) => Reply::html(404, format!("<pre>Cannot {method} {}</pre>\n", pages::escape(path))),
        }
    }
}

fn user(headers: &HeaderMap) -> Option<&str> {
    headers.get("kubeflow-userid").and_then(|value| value.to_str().ok())
}
