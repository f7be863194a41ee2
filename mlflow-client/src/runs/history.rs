//! The points of metrics.

use futures_core::Stream;
use http::Method;
use serde::Deserialize;

use super::Runs;
use crate::{
    endpoint::Call,
    error::{Error, Result},
    ids::RunId,
    limits,
    metric::Metric,
    page::{self, Page},
    wire,
};

/// Points of a metric in one page of its history: about 1 MB.
const HISTORY_PAGE: u32 = 10_000;
/// Most runs of one request.
const BULK_RUNS: usize = 100;
/// Most points of each run in one answer.
const BULK_POINTS: u32 = 2500;

#[derive(Deserialize)]
struct History {
    #[serde(default)]
    metrics: Vec<Metric>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Bulk {
    #[serde(default)]
    metrics: Vec<HistoryPoint>,
}

/// A point of a metric of one of several runs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct HistoryPoint {
    /// The run.
    pub run_id: RunId,
    /// Name of the metric.
    #[serde(default)]
    pub key: String,
    /// Value; may be NaN or infinite.
    #[serde(default, with = "wire::number")]
    pub value: f64,
    /// Milliseconds since 1970.
    #[serde(default, deserialize_with = "wire::int64")]
    pub timestamp: i64,
    /// Step.
    #[serde(default, deserialize_with = "wire::int64")]
    pub step: i64,
}

/// Which points of several runs to read, and how many.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[must_use]
pub struct BulkHistory {
    /// Runs, 1 to 100.
    pub run_ids: Vec<RunId>,
    /// Name of the metric.
    pub metric_key: String,
    /// First and last step; all if `None`.
    pub steps: Option<(i64, i64)>,
    /// Most points of each run, 1 to 2500; the server's default is 2500. Of more, the server leaves out points evenly over
    /// the steps and keeps the first and the last.
    pub max_results: Option<u32>,
}

impl BulkHistory {
    /// The metric `key` of these runs.
    pub fn new<T: Into<RunId>>(run_ids: impl IntoIterator<Item = T>, key: impl Into<String>) -> Self {
        Self {
            run_ids: run_ids.into_iter().map(Into::into).collect(),
            metric_key: key.into(),
            steps: None,
            max_results: None,
        }
    }

    /// First and last step.
    pub fn steps(mut self, first: i64, last: i64) -> Self {
        self.steps = Some((first, last));
        self
    }

    /// Most points of each run.
    pub fn max_results(mut self, most: u32) -> Self {
        self.max_results = Some(most);
        self
    }
}

impl Runs {
    /// All points of a metric, ordered by timestamp, step and value. Empty also if there is no such run.
    pub async fn metric_history(&self, id: &RunId, key: &str) -> Result<Vec<Metric>> {
        let mut points = Vec::new();
        let mut token = None;
        loop {
            let page = self
                .metric_history_page(id, key, HISTORY_PAGE, token.as_deref())
                .await?;
            points.extend(page.items);
            // A token that comes back unchanged would go round for ever.
            match page.next_page_token {
                Some(next) if token.as_ref() != Some(&next) => token = Some(next),
                _ => return Ok(points),
            }
        }
    }

    /// One page of the points of a metric; `max_results` at least 1.
    pub async fn metric_history_page(
        &self,
        id: &RunId,
        key: &str,
        max_results: u32,
        page_token: Option<&str>,
    ) -> Result<Page<Metric>> {
        limits::id("run_id", id.as_str())?;
        limits::key("metric_key", key)?;
        // A field of 32 bits.
        limits::page_size("max_results", Some(max_results), i32::MAX as u32)?;
        let call = self
            .client
            .get("runs.metric_history", "metrics/get-history")?
            .query("run_id", id.as_str())
            .query("metric_key", key)
            .query("max_results", &max_results.to_string())
            .query("page_token", page_token.unwrap_or_default());
        let answer: History = self.client.inner.json(&call).await?;
        Ok(Page::new(answer.metrics, answer.next_page_token))
    }

    /// All points of a metric as a stream, in the same order, page by page as they are needed.
    pub fn metric_history_all(&self, id: &RunId, key: &str) -> impl Stream<Item = Result<Metric>> + Send + use<> {
        let (this, id, key) = (self.clone(), id.clone(), key.to_owned());
        page::all(None, move |token| {
            let (this, id, key) = (this.clone(), id.clone(), key.clone());
            async move {
                this.metric_history_page(&id, &key, HISTORY_PAGE, token.as_deref())
                    .await
            }
        })
    }

    /// Points of a metric of several runs, thinned out evenly if there are many: for charts. Ordered by step, timestamp and
    /// value.
    pub async fn metric_history_bulk(&self, wanted: BulkHistory) -> Result<Vec<HistoryPoint>> {
        if wanted.run_ids.is_empty() || wanted.run_ids.len() > BULK_RUNS {
            return Err(Error::invalid("run_ids", format!("1 to {BULK_RUNS} runs")));
        }
        limits::key("metric_key", &wanted.metric_key)?;
        limits::page_size("max_results", wanted.max_results, BULK_POINTS)?;
        if wanted.steps.is_some_and(|(first, last)| first > last) {
            return Err(Error::invalid("steps", "a first step that is not behind the last one"));
        }
        let path = "metrics/get-history-bulk-interval";
        let mut call = Call::api("runs.metric_history_bulk", Method::GET, &self.client.inner.base, path)?
            .query("metric_key", &wanted.metric_key)
            .query_opt("max_results", wanted.max_results)
            .query_opt("start_step", wanted.steps.map(|steps| steps.0))
            .query_opt("end_step", wanted.steps.map(|steps| steps.1));
        for id in &wanted.run_ids {
            limits::id("run_ids", id.as_str())?;
            call = call.query("run_ids", id.as_str());
        }
        Ok(self.client.inner.json::<Bulk>(&call).await?.metrics)
    }
}
