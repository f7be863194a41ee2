//! Tokens by grants: what is sent to the token endpoint, and what its answers mean.

use dex_auth::{
    Access, BearerToken, ClientCredentials, Error, OAuthClient, PasswordGrant, Session, TokenExchange, TokenSource,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const PASSWORD: &str = "correct horse & battery";

async fn endpoint(at: &str, status: u16, body: &Value) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(at))
        .respond_with(ResponseTemplate::new(status).set_body_json(body))
        .mount(&server)
        .await;
    server
}

async fn token(server: &MockServer, source: impl TokenSource) -> Result<BearerToken, Error> {
    let builder = Session::builder(&server.uri()).unwrap().token(source);
    let session = builder
        .clock(|| "2026-01-01T12:00:00Z".parse().unwrap())
        .build()
        .unwrap();
    match session.access().await? {
        Access::Bearer(token) => Ok(token),
        other => panic!("{other:?}"),
    }
}

/// The only request: its form and its `Authorization`.
async fn sent(server: &MockServer) -> (Vec<(String, String)>, Option<String>) {
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    let header = requests[0].headers.get("authorization");
    let form = url::form_urlencoded::parse(&requests[0].body).into_owned().collect();
    (form, header.map(|value| value.to_str().unwrap().to_owned()))
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn a_password_becomes_an_id_token() {
    let answer = json!({"access_token": "a", "id_token": "i", "token_type": "bearer", "expires_in": 86_399});
    let server = endpoint("/dex/token", 200, &answer).await;
    let grant = PasswordGrant::new(OAuthClient::public("cli"), "me@example.com", PASSWORD);
    let token = token(&server, grant).await.unwrap();
    assert_eq!(token.token().expose_secret(), "i");
    assert_eq!(token.expires_at().unwrap().to_string(), "2026-01-02T11:59:59Z");
    let expected = owned(&[
        ("grant_type", "password"),
        ("username", "me@example.com"),
        ("password", PASSWORD),
        ("scope", "openid email profile groups"),
        ("client_id", "cli"),
    ]);
    assert_eq!(sent(&server).await, (expected, None));
}

#[tokio::test]
async fn a_refused_password_is_sent_once() {
    let refused = json!({"error": "access_denied", "error_description": "Invalid username or password"});
    let server = endpoint("/dex/token", 401, &refused).await;
    let grant = PasswordGrant::new(OAuthClient::public("cli"), "me@example.com", "wrong");
    let session = Session::builder(&server.uri()).unwrap().token(grant).build().unwrap();
    let all = (0..100).map(|_| session.access());
    for outcome in futures_util::future::join_all(all).await {
        assert!(matches!(outcome, Err(Error::WrongPassword { .. })));
    }
    assert!(matches!(
        session.clone().access().await,
        Err(Error::WrongPassword { .. })
    ));
    sent(&server).await;
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let grant = |server: &MockServer| {
        let source = PasswordGrant::new(OAuthClient::confidential("c", "s"), "me", PASSWORD);
        Session::builder(&server.uri()).unwrap().token(source).build().unwrap()
    };
    for (status, code, expected) in [
        (400, "unsupported_grant_type", "Misconfigured"),
        (401, "invalid_client", "Misconfigured"),
        (400, "invalid_request", "LoginRefused"),
        (500, "server_error", "ProviderUnavailable"),
        (404, "", "Misconfigured"),
        (302, "", "Misconfigured"),
        (200, "", "TokenUnavailable"),
    ] {
        let body = if code.is_empty() {
            json!({})
        } else {
            json!({"error": code})
        };
        let server = endpoint("/dex/token", status, &body).await;
        let error = grant(&server).access().await.unwrap_err();
        let variant = format!("{error:?}");
        assert!(variant.starts_with(expected), "{status} {code}: {variant}");
    }
}

#[tokio::test]
async fn a_client_gets_tokens_for_itself() {
    let server = endpoint("/oauth2/token", 200, &json!({"access_token": "a", "id_token": "i"})).await;
    let url = format!("{}/oauth2/token", server.uri());
    let client = OAuthClient::confidential("a client", "its:secret&");
    let source = ClientCredentials::new(&url, client)
        .unwrap()
        .scope("one two")
        .audience("kubeflow");
    let token = token(&server, source).await.unwrap();
    assert_eq!((token.token().expose_secret(), token.expires_at()), ("a", None));
    let expected = owned(&[
        ("grant_type", "client_credentials"),
        ("scope", "one two"),
        ("audience", "kubeflow"),
    ]);
    // `a+client:its%3Asecret%26`
    let basic = "Basic YStjbGllbnQ6aXRzJTNBc2VjcmV0JTI2".to_owned();
    assert_eq!(sent(&server).await, (expected, Some(basic)));
    for url in [
        "http://login.example.com/token",
        "login",
        "https://u:p@login.example.com/token",
    ] {
        let error = ClientCredentials::new(url, OAuthClient::public("c")).unwrap_err();
        assert!(matches!(error, Error::Config { field: "token_url", .. }), "{error}");
    }
}

#[tokio::test]
async fn a_token_is_exchanged_for_one_of_dex() {
    let server = endpoint("/dex/token", 200, &json!({"access_token": "of-dex", "expires_in": 60})).await;
    let exchange = || {
        TokenExchange::new(
            OAuthClient::confidential("c", "s"),
            "google",
            BearerToken::new("of-google"),
        )
    };
    assert_eq!(
        token(&server, exchange()).await.unwrap().token().expose_secret(),
        "of-dex"
    );
    let (form, _) = sent(&server).await;
    for (name, value) in [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", "of-google"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ("connector_id", "google"),
    ] {
        assert!(form.contains(&(name.to_owned(), value.to_owned())), "{name}: {form:?}");
    }
    let unknown = json!({"error": "invalid_request", "error_description": "Requested connector does not exist."});
    let server = endpoint("/dex/token", 400, &unknown).await;
    let error = token(&server, exchange()).await.unwrap_err();
    assert!(
        matches!(&error, Error::Misconfigured { message, .. } if message.contains("google")),
        "{error}"
    );
    let server = endpoint("/dex/token", 401, &json!({"error": "access_denied"})).await;
    let error = token(&server, exchange()).await.unwrap_err();
    assert!(matches!(error, Error::AccessDenied { .. }), "{error}");
}
