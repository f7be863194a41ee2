//! `/dex/auth` and `/dex/auth/{connector}`: the choice of a connector and the beginning of a login.

use http::Method;

use super::super::message::{Incoming, Params, Reply, encode_segment, query, with_query};
use super::super::pages::{self, ConnectorLink};
use super::super::release::Release;
use super::super::sealed::dex_id;
use super::{AUTH_REQUEST_SECONDS, AuthRequest, Challenge, Dex, redirect_to};

/// What may be asked about a user.
pub(super) const SCOPES: [&str; 5] = ["openid", "email", "groups", "profile", "offline_access"];

impl Dex {
    /// Up to Dex 2.45 this step looks at `connector_id` alone; wrong clients and scopes come out at the next one.
    pub(super) fn authorize(&self, request: Incoming<'_>) -> Reply {
        let params = request.values();
        let query = params.without("connector_id").sorted_query();
        let wanted = params.text("connector_id");
        if !wanted.is_empty() {
            return match self.connector(wanted) {
                Some(connector) => Reply::redirect(302, &connector_path(connector.id(), &query), request),
                None => Self::error(400, "Connector ID does not match a valid Connector"),
            };
        }
        let mut connectors: Vec<_> = self.connectors.iter().collect();
        connectors.sort_by(|a, b| a.name().cmp(b.name()));
        let links: Vec<ConnectorLink<'_>> = connectors
            .iter()
            .map(|connector| ConnectorLink {
                href: connector_path(connector.id(), &query),
                type_name: connector.type_name(),
                name: connector.name(),
            })
            .collect();
        let page = pages::dex_chooser(&links);
        match links.as_slice() {
            // The real one goes on after the redirect and writes the chooser as its body.
            [only] => Reply::redirect(302, &only.href, request).append(&page),
            _ => Reply::html(200, page),
        }
    }

    /// Begins a login: each request makes a new one.
    pub(super) fn connector_login(&self, request: Incoming<'_>, connector: &str) -> Reply {
        let params = request.values();
        let begun = match self.check(&params, connector, request) {
            Ok(begun) => begun,
            Err(refusal) => return refusal,
        };
        if self.connector(connector).is_none() {
            let text = if self.is_terse() {
                "Connector failed to initialize"
            } else {
                "Requested resource does not exist"
            };
            return Self::error(400, text);
        }
        if request.method() != Method::GET {
            return Self::error(400, "Unsupported request method.");
        }
        let back = if self.connectors.len() > 1 {
            with_query("/dex/auth", &params.without("connector_id").sorted_query())
        } else {
            String::new()
        };
        let id = dex_id();
        let login = format!(
            "/dex/auth/{}/login?{}",
            encode_segment(connector),
            query([("back", back.as_str()), ("state", &id)])
        );
        self.lock().requests.insert(id, begun);
        Reply::redirect(302, &login, request)
    }

    fn check(&self, params: &Params, connector: &str, request: Incoming<'_>) -> Result<AuthRequest, Reply> {
        let id = params.text("client_id");
        let Some(client) = self.client(id) else {
            let text = if self.is_terse() {
                "Invalid client_id.".to_owned()
            } else {
                format!("Invalid client_id ({id:?}).")
            };
            return Err(Self::error(404, &text));
        };
        let redirect_uri = params.text("redirect_uri");
        if !client.redirect_uris.iter().any(|known| known == redirect_uri) {
            let text = if self.is_terse() {
                "Unregistered redirect_uri.".to_owned()
            } else {
                format!("Unregistered redirect_uri ({redirect_uri:?}).")
            };
            return Err(Self::error(400, &text));
        }
        let state = params.text("state");
        let refuse = |error: &str, description: &str| {
            let pairs = [("error", error), ("error_description", description), ("state", state)];
            Err(Reply::redirect(303, &redirect_to(redirect_uri, &pairs), request))
        };
        let method = params
            .get("code_challenge_method")
            .filter(|method| !method.is_empty())
            .unwrap_or("plain");
        if !matches!(method, "S256" | "plain") {
            return refuse(
                "invalid_request",
                &format!("Unsupported PKCE challenge method ({method:?})."),
            );
        }
        let scopes: Vec<String> = params.text("scope").split_whitespace().map(str::to_owned).collect();
        if !scopes.iter().any(|scope| scope == "openid") {
            return refuse("invalid_scope", "Missing required scope(s) [\"openid\"].");
        }
        let unknown: Vec<String> = scopes
            .iter()
            .filter(|scope| !SCOPES.contains(&scope.as_str()))
            .map(|scope| format!("{scope:?}"))
            .collect();
        if !unknown.is_empty() {
            return refuse(
                "invalid_scope",
                &format!("Unrecognized scope(s) [{}]", unknown.join(" ")),
            );
        }
        let types = params.text("response_type");
        if types.is_empty() {
            return refuse("invalid_request", "No response_type provided");
        }
        if let Some(unsupported) = types.split_whitespace().find(|kind| *kind != "code") {
            return refuse(
                "unsupported_response_type",
                &format!("Unsupported response type {unsupported:?}"),
            );
        }
        let challenge = params.get("code_challenge").filter(|value| !value.is_empty());
        Ok(AuthRequest {
            client: client.id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            scopes,
            state: state.to_owned(),
            nonce: params.text("nonce").to_owned(),
            challenge: challenge.map(|value| Challenge {
                value: value.to_owned(),
                hashed: method == "S256",
            }),
            connector: connector.to_owned(),
            force_approval: params.text("approval_prompt") == "force",
            identity: None,
            ends: self.clock.seconds().saturating_add(AUTH_REQUEST_SECONDS),
        })
    }

    /// Whether the user must agree on a page before the client gets its code.
    pub(super) fn asks_approval(&self, begun: &AuthRequest) -> bool {
        match self.release {
            // Dex 2.36 showed the page only if both asked for it.
            Release::Kubeflow1_8 => !self.skip_approval && begun.force_approval,
            Release::Kubeflow1_9 | Release::Kubeflow1_11 => !self.skip_approval || begun.force_approval,
        }
    }
}

fn connector_path(id: &str, query: &str) -> String {
    with_query(&format!("/dex/auth/{}", encode_segment(id)), query)
}
