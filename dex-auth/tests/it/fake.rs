//! Against the stateful fake: whole logins, and sessions that end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dex_auth::testing::{Clock, Connector, Gateway, GatewayBuilder, Release};
use dex_auth::{Credentials, Error, Session, SessionBuilder};
use secrecy::ExposeSecret;
use wiremock::{Request, Respond, ResponseTemplate};

const USER: &str = "user@example.com";
const PASSWORD: &str = "correct horse & battery+staple%";
const RELEASES: [Release; 3] = [Release::Kubeflow1_8, Release::Kubeflow1_9, Release::Kubeflow1_11];
const API: &str = "/pipeline/apis/v2beta1/runs";

/// A service that counts what reaches it.
#[derive(Clone, Default)]
struct Service(Arc<AtomicU64>);

impl Service {
    fn calls(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Respond for Service {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        self.0.fetch_add(1, Ordering::SeqCst);
        let user = request
            .headers
            .get("kubeflow-userid")
            .map(|value| value.to_str().unwrap().to_owned());
        ResponseTemplate::new(200).set_body_json(serde_json::json!({ "user": user, "bytes": request.body.len() }))
    }
}

fn fake(release: Release, service: &Service) -> GatewayBuilder {
    Gateway::builder()
        .release(release)
        .user(USER, PASSWORD)
        .upstream("/pipeline", service.clone())
}

fn builder(gateway: &Gateway, password: &str) -> SessionBuilder {
    Session::builder(gateway.url())
        .unwrap()
        .credentials(Credentials::new(USER, password))
}

fn session(gateway: &Gateway) -> Session {
    builder(gateway, PASSWORD).build().unwrap()
}

async fn user(session: &Session, gateway: &Gateway) -> Result<String, reqwest_middleware::Error> {
    let response = session
        .http_client()
        .get(format!("{}{API}", gateway.url()))
        .send()
        .await?;
    assert_eq!(response.status(), 200);
    let body: serde_json::Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    Ok(body["user"].as_str().unwrap_or_default().to_owned())
}

fn own(error: &reqwest_middleware::Error) -> &Error {
    Error::of_middleware(error).unwrap_or_else(|| panic!("{error:?}"))
}

#[tokio::test]
async fn logs_in_at_every_release_by_itself() {
    for release in RELEASES {
        let service = Service::default();
        let gateway = fake(release, &service).start().await;
        let session = session(&gateway);
        let cookie = session.login().await.unwrap();
        let name = if release == Release::Kubeflow1_8 {
            "authservice_session"
        } else {
            "oauth2_proxy_kubeflow"
        };
        assert_eq!(cookie.name(), name, "{release}");
        assert!(cookie.expires_at().is_some(), "{release}");
        assert_eq!(user(&session, &gateway).await.unwrap(), USER, "{release}");
        assert_eq!((gateway.logins(), gateway.password_attempts()), (1, 1), "{release}");

        // The printed header works for a program of another kind.
        let header = cookie.header();
        let plain = reqwest::Client::new().get(format!("{}{API}", gateway.url()));
        let answer = plain.header("cookie", header.expose_secret()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{release}");
    }
}

#[tokio::test]
async fn one_login_serves_a_hundred_waiting_requests() {
    for release in RELEASES {
        let service = Service::default();
        let gateway = fake(release, &service).start().await;
        let session = session(&gateway);
        let all = async || {
            let requests = (0..100).map(|_| async { user(&session, &gateway).await.unwrap() });
            futures_util::future::join_all(requests).await
        };
        all().await;
        assert_eq!(gateway.password_attempts(), 1, "{release}, none held");
        gateway.expire_sessions();
        let users = all().await;
        assert!(users.iter().all(|user| user == USER));
        assert_eq!(gateway.password_attempts(), 2, "{release}, expired");
        assert_eq!(service.calls(), 200, "{release}");
    }
}

#[tokio::test]
async fn a_failing_login_is_one_attempt_and_is_not_repeated_with_the_same_password() {
    for release in RELEASES {
        let service = Service::default();
        let gateway = fake(release, &service).start().await;
        let session = builder(&gateway, "wrong").build().unwrap();
        let requests = (0..100).map(|_| async { user(&session, &gateway).await.unwrap_err() });
        for error in futures_util::future::join_all(requests).await {
            assert!(matches!(own(&error), Error::WrongPassword { .. }), "{release}: {error}");
        }
        assert!(matches!(session.login().await, Err(Error::WrongPassword { .. })));
        assert_eq!(gateway.password_attempts(), 1, "{release}");

        session.set_credentials(Credentials::new(USER, PASSWORD));
        assert_eq!(user(&session, &gateway).await.unwrap(), USER);
        assert_eq!(gateway.password_attempts(), 2, "{release}");
    }
}

#[tokio::test]
async fn a_waiter_that_gives_up_does_not_stop_the_login() {
    let service = Service::default();
    let gateway = fake(Release::Kubeflow1_11, &service).start().await;
    let session = session(&gateway);
    let waiter = tokio::spawn({
        let session = session.clone();
        async move { session.login().await }
    });
    tokio::task::yield_now().await;
    waiter.abort();
    session.login().await.unwrap();
    assert_eq!(gateway.password_attempts(), 1);
}

#[tokio::test]
async fn every_disguise_of_an_ended_session_is_answered_by_one_login() {
    for release in RELEASES {
        let service = Service::default();
        let gateway = fake(release, &service).start().await;
        let session = session(&gateway);
        let http = session.http_client();
        session.login().await.unwrap();
        for (logins, path) in (2..).zip([API, "/pipeline/"]) {
            gateway.expire_sessions();
            let answer = http.get(format!("{}{path}", gateway.url())).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{release} {path}");
            assert_eq!(gateway.logins(), logins, "{release} {path}");
        }
        gateway.expire_sessions();
        let answer = http
            .post(format!("{}{API}", gateway.url()))
            .body("{\"a\":1}")
            .send()
            .await
            .unwrap();
        assert!(answer.text().await.unwrap().contains("\"bytes\":7"), "{release}");
        gateway.expire_sessions();
        let answer = http.head(format!("{}{API}", gateway.url())).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{release} HEAD");
        gateway.expire_sessions();
        let answer = http.head(format!("{}/pipeline/", gateway.url())).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{release} HEAD of a page");
        assert_eq!(gateway.logins(), 6, "{release}");
    }
}

#[tokio::test]
async fn dex_losing_its_keys_ends_the_session_too() {
    let service = Service::default();
    let gateway = fake(Release::Kubeflow1_11, &service).start().await;
    let session = session(&gateway);
    session.login().await.unwrap();
    gateway.restart_dex();
    assert_eq!(user(&session, &gateway).await.unwrap(), USER);
}

#[tokio::test]
async fn a_session_is_renewed_before_its_end() {
    for release in RELEASES {
        let clock = Clock::fixed("2026-01-01T00:00:00Z".parse().unwrap());
        let service = Service::default();
        let gateway = fake(release, &service).clock(clock.clone()).start().await;
        let time = clock.clone();
        let session = builder(&gateway, PASSWORD).clock(move || time.now()).build().unwrap();
        user(&session, &gateway).await.unwrap();
        clock.advance(Duration::from_secs(86_400 - 60));
        user(&session, &gateway).await.unwrap();
        assert_eq!(gateway.logins(), 1, "{release}");
        clock.advance(Duration::from_secs(31));
        let before = gateway.requests().len();
        user(&session, &gateway).await.unwrap();
        assert_eq!(gateway.logins(), 2, "{release}");
        let later = gateway.requests().split_off(before);
        assert_ne!(
            later.first().unwrap().path,
            API,
            "{release}: the request met the ended session"
        );
    }
}

#[tokio::test]
async fn sessions_of_one_second_work() {
    let each = RELEASES.map(|release| async move {
        let service = Service::default();
        let gateway = fake(release, &service)
            .session_ttl(Duration::from_secs(1))
            .start()
            .await;
        let session = session(&gateway);
        for _ in 0..12 {
            assert_eq!(user(&session, &gateway).await.unwrap(), USER, "{release}");
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        let logins = gateway.logins();
        assert!(logins < 12, "{release}: {logins} logins for 12 requests");
    });
    futures_util::future::join_all(each).await;
}

#[tokio::test]
async fn a_stream_is_only_sent_with_a_session_known_to_work() {
    for release in RELEASES {
        let service = Service::default();
        let gateway = fake(release, &service).start().await;
        let session = session(&gateway);
        let upload = async || {
            let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>("abc"), Ok("def")]);
            let request = session.http_client().post(format!("{}{API}", gateway.url()));
            request.body(reqwest::Body::wrap_stream(chunks)).send().await
        };
        assert!(
            upload().await.unwrap().text().await.unwrap().contains("\"bytes\":6"),
            "{release}"
        );
        // Just verified, so it is sent without asking, is refused, and may be sent again.
        gateway.expire_sessions();
        let error = upload().await.unwrap_err();
        assert!(
            matches!(own(&error), Error::RequestNotReplayable { .. }),
            "{release}: {error}"
        );
        assert!(own(&error).is_retryable());
        assert!(
            upload().await.unwrap().text().await.unwrap().contains("\"bytes\":6"),
            "{release}"
        );
    }
}

#[tokio::test]
async fn a_stream_asks_first_when_the_session_was_not_seen_for_a_while() {
    let clock = Clock::fixed("2026-01-01T00:00:00Z".parse().unwrap());
    let service = Service::default();
    let gateway = fake(Release::Kubeflow1_11, &service).clock(clock.clone()).start().await;
    let time = clock.clone();
    let session = builder(&gateway, PASSWORD).clock(move || time.now()).build().unwrap();
    session.login().await.unwrap();
    gateway.expire_sessions();
    clock.advance(Duration::from_secs(6));
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>("abc")]);
    let request = session.http_client().post(format!("{}{API}", gateway.url()));
    let answer = request.body(reqwest::Body::wrap_stream(chunks)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!((gateway.logins(), service.calls()), (2, 1));
}

#[tokio::test]
async fn a_failing_auth_service_is_no_ended_session() {
    for release in RELEASES {
        let service = Service::default();
        let gateway = fake(release, &service).start().await;
        let session = session(&gateway);
        session.login().await.unwrap();
        gateway.fail_auth_service(true);
        let error = user(&session, &gateway).await.unwrap_err();
        assert!(
            matches!(own(&error), Error::AuthServiceUnavailable { .. }),
            "{release}: {error}"
        );
        assert_eq!(gateway.password_attempts(), 1, "{release}");
        gateway.fail_auth_service(false);
        assert_eq!(user(&session, &gateway).await.unwrap(), USER);
        assert_eq!(gateway.password_attempts(), 1, "{release}");
    }
}

#[tokio::test]
async fn a_login_while_the_auth_service_is_down_says_so() {
    for release in RELEASES {
        let gateway = fake(release, &Service::default()).start().await;
        gateway.fail_auth_service(true);
        let error = session(&gateway).login().await.unwrap_err();
        assert!(
            matches!(error, Error::AuthServiceUnavailable { .. }),
            "{release}: {error}"
        );
        assert_eq!(gateway.password_attempts(), 0, "{release}");
    }
}

#[tokio::test]
async fn dex_restarting_under_a_login_is_answered_by_one_more_try() {
    let gateway = fake(Release::Kubeflow1_11, &Service::default()).start().await;
    gateway.restart_dex();
    session(&gateway).login().await.unwrap();
}

#[tokio::test]
async fn connectors_are_chosen_by_id() {
    for release in RELEASES {
        let ldap = Connector::ldap("ldap", "LDAP").user(USER, PASSWORD, USER);
        let gateway = fake(release, &Service::default())
            .connector(Connector::local())
            .connector(ldap);
        let gateway = gateway.start().await;
        let error = session(&gateway).login().await.unwrap_err();
        let Error::ConnectorRequired { available } = &error else {
            panic!("{release}: {error}")
        };
        assert_eq!(available.len(), 2);
        let error = builder(&gateway, PASSWORD)
            .connector("saml")
            .build()
            .unwrap()
            .login()
            .await
            .unwrap_err();
        assert!(matches!(error, Error::ConnectorUnknown { .. }), "{release}: {error}");
        assert_eq!(gateway.password_attempts(), 0, "{release}");
        for id in ["local", "ldap"] {
            builder(&gateway, PASSWORD)
                .connector(id)
                .build()
                .unwrap()
                .login()
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn a_session_too_large_for_one_cookie_works() {
    for release in RELEASES {
        let groups: Vec<_> = (0..220)
            .map(|n| format!("cn=a-group-with-a-long-name-{n},ou=groups,dc=example"))
            .collect();
        let ldap = Connector::ldap("ldap", "LDAP").user_in_groups("jane", PASSWORD, USER, groups);
        let service = Service::default();
        let gateway = fake(release, &service).connector(ldap).start().await;
        let session = Session::builder(gateway.url())
            .unwrap()
            .credentials(Credentials::new("jane", PASSWORD));
        let session = session.build().unwrap();
        assert_eq!(user(&session, &gateway).await.unwrap(), USER, "{release}");
        let cookie = session.login().await.unwrap();
        assert_eq!(
            cookie.cookies().count() > 1,
            release != Release::Kubeflow1_8,
            "{release}"
        );
        assert_eq!(gateway.logins(), 1, "{release}");
    }
}

#[tokio::test]
async fn a_callers_own_authorization_passes_untouched() {
    let gateway = fake(Release::Kubeflow1_11, &Service::default()).start().await;
    let session = session(&gateway);
    let request = session
        .http_client()
        .get(format!("{}{API}", gateway.url()))
        .bearer_auth("not.a.token");
    assert_eq!(request.send().await.unwrap().status(), 401);
    assert_eq!(gateway.password_attempts(), 0);
}

#[tokio::test]
async fn a_callers_own_cookies_stay() {
    let gateway = fake(Release::Kubeflow1_11, &Service::default()).start().await;
    let session = session(&gateway);
    let ask = async |cookie: &str| {
        let request = session
            .http_client()
            .get(format!("{}{API}", gateway.url()))
            .header("cookie", cookie);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask("XSRF-TOKEN=x").await, 200);
    assert_eq!(ask("oauth2_proxy_kubeflow=mine").await, 401);
    assert_eq!(gateway.logins(), 1);
}

#[tokio::test]
async fn no_secret_is_shown() {
    let gateway = fake(Release::Kubeflow1_11, &Service::default()).start().await;
    let settings = builder(&gateway, PASSWORD);
    let unused = format!("{settings:?}");
    let session = settings.build().unwrap();
    let cookie = session.login().await.unwrap();
    let (middleware, client) = (session.middleware(), session.http_client());
    let wrong = builder(&gateway, "wrong secret").build().unwrap();
    let error = wrong.login().await.unwrap_err();
    let shown =
        format!("{unused} {session:?} {session:#?} {cookie:?} {middleware:?} {client:?} {wrong:?} {error:?} {error}");
    assert!(shown.contains("127.0.0.1"), "{shown}");
    for secret in [PASSWORD, "wrong secret", cookie.value().expose_secret()] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn the_namespaces_of_a_user_are_those_the_dashboard_names() {
    for release in RELEASES {
        let gateway = fake(release, &Service::default()).namespace("team-a").start().await;
        assert_eq!(session(&gateway).namespaces().await.unwrap(), ["team-a"], "{release}");
        let refused = builder(&gateway, "wrong").build().unwrap().namespaces().await;
        assert!(matches!(refused, Err(Error::WrongPassword { .. })), "{refused:?}");
    }
}
