//! MLflow's search language, written without mistakes.

mod keys;

use std::{fmt, marker::PhantomData};

use jiff::Timestamp;
use serde::Serialize;

pub use keys::{
    ExperimentKey, IdKey, ListKey, LoggedModelKey, ModelVersionKey, NullableKey, NumberKey, OrderKey,
    RegisteredModelKey, RunKey, TextKey,
};

use crate::error::{Error, InvalidRequest, Result};

/// Which things a search returns by their life cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum ViewType {
    /// What is not deleted.
    #[default]
    ActiveOnly,
    /// What is deleted.
    DeletedOnly,
    /// Both.
    All,
}

impl serde::Serialize for ViewType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::ActiveOnly => "ACTIVE_ONLY",
            Self::DeletedOnly => "DELETED_ONLY",
            Self::All => "ALL",
        })
    }
}

/// Writes `text` as a string of a search filter.
///
/// The language has no way to write a text that holds both kinds of quotation marks; such a text is refused.
///
/// ```
/// use mlflow_client::quote;
///
/// let filter = format!("tags.owner = {}", quote("O'Neil")?);
/// assert_eq!(filter, r#"tags.owner = "O'Neil""#);
/// # Ok::<(), mlflow_client::Error>(())
/// ```
pub fn quote(text: &str) -> Result<String> {
    quoted(text).map_err(Error::InvalidRequest)
}

/// Text, or why there is none. It waits for the search that it is a part of, so that a chain needs no `?` in between.
type Written = Result<String, Box<InvalidRequest>>;

#[allow(clippy::unnecessary_box_returns, reason = "as the error that it becomes a part of")]
fn refuse(field: &'static str, allowed: String) -> Box<InvalidRequest> {
    Box::new(InvalidRequest {
        field: field.into(),
        allowed: allowed.into(),
    })
}

fn quoted(text: &str) -> Written {
    match (text.contains('\''), text.contains('"')) {
        (false, _) => Ok(format!("'{text}'")),
        (true, false) => Ok(format!("\"{text}\"")),
        (true, true) => Err(refuse(
            "filter",
            "text with at most one kind of quotation marks".to_owned(),
        )),
    }
}

/// A condition on what a search finds, in MLflow's search language. `S` is what is searched for.
///
/// It is made of keys ([`RunKey`], [`ExperimentKey`], [`RegisteredModelKey`], [`ModelVersionKey`], [`LoggedModelKey`]),
/// which offer just the comparisons that the server knows for them, or of a text, which is sent as it is. The language has
/// neither `OR` nor parentheses. What cannot be written in it, such as a text with both kinds of quotation marks, is
/// reported by the search, before anything is sent.
///
/// ```
/// use mlflow_client::{Filter, RunKey};
///
/// let filter = RunKey::metric("val/loss").less_than(0.5).and(RunKey::tag("team").equals("o'neil"));
/// assert_eq!(filter.text()?, r#"metrics.`val/loss` < 0.5 AND tags.`team` = "o'neil""#);
/// let same: Filter<_> = filter.and("params.depth = '3'");
/// # Ok::<(), mlflow_client::Error>(())
/// ```
#[must_use]
pub struct Filter<S> {
    written: Written,
    scope: PhantomData<fn() -> S>,
}

impl<S> Filter<S> {
    /// No condition.
    pub fn new() -> Self {
        Self::of(Ok(String::new()))
    }

    fn of(written: Written) -> Self {
        Self {
            written,
            scope: PhantomData,
        }
    }

    /// Both conditions.
    pub fn and(self, other: impl Into<Self>) -> Self {
        let written = match (self.written, other.into().written) {
            (Ok(one), Ok(other)) if one.is_empty() => Ok(other),
            (Ok(one), Ok(other)) if other.is_empty() => Ok(one),
            (Ok(one), Ok(other)) => Ok(format!("{one} AND {other}")),
            (Err(fault), _) | (_, Err(fault)) => Err(fault),
        };
        Self::of(written)
    }

    /// Whether there is no condition.
    pub fn is_empty(&self) -> bool {
        self.written.as_ref().is_ok_and(String::is_empty)
    }

    /// The text that goes to the server.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] if a part of it cannot be written.
    pub fn text(&self) -> Result<&str> {
        text(&self.written)
    }
}

/// What a search's results are ordered by. `S` is what is searched for.
///
/// ```
/// use mlflow_client::RunKey;
///
/// assert_eq!(RunKey::metric("val/loss").ascending().text()?, "metrics.`val/loss` ASC");
/// # Ok::<(), mlflow_client::Error>(())
/// ```
#[must_use]
pub struct OrderBy<S> {
    written: Written,
    scope: PhantomData<fn() -> S>,
}

impl<S> OrderBy<S> {
    fn of(written: Written) -> Self {
        Self {
            written,
            scope: PhantomData,
        }
    }

    /// The text that goes to the server.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] if the key cannot be written, or the search cannot be ordered by it.
    pub fn text(&self) -> Result<&str> {
        text(&self.written)
    }
}

fn text(written: &Written) -> Result<&str> {
    written
        .as_deref()
        .map_err(|fault| Error::InvalidRequest(Box::new((**fault).clone())))
}

/// Checks a search's filter and order before anything is sent.
pub(crate) fn check<S>(filter: &Filter<S>, order_by: &[OrderBy<S>]) -> Result<()> {
    filter.text()?;
    order_by.iter().try_for_each(|order| order.text().map(drop))
}

/// What both texts have in common. Derives would ask the same of the thing searched for.
macro_rules! written {
    ($name:ident) => {
        impl<S> Clone for $name<S> {
            fn clone(&self) -> Self {
                Self::of(self.written.clone())
            }
        }

        impl<S> PartialEq for $name<S> {
            fn eq(&self, other: &Self) -> bool {
                self.written == other.written
            }
        }

        impl<S> fmt::Debug for $name<S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.written).finish()
            }
        }

        impl<S> Serialize for $name<S> {
            fn serialize<Z: serde::Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
                match &self.written {
                    Ok(text) => serializer.serialize_str(text),
                    Err(fault) => Err(serde::ser::Error::custom(&fault.allowed)),
                }
            }
        }

        impl<S> From<String> for $name<S> {
            fn from(text: String) -> Self {
                Self::of(Ok(text))
            }
        }

        impl<S> From<&str> for $name<S> {
            fn from(text: &str) -> Self {
                Self::of(Ok(text.to_owned()))
            }
        }

        impl<S> From<&String> for $name<S> {
            fn from(text: &String) -> Self {
                Self::of(Ok(text.clone()))
            }
        }
    };
}
written!(Filter);
written!(OrderBy);

impl<S> Default for Filter<S> {
    fn default() -> Self {
        Self::new()
    }
}

/// A number of a filter: an integer, a floating-point number, or a time in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number(Kind);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Whole(i64),
    Real(f64),
}

impl Number {
    fn written(self) -> Written {
        match self.0 {
            Kind::Whole(number) => Ok(number.to_string()),
            // Without a sign in the exponent, which the server does not read.
            Kind::Real(number) if number.is_finite() => Ok(format!("{number:?}")),
            Kind::Real(_) => Err(refuse("filter", "a finite number".to_owned())),
        }
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self(Kind::Real(number))
    }
}

impl From<i64> for Number {
    fn from(number: i64) -> Self {
        Self(Kind::Whole(number))
    }
}

impl From<i32> for Number {
    fn from(number: i32) -> Self {
        Self(Kind::Whole(number.into()))
    }
}

impl From<u32> for Number {
    fn from(number: u32) -> Self {
        Self(Kind::Whole(number.into()))
    }
}

impl From<Timestamp> for Number {
    fn from(time: Timestamp) -> Self {
        Self(Kind::Whole(time.as_millisecond()))
    }
}
