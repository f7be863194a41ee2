//! A fake provider on an origin of its own: a port of the loopback interface.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::super::authservice::http_date;
use super::super::clock::Clock;
use super::super::message::{Incoming, Reply};

/// What stands on an origin.
pub(in crate::testing) trait Site: Send + Sync + 'static {
    fn respond(&self, request: Incoming<'_>) -> Reply;

    fn clock(&self) -> &Clock;
}

/// A free port, and the origin that it makes, without a slash at the end: pages hold absolute addresses, so a site has to
/// know its own before it is served.
///
/// # Panics
///
/// If no port of the loopback address can be had.
#[expect(clippy::expect_used, reason = "without a port there is nothing to test with")]
pub(in crate::testing) fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound port has an address");
    (listener, format!("http://{address}"))
}

/// Serves a site until the last handle of the server goes.
pub(in crate::testing) async fn serve<S: Site>(listener: TcpListener, site: Arc<S>) -> Arc<MockServer> {
    let server = MockServer::builder()
        .listener(listener)
        .disable_request_recording()
        .start()
        .await;
    let respond = move |request: &Request| {
        let answer: ResponseTemplate = site.respond(Incoming::new(request)).into();
        answer.insert_header("date", http_date(Some(site.clock().now())).as_str())
    };
    Mock::given(any()).respond_with(respond).mount(&server).await;
    Arc::new(server)
}
