//! The session against every kind of gateway and every generation of Dex that the fake imitates.

use std::net::TcpListener;
use std::time::Duration;

use dex_auth::testing::{
    Clock, Cognito, Connector, DexVersion, EntraId, Gateway, GatewayBuilder, GatewayKind, LoadBalancer, PlainProvider,
    Release, SecondFactor, UnauthenticatedAction,
};
use dex_auth::{Credentials, Error, IdentityProvider, Session, SessionBuilder};
use wiremock::{Request, ResponseTemplate};

const USER: &str = "user@example.com";
const PASSWORD: &str = "correct horse & battery+staple%";
const TOTP: &str = "JBSWY3DPEHPK3PXP";
const RELEASES: [Release; 4] = [
    Release::Kubeflow1_6,
    Release::Kubeflow1_8,
    Release::Kubeflow1_9,
    Release::Kubeflow1_11,
];
const VERSIONS: [DexVersion; 6] = [
    DexVersion::V2_24,
    DexVersion::V2_31,
    DexVersion::V2_36,
    DexVersion::V2_39,
    DexVersion::V2_45,
    DexVersion::Head,
];

fn fake() -> GatewayBuilder {
    Gateway::builder()
        .user(USER, PASSWORD)
        .upstream("/pipeline", |request: &Request| {
            let user = request
                .headers
                .get("kubeflow-userid")
                .map(|value| value.to_str().unwrap());
            ResponseTemplate::new(200).set_body_json(serde_json::json!({ "user": user }))
        })
}

fn builder(gateway: &Gateway) -> SessionBuilder {
    with_password(gateway, PASSWORD)
}

fn with_password(gateway: &Gateway, password: &str) -> SessionBuilder {
    let credentials = Credentials::new(USER, password).totp_secret(TOTP);
    Session::builder(gateway.url()).unwrap().credentials(credentials)
}

async fn user(session: &Session, gateway: &Gateway) -> Result<String, Error> {
    let url = format!("{}/pipeline/apis/v2beta1/runs", gateway.url());
    let response = session
        .http_client()
        .get(url)
        .send()
        .await
        .map_err(|error| Error::of_middleware(&error).unwrap().clone())?;
    assert_eq!(response.status(), 200);
    let body: serde_json::Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    Ok(body["user"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn every_release_with_every_dex() {
    for release in RELEASES {
        for version in VERSIONS {
            for several in [false, true] {
                let mut setup = fake().release(release).dex(version);
                if several {
                    let ldap = Connector::ldap("ldap", "LDAP").user("someone", "else", "else@example.com");
                    setup = setup.connector(Connector::local()).connector(ldap);
                }
                let gateway = setup.start().await;
                let session = builder(&gateway);
                let session = if several { session.connector("local") } else { session };
                let session = session.build().unwrap();
                let told = format!("{release} with {version}");
                let name = user(&session, &gateway)
                    .await
                    .unwrap_or_else(|error| panic!("{told}: {error}"));
                assert_eq!(name, USER, "{told}");
                gateway.expire_sessions();
                assert_eq!(user(&session, &gateway).await.unwrap(), USER, "{told}");
                assert_eq!(gateway.logins(), 2, "{told}");
            }
            let gateway = fake().release(release).dex(version).start().await;
            let error = with_password(&gateway, "wrong")
                .build()
                .unwrap()
                .login()
                .await
                .unwrap_err();
            assert!(
                matches!(error, Error::WrongPassword { .. }),
                "{release} with {version}: {error}"
            );
            assert_eq!(gateway.password_attempts(), 1, "{release} with {version}");
        }
    }
}

#[tokio::test]
async fn a_dex_with_sessions_is_asked_again_without_its_prompt() {
    let gateway = fake().dex(DexVersion::Head).dex_sessions(true).start().await;
    let session = builder(&gateway).build().unwrap();
    let cookie = session.login().await.unwrap();
    assert_eq!(cookie.name(), "oauth2_proxy_kubeflow");
    let trace = session.last_login().unwrap();
    // Nobody asked to be remembered.
    let set = trace
        .steps
        .iter()
        .filter(|step| step.cookies.iter().any(|name| name == "dex_session"));
    assert_eq!(set.count(), 1);
    assert!(
        trace
            .steps
            .iter()
            .all(|step| !step.filled.iter().any(|field| field.contains("remember")))
    );
    assert_eq!(user(&session, &gateway).await.unwrap(), USER);
}

#[tokio::test]
async fn a_dex_that_asks_for_approval_is_asked_again_without_its_prompt() {
    let gateway = fake().dex(DexVersion::Head).skip_approval(false).start().await;
    let session = builder(&gateway).build().unwrap();
    assert_eq!(user(&session, &gateway).await.unwrap(), USER);
    // Dex accepted the password before it said that it may not show its page, and remembers nobody.
    assert_eq!((gateway.logins(), gateway.password_attempts()), (2, 2));
    let gateway = fake().dex(DexVersion::Head).skip_approval(false).start().await;
    let error = with_password(&gateway, "wrong")
        .build()
        .unwrap()
        .login()
        .await
        .unwrap_err();
    assert!(matches!(error, Error::WrongPassword { .. }), "{error}");
    assert_eq!(gateway.password_attempts(), 1);
}

#[tokio::test]
async fn a_one_time_code_is_given_to_dex() {
    // The oauth2-proxy of 1.11 forbids Dex to ask at first.
    let cases = [Release::Kubeflow1_9, Release::Kubeflow1_11].map(|release| [(release, false), (release, true)]);
    for (release, sessions) in cases.into_iter().flatten() {
        let gateway = fake()
            .dex(DexVersion::Head)
            .dex_sessions(sessions)
            .release(release)
            .second_factor(SecondFactor::totp(TOTP))
            .start()
            .await;
        assert_eq!(user(&builder(&gateway).build().unwrap(), &gateway).await.unwrap(), USER);
        let other = Credentials::new(USER, PASSWORD).totp_secret("GEZDGNBVGY3TQOJQ");
        let error = builder(&gateway)
            .credentials(other)
            .build()
            .unwrap()
            .login()
            .await
            .unwrap_err();
        assert!(matches!(error, Error::SecondFactorRefused { .. }), "{error}");
        let none = Credentials::new(USER, PASSWORD);
        let error = builder(&gateway)
            .credentials(none)
            .build()
            .unwrap()
            .login()
            .await
            .unwrap_err();
        assert!(matches!(error, Error::SecondFactorRequired { .. }), "{error}");
    }
}

#[tokio::test]
async fn nobody_is_enrolled_and_no_key_is_made_up() {
    let of = |factor| {
        fake()
            .dex(DexVersion::Head)
            .release(Release::Kubeflow1_9)
            .second_factor(factor)
    };
    let gateway = of(SecondFactor::enrolment()).start().await;
    let error = builder(&gateway).build().unwrap().login().await.unwrap_err();
    assert!(matches!(error, Error::EnrolmentRequired { .. }), "{error}");
    let gateway = of(SecondFactor::security_key()).start().await;
    let error = builder(&gateway).build().unwrap().login().await.unwrap_err();
    let Error::SecondFactorRequired { methods, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(methods, ["security key"]);
}

async fn provider() -> PlainProvider {
    PlainProvider::builder()
        .user_in_groups(USER, PASSWORD, USER, ["staff"])
        .start()
        .await
}

fn named(builder: SessionBuilder, provider: &PlainProvider) -> Session {
    builder
        .identity_provider(IdentityProvider::at(provider.url()).unwrap())
        .build()
        .unwrap()
}

#[tokio::test]
async fn an_outside_provider_behind_every_dex() {
    for version in VERSIONS {
        for is_saml in [false, true] {
            let provider = provider().await;
            let connector = if is_saml {
                Connector::saml("corp", "Corporate login", &provider)
            } else {
                Connector::oidc("corp", "Corporate login", &provider)
            };
            let gateway = fake()
                .dex(version)
                .connector(connector.allowed_group("staff"))
                .start()
                .await;
            let session = named(builder(&gateway), &provider);
            let told = format!("{version}, saml: {is_saml}");
            let name = user(&session, &gateway)
                .await
                .unwrap_or_else(|error| panic!("{told}: {error}"));
            assert_eq!((name.as_str(), provider.password_attempts()), (USER, 1), "{told}");
            // Nothing is sent to a provider that nobody named.
            let error = builder(&gateway).build().unwrap().login().await.unwrap_err();
            assert!(matches!(error, Error::UnsafeTarget { .. }), "{told}: {error}");
            let error = named(with_password(&gateway, "wrong"), &provider)
                .login()
                .await
                .unwrap_err();
            assert!(matches!(error, Error::WrongPassword { .. }), "{told}: {error}");
            assert_eq!(provider.password_attempts(), 2, "{told}");
        }
    }
}

#[tokio::test]
async fn a_provider_that_says_no() {
    for (version, is_saml) in [
        (DexVersion::V2_39, false),
        (DexVersion::V2_45, true),
        (DexVersion::Head, true),
    ] {
        let provider = PlainProvider::builder().user(USER, PASSWORD, USER).deny().start().await;
        let connector: Connector = if is_saml {
            Connector::saml("corp", "Corporate login", &provider).into()
        } else {
            Connector::oidc("corp", "Corporate login", &provider).into()
        };
        let gateway = fake().dex(version).connector(connector).start().await;
        let error = named(builder(&gateway), &provider).login().await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::ProviderUnavailable { status: 500, .. } | Error::LoginRefused { .. }
            ),
            "{version}: {error}"
        );
    }
}

#[tokio::test]
async fn a_user_outside_the_required_groups() {
    for (version, is_told) in [
        (DexVersion::V2_39, false),
        (DexVersion::V2_45, true),
        (DexVersion::Head, true),
    ] {
        let provider = provider().await;
        let connector = Connector::oidc("corp", "Corporate login", &provider).allowed_group("admins");
        let gateway = fake().dex(version).connector(connector).start().await;
        let error = named(builder(&gateway), &provider).login().await.unwrap_err();
        assert_eq!(
            matches!(error, Error::AccessDenied { .. }),
            is_told,
            "{version}: {error}"
        );
    }
}

#[tokio::test]
async fn a_connector_with_another_way_back_is_an_error_of_dex() {
    let provider = provider().await;
    let connector = Connector::oidc("corp", "Corporate login", &provider).redirect_uri("https://kf.test/dex/callback");
    let gateway = fake().connector(connector).start().await;
    let error = named(builder(&gateway), &provider).login().await.unwrap_err();
    let Error::ProviderUnavailable { status: 500, message } = &error else {
        panic!("{error}")
    };
    assert_eq!(message, "Login error.");
}

async fn balanced(clock: &Clock, shape: impl Fn(LoadBalancer) -> LoadBalancer) -> (Gateway, PlainProvider) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let callback = format!("http://{}/oauth2/idpresponse", listener.local_addr().unwrap());
    let provider = PlainProvider::builder()
        .user(USER, PASSWORD, USER)
        .client("load-balancer", callback)
        .clock(clock.clone())
        .start()
        .await;
    let gateway = fake()
        .kind(GatewayKind::LoadBalancer(shape(LoadBalancer::new(&provider))))
        .clock(clock.clone())
        .listener(listener)
        .start()
        .await;
    (gateway, provider)
}

#[tokio::test]
async fn a_load_balancer_in_front_with_one_cookie_or_many() {
    for (shard_bytes, shards) in [(4096, 1), (500, 3)] {
        let clock = Clock::system();
        let (gateway, provider) = balanced(&clock, |balancer| balancer.shard_bytes(shard_bytes)).await;
        let time = clock.clone();
        let session = named(builder(&gateway).clock(move || time.now()), &provider);
        assert_eq!(user(&session, &gateway).await.unwrap(), USER);
        let trace = session.last_login().unwrap();
        let set = trace.steps.last().unwrap();
        let count = set
            .cookies
            .iter()
            .filter(|name| name.starts_with("AWSELBAuthSessionCookie-"))
            .count();
        assert_eq!(count, shards, "{:?}", set.cookies);
        // A week.
        clock.advance(Duration::from_secs(6 * 24 * 3600));
        assert_eq!(user(&session, &gateway).await.unwrap(), USER);
        assert_eq!(provider.password_attempts(), 1);
        clock.advance(Duration::from_secs(24 * 3600));
        assert_eq!(user(&session, &gateway).await.unwrap(), USER);
        gateway.expire_sessions();
        assert_eq!(user(&session, &gateway).await.unwrap(), USER);
        assert_eq!(provider.password_attempts(), 3);
    }
}

#[tokio::test]
async fn a_load_balancer_before_dex() {
    let gateway = fake()
        .kind(GatewayKind::LoadBalancer(
            LoadBalancer::with_dex().cookie_name("kubeflow"),
        ))
        .start()
        .await;
    let session = builder(&gateway).build().unwrap();
    assert_eq!(user(&session, &gateway).await.unwrap(), USER);
    assert_eq!(session.login().await.unwrap().name(), "kubeflow-0");
}

#[tokio::test]
async fn gateways_without_a_page_to_log_in_at_say_so() {
    let (denying, _provider) = balanced(&Clock::system(), |balancer| {
        balancer.unauthenticated(UnauthenticatedAction::Deny)
    })
    .await;
    let tokens = fake().kind(GatewayKind::BearerOnly).start().await;
    for gateway in [denying, tokens] {
        let error = builder(&gateway).build().unwrap().login().await.unwrap_err();
        assert!(matches!(error, Error::TokenRequired { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_token_passes_where_only_tokens_do() {
    let gateway = fake().kind(GatewayKind::BearerOnly).start().await;
    let client = reqwest::Client::new();
    let url = format!("{}/pipeline/apis/v2beta1/runs", gateway.url());
    let ask = |token: String| client.get(&url).bearer_auth(token).send();
    let answer = ask(gateway.token(USER)).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.text().await.unwrap().contains(USER)),
        (200, true)
    );
    let answer = ask("bm8.bm8.bm8".to_owned()).await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.text().await.unwrap(), "Jwt header is an invalid JSON");
    let answer = client.get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.text().await.unwrap(), "RBAC: access denied");
}

#[tokio::test]
async fn kubeflow_below_a_path() {
    for release in RELEASES {
        for several in [false, true] {
            let mut setup = fake().release(release).base_path("/team/kubeflow/");
            if several {
                let ldap = Connector::ldap("ldap", "LDAP").user(USER, PASSWORD, USER);
                setup = setup.connector(Connector::local()).connector(ldap);
            }
            let gateway = setup.start().await;
            assert!(gateway.url().ends_with("/team/kubeflow"));
            let session = builder(&gateway);
            let session = if several { session.connector("ldap") } else { session };
            let session = session.build().unwrap();
            let name = user(&session, &gateway)
                .await
                .unwrap_or_else(|error| panic!("{release}: {error}"));
            assert_eq!(name, USER, "{release}");
            gateway.expire_sessions();
            assert_eq!(user(&session, &gateway).await.unwrap(), USER, "{release}");
            let elsewhere = gateway.url().replace("/team/kubeflow", "/dex/keys");
            assert_eq!(reqwest::get(elsewhere).await.unwrap().status(), 404);
        }
    }
}

#[tokio::test]
async fn a_new_key_of_dex_ends_no_session() {
    let gateway = fake().start().await;
    let session = builder(&gateway).build().unwrap();
    user(&session, &gateway).await.unwrap();
    gateway.rotate_dex_keys();
    user(&session, &gateway).await.unwrap();
    assert_eq!(gateway.logins(), 1);
}

fn through_cognito(gateway: &Gateway, cognito: &Cognito, entra: &EntraId) -> Session {
    builder(gateway)
        .identity_provider(IdentityProvider::at(cognito.url()).unwrap().broker("AzureAD"))
        .identity_provider(IdentityProvider::at(entra.url()).unwrap())
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_companys_whole_chain_behind_every_release() {
    for release in RELEASES {
        let entra = EntraId::builder().user(USER, PASSWORD).start().await;
        let cognito = Cognito::builder()
            .user("local-admin", "battery staple", "admin@example.com")
            .federated("AzureAD", &entra)
            .start()
            .await;
        let gateway = fake()
            .release(release)
            .connector(Connector::oidc("cognito", "Company login", &cognito))
            .start()
            .await;
        let session = through_cognito(&gateway, &cognito, &entra);
        let name = user(&session, &gateway)
            .await
            .unwrap_or_else(|error| panic!("{release}: {error}"));
        assert_eq!(name, USER, "{release}");
        gateway.expire_sessions();
        assert_eq!(user(&session, &gateway).await.unwrap(), USER, "{release}");
        assert_eq!((cognito.password_attempts(), gateway.logins()), (0, 2), "{release}");
    }
}

#[tokio::test]
async fn a_load_balancer_with_cognito() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let callback = format!("http://{}/oauth2/idpresponse", listener.local_addr().unwrap());
    let entra = EntraId::builder().user(USER, PASSWORD).start().await;
    let cognito = Cognito::builder()
        .federated("AzureAD", &entra)
        .client("load-balancer", callback)
        .start()
        .await;
    let gateway = fake()
        .kind(GatewayKind::LoadBalancer(LoadBalancer::new(&cognito)))
        .listener(listener)
        .start()
        .await;
    let session = through_cognito(&gateway, &cognito, &entra);
    assert_eq!(user(&session, &gateway).await.unwrap(), USER);
    gateway.expire_sessions();
    assert_eq!(user(&session, &gateway).await.unwrap(), USER);
}
