//! Messages of the wire as structs that lose nothing: unset fields are left out, unknown ones are kept.

use std::{fmt, marker::PhantomData};

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeOwned, DeserializeSeed, MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::{Map, Value};

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

struct Double(f64);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DoubleVisitor)
    }
}

struct DoubleVisitor;

impl Visitor<'_> for DoubleVisitor {
    type Value = Double;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or text that is one")
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Double, E> {
        Ok(Double(number))
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "as for any double that is written without a fraction"
    )]
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Double, E> {
        Ok(Double(number as f64))
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "as for any double that is written without a fraction"
    )]
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Double, E> {
        Ok(Double(number as f64))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Double, E> {
        let spelled = SPELLED.iter().find(|(name, _)| *name == text);
        let number = spelled.map(|(_, number)| *number).or_else(|| text.parse().ok());
        number
            .map(Double)
            .ok_or_else(|| E::custom(format_args!("`{text}` is not a number")))
    }
}

impl Field for Option<f64> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let double = Option::<Double>::deserialize(deserializer)?;
        Ok(double.map(|Double(number)| number))
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

/// A struct whose fields may each be missing, and that keeps those it does not know.
///
/// `serde` could derive this, but what it makes for a struct with such a rest is more code, and copies every name
/// that it meets.
pub(crate) trait Message: Default {
    /// One of the fields.
    type Key: Copy + 'static;
    /// For errors.
    const NAME: &'static str;
    /// The fields' names on the wire.
    const KEYS: &'static [(&'static str, Self::Key)];

    fn read_value<'de, A: MapAccess<'de>>(&mut self, key: Self::Key, map: &mut A) -> Result<(), A::Error>;
    fn write_fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;
    fn extra(&self) -> &Map<String, Value>;
    fn extra_mut(&mut self) -> &mut Map<String, Value>;
}

pub(crate) fn read<'de, T: Message, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_map(MessageVisitor(PhantomData))
}

pub(crate) fn write<T: Message, S: Serializer>(message: &T, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    message.write_fields(&mut map)?;
    for (name, value) in message.extra() {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

pub(crate) fn read_field<'de, T: Field, A: MapAccess<'de>>(map: &mut A) -> Result<T, A::Error> {
    map.next_value_seed(FieldSeed(PhantomData))
}

/// Leaves out what is unset.
pub(crate) fn write_field<T: Field + Default + PartialEq, M: SerializeMap>(
    map: &mut M,
    name: &'static str,
    value: &T,
) -> Result<(), M::Error> {
    if wire::is_default(value) {
        return Ok(());
    }
    map.serialize_entry(name, &FieldRef(value))
}

struct MessageVisitor<T>(PhantomData<T>);

impl<'de, T: Message> Visitor<'de> for MessageVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object ({})", T::NAME)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut message = T::default();
        while let Some(name) = map.next_key_seed(NameSeed(T::KEYS))? {
            match name {
                Name::Known(key) => message.read_value(key, &mut map)?,
                Name::Unknown(name) => {
                    let value = map.next_value()?;
                    message.extra_mut().insert(name, value);
                }
            }
        }
        Ok(message)
    }
}

enum Name<K> {
    Known(K),
    Unknown(String),
}

struct NameSeed<K: 'static>(&'static [(&'static str, K)]);

impl<'de, K: Copy + 'static> DeserializeSeed<'de> for NameSeed<K> {
    type Value = Name<K>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name<K>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<K: Copy + 'static> Visitor<'_> for NameSeed<K> {
    type Value = Name<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Name<K>, E> {
        let known = self.0.iter().find(|(known, _)| *known == name);
        Ok(known.map_or_else(|| Name::Unknown(name.to_owned()), |(_, key)| Name::Known(*key)))
    }
}

struct FieldSeed<T>(PhantomData<T>);

impl<'de, T: Field> DeserializeSeed<'de> for FieldSeed<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::read(deserializer)
    }
}

struct FieldRef<'a, T>(&'a T);

impl<T: Field> Serialize for FieldRef<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

/// Defines a message: every field may be missing, unset ones are left out, unknown ones are kept in `extra`. Of the
/// attributes of `serde` it knows `rename`.
macro_rules! message {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[doc = $doc:literal])* $(#[serde(rename = $wire:literal)])? $field:ident: $type:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        #[non_exhaustive]
        #[allow(unreachable_pub, reason = "some messages are of tests alone")]
        pub struct $name {
            $($(#[doc = $doc])*
            pub $field: $type,)*
            /// Fields that this version of the crate does not know, as they were read.
            pub extra: serde_json::Map<String, serde_json::Value>,
        }

        const _: () = {
            #[allow(non_camel_case_types, clippy::enum_variant_names, reason = "named as the fields are")]
            #[derive(Clone, Copy)]
            pub(crate) enum Key {
                $($field,)*
            }

            impl crate::message::Message for $name {
                type Key = Key;
                const NAME: &'static str = stringify!($name);
                const KEYS: &'static [(&'static str, Key)] =
                    &[$((crate::message::wire_name!($field $($wire)?), Key::$field),)*];

                fn read_value<'de, A: serde::de::MapAccess<'de>>(
                    &mut self,
                    which: Key,
                    map: &mut A,
                ) -> Result<(), A::Error> {
                    match which {
                        $(Key::$field => self.$field = crate::message::read_field(map)?,)*
                    }
                    Ok(())
                }

                fn write_fields<M: serde::ser::SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
                    $(crate::message::write_field(
                        map,
                        crate::message::wire_name!($field $($wire)?),
                        &self.$field,
                    )?;)*
                    Ok(())
                }

                fn extra(&self) -> &serde_json::Map<String, serde_json::Value> {
                    &self.extra
                }

                fn extra_mut(&mut self) -> &mut serde_json::Map<String, serde_json::Value> {
                    &mut self.extra
                }
            }
        };

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::message::read(deserializer)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                crate::message::write(self, serializer)
            }
        }

        impl crate::message::Plain for $name {}
    };
}
pub(crate) use message;

macro_rules! wire_name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $wire:literal) => {
        $wire
    };
}
pub(crate) use wire_name;

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
            /// Named otherwise on the wire.
            #[serde(rename = "type")]
            kind: String,
        }
    }

    #[test]
    fn what_is_read_is_written_and_what_is_unset_is_not() {
        let whole = json!({"text": "a", "count": "9007199254740993", "at": "2026-11-23T21:02:24Z", "number": 0.0,
            "inner": {"flag": true, "type": "b", "kind": 1, "new": [1]}, "newer": {"x": null}});
        let sample: Sample = serde_json::from_value(whole.clone()).unwrap();
        assert_eq!(sample.count, Some(9_007_199_254_740_993));
        assert_eq!(serde_json::to_value(&sample).unwrap(), whole);
        let inner = sample.inner.unwrap();
        assert_eq!((inner.kind.as_str(), inner.extra.len()), ("b", 2));
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

    #[test]
    fn whole_numbers_and_text_are_numbers_too() {
        for (number, read) in [
            (json!(3), 3.0),
            (json!(-3), -3.0),
            (json!("0.5"), 0.5),
            (json!(1e300), 1e300),
        ] {
            let sample: Sample = serde_json::from_value(json!({ "number": number })).unwrap();
            assert_eq!(sample.number, Some(read));
        }
        for count in [json!(7), json!("7")] {
            let sample: Sample = serde_json::from_value(json!({ "count": count })).unwrap();
            assert_eq!(sample.count, Some(7));
        }
        for count in [json!(7.5), json!("x"), json!(u64::MAX), json!([])] {
            assert!(serde_json::from_value::<Sample>(json!({ "count": count })).is_err());
        }
    }

    #[test]
    fn what_is_no_message_is_told_as_such() {
        let error = serde_json::from_str::<Sample>(r#"{"inner": [true]}"#).unwrap_err();
        let told = error.to_string();
        assert!(
            told.contains("invalid type: sequence, expected an object (Inner)"),
            "{told}"
        );
    }
}
