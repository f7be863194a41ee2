//! What can be searched by, and how each can be compared (MLflow 3.17).

use std::marker::PhantomData;

use super::{Filter, Number, OrderBy, Written, quoted, refuse};
use crate::{
    experiments::Experiment, logged_models::LoggedModel, model_versions::ModelVersion,
    registered_models::RegisteredModel, runs::Run,
};

/// A key as it is written in a filter, and in an order if there is one by it.
#[derive(Debug, Clone)]
struct Key {
    name: Written,
    order: Option<&'static str>,
}

impl Key {
    const fn attribute(name: &'static str) -> Name {
        Name {
            name,
            order: Some(name),
        }
    }

    /// A key that users name, in quotes of its own.
    fn named(entity: &'static str, key: &str, ordered: bool) -> Self {
        let mark = match (key.contains('`'), key.contains('"')) {
            (false, _) => Some('`'),
            (true, false) => Some('"'),
            (true, true) => None,
        };
        let name = match mark {
            _ if key.is_empty() => Err(refuse("filter", format!("a key of {entity} that is not empty"))),
            Some(mark) => Ok(format!("{entity}.{mark}{key}{mark}")),
            None => {
                let allowed = format!("a key of {entity} without both backticks and quotation marks");
                Err(refuse("filter", allowed))
            }
        };
        Self {
            name,
            order: ordered.then_some(""),
        }
    }

    fn compare<S>(&self, operator: &str, value: Written) -> Filter<S> {
        Filter::of(match (&self.name, value) {
            (Ok(name), Ok(value)) => Ok(format!("{name} {operator} {value}")),
            (Err(fault), _) => Err(fault.clone()),
            (_, Err(fault)) => Err(fault),
        })
    }

    fn order<S>(&self, direction: &str) -> OrderBy<S> {
        OrderBy::of(match (&self.name, self.order) {
            (Ok(name), Some("")) => Ok(format!("{name} {direction}")),
            (Ok(_), Some(order)) => Ok(format!("{order} {direction}")),
            (Ok(name), None) => Err(refuse(
                "order_by",
                format!("a key that the server orders by; `{name}` is none"),
            )),
            (Err(fault), _) => Err(fault.clone()),
        })
    }
}

/// An attribute.
#[derive(Debug, Clone, Copy)]
struct Name {
    name: &'static str,
    order: Option<&'static str>,
}

impl Name {
    const fn unordered(self) -> Self {
        Self { order: None, ..self }
    }
}

impl From<Name> for Key {
    fn from(name: Name) -> Self {
        Self {
            name: Ok(name.name.to_owned()),
            order: name.order,
        }
    }
}

macro_rules! key_type {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        #[must_use]
        pub struct $name<S> {
            key: Key,
            scope: PhantomData<fn() -> S>,
        }

        impl<S> $name<S> {
            fn of(key: impl Into<Key>) -> Self {
                Self {
                    key: key.into(),
                    scope: PhantomData,
                }
            }

            /// Orders by it, the smallest first. Refused, by the search, where the server does not order by it.
            pub fn ascending(&self) -> OrderBy<S> {
                self.key.order("ASC")
            }

            /// Orders by it, the greatest first. Refused, by the search, where the server does not order by it.
            pub fn descending(&self) -> OrderBy<S> {
                self.key.order("DESC")
            }
        }
    };
}

macro_rules! text_comparisons {
    ($name:ident) => {
        impl<S> $name<S> {
            /// It is this text, with upper and lower case as given.
            pub fn equals(&self, value: impl AsRef<str>) -> Filter<S> {
                self.key.compare("=", quoted(value.as_ref()))
            }

            /// It is there and not this text.
            pub fn not_equals(&self, value: impl AsRef<str>) -> Filter<S> {
                self.key.compare("!=", quoted(value.as_ref()))
            }

            /// It is like this pattern, where `%` stands for any text and `_` for one character. There is no way to mean
            /// these two themselves.
            pub fn like(&self, pattern: impl AsRef<str>) -> Filter<S> {
                self.key.compare("LIKE", quoted(pattern.as_ref()))
            }

            /// As [`like`](Self::like), with upper and lower case taken as the same.
            pub fn ilike(&self, pattern: impl AsRef<str>) -> Filter<S> {
                self.key.compare("ILIKE", quoted(pattern.as_ref()))
            }
        }
    };
}

key_type! {
    /// A key with a text.
    TextKey
}
text_comparisons!(TextKey);

key_type! {
    /// A key with a text, of which can be asked whether it is there.
    NullableKey
}
text_comparisons!(NullableKey);

impl<S> NullableKey<S> {
    /// It is not there. Since MLflow 3; older servers refuse it.
    pub fn is_null(&self) -> Filter<S> {
        self.key.compare("IS", Ok("NULL".to_owned()))
    }

    /// It is there. Since MLflow 3; older servers refuse it.
    pub fn is_not_null(&self) -> Filter<S> {
        self.key.compare("IS NOT", Ok("NULL".to_owned()))
    }
}

key_type! {
    /// A key with a text, which can be compared with several at once.
    ListKey
}
text_comparisons!(ListKey);

impl<S> ListKey<S> {
    /// It is one of these texts; at least one. For names in the registry, and with apostrophes in a text, since MLflow 3;
    /// older servers refuse it.
    pub fn one_of(&self, values: impl IntoIterator<Item = impl AsRef<str>>) -> Filter<S> {
        self.key.compare("IN", list(values))
    }

    /// It is none of these texts; at least one.
    pub fn none_of(&self, values: impl IntoIterator<Item = impl AsRef<str>>) -> Filter<S> {
        self.key.compare("NOT IN", list(values))
    }
}

key_type! {
    /// The id of an experiment, which is compared as a whole only. Since MLflow 3; older servers refuse it in filters.
    IdKey
}

impl<S> IdKey<S> {
    /// It is this id.
    pub fn equals(&self, value: impl AsRef<str>) -> Filter<S> {
        self.key.compare("=", quoted(value.as_ref()))
    }

    /// It is not this id.
    pub fn not_equals(&self, value: impl AsRef<str>) -> Filter<S> {
        self.key.compare("!=", quoted(value.as_ref()))
    }

    /// It is one of these ids; at least one.
    pub fn one_of(&self, values: impl IntoIterator<Item = impl AsRef<str>>) -> Filter<S> {
        self.key.compare("IN", list(values))
    }

    /// It is none of these ids; at least one.
    pub fn none_of(&self, values: impl IntoIterator<Item = impl AsRef<str>>) -> Filter<S> {
        self.key.compare("NOT IN", list(values))
    }
}

fn list(values: impl IntoIterator<Item = impl AsRef<str>>) -> Written {
    let values = values.into_iter().map(|value| quoted(value.as_ref()));
    let values = values.collect::<Result<Vec<_>, _>>()?;
    if values.is_empty() {
        return Err(refuse("filter", "a list of at least one text".to_owned()));
    }
    Ok(format!("({})", values.join(", ")))
}

key_type! {
    /// A key with a number or a time.
    NumberKey
}

impl<S> NumberKey<S> {
    /// It is this number. Of metrics the latest value counts; NaN is equal to nothing.
    pub fn equals(&self, value: impl Into<Number>) -> Filter<S> {
        self.key.compare("=", value.into().written())
    }

    /// It is there and not this number.
    pub fn not_equals(&self, value: impl Into<Number>) -> Filter<S> {
        self.key.compare("!=", value.into().written())
    }

    /// It is greater, or later.
    pub fn greater_than(&self, value: impl Into<Number>) -> Filter<S> {
        self.key.compare(">", value.into().written())
    }

    /// It is this number or greater.
    pub fn at_least(&self, value: impl Into<Number>) -> Filter<S> {
        self.key.compare(">=", value.into().written())
    }

    /// It is less, or earlier.
    pub fn less_than(&self, value: impl Into<Number>) -> Filter<S> {
        self.key.compare("<", value.into().written())
    }

    /// It is this number or less.
    pub fn at_most(&self, value: impl Into<Number>) -> Filter<S> {
        self.key.compare("<=", value.into().written())
    }
}

key_type! {
    /// A key to order by, which no filter takes.
    OrderKey
}

macro_rules! attributes {
    ($scope:ty; $($(#[$meta:meta])* $name:ident: $kind:ident = $key:expr;)+) => {
        $(
            $(#[$meta])*
            pub fn $name() -> $kind<$scope> {
                $kind::of($key)
            }
        )+
    };
}

/// What runs are searched by; makes conditions and orders of [`SearchRuns`](crate::SearchRuns).
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RunKey;

impl RunKey {
    /// The latest value of a metric. A run without it matches no comparison.
    pub fn metric(key: impl AsRef<str>) -> NumberKey<Run> {
        NumberKey::of(Key::named("metrics", key.as_ref(), true))
    }

    /// A parameter.
    pub fn param(key: impl AsRef<str>) -> NullableKey<Run> {
        NullableKey::of(Key::named("params", key.as_ref(), true))
    }

    /// A tag.
    pub fn tag(key: impl AsRef<str>) -> NullableKey<Run> {
        NullableKey::of(Key::named("tags", key.as_ref(), true))
    }

    attributes! { Run;
        /// The id.
        run_id: ListKey = Key::attribute("attributes.run_id");
        /// The name.
        run_name: TextKey = Key::attribute("attributes.run_name");
        /// The status, as [`RunStatus::as_str`](crate::RunStatus::as_str) writes it.
        status: TextKey = Key::attribute("attributes.status");
        /// Who started it.
        user_id: TextKey = Key::attribute("attributes.user_id");
        /// Where its artifacts are.
        artifact_uri: TextKey = Key::attribute("attributes.artifact_uri");
        /// When it started.
        start_time: NumberKey = Key::attribute("attributes.start_time");
        /// When it ended.
        end_time: NumberKey = Key::attribute("attributes.end_time");
        /// Name of a dataset that it used.
        dataset_name: ListKey = Key::attribute("datasets.name").unordered();
        /// Digest of a dataset that it used.
        dataset_digest: ListKey = Key::attribute("datasets.digest").unordered();
        /// What it used a dataset for, e.g. `training`.
        dataset_context: ListKey = Key::attribute("datasets.context").unordered();
    }
}

/// What experiments are searched by; makes conditions and orders of [`SearchExperiments`](crate::SearchExperiments).
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ExperimentKey;

impl ExperimentKey {
    /// A tag.
    pub fn tag(key: impl AsRef<str>) -> NullableKey<Experiment> {
        NullableKey::of(Key::named("tags", key.as_ref(), false))
    }

    attributes! { Experiment;
        /// The name.
        name: TextKey = Key::attribute("name");
        /// When it was made.
        creation_time: NumberKey = Key::attribute("creation_time");
        /// When it was changed last.
        last_update_time: NumberKey = Key::attribute("last_update_time");
        /// The id.
        experiment_id: IdKey = Key::attribute("experiment_id");
    }
}

/// What registered models are searched by; makes conditions and orders of
/// [`SearchRegisteredModels`](crate::SearchRegisteredModels).
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RegisteredModelKey;

impl RegisteredModelKey {
    /// A tag.
    pub fn tag(key: impl AsRef<str>) -> TextKey<RegisteredModel> {
        TextKey::of(Key::named("tags", key.as_ref(), false))
    }

    attributes! { RegisteredModel;
        /// The name.
        name: ListKey = Key::attribute("name");
        /// When it was changed last.
        last_updated_timestamp: OrderKey = Key::attribute("timestamp");
    }
}

/// What versions of models are searched by; makes conditions and orders of
/// [`SearchModelVersions`](crate::SearchModelVersions).
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ModelVersionKey;

impl ModelVersionKey {
    /// A tag.
    pub fn tag(key: impl AsRef<str>) -> TextKey<ModelVersion> {
        TextKey::of(Key::named("tags", key.as_ref(), false))
    }

    attributes! { ModelVersion;
        /// The name of the registered model.
        name: ListKey = Key::attribute("name");
        /// The run that made it.
        run_id: ListKey = Key::attribute("run_id").unordered();
        /// Where its files are, as it was given.
        source_path: TextKey = Key::attribute("source_path").unordered();
        /// Its number.
        version_number: NumberKey = Key::attribute("version_number");
        /// When it was made.
        creation_timestamp: OrderKey = Key::attribute("creation_timestamp");
        /// When it was changed last.
        last_updated_timestamp: OrderKey = Key::attribute("last_updated_timestamp");
    }
}

/// What logged models are searched by; makes conditions of [`SearchLoggedModels`](crate::SearchLoggedModels), whose order
/// is given by [`LoggedModelOrder`](crate::LoggedModelOrder).
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct LoggedModelKey;

impl LoggedModelKey {
    /// The latest value of a metric; see [`SearchLoggedModels::dataset`](crate::SearchLoggedModels::dataset).
    pub fn metric(key: impl AsRef<str>) -> NumberKey<LoggedModel> {
        NumberKey::of(Key::named("metrics", key.as_ref(), false))
    }

    /// A parameter.
    pub fn param(key: impl AsRef<str>) -> TextKey<LoggedModel> {
        TextKey::of(Key::named("params", key.as_ref(), false))
    }

    /// A tag.
    pub fn tag(key: impl AsRef<str>) -> TextKey<LoggedModel> {
        TextKey::of(Key::named("tags", key.as_ref(), false))
    }

    /// How far it is. The server compares its number only (MLflow 3.17), and no [`Unknown`] one has a number.
    ///
    /// [`Unknown`]: crate::LoggedModelStatus::Unknown
    pub fn status_is(status: &crate::LoggedModelStatus) -> Filter<LoggedModel> {
        let number = status
            .number()
            .ok_or_else(|| refuse("filter", format!("a known status; `{status}` is none")));
        Key::from(Key::attribute("status")).compare("=", number.map(|number| number.to_string()))
    }

    attributes! { LoggedModel;
        /// The name.
        name: ListKey = Key::attribute("name").unordered();
        /// The id.
        model_id: ListKey = Key::attribute("model_id").unordered();
        /// Its kind, as whoever logged it calls it.
        model_type: ListKey = Key::attribute("model_type").unordered();
        /// The run that made it.
        source_run_id: ListKey = Key::attribute("source_run_id").unordered();
        /// When it was made.
        creation_timestamp: NumberKey = Key::attribute("creation_timestamp").unordered();
        /// When it was changed last.
        last_updated_timestamp: NumberKey = Key::attribute("last_updated_timestamp").unordered();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_quoted() {
        let text = |filter: Filter<Run>| filter.text().unwrap().to_owned();
        assert_eq!(text(RunKey::param("a b").equals("x\\y")), r"params.`a b` = 'x\y'");
        assert_eq!(text(RunKey::tag("t`").like("it's%")), "tags.\"t`\" LIKE \"it's%\"");
        assert_eq!(text(RunKey::metric("m").at_least(1e-7)), "metrics.`m` >= 1e-7");
        assert_eq!(text(RunKey::metric("m").at_most(1e300)), "metrics.`m` <= 1e300");
        assert_eq!(
            text(RunKey::run_id().one_of(["a", "b"])),
            "attributes.run_id IN ('a', 'b')"
        );
        assert_eq!(
            text(
                RunKey::tag("t")
                    .is_null()
                    .and(Filter::new())
                    .and(RunKey::param("p").is_not_null())
            ),
            "tags.`t` IS NULL AND params.`p` IS NOT NULL"
        );
        assert_eq!(Filter::<Run>::new().and("x = 1").text().unwrap(), "x = 1");
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        for bad in [
            RunKey::tag("t").equals("'\""),
            RunKey::tag("`\"").equals("x"),
            RunKey::tag("").equals("x"),
            RunKey::metric("m").less_than(f64::NAN),
            RunKey::run_id().one_of([""; 0]),
            Filter::new()
                .and(RunKey::metric("m").equals(f64::INFINITY))
                .and("x = 1"),
        ] {
            assert!(bad.text().is_err() && !bad.is_empty(), "{bad:?}");
            assert!(serde_json::to_string(&bad).is_err());
        }
    }

    #[test]
    fn only_keys_the_server_orders_by_make_an_order() {
        assert_eq!(RunKey::metric("a b").descending().text().unwrap(), "metrics.`a b` DESC");
        assert_eq!(
            RegisteredModelKey::last_updated_timestamp().ascending().text().unwrap(),
            "timestamp ASC"
        );
        assert!(RunKey::dataset_name().ascending().text().is_err());
        assert!(ExperimentKey::tag("t").ascending().text().is_err());
    }
}
