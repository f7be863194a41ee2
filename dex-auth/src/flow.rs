//! The login as a state machine without IO: an answer goes in, the next request or the end comes out.

use std::sync::Arc;

use url::Url;

use crate::error::{Error, UnsafeReason, one_line};
use crate::handler::{Action, FieldValue, PageHandler, Progress, Submission};
use crate::html::FormMethod;
use crate::origin::{check_target, origin, outside_the_cluster, shown};
use crate::page::{Page, connector_id};

/// A SAML chain behind a broker takes 9 redirects and 2 pages (measured); twice that is a circle.
const MAX_REDIRECTS: u32 = 20;
const MAX_PAGES: u32 = 10;

/// What is sent next.
#[derive(Debug)]
pub(crate) enum Step {
    Send(Outgoing),
    /// The answer just given set the session.
    Done,
}

/// A request of the login; `form` makes it a POST.
pub(crate) struct Outgoing {
    pub(crate) url: Url,
    pub(crate) form: Option<Vec<(String, FieldValue)>>,
}

impl Outgoing {
    fn get(url: Url) -> Self {
        Self { url, form: None }
    }

    pub(crate) fn carries_password(&self) -> bool {
        self.form
            .iter()
            .flatten()
            .any(|(_, value)| *value == FieldValue::Password)
    }
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Outgoing")
            .field("url", &shown(&self.url))
            .field("form", &self.form.is_some())
            .finish()
    }
}

/// An answer, reduced to what the login depends on.
pub(crate) struct Incoming {
    pub(crate) url: Url,
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    /// Empty for a redirect.
    pub(crate) body: String,
    pub(crate) is_html: bool,
    /// It set a cookie that lives on.
    pub(crate) sets_cookie: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Asked oauth2-proxy's start address, which oidc-authservice answers with its own redirect to Dex.
    AtStart,
    /// Asked Kubeflow's own address: another path of oauth2-proxy, or another gateway.
    AtBase,
    /// Somewhere between the gateway and its callback.
    Under,
    /// Asked the gateway's callback.
    AtCallback,
}

pub(crate) struct Flow {
    gateway: Url,
    handlers: Arc<[Arc<dyn PageHandler>]>,
    progress: Progress,
    stage: Stage,
    redirects: u32,
    pages: u32,
    last_was_form: bool,
    /// Dex's authorization URL as the gateway sent it.
    authorize: Option<Url>,
    without_prompt: bool,
}

impl Flow {
    pub(crate) fn new(gateway: Url, connector: Option<String>, handlers: Arc<[Arc<dyn PageHandler>]>) -> Self {
        Self {
            gateway,
            handlers,
            progress: Progress {
                connector,
                password_sent: false,
                scopes: Vec::new(),
            },
            stage: Stage::AtStart,
            redirects: 0,
            pages: 0,
            last_was_form: false,
            authorize: None,
            without_prompt: false,
        }
    }

    /// The first request.
    pub(crate) fn start(&self) -> Outgoing {
        let mut url = self.gateway.clone();
        url.set_path(&format!("{}oauth2/start", self.gateway.path()));
        url.query_pairs_mut().append_pair("rd", self.gateway.path());
        Outgoing::get(url)
    }

    pub(crate) fn advance(&mut self, answer: &Incoming) -> Result<Step, Error> {
        let was_form = std::mem::take(&mut self.last_was_form);
        match &answer.location {
            // Dex up to 2.45 sends a page as the body of a redirect: the redirect counts.
            Some(location) if (300..400).contains(&answer.status) => self.redirected(answer, location, was_form),
            _ => self.answered(answer),
        }
    }

    fn redirected(&mut self, answer: &Incoming, location: &str, was_form: bool) -> Result<Step, Error> {
        self.redirects += 1;
        if self.redirects > MAX_REDIRECTS {
            return Err(Error::TooManyRedirects { limit: MAX_REDIRECTS });
        }
        let target = answer.url.join(location).map_err(|_| Error::UnsafeTarget {
            origin: "no URL".to_owned(),
            reason: UnsafeReason::Scheme,
        })?;
        let target = outside_the_cluster(target, &self.gateway);
        if was_form && matches!(answer.status, 307 | 308) {
            return Err(Error::UnsafeTarget {
                origin: origin(&target),
                reason: UnsafeReason::ResendsForm,
            });
        }
        check_target(&target, &self.gateway)?;
        if self.stage == Stage::AtCallback {
            return if answer.sets_cookie {
                Ok(Step::Done)
            } else {
                Err(Error::LoginStateLost {
                    message: "the gateway ended the login without a session".to_owned(),
                })
            };
        }
        if let Some(error) = parameter(&target, "error") {
            return self.provider_said(answer.status, &error, &target);
        }
        if let Some(available) = self.other_connector(&answer.url, &target) {
            return Err(available);
        }
        if parameter(&target, "client_id").is_some() && parameter(&target, "response_type").is_some() {
            self.stage = Stage::Under;
            if target.path().ends_with("/auth") {
                let scopes = parameter(&target, "scope").unwrap_or_default();
                self.progress.scopes = scopes.split_whitespace().map(str::to_owned).collect();
                self.authorize = Some(target.clone());
            }
        } else if parameter(&target, "code").is_some() && self.is_callback(&target) {
            if parameter(&target, "state") != self.authorize.as_ref().and_then(|url| parameter(url, "state")) {
                return Err(Error::StateMismatch);
            }
            self.stage = Stage::AtCallback;
        }
        Ok(Step::Send(Outgoing::get(target)))
    }

    /// The gateway's callback, not one of Dex's own for its identity providers.
    fn is_callback(&self, target: &Url) -> bool {
        let Some(authorize) = &self.authorize else { return false };
        // Both gateways send a relative `redirect_uri`.
        parameter(authorize, "redirect_uri")
            .and_then(|uri| authorize.join(&uri).ok())
            .is_some_and(|callback| callback.path() == target.path())
    }

    /// Dex with a single connector skips its chooser, so a wrong choice shows in the redirect only.
    fn other_connector(&self, from: &Url, target: &Url) -> Option<Error> {
        let requested = self.progress.connector.as_ref()?;
        if !from.path().ends_with("/auth") || !target.path().starts_with(from.path()) {
            return None;
        }
        let id = connector_id(target).filter(|id| id != requested)?;
        let only = crate::Connector {
            id,
            kind: String::new(),
            label: String::new(),
        };
        Some(Error::ConnectorUnknown {
            requested: requested.clone(),
            available: vec![only],
        })
    }

    /// An OAuth error on its way to the callback. It is read here, since oidc-authservice swallows it.
    fn provider_said(&mut self, status: u16, error: &str, target: &Url) -> Result<Step, Error> {
        if let (Some(authorize), "login_required" | "interaction_required", false) =
            (&self.authorize, error, self.without_prompt)
        {
            // Kubeflow's oauth2-proxy sends `prompt=none` to skip the approval page; a Dex with sessions takes it at
            // its word and refuses to show a form.
            let mut again = authorize.clone();
            let kept: Vec<_> = authorize.query_pairs().filter(|(name, _)| name != "prompt").collect();
            again.query_pairs_mut().clear().extend_pairs(kept);
            self.without_prompt = true;
            return Ok(Step::Send(Outgoing::get(again)));
        }
        let description = parameter(target, "error_description").unwrap_or_default();
        let message = one_line(&format!("{error} {description}"));
        Err(match error {
            "server_error" | "temporarily_unavailable" => Error::ProviderUnavailable { status, message },
            _ => Error::DexError { status, message },
        })
    }

    fn answered(&mut self, answer: &Incoming) -> Result<Step, Error> {
        self.pages += 1;
        if self.pages > MAX_PAGES {
            return Err(Error::TooManyPages { limit: MAX_PAGES });
        }
        let page = if answer.is_html {
            Some(Page::parse(&answer.url, answer.status, &answer.body))
        } else {
            None
        };
        if let Some(page) = &page {
            let handlers = Arc::clone(&self.handlers);
            if let Some(decision) = handlers.iter().find_map(|handler| handler.handle(page, &self.progress)) {
                // A page that nobody expects at the start is no login: ask Kubeflow's own address before giving up.
                if decision.is_ok() || self.stage != Stage::AtStart {
                    return self.act(decision?);
                }
            }
        }
        if self.stage == Stage::AtStart {
            self.stage = Stage::AtBase;
            return Ok(Step::Send(Outgoing::get(self.gateway.clone())));
        }
        Err(self.refusal(answer, page.as_ref()))
    }

    fn act(&mut self, action: Action) -> Result<Step, Error> {
        let outgoing = match action {
            Action::Follow(target) => Outgoing::get(outside_the_cluster(target, &self.gateway)),
            Action::Submit(submission) => self.submit(submission)?,
        };
        check_target(&outgoing.url, &self.gateway)?;
        if outgoing.form.is_some() {
            self.stage = Stage::Under;
            self.last_was_form = true;
            self.progress.password_sent |= outgoing.carries_password();
        }
        Ok(Step::Send(outgoing))
    }

    fn submit(&self, submission: Submission) -> Result<Outgoing, Error> {
        let (target, method, fields) = submission.into_parts();
        let target = outside_the_cluster(target, &self.gateway);
        if method == FormMethod::Get {
            // A form of the method GET would put what it holds into a URL, where logs keep it.
            return Err(Error::UnsafeTarget {
                origin: origin(&target),
                reason: UnsafeReason::Scheme,
            });
        }
        Ok(Outgoing {
            url: target,
            form: Some(fields),
        })
    }

    fn refusal(&self, answer: &Incoming, page: Option<&Page>) -> Error {
        let path = answer.url.path().to_owned();
        let status = answer.status;
        let text = answer.body.trim();
        let message = || if answer.is_html { String::new() } else { one_line(text) };
        match status {
            403 if text.is_empty() => Error::AuthServiceUnavailable { path },
            403 if text.starts_with("RBAC:") => Error::PermissionDenied {
                path,
                message: one_line(text),
            },
            400 if text.contains("CSRF check failed") => Error::LoginStateLost {
                message: one_line(text),
            },
            500.. => Error::ProviderUnavailable {
                status,
                message: page.map_or_else(message, |page| page.title().to_owned()),
            },
            _ => match page {
                _ if self.stage == Stage::AtBase => Error::NotAGateway {
                    url: shown(&answer.url),
                    status,
                },
                Some(page) => Error::UnknownPage {
                    url: shown(&answer.url),
                    status,
                    title: page.title().to_owned(),
                    fields: page.field_names(),
                },
                None if status >= 400 => Error::DexError {
                    status,
                    message: message(),
                },
                None => Error::UnknownPage {
                    url: shown(&answer.url),
                    status,
                    title: String::new(),
                    fields: Vec::new(),
                },
            },
        }
    }
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests;
