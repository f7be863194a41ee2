//! The second factor: calls that begin and end it, and the form after them.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::super::super::message::{Incoming, Params, Reply};
use super::super::super::sealed::random_text;
use super::pages;
use super::sign_in::json_body;
use super::site::{EntraSite, Flow, Stage, missing};
use super::user::EntraUser;

/// Members of a call that are texts.
struct Call(Value);

impl Call {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

impl EntraSite {
    pub(super) fn begin_auth(&self, request: Incoming<'_>) -> Reply {
        let Some(call) = json_body(request).map(Call) else {
            return failed("BadRequest");
        };
        let Some(mut flow) = self.of_call(&call, "BeginAuth", &Stage::SecondFactor, request) else {
            return failed("InvalidSession");
        };
        let methods = flow.user.and_then(|user| self.users.get(user)).map(EntraUser::methods);
        let method = call.text("AuthMethodId");
        if !methods.unwrap_or_default().contains(&method) {
            return failed("AuthMethodNotAllowed");
        }
        let session = random_text::<16>();
        flow.stage = Stage::Code(session.clone());
        let entropy = if method == "PhoneAppNotification" { 42 } else { 0 };
        self.went_on(&call, flow, &session, entropy)
    }

    pub(super) fn end_auth(&self, request: Incoming<'_>) -> Reply {
        let Some(call) = json_body(request).map(Call) else {
            return failed("BadRequest");
        };
        let session = call.text("SessionId").to_owned();
        let Some(mut flow) = self.of_call(&call, "EndAuth", &Stage::Code(session.clone()), request) else {
            return failed("InvalidSession");
        };
        if call.text("AuthMethodId") == "PhoneAppNotification" {
            // Nobody confirms it here.
            return Reply::json(
                200,
                &json!({
                    "Success": false, "ResultValue": "AuthenticationPending", "Message": null, "ErrCode": 0, "Retry": true,
                    "AuthMethodId": "PhoneAppNotification", "Ctx": call.text("Ctx"), "FlowToken": flow.token,
                    "SessionId": session,
                }),
            );
        }
        self.code_attempts.fetch_add(1, Ordering::Relaxed);
        let authenticator = flow
            .user
            .and_then(|user| self.users.get(user))
            .and_then(|user| user.authenticator.as_ref());
        let code = call.text("AdditionalAuthData");
        if !authenticator.is_some_and(|authenticator| authenticator.accepts(code, self.clock.seconds())) {
            return failed("OathCodeIncorrect");
        }
        flow.stage = Stage::Coded;
        self.went_on(&call, flow, &session, 0)
    }

    pub(super) fn process_auth(&self, form: &Params, request: Incoming<'_>) -> Reply {
        if let Some(name) = missing(form, &["request", "flowToken", "login"]) {
            return pages::lacks(name);
        }
        let context = form.text("request");
        let begun = self.begun(context, &Stage::Coded, request);
        let Some((flow, index)) = begun.and_then(|flow| flow.user.map(|user| (flow, user))) else {
            return pages::mismatch();
        };
        let is_same_user = self
            .users
            .get(index)
            .is_some_and(|user| user.name == form.text("login"));
        if !is_same_user || !self.takes(&flow, form.text("flowToken")) {
            return pages::mismatch();
        }
        self.proceed(context, flow, index, request)
    }

    fn of_call(&self, call: &Call, method: &str, stage: &Stage, request: Incoming<'_>) -> Option<Flow> {
        let flow = self.begun(call.text("Ctx"), stage, request)?;
        (call.text("Method") == method && self.takes(&flow, call.text("FlowToken"))).then_some(flow)
    }

    /// The login goes on under another context and with another token, which only the answer tells.
    fn went_on(&self, call: &Call, mut flow: Flow, session: &str, entropy: u32) -> Reply {
        self.renew(&mut flow);
        let context = random_text::<48>();
        let answer = json!({
            "Success": true, "ResultValue": "Success", "Message": null, "ErrCode": 0, "Retry": false,
            "AuthMethodId": call.text("AuthMethodId"), "Ctx": context, "FlowToken": flow.token, "SessionId": session,
            "CorrelationId": flow.correlation, "Entropy": entropy,
        });
        let mut state = self.lock();
        state.flows.remove(call.text("Ctx"));
        state.flows.insert(context, flow);
        Reply::json(200, &answer)
    }
}

fn failed(result: &str) -> Reply {
    Reply::json(
        200,
        &json!({"Success": false, "ResultValue": result, "Message": null, "ErrCode": 500_121, "Retry": false}),
    )
}
