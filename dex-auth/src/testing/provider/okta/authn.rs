//! `/api/v1/authn`: a state machine in JSON.

use std::sync::atomic::Ordering;

use http::header;
use serde_json::{Value, json};

use super::super::super::message::{Incoming, Reply};
use super::super::super::sealed::random_text;
use super::user::State;
use super::{Engine, OktaSite, lock};

/// Session tokens are to be used at once.
const TOKEN_SECONDS: i64 = 300;
const PREFIX: &str = "/api/v1/authn";

impl OktaSite {
    pub(super) fn authn(&self, incoming: Incoming<'_>) -> Reply {
        let is_json = incoming
            .header(&header::CONTENT_TYPE)
            .is_some_and(|value| value.starts_with("application/json"));
        if !is_json {
            return error(415, "E0000021", "The request contained an unsupported media type.");
        }
        let Ok(body) = serde_json::from_slice::<Value>(&incoming.request.body) else {
            return error(400, "E0000003", "The request body was not well-formed.");
        };
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let rest = incoming.path().strip_prefix(PREFIX).unwrap_or_default();
        match rest {
            "" => self.primary(&text("username"), &text("password")),
            "/skip" => self.transaction(&text("stateToken"), |site, user, _| site.success(user)),
            "/factors/ostTotp/verify" => self.verify(&text("stateToken"), &text("passCode")),
            "/factors/opfPush/verify" => self.transaction(&text("stateToken"), |_, _, token| {
                Reply::json(
                    200,
                    &json!({"stateToken": token, "status": "MFA_CHALLENGE", "factorResult": "WAITING"}),
                )
            }),
            _ => error(404, "E0000007", "Not found: Resource not found"),
        }
    }

    fn primary(&self, login: &str, password: &str) -> Reply {
        let tries = self.attempts.fetch_add(1, Ordering::SeqCst) + 1;
        if self.settings.limit.is_some_and(|limit| tries > limit) {
            return error(
                429,
                "E0000047",
                "API call exceeded rate limit due to too many requests.",
            );
        }
        let users = &self.settings.users;
        let user = users
            .iter()
            .position(|user| user.login.eq_ignore_ascii_case(login) && user.password == password);
        let Some((index, user)) = user.and_then(|index| Some((index, users.get(index)?))) else {
            return error(401, "E0000004", "Authentication failed");
        };
        let state = |status: &str, more: Value| self.state(index, status, &more);
        match user.state {
            State::LoggedIn => self.success(index),
            State::Locked => Reply::json(200, &json!({"status": "LOCKED_OUT"})),
            State::Expired => state("PASSWORD_EXPIRED", json!({})),
            State::Warned => {
                let skip = format!("{}{PREFIX}/skip", self.origin);
                state("PASSWORD_WARN", json!({"_links": {"skip": {"href": skip}}}))
            }
            State::Enrol => state(
                "MFA_ENROLL",
                json!({"_embedded": {"factors": [{"factorType": "push", "provider": "OKTA"}]}}),
            ),
            State::Push => state("MFA_REQUIRED", self.factors(&[("push", "opfPush")])),
            State::Codes(_) => state(
                "MFA_REQUIRED",
                self.factors(&[("push", "opfPush"), ("token:software:totp", "ostTotp")]),
            ),
        }
    }

    fn factors(&self, offered: &[(&str, &str)]) -> Value {
        let factors: Vec<_> = offered
            .iter()
            .map(|(kind, id)| {
                let href = format!("{}{PREFIX}/factors/{id}/verify", self.origin);
                json!({"id": id, "factorType": kind, "provider": "OKTA", "_links": {"verify": {"href": href}}})
            })
            .collect();
        json!({"_embedded": {"factors": factors}})
    }

    /// A state that waits for the next step.
    fn state(&self, user: usize, status: &str, more: &Value) -> Reply {
        let token = format!("00{}", random_text::<24>());
        lock(&self.states).insert(token.clone(), user);
        let mut body = json!({"stateToken": token, "status": status});
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        Reply::json(200, &body)
    }

    fn transaction(&self, token: &str, go_on: impl Fn(&Self, usize, &str) -> Reply) -> Reply {
        let user = lock(&self.states).get(token).copied();
        user.map_or_else(
            || error(401, "E0000011", "Invalid token provided"),
            |user| go_on(self, user, token),
        )
    }

    fn verify(&self, token: &str, code: &str) -> Reply {
        self.transaction(token, |site, user, token| {
            match site.settings.users.get(user).map(|user| &user.state) {
                Some(State::Codes(codes)) if codes.accepts(code, site.settings.clock.seconds()) => {
                    lock(&site.states).remove(token);
                    site.success(user)
                }
                _ => error(403, "E0000068", "Invalid Passcode/Answer"),
            }
        })
    }

    fn success(&self, user: usize) -> Reply {
        if self.settings.engine == Engine::WidgetOnly {
            return Reply::json(200, &json!({"status": "SUCCESS"}));
        }
        let token = format!("20{}", random_text::<24>());
        let ends = self.settings.clock.seconds().saturating_add(TOKEN_SECONDS);
        lock(&self.tokens).insert(token.clone(), (user, ends));
        Reply::json(200, &json!({"status": "SUCCESS", "sessionToken": token}))
    }
}

fn error(status: u16, code: &str, summary: &str) -> Reply {
    let body =
        json!({"errorCode": code, "errorSummary": summary, "errorLink": code, "errorId": "oae", "errorCauses": []});
    Reply::json(status, &body)
}
