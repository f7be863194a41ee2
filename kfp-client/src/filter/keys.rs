//! Which fields the lists of `v2beta1` can be filtered and sorted by, as data.
//!
//! The server refuses other fields, but takes values of the wrong kind and compares nonsense (KFP 2.17).

use serde_json::Value;

use super::Filter;
use crate::error::{Error, Result};

/// What values of a field are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyKind {
    /// Text: [`equals`](Filter::equals), [`not_equals`](Filter::not_equals), [`contains`](Filter::contains) and
    /// [`one_of`](Filter::one_of).
    Text,
    /// Times: [`since`](Filter::since) and [`before`](Filter::before).
    Time,
}

/// A field that a list can be filtered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FilterKey {
    /// Its name, as it is given to [`Filter`].
    pub name: &'static str,
    /// What its values are.
    pub kind: KeyKind,
    /// Whether the list can be sorted by it.
    pub sortable: bool,
}

/// What one list can be filtered and sorted by.
///
/// ```
/// use kfp_client::{Filter, ListKeys};
///
/// let keys = ListKeys::RUNS;
/// assert!(keys.check(&Filter::new().equals("state", "RUNNING"), "created_at desc").is_ok());
/// let error = keys.check(&Filter::new().equals("stat", "RUNNING"), "").unwrap_err();
/// assert!(error.to_string().contains("one of run_id"), "{error}");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListKeys {
    /// The fields.
    pub keys: &'static [FilterKey],
    /// Whether `tags.NAME` is a field as well, which can only be tested for being equal (from KFP 2.17 on).
    pub tags: bool,
    /// Whether the list can be sorted by `metric:NAME`.
    pub metrics: bool,
}

const fn text(name: &'static str) -> FilterKey {
    FilterKey {
        name,
        kind: KeyKind::Text,
        sortable: true,
    }
}

const fn time(name: &'static str) -> FilterKey {
    FilterKey {
        name,
        kind: KeyKind::Time,
        sortable: true,
    }
}

const fn unsorted(name: &'static str) -> FilterKey {
    FilterKey {
        name,
        kind: KeyKind::Text,
        sortable: false,
    }
}

impl ListKeys {
    /// Runs. `status` takes the values of the older API (`Succeeded`), `state` those of this one (`SUCCEEDED`).
    pub const RUNS: Self = Self {
        keys: &[
            text("run_id"),
            text("id"),
            text("display_name"),
            text("name"),
            time("created_at"),
            time("finished_at"),
            time("scheduled_at"),
            text("description"),
            text("storage_state"),
            text("status"),
            text("state"),
            text("namespace"),
            text("runtime_details"),
            unsorted("experiment_id"),
            unsorted("state_history"),
            unsorted("recurring_run_id"),
            // Servers later than 2.17.0 only; those before refuse it themselves.
            unsorted("pipeline_id"),
        ],
        tags: false,
        metrics: true,
    };

    /// Recurring runs.
    pub const RECURRING_RUNS: Self = Self {
        keys: &[
            text("recurring_run_id"),
            text("id"),
            text("display_name"),
            text("name"),
            time("created_at"),
            time("updated_at"),
            text("description"),
        ],
        tags: false,
        metrics: false,
    };

    /// Experiments.
    pub const EXPERIMENTS: Self = Self {
        keys: &[
            text("experiment_id"),
            text("id"),
            text("display_name"),
            text("name"),
            time("created_at"),
            time("last_run_created_at"),
            text("description"),
            text("namespace"),
            text("storage_state"),
        ],
        tags: false,
        metrics: false,
    };

    /// Pipelines.
    pub const PIPELINES: Self = Self {
        keys: &[
            text("pipeline_id"),
            text("id"),
            text("name"),
            text("display_name"),
            time("created_at"),
            text("description"),
            text("namespace"),
        ],
        tags: true,
        metrics: false,
    };

    /// Versions of a pipeline.
    pub const PIPELINE_VERSIONS: Self = Self {
        keys: &[
            text("pipeline_version_id"),
            text("id"),
            text("name"),
            text("display_name"),
            time("created_at"),
            text("description"),
            text("status"),
        ],
        tags: true,
        metrics: false,
    };

    /// The fields of the list that is asked for by an operation of this name.
    pub(crate) fn of(operation: &str) -> Option<Self> {
        Some(match operation {
            "runs.list" => Self::RUNS,
            "recurring_runs.list" => Self::RECURRING_RUNS,
            "experiments.list" => Self::EXPERIMENTS,
            "pipelines.list" => Self::PIPELINES,
            "pipelines.list_versions" => Self::PIPELINE_VERSIONS,
            _ => return None,
        })
    }

    /// Checks a filter and an order before they are sent; every list does so by itself.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] that names what is allowed.
    pub fn check(&self, filter: &Filter, sort_by: &str) -> Result<()> {
        filter
            .predicates
            .iter()
            .try_for_each(|predicate| self.predicate(predicate))?;
        self.order(sort_by)
    }

    fn predicate(&self, predicate: &Value) -> Result<()> {
        let part = |name| predicate.get(name).and_then(Value::as_str).unwrap_or_default();
        let (name, operation) = (part("key"), part("operation"));
        let is_time = predicate.get("timestamp_value").is_some();
        let is_text = predicate.get("string_value").is_some() || predicate.get("string_values").is_some();
        if self.tags && name.strip_prefix("tags.").is_some_and(|tag| !tag.is_empty()) {
            return if operation == "EQUALS" && is_text {
                Ok(())
            } else {
                Err(Error::invalid(format!("filter on {name}"), "a test for equal text"))
            };
        }
        let Some(key) = self.keys.iter().find(|key| key.name == name) else {
            return Err(Error::invalid(format!("filter key {name:?}"), self.allowed(|_| true)));
        };
        let (fits, allowed) = match key.kind {
            KeyKind::Text => (
                is_text,
                "a comparison with text: `equals`, `not_equals`, `contains` or `one_of`",
            ),
            KeyKind::Time => (is_time, "a comparison with a time: `since` or `before`"),
        };
        if fits {
            Ok(())
        } else {
            Err(Error::invalid(format!("filter on {name}"), allowed))
        }
    }

    fn order(&self, sort_by: &str) -> Result<()> {
        let mut words = sort_by.split_whitespace();
        let Some(field) = words.next() else {
            return Ok(());
        };
        let direction = words.next().unwrap_or("asc");
        // The server reads the whole text in lower case.
        let field = field.to_ascii_lowercase();
        let metric = self.metrics && field.strip_prefix("metric:").is_some_and(|name| !name.is_empty());
        let known = metric || self.keys.iter().any(|key| key.sortable && key.name == field);
        let directed = ["asc", "desc"].iter().any(|word| direction.eq_ignore_ascii_case(word));
        if known && directed && words.next().is_none() {
            return Ok(());
        }
        let allowed = format!(
            "{}, with ` asc` or ` desc` after it, and one field alone",
            self.allowed(|key| key.sortable)
        );
        Err(Error::invalid(format!("sort_by {sort_by:?}"), allowed))
    }

    fn allowed(&self, which: impl Fn(&FilterKey) -> bool) -> String {
        let names: Vec<_> = self.keys.iter().filter(|key| which(key)).map(|key| key.name).collect();
        let tags = if self.tags { " (and tags.NAME in filters)" } else { "" };
        let metrics = if self.metrics {
            " (and metric:NAME to sort by)"
        } else {
            ""
        };
        format!("one of {}{tags}{metrics}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ListKeys; 5] = [
        ListKeys::RUNS,
        ListKeys::RECURRING_RUNS,
        ListKeys::EXPERIMENTS,
        ListKeys::PIPELINES,
        ListKeys::PIPELINE_VERSIONS,
    ];

    #[test]
    fn every_field_takes_what_it_is_compared_with_and_nothing_else() {
        let time = jiff::Timestamp::UNIX_EPOCH;
        for keys in ALL {
            for key in keys.keys {
                let texts = Filter::new().contains(key.name, "x").one_of(key.name, ["x"]);
                let times = Filter::new().since(key.name, time).before(key.name, time);
                assert_eq!(keys.check(&texts, "").is_ok(), key.kind == KeyKind::Text, "{key:?}");
                assert_eq!(keys.check(&times, "").is_ok(), key.kind == KeyKind::Time, "{key:?}");
                assert_eq!(keys.check(&Filter::new(), key.name).is_ok(), key.sortable, "{key:?}");
            }
        }
    }

    #[test]
    fn what_is_allowed_is_named() {
        let refused =
            |keys: ListKeys, filter: Filter, sort_by: &str| keys.check(&filter, sort_by).unwrap_err().to_string();
        let text = refused(ListKeys::EXPERIMENTS, Filter::new().equals("state", "x"), "");
        assert!(
            text.contains("filter key \"state\" must be one of experiment_id, id, "),
            "{text}"
        );
        let text = refused(ListKeys::RUNS, Filter::new().equals("created_at", "yesterday"), "");
        assert!(
            text.contains("filter on created_at") && text.contains("since"),
            "{text}"
        );
        for sort_by in [
            "created_at down",
            "created_at, name",
            "state_history",
            "tags.a",
            "created_at asc x",
        ] {
            let text = refused(ListKeys::RUNS, Filter::new(), sort_by);
            assert!(text.contains("sort_by") && text.contains("finished_at"), "{text}");
        }
        assert!(ListKeys::RUNS.check(&Filter::new(), "Metric:accuracy DESC").is_ok());
        assert!(ListKeys::PIPELINES.check(&Filter::new(), "metric:accuracy").is_err());
    }

    #[test]
    fn tags_can_be_equal_and_no_more() {
        let keys = ListKeys::PIPELINES;
        assert!(keys.check(&Filter::new().equals("tags.team", "a"), "").is_ok());
        assert!(keys.check(&Filter::new().contains("tags.team", "a"), "").is_err());
        assert!(keys.check(&Filter::new().equals("tags.", "a"), "").is_err());
        assert!(
            ListKeys::RUNS
                .check(&Filter::new().equals("tags.team", "a"), "")
                .is_err()
        );
    }
}
