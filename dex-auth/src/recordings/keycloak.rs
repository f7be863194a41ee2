//! Recorded logins through Keycloak: straight behind the gateway, behind Dex by OpenID Connect and by SAML, and as
//! broker and provider of a chain.

use super::file::read;
use super::logins::{End, Replay};
use crate::IdentityProvider;
use crate::error::Error;
use crate::handler::{Action, Progress};
use crate::page::Page;
use crate::providers::built_in;

fn corp() -> IdentityProvider {
    IdentityProvider::at("https://corp.example.test").unwrap()
}

fn broker() -> IdentityProvider {
    IdentityProvider::at("https://cognito.example.test").unwrap()
}

/// The type that lists of different lengths share.
fn slice(steps: &'static [u64]) -> &'static [u64] {
    steps
}

/// Straight behind the gateway.
fn direct(flow: &'static str, steps: &'static [u64]) -> Option<End> {
    replay(flow, steps, true)
}

fn replay(flow: &'static str, steps: &'static [u64], codes: bool) -> Option<End> {
    let replay = Replay {
        steps,
        providers: vec![corp()],
        codes,
        ..Replay::of("login-keycloak", flow)
    };
    replay.run()
}

fn saml(flow: &'static str, connector: &'static str, directly: bool) -> Option<End> {
    let replay = Replay {
        connector: Some(connector),
        connector_directly: directly,
        providers: vec![corp()],
        ..Replay::of("login-saml", flow)
    };
    replay.run()
}

fn chain(flow: &str, broker: IdentityProvider) -> Replay<'_> {
    Replay {
        providers: vec![broker, corp()],
        codes: true,
        ..Replay::of("login-chain", flow)
    }
}

/// One of several connectors, asked for in the address.
fn connected<'a>(flow: &'a str, connector: &'a str) -> Replay<'a> {
    Replay {
        connector: Some(connector),
        connector_directly: true,
        ..chain(flow, broker().broker("AzureAD"))
    }
}

#[test]
fn logins_end_with_a_session() {
    const LOGINS: [(&str, &[u64]); 9] = [
        ("password", &[]),
        ("sso-session-present", &[]),
        ("wrong-password", &[1, 2, 4, 5]),
        ("otp", &[1, 2, 3, 5, 6]),
        ("otp-two-devices", &[]),
        ("identity-first", &[]),
        ("remember-me", &[]),
        ("only-KC_RESTART-lost", &[]),
        ("two-tabs", &[3, 4, 7, 8]),
    ];
    for (flow, steps) in LOGINS {
        let Some(end) = direct(flow, steps) else { return };
        assert!(matches!(end, End::Done), "{flow}: {end:?}");
    }
}

#[test]
fn refusals_are_told_apart() {
    let error = |flow, steps| direct(flow, steps).map(End::error);
    for flow in [
        "unknown-user",
        "empty-password",
        "disabled-user-wrong-password",
        "theme-v1-login",
        "identity-first-wrong-password",
    ] {
        let Some(error) = error(flow, &[]) else { return };
        assert!(matches!(error, Error::WrongPassword { .. }), "{flow}: {error}");
    }
    for (flow, steps) in [
        ("wrong-password", &[1, 2, 3]),
        ("wrong-password-german", &[1, 3, 4]),
        // The right password of a locked account.
        ("lockout", &[1, 2, 6]),
    ] {
        let error = error(flow, steps).unwrap();
        assert!(matches!(error, Error::WrongPassword { .. }), "{flow}: {error}");
    }
    for flow in ["disabled-user", "theme-v1-disabled"] {
        let error = error(flow, &[]).unwrap();
        assert!(matches!(error, Error::AccountDisabled { .. }), "{flow}: {error}");
    }
    for (flow, steps) in [
        ("otp", slice(&[1, 2, 3, 4])),
        ("otp-reused-code", &[]),
        ("theme-v1-otp", &[]),
    ] {
        let error = error(flow, steps).unwrap();
        assert!(matches!(error, Error::SecondFactorRefused { .. }), "{flow}: {error}");
        let without = replay(flow, &[1, 2, 3], false).unwrap().error();
        assert!(
            matches!(without, Error::SecondFactorRequired { .. }),
            "{flow}: {without}"
        );
    }
}

#[test]
fn what_only_a_person_can_do_ends_the_login() {
    let error = |flow, steps| direct(flow, steps).map(End::error);
    for flow in ["required-update-password", "theme-v1-update-password"] {
        let Some(error) = error(flow, &[]) else { return };
        assert!(matches!(error, Error::PasswordChangeRequired { .. }), "{flow}: {error}");
    }
    for (flow, steps) in [
        ("required-configure-totp", slice(&[])),
        ("otp-second-device-enrolled", &[1, 2, 3, 4, 5]),
    ] {
        let error = error(flow, steps).unwrap();
        assert!(matches!(error, Error::EnrolmentRequired { .. }), "{flow}: {error}");
    }
    for flow in ["required-terms", "required-verify-profile"] {
        let error = error(flow, &[]).unwrap();
        assert!(matches!(error, Error::ActionRequired { .. }), "{flow}: {error}");
    }
    for flow in ["consent", "theme-v1-consent"] {
        let Error::ConsentRequired { message, .. } = error(flow, &[1, 2, 3, 4]).unwrap() else {
            panic!("{flow}")
        };
        assert_eq!(message, "User roles, Email address, User profile", "{flow}");
    }
    let mail = error("required-verify-email", &[]).unwrap();
    assert!(matches!(mail, Error::ProviderUnavailable { status: 500, .. }), "{mail}");
}

#[test]
fn lost_logins_are_lost_and_not_refused() {
    let error = |flow, steps| direct(flow, steps).map(End::error);
    for (flow, steps) in [
        ("cookies-lost", slice(&[])),
        ("only-AUTH_SESSION_ID-lost", &[]),
        ("stale-form-posted-twice", &[1, 2, 4, 5]),
        // The first tab's end, after the second one took its cookie at the gateway.
        ("two-tabs", &[1, 2, 5, 6]),
    ] {
        let Some(error) = error(flow, steps) else { return };
        assert!(matches!(error, Error::LoginStateLost { .. }), "{flow}: {error}");
    }
    let again = error("form-reposted-after-login", &[1, 2, 4]).unwrap();
    let Error::ProviderUnavailable { message, .. } = again else {
        panic!("{again}")
    };
    assert_eq!(message, "temporarily_unavailable authentication_expired");
}

#[test]
fn a_form_that_is_shown_for_another_reason_is_filled_in() {
    for (flow, fields) in [
        ("sso-prompt-login", &["credentialId", "password"]),
        ("identity-first-unknown-user", &["credentialId", "password"]),
    ] {
        let Some(End::Wants(next)) = direct(flow, &[]) else {
            return;
        };
        let names: Vec<_> = next.fields().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, fields, "{flow}");
    }
    // Whoever asked to show nothing asks again without that.
    let Some(End::Wants(next)) = direct("prompt-none-no-session", &[1, 2]) else {
        panic!()
    };
    assert!(next.url.path().ends_with("/openid-connect/auth"));
    assert!(next.url.query_pairs().all(|(name, _)| name != "prompt"));
}

#[test]
fn dex_leads_to_keycloak_by_both_protocols() {
    for (flow, connector, directly) in [
        ("dex-oidc-connector", "corp-oidc", false),
        ("dex-oidc-connector-sso", "corp-oidc", true),
        ("dex-oidc-connector_id", "corp-oidc", true),
        ("dex-saml-connector", "corp-saml", false),
        ("dex-saml-sso", "corp-saml", true),
    ] {
        let Some(end) = saml(flow, connector, directly) else {
            return;
        };
        assert!(matches!(end, End::Done), "{flow}: {end:?}");
    }
}

#[test]
fn failures_of_saml_logins_are_told_apart() {
    let error = |flow| saml(flow, "corp-saml", false).map(End::error);
    for flow in [
        "dex-saml-tampered",
        "dex-saml-response-urlsafe-base64",
        "dex-saml-other-users-request",
    ] {
        let Some(error) = error(flow) else { return };
        assert!(
            matches!(error, Error::ProviderUnavailable { status: 500, .. }),
            "{flow}: {error}"
        );
    }
    let lost = error("dex-saml-no-gateway-cookies").unwrap();
    assert!(matches!(lost, Error::LoginStateLost { .. }), "{lost}");
    let wrong = error("saml-wrong-password").unwrap();
    assert!(matches!(wrong, Error::WrongPassword { .. }), "{wrong}");
    let terms = error("saml-terms-refused").unwrap();
    assert!(matches!(terms, Error::ActionRequired { .. }), "{terms}");
}

#[test]
fn chains_end_with_a_session() {
    let named = || broker().broker("AzureAD");
    for flow in [
        "chain-first-login",
        "chain-second-login-new-jar",
        "chain-sso-both-sessions",
        "chain-sso-only-corp-session",
        "chain-saml-response-page",
        "chain-otp",
        "chain-tls",
    ] {
        let Some(end) = chain(flow, named()).run() else { return };
        assert!(matches!(end, End::Done), "{flow}: {end:?}");
    }
    let hint = chain(
        "chain-hint-added-by-client",
        named().authorize_parameter("kc_idp_hint", "AzureAD"),
    );
    assert!(matches!(hint.run(), Some(End::Done)));
    for (flow, connector) in [
        ("chain-hint-from-dex-config", "cognito-hint"),
        ("incluster-issuer", "cognito"),
    ] {
        let end = connected(flow, connector).run().unwrap();
        assert!(matches!(end, End::Done), "{flow}: {end:?}");
    }
    let own = chain("chain-broker-local-user", broker().own_users());
    assert!(matches!(own.run(), Some(End::Done)));
}

#[test]
fn failures_of_chains_are_told_apart() {
    let error = |flow| chain(flow, broker().broker("AzureAD")).run().map(End::error);
    let Some(review) = error("chain-review-profile") else {
        return;
    };
    let Error::ActionRequired { origin, .. } = review else {
        panic!("{review}")
    };
    assert_eq!(origin, "https://cognito.example.test");
    let exists = error("chain-account-exists").unwrap();
    assert!(matches!(exists, Error::ActionRequired { .. }), "{exists}");
    let Error::WrongPassword { origin } = error("chain-wrong-password").unwrap() else {
        panic!()
    };
    assert_eq!(origin, "https://corp.example.test");
    let disabled = error("chain-disabled-user").unwrap();
    assert!(matches!(disabled, Error::AccountDisabled { .. }), "{disabled}");
    let password = error("chain-required-action").unwrap();
    assert!(matches!(password, Error::PasswordChangeRequired { .. }), "{password}");
    let terms = error("chain-idp-denied").unwrap();
    assert!(matches!(terms, Error::ActionRequired { .. }), "{terms}");
    for flow in [
        "chain-saml-tampered",
        "chain-saml-no-relaystate",
        "chain-saml-broker-cookies-lost",
    ] {
        let lost = error(flow).unwrap();
        assert!(matches!(lost, Error::LoginStateLost { .. }), "{flow}: {lost}");
    }
    let issuer = connected("incluster-issuer-public-redirect", "cognito-public");
    let issuer = issuer.run().unwrap().error();
    assert!(
        matches!(issuer, Error::ProviderUnavailable { status: 500, .. }),
        "{issuer}"
    );
}

/// A person declined at the provider, which no login does by itself: the broker's answer to that, after a login that
/// went on.
#[test]
fn a_denial_ends_the_login_and_is_no_circle() {
    let Some(all) = read("login-chain") else { return };
    let exchanges: Vec<_> = all
        .into_iter()
        .filter(|e| (e.flow == "chain-first-login" && e.step <= 7) || (e.flow == "chain-idp-denied" && e.step == 10))
        .collect();
    let end = chain("chain-first-login", broker().broker("AzureAD")).through(&exchanges);
    let Error::AccessDenied { origin, message, .. } = end.error() else {
        panic!()
    };
    assert_eq!(origin, "https://cognito.example.test");
    assert_eq!(message, "Unexpected error when authenticating with identity provider");
}

#[test]
fn a_broker_without_the_wanted_provider_says_which_it_has() {
    let hinted = broker().broker("Okta").authorize_parameter("kc_idp_hint", "Nope");
    let unknown = chain("chain-hint-unknown-alias", hinted);
    let Some(end) = unknown.run() else { return };
    let Error::FederationChoice {
        requested, available, ..
    } = end.error()
    else {
        panic!()
    };
    assert_eq!(
        (requested.as_deref(), available),
        (Some("Okta"), vec!["AzureAD".to_owned()])
    );
}

/// Requests that no login sends: the page alone.
#[test]
fn pages_that_stand_alone_have_their_errors() {
    let outcome = |file: &str, flow: &str, step: u64| -> Option<Result<Action, Error>> {
        let all = read(file)?;
        let exchange = all.iter().find(|e| e.flow == flow && e.step == step).unwrap();
        let page: Page = exchange.page().unwrap();
        let handlers = built_in();
        let decision = handlers
            .iter()
            .find_map(|handler| handler.handle(&page, &Progress::default()));
        Some(decision.unwrap().outcome)
    };
    for (file, flow) in [
        ("login-keycloak", "bad-client"),
        ("login-keycloak", "bad-redirect"),
        ("login-saml", "saml-bad-request"),
        ("login-saml", "idp-initiated"),
    ] {
        let Some(outcome) = outcome(file, flow, 1) else { return };
        assert!(
            matches!(outcome, Err(Error::Misconfigured { .. })),
            "{flow}: {outcome:?}"
        );
    }
    for (file, flow, step) in [
        ("login-keycloak", "bad-execution", 1),
        ("login-chain", "chain-saml-response-replayed", 14),
        ("login-chain", "chain-dex-callback-late", 1),
        ("login-saml", "dex-saml-response-replayed", 1),
        ("login-saml", "dex-oidc-idp-error", 7),
    ] {
        let outcome = outcome(file, flow, step).unwrap();
        assert!(
            matches!(outcome, Err(Error::LoginStateLost { .. })),
            "{flow}: {outcome:?}"
        );
    }
    let denied = outcome("login-saml", "dex-oidc-idp-error", 5).unwrap();
    assert!(
        matches!(denied, Err(Error::ProviderUnavailable { status: 500, .. })),
        "{denied:?}"
    );
}
