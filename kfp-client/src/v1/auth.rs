//! Whether the caller may do something.

use http::Method;

use super::ROOT;
use crate::{
    client::Client,
    endpoint::Call,
    error::{Error, Result},
    wire::wire_enum,
};

wire_enum! {
    /// What is to be done something with.
    pub enum AuthResource {
        /// Not said.
        Unassigned = "UNASSIGNED_RESOURCES",
        /// Viewers, such as `TensorBoard`.
        Viewers = "VIEWERS",
    }
}

wire_enum! {
    /// What is to be done.
    pub enum AuthVerb {
        /// Not said.
        Unassigned = "UNASSIGNED_VERB",
        /// Make.
        Create = "CREATE",
        /// Read.
        Get = "GET",
        /// Delete.
        Delete = "DELETE",
    }
}

/// Questions about permissions; made by [`V1::auth`](super::V1::auth). The newer API has no such path.
#[derive(Debug, Clone)]
pub struct Auth {
    client: Client,
}

impl Auth {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Asks whether the caller may do this in a namespace. A single-user server allows everything.
    ///
    /// # Errors
    ///
    /// [`Error::PermissionDenied`] if not.
    pub async fn authorize(&self, namespace: &str, resources: &AuthResource, verb: &AuthVerb) -> Result<()> {
        if namespace.is_empty() {
            return Err(Error::invalid("namespace", "not empty"));
        }
        let path = [ROOT[0], ROOT[1], "auth"];
        let call = Call::new("v1.auth.authorize", Method::GET, &self.client.inner.base, &path)?;
        let call = call
            .query("namespace", namespace)
            .query("resources", resources.as_str())
            .query("verb", verb.as_str());
        self.client.inner.done(&call).await
    }

    /// As [`authorize`](Self::authorize), with the answer as a value.
    ///
    /// # Errors
    ///
    /// Any but [`Error::PermissionDenied`].
    pub async fn is_allowed(&self, namespace: &str, resources: &AuthResource, verb: &AuthVerb) -> Result<bool> {
        match self.authorize(namespace, resources, verb).await {
            Ok(()) => Ok(true),
            Err(Error::PermissionDenied(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
