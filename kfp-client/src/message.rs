//! Messages of the wire as structs that lose nothing: unset fields are left out, unknown ones are kept.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use crate::wire;

/// A type whose `serde` form is its form on the wire, where `null` stands for its default.
pub(crate) trait Plain {}

impl<T: Plain> Plain for Option<T> {}
impl<T: Plain> Plain for Vec<T> {}
impl<K, V> Plain for std::collections::BTreeMap<K, V> {}
impl Plain for String {}
impl Plain for bool {}
impl Plain for i32 {}
impl Plain for u64 {}
impl Plain for serde_json::Value {}
impl Plain for serde_json::Map<String, serde_json::Value> {}

/// A value of a message's field: how it is read and written.
pub(crate) trait Field: Sized {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

impl<T: Plain + Serialize + DeserializeOwned + Default> Field for T {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        wire::or_default(deserializer)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.serialize(serializer)
    }
}

impl Field for Option<Timestamp> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        wire::timestamp(deserializer)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.serialize(serializer)
    }
}

impl Field for Option<i64> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        wire::int64::deserialize(deserializer)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wire::int64::serialize(self, serializer)
    }
}

/// A 64-bit integer that is 0 when it is missing.
impl Field for i64 {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(wire::int64::deserialize(deserializer)?.unwrap_or_default())
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Field for Vec<i64> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        wire::int64_list::deserialize(deserializer)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wire::int64_list::serialize(self, serializer)
    }
}

/// JSON has no word for the three that are no numbers, so the wire spells them.
const SPELLED: [(&str, f64); 3] = [
    ("NaN", f64::NAN),
    ("Infinity", f64::INFINITY),
    ("-Infinity", f64::NEG_INFINITY),
];

impl Field for Option<f64> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Double {
            Number(f64),
            Text(String),
        }
        match Option::<Double>::deserialize(deserializer)? {
            None => Ok(None),
            Some(Double::Number(number)) => Ok(Some(number)),
            Some(Double::Text(text)) => {
                let spelled = SPELLED
                    .iter()
                    .find(|(name, _)| *name == text)
                    .map(|(_, number)| *number);
                let number = spelled.or_else(|| text.parse().ok());
                number
                    .map(Some)
                    .ok_or_else(|| serde::de::Error::custom(format_args!("`{text}` is not a number")))
            }
        }
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Some(number) if number.is_nan() => serializer.serialize_str("NaN"),
            Some(number) if number.is_infinite() => {
                serializer.serialize_str(if *number > 0.0 { "Infinity" } else { "-Infinity" })
            }
            other => other.serialize(serializer),
        }
    }
}

/// [`Field`] as `serde` calls it.
pub(crate) mod field {
    use super::{Deserializer, Field, Serializer};

    pub(crate) fn serialize<T: Field, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        value.write(serializer)
    }

    pub(crate) fn deserialize<'de, T: Field, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::read(deserializer)
    }
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Defines a message: every field may be missing, unset ones are left out, unknown ones are kept in `extra`.
macro_rules! message {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$fmeta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[non_exhaustive]
        #[allow(unreachable_pub, reason = "some messages are of tests alone")]
        pub struct $name {
            $($(#[$fmeta])*
            #[serde(default, with = "crate::message::field", skip_serializing_if = "crate::message::is_default")]
            pub $field: $type,)*
            /// Fields that this version of the crate does not know, as they were read.
            #[serde(flatten)]
            pub extra: serde_json::Map<String, serde_json::Value>,
        }

        impl crate::message::Plain for $name {}
    };
}
pub(crate) use message;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    message! {
        /// For the tests.
        pub struct Sample {
            text: String,
            count: Option<i64>,
            at: Option<Timestamp>,
            number: Option<f64>,
            inner: Option<Inner>,
        }
    }
    message! {
        /// Within a sample.
        pub struct Inner {
            flag: bool,
        }
    }

    #[test]
    fn what_is_read_is_written_and_what_is_unset_is_not() {
        let whole = json!({"text": "a", "count": "9007199254740993", "at": "2026-11-23T21:02:24Z", "number": 0.0,
            "inner": {"flag": true, "new": [1]}, "newer": {"x": null}});
        let sample: Sample = serde_json::from_value(whole.clone()).unwrap();
        assert_eq!(sample.count, Some(9_007_199_254_740_993));
        assert_eq!(serde_json::to_value(&sample).unwrap(), whole);
        let unset = json!({"text": null, "count": null, "at": "1970-01-01T00:00:00Z", "number": null, "inner": null});
        let sample: Sample = serde_json::from_value(unset).unwrap();
        assert_eq!(sample, Sample::default());
        assert_eq!(serde_json::to_value(&sample).unwrap(), json!({}));
    }

    #[test]
    fn what_is_no_number_is_spelled() {
        for text in ["NaN", "Infinity", "-Infinity"] {
            let sample: Sample = serde_json::from_value(json!({ "number": text })).unwrap();
            assert!(!sample.number.unwrap().is_finite());
            assert_eq!(serde_json::to_value(&sample).unwrap(), json!({ "number": text }));
        }
        assert!(serde_json::from_value::<Sample>(json!({"number": "much"})).is_err());
    }
}
