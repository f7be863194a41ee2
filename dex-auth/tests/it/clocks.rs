//! Sessions that fail by a clock that is wrong.

use dex_auth::{BearerToken, Credentials, Error, Session};
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// A gateway whose login goes through, and which then refuses the session; its clock shows this.
async fn refuses(date: &str) -> MockServer {
    let server = MockServer::start().await;
    let to = |location: &str| {
        ResponseTemplate::new(302)
            .insert_header("location", location)
            .insert_header("date", date)
    };
    let mount = async |verb: &str, at: &str, answer: ResponseTemplate| {
        Mock::given(method(verb))
            .and(path(at))
            .respond_with(answer)
            .mount(&server)
            .await;
    };
    let authorize = "/dex/auth?client_id=c&response_type=code&redirect_uri=%2Foauth2%2Fcallback&state=s";
    let form = "<form method=post action='/dex/login'><input name=login><input name=password type=password></form>";
    mount("GET", "/oauth2/start", to(authorize)).await;
    mount(
        "GET",
        "/dex/auth",
        ResponseTemplate::new(200).set_body_raw(form, "text/html"),
    )
    .await;
    mount("POST", "/dex/login", to("/oauth2/callback?code=x&state=s")).await;
    mount(
        "GET",
        "/oauth2/callback",
        to("/").insert_header("set-cookie", "s=v; Path=/; Max-Age=60"),
    )
    .await;
    let unauthorized = ResponseTemplate::new(401).insert_header("date", date);
    mount(
        "GET",
        "/oauth2/auth",
        unauthorized.set_body_raw("Unauthorized", "text/plain"),
    )
    .await;
    server
}

#[tokio::test]
async fn a_session_that_is_refused_while_the_clocks_differ_is_the_clocks_fault() {
    let login = async |date: &str| {
        let server = refuses(date).await;
        let builder = Session::builder(&server.uri())
            .unwrap()
            .credentials(Credentials::new("u", "p"));
        let builder = builder.clock(|| "2026-01-01T12:00:00Z".parse().unwrap());
        builder.build().unwrap().login().await.unwrap_err()
    };
    let error = login("Thu, 01 Jan 2026 11:00:00 GMT").await;
    assert!(matches!(error, Error::ClockSkew { seconds: 3600, .. }), "{error}");
    let error = login("Thu, 01 Jan 2026 12:00:03 GMT").await;
    assert!(matches!(error, Error::SessionRejected { status: 401, .. }), "{error}");
}

#[tokio::test]
async fn a_token_of_the_future_is_the_clocks_fault_and_no_reason_for_another() {
    for (date, expected) in [
        ("Thu, 01 Jan 2026 11:00:00 GMT", 3600),
        ("Thu, 01 Jan 2026 12:00:00 GMT", 0),
    ] {
        let server = MockServer::start().await;
        let early = ResponseTemplate::new(401)
            .insert_header("date", date)
            .set_body_raw("Jwt not yet valid", "text/plain");
        Mock::given(any()).respond_with(early).expect(1).mount(&server).await;
        let builder = Session::builder(&server.uri()).unwrap().token(BearerToken::new("t"));
        let session = builder
            .clock(|| "2026-01-01T12:00:00Z".parse().unwrap())
            .build()
            .unwrap();
        let error = session.http_client().get(server.uri()).send().await.unwrap_err();
        let error = Error::of_middleware(&error).unwrap();
        assert!(
            matches!(error, Error::ClockSkew { seconds, .. } if *seconds == expected),
            "{error}"
        );
        assert!(error.to_string().contains("clock"), "{error}");
    }
}
