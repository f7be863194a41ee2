//! Nothing that is shown holds a secret: all output of whole logins, good and bad, is searched for them.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io::Write;
use std::sync::{Arc, Mutex};

use dex_auth::testing::{Connector, Gateway, GatewayBuilder, Release};
use dex_auth::{
    Access, Action, BearerToken, ClientCredentials, Credentials, Decision, DeviceCode, Error, FieldValue, OAuthClient,
    Page, PageHandler, PasswordGrant, Progress, RefreshToken, Session, Submission, TokenCommand, TokenExchange,
    TokenFile,
};
use secrecy::ExposeSecret;
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const USER: &str = "user@example.com";
const PASSWORD: &str = "correct-horse-battery";
const WRONG: &str = "incorrect-horse-battery";
const TOTP: &str = "JBSWY3DPEHPK3PXPJBSWY3DP";

/// Everything that anybody could see.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Output {
    /// Events of this thread, on which all of a login runs here, are seen until the guard goes.
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let output = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || output.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn show(&self, what: &impl Debug) {
        writeln!(self.clone(), "{what:?} {what:#?}").unwrap();
    }

    fn show_error(&self, error: &Error) {
        let mut output = self.clone();
        writeln!(output, "{error}").unwrap();
        self.show(error);
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            writeln!(output, "{inner} {inner:?}").unwrap();
            source = inner.source();
        }
    }

    fn show_session(&self, session: &Session) {
        self.show(session);
        self.show(&session.middleware());
        self.show(&session.http_client());
        if let Some(trace) = session.last_login() {
            writeln!(self.clone(), "{trace}\n{}", trace.mermaid()).unwrap();
            self.show(&trace);
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    fn assert_without(&self, secrets: &BTreeSet<String>) {
        let text = self.text();
        assert!(text.contains("127.0.0.1"), "nothing was shown");
        for secret in secrets {
            let at = text.find(secret.as_str());
            let around = at.map(|at| text.get(at.saturating_sub(300)..at).unwrap_or_default());
            assert!(at.is_none(), "`{secret}` is shown after: {around:?}");
        }
    }
}

/// Queries, cookies, tokens and form fields that reached the server.
async fn sent(server: &MockServer) -> BTreeSet<String> {
    const OPEN: [&str; 16] = [
        "login",
        "scope",
        "client_id",
        "redirect_uri",
        "response_type",
        "grant_type",
        "rd",
        "prompt",
        "approval",
        "approval_prompt",
        "code_challenge_method",
        "connector_id",
        "username",
        "subject_token_type",
        "requested_token_type",
        "back",
    ];
    let mut secrets = BTreeSet::new();
    for request in server.received_requests().await.unwrap() {
        let pairs = url::form_urlencoded::parse(&request.body);
        for (name, value) in request.url.query_pairs().chain(pairs) {
            if !OPEN.contains(&name.as_ref()) {
                // oauth2-proxy's state ends in the path that was asked for.
                secrets.insert(value.split(":/").next().unwrap_or_default().to_owned());
            }
        }
        for header in request.headers.get_all("cookie") {
            for pair in header.to_str().unwrap().split("; ") {
                secrets.insert(pair.split_once('=').unwrap().1.to_owned());
            }
        }
        for header in request.headers.get_all("authorization") {
            secrets.insert(header.to_str().unwrap().split(' ').nth(1).unwrap().to_owned());
        }
    }
    // Shorter ones stand in any text by chance.
    secrets.retain(|secret| secret.len() >= 6);
    secrets
}

async fn serve(gateway: &Gateway) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(gateway.clone()).mount(&server).await;
    server
}

fn gateway(release: Release) -> GatewayBuilder {
    Gateway::builder().release(release).user(USER, PASSWORD)
}

fn builder(server: &MockServer, password: &str) -> dex_auth::SessionBuilder {
    let credentials = Credentials::new(USER, password).totp_secret(TOTP);
    Session::builder(&server.uri()).unwrap().credentials(credentials)
}

#[tokio::test]
async fn logins_through_each_gateway_show_no_secret() {
    let output = Output::default();
    let _guard = output.listen();
    let mut secrets = BTreeSet::from([PASSWORD.to_owned(), WRONG.to_owned(), TOTP.to_owned()]);
    for release in [Release::Kubeflow1_8, Release::Kubeflow1_9, Release::Kubeflow1_11] {
        let folder = tempfile::tempdir().unwrap();
        let gateway_ = gateway(release).build();
        let server = serve(&gateway_).await;
        let settings = builder(&server, PASSWORD).store(folder.path().join("sessions"));
        output.show(&settings);
        let session = settings.build().unwrap();
        for _ in 0..2 {
            let cookie = session.login().await.unwrap();
            output.show(&cookie);
            output.show(&session.access().await.unwrap());
            output.show(&session.whoami().await.unwrap());
            output.show(&session.memberships().await.unwrap());
            output.show_session(&session);
            secrets.extend(cookie.cookies().map(|(_, value)| value.expose_secret().to_owned()));
            gateway_.expire_sessions();
        }
        output.show(&session.logout().await.unwrap());
        output.show_session(&session);
        let wrong = builder(&server, WRONG)
            .store(folder.path().join("sessions"))
            .build()
            .unwrap();
        for _ in 0..2 {
            output.show_error(&wrong.login().await.unwrap_err());
            output.show_session(&wrong);
        }
        gateway_.fail_auth_service(true);
        let down = builder(&server, PASSWORD).build().unwrap();
        output.show_error(&down.login().await.unwrap_err());
        output.show_session(&down);
        secrets.extend(sent(&server).await);

        let several = gateway(release)
            .connector(Connector::local())
            .connector(Connector::ldap("ldap", "LDAP"));
        let server = serve(&several.build()).await;
        let session = builder(&server, PASSWORD).build().unwrap();
        output.show_error(&session.login().await.unwrap_err());
        output.show_session(&session);
        secrets.extend(sent(&server).await);
    }
    assert!(secrets.len() > 50, "{} secrets", secrets.len());
    assert!(output.text().contains("logging in"), "no events were seen");
    output.assert_without(&secrets);
}

/// Answers the page that asks for a code.
#[derive(Debug)]
struct CodePage;

impl PageHandler for CodePage {
    fn handle(&self, page: &Page, _progress: &Progress) -> Option<Decision> {
        let form = page.only_form(|form| form.fields.iter().any(|field| field.name == "pin"))?;
        let outcome =
            Submission::of(form).map(|submission| Action::Submit(submission.with("pin", FieldValue::OneTimeCode)));
        Some(Decision::step("test: code", outcome))
    }
}

/// A login with an assertion, a password and a code; the answer to the last is given.
async fn with_everything(last: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    let to = |location: &str| ResponseTemplate::new(303).insert_header("location", location);
    let html = |body: &str| ResponseTemplate::new(200).set_body_raw(body, "text/html");
    let mount = async |verb: &str, at: &str, answer: ResponseTemplate| {
        Mock::given(method(verb))
            .and(path(at))
            .respond_with(answer)
            .mount(&server)
            .await;
    };
    let authorize = "/dex/auth?client_id=c&response_type=code&redirect_uri=%2Foauth2%2Fcallback&state=state-secret";
    let assertion = "<title>SAML</title><form method=post action='/acs'>\
                     <input type=hidden name=SAMLResponse value='c2FtbC1zZWNyZXQtYXNzZXJ0aW9u'>\
                     <input type=hidden name=RelayState value='relay-secret'></form>\
                     <script>document.forms[0].submit()</script>";
    let login = "<form method=post action='/dex/login?state=form-secret'><input name=login>\
                 <input name=password type=password></form>";
    mount(
        "GET",
        "/oauth2/start",
        to(authorize).insert_header("set-cookie", "csrf=csrf-cookie-secret; Path=/"),
    )
    .await;
    mount("GET", "/dex/auth", html(assertion)).await;
    mount("POST", "/acs", to("/dex/login?state=form-secret")).await;
    mount("GET", "/dex/login", html(login)).await;
    mount(
        "POST",
        "/dex/login",
        html("<form method=post action='/pin?flow=pin-flow-secret'><input name=pin></form>"),
    )
    .await;
    mount("POST", "/pin", last).await;
    let session = "session=session-cookie-secret; Path=/; Max-Age=60";
    mount("GET", "/oauth2/callback", to("/").insert_header("set-cookie", session)).await;
    mount("GET", "/oauth2/auth", ResponseTemplate::new(202)).await;
    server
}

#[tokio::test]
async fn assertions_codes_and_states_are_not_shown_however_the_login_ends() {
    let output = Output::default();
    let _guard = output.listen();
    let mut secrets = BTreeSet::from([PASSWORD.to_owned(), TOTP.to_owned()]);
    let to = |location: &str| ResponseTemplate::new(303).insert_header("location", location);
    let html = |status: u16, body: &str| ResponseTemplate::new(status).set_body_raw(body, "text/html");
    let ends = [
        to("/oauth2/callback?code=code-secret&state=state-secret"),
        to("/oauth2/callback?code=code-secret&state=other-state-secret"),
        to("https://elsewhere.example.com/?token=redirect-secret"),
        to("javascript:alert('script-secret')"),
        to("/oauth2/callback?error=access_denied&state=state-secret"),
        html(
            200,
            "<title>What?</title><form action='/x?flow=flow-secret'><input name=a value=hidden-secret></form>",
        ),
        html(500, "<h2>Internal Server Error</h2>"),
        html(403, ""),
        ResponseTemplate::new(303)
            .insert_header("location", "/x")
            .insert_header("set-cookie", "a=foreign-secret; Domain=evil.example"),
        ResponseTemplate::new(307).insert_header("location", "/pin?again=again-secret"),
        html(200, &"x".repeat(2 * 1024 * 1024)),
    ];
    let mut logged_in = 0;
    for end in ends {
        let server = with_everything(end).await;
        let session = builder(&server, PASSWORD).page_handler(CodePage).build().unwrap();
        match session.login().await {
            Ok(_) => logged_in += 1,
            Err(error) => output.show_error(&error),
        }
        output.show_session(&session);
        secrets.extend(sent(&server).await);
    }
    assert_eq!(logged_in, 1);
    // Not everything is sent back.
    let named = [
        "code-secret",
        "state-secret",
        "relay-secret",
        "c2FtbC1zZWNyZXQtYXNzZXJ0aW9u",
        "csrf-cookie-secret",
        "session-cookie-secret",
        "redirect-secret",
        "script-secret",
        "flow-secret",
        "hidden-secret",
        "foreign-secret",
        "again-secret",
    ];
    assert!(
        secrets.contains("c2FtbC1zZWNyZXQtYXNzZXJ0aW9u") && secrets.contains("pin-flow-secret"),
        "{secrets:?}"
    );
    assert!(
        secrets
            .iter()
            .any(|secret| secret.len() == 6 && secret.parse::<u32>().is_ok()),
        "no code was sent"
    );
    secrets.extend(named.map(str::to_owned));
    output.assert_without(&secrets);
}

/// Answers every grant by repeating what it was sent.
async fn repeats(status: u16, code: &'static str) -> MockServer {
    let server = MockServer::start().await;
    let answer = move |request: &wiremock::Request| {
        let said = String::from_utf8_lossy(&request.body).replace('&', " ");
        let pairs: Vec<_> = url::form_urlencoded::parse(said.as_bytes()).into_owned().collect();
        let said = pairs.iter().map(|(name, value)| [name.as_str(), value].join(" "));
        let said = said.collect::<Vec<_>>().join(" ");
        ResponseTemplate::new(status).set_body_json(serde_json::json!({"error": code, "error_description": said}))
    };
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

#[tokio::test]
async fn token_sources_show_no_secret() {
    let output = Output::default();
    let _guard = output.listen();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "file-token-secret").unwrap();
    let secrets = [
        "client-secret-secret",
        "fixed-token-secret",
        "refresh-token-secret",
        "subject-token-secret",
        "file-token-secret",
        "command-token-secret",
        "cookie-value-secret",
        PASSWORD,
    ];
    for (status, code) in [
        (400, "invalid_grant"),
        (400, "invalid_request"),
        (401, "access_denied"),
        (400, "odd"),
        (500, "server_error"),
        (200, ""),
    ] {
        let server = repeats(status, code).await;
        let client = || OAuthClient::confidential("client", "client-secret-secret");
        let url = format!("{}/token", server.uri());
        let new = || Session::builder(&server.uri()).unwrap();
        let fixed = || BearerToken::new("fixed-token-secret");
        let subject = BearerToken::new("subject-token-secret");
        let shell = |script: &str| TokenCommand::new("/bin/sh").args(["-c", script]);
        let sessions = [
            new().token(fixed()),
            new().cookie("session", "cookie-value-secret"),
            new().token(TokenFile::new(&file)),
            new().token(PasswordGrant::new(client(), USER, PASSWORD)),
            new().token(RefreshToken::new(client(), "refresh-token-secret").on_rotation(|_| Ok(()))),
            new().token(TokenExchange::new(client(), "google", subject)),
            new().token(DeviceCode::new(client(), |_| {})),
            new().token(ClientCredentials::new(&url, client()).unwrap().scope("x")),
            new().token(shell("echo command-token-secret")),
            new().token(shell(
                "echo command-token-secret; echo got command-token-secret >&2; exit 1",
            )),
        ];
        for settings in sessions {
            output.show(&settings);
            let session = settings.build().unwrap();
            match session.access().await {
                Ok(access) => {
                    output.show(&access);
                    if let Access::Bearer(token) = &access {
                        output.show(token);
                    }
                    let answer = session.http_client().get(format!("{}/x", server.uri())).send().await;
                    if let Err(error) = answer {
                        writeln!(output.clone(), "{error} {error:?}").unwrap();
                    }
                }
                Err(error) => output.show_error(&error),
            }
            output.show_session(&session);
        }
    }
    output.assert_without(&secrets.map(str::to_owned).into());
}
