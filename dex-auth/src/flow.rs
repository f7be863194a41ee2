//! The login as a state machine without IO: an answer goes in, the next request or the end comes out.

use std::sync::Arc;

use url::Url;

use crate::credentials::Credentials;
use crate::error::{Error, UnsafeReason, one_line};
use crate::handler::{Action, Decision, FieldValue, JsonCall, PageHandler, Progress, Submission};
use crate::html::FormMethod;
use crate::identity_provider::Providers;
use crate::origin::{Cargo, check_target, origin, outside_the_cluster, same_origin, shown};
use crate::page::Page;
use crate::providers::dex::connector_id;

/// A SAML chain behind a broker takes 9 redirects and 2 pages (measured); twice that is a circle.
const MAX_REDIRECTS: u32 = 20;
const MAX_PAGES: u32 = 10;
/// Answers to a handler's own calls, which people never see: a second factor at Entra ID takes three.
const MAX_CALLS: u32 = 20;

/// What is sent next.
#[derive(Debug)]
pub(crate) enum Step {
    Send(Outgoing),
    /// The answer just given set the session.
    Done,
}

/// A request of the login.
pub(crate) struct Outgoing {
    pub(crate) url: Url,
    pub(crate) body: Body,
}

/// What a request of the login sends; anything but `None` makes it a POST.
pub(crate) enum Body {
    None,
    Form(Vec<(String, FieldValue)>),
    Json(Box<JsonCall>),
}

impl Outgoing {
    fn get(url: Url) -> Self {
        Self { url, body: Body::None }
    }

    pub(crate) fn fields(&self) -> &[(String, FieldValue)] {
        match &self.body {
            Body::None => &[],
            Body::Form(fields) => fields,
            Body::Json(call) => &call.fields,
        }
    }

    pub(crate) fn carries(&self, value: &FieldValue) -> bool {
        self.fields().iter().any(|(_, field)| field == value)
    }

    pub(crate) fn cargo(&self) -> Cargo {
        if self.fields().iter().any(|(_, value)| value.is_secret()) {
            Cargo::Secret
        } else {
            Cargo::Open
        }
    }
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Outgoing")
            .field("url", &shown(&self.url))
            .field("form", &!matches!(self.body, Body::None))
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
    pub(crate) is_json: bool,
    /// It set a cookie that lives on.
    pub(crate) sets_cookie: bool,
    /// The schemes that it asks for in `WWW-Authenticate`.
    pub(crate) challenges: Vec<String>,
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

/// What a login is set up with, apart from the secrets.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) gateway: Url,
    pub(crate) connector: Option<String>,
    /// The connector is an id to be asked for without a look at the chooser.
    pub(crate) connector_directly: bool,
    pub(crate) providers: Providers,
    pub(crate) handlers: Arc<[Arc<dyn PageHandler>]>,
}

pub(crate) struct Flow {
    plan: Plan,
    progress: Progress,
    stage: Stage,
    redirects: u32,
    pages: u32,
    calls: u32,
    last_was_form: bool,
    /// The last request was a handler's call of an API.
    called: bool,
    /// Dex's authorization URL as the gateway sent it.
    authorize: Option<Url>,
    without_prompt: bool,
    last_page: Option<String>,
    last_unknown: Option<String>,
}

impl Flow {
    pub(crate) fn new(plan: Plan, credentials: &Credentials) -> Self {
        Self {
            progress: Progress {
                connector: plan.connector.clone(),
                username: credentials.username().to_owned(),
                can_make_codes: credentials.codes().is_some(),
                ..Progress::default()
            },
            plan,
            stage: Stage::AtStart,
            redirects: 0,
            pages: 0,
            calls: 0,
            last_was_form: false,
            called: false,
            authorize: None,
            without_prompt: false,
            last_page: None,
            last_unknown: None,
        }
    }

    /// What the last answer was, for people: the page that a handler knew, or what an unknown page looks like.
    pub(crate) fn last_page(&mut self) -> (Option<String>, Option<String>) {
        (self.last_page.take(), self.last_unknown.take())
    }

    /// The first request.
    pub(crate) fn start(&self) -> Outgoing {
        let mut url = self.plan.gateway.clone();
        url.set_path(&format!("{}oauth2/start", self.plan.gateway.path()));
        url.query_pairs_mut().append_pair("rd", self.plan.gateway.path());
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
        let mut target = outside_the_cluster(target, &self.plan.gateway);
        if was_form && matches!(answer.status, 307 | 308) {
            return Err(Error::UnsafeTarget {
                origin: origin(&target),
                reason: UnsafeReason::ResendsForm,
            });
        }
        self.check(&answer.url, &target, Cargo::Open)?;
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
            // On its way to the gateway's callback or to one of Dex's own; a page of a provider shows its errors itself.
            if self.is_at_gateway(&target) {
                return self.provider_said(answer.status, &error, &target);
            }
        }
        if let Some(available) = self.other_connector(&answer.url, &target) {
            return Err(available);
        }
        if parameter(&target, "client_id").is_some() && parameter(&target, "response_type").is_some() {
            self.authorization_request(&mut target);
        } else if parameter(&target, "code").is_some() && self.is_callback(&target) {
            if parameter(&target, "state") != self.authorize.as_ref().and_then(|url| parameter(url, "state")) {
                return Err(Error::StateMismatch);
            }
            self.stage = Stage::AtCallback;
        }
        Ok(Step::Send(Outgoing::get(target)))
    }

    /// A redirect to an authorization endpoint: the gateway's own comes first, further ones are Dex's to its providers.
    fn authorization_request(&mut self, target: &mut Url) {
        if matches!(self.stage, Stage::AtStart | Stage::AtBase) {
            self.stage = Stage::Under;
            let scopes = parameter(target, "scope").unwrap_or_default();
            self.progress.scopes = scopes.split_whitespace().map(str::to_owned).collect();
            if let (true, Some(id), None) = (
                self.plan.connector_directly && target.path().ends_with("/auth"),
                &self.plan.connector,
                parameter(target, "connector_id"),
            ) {
                target.query_pairs_mut().append_pair("connector_id", id);
            }
            self.authorize = Some(target.clone());
        }
        for (name, value) in self.plan.providers.parameters(target) {
            if parameter(target, name).is_none() {
                target.query_pairs_mut().append_pair(name, value);
            }
        }
    }

    fn is_at_gateway(&self, target: &Url) -> bool {
        same_origin(target, &self.plan.gateway)
    }

    fn check(&self, from: &Url, target: &Url, cargo: Cargo) -> Result<(), Error> {
        check_target(from, target, &self.plan.gateway, &self.plan.providers, cargo)
    }

    /// The gateway's callback, not one of Dex's own for its identity providers.
    fn is_callback(&self, target: &Url) -> bool {
        let Some(authorize) = &self.authorize else { return false };
        // A load balancer sends an absolute `redirect_uri`, the other gateways a relative one, meant at their own origin.
        parameter(authorize, "redirect_uri")
            .and_then(|uri| self.plan.gateway.join(&uri).ok())
            .is_some_and(|callback| callback.path() == target.path() && self.is_at_gateway(target))
    }

    /// Dex with a single connector skips its chooser, so a wrong choice shows in the redirect only.
    fn other_connector(&self, from: &Url, target: &Url) -> Option<Error> {
        let requested = self.progress.connector.as_ref()?;
        if !from.path().ends_with("/auth") || !target.path().starts_with(from.path()) {
            return None;
        }
        let id = connector_id(target).filter(|id| id != requested)?;
        if !self.plan.connector_directly && parameter(target, "connector_id").is_some() {
            return None;
        }
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
            if error == "interaction_required" {
                // Said of a user who is known: his password was accepted. A Dex that does not remember him asks once more.
                self.progress.username_sent = false;
                self.progress.password_sent = false;
                self.progress.code_sent = false;
            }
            return Ok(Step::Send(Outgoing::get(again)));
        }
        let description = parameter(target, "error_description").unwrap_or_default();
        let message = one_line(&format!("{error} {description}"));
        Err(match error {
            "server_error" | "temporarily_unavailable" => Error::ProviderUnavailable { status, message },
            _ => Error::LoginRefused { status, message },
        })
    }

    fn answered(&mut self, answer: &Incoming) -> Result<Step, Error> {
        let (count, limit) = if self.called {
            (&mut self.calls, MAX_CALLS)
        } else {
            (&mut self.pages, MAX_PAGES)
        };
        *count += 1;
        if *count > limit {
            return Err(Error::TooManyPages { limit });
        }
        let page = if answer.is_html {
            Some(Page::parse(&answer.url, answer.status, &answer.body))
        } else if answer.is_json && self.called {
            serde_json::from_str(&answer.body)
                .ok()
                .map(|json| Page::of_json(&answer.url, answer.status, json))
        } else {
            None
        };
        if let Some(page) = &page
            && let Some(decision) = self.decide(page)
        {
            self.last_page = Some(decision.page.into_owned());
            self.progress.notes.extend(decision.notes);
            // A page that nobody expects at the start is no login: ask Kubeflow's own address before giving up.
            if decision.outcome.is_ok() || self.stage != Stage::AtStart {
                return self.act(&answer.url, decision.outcome?);
            }
        }
        if self.stage == Stage::AtStart {
            self.stage = Stage::AtBase;
            return Ok(Step::Send(Outgoing::get(self.plan.gateway.clone())));
        }
        self.last_unknown = page.as_ref().filter(|_| self.last_page.is_none()).map(described);
        Err(self.refusal(answer, page.as_ref()))
    }

    fn decide(&mut self, page: &Page) -> Option<Decision> {
        self.progress.federated = self.plan.providers.federated(page.url());
        self.progress.own_users = self.plan.providers.own_users(page.url());
        let mut handlers = self.plan.handlers.iter();
        handlers.find_map(|handler| handler.handle(page, &self.progress))
    }

    fn act(&mut self, from: &Url, action: Action) -> Result<Step, Error> {
        let outgoing = match action {
            Action::Follow(target) => Outgoing::get(outside_the_cluster(target, &self.plan.gateway)),
            Action::Submit(submission) => self.submit(submission)?,
            Action::Call(call) => Outgoing {
                url: call.target.clone(),
                body: Body::Json(Box::new(call)),
            },
        };
        self.check(from, &outgoing.url, outgoing.cargo())?;
        if self.progress.password_sent && outgoing.carries(&FieldValue::Password) {
            // Handlers see this themselves and say more; one that forgets it must not lock an account.
            return Err(Error::WrongPassword { origin: origin(from) });
        }
        self.called = matches!(outgoing.body, Body::Json(_));
        if !matches!(outgoing.body, Body::None) {
            self.stage = Stage::Under;
            self.last_was_form = true;
            self.progress.username_sent |= outgoing.carries(&FieldValue::Username);
            self.progress.password_sent |= outgoing.carries(&FieldValue::Password);
            self.progress.code_sent |= outgoing.carries(&FieldValue::OneTimeCode);
        }
        Ok(Step::Send(outgoing))
    }

    fn submit(&self, submission: Submission) -> Result<Outgoing, Error> {
        let mut target = outside_the_cluster(submission.target, &self.plan.gateway);
        if submission.method == FormMethod::Post {
            return Ok(Outgoing {
                url: target,
                body: Body::Form(submission.fields),
            });
        }
        // A form of the method GET would put what it holds into a URL, where logs keep it.
        let texts: Option<Vec<_>> = submission
            .fields
            .iter()
            .map(|(name, value)| match value {
                FieldValue::Text(text) => Some((name, text)),
                _ => None,
            })
            .collect();
        let Some(texts) = texts else {
            return Err(Error::UnsafeTarget {
                origin: origin(&target),
                reason: UnsafeReason::InAddress,
            });
        };
        target.query_pairs_mut().clear().extend_pairs(texts);
        Ok(Outgoing::get(target))
    }

    fn refusal(&self, answer: &Incoming, page: Option<&Page>) -> Error {
        let path = answer.url.path().to_owned();
        let status = answer.status;
        let text = answer.body.trim();
        let message = || if answer.is_html { String::new() } else { one_line(text) };
        match status {
            401 if answer.challenges.iter().any(|scheme| is_integrated(scheme)) => Error::IntegratedSignIn {
                url: shown(&answer.url),
                schemes: answer.challenges.clone(),
            },
            403 if text.is_empty() => Error::AuthServiceUnavailable { path },
            // A load balancer that denies shows a page of nothing but the status.
            401 if self.stage == Stage::AtBase => Error::TokenRequired {
                url: shown(&answer.url),
            },
            403 if self.stage == Stage::AtBase && page.is_none() => Error::TokenRequired {
                url: shown(&answer.url),
            },
            401 if self.stage == Stage::AtCallback => Error::LoginRefused {
                status,
                message: page.map_or_else(message, |page| page.title().to_owned()),
            },
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
                None if status >= 400 => Error::LoginRefused {
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

/// Sign-in with the account that the machine itself is logged in with.
fn is_integrated(scheme: &str) -> bool {
    ["negotiate", "ntlm", "kerberos"].contains(&scheme.to_ascii_lowercase().as_str())
}

/// An unknown page in one line: what a report of it needs.
fn described(page: &Page) -> String {
    let forms: Vec<_> = page
        .forms()
        .iter()
        .map(|form| {
            let fields: Vec<_> = form
                .fields
                .iter()
                .take(30)
                .map(|field| format!("{} ({})", field.name, field.kind))
                .collect();
            let target = form.target.as_ref().map_or_else(|| "nowhere".to_owned(), shown);
            format!(
                "form `{}` {:?} to {target} with {}",
                form.id,
                form.method,
                fields.join(", ")
            )
        })
        .collect();
    one_line(&format!("title `{}`; {}", page.title(), forms.join("; ")))
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests;
