//! Uploads in parts and addresses to fetch from directly, as a server in front of an object store hands them out. The store
//! is played by this server too, below `/object-store/`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{Answer, Handled, Refusal, document, empty};
use super::artifacts::{self, safe};
use super::json::Json;
use super::schema::Field;
use super::state::State;

const PART: &[Field] = &[Field::int("part_number"), Field::text("etag"), Field::text("url")];
pub(super) const CREATE: &[Field] = &[Field::text("path").required(), Field::int("num_parts").required()];
pub(super) const COMPLETE: &[Field] = &[
    Field::text("path").required(),
    Field::text("upload_id"),
    Field::message("parts", PART).list().required(),
];
pub(super) const ABORT: &[Field] = &[Field::text("path").required(), Field::text("upload_id")];

/// Where the object store is played.
pub(super) const STORE: &str = "/object-store/";

/// Uploads that have begun, and addresses that were handed out.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    open: BTreeMap<String, Upload>,
    downloads: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Upload {
    path: String,
    parts: BTreeMap<i64, Vec<u8>>,
    count: i64,
}

/// What a store without parts answers.
fn not_supported(what: &str) -> Refusal {
    Refusal::Coded {
        code: "NOT_IMPLEMENTED",
        status: 501,
        message: format!("{what} is not supported for the current artifact repository: LocalArtifactRepository"),
    }
}

fn uploads<'a>(state: &'a mut State, what: &str) -> Handled<&'a mut Uploads> {
    state.uploads.as_mut().ok_or_else(|| not_supported(what))
}

pub(super) fn etag(content: &[u8]) -> String {
    // Any function of the content will do: a store's own differs between kinds of stores.
    let sum = content.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("\"{sum:016x}\"")
}

/// The file that the routes are about: they name its folder, and the body its name, of which only the last part counts.
fn file(folder: &str, request: &Json) -> Handled<String> {
    let folder = safe(folder)?;
    let name = request.text("path").rsplit('/').next().unwrap_or_default().to_owned();
    Ok(if folder.is_empty() {
        name
    } else {
        format!("{folder}/{name}")
    })
}

/// Begins an upload; `base` is this server's own address.
pub(super) fn create(state: &mut State, base: &str, path: &str, request: &Json) -> Handled<Answer> {
    let path = file(path, request)?;
    let count = request.int("num_parts").unwrap_or(0);
    let uploads = uploads(state, "Multipart upload")?;
    if !(1..=10_000).contains(&count) {
        return Err(Refusal::invalid(format!("Invalid number of parts: {count}")));
    }
    let id = Uuid::new_v4().simple().to_string();
    let credentials: Vec<Value> = (1..=count)
        .map(|number| json!({"url": format!("{base}{STORE}{id}/{number}"), "part_number": number, "headers": {}}))
        .collect();
    uploads.open.insert(
        id.clone(),
        Upload {
            path,
            parts: BTreeMap::new(),
            count,
        },
    );
    Ok(document(&json!({"upload_id": id, "credentials": credentials})))
}

pub(super) fn complete(state: &mut State, path: &str, request: &Json) -> Handled<Answer> {
    let path = file(path, request)?;
    let id = request.text("upload_id").to_owned();
    let uploads = uploads(state, "Multipart upload")?;
    let failed = |code: &str| {
        Refusal::internal(format!(
            "An error occurred ({code}) when calling the CompleteMultipartUpload operation"
        ))
    };
    let upload = uploads.open.get(&id).filter(|upload| upload.path == path);
    let upload = upload.ok_or_else(|| failed("NoSuchUpload"))?;
    let mut content = Vec::new();
    let mut last = 0;
    for part in request.list("parts") {
        let number = part.int("part_number").unwrap_or(0);
        if number <= last {
            return Err(failed("InvalidPartOrder"));
        }
        last = number;
        let bytes = upload.parts.get(&number).ok_or_else(|| failed("InvalidPart"))?;
        if etag(bytes).trim_matches('"') != part.text("etag").trim_matches('"') {
            return Err(failed("InvalidPart"));
        }
        content.extend_from_slice(bytes);
    }
    uploads.open.remove(&id);
    artifacts::store(state, path, content)?;
    Ok(document(&empty()))
}

pub(super) fn abort(state: &mut State, path: &str, request: &Json) -> Handled<Answer> {
    safe(path)?;
    let id = request.text("upload_id").to_owned();
    let removed = uploads(state, "Multipart upload")?.open.remove(&id);
    removed.map(|_| document(&empty())).ok_or_else(|| {
        Refusal::internal("An error occurred (NoSuchUpload) when calling the AbortMultipartUpload operation")
    })
}

/// Hands out an address to fetch a file from.
pub(super) fn presigned_download(state: &mut State, base: &str, path: &str) -> Handled<Answer> {
    let path = safe(path)?;
    let size = state.files.get(&path).map(Vec::len);
    let uploads = uploads(state, "Presigned URL download")?;
    let size = size.ok_or_else(|| Refusal::missing(format!("Artifact not found: {path}")))?;
    let token = Uuid::new_v4().simple().to_string();
    uploads.downloads.insert(token.clone(), path);
    Ok(document(
        &json!({"url": format!("{base}{STORE}{token}"), "headers": {}, "file_size": size}),
    ))
}

/// A request to the object store itself: a part on its way up, or a file on its way down.
pub(super) fn object_store(
    state: &mut State,
    method: &str,
    rest: &str,
    body: &[u8],
    range: Option<&str>,
) -> Handled<Answer> {
    let gone = || Refusal::Text(404, "<Error><Code>NoSuchKey</Code></Error>".to_owned());
    let uploads = state.uploads.as_mut().ok_or_else(gone)?;
    match (method, rest.split_once('/')) {
        ("PUT", Some((id, number))) => {
            let number = number.parse().map_err(|_| gone())?;
            let upload = uploads
                .open
                .get_mut(id)
                .filter(|upload| (1..=upload.count).contains(&number));
            upload.ok_or_else(gone)?.parts.insert(number, body.to_vec());
            Ok(Answer::new(200).header("etag", &etag(body)))
        }
        ("GET", None) => {
            let path = uploads.downloads.get(rest).cloned().ok_or_else(gone)?;
            artifacts::download(state, &path, range)
        }
        _ => Err(Refusal::Text(
            403,
            "<Error><Code>AccessDenied</Code></Error>".to_owned(),
        )),
    }
}
