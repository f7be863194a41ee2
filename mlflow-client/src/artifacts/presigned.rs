//! Files read in parts from the store behind the server, by an address that the server hands out.

use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{
    local::PartialFile,
    options::TransferOptions,
    proxy::{Presigned, Proxy},
    report::Report,
    resume::{content_range, strong_etag},
    standstill,
    store_http::StoreRequest,
};
use crate::{
    endpoint::Call,
    error::{Error, Result},
    http::{context, too_late, transport_error},
};

const OPERATION: &str = "artifacts.download_part";

/// Fills `file`. [`Error::Unsupported`] and [`Error::Connect`] mean that it has to come through the server.
pub(super) async fn download(
    proxy: &Proxy,
    first: Presigned,
    size: u64,
    file: &mut PartialFile,
    options: &TransferOptions,
    report: &Report,
) -> Result<()> {
    let request = StoreRequest::new(OPERATION, Method::GET, &proxy.inner().base, &first.url, &first.headers)?;
    file.reserve(size).await?;
    if size == 0 {
        return Ok(());
    }
    let file = &*file;
    let chunk = options.download_chunk;
    let etags: Vec<Option<HeaderValue>> = stream::iter((0..size.div_ceil(chunk)).map(|index| index * chunk))
        .map(|from| {
            let to = (from + chunk).min(size);
            part(proxy, &request, file, from..to, size, report)
        })
        .buffer_unordered(options.parallel)
        .try_collect()
        .await?;
    // Parts of different states of the file are no file.
    if etags.iter().any(|etag| Some(etag) != etags.first()) {
        return Err(Error::Conflict(context(
            &request.call,
            "the file changed while it was read",
        )));
    }
    Ok(())
}

async fn part(
    proxy: &Proxy,
    request: &StoreRequest,
    file: &PartialFile,
    range: std::ops::Range<u64>,
    size: u64,
    report: &Report,
) -> Result<Option<HeaderValue>> {
    let inner = proxy.inner();
    let call = &request.call;
    standstill::repeat(inner, call, || async {
        let counted = report.part();
        let result = async {
            let mut headers = HeaderMap::new();
            let wanted = format!("bytes={}-{}", range.start, range.end - 1);
            if let Ok(wanted) = HeaderValue::try_from(wanted) {
                headers.insert(header::RANGE, wanted);
            }
            let sent = tokio::time::timeout(inner.timeout, request.send(inner, headers, None)).await;
            let response = sent.unwrap_or_else(|_| Err(too_late(call, inner.timeout)))?;
            expect_part(call, &response, &range, size)?;
            let etag = strong_etag(response.headers());
            let mut writer = file.writer_at(range.start).await?;
            let mut left = range.end - range.start;
            let mut bytes = response.bytes_stream();
            loop {
                let next = tokio::time::timeout(inner.timeout, bytes.next()).await;
                match next.map_err(|_| too_late(call, inner.timeout))? {
                    Some(Ok(piece)) => {
                        let count = piece.len() as u64;
                        if count > left {
                            let message = "the store sends more than was asked for";
                            return Err(Error::UnexpectedResponse(context(call, message)));
                        }
                        writer.write(&piece).await?;
                        left -= count;
                        counted.moved(count);
                    }
                    Some(Err(error)) => return Err(transport_error(call, error.into())),
                    None if left == 0 => break,
                    None => return Err(Error::Interrupted(context(call, "the part ended early"))),
                }
            }
            writer.finish().await?;
            Ok(etag)
        };
        let result = result.await;
        if result.is_err() {
            counted.reset();
        }
        result
    })
    .await
}

fn expect_part(call: &Call, response: &reqwest::Response, range: &std::ops::Range<u64>, size: u64) -> Result<()> {
    let whole = range.start == 0 && range.end == size;
    if response.status() == StatusCode::OK && whole {
        return Ok(());
    }
    let found = content_range(response.headers());
    let good = found.is_some_and(|(from, told)| from == range.start && told.is_none_or(|told| told == size));
    if response.status() == StatusCode::PARTIAL_CONTENT && good {
        return Ok(());
    }
    let message = "the store does not send the part that was asked for";
    Err(Error::Unsupported(context(call, message)))
}
