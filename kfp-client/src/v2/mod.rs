//! The API `v2beta1`, one file per resource.

pub(crate) mod artifacts;
pub(crate) mod experiments;
pub(crate) mod health;
pub(crate) mod logs;
pub(crate) mod pipelines;
pub(crate) mod recurring_runs;
pub(crate) mod reports;
pub(crate) mod runs;

use crate::endpoint::Call;
use crate::error::{Error, Result};
use crate::filter::{Filter, keys::ListKeys};

/// Where all paths of this version begin.
pub(crate) const ROOT: [&str; 2] = ["apis", "v2beta1"];

/// Defines the parameters of a list: those all lists have, and those of its own.
macro_rules! list_request {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$fmeta])* pub $field: Option<$type>,)*
            /// Items on a page, 1 to 200. The server's default is 20.
            pub page_size: Option<u32>,
            /// Token of the page to get, from the page before it; empty for the first.
            pub page_token: String,
            /// A field's name, with ` asc` or ` desc` after it; the server's default is `created_at asc`.
            pub sort_by: String,
            /// Conditions.
            pub filter: crate::Filter,
        }

        impl $name {
            /// Everything, in the server's order.
            pub fn new() -> Self {
                Self::default()
            }

            $($(#[$fmeta])*
            #[must_use]
            pub fn $field(mut self, $field: impl Into<$type>) -> Self {
                self.$field = Some($field.into());
                self
            })*

            /// Items on a page, 1 to 200. The server's default is 20.
            #[must_use]
            pub fn page_size(mut self, page_size: u32) -> Self {
                self.page_size = Some(page_size);
                self
            }

            /// Token of the page to get, from the page before it.
            #[must_use]
            pub fn page_token(mut self, page_token: impl Into<String>) -> Self {
                self.page_token = page_token.into();
                self
            }

            /// A field's name, with ` asc` or ` desc` after it; the server's default is `created_at asc`.
            #[must_use]
            pub fn sort_by(mut self, sort_by: impl Into<String>) -> Self {
                self.sort_by = sort_by.into();
                self
            }

            /// Conditions.
            #[must_use]
            pub fn filter(mut self, filter: crate::Filter) -> Self {
                self.filter = filter;
                self
            }
        }
    };
}
pub(crate) use list_request;

/// Adds the parameters all lists have.
pub(crate) fn list_query(
    call: Call,
    page_size: Option<u32>,
    page_token: &str,
    sort_by: &str,
    filter: &Filter,
) -> Result<Call> {
    if page_size.is_some_and(|size| !(1..=200).contains(&size)) {
        return Err(Error::invalid("page_size", "1 to 200"));
    }
    if let Some(keys) = ListKeys::of(call.operation) {
        keys.check(filter, sort_by)?;
    }
    let page_size = page_size.map(|size| size.to_string()).unwrap_or_default();
    Ok(call
        .query("page_size", &page_size)
        .query("page_token", page_token)
        .query("sort_by", sort_by)
        .query("filter", &filter.encode()))
}

/// Checks a text that the server stores: its length in characters, and that its database takes it.
pub(crate) fn stored_text(field: &'static str, text: &str, longest: usize, required: bool) -> Result<()> {
    if required && text.trim().is_empty() {
        return Err(Error::invalid(field, "not empty"));
    }
    if text.chars().count() > longest {
        return Err(Error::invalid(field, format!("at most {longest} characters")));
    }
    storable(field, text)
}

/// Refuses characters beyond the basic multilingual plane (emoji).
///
/// The server's connection to `MySQL` cannot store them, and a run is refused for them only after its workflow was started
/// (KFP 2.17).
pub(crate) fn storable(field: &'static str, text: &str) -> Result<()> {
    match text.chars().find(|&char| char > '\u{ffff}') {
        Some(char) => Err(Error::invalid(
            field,
            format!("without characters above U+FFFF such as {char:?}, which the server's database cannot store"),
        )),
        None => Ok(()),
    }
}
