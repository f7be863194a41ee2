//! Logins at other providers: where they are sent, and what comes back.

use super::super::super::message::{Incoming, Reply, query, with_query};
use super::super::super::sealed::random_text;
use super::super::{AuthorizationRequest, Identity, SamlRequest, SamlSide};
use super::site::{Away, CognitoSite, STATE};

/// How the pool calls itself.
const ENTITY_ID: &str = "urn:amazon:cognito:sp:eu-west-1_Loopback1";

impl CognitoSite {
    fn acs_url(&self) -> String {
        format!("{}/saml2/idpresponse", self.origin)
    }

    /// To a provider, by the redirect binding.
    pub(super) fn hand_on(&self, request: AuthorizationRequest, provider: usize, incoming: Incoming<'_>) -> Reply {
        let Some((_, source)) = self.federated.get(provider) else {
            return self.error("invalid_request", incoming);
        };
        let saml = SamlRequest::new(ENTITY_ID, self.acs_url());
        let relay_state = random_text::<24>();
        let pairs = [
            ("SAMLRequest", saml.for_redirect()),
            ("RelayState", relay_state.clone()),
        ];
        let location = with_query(
            &source.0.sso_url(),
            &query(pairs.iter().map(|(name, value)| (*name, value.as_str()))),
        );
        let away = Away {
            request,
            saml,
            provider,
        };
        self.lock().away.insert(relay_state.clone(), away);
        STATE
            .iter()
            .fold(Reply::redirect(302, &location, incoming), |reply, name| {
                reply.set_cookie(&format!("{name}={relay_state}; Path=/; HttpOnly"))
            })
    }

    /// A provider's answer, which counts once, and with the cookies of the browser that was sent there.
    pub(super) fn returned(&self, request: Incoming<'_>) -> Reply {
        let form = request.form();
        let relay_state = form.text("RelayState");
        if STATE.iter().any(|name| request.cookie(name) != Some(relay_state)) {
            return self.error("invalid_request", request);
        }
        let Some(away) = self.lock().away.remove(relay_state) else {
            return self.error("invalid_request", request);
        };
        let Some((name, source)) = self.federated.get(away.provider) else {
            return self.error("invalid_request", request);
        };
        let acs_url = self.acs_url();
        let side = SamlSide {
            acs_url: &acs_url,
            in_response_to: &away.saml.id,
        };
        match source.0.saml().accept(form.text("SAMLResponse"), side) {
            Ok(identity) => {
                // The pool makes a user of its own, named by provider and name.
                let user = format!("{name}_{}", identity.subject);
                let identity = Identity {
                    subject: user.clone(),
                    name: user,
                    ..identity
                };
                self.finish(&away.request, identity, &random_text::<30>(), request)
            }
            Err(error) => {
                let text = format!("Invalid SAML response received: {error:?}");
                Reply::redirect(302, &away.request.refusal("server_error", &text), request)
            }
        }
    }
}
