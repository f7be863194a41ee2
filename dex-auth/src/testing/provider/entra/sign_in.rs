//! The sign-in page: the question for the kind of the account, the password, and what is asked or refused after it.

use std::sync::atomic::Ordering;

use http::header::{CONTENT_TYPE, HeaderName, REFERER};
use serde_json::{Value, json};

use super::super::super::message::{Incoming, Params, Reply};
use super::pages;
use super::site::{EntraSite, Flow, Stage, missing};
use super::user::Enrolment;

impl EntraSite {
    /// What kind of account a name is, as the page's script asks for it.
    pub(super) fn credential_type(&self, request: Incoming<'_>) -> Reply {
        let refused = || {
            Reply::json(
                400,
                &json!({"error": {"code": "6001", "message": "The request is not valid."}}),
            )
        };
        let Some(asked) = json_body(request) else {
            return refused();
        };
        let text = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default();
        let Some(flow) = self.begun(text("originalRequest"), &Stage::Password, request) else {
            return refused();
        };
        let header = |name: &'static str| request.header(&HeaderName::from_static(name)).unwrap_or_default();
        let is_of_the_page = header("canary") == flow.api_canary
            && header("client-request-id") == flow.correlation
            && header("hpgrequestid") == flow.session
            && header("hpgact") == pages::ACTION.to_string()
            && header("hpgid") == pages::PAGE.to_string()
            && request
                .header(&REFERER)
                .is_some_and(|from| from.starts_with(&format!("{}/", self.origin)))
            && self.takes(&flow, text("flowToken"));
        if !is_of_the_page {
            return refused();
        }
        self.lookups.fetch_add(1, Ordering::Relaxed);
        let throttles = self.throttles.load(Ordering::Relaxed);
        let user = self.user(text("username")).filter(|_| !throttles).map(|(_, user)| user);
        let mut credentials = json!({
            "PrefCredential": 1, "HasPassword": true, "RemoteNgcParams": null, "FidoParams": null, "SasParams": null,
        });
        if let (Some(url), Some(members)) = (
            user.and_then(|user| user.federated.as_ref()),
            credentials.as_object_mut(),
        ) {
            members.insert("PrefCredential".to_owned(), 4.into());
            members.insert("FederationRedirectUrl".to_owned(), url.as_str().into());
        }
        Reply::json(
            200,
            &json!({
                "Username": text("username"), "Display": text("username"), "IfExistsResult": i32::from(user.is_none()),
                "IsUnmanaged": false, "ThrottleStatus": i32::from(throttles), "Credentials": credentials,
                "FlowToken": flow.token, "IsSignupDisallowed": true, "apiCanary": flow.api_canary,
            }),
        )
    }

    pub(super) fn log_in(&self, form: &Params, request: Incoming<'_>) -> Reply {
        let fields = [
            "login",
            "loginfmt",
            "passwd",
            "ctx",
            "flowToken",
            "canary",
            "hpgrequestid",
        ];
        if let Some(name) = missing(form, &fields) {
            return pages::lacks(name);
        }
        let context = form.text("ctx");
        let Some(mut flow) = self.begun(context, &Stage::Password, request) else {
            return pages::mismatch();
        };
        if form.text("canary") != flow.canary || form.text("hpgrequestid") != flow.session {
            return pages::mismatch();
        }
        let in_time = self.takes(&flow, form.text("flowToken"));
        self.renew(&mut flow);
        if !in_time {
            return self.shown_again(context, flow, 50_089, form.text("login"));
        }
        self.attempts.fetch_add(1, Ordering::Relaxed);
        match self.judged(form.text("login"), form.text("passwd")) {
            Ok(user) => self.accepted(context, flow, user, request),
            Err(Refusal::Code(code)) => self.shown_again(context, flow, code, form.text("login")),
            Err(Refusal::Elsewhere(url)) => Reply::redirect(302, &url, request),
        }
    }

    fn shown_again(&self, context: &str, flow: Flow, code: u32, name: &str) -> Reply {
        let page = pages::sign_in(&self.origin, context, &flow, Some(code), name);
        self.keep(context, flow, page)
    }

    fn judged(&self, name: &str, password: &str) -> Result<usize, Refusal> {
        let (index, user) = self.user(name).ok_or(Refusal::Code(50_034))?;
        if let Some(url) = &user.federated {
            return Err(Refusal::Elsewhere(url.clone()));
        }
        let mut state = self.lock();
        let wrong = state.wrong.entry(index).or_default();
        // Whatever the password is by now.
        if *wrong >= self.lockout {
            return Err(Refusal::Code(50_053));
        }
        if user.disabled {
            return Err(Refusal::Code(50_057));
        }
        if user.password != password {
            *wrong += 1;
            return Err(Refusal::Code(50_126));
        }
        *wrong = 0;
        Ok(index)
    }

    /// The password was right.
    fn accepted(&self, context: &str, mut flow: Flow, index: usize, request: Incoming<'_>) -> Reply {
        let Some(user) = self.users.get(index) else {
            return pages::mismatch();
        };
        flow.user = Some(index);
        if let Some(code) = user.refusal {
            let page = pages::refusal(&self.origin, context, &flow, code, &user.name);
            return self.keep(context, flow, page);
        }
        if let Some(enrolment) = user.enrolment {
            flow.stage = Stage::Enrolment;
            let page = pages::enrolment(context, &flow, enrolment == Enrolment::CanWait);
            return self.keep(context, flow, page);
        }
        let methods = user.methods();
        if !methods.is_empty() {
            flow.stage = Stage::SecondFactor;
            let page = pages::second_factor(context, &flow, &user.name, &methods);
            return self.keep(context, flow, page);
        }
        self.proceed(context, flow, index, request)
    }

    pub(super) fn skip_enrolment(&self, query: &Params, request: Incoming<'_>) -> Reply {
        let context = query.text("ctx");
        let begun = self.begun(context, &Stage::Enrolment, request);
        let Some((flow, index)) = begun.and_then(|flow| flow.user.map(|user| (flow, user))) else {
            return pages::mismatch();
        };
        let may_wait = self
            .users
            .get(index)
            .is_some_and(|user| user.enrolment == Some(Enrolment::CanWait));
        if !may_wait || !self.takes(&flow, query.text("flowToken")) {
            return pages::mismatch();
        }
        self.proceed(context, flow, index, request)
    }
}

enum Refusal {
    Code(u32),
    Elsewhere(String),
}

/// The body of a request that says that it is JSON.
pub(super) fn json_body(request: Incoming<'_>) -> Option<Value> {
    request
        .header(&CONTENT_TYPE)
        .filter(|kind| kind.starts_with("application/json"))?;
    serde_json::from_slice(&request.request.body).ok()
}
