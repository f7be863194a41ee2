//! The page that asks for a second factor, and the calls by which a code is given.

use serde_json::Value;

use crate::error::{Error, one_line};
use crate::handler::{Action, Decision, FieldValue, JsonCall, Progress};
use crate::page::Page;
use crate::providers::second_factor::may_send_code;

use super::config::Config;
use super::{awaiting, codes};

pub(super) const BEGIN: &str = "BeginAuth";
pub(super) const END: &str = "EndAuth";

/// A code of an authenticator app; the other methods need a person.
const CODE: &str = "PhoneAppOTP";

const NAME: &str = "Entra ID: second factor";

pub(super) fn begin(page: &Page, config: &Config, progress: &Progress) -> Decision {
    if let Some(error) = codes::error(page, config, progress) {
        return Decision::step(NAME, Err(error));
    }
    let methods = methods(config);
    let takes_codes = methods.iter().any(|method| method == CODE);
    if progress.code_sent {
        return Decision::step(NAME, Err(Error::SecondFactorRefused { origin: page.origin() }));
    }
    match page.join(config.text("urlBeginAuth")) {
        Some(target) if takes_codes && progress.can_make_codes && !config.text("urlBeginAuth").is_empty() => {
            let call = JsonCall::post(target)
                .with("AuthMethodId", CODE)
                .with("Method", BEGIN)
                .with("Ctx", config.text("sCtx"))
                .with("FlowToken", config.text("sFT"));
            awaiting(NAME, call, BEGIN, config, page)
        }
        _ => {
            let origin = page.origin();
            Decision::step(NAME, Err(Error::SecondFactorRequired { origin, methods }))
        }
    }
}

/// The answer to the call that begins: now the code is wanted.
pub(super) fn end(page: &Page, json: &Value, config: &Config, progress: &Progress) -> Decision {
    const NAME: &str = "Entra ID: one-time code wanted";
    let target = page.join(config.text("urlEndAuth"));
    let (true, Some(target)) = (succeeded(json) && !config.text("urlEndAuth").is_empty(), target) else {
        let error = Error::LoginRefused {
            status: page.status(),
            message: one_line(&format!("the second factor could not be begun: {}", told(json))),
        };
        return Decision::step(NAME, Err(error));
    };
    if let Err(error) = may_send_code(page, progress) {
        return Decision::step(NAME, Err(error));
    }
    let call = JsonCall::post(target)
        .with("AuthMethodId", CODE)
        .with("Method", END)
        .with("Ctx", text(json, "Ctx"))
        .with("FlowToken", text(json, "FlowToken"))
        .with("SessionId", text(json, "SessionId"))
        .field("AdditionalAuthData", FieldValue::OneTimeCode);
    awaiting(NAME, call, END, config, page)
}

/// The answer to the code.
pub(super) fn finish(page: &Page, json: &Value, config: &Config) -> Result<Action, Error> {
    if !succeeded(json) {
        return Err(Error::SecondFactorRefused { origin: page.origin() });
    }
    Ok(Action::Submit(
        config
            .post(page)?
            .with(config.flow_token_name(), text(json, "FlowToken"))
            .with("request", text(json, "Ctx"))
            .with("login", config.text("sPOST_Username")),
    ))
}

fn methods(config: &Config) -> Vec<String> {
    let proofs = config.value("arrUserProofs").and_then(Value::as_array);
    proofs
        .into_iter()
        .flatten()
        .map(|proof| one_line(text(proof, "authMethodId")))
        .filter(|method| !method.is_empty())
        .take(20)
        .collect()
}

fn succeeded(json: &Value) -> bool {
    json.get("Success") == Some(&Value::Bool(true))
}

fn told(json: &Value) -> &str {
    match text(json, "Message") {
        "" => text(json, "ResultValue"),
        message => message,
    }
}

fn text<'v>(json: &'v Value, name: &str) -> &'v str {
    json.get(name).and_then(Value::as_str).unwrap_or_default()
}
