//! Pipelines that the server fetches from a URL.

use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

async fn shelf() -> MockServer {
    let shelf = MockServer::start().await;
    let document = pipeline(&["echo"]).to_string();
    Mock::given(path("/p.yaml"))
        .respond_with(ResponseTemplate::new(200).set_body_string(document))
        .mount(&shelf)
        .await;
    shelf
}

#[tokio::test]
async fn a_pipeline_and_further_versions_come_from_a_url() {
    let shelf = shelf().await;
    let server = KfpServer::builder().validate_pipeline_urls(false).build().start().await;
    let asker = Asker::new(&server);
    let url = json!({"pipeline_url": format!("{}/p.yaml", shelf.uri())});
    let body = json!({
        "pipeline": {"display_name": "p", "tags": {"a": "b"}},
        "pipeline_version": {"package_url": url, "tags": {"v": "1"}},
    });
    let (status, made) = asker.ask("POST", "pipelines/create", Some(body)).await.unwrap();
    assert_eq!((status, &made["tags"]), (200, &json!({"a": "b"})), "{made}");
    let id = made["pipeline_id"].as_str().unwrap();
    let body = json!({"pipeline_id": id, "display_name": "two", "package_url": url, "code_source_url": "https://git"});
    let (status, two) = asker
        .ask("POST", &format!("pipelines/{id}/versions"), Some(body))
        .await
        .unwrap();
    assert_eq!((status, &two["package_url"]), (200, &url), "{two}");
    assert_eq!(two["pipeline_spec"]["pipelineInfo"]["name"], "quick");
    let (_, versions) = asker
        .ask("GET", &format!("pipelines/{id}/versions"), None)
        .await
        .unwrap();
    let versions = versions["pipeline_versions"].as_array().unwrap();
    let first = versions.iter().find(|version| version["display_name"] == "p").unwrap();
    assert_eq!(first["tags"], json!({"v": "1"}));
    let version = two["pipeline_version_id"].as_str().unwrap();
    let (_, old) = asker
        .ask("GET", &format!("/apis/v1beta1/pipeline_versions/{version}"), None)
        .await
        .unwrap();
    assert_eq!(old["code_source_url"], "https://git");
}

#[tokio::test]
async fn a_url_that_fails_gets_the_error_of_its_generation() {
    let shelf = shelf().await;
    for (generation, missing, gone) in [
        (Generation::V1_8, 500, "Failed to download the pipeline from "),
        (Generation::V2_5, 400, "error downloading the pipeline spec from "),
        (Generation::V2_17, 400, "error downloading the pipeline spec from "),
    ] {
        let builder = KfpServer::builder().generation(generation);
        let server = builder.validate_pipeline_urls(false).build().start().await;
        let asker = Asker::new(&server);
        let body = |url: String| Some(json!({"name": "p", "url": {"pipeline_url": url}}));
        let path = "/apis/v1beta1/pipelines";
        let answer = asker
            .ask("POST", path, body(format!("{}/nothing.yaml", shelf.uri())))
            .await
            .unwrap();
        assert_eq!(answer.0, missing, "{answer:?}");
        let answer = asker
            .ask("POST", path, body("http://127.0.0.1:9/p.yaml".to_owned()))
            .await
            .unwrap();
        assert_eq!(answer.0, 500, "{answer:?}");
        assert!(answer.1["message"].as_str().unwrap().contains(gone), "{answer:?}");
    }
    // Newer servers do not even try.
    let server = KfpServer::builder().build().start().await;
    let asker = Asker::new(&server);
    let body = json!({"pipeline": {"display_name": "p"},
        "pipeline_version": {"package_url": {"pipeline_url": format!("{}/p.yaml", shelf.uri())}}});
    let (status, answer) = asker.ask("POST", "pipelines/create", Some(body)).await.unwrap();
    assert_eq!(
        (status, &answer["details"][0]["message"]),
        (400, &json!("Pipeline URL validation failed"))
    );
}
