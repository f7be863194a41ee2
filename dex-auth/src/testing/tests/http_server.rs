//! The gateway on a port, and mounted on a caller's server.

use std::net::TcpListener;

use wiremock::matchers::any;
use wiremock::{Mock, MockServer};

use crate::testing::{Gateway, Release};

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

#[tokio::test]
async fn it_listens_where_it_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let gateway = Gateway::builder().listener(listener).start().await;
    assert_eq!(gateway.url(), format!("http://{address}"));
    let answer = client()
        .get(format!("{}/api/workgroup/env-info", gateway.url()))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.text().await.unwrap(), "{}");
    assert_eq!(gateway.clone().requests().len(), 1);
}

#[tokio::test]
async fn it_can_be_mounted_on_another_server() {
    let gateway = Gateway::builder().release(Release::Kubeflow1_8).build();
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(gateway.clone()).mount(&server).await;
    let answer = client().get(server.uri()).send().await.unwrap();
    assert_eq!(answer.status(), 302);
    assert!(answer.headers()["location"].to_str().unwrap().starts_with("/dex/auth?"));
    assert!(
        answer.headers()["set-cookie"]
            .to_str()
            .unwrap()
            .ends_with("Max-Age=1200000000000")
    );
    assert_eq!(gateway.requests().len(), 1);
}
