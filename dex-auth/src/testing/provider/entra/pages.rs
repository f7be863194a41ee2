//! Pages of the fake Entra ID: shells around a configuration object, and forms that send themselves.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::super::message::{Reply, query};
use super::super::super::pages::escape;
use super::TENANT;
use super::site::Flow;

/// `hpgact` and `hpgid` of the sign-in page.
pub(super) const ACTION: u32 = 1800;
pub(super) const PAGE: u32 = 1104;

fn shell(status: u16, title: &str, config: &Value) -> Reply {
    // A text that ends the script would end it here, too.
    let config = config.to_string().replace('<', "\\u003c");
    let html = format!(
        "<!DOCTYPE html>\r\n<html dir=\"ltr\" class=\"\" lang=\"en\">\r\n<head>\r\n<title>{}</title>\r\n\
         <script type=\"text/javascript\">//<![CDATA[\n$Config={config};\n$Loader={{\"on\":true}};\n//]]></script>\r\n\
         </head>\r\n<body data-bind=\"defineGlobals: ServerData\" style=\"display: none\">\r\n\
         <noscript>JavaScript is needed to sign in.</noscript>\r\n</body>\r\n</html>\r\n",
        escape(title)
    );
    Reply::html(status, html)
}

fn config(context: &str, flow: &Flow, pgid: &str, own: Value) -> Value {
    let mut all = json!({
        "pgid": pgid, "sFTName": "flowToken", "sFT": flow.token, "sCtx": context, "canary": flow.canary,
        "apiCanary": flow.api_canary, "correlationId": flow.correlation, "sessionId": flow.session, "hpgact": ACTION,
        "hpgid": PAGE, "sErrorCode": "", "sErrTxt": "",
    });
    if let (Some(all), Value::Object(own)) = (all.as_object_mut(), own) {
        all.extend(own);
    }
    all
}

pub(super) fn sign_in(origin: &str, context: &str, flow: &Flow, code: Option<u32>, name: &str) -> Reply {
    let own = json!({
        "urlPost": format!("/{TENANT}/login"), "sErrorCode": code.map(|code| code.to_string()).unwrap_or_default(),
        "urlGetCredentialType": format!("{origin}/common/GetCredentialType?mkt=en-US"), "sPOST_Username": name,
    });
    shell(
        200,
        "Sign in to your account",
        &config(context, flow, "ConvergedSignIn", own),
    )
}

pub(super) fn stay(context: &str, flow: &Flow) -> Reply {
    let own = json!({"urlPost": "/kmsi", "iMaxStackForKnockoutAsyncComponents": 10_000});
    shell(
        200,
        "Sign in to your account",
        &config(context, flow, "KmsiInterrupt", own),
    )
}

pub(super) fn second_factor(context: &str, flow: &Flow, name: &str, methods: &[&str]) -> Reply {
    let proofs: Vec<_> = methods
        .iter()
        .enumerate()
        .map(|(n, method)| json!({"authMethodId": method, "data": method, "display": "***", "isDefault": n == 0}))
        .collect();
    let own = json!({
        "urlPost": "/common/SAS/ProcessAuth", "urlBeginAuth": "/common/SAS/BeginAuth",
        "urlEndAuth": "/common/SAS/EndAuth", "arrUserProofs": proofs, "sPOST_Username": name,
        "oPerAuthPollingInterval": {"PhoneAppNotification": 1, "PhoneAppOTP": 1},
    });
    shell(
        200,
        "Sign in to your account",
        &config(context, flow, "ConvergedTFA", own),
    )
}

pub(super) fn enrolment(context: &str, flow: &Flow, can_wait: bool) -> Reply {
    let skip = if can_wait {
        let pairs = query([("ctx", context), ("flowToken", flow.token.as_str())]);
        format!("/{TENANT}/SkipMfaRegistration?{pairs}")
    } else {
        String::new()
    };
    let own = json!({"urlPost": "/proofup/register", "urlSkipMfaRegistration": skip});
    shell(
        200,
        "More information required",
        &config(context, flow, "ConvergedProofUpRedirect", own),
    )
}

/// The page that a code comes with.
pub(super) fn refusal(origin: &str, context: &str, flow: &Flow, code: u32, name: &str) -> Reply {
    let pgid = match code {
        50_055 => "ConvergedChangePassword",
        50_072 | 50_079 => return enrolment(context, flow, false),
        50_158 | 53_000..=53_004 => "ConvergedConditionalAccess",
        65_001 | 90_094 => "ConvergedConsent",
        50_005 | 50_011 | 50_105 | 700_016 => {
            return error(200, code, "Sorry, but we are having trouble signing you in.");
        }
        _ => return sign_in(origin, context, flow, Some(code), name),
    };
    let own = json!({
        "urlPost": format!("/{TENANT}/login"), "sErrorCode": code.to_string(), "sErrTxt": "This needs more than a password.",
    });
    shell(200, "Sign in to your account", &config(context, flow, pgid, own))
}

/// Without the tokens of a login.
pub(super) fn error(status: u16, code: u32, message: &str) -> Reply {
    let config = json!({
        "pgid": "ConvergedError", "sErrorCode": code.to_string(),
        "strServiceExceptionMessage": format!("AADSTS{code}: {message}"),
    });
    shell(status, "Sign in to your account", &config)
}

/// The request is not of the login that its tokens are of.
pub(super) fn mismatch() -> Reply {
    error(
        400,
        165_000,
        "The request tokens do not match the user context; do not mix the values of different logins.",
    )
}

pub(super) fn lacks(name: &str) -> Reply {
    error(
        400,
        900_144,
        &format!("The request body must contain the following parameter: '{name}'."),
    )
}

pub(super) fn device_check(origin: &str, context: &str, flow: &Flow) -> Reply {
    let action = format!("{origin}/{TENANT}/DeviceAuthTls/reprocess");
    hidden_form(&action, &[("ctx", context), ("flowToken", &flow.token)])
}

/// A form that sends itself.
pub(super) fn hidden_form(action: &str, fields: &[(&str, &str)]) -> Reply {
    let mut inputs = String::new();
    for (name, value) in fields {
        let _ = write!(
            inputs,
            "<input type=\"hidden\" name=\"{name}\" value=\"{}\" />",
            escape(value)
        );
    }
    Reply::html(
        200,
        format!(
            "<html><head><title>Working...</title></head><body><form method=\"POST\" name=\"hiddenform\" \
             action=\"{}\">{inputs}<noscript><p>Script is disabled. Click Submit to continue.</p>\
             <input type=\"submit\" value=\"Submit\" /></noscript></form>\
             <script language=\"javascript\">document.forms[0].submit();</script></body></html>",
            escape(action)
        ),
    )
}
