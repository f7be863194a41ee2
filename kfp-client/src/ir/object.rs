//! How objects of the format are read and written: unset fields are left out, unknown ones are kept.
//!
//! Written by hand instead of by `serde`'s `flatten`, which would hold every object in between and read its numbers,
//! once for each level it is nested in.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error, MapAccess, Unexpected},
    ser::SerializeMap,
};
use serde_json::{Map, Value};

/// A field of an object.
pub(crate) trait Field: Default {
    /// Whether it is left out when it is written.
    fn is_unset(&self) -> bool;

    /// Reads it; `null` means unset.
    fn read<'de, A: MapAccess<'de>>(object: &mut A) -> Result<Self, A::Error>;

    /// Writes it under `key`.
    fn write<M: SerializeMap>(&self, key: &'static str, object: &mut M) -> Result<(), M::Error>;
}

/// A value whose presence means something also if it is a zero.
pub(crate) trait Optional: Sized {
    fn read<'de, A: MapAccess<'de>>(object: &mut A) -> Result<Option<Self>, A::Error>;

    fn write<M: SerializeMap>(&self, key: &'static str, object: &mut M) -> Result<(), M::Error>;
}

impl<T: Optional> Field for Option<T> {
    fn is_unset(&self) -> bool {
        self.is_none()
    }

    fn read<'de, A: MapAccess<'de>>(object: &mut A) -> Result<Self, A::Error> {
        T::read(object)
    }

    fn write<M: SerializeMap>(&self, key: &'static str, object: &mut M) -> Result<(), M::Error> {
        self.as_ref().map_or(Ok(()), |value| value.write(key, object))
    }
}

/// Fields that `serde` reads and writes as they are.
macro_rules! plain_fields {
    ($([$($generics:tt)*] $type:ty, $unset:expr;)*) => {
        $(impl<$($generics)*> Field for $type {
            fn is_unset(&self) -> bool {
                let unset: fn(&Self) -> bool = $unset;
                unset(self)
            }

            fn read<'de, A: MapAccess<'de>>(object: &mut A) -> Result<Self, A::Error> {
                Ok(object.next_value::<Option<Self>>()?.unwrap_or_default())
            }

            fn write<M: SerializeMap>(&self, key: &'static str, object: &mut M) -> Result<(), M::Error> {
                object.serialize_entry(key, self)
            }
        })*
    };
}

plain_fields! {
    [] String, Self::is_empty;
    [] bool, |value| !*value;
    [T: Serialize + DeserializeOwned] Vec<T>, Self::is_empty;
    [T: Serialize + DeserializeOwned] BTreeMap<String, T>, Self::is_empty;
    [] Map<String, Value>, Self::is_empty;
}

/// Values that `serde` reads and writes as they are.
macro_rules! plain_optional {
    ($($type:ty),*) => {
        $(impl crate::ir::object::Optional for $type {
            fn read<'de, A: serde::de::MapAccess<'de>>(object: &mut A) -> Result<Option<Self>, A::Error> {
                object.next_value()
            }

            fn write<M: serde::ser::SerializeMap>(&self, key: &'static str, object: &mut M) -> Result<(), M::Error> {
                object.serialize_entry(key, self)
            }
        })*
    };
}
pub(crate) use plain_optional;

plain_optional!(String, bool, Map<String, Value>);

/// Anything, `null` too.
impl Optional for Value {
    fn read<'de, A: MapAccess<'de>>(object: &mut A) -> Result<Option<Self>, A::Error> {
        object.next_value().map(Some)
    }

    fn write<M: SerializeMap>(&self, key: &'static str, object: &mut M) -> Result<(), M::Error> {
        object.serialize_entry(key, self)
    }
}

/// A whole number as the server takes it: also written as text, or with a fraction of zero, which is what becomes of it
/// where the server keeps a document as a `Struct`.
struct Integer(i64);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Integer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Integer, E> {
                Ok(Integer(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Integer, E> {
                let number =
                    i64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))?;
                Ok(Integer(number))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Integer, E> {
                // Doubles are exact up to here.
                if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 {
                    #[allow(clippy::cast_possible_truncation, reason = "it is a whole number within the range")]
                    return Ok(Integer(number as i64));
                }
                Err(E::invalid_value(Unexpected::Float(number), &self))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Integer, E> {
                let number = text
                    .parse()
                    .map_err(|_| E::invalid_value(Unexpected::Str(text), &self))?;
                Ok(Integer(number))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Whole numbers of 32 bits, which are numbers on the wire.
fn small<'de, N: TryFrom<i64>, A: MapAccess<'de>>(object: &mut A) -> Result<Option<N>, A::Error> {
    let Some(Integer(number)) = object.next_value()? else {
        return Ok(None);
    };
    let fits = N::try_from(number).map_err(|_| A::Error::custom(format_args!("{number} is out of range")))?;
    Ok(Some(fits))
}

impl Optional for i32 {
    fn read<'de, A: MapAccess<'de>>(object: &mut A) -> Result<Option<Self>, A::Error> {
        small(object)
    }

    fn write<M: SerializeMap>(&self, key: &'static str, object: &mut M) -> Result<(), M::Error> {
        object.serialize_entry(key, self)
    }
}

impl Field for u32 {
    fn is_unset(&self) -> bool {
        *self == 0
    }

    fn read<'de, A: MapAccess<'de>>(object: &mut A) -> Result<Self, A::Error> {
        Ok(small(object)?.unwrap_or_default())
    }

    fn write<M: SerializeMap>(&self, key: &'static str, object: &mut M) -> Result<(), M::Error> {
        object.serialize_entry(key, self)
    }
}

/// Whole numbers of 64 bits, which are text on the wire.
impl Optional for i64 {
    fn read<'de, A: MapAccess<'de>>(object: &mut A) -> Result<Option<Self>, A::Error> {
        Ok(object.next_value::<Option<Integer>>()?.map(|Integer(number)| number))
    }

    fn write<M: SerializeMap>(&self, key: &'static str, object: &mut M) -> Result<(), M::Error> {
        object.serialize_entry(key, &self.to_string())
    }
}

/// Numbers, also the three that JSON cannot write.
impl Optional for f64 {
    fn read<'de, A: MapAccess<'de>>(object: &mut A) -> Result<Option<Self>, A::Error> {
        crate::message::read_field(object)
    }

    fn write<M: SerializeMap>(&self, key: &'static str, object: &mut M) -> Result<(), M::Error> {
        crate::message::write_field(object, key, &Some(*self))
    }
}

/// Defines an object of the format: every field may be missing, and unknown ones are kept in `extra`.
///
/// Fields are read under the name that is given and under the one in `snake_case`, as the server does, and are written
/// under the former.
macro_rules! ir_object {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident: $type:ty = $key:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$fmeta])*
            pub $field: $type,)*
            /// Fields this crate does not name, kept as they were read.
            pub extra: serde_json::Map<String, serde_json::Value>,
        }

        const _: () = {
            use crate::ir::object::Field;

            #[allow(non_camel_case_types, reason = "the names of the fields")]
            enum Key {
                $($field,)*
                Other(String),
            }

            impl<'de> serde::Deserialize<'de> for Key {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    struct Visitor;
                    impl serde::de::Visitor<'_> for Visitor {
                        type Value = Key;

                        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                            f.write_str("the name of a field")
                        }

                        #[allow(unreachable_patterns, reason = "names of one word are the same in both forms")]
                        fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Key, E> {
                            Ok(match key {
                                $($key | stringify!($field) => Key::$field,)*
                                other => Key::Other(other.to_owned()),
                            })
                        }
                    }
                    deserializer.deserialize_identifier(Visitor)
                }
            }

            impl<'de> serde::Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    struct Visitor;
                    impl<'de> serde::de::Visitor<'de> for Visitor {
                        type Value = $name;

                        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                            f.write_str("an object")
                        }

                        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut object: A) -> Result<$name, A::Error> {
                            $(let mut $field: Option<$type> = None;)*
                            let mut extra = serde_json::Map::new();
                            while let Some(found) = object.next_key::<Key>()? {
                                match found {
                                    $(Key::$field => {
                                        if $field.is_some() {
                                            return Err(serde::de::Error::duplicate_field($key));
                                        }
                                        $field = Some(Field::read(&mut object)?);
                                    })*
                                    Key::Other(key) => {
                                        extra.insert(key, object.next_value()?);
                                    }
                                }
                            }
                            Ok($name { $($field: $field.unwrap_or_default(),)* extra })
                        }
                    }
                    deserializer.deserialize_map(Visitor)
                }
            }

            impl serde::Serialize for $name {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    use serde::ser::SerializeMap as _;
                    let mut object = serializer.serialize_map(None)?;
                    $(if !self.$field.is_unset() {
                        self.$field.write($key, &mut object)?;
                    })*
                    for (key, value) in &self.extra {
                        object.serialize_entry(key, value)?;
                    }
                    object.end()
                }
            }

            impl Field for $name {
                fn is_unset(&self) -> bool {
                    $(self.$field.is_unset() &&)* self.extra.is_empty()
                }

                fn read<'de, A: serde::de::MapAccess<'de>>(object: &mut A) -> Result<Self, A::Error> {
                    Ok(object.next_value::<Option<Self>>()?.unwrap_or_default())
                }

                fn write<M: serde::ser::SerializeMap>(
                    &self,
                    key: &'static str,
                    object: &mut M,
                ) -> Result<(), M::Error> {
                    object.serialize_entry(key, self)
                }
            }

            crate::ir::object::plain_optional!($name);
        };
    };
}
pub(crate) use ir_object;
