//! Logins at Keycloak: its own users, and those of Entra ID behind it.

use dex_auth::testing::{EntraId, Keycloak, KeycloakBuilder, KeycloakUser};
use dex_auth::{Credentials, Error, UnsafeReason};

use crate::relying_party::{PASSWORD, RelyingParty, at};

const NAME: &str = "ada@corp.example";

async fn set_up(builder: KeycloakBuilder) -> (RelyingParty, Keycloak) {
    let gateway = RelyingParty::start().await;
    let keycloak = builder.client("gateway", gateway.callback()).start().await;
    let endpoint = format!("{}/protocol/openid-connect/auth", keycloak.issuer());
    gateway.send_to(&endpoint).await;
    (gateway, keycloak)
}

fn credentials() -> Credentials {
    Credentials::new(NAME, PASSWORD)
}

#[tokio::test]
async fn own_users_log_in_with_codes() {
    const SECRET: &str = "JBSWY3DPEHPK3PXP";
    let user = KeycloakUser::new(NAME, PASSWORD).totp_device("phone", SECRET);
    let (gateway, keycloak) = set_up(Keycloak::builder().identity_first().account(user)).await;
    let session = gateway
        .session(credentials().totp_secret(SECRET))
        .identity_provider(at(keycloak.url()))
        .build()
        .unwrap();
    gateway.login(&session).await;
    assert_eq!((keycloak.password_attempts(), keycloak.logins()), (1, 1));
}

#[tokio::test]
async fn a_broker_passes_on_to_entra_id_and_never_gets_the_password() {
    let entra = EntraId::builder().user(NAME, PASSWORD).start().await;
    let builder = Keycloak::builder().federated("AzureAD", "Company login", &entra);
    let (gateway, keycloak) = set_up(builder).await;
    let chain = || gateway.session(credentials()).identity_provider(at(entra.url()));
    let session = chain()
        .identity_provider(at(keycloak.url()).broker("AzureAD"))
        .build()
        .unwrap();
    gateway.login(&session).await;
    // The button alone says as much.
    let session = chain().identity_provider(at(keycloak.url())).build().unwrap();
    gateway.login(&session).await;
    assert_eq!(keycloak.password_attempts(), 0);

    let unnamed = gateway.session(credentials()).identity_provider(at(keycloak.url()));
    let error = unnamed.build().unwrap().login().await.unwrap_err();
    let Error::UnsafeTarget { origin, reason } = error else {
        panic!("{error}")
    };
    assert_eq!((origin.as_str(), reason), (entra.url(), UnsafeReason::OtherOrigin));
}
