//! A request as the handlers see it.

use http::HeaderMap;
use serde_json::Value;

/// One request, with its path and query decoded.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: String,
    /// Decoded path without the `/pipeline` prefix of a gateway.
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Call {
    pub(super) fn new(request: &wiremock::Request) -> Self {
        let path = percent_decode(request.url.path());
        Self {
            method: request.method.as_str().to_owned(),
            path,
            query: request
                .url
                .query_pairs()
                .map(|(k, v)| (k.into_owned(), v.into_owned()))
                .collect(),
            headers: request.headers.clone(),
            body: request.body.clone(),
        }
    }

    /// No request of a client, but something that the server's own controllers do.
    pub(super) fn internal() -> Self {
        Self {
            method: String::new(),
            path: String::new(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Vec::new(),
        }
    }

    /// The value of a query parameter, or the empty text.
    pub(super) fn query(&self, name: &str) -> &str {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value.as_str())
    }

    /// A yes or no, in any of the spellings that Go reads: the Python clients send `True`.
    pub(super) fn flag(&self, name: &str) -> Result<bool, String> {
        match self.query(name) {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
            "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
            other => Err(format!("strconv.ParseBool: parsing {other:?}: invalid syntax")),
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Decodes `%XX`; what is no valid escape stays as it is.
pub(super) fn percent_decode(text: &str) -> String {
    unescape(text, false).unwrap_or_else(|_| text.to_owned())
}

/// Decodes `%XX`, and `+` as a space if `plus`, as Go's `QueryUnescape` does: a bad escape is an error that holds it.
pub(super) fn unescape(text: &str, plus: bool) -> Result<String, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'%' => {
                let pair = rest.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
                let Some(byte) = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) else {
                    let shown = rest.get(..2).unwrap_or(rest);
                    return Err(format!("%{}", String::from_utf8_lossy(shown)));
                };
                out.push(byte);
                rest = rest.get(2..).unwrap_or_default();
            }
            b'+' if plus => out.push(b' '),
            other => out.push(other),
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Reading loosely typed JSON in few words.
pub(super) trait Json {
    /// The text at `key`, or the empty text.
    fn text(&self, key: &str) -> &str;
    /// The value at a path of keys.
    fn at(&self, path: &[&str]) -> Option<&Value>;
    /// The members of the object at `key`.
    fn members(&self, key: &str) -> Vec<(&String, &Value)>;
    /// The elements of the list at `key`.
    fn items(&self, key: &str) -> &[Value];
}

impl Json for Value {
    fn text(&self, key: &str) -> &str {
        self.get(key).and_then(Self::as_str).unwrap_or_default()
    }

    fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self, |value, key| value.get(key))
    }

    fn members(&self, key: &str) -> Vec<(&String, &Value)> {
        self.get(key)
            .and_then(Self::as_object)
            .map(|map| map.iter().collect())
            .unwrap_or_default()
    }

    fn items(&self, key: &str) -> &[Value] {
        self.get(key)
            .and_then(Self::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }
}
