//! Requests for lists, and the parameters all of them have.

use crate::{
    endpoint::Call,
    error::{Error, Result},
    filter::{Filter, keys::ListKeys},
};

/// A request for a list.
pub(crate) trait ListRequest: Clone + Send + Sync + 'static {
    fn page_size(&self) -> Option<u32>;
    fn page_token(&self) -> &str;
    fn sort_by(&self) -> &str;
    fn filter(&self) -> &Filter;
    /// The same for the page of this token.
    fn at(self, page_token: String) -> Self;
}

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

        impl crate::list::ListRequest for $name {
            fn page_size(&self) -> Option<u32> {
                self.page_size
            }

            fn page_token(&self) -> &str {
                &self.page_token
            }

            fn sort_by(&self) -> &str {
                &self.sort_by
            }

            fn filter(&self) -> &crate::Filter {
                &self.filter
            }

            fn at(mut self, page_token: String) -> Self {
                self.page_token = page_token;
                self
            }
        }
    };
}
pub(crate) use list_request;

/// Adds the parameters all lists have, with the filter in the dialect of `v2beta1`.
pub(crate) fn query(call: Call, request: &impl ListRequest) -> Result<Call> {
    query_with(call, request, Filter::encode)
}

/// The same in the dialect of `v1beta1`.
pub(crate) fn query_v1(call: Call, request: &impl ListRequest) -> Result<Call> {
    query_with(call, request, Filter::encode_v1)
}

fn query_with(mut call: Call, request: &impl ListRequest, encode: fn(&Filter) -> String) -> Result<Call> {
    let page_size = request.page_size();
    if page_size.is_some_and(|size| !(1..=200).contains(&size)) {
        return Err(Error::invalid("page_size", "1 to 200"));
    }
    if let Some(keys) = ListKeys::of(call.operation) {
        keys.check(request.filter(), request.sort_by())?;
        let of_v1 = call.operation.starts_with("v1.");
        call.needs
            .extend(keys.needs(request.filter(), request.sort_by(), of_v1));
    }
    let page_size = page_size.map(|size| size.to_string()).unwrap_or_default();
    Ok(call
        .query("page_size", &page_size)
        .query("page_token", request.page_token())
        .query("sort_by", request.sort_by())
        .query("filter", &encode(request.filter())))
}
