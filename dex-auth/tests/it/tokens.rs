//! Sessions that live on tokens or on cookies of another login.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dex_auth::testing::{Clock, Gateway, GatewayBuilder, Release};
use dex_auth::{
    Access, BearerToken, Credentials, Error, OAuthClient, RefreshToken, Session, SessionBuilder, TokenContext,
    TokenFile, TokenSource,
};
use secrecy::ExposeSecret;
use serde_json::Value;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const USER: &str = "user@example.com";
const PASSWORD: &str = "correct horse";
const API: &str = "/pipeline/apis/v2beta1/runs";
const CLI: &str = "kubeflow-cli";

fn gateway(clock: &Clock) -> GatewayBuilder {
    Gateway::builder()
        .release(Release::Kubeflow1_11)
        .user(USER, PASSWORD)
        .clock(clock.clone())
        .client(CLI, "", ["http://localhost"])
        .namespace("team-a")
        .upstream("/pipeline", |request: &Request| {
            let user = request
                .headers
                .get("kubeflow-userid")
                .map(|value| value.to_str().unwrap());
            ResponseTemplate::new(200).set_body_json(serde_json::json!({"user": user, "bytes": request.body.len()}))
        })
}

fn clock() -> Clock {
    Clock::fixed("2026-01-01T00:00:00Z".parse().unwrap())
}

fn builder(gateway: &Gateway) -> SessionBuilder {
    let clock = gateway.clock().clone();
    Session::builder(gateway.url()).unwrap().clock(move || clock.now())
}

/// Tokens of Dex for a client of its own, as a program with a browser gets them.
async fn tokens(gateway: &Gateway, scope: &str) -> Value {
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let location = |answer: &reqwest::Response| answer.headers()["location"].to_str().unwrap().to_owned();
    let form = |pairs: &[(&str, &str)]| {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(pairs).finish()
    };
    let query = form(&[
        ("client_id", CLI),
        ("redirect_uri", "http://localhost"),
        ("response_type", "code"),
        ("scope", scope),
        ("state", "s"),
    ]);
    let start = format!("{}/dex/auth/local?{query}", gateway.url());
    let login = location(&http.get(start).send().await.unwrap());
    let post = async |to: String, body: String| {
        let request = http
            .post(to)
            .header("content-type", "application/x-www-form-urlencoded");
        request.body(body).send().await.unwrap()
    };
    let credentials = form(&[("login", USER), ("password", PASSWORD)]);
    let back = location(&post(format!("{}{login}", gateway.url()), credentials).await);
    let back = url::Url::parse(&back).unwrap();
    let code = back
        .query_pairs()
        .find(|(name, _)| name == "code")
        .unwrap()
        .1
        .into_owned();
    let grant = form(&[
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", "http://localhost"),
        ("client_id", CLI),
    ]);
    let answer = post(format!("{}/dex/token", gateway.url()), grant).await;
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

async fn token(gateway: &Gateway) -> BearerToken {
    let tokens = tokens(gateway, "openid email profile groups").await;
    BearerToken::new(tokens["id_token"].as_str().unwrap())
}

async fn user(session: &Session, gateway: &Gateway) -> Result<String, Error> {
    let answer = session
        .http_client()
        .get(format!("{}{API}", gateway.url()))
        .send()
        .await;
    let answer = answer.map_err(|error| {
        Error::of_middleware(&error)
            .unwrap_or_else(|| panic!("{error:?}"))
            .clone()
    })?;
    assert_eq!(answer.status(), 200);
    let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    Ok(body["user"].as_str().unwrap_or_default().to_owned())
}

fn calls(gateway: &Gateway, path: &str) -> usize {
    gateway.requests().iter().filter(|request| request.path == path).count()
}

#[tokio::test]
async fn a_fixed_token_serves_until_the_gateway_refuses_it() {
    let gateway = gateway(&clock()).start().await;
    let session = builder(&gateway).token(token(&gateway).await).build().unwrap();
    assert_eq!(user(&session, &gateway).await.unwrap(), USER);
    let Access::Bearer(held) = session.access().await.unwrap() else {
        panic!()
    };
    assert_eq!(held.email(), Some(USER));
    assert!(matches!(
        session.login().await,
        Err(Error::Config { field: "token", .. })
    ));
    // Its own end is a day away; the gateway gives a minute more, and its word counts.
    gateway.clock().advance(Duration::from_secs(86_400 + 30));
    assert_eq!(user(&session, &gateway).await.unwrap(), USER);
    gateway.clock().advance(Duration::from_secs(60));
    for _ in 0..3 {
        let error = user(&session, &gateway).await.unwrap_err();
        let Error::CredentialsExpired { what, message } = &error else {
            panic!("{error}")
        };
        assert_eq!((what.as_str(), message.as_str()), ("the fixed token", "Jwt is expired"));
        assert!(error.is_refusal() && !error.is_retryable());
    }
    // Sent three times while it was good, and once more to learn that it is not; never to a path that takes no tokens.
    assert_eq!(calls(&gateway, API), 3);
    assert_eq!(calls(&gateway, "/oauth2/auth"), 0);
    session.set_token_source(token(&gateway).await);
    assert_eq!(user(&session, &gateway).await.unwrap(), USER);
}

#[tokio::test]
async fn fixed_cookies_serve_until_the_gateway_refuses_them() {
    for release in [Release::Kubeflow1_8, Release::Kubeflow1_9, Release::Kubeflow1_11] {
        let gateway = gateway(&clock()).release(release).start().await;
        let logs_in = builder(&gateway)
            .credentials(Credentials::new(USER, PASSWORD))
            .build()
            .unwrap();
        let cookie = logs_in.login().await.unwrap();
        let session = builder(&gateway)
            .cookie(cookie.name(), cookie.value().clone())
            .build()
            .unwrap();
        assert_eq!(user(&session, &gateway).await.unwrap(), USER, "{release}");
        gateway.expire_sessions();
        for _ in 0..2 {
            let error = user(&session, &gateway).await.unwrap_err();
            assert!(matches!(error, Error::CredentialsExpired { .. }), "{release}: {error}");
        }
        assert_eq!(gateway.password_attempts(), 1, "{release}");
        assert!(session.set_cookie("nonsense").is_err());
        let cookie = logs_in.login().await.unwrap();
        session.set_cookie(cookie.header().expose_secret()).unwrap();
        // The login renews itself, the cookie does not.
        user(&logs_in, &gateway).await.unwrap();
        let renewed = logs_in.login().await.unwrap();
        session.set_cookie(renewed.header().expose_secret()).unwrap();
        assert_eq!(user(&session, &gateway).await.unwrap(), USER, "{release}");
    }
}

#[tokio::test]
async fn a_token_file_is_read_again_when_it_changes() {
    let gateway = gateway(&clock()).start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let write = async || {
        let token = token(&gateway).await;
        std::fs::write(folder.path().join("new"), token.token().expose_secret()).unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        token.token().expose_secret().to_owned()
    };
    write().await;
    let session = builder(&gateway).token(TokenFile::new(&path)).build().unwrap();
    assert_eq!(user(&session, &gateway).await.unwrap(), USER);
    gateway.clock().advance(Duration::from_secs(1));
    let second = write().await;
    let Access::Bearer(held) = session.access().await.unwrap() else {
        panic!()
    };
    assert_eq!(held.token().expose_secret(), second);
    // One that nobody replaced in time.
    gateway.clock().advance(Duration::from_secs(86_400 + 120));
    let error = user(&session, &gateway).await.unwrap_err();
    assert!(matches!(error, Error::TokenUnavailable { .. }), "{error}");
    assert!(error.to_string().contains("ended at"), "{error}");
    write().await;
    assert_eq!(user(&session, &gateway).await.unwrap(), USER);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_same_one_is_not_sent_again() {
    let gateway = gateway(&clock()).start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, token(&gateway).await.token().expose_secret()).unwrap();
    let session = builder(&gateway).token(TokenFile::new(&path)).build().unwrap();
    user(&session, &gateway).await.unwrap();
    gateway.restart_dex();
    let error = user(&session, &gateway).await.unwrap_err();
    let Error::TokenUnavailable { problem, .. } = &error else {
        panic!("{error}")
    };
    assert!(
        problem.contains("Jwks doesn't have key to match kid or alg from Jwt"),
        "{problem}"
    );
    assert_eq!(calls(&gateway, API), 2);
    std::fs::write(&path, token(&gateway).await.token().expose_secret()).unwrap();
    assert_eq!(user(&session, &gateway).await.unwrap(), USER);
}

#[tokio::test]
async fn refresh_tokens_carry_a_session_on_for_weeks() {
    let gateway = gateway(&clock()).start().await;
    let first = tokens(&gateway, "openid email profile groups offline_access").await;
    let source = RefreshToken::new(OAuthClient::public(CLI), first["refresh_token"].as_str().unwrap());
    let session = builder(&gateway).token(source).build().unwrap();
    for day in 0..14 {
        let requests = (0..100).map(|_| async { user(&session, &gateway).await.unwrap() });
        for name in futures_util::future::join_all(requests).await {
            assert_eq!(name, USER, "day {day}");
        }
        gateway.clock().advance(Duration::from_secs(86_400 - 20));
    }
    // One for the code, and one a day.
    assert_eq!(calls(&gateway, "/dex/token"), 15);
    assert_eq!(gateway.password_attempts(), 1);
}

/// Gives other tokens each time, good or bad.
#[derive(Debug, Clone, Default)]
struct Counted {
    calls: Arc<AtomicU64>,
    fails: bool,
}

#[async_trait::async_trait]
impl TokenSource for Counted {
    fn name(&self) -> String {
        "the test".to_owned()
    }

    async fn token(&self, _context: &TokenContext) -> Result<BearerToken, Error> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        // Lets all others come before the answer.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        if self.fails {
            return Err(Error::TokenUnavailable {
                from: self.name(),
                problem: "it is closed".to_owned(),
            });
        }
        Ok(BearerToken::new(format!("token-{number}")))
    }
}

/// Takes only the token of this number.
async fn picky(good: u64) -> MockServer {
    let server = MockServer::start().await;
    let answer = move |request: &Request| {
        let given = request
            .headers
            .get("authorization")
            .map(|value| value.to_str().unwrap());
        if given == Some(&format!("Bearer token-{good}")) {
            ResponseTemplate::new(200).set_body_json(serde_json::json!({}))
        } else {
            ResponseTemplate::new(401).set_body_raw("Jwt is expired", "text/plain")
        }
    };
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

#[tokio::test]
async fn a_hundred_requests_with_a_refused_token_fetch_one_more() {
    let server = picky(1).await;
    let source = Counted::default();
    let session = Session::builder(&server.uri())
        .unwrap()
        .token(source.clone())
        .build()
        .unwrap();
    let http = session.http_client();
    let requests = (0..100).map(|_| async { http.get(format!("{}/x", server.uri())).send().await.unwrap().status() });
    for status in futures_util::future::join_all(requests).await {
        assert_eq!(status, 200);
    }
    assert_eq!(source.calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_source_that_fails_is_asked_once_for_a_hundred_requests() {
    let server = picky(0).await;
    let source = Counted {
        fails: true,
        ..Counted::default()
    };
    let session = Session::builder(&server.uri())
        .unwrap()
        .token(source.clone())
        .build()
        .unwrap();
    let http = session.http_client();
    let requests = (0..100).map(|_| async { http.get(format!("{}/x", server.uri())).send().await.unwrap_err() });
    for error in futures_util::future::join_all(requests).await {
        assert!(
            matches!(Error::of_middleware(&error), Some(Error::TokenUnavailable { .. })),
            "{error}"
        );
    }
    assert_eq!(source.calls.load(Ordering::SeqCst), 1);
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_token_that_is_never_taken_ends_in_an_error_that_holds_the_reason() {
    let server = picky(9).await;
    let session = Session::builder(&server.uri())
        .unwrap()
        .token(Counted::default())
        .build()
        .unwrap();
    let error = session
        .http_client()
        .get(format!("{}/x", server.uri()))
        .send()
        .await
        .unwrap_err();
    let Some(Error::SessionRejected {
        message, status: 401, ..
    }) = Error::of_middleware(&error)
    else {
        panic!("{error}")
    };
    assert_eq!(message, "Jwt is expired");
    assert_eq!(server.received_requests().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_token_goes_to_the_gateway_only_and_a_callers_own_stays() {
    let (server, elsewhere) = (picky(0).await, picky(0).await);
    let session = Session::builder(&server.uri())
        .unwrap()
        .token(Counted::default())
        .build()
        .unwrap();
    let http = session.http_client();
    assert_eq!(http.get(elsewhere.uri()).send().await.unwrap().status(), 401);
    let own = http
        .get(server.uri())
        .header("authorization", "Basic x")
        .send()
        .await
        .unwrap();
    assert_eq!(own.status(), 401);
    assert_eq!(
        http.get(server.uri())
            .header("cookie", "a=b")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    assert!(
        elsewhere.received_requests().await.unwrap()[0]
            .headers
            .get("authorization")
            .is_none()
    );
    let last = server.received_requests().await.unwrap().pop().unwrap();
    assert_eq!(last.headers["cookie"], "a=b");
}

#[tokio::test]
async fn a_stream_is_sent_with_a_token_known_to_work() {
    let gateway = gateway(&clock()).start().await;
    let session = builder(&gateway).token(token(&gateway).await).build().unwrap();
    session.access().await.unwrap();
    gateway.clock().advance(Duration::from_secs(60));
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>("abc"), Ok("def")]);
    let request = session.http_client().post(format!("{}{API}", gateway.url()));
    let answer = request.body(reqwest::Body::wrap_stream(chunks)).send().await.unwrap();
    assert!(answer.text().await.unwrap().contains("\"bytes\":6"));
    // Asked before, at an address that takes tokens.
    assert_eq!(calls(&gateway, "/"), 1);
}

#[tokio::test]
async fn an_empty_403_is_never_an_expiry() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(403))
        .mount(&server)
        .await;
    let source = Counted::default();
    let session = Session::builder(&server.uri())
        .unwrap()
        .token(source.clone())
        .build()
        .unwrap();
    let error = session.http_client().get(server.uri()).send().await.unwrap_err();
    assert!(
        matches!(Error::of_middleware(&error), Some(Error::AuthServiceUnavailable { .. })),
        "{error}"
    );
    assert_eq!(
        session.http_client().head(server.uri()).send().await.unwrap().status(),
        403
    );
    assert_eq!(source.calls.load(Ordering::SeqCst), 1);
}
