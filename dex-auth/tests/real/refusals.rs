//! What ends a login before a password is sent.

use dex_auth::{Error, UnsafeReason};

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
    let ask = async || {
        let session = setup.builder("consent", "heidi").build().unwrap();
        let url = format!("{}{API}", setup.gateway("consent"));
        let error = session.http_client().get(url).send().await.unwrap_err();
        Error::of_middleware(&error).unwrap().clone()
    };
    setup.stop("oauth2-proxy-consent").await;
    let error = ask().await;
    assert!(matches!(error, Error::AuthServiceUnavailable { .. }), "{error:?}");
    setup.start("oauth2-proxy-consent").await;
    let error = ask().await;
    assert!(matches!(error, Error::UnsafeTarget { .. }), "{error:?}");
}
