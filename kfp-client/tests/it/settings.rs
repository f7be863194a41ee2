//! Settings as they show on the wire.

use std::sync::{Arc, Mutex};

use kfp_client::{Config, Error, RunId};
use serde_json::json;

use crate::scripted::{Act, Seen, Server};

fn value(seen: &Seen, name: &str) -> Option<String> {
    seen.head.lines().find_map(|line| {
        let (header, value) = line.split_once(": ")?;
        header.eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

async fn server() -> Server {
    Server::start(|_, _| Act::json(200, json!({"multi_user": true}))).await
}

#[tokio::test]
async fn a_mounted_token_is_read_again_for_each_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "first\n").unwrap();
    let server = server().await;
    let variables = [
        ("KF_PIPELINES_ENDPOINT", format!("http://{}/", server.address)),
        ("KF_PIPELINES_SA_TOKEN_PATH", path.display().to_string()),
    ];
    let lookup = |name: &str| {
        variables
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.clone())
    };
    let client = Config::from_lookup(lookup).unwrap().build().unwrap();
    client.health().await.unwrap();
    std::fs::write(&path, "second").unwrap();
    client.health().await.unwrap();
    let sent: Vec<_> = server
        .seen()
        .iter()
        .filter_map(|seen| value(seen, "authorization"))
        .collect();
    assert_eq!(sent, ["Bearer first", "Bearer second"]);
    for bad in ["", "a\nb"] {
        std::fs::write(&path, bad).unwrap();
        let error = client.health().await.unwrap_err();
        assert!(
            matches!(error, Error::Middleware(_)) && error.to_string().contains("token"),
            "{error}"
        );
    }
    std::fs::remove_file(&path).unwrap();
    let error = client.health().await.unwrap_err();
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    assert_eq!(server.seen().len(), 2, "nothing is sent without the token");
}

#[tokio::test]
async fn the_context_file_of_the_python_client_logs_in() {
    let folder = tempfile::tempdir().unwrap();
    let kfp = folder.path().join(".config/kfp");
    std::fs::create_dir_all(&kfp).unwrap();
    let context = json!({"namespace": "team-a", "client_authentication_cookie": "authservice_session=secret",
        "client_authentication_header_name": "X-Auth", "client_authentication_header_value": "secret too"});
    std::fs::write(kfp.join("context.json"), context.to_string()).unwrap();
    let server = server().await;
    let (endpoint, home) = (
        format!("http://{}", server.address),
        folder.path().display().to_string(),
    );
    let config = Config::from_lookup(|name| match name {
        "KF_PIPELINES_ENDPOINT" => Some(endpoint.clone()),
        "HOME" => Some(home.clone()),
        _ => None,
    })
    .unwrap();
    assert_eq!(config.default_namespace(), Some("team-a"));
    assert!(!format!("{config:?}").contains("secret"));
    config.build().unwrap().health().await.unwrap();
    let seen = &server.seen()[0];
    assert_eq!(value(seen, "cookie").as_deref(), Some("authservice_session=secret"));
    assert_eq!(value(seen, "x-auth").as_deref(), Some("secret too"));
}

#[tokio::test]
async fn a_proxy_gets_the_request_whole() {
    let proxy = server().await;
    let config = Config::new("http://kfp.example.com/pipeline").proxy(format!("http://u:p@{}", proxy.address));
    config.token("t").build().unwrap().health().await.unwrap();
    let seen = &proxy.seen()[0];
    assert_eq!(seen.target, "http://kfp.example.com/pipeline/apis/v2beta1/healthz");
    assert!(value(seen, "proxy-authorization").is_some());
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn each_call_has_a_span_with_its_name_attempt_and_status_and_no_secret() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::CLOSE)
        .with_writer(move || writer.clone())
        .finish();
    let server = Server::start(|_, number| match number {
        0 => Act::Headers(503, vec![("retry-after", "0".to_owned())], String::new()),
        _ => Act::json(200, json!({"run_id": "r1"})),
    })
    .await;
    let config = Config::new(format!("http://{}", server.address)).token("secret-token");
    let client = config.build().unwrap();
    {
        let _guard = tracing::subscriber::set_default(subscriber);
        client.runs().get(&RunId::new("r1")).await.unwrap();
    }
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let close = text
        .lines()
        .find(|line| line.contains("kfp_call{") && line.contains("close"));
    let close = close.unwrap_or_else(|| panic!("no span in {text}"));
    assert!(
        close.contains("operation=\"runs.get\"") && close.contains("status=200"),
        "{close}"
    );
    assert!(close.contains("attempt=2"), "{close}");
    assert!(!text.contains("secret-token"), "{text}");
}
