//! One call as data: what is sent, built without any input or output.

use bytes::Bytes;
use http::{HeaderValue, Method};
use serde::Serialize;
use url::Url;

use crate::{
    error::{Error, Result},
    stream::FormFile,
    v2,
    version::Feature,
};

/// What kind of answer is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accept {
    Json,
    Text,
    /// Bytes of any kind, even a page.
    Bytes,
}

/// A request to be.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) body: Option<(HeaderValue, Bytes)>,
    /// A body that is sent in pieces instead.
    pub(crate) form: Option<FormFile>,
    pub(crate) accept: Accept,
    /// What of it older servers do not know.
    pub(crate) needs: Vec<Feature>,
}

impl Call {
    /// A call of `path`, relative to the base URL; every part is encoded as one path segment.
    pub(crate) fn new(operation: &'static str, method: Method, base: &Url, path: &[&str]) -> Result<Self> {
        let mut url = base.clone();
        url.path_segments_mut()
            .map_err(|()| Error::invalid("base_url", "an http or https URL"))?
            .pop_if_empty()
            .extend(path);
        Ok(Self {
            operation,
            method,
            url,
            body: None,
            form: None,
            accept: Accept::Json,
            needs: if path.starts_with(&v2::ROOT) {
                vec![Feature::V2]
            } else {
                Vec::new()
            },
        })
    }

    /// Says that older servers do not know what it asks for, if it does.
    pub(crate) fn needs(mut self, feature: Feature, asked: bool) -> Self {
        self.needs.extend(Some(feature).filter(|_| asked));
        self
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
        self.body = Some((HeaderValue::from_static("application/json"), body.into()));
        Ok(self)
    }

    /// A form with one file. The body is held in memory so that a middleware can send it again after a login.
    pub(crate) fn file(mut self, field: &str, file_name: &str, content: &[u8]) -> Result<Self> {
        let boundary = format!("part-{}", crate::random::uuid().simple());
        let mut body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{file_name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(content);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let content_type = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}"))
            .map_err(|_| Error::invalid("body", "a form"))?;
        self.body = Some((content_type, body.into()));
        Ok(self)
    }

    /// A form with one file that is sent in pieces.
    pub(crate) fn form(mut self, form: FormFile) -> Self {
        self.form = Some(form);
        self
    }

    pub(crate) fn bytes(mut self) -> Self {
        self.accept = Accept::Bytes;
        self
    }

    pub(crate) fn text(mut self) -> Self {
        self.accept = Accept::Text;
        self
    }
}

/// Checks that `id` can stand as one part of a path.
///
/// The server reads `:` in the last part as the start of a verb, also when it is percent-encoded, and unescapes `%2F`
/// to a separator, so that such ids reach another resource or none.
pub(crate) fn path_id<'a>(field: &'static str, id: &'a str) -> Result<&'a str> {
    let allowed = id.len() <= 191 && !id.contains(['/', ':', '%', '?', '#', '\\']) && !id.chars().any(char::is_control);
    if id.is_empty() || !allowed || id == "." || id == ".." {
        return Err(Error::invalid(
            field,
            "an id of 1 to 191 characters without any of `/ : % ? # \\` and control characters",
        ));
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Url {
        "https://kubeflow.example.com/pipeline/".parse().unwrap()
    }

    #[test]
    fn the_path_of_the_base_url_is_kept() {
        let call = Call::new(
            "runs.archive",
            Method::POST,
            &base(),
            &["apis", "v2beta1", "runs", "a b:archive"],
        )
        .unwrap();
        assert_eq!(
            call.url.as_str(),
            "https://kubeflow.example.com/pipeline/apis/v2beta1/runs/a%20b:archive"
        );
    }

    #[test]
    fn query_values_are_encoded_and_empty_ones_left_out() {
        let call = Call::new("runs.list", Method::GET, &base(), &["runs"]).unwrap();
        let call = call.query("page_token", "a+b/c==").query("sort_by", "");
        assert_eq!(call.url.query(), Some("page_token=a%2Bb%2Fc%3D%3D"));
    }

    #[test]
    fn ids_that_would_reach_something_else_are_refused() {
        for id in ["", ".", "..", "a/b", "a:terminate", "a%2Fb", "a\nb", "a?b", "a#b"] {
            assert!(path_id("run_id", id).is_err(), "{id:?}");
        }
        assert!(path_id("run_id", "my-own.id_1 x").is_ok());
    }
}
