//! Who asks, and what they may touch.

use super::answer::{Code, Refusal};
use super::context::Context;

/// What is being accessed, as a Kubernetes access review names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Access<'a> {
    pub(super) verb: &'a str,
    pub(super) resource: &'a str,
    /// Name of the object, if the review has one.
    pub(super) name: &'a str,
    /// What else the server's message names, such as the run.
    pub(super) subject: &'a str,
}

impl Context<'_> {
    /// The user of this request.
    fn identity(&self) -> Result<String, Refusal> {
        let header = &self.core.settings.identity_header;
        let missing = "Failed to check authorization. User identity is empty in the request header";
        let chain = format!("{missing}: Request header error: there is no user identity header.");
        match self.call.header(header) {
            // The real server dies of an empty header.
            Some("") => return Err(Refusal::silence()),
            Some(user) => return Ok(user.to_owned()),
            None => {}
        }
        let bearer = self
            .call
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        if let Some(user) = bearer.and_then(|token| self.state.tokens.get(token)) {
            return Ok(user.clone());
        }
        if !self.generation().has_v2() {
            return Err(Refusal::internal(chain));
        }
        Err(Refusal::new(Code::Unauthenticated, missing).context("Failed to authorize with API"))
    }

    /// Refuses unless the user may do this in the namespace. Single-user servers let everybody.
    pub(super) fn authorize(&self, namespace: &str, access: Access<'_>) -> Result<(), Refusal> {
        if !self.core.settings.multi_user {
            return Ok(());
        }
        let outer = format!(
            "Failed to access {} {}. Check if you have access to namespace {namespace}",
            access.resource, access.subject
        );
        let user = self.identity().map_err(|refusal| refusal.context(&outer))?;
        if self
            .state
            .owners
            .iter()
            .any(|(owner, owned)| *owner == user && owned == namespace)
        {
            return Ok(());
        }
        let Access {
            verb, resource, name, ..
        } = access;
        let review = format!(
            "Namespace:{namespace},Verb:{verb},Group:pipelines.kubeflow.org,Version:v1beta1,Resource:{resource},\
             Subresource:,Name:{name},FieldSelector:nil,LabelSelector:nil,"
        );
        let short = format!("User '{user}' is not authorized with reason:  (request: &ResourceAttributes{{{review}}})");
        Err(Refusal::new(Code::PermissionDenied, short).context(&outer))
    }

    /// In multi-user mode a namespace has to be given.
    pub(super) fn require_namespace(&self, namespace: &str, kind: &str) -> Result<(), Refusal> {
        if self.core.settings.multi_user && namespace.is_empty() {
            return Err(Refusal::invalid(format!(
                "{kind} cannot have an empty namespace in multi-user mode"
            )));
        }
        Ok(())
    }
}
