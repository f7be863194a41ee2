//! Addresses to write and read files by in a store that the server does not pass on but has rights in. The store is played by
//! this server too, below `/object-store/presigned/`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;
use wiremock::Request;

use super::answer::{Answer, Handled, Refusal, document, put};
use super::artifacts::{self, Files, join, safe};
use super::json::Json;
use super::multipart::etag;
use super::schema::Field;
use super::state::{State, now};

pub(super) const UPLOAD: &[Field] = &[
    Field::text("run_id"),
    Field::text("model_id"),
    Field::text("path").required(),
    Field::int("expiration"),
];
pub(super) const DOWNLOAD: &[Field] = &[
    Field::text("run_id").required(),
    Field::text("path").required(),
    Field::int("expiration"),
];

/// Where these addresses lead.
pub(super) const STORE: &str = "/object-store/presigned/";

/// A store with everything in it, by bucket and key, and the addresses that were handed out.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    pub(super) files: Files,
    addresses: BTreeMap<String, Address>,
}

#[derive(Debug, Clone)]
struct Address {
    key: String,
    method: &'static str,
    /// What was signed, and so must be sent.
    content_type: Option<&'static str>,
    /// In milliseconds.
    until: i64,
}

pub(super) fn upload(state: &mut State, base: &str, request: &Json) -> Handled<Answer> {
    let (run, model) = (request.text("run_id"), request.text("model_id"));
    if run.is_empty() == model.is_empty() {
        return Err(Refusal::invalid("Exactly one of run_id and model_id must be provided."));
    }
    let path = safe(request.text("path"))?;
    let uri = if model.is_empty() {
        state.run(run)?.uri.clone()
    } else {
        let known = state.space.logged_models.get(model).filter(|model| !model.deleted);
        let known = known.ok_or_else(|| Refusal::missing(format!("Logged model with ID '{model}' not found.")))?;
        known.uri.clone()
    };
    if let Some(scheme) = proxied(&uri) {
        return Err(Refusal::invalid(format!(
            "Presigned upload is not supported for proxied artifact storage (artifact URI scheme: {scheme}). This endpoint \
             requires a direct cloud storage artifact URI."
        )));
    }
    let (bucket, root) = bucket(state, &uri, "upload")?;
    let content_type = content_type(&path);
    let seconds = request.int("expiration").unwrap_or(900);
    let url = bucket.hand_out(
        base,
        Address {
            key: join(root, &path),
            method: "PUT",
            content_type: Some(content_type),
            until: now() + seconds.saturating_mul(1000),
        },
    );
    Ok(document(
        &json!({"presigned_url": url, "headers": {"Content-Type": content_type}}),
    ))
}

pub(super) fn download(state: &mut State, base: &str, request: &Json) -> Handled<Answer> {
    let path = safe(request.text("path"))?;
    let seconds = request.int("expiration").unwrap_or(300);
    if !(1..=604_800).contains(&seconds) {
        return Err(Refusal::invalid(format!(
            "expiration must be between 1 and 604800 seconds (got {seconds})."
        )));
    }
    let uri = state.run(request.text("run_id"))?.uri.clone();
    if let Some(scheme) = proxied(&uri) {
        return Err(Refusal::invalid(format!(
            "Presigned download is not supported for runs with proxied artifact storage (artifact URI scheme: {scheme}). \
             This endpoint requires a run with a direct cloud storage artifact URI."
        )));
    }
    let (bucket, root) = bucket(state, &uri, "download")?;
    let key = join(root, &path);
    let size = bucket.files.get(&key).map(Vec::len);
    let size = size.ok_or_else(|| Refusal::missing("Not Found"))?;
    let url = bucket.hand_out(
        base,
        Address {
            key,
            method: "GET",
            content_type: None,
            until: now() + seconds * 1000,
        },
    );
    // Without headers there is no such field.
    let mut value = json!({"presigned_url": url});
    put(&mut value, "file_size", Some(json!(size)));
    Ok(document(&value))
}

/// What the server takes the content to be, by its name.
fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, end)| end) {
        "txt" | "log" | "py" => "text/plain",
        "csv" => "text/csv",
        "html" => "text/html",
        "json" => "application/json",
        "png" => "image/png",
        _ => "application/octet-stream",
    }
}

/// The scheme of an address whose files the server passes on.
fn proxied(uri: &str) -> Option<&str> {
    let (scheme, _) = uri.split_once(':')?;
    matches!(scheme, "http" | "https" | "mlflow-artifacts").then_some(scheme)
}

fn bucket<'a, 'b>(state: &'a mut State, uri: &'b str, what: &str) -> Handled<(&'a mut Bucket, &'b str)> {
    let root = uri.strip_prefix("s3://").map(|root| root.trim_end_matches('/'));
    state.bucket.as_mut().zip(root).ok_or_else(|| Refusal::Coded {
        code: "NOT_IMPLEMENTED",
        status: 501,
        message: format!("Presigned {what} is not supported for the current artifact repository"),
    })
}

impl Bucket {
    fn hand_out(&mut self, base: &str, address: Address) -> Value {
        let token = Uuid::new_v4().simple().to_string();
        let url = format!("{base}{STORE}{token}");
        self.addresses.insert(token, address);
        json!(url)
    }
}

/// A request to the store itself.
pub(super) fn serve(state: &mut State, request: &Request, token: &str, range: Option<&str>) -> Handled<Answer> {
    let refused = |code: &str| Refusal::Text(403, format!("<Error><Code>{code}</Code></Error>"));
    let bucket = state.bucket.as_mut().ok_or_else(|| refused("AccessDenied"))?;
    let address = bucket
        .addresses
        .get(token)
        .filter(|address| now() < address.until)
        .ok_or_else(|| refused("AccessDenied"))?
        .clone();
    let given = request.headers.get("content-type").and_then(|kind| kind.to_str().ok());
    let as_signed = address.content_type.is_none_or(|signed| given == Some(signed));
    // A request with credentials of its own besides is refused, too.
    if request.method.as_str() != address.method || !as_signed || request.headers.contains_key("authorization") {
        return Err(refused("SignatureDoesNotMatch"));
    }
    if address.method == "PUT" {
        let answer = Answer::new(200).header("etag", &etag(&request.body));
        bucket.files.insert(address.key, request.body.clone());
        return Ok(answer);
    }
    let gone = || Refusal::Text(404, "<Error><Code>NoSuchKey</Code></Error>".to_owned());
    let content = bucket.files.get(&address.key).ok_or_else(gone)?;
    let tag = etag(content);
    artifacts::ranged(content, range, content_type(&address.key), |status| {
        Answer::new(status)
            .header("etag", &tag)
            .header("accept-ranges", "bytes")
    })
}
