//! Logging much at once: the check of a batch, and its division into requests that the server takes.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::{
    error::{Error, Result},
    ids::RunId,
    limits,
    metric::{Metric, Param},
    tag::Tag,
};

/// Metrics, parameters and tags to log together.
///
/// Any number of each: what is more than the server takes at once (1000 items, 100 parameters, 100 tags) goes out in
/// several requests, parameters and tags first.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
pub struct LogBatch {
    /// Points of metrics.
    pub metrics: Vec<Metric>,
    /// Parameters.
    pub params: Vec<Param>,
    /// Tags.
    pub tags: Vec<Tag>,
}

impl LogBatch {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a point of a metric.
    pub fn metric(mut self, metric: Metric) -> Self {
        self.metrics.push(metric);
        self
    }

    /// Adds a parameter.
    pub fn param(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.params.push(Param::new(key, value));
        self
    }

    /// Adds a tag; the last value of a key counts.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push(Tag::new(key, value));
        self
    }

    /// Adds points of metrics.
    pub fn metrics(mut self, metrics: impl IntoIterator<Item = Metric>) -> Self {
        self.metrics.extend(metrics);
        self
    }

    /// Adds parameters.
    pub fn params<T: Into<Param>>(mut self, params: impl IntoIterator<Item = T>) -> Self {
        self.params.extend(params.into_iter().map(Into::into));
        self
    }

    /// Adds tags.
    pub fn tags<T: Into<Tag>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Whether there is nothing to log.
    pub fn is_empty(&self) -> bool {
        self.metrics.is_empty() && self.params.is_empty() && self.tags.is_empty()
    }

    fn check(&self) -> Result<()> {
        for metric in &self.metrics {
            limits::metric(&metric.key, metric.timestamp)?;
        }
        for tag in &self.tags {
            limits::run_tag(&tag.key, &tag.value)?;
        }
        let mut seen = HashMap::new();
        for param in &self.params {
            limits::param(&param.key, &param.value)?;
            if seen
                .insert(&param.key, &param.value)
                .is_some_and(|other| *other != param.value)
            {
                let allowed = format!("one for each key; there are two for `{}`", param.key);
                return Err(Error::invalid("params.value", allowed));
            }
        }
        Ok(())
    }
}

/// One request.
#[derive(Debug, Serialize)]
pub(crate) struct Part<'a> {
    run_id: &'a RunId,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    params: Vec<&'a Param>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<&'a Tag>,
    // Last: what the server cannot read spoils what follows it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<&'a Metric>,
    #[serde(skip)]
    bytes: usize,
}

impl<'a> Part<'a> {
    fn new(run_id: &'a RunId) -> Self {
        Self {
            run_id,
            params: Vec::new(),
            tags: Vec::new(),
            metrics: Vec::new(),
            bytes: 64,
        }
    }

    fn takes(&self, bytes: usize) -> bool {
        let items = self.params.len() + self.tags.len() + self.metrics.len();
        items < limits::BATCH_ITEMS && self.bytes + bytes <= limits::BATCH_BYTES
    }
}

/// Checks everything, then divides it into requests. Nothing is sent of a batch with a fault anywhere.
pub(crate) fn divide<'a>(run_id: &'a RunId, batch: &'a LogBatch) -> Result<Vec<Part<'a>>> {
    batch.check()?;
    let mut parts = vec![Part::new(run_id)];
    let mut known = HashSet::new();
    for param in batch.params.iter().filter(|param| known.insert(&param.key)) {
        let bytes = json_size(&[&param.key, &param.value]);
        let part = last(
            &mut parts,
            |part| part.params.len() < limits::BATCH_PARAMS && part.takes(bytes),
            run_id,
        );
        part.bytes += bytes;
        part.params.push(param);
    }
    for tag in &batch.tags {
        let bytes = json_size(&[&tag.key, &tag.value]);
        let part = last(
            &mut parts,
            |part| part.tags.len() < limits::BATCH_TAGS && part.takes(bytes),
            run_id,
        );
        part.bytes += bytes;
        part.tags.push(tag);
    }
    for metric in &batch.metrics {
        // A number has at most 24 characters, a 64-bit integer 20.
        let bytes = json_size(&[&metric.key]) + 100;
        let part = last(&mut parts, |part| part.takes(bytes), run_id);
        part.bytes += bytes;
        part.metrics.push(metric);
    }
    Ok(parts)
}

/// The last part if it has room, else a new one behind it: order is kept.
fn last<'p, 'a>(
    parts: &'p mut Vec<Part<'a>>,
    has_room: impl Fn(&Part<'a>) -> bool,
    run_id: &'a RunId,
) -> &'p mut Part<'a> {
    let mut part = match parts.pop() {
        Some(part) => part,
        None => Part::new(run_id),
    };
    if !has_room(&part) {
        parts.push(std::mem::replace(&mut part, Part::new(run_id)));
    }
    let end = parts.len();
    parts.insert(end, part);
    // Just inserted, so there is a last one; a slice pattern cannot say so.
    #[allow(clippy::indexing_slicing, reason = "the index of the element just inserted")]
    &mut parts[end]
}

/// An upper bound of the size in JSON.
pub(crate) fn json_size(texts: &[&str]) -> usize {
    let escaped = |text: &str| {
        text.bytes()
            .map(|byte| {
                if byte < 0x20 {
                    6
                } else if byte == b'"' || byte == b'\\' {
                    2
                } else {
                    1
                }
            })
            .sum::<usize>()
    };
    texts.iter().map(|text| escaped(text)).sum::<usize>() + 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(batch: &LogBatch) -> Vec<(usize, usize, usize)> {
        let run_id = RunId::new("r");
        let parts = divide(&run_id, batch).unwrap();
        parts
            .iter()
            .map(|part| (part.params.len(), part.tags.len(), part.metrics.len()))
            .collect()
    }

    #[test]
    fn what_fits_is_one_request() {
        let batch = LogBatch::new()
            .param("a", "1")
            .tag("b", "2")
            .metric(Metric::new("c", 3.0));
        assert_eq!(sizes(&batch), [(1, 1, 1)]);
        assert_eq!(sizes(&LogBatch::new()), [(0, 0, 0)]);
    }

    #[test]
    fn more_is_divided_at_the_servers_limits() {
        let batch = LogBatch::new()
            .params((0..250).map(|i| (format!("p{i}"), "v")))
            .tags((0..101).map(|i| (format!("t{i}"), "v")))
            .metrics((0..2000).map(|i| Metric::new("m", 1.0).step(i)));
        assert_eq!(
            sizes(&batch),
            [
                (100, 0, 0),
                (100, 0, 0),
                (50, 100, 0),
                (0, 1, 999),
                (0, 0, 1000),
                (0, 0, 1)
            ]
        );
    }

    #[test]
    fn large_values_are_divided_by_size() {
        let batch = LogBatch::new().tags((0..100).map(|i| (format!("t{i}"), "\u{1}".repeat(8000))));
        let run_id = RunId::new("r");
        for part in divide(&run_id, &batch).unwrap() {
            let size = serde_json::to_vec(&part).unwrap().len();
            assert!(
                size <= part.bytes && part.bytes <= limits::BATCH_BYTES,
                "{size} {}",
                part.bytes
            );
        }
    }

    #[test]
    fn a_parameter_has_one_value() {
        let same = LogBatch::new().param("a", "1").param("a", "1");
        assert_eq!(sizes(&same), [(1, 0, 0)]);
        let run_id = RunId::new("r");
        assert!(divide(&run_id, &LogBatch::new().param("a", "1").param("a", "2")).is_err());
    }
}
