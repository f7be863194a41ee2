//! What `.ci/sso/start.py` tells: where the real programs are, and who may log in.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use dex_auth::{Credentials, IdentityProvider, Session, SessionBuilder};
use serde::Deserialize;
use url::Url;

/// A path that the gateway takes for an API, as all with `/apis/`; what is behind it tells the identity it was told.
pub(crate) const API: &str = "/identity/apis/me";

#[derive(Deserialize)]
pub(crate) struct Setup {
    ca_file: String,
    gateways: BTreeMap<String, String>,
    origins: BTreeMap<String, BTreeMap<String, String>>,
    users: BTreeMap<String, Person>,
    session_seconds: BTreeMap<String, u64>,
    /// What the broker's page calls the company's provider.
    federated: String,
    /// Whether an API server of Kubeflow Pipelines is behind the gateways.
    pub(crate) has_kfp: bool,
    control: String,
}

#[derive(Deserialize)]
pub(crate) struct Person {
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) email: String,
    /// For who has an authenticator app.
    pub(crate) totp_secret: Option<String>,
}

/// How often somebody's password or code was judged by a provider.
#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
}

impl Setup {
    /// Without the programs a test says so in a line that stays visible, and ends.
    pub(crate) fn of_environment(test: &str) -> Option<Self> {
        let Ok(path) = std::env::var("SSO_TEST_SETUP") else {
            // Past the test harness, which keeps what `eprintln!` says of a test that passes.
            let line = format!("SKIP: {test}: needs the programs of .ci/sso/start.py (SSO_TEST_SETUP)\n");
            std::io::stderr().write_all(line.as_bytes()).unwrap();
            return None;
        };
        Some(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    }

    pub(crate) fn gateway(&self, name: &str) -> &str {
        &self.gateways[name]
    }

    /// `broker`, `company` or `other`.
    pub(crate) fn origin(&self, who: &str, scheme: &str) -> &str {
        &self.origins[who][scheme]
    }

    pub(crate) fn person(&self, name: &str) -> &Person {
        &self.users[name]
    }

    pub(crate) fn session_lasts(&self, gateway: &str) -> Duration {
        Duration::from_secs(self.session_seconds[gateway])
    }

    pub(crate) fn ca(&self) -> Vec<u8> {
        std::fs::read(&self.ca_file).unwrap()
    }

    /// A session at a gateway, with no provider named.
    pub(crate) fn builder(&self, gateway: &str, person: &str) -> SessionBuilder {
        let person = self.person(person);
        let mut credentials = Credentials::new(&person.username, person.password.as_str());
        if let Some(secret) = &person.totp_secret {
            credentials = credentials.totp_secret(secret.as_str());
        }
        Session::builder(self.gateway(gateway))
            .unwrap()
            .credentials(credentials)
    }

    /// The same with the providers of that gateway named, as its users would.
    pub(crate) fn session(&self, gateway: &str, person: &str) -> SessionBuilder {
        let builder = self.builder(gateway, person);
        let at = |who, scheme| IdentityProvider::at(self.origin(who, scheme)).unwrap();
        let broker = |scheme| at("broker", scheme).broker(&self.federated);
        // Spares the broker's page.
        let hinted = |scheme| broker(scheme).authorize_parameter("kc_idp_hint", &self.federated);
        match gateway {
            "chain" => builder
                .identity_provider(broker("http"))
                .identity_provider(at("company", "http")),
            "short" => builder
                .identity_provider(hinted("http"))
                .identity_provider(at("company", "http")),
            "tls" => builder
                .identity_provider(hinted("https"))
                .identity_provider(at("company", "https"))
                .root_certificate_pem(self.ca()),
            "direct" | "stale" => builder.identity_provider(at("company", "http")),
            "other" | "consent" | "crash" => builder.identity_provider(at("other", "http")),
            unknown => panic!("no gateway {unknown}"),
        }
    }

    /// At the gateway of the broker, as one of the broker's own people.
    pub(crate) fn session_of_broker(&self, person: &str) -> SessionBuilder {
        let broker = IdentityProvider::at(self.origin("broker", "http")).unwrap();
        self.builder("chain", person).identity_provider(broker.own_users())
    }

    pub(crate) async fn judged(&self, person: &str) -> Judged {
        self.ask(reqwest::Method::GET, &["logins", &self.person(person).username])
            .await
    }

    /// Method, path and status of everything that a gateway has answered.
    pub(crate) async fn requests(&self, gateway: &str) -> Vec<(String, String, u16)> {
        self.ask(reqwest::Method::GET, &["requests", gateway]).await
    }

    pub(crate) async fn stop(&self, program: &str) {
        let _: serde_json::Value = self.ask(reqwest::Method::POST, &["stop", program]).await;
    }

    pub(crate) async fn start(&self, program: &str) {
        let _: serde_json::Value = self.ask(reqwest::Method::POST, &["start", program]).await;
    }

    async fn ask<T: for<'a> Deserialize<'a>>(&self, method: reqwest::Method, path: &[&str]) -> T {
        let mut url = Url::parse(&self.control).unwrap();
        url.path_segments_mut().unwrap().extend(path);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.request(method, url).timeout(Duration::from_secs(60));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }
}
