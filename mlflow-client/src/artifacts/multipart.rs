//! Large files in parts, past the server, to the store behind it.
//!
//! The server begins the upload at its store and hands out an address for each part; the parts go there in any order, and
//! the server puts them together. What fails in between is aborted, since stores charge for parts that nobody put together.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    digest::{Digest, DigestAlgorithm, Hasher},
    local::LocalFile,
    options::TransferOptions,
    path::segments,
    proxy::{Proxy, moving_body},
    report::Report,
    standstill::{self, Movement},
    store_http::StoreRequest,
};
use crate::{
    client::Client,
    endpoint::Call,
    error::{Error, FileError, Result},
    http::context,
    wire,
};

/// The most parts that S3 takes.
const MOST_PARTS: u64 = 10_000;
/// How long an upload may take to be aborted.
const ABORT: Duration = Duration::from_secs(30);

/// How it went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// The server or the way to its store does not allow it: the file has to go through the server.
    NotOffered,
}

#[derive(Deserialize)]
struct Created {
    /// Azure has none.
    #[serde(default)]
    upload_id: Option<String>,
    #[serde(default)]
    credentials: Vec<Credential>,
}

#[derive(Deserialize)]
struct Credential {
    url: String,
    #[serde(default, deserialize_with = "wire::int64")]
    part_number: i64,
    #[serde(default)]
    headers: BTreeMap<String, Value>,
}

/// A part that the store has.
#[derive(Debug, Clone, Serialize)]
struct Part {
    #[serde(rename = "part_number")]
    number: u64,
    etag: String,
    url: String,
}

pub(super) async fn upload(
    proxy: &Proxy,
    path: &str,
    file: &LocalFile,
    options: &TransferOptions,
    report: &Report,
) -> Result<Outcome> {
    let (chunk, count) = division(file.size, options.upload_chunk);
    let mut parts = segments(path)?;
    // The route is that of the folder; the name goes with the body.
    let name = parts.pop().unwrap_or_default();
    let call =
        |operation, what: &str, body: &Value| proxy.call(operation, Method::POST, &["mpu", what], &parts)?.json(body);
    let create = call(
        "artifacts.mpu_create",
        "create",
        &json!({"path": name, "num_parts": count}),
    )?;
    let created: Created = match proxy.inner().json(&create).await {
        Ok(created) => created,
        Err(Error::Unsupported(_)) => return Ok(Outcome::NotOffered),
        Err(error) => return Err(error),
    };
    let upload_id = created.upload_id.clone();
    let abort = call(
        "artifacts.mpu_abort",
        "abort",
        &json!({"path": name, "upload_id": upload_id}),
    )?;
    let guard = Guard::new(&proxy.client, abort);
    let requests = match requests(proxy, &create, created.credentials, count) {
        Ok(requests) => requests,
        Err(Error::Unsupported(_)) => {
            guard.abort().await;
            return Ok(Outcome::NotOffered);
        }
        Err(error) => {
            guard.abort().await;
            return Err(error);
        }
    };
    let all = async {
        let sent: Vec<Part> = stream::iter(requests.into_iter().enumerate())
            .map(|(index, (number, request))| {
                let from = index as u64 * chunk;
                let length = chunk.min(file.size.saturating_sub(from));
                part(proxy, file, number, request, from..from + length, options, report)
            })
            .buffer_unordered(options.parallel)
            .try_collect()
            .await?;
        file.unchanged("artifacts.upload_file").await?;
        Ok(sent)
    };
    let mut sent = match all.await {
        Ok(sent) => sent,
        Err(error) => {
            guard.abort().await;
            // The store may be out of reach from here, and only from here.
            let unreachable = matches!(error, Error::Connect(_)) && report.bytes() == 0;
            return if unreachable {
                Ok(Outcome::NotOffered)
            } else {
                Err(error)
            };
        }
    };
    sent.sort_by_key(|part| part.number);
    let body = json!({"path": name, "upload_id": upload_id, "parts": sent});
    let complete = call("artifacts.mpu_complete", "complete", &body)?;
    let result = proxy.inner().done(&complete).await;
    let there = match &result {
        Ok(()) => true,
        // It may have been put together all the same.
        Err(Error::Timeout(_) | Error::Interrupted(_) | Error::Unavailable(_)) => {
            is_there(proxy, path, file.size).await
        }
        Err(_) => false,
    };
    if there {
        guard.disarm();
        return Ok(Outcome::Done);
    }
    guard.abort().await;
    result.map(|()| Outcome::Done)
}

/// Size and number of the parts.
fn division(size: u64, chunk: u64) -> (u64, u64) {
    let chunk = chunk.max(size.div_ceil(MOST_PARTS)).max(1);
    (chunk, size.div_ceil(chunk).max(1))
}

/// What to send where, in the order of the parts.
fn requests(
    proxy: &Proxy,
    create: &Call,
    credentials: Vec<Credential>,
    count: u64,
) -> Result<Vec<(u64, StoreRequest)>> {
    let mut requests = BTreeMap::new();
    for credential in credentials {
        let Credential {
            url,
            part_number,
            headers,
        } = credential;
        let number = u64::try_from(part_number).unwrap_or(0);
        let base = &proxy.inner().base;
        let request = StoreRequest::new("artifacts.upload_part", Method::PUT, base, &url, &headers)?;
        requests.insert(number, request);
    }
    if requests.keys().copied().ne(1..=count) {
        let message = format!("the server hands out {} addresses for {count} parts", requests.len());
        return Err(Error::UnexpectedResponse(context(create, message)));
    }
    Ok(requests.into_iter().collect())
}

async fn part(
    proxy: &Proxy,
    file: &LocalFile,
    number: u64,
    request: StoreRequest,
    range: std::ops::Range<u64>,
    options: &TransferOptions,
    report: &Report,
) -> Result<Part> {
    let inner = proxy.inner();
    let length = range.end - range.start;
    let call = &request.call;
    let hash = options.verify_parts;
    let etag = standstill::repeat(inner, call, || async {
        let counted = report.part();
        let result = async {
            let content = file.bytes(range.start, length).await;
            let content = content.map_err(|error| FileError::of(call.operation, &file.path, error))?;
            let hasher = Arc::new(std::sync::Mutex::new(Hasher::new(DigestAlgorithm::Md5)));
            let into = Arc::clone(&hasher);
            let content = content.inspect_ok(move |piece| {
                if hash {
                    into.lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .update(piece);
                }
            });
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            let movement = Movement::new();
            let body = moving_body(content, Some(length), movement.clone(), counted.clone());
            let work = request.send(inner, headers, Some(body));
            let response = movement.watch(call, inner.timeout, work).await?;
            let etag = response.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok());
            let etag = etag.unwrap_or_default().to_owned();
            if hash {
                let hasher = hasher.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
                verify(call, &etag, &hasher.finish())?;
            }
            Ok(etag)
        };
        let result = result.await;
        if result.is_err() {
            counted.reset();
        }
        result
    })
    .await?;
    Ok(Part {
        number,
        etag,
        url: call.url.as_str().to_owned(),
    })
}

/// An `ETag` in the form of an MD5 must be that of the part.
fn verify(call: &Call, etag: &str, md5: &Digest) -> Result<()> {
    let told = etag.trim_matches('"').to_ascii_lowercase();
    let is_md5 = told.len() == 32 && told.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !is_md5 || told == md5.to_hex() {
        return Ok(());
    }
    // Sent again: what was damaged on its way once need not be so twice.
    let message = "the store has other bytes than were sent, by its ETag";
    Err(Error::Interrupted(context(call, message)))
}

async fn is_there(proxy: &Proxy, path: &str, size: u64) -> bool {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let files = proxy.list(folder).await.unwrap_or_default();
    files.iter().any(|file| file.path == path && file.size() == Some(size))
}

/// Aborts an upload that came to no end, also when the task that sends it is dropped.
struct Guard {
    client: Client,
    abort: Option<Call>,
}

impl Guard {
    fn new(client: &Client, abort: Call) -> Self {
        Self {
            client: client.clone(),
            abort: Some(abort.idempotent()),
        }
    }

    fn disarm(mut self) {
        self.abort = None;
    }

    async fn abort(mut self) {
        if let Some(call) = self.abort.take() {
            // If this is dropped in the middle, nothing aborts: take it as the store's rules of expiry do.
            send_abort(self.client.clone(), call).await;
        }
    }
}

async fn send_abort(client: Client, call: Call) {
    match tokio::time::timeout(ABORT, client.inner.done(&call)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "a multipart upload could not be aborted; its parts remain"),
        Err(_) => tracing::warn!("a multipart upload could not be aborted in time; its parts remain"),
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(call) = self.abort.take() else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn(send_abort(self.client.clone(), call)));
        } else {
            tracing::warn!("a multipart upload was dropped outside of a runtime; its parts remain");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_few_enough() {
        const MIB: u64 = 1 << 20;
        assert_eq!(division(500 * MIB, 10 * MIB), (10 * MIB, 50));
        assert_eq!(division(500 * MIB + 1, 10 * MIB), (10 * MIB, 51));
        assert_eq!(division(1, 10 * MIB), (10 * MIB, 1));
        let (chunk, count) = division(1 << 40, 10 * MIB);
        assert!(count <= MOST_PARTS && chunk * count >= 1 << 40, "{chunk} {count}");
    }

    #[test]
    fn an_etag_is_compared_where_it_is_an_md5() {
        let base = "http://x".parse().unwrap();
        let call = Call::new("x", Method::PUT, &base, []).unwrap();
        let md5 = Digest::of(DigestAlgorithm::Md5, "abc");
        for good in [
            "\"900150983cd24fb0d6963f7d28e17f72\"",
            "",
            "\"0x8DC\"",
            "\"900150983cd24fb0d6963f7d28e17f72-1\"",
        ] {
            verify(&call, good, &md5).unwrap();
        }
        assert!(verify(&call, "\"900150983cd24fb0d6963f7d28e17f73\"", &md5).is_err());
    }
}
