//! As much of S3 as the client asks of it, in memory: one bucket, of which only what lies below `pre/` may be touched.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

pub(super) const KEY_ID: &str = "the-key-id";
pub(super) const REGION: &str = "eu-test-1";
/// The name of a file that nobody may read.
pub(super) const DENIED: &str = "denied";

const ALLOWED: &str = "pre/";
/// S3 itself gives a thousand names at once.
const PAGE: usize = 2;
/// All parts but the last one are at least so large.
const LEAST_PART: usize = 5 << 20;

#[derive(Debug, Clone, Default)]
pub(super) struct S3(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<String, Upload>,
    began: usize,
    failed_once: bool,
    requests: usize,
    seen: Seen,
}

#[derive(Debug)]
struct Upload {
    key: String,
    parts: BTreeMap<usize, Vec<u8>>,
}

/// What it was asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Every key that was named.
    pub(super) keys: Vec<String>,
    /// What a well-behaved client does not do.
    pub(super) wrong: Vec<String>,
    /// Parts of uploads.
    pub(super) parts: usize,
    /// Pages of lists that had others before them.
    pub(super) pages: usize,
}

impl S3 {
    pub(super) async fn start(&self) -> MockServer {
        let server = MockServer::builder().disable_request_recording().start().await;
        Mock::given(any()).respond_with(self.clone()).mount(&server).await;
        server
    }

    pub(super) fn seen(&self) -> Seen {
        self.0.lock().unwrap().seen.clone()
    }
}

impl Respond for S3 {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut state = self.0.lock().unwrap();
        // For the test, not of S3.
        match request.url.path() {
            "/open" => return ResponseTemplate::new(200).set_body_string(state.uploads.len().to_string()),
            "/requests" => return ResponseTemplate::new(200).set_body_string(state.requests.to_string()),
            _ => {}
        }
        state.requests += 1;
        if let Err(why) = signed(request) {
            state
                .seen
                .wrong
                .push(format!("{} {}: {why}", request.method, request.url));
            return error(403, "SignatureDoesNotMatch");
        }
        state.answer(request)
    }
}

/// Whether a request carries a signature and the digest of what it brings. The signature itself is believed.
fn signed(request: &Request) -> Result<(), &'static str> {
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    let scope = format!("/{REGION}/s3/aws4_request");
    let authorization = header("authorization").ok_or("no signature")?;
    let rest = authorization
        .strip_prefix(&format!("AWS4-HMAC-SHA256 Credential={KEY_ID}/"))
        .ok_or("not of this key")?;
    let mut parts = rest.split(", ");
    let of_region = parts.next().and_then(|part| part.strip_suffix(&scope));
    of_region
        .filter(|date| date.len() == 8)
        .ok_or("not of this region and service")?;
    let covered = parts.next().and_then(|part| part.strip_prefix("SignedHeaders="));
    let covered: Vec<_> = covered.ok_or("no signed headers")?.split(';').collect();
    if !["host", "x-amz-date", "x-amz-content-sha256"]
        .iter()
        .all(|name| covered.contains(name))
    {
        return Err("headers are not signed");
    }
    let signature = parts.next().and_then(|part| part.strip_prefix("Signature="));
    if signature.is_none_or(|text| text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return Err("no signature");
    }
    match header("x-amz-content-sha256") {
        Some("UNSIGNED-PAYLOAD") => Ok(()),
        Some(digest) if digest == hex(&request.body) => Ok(()),
        _ => Err("the digest is not that of the body"),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", &hex(bytes)[..32])
}

fn error(status: u16, code: &str) -> ResponseTemplate {
    let body = format!("<Error><Code>{code}</Code><Message>the-message</Message></Error>");
    ResponseTemplate::new(status).set_body_raw(body, "application/xml")
}

fn xml(body: String) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body, "application/xml")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn unescaped(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    text.replace("&apos;", "'").replace("&amp;", "&")
}

/// The texts of all elements of a name.
fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = xml.split(&open).skip(1);
    parts
        .filter_map(|part| part.split_once(&close).map(|(text, _)| unescaped(text)))
        .collect()
}

fn decoded(path: &str) -> String {
    let pair = format!("k={}", path.replace('+', "%2B").replace('&', "%26"));
    let mut pairs = url::form_urlencoded::parse(pair.as_bytes());
    pairs.next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

impl State {
    fn answer(&mut self, request: &Request) -> ResponseTemplate {
        let Some(key) = request.url.path().strip_prefix("/bucket") else {
            return error(404, "NoSuchBucket");
        };
        let key = decoded(key.trim_start_matches('/'));
        let query: BTreeMap<_, _> = request.url.query_pairs().into_owned().collect();
        let method = request.method.as_str();
        if key.is_empty() {
            return match method {
                "GET" if query.get("list-type").map(String::as_str) == Some("2") => self.list(&query),
                "POST" if query.contains_key("delete") => self.delete_many(request),
                _ => error(405, "MethodNotAllowed"),
            };
        }
        if !self.may(&key) || key.ends_with(&format!("/{DENIED}")) {
            return error(403, "AccessDenied");
        }
        let upload = query.get("uploadId");
        match (method, upload) {
            ("PUT", Some(id)) => self.part(id, &key, query.get("partNumber"), &request.body),
            ("PUT", None) => {
                self.objects.insert(key, request.body.clone());
                ResponseTemplate::new(200).insert_header("etag", etag(&request.body))
            }
            ("POST", None) if query.contains_key("uploads") => {
                self.began += 1;
                let id = format!("upload-{}", self.began);
                let parts = BTreeMap::new();
                self.uploads.insert(id.clone(), Upload { key, parts });
                xml(format!(
                    "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                ))
            }
            ("POST", Some(id)) => self.complete(id, &key, &String::from_utf8_lossy(&request.body)),
            ("DELETE", Some(id)) => match self.uploads.remove(id) {
                Some(_) => ResponseTemplate::new(204),
                None => error(404, "NoSuchUpload"),
            },
            ("DELETE", None) => {
                self.objects.remove(&key);
                ResponseTemplate::new(204)
            }
            ("GET" | "HEAD", None) => self.get(&key, request),
            _ => error(405, "MethodNotAllowed"),
        }
    }

    /// Notes a key; `false` if it is not to be touched.
    fn may(&mut self, key: &str) -> bool {
        self.seen.keys.push(key.to_owned());
        let plain = key.split('/').all(|part| !matches!(part, "" | "." | ".."));
        let allowed = plain && key.starts_with(ALLOWED);
        if !allowed {
            self.seen.wrong.push(format!("the key {key:?}"));
        }
        allowed
    }

    fn get(&self, key: &str, request: &Request) -> ResponseTemplate {
        let Some(content) = self.objects.get(key) else {
            return error(404, "NoSuchKey");
        };
        let range = request.headers.get("range").and_then(|value| value.to_str().ok());
        let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let length = content.len();
        let (status, from, to) = match range {
            None => (200, 0, length),
            Some((from, to)) => {
                let (from, to) = (from.parse().unwrap_or(0), to.parse().map_or(length, |to: usize| to + 1));
                (206, from, to.min(length))
            }
        };
        let Some(part) = content.get(from..to) else {
            return error(416, "InvalidRange");
        };
        let mut answer = ResponseTemplate::new(status)
            .insert_header("etag", etag(content))
            .insert_header("last-modified", "Wed, 01 Jan 2025 00:00:00 GMT")
            .set_body_raw(part, "application/octet-stream");
        if status == 206 {
            let content_range = format!("bytes {from}-{}/{length}", to.saturating_sub(1));
            answer = answer.insert_header("content-range", content_range);
        }
        answer
    }

    fn part(&mut self, id: &str, key: &str, number: Option<&String>, body: &[u8]) -> ResponseTemplate {
        let number = number.and_then(|number| number.parse::<usize>().ok());
        if number == Some(2) && !std::mem::replace(&mut self.failed_once, true) {
            return error(503, "SlowDown");
        }
        let upload = self.uploads.get_mut(id).filter(|upload| upload.key == key);
        let (Some(upload), Some(number @ 1..=10_000)) = (upload, number) else {
            return error(404, "NoSuchUpload");
        };
        upload.parts.insert(number, body.to_vec());
        self.seen.parts += 1;
        ResponseTemplate::new(200).insert_header("etag", etag(body))
    }

    fn complete(&mut self, id: &str, key: &str, body: &str) -> ResponseTemplate {
        let Some(upload) = self.uploads.get(id).filter(|upload| upload.key == key) else {
            return error(404, "NoSuchUpload");
        };
        let numbers = elements(body, "PartNumber");
        let etags = elements(body, "ETag");
        let (mut content, mut last) = (Vec::new(), 0);
        for (at, (number, given)) in numbers.iter().zip(&etags).enumerate() {
            let number = number.parse().unwrap_or(0);
            let Some(part) = upload.parts.get(&number).filter(|part| etag(part) == *given) else {
                return error(400, "InvalidPart");
            };
            if number <= last {
                return error(400, "InvalidPartOrder");
            }
            if at + 1 < numbers.len() && part.len() < LEAST_PART {
                return error(400, "EntityTooSmall");
            }
            last = number;
            content.extend_from_slice(part);
        }
        if numbers.is_empty() || numbers.len() != etags.len() {
            return error(400, "MalformedXML");
        }
        let tag = escaped(&etag(&content));
        self.objects.insert(key.to_owned(), content);
        self.uploads.remove(id);
        xml(format!(
            "<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"
        ))
    }

    fn list(&mut self, query: &BTreeMap<String, String>) -> ResponseTemplate {
        let prefix = query.get("prefix").cloned().unwrap_or_default();
        if !self.may(prefix.trim_end_matches('/')) {
            return error(403, "AccessDenied");
        }
        let after = query.get("continuation-token");
        self.seen.pages += usize::from(after.is_some());
        // A folder stands for all that is in it.
        let mut entries: BTreeMap<String, Option<&Vec<u8>>> = BTreeMap::new();
        for (key, content) in &self.objects {
            let Some(rest) = key.strip_prefix(&prefix) else {
                continue;
            };
            let delimiter = query.get("delimiter");
            match delimiter.and_then(|delimiter| Some((rest.split_once(delimiter.as_str())?.0, delimiter))) {
                Some((folder, delimiter)) => entries.insert(format!("{prefix}{folder}{delimiter}"), None),
                None => entries.insert(key.clone(), Some(content)),
            };
        }
        let mut entries = entries
            .into_iter()
            .filter(|(name, _)| after.is_none_or(|after| name > after));
        let mut body = String::from("<ListBucketResult>");
        let mut last = String::new();
        for (name, content) in entries.by_ref().take(PAGE) {
            let shown = escaped(&name);
            let _ = match content {
                None => write!(body, "<CommonPrefixes><Prefix>{shown}</Prefix></CommonPrefixes>"),
                Some(content) => write!(
                    body,
                    "<Contents><Key>{shown}</Key><LastModified>2025-01-01T00:00:00.000Z</LastModified><ETag>{}</ETag>\
                     <Size>{}</Size></Contents>",
                    etag(content),
                    content.len()
                ),
            };
            last = name;
        }
        if entries.next().is_some() {
            let _ = write!(
                body,
                "<IsTruncated>true</IsTruncated><NextContinuationToken>{}</NextContinuationToken>",
                escaped(&last)
            );
        }
        body.push_str("</ListBucketResult>");
        xml(body)
    }

    fn delete_many(&mut self, request: &Request) -> ResponseTemplate {
        // S3 refuses this without one.
        if !request.headers.contains_key("content-md5") {
            return error(400, "InvalidRequest");
        }
        let mut body = String::from("<DeleteResult>");
        for key in elements(&String::from_utf8_lossy(&request.body), "Key") {
            if !self.may(&key) {
                return error(403, "AccessDenied");
            }
            self.objects.remove(&key);
            let _ = write!(body, "<Deleted><Key>{}</Key></Deleted>", escaped(&key));
        }
        body.push_str("</DeleteResult>");
        xml(body)
    }
}
