//! Bodies that are too long, too slow or never come: each is answered, and none is waited for without a limit.

use std::time::{Duration, Instant};

use orchestrator_core::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::serve_with;

/// Far above what an answer takes and far below the time limit of a body.
const AT_ONCE: Duration = Duration::from_secs(10);

async fn connect(url: &str) -> TcpStream {
    TcpStream::connect(url.trim_start_matches("http://")).await.unwrap()
}

fn head(path: &str, more: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: orchestrator\r\nContent-Type: application/json\r\n{more}\r\n\r\n")
}

/// What is answered until the connection ends.
async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    tokio::time::timeout(AT_ONCE, stream.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8(answer).unwrap()
}

fn is_problem(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
}

#[tokio::test]
async fn a_length_above_the_limit_is_refused_before_the_body_comes() {
    let url = serve_with(Settings::default()).await;
    for path in ["/train", "/evaluate", "/deploy"] {
        let begun = Instant::now();
        let mut stream = connect(&url).await;
        let request = head(path, "Content-Length: 99999999999");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut first = [0; 1024];
        let read = tokio::time::timeout(AT_ONCE, stream.read(&mut first))
            .await
            .expect("no answer")
            .unwrap();
        is_problem(std::str::from_utf8(&first[..read]).unwrap(), 413);
        assert!(begun.elapsed() < AT_ONCE);
    }
}

#[tokio::test]
async fn who_still_sends_a_body_that_is_too_long_reads_the_answer_all_the_same() {
    let url = serve_with(Settings::default()).await;
    let body = "x".repeat(8 * 1024 * 1024);
    for (framing, body) in [
        (format!("Content-Length: {}", body.len()), body.clone()),
        (
            "Transfer-Encoding: chunked".to_owned(),
            format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
        ),
    ] {
        let mut stream = connect(&url).await;
        let request = head("/train", &format!("Connection: close\r\n{framing}"));
        stream.write_all(request.as_bytes()).await.unwrap();
        tokio::time::timeout(AT_ONCE, stream.write_all(body.as_bytes()))
            .await
            .expect("nobody reads")
            .unwrap();
        is_problem(&answer(&mut stream).await, 413);
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_waited_for_only_so_long() {
    let url = serve_with(Settings::default().body_timeout(Duration::from_millis(200))).await;
    for (framing, begun) in [
        ("Content-Length: 100", ""),
        ("Content-Length: 100", "{\"git_sha\":"),
        ("Transfer-Encoding: chunked", "4\r\n{\"gi\r\n"),
    ] {
        let mut stream = connect(&url).await;
        stream.write_all(head("/train", framing).as_bytes()).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        is_problem(&answer(&mut stream).await, 408);
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_failure_of_the_service() {
    let url = serve_with(Settings::default()).await;
    let mut stream = connect(&url).await;
    let request = head("/train", "Content-Length: 100");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = answer(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
}
