//! What the server says of itself.

use http::Method;

use super::ROOT;
use crate::{Client, Health, Result, endpoint::Call, v2::health::probe};

/// Servers of 1.8 answer with the content type of plain text.
pub(super) async fn get(client: &Client) -> Result<Health> {
    let path = [ROOT[0], ROOT[1], "healthz"];
    let call = Call::new("v1.health", Method::GET, &client.inner.base, &path)?;
    probe(client, call).await
}
