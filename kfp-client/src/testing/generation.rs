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

    #[tokio::test]
    async fn servers_before_2_14_know_neither_names_beside_shown_ones_nor_tags() {
        let old = server(Generation::V2_5, false).await;
        let named = json!({"name": "n", "tags": {"a": "b"}});
        let (status, refusal) = ask(&old, "POST", "v2beta1/pipelines", Some(named.clone())).await;
        let text =
            "Failed to create a pipeline due to server error: Invalid input error: pipeline's name cannot be empty";
        assert_eq!((status, &refusal["message"]), (400, &json!(text)));
        let both = json!({"name": "n", "display_name": "shown", "tags": {"a": "b"}});
        let (status, made) = ask(&old, "POST", "v2beta1/pipelines", Some(both)).await;
        assert_eq!(
            (status, &made["display_name"], made.get("name"), made.get("tags")),
            (200, &json!("shown"), None, None)
        );
        // The shown name is the one that is unique, and by which it is found.
        let (status, found) = ask(&old, "GET", "v2beta1/pipelines/names/shown", None).await;
        assert_eq!((status, &found["pipeline_id"]), (200, &made["pipeline_id"]));
        assert_eq!(ask(&old, "GET", "v2beta1/pipelines/names/n", None).await.0, 404);
        let new = server(Generation::V2_17, false).await;
        let (status, made) = ask(&new, "POST", "v2beta1/pipelines", Some(named)).await;
        assert_eq!(
            (status, &made["display_name"], &made["tags"]["a"]),
            (200, &json!("n"), &json!("b"))
        );
    }

    #[tokio::test]
    async fn text_parameters_have_a_common_limit() {
        for generation in [Generation::V1_8, Generation::V2_5, Generation::V2_17] {
            let server = server(generation, false).await;
            let workflow: Value = serde_json::from_str(WORKFLOW).unwrap();
            let with = |value: &str| {
                let mut workflow = workflow.clone();
                workflow["spec"]["arguments"] = json!({"parameters": [{"name": "p", "value": value}]});
                workflow.to_string()
            };
            // `[{"name":"p","value":""}]` has 25 bytes, and `<` has six.
            for (most, more) in [("x".repeat(9_975), "x"), ("<".repeat(1_662) + "xxx", "<")] {
                for (fits, value) in [(true, most.clone()), (false, most + more)] {
                    let spec = json!({"workflow_manifest": with(""), "parameters": [{"name": "p", "value": value}]});
                    let run = json!({"name": "r", "pipeline_spec": spec});
                    let job = json!({"name": "j", "pipeline_spec": spec, "max_concurrency": 1, "enabled": true,
                        "trigger": {"periodic_schedule": {"interval_second": 60}}});
                    let upload = upload(&server, "v1beta1/pipelines/upload", &with(&value)).await;
                    let expected = if generation == Generation::V1_8 { 400 } else { 500 };
                    let stored = if generation == Generation::V2_17 { 400 } else { 500 };
                    for ((status, answer), refused) in [
                        (ask(&server, "POST", "v1beta1/runs", Some(run)).await, expected),
                        (ask(&server, "POST", "v1beta1/jobs", Some(job)).await, expected),
                        (upload, stored),
                    ] {
                        let case = format!("{generation}, {} bytes: {answer}", value.len());
                        assert_eq!(status, if fits { 200 } else { refused }, "{case}");
                        let told = case.contains("The input parameter length exceed maximum size of 10000.");
                        assert_eq!(told, !fits, "{case}");
                    }
                    if fits {
                        let all = ask(&server, "GET", "v1beta1/pipelines", None).await.1;
                        let id = all["pipelines"][0]["id"].as_str().unwrap();
                        let path = format!("v1beta1/pipelines/{id}");
                        if generation.has_v2() {
                            let version = all["pipelines"][0]["default_version"]["id"].as_str().unwrap();
                            let path = format!("v1beta1/pipeline_versions/{version}");
                            assert_eq!(ask(&server, "DELETE", &path, None).await.0, 200);
                        }
                        assert_eq!(ask(&server, "DELETE", &path, None).await.0, 200);
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn uploads_are_refused_in_the_words_of_each_generation() {
        let invalid = "InvalidInputError: unknown template format: pipeline spec is invalid";
        for (generation, expected) in [
            (
                Generation::V1_8,
                [
                    (500, format!("Error creating pipeline: Create pipeline failed: {invalid}")),
                    (
                        500,
                        "Error creating pipeline: Create pipeline failed: Already exist error: Failed to create a new \
                         pipeline. The name p already exist. Please specify a new name."
                            .to_owned(),
                    ),
                    (
                        500,
                        "Error creating pipeline version: Create pipeline version failed: Already exist error: Failed to \
                         create a new pipeline version. The name v already exist. Please specify a new name."
                            .to_owned(),
                    ),
                    (400, "Please specify a pipeline id when creating versions.".to_owned()),
                ],
            ),
            (
                Generation::V2_5,
                [
                    (
                        500,
                        format!(
                            "Failed to create a pipeline and a pipeline version: Failed to create a pipeline and a \
                             pipeline version due to template creation error: {invalid}"
                        ),
                    ),
                    (
                        409,
                        "Failed to create a pipeline and a pipeline version. The pipeline already exists.: Failed to \
                         create a pipeline and a pipeline version: Already exist error: Failed to create a new pipeline. \
                         The name p already exists. Please specify a new name"
                            .to_owned(),
                    ),
                    (
                        409,
                        "Failed to create a pipeline version. The pipeline already exists.: Failed to create pipeline \
                         version in PipelineStore: Already exist error: Failed to create a new pipeline version. The \
                         name v already exist. Specify a new name"
                            .to_owned(),
                    ),
                    (
                        400,
                        "Failed to create a pipeline version due to error reading pipeline id".to_owned(),
                    ),
                ],
            ),
            (
                Generation::V2_17,
                [
                    (400, "unknown template format".to_owned()),
                    (409, "Failed to create a pipeline and a pipeline version".to_owned()),
                    (409, "Failed to create a pipeline version".to_owned()),
                    (400, "Failed to create a pipeline version".to_owned()),
                ],
            ),
        ] {
            let server = server(generation, false).await;
            let (_, made) = upload(&server, "v1beta1/pipelines/upload?name=p", WORKFLOW).await;
            let version = format!(
                "v1beta1/pipelines/upload_version?name=v&pipelineid={}",
                made["id"].as_str().unwrap()
            );
            assert_eq!(upload(&server, &version, WORKFLOW).await.0, 200);
            for ((path, document), expected) in [
                ("v1beta1/pipelines/upload?name=q", "{}"),
                ("v1beta1/pipelines/upload?name=p", WORKFLOW),
                (version.as_str(), WORKFLOW),
                ("v1beta1/pipelines/upload_version?name=w", WORKFLOW),
            ]
            .into_iter()
            .zip(expected)
            {
                let (status, answer) = upload(&server, path, document).await;
                let told = answer["error_message"].as_str().unwrap_or_default().to_owned();
                assert_eq!((status, told), expected, "{generation} {path}");
            }
        }
    }
}
