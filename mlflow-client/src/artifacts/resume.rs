//! Reading a file to its end although the connection breaks.
//!
//! After a break the rest is asked for by `Range`. `If-Range` with the file's `ETag` makes the server send all of it instead
//! if it has changed. A server that gives no `ETag` or knows no ranges (MLflow 2; MLflow 3 before a store) sends all of it
//! again: its beginning is then compared, by a digest, to what has been handed on, and left out.

use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    digest::{DigestAlgorithm, Hasher},
    standstill,
};
use crate::{
    client::{Client, Inner},
    endpoint::Call,
    error::{Error, Result},
    http::{check_stream, context, too_late, transport_error},
};

/// An answer that is being read.
struct Body {
    bytes: BoxStream<'static, reqwest::Result<Bytes>>,
    /// In flight until the answer ends.
    _slot: OwnedSemaphorePermit,
    /// To be left out, and what it must have been.
    skip: Option<Skip>,
}

struct Skip {
    left: u64,
    /// Of what has been left out so far; `None` if an `ETag` says that it is the same.
    seen: Option<Hasher>,
}

struct Reader {
    client: Client,
    call: Call,
    body: Option<Body>,
    /// Bytes handed on.
    position: u64,
    /// Of the whole file, if the server told it.
    size: Option<u64>,
    /// Names the state of the file, if the server told it.
    etag: Option<HeaderValue>,
    /// Of what was handed on, where there is no `ETag`.
    handed_on: Option<Hasher>,
    /// Breaks since the last byte.
    breaks: u32,
}

/// Opens a file; what comes later is told by the stream.
pub(super) async fn open(client: &Client, call: Call) -> Result<(Option<u64>, BoxStream<'static, Result<Bytes>>)> {
    let inner = &client.inner;
    let first = standstill::repeat(inner, &call, || async {
        let slot = inner.slot(&call, Instant::now() + inner.timeout, inner.timeout).await?;
        Ok((answer(inner, &call, None).await?, slot))
    });
    let (response, slot) = first.await?;
    let size = length(response.headers());
    let etag = strong_etag(response.headers());
    let reader = Reader {
        client: client.clone(),
        call,
        body: Some(Body {
            bytes: response.bytes_stream().boxed(),
            _slot: slot,
            skip: None,
        }),
        position: 0,
        size,
        handed_on: etag.is_none().then(|| Hasher::new(DigestAlgorithm::Sha256)),
        etag,
        breaks: 0,
    };
    let bytes = stream::unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        match reader.next().await {
            Ok(Some(chunk)) => Some((Ok(chunk), Some(reader))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok((size, bytes.boxed()))
}

/// The head of an answer that gives the file, or its rest.
async fn answer(inner: &Inner, call: &Call, from: Option<(u64, Option<&HeaderValue>)>) -> Result<reqwest::Response> {
    let mut call = call.clone();
    if let Some((from, Some(etag))) = from {
        call.headers.insert(header::IF_RANGE, etag.clone());
        if let Ok(range) = HeaderValue::try_from(format!("bytes={from}-")) {
            call.headers.insert(header::RANGE, range);
        }
    }
    let work = async { check_stream(&call, inner.head(&call, None).await?).await };
    let response = tokio::time::timeout(inner.timeout, work).await;
    let response = response.unwrap_or_else(|_| Err(too_late(&call, inner.timeout)))?;
    let encoded = response.headers().get(header::CONTENT_ENCODING);
    if encoded.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let message = "the file comes in an encoding that was not asked for; something before the server compresses it";
        return Err(Error::UnexpectedResponse(context(&call, message)));
    }
    Ok(response)
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let error = match self.step().await {
                Ok(Step::Chunk(chunk)) => {
                    self.breaks = 0;
                    return Ok(Some(chunk));
                }
                Ok(Step::Skipped) => continue,
                Ok(Step::End) => return Ok(None),
                Err(error) => error,
            };
            self.body = None;
            self.breaks += 1;
            if !standstill::pause(&self.client.inner, &self.call, &error, self.breaks).await {
                return Err(error);
            }
        }
    }

    async fn step(&mut self) -> Result<Step> {
        if self.size == Some(self.position) {
            return Ok(Step::End);
        }
        if self.body.is_none() {
            self.body = Some(self.reopen().await?);
        }
        let Some(body) = &mut self.body else {
            return Ok(Step::End);
        };
        let limit = self.client.inner.timeout;
        let next = tokio::time::timeout(limit, body.bytes.next()).await;
        let mut chunk = match next {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(Some(Err(error))) => return Err(transport_error(&self.call, error.into())),
            Ok(None) => {
                let complete = body.skip.is_none() && self.size.is_none_or(|size| size == self.position);
                if complete {
                    return Ok(Step::End);
                }
                return Err(Error::Interrupted(context(&self.call, "the file ended early")));
            }
            Err(_) => return Err(too_late(&self.call, limit)),
        };
        if let Some(skip) = &mut body.skip {
            let count = usize::try_from(skip.left).unwrap_or(usize::MAX).min(chunk.len());
            let known = chunk.split_to(count);
            skip.left -= count as u64;
            if let Some(seen) = &mut skip.seen {
                seen.update(&known);
            }
            if skip.left > 0 {
                return Ok(Step::Skipped);
            }
            let seen = body.skip.take().and_then(|skip| skip.seen);
            let same = seen.is_none_or(|seen| {
                let before = self.handed_on.clone();
                before.is_some_and(|before| before.finish() == seen.finish())
            });
            if !same {
                return Err(changed(&self.call));
            }
            if chunk.is_empty() {
                return Ok(Step::Skipped);
            }
        }
        self.position += chunk.len() as u64;
        if self.size.is_some_and(|size| self.position > size) {
            return Err(changed(&self.call));
        }
        if let Some(handed_on) = &mut self.handed_on {
            handed_on.update(&chunk);
        }
        Ok(Step::Chunk(chunk))
    }

    /// Asks for what is missing.
    async fn reopen(&mut self) -> Result<Body> {
        let inner = &self.client.inner;
        let slot = inner
            .slot(&self.call, Instant::now() + inner.timeout, inner.timeout)
            .await?;
        let response = answer(inner, &self.call, Some((self.position, self.etag.as_ref()))).await?;
        let headers = response.headers();
        let skip = if response.status() == StatusCode::PARTIAL_CONTENT {
            let (from, size) = content_range(headers).ok_or_else(|| {
                Error::UnexpectedResponse(context(&self.call, "a part of the file came without saying which"))
            })?;
            if from != self.position || self.size.is_some_and(|known| size.is_some_and(|size| size != known)) {
                return Err(changed(&self.call));
            }
            None
        } else {
            let size = length(headers);
            let other_size = self.size.is_some() && size.is_some() && size != self.size;
            let other_state = self.etag.is_some() && strong_etag(headers) != self.etag;
            if other_size || other_state {
                return Err(changed(&self.call));
            }
            let seen = self.etag.is_none().then(|| Hasher::new(DigestAlgorithm::Sha256));
            (self.position > 0).then_some(Skip {
                left: self.position,
                seen,
            })
        };
        Ok(Body {
            bytes: response.bytes_stream().boxed(),
            _slot: slot,
            skip,
        })
    }
}

enum Step {
    Chunk(Bytes),
    Skipped,
    End,
}

fn changed(call: &Call) -> Error {
    Error::Conflict(context(call, "the file changed while it was read"))
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A weak one does not name the very bytes.
pub(super) fn strong_etag(headers: &HeaderMap) -> Option<HeaderValue> {
    let etag = headers.get(header::ETAG)?;
    etag.as_bytes().starts_with(b"\"").then(|| etag.clone())
}

/// The first byte of a part, and the size of the whole file.
pub(super) fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (from, _) = range.split_once('-')?;
    Some((from.trim().parse().ok()?, size.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read() {
        let mut headers = HeaderMap::new();
        assert_eq!(content_range(&headers), None);
        for (text, meaning) in [
            ("bytes 5-9/10", Some((5, Some(10)))),
            ("bytes 5-9/*", Some((5, None))),
            ("bytes */10", None),
            ("items 5-9/10", None),
            ("bytes -1-2/3", None),
        ] {
            headers.insert(header::CONTENT_RANGE, HeaderValue::from_static(text));
            assert_eq!(content_range(&headers), meaning, "{text}");
        }
        for (etag, strong) in [("\"a\"", true), ("W/\"a\"", false), ("a", false)] {
            headers.insert(header::ETAG, HeaderValue::from_static(etag));
            assert_eq!(strong_etag(&headers).is_some(), strong, "{etag}");
        }
    }
}
