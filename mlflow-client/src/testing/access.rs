//! Which hosts and pages the server answers (MLflow 3): the others could be pages that a browser was led to.

use wiremock::Request;

use super::answer::{Handled, Refusal};
use super::state::State;

/// Checks a request as a server with default settings does.
pub(super) fn check(state: &State, request: &Request) -> Handled<()> {
    let path = request.url.path();
    if !state.is_3() || matches!(path, "/health" | "/version") {
        return Ok(());
    }
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    if !state.any_host && header("host").is_some_and(|host| !is_known(host)) {
        return Err(Refusal::Text(
            403,
            "Invalid Host header - possible DNS rebinding attack detected".to_owned(),
        ));
    }
    let changes = matches!(request.method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE");
    if changes && header("origin").is_some_and(|origin| !is_local_page(origin)) {
        return Err(Refusal::Text(403, "Cross-origin request blocked".to_owned()));
    }
    Ok(())
}

fn without_port(host: &str) -> &str {
    if host.starts_with('[') {
        return host
            .split_once(']')
            .map_or(host, |(address, _)| address)
            .trim_start_matches('[');
    }
    host.split(':').next().unwrap_or(host)
}

/// Names of this machine and private addresses.
fn is_known(host: &str) -> bool {
    let name = without_port(host);
    let second = || name.split('.').nth(1).and_then(|part| part.parse::<u8>().ok());
    matches!(name, "localhost" | "127.0.0.1" | "::1" | "0.0.0.0")
        || name.starts_with("10.")
        || name.starts_with("192.168.")
        || name.starts_with("172.") && second().is_some_and(|part| (16..=31).contains(&part))
        || name.starts_with("fc00:")
        || name.starts_with("fd00:")
}

fn is_local_page(origin: &str) -> bool {
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    matches!(without_port(host), "localhost" | "127.0.0.1" | "::1")
}
