//! How values are written on the wire, converted once.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serializer, de::DeserializeOwned};

/// Defines an enum of the wire that keeps values it does not know as text and writes them back unchanged.
macro_rules! wire_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vmeta])* $variant,)+
            /// A value this version of the crate does not know, as the server wrote it.
            Unknown(String),
        }

        impl $name {
            /// Every value this version of the crate knows.
            pub const KNOWN: &[Self] = &[$(Self::$variant),+];

            /// The value as it is written on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Unknown(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)+
                    other => Self::Unknown(other.to_owned()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Ok(Self::from(&*text))
            }
        }
    };
}
pub(crate) use wire_enum;

/// A missing value and `null` both mean the default.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// 64-bit integers are numbers in answers of MLflow itself; hosted servers write them as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Int64 {
    Number(i64),
    Text(String),
}

pub(crate) fn int64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    Ok(optional_int64(deserializer)?.unwrap_or_default())
}

pub(crate) fn optional_int64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    match Option::<Int64>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Int64::Number(number)) => Ok(Some(number)),
        Some(Int64::Text(text)) => text
            .parse()
            .map(Some)
            .map_err(|_| serde::de::Error::custom(format_args!("`{text}` is not a 64-bit integer"))),
    }
}

/// Milliseconds since 1970. Zero means "not set": the server does not fill in a time that was left out.
pub(crate) mod millis {
    use super::{Deserializer, Serializer, Timestamp, optional_int64};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        let millis = optional_int64(deserializer)?.filter(|millis| *millis != 0);
        // Servers store any number; one beyond year 9999 is no time.
        Ok(millis.and_then(|millis| Timestamp::from_millisecond(millis).ok()))
    }

    #[allow(clippy::ref_option, reason = "the signature serde calls")]
    pub(crate) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.serialize_i64(time.as_millisecond()),
            None => serializer.serialize_none(),
        }
    }
}

/// Values of metrics. What JSON has no number for is written as text, in the spelling of protobuf.
///
/// The server keeps infinities as the largest finite numbers and returns those, so they are read as infinities.
pub(crate) mod number {
    use super::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Wire {
        Number(f64),
        Text(String),
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature serde calls")]
    pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_nan() {
            serializer.serialize_str("NaN")
        } else if value.is_infinite() {
            serializer.serialize_str(if *value > 0.0 { "Infinity" } else { "-Infinity" })
        } else {
            serializer.serialize_f64(*value)
        }
    }

    #[allow(clippy::float_cmp, reason = "exactly the number that stands for infinity")]
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        let value = match Option::<Wire>::deserialize(deserializer)? {
            None => 0.0,
            Some(Wire::Number(number)) => number,
            Some(Wire::Text(text)) => text
                .parse()
                .map_err(|_| serde::de::Error::custom(format_args!("`{text}` is not a number")))?,
        };
        Ok(if value == f64::MAX {
            f64::INFINITY
        } else if value == f64::MIN {
            f64::NEG_INFINITY
        } else {
            value
        })
    }
}
