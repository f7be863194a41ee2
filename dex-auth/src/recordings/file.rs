//! The recordings' files: one exchange a line.

use std::collections::HashMap;
use std::path::PathBuf;

use http::{HeaderMap, HeaderName, Method, StatusCode};
use serde_json::Value;
use url::Url;

use crate::page::Page;

/// The gateway that was recorded. It was spoken to over http although the providers were on https; no real one is, and a
/// login refuses to go back from https to http. So the recordings are read as if it had been on https.
pub(super) const HOST: &str = "https://kubeflow.example.test/";

pub(super) struct Exchange {
    pub(super) flow: String,
    pub(super) step: u64,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) with_cookie: bool,
    /// Names of the form that was sent.
    pub(super) fields: Vec<String>,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    /// The body is that of an earlier exchange, ids included.
    pub(super) reused: bool,
    /// What the recorder noted of the page: its `data-page-id`.
    pub(super) page_id: Option<String>,
}

impl Exchange {
    pub(super) fn location(&self) -> Option<String> {
        self.headers
            .get("location")
            .map(|value| value.to_str().unwrap().to_owned())
    }

    pub(super) fn is_html(&self) -> bool {
        crate::login::is_html(&self.headers) && self.body.contains('<')
    }

    /// The page that was shown; `None` for a redirect, whose body nobody sees.
    pub(super) fn page(&self) -> Option<Page> {
        let shown = self.is_html() && self.location().is_none();
        shown.then(|| Page::parse(&self.url, self.status.as_u16(), &self.body))
    }
}

/// `None`, with a line that says so, where the recordings are not there.
pub(super) fn read(name: &str) -> Option<Vec<Exchange>> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/reference/recordings")
        .join(format!("{name}.jsonl"));
    let Ok(text) = std::fs::read_to_string(&file) else {
        eprintln!("skipped: no recording at {}", file.display());
        return None;
    };
    let text = text
        .replace("http://kubeflow.example.test", "https://kubeflow.example.test")
        .replace(
            "http%3A%2F%2Fkubeflow.example.test",
            "https%3A%2F%2Fkubeflow.example.test",
        );
    let mut bodies = HashMap::new();
    let exchanges = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        // Lines of another shape hold decoded messages and sums.
        .filter(|line| line.get("response").is_some())
        .map(|line| exchange(&line, &mut bodies))
        .collect();
    Some(exchanges)
}

fn exchange(line: &Value, bodies: &mut HashMap<String, String>) -> Exchange {
    let (request, response) = (&line["request"], &line["response"]);
    let (flow, step) = (
        line["flow"].as_str().unwrap().to_owned(),
        line["step"].as_u64().unwrap(),
    );
    let mut headers = HeaderMap::new();
    for (name, value) in response["headers"].as_object().unwrap() {
        let name: HeaderName = name.parse().unwrap();
        match value {
            Value::Array(values) => {
                for value in values {
                    headers.append(name.clone(), header(value));
                }
            }
            value => {
                headers.append(name, header(value));
            }
        }
    }
    let mut body = response["body"].as_str().unwrap_or_default().to_owned();
    let earlier = earlier(&body, response);
    let reused = earlier.is_some();
    if let Some(earlier) = earlier {
        body = bodies
            .get(&earlier)
            .cloned()
            .unwrap_or_else(|| panic!("{flow}/{step} refers to {earlier}"));
    }
    bodies.insert(format!("{flow}/{step}"), body.clone());
    let sent = request["body"].as_str().unwrap_or_default();
    Exchange {
        flow,
        step,
        method: request["method"].as_str().unwrap().parse().unwrap(),
        url: Url::parse(request["url"].as_str().unwrap()).unwrap(),
        with_cookie: request["headers"].get("cookie").is_some(),
        fields: url::form_urlencoded::parse(sent.as_bytes())
            .map(|(name, _)| name.into_owned())
            .collect(),
        status: StatusCode::from_u16(u16::try_from(response["status"].as_u64().unwrap()).unwrap()).unwrap(),
        headers,
        body,
        reused,
        page_id: response["page"]["data-page-id"].as_str().map(str::to_owned),
    }
}

/// Long values were shortened with a sign that headers cannot hold.
fn header(value: &Value) -> http::HeaderValue {
    value.as_str().unwrap().replace('…', "...").parse().unwrap()
}

/// A page that came before is named instead of repeated, in one of two ways.
fn earlier(body: &str, response: &Value) -> Option<String> {
    if let Some([flow, step]) = response["same_page_as"].as_array().map(Vec::as_slice) {
        return Some(format!("{}/{step}", flow.as_str().unwrap()));
    }
    let named = body.strip_prefix("<same as ")?.strip_suffix(" except for ids>")?;
    Some(named.to_owned())
}
