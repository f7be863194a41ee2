//! Logins that are refused, and what a refusal costs.

use dex_auth::{Credentials, Error, UnsafeReason};

use crate::setup::{API, Setup};

#[tokio::test]
async fn a_provider_that_nobody_named_gets_no_password() {
    let Some(setup) = Setup::of_environment("a_provider_that_nobody_named_gets_no_password") else {
        return;
    };
    for (gateway, who, scheme) in [
        ("chain", "broker", "http"),
        ("direct", "company", "http"),
        ("other", "other", "http"),
    ] {
        let before = setup.judged("heidi").await;
        let session = setup.builder(gateway, "heidi").build().unwrap();
        let error = session.login().await.unwrap_err();
        let Error::UnsafeTarget { origin, reason } = &error else {
            panic!("{gateway}: {error:?}");
        };
        assert_eq!(origin, setup.origin(who, scheme), "{gateway}");
        assert_eq!(*reason, UnsafeReason::OtherOrigin, "{gateway}");
        assert_eq!(setup.judged("heidi").await, before, "{gateway}");
    }
}

#[tokio::test]
async fn a_private_certificate_must_be_trusted_first() {
    let Some(setup) = Setup::of_environment("a_private_certificate_must_be_trusted_first") else {
        return;
    };
    let session = setup.builder("tls", "heidi").build().unwrap();
    let error = session.login().await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");

    let trusting = setup
        .builder("tls", "heidi")
        .root_certificate_pem(setup.ca())
        .build()
        .unwrap();
    // The gateway is reached now, and the next host is the one that nobody named.
    let error = trusting.login().await.unwrap_err();
    assert!(matches!(error, Error::UnsafeTarget { .. }), "{error:?}");
}

#[tokio::test]
async fn a_check_service_that_is_down_is_told_apart_from_a_missing_session() {
    let Some(setup) = Setup::of_environment("a_check_service_that_is_down_is_told_apart_from_a_missing_session") else {
        return;
    };
    let session = setup.builder("broken", "heidi").build().unwrap();
    let url = format!("{}{API}", setup.gateway("broken"));
    let error = session.http_client().get(url).send().await.unwrap_err();
    let error = Error::of_middleware(&error).unwrap();
    assert!(matches!(error, Error::AuthServiceUnavailable { .. }), "{error:?}");
}

/// Asks three times with a wrong password, which must reach the provider once.
async fn is_judged_once(setup: &Setup, gateway: &str, person: &str, refused_by: &str) {
    let before = setup.judged(person).await;
    let wrong = Credentials::new(&setup.person(person).username, "wrong");
    let session = setup.session(gateway, person).credentials(wrong).build().unwrap();
    for _ in 0..3 {
        let error = session.login().await.unwrap_err();
        let Error::WrongPassword { origin } = &error else {
            panic!("{gateway}: {error:?}");
        };
        assert_eq!(origin, refused_by, "{gateway}");
    }
    let after = setup.judged(person).await;
    assert_eq!(after.refused - before.refused, 1, "{gateway}");
    assert_eq!(after.accepted, before.accepted, "{gateway}");
}

#[tokio::test]
async fn a_wrong_password_is_judged_once_by_the_company() {
    let Some(setup) = Setup::of_environment("a_wrong_password_is_judged_once_by_the_company") else {
        return;
    };
    is_judged_once(&setup, "direct", "mallory", setup.origin("company", "http")).await;
    is_judged_once(&setup, "tls", "mallory", setup.origin("company", "https")).await;
}

#[tokio::test]
async fn a_wrong_password_is_judged_once_by_the_second_provider() {
    let Some(setup) = Setup::of_environment("a_wrong_password_is_judged_once_by_the_second_provider") else {
        return;
    };
    is_judged_once(&setup, "other", "sybil", setup.origin("other", "http")).await;
}

#[tokio::test]
async fn what_only_a_person_can_do_is_named() {
    let Some(setup) = Setup::of_environment("what_only_a_person_can_do_is_named") else {
        return;
    };
    let error = setup
        .session("direct", "bob")
        .build()
        .unwrap()
        .login()
        .await
        .unwrap_err();
    assert!(matches!(error, Error::PasswordChangeRequired { .. }), "{error:?}");
    let error = setup
        .session("direct", "erin")
        .build()
        .unwrap()
        .login()
        .await
        .unwrap_err();
    assert!(matches!(error, Error::EnrolmentRequired { .. }), "{error:?}");
}

#[tokio::test]
async fn consent_is_not_given_silently() {
    let Some(setup) = Setup::of_environment("consent_is_not_given_silently") else {
        return;
    };
    let session = setup.session("consent", "heidi").build().unwrap();
    let error = session.login().await.unwrap_err();
    // The page of a provider that nobody described need not be recognised as what it is.
    assert!(
        matches!(error, Error::ConsentRequired { .. } | Error::UnknownPage { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_second_factor_that_was_not_given_is_asked_for() {
    let Some(setup) = Setup::of_environment("a_second_factor_that_was_not_given_is_asked_for") else {
        return;
    };
    let frank = setup.person("frank");
    let without = Credentials::new(&frank.username, frank.password.as_str());
    let session = setup.session("direct", "frank").credentials(without).build().unwrap();
    let error = session.login().await.unwrap_err();
    assert!(matches!(error, Error::SecondFactorRequired { .. }), "{error:?}");
    // The password was right, and no code was guessed.
    let judged = setup.judged("frank").await;
    assert_eq!((judged.accepted, judged.refused), (0, 0));
}

#[tokio::test]
async fn a_wrong_one_time_code_is_judged_once() {
    let Some(setup) = Setup::of_environment("a_wrong_one_time_code_is_judged_once") else {
        return;
    };
    let trent = setup.person("trent");
    let another = setup.person("dave").totp_secret.as_deref().unwrap();
    let wrong = Credentials::new(&trent.username, trent.password.as_str()).totp_secret(another);
    let session = setup.session("direct", "trent").credentials(wrong).build().unwrap();
    let before = setup.judged("trent").await;
    for _ in 0..2 {
        let error = session.login().await.unwrap_err();
        assert!(matches!(error, Error::SecondFactorRefused { .. }), "{error:?}");
    }
    assert_eq!(setup.judged("trent").await.refused - before.refused, 1);
}
