//! The fake Keycloak answers as the real one did: status, page, form, cookies, redirect.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::redirect::Policy;
use url::Url;

use super::file::{Exchange, read};
use crate::html::FormMethod;
use crate::page::Page;
use crate::testing::{Keycloak, KeycloakBuilder, KeycloakFirstLogin, KeycloakTheme, KeycloakUser, RequiredAction};

const SECRET: &str = "JBSWY3DPEHPK3PXP";

/// What a client can see of an answer, without the values that differ from login to login.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    status: u16,
    /// Path and names of the query.
    location: Option<(String, BTreeSet<String>)>,
    page_id: Option<String>,
    forms: Vec<FormShape>,
    /// Ids of refused fields and of the places for them.
    refusals: BTreeSet<String>,
    alerts: usize,
    links: BTreeSet<String>,
    /// Name, path, what scripts see, whether it is deleted or has an age.
    cookies: BTreeSet<(String, String, bool, Option<bool>)>,
}

#[derive(Debug, PartialEq, Eq)]
struct FormShape {
    id: String,
    method: FormMethod,
    /// Path and names of the query.
    target: (String, BTreeSet<String>),
    /// Names and types.
    fields: BTreeSet<(String, String)>,
}

fn address(url: &Url) -> (String, BTreeSet<String>) {
    let names = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    (url.path().to_owned(), names)
}

fn shape(url: &Url, status: u16, headers: &http::HeaderMap, body: &str) -> Shape {
    let location = headers.get("location").map(|value| value.to_str().unwrap());
    let page = Page::parse(url, status, if location.is_some() { "" } else { body });
    let cookies = headers.get_all("set-cookie").iter().map(|line| {
        let cookie = cookie_store::RawCookie::parse(line.to_str().unwrap().to_owned()).unwrap();
        (
            cookie.name().to_owned(),
            cookie.path().unwrap_or_default().to_owned(),
            cookie.http_only().unwrap_or_default(),
            cookie.max_age().map(|age| age.whole_seconds() == 0),
        )
    });
    let forms = page.forms().iter().map(|form| FormShape {
        id: form.id.clone(),
        method: form.method,
        target: address(form.target.as_ref().unwrap()),
        // Whether a realm remembers users is a setting.
        fields: form
            .fields
            .iter()
            .filter(|field| field.name != "rememberMe")
            .map(|field| (field.name.clone(), field.kind.clone()))
            .collect(),
    });
    Shape {
        status,
        location: location.map(|location| address(&url.join(location).unwrap())),
        page_id: page.attribute("body", "data-page-id"),
        forms: forms.collect(),
        refusals: page.attributes("[id^='input-error']", "id").into_iter().collect(),
        alerts: page.texts("[class*='alert'] .kc-feedback-text").len(),
        links: page.attributes("a[id^='social-']", "id").into_iter().collect(),
        cookies: cookies.collect(),
    }
}

/// A browser at the fake, and the page that it shows.
struct Browser {
    http: reqwest::Client,
    jar: BTreeMap<String, String>,
    page: Option<Page>,
    location: Option<Url>,
}

impl Browser {
    fn new() -> Self {
        Self {
            http: reqwest::Client::builder().redirect(Policy::none()).build().unwrap(),
            jar: BTreeMap::new(),
            page: None,
            location: None,
        }
    }

    async fn send(&mut self, request: reqwest::RequestBuilder, url: &Url) -> Shape {
        let host = url.authority();
        let cookies: Vec<_> = self
            .jar
            .iter()
            .filter(|(key, _)| key.starts_with(host))
            .map(|(_, v)| v.clone())
            .collect();
        let response = request.header("cookie", cookies.join("; ")).send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.text().await.unwrap();
        for line in headers.get_all("set-cookie") {
            let (pair, _) = line.to_str().unwrap().split_once(';').unwrap();
            let name = pair.split_once('=').unwrap().0;
            if line.to_str().unwrap().contains("Max-Age=0") {
                self.jar.remove(&format!("{host} {name}"));
            } else {
                self.jar.insert(format!("{host} {name}"), pair.to_owned());
            }
        }
        self.location = headers
            .get("location")
            .map(|value| url.join(value.to_str().unwrap()).unwrap());
        self.page = Some(Page::parse(url, status, &body));
        shape(url, status, &headers, &body)
    }

    async fn get(&mut self, url: &Url) -> Shape {
        let request = self.http.get(url.clone());
        self.send(request, url).await
    }

    async fn follow(&mut self) -> Shape {
        let url = self.location.clone().unwrap();
        self.get(&url).await
    }

    async fn press(&mut self, link: &str) -> Shape {
        let page = self.page.as_ref().unwrap();
        let url = page.join(&page.attribute(link, "href").unwrap()).unwrap();
        self.get(&url).await
    }

    /// Sends the page's form with its hidden fields and these.
    async fn submit(&mut self, fields: &[(&str, &str)]) -> Shape {
        let form = self.page.as_ref().unwrap().forms()[0].clone();
        let hidden = form.fields.iter().filter(|field| field.kind == "hidden");
        let mut all: Vec<_> = hidden
            .map(|field| (field.name.as_str(), field.value.as_str()))
            .collect();
        all.extend(fields);
        let url = form.target.clone().unwrap();
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(all)
            .finish();
        let request = self.http.post(url.clone()).body(body);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(request, &url).await
    }
}

/// The recorded exchanges of one file.
struct Recorded(&'static str, Vec<Exchange>);

impl Recorded {
    fn shape(&self, flow: &str, step: u64) -> Shape {
        let exchange = self.1.iter().find(|e| e.flow == flow && e.step == step).unwrap();
        shape(
            &exchange.url,
            exchange.status.as_u16(),
            &exchange.headers,
            &exchange.body,
        )
    }

    fn same(&self, flow: &str, step: u64, answer: &Shape) {
        let mut wanted = self.shape(flow, step);
        // What a client or its redirect URI is called differs, and so do the paths below them.
        if wanted
            .location
            .as_ref()
            .is_some_and(|(path, _)| !path.starts_with("/realms/"))
        {
            wanted.location.as_mut().unwrap().0 = answer.location.as_ref().unwrap().0.clone();
        }
        for (wanted, got) in wanted.forms.iter_mut().zip(&answer.forms) {
            if wanted.fields.iter().any(|(name, _)| name == "SAMLResponse") {
                wanted.target.clone_from(&got.target);
            }
        }
        assert_eq!(*answer, wanted, "{} {flow}/{step}", self.0);
    }
}

fn recorded(name: &'static str) -> Option<Recorded> {
    Some(Recorded(name, read(name)?))
}

const CALLBACK: &str = "http://127.0.0.1:1/oauth2/callback";

fn corp() -> KeycloakBuilder {
    Keycloak::builder()
        .realm("corp")
        .client("gateway", CALLBACK)
        .client("gateway-consent", CALLBACK)
        .consent_required("gateway-consent")
        .user("alice", "alice-pass")
        .account(KeycloakUser::new("bob", "bob-pass").requires(RequiredAction::UpdatePassword))
        .account(KeycloakUser::new("carol", "carol-pass").disabled())
        .account(KeycloakUser::new("dave", "dave-pass").totp_device("A", SECRET))
        .account(KeycloakUser::new("erin", "erin-pass").requires(RequiredAction::ConfigureTotp))
        .account(KeycloakUser::new("frank", "frank-pass").requires(RequiredAction::Terms))
        .account(KeycloakUser::new("heidi", "heidi-pass").requires(RequiredAction::VerifyProfile))
        .account(KeycloakUser::new("judy", "judy-pass").requires(RequiredAction::VerifyEmail))
        .account(
            KeycloakUser::new("mallory2", "mallory2-pass")
                .totp_device("A", SECRET)
                .totp_device("B", SECRET)
                .totp_device("second", SECRET),
        )
}

fn request(keycloak: &Keycloak, client: &str, extra: &[(&str, &str)]) -> Url {
    let mut url = Url::parse(&format!("{}/protocol/openid-connect/auth", keycloak.issuer())).unwrap();
    url.query_pairs_mut()
        .append_pair("client_id", client)
        .append_pair("redirect_uri", CALLBACK)
        .append_pair("response_type", "code")
        .append_pair("scope", "openid profile email")
        .append_pair("state", "s")
        .extend_pairs(extra);
    url
}

async fn opened(keycloak: &Keycloak, client: &str) -> Browser {
    let mut browser = Browser::new();
    browser.get(&request(keycloak, client, &[])).await;
    browser
}

fn as_user<'a>(name: &'a str, password: &'a str) -> [(&'a str, &'a str); 2] {
    [("username", name), ("password", password)]
}

#[tokio::test]
async fn logins_and_refusals_look_like_the_recorded_ones() {
    let Some(real) = recorded("login-keycloak") else { return };
    let corp = corp().lock_after(3).start().await;
    let mut browser = Browser::new();
    let start = request(&corp, "gateway", &[]);
    real.same("password", 3, &browser.get(&start).await);
    real.same("wrong-password", 3, &browser.submit(&as_user("alice", "bad")).await);
    real.same(
        "wrong-password",
        4,
        &browser.submit(&as_user("alice", "alice-pass")).await,
    );
    // The session is there now.
    let shape = browser.get(&start).await;
    assert_eq!(
        (shape.status, shape.location),
        (
            302,
            real.shape("sso-session-present", 2)
                .location
                .map(|(_, names)| ("/oauth2/callback".to_owned(), names))
        )
    );
    let again = request(&corp, "gateway", &[("prompt", "login")]);
    let shape = browser.get(&again).await;
    let wanted = real.shape("sso-prompt-login", 2);
    assert_eq!(
        (shape.forms, shape.refusals, shape.alerts),
        (wanted.forms, wanted.refusals, wanted.alerts)
    );

    for (flow, name, password) in [
        ("unknown-user", "nobody", "bad"),
        ("empty-password", "alice", ""),
        ("disabled-user", "carol", "carol-pass"),
        ("disabled-user-wrong-password", "carol", "x"),
        ("otp", "dave", "dave-pass"),
        ("otp-two-devices", "mallory2", "mallory2-pass"),
    ] {
        let mut browser = opened(&corp, "gateway").await;
        real.same(flow, 3, &browser.submit(&as_user(name, password)).await);
        if flow == "otp" {
            real.same("otp", 4, &browser.submit(&[("otp", "000000")]).await);
        }
    }
    let mut locked = opened(&corp, "gateway").await;
    for _ in 0..3 {
        locked.submit(&as_user("alice", "bad")).await;
    }
    real.same("lockout", 6, &locked.submit(&as_user("alice", "alice-pass")).await);
    let none = request(&corp, "gateway", &[("prompt", "none")]);
    real.same("prompt-none-no-session", 2, &Browser::new().get(&none).await);
}

#[tokio::test]
async fn pages_after_the_password_look_like_the_recorded_ones() {
    let Some(real) = recorded("login-keycloak") else { return };
    let corp = corp().start().await;
    for (flow, client, name) in [
        ("required-update-password", "gateway", "bob"),
        ("required-configure-totp", "gateway", "erin"),
        ("required-terms", "gateway", "frank"),
        ("required-verify-profile", "gateway", "heidi"),
        ("required-verify-email", "gateway", "judy"),
        ("consent", "gateway-consent", "alice"),
    ] {
        let mut browser = opened(&corp, client).await;
        real.same(flow, 3, &browser.submit(&as_user(name, &format!("{name}-pass"))).await);
        real.same(flow, 4, &browser.follow().await);
        if flow == "consent" {
            real.same("consent", 5, &browser.submit(&[("accept", "Yes")]).await);
        }
    }
    let identity_first = self::corp().identity_first().start().await;
    let mut browser = Browser::new();
    real.same(
        "identity-first",
        2,
        &browser.get(&request(&identity_first, "gateway", &[])).await,
    );
    real.same("identity-first", 3, &browser.submit(&[("username", "alice")]).await);
    real.same(
        "identity-first-wrong-password",
        4,
        &browser.submit(&[("password", "bad")]).await,
    );
    real.same(
        "identity-first",
        4,
        &browser.submit(&[("password", "alice-pass")]).await,
    );
}

#[tokio::test]
async fn the_older_theme_looks_like_the_recorded_one() {
    let Some(real) = recorded("login-keycloak") else { return };
    let corp = corp().theme(KeycloakTheme::V1).start().await;
    for (flow, name, password) in [
        ("theme-v1-login", "nobody", "bad"),
        ("theme-v1-disabled", "carol", "carol-pass"),
        ("theme-v1-otp-two-devices", "mallory2", "mallory2-pass"),
        ("theme-v1-otp", "dave", "dave-pass"),
    ] {
        let mut browser = opened(&corp, "gateway").await;
        real.same(flow, 3, &browser.submit(&as_user(name, password)).await);
        if flow == "theme-v1-otp" {
            real.same(flow, 4, &browser.submit(&[("otp", "000000")]).await);
        }
    }
}

#[tokio::test]
async fn lost_logins_look_like_the_recorded_ones() {
    let Some(real) = recorded("login-keycloak") else { return };
    let corp = corp().start().await;
    let alice = as_user("alice", "alice-pass");
    let mut browser = opened(&corp, "gateway").await;
    browser.jar.clear();
    real.same("cookies-lost", 3, &browser.submit(&alice).await);

    let mut browser = opened(&corp, "gateway").await;
    browser.jar.retain(|name, _| !name.ends_with("AUTH_SESSION_ID"));
    real.same("only-AUTH_SESSION_ID-lost", 3, &browser.submit(&alice).await);
    real.same("only-AUTH_SESSION_ID-lost", 4, &browser.follow().await);

    let mut browser = opened(&corp, "gateway").await;
    browser.jar.retain(|name, _| !name.ends_with("KC_RESTART"));
    real.same("only-KC_RESTART-lost", 3, &browser.submit(&alice).await);

    let mut browser = opened(&corp, "gateway").await;
    let stale = browser.page.clone();
    browser.submit(&as_user("nobody", "bad")).await;
    browser.page = stale;
    real.same("stale-form-posted-twice", 4, &browser.submit(&alice).await);
    real.same("stale-form-posted-twice", 5, &browser.follow().await);

    let mut browser = opened(&corp, "gateway").await;
    let form = browser.page.clone();
    browser.submit(&alice).await;
    browser.page = form;
    real.same("form-reposted-after-login", 4, &browser.submit(&alice).await);

    // A restarted server knows no login; the cookies begin it anew.
    let mut browser = opened(&corp, "gateway").await;
    corp.restart();
    let answer = browser.submit(&alice).await;
    assert_eq!(answer.location, real.shape("only-AUTH_SESSION_ID-lost", 3).location);

    let mut two = opened(&corp, "gateway").await;
    let first = two.page.clone();
    real.same("two-tabs", 4, &two.get(&request(&corp, "gateway", &[])).await);
    let second = std::mem::replace(&mut two.page, first);
    real.same("two-tabs", 5, &two.submit(&alice).await);
    two.page = second;
    real.same("two-tabs", 7, &two.submit(&alice).await);

    for (flow, query) in [
        ("bad-client", "client_id=nope&response_type=code&scope=openid"),
        (
            "bad-redirect",
            "client_id=gateway&response_type=code&scope=openid&redirect_uri=http://x",
        ),
    ] {
        let url = format!("{}/protocol/openid-connect/auth?{query}", corp.issuer());
        real.same(flow, 1, &Browser::new().get(&url.parse().unwrap()).await);
    }
    let elsewhere = format!("{}/realms/nope/protocol/openid-connect/auth", corp.url());
    real.same("bad-realm", 1, &Browser::new().get(&elsewhere.parse().unwrap()).await);
}

/// The chain up to the broker's answer to the provider's response.
async fn through(broker: &Keycloak, name: &str) -> Browser {
    let mut browser = opened(broker, "gateway").await;
    browser.press("a#social-AzureAD").await;
    browser.follow().await;
    browser.submit(&as_user(name, &format!("{name}-pass"))).await;
    browser
}

#[tokio::test]
async fn chains_look_like_the_recorded_ones() {
    let Some(real) = recorded("login-chain") else { return };
    let corp = corp().start().await;
    let realm = |first_login| {
        Keycloak::builder()
            .realm("cognito")
            .client("gateway", CALLBACK)
            .first_login(first_login)
            .federated("AzureAD", "Corp SAML", &corp)
            .start()
    };
    let broker = realm(KeycloakFirstLogin::Create).await;
    let start = request(&broker, "gateway", &[]);
    let mut browser = Browser::new();
    real.same("chain-first-login", 4, &browser.get(&start).await);
    real.same("chain-first-login", 5, &browser.press("a#social-AzureAD").await);
    real.same("chain-first-login", 6, &browser.follow().await);
    real.same(
        "chain-first-login",
        7,
        &browser.submit(&as_user("alice", "alice-pass")).await,
    );
    real.same("chain-first-login", 8, &browser.submit(&[]).await);
    real.same("chain-first-login", 9, &browser.follow().await);
    real.same("chain-first-login", 10, &browser.follow().await);

    let mut second = through(&broker, "alice").await;
    let response = second.page.clone();
    real.same("chain-second-login-new-jar", 8, &second.submit(&[]).await);
    second.page = response;
    real.same("chain-saml-response-replayed", 14, &second.submit(&[]).await);

    let hinted = request(&broker, "gateway", &[("kc_idp_hint", "AzureAD")]);
    let mut browser = Browser::new();
    real.same("chain-hint-added-by-client", 4, &browser.get(&hinted).await);
    real.same("chain-hint-added-by-client", 5, &browser.follow().await);
    let unknown = request(&broker, "gateway", &[("kc_idp_hint", "Nope")]);
    real.same("chain-hint-unknown-alias", 4, &Browser::new().get(&unknown).await);

    let mut denied = through(&broker, "frank").await;
    denied.follow().await;
    real.same("chain-idp-denied", 9, &denied.submit(&[("cancel", "Decline")]).await);
    real.same("chain-idp-denied", 10, &denied.submit(&[]).await);

    let mut lost = through(&broker, "alice").await;
    lost.jar.clear();
    real.same("chain-saml-broker-cookies-lost", 8, &lost.submit(&[]).await);

    for (flow, first_login) in [
        ("chain-review-profile", KeycloakFirstLogin::ReviewProfile),
        ("chain-account-exists", KeycloakFirstLogin::AccountExists),
    ] {
        let broker = realm(first_login).await;
        let mut browser = through(&broker, "alice").await;
        real.same(flow, 8, &browser.submit(&[]).await);
        real.same(flow, 9, &browser.follow().await);
    }
}
