//! Refresh tokens that change with each use.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use secrecy::SecretString;

use super::endpoint::{Failure, Field, Tokens, Wanted, dex, post};
use super::{BearerToken, OAuthClient, TokenContext, TokenSource};
use crate::error::Error;
use crate::origin::origin;

/// Told of each new refresh token.
type Keep = Arc<dyn Fn(&SecretString) -> std::io::Result<()> + Send + Sync>;

/// New tokens by a refresh token, as Dex gives one with the scope `offline_access`.
///
/// Dex gives another refresh token at each use, and the old one is dead at once. [`on_rotation`](Self::on_rotation) is told
/// the new one before the old one is forgotten, so that a program that starts again can go on. Dex keeps one refresh token
/// per user and client: another login with `offline_access` kills it, and so does a second process that uses the same.
///
/// A refresh whose answer was lost is [`Error::RefreshAnswerLost`], and is not repeated.
#[derive(Clone)]
pub struct RefreshToken {
    client: OAuthClient,
    chain: Chain,
}

impl RefreshToken {
    /// The client that the refresh token was given to, and the token.
    pub fn new(client: OAuthClient, token: impl Into<SecretString>) -> Self {
        Self {
            client,
            chain: Chain::new(Some(token.into())),
        }
    }

    /// Called with each new refresh token, to be kept in a safe place: its owner is logged in for as long as it lives. An
    /// error is reported with a `tracing` event, and the token is handed over again with the next use.
    ///
    /// It is called on the runtime, so it should be quick.
    #[must_use]
    pub fn on_rotation(mut self, keep: impl Fn(&SecretString) -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        self.chain.keep = Some(Arc::new(keep));
        self
    }
}

#[async_trait]
impl TokenSource for RefreshToken {
    fn name(&self) -> String {
        "Dex's refresh token".to_owned()
    }

    async fn token(&self, context: &TokenContext) -> Result<BearerToken, Error> {
        let tokens = self.chain.refresh(context, &self.client).await?;
        tokens.bearer(Wanted::Id, context, &self.name())
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RefreshToken")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// The refresh tokens of one login, one after the other. Clones share them.
#[derive(Clone)]
pub(super) struct Chain {
    links: Arc<Mutex<Links>>,
    keep: Option<Keep>,
}

struct Links {
    token: Option<SecretString>,
    /// The token was sent, and no answer has come yet.
    in_flight: bool,
    /// The newest token was not handed over yet.
    unkept: bool,
}

impl Chain {
    pub(super) fn new(token: Option<SecretString>) -> Self {
        Self {
            links: Arc::new(Mutex::new(Links {
                token,
                in_flight: false,
                unkept: false,
            })),
            keep: None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_token(&self) -> bool {
        self.lock().token.is_some()
    }

    pub(super) fn forget(&self) {
        let mut links = self.lock();
        links.token = None;
        links.in_flight = false;
    }

    /// Takes the refresh token of a new login.
    pub(super) fn begin(&self, tokens: &Tokens) {
        if let Some(token) = &tokens.refresh_token {
            let mut links = self.lock();
            links.token = Some(token.clone());
            links.in_flight = false;
        }
    }

    pub(super) async fn refresh(&self, context: &TokenContext, client: &OAuthClient) -> Result<Tokens, Error> {
        let url = dex(context, "token");
        let lost = || Error::RefreshAnswerLost { origin: origin(&url) };
        self.hand_over();
        let token = {
            let mut links = self.lock();
            // Set by a refresh that was broken off, by a deadline or the end of its runtime.
            if links.in_flight {
                return Err(lost());
            }
            let token = links.token.clone().ok_or_else(|| Error::CredentialsExpired {
                what: "the refresh token".to_owned(),
                message: "there is none".to_owned(),
            })?;
            links.in_flight = true;
            token
        };
        let fields = [
            ("grant_type", Field::Open("refresh_token")),
            ("refresh_token", Field::Secret(&token)),
        ];
        match post(context, &url, client, &fields).await {
            Ok(tokens) => {
                {
                    let mut links = self.lock();
                    if let Some(new) = &tokens.refresh_token {
                        links.token = Some(new.clone());
                        links.unkept = true;
                    }
                    links.in_flight = false;
                }
                self.hand_over();
                Ok(tokens)
            }
            Err(Failure::Lost(error)) => {
                tracing::warn!(%error, "the answer to a refresh was lost");
                Err(lost())
            }
            Err(Failure::Refused { code, description, .. })
                if matches!(code.as_str(), "invalid_grant" | "invalid_request") =>
            {
                self.lock().in_flight = false;
                Err(Error::CredentialsExpired {
                    what: "the refresh token".to_owned(),
                    message: if description.is_empty() { code } else { description },
                })
            }
            Err(other) => {
                self.lock().in_flight = false;
                Err(other.into_error(&url))
            }
        }
    }

    /// Gives the newest token to whoever keeps it, if that is still to be done.
    fn hand_over(&self) {
        let Some(keep) = &self.keep else { return };
        let token = {
            let links = self.lock();
            links.token.clone().filter(|_| links.unkept)
        };
        let Some(token) = token else { return };
        match keep(&token) {
            Ok(()) => self.lock().unkept = false,
            Err(error) => tracing::warn!(kind = %error.kind(), "the new refresh token could not be kept"),
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;
    use serde_json::json;
    use wiremock::matchers::{body_string_contains, method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::token::tests_support::context_at;

    async fn answers(server: &MockServer, sent: &str, status: u16, body: serde_json::Value) {
        Mock::given(method("POST"))
            .and(path("/dex/token"))
            .and(body_string_contains(format!("refresh_token={sent}&")))
            .respond_with(ResponseTemplate::new(status).set_body_json(body))
            .mount(server)
            .await;
    }

    fn source(token: &str, kept: &Arc<Mutex<Vec<String>>>) -> RefreshToken {
        let kept = Arc::clone(kept);
        RefreshToken::new(OAuthClient::public("cli"), token).on_rotation(move |token| {
            kept.lock().unwrap().push(token.expose_secret().to_owned());
            Ok(())
        })
    }

    #[tokio::test]
    async fn each_new_one_is_kept_and_used_next() {
        let server = MockServer::start().await;
        let tokens = |next: &str| json!({"id_token": format!("id-{next}"), "refresh_token": next, "expires_in": 60});
        answers(&server, "first", 200, tokens("second")).await;
        answers(&server, "second", 200, tokens("third")).await;
        let kept = Arc::default();
        let source = source("first", &kept);
        for expected in ["id-second", "id-third"] {
            let token = source.token(&context_at(&server.uri())).await.unwrap();
            assert_eq!(token.token().expose_secret(), expected);
            assert!(token.expires_at().is_some());
        }
        assert_eq!(*kept.lock().unwrap(), ["second", "third"]);
    }

    #[tokio::test]
    async fn one_that_could_not_be_kept_is_handed_over_again() {
        let server = MockServer::start().await;
        answers(
            &server,
            "first",
            200,
            json!({"id_token": "a", "refresh_token": "second"}),
        )
        .await;
        answers(&server, "second", 503, json!({})).await;
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&calls);
        let source = RefreshToken::new(OAuthClient::public("cli"), "first").on_rotation(move |token| {
            let mut calls = seen.lock().unwrap();
            calls.push(token.expose_secret().to_owned());
            if calls.len() == 1 {
                Err(std::io::ErrorKind::StorageFull.into())
            } else {
                Ok(())
            }
        });
        source.token(&context_at(&server.uri())).await.unwrap();
        let _ = source.token(&context_at(&server.uri())).await;
        assert_eq!(*calls.lock().unwrap(), ["second", "second"]);
    }

    #[tokio::test]
    async fn a_dead_one_says_so() {
        let server = MockServer::start().await;
        let text = "Refresh token is invalid or has already been claimed by another client.";
        answers(
            &server,
            "old",
            400,
            json!({"error": "invalid_request", "error_description": text}),
        )
        .await;
        let error = source("old", &Arc::default())
            .token(&context_at(&server.uri()))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, Error::CredentialsExpired { message, .. } if message == text),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_lost_answer_is_told_and_never_repeated() {
        for lost in [
            ResponseTemplate::new(200).set_body_string("{\"id_tok"),
            ResponseTemplate::new(504).set_body_string("upstream request timeout"),
        ] {
            let server = MockServer::start().await;
            Mock::given(method("POST"))
                .respond_with(lost)
                .expect(1)
                .mount(&server)
                .await;
            let source = source("first", &Arc::default());
            for _ in 0..2 {
                let error = source.token(&context_at(&server.uri())).await.unwrap_err();
                assert!(matches!(error, Error::RefreshAnswerLost { .. }), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn one_that_reached_nobody_may_be_sent_again() {
        let server = MockServer::start().await;
        let down = ResponseTemplate::new(503).set_body_string("no healthy upstream");
        Mock::given(method("POST"))
            .respond_with(down)
            .up_to_n_times(1)
            .mount(&server)
            .await;
        answers(
            &server,
            "first",
            200,
            json!({"id_token": "a", "refresh_token": "second"}),
        )
        .await;
        let source = source("first", &Arc::default());
        let error = source.token(&context_at(&server.uri())).await.unwrap_err();
        assert!(
            matches!(error, Error::ProviderUnavailable { status: 503, .. }),
            "{error}"
        );
        source.token(&context_at(&server.uri())).await.unwrap();
    }

    #[tokio::test]
    async fn a_refresh_that_was_broken_off_counts_as_lost() {
        let server = MockServer::start().await;
        let slow = ResponseTemplate::new(200).set_delay(std::time::Duration::from_secs(600));
        Mock::given(method("POST")).respond_with(slow).mount(&server).await;
        let source = source("first", &Arc::default());
        let context = context_at(&server.uri());
        {
            let refresh = source.token(&context);
            tokio::pin!(refresh);
            while server.received_requests().await.unwrap().is_empty() {
                tokio::select! {
                    _ = &mut refresh => panic!("nobody answered"),
                    () = tokio::task::yield_now() => {}
                }
            }
        }
        let error = source.token(&context).await.unwrap_err();
        assert!(matches!(error, Error::RefreshAnswerLost { .. }), "{error}");
    }
}
