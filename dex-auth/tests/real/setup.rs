//! What `.ci/sso/start.py` tells: where the real programs are, and who may log in.

use std::collections::BTreeMap;
use std::time::Duration;

use dex_auth::{Credentials, Session, SessionBuilder};
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
    control: String,
}

#[derive(Deserialize)]
pub(crate) struct Person {
    pub(crate) username: String,
    pub(crate) password: String,
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
            // Past the test harness, which keeps what `println!` says of a test that passes.
            use std::io::Write as _;
            writeln!(
                std::io::stderr(),
                "SKIP: {test}: needs the programs of .ci/sso/start.py (SSO_TEST_SETUP)"
            )
            .unwrap();
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

    pub(crate) fn ca(&self) -> Vec<u8> {
        std::fs::read(&self.ca_file).unwrap()
    }

    /// A session at a gateway, with no provider named.
    pub(crate) fn builder(&self, gateway: &str, person: &str) -> SessionBuilder {
        let person = self.person(person);
        Session::builder(self.gateway(gateway))
            .unwrap()
            .credentials(Credentials::new(&person.username, person.password.as_str()))
    }

    pub(crate) async fn judged(&self, person: &str) -> Judged {
        self.ask(reqwest::Method::GET, &["logins", &self.person(person).username])
            .await
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
