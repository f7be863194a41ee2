//! Lists: one page at a time, or all pages as a stream.

use std::{collections::VecDeque, future::Future};

use futures_core::Stream;
use futures_util::stream;

use crate::error::Result;

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Page<T> {
    /// What is on this page; may be empty although more pages follow.
    pub items: Vec<T>,
    /// Token of the next page; `None` on the last one.
    ///
    /// Tokens of MLflow are mere offsets: what is created or deleted in between shifts the pages.
    pub next_page_token: Option<String>,
}

impl<T> Page<T> {
    pub(crate) fn new(items: Vec<T>, next_page_token: Option<String>) -> Self {
        Self {
            items,
            next_page_token: next_page_token.filter(|token| !token.is_empty()),
        }
    }
}

/// All pages, fetched as they are needed. An error ends the stream.
pub(crate) fn all<T, F, Fut>(first: Option<String>, fetch: F) -> impl Stream<Item = Result<T>> + Send + 'static
where
    T: Send + 'static,
    F: Fn(Option<String>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Page<T>>> + Send,
{
    enum Next {
        Page(Option<String>),
        End,
    }
    struct State<T, F> {
        fetch: F,
        ready: VecDeque<T>,
        next: Next,
    }
    let state = State {
        fetch,
        ready: VecDeque::new(),
        next: Next::Page(first),
    };
    stream::unfold(state, |mut state| async move {
        loop {
            if let Some(item) = state.ready.pop_front() {
                return Some((Ok(item), state));
            }
            let Next::Page(token) = std::mem::replace(&mut state.next, Next::End) else {
                return None;
            };
            match (state.fetch)(token.clone()).await {
                Ok(page) => {
                    state.ready.extend(page.items);
                    // A token that comes back unchanged would go round for ever.
                    if page.next_page_token.is_some() && page.next_page_token != token {
                        state.next = Next::Page(page.next_page_token);
                    }
                }
                Err(error) => return Some((Err(error), state)),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::StreamExt;

    use super::*;
    use crate::error::Error;

    async fn run(pages: Vec<Result<Page<u8>>>) -> (Vec<Result<u8>>, usize) {
        let calls = std::sync::Arc::new(AtomicUsize::new(0));
        let pages = std::sync::Mutex::new(VecDeque::from(pages));
        let counted = std::sync::Arc::clone(&calls);
        let stream = all(None, move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            let page = pages.lock().unwrap().pop_front().unwrap();
            async move { page }
        });
        let items = stream.collect().await;
        (items, calls.load(Ordering::SeqCst))
    }

    #[allow(clippy::unnecessary_wraps, reason = "stands beside errors in a list")]
    fn page(items: &[u8], token: &str) -> Result<Page<u8>> {
        Ok(Page::new(items.to_vec(), Some(token.to_owned())))
    }

    #[tokio::test]
    async fn an_empty_token_ends_and_an_empty_page_with_a_token_does_not() {
        let (items, calls) = run(vec![page(&[1], "a"), page(&[], "b"), page(&[2], "")]).await;
        assert_eq!(items.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(calls, 3);
    }

    #[tokio::test]
    async fn a_token_that_comes_back_ends() {
        let (items, calls) = run(vec![page(&[1], "a"), page(&[2], "a")]).await;
        assert_eq!((items.len(), calls), (2, 2));
    }

    #[tokio::test]
    async fn an_error_ends() {
        let (items, calls) = run(vec![page(&[1], "a"), Err(Error::invalid("x", "y"))]).await;
        assert!(items[1].is_err());
        assert_eq!((items.len(), calls), (2, 2));
    }
}
