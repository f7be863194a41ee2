//! One call as data: what is sent, built without any input or output.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serialize;
use url::Url;

use crate::{
    error::{Error, Result},
    retry::Effect,
};

/// What kind of answer is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accept {
    Json,
    Text,
    /// The bytes of an artifact, which may well be HTML.
    Artifact,
    /// Success is all that counts; MLflow 3 sends an empty body, MLflow 2 an empty object.
    Nothing,
}

/// A request to be.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) body: Option<(&'static str, Bytes)>,
    /// Beside those of every call.
    pub(crate) headers: HeaderMap,
    pub(crate) accept: Accept,
    /// Whether it changes anything, and whether sending it twice does more than sending it once.
    pub(crate) effect: Effect,
}

impl Call {
    /// A call of `path`, relative to the base URL; every part is encoded as one path segment.
    pub(crate) fn new<'a>(
        operation: &'static str,
        method: Method,
        base: &Url,
        path: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self> {
        let mut url = base.clone();
        url.path_segments_mut()
            .map_err(|()| Error::invalid("tracking_uri", "an http or https URL"))?
            .pop_if_empty()
            .extend(path);
        Ok(Self {
            operation,
            effect: if method == Method::GET {
                Effect::Read
            } else {
                Effect::OtherWrite
            },
            method,
            url,
            body: None,
            headers: HeaderMap::new(),
            accept: Accept::Json,
        })
    }

    /// A call of the REST API, e.g. `runs/create`.
    pub(crate) fn api(operation: &'static str, method: Method, base: &Url, path: &str) -> Result<Self> {
        Self::new(
            operation,
            method,
            base,
            ["api", "2.0", "mlflow"].into_iter().chain(path.split('/')),
        )
    }

    /// Adds a query parameter, if there is one.
    pub(crate) fn query_opt(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(name, &value.to_string()),
            None => self,
        }
    }

    /// Adds a query parameter, unless it is empty.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        if !value.is_empty() {
            self.url.query_pairs_mut().append_pair(name, value);
        }
        self
    }

    pub(crate) fn json(mut self, body: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(body).map_err(|error| Error::invalid("body", format!("valid JSON: {error}")))?;
        self.body = Some(("application/json", body.into()));
        Ok(self)
    }

    pub(crate) fn bytes(mut self, body: Bytes) -> Self {
        self.body = Some(("application/octet-stream", body));
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(crate) fn accept(mut self, accept: Accept) -> Self {
        self.accept = accept;
        self
    }

    /// Sending it twice has the effect of sending it once.
    pub(crate) fn idempotent(mut self) -> Self {
        if self.effect == Effect::OtherWrite {
            self.effect = Effect::IdempotentWrite;
        }
        self
    }

    /// It changes nothing although it is no GET.
    pub(crate) fn read_only(mut self) -> Self {
        self.effect = Effect::Read;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_base_url_is_kept() {
        let base = "https://example.com/mlflow/".parse().unwrap();
        let call = Call::api("runs.get", Method::GET, &base, "runs/get")
            .unwrap()
            .query("run_id", "a b&c");
        assert_eq!(
            call.url.as_str(),
            "https://example.com/mlflow/api/2.0/mlflow/runs/get?run_id=a+b%26c"
        );
        assert_eq!(call.effect, Effect::Read);
    }

    #[test]
    fn every_part_of_a_path_is_one_segment() {
        let base = "https://example.com".parse().unwrap();
        let call = Call::new("x", Method::PUT, &base, ["a b", "50%", "c/d", "ü?#"]).unwrap();
        assert_eq!(call.url.path(), "/a%20b/50%25/c%2Fd/%C3%BC%3F%23");
    }
}
