//! The server generations this fake imitates, as switches.

use std::fmt;
use std::str::FromStr;

/// A generation of Kubeflow Pipelines API servers.
///
/// The names are those of the releases whose answers were recorded; the releases around them answer alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Generation {
    /// 1.8: `v1beta1` alone, Argo manifests alone.
    V1_8,
    /// 2.0 to 2.5: both versions of the API, unknown request fields are dropped.
    V2_5,
    /// 2.14 and later: both versions, unknown request fields are refused, errors are `google.rpc.Status`.
    #[default]
    V2_17,
}

impl Generation {
    /// The release as the health endpoint gives it.
    pub fn tag(self) -> &'static str {
        match self {
            Self::V1_8 => "1.8.22",
            Self::V2_5 => "2.5.0",
            Self::V2_17 => "2.17.0",
        }
    }

    pub(super) fn has_v2(self) -> bool {
        self != Self::V1_8
    }

    /// grpc-gateway v2 with protojson instead of v1 with jsonpb: strict bodies, JSON for routing errors.
    pub(super) fn new_gateway(self) -> bool {
        self == Self::V2_17
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1_8 => "1.8",
            Self::V2_5 => "2.5",
            Self::V2_17 => "2.17",
        })
    }
}

/// The text names no known generation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown generation {0:?}: one of 1.8, 2.5, 2.17")]
pub struct UnknownGeneration(String);

impl FromStr for Generation {
    type Err = UnknownGeneration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "1.8" => Ok(Self::V1_8),
            "2.5" => Ok(Self::V2_5),
            "2.17" => Ok(Self::V2_17),
            other => Err(UnknownGeneration(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{KfpServer, RunningKfpServer};
    use super::*;

    const SPEC: &str = r#"{"pipelineInfo": {"name": "p"}, "schemaVersion": "2.1.0",
        "root": {"dag": {"tasks": {"a": {"taskInfo": {"name": "a"}, "componentRef": {"name": "comp-a"}}}}},
        "components": {"comp-a": {"executorLabel": "exec-a"}},
        "deploymentSpec": {"executors": {"exec-a": {"container": {"image": "i", "command": ["c"]}}}}}"#;
    const WORKFLOW: &str = r#"{"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
        "metadata": {"generateName": "p-"}, "spec": {"entrypoint": "a",
        "templates": [{"name": "a", "container": {"image": "i", "command": ["c"]}}]}}"#;

    async fn server(generation: Generation, multi_user: bool) -> RunningKfpServer {
        let builder = KfpServer::builder().generation(generation).multi_user(multi_user);
        builder.owner("user", "team-a").build().start().await
    }

    async fn ask(server: &RunningKfpServer, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.request(method.parse().unwrap(), format!("{}/apis/{path}", server.url()));
        let request = request.header("kubeflow-userid", "user");
        let request = match body {
            Some(body) => request.body(body.to_string()),
            None => request,
        };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn upload(server: &RunningKfpServer, path: &str, document: &str) -> (u16, Value) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"uploadfile\"; filename=\"p.yaml\"\r\n\r\n{document}\r\n--b--\r\n"
        );
        let request = client.post(format!("{}/apis/{path}", server.url()));
        let request = request.header("kubeflow-userid", "user");
        let request = request.header("content-type", "multipart/form-data; boundary=b");
        let response = request.body(body).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    #[tokio::test]
    async fn flags_are_read_in_the_spelling_of_python() {
        let server = server(Generation::V2_17, false).await;
        for (cascade, status) in [
            ("", 400),
            ("?cascade=False", 400),
            ("?cascade=yes", 400),
            ("?cascade=True", 200),
        ] {
            let (_, pipeline) = upload(
                &server,
                &format!("v2beta1/pipelines/upload?name=p{status}{}", cascade.len()),
                SPEC,
            )
            .await;
            let path = format!(
                "v2beta1/pipelines/{}{cascade}",
                pipeline["pipeline_id"].as_str().unwrap()
            );
            assert_eq!(ask(&server, "DELETE", &path, None).await.0, status, "{cascade}");
        }
    }

    #[tokio::test]
    async fn a_known_path_with_another_method_is_told_from_an_unknown_one() {
        let patch = Some(json!({"display_name": "x"}));
        let old = server(Generation::V2_5, false).await;
        for path in [
            "v2beta1/pipelines/a",
            "v2beta1/pipelines/a/versions/b",
            "v1beta1/jobs/a/enable",
        ] {
            let told = ask(&old, "PATCH", path, patch.clone()).await;
            assert_eq!(told, (405, "Method Not Allowed\n".into()), "{path}");
        }
        let told = ask(&old, "PATCH", "v2beta1/pipelines/a/b", patch).await;
        assert_eq!(told, (404, "Not Found\n".into()));
    }

    #[tokio::test]
    async fn servers_of_1_8_filter_by_the_names_of_v1_alone() {
        let filter = |key: &str| {
            let filter = json!({"predicates": [{"op": "EQUALS", "key": key, "string_value": "x"}]});
            format!(
                "filter={}",
                url::form_urlencoded::byte_serialize(filter.to_string().as_bytes()).collect::<String>()
            )
        };
        let (old, new) = (
            server(Generation::V1_8, false).await,
            server(Generation::V2_5, false).await,
        );
        for (kind, known, unknown) in [
            ("runs", "status", "state"),
            ("runs", "id", "run_id"),
            ("experiments", "name", "display_name"),
            ("jobs", "name", "description"),
        ] {
            let of = |key: &str| format!("v1beta1/{kind}?{}", filter(key));
            assert_eq!(ask(&old, "GET", &of(known), None).await.0, 200, "{kind} {known}");
            assert_eq!(ask(&old, "GET", &of(unknown), None).await.0, 400, "{kind} {unknown}");
            assert_eq!(ask(&new, "GET", &of(unknown), None).await.0, 200, "{kind} {unknown}");
        }
        let sorted = ask(&old, "GET", "v1beta1/runs?sort_by=finished_at", None).await;
        assert_eq!(sorted.0, 400);
    }

    #[tokio::test]
    async fn older_servers_drop_what_concerns_plugins() {
        let spec: Value = serde_json::from_str(SPEC).unwrap();
        let body = json!({
            "display_name": "r", "pipeline_spec": spec, "plugins_input": {"mlflow": {}}, "plugins_output": {"mlflow": {}},
        });
        let old = server(Generation::V2_5, false).await;
        let (status, run) = ask(&old, "POST", "v2beta1/runs", Some(body.clone())).await;
        assert_eq!((status, run.get("plugins_input")), (200, None));
        let new = server(Generation::V2_17, false).await;
        assert_eq!(ask(&new, "POST", "v2beta1/runs", Some(body)).await.0, 409);
    }

    #[tokio::test]
    async fn shared_pipelines_are_guarded_by_the_newest_servers_alone() {
        for generation in [Generation::V1_8, Generation::V2_5, Generation::V2_17] {
            let server = server(generation, true).await;
            let (_, pipeline) = upload(&server, "v1beta1/pipelines/upload?name=p", WORKFLOW).await;
            let pipeline = pipeline["id"].as_str().unwrap();
            let path = format!("v1beta1/pipelines/upload_version?name=v&pipelineid={pipeline}&description=d");
            let (status, version) = upload(&server, &path, WORKFLOW).await;
            assert_eq!(
                (status, version["description"].as_str()),
                (200, Some("d")),
                "{generation}"
            );
            let path = format!("v1beta1/pipeline_versions/{}", version["id"].as_str().unwrap());
            let (status, _) = ask(&server, "DELETE", &path, None).await;
            let guarded = generation == Generation::V2_17;
            assert_eq!(status, if guarded { 403 } else { 200 }, "{generation}");
            if generation.has_v2() {
                let body = json!({"display_name": "made"});
                let (status, _) = ask(&server, "POST", "v2beta1/pipelines", Some(body)).await;
                assert_eq!(status, if guarded { 403 } else { 200 }, "{generation}");
            }
        }
    }
}
