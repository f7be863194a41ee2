//! What the server tells of its requests.

use super::*;

#[tokio::test]
async fn a_request_is_told_by_operation_ids_user_and_answer() {
    let kfp = KfpServer::builder()
        .multi_user(true)
        .owner("ann@example.com", "team-a")
        .build();
    let server = kfp.start().await;
    let asker = Asker::new(&server);
    let url = format!("{}/apis/v2beta1/experiments", asker.url);
    let body = json!({"display_name": "e", "namespace": "team-a"}).to_string();
    let request = asker
        .client
        .post(url)
        .header("kubeflow-userid", "ann@example.com")
        .body(body);
    let made = sent(request).await;
    let run = json!({
        "run_id": "mine", "display_name": "r", "experiment_id": made["experiment_id"],
        "pipeline_version_reference": {"pipeline_id": "p", "pipeline_version_id": "v"},
    });
    asker.ask("POST", "runs", Some(run.clone())).await.unwrap();
    asker
        .ask("GET", "/apis/v1beta1/runs/r/nodes/n/artifacts/a:read", None)
        .await;
    asker
        .ask(
            "GET",
            "/apis/v1beta1/pipeline_versions?resource_key.type=PIPELINE&resource_key.id=p",
            None,
        )
        .await;
    asker.ask("GET", "nothing", None).await;

    let requests = kfp.requests();
    let told: Vec<_> = requests
        .iter()
        .map(|request| (request.operation, request.version, request.status))
        .collect();
    assert_eq!(
        told,
        [
            (Some(Operation::CreateExperiment), Some(ApiVersion::V2beta1), Some(200)),
            (Some(Operation::CreateRun), Some(ApiVersion::V2beta1), Some(401)),
            (Some(Operation::ReadArtifact), Some(ApiVersion::V1beta1), Some(403)),
            (
                Some(Operation::ListPipelineVersions),
                Some(ApiVersion::V1beta1),
                Some(404)
            ),
            (None, None, Some(404)),
        ]
    );
    assert_eq!(requests[0].user.as_deref(), Some("ann@example.com"));
    assert_eq!(requests[0].namespace.as_deref(), Some("team-a"));
    let ids = &requests[1].ids;
    assert_eq!(ids.run.as_deref(), Some("mine"));
    assert_eq!(ids.experiment.as_deref(), made["experiment_id"].as_str());
    assert_eq!(
        (ids.pipeline.as_deref(), ids.version.as_deref()),
        (Some("p"), Some("v"))
    );
    assert_eq!(requests[1].body, Some(run));
    let ids = &requests[2].ids;
    assert_eq!((ids.node.as_deref(), ids.artifact.as_deref()), (Some("n"), Some("a")));
    assert_eq!(requests[3].ids.pipeline.as_deref(), Some("p"));
    kfp.clear_requests();
    assert!(kfp.requests().is_empty());
}

/// Every operation that the server answers is told by its name, and none is told as another.
#[test]
fn each_operation_has_its_own_name() {
    let mut names: Vec<&str> = Operation::ALL.iter().map(|operation| operation.as_str()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}
