//! Pages of Microsoft Entra ID (Azure AD).
//!
//! Every page is a shell around a script: a configuration object says which page it is (`pgid`), where the script sends
//! the form that it makes up, and which tokens go with it.

mod codes;
mod config;
mod second_factor;

use serde_json::Value;

use crate::error::Error;
use crate::handler::{Action, Decision, FieldValue, JsonCall, PageHandler, Progress, Submission};
use crate::html::FormMethod;
use crate::page::Page;

use super::form_post::{self, FormPost};
use config::Config;

/// The address of the call whose answer is awaited; empty when none is.
const AWAITED: &str = "Entra ID: awaited call";
/// What the answer is about.
const AWAITED_KIND: &str = "Entra ID: awaited answer";
/// The configuration of the page that made the call.
const CONFIG: &str = "Entra ID: page of the call";

const CREDENTIAL_TYPE: &str = "GetCredentialType";

/// Sign-in, stay-signed-in, second-factor and error pages, and the calls between them.
#[derive(Debug)]
pub(crate) struct EntraIdPages;

impl PageHandler for EntraIdPages {
    fn handle(&self, page: &Page, progress: &Progress) -> Option<Decision> {
        if page.json().is_some() {
            return answer(page, progress);
        }
        if let Some(config) = Config::of(page) {
            return Some(scripted(page, &config, progress));
        }
        reprocess(page, progress)
    }
}

fn scripted(page: &Page, config: &Config, progress: &Progress) -> Decision {
    let step = |name: &'static str, outcome| Decision::step(name, outcome);
    let failure = |name: &'static str, error| Decision::failure(name, error);
    match config.text("pgid") {
        "ConvergedSignIn" => sign_in(page, config, progress),
        "KmsiInterrupt" => step("Entra ID: stay signed in", stay_signed_in(page, config)),
        "ConvergedTFA" => second_factor::begin(page, config, progress),
        "ConvergedProofUpRedirect" => step("Entra ID: second factor to be set up", skip_enrolment(page, config)),
        "ConvergedConditionalAccess" => failure(
            "Entra ID: conditional access",
            codes::error(page, config, progress).unwrap_or_else(|| Error::AccessDenied {
                origin: page.origin(),
                code: None,
                message: config.message(),
            }),
        ),
        "ConvergedChangePassword" => failure(
            "Entra ID: new password",
            Error::PasswordChangeRequired { origin: page.origin() },
        ),
        "ConvergedConsent" => failure(
            "Entra ID: consent",
            Error::ConsentRequired {
                origin: page.origin(),
                message: config.message(),
            },
        ),
        "ConvergedError" => failure(
            "Entra ID: error page",
            codes::error(page, config, progress).unwrap_or_else(|| Error::LoginRefused {
                status: page.status(),
                message: config.message(),
            }),
        ),
        passkey if passkey.starts_with("ConvergedPasskey") => failure(
            "Entra ID: passkey",
            Error::ActionRequired {
                origin: page.origin(),
                action: "use or set up a passkey".to_owned(),
            },
        ),
        other => {
            let error = codes::error(page, config, progress).unwrap_or_else(|| Error::ScriptRequired {
                url: crate::origin::shown(page.url()),
                page: crate::error::one_line(&format!("Entra ID: {other}")),
            });
            failure("Entra ID: unknown page", error)
        }
    }
}

/// The page for the user name and the password, and the page of most refusals.
fn sign_in(page: &Page, config: &Config, progress: &Progress) -> Decision {
    const NAME: &str = "Entra ID: sign-in page";
    if let Some(error) = codes::error(page, config, progress) {
        return Decision::step(NAME, Err(error));
    }
    // Whatever it says or does not say then, the password is not sent a second time.
    if progress.password_sent {
        return Decision::step(NAME, Err(Error::WrongPassword { origin: page.origin() }));
    }
    // Asked first, as the page's script does: a user of a federated provider must not give the password here.
    match page.join(config.text("urlGetCredentialType")) {
        Some(target) if !config.text("urlGetCredentialType").is_empty() => {
            let call = JsonCall::post(target)
                .field("username", FieldValue::Username)
                .with("isOtherIdpSupported", true)
                .with("checkPhones", false)
                .with("isRemoteNGCSupported", false)
                .with("isCookieBannerShown", false)
                .with("isFidoSupported", false)
                .with("originalRequest", config.text("sCtx"))
                .with("flowToken", config.text("sFT"))
                .header("canary", config.text("apiCanary"))
                .header("client-request-id", config.text("correlationId"))
                .header("hpgact", config.number("hpgact"))
                .header("hpgid", config.number("hpgid"))
                .header("hpgrequestid", config.text("sessionId"))
                .header("referer", page.url().as_str());
            awaiting(NAME, call, CREDENTIAL_TYPE, config, page)
        }
        _ => Decision::step(NAME, password(page, config)),
    }
}

fn password(page: &Page, config: &Config) -> Result<Action, Error> {
    Ok(Action::Submit(
        config
            .post(page)?
            .with("login", FieldValue::Username)
            .with("loginfmt", FieldValue::Username)
            .with("passwd", FieldValue::Password)
            .with("ctx", config.text("sCtx"))
            .with(config.flow_token_name(), config.text("sFT"))
            .with("canary", config.text("canary"))
            .with("hpgrequestid", config.text("sessionId")),
    ))
}

/// A call, and what is needed to read its answer, which names nothing of the page that it is for.
fn awaiting(name: &'static str, call: JsonCall, kind: &str, config: &Config, page: &Page) -> Decision {
    let target = call.target.to_string();
    Decision::step(name, Ok(Action::Call(call)))
        .note(AWAITED, target)
        .note(AWAITED_KIND, kind)
        .note(CONFIG, config.kept(page))
}

fn answer(page: &Page, progress: &Progress) -> Option<Decision> {
    let json = page.json()?;
    if progress.note(AWAITED)? != page.url().as_str() {
        return None;
    }
    let config = Config::from_note(progress.note(CONFIG)?)?;
    let decision = match progress.note(AWAITED_KIND)? {
        CREDENTIAL_TYPE => Decision::step("Entra ID: kind of the account", account(page, json, &config)),
        second_factor::BEGIN => second_factor::end(page, json, &config, progress),
        second_factor::END => Decision::step("Entra ID: one-time code", second_factor::finish(page, json, &config)),
        _ => return None,
    };
    let calls_again = matches!(decision.outcome, Ok(Action::Call(_)));
    Some(if calls_again {
        decision
    } else {
        decision.note(AWAITED, "")
    })
}

/// The answer to the question for the kind of the account.
fn account(page: &Page, json: &Value, config: &Config) -> Result<Action, Error> {
    /// No such user; the other values (exists here, at another provider, not known) lead on.
    const NO_SUCH_USER: i64 = 1;
    let number = |name: &str| json.get(name).and_then(Value::as_i64);
    let credentials = json.get("Credentials");
    let federated = credentials
        .and_then(|credentials| credentials.get("FederationRedirectUrl"))
        .and_then(Value::as_str)
        .filter(|url| !url.is_empty());
    if let Some(url) = federated {
        let target = page.join(url).ok_or_else(|| Error::Misconfigured {
            origin: page.origin(),
            message: "the address of the federated provider is no URL".to_owned(),
        })?;
        return Ok(Action::Follow(target));
    }
    if number("IfExistsResult") == Some(NO_SUCH_USER) {
        // A throttled answer says so of everybody.
        return Err(if number("ThrottleStatus").unwrap_or_default() == 0 {
            Error::UnknownUser { origin: page.origin() }
        } else {
            Error::ProviderUnavailable {
                status: page.status(),
                message: "Entra ID throttles sign-ins from here".to_owned(),
            }
        });
    }
    let has_password = credentials.and_then(|credentials| credentials.get("HasPassword"));
    if has_password == Some(&Value::Bool(false)) {
        return Err(Error::LoginRefused {
            status: page.status(),
            message: "the account signs in without a password; use one that has a password".to_owned(),
        });
    }
    // Also after an answer that says nothing: the question is the script's comfort, the password page knows the rest.
    password(page, config)
}

/// The wish is always "yes": "no" is a value that nobody has seen work without a browser, and the cookies end with the
/// login anyway.
fn stay_signed_in(page: &Page, config: &Config) -> Result<Action, Error> {
    Ok(Action::Submit(
        config
            .post(page)?
            .with(config.flow_token_name(), config.text("sFT"))
            .with("ctx", config.text("sCtx"))
            .with("LoginOptions", "1"),
    ))
}

/// A tenant may allow to put it off; nothing is ever set up.
fn skip_enrolment(page: &Page, config: &Config) -> Result<Action, Error> {
    let skip = config.text("urlSkipMfaRegistration");
    match page.join(skip) {
        Some(target) if !skip.is_empty() => Ok(Action::Follow(target)),
        _ => Err(Error::EnrolmentRequired { origin: page.origin() }),
    }
}

/// A page without a configuration whose form sends itself back to Entra ID, such as the one after the question for a
/// device certificate. Those that lead out of it, with an assertion or a code, are [`form_post`]'s.
fn reprocess(page: &Page, progress: &Progress) -> Option<Decision> {
    if !page.has("form[name='hiddenform']") || FormPost.handle(page, progress).is_some() {
        return None;
    }
    let form = page.only_form(|form| form.method == FormMethod::Post && form_post::hides_all(form))?;
    let outcome = Submission::of(form).map(Action::Submit);
    Some(Decision::step("Entra ID: form that sends itself", outcome))
}

#[cfg(test)]
mod tests;
