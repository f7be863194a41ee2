//! Logins at Entra ID, as an OpenID provider and as a SAML one.

use dex_auth::testing::{EntraId, EntraIdBuilder, EntraUser};
use dex_auth::{Credentials, Error, Session, UnsafeReason};

use crate::relying_party::{PASSWORD, RelyingParty, at, refused};

const NAME: &str = "ada@corp.example";
const SECRET: &str = "JBSWY3DPEHPK3PXP";
const TENANT: &str = "2f1d0c6a-5b1e-4c1f-9a57-0d6c1f6f7c11";

async fn set_up(builder: EntraIdBuilder) -> (RelyingParty, EntraId) {
    let gateway = RelyingParty::start().await;
    let entra = builder.client("gateway", gateway.callback()).start().await;
    let endpoint = format!("{}/{TENANT}/oauth2/v2.0/authorize", entra.url());
    gateway.send_to(&endpoint).await;
    (gateway, entra)
}

async fn with(user: EntraUser) -> (RelyingParty, EntraId) {
    set_up(EntraId::builder().account(user)).await
}

fn ada() -> EntraUser {
    EntraUser::new(NAME, PASSWORD)
}

fn session(gateway: &RelyingParty, entra: &EntraId, credentials: Credentials) -> Session {
    let builder = gateway.session(credentials).identity_provider(at(entra.url()));
    builder.build().unwrap()
}

fn credentials() -> Credentials {
    Credentials::new(NAME, PASSWORD)
}

#[tokio::test]
async fn logs_in_with_one_question_and_one_password() {
    for asks in [true, false] {
        let (gateway, entra) = set_up(EntraId::builder().account(ada()).stay_signed_in(asks)).await;
        let session = session(&gateway, &entra, credentials());
        gateway.login(&session).await;
        assert_eq!(
            (entra.account_lookups(), entra.password_attempts(), entra.logins()),
            (1, 1, 1)
        );
        let trace = session.last_login().unwrap().to_string();
        assert_eq!(trace.contains("Entra ID: stay signed in"), asks, "{trace}");
        assert!(
            trace.contains("passwd (password)") && !trace.contains(PASSWORD),
            "{trace}"
        );
    }
}

#[tokio::test]
async fn logs_in_by_saml_and_after_the_question_for_a_device() {
    let gateway = RelyingParty::start().await;
    let entra = EntraId::builder().account(ada()).device_check().start().await;
    gateway.post_to(&format!("{}/{TENANT}/saml2", entra.url())).await;
    let session = session(&gateway, &entra, credentials());
    gateway.login(&session).await;
    let trace = session.last_login().unwrap().to_string();
    assert!(trace.contains("Entra ID: form that sends itself"), "{trace}");
    assert!(trace.contains("SAML: response on its way back"), "{trace}");
}

#[tokio::test]
async fn gives_the_code_of_an_authenticator_once() {
    let (gateway, entra) = with(ada().totp_secret(SECRET)).await;
    let session = session(&gateway, &entra, credentials().totp_secret(SECRET));
    gateway.login(&session).await;
    assert_eq!((entra.password_attempts(), entra.code_attempts()), (1, 1));

    let (gateway, entra) = with(ada().totp_secret(SECRET)).await;
    let other = self::session(&gateway, &entra, credentials().totp_secret("GEZDGNBVGY3TQOJQ"));
    assert!(matches!(refused(&other).await, Error::SecondFactorRefused { .. }));
    assert!(matches!(refused(&other).await, Error::SecondFactorRefused { .. }));
    assert_eq!((entra.password_attempts(), entra.code_attempts()), (1, 1));
}

#[tokio::test]
async fn second_factors_that_need_a_person_are_named() {
    for (user, credentials, expected) in [
        (
            ada().push_only(),
            credentials().totp_secret(SECRET),
            vec!["PhoneAppNotification"],
        ),
        (
            ada().totp_secret(SECRET),
            credentials(),
            vec!["PhoneAppNotification", "PhoneAppOTP"],
        ),
    ] {
        let (gateway, entra) = with(user).await;
        let Error::SecondFactorRequired { methods, .. } = refused(&session(&gateway, &entra, credentials)).await else {
            panic!()
        };
        assert_eq!(methods, expected);
        assert_eq!(entra.code_attempts(), 0);
    }
}

#[tokio::test]
async fn a_wrong_password_is_posted_exactly_once() {
    let (gateway, entra) = with(ada()).await;
    let session = session(&gateway, &entra, Credentials::new(NAME, "wrong"));
    for _ in 0..3 {
        assert!(matches!(refused(&session).await, Error::WrongPassword { .. }));
    }
    assert_eq!(entra.password_attempts(), 1);
}

#[tokio::test]
async fn an_unknown_user_gives_no_password() {
    let (gateway, entra) = with(ada()).await;
    let session = session(&gateway, &entra, Credentials::new("nobody@corp.example", PASSWORD));
    assert!(matches!(refused(&session).await, Error::UnknownUser { .. }));
    entra.throttle(true);
    let session = self::session(&gateway, &entra, credentials());
    let error = refused(&session).await;
    assert!(matches!(error, Error::ProviderUnavailable { .. }) && error.is_retryable());
    assert_eq!(entra.password_attempts(), 0);
}

#[tokio::test]
async fn a_locked_account_says_so_whatever_the_password_is() {
    let (gateway, entra) = set_up(EntraId::builder().account(ada()).lockout_after(1)).await;
    let wrong = session(&gateway, &entra, Credentials::new(NAME, "wrong"));
    assert!(matches!(refused(&wrong).await, Error::WrongPassword { .. }));
    let right = session(&gateway, &entra, credentials());
    assert!(matches!(refused(&right).await, Error::AccountLocked { .. }));
    assert_eq!(entra.password_attempts(), 2);
}

#[tokio::test]
async fn each_state_of_an_account_has_its_error() {
    type Check = fn(&Error) -> bool;
    fn denied(error: &Error, expected: &str) -> bool {
        matches!(error, Error::AccessDenied { code: Some(code), .. } if code == expected)
    }
    let table: [(EntraUser, Check); 14] = [
        (ada().disabled(), |error| matches!(error, Error::AccountDisabled { .. })),
        (ada().must_enrol(), |error| {
            matches!(error, Error::EnrolmentRequired { .. })
        }),
        (ada().refused_with(50_055), |error| {
            matches!(error, Error::PasswordChangeRequired { .. })
        }),
        (ada().refused_with(50_056), |error| {
            matches!(error, Error::ActionRequired { .. })
        }),
        (ada().refused_with(50_079), |error| {
            matches!(error, Error::EnrolmentRequired { .. })
        }),
        (ada().refused_with(50_076), |error| {
            matches!(error, Error::SecondFactorRequired { .. })
        }),
        (ada().refused_with(50_005), |error| denied(error, "AADSTS50005")),
        (ada().refused_with(50_105), |error| denied(error, "AADSTS50105")),
        (ada().refused_with(50_158), |error| denied(error, "AADSTS50158")),
        (ada().refused_with(53_003), |error| denied(error, "AADSTS53003")),
        (ada().refused_with(65_001), |error| {
            matches!(error, Error::ConsentRequired { .. })
        }),
        (ada().refused_with(90_094), |error| {
            matches!(error, Error::ConsentRequired { .. })
        }),
        (ada().refused_with(50_011), |error| {
            matches!(error, Error::Misconfigured { .. })
        }),
        (
            ada().refused_with(90_072),
            |error| matches!(error, Error::LoginRefused { message, .. } if message.contains("AADSTS90072")),
        ),
    ];
    for (user, check) in table {
        let (gateway, entra) = with(user.clone()).await;
        let error = refused(&session(&gateway, &entra, credentials())).await;
        assert!(check(&error), "{user:?}: {error}");
        assert_eq!((entra.password_attempts(), gateway.taken_back()), (1, 0), "{error}");
    }
}

#[tokio::test]
async fn enrolment_that_can_wait_waits() {
    let (gateway, entra) = with(ada().may_enrol_later()).await;
    gateway.login(&session(&gateway, &entra, credentials())).await;
}

#[tokio::test]
async fn an_application_that_is_not_known_is_a_wrong_setup() {
    let gateway = RelyingParty::start().await;
    let entra = EntraId::builder().account(ada()).start().await;
    let endpoint = format!("{}/{TENANT}/oauth2/v2.0/authorize", entra.url());
    gateway.send_to(&endpoint).await;
    let error = refused(&session(&gateway, &entra, credentials())).await;
    assert!(matches!(error, Error::Misconfigured { .. }), "{error}");
    assert!(error.to_string().contains("AADSTS700016"), "{error}");
}

#[tokio::test]
async fn a_federated_user_goes_to_his_own_provider_if_it_was_named() {
    // The other provider is one that nobody knows, with a plain form.
    let other = wiremock::MockServer::start().await;
    let form = "<form method=post action='/in'><input name=user><input type=password name=pw></form>";
    let page = wiremock::ResponseTemplate::new(200).set_body_raw(form, "text/html");
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(page)
        .mount(&other)
        .await;
    let (gateway, entra) = with(ada().federated(format!("{}/adfs/ls/?x=1", other.uri()))).await;
    let error = refused(&session(&gateway, &entra, credentials())).await;
    assert!(
        matches!(&error, Error::UnsafeTarget { reason: UnsafeReason::OtherOrigin, origin } if *origin == other.uri()),
        "{error}"
    );
    assert!(other.received_requests().await.unwrap().is_empty());

    let builder = gateway.session(credentials()).identity_provider(at(entra.url()));
    let named = builder.identity_provider(at(&other.uri())).build().unwrap();
    assert!(matches!(refused(&named).await, Error::WrongPassword { origin } if origin == other.uri()));
    let seen = other.received_requests().await.unwrap();
    let seen: Vec<_> = seen
        .iter()
        .map(|request| (request.method.as_str(), request.url.path()))
        .collect();
    assert_eq!(seen, [("GET", "/adfs/ls/"), ("POST", "/in")]);
    assert_eq!(entra.password_attempts(), 0);
}
