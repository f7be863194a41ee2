//! Requests of `log-batch`, made of what comes out of the queue.

use std::ops::Range;

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};

use super::{
    entry::{Entry, Rare, Tables},
    report::Logged,
};
use crate::{
    ids::RunId,
    limits,
    metric::{Metric, Param},
    runs::json_size,
    tag::Tag,
    wire,
};

/// The longest run of entries from `start` on that the server takes as one request; at least one entry.
pub(super) fn next(entries: &[Entry], start: usize, keys: &Tables) -> Range<usize> {
    let mut params: Vec<&str> = Vec::new();
    let (mut tags, mut bytes) = (0, 64);
    let mut end = start;
    for entry in entries.iter().skip(start).take(limits::BATCH_ITEMS) {
        bytes += match entry {
            // A number has at most 24 characters, a 64-bit integer 20.
            Entry::Point(point) => json_size(&[keys.name(point.key)]) + 100,
            Entry::Rare(rare) => match &**rare {
                Rare::Param(param) => {
                    // The server refuses a batch that has a parameter twice.
                    if params.len() == limits::BATCH_PARAMS || params.contains(&param.key.as_str()) {
                        break;
                    }
                    params.push(&param.key);
                    json_size(&[&param.key, &param.value])
                }
                Rare::Tag(tag) => {
                    tags += 1;
                    if tags > limits::BATCH_TAGS {
                        break;
                    }
                    json_size(&[&tag.key, &tag.value])
                }
                Rare::Marker(_) => 0,
            },
        };
        if bytes > limits::BATCH_BYTES && end > start {
            break;
        }
        end += 1;
    }
    start..end
}

/// One request. Metrics are last: what the server cannot read spoils what follows it.
pub(super) struct Body<'a> {
    pub(super) run_id: &'a RunId,
    pub(super) entries: &'a [Entry],
    pub(super) keys: &'a Tables,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("run_id", self.run_id)?;
        let params: Vec<&Param> = self.rare(|rare| match rare {
            Rare::Param(param) => Some(param),
            _ => None,
        });
        if !params.is_empty() {
            map.serialize_entry("params", &params)?;
        }
        let tags: Vec<&Tag> = self.rare(|rare| match rare {
            Rare::Tag(tag) => Some(tag),
            _ => None,
        });
        if !tags.is_empty() {
            map.serialize_entry("tags", &tags)?;
        }
        if self.entries.iter().any(|entry| matches!(entry, Entry::Point(_))) {
            map.serialize_entry("metrics", &Points(self))?;
        }
        map.end()
    }
}

impl<'a> Body<'a> {
    fn rare<T>(&self, pick: impl Fn(&'a Rare) -> Option<T>) -> Vec<T> {
        let rare = self.entries.iter().filter_map(|entry| match entry {
            Entry::Rare(rare) => Some(&**rare),
            Entry::Point(_) => None,
        });
        rare.filter_map(pick).collect()
    }
}

struct Points<'a>(&'a Body<'a>);

impl Serialize for Points<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct OnWire<'a> {
            key: &'a str,
            #[serde(with = "wire::number")]
            value: f64,
            timestamp: i64,
            step: i64,
        }

        let mut list = serializer.serialize_seq(None)?;
        for entry in self.0.entries {
            if let Entry::Point(point) = entry {
                list.serialize_element(&OnWire {
                    key: self.0.keys.name(point.key),
                    value: point.value,
                    timestamp: point.timestamp,
                    step: point.step,
                })?;
            }
        }
        list.end()
    }
}

/// An entry as those who logged it know it; `None` for a marker.
pub(super) fn logged(entry: &Entry, keys: &Tables) -> Option<Logged> {
    Some(match entry {
        Entry::Point(point) => {
            let mut metric = Metric::new(keys.name(point.key), point.value).step(point.step);
            metric.timestamp = point.timestamp;
            Logged::Metric(metric)
        }
        Entry::Rare(rare) => match &**rare {
            Rare::Param(param) => Logged::Param(param.clone()),
            Rare::Tag(tag) => Logged::Tag(tag.clone()),
            Rare::Marker(_) => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logger::entry::{Keys, Point};

    fn point(keys: &Keys, key: &str, value: f64, step: i64) -> Entry {
        Entry::Point(Point {
            key: keys.intern(key).unwrap(),
            value,
            timestamp: 7,
            step,
        })
    }

    fn param(key: &str, value: &str) -> Entry {
        Entry::Rare(Box::new(Rare::Param(Param::new(key, value))))
    }

    fn tag(key: &str, value: &str) -> Entry {
        Entry::Rare(Box::new(Rare::Tag(Tag::new(key, value))))
    }

    fn divided(entries: &[Entry], keys: &Keys) -> Vec<Range<usize>> {
        let keys = keys.read();
        let mut ranges = Vec::new();
        let mut start = 0;
        while start < entries.len() {
            let range = next(entries, start, &keys);
            start = range.end;
            ranges.push(range);
        }
        ranges
    }

    #[test]
    fn a_request_is_what_the_server_reads() {
        let keys = Keys::default();
        let entries = [
            point(&keys, "a \"b\"", f64::NAN, -1),
            tag("t", "1"),
            point(&keys, "c", 0.5, 2),
            param("p", "x"),
        ];
        let body = Body {
            run_id: &RunId::new("r"),
            entries: &entries,
            keys: &keys.read(),
        };
        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            r#"{"run_id":"r","params":[{"key":"p","value":"x"}],"tags":[{"key":"t","value":"1"}],"metrics":[{"key":"a \"b\"","value":"NaN","timestamp":7,"step":-1},{"key":"c","value":0.5,"timestamp":7,"step":2}]}"#
        );
    }

    #[test]
    fn requests_keep_to_the_limits_of_the_server() {
        let keys = Keys::default();
        let points: Vec<_> = (0..2001).map(|step| point(&keys, "m", 0.0, step)).collect();
        assert_eq!(divided(&points, &keys), [0..1000, 1000..2000, 2000..2001]);
        let params: Vec<_> = (0..101).map(|number| param(&number.to_string(), "x")).collect();
        assert_eq!(divided(&params, &keys), [0..100, 100..101]);
        let tags: Vec<_> = (0..101).map(|_| tag("same", "x")).collect();
        assert_eq!(divided(&tags, &keys), [0..100, 100..101]);
        assert_eq!(divided(&[param("a", "1"), param("a", "1")], &keys), [0..1, 1..2]);
    }

    #[test]
    fn requests_keep_below_a_megabyte() {
        let keys = Keys::default();
        let long = "\"".repeat(250);
        let points: Vec<_> = (0..1000)
            .flat_map(|step| {
                [
                    point(&keys, &"ü".repeat(250), f64::MIN_POSITIVE, step),
                    point(&keys, &long, 0.1, step),
                ]
            })
            .collect();
        let ranges = divided(&points, &keys);
        assert_eq!(ranges.last().unwrap().end, 2000);
        for range in ranges {
            let body = Body {
                run_id: &RunId::new("r"),
                entries: &points[range],
                keys: &keys.read(),
            };
            assert!(serde_json::to_vec(&body).unwrap().len() <= limits::BATCH_BYTES);
        }
    }
}
