//! Every gateway with every provider: a login, its end, a new one, and the way out.

use std::any::Any;

use dex_auth::testing::{
    Adfs, AdfsUser, Cognito, Connector, EntraId, Gateway, GatewayKind, Keycloak, LoadBalancer, Okta, OktaUser,
    PlainProvider, Release,
};
use dex_auth::{Credentials, IdentityProvider, Session};
use wiremock::{Request, ResponseTemplate};

const USER: &str = "user@example.com";
const PASSWORD: &str = "correct horse & battery+staple%";

/// A provider behind Dex, running.
struct Provider {
    name: &'static str,
    connector: Connector,
    username: &'static str,
    /// What the session is told of it.
    named: Vec<IdentityProvider>,
    /// They end when these go.
    running: Vec<Box<dyn Any>>,
}

impl Provider {
    fn new(name: &'static str, connector: impl Into<Connector>) -> Self {
        Self {
            name,
            connector: connector.into(),
            username: USER,
            named: Vec::new(),
            running: Vec::new(),
        }
    }

    fn at<P: Any>(mut self, provider: P, url: fn(&P) -> &str) -> Self {
        self.named.push(IdentityProvider::at(url(&provider)).unwrap());
        self.running.push(Box::new(provider));
        self
    }
}

async fn providers() -> Vec<Provider> {
    let cognito = Cognito::builder().user(USER, PASSWORD, USER).start().await;
    let entra = EntraId::builder().user(USER, PASSWORD).start().await;
    let broker = Cognito::builder().federated("AzureAD", &entra).start().await;
    let company = EntraId::builder().user(USER, PASSWORD).start().await;
    let keycloak = Keycloak::builder().user(USER, PASSWORD).start().await;
    let saml = Keycloak::builder().user(USER, PASSWORD).start().await;
    let adfs = Adfs::builder().user(AdfsUser::new(USER, PASSWORD)).start().await;
    let okta = Okta::builder().user(OktaUser::new(USER, PASSWORD)).start().await;
    let plain = PlainProvider::builder().user(USER, PASSWORD, USER).start().await;
    let ldap = Connector::ldap("ldap", "LDAP").user("user", PASSWORD, USER);
    vec![
        Provider::new("Dex's own users", Connector::local()),
        Provider {
            username: "user",
            ..Provider::new("LDAP", ldap)
        },
        Provider::new("Cognito", Connector::oidc("x", "X", &cognito)).at(cognito, Cognito::url),
        Provider::new("Entra ID behind Cognito", Connector::oidc("x", "X", &broker))
            .at(broker, Cognito::url)
            .at(entra, EntraId::url),
        Provider::new("Entra ID, SAML", Connector::saml("x", "X", &company)).at(company, EntraId::url),
        Provider::new("Keycloak", Connector::oidc("x", "X", &keycloak)).at(keycloak, Keycloak::url),
        Provider::new("Keycloak, SAML", Connector::saml("x", "X", &saml)).at(saml, Keycloak::url),
        Provider::new("AD FS", Connector::saml("x", "X", &adfs)).at(adfs, Adfs::url),
        Provider::new("Okta", Connector::oidc("x", "X", &okta)).at(okta, Okta::url),
        Provider::new("an unknown one", Connector::oidc("x", "X", &plain)).at(plain, PlainProvider::url),
    ]
}

fn gateways() -> [(&'static str, Release, GatewayKind); 5] {
    [
        ("oidc-authservice of 1.6", Release::Kubeflow1_6, GatewayKind::Stock),
        ("oidc-authservice of 1.8", Release::Kubeflow1_8, GatewayKind::Stock),
        ("oauth2-proxy of 1.9.0", Release::Kubeflow1_9, GatewayKind::Stock),
        ("oauth2-proxy of 1.11", Release::Kubeflow1_11, GatewayKind::Stock),
        (
            "a load balancer",
            Release::Kubeflow1_11,
            GatewayKind::LoadBalancer(LoadBalancer::with_dex()),
        ),
    ]
}

async fn user(session: &Session, gateway: &Gateway) -> Result<String, String> {
    let url = format!("{}/pipeline/apis/v2beta1/runs", gateway.url());
    let answer = session
        .http_client()
        .get(url)
        .send()
        .await
        .map_err(|error| format!("{error:?}"))?;
    let status = answer.status();
    let body: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(status, 200);
    Ok(body["user"].as_str().unwrap_or_default().to_owned())
}

/// How many logins came to their end.
fn logins(gateway: &Gateway) -> usize {
    const CALLBACKS: [&str; 4] = [
        "/login/oidc",
        "/authservice/oidc/callback",
        "/oauth2/callback",
        "/oauth2/idpresponse",
    ];
    let requests = gateway.requests();
    requests
        .iter()
        .filter(|request| CALLBACKS.contains(&request.path.as_str()))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_gateway_with_every_provider() {
    let providers = providers().await;
    for (kind, release, gateway_kind) in gateways() {
        for provider in &providers {
            let told = format!("{} behind {kind}", provider.name);
            let gateway = Gateway::builder()
                .release(release)
                .kind(gateway_kind.clone())
                .user(USER, PASSWORD)
                .connector(provider.connector.clone())
                .upstream("/pipeline", |request: &Request| {
                    let user = request.headers.get("kubeflow-userid");
                    let user = user.map(|value| value.to_str().unwrap());
                    ResponseTemplate::new(200).set_body_json(serde_json::json!({ "user": user }))
                })
                .start()
                .await;
            let mut builder = Session::builder(gateway.url())
                .unwrap()
                .credentials(Credentials::new(provider.username, PASSWORD));
            for named in &provider.named {
                builder = builder.identity_provider(named.clone());
            }
            let session = builder.build().unwrap();
            let name = user(&session, &gateway)
                .await
                .unwrap_or_else(|error| panic!("{told}: {error}\n{}", session.last_login().unwrap_or_default()));
            assert_eq!(name, USER, "{told}");
            assert_eq!(user(&session, &gateway).await.as_deref(), Ok(USER), "{told}");
            assert_eq!(logins(&gateway), 1, "{told}");

            gateway.expire_sessions();
            assert_eq!(user(&session, &gateway).await.as_deref(), Ok(USER), "{told}");
            assert_eq!(logins(&gateway), 2, "{told}");

            session.logout().await.unwrap_or_else(|error| panic!("{told}: {error}"));
            assert_eq!(user(&session, &gateway).await.as_deref(), Ok(USER), "{told}");
            assert_eq!(logins(&gateway), 3, "{told}");
        }
    }
}
