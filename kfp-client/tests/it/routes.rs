//! The fake serves the operations of its generation, and nothing else.

use kfp_client::testing::{Generation, KfpServer};
use serde_json::Value;

const FACTS: &str = include_str!("../facts/v2beta1.json");
const V1_FACTS: &str = include_str!("../facts-v1beta1.txt");

/// Declared, and served by no release.
const NOT_SERVED: [&str; 3] = [
    "/apis/v2beta1/auth",
    "/apis/v2beta1/filters",
    "/apis/v2beta1/visualizations/{namespace}",
];

/// Served beside what the descriptions of the API have.
const UNDESCRIBED: [(&str, &str); 3] = [
    ("GET", "/apis/v1alpha1/runs/{run_id}/nodes/{node_id}/log"),
    (
        "GET",
        "/apis/v1beta1/runs/{run_id}/nodes/{node_id}/artifacts/{artifact_name}:read",
    ),
    (
        "GET",
        "/apis/v2beta1/runs/{run_id}/nodes/{node_id}/artifacts/{artifact_name}:read",
    ),
];

/// All operations of the newest release, and since which generation there is one.
fn operations() -> Vec<(String, String, Generation)> {
    let facts: Value = serde_json::from_str(FACTS).unwrap();
    let described = facts["operations"].as_array().unwrap().iter().map(|operation| {
        let text = |index: usize| operation[index].as_str().unwrap().to_owned();
        (text(1), text(2))
    });
    let older = V1_FACTS.lines().filter_map(|line| {
        let mut words = line.strip_prefix("op ")?.split(' ');
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    });
    let beside = UNDESCRIBED.map(|(verb, path)| (verb.to_owned(), path.to_owned()));
    let all = described.chain(older).chain(beside);
    let live = all.filter(|(_, path)| !NOT_SERVED.contains(&path.as_str()));
    let since = live.map(|(verb, path)| {
        let since = if verb == "PATCH" {
            Generation::V2_17
        } else if path.starts_with("/apis/v2beta1/") || path.contains("/namespaces/") {
            Generation::V2_5
        } else {
            Generation::V1_8
        };
        (verb, path, since)
    });
    since.collect()
}

fn parts(path: &str) -> Vec<&str> {
    path.split(['/', ':']).collect()
}

/// Whether an operation's path stands for this one.
fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (parts(pattern), parts(path));
    let same = |(wanted, part): (&&str, &&str)| wanted.starts_with('{') || wanted == part;
    pattern.len() == path.len() && pattern.iter().zip(&path).all(same)
}

/// Handlers beside the gateway do not look at the method.
fn takes_all(pattern: &str) -> bool {
    ["/healthz", "/upload", "/upload_version", "/log"]
        .iter()
        .any(|end| pattern.ends_with(end))
}

/// Whether an answer says that nothing is served there.
fn is_absent(status: u16, text: &str) -> bool {
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    match status {
        404 => text == "Not Found\n" || body["code"] == 5 && body.get("details").is_none(),
        405 => true,
        501 => body["code"] == 12,
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_are_the_operations_of_each_generation() {
    let operations = operations();
    assert_eq!(operations.len(), 82);
    let mut wrong = Vec::new();
    for generation in [Generation::V1_8, Generation::V2_5, Generation::V2_17] {
        let fake = KfpServer::builder().generation(generation).build();
        let server = fake.start().await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        for (_, pattern, _) in &operations {
            // What a placeholder stands for does not matter.
            let path = pattern.replace(['{', '}'], "");
            for verb in ["GET", "POST", "DELETE", "PATCH", "PUT"] {
                let expected = operations.iter().any(|(method, pattern, since)| {
                    generation >= *since && (method == verb || takes_all(pattern)) && fits(pattern, &path)
                });
                let request = client.request(verb.parse().unwrap(), format!("{}{path}", server.url()));
                let answer = request
                    .body(if verb == "GET" { "" } else { "{}" })
                    .send()
                    .await
                    .unwrap();
                let status = answer.status().as_u16();
                let text = answer.text().await.unwrap();
                if expected == is_absent(status, &text) {
                    wrong.push(format!("{generation}: {verb} {path} is {status} {text}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
