//! Whole logins, and sessions that end.

use std::time::Duration;

use dex_auth::{Error, Session};
use futures_util::future::join_all;
use secrecy::ExposeSecret as _;

use crate::setup::{API, Setup};

/// The identity that the service behind the gateway was told.
async fn user(session: &Session, setup: &Setup, gateway: &str) -> Result<String, reqwest_middleware::Error> {
    let url = format!("{}{API}", setup.gateway(gateway));
    let answer = session.http_client().get(url).send().await?;
    assert_eq!(answer.status(), 200);
    let told: serde_json::Value = serde_json::from_slice(&answer.bytes().await?).unwrap();
    Ok(told["kubeflow-userid"].as_str().unwrap_or_default().to_owned())
}

/// Logs in once, as who it should be, with the password judged once and nowhere refused.
async fn logs_in(setup: &Setup, gateway: &str, person: &str) -> Session {
    let before = setup.judged(person).await;
    let session = setup.session(gateway, person).build().unwrap();
    assert_eq!(
        user(&session, setup, gateway).await.unwrap(),
        setup.person(person).email
    );
    let after = setup.judged(person).await;
    assert_eq!(after.accepted - before.accepted, 1, "{gateway}");
    assert_eq!(after.refused, before.refused, "{gateway}");
    session
}

/// Waits until the gateway no longer takes this session's cookie.
async fn ended(session: &Session, setup: &Setup, gateway: &str) {
    let cookie = session.login().await.unwrap();
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    let limit = setup.session_lasts(gateway) + Duration::from_secs(10);
    let wait = async {
        loop {
            let answer = plain
                .get(format!("{}{API}", setup.gateway(gateway)))
                .header(
                    "cookie",
                    format!("{}={}", cookie.name(), cookie.value().expose_secret()),
                )
                .send()
                .await
                .unwrap();
            if answer.status() == 401 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(limit, wait).await.unwrap();
}

/// How many logins a gateway has seen to their end.
async fn completed(setup: &Setup, gateway: &str) -> usize {
    let requests = setup.requests(gateway).await;
    requests
        .iter()
        .filter(|(_, path, status)| path == "/oauth2/callback" && *status == 302)
        .count()
}

#[tokio::test]
async fn directory_company_saml_broker_gateway() {
    let Some(setup) = Setup::of_environment("directory_company_saml_broker_gateway") else {
        return;
    };
    logs_in(&setup, "chain", "alice").await;
}

#[tokio::test]
async fn the_same_over_tls_with_a_private_authority() {
    let Some(setup) = Setup::of_environment("the_same_over_tls_with_a_private_authority") else {
        return;
    };
    let session = logs_in(&setup, "tls", "peggy").await;
    if setup.has_kfp {
        let url = format!("{}/pipeline/apis/v2beta1/pipelines", setup.gateway("tls"));
        let answer = session.http_client().get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        serde_json::from_slice::<serde_json::Value>(&answer.bytes().await.unwrap()).unwrap();
    }
}

#[tokio::test]
async fn with_a_one_time_password() {
    let Some(setup) = Setup::of_environment("with_a_one_time_password") else {
        return;
    };
    logs_in(&setup, "chain", "dave").await;
}

#[tokio::test]
async fn the_brokers_own_people() {
    let Some(setup) = Setup::of_environment("the_brokers_own_people") else {
        return;
    };
    let session = setup.session_of_broker("local").build().unwrap();
    assert_eq!(
        user(&session, &setup, "chain").await.unwrap(),
        setup.person("local").email
    );
}

#[tokio::test]
async fn straight_to_the_company() {
    let Some(setup) = Setup::of_environment("straight_to_the_company") else {
        return;
    };
    logs_in(&setup, "direct", "judy").await;
}

#[tokio::test]
async fn a_second_provider_unrelated_to_the_first() {
    let Some(setup) = Setup::of_environment("a_second_provider_unrelated_to_the_first") else {
        return;
    };
    logs_in(&setup, "other", "victor").await;
}

#[tokio::test]
async fn a_check_that_crashes_and_comes_back_costs_no_login() {
    let Some(setup) = Setup::of_environment("a_check_that_crashes_and_comes_back_costs_no_login") else {
        return;
    };
    let session = logs_in(&setup, "crash", "walter").await;
    let before = setup.judged("walter").await;
    setup.stop("oauth2-proxy-crash").await;
    let error = user(&session, &setup, "crash").await.unwrap_err();
    let error = Error::of_middleware(&error).unwrap();
    assert!(matches!(error, Error::AuthServiceUnavailable { .. }), "{error:?}");
    setup.start("oauth2-proxy-crash").await;
    assert_eq!(
        user(&session, &setup, "crash").await.unwrap(),
        setup.person("walter").email
    );
    assert_eq!(setup.judged("walter").await, before);
}

#[tokio::test]
async fn an_ended_session_is_renewed_once_for_all_who_wait() {
    let Some(setup) = Setup::of_environment("an_ended_session_is_renewed_once_for_all_who_wait") else {
        return;
    };
    let session = logs_in(&setup, "short", "olivia").await;
    for _ in 0..2 {
        ended(&session, &setup, "short").await;
        let before = completed(&setup, "short").await;
        let users = join_all((0..100).map(|_| user(&session, &setup, "short"))).await;
        for found in users {
            assert_eq!(found.unwrap(), setup.person("olivia").email);
        }
        assert_eq!(completed(&setup, "short").await - before, 1);
    }
}

#[tokio::test]
async fn a_token_that_ends_before_its_session_is_renewed() {
    let Some(setup) = Setup::of_environment("a_token_that_ends_before_its_session_is_renewed") else {
        return;
    };
    let session = logs_in(&setup, "stale", "rupert").await;
    ended(&session, &setup, "stale").await;
    let before = completed(&setup, "stale").await;
    assert_eq!(
        user(&session, &setup, "stale").await.unwrap(),
        setup.person("rupert").email
    );
    assert_eq!(completed(&setup, "stale").await - before, 1);
}
