//! Against servers that are no Kubeflow, broken, or hostile.

use std::time::Duration;

use dex_auth::{Credentials, Error, Session, SessionBuilder, UnsafeReason};
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const PASSWORD: &str = "topsecret";

fn builder(server: &MockServer) -> SessionBuilder {
    Session::builder(&server.uri())
        .unwrap()
        .credentials(Credentials::new("user@example.com", PASSWORD))
}

async fn login(server: &MockServer) -> Error {
    builder(server).build().unwrap().login().await.unwrap_err()
}

fn html(body: impl Into<String>) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body.into(), "text/html")
}

fn form(action: &str) -> String {
    format!("<form method=post action='{action}'><input name=login><input name=password type=password></form>")
}

fn to(location: &str) -> ResponseTemplate {
    ResponseTemplate::new(302).insert_header("location", location)
}

async fn mount(server: &MockServer, verb: &str, at: &str, answer: ResponseTemplate) {
    Mock::given(method(verb))
        .and(path(at))
        .respond_with(answer)
        .mount(server)
        .await;
}

/// A Dex that shows its form, before a gateway that does what `after` says with the password.
async fn with_form(action: &str, after: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    let authorize = "/dex/auth?client_id=c&response_type=code&redirect_uri=%2Foauth2%2Fcallback&state=s";
    mount(&server, "GET", "/oauth2/start", to(authorize)).await;
    mount(&server, "GET", "/dex/auth", html(form(action))).await;
    mount(&server, "POST", "/dex/login", after).await;
    server
}

async fn posts(server: &MockServer) -> usize {
    server
        .received_requests()
        .await
        .unwrap()
        .iter()
        .filter(|request| request.method == "POST")
        .count()
}

#[tokio::test]
async fn the_password_is_never_posted_to_another_origin() {
    let elsewhere = MockServer::start().await;
    let server = with_form(&format!("{}/dex/login", elsewhere.uri()), ResponseTemplate::new(200)).await;
    let error = login(&server).await;
    assert!(
        matches!(
            error,
            Error::UnsafeTarget {
                reason: UnsafeReason::OtherOrigin,
                ..
            }
        ),
        "{error}"
    );
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
    assert_eq!(posts(&server).await, 0);
}

#[tokio::test]
async fn a_redirect_never_takes_the_password_along() {
    let elsewhere = MockServer::start().await;
    for status in [301, 302, 303, 307, 308] {
        let away = ResponseTemplate::new(status).insert_header("location", format!("{}/x", elsewhere.uri()));
        let server = with_form("/dex/login", away).await;
        let error = login(&server).await;
        assert!(matches!(error, Error::UnsafeTarget { .. }), "{status}: {error}");
        let again = ResponseTemplate::new(status).insert_header("location", "/dex/login");
        let server = with_form("/dex/login", again).await;
        mount(&server, "GET", "/dex/login", html("<title>?</title>")).await;
        login(&server).await;
        assert_eq!(posts(&server).await, 1, "{status}");
    }
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_password_without_an_answer_is_not_posted_again() {
    let slow = ResponseTemplate::new(303)
        .insert_header("location", "/")
        .set_delay(Duration::from_secs(5));
    let server = with_form("/dex/login", slow).await;
    let session = builder(&server).timeout(Duration::from_millis(300)).build().unwrap();
    let error = session.login().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert!(!format!("{error:?}").contains(PASSWORD));
    assert_eq!(posts(&server).await, 1);
}

#[tokio::test]
async fn a_lost_state_is_answered_by_one_more_login_with_an_empty_jar() {
    let server = with_form("/dex/login", to("/oauth2/callback?code=k&state=s")).await;
    let lost = "<div class=status-code>403</div><div id=more-info><div class=card-content><div class=content>Unable \
                to find a valid CSRF token.</div></div></div>";
    let answer = ResponseTemplate::new(403).set_body_raw(lost, "text/html");
    mount(
        &server,
        "GET",
        "/oauth2/callback",
        answer.insert_header("set-cookie", "a=b; Path=/"),
    )
    .await;
    let error = login(&server).await;
    assert!(matches!(error, Error::LoginStateLost { .. }), "{error}");
    assert_eq!(posts(&server).await, 2);
    let requests = server.received_requests().await.unwrap();
    assert!(requests.iter().all(|request| !request.headers.contains_key("cookie")));
}

#[tokio::test]
async fn pages_and_time_have_limits() {
    let server = with_form("/dex/login", html("x".repeat(5000))).await;
    let session = builder(&server).max_page_bytes(4096).build().unwrap();
    assert!(matches!(
        session.login().await,
        Err(Error::PageTooLarge { limit: 4096, .. })
    ));

    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(html("").set_delay(Duration::from_secs(5)))
        .mount(&server)
        .await;
    let session = builder(&server)
        .login_deadline(Duration::from_millis(200))
        .build()
        .unwrap();
    assert!(matches!(session.login().await, Err(Error::LoginDeadline { .. })));
}

#[tokio::test]
async fn what_is_no_gateway_is_named() {
    let server = MockServer::start().await;
    let error = login(&server).await;
    assert!(matches!(error, Error::NotAGateway { status: 404, .. }), "{error}");
    Mock::given(any())
        .respond_with(html("<title>Dashboard</title>"))
        .mount(&server)
        .await;
    let error = login(&server).await;
    assert!(matches!(error, Error::NotAGateway { status: 200, .. }), "{error}");

    let address = server.uri();
    drop(server);
    let session = Session::builder(&address)
        .unwrap()
        .credentials(Credentials::new("u", PASSWORD))
        .build()
        .unwrap();
    let error = session.login().await.unwrap_err();
    assert!(
        matches!(error, Error::Connect { .. } | Error::NotAGateway { .. }),
        "{error}"
    );
}

/// A gateway whose login works, with `/api` answered by `api`.
async fn with_session(api: ResponseTemplate) -> MockServer {
    let server = with_form("/dex/login", to("/oauth2/callback?code=k&state=s")).await;
    let done = to("/").insert_header("set-cookie", "s=cookie-value; Path=/; Max-Age=3600");
    mount(&server, "GET", "/oauth2/callback", done).await;
    mount(&server, "GET", "/oauth2/auth", ResponseTemplate::new(202)).await;
    mount(&server, "GET", "/api", api).await;
    server
}

#[tokio::test]
async fn a_session_refused_twice_is_rejected_without_a_loop() {
    for answer in [
        ResponseTemplate::new(401).set_body_raw("Jwt issuer is not configured", "text/plain"),
        to("/dex/auth?client_id=c"),
        html(form("/dex/auth/local/login")),
    ] {
        let server = with_session(answer).await;
        let session = builder(&server).build().unwrap();
        let error = session
            .http_client()
            .get(format!("{}/api", server.uri()))
            .send()
            .await
            .unwrap_err();
        let own = Error::of_middleware(&error).unwrap();
        assert!(matches!(own, Error::SessionRejected { .. }), "{own}");
        assert!(!format!("{error:?}").contains("cookie-value"));
        assert_eq!(posts(&server).await, 2);
    }
}

#[tokio::test]
async fn answers_pass_unchanged() {
    let big = format!("<title>report</title>{}", "<p>x".repeat(100_000));
    for answer in [
        ResponseTemplate::new(403).set_body_raw("RBAC: access denied", "text/plain"),
        ResponseTemplate::new(403).set_body_raw("{\"error\":\"no\",\"code\":7}", "application/json"),
        ResponseTemplate::new(401).set_body_raw("{\"error\":\"no\",\"code\":16}", "application/json"),
        ResponseTemplate::new(403).set_body_raw("[403] Could not find CSRF cookie XSRF-TOKEN", "text/html"),
        html(big.clone()),
        to("https://bucket.example.com/artifact"),
    ] {
        let server = with_session(answer).await;
        let plain = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let wanted = plain.get(format!("{}/api", server.uri())).send().await.unwrap();
        let session = builder(&server).build().unwrap();
        let url = format!("{}/api", server.uri());
        let got = session.http_client().get(&url).send().await.unwrap();
        assert_eq!(got.url().as_str(), url);
        assert_eq!(got.status(), wanted.status());
        assert_eq!(got.headers().get("content-type"), wanted.headers().get("content-type"));
        assert_eq!(got.bytes().await.unwrap(), wanted.bytes().await.unwrap());
        assert_eq!(posts(&server).await, 1);
    }
}

#[tokio::test]
async fn cookies_go_to_the_gateway_only() {
    let server = with_session(ResponseTemplate::new(200)).await;
    let elsewhere = MockServer::start().await;
    let session = builder(&server).build().unwrap();
    session.login().await.unwrap();
    session.http_client().get(elsewhere.uri()).send().await.unwrap();
    session
        .http_client()
        .get(format!("{}/api", server.uri()))
        .send()
        .await
        .unwrap();
    let seen = elsewhere.received_requests().await.unwrap();
    assert!(seen.iter().all(|request| !request.headers.contains_key("cookie")));
    let seen = server.received_requests().await.unwrap();
    let api = seen.iter().find(|request| request.url.path() == "/api").unwrap();
    assert_eq!(api.headers.get("cookie").unwrap(), "s=cookie-value");
}

#[tokio::test]
async fn split_cookies_are_kept_together() {
    let server = with_form("/dex/login", to("/oauth2/callback?code=k&state=s")).await;
    let done = to("/").append_header("set-cookie", "s_0=a; Path=/; Max-Age=60");
    let done = done.append_header("set-cookie", "s_1=b; Path=/; Max-Age=60");
    let done = done.append_header("set-cookie", "s_csrf=; Path=/; Max-Age=0");
    let done = done.append_header("set-cookie", "dex_session=x; Path=/dex");
    mount(&server, "GET", "/oauth2/callback", done).await;
    let session = builder(&server).build().unwrap();
    session
        .http_client()
        .get(format!("{}/api", server.uri()))
        .send()
        .await
        .unwrap();
    let seen = server.received_requests().await.unwrap();
    let api = seen.iter().find(|request| request.url.path() == "/api").unwrap();
    assert_eq!(api.headers.get("cookie").unwrap(), "s_0=a; s_1=b");
}

#[tokio::test]
async fn a_cookie_for_another_site_ends_the_login() {
    for domain in ["evil.example", "com", "0.0.1"] {
        let server = MockServer::start().await;
        let answer = to("/dex/auth?client_id=c&response_type=code&redirect_uri=%2Foauth2%2Fcallback&state=s");
        let cookie = format!("session=x; Domain={domain}; Path=/");
        mount(
            &server,
            "GET",
            "/oauth2/start",
            answer.insert_header("set-cookie", cookie.as_str()),
        )
        .await;
        let error = login(&server).await;
        assert!(
            matches!(&error, Error::ForeignCookie { name, .. } if name == "session"),
            "{domain}: {error}"
        );
    }
}

/// What must come of each hostile page.
#[cfg(feature = "testing")]
fn is_the_right_error(page: dex_auth::testing::HostilePage, error: &Error) -> bool {
    use dex_auth::testing::HostilePage as P;
    let unsafe_for = |wanted| matches!(error, Error::UnsafeTarget { reason, .. } if *reason == wanted);
    match page {
        P::FormElsewhere
        | P::BaseElsewhere
        | P::ActionWithUser
        | P::RedirectElsewhere
        | P::RefreshElsewhere
        | P::SamlElsewhere => unsafe_for(UnsafeReason::OtherOrigin),
        P::ActionJavascript | P::ActionData => unsafe_for(UnsafeReason::Scheme),
        P::Resend307 | P::Resend308 => unsafe_for(UnsafeReason::ResendsForm),
        P::FormByGet | P::TwoForms | P::DeepNesting | P::ManyAttributes | P::OpenElements => {
            matches!(error, Error::UnknownPage { status: 200, .. })
        }
        P::FormAgain => matches!(error, Error::WrongPassword { .. }),
        P::ForeignCookie => matches!(error, Error::ForeignCookie { .. }),
        P::EndlessRedirects => matches!(error, Error::TooManyRedirects { .. }),
        P::EndlessPages => matches!(error, Error::TooManyPages { .. }),
        P::HugePage | P::HugeStream => matches!(error, Error::PageTooLarge { .. }),
        P::SlowDrip => matches!(error, Error::Timeout { .. }),
        other => panic!("{other:?} has no error here"),
    }
}

#[cfg(feature = "testing")]
#[tokio::test]
async fn every_hostile_page_is_refused_with_its_own_error() {
    use dex_auth::testing::{HostileGateway, HostilePage};

    for page in HostilePage::ALL {
        let gateway = HostileGateway::start(page).await;
        let builder = Session::builder(gateway.url())
            .unwrap()
            .credentials(Credentials::new("user@example.com", PASSWORD));
        // The drip has no end, so only this test ends by the limit.
        let builder = match page {
            HostilePage::SlowDrip => builder.timeout(Duration::from_millis(300)),
            _ => builder,
        };
        let session = builder.build().unwrap();
        let error = session.login().await.unwrap_err();
        assert!(is_the_right_error(page, &error), "{page:?}: {error:?}");
        assert!(
            gateway.sent_elsewhere().is_empty(),
            "{page:?}: {:?}",
            gateway.sent_elsewhere()
        );
        let posts = match page {
            HostilePage::FormAgain | HostilePage::Resend307 | HostilePage::Resend308 => 1,
            _ => 0,
        };
        assert_eq!(gateway.posts(), posts, "{page:?}");
        let told = format!("{error:?} {error} {:?} {}", session, session.last_login().unwrap());
        assert!(!told.contains(PASSWORD), "{page:?}");
    }
}
