//! Middleware that adds what proves who is asking.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use http::{
    Extensions, HeaderMap,
    header::{AUTHORIZATION, HeaderName},
};
use reqwest_middleware::{Middleware, Next};

use super::{header_name, secret_value};
use crate::error::Result;

/// Headers that stay the same.
#[derive(Default)]
pub(super) struct FixedHeaders(HeaderMap);

impl FixedHeaders {
    /// Adds a header; `field` is what it is called in errors.
    pub(super) fn add(&mut self, name: &str, value: &str, field: &'static str) -> Result<()> {
        let name: HeaderName = header_name(name, field)?;
        // A bearer without a token is no proof of anything.
        let given = value.strip_prefix("Bearer ").unwrap_or(value);
        secret_value(given, field)?;
        self.0.insert(name, secret_value(value, field)?);
        Ok(())
    }
}

#[async_trait::async_trait]
impl Middleware for FixedHeaders {
    async fn handle(
        &self,
        mut request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let headers = request.headers_mut();
        for (name, value) in &self.0 {
            headers.insert(name, value.clone());
        }
        next.run(request, extensions).await
    }
}

/// Middleware that sends the token in a file as `Authorization: Bearer`, read again for each request.
///
/// Kubernetes renews a projected service-account token in place, about every hour, so that one read at the start would
/// expire. Put it under no client that follows redirects to other hosts.
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// The token in this file.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
        }
    }
}

impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFile").field("path", &self.path).finish()
    }
}

/// A token's file that cannot be used.
#[derive(Debug)]
struct Unusable {
    path: PathBuf,
    cause: Option<io::Error>,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.cause {
            Some(cause) => write!(f, "the token file {path} cannot be read: {cause}"),
            None => write!(
                f,
                "the token file {path} must hold a token of printable ASCII and nothing else"
            ),
        }
    }
}

impl std::error::Error for Unusable {}

#[async_trait::async_trait]
impl Middleware for TokenFile {
    async fn handle(
        &self,
        mut request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let unusable = |cause| {
            reqwest_middleware::Error::middleware(Unusable {
                path: self.path.clone(),
                cause,
            })
        };
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
        let token = read
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| unusable(Some(error)))?;
        let token = token.trim();
        if token.is_empty() {
            return Err(unusable(None));
        }
        let value = secret_value(&format!("Bearer {token}"), "token").map_err(|_| unusable(None))?;
        request.headers_mut().insert(AUTHORIZATION, value);
        next.run(request, extensions).await
    }
}
