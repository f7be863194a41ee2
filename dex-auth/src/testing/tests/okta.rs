use super::relying_party::{Asks, RelyingParty};
use crate::testing::{Okta, OktaBuilder, OktaUser};
use crate::{Credentials, Error};

const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

fn with_users() -> OktaBuilder {
    let user = |name: &str| OktaUser::new(name, "p\"w\\");
    Okta::builder()
        .user(user("ada@example.com").group("a"))
        .user(user("codes").totp_secret(SECRET))
        .user(user("push").push())
        .user(user("enrol").enrol())
        .user(user("expired").expired())
        .user(user("warned").warned())
        .user(user("locked").locked())
}

async fn login(okta: &Okta, credentials: Credentials) -> Result<String, Error> {
    let party = RelyingParty::start(Asks::OpenId(Box::new(okta.clone()))).await;
    party.login(okta.url(), credentials).await
}

fn user(name: &str) -> Credentials {
    Credentials::new(name, "p\"w\\")
}

#[tokio::test]
async fn both_engines_log_in() {
    for okta in [with_users().start().await, with_users().identity_engine().start().await] {
        assert_eq!(login(&okta, user("ada@example.com")).await.unwrap(), "ada@example.com");
        assert_eq!(login(&okta, user("warned")).await.unwrap(), "warned");
        assert_eq!(okta.password_attempts(), 2);
    }
}

#[tokio::test]
async fn each_refusal_has_its_error_and_is_one_attempt() {
    for (name, right) in [
        (
            "locked",
            (|error| matches!(error, Error::AccountLocked { .. })) as fn(&Error) -> bool,
        ),
        ("nobody", |error| matches!(error, Error::WrongPassword { .. })),
        ("expired", |error| matches!(error, Error::PasswordChangeRequired { .. })),
        ("enrol", |error| matches!(error, Error::EnrolmentRequired { .. })),
        (
            "push",
            |error| matches!(error, Error::SecondFactorRequired { methods, .. } if methods == &["approval in the Okta Verify app"]),
        ),
        (
            "codes",
            |error| matches!(error, Error::SecondFactorRequired { methods, .. } if methods.len() == 2),
        ),
    ] {
        let okta = with_users().start().await;
        let error = login(&okta, user(name)).await.unwrap_err();
        assert!(right(&error), "{name}: {error:?}");
        assert_eq!(okta.password_attempts(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_code_is_given_once() {
    let okta = with_users().start().await;
    assert_eq!(login(&okta, user("codes").totp_secret(SECRET)).await.unwrap(), "codes");
    let wrong = user("codes").totp_secret("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    let error = login(&okta, wrong).await.unwrap_err();
    assert!(matches!(error, Error::SecondFactorRefused { .. }), "{error}");
    assert_eq!(okta.password_attempts(), 2);
}

#[tokio::test]
async fn limits_and_pages_that_need_a_browser_are_told_apart() {
    let okta = with_users().limit(0).start().await;
    let error = login(&okta, user("ada@example.com")).await.unwrap_err();
    assert!(
        matches!(error, Error::ProviderUnavailable { status: 429, .. }),
        "{error}"
    );
    let okta = with_users().widget_only().start().await;
    let error = login(&okta, user("ada@example.com")).await.unwrap_err();
    assert!(matches!(error, Error::ScriptRequired { .. }), "{error}");
    assert_eq!(okta.password_attempts(), 1);
}
