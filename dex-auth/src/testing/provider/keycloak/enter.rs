//! Where logins begin: an authorization request of OpenID Connect, or a SAML request in one of two bindings.

use http::Method;

use super::super::super::message::{Incoming, Params, Reply, query};
use super::super::super::sealed::random_text;
use super::super::{AuthorizationRequest, BadRequest, SamlRequest};
use super::cookies::AUTH_SESSION;
use super::pages::Alert;
use super::realm::Realm;
use super::state::{Begun, Place, Session, Stage, State, Tab, Target};
use super::texts::{KeycloakLanguage, Text};

/// The client scopes of a new realm, and `groups`, which administrators add for Kubeflow.
const SCOPES: [&str; 11] = [
    "openid",
    "profile",
    "email",
    "groups",
    "offline_access",
    "roles",
    "address",
    "phone",
    "acr",
    "web-origins",
    "microprofile-jwt",
];

impl Realm {
    pub(super) fn authorize(&self, request: Incoming<'_>) -> Reply {
        let params = request.values();
        let asked = match AuthorizationRequest::read(&params, &self.clients) {
            Ok(asked) => asked,
            Err(BadRequest::Client) => return self.error(400, Text::ClientNotFound),
            Err(BadRequest::RedirectUri) => return self.error(400, Text::BadRedirect),
            Err(BadRequest::Parameters { location }) => {
                return Self::redirect(&format!("{location}&{}", query([("iss", self.issuer().as_str())])));
            }
        };
        if asked.scope.split_whitespace().any(|scope| !SCOPES.contains(&scope)) {
            let description = format!("Invalid scopes: {}", asked.scope);
            return Self::redirect(&self.refusal(&asked, "invalid_scope", &description));
        }
        let mut state = self.lock();
        let begun = Begun {
            client_id: asked.client_id.clone(),
            target: Target::OpenId(asked.clone()),
            language: self.language_of(&params),
        };
        match (Self::session(&state, request), asked.prompt.as_str()) {
            (Some(session), prompt) if prompt != "login" => self.with_session(&mut state, request, begun, session),
            (None, "none") => {
                let reply = Self::redirect(&self.refusal(&asked, "login_required", ""));
                self.cookies().login(reply, &random_text::<36>())
            }
            (session, _) => self.show_login(&mut state, request, &params, begun, session),
        }
    }

    pub(super) fn refusal(&self, asked: &AuthorizationRequest, error: &str, description: &str) -> String {
        let issuer = query([("iss", self.issuer().as_str())]);
        format!("{}&{issuer}", asked.refusal(error, description))
    }

    fn language_of(&self, params: &Params) -> KeycloakLanguage {
        let wanted = params
            .get("kc_locale")
            .or_else(|| params.text("ui_locales").split(' ').next());
        wanted.and_then(KeycloakLanguage::of_code).unwrap_or(self.language)
    }

    fn show_login(
        &self,
        state: &mut State,
        request: Incoming<'_>,
        params: &Params,
        begun: Begun,
        session: Option<(String, Session)>,
    ) -> Reply {
        let mut tab = Tab::new(begun.clone(), self.first_stage());
        if let Some((_, session)) = session {
            // Who is logged in proves it again, and cannot become someone else.
            tab.attempted = session.identity.name;
            tab.stage = Stage::Password { with_username: false };
            tab.alert = Some(Alert::Info(Text::ReAuthenticate));
        }
        let place = Self::open(state, request, tab);
        let hint = params.get("kc_idp_hint");
        let hinted = self
            .federated
            .iter()
            .find(|provider| Some(provider.alias.as_str()) == hint);
        let reply = match (hinted, state.tab(&place).cloned()) {
            (Some(provider), Some(tab)) => {
                let step = [("session_code", tab.session_code.as_str())];
                let mut reply = self.go(&place, &tab, &format!("broker/{}/login", provider.alias), &step);
                reply.status = 303;
                reply
            }
            _ => self.show(state, &place),
        };
        self.entered(state, request, &place, reply, begun)
    }

    fn open(state: &mut State, request: Incoming<'_>, tab: Tab) -> Place {
        let known = request
            .cookie(AUTH_SESSION)
            .filter(|root| state.roots.contains_key(*root));
        state.open(known, tab)
    }

    /// Adds the cookies of a login that begins. A browser that has one already keeps its id.
    fn entered(&self, state: &mut State, request: Incoming<'_>, place: &Place, reply: Reply, begun: Begun) -> Reply {
        let reply = if request.cookie(AUTH_SESSION) == Some(place.root.as_str()) {
            reply
        } else {
            self.cookies().login(reply, &place.root)
        };
        let restart = random_text::<600>();
        let reply = self.cookies().restart(reply, &restart);
        state.restarts.insert(restart, begun);
        reply
    }

    /// Single sign-on: no page but for a consent.
    fn with_session(
        &self,
        state: &mut State,
        request: Incoming<'_>,
        begun: Begun,
        (_, session): (String, Session),
    ) -> Reply {
        let mut tab = Tab::new(begun.clone(), self.first_stage());
        tab.identity = Some(session.identity);
        let place = Self::open(state, request, tab);
        let reply = self.proceed(state, request, &place);
        self.entered(state, request, &place, reply, begun)
    }

    pub(super) fn saml_request(&self, request: Incoming<'_>) -> Reply {
        let params = if request.method() == Method::POST {
            request.form()
        } else {
            request.query()
        };
        let Some(asked) = SamlRequest::read(params.text("SAMLRequest")) else {
            return self.error(400, Text::BadRequest);
        };
        let begun = Begun {
            client_id: asked.issuer.clone(),
            target: Target::Saml {
                request: asked,
                relay_state: params.get("RelayState").map(str::to_owned),
            },
            language: self.language,
        };
        let mut state = self.lock();
        if request.method() == Method::POST {
            // Shown after a redirect, so that the page does not stand at the answer of another site's form.
            let tab = Tab::new(begun.clone(), self.first_stage());
            let place = Self::open(&mut state, request, tab.clone());
            let reply = self.go(&place, &tab, "login-actions/authenticate", &[]);
            return self.entered(&mut state, request, &place, reply, begun);
        }
        match Self::session(&state, request) {
            Some(session) => self.with_session(&mut state, request, begun, session),
            None => self.show_login(&mut state, request, &params, begun, None),
        }
    }
}
