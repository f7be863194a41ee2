//! How a login begins and ends: requests of applications, and what they get.

use std::sync::atomic::Ordering;

use super::super::super::message::{Incoming, Params, Reply};
use super::super::super::sealed::random_text;
use super::super::{AuthorizationRequest, BadRequest, SamlRequest};
use super::pages;
use super::site::{Asked, EntraSite, Flow, SESSION, Stage, missing};

impl EntraSite {
    pub(super) fn saml_request(&self, params: &Params, request: Incoming<'_>) -> Reply {
        match SamlRequest::read(params.text("SAMLRequest")) {
            Some(asked) => {
                let relay_state = params.text("RelayState").to_owned();
                let asked = Asked::Assertion {
                    request: asked,
                    relay_state,
                };
                self.begin(asked, "", request)
            }
            None => pages::error(
                200,
                750_054,
                "SAMLRequest or SAMLResponse must be present in the request for this binding.",
            ),
        }
    }

    pub(super) fn authorize(&self, params: &Params, request: Incoming<'_>) -> Reply {
        match AuthorizationRequest::read(params, &self.clients) {
            Ok(asked) => {
                let prompt = asked.prompt.clone();
                let asked = Asked::Code {
                    request: asked,
                    form_post: params.text("response_mode") == "form_post",
                };
                self.begin(asked, &prompt, request)
            }
            Err(BadRequest::Parameters { location }) => Reply::redirect(302, &location, request),
            Err(BadRequest::Client) => pages::error(
                400,
                700_016,
                &format!(
                    "Application with identifier '{}' was not found in the directory.",
                    params.text("client_id")
                ),
            ),
            Err(BadRequest::RedirectUri) => pages::error(
                400,
                50_011,
                "The redirect URI in the request does not match those of the application.",
            ),
        }
    }

    fn begin(&self, asked: Asked, prompt: &str, request: Incoming<'_>) -> Reply {
        let session = request.cookie(SESSION).unwrap_or_default();
        let known = self.lock().sessions.get(session).copied();
        if let (Some(user), true) = (known, prompt != "login") {
            return self.answer(&asked, user, request);
        }
        if let (Asked::Code { request: asked, .. }, "none") = (&asked, prompt) {
            let text = "AADSTS50058: A silent sign-in request was sent but no user is signed in.";
            return Reply::redirect(302, &asked.refusal("login_required", text), request);
        }
        let context = random_text::<48>();
        let flow = self.flow(asked);
        let page = match flow.stage {
            Stage::Device => pages::device_check(&self.origin, &context, &flow),
            _ => pages::sign_in(&self.origin, &context, &flow, Some(50_058), ""),
        };
        self.keep(&context, flow, page)
    }

    /// After the question for a device certificate.
    pub(super) fn device_checked(&self, form: &Params, request: Incoming<'_>) -> Reply {
        if let Some(name) = missing(form, &["ctx", "flowToken"]) {
            return pages::lacks(name);
        }
        let context = form.text("ctx");
        let Some(mut flow) = self.begun(context, &Stage::Device, request) else {
            return pages::mismatch();
        };
        if !self.takes(&flow, form.text("flowToken")) {
            return pages::mismatch();
        }
        flow.stage = Stage::Password;
        self.renew(&mut flow);
        let page = pages::sign_in(&self.origin, context, &flow, Some(50_058), "");
        self.keep(context, flow, page)
    }

    /// The user is who he says: asks whether he stays, or sends him back.
    pub(super) fn proceed(&self, context: &str, mut flow: Flow, user: usize, request: Incoming<'_>) -> Reply {
        flow.user = Some(user);
        if !self.stay_signed_in {
            return self.finish(context, &flow, user, false, request);
        }
        flow.stage = Stage::Stay;
        self.renew(&mut flow);
        let page = pages::stay(context, &flow);
        self.keep(context, flow, page)
    }

    pub(super) fn stay(&self, form: &Params, request: Incoming<'_>) -> Reply {
        if let Some(name) = missing(form, &["ctx", "flowToken", "LoginOptions"]) {
            return pages::lacks(name);
        }
        let context = form.text("ctx");
        let begun = self.begun(context, &Stage::Stay, request);
        let Some((flow, user)) = begun.and_then(|flow| flow.user.map(|user| (flow, user))) else {
            return pages::mismatch();
        };
        let option = form.text("LoginOptions");
        if !self.takes(&flow, form.text("flowToken")) || !["1", "3"].contains(&option) {
            return pages::mismatch();
        }
        self.finish(context, &flow, user, option == "1", request)
    }

    /// Ends the login and begins a session.
    fn finish(&self, context: &str, flow: &Flow, user: usize, stays: bool, request: Incoming<'_>) -> Reply {
        let session = random_text::<48>();
        {
            let mut state = self.lock();
            state.flows.remove(context);
            state.sessions.insert(session.clone(), user);
        }
        let mut reply = self
            .answer(&flow.asked, user, request)
            .set_cookie(&format!("{SESSION}={session}; Path=/; HttpOnly"))
            .set_cookie(&format!("ESTSAUTHLIGHT=+{}; Path=/", random_text::<12>()))
            .set_cookie(&format!("SignInStateCookie={}; Path=/; HttpOnly", random_text::<12>()));
        if stays {
            reply = reply.set_cookie(&format!(
                "ESTSAUTHPERSISTENT={}; Path=/; Max-Age=7776000; HttpOnly",
                random_text::<24>()
            ));
        }
        reply
    }

    fn answer(&self, asked: &Asked, user: usize, request: Incoming<'_>) -> Reply {
        let Some(user) = self.users.get(user) else {
            return pages::mismatch();
        };
        self.logins.fetch_add(1, Ordering::Relaxed);
        match asked {
            Asked::Code {
                request: asked,
                form_post,
            } => {
                let code = self.codes.issue(asked.clone(), user.identity());
                let session = random_text::<16>();
                if *form_post {
                    let fields = [
                        ("code", code.as_str()),
                        ("state", asked.state.as_str()),
                        ("session_state", session.as_str()),
                    ];
                    return pages::hidden_form(&asked.redirect_uri, &fields);
                }
                let location = asked.back(&[("code", code.as_str()), ("session_state", session.as_str())]);
                Reply::redirect(302, &location, request)
            }
            Asked::Assertion {
                request: asked,
                relay_state,
            } => {
                let response = self.saml.response(asked, &user.identity());
                let mut fields = vec![("SAMLResponse", response.as_str())];
                if !relay_state.is_empty() {
                    fields.push(("RelayState", relay_state));
                }
                pages::hidden_form(&asked.acs_url, &fields)
            }
        }
    }
}
