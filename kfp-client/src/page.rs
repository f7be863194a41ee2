//! Lists: one page at a time, or all pages as a stream.

use std::{collections::VecDeque, future::Future};

use futures_core::Stream;
use futures_util::stream;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    client::Client,
    endpoint::Call,
    error::{Error, Result, one_line},
    faults,
    http::{classify, context},
    list::ListRequest,
    status::Status,
    wire,
};

/// One page of a list.
#[derive(Debug)]
#[non_exhaustive]
pub struct Page<T> {
    /// What is on this page; may be empty although more pages follow.
    pub items: Vec<T>,
    /// Items the server could not read. It lists each with an error in its place.
    pub broken: Vec<Error>,
    /// Token of the next page; `None` on the last one.
    pub next_page_token: Option<String>,
    /// Number of items on all pages together.
    pub total_size: u64,
}

impl<T> Page<T> {
    /// The page with every item made into something else.
    pub(crate) fn map<U>(self, make: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(make).collect(),
            broken: self.broken,
            next_page_token: self.next_page_token,
            total_size: self.total_size,
        }
    }
}

/// A resource that comes in lists.
pub(crate) trait Listed: DeserializeOwned {
    /// The id and the error of an item that stands for one that could not be read.
    fn broken(&self) -> Option<(&str, &Status)>;

    /// The same where the error is text alone, as in `v1beta1`.
    fn broken_text(&self) -> Option<(&str, &str)> {
        None
    }
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "T: DeserializeOwned"))]
pub(crate) struct WirePage<T> {
    // Each resource names its list after itself; `recurringRuns` is the one name in camel case.
    #[serde(
        alias = "experiments",
        alias = "pipelines",
        alias = "pipeline_versions",
        alias = "recurringRuns",
        alias = "recurring_runs",
        alias = "runs",
        alias = "jobs",
        alias = "tasks",
        alias = "versions",
        default = "Vec::new",
        deserialize_with = "items"
    )]
    items: Vec<T>,
    #[serde(default, deserialize_with = "wire::or_default")]
    next_page_token: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    total_size: i64,
}

fn items<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}

impl<T: Listed> WirePage<T> {
    /// Puts apart what the server could not read.
    pub(crate) fn sort(self, call: &Call) -> Page<T> {
        let mut broken = Vec::new();
        let mut items = Vec::with_capacity(self.items.len());
        for item in self.items {
            if let Some((id, status)) = item.broken() {
                broken.push(item_error(call, id, status));
            } else if let Some((id, text)) = item.broken_text() {
                broken.push(text_error(call, id, text));
            } else {
                items.push(item);
            }
        }
        Page {
            items,
            broken,
            next_page_token: Some(self.next_page_token).filter(|token| !token.is_empty()),
            total_size: u64::try_from(self.total_size).unwrap_or_default(),
        }
    }
}

impl Client {
    pub(crate) async fn page<T: Listed>(&self, call: &Call) -> Result<Page<T>> {
        let page: WirePage<T> = self.inner.json(call).await?;
        Ok(page.sort(call))
    }
}

fn item_error(call: &Call, id: &str, status: &Status) -> Error {
    let mut context = context(call, format!("{id}: {}", status.short_message()));
    context.status = Some(http::StatusCode::OK);
    context.code = Some(status.code);
    context.chain = Some(status.message.clone());
    let fault = Some(status).filter(|status| status.code == 13);
    let fault = fault.and_then(|status| faults::of_item(&status.message));
    fault.unwrap_or_else(|| classify(Some(status.code), http::StatusCode::OK))(context)
}

fn text_error(call: &Call, id: &str, text: &str) -> Error {
    let mut context = context(call, format!("{id}: {}", one_line(text)));
    context.status = Some(http::StatusCode::OK);
    context.chain = Some(text.to_owned());
    faults::of_item(text).unwrap_or(Error::UnexpectedResponse)(context)
}

/// All pages, fetched as they are needed. An item that could not be read is an error in its place; the stream goes on
/// behind it. An error of the list itself ends the stream.
///
/// `list` fetches one page by the handle of the resource.
pub(crate) fn all<H, R, T, F, Fut>(handle: H, request: R, list: F) -> impl Stream<Item = Result<T>> + Send + 'static
where
    H: Clone + Send + Sync + 'static,
    R: ListRequest,
    T: Send + 'static,
    F: Fn(H, R) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Page<T>>> + Send,
{
    let ready = VecDeque::new();
    stream::unfold(
        (handle, list, Some(request), ready),
        |(handle, list, mut next, mut ready)| async move {
            loop {
                if let Some(item) = ready.pop_front() {
                    return Some((item, (handle, list, next, ready)));
                }
                let request = next.take()?;
                match list(handle.clone(), request.clone()).await {
                    Ok(page) => {
                        ready.extend(page.items.into_iter().map(Ok));
                        ready.extend(page.broken.into_iter().map(Err));
                        // A token that comes back unchanged would go round for ever.
                        let token = page.next_page_token.filter(|token| *token != request.page_token());
                        next = token.map(|token| request.at(token));
                    }
                    Err(error) => return Some((Err(error), (handle, list, None, ready))),
                }
            }
        },
    )
}
