//! Requests to the stores behind a server, by addresses that the server hands out. They carry their own right of access in
//! them: nothing of ours goes along, and they are not told to anybody.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde_json::Value;
use url::Url;

use crate::{
    client::Inner,
    endpoint::Call,
    error::{Error, Result, one_line},
    http::{by_status, context, read, retry_after, transport_error},
    retry::Effect,
};

/// No text of an error is longer.
const MOST_ERROR: usize = 64 << 10;

/// A request to a store, as the server described it.
#[derive(Debug, Clone)]
pub(super) struct StoreRequest {
    pub(super) call: Call,
}

impl StoreRequest {
    /// # Errors
    ///
    /// [`Error::Unsupported`] for an address that must not be used.
    pub(super) fn new(
        operation: &'static str,
        method: Method,
        base: &Url,
        url: &str,
        headers: &BTreeMap<String, Value>,
    ) -> Result<Self> {
        let mut call = Call::new(operation, method, base, [])?;
        let refused = |call: &Call, why: &str| Error::Unsupported(context(call, format!("the server hands out {why}")));
        let Ok(url) = Url::parse(url) else {
            return Err(refused(&call, "what is no address"));
        };
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !url.username().is_empty() {
            return Err(refused(&call, "an address of a store that is not plain http or https"));
        }
        if base.scheme() == "https" && url.scheme() != "https" {
            return Err(refused(&call, "an address without encryption although its own has it"));
        }
        call.url = url;
        // The address is good for repetitions of the same.
        call.effect = if call.effect == Effect::Read {
            Effect::Read
        } else {
            Effect::IdempotentWrite
        };
        let mut given = HeaderMap::new();
        for (name, value) in headers {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Null => continue,
                other => other.to_string(),
            };
            let parts = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(text));
            let (Ok(name), Ok(mut value)) = parts else {
                return Err(refused(&call, "a header that is none"));
            };
            // These belong to the connection.
            let ours = [
                header::HOST,
                header::CONTENT_LENGTH,
                header::TRANSFER_ENCODING,
                header::CONNECTION,
            ];
            if !ours.contains(&name) {
                value.set_sensitive(true);
                given.insert(name, value);
            }
        }
        call.headers = given;
        Ok(Self { call })
    }

    /// Sends it; whatever is no success is an error.
    pub(super) async fn send(
        &self,
        inner: &Inner,
        more: HeaderMap,
        body: Option<reqwest::Body>,
    ) -> Result<reqwest::Response> {
        let mut request = reqwest::Request::new(self.call.method.clone(), self.call.url.clone());
        request.headers_mut().extend(self.call.headers.clone());
        request.headers_mut().extend(more);
        *request.body_mut() = body;
        let sent = inner.store_http.client()?.execute(request).await;
        let response = sent.map_err(|error| transport_error(&self.call, error.into()))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let mut context = context(&self.call, "");
        context.status = Some(status);
        context.retry_after = retry_after(response.headers());
        let body = read(&self.call, response, MOST_ERROR).await.unwrap_or_default();
        context.message = format!("the store says {}", said(&String::from_utf8_lossy(&body)));
        Err(by_status(status)(context))
    }
}

/// What the answer of a store says of its error; most send XML with a code. Their messages quote parts of the address.
fn said(body: &str) -> String {
    let code = body
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map(|(code, _)| one_line(code).into_owned())
        .filter(|code| !code.is_empty() && code.len() <= 64 && code.bytes().all(|c| c.is_ascii_alphanumeric()));
    code.unwrap_or_else(|| "no more than its status".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(base: &str, url: &str) -> Result<StoreRequest> {
        StoreRequest::new("x", Method::PUT, &base.parse().unwrap(), url, &BTreeMap::new())
    }

    #[test]
    fn unfit_addresses_are_refused() {
        assert!(request("https://mlflow", "https://bucket.example.com/k?X-Amz-Signature=secret").is_ok());
        assert!(request("http://mlflow", "http://minio:9000/k").is_ok());
        for bad in [
            "http://bucket/k",
            "file:///etc/passwd",
            "https://me:pw@bucket/k",
            "s3://bucket/k",
            "",
        ] {
            let error = request("https://mlflow", bad).unwrap_err();
            assert!(matches!(error, Error::Unsupported(_)), "{bad}");
        }
    }

    #[test]
    fn only_the_code_of_an_error_is_told() {
        let body = "<?xml?><Error><Code>AccessDenied</Code><Message>Signature abc</Message></Error>";
        assert_eq!(said(body), "AccessDenied");
        assert_eq!(said("<Code>a b c</Code>"), "no more than its status");
        assert_eq!(said("secret"), "no more than its status");
    }
}
