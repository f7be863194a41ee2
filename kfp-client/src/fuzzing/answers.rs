//! Answers of the server.

use bytes::Bytes;
use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, LOCATION, RETRY_AFTER},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::call;
use crate::{
    PipelinePackage, ServerVersion,
    endpoint::{Accept, Call},
    error::{Error, ErrorContext},
    http::{Reply, check, decode},
    page::{Listed, WirePage},
    v1, v2,
};

/// Bytes of a message: 300 characters, and the mark that it was cut.
const LONGEST_MESSAGE: usize = 300 * 4 + 3;

fn told(error: &Error) {
    let text = error.to_string();
    assert!(text.starts_with("fuzz: ") && !text.contains('\n'), "{text}");
    assert!(!format!("{error:?}").is_empty());
    if matches!(error, Error::Decode(_)) {
        let path = error.context().and_then(ErrorContext::json_path);
        assert!(path.is_some_and(|path| !path.is_empty()), "{text}");
    }
}

fn read<T: DeserializeOwned>(call: &Call, reply: &Reply) -> Option<T> {
    decode(call, reply).inspect_err(told).ok()
}

/// What is read is written, and read from that as the same.
fn object<T: DeserializeOwned + Serialize>(call: &Call, reply: &Reply) {
    if let Some(object) = read::<T>(call, reply) {
        again(&object);
    }
}

fn again<T: DeserializeOwned + Serialize>(object: &T) {
    #[expect(clippy::unwrap_used, reason = "nothing in it is beyond JSON")]
    let written = serde_json::to_value(object).unwrap();
    let read = T::deserialize(&written).map(|read| serde_json::to_value(&read));
    assert!(
        matches!(&read, Ok(Ok(again)) if *again == written),
        "{written} became {read:?}"
    );
}

fn page<T: Listed + Serialize>(call: &Call, reply: &Reply) {
    object::<T>(call, reply);
    let Some(page) = read::<WirePage<T>>(call, reply) else {
        return;
    };
    let page = page.sort(call);
    assert!(page.next_page_token.is_none_or(|token| !token.is_empty()));
    page.broken.iter().for_each(told);
    page.items.iter().for_each(again);
}

/// Every type that an answer may be takes any body or says where it is wrong; as the body of an error it is sorted.
pub fn answer(body: &[u8]) {
    let Some(call) = call(&["apis", "v2beta1", "runs"]) else {
        return;
    };
    let mut reply = Reply {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body),
        attempts: 1,
    };
    page::<crate::Experiment>(&call, &reply);
    page::<crate::Pipeline>(&call, &reply);
    page::<crate::PipelineVersion>(&call, &reply);
    page::<crate::RecurringRun>(&call, &reply);
    page::<crate::Run>(&call, &reply);
    page::<v1::Experiment>(&call, &reply);
    page::<v1::Job>(&call, &reply);
    page::<v1::Pipeline>(&call, &reply);
    page::<v1::PipelineVersion>(&call, &reply);
    page::<v1::Run>(&call, &reply);
    page::<v1::Task>(&call, &reply);
    object::<v1::MetricResult>(&call, &reply);
    object::<v1::Visualization>(&call, &reply);
    object::<crate::Status>(&call, &reply);
    if let Some(detail) = read::<v1::RunDetail>(&call, &reply) {
        again(&detail);
        if let Ok(Some(workflow)) = detail.pipeline_runtime.workflow() {
            again(&workflow);
        }
    }
    if let Some(run) = read::<crate::Run>(&call, &reply) {
        assert!(!format!("{:?}", run.outcome()).is_empty());
    }
    read::<v1::pipelines::Template>(&call, &reply);
    read::<v1::runs::Artifact>(&call, &reply);
    read::<v1::runs::metrics::Results>(&call, &reply);
    if let Some(health) = read::<crate::Health>(&call, &reply)
        && let Ok(version) = health.version.unwrap_or_default().parse::<ServerVersion>()
    {
        assert!(!version.to_string().is_empty());
    }
    errors(&call, &mut reply);
}

/// The same body with every kind of status.
fn errors(call: &Call, reply: &mut Reply) {
    for status in [200, 204, 302, 400, 401, 403, 404, 409, 429, 500, 503, 599] {
        reply.status = StatusCode::from_u16(status).unwrap_or_default();
        for content_type in ["application/json", "text/plain", "text/html; charset=utf-8"] {
            reply.headers.clear();
            if let Ok(content_type) = content_type.parse() {
                reply.headers.insert(CONTENT_TYPE, content_type);
            }
            // The body as what a gateway puts into its headers.
            if let Ok(value) = http::HeaderValue::from_bytes(&reply.body) {
                reply.headers.insert(LOCATION, value.clone());
                reply.headers.insert(RETRY_AFTER, value);
            }
            let accepts = [Accept::Json, Accept::Text, Accept::Bytes];
            // Only of a success does it matter what was asked for.
            for accept in accepts.into_iter().take(if status == 200 { 3 } else { 1 }) {
                let call = Call { accept, ..call.clone() };
                let Err(error) = check(&call, reply) else {
                    assert!(reply.status.is_success());
                    continue;
                };
                told(&error);
                let (context, text) = (error.context(), error.to_string());
                assert!(
                    context.is_some_and(|context| context.message().len() <= LONGEST_MESSAGE),
                    "{text}"
                );
                assert!(status != 200 || content_type.starts_with("text/html") || accept == Accept::Json);
            }
        }
    }
}

/// The bytes of an artifact are the same however its answer comes in pieces.
///
/// The first byte is the size of the pieces.
pub fn artifact(input: &[u8]) {
    let Some((size, body)) = input.split_first() else {
        return;
    };
    let whole = pieces(body, body.len().max(1));
    assert_eq!(whole, pieces(body, usize::from(*size).max(1)));
    let Some(bytes) = whole else {
        return;
    };
    let field = serde_json::from_slice::<Value>(body).ok();
    let text = field.as_ref().and_then(|field| field.get("data")?.as_str());
    let decoded = text.and_then(|text| base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).ok());
    assert!(decoded.is_none_or(|decoded| decoded == bytes));
}

fn pieces(body: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut field = v2::artifacts::data::DataField::default();
    let mut bytes = Vec::new();
    for piece in body.chunks(size) {
        bytes.extend_from_slice(&field.push(piece).ok()?);
    }
    field.end().ok().map(|()| bytes)
}

/// Any bytes are an archive by their begin, or refused.
pub fn package(bytes: &[u8]) {
    if let Err(error) = PipelinePackage::archive(bytes.to_vec()) {
        assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
    }
}

#[cfg(test)]
mod tests;
