//! Who the user is, where he may work, and how he leaves.

use dex_auth::testing::{Clock, Gateway, GatewayBuilder, Release};
use dex_auth::{BearerToken, Credentials, Error, Logout, Role, Session, ToldBy};
use secrecy::ExposeSecret;
use wiremock::matchers::{header_regex, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const USER: &str = "user@example.com";
const PASSWORD: &str = "correct horse";
const RELEASES: [Release; 3] = [Release::Kubeflow1_8, Release::Kubeflow1_9, Release::Kubeflow1_11];

fn gateway(release: Release) -> GatewayBuilder {
    Gateway::builder()
        .release(release)
        .user(USER, PASSWORD)
        .namespace("team-a")
}

fn session(gateway: &Gateway) -> Session {
    let builder = Session::builder(gateway.url()).unwrap();
    builder.credentials(Credentials::new(USER, PASSWORD)).build().unwrap()
}

#[tokio::test]
async fn the_user_is_told_by_whoever_knows_him() {
    for release in RELEASES {
        let gateway = gateway(release).start().await;
        let user = session(&gateway).whoami().await.unwrap();
        assert_eq!(user.name, USER, "{release}");
        let expected = if release == Release::Kubeflow1_11 {
            ToldBy::Gateway
        } else {
            ToldBy::Dashboard
        };
        assert_eq!(user.told_by, expected, "{release}");
        let memberships = session(&gateway).memberships().await.unwrap();
        assert_eq!(
            (memberships[0].namespace.as_str(), &memberships[0].role),
            ("team-a", &Role::Owner)
        );
    }
}

async fn with_token(token: &str, dashboard: ResponseTemplate, kfam: ResponseTemplate) -> (MockServer, Session) {
    let server = MockServer::start().await;
    for (at, answer) in [("/api/workgroup/env-info", dashboard), ("/kfam/v1/bindings", kfam)] {
        Mock::given(method("GET"))
            .and(path(at))
            .and(header_regex("authorization", "^Bearer "))
            .respond_with(answer)
            .mount(&server)
            .await;
    }
    let session = Session::builder(&server.uri())
        .unwrap()
        .token(BearerToken::new(token))
        .build()
        .unwrap();
    (server, session)
}

/// Claims `{"email":"me@example.com"}`.
const TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJlbWFpbCI6Im1lQGV4YW1wbGUuY29tIn0.c2ln";

fn json(text: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(text, "application/json")
}

#[tokio::test]
async fn kfam_is_asked_where_there_is_no_dashboard() {
    let bindings = r#"{"bindings":[
        {"user":{"kind":"User","name":"me@example.com"},"referredNamespace":"a","RoleRef":{"name":"admin"}},
        {"user":{"kind":"User","name":"me@example.com"},"referredNamespace":"b","RoleRef":{"name":"edit"}},
        {"user":{"kind":"User","name":"me@example.com"},"referredNamespace":"c","RoleRef":{"name":"audit"}}]}"#;
    let html = ResponseTemplate::new(200).set_body_raw("<title>Kubeflow</title>", "text/html");
    let denied = ResponseTemplate::new(403).set_body_raw("RBAC: access denied", "text/plain");
    for dashboard in [html.clone(), denied.clone(), ResponseTemplate::new(404)] {
        let (server, session) = with_token(TOKEN, dashboard.clone(), json(bindings)).await;
        let memberships = session.memberships().await.unwrap();
        let roles: Vec<_> = memberships
            .iter()
            .map(|place| (place.namespace.as_str(), place.role.as_str()))
            .collect();
        assert_eq!(roles, [("a", "owner"), ("b", "contributor"), ("c", "audit")]);
        assert_eq!(session.namespaces().await.unwrap(), ["a", "b", "c"]);
        let asked = server.received_requests().await.unwrap();
        assert!(
            asked
                .iter()
                .any(|request| request.url.query() == Some("user=me%40example.com"))
        );
        let (_server, session) = with_token(TOKEN, dashboard.clone(), json("{}")).await;
        assert!(session.namespaces().await.unwrap().is_empty());
        // Neither tells: the dashboard's answer is the one that helps.
        let (_server, session) = with_token(TOKEN, dashboard, denied.clone()).await;
        let error = session.namespaces().await.unwrap_err();
        assert!(
            matches!(error, Error::NotAGateway { .. } | Error::PermissionDenied { .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_token_without_user_is_told_so() {
    let anonymous = r#"{"user":"anonymous@kubeflow.org","namespaces":[],"isClusterAdmin":false}"#;
    let (_server, session) = with_token(TOKEN, json(anonymous), ResponseTemplate::new(404)).await;
    let error = session.whoami().await.unwrap_err();
    assert!(error.to_string().contains("without a user"), "{error}");
    let (_server, session) = with_token(TOKEN, ResponseTemplate::new(404), ResponseTemplate::new(404)).await;
    let user = session.whoami().await.unwrap();
    assert_eq!((user.name.as_str(), user.told_by), ("me@example.com", ToldBy::Token));
}

#[tokio::test]
async fn a_logout_says_what_it_ended() {
    for release in RELEASES {
        let clock = Clock::fixed("2026-01-01T00:00:00Z".parse().unwrap());
        let gateway = gateway(release).clock(clock.clone()).start().await;
        let time = clock.clone();
        let session = Session::builder(gateway.url())
            .unwrap()
            .credentials(Credentials::new(USER, PASSWORD))
            .clock(move || time.now())
            .build()
            .unwrap();
        assert_eq!(session.logout().await.unwrap(), Logout::NothingHeld);
        assert!(gateway.requests().is_empty());
        let cookie = session.login().await.unwrap();
        let ended = session.logout().await.unwrap();
        let copy = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap()
            .get(format!("{}/api/workgroup/env-info", gateway.url()))
            .header("cookie", cookie.header().expose_secret())
            .send()
            .await
            .unwrap();
        if release == Release::Kubeflow1_8 {
            assert_eq!((ended, copy.status().as_u16()), (Logout::Session, 302));
        } else {
            let expected = Logout::HeldHere {
                copies_end_at: cookie.expires_at(),
            };
            assert_eq!((ended, copy.status().as_u16()), (expected, 200), "{release}");
        }
        session.login().await.unwrap();
        assert_eq!(gateway.logins(), 2, "{release}");
    }
}

#[tokio::test]
async fn older_authservice_and_load_balancers_are_left_in_their_own_way() {
    // oidc-authservice of Kubeflow 1.3 to 1.6: `GET /logout`, and then every request leads to Dex.
    let server = MockServer::start().await;
    let cleared = ResponseTemplate::new(303)
        .insert_header("location", "/")
        .insert_header("set-cookie", "authservice_session=; Path=/; Max-Age=0");
    let to_dex = ResponseTemplate::new(302).insert_header("location", "/dex/auth?client_id=c&response_type=code");
    Mock::given(path("/logout"))
        .respond_with(cleared)
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(path("/oauth2/auth"))
        .respond_with(to_dex.clone())
        .mount(&server)
        .await;
    Mock::given(path("/authservice/logout"))
        .respond_with(to_dex.clone())
        .mount(&server)
        .await;
    let session = |name: &str| {
        let builder = Session::builder(&server.uri()).unwrap();
        builder.cookie(name, "value").build().unwrap()
    };
    let old = session("authservice_session");
    old.login().await.unwrap();
    assert_eq!(old.logout().await.unwrap(), Logout::Session);

    let balancer = MockServer::start().await;
    let builder = Session::builder(&balancer.uri())
        .unwrap()
        .cookie("AWSELBAuthSessionCookie-0", "a");
    let session = builder.cookie("AWSELBAuthSessionCookie-1", "b").build().unwrap();
    session.login().await.unwrap();
    assert_eq!(
        session.logout().await.unwrap(),
        Logout::HeldHere { copies_end_at: None }
    );
    let asked = balancer.received_requests().await.unwrap();
    assert!(asked.iter().all(|request| request.url.path() == "/oauth2/auth"));
}

#[tokio::test]
async fn a_logout_empties_the_store_too() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(Release::Kubeflow1_11).start().await;
    let session = || {
        let builder = Session::builder(gateway.url())
            .unwrap()
            .store(folder.path().join("sessions"));
        builder.credentials(Credentials::new(USER, PASSWORD)).build().unwrap()
    };
    let one = session();
    one.login().await.unwrap();
    session().login().await.unwrap();
    one.logout().await.unwrap();
    session().login().await.unwrap();
    assert_eq!(gateway.logins(), 2);
}
