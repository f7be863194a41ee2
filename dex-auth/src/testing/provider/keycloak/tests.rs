//! Whole logins of a session: through a stub of a gateway, which relies on the fake directly.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use wiremock::MockServer;

use super::super::{SamlRequest, SamlSide, Site, listen, serve};
use super::*;
use crate::testing::message::{Incoming, Reply, query};
use crate::testing::pages::escape;
use crate::testing::provider::SamlSource;
use crate::{Credentials, Error, IdentityProvider, Session};

const SECRET: &str = "JBSWY3DPEHPK3PXP";

/// A gateway that asks a provider who the user is, by OpenID Connect or by SAML.
struct Gateway {
    url: String,
    clock: Clock,
    open_id: OnceLock<Keycloak>,
    saml: OnceLock<(SamlSource, SamlRequest)>,
    server: OnceLock<Arc<MockServer>>,
}

impl Site for Gateway {
    fn respond(&self, request: Incoming<'_>) -> Reply {
        match request.path() {
            "/oauth2/start" => self.start(),
            "/dex/auth" => self.saml_page(),
            // As Dex does it: the response comes here, the browser goes on to the gateway.
            "/dex/callback" => self.saml_callback(request),
            "/oauth2/callback" => self.callback(request),
            _ => Reply::plain(404, "no"),
        }
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}

impl Gateway {
    fn start(&self) -> Reply {
        let callback = self.callback_url();
        let query = query([
            ("client_id", "gateway"),
            ("redirect_uri", &callback),
            ("response_type", "code"),
            ("scope", "openid profile email"),
            ("state", "s"),
        ]);
        let endpoint = match self.open_id.get() {
            Some(keycloak) => keycloak.authorization_endpoint(),
            None => "/dex/auth".to_owned(),
        };
        Reply::empty(302).header(http::header::LOCATION, &format!("{endpoint}?{query}"))
    }

    fn saml_page(&self) -> Reply {
        let (source, asked) = self.saml.get().unwrap();
        let page = format!(
            "<form method=post action='{}'><input type=hidden name=SAMLRequest value='{}'><input type=hidden \
             name=RelayState value=r></form>",
            escape(&source.0.sso_url()),
            escape(&asked.for_post())
        );
        Reply::html(200, page)
    }

    fn saml_callback(&self, request: Incoming<'_>) -> Reply {
        let (source, asked) = self.saml.get().unwrap();
        let form = request.form();
        assert_eq!(form.text("RelayState"), "r");
        let side = SamlSide {
            acs_url: &asked.acs_url,
            in_response_to: &asked.id,
        };
        match source.0.saml().accept(form.text("SAMLResponse"), side) {
            Ok(identity) => {
                let query = query([("code", identity.name.as_str()), ("state", "s")]);
                Reply::empty(303).header(http::header::LOCATION, &format!("/oauth2/callback?{query}"))
            }
            Err(error) => Reply::plain(500, format!("{error:?}")),
        }
    }

    fn callback(&self, request: Incoming<'_>) -> Reply {
        let code = request.query().text("code").to_owned();
        let name = match self.open_id.get() {
            Some(keycloak) => {
                let redemption = Redemption {
                    client_id: "gateway",
                    code: &code,
                    redirect_uri: &self.callback_url(),
                    code_verifier: None,
                };
                keycloak.redeem(&redemption).map(|identity| identity.name)
            }
            None => Ok(code),
        };
        match name {
            Ok(name) => Reply::empty(302)
                .header(http::header::LOCATION, "/")
                .set_cookie(&format!("session={name}; Path=/")),
            Err(text) => Reply::plain(500, text),
        }
    }

    fn callback_url(&self) -> String {
        format!("{}/oauth2/callback", self.url)
    }

    async fn listening() -> Arc<Self> {
        let (listener, url) = listen();
        let gateway = Arc::new(Self {
            url,
            clock: Clock::system(),
            open_id: OnceLock::new(),
            saml: OnceLock::new(),
            server: OnceLock::new(),
        });
        let server = serve(listener, Arc::clone(&gateway)).await;
        let _ = gateway.server.set(server);
        gateway
    }

    /// In front of this Keycloak.
    async fn before(builder: KeycloakBuilder) -> (Arc<Self>, Keycloak) {
        let gateway = Self::listening().await;
        let keycloak = builder.client("gateway", gateway.callback_url()).start().await;
        let _ = gateway.open_id.set(keycloak.clone());
        (gateway, keycloak)
    }

    fn session(&self, name: &str, codes: bool, providers: Vec<IdentityProvider>) -> Session {
        let mut credentials = Credentials::new(name, format!("{name}-pass"));
        if codes {
            credentials = credentials.totp_secret(SECRET);
        }
        let mut builder = Session::builder(&self.url).unwrap().credentials(credentials);
        for provider in providers {
            builder = builder.identity_provider(provider);
        }
        builder.build().unwrap()
    }
}

fn named(keycloak: &Keycloak) -> IdentityProvider {
    IdentityProvider::at(keycloak.url()).unwrap()
}

async fn outcome(gateway: &Gateway, keycloak: &Keycloak, name: &str, codes: bool) -> Result<(), Error> {
    let session = gateway.session(name, codes, vec![named(keycloak)]);
    session.login().await.map(|_| ())
}

fn users() -> KeycloakBuilder {
    Keycloak::builder()
        .user("alice", "alice-pass")
        .account(KeycloakUser::new("bob", "bob-pass").requires(RequiredAction::UpdatePassword))
        .account(KeycloakUser::new("carol", "carol-pass").disabled())
        .account(
            KeycloakUser::new("dave", "dave-pass")
                .totp_device("phone", SECRET)
                .totp_device("tablet", "GEZDGNBVGY3TQOJQ"),
        )
        .account(KeycloakUser::new("erin", "erin-pass").requires(RequiredAction::ConfigureTotp))
        .account(KeycloakUser::new("frank", "frank-pass").requires(RequiredAction::Terms))
}

#[tokio::test]
async fn a_session_logs_in_at_every_kind_of_realm() {
    for theme in [KeycloakTheme::V1, KeycloakTheme::V2] {
        for language in [KeycloakLanguage::English, KeycloakLanguage::German] {
            for identity_first in [false, true] {
                let mut builder = users().theme(theme).language(language);
                if identity_first {
                    builder = builder.identity_first();
                }
                let (gateway, keycloak) = Gateway::before(builder).await;
                outcome(&gateway, &keycloak, "alice", false).await.unwrap();
                outcome(&gateway, &keycloak, "dave", true).await.unwrap();
                let wrong = outcome(&gateway, &keycloak, "nobody", false).await.unwrap_err();
                assert!(
                    matches!(wrong, Error::WrongPassword { .. }),
                    "{theme:?} {language:?}: {wrong}"
                );
                let disabled = outcome(&gateway, &keycloak, "carol", false).await.unwrap_err();
                assert!(
                    matches!(disabled, Error::AccountDisabled { .. }),
                    "{theme:?} {language:?}: {disabled}"
                );
                assert_eq!((keycloak.password_attempts(), keycloak.logins()), (4, 2));
            }
        }
    }
}

#[tokio::test]
async fn what_keycloak_asks_of_a_person_ends_the_login() {
    let (gateway, keycloak) = Gateway::before(users().consent_required("gateway")).await;
    for (name, codes, matches) in [
        (
            "alice",
            false,
            (|e| matches!(e, Error::ConsentRequired { .. })) as fn(&Error) -> bool,
        ),
        ("bob", false, |e| matches!(e, Error::PasswordChangeRequired { .. })),
        ("dave", false, |e| matches!(e, Error::SecondFactorRequired { .. })),
        ("erin", false, |e| matches!(e, Error::EnrolmentRequired { .. })),
        ("frank", false, |e| matches!(e, Error::ActionRequired { .. })),
    ] {
        let error = outcome(&gateway, &keycloak, name, codes).await.unwrap_err();
        assert!(matches(&error), "{name}: {error}");
    }
    assert_eq!(keycloak.password_attempts(), 5);
}

#[tokio::test]
async fn a_code_that_was_used_is_refused_and_a_lock_looks_like_a_refusal() {
    let clock = Clock::fixed(Timestamp::now());
    let (gateway, keycloak) = Gateway::before(users().clock(clock.clone()).lock_after(1)).await;
    outcome(&gateway, &keycloak, "dave", true).await.unwrap();
    // A second session makes the same code.
    let error = outcome(&gateway, &keycloak, "dave", true).await.unwrap_err();
    assert!(matches!(error, Error::SecondFactorRefused { .. }), "{error}");

    let wrong = Session::builder(&gateway.url)
        .unwrap()
        .credentials(Credentials::new("alice", "wrong"))
        .identity_provider(named(&keycloak))
        .build()
        .unwrap();
    assert!(matches!(wrong.login().await.unwrap_err(), Error::WrongPassword { .. }));
    let locked = outcome(&gateway, &keycloak, "alice", false).await.unwrap_err();
    assert!(matches!(locked, Error::WrongPassword { .. }), "{locked}");
    clock.advance(Duration::from_secs(60));
    outcome(&gateway, &keycloak, "alice", false).await.unwrap();
}

async fn broker_of(
    corp: &Keycloak,
    set_up: impl FnOnce(KeycloakBuilder) -> KeycloakBuilder,
) -> (Arc<Gateway>, Keycloak) {
    let builder = Keycloak::builder().realm("broker").user("local", "local-pass");
    Gateway::before(set_up(builder.federated("AzureAD", "Company login", corp))).await
}

#[tokio::test]
async fn a_broker_passes_on_to_its_provider_and_back() {
    let corp = users().realm("corp").start().await;
    let (gateway, broker) = broker_of(&corp, |builder| builder).await;
    let chain = || vec![named(&broker).broker("AzureAD"), named(&corp)];
    for name in ["alice", "dave"] {
        gateway.session(name, true, chain()).login().await.unwrap();
    }
    let hint = named(&broker)
        .broker("AzureAD")
        .authorize_parameter("kc_idp_hint", "AzureAD");
    gateway
        .session("alice", false, vec![hint, named(&corp)])
        .login()
        .await
        .unwrap();
    assert_eq!((broker.password_attempts(), corp.password_attempts()), (0, 3));
    // Without being named as such it is one all the same, because of its button.
    gateway
        .session("alice", false, vec![named(&broker), named(&corp)])
        .login()
        .await
        .unwrap();
    assert_eq!(broker.password_attempts(), 0);
    gateway
        .session("local", false, vec![named(&broker).own_users()])
        .login()
        .await
        .unwrap();
    assert_eq!(broker.password_attempts(), 1);
    let wrong = gateway.session("nobody", false, chain()).login().await.unwrap_err();
    let Error::WrongPassword { origin } = wrong else {
        panic!("{wrong}")
    };
    assert_eq!(origin, corp.url());
}

#[tokio::test]
async fn a_first_login_may_ask_for_a_person() {
    let corp = users().realm("corp").start().await;
    for first_login in [KeycloakFirstLogin::ReviewProfile, KeycloakFirstLogin::AccountExists] {
        let (gateway, broker) = broker_of(&corp, |builder| builder.first_login(first_login)).await;
        let session = gateway.session("alice", false, vec![named(&broker).broker("AzureAD"), named(&corp)]);
        let error = session.login().await.unwrap_err();
        let Error::ActionRequired { origin, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(origin, broker.url());
    }
}

#[tokio::test]
async fn a_saml_login_takes_both_pages_that_send_themselves() {
    let gateway = Gateway::listening().await;
    let corp = users().start().await;
    let asked = SamlRequest::new("gateway", format!("{}/dex/callback", gateway.url));
    let _ = gateway.saml.set((SamlSource::from(&corp), asked));
    let session = gateway.session("alice", false, vec![named(&corp)]);
    session.login().await.unwrap();
    let error = outcome(&gateway, &corp, "bob", false).await.unwrap_err();
    assert!(matches!(error, Error::PasswordChangeRequired { .. }), "{error}");
    corp.complete_actions("bob");
    // One request of the stub is good for each of its responses.
    outcome(&gateway, &corp, "bob", false).await.unwrap();
}
