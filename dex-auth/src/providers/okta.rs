//! Okta's sign-in page, which its scripts make around an API.
//!
//! The page itself is a shell. The API of the classic engine takes the credentials and answers with a token for a
//! session; orgs of Identity Engine may still answer it, and where they do not the page needs a browser.

use serde_json::Value;
use url::Url;

use crate::error::{Error, UnsafeReason, one_line};
use crate::handler::{Action, Decision, FieldValue, JsonCall, PageHandler, Progress, Submission};
use crate::html::{Form, FormMethod};
use crate::origin::{origin, same_origin, shown};
use crate::page::Page;

use super::second_factor;

/// The API that checks credentials.
const AUTHN: &str = "/api/v1/authn";
/// Names of the objects that the page's scripts use.
const SCRIPTS: [&str; 3] = ["OktaSignIn", "OktaUtil", "oktaData"];
/// Where the login goes on once there is a session.
const BACK: &str = "okta: back";
/// The factor whose codes an authenticator app makes.
const TOTP: &str = "token:software:totp";

/// Okta's sign-in page, classic form, and the answers of its API.
#[derive(Debug)]
pub(crate) struct OktaPages;

impl PageHandler for OktaPages {
    fn handle(&self, page: &Page, progress: &Progress) -> Option<Decision> {
        if let Some(json) = page.json() {
            let path = page.url().path();
            let own = path
                .strip_prefix(AUTHN)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            return own.then(|| answer(page, json, progress));
        }
        if let Some(form) = page.only_form(is_classic_form) {
            return Some(Decision::step(
                "Okta: classic login form",
                classic(page, form, progress),
            ));
        }
        if !page.has("#okta-login-container") && !mentions_okta(&page.scripts()) {
            return None;
        }
        // After a session was made for it the page shows up again where a rule of the org wants more.
        let outcome = if progress.password_sent {
            Err(needs_script(page.url()))
        } else {
            call(page, AUTHN).map(|call| {
                Action::Call(
                    call.field("username", FieldValue::Username)
                        .field("password", FieldValue::Password),
                )
            })
        };
        Some(Decision::step("Okta: sign-in page", outcome).note(BACK, way_back(page)))
    }
}

fn mentions_okta(scripts: &str) -> bool {
    SCRIPTS.iter().any(|name| scripts.contains(name))
}

fn is_classic_form(form: &Form) -> bool {
    let target = form.target.as_ref();
    form.method == FormMethod::Post
        && target.is_some_and(|target| target.path().ends_with("/login/do-login"))
        && form.field("username").is_some()
        && form.field("password").is_some_and(|field| field.kind == "password")
}

fn classic(page: &Page, form: &Form, progress: &Progress) -> Result<Action, Error> {
    if progress.password_sent {
        return Err(Error::WrongPassword { origin: page.origin() });
    }
    Ok(Action::Submit(
        Submission::of(form)?
            .with("username", FieldValue::Username)
            .with("password", FieldValue::Password),
    ))
}

/// The request that the page interrupted: named by `fromURI`, or the page's own address.
fn way_back(page: &Page) -> String {
    let from = page.url().query_pairs().find(|(name, _)| name == "fromURI");
    from.and_then(|(_, from)| page.url().join(&from).ok())
        .filter(|target| same_origin(target, page.url()))
        .unwrap_or_else(|| page.url().clone())
        .into()
}

/// A call of an address of the API, absolute or not. The credentials belong to the org whose page it is, also where
/// another origin was named.
fn call(page: &Page, target: &str) -> Result<JsonCall, Error> {
    let target = page.url().join(target).map_err(|_| Error::UnsafeTarget {
        origin: "no URL".to_owned(),
        reason: UnsafeReason::Scheme,
    })?;
    if !same_origin(&target, page.url()) {
        return Err(Error::UnsafeTarget {
            origin: origin(&target),
            reason: UnsafeReason::OtherOrigin,
        });
    }
    Ok(JsonCall::post(target))
}

fn needs_script(url: &Url) -> Error {
    Error::ScriptRequired {
        url: shown(url),
        page: "Okta sign-in widget".to_owned(),
    }
}

fn answer(page: &Page, json: &Value, progress: &Progress) -> Decision {
    if page.status() >= 400 {
        return Decision::failure("Okta: error", failure(page, json, progress));
    }
    let text = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default();
    let name = match text("status") {
        "SUCCESS" => "Okta: logged in",
        "MFA_REQUIRED" => "Okta: choice of second factors",
        _ => "Okta: state of the login",
    };
    let origin = page.origin();
    let outcome = match text("status") {
        "SUCCESS" => session(page, text("sessionToken"), progress),
        "MFA_REQUIRED" => code(page, json, progress),
        "MFA_CHALLENGE" => Err(Error::SecondFactorRequired {
            origin,
            methods: factors(json).map(described).collect(),
        }),
        // These two may be put off as long as the org allows it.
        "PASSWORD_WARN" => skip(page, json).unwrap_or(Err(Error::PasswordChangeRequired { origin })),
        "MFA_ENROLL" => skip(page, json).unwrap_or(Err(Error::EnrolmentRequired { origin })),
        "MFA_ENROLL_ACTIVATE" => Err(Error::EnrolmentRequired { origin }),
        "PASSWORD_EXPIRED" | "PASSWORD_RESET" => Err(Error::PasswordChangeRequired { origin }),
        "LOCKED_OUT" => Err(Error::AccountLocked { origin }),
        "" => Err(needs_script(page.url())),
        other => Err(Error::ActionRequired {
            origin,
            action: format!("go on from the state {}", one_line(other)),
        }),
    };
    Decision::step(name, outcome)
}

/// Trades the token for a session's cookie, on the way back to what was interrupted.
fn session(page: &Page, token: &str, progress: &Progress) -> Result<Action, Error> {
    if token.is_empty() {
        return Err(needs_script(page.url()));
    }
    let mut target = page.url().clone();
    target.set_path("/login/sessionCookieRedirect");
    target
        .query_pairs_mut()
        .clear()
        .append_pair("checkAccountSetupComplete", "true")
        .append_pair("token", token)
        .append_pair("redirectUrl", progress.note(BACK).unwrap_or("/"));
    Ok(Action::Follow(target))
}

fn factors(json: &Value) -> impl Iterator<Item = &Value> {
    let embedded = json.get("_embedded");
    let several = embedded.and_then(|all| all.get("factors")).and_then(Value::as_array);
    let one = embedded.and_then(|all| all.get("factor"));
    several.into_iter().flatten().chain(one).take(20)
}

fn kind(factor: &Value) -> &str {
    factor.get("factorType").and_then(Value::as_str).unwrap_or_default()
}

fn described(factor: &Value) -> String {
    match kind(factor) {
        TOTP => "code of an authenticator app",
        "push" => "approval in the Okta Verify app",
        "sms" => "code by text message",
        "call" => "code by phone call",
        "email" => "code by mail",
        "question" => "answer to a security question",
        "webauthn" | "u2f" => "security key",
        "token" | "token:hardware" | "token:hotp" => "code of a hardware token",
        other => return one_line(other),
    }
    .to_owned()
}

fn link<'a>(json: &'a Value, name: &str) -> Option<&'a str> {
    json.get("_links")?.get(name)?.get("href")?.as_str()
}

fn state_token(json: &Value) -> &str {
    json.get("stateToken").and_then(Value::as_str).unwrap_or_default()
}

fn code(page: &Page, json: &Value, progress: &Progress) -> Result<Action, Error> {
    let verify = factors(json)
        .filter(|factor| kind(factor) == TOTP)
        .find_map(|factor| link(factor, "verify"));
    let Some(verify) = verify.filter(|_| progress.can_make_codes) else {
        return Err(Error::SecondFactorRequired {
            origin: page.origin(),
            methods: factors(json).map(described).collect(),
        });
    };
    second_factor::may_send_code(page, progress)?;
    let call = call(page, verify)?
        .with("stateToken", state_token(json))
        .field("passCode", FieldValue::OneTimeCode);
    Ok(Action::Call(call))
}

fn skip(page: &Page, json: &Value) -> Option<Result<Action, Error>> {
    let skip = call(page, link(json, "skip")?);
    Some(skip.map(|call| Action::Call(call.with("stateToken", state_token(json)))))
}

/// Okta's codes say more than the status, and stay the same in every language.
fn failure(page: &Page, json: &Value, progress: &Progress) -> Error {
    let text = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default();
    let (origin, status, code) = (page.origin(), page.status(), text("errorCode"));
    let message = one_line(&format!("{code} {}", text("errorSummary")));
    match code {
        "E0000004" => Error::WrongPassword { origin },
        "E0000069" | "E0000119" => Error::AccountLocked { origin },
        "E0000068" => Error::SecondFactorRefused { origin },
        "E0000011" => second_factor::lost(page, progress, message),
        // Too many tries, by whomever: the one made now was not looked at.
        "E0000047" => Error::ProviderUnavailable { status, message },
        "E0000006" => Error::AccessDenied {
            origin,
            code: Some(code.to_owned()),
            message: one_line(text("errorSummary")),
        },
        _ if status == 429 || status >= 500 => Error::ProviderUnavailable { status, message },
        // The API is closed in this org, and only the page itself knows how to go on.
        _ if page.url().path() == AUTHN && matches!(status, 400 | 403 | 404 | 405) => needs_script(page.url()),
        _ => Error::LoginRefused { status, message },
    }
}

#[cfg(test)]
mod tests;
