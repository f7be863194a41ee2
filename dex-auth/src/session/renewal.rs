//! What happens when a session is needed: it is taken from the store, or made.

use std::sync::Arc;

use super::{Dropped, Session, Verdict};
use crate::access::{Access, Held};
use crate::credentials::Credentials;
use crate::error::Error;
use crate::login::{self, Recorder};
use crate::origin::origin;
use crate::source::Source;
use crate::store::{Locked, Store};
use crate::token::{TokenContext, TokenSource};

/// One renewal.
pub(super) struct Job {
    pub(super) attempt: u64,
    pub(super) source: Source,
    pub(super) dropped: Option<Dropped>,
    /// Refusals that the store remembers are void.
    pub(super) forgive: bool,
}

impl Job {
    fn held(&self, access: Access, session: &Session) -> Result<Held, Error> {
        Held::new(self.attempt, access, session.now(), !self.source.renews())
    }

    fn is_dropped(&self, held: &Held) -> bool {
        self.dropped
            .as_ref()
            .is_some_and(|dropped| dropped.header == held.header)
    }

    /// True for what the gateway itself refused.
    fn is_refused(&self, held: &Held) -> bool {
        self.is_dropped(held) && self.was_refused()
    }

    fn was_refused(&self) -> bool {
        self.dropped.as_ref().is_some_and(|dropped| dropped.message.is_some())
    }

    fn gateway_said(&self) -> String {
        let message = self.dropped.as_ref().and_then(|dropped| dropped.message.as_deref());
        match message {
            Some("") | None => "the gateway refused it".to_owned(),
            Some(message) => message.to_owned(),
        }
    }
}

impl Session {
    pub(super) async fn renew(&self, job: &Job) -> Result<Arc<Held>, Error> {
        let key = job.source.store_key(&self.shared.settings.plan);
        let (Some(store), Some(key)) = (&self.shared.store, key) else {
            return self.make(job).await.map(Arc::new);
        };
        let mut locked = self.locked(store).await?;
        if job.forgive {
            locked.forgive(&key);
        }
        if let Some(held) = self.kept(job, &locked, &key).await {
            return Ok(Arc::new(held));
        }
        if let Source::Pages(credentials) = &job.source
            && let Some(refusal) = locked.refusal(&key, credentials.password()).await
        {
            return Err(refusal);
        }
        let made = self.make(job).await;
        match (&made, &job.source) {
            (Ok(held), _) => locked.keep(&key, &held.access, self.now()),
            (Err(error), Source::Pages(credentials)) => locked.refuse(&key, credentials.password(), error).await,
            _ => {}
        }
        made.map(Arc::new)
    }

    /// Other processes hold the lock for as long as their logins take.
    async fn locked(&self, store: &Store) -> Result<Locked, Error> {
        let after = self.shared.settings.deadline;
        tokio::time::timeout(after, store.lock())
            .await
            .unwrap_or(Err(Error::LoginDeadline { after }))
    }

    /// A session that another process made, if it is still good.
    async fn kept(&self, job: &Job, locked: &Locked, key: &str) -> Option<Held> {
        let held = job.held(locked.session(key)?, self).ok()?;
        if job.is_dropped(&held) || !held.is_fresh(self.now()) {
            return None;
        }
        // Without a clear no it is tried: should it be no good, the next answer tells.
        let ended = matches!(self.ask(&held).await, Ok(Verdict::Ended { .. }));
        tracing::debug!(ended, "a session was in the store");
        (!ended).then_some(held)
    }

    /// Removes this session's entry from the store.
    pub(crate) async fn remove_kept(&self) -> Result<(), Error> {
        let key = {
            let state = self.state();
            state.source.store_key(&self.shared.settings.plan)
        };
        if let (Some(store), Some(key)) = (&self.shared.store, key) {
            self.locked(store).await?.drop_session(&key);
        }
        Ok(())
    }

    async fn make(&self, job: &Job) -> Result<Held, Error> {
        match &job.source {
            Source::Pages(credentials) => self.log_in(job, credentials).await,
            Source::Cookie(cookie) => {
                let held = job.held(Access::Cookie(cookie.clone()), self)?;
                if job.is_refused(&held) {
                    return Err(Error::CredentialsExpired {
                        what: job.source.name(),
                        message: job.gateway_said(),
                    });
                }
                Ok(held)
            }
            Source::Token(source) => self.fetch(job, source.as_ref()).await,
        }
    }

    async fn log_in(&self, job: &Job, credentials: &Credentials) -> Result<Held, Error> {
        let settings = &self.shared.settings;
        tracing::debug!(gateway = %origin(&settings.plan.gateway), attempt = job.attempt, "logging in");
        let recorder = Recorder::default();
        let outcome = login::run(settings, credentials, &recorder).await;
        self.state().last_login = Some(Arc::new(recorder.finish(outcome.as_ref().err())));
        let login = outcome?;
        let held = job.held(Access::Cookie(login.cookie), self)?;
        // A redirect at the end of a login proves nothing; the gateway's own word does.
        let path = self.probe(&held).path().to_owned();
        match self.ask(&held).await {
            Ok(Verdict::Ended { status, message, .. }) if !held.may_have_ended(self.now()) => {
                Err(self.rejected(&path, status, message, login.skew))
            }
            Ok(Verdict::ServiceDown) => Err(Error::AuthServiceUnavailable { path }),
            // The login itself went through; if this connection broke, the next request will tell.
            Ok(_) | Err(_) => Ok(held),
        }
    }

    async fn fetch(&self, job: &Job, source: &dyn TokenSource) -> Result<Held, Error> {
        let settings = &self.shared.settings;
        let context = TokenContext {
            gateway: settings.plan.gateway.clone(),
            http: settings.http.clone(),
            clock: Arc::clone(&settings.clock),
            refused: job.was_refused(),
        };
        let name = source.name();
        tracing::debug!(source = %name, attempt = job.attempt, "a token is needed");
        let after = source.time_limit().unwrap_or(settings.deadline);
        let token = tokio::time::timeout(after, source.token(&context))
            .await
            .unwrap_or(Err(Error::LoginDeadline { after }))?;
        if token.names_nobody() {
            tracing::warn!(
                source = %name,
                "the token has no claim `email`: it may pass the gateway without a user; ask for the scope `email`"
            );
        }
        let end = token.expires_at();
        let held = job.held(Access::Bearer(token), self)?;
        let unavailable = |problem| Err(Error::TokenUnavailable { from: name, problem });
        if job.is_refused(&held) {
            if !source.renews() {
                return Err(Error::CredentialsExpired {
                    what: source.name(),
                    message: job.gateway_said(),
                });
            }
            return unavailable(format!("it gives the same token again: {}", job.gateway_said()));
        }
        match end {
            // Gateways give a minute's grace; beyond it sending is useless.
            Some(end) if source.renews() && end.duration_since(self.now()).as_secs() < -60 => unavailable(format!(
                "its token ended at {end} by this machine's clock; if that is not so, set the clock"
            )),
            _ => Ok(held),
        }
    }
}
