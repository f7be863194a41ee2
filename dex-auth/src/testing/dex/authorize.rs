//! `/dex/auth` and `/dex/auth/{connector}`: the choice of a connector and the beginning of a login.

use http::Method;

use super::super::message::{Incoming, Params, Reply, encode_segment, query, with_query};
use super::super::pages::{self, ConnectorLink};
use super::super::sealed::dex_id;
use super::{AUTH_REQUEST_SECONDS, AuthRequest, Challenge, Client, Dex, DexVersion, OUT_OF_BAND, device, redirect_to};

/// What may be asked about a user.
pub(super) const SCOPES: [&str; 5] = ["openid", "email", "groups", "profile", "offline_access"];

impl Dex {
    /// From 2.29 to 2.45 this step looks at `connector_id` alone; wrong clients and scopes come out at the next one.
    pub(super) fn authorize(&self, request: Incoming<'_>) -> Reply {
        let params = request.values();
        let mut query = params.without("connector_id").sorted_query();
        let wanted = params.text("connector_id");
        if self.version.is_head() && self.client(params.text("client_id")).is_none() {
            return Self::error(400, "Invalid client_id provided.");
        }
        if self.version == DexVersion::V2_24 {
            match self.check(&params, "", request) {
                Ok(begun) => query = format!("req={}", self.keep(begun)),
                Err(refusal) => return refusal,
            }
        }
        if !wanted.is_empty() {
            return match self.connector(wanted) {
                Some(connector) => Reply::redirect(302, &connector_path(connector.id(), &query), request),
                None if self.version == DexVersion::V2_24 => Self::error(400, "Invalid ConnectorID"),
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
        let page = pages::dex_chooser(&links, self.version.is_head());
        match links.as_slice() {
            [only] if self.version.is_head() || self.version == DexVersion::V2_24 => {
                Reply::redirect(302, &only.href, request)
            }
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
        let Some(connector) = self.connector(connector) else {
            let text = if self.version.is_terse() {
                "Connector failed to initialize"
            } else {
                "Requested resource does not exist"
            };
            return Self::error(400, text);
        };
        if request.method() != Method::GET {
            return Self::error(400, "Unsupported request method.");
        }
        if let Some(reply) = self.by_session(request, &begun) {
            return reply;
        }
        let id = self.keep(AuthRequest {
            upstream_verifier: self.upstream_verifier(connector),
            ..begun
        });
        if let Some(upstream) = connector.upstream() {
            return self.send_upstream(upstream, &id, request);
        }
        let back = if self.connectors.len() > 1 {
            with_query("/dex/auth", &params.without("connector_id").sorted_query())
        } else {
            String::new()
        };
        let login = format!(
            "/dex/auth/{}/login?{}",
            encode_segment(connector.id()),
            query([("back", back.as_str()), ("state", &id)])
        );
        Reply::redirect(302, &login, request)
    }

    /// `/dex/auth/{connector}?req=` up to 2.28: the form stands here, and whichever connector is asked for is taken.
    pub(super) fn early_login(&self, request: Incoming<'_>, id: &str) -> Reply {
        let params = request.query();
        let req = params.text("req").to_owned();
        let Some(connector) = self.connector(id) else {
            return Self::error(400, "Requested resource does not exist");
        };
        let begun = self.lock().requests.get_mut(&req).map(|begun| {
            connector.id().clone_into(&mut begun.connector);
            begun.clone()
        });
        let Some(begun) = begun else {
            return Self::error(400, "Login session expired.");
        };
        match (connector.upstream(), request.method()) {
            (Some(upstream), &Method::GET) => self.send_upstream(upstream, &req, request),
            _ => self.password_form(request, connector, &req, &begun),
        }
    }

    /// Remembers a begun login; its id is all that holds it together.
    pub(super) fn keep(&self, begun: AuthRequest) -> String {
        let id = dex_id();
        self.lock().requests.insert(id.clone(), begun);
        id
    }

    fn check(&self, params: &Params, connector: &str, request: Incoming<'_>) -> Result<AuthRequest, Reply> {
        let id = params.text("client_id");
        let Some(client) = self.client(id) else {
            let text = if self.version.is_terse() {
                "Invalid client_id.".to_owned()
            } else {
                format!("Invalid client_id ({id:?}).")
            };
            let status = if self.version == DexVersion::V2_24 { 400 } else { 404 };
            return Err(Self::error(status, &text));
        };
        let redirect_uri = params.text("redirect_uri");
        if !allows_redirect(client, redirect_uri) {
            let text = if self.version.is_terse() {
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
        let redirect_uri = if redirect_uri == device::CALLBACK {
            device::CALLBACK_AT_ISSUER
        } else {
            redirect_uri
        };
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
            prompt: params.text("prompt").to_owned(),
            upstream_verifier: None,
            identity: None,
            factor_given: false,
            approved: false,
            ends: self.clock.seconds().saturating_add(AUTH_REQUEST_SECONDS),
        })
    }

    /// Whether the user must agree on a page before the client gets its code.
    pub(super) fn asks_approval(&self, begun: &AuthRequest) -> bool {
        match self.version {
            // Dex 2.36 showed the page only if both asked for it.
            DexVersion::V2_36 => !self.skip_approval && begun.force_approval,
            DexVersion::Head => !self.skip_approval || begun.force_approval || begun.has_prompt("consent"),
            _ => !self.skip_approval || begun.force_approval,
        }
    }
}

/// Public clients without redirect URIs may use those of programs that are no web applications.
fn allows_redirect(client: &Client, uri: &str) -> bool {
    if client.redirect_uris.iter().any(|known| known == uri) {
        return true;
    }
    if !client.secret.is_empty() || !client.redirect_uris.is_empty() {
        return false;
    }
    [OUT_OF_BAND, device::CALLBACK, device::CALLBACK_AT_ISSUER].contains(&uri)
        || url::Url::parse(uri).is_ok_and(|uri| uri.scheme() == "http" && crate::origin::is_loopback(&uri))
}

fn connector_path(id: &str, query: &str) -> String {
    with_query(&format!("/dex/auth/{}", encode_segment(id)), query)
}
