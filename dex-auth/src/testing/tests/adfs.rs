use super::relying_party::{Asks, RelyingParty};
use crate::testing::{Adfs, AdfsBuilder, AdfsUser};
use crate::{Credentials, Error};

const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

fn with_users() -> AdfsBuilder {
    let user = |name: &str| AdfsUser::new(name, "p & w+%").email("ada@example.com");
    Adfs::builder()
        .user(user("ACME\\ada").group("a"))
        .user(user("codes").totp_secret(SECRET))
        .user(user("push").push())
        .user(user("question").challenge_question())
        .user(user("expired").expired())
        .user(user("locked").locked())
}

async fn login(adfs: &Adfs, name: &str, password: &str) -> Result<String, Error> {
    let party = RelyingParty::start(Asks::SamlByRedirect(Box::new(adfs.clone()))).await;
    party.login(adfs.url(), Credentials::new(name, password)).await
}

#[tokio::test]
async fn both_bindings_log_in() {
    let adfs = with_users().start().await;
    let asks: [fn(Box<Adfs>) -> Asks; 2] = [|adfs| Asks::SamlByRedirect(adfs), |adfs| Asks::SamlByPost(adfs)];
    for (number, asks) in (1..).zip(asks) {
        let party = RelyingParty::start(asks(Box::new(adfs.clone()))).await;
        let who = party
            .login(adfs.url(), Credentials::new("acme\\ADA", "p & w+%"))
            .await
            .unwrap();
        assert_eq!(who, "ada@example.com");
        assert_eq!((adfs.logins(), adfs.password_attempts()), (number, number));
    }
}

#[tokio::test]
async fn each_refusal_has_its_error_and_is_one_attempt() {
    for (name, password, right) in [
        (
            "ACME\\ada",
            "wrong",
            (|error| matches!(error, Error::WrongPassword { .. })) as fn(&Error) -> bool,
        ),
        ("nobody", "p & w+%", |error| {
            matches!(error, Error::WrongPassword { .. })
        }),
        ("locked", "p & w+%", |error| {
            matches!(error, Error::WrongPassword { .. })
        }),
        ("expired", "p & w+%", |error| {
            matches!(error, Error::PasswordChangeRequired { .. })
        }),
        (
            "push",
            "p & w+%",
            |error| matches!(error, Error::SecondFactorRequired { methods, .. } if methods[0].contains("Authenticator app")),
        ),
        (
            "question",
            "p & w+%",
            |error| matches!(error, Error::SecondFactorRequired { methods, .. } if methods[0].contains("question")),
        ),
        (
            "codes",
            "p & w+%",
            |error| matches!(error, Error::SecondFactorRequired { methods, .. } if methods[0].contains("authenticator app")),
        ),
    ] {
        let adfs = with_users().start().await;
        let error = login(&adfs, name, password).await.unwrap_err();
        assert!(right(&error), "{name}: {error:?}");
        assert_eq!((adfs.logins(), adfs.password_attempts()), (0, 1), "{name}");
    }
}

#[tokio::test]
async fn a_code_is_given_once() {
    let adfs = with_users().start().await;
    let party = RelyingParty::start(Asks::SamlByPost(Box::new(adfs.clone()))).await;
    let with = |secret| Credentials::new("codes", "p & w+%").totp_secret(secret);
    assert_eq!(party.login(adfs.url(), with(SECRET)).await.unwrap(), "ada@example.com");
    let error = party
        .login(adfs.url(), with("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::SecondFactorRefused { .. }), "{error}");
    assert_eq!(adfs.password_attempts(), 2);
}

#[tokio::test]
async fn integrated_sign_in_and_unknown_parties_get_no_password() {
    let adfs = with_users().integrated().start().await;
    let error = login(&adfs, "codes", "p & w+%").await.unwrap_err();
    assert!(
        matches!(&error, Error::IntegratedSignIn { schemes, .. } if schemes == &["Negotiate", "NTLM"]),
        "{error:?}"
    );
    let other = with_users().relying_party("someone else").start().await;
    let error = login(&other, "codes", "p & w+%").await.unwrap_err();
    assert!(
        matches!(&error, Error::LoginRefused { message, .. } if message.contains("MSIS7007")),
        "{error:?}"
    );
    assert_eq!((adfs.password_attempts(), other.password_attempts()), (0, 0));
}
