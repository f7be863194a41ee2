//! Which fields lists can be filtered and sorted by, as data.
//!
//! The server refuses other fields, but takes values of the wrong kind and compares nonsense (KFP 2.17). From KFP 2.0
//! on both versions of the API take the same fields; 1.8 knows some of them.

use serde_json::Value;

use super::Filter;
use crate::{
    error::{Error, Result},
    version::Feature,
};

/// What values of a field are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyKind {
    /// Text: [`equals`](Filter::equals), [`not_equals`](Filter::not_equals), [`contains`](Filter::contains) and
    /// [`one_of`](Filter::one_of).
    Text,
    /// Times: [`since`](Filter::since), [`after`](Filter::after), [`before`](Filter::before) and
    /// [`until`](Filter::until); or whole seconds since 1970, as they are stored: [`equals_int`](Filter::equals_int),
    /// [`equals_long`](Filter::equals_long), [`one_of_ints`](Filter::one_of_ints) and
    /// [`one_of_longs`](Filter::one_of_longs).
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
    /// Whether KFP 1.8 knows it.
    pub of_1_8: bool,
    /// What only newer servers know it by; `None` if every server of KFP 2 does.
    pub needs: Option<Feature>,
}

impl FilterKey {
    const fn new(name: &'static str, kind: KeyKind) -> Self {
        Self {
            name,
            kind,
            sortable: true,
            of_1_8: false,
            needs: None,
        }
    }

    const fn of_1_8(mut self) -> Self {
        self.of_1_8 = true;
        self
    }

    const fn unsorted(mut self) -> Self {
        self.sortable = false;
        self
    }

    const fn needs(mut self, feature: Feature) -> Self {
        self.needs = Some(feature);
        self
    }
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
    FilterKey::new(name, KeyKind::Text)
}

const fn time(name: &'static str) -> FilterKey {
    FilterKey::new(name, KeyKind::Time)
}

impl ListKeys {
    /// Runs. `status` takes the values of the older API (`Succeeded`), `state` those of this one (`SUCCEEDED`).
    pub const RUNS: Self = Self {
        keys: &[
            text("run_id"),
            text("id").of_1_8(),
            text("display_name"),
            text("name").of_1_8(),
            time("created_at").of_1_8(),
            time("finished_at").of_1_8(),
            time("scheduled_at").of_1_8(),
            text("description").of_1_8(),
            text("storage_state").of_1_8(),
            text("status").of_1_8(),
            text("state"),
            text("namespace"),
            text("runtime_details"),
            text("experiment_id").unsorted(),
            text("state_history").unsorted(),
            text("recurring_run_id").unsorted(),
            text("pipeline_id").unsorted().needs(Feature::RUN_PIPELINE_KEY),
        ],
        tags: false,
        metrics: true,
    };

    /// Recurring runs.
    pub const RECURRING_RUNS: Self = Self {
        keys: &[
            text("recurring_run_id"),
            text("id").of_1_8(),
            text("display_name"),
            text("name").of_1_8(),
            time("created_at").of_1_8(),
            time("updated_at").of_1_8(),
            text("description").of_1_8(),
        ],
        tags: false,
        metrics: false,
    };

    /// Experiments.
    pub const EXPERIMENTS: Self = Self {
        keys: &[
            text("experiment_id"),
            text("id").of_1_8(),
            text("display_name"),
            text("name").of_1_8(),
            time("created_at").of_1_8(),
            time("last_run_created_at").needs(Feature::LAST_RUN_KEY),
            text("description").of_1_8(),
            text("namespace"),
            text("storage_state").of_1_8(),
        ],
        tags: false,
        metrics: false,
    };

    /// Pipelines.
    pub const PIPELINES: Self = Self {
        keys: &[
            text("pipeline_id"),
            text("id").of_1_8(),
            text("name").of_1_8(),
            text("display_name"),
            time("created_at").of_1_8(),
            text("description").of_1_8(),
            text("namespace"),
        ],
        tags: true,
        metrics: false,
    };

    /// Versions of a pipeline.
    pub const PIPELINE_VERSIONS: Self = Self {
        keys: &[
            text("pipeline_version_id"),
            text("id").of_1_8(),
            text("name").of_1_8(),
            text("display_name"),
            time("created_at").of_1_8(),
            text("description").of_1_8(),
            text("status").of_1_8(),
        ],
        tags: true,
        metrics: false,
    };

    /// The fields of the list that is asked for by an operation of this name.
    pub(crate) fn of(operation: &str) -> Option<Self> {
        Some(match operation {
            "runs.list" | "v1.runs.list" => Self::RUNS,
            "recurring_runs.list" | "v1.jobs.list" => Self::RECURRING_RUNS,
            "experiments.list" | "v1.experiments.list" => Self::EXPERIMENTS,
            "pipelines.list" | "v1.pipelines.list" => Self::PIPELINES,
            "pipelines.list_versions" | "v1.pipeline_versions.list" => Self::PIPELINE_VERSIONS,
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

    /// What of a filter and an order only newer servers know.
    pub(crate) fn needs(&self, filter: &Filter, sort_by: &str, of_v1: bool) -> Vec<Feature> {
        let sorted = sort_by
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let filtered = filter
            .predicates
            .iter()
            .filter_map(|predicate| predicate.get("key")?.as_str());
        let mut needs = Vec::new();
        for name in filtered.chain([sorted.as_str()]) {
            let key = self.keys.iter().find(|key| key.name == name);
            needs.extend(key.and_then(|key| key.needs));
            needs.extend(key.filter(|key| of_v1 && !key.of_1_8).map(|_| Feature::V1_NEWER_KEYS));
            needs.extend(Some(Feature::TAG_KEYS).filter(|_| self.tags && name.starts_with("tags.")));
        }
        needs
    }

    fn predicate(&self, predicate: &Value) -> Result<()> {
        let part = |name| predicate.get(name).and_then(Value::as_str).unwrap_or_default();
        let has = |names: [&str; 2]| names.iter().any(|name| predicate.get(*name).is_some());
        let (name, operation) = (part("key"), part("operation"));
        let is_number = has(["int_value", "long_value"]) || has(["int_values", "long_values"]);
        let is_time = is_number || predicate.get("timestamp_value").is_some();
        let is_text = has(["string_value", "string_values"]);
        let lists = ["string_values", "int_values", "long_values"].into_iter();
        let mut lists = lists.filter_map(|list| predicate.get(list)?.get("values")?.as_array());
        if lists.any(Vec::is_empty) {
            return Err(Error::invalid(format!("filter on {name}"), "one of at least one value"));
        }
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
            KeyKind::Time => (
                is_time,
                "a comparison with a time (`since`, `after`, `before`, `until`), or with seconds since 1970 \
                 (`equals_long` and the like)",
            ),
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
                let times = times
                    .after(key.name, time)
                    .until(key.name, time)
                    .equals_int(key.name, 1);
                let times = times.equals_long(key.name, 1).one_of_ints(key.name, [1, 2]);
                let times = times.one_of_longs(key.name, [1]);
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
    fn a_list_of_no_values_is_refused() {
        // The server writes `IN ()`, which its database does not understand.
        let none: [&str; 0] = [];
        for filter in [
            Filter::new().one_of("name", none),
            Filter::new().one_of_ints("created_at", []),
            Filter::new().one_of_longs("created_at", []),
        ] {
            let text = ListKeys::RUNS.check(&filter, "").unwrap_err().to_string();
            assert!(text.contains("at least one value"), "{text}");
        }
    }

    #[test]
    fn what_only_newer_servers_know_is_told() {
        let names = |keys: ListKeys, filter: Filter, sort_by: &str, of_v1: bool| -> Vec<&str> {
            let needs = keys.needs(&filter, sort_by, of_v1);
            needs.into_iter().map(|feature| feature.name).collect()
        };
        let tagged = Filter::new().equals("tags.team", "a");
        assert_eq!(
            names(ListKeys::PIPELINES, tagged, "", false),
            ["pipelines.list: tags.NAME"]
        );
        let newer = ["v1beta1: filter and order by names of v2beta1"];
        let state = || Filter::new().equals("state", "RUNNING");
        assert_eq!(names(ListKeys::RUNS, state(), "", true), newer);
        assert_eq!(names(ListKeys::RUNS, Filter::new(), "Run_ID desc", true), newer);
        assert!(names(ListKeys::RUNS, state(), "run_id", false).is_empty());
        let old = Filter::new().equals("status", "Running").equals("name", "x");
        assert!(names(ListKeys::RUNS, old, "metric:accuracy", true).is_empty());
        let last = ["experiments.list: last_run_created_at"];
        assert_eq!(
            names(ListKeys::EXPERIMENTS, Filter::new(), "last_run_created_at", false),
            last
        );
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
