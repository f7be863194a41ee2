//! Dex's device login (RFC 8628): a person confirms it on another machine.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use jiff::SignedDuration;
use secrecy::SecretString;
use serde_json::{Map, Value};
use url::Url;

use super::endpoint::{Failure, Field, Wanted, dex, exchange, post};
use super::refresh::Chain;
use super::{BearerToken, OAuthClient, TokenContext, TokenSource, number};
use crate::error::Error;
use crate::origin::{origin, outside_the_cluster};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// With a refresh token the person is asked once, and not once a day.
const SCOPES: &str = "openid email profile groups offline_access";
/// What the standard says for a server that says nothing.
const INTERVAL: i64 = 5;
const SLOWER: i64 = 5;
const EXPIRES_IN: i64 = 300;
/// No server's word makes the wait for one answer longer, nor the whole.
const LONGEST_INTERVAL: i64 = 60;
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// Shows a person what to do.
type Show = Arc<dyn Fn(&DevicePrompt) + Send + Sync>;
/// Waits; tests put their own in.
type Sleep = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// What a person has to do: open the address on any machine and type the code.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DevicePrompt {
    /// The code, such as `BDFG-HJKL`.
    pub user_code: String,
    /// Where to type it. An address inside the cluster is replaced by the gateway's.
    pub verification_url: String,
    /// The same with the code in it, for a link or a QR code.
    pub verification_url_complete: Option<String>,
    /// How long the code is good for.
    pub expires_in: Duration,
}

/// A token that a person confirms on another machine (Dex 2.25 and later).
///
/// Dex must know the client as a public one without redirect addresses, or with `/device/callback` among them; Kubeflow's
/// stock client is neither, and the page then says `Unregistered redirect_uri`, while this waits until the code expires.
///
/// Later tokens come by the refresh token of the first, so the person is asked again only when that is lost or refused.
///
/// ```
/// use dex_auth::{DeviceCode, OAuthClient, Session};
///
/// let source = DeviceCode::new(OAuthClient::public("kubeflow-cli"), |prompt| {
///     eprintln!("open {} and type {}", prompt.verification_url, prompt.user_code);
/// });
/// let session = Session::builder("https://kubeflow.example.com")?.token(source).build()?;
/// # Ok::<(), dex_auth::Error>(())
/// ```
#[derive(Clone)]
pub struct DeviceCode {
    client: OAuthClient,
    show: Show,
    scopes: String,
    chain: Chain,
    sleep: Sleep,
}

impl DeviceCode {
    /// A client that Dex knows, and what shows the code to a person.
    pub fn new(client: OAuthClient, show: impl Fn(&DevicePrompt) + Send + Sync + 'static) -> Self {
        Self {
            client,
            show: Arc::new(show),
            scopes: SCOPES.to_owned(),
            chain: Chain::new(None),
            sleep: Arc::new(|time| Box::pin(tokio::time::sleep(time))),
        }
    }

    /// The scopes to ask for, parted by blanks; `openid email profile groups offline_access` if not given.
    #[must_use]
    pub fn scopes(mut self, scopes: impl Into<String>) -> Self {
        self.scopes = scopes.into();
        self
    }

    /// In a device login Dex reads the client from the form only.
    fn client_fields(&self) -> Vec<(&'static str, Field<'_>)> {
        let mut fields = vec![("client_id", Field::Open(self.client.id()))];
        fields.extend(
            self.client
                .secret()
                .map(|secret| ("client_secret", Field::Secret(secret))),
        );
        fields
    }

    async fn ask(&self, context: &TokenContext) -> Result<BearerToken, Error> {
        let url = dex(context, "device/code");
        let mut fields = self.client_fields();
        fields.push(("scope", Field::Open(&self.scopes)));
        let answer = exchange(context, &url, &self.client, &fields)
            .await
            .map_err(|failure| failure.into_error(&url))?;
        let (prompt, code) = read(&answer, context).ok_or_else(|| Error::TokenUnavailable {
            from: self.name(),
            problem: "the answer holds no code".to_owned(),
        })?;
        (self.show)(&prompt);
        let interval = answer.get("interval").and_then(number).unwrap_or(INTERVAL);
        self.poll(context, &code, interval, prompt.expires_in).await
    }

    async fn poll(
        &self,
        context: &TokenContext,
        code: &SecretString,
        interval: i64,
        expires_in: Duration,
    ) -> Result<BearerToken, Error> {
        let url = dex(context, "token");
        let expired = || Error::DeviceNotConfirmed { origin: origin(&url) };
        let mut fields = vec![("grant_type", Field::Open(GRANT)), ("device_code", Field::Secret(code))];
        fields.extend(self.client_fields());
        let mut interval = interval.clamp(1, LONGEST_INTERVAL);
        let mut waited = Duration::ZERO;
        loop {
            let pause = Duration::from_secs(interval.unsigned_abs());
            waited += pause;
            if waited > expires_in {
                return Err(expired());
            }
            (self.sleep)(pause).await;
            let failure = match post(context, &url, &self.client, &fields).await {
                Ok(tokens) => {
                    let token = tokens.bearer(Wanted::Id, context, &self.name())?;
                    self.chain.begin(&tokens);
                    return Ok(token);
                }
                Err(failure) => failure,
            };
            match failure {
                Failure::Refused { code, .. } if code == "authorization_pending" => {}
                Failure::Refused { code, .. } if code == "slow_down" => {
                    interval = (interval + SLOWER).min(LONGEST_INTERVAL);
                }
                Failure::Refused { code, .. } if code == "expired_token" => return Err(expired()),
                refused @ Failure::Refused { .. } => return Err(refused.into_error(&url)),
                // Asking has no effect, and the code may have been confirmed meanwhile.
                Failure::Lost(error) | Failure::NotSent(error) if error.is_retryable() => {
                    tracing::debug!(%error, "asking for the device token failed");
                    interval = (interval + SLOWER).min(LONGEST_INTERVAL);
                }
                other => return Err(other.into_error(&url)),
            }
        }
    }
}

fn read(answer: &Map<String, Value>, context: &TokenContext) -> Option<(DevicePrompt, SecretString)> {
    let text = |name: &str| answer.get(name)?.as_str().filter(|text| !text.is_empty());
    let reachable = |name: &str| {
        let url = Url::parse(text(name)?).ok()?;
        // It is shown to a person, who may click it.
        matches!(url.scheme(), "http" | "https").then(|| outside_the_cluster(url, context.gateway()).to_string())
    };
    let seconds = answer.get("expires_in").and_then(number).unwrap_or(EXPIRES_IN);
    let prompt = DevicePrompt {
        user_code: crate::error::one_line(text("user_code")?),
        verification_url: reachable("verification_uri")?,
        verification_url_complete: reachable("verification_uri_complete"),
        expires_in: SignedDuration::from_secs(seconds)
            .try_into()
            .unwrap_or(Duration::ZERO)
            .min(LONGEST),
    };
    Some((prompt, text("device_code")?.into()))
}

#[async_trait]
impl TokenSource for DeviceCode {
    fn name(&self) -> String {
        "Dex's device login".to_owned()
    }

    async fn token(&self, context: &TokenContext) -> Result<BearerToken, Error> {
        if self.chain.has_token() {
            match self.chain.refresh(context, &self.client).await {
                Ok(tokens) => return tokens.bearer(Wanted::Id, context, &self.name()),
                Err(error @ (Error::CredentialsExpired { .. } | Error::RefreshAnswerLost { .. })) => {
                    tracing::debug!(%error, "the device login begins again");
                    self.chain.forget();
                }
                Err(error) => return Err(error),
            }
        }
        self.ask(context).await
    }

    fn time_limit(&self) -> Option<Duration> {
        // The code's own end comes first; answers take their time, too.
        Some(LONGEST + Duration::from_secs(60))
    }

    fn store_key(&self) -> Option<String> {
        Some(format!("device {}", self.client.id()))
    }
}

impl fmt::Debug for DeviceCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DeviceCode")
            .field("client", &self.client)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use secrecy::ExposeSecret as _;
    use serde_json::json;
    use wiremock::matchers::{body_string_contains, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::token::tests_support::context_at;

    struct Trial {
        server: MockServer,
        source: DeviceCode,
        prompts: Arc<Mutex<Vec<DevicePrompt>>>,
        slept: Arc<Mutex<Vec<u64>>>,
    }

    async fn trial() -> Trial {
        let server = MockServer::start().await;
        let answer = json!({
            "device_code": "devicesecret",
            "user_code": "LTXZ-FTDL",
            "verification_uri": "http://dex.auth.svc.cluster.local:5556/dex/device",
            "verification_uri_complete": "http://dex.auth.svc.cluster.local:5556/dex/device?user_code=LTXZ-FTDL",
            "expires_in": 300,
            "interval": 5,
        });
        Mock::given(path("/dex/device/code"))
            .respond_with(ResponseTemplate::new(200).set_body_json(answer))
            .mount(&server)
            .await;
        let (prompts, slept) = (
            Arc::<Mutex<Vec<DevicePrompt>>>::default(),
            Arc::<Mutex<Vec<u64>>>::default(),
        );
        let (shown, pauses) = (Arc::clone(&prompts), Arc::clone(&slept));
        let mut source = DeviceCode::new(OAuthClient::public("cli"), move |prompt| {
            shown.lock().unwrap().push(prompt.clone());
        });
        source.sleep = Arc::new(move |time| {
            pauses.lock().unwrap().push(time.as_secs());
            Box::pin(std::future::ready(()))
        });
        Trial {
            server,
            source,
            prompts,
            slept,
        }
    }

    impl Trial {
        async fn then(&self, status: u16, body: Value, times: u64) {
            Mock::given(path("/dex/token"))
                .and(body_string_contains("device_code=devicesecret&client_id=cli"))
                .respond_with(ResponseTemplate::new(status).set_body_json(body))
                .up_to_n_times(times)
                .mount(&self.server)
                .await;
        }

        async fn token(&self) -> Result<BearerToken, Error> {
            self.source.token(&context_at(&self.server.uri())).await
        }
    }

    #[tokio::test]
    async fn asks_a_person_and_waits_as_told() {
        let trial = trial().await;
        trial.then(400, json!({"error": "authorization_pending"}), 2).await;
        trial.then(400, json!({"error": "slow_down"}), 1).await;
        trial.then(502, json!({}), 1).await;
        trial
            .then(
                200,
                json!({"id_token": "id", "refresh_token": "r", "expires_in": 60}),
                1,
            )
            .await;
        assert_eq!(trial.token().await.unwrap().token().expose_secret(), "id");
        assert_eq!(*trial.slept.lock().unwrap(), [5, 5, 5, 10, 15]);
        let prompt = trial.prompts.lock().unwrap()[0].clone();
        assert_eq!(prompt.user_code, "LTXZ-FTDL");
        assert_eq!(prompt.verification_url, format!("{}/dex/device", trial.server.uri()));
        assert!(
            prompt
                .verification_url_complete
                .unwrap()
                .ends_with("?user_code=LTXZ-FTDL")
        );
        assert_eq!(prompt.expires_in, Duration::from_secs(300));
    }

    #[tokio::test]
    async fn the_next_token_comes_by_the_refresh_token_and_without_a_person() {
        let trial = trial().await;
        trial
            .then(
                200,
                json!({"id_token": "one", "refresh_token": "rrrr", "expires_in": 60}),
                2,
            )
            .await;
        trial.token().await.unwrap();
        Mock::given(path("/dex/token"))
            .and(body_string_contains("grant_type=refresh_token&refresh_token=rrrr"))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({"id_token": "two"})))
            .up_to_n_times(1)
            .mount(&trial.server)
            .await;
        assert_eq!(trial.token().await.unwrap().token().expose_secret(), "two");
        assert_eq!(trial.prompts.lock().unwrap().len(), 1);
        Mock::given(path("/dex/token"))
            .and(body_string_contains("grant_type=refresh_token"))
            .respond_with(ResponseTemplate::new(400).set_body_json(json!({"error": "invalid_request"})))
            .mount(&trial.server)
            .await;
        assert_eq!(trial.token().await.unwrap().token().expose_secret(), "one");
        assert_eq!(trial.prompts.lock().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn ends_when_nobody_confirms() {
        let waits = trial().await;
        waits.then(400, json!({"error": "authorization_pending"}), 1000).await;
        let error = waits.token().await.unwrap_err();
        assert!(matches!(error, Error::DeviceNotConfirmed { .. }), "{error}");
        assert_eq!(waits.slept.lock().unwrap().len(), 60);
        for (code, description) in [
            ("expired_token", ""),
            ("access_denied", ""),
            ("invalid_request", "Invalid Device code."),
        ] {
            let trial = trial().await;
            trial
                .then(400, json!({"error": code, "error_description": description}), 1)
                .await;
            let error = trial.token().await.unwrap_err();
            match code {
                "expired_token" => assert!(matches!(error, Error::DeviceNotConfirmed { .. }), "{error}"),
                "access_denied" => assert!(matches!(error, Error::AccessDenied { .. }), "{error}"),
                _ => assert!(matches!(error, Error::LoginRefused { .. }), "{error}"),
            }
            assert!(!format!("{error:?} {error} {:?}", trial.source).contains("devicesecret"));
        }
    }
}
