//! What holds for every answer, filter and credentials file whatever is in it: the bodies of the fuzz targets and of the
//! property tests. Each returns, or panics where something does not hold.

#[cfg(test)]
mod tests;

use http::Method;

use crate::{
    credentials,
    endpoint::{Accept, Call},
    error::Error,
    experiments::Experiment,
    filter::{Filter, OrderBy, RunKey, quote},
    http::{decode, judge},
    logged_models::LoggedModel,
    model_versions::ModelVersion,
    registered_models::RegisteredModel,
    runs::{Run, RunInfo},
    server::ServerInfo,
    version::ServerVersion,
    webhooks::Webhook,
    workspaces::Workspace,
};

/// Longest error text: the rest is cut off.
const MOST_TEXT: usize = 4000;

/// Any answer is either data or an error whose text is one line. The first line of `text` is the status and the kind of
/// content, the rest the body.
pub fn response(text: &str) {
    let (head, body) = text.split_once('\n').unwrap_or((text, ""));
    let (status, kind) = head.split_once(' ').unwrap_or((head, "application/json"));
    let status = status.parse().unwrap_or(200);
    let Ok(base) = "https://mlflow.example.com/x".parse() else {
        return;
    };
    for accept in [Accept::Json, Accept::Text, Accept::Artifact, Accept::Nothing] {
        for method in [Method::GET, Method::POST] {
            let Ok(call) = Call::new("fuzz", method, &base, ["api"]) else {
                return;
            };
            let call = call.accept(accept);
            match judge(&call, status, kind, body.as_bytes()) {
                Ok(reply) => {
                    assert!(reply.status.is_success());
                    if accept == Accept::Json {
                        data(&call, &reply);
                    }
                }
                Err(error) => fault(&error),
            }
        }
    }
    if let Ok(version) = body.parse::<ServerVersion>() {
        assert_eq!(version.to_string().parse::<ServerVersion>().ok(), Some(version));
    }
}

fn fault(error: &Error) {
    let shown = error.to_string();
    assert!(!shown.is_empty() && shown.len() < MOST_TEXT, "{shown}");
    assert!(!shown.contains('\n'), "{shown:?}");
    assert!(error.context().is_some());
    let _ = (error.is_retryable(), format!("{error:?}"));
}

/// What can be read can be written, and read again as the same.
fn data(call: &Call, reply: &crate::http::Reply) {
    fn check<T: serde::de::DeserializeOwned + serde::Serialize>(call: &Call, reply: &crate::http::Reply) {
        match decode::<T>(call, reply) {
            Ok(value) => {
                let Ok(text) = serde_json::to_value(&value) else {
                    return;
                };
                let again = serde_json::from_value::<T>(text.clone());
                let again = again.ok().and_then(|again| serde_json::to_value(again).ok());
                assert_eq!(again, Some(text));
            }
            Err(error) => fault(&error),
        }
    }
    check::<Experiment>(call, reply);
    check::<Run>(call, reply);
    check::<RunInfo>(call, reply);
    check::<LoggedModel>(call, reply);
    check::<RegisteredModel>(call, reply);
    check::<ModelVersion>(call, reply);
    check::<Webhook>(call, reply);
    check::<Workspace>(call, reply);
    check::<ServerInfo>(call, reply);
}

/// A text in a filter is either refused or stays inside its quotes, whatever it is; so does a key. The parts are separated
/// by line breaks: key, value, number.
pub fn filter(text: &str) {
    let mut parts = text.splitn(3, '\n');
    let key = parts.next().unwrap_or_default();
    let value = parts.next().unwrap_or_default();
    let number: f64 = parts.next().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
    match quote(value) {
        Ok(quoted) => {
            assert_eq!(literal(&quoted), Some((value, "")));
        }
        Err(_) => assert!(value.contains('\'') && value.contains('"')),
    }
    let one: Filter<Run> = RunKey::tag(key).equals(value);
    let both = |text: &str, a: char, b: char| text.contains(a) && text.contains(b);
    let impossible = key.is_empty() || both(key, '`', '"') || both(value, '\'', '"');
    assert_eq!(one.text().is_err(), impossible);
    if let Ok(text) = one.text() {
        let rest = text.strip_prefix("tags.").and_then(literal);
        let (read, rest) = rest.unwrap_or_default();
        assert_eq!(read, key);
        assert_eq!(rest.strip_prefix(" = ").and_then(literal), Some((value, "")));
        let two = RunKey::run_id().one_of([value, value]).and(one.clone());
        assert!(two.text().is_ok_and(|two| two.ends_with(text)));
    }
    let measured = RunKey::metric(key).at_least(number);
    if let Ok(text) = measured.text() {
        assert!(number.is_finite());
        let written = text.rsplit(' ').next().unwrap_or_default();
        assert_eq!(written.parse(), Ok(number));
        assert!(!written.contains('+'));
    }
    let order: OrderBy<Run> = RunKey::param(key).descending();
    assert!(order.text().map_or(true, |text| text.ends_with(" DESC")));
}

/// The text in quotes at the beginning, and what follows.
fn literal(text: &str) -> Option<(&str, &str)> {
    let mark = text.chars().next().filter(|mark| matches!(mark, '\'' | '"' | '`'))?;
    text.get(1..)?.split_once(mark)
}

/// Any credentials file is read or refused, and a refusal quotes nothing of it that could be a password.
pub fn credentials_file(text: &str) {
    match credentials::parse(text) {
        Ok(file) => {
            assert!(
                file.username
                    .is_none_or(|name| !name.is_empty() && !name.contains('\n'))
            );
        }
        Err(allowed) => {
            assert!(allowed.contains("see line ") && allowed.len() < 100, "{allowed}");
        }
    }
}
