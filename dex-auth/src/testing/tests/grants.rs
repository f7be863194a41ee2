//! Grants, second factors and providers of Dex, where recordings do not reach.

use http::Method;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use url::Url;

use super::{API, Answer, Browser, PASSWORD, USER};
use crate::one_time_code::OneTimeCodes;
use crate::testing::message::query;
use crate::testing::{Connector, DexVersion, PlainProvider, Release, SecondFactor};

const SECRET: &str = "JBSWY3DPEHPK3PXP";
const SDK: (&str, &str) = ("client_id", "sdk");

fn with_sdk(version: DexVersion) -> Browser {
    Browser::with(Release::Kubeflow1_11, |builder| {
        builder
            .dex(version)
            .client("sdk", "", Vec::<String>::new())
            .client("robot", "hidden", ["http://localhost/cb"])
            .password_connector("local")
            .client_credentials(true)
    })
}

fn poll(browser: &mut Browser, device_code: &str) -> Answer {
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    browser.post(
        "/dex/token",
        &[("grant_type", grant), ("device_code", device_code), SDK],
    )
}

#[test]
fn a_device_must_not_ask_too_often_nor_too_late() {
    let mut browser = with_sdk(DexVersion::V2_45);
    let begun = browser
        .post("/dex/device/code", &[SDK, ("scope", "openid email")])
        .json();
    let code = begun["device_code"].as_str().unwrap().to_owned();
    let error = |answer: Answer| answer.json()["error"].as_str().unwrap().to_owned();
    assert_eq!(error(poll(&mut browser, &code)), "authorization_pending");
    browser.advance(4);
    assert_eq!(error(poll(&mut browser, &code)), "slow_down");
    // Ten seconds now.
    browser.advance(9);
    assert_eq!(error(poll(&mut browser, &code)), "slow_down");
    browser.advance(15);
    assert_eq!(error(poll(&mut browser, &code)), "authorization_pending");
    browser.advance(300);
    assert_eq!(error(poll(&mut browser, &code)), "expired_token");
    let late = browser.post(
        "/dex/device/auth/verify_code",
        &[("user_code", begun["user_code"].as_str().unwrap())],
    );
    assert_eq!(late.status(), 400);
    browser.advance(300);
    assert_eq!(error(poll(&mut browser, &code)), "invalid_request");
}

#[test]
fn a_user_may_type_his_code_in_small_letters() {
    let mut browser = with_sdk(DexVersion::Head);
    let begun = browser
        .post("/dex/device/code", &[SDK, ("scope", "openid email")])
        .json();
    let user_code = begun["user_code"].as_str().unwrap().to_lowercase();
    let answer = browser.post("/dex/device/auth/verify_code", &[("user_code", &user_code)]);
    assert!(
        answer
            .location()
            .starts_with("http://dex.auth.svc.cluster.local:5556/dex/auth?")
    );
}

#[test]
fn tokens_can_be_asked_about() {
    let mut browser = with_sdk(DexVersion::V2_39);
    let token = browser.gateway.token(USER);
    let answer = browser.post("/dex/token/introspect", &[("token", &token)]);
    assert_eq!(
        (
            answer.json()["active"].as_bool(),
            answer.json()["ext"]["email"].as_str()
        ),
        (Some(true), Some(USER))
    );
    let answer = browser.post("/dex/token/introspect", &[("token", "x")]);
    assert_eq!(answer.json()["active"], false);
    assert_eq!(
        with_sdk(DexVersion::V2_36).post("/dex/token/introspect", &[]).status(),
        404
    );
}

#[test]
fn a_client_for_itself_is_nobody() {
    let mut browser = with_sdk(DexVersion::Head);
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "robot"),
        ("client_secret", "hidden"),
        ("scope", "openid email"),
    ];
    let token = browser.post("/dex/token", &form).json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        browser
            .get_with(API, &[("authorization", &format!("Bearer {token}"))])
            .got_through()
    );
    assert_eq!(browser.last_header("kubeflow-userid"), None);
    let answer = with_sdk(DexVersion::V2_45).post("/dex/token", &form);
    assert_eq!(answer.json()["error"], "unsupported_grant_type");
}

#[test]
fn former_keys_are_published_while_their_tokens_live() {
    let mut browser = with_sdk(DexVersion::V2_45);
    let keys = |browser: &mut Browser| browser.get("/dex/keys").json()["keys"].as_array().unwrap().len();
    let bearer = format!("Bearer {}", browser.gateway.token(USER));
    browser.gateway.rotate_dex_keys();
    assert_eq!(keys(&mut browser), 2);
    assert!(browser.get_with(API, &[("authorization", &bearer)]).got_through());
    browser.advance(24 * 3600);
    assert_eq!(keys(&mut browser), 1);
}

fn factor_page(browser: &mut Browser) -> Answer {
    let form = browser.form();
    let mut answer = browser.post(&form.action("password"), &[("login", USER), ("password", PASSWORD)]);
    while answer.status() == 303 {
        answer = browser.get(&answer.location());
    }
    assert!(answer.url.path().starts_with("/dex/mfa/"), "{}", answer.url);
    answer
}

#[test]
fn a_code_works_once_and_nothing_works_without_it() {
    let mut browser = Browser::with(Release::Kubeflow1_9, |builder| {
        builder.dex(DexVersion::Head).second_factor(SecondFactor::totp(SECRET))
    });
    let now: Timestamp = browser.clock.now();
    let code = OneTimeCodes::new(SECRET)
        .unwrap()
        .next(now)
        .unwrap()
        .expose_secret()
        .to_owned();
    let page = factor_page(&mut browser);
    let url = page.url.to_string();
    for wrong in ["", "000000", "12345", &format!("{code}0")] {
        let answer = browser.post(&url, &[("totp", wrong)]);
        assert_eq!(answer.status(), 401, "{wrong}");
        assert!(answer.body().contains("Invalid code. Please try again."));
    }
    // The step before cannot be skipped, nor the proof be taken from elsewhere.
    let skipped = url.replace("/dex/mfa/totp", "/dex/auth");
    assert_eq!(browser.get(&skipped).status(), 401);
    assert_eq!(browser.get(&url.replace("hmac=", "hmac=A")).status(), 401);
    assert_eq!(browser.post(&url, &[("totp", &code)]).status(), 303);
    let again = factor_page(&mut browser);
    assert_eq!(browser.post(again.url.as_str(), &[("totp", &code)]).status(), 401);
}

#[test]
fn a_remembered_user_is_not_asked_again_until_he_was_idle_for_an_hour() {
    let mut browser = Browser::with(Release::Kubeflow1_11, |builder| {
        builder.dex(DexVersion::Head).dex_sessions(true)
    });
    let pairs = |prompt| {
        query([
            ("client_id", "kubeflow-oidc-authservice"),
            ("prompt", prompt),
            ("redirect_uri", "/oauth2/callback"),
            ("response_type", "code"),
            ("scope", "openid"),
            ("state", "s"),
        ])
    };
    let first = browser.get(&format!("/dex/auth/local?{}", pairs("")));
    let form = browser.get(&first.location());
    let fields = [("login", USER), ("password", PASSWORD), ("remember_me", "on")];
    let answer = browser.post(&form.action("password"), &fields);
    let cookie = answer.reply().header_text("set-cookie").unwrap();
    assert!(
        cookie.contains("Max-Age=86400") && cookie.contains("Path=/dex;"),
        "{cookie}"
    );
    let silent = |browser: &mut Browser| browser.get(&format!("/dex/auth/local?{}", pairs("none"))).location();
    browser.advance(3599);
    assert!(silent(&mut browser).contains("/dex/auth?hmac="));
    assert!(
        browser
            .get(&format!("/dex/auth/local?{}", pairs("login")))
            .location()
            .contains("/login?")
    );
    browser.advance(3600);
    assert!(silent(&mut browser).contains("error=login_required"));
}

/// From Dex to the provider and through its form; what the browser then sends to `/dex/callback`.
async fn through(browser: &mut Browser, version: DexVersion) -> Vec<(String, String)> {
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let start = browser.get("/oauth2/start?rd=%2F");
    let mut answer = browser.get(&start.location());
    while answer.status() == 302 && answer.location().starts_with(super::BASE) {
        answer = browser.get(&answer.location());
    }
    let page = if answer.status() == 302 {
        let url = Url::parse(&answer.location()).unwrap();
        let has_challenge = url.query_pairs().any(|(name, _)| name == "code_challenge");
        assert_eq!(has_challenge, version >= DexVersion::V2_45);
        http.get(url).send().await.unwrap()
    } else {
        let page = crate::page::Page::parse(&answer.url, 200, &answer.body());
        assert_eq!(page.title(), "SAML login");
        let form = &page.forms()[0];
        assert!(
            form.fields.iter().all(|field| field.kind == "hidden"),
            "nothing to press"
        );
        let pairs: Vec<_> = form.fields.iter().map(|field| (&field.name, &field.value)).collect();
        let body = query(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let request = http.post(form.target.clone().unwrap());
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
            .unwrap()
    };
    let cookie = page.headers()["set-cookie"]
        .to_str()
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let (url, html) = (page.url().clone(), page.text().await.unwrap());
    let page = crate::page::Page::parse(&url, 200, &html);
    let flow = page.forms()[0].field("flow").unwrap().value.clone();
    let body = query([("flow", flow.as_str()), ("user", "ada"), ("passphrase", "pw")]);
    let target = page.forms()[0].target.clone().unwrap();
    let request = http.post(target).header("cookie", cookie);
    let request = request
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    let answer = request.send().await.unwrap();
    if let Some(location) = answer.headers().get("location") {
        return Url::parse(location.to_str().unwrap())
            .unwrap()
            .query_pairs()
            .into_owned()
            .collect();
    }
    let (url, html) = (answer.url().clone(), answer.text().await.unwrap());
    let page = crate::page::Page::parse(&url, 200, &html);
    page.forms()[0]
        .fields
        .iter()
        .map(|field| (field.name.clone(), field.value.clone()))
        .collect()
}

fn send(browser: &mut Browser, pairs: &[(String, String)], is_saml: bool) -> Answer {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    if is_saml {
        browser.post("/dex/callback", &pairs)
    } else {
        browser.get(&format!("/dex/callback?{}", query(pairs)))
    }
}

#[tokio::test]
async fn the_way_back_from_a_provider_is_checked() {
    let provider = PlainProvider::builder()
        .user("ada", "pw", "ada@example.com")
        .start()
        .await;
    for (version, text) in [
        (DexVersion::V2_39, "Failed to authenticate: "),
        (
            DexVersion::V2_45,
            "Authentication failed. Please contact your administrator or try again later.",
        ),
        (
            DexVersion::Head,
            "Authentication failed. Please contact your administrator or try again later.",
        ),
    ] {
        for is_saml in [false, true] {
            let connector: Connector = if is_saml {
                Connector::saml("corp", "Corporate", &provider).into()
            } else {
                Connector::oidc("corp", "Corporate", &provider).into()
            };
            let mut browser = Browser::with(Release::Kubeflow1_11, |builder| {
                builder.dex(version).connector(connector)
            });
            let (state, secret) = if is_saml {
                ("RelayState", "SAMLResponse")
            } else {
                ("state", "code")
            };
            let with = |pairs: &[(String, String)], name: &str, value: &str| {
                let mut pairs = pairs.to_vec();
                pairs.retain(|(known, _)| known != name);
                if !value.is_empty() {
                    pairs.push((name.to_owned(), value.to_owned()));
                }
                pairs
            };
            let pairs = through(&mut browser, version).await;
            let other = through(&mut browser, version).await;
            let told = format!("{version}, saml: {is_saml}");
            let mut refused = |pairs: &[(String, String)], status: u16, text: &str| {
                let answer = send(&mut browser, pairs, is_saml);
                assert_eq!(answer.status(), status, "{told}: {}", answer.body());
                assert!(answer.body().contains(text), "{told}: {}", answer.body());
            };
            refused(&with(&pairs, state, ""), 400, "User session error.");
            refused(&with(&pairs, state, "bogus"), 400, "Requested resource does not exist.");
            refused(&with(&pairs, secret, "bogus"), 500, text);
            refused(&with(&pairs, secret, ""), 500, text);
            if is_saml || version >= DexVersion::V2_45 {
                // Before PKCE any answer of the provider fitted any login.
                let id = &other.iter().find(|(name, _)| name == state).unwrap().1;
                refused(&with(&pairs, state, id), 500, text);
            }
            if !is_saml {
                refused(&with(&pairs, "error", "access_denied"), 500, text);
            }
            // The gateway's cookie is that of the last start.
            let pairs = through(&mut browser, version).await;
            assert_eq!(
                send(&mut browser, &pairs, !is_saml).status(),
                400,
                "{told}: the other method"
            );
            let answer = send(&mut browser, &pairs, is_saml);
            assert_eq!(answer.status(), 303, "{told}: {}", answer.body());
            if version != DexVersion::Head {
                assert_eq!(send(&mut browser, &pairs, is_saml).status(), 400, "{told}: replayed");
            }
            let mut answer = answer;
            while answer.status() == 303 {
                answer = browser.get(&answer.location());
            }
            assert!(browser.is_logged_in(), "{told}");
            assert_eq!(
                browser.last_header("kubeflow-userid").as_deref(),
                Some("ada@example.com")
            );
        }
    }
}

#[tokio::test]
async fn a_providers_token_is_exchanged() {
    let provider = PlainProvider::builder()
        .user("ada", "pw", "ada@example.com")
        .start()
        .await;
    let mut browser = Browser::with(Release::Kubeflow1_11, |builder| {
        builder
            .client("sdk", "", Vec::<String>::new())
            .connector(Connector::local())
            .connector(Connector::oidc("corp", "Corporate", &provider))
    });
    let token = provider.id_token("ada").unwrap();
    let mut exchange = |token: &str, kind: &str, connector: &str| {
        let answer = browser.request(
            Method::POST,
            "/dex/token",
            &[],
            &[
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                ("subject_token", token),
                (
                    "subject_token_type",
                    &format!("urn:ietf:params:oauth:token-type:{kind}"),
                ),
                ("connector_id", connector),
                ("scope", "openid email offline_access"),
                SDK,
            ],
        );
        (answer.status(), answer.json())
    };
    let (status, body) = exchange(&token, "id_token", "corp");
    assert_eq!(status, 200);
    assert!(body["refresh_token"].is_null() && body["issued_token_type"].is_string());
    assert_eq!(exchange("x", "id_token", "corp").0, 401);
    assert_eq!(exchange(&token, "access_token", "corp").1["error"], "access_denied");
    assert_eq!(exchange(&token, "jwt", "corp").1["error"], "request_not_supported");
    for connector in ["local", "nope", ""] {
        assert_eq!(exchange(&token, "id_token", connector).1["error"], "invalid_request");
    }
    let bearer = format!("Bearer {}", body["access_token"].as_str().unwrap());
    assert!(browser.get_with(API, &[("authorization", &bearer)]).got_through());
    assert_eq!(
        browser.last_header("kubeflow-userid").as_deref(),
        Some("ada@example.com")
    );
}
