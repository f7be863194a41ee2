//! Logins at Cognito: its own users, and those of a provider that is federated to it.

use dex_auth::testing::{Cognito, CognitoBuilder, CognitoUser, EntraId, EntraUser};
use dex_auth::{Credentials, Error, Session, SessionBuilder, UnsafeReason};

use crate::relying_party::{PASSWORD, RelyingParty, at, refused};

const NAME: &str = "ada@corp.example";

async fn set_up(builder: CognitoBuilder) -> (RelyingParty, Cognito) {
    let gateway = RelyingParty::start().await;
    let cognito = builder.client("gateway", gateway.callback()).start().await;
    gateway.send_to(&format!("{}/oauth2/authorize", cognito.url())).await;
    (gateway, cognito)
}

fn credentials() -> Credentials {
    Credentials::new(NAME, PASSWORD)
}

fn own(gateway: &RelyingParty, cognito: &Cognito, credentials: Credentials) -> Session {
    let builder = gateway.session(credentials).identity_provider(at(cognito.url()));
    builder.build().unwrap()
}

async fn entra() -> EntraId {
    EntraId::builder().user(NAME, PASSWORD).start().await
}

/// A session for the whole chain, with the broker named as one.
fn brokered(gateway: &RelyingParty, cognito: &Cognito, entra: &EntraId) -> SessionBuilder {
    let builder = gateway.session(credentials()).identity_provider(at(entra.url()));
    builder.identity_provider(at(cognito.url()).broker("AzureAD"))
}

#[tokio::test]
async fn own_users_log_in() {
    let (gateway, cognito) = set_up(Cognito::builder().user(NAME, PASSWORD, NAME)).await;
    gateway.login(&own(&gateway, &cognito, credentials())).await;
    assert_eq!((cognito.password_attempts(), cognito.logins()), (1, 1));
}

#[tokio::test]
async fn refusals_post_the_password_exactly_once() {
    type Check = fn(&Error) -> bool;
    let user = || CognitoUser::new(NAME, PASSWORD, NAME);
    let table: [(CognitoUser, &str, Check); 8] = [
        (user(), "wrong", |error| matches!(error, Error::WrongPassword { .. })),
        (CognitoUser::new("bob", "x", "b@x.test"), PASSWORD, |error| {
            matches!(error, Error::UnknownUser { .. })
        }),
        (user().disabled(), PASSWORD, |error| {
            matches!(error, Error::AccountDisabled { .. })
        }),
        (user().must_change_password(), PASSWORD, |error| {
            matches!(error, Error::PasswordChangeRequired { .. })
        }),
        (user().second_factor(), PASSWORD, |error| {
            matches!(error, Error::SecondFactorRequired { .. })
        }),
        (user().unconfirmed(), PASSWORD, |error| {
            matches!(error, Error::ActionRequired { .. })
        }),
        (user().must_reset_password(), PASSWORD, |error| {
            matches!(error, Error::ActionRequired { .. })
        }),
        (user().offered_passkey(), PASSWORD, |error| {
            matches!(error, Error::ActionRequired { .. })
        }),
    ];
    for (user, password, check) in table {
        let (gateway, cognito) = set_up(Cognito::builder().account(user.clone()).tells_unknown_users()).await;
        let error = refused(&own(&gateway, &cognito, Credentials::new(NAME, password))).await;
        assert!(check(&error), "{user:?}: {error}");
        assert_eq!((cognito.password_attempts(), gateway.taken_back()), (1, 0), "{error}");
    }
}

#[tokio::test]
async fn the_whole_chain_through_saml_ends_with_a_code() {
    for own_form in [true, false] {
        let entra = entra().await;
        let builder = Cognito::builder()
            .user(NAME, PASSWORD, NAME)
            .federated("AzureAD", &entra);
        let (gateway, cognito) = set_up(if own_form { builder } else { builder.without_own_form() }).await;
        let session = brokered(&gateway, &cognito, &entra).build().unwrap();
        gateway.login(&session).await;
        let trace = session.last_login().unwrap().to_string();
        for page in [
            "Cognito: sign-in page",
            "Entra ID: sign-in page",
            "Entra ID: kind of the account",
            "Entra ID: stay signed in",
            "SAML: response on its way back",
        ] {
            assert!(trace.contains(page), "{page}: {trace}");
        }
        // Although its form would have taken this very password.
        assert_eq!(cognito.password_attempts(), 0);
        assert_eq!((entra.password_attempts(), entra.logins(), cognito.logins()), (1, 1, 1));
    }
}

#[tokio::test]
async fn the_chain_holds_with_a_second_factor() {
    const SECRET: &str = "JBSWY3DPEHPK3PXP";
    let user = EntraUser::new(NAME, PASSWORD).totp_secret(SECRET);
    let entra = EntraId::builder().account(user).device_check().start().await;
    let (gateway, cognito) = set_up(Cognito::builder().federated("AzureAD", &entra)).await;
    let builder = brokered(&gateway, &cognito, &entra).credentials(credentials().totp_secret(SECRET));
    gateway.login(&builder.build().unwrap()).await;
    assert_eq!(entra.code_attempts(), 1);
}

#[tokio::test]
async fn the_hint_spares_the_page_and_is_the_way_round_the_managed_login() {
    let entra = entra().await;
    let (gateway, cognito) = set_up(Cognito::builder().managed_login().federated("AzureAD", &entra)).await;
    let error = refused(&brokered(&gateway, &cognito, &entra).build().unwrap()).await;
    assert!(matches!(error, Error::ScriptRequired { .. }), "{error}");
    assert!(
        error.to_string().contains("authorize_parameter(\"identity_provider\""),
        "{error}"
    );
    let broker = at(cognito.url())
        .broker("AzureAD")
        .authorize_parameter("identity_provider", "AzureAD");
    let session = gateway
        .session(credentials())
        .identity_provider(at(entra.url()))
        .identity_provider(broker)
        .build()
        .unwrap();
    gateway.login(&session).await;
    let wrong = at(cognito.url())
        .broker("Okta")
        .authorize_parameter("identity_provider", "Okta");
    let session = gateway.session(credentials()).identity_provider(wrong).build().unwrap();
    let error = refused(&session).await;
    assert!(matches!(error, Error::Misconfigured { .. }), "{error}");
}

#[tokio::test]
async fn the_button_is_followed_by_name_and_a_form_beside_it_only_when_it_is_said() {
    let (azure, other) = (entra().await, entra().await);
    let (gateway, cognito) = set_up(
        Cognito::builder()
            .user(NAME, PASSWORD, NAME)
            .federated("AzureAD", &azure)
            .federated("Other", &other),
    )
    .await;
    let providers = |builder: SessionBuilder| {
        let builder = builder.identity_provider(at(azure.url()));
        builder.identity_provider(at(other.url()))
    };
    let session = |provider| {
        let builder = gateway.session(credentials()).identity_provider(provider);
        providers(builder).build().unwrap()
    };
    let Error::FederationChoice { available, .. } = refused(&session(at(cognito.url()))).await else {
        panic!()
    };
    assert_eq!(available, ["AzureAD", "Other"]);
    gateway.login(&session(at(cognito.url()).federated("other"))).await;
    assert_eq!((azure.password_attempts(), other.password_attempts()), (0, 1));
    assert_eq!(cognito.password_attempts(), 0);
    gateway.login(&session(at(cognito.url()).own_users())).await;
    assert_eq!(cognito.password_attempts(), 1);
}

#[tokio::test]
async fn a_broker_gets_no_password_even_where_nothing_else_is_offered() {
    let (gateway, cognito) = set_up(Cognito::builder().user(NAME, PASSWORD, NAME)).await;
    let session = gateway
        .session(credentials())
        .identity_provider(at(cognito.url()).broker("AzureAD"))
        .build()
        .unwrap();
    assert!(matches!(refused(&session).await, Error::FederationChoice { .. }));
    assert_eq!(cognito.password_attempts(), 0);
}

#[tokio::test]
async fn the_provider_behind_the_broker_has_to_be_named() {
    let entra = entra().await;
    let (gateway, cognito) = set_up(Cognito::builder().federated("AzureAD", &entra)).await;
    let session = gateway
        .session(credentials())
        .identity_provider(at(cognito.url()).broker("AzureAD"))
        .build()
        .unwrap();
    let error = refused(&session).await;
    assert!(
        matches!(&error, Error::UnsafeTarget { reason: UnsafeReason::OtherOrigin, origin } if origin == entra.url()),
        "{error}"
    );
}

#[tokio::test]
async fn a_refusal_behind_the_broker_is_told_and_not_tried_again() {
    let entra = entra().await;
    let (gateway, cognito) = set_up(Cognito::builder().federated("AzureAD", &entra)).await;
    let builder = brokered(&gateway, &cognito, &entra).credentials(Credentials::new(NAME, "wrong"));
    let session = builder.build().unwrap();
    for _ in 0..2 {
        assert!(matches!(refused(&session).await, Error::WrongPassword { origin } if origin == entra.url()));
    }
    assert_eq!((entra.password_attempts(), cognito.password_attempts()), (1, 0));
}

#[tokio::test]
async fn an_application_that_is_not_known_is_a_wrong_setup() {
    let gateway = RelyingParty::start().await;
    let cognito = Cognito::builder().user(NAME, PASSWORD, NAME).start().await;
    gateway.send_to(&format!("{}/oauth2/authorize", cognito.url())).await;
    let error = refused(&own(&gateway, &cognito, credentials())).await;
    assert!(matches!(error, Error::Misconfigured { .. }), "{error}");
}
